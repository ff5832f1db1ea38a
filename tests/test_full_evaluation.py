"""Everything that can be measured of a result, and what shows two images in one."""

import numpy as np
import pytest

from napari_selfdenoise.errors import RequestError
from napari_selfdenoise.evaluation import (
    BeforeAfter,
    evaluation_steps,
    line_profile,
)
from napari_selfdenoise.images import Image
from napari_selfdenoise.long_work import STOP, run_to_end
from napari_selfdenoise.parts.noise_models import NoiseCurve


@pytest.fixture(scope="module")
def pair():
    """A signal, and ten grey values of white noise on it, (96, 96)."""
    y, x = np.mgrid[:96, :96]
    signal = 200 + 50 * np.sin(x / 17) * np.cos(y / 13)
    noise = np.random.default_rng(0).normal(0, 10, signal.shape)
    return Image(signal + noise, "YX"), Image(signal, "YX")


def test_the_residual_of_the_signal_is_the_noise(pair):
    noisy, signal = pair
    curve = NoiseCurve.line(0.0, 100.0, 150.0, 250.0, 10.0)
    found = run_to_end(evaluation_steps(noisy, signal, curves=[curve]))
    expected = noisy.data - signal.data
    assert np.nanmax(np.abs(found.residual.data - expected)) < 1e-3
    assert "No structure" in found.check.verdict
    assert found.check.rms == pytest.approx(10, rel=0.05)
    assert found.measured.value("residual_over_noise") == pytest.approx(1, rel=0.1)
    assert 2.5 * 10 < found.reach < 4.5 * 10  # nearly all of a Gaussian
    assert found.measured.figure("psnr") is None and not found.measured.notes


def test_against_a_reference_there_are_its_figures_first(pair):
    noisy, signal = pair
    nearly = signal.with_data(signal.data + 5.0)
    found = run_to_end(evaluation_steps(noisy, nearly, signal))
    assert found.measured.figures[0].quantity.key == "psnr"
    expected = 20 * np.log10(np.ptp(signal.data) / 5)
    assert found.measured.value("psnr") == pytest.approx(expected, 1e-3)
    assert found.measured.value("psnr_scale_invariant") > 60


def test_a_reference_that_does_not_fit_is_a_note(pair):
    for reference in (Image(np.zeros((0, 96)), "YX"), Image(np.ones((90, 96)), "YX")):
        found = run_to_end(evaluation_steps(*pair, reference))
        assert found.measured.notes[0].startswith("Not compared with the reference: ")
        assert found.measured.figure("psnr") is None


def test_of_a_stack_figures_are_means_and_stop_ends_it(pair):
    noisy, signal = (
        Image(np.stack([image.data, image.data + 100]), "TYX") for image in pair
    )
    found = run_to_end(evaluation_steps(noisy, signal, pair[1]))
    assert found.residual.shape == (2, 96, 96)
    steps = evaluation_steps(noisy, signal)
    next(steps)
    with pytest.raises(StopIteration) as end:
        steps.send(STOP)
    assert end.value.value is None


def test_along_a_ramp_a_profile_is_the_ramp():
    ramp = np.arange(20.0) * np.ones((10, 1))  # rises along x
    found = line_profile(ramp, (2.0, 3.0), (2.0, 15.0), pixel_size=(0.5, 0.25))
    assert found.values == pytest.approx(np.arange(3, 16))
    assert found.distance[-1] == pytest.approx(12 * 0.25)
    slanted = line_profile(ramp, (1.0, 2.0), (4.0, 6.0), pixel_size=(0.5, 0.25))
    assert slanted.values[0] == 2 and slanted.values[-1] == pytest.approx(6)
    assert slanted.distance[-1] == pytest.approx(np.hypot(3 * 0.5, 4 * 0.25))


def test_outside_the_image_a_profile_is_not_a_number():
    found = line_profile(np.ones((8, 8)), (4.0, 4.0), (4.0, 12.0))
    assert np.isnan(found.values[-1]) and found.values[0] == 1
    with pytest.raises(RequestError, match="No pixel"):
        line_profile(np.ones((8, 8)), (20.0, 20.0), (30.0, 20.0))
    with pytest.raises(RequestError, match="no length"):
        line_profile(np.ones((8, 8)), (2.0, 2.0), (2.0, 2.0))


def test_before_and_after_meet_at_the_line():
    before, after = np.zeros((3, 6, 8), np.uint16), np.ones((3, 6, 8), np.float32)
    both = BeforeAfter(before, after, line_value=9.0)
    both.place = 5
    assert both[1].tolist() == [[0, 0, 0, 0, 9, 1, 1, 1]] * 6
    assert both[0, 2, 5] == 1 and both[0, 2, 1] == 0
    assert both[0, :, ::2].tolist() == [[0, 0, 9, 1]] * 6
    both.place = 0
    assert (np.asarray(both) == 1).all()
    both.place, both.axis = 2, 1
    assert both[0, :, 0].tolist() == [0, 9, 1, 1, 1, 1]
    assert not before.any() and (after == 1).all()
