import subprocess
import sys

import numpy as np
import pytest

from napari_selfdenoise.evaluation import psnr
from napari_selfdenoise.images import fish_average, fish_frame, poisson_gaussian_stack
from napari_selfdenoise.plugin.sample_data import fish, synthetic


def test_the_fish_are_a_noisy_and_a_clean_image_of_one_field():
    frame, average = fish_frame(), fish_average()
    assert frame.axes == average.axes == "YX"
    assert frame.shape == average.shape == (512, 512)
    # 22.86 dB is what the benchmark's own files give with a range of 255
    assert psnr(frame.data, average.data, 255) == pytest.approx(22.88, abs=0.005)


def test_synthetic_variance_follows_the_line():
    noisy, signal = poisson_gaussian_stack(gain=12, offset=100, read_variance=150)
    light = signal.data.astype(float) - 100
    squares = (noisy.data - signal.data.astype(float)) ** 2
    expected = 12 * light + 150
    for low, high in [(0, 20), (20, 60), (60, 150), (150, 400)]:
        bright = (light >= low) & (light < high)
        ratio = squares[bright].mean() / expected[bright].mean()
        assert ratio == pytest.approx(1, abs=0.05)


def test_synthetic_noise_has_mean_zero():
    noisy, signal = poisson_gaussian_stack()
    assert np.mean(noisy.data - signal.data) == pytest.approx(0, abs=0.1)


def test_equal_seeds_give_equal_images():
    first, again, other = (poisson_gaussian_stack(seed=s)[0].data for s in (1, 1, 2))
    assert (first == again).all()
    assert (first != other).any()


def test_synthetic_frames_differ():
    _, signal = poisson_gaussian_stack(frames=3, size=64)
    assert signal.axes == "TYX"
    assert signal.shape == (3, 64, 64)
    assert psnr(signal.data[1], signal.data[0]) < 40


@pytest.mark.parametrize("sample", [fish, synthetic])
def test_samples_are_image_layers(sample):
    layers = sample()
    assert len(layers) == 2
    for data, attributes, kind in layers:
        assert kind == "image"
        assert data.ndim == len(attributes["axis_labels"])
        assert attributes["metadata"]["credit"]


def test_samples_need_no_window():
    code = (
        "import sys, napari_selfdenoise.plugin.sample_data;"
        "print([m for m in ('qtpy', 'napari') if m in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert run.stdout.strip() == "[]", run.stderr
