"""Faults of device, memory, disk and clock in the middle of a run."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from failing_device import fails_after
from napari_selfdenoise import (
    DenoisingError,
    Image,
    load_model,
    read_image,
    save_model,
    train,
    train_steps,
    write_image,
)
from napari_selfdenoise.compute import AwakeTime, is_lost, measurement_cache
from napari_selfdenoise.demo.figures import save_loss_figure
from napari_selfdenoise.images import FieldOfView
from napari_selfdenoise.long_work import run_to_end
from napari_selfdenoise.parts.noise_models import (
    FittedNoise,
    NoiseCurve,
    PoissonGaussianNoise,
    save_noise_model,
)
from napari_selfdenoise.prediction import denoise, store_steps
from napari_selfdenoise.prediction import results as prediction_results
from napari_selfdenoise.prediction.on_device import copied_to
from napari_selfdenoise.report import write_report
from napari_selfdenoise.run_time import (
    RunClock,
    estimate_steps,
    learning_text,
    run_time,
    with_estimate,
)
from napari_selfdenoise.training import checkpoint as checkpoints
from napari_selfdenoise.training import consensus, trainer_state, training_loop
from napari_selfdenoise.training.channel_trainer import ChannelTrainer
from napari_selfdenoise.training.masked_prediction import MaskedPredictor

pytestmark = pytest.mark.usefixtures("brief_fits")

LOST = RuntimeError(
    "CUDA error: unspecified launch failure\nCUDA kernel errors might be reported "
    "asynchronously at some other API call."
)
NO_ROOM = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")


@pytest.fixture
def brief(config):
    return config.override({"steps": 12, "batch_size": 2})


@pytest.fixture
def every_step(monkeypatch):
    """A checkpoint comes after each step."""
    monkeypatch.setattr(checkpoints, "EVERY_S", 0.0)


# A device that is lost ----------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "CUDA error: device-side assert triggered",
        "CUDA error: unspecified launch failure",
        "cuDNN error: CUDNN_STATUS_EXECUTION_FAILED",
        "CUDA error: CUBLAS_STATUS_EXECUTION_FAILED when calling `cublasSgemm`",
    ],
)
def test_a_lost_device_is_known_by_its_words(text):
    assert is_lost(RuntimeError(text))


@pytest.mark.parametrize(
    "error",
    [
        NO_ROOM,
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED"),
        RuntimeError("mat1 and mat2 shapes cannot be multiplied"),
        MemoryError(),
        KeyError("CUDA error"),
    ],
)
def test_other_failures_are_no_lost_device(error):
    assert not is_lost(error)


@pytest.mark.usefixtures("every_step")
@pytest.mark.parametrize(
    ("error", "words"),
    [
        (LOST, "stopped working while training: CUDA error: unspecified launch fail"),
        (NO_ROOM, "ran out of memory while training"),
    ],
    ids=["lost", "no room"],
)
def test_a_training_goes_on_after_its_device_failed(
    scene, brief, tmp_path, monkeypatch, error, words
):
    brief = brief.override({"batch_size": 1})
    path = tmp_path / "a.checkpoint"
    with monkeypatch.context() as patch:
        fails_after(patch, 7, error)
        with pytest.raises(DenoisingError) as told:
            train(scene.image, brief, checkpoint=path)
    assert words in told.value.message and "asynchronously" not in str(told.value)
    assert "What it had learned by step 7 is kept" in told.value.hint
    model = train(scene.image, brief, checkpoint=path, resume=True)
    assert model.provenance["steps"] == 12
    whole = train(scene.image, brief)
    for one, other in zip(
        model.channels[0].network.parameters(),
        whole.channels[0].network.parameters(),
        strict=True,
    ):
        assert torch.equal(one, other)


def test_a_training_can_go_on_on_another_kind_of_device():
    """The generator of a GPU has a state of its own, which no CPU takes."""
    generator = torch.Generator().manual_seed(3)
    trainer_state._restore_generator(generator, torch.zeros(16, dtype=torch.uint8))
    first = torch.rand(3, generator=generator)
    trainer_state._restore_generator(generator, torch.zeros(16, dtype=torch.uint8))
    assert torch.equal(torch.rand(3, generator=generator), first)


def test_the_first_checkpoint_comes_before_most_trainings_end(brief, tmp_path):
    writer = checkpoints.CheckpointWriter(tmp_path / "a", brief, False)
    assert not writer.is_due
    assert 5 < writer._due - time.monotonic() <= 10


def test_a_model_stays_where_it_is_when_its_device_is_lost(model):
    """What a prediction moves to a device is a copy; "meta" stands for a lost one."""
    gone = copied_to(model, torch.device("meta"))
    assert {p.device.type for p in gone.channels[0].network.parameters()} == {"meta"}
    assert {p.device.type for p in model.channels[0].network.parameters()} == {"cpu"}


def test_a_device_that_is_lost_in_a_prediction_is_told(scene, model, monkeypatch):
    def failing(*_):
        raise LOST

    monkeypatch.setattr("napari_selfdenoise.prediction.tile_views.run", failing)
    with pytest.raises(DenoisingError, match="stopped working while denoising a tile"):
        denoise(scene.image, model, device="cpu")


# Memory -------------------------------------------------------------------------------


def test_without_room_for_a_preview_the_training_goes_on(scene, brief, monkeypatch):
    def failing(*_):
        raise NO_ROOM

    monkeypatch.setattr(training_loop, "show", failing)
    steps = train_steps(scene.image, brief)
    view = FieldOfView((), 0, 32, 0, 32)
    progress = next(steps)
    try:
        while True:
            progress = steps.send(view)
            assert progress.preview is None
    except StopIteration as end:
        assert end.value.provenance["steps"] == 12


def test_without_room_for_a_fit_it_is_made_in_smaller_passes(scene, brief, monkeypatch):
    """Passes of a fit only predict, so they are larger than those that teach."""
    predict, tried = MaskedPredictor.predict, []

    def crowded(self, network, masking, patches, noise):
        if not torch.is_grad_enabled():
            tried.append(patches)
            if patches > 4:
                raise NO_ROOM
        return predict(self, network, masking, patches, noise)

    monkeypatch.setattr(MaskedPredictor, "predict", crowded)
    monkeypatch.setattr(training_loop, "THOROUGH", training_loop.Effort(1e12, 10))
    image = Image(np.tile(scene.image.data, (4, 4)), "YX")
    model = train(image, brief.override({"batch_size": 8}))
    assert tried[:4] == [16, 16, 8, 4] and set(tried[4:]) == {4}
    assert np.isfinite(model.noise_curves[0].std).all()


def test_without_room_for_the_probe_of_its_speed_a_run_goes_on(
    scene, brief, monkeypatch
):
    def failing(*_):
        raise NO_ROOM

    monkeypatch.setattr(run_time, "_known", {})
    monkeypatch.setattr(run_time, "_pixel_seconds", failing)
    with pytest.raises(DenoisingError, match="ran out of memory while trying"):
        run_to_end(estimate_steps(scene.image, brief))
    steps = with_estimate(scene.image, brief, lambda: train_steps(scene.image, brief))
    assert run_to_end(steps).provenance["steps"] == 12


# The disk -----------------------------------------------------------------------------


def a_noise_model():
    curve = NoiseCurve.line(1.0, 0.0, 20.0, 150.0, 1.0)
    about = (20, 150), (1, 0), 5, {}, []
    return FittedNoise("poisson_gaussian", PoissonGaussianNoise(), curve, *about)


def a_checkpoint(config):
    return checkpoints.Checkpoint(config, False, 1, {"losses": torch.zeros(999)})


def stored(image, model, path):
    run_to_end(store_steps(image, model, {"denoised": path}, device="cpu"))


WRITERS = {
    "a.safetensors": lambda path, image, model: save_model(model, path),
    "a.tif": lambda path, image, model: write_image(image, path),
    "a.ome.tif": lambda path, image, model: write_image(image, path),
    "a.ome.zarr": lambda path, image, model: write_image(image, path),
    "b.ome.zarr": lambda path, image, model: stored(image, model, path),
    "a.checkpoint": lambda path, image, model: checkpoints.write_checkpoint(
        path, a_checkpoint(model.config)
    ),
    "a.html": lambda path, image, model: write_report(path, model, image),
    "a.noise.json": lambda path, image, model: save_noise_model(a_noise_model(), path),
}


@pytest.mark.parametrize("name", WRITERS)
def test_a_full_disk_is_told_and_leaves_no_half_file(
    scene, model, tmp_path, full_disk, name
):
    path = tmp_path / name
    with full_disk(100), pytest.raises(DenoisingError) as told:
        WRITERS[name](path, scene.image, model)
    why = "File too large", "disk did not take all of it"
    assert any(words in told.value.message for words in why)
    assert told.value.hint and "Errno" not in told.value.message
    assert not path.exists()
    left = [one.name for one in tmp_path.iterdir()]
    assert not left or name == "b.ome.zarr"  # which goes on from what is there
    WRITERS[name](path, scene.image, model)
    assert path.exists()


def test_a_figure_that_does_not_fit_the_disk_is_told(model, tmp_path, full_disk):
    path = tmp_path / "loss.png"
    pytest.importorskip("matplotlib")
    with full_disk(100), pytest.raises(DenoisingError, match="could not be written"):
        save_loss_figure(model.history, path)
    assert not list(tmp_path.iterdir())
    save_loss_figure(model.history, path)
    assert path.read_bytes().startswith(b"\x89PNG")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="Linux has such a file")
def test_a_log_on_a_full_disk_stops_no_batch(scene, model, tmp_path, selfdenoise):
    (tmp_path / "in").mkdir()
    write_image(scene.image, tmp_path / "in" / "noisy.tif")
    save_model(model, tmp_path / "m")
    folders = tmp_path / "in", tmp_path / "out"
    how = "predict", tmp_path / "m.safetensors", *folders, "--log"
    status, report, told = selfdenoise(*how, "/dev/full")
    assert (status, report["denoised"]) == (0, 1)
    assert "The log could not be written: [Errno 28] No space left" in told
    status, report, _ = selfdenoise(*how, "/dev/full/log.jsonl")
    assert status == 2


@pytest.mark.usefixtures("every_step")
def test_a_disk_that_fills_up_costs_a_training_its_checkpoint_only(
    scene, brief, tmp_path, full_disk
):
    with full_disk(100):
        model = train(scene.image, brief, checkpoint=tmp_path / "a")
    notes = " ".join(model.provenance["warnings"])
    assert model.provenance["steps"] == 12
    assert "No checkpoint could be written." in notes and "File too large" in notes
    assert not list(tmp_path.iterdir())


def test_a_result_that_no_disk_has_room_for_is_told_before_it_begins(
    monkeypatch, full_disk
):
    """A file that grows while it is written ends the process where the disk is full."""
    monkeypatch.setattr(prediction_results, "IN_MEMORY_BYTES", 1000)
    with full_disk(4000), pytest.raises(DenoisingError, match="There is no room for"):
        prediction_results.allocate((64, 64))
    assert not prediction_results.allocate((64, 64)).any()


def test_a_measurement_that_cannot_be_kept_is_made_again(
    tmp_path, monkeypatch, full_disk
):
    path = tmp_path / "cache" / "measured.json"
    monkeypatch.setattr(measurement_cache, "_path", lambda: path)
    made = iter("ab")
    with full_disk(3):
        assert measurement_cache.cached("speed", lambda: next(made)) == "a"
    assert not list(path.parent.iterdir())
    assert measurement_cache.cached("speed", lambda: next(made)) == "b"
    assert measurement_cache.cached("speed", lambda: "c") == "b"


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="the home of Windows is another variable")
def test_with_a_home_that_nobody_can_write_to_all_works(scene, brief, tmp_path):
    write_image(scene.image, tmp_path / "noisy.tif")
    home = tmp_path / "home"
    home.write_text("a file where the folder should be")  # root may write anywhere else
    clean = {k: v for k, v in os.environ.items() if not k.startswith("XDG_")}
    command = ["denoise", "noisy.tif", "out.tif", "--save-model", "m", "--steps", "12"]
    command += ["--network.width", "4", "--network.depth", "1", "--device", "cpu"]
    done = subprocess.run(
        [sys.executable, "-m", "napari_selfdenoise", *command],
        cwd=tmp_path,
        env=clean | {"HOME": str(home)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert np.isfinite(read_image(tmp_path / "out.tif").data).all()
    assert load_model(tmp_path / "m").provenance["steps"] == 12


# The clock ----------------------------------------------------------------------------


class FakeClock:
    """A clock that is set by hand; each reading takes a moment."""

    def __init__(self, moment=0.0):
        self.now, self._moment = 0.0, moment

    def __call__(self):
        self.now += self._moment
        return self.now


@pytest.fixture
def clock(monkeypatch):
    """The clock of a training; what computes takes no time of the process."""
    fake = FakeClock(0.001)
    monkeypatch.setattr(consensus, "AwakeTime", lambda: AwakeTime(fake, lambda: 0.0))
    return fake


def slow_passes(monkeypatch, clock, seconds):
    """Let each pass take so long by a clock; `seconds` is called with its number."""
    accumulate, done = ChannelTrainer.accumulate, []

    def slowed(self, patches, share):
        done.append(patches)
        clock.now += seconds(len(done))
        return accumulate(self, patches, share)

    monkeypatch.setattr(ChannelTrainer, "accumulate", slowed)


def test_hours_that_a_laptop_slept_do_not_count():
    now, computed = FakeClock(), FakeClock()
    awake = AwakeTime(now, computed)
    now.now = 20.0
    assert awake() == 20.0  # a gap that a busy machine may have
    now.now += 3 * 3600.0
    computed.now += 0.5
    assert awake() == pytest.approx(20.5)
    assert awake.slept_s == pytest.approx(3 * 3600 - 0.5)
    now.now += 100.0
    computed.now += 90.0
    assert awake() == pytest.approx(120.5)  # a long pass: it computed all the time


def test_a_laptop_that_sleeps_in_the_middle_loses_no_training(
    scene, config, clock, monkeypatch
):
    asleep = 3 * 3600.0
    slow_passes(monkeypatch, clock, lambda n: 0.1 + asleep * (n == 40))
    config = config.override({"steps": None, "budget_s": 12.0, "batch_size": 1})
    steps, left = train_steps(scene.image, config), []
    try:
        while True:
            progress = next(steps)
            left.append(progress.remaining_s or 0.0)
            assert progress.elapsed_s < 20
    except StopIteration as end:
        model = end.value
    assert max(left) <= 12 + 1
    assert 100 < model.provenance["steps"] < 130
    notes = " ".join(model.provenance["warnings"])
    assert "The computer slept for 3 h meanwhile" in notes
    assert "Too short" not in notes


STOPPED = """
import sys, time
from napari_selfdenoise.compute import awake_time
awake_time._GAP_S = 0.5
awake = awake_time.AwakeTime()
print("ready", flush=True)
for _ in range(60):
    time.sleep(0.05)
    awake()
print(awake.slept_s)
"""


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="Windows cannot hold a process")
def test_a_process_that_was_held_does_not_count_that_time():
    """Held as a laptop's lid holds it: no instruction runs for a while."""
    process = subprocess.Popen(
        [sys.executable, "-c", STOPPED], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGSTOP)
    time.sleep(2)
    process.send_signal(signal.SIGCONT)
    slept = float(process.communicate()[0])
    assert slept > 1.5


# A machine that is too busy -----------------------------------------------------------


def test_a_time_that_is_too_short_here_is_told_early(scene, config, clock, monkeypatch):
    """A budget of a minute that is enough for 48 steps."""
    slow_passes(monkeypatch, clock, lambda n: 1.25)
    config = config.override({"steps": None, "budget_s": 60.0, "batch_size": 1})
    steps = train_steps(scene.image, config)
    told, model = [], None
    try:
        while True:
            progress = next(steps)
            if progress.warning:
                told.append(progress)
    except StopIteration as end:
        model = end.value
    assert told[0].elapsed_s < 8
    assert "enough for about 48 steps, too few to learn much" in told[0].warning
    assert model.hardly_trained and 45 < model.provenance["steps"] < 51


def test_a_time_that_is_long_enough_is_not_warned_of(scene, config, clock, monkeypatch):
    slow_passes(monkeypatch, clock, lambda n: 3.0 if n == 1 else 0.1)
    config = config.override({"steps": None, "budget_s": 30.0, "batch_size": 1})
    assert not any(p.warning for p in train_steps(scene.image, config))


def test_a_busy_machine_is_foretold_to_denoise_slowly_as_well(config):
    """Twenty times slower steps: the seconds after them are twenty times as many."""
    image = Image(np.zeros((512, 512), np.uint16), "YX")
    config = config.override({"steps": None, "budget_s": 60.0, "flips": True})
    speed = run_time.Speed(step_s=0.06, pixel_s=1e-6, reading_s=0.0)
    known, clock = run_time.estimate(image, config, speed), FakeClock()
    run = RunClock(image, known, clock)
    for step in range(1, 9):
        clock.now = 1.2 * step
        progress = training_loop.TrainingProgress(
            training_loop.LEARNING, step, clock.now, 60 - clock.now, clock.now / 60
        )
        run.learning(progress)
    expected = 20 * (known.finishing_s + known.denoising_s)
    assert run.ahead_s == pytest.approx(expected, rel=0.05)
    assert f"about {run_time.duration(run.ahead_s)} more" in learning_text(
        progress, run
    )
    assert run.denoising(0.01).left_s > 10 * known.denoising_s
