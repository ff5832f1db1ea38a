"""Noise models from pairs of signal and observation, and their files."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from napari_selfdenoise.config.files import read_noise_model
from napari_selfdenoise.errors import DenoisingError, RequestError
from napari_selfdenoise.images import Image, as_line_scan
from napari_selfdenoise.long_work import STOP
from napari_selfdenoise.noise.calibration import (
    bits_per_pixel,
    calibrate,
    calibrate_steps,
    fit,
    fit_noise,
    fit_poisson_gaussian,
    fit_steps,
    frames,
    measured_scatter,
    measured_variance,
    range_warning,
)
from napari_selfdenoise.noise.calibration.motion import motion_warnings
from napari_selfdenoise.parts.noise_models import (
    FittedNoise,
    GaussianMixtureNoise,
    GaussianNoise,
    HistogramNoise,
    NoiseCurve,
    NoiseFromFile,
    NoiseNetwork,
    NoiseUnits,
    PoissonGaussianNoise,
    PoissonNoise,
    UnmodelledNoise,
    load_noise_model,
    save_noise_model,
)

pytestmark = pytest.mark.slow

A, B = 8.0, -775.0  # gain 8 over an offset of 100, read noise 5


def noisy(signal, rng, a=A, b=B):
    return signal + np.sqrt(np.maximum(a * signal + b, 0)) * rng.normal(
        size=signal.shape
    )


@pytest.fixture(autouse=True)
def _short_fits(monkeypatch):
    monkeypatch.setattr(fit, "_STEPS", 200)


@pytest.fixture(scope="module")
def pairs():
    rng = np.random.default_rng(0)
    signal = rng.uniform(150, 2000, 200_000)
    return signal, noisy(signal, rng)


@pytest.fixture(scope="module")
def truth():
    """A static scene, (Y, X)."""
    y, x = np.mgrid[:96, :96]
    return 200 + 1500 * np.exp(-((y - 40) ** 2 + (x - 50) ** 2) / 900)


@pytest.fixture(scope="module")
def stack(truth):
    """Thirty frames of it, in counts."""
    rng = np.random.default_rng(0)
    frames = np.stack([noisy(truth, rng) for _ in range(30)])
    return Image(np.round(frames).astype(np.uint16), "TYX", name="camera")


# -- The line --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("a", "b", "low", "high"),
    [
        pytest.param(12, -1050, 100, 900, id="offset in the signal"),
        pytest.param(0.01, 2e-4, 0.02, 0.9, id="zero to one"),
        pytest.param(200, 2e4, 500, 30000, id="bright"),
        pytest.param(2, 30, 0, 60, id="8 bit"),
    ],
)
def test_a_and_b_are_found_in_any_unit(a, b, low, high):
    rng = np.random.default_rng(1)
    signal = rng.uniform(low, high, 200_000)
    found = fit_poisson_gaussian(signal, noisy(signal, rng, a, b))
    assert found[0] == pytest.approx(a, rel=0.03)
    middle = 0.5 * (low + high)
    assert found[0] * middle + found[1] == pytest.approx(a * middle + b, rel=0.02)
    at_low = a * low + b
    assert found[0] * low + found[1] == pytest.approx(at_low, abs=0.03 * a * middle)


def test_the_fit_does_not_depend_on_the_unit(pairs):
    signal, observed = pairs
    a, b = fit_poisson_gaussian(signal, observed)
    found = fit_poisson_gaussian(signal / 4096, observed / 4096)
    assert found == pytest.approx((a / 4096, b / 4096**2), rel=1e-3)


def test_cutting_by_the_observation_truncates_the_noise(pairs):
    signal, observation = pairs
    low, high = np.quantile(observation, (0.02, 0.97))
    inside = (observation >= low) & (observation <= high)
    kept = signal[inside], observation[inside]
    assert fit_poisson_gaussian(*pairs)[0] == pytest.approx(A, rel=0.01)
    assert fit_poisson_gaussian(*kept, cuts=(0, 1))[0] < 0.97 * A


def test_the_predictions_own_variance_is_not_noise(pairs):
    signal, observed = pairs
    rng = np.random.default_rng(2)
    own = rng.uniform(0, 5000, signal.shape)
    predicted = signal + np.sqrt(own) * rng.normal(size=signal.shape)
    a, b = fit_poisson_gaussian(signal, observed + predicted - signal)
    assert a * 1000 + b > 1.3 * (A * 1000 + B)
    a, b = fit_poisson_gaussian(
        signal, observed + predicted - signal, prior_variance=own
    )
    assert a == pytest.approx(A, rel=0.03)
    assert a * 1000 + b == pytest.approx(A * 1000 + B, rel=0.02)


def test_pairs_of_no_weight_do_not_count(pairs):
    signal, observed = pairs
    weight = np.tile([1.0, 0.0], len(signal) // 2)
    spoilt = np.where(weight == 1, observed, observed + 1e4)
    assert fit_poisson_gaussian(signal, spoilt, weight=weight)[0] == pytest.approx(
        A, rel=0.02
    )


@pytest.mark.parametrize("wobble", [0.0, 1e-7, 0.1])
def test_a_constant_image_has_a_variance_and_no_gain(wobble):
    rng = np.random.default_rng(0)
    signal = 700 + wobble * rng.normal(size=20_000)
    a, b = fit_poisson_gaussian(signal, signal + 5 * rng.normal(size=20_000))
    assert a == 0
    assert b == pytest.approx(25, rel=0.05)
    assert fit_poisson_gaussian(signal, signal)[0] == 0


# -- Fits ------------------------------------------------------------------------------

KINDS = [
    PoissonNoise(offset=100),
    PoissonGaussianNoise(),
    HistogramNoise(bins=64),
    GaussianMixtureNoise(),
    NoiseNetwork(),
]

every_kind = pytest.mark.parametrize("config", KINDS, ids=lambda c: c.kind)


@every_kind
def test_each_kind_finds_the_noise_of_repeated_frames(config, stack):
    fitted = calibrate(stack, config)
    signal = np.linspace(220, 1500, 30)
    expected = np.sqrt(A * signal + B + 1 / 12)
    np.testing.assert_allclose(fitted.curve.std_at(signal), expected, rtol=0.1)
    assert fitted.kind == config.kind and fitted.config == config
    assert fitted.poisson_gaussian[0] == pytest.approx(A, rel=0.05)
    assert not fitted.warnings
    assert fitted.provenance["image"] == "camera"


def test_calibration_finds_a_and_b_within_5_percent(stack):
    a, b = calibrate(stack, PoissonGaussianNoise()).poisson_gaussian
    assert a == pytest.approx(A, rel=0.05)
    assert b == pytest.approx(B, rel=0.05)


@pytest.mark.parametrize("count", [2, 5])
def test_few_frames_do_not_make_the_noise_smaller(stack, truth, count):
    few = Image(stack.data[:count], "TYX")
    fitted = calibrate(few, PoissonGaussianNoise())
    found = fitted.curve.std_at(np.array([300.0, 800.0]))
    expected = np.sqrt(A * np.array([300.0, 800.0]) + B)
    np.testing.assert_allclose(found, expected, rtol=0.05)


@pytest.mark.parametrize(("count", "off"), [(8, 0.15), (16, 0.08)])
def test_noisy_means_of_few_frames_do_not_flatten_the_line(count, off):
    """Dark background with few cells, read noise as strong as that of the light."""
    rng = np.random.default_rng(3)
    light = gaussian_filter(rng.random((192, 192)) > 0.99, 3.0, output=float)
    light = 60 * np.maximum(light / light.max() - 0.3, 0)
    stack = rng.poisson(light / 4, (count, *light.shape)) * 4.0 + 100
    stack += rng.normal(0, 6, stack.shape)
    found = calibrate(Image(stack.astype(np.float32), "TYX"), PoissonGaussianNoise())
    assert found.poisson_gaussian[0] == pytest.approx(4, rel=off)


@pytest.mark.parametrize("each", [False, True], ids=["one for all", "one each"])
def test_a_signal_may_be_given(stack, truth, each):
    levels = np.arange(0, 500, 100.0)[:, None, None] if each else np.zeros((5, 1, 1))
    scenes = truth + levels
    rng = np.random.default_rng(1)
    moving = Image(np.stack([noisy(scene, rng) for scene in scenes]), "TYX")
    signal = Image(scenes, "TYX", name="signal") if each else Image(truth, "YX")
    fitted = calibrate(moving, PoissonGaussianNoise(), signal=signal)
    assert fitted.poisson_gaussian[0] == pytest.approx(A, rel=0.05)
    assert fitted.provenance["signal"] == signal.name
    assert fitted.signal_range[1] == pytest.approx(scenes.max(), rel=1e-3)


@every_kind
def test_a_bootstrap_subtracts_the_predictions_own_variance(config, pairs):
    signal, observed = pairs
    rng = np.random.default_rng(3)
    own = 0.25 * (A * signal + B)
    predicted = signal + np.sqrt(own) * rng.normal(size=signal.shape)
    residual = observed - signal + predicted - signal
    at = np.array([400.0, 1000.0, 1700.0])
    expected = A * at + B
    as_published = fit_noise(config, signal, signal + residual, clip=(0.5, 99.5))
    assert as_published.curve.std_at(at) ** 2 == pytest.approx(1.25 * expected, rel=0.1)
    corrected = fit_noise(
        config, signal, signal + residual, own_variance=own, clip=(0.5, 99.5)
    )
    assert corrected.curve.std_at(at) ** 2 == pytest.approx(expected, rel=0.1)
    assert corrected.poisson_gaussian[0] == pytest.approx(A, rel=0.03)


def test_the_outer_percentiles_are_left_out(pairs):
    fitted = fit_noise(PoissonGaussianNoise(), *pairs, clip=(10.0, 90.0))
    low, high = np.percentile(pairs[0], (10, 90))
    assert fitted.signal_range == pytest.approx((low, high), rel=1e-3)
    assert fitted.curve.signal[[0, -1]] == pytest.approx((low, high), rel=1e-3)


def test_equal_seeds_give_equal_fits(pairs):
    signal, observed = (v[:30_000] for v in pairs)
    first, again = (
        fit_noise(HistogramNoise(), signal, observed, seed=4) for _ in range(2)
    )
    np.testing.assert_array_equal(first.curve.weights, again.curve.weights)
    assert first.bits_per_pixel == again.bits_per_pixel


@every_kind
def test_a_fit_ends_when_it_is_told_to(config, pairs):
    steps = fit_steps(config, *pairs)
    next(steps)
    with pytest.raises(StopIteration) as end:
        steps.send(STOP)
    assert end.value.value is None


def test_a_calibration_tells_how_far_it_is_and_ends_when_it_is_told_to(stack):
    shares = list(calibrate_steps(stack, GaussianMixtureNoise()))
    assert shares == sorted(shares)
    assert 0 < shares[0] < 0.5 < shares[-1] <= 1
    for moments in (1, 31):
        steps = calibrate_steps(stack, GaussianMixtureNoise())
        for _ in range(moments):
            next(steps)
        with pytest.raises(StopIteration) as end:
            steps.send(STOP)
        assert end.value.value is None


def test_a_constant_image_can_be_calibrated():
    rng = np.random.default_rng(0)
    for level, std in ((7.0, 0.0), (700.0, 3.0)):
        signal = np.full(30_000, level)
        observed = signal + std * rng.normal(size=30_000)
        for config in KINDS[1:4]:
            fitted = fit_noise(config, signal, observed)
            assert np.isfinite(fitted.curve.std).all()
            assert fitted.curve.std[0] == pytest.approx(std, rel=0.05, abs=1e-3)
            assert np.isfinite(fitted.bits_per_pixel)


# -- Bits per pixel --------------------------------------------------------------------


@pytest.mark.parametrize("whole", [True, False], ids=["counts", "floats"])
def test_bits_per_pixel_are_the_entropy_of_the_right_noise(whole):
    rng = np.random.default_rng(0)
    signal = np.full(100_000, 500.0)
    observed = signal + 20 * rng.normal(size=100_000)
    observed = np.round(observed) if whole else observed
    entropy = math.log2(20 * math.sqrt(2 * math.pi * math.e))
    curve = NoiseCurve.line(0.0, 400.0, 400, 600)
    assert bits_per_pixel(curve, signal, observed) == pytest.approx(entropy, abs=0.01)
    for wrong in (15.0, 27.0):
        other = NoiseCurve.line(0.0, wrong**2, 400, 600)
        assert bits_per_pixel(other, signal, observed) > entropy + 0.03


def test_no_width_makes_counts_infinitely_likely():
    signal = np.full(1000, 5.0)
    observed = signal + np.tile([0.0, 1.0], 500)
    tiny, even = (NoiseCurve.line(0.0, v, 0, 10) for v in (1e-12, 0.5))
    assert bits_per_pixel(tiny, signal, observed) > 10
    assert 1 < bits_per_pixel(even, signal, observed) < 2.5


def test_the_right_kind_has_the_fewest_bits(pairs):
    bits = {
        config.kind: fit_noise(config, *pairs).bits_per_pixel
        for config in (GaussianNoise(), PoissonGaussianNoise(), HistogramNoise())
    }
    assert bits["poisson_gaussian"] < bits["histogram"] + 0.01
    assert bits["histogram"] < bits["poisson_gaussian"] + 0.01
    assert bits["gaussian"] > bits["poisson_gaussian"] + 0.1


# -- What can be wrong -----------------------------------------------------------------


def test_lines_of_a_line_scan_are_frames():
    scene = np.linspace(100, 400, 256)
    lines = noisy(scene * np.ones((200, 1, 1)), np.random.default_rng(0))
    scan = as_line_scan(Image(lines.astype(np.float32), "TYX"))
    fitted = calibrate(scan, PoissonGaussianNoise())
    assert fitted.poisson_gaussian[0] == pytest.approx(A, rel=0.1)


def test_one_frame_is_not_enough():
    with pytest.raises(RequestError, match="two or more frames"):
        calibrate(Image(np.ones((8, 8)), "YX"), PoissonGaussianNoise())


def test_several_channels_are_refused():
    with pytest.raises(RequestError, match="2 channels"):
        calibrate(Image(np.ones((5, 2, 8, 8)), "TCYX"), PoissonGaussianNoise())


@pytest.mark.parametrize("shape", [(8, 9), (3, 8, 8)])
def test_a_signal_of_another_shape_is_refused(shape):
    signal = Image(np.ones(shape), "TYX"[-len(shape) :])
    with pytest.raises(RequestError, match="does not match"):
        calibrate(
            Image(np.ones((5, 8, 8)), "TYX"), PoissonGaussianNoise(), signal=signal
        )


@pytest.mark.parametrize("config", [UnmodelledNoise(), NoiseFromFile()])
def test_what_is_no_fit_is_refused(config, pairs):
    with pytest.raises(RequestError, match="cannot be fitted"):
        fit_noise(config, *pairs)


def test_too_few_pixels_are_refused():
    with pytest.raises(RequestError, match="too few"):
        fit_noise(PoissonGaussianNoise(), np.ones(10), np.ones(10))


def test_pixels_that_are_no_numbers_are_refused(stack):
    data = stack.data.astype(np.float32)
    data[3, 4, 5] = np.nan
    with pytest.raises(RequestError, match="NaN"):
        calibrate(Image(data, "TYX"), PoissonGaussianNoise())


def test_few_pixels_are_warned_of(pairs):
    fitted = fit_noise(PoissonGaussianNoise(), *(v[:5000] for v in pairs))
    assert "5000 pixels only" in fitted.warnings[0]


def test_clipped_pixels_are_warned_of(stack):
    clipped = np.clip(stack.data, 180, 1000)
    warnings = calibrate(Image(clipped, "TYX"), PoissonGaussianNoise()).warnings
    assert any("lowest value, 180" in warning for warning in warnings)
    assert any("highest value, 1000" in warning for warning in warnings)


def test_bleaching_is_warned_of(stack):
    fading = stack.data * np.linspace(1, 0.9, 30)[:, None, None]
    warnings = calibrate(Image(fading, "TYX"), PoissonGaussianNoise()).warnings
    assert any("bleaches" in warning for warning in warnings)


def test_motion_is_warned_of(stack, truth):
    rng = np.random.default_rng(0)
    moving = [noisy(np.roll(truth, n // 2, axis=1), rng) for n in range(30)]
    warnings = calibrate(
        Image(np.stack(moving), "TYX"), PoissonGaussianNoise()
    ).warnings
    assert any("moves" in warning for warning in warnings)


@pytest.fixture(scope="module")
def spots():
    """Points of light as a microscope shows them, (Y, X)."""
    luck = np.random.default_rng(0)
    points = np.zeros((112, 112))
    points[luck.integers(0, 112, 80), luck.integers(0, 112, 80)] = 1
    return 200 + 15_000 * gaussian_filter(points, 1.2, mode="wrap")


def warnings_of(frames):
    return calibrate(Image(np.stack(frames), "TYX"), GaussianNoise()).warnings


@pytest.mark.parametrize("count", [2, 3, 4, 30])
def test_a_scene_that_jumps_to_and_fro_is_warned_of(count, spots):
    rng = np.random.default_rng(0)
    still = [noisy(spots, rng) for _ in range(count)]
    assert not warnings_of(still)
    jumping = [noisy(np.roll(spots, n % 2, axis=1), rng) for n in range(count)]
    shared = [one for one in warnings_of(jumping) if "share" in one]
    assert len(shared) == 1 and "the scene moves" in shared[0]


@pytest.mark.parametrize("count", [3, 4])
def test_few_frames_that_fade_are_warned_of(count):
    """Some columns fade and others brighten: the mean level stays."""
    rng = np.random.default_rng(0)
    fading = rng.permutation(np.tile([0.06, -0.06], 56))
    frames = [
        noisy(np.tile(1500 * (1 + n * fading), (112, 1)), rng) for n in range(count)
    ]
    assert any("Consecutive frames share" in one for one in warnings_of(frames))


@pytest.mark.parametrize("count", [2, 3, 5])
def test_noise_that_is_shared_along_lines_is_no_motion(count, spots):
    rng = np.random.default_rng(0)
    rows = rng.normal(0, 60, (count, 112, 1))
    assert not warnings_of(noisy(np.stack([spots] * count), rng) + rows)


def test_what_cannot_be_told_from_few_frames_is_said():
    frames = np.random.default_rng(0).normal(size=(4, 5000))
    places = np.arange(5000)
    (warning,) = motion_warnings(frames[:2], places, width=5000)  # one line
    assert "does not show in 2 frames" in warning
    assert not motion_warnings(frames, places, width=5000)
    assert not motion_warnings(frames[:2], places, width=50)


def test_motion_is_seen_by_pixels_that_were_chosen_at_random(spots):
    rng = np.random.default_rng(0)
    moving = np.stack([noisy(np.roll(spots, n, axis=1), rng) for n in range(2)])
    chosen = np.sort(rng.choice(spots.size, 4000, replace=False))
    observed = moving.reshape(2, -1)[:, chosen]
    (warning,) = motion_warnings(observed, chosen, width=112)
    assert "the scene moves" in warning


def test_an_image_within_the_range_needs_no_warning():
    assert range_warning((100, 900), 100, 905) is None
    warning = range_warning((100, 900), 90, 1900, 0.12)
    assert "90 to 1900" in warning and "100 to 900" in warning and "12 %" in warning


def test_variance_is_measured_over_frames(stack):
    signal, variance = measured_variance(stack.data, 16)
    np.testing.assert_allclose(variance, A * signal + B + 1 / 12, rtol=0.05)
    assert (np.diff(signal) > 0).all()


@pytest.mark.parametrize("given", [None, "one", "each"])
@pytest.mark.parametrize("most", [10**9, 96 * 96], ids=["all rows", "some rows"])
def test_the_scatter_is_the_noise_at_each_signal(
    stack, truth, given, most, monkeypatch
):
    monkeypatch.setattr(frames, "_SHOWN_PIXELS", most)
    each = np.broadcast_to(truth, stack.shape)
    signals = {"one": Image(truth, "YX"), "each": Image(each, "TYX"), None: None}
    signal, std = measured_scatter(stack, signals[given])
    ratio = std**2 / (A * signal + B + 1 / 12)
    assert ratio.mean() == pytest.approx(1, abs=0.05)
    assert ratio.std() < 0.2
    assert (np.diff(signal) >= 0).all()


# -- Files -----------------------------------------------------------------------------


@pytest.fixture
def fitted(pairs) -> FittedNoise:
    return fit_noise(PoissonGaussianNoise(), *pairs)


def test_a_noise_model_survives_its_file(fitted, tmp_path):
    path = save_noise_model(fitted, tmp_path / "camera")
    assert path.name == "camera.noise.json"
    assert [p.name for p in tmp_path.iterdir()] == [path.name]
    for name in (path, tmp_path / "camera"):
        back = load_noise_model(name)
        for part in ("kind", "config", "signal_range", "poisson_gaussian", "warnings"):
            assert getattr(back, part) == getattr(fitted, part)
        assert back.provenance == fitted.provenance
        assert back.bits_per_pixel == fitted.bits_per_pixel
        for part in ("signal", "weights", "means", "stds"):
            np.testing.assert_array_equal(
                getattr(back.curve, part), getattr(fitted.curve, part)
            )


@pytest.mark.parametrize("config", KINDS[1:4], ids=lambda c: c.kind)
def test_any_training_can_use_it(config, pairs, tmp_path):
    path = save_noise_model(fit_noise(config, *pairs), tmp_path / "camera.noise.json")
    read = read_noise_model(NoiseFromFile(file=str(path)))
    module = read.build(NoiseUnits(600.0, 256.0, 1e-3))
    assert module.frozen
    raw = np.array([300.0, 900.0, 1800.0])
    with torch.no_grad():
        std = module.std(torch.from_numpy((raw - 600) / 256).float()) * 256
    np.testing.assert_allclose(std, np.sqrt(A * raw + B), rtol=0.1)


def test_files_that_are_no_noise_model_are_refused_with_a_sentence(fitted, tmp_path):
    path = save_noise_model(fitted, tmp_path / "camera")
    content = json.loads(path.read_text())
    knots = len(content["curve"]["signal"])
    wrong = {
        "is not a noise model": "not JSON at all",
        "something else": json.dumps([1, 2]),
        "newer version": json.dumps({**content, "version": 99}),
        "does not fit": json.dumps({**content, "curve": {}}),
        "settings are not known": json.dumps({**content, "config": {"kind": "x"}}),
        "must be positive": json.dumps(
            {**content, "curve": {**content["curve"], "stds": [[0.0]] * knots}}
        ),
        "differ in length": json.dumps(
            {**content, "curve": {**content["curve"], "stds": [[1.0]]}}
        ),
    }
    for sentence, text in wrong.items():
        path.write_text(text)
        with pytest.raises(RequestError, match=sentence):
            load_noise_model(path)


def test_an_image_that_is_given_as_noise_model_holds_no_text(tmp_path):
    path = tmp_path / "cells.tif"
    path.write_bytes(b"II*\0\xb6\xff")
    with pytest.raises(RequestError, match="damaged: it does not hold text"):
        load_noise_model(path)


def test_a_file_that_is_not_there_is_told(fitted, tmp_path):
    with pytest.raises(RequestError, match="There is no noise model file"):
        load_noise_model(tmp_path / "gone")
    with pytest.raises(RequestError, match="is not there"):
        save_noise_model(fitted, tmp_path / "no folder" / "camera")


def test_a_failed_write_keeps_the_old_noise_model(fitted, tmp_path, monkeypatch):
    path = save_noise_model(fitted, tmp_path / "camera")
    before = path.read_bytes()

    def half_written(path, text, **_):
        with path.open("w") as file:
            file.write(text[:10])
        raise OSError("No space left on device")

    monkeypatch.setattr(Path, "write_text", half_written)
    with pytest.raises(DenoisingError, match=r"could not be written .*No space"):
        save_noise_model(fitted, path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]
