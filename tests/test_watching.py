"""Files are denoised as they are written, and never before they are complete."""

import os
import signal
import threading
import time

import numpy as np
import pytest
import tifffile

from napari_selfdenoise import load_model, read_image, save_model
from napari_selfdenoise.batch import Arrivals

QUICK = (
    *("--steps", "2", "--network.width", "4", "--patch-size", "16"),
    *("--batch-size", "2", "--device", "cpu", "--no-flips"),
)


@pytest.fixture
def inbox(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in").mkdir()
    return tmp_path / "in"


def movie(path, frames=6, seed=0):
    pixels = np.random.default_rng(seed).poisson(50, (frames, 32, 32))
    how = {"imagej": True, "metadata": {"axes": "TYX"}}
    tifffile.imwrite(path, pixels.astype(np.uint16), **how)


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


def test_a_file_is_complete_once_it_has_not_changed_for_long(tmp_path):
    path, clock = tmp_path / "a.tif", Clock()
    arrivals = Arrivals(5.0, clock)
    assert arrivals.look([path]) == []  # not there yet
    for clock.now in (0, 4, 8):
        with path.open("ab") as file:
            file.write(b"more")
        assert arrivals.look([path]) == []
    clock.now = 12.9
    assert arrivals.look([path]) == []
    assert arrivals.waiting == 1
    clock.now = 13
    assert arrivals.look([path]) == [path]
    assert arrivals.look([path]) == []  # once
    assert arrivals.waiting == 0


def test_a_file_that_changes_later_is_there_anew(tmp_path):
    path, clock = tmp_path / "a.tif", Clock()
    path.write_bytes(b"half")
    arrivals = Arrivals(1.0, clock)
    arrivals.look([path])
    clock.now = 1
    assert arrivals.look([path]) == [path]
    path.write_bytes(b"the whole")
    clock.now = 2
    assert arrivals.look([path]) == []
    clock.now = 3
    assert arrivals.look([path]) == [path]


def test_what_is_gone_is_not_waited_for(tmp_path):
    path, arrivals = tmp_path / "a.tif", Arrivals(1.0, Clock())
    path.write_bytes(b"half")
    arrivals.look([path])
    assert arrivals.waiting == 1
    path.unlink()
    assert arrivals.look([path]) == []
    assert arrivals.waiting == 0


def test_of_the_same_size_a_file_counts_as_changed_by_its_time(tmp_path):
    path, clock = tmp_path / "a.tif", Clock()
    path.write_bytes(b"0000")
    arrivals = Arrivals(1.0, clock)
    arrivals.look([path])
    os.utime(path, ns=(1, 1))
    clock.now = 1
    assert arrivals.look([path]) == []


def test_an_image_that_is_a_folder_changes_with_its_files(tmp_path):
    path, clock = tmp_path / "a.ome.zarr", Clock()
    (path / "0").mkdir(parents=True)
    arrivals = Arrivals(1.0, clock)
    arrivals.look([path])
    (path / "0" / "chunk").write_bytes(b"")
    clock.now = 1
    assert arrivals.look([path]) == []
    clock.now = 2
    assert arrivals.look([path]) == [path]


@pytest.mark.slow
@pytest.mark.usefixtures("brief_fit")
def test_files_are_denoised_once_they_are_whole(inbox, selfdenoise):
    movie(inbox / "first.tif")
    movie(inbox.parent / "whole.tif", seed=1)
    whole = (inbox.parent / "whole.tif").read_bytes()

    def write_slowly():
        with (inbox / "slow.tif").open("wb") as file:
            for start in range(0, len(whole), len(whole) // 10 + 1):
                file.write(whole[start : start + len(whole) // 10 + 1])
                file.flush()
                time.sleep(0.2)

    writer = threading.Thread(target=write_slowly)
    writer.start()
    how = "--settle", 1.0, "--idle", 2.0, "--save-model", "m", "--log", "log.jsonl"
    status, report, _ = selfdenoise("watch", "in", ".", *QUICK, *how)
    writer.join()
    assert status == 0
    assert (report["denoised"], report["failed"]) == (2, 0)
    assert read_image("slow denoised.tif").shape == (6, 32, 32)
    assert len((inbox.parent / "log.jsonl").read_text().splitlines()) == 2
    images = load_model("m").provenance["images"]
    assert len(images) == 1  # one model, of the first file


@pytest.mark.slow
def test_what_has_a_result_or_fails_does_not_stop_it(inbox, selfdenoise, model):
    save_model(model, "m")
    movie(inbox / "a.tif", 1)
    movie(inbox / "b.tif", 1)
    (inbox / "bad.tif").write_bytes(b"")
    (inbox / "a denoised.tif").write_bytes(b"of an earlier run")
    how = "--model", "m", "--settle", 0.2, "--idle", 1.0
    status, report, _ = selfdenoise("watch", "in", "in", *how)
    assert status == 1
    ended = {one["source"]: one["status"] for one in report["files"]}
    assert ended == {"in/b.tif": "denoised", "in/bad.tif": "failed"}
    assert (inbox / "a denoised.tif").read_bytes() == b"of an earlier run"


@pytest.mark.slow
def test_what_changed_after_its_result_is_denoised_again(inbox, selfdenoise, model):
    save_model(model, "m")
    movie(inbox / "a.tif", 1)
    how = "watch", "in", ".", "--model", "m", "--settle", 0.1, "--idle", 0.6
    assert selfdenoise(*how)[1]["denoised"] == 1
    assert selfdenoise(*how)[1]["denoised"] == 0
    movie(inbox / "a.tif", 2)
    assert selfdenoise(*how)[1]["denoised"] == 1
    assert read_image("a denoised.tif").shape == (2, 32, 32)


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGINT for one process")
def test_ctrl_c_ends_it_with_a_report(inbox, selfdenoise, model):
    save_model(model, "m")
    movie(inbox / "a.tif", 1)

    def interrupt():
        deadline = time.monotonic() + 60
        while not (inbox.parent / "a denoised.tif").exists():
            assert time.monotonic() < deadline
            time.sleep(0.1)
        time.sleep(0.5)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt).start()
    status, report, err = selfdenoise("watch", "in", ".", "--model", "m", "--settle", 0)
    assert (status, report["denoised"]) == (0, 1)
    assert "Stopped watching." in err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nowhere", "."], "no folder nowhere to watch"),
        (["in", "nowhere/out"], "nowhere"),
        (["in", ".", "--name", "{name}"], "cannot be the name"),
        (["in", ".", "--name", "{number}.tif"], "have no numbers"),
        (["in", ".", "--name", "result.tif"], "a name of its own"),
        (["in", ".", "--log", "m.safetensors"], "cannot be a log"),
    ],
)
def test_a_wrong_request_is_refused(inbox, selfdenoise, arguments, words):
    status, report, _ = selfdenoise("watch", *arguments)
    assert status == 2
    assert words in report["error"]
