import os
import subprocess
import sys

import numpy as np
import platformdirs
import pytest
import torch

from napari_selfdenoise import DenoisingError, RequestError
from napari_selfdenoise.compute import (
    available_devices,
    computing,
    device,
    device_errors_as_sentences,
    resolve_device,
    resolve_precision,
    to_device,
)
from napari_selfdenoise.compute.device import (
    compute_threads,
    fastest_precision,
    speeds,
    trial_seconds,
)

pytestmark = pytest.mark.slow

CPU = torch.device("cpu")


def test_auto_is_the_first_device_and_the_cpu_is_always_there():
    devices = available_devices()
    assert str(resolve_device("auto")) == next(iter(devices))
    assert list(devices)[-1] == "cpu"
    assert resolve_device("cpu") == CPU


@pytest.mark.parametrize("name", ["cuda:99", "toaster", ""])
def test_a_device_that_is_not_there_is_refused(name):
    with pytest.raises(RequestError, match=r"is not there; this machine has .*cpu"):
        resolve_device(name)


def test_cuda_is_its_first_device(monkeypatch):
    monkeypatch.setattr(device, "available_devices", lambda: {"cuda:0": "", "cpu": ""})
    assert resolve_device("cuda") == resolve_device("auto") == torch.device("cuda:0")


@pytest.mark.parametrize(
    ("asked", "cores", "threads"),
    [("1", 8, 1), ("3", 8, 3), ("", 8, 7), ("", 1, 1), ("many", 4, 3), ("0", 4, 1)],
)
def test_threads_are_those_asked_for_or_all_cores_but_one(
    monkeypatch, asked, cores, threads
):
    monkeypatch.setenv("OMP_NUM_THREADS", asked)
    monkeypatch.setattr(device.os, "cpu_count", lambda: cores)
    assert compute_threads() == threads


def test_the_number_of_threads_is_put_back(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    before = torch.get_num_threads()
    with pytest.raises(ValueError, match="inside"), computing(in_background=False):
        assert torch.get_num_threads() == 2
        raise ValueError("inside")
    assert torch.get_num_threads() == before


def test_precisions_go_by_their_names():
    assert resolve_precision(CPU, "float32") == torch.float32
    assert resolve_precision(CPU, "bfloat16") == torch.bfloat16


@pytest.mark.parametrize(
    ("bfloat16_s", "chosen"),
    [(0.5, torch.bfloat16), (0.9, torch.float32), (float("inf"), torch.float32)],
)
@pytest.mark.usefixtures("new_machine")
def test_bfloat16_must_win_clearly(monkeypatch, bfloat16_s, chosen):
    seconds = {torch.float32: 1.0, torch.bfloat16: bfloat16_s}
    monkeypatch.setattr(device, "trial_seconds", lambda _, dtype: seconds[dtype])
    assert resolve_precision(CPU, "auto") == chosen


@pytest.fixture
def new_machine(monkeypatch, tmp_path):
    """Nothing is known of this machine; returns where that is kept."""
    monkeypatch.setattr(platformdirs, "user_cache_dir", lambda _: str(tmp_path / "new"))
    fastest_precision.cache_clear()
    yield tmp_path / "new" / "measured.json"
    fastest_precision.cache_clear()


def next_session(monkeypatch, bfloat16_s):
    fastest_precision.cache_clear()
    seconds = {torch.float32: 1.0, torch.bfloat16: bfloat16_s}
    monkeypatch.setattr(device, "trial_seconds", lambda _, dtype: seconds[dtype])
    return resolve_precision(CPU, "auto")


def test_the_number_format_is_the_same_in_the_next_session(monkeypatch, new_machine):
    assert next_session(monkeypatch, 0.5) == torch.bfloat16
    busy = next_session(monkeypatch, 0.9)
    assert busy == torch.bfloat16
    assert [file.name for file in new_machine.parent.iterdir()] == ["measured.json"]
    speeds(CPU)  # asked for a trial, as the doctor does
    assert next_session(monkeypatch, 0.9) == torch.float32


@pytest.mark.parametrize("content", ["", "{", "[1]", '{"precision": 3}'])
def test_what_is_remembered_may_be_damaged(monkeypatch, new_machine, content):
    next_session(monkeypatch, 0.5)
    new_machine.write_text(content)
    assert next_session(monkeypatch, 0.9) == torch.float32


def test_a_disk_that_cannot_be_written_does_not_stop_a_training(
    monkeypatch, new_machine
):
    new_machine.parent.write_text("a file where the folder should be")
    assert next_session(monkeypatch, 0.5) == torch.bfloat16


def test_a_number_format_that_a_device_lacks_never_wins(monkeypatch):
    def lacking(*_):
        raise RuntimeError("not implemented for 'BFloat16'")

    monkeypatch.setattr(device.F, "conv2d", lacking)
    assert trial_seconds(CPU, torch.bfloat16) == float("inf")


def test_out_of_memory_is_said_with_what_to_try():
    with (
        pytest.raises(DenoisingError, match=r"while training\. Choose a smaller batch"),
        device_errors_as_sentences("training"),
    ):
        raise torch.OutOfMemoryError


def test_tiles_are_not_copied_for_the_cpu():
    tile = np.arange(12, dtype=np.float32).reshape(3, 4)
    moved = to_device(tile, CPU)
    assert moved.shape == (3, 4) and np.shares_memory(moved.numpy(), tile)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_tiles_arrive_whole_though_their_memory_is_used_again():
    cuda = torch.device("cuda")
    tiles = [np.full((512, 512), value, np.float32) for value in range(64)]
    moved = [to_device(tile, cuda) for tile in tiles]
    assert [float(one.min()) for one in moved] == list(range(64))
    assert [float(one.max()) for one in moved] == list(range(64))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_one_seed_gives_one_model_on_the_gpu(scene, config):
    from napari_selfdenoise import denoise, train

    on_gpu = config.override({"device": "cuda", "steps": 20})
    one, two = (
        denoise(scene.image, train(scene.image, on_gpu), device="cuda").denoised.data
        for _ in range(2)
    )
    assert (one == two).all()


@pytest.mark.parametrize(("own", "found"), [(None, "1"), ("0", "0")])
def test_on_a_mac_what_its_gpu_lacks_runs_on_the_cpu(own, found):
    """Unless the user has decided otherwise; set before PyTorch is imported."""
    name = "PYTORCH_ENABLE_MPS_FALLBACK"
    others = {key: value for key, value in os.environ.items() if key != name}
    code = (
        "import os, sys; sys.platform = 'darwin'; import napari_selfdenoise; "
        f"print(os.environ['{name}'], 'torch' in sys.modules)"
    )
    run = subprocess.run(
        [sys.executable, "-c", code],
        env=others | ({name: own} if own else {}),
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stdout.split() == [found, "False"]
