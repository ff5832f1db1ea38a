"""How long a run takes: told before it, and while it goes on."""

import math
from dataclasses import replace

import numpy as np
import pytest

from napari_selfdenoise import Image, RequestError, recipe, run_time, train_steps
from napari_selfdenoise.long_work import STOP
from napari_selfdenoise.parts.estimators import BlindMean
from napari_selfdenoise.parts.masking import LineMask
from napari_selfdenoise.run_time import (
    Portions,
    RunClock,
    denoising_text,
    estimate_steps,
    forecast,
    learning_text,
)
from napari_selfdenoise.run_time.run_time import (
    Speed,
    duration,
    estimate,
    padded_pixels,
    passes,
)
from napari_selfdenoise.training import FINISHING, LEARNING, TrainingProgress

pytestmark = pytest.mark.slow

SPEED = Speed(step_s=0.1, pixel_s=1e-6, reading_s=0.0)


def images(count, side=256):
    return Image(np.zeros((count, side, side), np.uint16), "TYX")


@pytest.fixture
def fast():
    return recipe("fast").override({"device": "cpu"})


@pytest.fixture
def small(fast):
    """A network that is tried in a moment."""
    changes = {"network.width": 8, "network.depth": 1, "patch_size": 32}
    return fast.override(changes | {"precision": "float32"})


class Hours:
    """A clock that is set by hand."""

    now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def hours():
    return Hours()


def test_times_in_words():
    said = {0.2: "1 s", 40: "40 s", 59.7: "1 min", 85: "1 min 25 s", 1200: "20 min"}
    said |= {7200: "2.0 h", 28_800: "8 h"}
    assert {seconds: duration(seconds) for seconds in said} == said


def test_more_images_take_longer_to_denoise_not_to_learn(fast):
    one, many = (estimate(images(n), fast, SPEED) for n in (1, 20))
    assert one.learning_s == many.learning_s == 60
    assert many.denoising_s == pytest.approx(20 * one.denoising_s)
    assert many.total_s - one.total_s > 18 * one.denoising_s


def test_a_training_ends_by_steps_time_or_pixels(fast):
    def learning(**changes):
        return estimate(images(1), fast.override(changes), SPEED).learning_s

    assert learning(steps=50) == pytest.approx(5)
    assert learning(budget_s=30) == 30
    assert learning(budget_s=None) is None
    # 1000 steps teach all that a small image can.
    assert learning(budget_s=3600) == pytest.approx(100)


def test_what_an_estimator_takes(fast):
    shape = (256, 256)
    assert passes(fast, shape) == 8  # four orientations, and once more a little moved
    single = fast.override({"estimator": "single_pass", "masking": "random"})
    assert passes(single, shape) == 4
    assert passes(single.override({"flips": False}), shape) == 1
    blind = single.override({"objective": "squared_error"})
    blind = blind.override({"estimator": BlindMean().model_dump()})
    assert passes(blind, shape) == 4 * math.prod(blind.masking.lattice)
    lines = fast.override({"masking": LineMask(axis="x").model_dump()})
    assert passes(lines, shape) == len(lines.masking.orientations)
    # Large planes are looked at in part, then denoised as a whole.
    assert passes(fast, (4096, 4096)) == pytest.approx(4.5)


def test_tiles_overlap(fast):
    assert padded_pixels((2048, 2048), fast) > padded_pixels((64, 64), fast) > 64**2


def test_the_forecast_says_all_and_advises(fast):
    said = forecast(estimate(images(20), fast, SPEED), "Fast")
    assert said.startswith("About 1 min")
    assert ": 1 min of learning, " in said and said.endswith("of denoising 20 images.")
    pn2v = recipe("pn2v").override({"device": "cpu"})
    said = forecast(estimate(images(1), pn2v, Speed(2.88, 1e-6, 0)), "Probabilistic")
    assert said == (
        "The time of 10 min ends this early. Probabilistic has 10,000 steps: about 8 h "
        "on this computer. Try Fast."
    )
    slow = fast.override({"steps": 10_000, "budget_s": 60})
    found = forecast(estimate(images(1), slow, Speed(2.88, 1e-6, 0)), "Fast")
    assert "ends this early" in found and found.endswith("Give it more time.")
    endless = fast.override({"budget_s": None})
    said = forecast(estimate(images(1), endless, SPEED), "Fast")
    assert said.startswith("Learning until you stop it, then about")


def test_where_each_pixel_may_be_hidden_both_times_are_told(fast):
    changes = {"budget_s": 20, "objective": "squared_error"}
    brief = estimate(images(1), fast.override(changes), SPEED)
    likely = brief.learning_s + brief.finishing_s + brief.denoising_s
    assert brief.total_s == pytest.approx(likely)
    assert brief.most_s - brief.total_s == pytest.approx(36 / 16 * brief.denoising_s)
    told = replace(brief, finishing_s=3, plane_s=5, masked_plane_s=20)
    assert forecast(told, "Fast") == (
        "About 28 s to 43 s in all: 20 s of learning, the rest denoising."
    )
    told = replace(told, masked_plane_s=told.plane_s)
    assert forecast(told, "Fast").startswith("About 28 s in all: ")


def test_a_busy_machine_makes_all_that_comes_longer(fast, hours):
    told = estimate(images(2), fast, SPEED)
    busy, idle = (RunClock(images(2), told, hours) for _ in range(2))
    for second in range(1, 4):
        hours.now = second
        busy.learning(progress(3 * second, 60 - second))  # 10 steps a second were told
        idle.learning(progress(11 * second, 60 - second))
    assert busy.ahead_s == pytest.approx(told.step_s**-1 / 3 * idle.ahead_s, rel=0.15)
    begun = busy.denoising(0.01).left_s
    assert begun == pytest.approx(10 / 3 * idle.denoising(0.01).left_s, rel=0.15)


def test_a_smaller_batch_is_no_faster_machine(fast, hours):
    """A step of a batch that was cut says nothing about what comes after it."""
    told = estimate(images(2), fast, SPEED)
    clock = RunClock(images(2), told, hours)
    for second in range(1, 4):
        hours.now = second
        clock.learning(progress(100 * second, 60 - second))
    assert clock.ahead_s == pytest.approx(told.finishing_s + told.denoising_s)


def test_a_probe_measures_and_is_remembered(small):
    image = images(2, 64)
    found = run_time.estimate_run(image, small)
    assert found.speed.step_s > 0 and found.speed.pixel_s > 0
    assert found.planes == 2
    steps = estimate_steps(image, small.override({"budget_s": 5}))
    with pytest.raises(StopIteration) as end:  # at once: nothing is tried again
        next(steps)
    assert end.value.value.speed == found.speed


def test_a_forecast_is_of_noise_as_most_cameras_have_it(small):
    """Whether Stein's risk can teach is known when the image has been read."""
    changes = {"masking": "random", "objective": "sure", "steps": 100}
    sure = small.override({**changes, "budget_s": None})
    told = run_time.estimate_run(images(1, 64), sure)
    squared = sure.override({"objective": "squared_error"})
    counts = [passes(squared, (64, 64), hidden) for hidden in (True, False)]
    shown = told.masked_plane_s / told.plane_s
    assert shown == pytest.approx(counts[0] / counts[1]) and shown > 1


def test_a_probe_reads_no_pixel(small):
    class Unread:
        shape, dtype = (4, 64, 64), np.dtype(np.uint16)

    assert run_time.estimate_run(Image(Unread(), "TYX"), small).planes == 4


def test_a_probe_can_be_given_up(small):
    steps = estimate_steps(images(1, 64), small.override({"patch_size": 48}))
    next(steps)
    steps.close()


def test_what_cannot_be_trained_has_no_forecast(small):
    with pytest.raises(RequestError):
        run_time.estimate_run(images(1), small.override({"noise_model": "file"}))


def progress(step, left, stage=LEARNING):
    return TrainingProgress(stage, step, remaining_s=left, fraction=0.5)


def test_one_bar_and_one_time_for_the_whole_run(fast, hours):
    """As if it took exactly as long as was told."""
    told = estimate(images(4), fast, SPEED)
    clock = RunClock(images(4), told, hours)
    moments = []
    for second in range(1, 61):
        hours.now = second
        moments.append(clock.learning(progress(10 * second, 60 - second)))
    begun = hours.now
    moments.append(clock.learning(progress(60, 0, FINISHING)))
    hours.now = begun = begun + told.finishing_s
    for share in np.arange(0, 1, 0.05):
        hours.now = begun + share * told.denoising_s
        moments.append(clock.denoising(share))
    shares, left = zip(*moments, strict=True)
    assert (np.diff(shares) >= 0).all() and (np.diff(left) <= 1e-6).all()
    assert shares[0] < 0.02 and shares[-1] > 0.95
    assert left[0] == pytest.approx(59 + told.finishing_s + told.denoising_s)


def test_the_time_left_follows_the_images_that_are_done(fast, hours):
    """They take three times as long as was told."""
    told = estimate(images(10), fast, SPEED)
    clock = RunClock(images(10), told, hours)
    for number in range(10):
        hours.now = 3 * told.plane_s * number
        moment = clock.denoising(number / 10)
        if number:
            assert moment.left_s == pytest.approx(3 * told.plane_s * (10 - number))
    assert denoising_text(0.65, clock) == "Denoising image 7 of 10."


def test_the_time_left_is_of_the_images_that_were_chosen(fast, hours):
    found = estimate(images(10), fast, SPEED)
    clock = RunClock(images(10), found, hours)
    all_of_them = clock.ahead_s
    clock.planes = 2
    assert all_of_them - clock.ahead_s == pytest.approx(8 * found.plane_s)


def test_no_end_is_in_sight_until_it_is_stopped(fast, hours):
    told = estimate(images(1), fast.override({"budget_s": None}), SPEED)
    clock = RunClock(images(1), told, hours)
    endless = TrainingProgress(LEARNING, 5)
    assert clock.learning(endless) == (None, None)
    assert learning_text(endless, clock) == "Learning, until you stop it."
    hours.now = 100
    assert clock.learning(endless) == (None, None)
    stopped = TrainingProgress(FINISHING, 5)
    share, left = clock.learning(stopped)
    assert share < 0.1 and left > told.denoising_s


def test_what_follows_the_image_changes_what_is_told(fast, hours):
    """Lines to hide ask for no blend: a fraction of the passes."""
    told = estimate(images(1), fast, SPEED)
    clock = RunClock(images(1), told, hours)
    lines = fast.override({"masking": LineMask(axis="x").model_dump()})
    before = clock.learning(progress(0, None)).left_s
    found = TrainingProgress(LEARNING, 1, remaining_s=60, config=lines)
    assert clock.learning(found).left_s < before


def test_without_an_estimate_the_pixels_tell(hours):
    clock = RunClock(images(1), None, hours)
    assert clock.denoising(0.0).left_s is None
    hours.now = 5
    assert clock.denoising(0.25).left_s == pytest.approx(15)


def test_a_training_is_foretold_where_it_was_not(small, noisy_image):
    config = small.override({"steps": 3})
    image = noisy_image
    yielded = list(
        run_time.with_estimate(image, config, lambda: train_steps(image, config))
    )
    kinds = [type(one).__name__ for one in yielded]
    assert kinds.index("RunEstimate") < kinds.index("TrainingProgress")
    assert "NoneType" not in kinds[kinds.index("RunEstimate") :]


def test_a_stop_ends_the_probe_as_well(small, noisy_image):
    config = small.override({"patch_size": 48, "budget_s": 30})
    steps = run_time.with_estimate(
        noisy_image, config, lambda: train_steps(noisy_image, config)
    )
    assert next(steps) is None
    with pytest.raises(StopIteration) as end:
        while True:
            steps.send(STOP)
    assert end.value.value.provenance["steps"] <= 1


@pytest.fixture
def noisy_image():
    pixels = np.random.default_rng(0).poisson(50, (64, 64)).astype(np.uint16)
    return Image(pixels, "YX")


def test_larger_images_are_a_larger_part_of_a_run():
    portions = Portions([images(1, 10), images(3, 10)])
    shares = [portions.fraction(place, 0.5) for place in (0, 1)]
    assert shares == [0.125, 0.625]
    assert portions.fraction(1, 1.0) == 1.0
