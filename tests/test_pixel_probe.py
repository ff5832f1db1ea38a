"""The pixel probe: three curves by Bayes' rule, and the estimate of the prediction."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.integrate import trapezoid

from napari_selfdenoise import (
    STOP,
    Image,
    NoiseCurve,
    RequestError,
    TrainedModel,
    TrainingConfig,
    cli,
    denoise,
    save_model,
    write_image,
)
from napari_selfdenoise.images import Normalization
from napari_selfdenoise.long_work import run_to_end
from napari_selfdenoise.model import ChannelModel
from napari_selfdenoise.parts.estimators import (
    AutoEstimator,
    BlindMean,
    PosteriorMean,
    SinglePass,
)
from napari_selfdenoise.parts.masking import LineMask, RandomMask
from napari_selfdenoise.parts.networks import UNet
from napari_selfdenoise.parts.noise_models import (
    HistogramNoise,
    PoissonGaussianNoise,
    UnmodelledNoise,
)
from napari_selfdenoise.parts.psf import GaussianPSF, Optics
from napari_selfdenoise.parts.signal_heads import (
    GaussianSignal,
    MixtureSignal,
    PointSignal,
    SampledSignal,
)
from napari_selfdenoise.prediction import PixelProbe

pytestmark = pytest.mark.slow

GAIN, CONSTANT = 2.0, 30.0
CURVE = NoiseCurve.line(GAIN, CONSTANT, 0.0, 400.0)
PLACES = [(3, 4), (0, 0), (47, 55), (20, 31), (31, 20)] + [(8, n) for n in range(9, 14)]


def noise_std(signal):
    """Below the curve's first signal, at least half the std of what is there."""
    return np.sqrt(np.maximum(GAIN * signal + CONSTANT, CONSTANT / 4))


def noisy(shape=(48, 56)):
    """Waves of 40 to 260 grey values under Poisson-Gaussian noise."""
    y, x = np.mgrid[: shape[-2], : shape[-1]]
    light = np.broadcast_to(150 + 110 * np.sin(x / 9) * np.cos(y / 8), shape)
    rng = np.random.default_rng(0)
    counts = light + noise_std(light) * rng.standard_normal(shape)
    return np.clip(np.rint(counts), 0, 65535).astype(np.uint16)


def model_of(pixels, signal=None, curve=CURVE, channels=1, **changes):
    """A model with random weights, whose masks are filled with no randomness."""
    torch.manual_seed(0)
    config = TrainingConfig(
        network=UNet(width=4, depth=1),
        signal=signal or GaussianSignal(),
        noise_model=changes.pop("noise_model", PoissonGaussianNoise()),
        masking=changes.pop("masking", RandomMask()),
        estimator=changes.pop("estimator", PosteriorMean()),
        **{"flips": False, **changes},
    )
    norm = Normalization.measure(pixels.astype(np.float32))
    optics = None
    if config.psf.blurs:
        optics = Optics.of(config.psf, config.psf.kernel(), 0.0)
    channel = ChannelModel(config.build_network().eval(), None, norm, curve, optics)
    return TrainedModel(config, (channel,) * channels)


def probed(probe, plane, *place):
    return run_to_end(probe.predict_steps(plane, *place))


def normal(x, mean, std):
    return np.exp(-0.5 * ((x - mean) / std) ** 2) / (std * np.sqrt(2 * np.pi))


def prior_moments(probe, y, x):
    """Mean and std that a Gaussian head predicts of a pixel, by hand, raw units."""
    tile, norm = probe._kept(probe.tile_of((), y, x)), probe.model.channels[0]
    norm = norm.normalization
    mean, std = tile.outputs[:2, y - tile.tile.top, x - tile.tile.left]
    std = ((std + 0.1) ** 2 + 1e-6).sqrt()  # as signal_heads has it
    return float(norm.invert(mean)), float(std) * norm.scale


def test_the_three_curves_integrate_to_one_and_are_those_of_a_direct_computation():
    pixels = noisy()
    probe = PixelProbe(Image(pixels, "YX"), model_of(pixels), device="cpu")
    for y, x in PLACES:
        found, value = probed(probe, (), y, x), float(pixels[y, x])
        mean, std = prior_moments(probe, y, x)
        grid = found.signal
        assert (np.diff(grid) > 0).all()
        for curve in (found.prior, found.likelihood, found.posterior):
            assert curve.shape == grid.shape
            assert trapezoid(curve, grid) == pytest.approx(1, abs=1e-9)
        fine = np.linspace(grid[0], grid[-1], 40_001)  # a grid of its own

        def prior(s, mean=mean, std=std):
            return normal(s, mean, std)

        def likelihood(s, value=value):
            return normal(value, s, noise_std(s))

        def joint(s, prior=prior, likelihood=likelihood):
            return prior(s) * likelihood(s)

        for curve, direct in (
            (found.prior, prior),
            (found.likelihood, likelihood),
            (found.posterior, joint),
        ):
            expected = direct(grid) / trapezoid(direct(fine), fine)
            np.testing.assert_allclose(curve, expected, atol=0.01 * expected.max())
        assert found.observation == found.recorded == value
        assert found.noise_std == pytest.approx(float(noise_std(mean)), rel=0.01)


@pytest.mark.parametrize(
    ("signal", "flips", "blind"),
    [
        (GaussianSignal(), True, True),
        (MixtureSignal(), False, True),
        (SampledSignal(samples=20), False, False),
    ],
)
def test_the_estimate_is_that_of_the_prediction(signal, flips, blind):
    pixels = noisy()
    image = Image(pixels, "YX")
    model = model_of(
        pixels,
        signal,
        flips=flips,
        estimator=PosteriorMean(blind=blind),
    )
    result = denoise(image, model, device="cpu")
    probe = PixelProbe(image, model, device="cpu")
    std = result.images["posterior_std"].data
    for y, x in PLACES:
        found = probed(probe, (), y, x)
        expected = result.denoised.data[y, x]
        assert found.estimate == pytest.approx(expected, rel=1e-4)
        assert found.posterior_mean == pytest.approx(expected, rel=1e-3)
        if blind:  # the layer's is fitted to held-out pixels
            away = (found.signal - found.posterior_mean) ** 2
            drawn = trapezoid(found.posterior * away, found.signal) ** 0.5
            assert found.posterior_std == pytest.approx(drawn, rel=0.05)
        else:
            assert found.posterior_std == pytest.approx(std[y, x], rel=1e-2)
        assert found.final


def test_the_share_of_the_pixel_is_its_weight_in_the_posterior_mean():
    pixels = noisy()
    probe = PixelProbe(Image(pixels, "YX"), model_of(pixels), device="cpu")
    for y, x in PLACES:
        found = probed(probe, (), y, x)
        own = found.own_share
        blend = own * found.observation + (1 - own) * found.prior_mean
        assert found.posterior_mean == pytest.approx(blend, rel=1e-3)
        percent = round(100 * own)
        assert found.sentences == [
            f"The pixel itself: {percent} %, its surroundings: {100 - percent} %."
        ]


@pytest.mark.parametrize(
    "estimator", [AutoEstimator(), BlindMean(), SinglePass()], ids=lambda e: e.kind
)
@pytest.mark.parametrize("signal", [GaussianSignal(), PointSignal()], ids=str)
def test_the_estimate_is_that_of_the_models_own_estimator(estimator, signal):
    pixels = noisy()
    image = Image(pixels, "YX")
    model = model_of(pixels, signal, estimator=estimator)
    expected = denoise(image, model, device="cpu").denoised.data
    probe = PixelProbe(image, model, device="cpu")
    for place in PLACES[:4]:
        found = probed(probe, (), *place)
        assert found.estimate == pytest.approx(expected[place], rel=1e-3)


def test_a_result_that_is_there_is_not_computed_again():
    pixels = noisy()
    image = Image(pixels, "YX")
    model = model_of(pixels, estimator=AutoEstimator())
    kept = image.with_data(np.full(pixels.shape, 7.0, np.float32))
    probe = PixelProbe(image, model, denoised=kept, device="cpu")
    words = [step.text for step in probe.predict_steps((), 5, 5)]
    assert probe.probe((), 5, 5).estimate == 7
    assert not any("whole image" in text for text in words)
    assert probe.is_complete((), 5, 5)


def test_nothing_is_known_of_a_pixel_before_its_tile_is_predicted():
    pixels = noisy((48, 200))
    probe = PixelProbe(Image(pixels, "YX"), model_of(pixels), device="cpu")
    assert probe.probe((), 5, 5) is None
    probed(probe, (), 5, 5)
    assert probe.probe((), 40, 60).prior is not None  # of the same tile
    assert probe.probe((), 5, 150) is None


def test_a_first_view_comes_before_all_orientations_and_stop_keeps_it():
    pixels = noisy()
    model = model_of(pixels, flips=True)
    probe = PixelProbe(Image(pixels, "YX"), model, device="cpu")
    steps = probe.predict_steps((), 5, 5)
    while not next(steps).ready:
        assert probe.probe((), 5, 5) is None
    first = probe.probe((), 5, 5)
    assert not first.final and np.isnan(first.estimate)
    assert trapezoid(first.posterior, first.signal) == pytest.approx(1)
    with pytest.raises(StopIteration) as end:
        steps.send(STOP)
    assert end.value.value.prior_mean == first.prior_mean
    assert not probe.is_complete((), 5, 5)
    assert probed(probe, (), 5, 5).final


def test_old_tiles_are_forgotten(monkeypatch):
    monkeypatch.setattr("napari_selfdenoise.prediction.pixel_probe._KEPT_BYTES", 1)
    pixels = noisy((48, 200))
    probe = PixelProbe(Image(pixels, "YX"), model_of(pixels), device="cpu")
    probed(probe, (), 5, 5)
    probed(probe, (), 5, 150)
    assert probe.probe((), 5, 5) is None
    assert probe.probe((), 5, 150) is not None


def test_stacks_and_channels_are_probed_plane_by_plane():
    pixels = noisy((2, 3, 48, 56)) + np.arange(6, dtype=np.uint16).reshape(2, 3, 1, 1)
    image, model = Image(pixels, "CZYX"), model_of(pixels, channels=2)
    expected = denoise(image, model, device="cpu").denoised.data
    probe = PixelProbe(image, model, device="cpu")
    for plane in ((0, 0), (1, 2), (1, 0)):
        found = probed(probe, plane, 7, 9)
        assert found.recorded == pixels[(*plane, 7, 9)]
        assert found.estimate == pytest.approx(expected[(*plane, 7, 9)], rel=1e-4)


@pytest.mark.parametrize("place", [((), 48, 0), ((), -1, 0), ((0,), 3, 3)])
def test_a_pixel_that_is_not_there_is_refused(place):
    pixels = noisy()
    probe = PixelProbe(Image(pixels, "YX"), model_of(pixels), device="cpu")
    with pytest.raises(RequestError, match="There is no pixel"):
        probe.probe(*place)


def test_what_was_not_observed_has_no_likelihood():
    pixels = noisy().astype(np.float32)
    pixels[10, 10], pixels[20, 20] = 40_000, np.nan
    image, model = Image(pixels, "YX"), model_of(noisy())
    probe = PixelProbe(image, model, device="cpu")
    hot, gap = probed(probe, (), 10, 10), probed(probe, (), 20, 20)
    assert (hot.kind, gap.kind) == ("outlier", "missing")
    assert "nothing was observed here" in " ".join(hot.sentences)
    for found in (hot, gap):
        assert found.likelihood is None and found.posterior is None
        assert found.own_share is None
        assert trapezoid(found.prior, found.signal) == pytest.approx(1)
    assert hot.recorded == 40_000 and hot.estimate < 1000
    assert np.isnan(gap.estimate)
    kept = replace(model, config=model.config.override({"outliers": "keep"}))
    found = probed(PixelProbe(image, kept, device="cpu"), (), 10, 10)
    assert found.estimate == 40_000


def test_saturated_and_cut_off_pixels_are_named():
    pixels = np.clip(noisy(), 60, 240).astype(np.uint16)
    probe = PixelProbe(Image(pixels, "YX"), model_of(pixels), device="cpu")
    kinds = {60: "cut off", 240: "saturated", 150: "observed"}
    for value, kind in kinds.items():
        y, x = np.argwhere(pixels == value)[0]
        assert probed(probe, (), y, x).kind == kind


def test_a_blank_plane_has_no_curves():
    pixels = noisy((2, 48, 56))
    pixels[1] = 5
    probe = PixelProbe(Image(pixels, "TYX"), model_of(pixels), device="cpu")
    found = probed(probe, (1,), 4, 4)
    assert (found.kind, found.estimate, found.signal.size) == ("blank", 5, 0)
    assert probe.is_complete((1,), 4, 4)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"signal": PointSignal(), "noise_model": UnmodelledNoise()}, "single values"),
        ({"signal": PointSignal()}, "single values"),
        ({"masking": LineMask()}, "Neighbours share noise"),
        ({"signal": PointSignal(), "objective": "sure"}, "use each pixel's own value"),
    ],
)
def test_a_model_without_a_posterior_says_why_and_shows_the_likelihood(changes, reason):
    pixels = noisy()
    model = model_of(pixels, estimator=SinglePass(), **changes)
    found = probed(PixelProbe(Image(pixels, "YX"), model, device="cpu"), (), 9, 9)
    assert found.posterior is None and found.own_share is None
    assert reason in " ".join(found.sentences)
    assert trapezoid(found.likelihood, found.signal) == pytest.approx(1)
    spreads = changes.get("signal") is None
    assert (found.prior is not None) == spreads
    assert np.isfinite(found.estimate)


def test_noise_without_a_closed_form_is_weighed_as_the_prediction_does():
    """A histogram: seven points a Gaussian there, a grid here."""
    pixels = noisy()
    model = model_of(
        pixels,
        noise_model=HistogramNoise(),
        objective="bootstrap",
    )
    signal = np.linspace(0, 400, 16)
    shares = np.tile(np.full(12, 1 / 12), (16, 1))
    spread = np.linspace(-1.5, 1.5, 12) * noise_std(signal)[:, None]
    curve = NoiseCurve(signal, shares, spread, 0.5 * np.abs(spread) + 4)
    (channel,) = model.channels
    model = replace(model, channels=(replace(channel, noise_curve=curve),))
    image = Image(pixels, "YX")
    expected = denoise(image, model, device="cpu").denoised.data
    probe = PixelProbe(image, model, device="cpu")
    for place in PLACES:
        found = probed(probe, (), *place)
        assert found.estimate == pytest.approx(expected[place], rel=1e-3)
        mean = trapezoid(found.posterior * found.signal, found.signal)
        assert mean == pytest.approx(expected[place], abs=0.3 * found.posterior_std)


def test_the_noise_of_each_image_is_fitted_first_where_the_model_asks_for_it():
    pixels = noisy()
    model = model_of(
        pixels,
        noise_model=PoissonGaussianNoise(estimation="per_image"),
    )
    image = Image(pixels, "YX")
    result = denoise(image, model, device="cpu")
    found = probed(PixelProbe(image, model, device="cpu"), (), 12, 12)
    assert found.estimate == pytest.approx(result.denoised.data[12, 12], rel=1e-3)
    std = result.images["posterior_std"].data[12, 12]
    assert found.posterior_std == pytest.approx(std, rel=0.02)


def test_with_optics_the_prior_is_that_of_the_blurred_signal():
    pixels = noisy()
    model = model_of(pixels, psf=GaussianPSF(sigma=1.0))
    image = Image(pixels, "YX")
    expected = denoise(image, model, device="cpu").denoised.data[9, 30]
    found = probed(PixelProbe(image, model, device="cpu"), (), 9, 30)
    assert found.estimate == pytest.approx(expected, rel=1e-4)


@pytest.fixture
def command(tmp_path, capsys):
    """Run `selfdenoise probe` on a stack of two planes: status, output, errors."""
    pixels = noisy((2, 48, 56))
    write_image(Image(pixels, "TYX"), tmp_path / "stack.tif")
    save_model(model_of(pixels), tmp_path / "model")

    def run(*flags):
        with pytest.raises(SystemExit) as end:
            cli.main(
                [
                    *("probe", str(tmp_path / "model"), str(tmp_path / "stack.tif")),
                    *(str(flag) for flag in flags),
                ]
            )
        return end.value.code, *capsys.readouterr()

    return run


def test_the_command_line_prints_the_figures_and_writes_the_curves(command, tmp_path):
    table = tmp_path / "curves.csv"
    status, out, _ = command("--at", 7, 9, "--plane", 1, "--csv", table, "--json")
    assert status == 0
    report = json.loads(out)
    pixels = noisy((2, 48, 56))
    image = Image(pixels, "TYX")
    found = probed(PixelProbe(image, model_of(pixels), device="cpu"), (1,), 7, 9)
    for name in ("recorded", "estimate", "prior_mean", "posterior_std", "own_share"):
        assert report[name] == pytest.approx(getattr(found, name), rel=1e-4), name
    assert report["plane"] == [1]
    header, *lines = table.read_text().splitlines()
    assert header == "signal,prior,likelihood,posterior"
    rows = np.array([[float(v) for v in line.split(",")] for line in lines])
    assert trapezoid(rows[:, 3], rows[:, 0]) == pytest.approx(1)
    _, words, _ = command("--at", 7, 9)
    assert "The pixel itself:" in words and "signal" not in words


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (("--at", 99, 0), "There is no pixel 0, 99, 0"),
        (("--at", 1, 1, "--plane", "x"), "--plane x was not understood"),
        (("--at", 1, 1, "--plane", "0,1"), "one number for each of the axes T"),
    ],
)
def test_the_command_line_refuses_pixels_that_are_not_there(command, flags, sentence):
    status, _, errors = command(*flags)
    assert status == 2
    assert sentence in errors
