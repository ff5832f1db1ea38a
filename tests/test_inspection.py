"""What plots of a noise model show is what the noise model and the pixels say."""

import numpy as np
import pytest

from napari_selfdenoise import Image, NoiseCurve, RequestError
from napari_selfdenoise.long_work import run_to_end
from napari_selfdenoise.noise.calibration import fit_noise
from napari_selfdenoise.noise.inspection import (
    MeasuredNoise,
    bootstrap_steps,
    density_figure,
    inspect_curve,
    inspect_fitted,
    measure_noise_steps,
    measure_pairs,
    noise_maps,
    shape_figure,
    std_figure,
    tables,
    with_measurement,
)
from napari_selfdenoise.parts.noise_models import (
    FittedNoise,
    HistogramNoise,
    PoissonGaussianNoise,
    load_noise_model,
    save_noise_model,
)

GAIN, DARK, READ = 4.0, 100.0, 36.0


def std_at(signal):
    return np.sqrt(GAIN * (signal - DARK) + READ)


@pytest.fixture(scope="module")
def pairs():
    """Signals from 100 to 500, and observations of a camera of gain 4."""
    rng = np.random.default_rng(0)
    signal = rng.uniform(DARK, 500, 120_000)
    electrons = rng.poisson((signal - DARK) / GAIN)
    return signal, DARK + GAIN * electrons + rng.normal(0, 6, len(signal))


@pytest.fixture(scope="module")
def measured(pairs):
    signal, observation = pairs
    return measure_pairs(signal, observation - signal)


@pytest.fixture(scope="module")
def fitted(measured):
    """The camera's own line, with what was measured."""
    line = GAIN, READ - GAIN * DARK
    curve = NoiseCurve.line(*line, DARK, 500)
    found = FittedNoise(
        "poisson_gaussian", PoissonGaussianNoise(), curve, (DARK, 500), line, 7.0
    )
    return with_measurement(found, measured)


@pytest.fixture(scope="module")
def noise(fitted):
    return inspect_fitted("camera", fitted)


def integral(x, y):
    return float(((y[1:] + y[:-1]) / 2 * np.diff(x)).sum())


def test_the_std_is_that_of_the_camera_and_lies_in_its_band(noise):
    figure = std_figure(noise)
    inside = figure.measured
    truth = std_at(figure.signal[inside])
    np.testing.assert_allclose(figure.solid[inside], truth, rtol=0.02)
    in_band = (figure.low[inside] <= truth) & (truth <= figure.high[inside])
    assert in_band.mean() > 0.9
    width = (figure.high - figure.low)[inside] / truth
    assert 0 < width.max() < 0.05
    assert np.isnan(figure.low[~inside]).all()


def test_dashes_begin_where_the_scatter_ends(noise):
    figure = std_figure(noise)
    first, last = noise.measured.span
    drawn = figure.signal[np.isfinite(figure.solid)]
    assert (drawn.min(), drawn.max()) == (first, last)
    dashed = figure.signal[np.isfinite(figure.dashed)]
    assert dashed.max() > last and first in dashed and last in dashed
    middle = (dashed > first) & (dashed < last)
    assert not middle.any()


def test_dashes_fill_a_gap_in_the_measurement():
    """Dark background and bright cells, and nothing in between."""
    rng = np.random.default_rng(1)
    signal = np.concatenate(
        [rng.uniform(100, 150, 20_000), rng.uniform(400, 450, 9000)]
    )
    found = measure_pairs(signal, rng.normal(0, 5, len(signal)))
    assert found.covers(np.array([110.0, 140.0, 410.0, 440.0])).all()
    assert not found.covers(np.array([90.0, 200.0, 300.0, 380.0, 460.0])).any()
    curve = NoiseCurve.line(0, 25, 100, 450)
    figure = std_figure(inspect_curve("model", curve, found))
    gap = (figure.signal > 170) & (figure.signal < 380)
    assert np.isnan(figure.solid[gap]).all() and np.isfinite(figure.dashed[gap]).all()
    assert not density_figure(inspect_curve("m", curve, found), 300.0).edges.size


def test_beyond_its_range_a_line_goes_on_as_in_predictions():
    noise = inspect_curve("line", NoiseCurve.line(GAIN, READ - GAIN * DARK, 150, 400))
    figure = std_figure(noise)
    assert figure.signal[0] < 150 and figure.signal[-1] > 400
    np.testing.assert_allclose(figure.std, std_at(figure.signal), rtol=2e-3)


@pytest.mark.parametrize("signal", [DARK + 20, 300.0, 560.0])
def test_the_density_integrates_to_one_around_the_signal(noise, signal):
    figure = density_figure(noise, signal)
    assert integral(figure.observation, figure.density) == pytest.approx(1, abs=1e-4)
    mean = integral(figure.observation, figure.observation * figure.density)
    assert mean == pytest.approx(signal, rel=1e-4)
    assert figure.std == pytest.approx(std_at(signal), rel=0.03)
    if signal > 500:
        assert not figure.counted.size
    else:
        area = (figure.counted * np.diff(figure.edges)).sum()
        assert area == pytest.approx(1, abs=1e-9)


def test_a_gaussian_has_no_divergence_from_a_gaussian():
    grid = np.linspace(0, 100, 9)
    figure = shape_figure(inspect_curve("g", NoiseCurve.gaussian(grid, 1 + 0.1 * grid)))
    np.testing.assert_allclose(figure.divergence, 0, atol=1e-6)
    np.testing.assert_allclose(figure.skewness, 0, atol=1e-9)
    rng = np.random.default_rng(2)
    found = measure_pairs(rng.uniform(0, 9, 80_000), rng.normal(0, 3, 80_000))
    assert found.divergence.max() < 0.02 and np.abs(found.skewness).max() < 0.3


def test_a_shifted_poisson_is_skewed_to_the_right_by_its_rate():
    """Skewness of a Poisson of rate m is 1 / sqrt(m), whatever is added to it."""
    rng = np.random.default_rng(3)
    rate = np.repeat([4.0, 16.0, 64.0], 60_000)
    residual = 10.0 * (rng.poisson(rate) - rate)
    noise = fit_noise(HistogramNoise(), 500 + 10 * rate, 500 + 10 * rate + residual)
    found = measure_pairs(500 + 10 * rate, residual, step=10.0)
    np.testing.assert_allclose(found.signal, [540, 660, 1140])
    np.testing.assert_allclose(found.skewness, [0.5, 0.25, 0.125], rtol=0.15)
    inspected = inspect_fitted("poisson", with_measurement(noise, found))
    assert inspected.at(np.array([540.0])).skewness[0] == pytest.approx(0.5, abs=0.1)
    figure = shape_figure(inspected)
    assert (figure.dots[3][0] > figure.dots[3][-1]) and figure.divergence[0] > 0.005


@pytest.mark.parametrize("frames", [4, 12])
def test_frames_are_measured_as_they_would_be_with_the_signal(frames):
    """A frame is part of its mean: neither width nor skewness shall suffer."""
    rng = np.random.default_rng(4)
    signal = np.linspace(20, 200, 64 * 64).reshape(64, 64)
    shot = 20.0 * rng.poisson(signal / 20.0, (frames, 64, 64))
    found = run_to_end(measure_noise_steps(Image(shot, "TYX")))
    known = measure_pairs(
        np.broadcast_to(signal, shot.shape).ravel(), (shot - signal).ravel()
    )
    truth = np.sqrt(20.0 * found.signal)
    bright = found.signal > 40
    np.testing.assert_allclose(found.std[bright], truth[bright], rtol=0.15)
    expected = np.average(known.skewness, weights=known.count)
    assert np.average(found.skewness, weights=found.count) == pytest.approx(
        expected, abs=0.12
    )


def test_two_frames_say_nothing_of_skewness():
    shot = np.random.default_rng(5).poisson(9.0, (2, 64, 64)).astype(float)
    found = run_to_end(measure_noise_steps(Image(shot, "TYX")))
    assert np.isnan(found.skewness).all() and np.isfinite(found.std).all()


def test_electrons_make_shot_noise_the_root_of_the_signal(noise):
    figure = std_figure(noise.in_electrons(DARK))
    inside = figure.measured & (figure.signal > 5)
    truth = np.sqrt(figure.signal[inside] + READ / GAIN**2)
    np.testing.assert_allclose(figure.std[inside], truth, rtol=0.02)
    density = density_figure(noise.in_electrons(DARK), 50.0)
    assert integral(density.observation, density.density) == pytest.approx(1, abs=1e-4)
    flat = inspect_curve("flat", NoiseCurve.line(0, 25, 100, 450))
    with pytest.raises(RequestError, match="gain of flat is not known"):
        flat.in_electrons()


def test_maps_scale_each_signal_to_its_own_maximum(noise):
    maps = noise_maps(noise)
    np.testing.assert_allclose(maps.predicted.max(0), 1)
    known = np.isfinite(maps.measured).all(0)
    assert known.mean() > 0.9
    np.testing.assert_allclose(maps.measured[:, known].max(0), 1)
    columns = np.linspace(*maps.signal, maps.predicted.shape[1])
    rows = np.linspace(*maps.residual, maps.predicted.shape[0])
    step = rows[1] - rows[0]
    widths = maps.predicted.sum(0) * step / np.sqrt(2 * np.pi)
    np.testing.assert_allclose(widths[5:], std_at(columns)[5:], rtol=0.1)
    without = noise_maps(inspect_curve("m", noise.curve))
    assert np.isnan(without.measured).all()


def test_the_measurement_is_kept_in_the_file(noise, fitted, tmp_path):
    path = save_noise_model(fitted, tmp_path / "camera")
    again = inspect_fitted("again", load_noise_model(path))
    for name, (x, y) in tables(noise, 300.0).items():
        other = tables(again, 300.0)[name]
        np.testing.assert_allclose(other[0], x, err_msg=name)
        np.testing.assert_allclose(other[1], y, err_msg=name)


def test_dirty_pixels_change_nothing_else(pairs):
    signal, observation = (values.copy() for values in pairs)
    observation[:50] = np.nan
    signal[50:60] = np.inf
    found = measure_pairs(signal, observation - signal)
    np.testing.assert_allclose(found.std, std_at(found.signal), rtol=0.1)
    with pytest.raises(RequestError, match="too few to measure noise"):
        measure_pairs(signal[:50], observation[:50])


@pytest.mark.filterwarnings("error")
def test_frames_without_noise_have_a_figure():
    flat = Image(np.full((3, 32, 32), 7, np.uint8), "TYX")
    found = run_to_end(measure_noise_steps(flat))
    assert (found.std == 0).all() and isinstance(found, MeasuredNoise)
    noise = inspect_curve(
        "none", NoiseCurve.gaussian(np.array([7.0, 8.0]), [1e-9, 1e-9])
    )
    for _, (_, y) in tables(inspect_curve("n", noise.curve, found), 7.0).items():
        assert y.size
    noise_maps(inspect_curve("n", noise.curve, found))


def test_one_frame_is_refused():
    with pytest.raises(RequestError, match="one frame"):
        run_to_end(measure_noise_steps(Image(np.ones((32, 32)), "YX", name="one")))


@pytest.mark.parametrize("blind", [True, False])
def test_a_bootstrap_from_the_true_signal_gives_the_camera_and_a_warning(pairs, blind):
    signal, observation = (v[: 256 * 256].reshape(256, 256) for v in pairs)
    images = Image(observation, "YX"), Image(signal, "YX")
    steps = bootstrap_steps(*images, PoissonGaussianNoise(), blind=blind)
    found = run_to_end(steps)
    assert found.poisson_gaussian[0] == pytest.approx(GAIN, rel=0.05)
    assert ("stronger" if blind else "weaker") in found.warnings[-1]
    # The outermost half per cent on either side is left out of the fit.
    assert found.signal_range[0] > signal.min() and found.signal_range[1] < signal.max()
    assert inspect_fitted("b", found).measured is not None
