"""Processes that torchrun starts train one model, as one would with larger batches."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

import two_processes
from napari_selfdenoise import (
    Image,
    RequestError,
    load_model,
    train,
    write_image,
)
from napari_selfdenoise.cli import processes as speaking
from napari_selfdenoise.compute import Processes
from napari_selfdenoise.training import read_checkpoint
from two_processes import BOOTSTRAP, STEPS, noisy, quick

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.name == "nt", reason="torchrun there needs libuv"),
]

TOGETHER = (sys.executable, "-m", "torch.distributed.run", "--standalone")
TOGETHER += ("--nproc_per_node", "2")

COMMAND_LINE = """
import os, sys
import two_processes
two_processes.brief()
two_processes.pause_after_checkpoints()
rank = os.environ["RANK"]
open(f"process{rank}", "w").write(str(os.getpid()))
from napari_selfdenoise.cli import main
main(sys.argv[1:])
"""

FLAGS = (
    *("--network.width", "4", "--network.depth", "1", "--patch-size", "32"),
    *("--steps", str(STEPS), "--batch-size", "2", "--no-flips"),
    *("--device", "cpu", "--precision", "float32", "--json"),
)


def start(folder, *command):
    """Start two processes; each finds the helpers of this file."""
    tests = str(Path(__file__).parent)
    paths = os.pathsep.join([tests, *filter(None, [os.environ.get("PYTHONPATH")])])
    kept = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(
        [*TOGETHER, *map(str, command)],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": paths, "OMP_NUM_THREADS": "1"},
        **kept,
    )


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """Folder of what `two_processes` leaves."""
    folder = tmp_path_factory.mktemp("together")
    process = start(folder, two_processes.__file__, folder)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors[-4000:]
    return folder


def about(results, rank):
    return json.loads((results / f"about{rank}.json").read_text())


def same(one, other):
    """Whether two models are equal to the bit."""
    a, b = one.channels[0], other.channels[0]
    for name in ("network", "noise"):
        x, y = getattr(a, name).state_dict(), getattr(b, name).state_dict()
        assert all(torch.equal(x[key], y[key]) for key in x)
    assert (a.noise_curve.std == b.noise_curve.std).all()
    assert one.provenance["steps"] == other.provenance["steps"]


def test_averaged_gradients_are_those_of_the_joined_batch(results):
    assert about(results, 0)["gradients"] == about(results, 1)["gradients"] < 1e-6


@pytest.mark.parametrize(
    "run", ["whole", "bootstrapped", "interrupted", "timed", "stopped", "crowded"]
)
def test_all_processes_end_with_the_same_model(results, run):
    models = [load_model(results / f"{run}{rank}") for rank in (0, 1)]
    same(*models)
    assert models[0].provenance["processes"] == 2


def test_they_learn_from_more_than_one_does_alone(results, brief_fits):
    alone = train(Image(noisy(), "YX"), quick())
    weights, others = (
        model.channels[0].network.state_dict().values()
        for model in (alone, load_model(results / "whole0"))
    )
    assert not any(torch.equal(a, b) for a, b in zip(weights, others, strict=True))
    assert "processes" not in alone.provenance


def test_fits_and_all_go_on_from_the_checkpoint_of_the_first(results):
    same(load_model(results / "interrupted0"), load_model(results / "bootstrapped0"))


def test_one_stops_all(results):
    assert 3 < load_model(results / "stopped0").provenance["steps"] < 100_000


def test_where_one_lacks_memory_all_learn_from_smaller_passes(results):
    for rank in (0, 1):
        assert "room for 1 patches" in " ".join(about(results, rank)["crowded"])


def test_fewer_processes_do_not_go_on(results):
    path = results / "left"
    with pytest.raises(RequestError, match="ran on 2 processes; 1 process cannot"):
        train(Image(noisy(), "YX"), quick(**BOOTSTRAP), checkpoint=path, resume=True)


def test_killed_they_go_on_to_the_same_result(results, tmp_path):
    write_image(Image(noisy(), "YX"), tmp_path / "noisy.tif")
    (tmp_path / "run.py").write_text(COMMAND_LINE)
    command = ("run.py", "train", "noisy.tif", "--model", "m", *FLAGS)
    process, path = start(tmp_path, *command), tmp_path / "m.checkpoint"
    while not path.exists() and process.poll() is None:
        time.sleep(0.01)
    os.kill(int((tmp_path / "process1").read_text()), signal.SIGKILL)
    process.communicate(timeout=60)  # torchrun ends the other one as well
    assert process.returncode != 0
    assert 0 < read_checkpoint(path).step < STEPS
    assert not (tmp_path / "m.safetensors").exists()
    process = start(tmp_path, *command, "--resume")
    printed, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors[-4000:]
    (line,) = printed.splitlines()  # of the first process alone
    assert json.loads(line)["processes"] == 2
    assert errors.count("Going on after step") == 1
    assert not path.exists()
    same(load_model(tmp_path / "m"), load_model(results / "whole0"))


# As one of two, without the other -----------------------------------------------------


@pytest.fixture
def of_two(monkeypatch):
    """Be one of two processes."""

    def be(rank):
        known = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": 2}
        for name, value in (known | {"LOCAL_WORLD_SIZE": 2}).items():
            monkeypatch.setenv(name, str(value))

    return be


def test_other_verbs_are_refused(of_two, selfdenoise):
    of_two(0)
    status, report, _ = selfdenoise("predict", "a.tif", "b.tif", "--model", "m")
    assert status == 2
    assert "2 processes were started" in report["error"]
    assert "predict --scheduler" in report["hint"]


def test_others_complain_on_stderr_alone(of_two, monkeypatch, capsys):
    from napari_selfdenoise.cli import main

    of_two(1)
    monkeypatch.setattr(speaking, "_WAIT_S", 0.0)
    with pytest.raises(SystemExit):
        main(["predict", "a.tif", "b.tif", "--model", "m", "--json"])
    out, err = capsys.readouterr()
    assert not out
    assert err.startswith("Error: In process 1 of 2: 2 processes were started")


def test_each_process_has_a_gpu_of_its_own(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    second = Processes(rank=1, count=2, place=1, neighbours=2)
    for name in ("auto", "cuda", "cuda:0"):
        with pytest.raises(RequestError, match="with 1 CUDA GPUs"):
            second.device(name)
    assert second.device("cpu").type == "cpu"


def test_a_process_draws_otherwise_and_the_same_each_time():
    def drawn(rank, *numbers):
        generator = torch.Generator().manual_seed(7)
        Processes(rank=rank, count=3).draw_apart(generator, *numbers)
        return float(torch.rand(1, generator=generator))

    alone = float(torch.rand(1, generator=torch.Generator().manual_seed(7)))
    assert drawn(0, 1, 2) == alone
    assert drawn(1, 1, 2) == drawn(1, 1, 2)
    assert len({drawn(0, 1), drawn(1, 1), drawn(2, 1), drawn(1, 2)}) == 4
