"""What is wrong with repeated frames, and what is put right before a calibration."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from napari_selfdenoise.errors import RequestError
from napari_selfdenoise.images import Image
from napari_selfdenoise.long_work import STOP
from napari_selfdenoise.noise.calibration import (
    calibrate,
    check_stack,
    check_steps,
    measured_variance,
)
from napari_selfdenoise.parts.noise_models import PoissonGaussianNoise

A, B = 8.0, -775.0  # gain 8 over an offset of 100, read noise 5


def noisy(signal, rng):
    return signal + np.sqrt(A * signal + B) * rng.normal(size=signal.shape)


@pytest.fixture(scope="module")
def scene():
    """Points of light over a slope, (Y, X)."""
    rng = np.random.default_rng(0)
    points = np.zeros((96, 96))
    points[rng.integers(0, 96, 60), rng.integers(0, 96, 60)] = 1
    spots = 15_000 * gaussian_filter(points, 1.5, mode="wrap")
    return 150 + spots + np.linspace(0, 600, 96)


def frames_of(scenes, dtype=np.uint16):
    rng = np.random.default_rng(1)
    return np.rint([noisy(one, rng) for one in scenes]).astype(dtype)


def check(frames):
    return check_stack(Image(np.asarray(frames), "TYX", name="camera"))


def topics(frames):
    return {finding.topic for finding in check(frames).findings}


def gain(frames):
    stack = Image(np.asarray(frames), "TYX")
    return calibrate(stack, PoissonGaussianNoise()).poisson_gaussian[0]


@pytest.mark.parametrize("count", [2, 3, 10, 30])
def test_there_is_nothing_to_say_of_a_static_scene(scene, count):
    found = check(frames_of([scene] * count))
    assert not found.findings and found.static
    assert found.frames == count and found.moved == 0 and found.drift == 0
    assert not found.left_out


def test_one_frame_is_refused(scene):
    with pytest.raises(RequestError, match="two or more frames"):
        check(frames_of([scene]))


def test_a_blank_frame_is_left_out_and_named(scene):
    frames = frames_of([scene] * 12)
    frames[7] = 0
    found = check(frames)
    assert found.left_out == (7,) and found.frames == 11
    (finding,) = found.findings
    assert "frame 8" in finding.found and not finding.serious
    assert gain(frames) == pytest.approx(A, rel=0.05)


def test_a_frame_behind_a_closed_shutter_is_left_out(scene):
    dark = np.full_like(scene, 150)
    assert check(frames_of([scene] * 9 + [dark])).left_out == (9,)


def test_one_frame_among_blank_ones_is_refused(scene):
    frames = frames_of([scene] * 3)
    frames[1:] = 0
    with pytest.raises(RequestError, match="the others are blank"):
        check(frames)


def test_equal_frames_have_no_noise(scene):
    (finding,) = check(np.stack([scene] * 4)).findings
    assert "All frames are equal" in finding.found and finding.serious


@pytest.mark.parametrize("kind", ["bleaching", "flicker"])
def test_brightness_is_followed_and_named(scene, kind):
    rng = np.random.default_rng(0)
    light = np.linspace(1, 0.7, 20) if kind == "bleaching" else rng.normal(1, 0.1, 20)
    frames = frames_of([100 + (scene - 100) * one for one in light])
    assert topics(frames) == {"brightness"}
    assert gain(frames) == pytest.approx(A, rel=0.05)


def test_slow_drift_does_not_count_as_noise(scene):
    """A scene that shifts by half a pixel in all, as a stage does."""
    shifts = np.linspace(0, 0.5, 30)
    scenes = [scene + shift * (np.roll(scene, 1, axis=0) - scene) for shift in shifts]
    frames = frames_of(scenes)
    found = check(frames)
    (finding,) = found.findings
    assert finding.topic == "drift" and found.drift > 0.02
    assert gain(frames) == pytest.approx(A, rel=0.04)
    plain = np.polyfit(scene.ravel(), frames.var(0, ddof=1).ravel(), 1)[0]
    assert plain > 1.1 * A
    signal, variance = measured_variance(frames, 16)
    np.testing.assert_allclose(variance, A * signal + B + 1 / 12, rtol=0.1)


@pytest.mark.parametrize("count", [3, 12])
def test_a_part_that_moves_is_found_and_left_out(scene, count):
    def moved(n):
        part = scene.copy()
        part[32:64, 32:64] = np.roll(scene[32:64, 32:64], 4 * (n % 3), axis=1)
        return part

    frames = frames_of([moved(n) for n in range(count)])
    found = check(frames)
    assert not found.static
    assert 0.02 < found.moved < 0.12  # a ninth of the scene, where it has structure
    assert "left out" in found.findings[0].meaning
    assert gain(frames) == pytest.approx(A, rel=0.06)


def test_a_scene_in_motion_is_no_calibration(scene):
    found = check(frames_of([np.roll(scene, 3 * n, axis=1) for n in range(12)]))
    assert not found.static and found.findings[0].serious
    assert "moves" in str(found.findings[0])


def test_hot_pixels_are_left_out(scene):
    frames = frames_of([scene] * 20)
    rng = np.random.default_rng(2)
    for y, x in rng.integers(4, 92, (12, 2)):
        frames[:, y, x] = 6000 + rng.normal(0, 500, 20)
    (finding,) = check(frames).findings
    assert finding.topic == "pixels" and "12 pixels" in finding.found
    assert gain(frames) == pytest.approx(A, rel=0.05)


def test_saturation_is_named(scene):
    found = check(np.minimum(frames_of([scene] * 10), 700))
    assert "the highest value, 700" in str(found.findings[0])


def test_a_gap_in_the_signals_is_named(scene):
    halves = np.where(np.arange(96) < 48, 200.0, 1500.0) + 0 * scene
    (finding,) = check(frames_of([halves] * 20)).findings
    assert finding.topic == "range" and "interpolated" in finding.meaning


def test_one_level_cannot_show_a_gain():
    (finding,) = check(frames_of([np.full((64, 64), 500.0)] * 20)).findings
    assert finding.topic == "range" and "cannot be measured" in finding.meaning


def test_pixels_of_unequal_noise_are_named(scene):
    rng = np.random.default_rng(0)
    read = np.exp(rng.normal(0, 0.7, scene.shape)) * 20
    frames = [noisy(scene, rng) + read * rng.normal(size=read.shape) for _ in range(30)]
    (finding,) = check(np.rint(frames)).findings
    assert "sCMOS" in finding.found


def test_eight_bit_frames_are_checked_alike(scene):
    frames = np.clip(np.rint(frames_of([scene] * 12) / 20), 0, 255).astype(np.uint8)
    assert not topics(frames)
    assert gain(frames) == pytest.approx(A / 20, rel=0.05)


def test_a_check_can_be_stopped(scene):
    steps = check_steps(Image(frames_of([scene] * 4), "TYX"))
    assert 0 < next(steps) < 1
    with pytest.raises(StopIteration) as end:
        steps.send(STOP)
    assert end.value.value is None
