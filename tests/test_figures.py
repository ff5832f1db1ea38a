import json
import math
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from napari_selfdenoise import STOP, Image, NoiseCurve, RequestError
from napari_selfdenoise.evaluation import (
    QUANTITIES,
    Evaluation,
    Figure,
    compare_steps,
    evaluate,
    examine_steps,
)
from napari_selfdenoise.images import poisson_gaussian_stack
from napari_selfdenoise.long_work import run_to_end

RNG = np.random.default_rng(0)
CLEAN = gaussian_filter(RNG.random((3, 48, 48)), (0, 2, 2)).astype(np.float32)
NOISY = CLEAN + 0.1 * RNG.normal(size=CLEAN.shape).astype(np.float32)


def compare(prediction, reference):
    axes = "TYX" if prediction.ndim == 3 else "YX"
    return run_to_end(compare_steps(Image(prediction, axes), Image(reference, axes)))


def test_every_quantity_has_a_title_a_direction_and_one_sentence():
    assert len({q.key for q in QUANTITIES}) == len(QUANTITIES)
    for quantity in QUANTITIES:
        assert quantity.title
        assert quantity.meaning.endswith(".")
    better = {q.key: q.higher_is_better for q in QUANTITIES}
    assert better["psnr"]
    assert better["ssim"]
    assert not better["sure_rmse"]
    assert not better["held_out_bits"]
    assert better["residual_over_noise"] is None


def test_table_and_json_give_the_same_figures():
    found = compare(NOISY, CLEAN)
    content = json.loads(json.dumps(found.to_json()))
    assert [f["name"] for f in content["figures"]] == [
        "psnr",
        "psnr_scale_invariant",
        "ssim",
        "micro_ssim",
        "frc_resolution_px",
    ]
    for figure, line in zip(
        content["figures"], found.table().splitlines(), strict=True
    ):
        assert line.startswith(f"{figure['title']}: {figure['text']}")
    old = evaluate(Image(NOISY, "TYX"), Image(CLEAN, "TYX"))
    for key in ("psnr", "psnr_scale_invariant", "ssim", "frc_resolution_px"):
        assert found.value(key) == pytest.approx(old[key])
        assert found.figure(key).by_plane == pytest.approx(old["images"][key])


def test_a_figure_without_value_says_why():
    found = compare(NOISY[0], np.ones_like(CLEAN[0]))
    psnr = found.figure("psnr")
    assert psnr.value is None
    assert psnr.text == "–"
    assert "data range" in psnr.reason
    assert psnr.reason in found.table()


def test_equal_images_are_infinitely_close():
    found = compare(CLEAN[0], CLEAN[0])
    assert found.value("psnr") == math.inf
    assert found.figure("psnr").text == "∞ dB"
    assert "equal" in found.figure("psnr").reason
    assert found.to_json()["figures"][0]["value"] is None


def test_planes_that_were_not_denoised_are_left_out():
    part = NOISY.copy()
    part[1:] = np.nan
    found = compare(part, CLEAN)
    assert (
        found.figure("psnr").by_plane
        == compare(NOISY[0], CLEAN[0]).figure("psnr").by_plane
    )
    assert "2 of 3 planes were left out" in found.notes[0]
    nothing = compare(np.full_like(CLEAN, np.nan), CLEAN)
    assert all(figure.value is None for figure in nothing.figures)
    assert "not finite" in nothing.figure("ssim").reason


def test_swapped_files_are_asked_for():
    assert "swapped" in compare(CLEAN, NOISY).notes[0]
    assert not compare(NOISY, CLEAN).notes


def test_it_stops_when_asked_with_the_planes_so_far():
    steps = compare_steps(Image(NOISY, "TYX"), Image(CLEAN, "TYX"))
    next(steps)
    with pytest.raises(StopIteration) as end:
        steps.send(STOP)
    found = end.value.value
    assert len(found.figure("psnr").by_plane) == 1
    assert "1 of 3 planes were compared" in found.notes[0]


@pytest.mark.parametrize("axes", ["TYX", "YX"])
def test_what_does_not_fit_is_refused(axes):
    other = CLEAN[:2] if axes == "TYX" else CLEAN[0, :40]
    with pytest.raises(RequestError):
        compare(NOISY if axes == "TYX" else NOISY[0], other)


def test_micro_ssim_is_measured_where_its_package_is(monkeypatch):
    class MicroSSIM:
        def fit(self, expected, predicted):
            self.gain = expected.mean() / predicted.mean()

        def score(self, expected, predicted):
            return 1 - np.abs(expected - self.gain * predicted).mean()

    fake = SimpleNamespace(MicroSSIM=MicroSSIM)
    monkeypatch.setitem(sys.modules, "microssim", fake)
    found = compare(3 * CLEAN, CLEAN).figure("micro_ssim")
    assert found.value == pytest.approx(1)
    assert len(found.by_plane) == 3


def test_micro_ssim_that_fails_or_is_not_there_says_so(monkeypatch):
    class MicroSSIM:
        def fit(self, expected, predicted):
            raise ValueError("no range")

    monkeypatch.setitem(sys.modules, "microssim", SimpleNamespace(MicroSSIM=MicroSSIM))
    assert "no range" in compare(NOISY, CLEAN).figure("micro_ssim").reason
    monkeypatch.setitem(sys.modules, "microssim", None)  # an import that fails
    found = compare(NOISY, CLEAN).figure("micro_ssim")
    assert found.value is None
    assert "pip install microssim" in found.reason


def test_the_last_evaluation_wins_and_the_order_stays():
    first = Evaluation((Figure.missing(QUANTITIES[-1], "no model"),), ("a",))
    both = Evaluation.joined(
        [
            first,
            Evaluation((Figure(QUANTITIES[-1], 5.0),), ("a",)),
            compare(NOISY, CLEAN),
        ]
    )
    assert both.value("held_out_bits") == 5.0
    assert both.notes == ("a",)  # each once
    assert both.figures[0].quantity.key == "psnr"
    assert both.figures[-1].quantity.key == "held_out_bits"


@pytest.mark.parametrize(
    ("value", "error", "text"),
    [
        (8.642, 0.0499, "8.64 ± 0.05"),
        (9.033, 1.2, "9 ± 1"),
        (9.033, 0.98, "9 ± 1"),
        (123.4, 23.0, "123 ± 20"),
        (3.21e-8, 1e-9, "3.21e-08 ± 1e-09"),
        (math.inf, 0.1, "∞"),
        (1.23456, None, "1.235"),
    ],
)
def test_a_value_is_written_to_the_digit_that_its_error_begins_at(value, error, text):
    figure = Figure(QUANTITIES[0], value, error=error)
    assert figure.text == f"{text} {QUANTITIES[0].unit}"


# -- Without a reference ---------------------------------------------------------------


def cells():
    image, clean = poisson_gaussian_stack(1, 192)
    return (one.data.reshape(192, 192).astype(np.float32) for one in (image, clean))


def examine(noisy, denoised, curves=None):
    return run_to_end(examine_steps(Image(noisy, "YX"), Image(denoised, "YX"), curves))


def test_the_residual_of_the_truth_is_as_strong_as_the_noise():
    noisy, clean = cells()
    found = examine(noisy, clean)
    assert found.value("residual_over_noise") == pytest.approx(1, abs=0.07)
    curve = NoiseCurve.gaussian(np.array([0.0, 9e4]), np.full(2, 1e3))
    assert examine(noisy, clean, [curve]).value("residual_over_noise") < 0.2
    assert found.value("noisy_resolution_px") > 2
    needs_model = (
        "denoised_resolution_px",
        "sure_rmse",
        "sure_gain_db",
        "held_out_bits",
    )
    for key in needs_model:
        assert found.value(key) is None
        assert "model" in found.figure(key).reason
    assert not found.notes


def test_odd_pairs_of_files_are_pointed_at():
    noisy, clean = cells()
    assert "swapped" in examine(clean, noisy).notes[0]
    same = examine(noisy, noisy)
    assert "Nothing was removed" in same.figure("residual_over_noise").reason
    undone = examine(noisy, np.full_like(noisy, np.nan))
    assert "not denoised" in undone.notes[0]
    with pytest.raises(RequestError, match="Give the image that was denoised"):
        examine(noisy, clean[:50])
