"""Folders, patterns and many files: what is denoised, and how each file ends."""

import json
import os
import signal
import time

import numpy as np
import pytest
import tifffile

from napari_selfdenoise import (
    Image,
    load_model,
    read_image,
    save_model,
    write_image,
)
from napari_selfdenoise.batch import (
    Job,
    Outcome,
    find_images,
    find_jobs,
    kind_of_most,
    run_jobs,
)
from napari_selfdenoise.cli import runs, screen
from napari_selfdenoise.errors import RequestError
from napari_selfdenoise.images import spread

QUICK = (
    *("--steps", "2", "--network.width", "4", "--patch-size", "16"),
    *("--batch-size", "2", "--device", "cpu", "--no-flips"),
)


@pytest.fixture
def cells(tmp_path, monkeypatch):
    """A folder with three images, one of them in a sub-folder, and what is none."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    for name in ("cells/a1.tif", "cells/a2.tif", "cells/day 2/a1.tif"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        tifffile.imwrite(path, rng.poisson(50, (32, 32)).astype(np.uint16))
    (tmp_path / "cells/notes.txt").write_text("no image")
    (tmp_path / "cells/._a1.tif").write_bytes(b"of a Mac")
    return tmp_path / "cells"


def names(found):
    return [str(one.path) for one in found]


# What is denoised --------------------------------------------------------------------


def test_a_folder_gives_its_images_and_with_recursive_those_below(cells):
    assert names(find_images(["cells"])) == ["cells/a1.tif", "cells/a2.tif"]
    below = names(find_images(["cells"], recursive=True))
    assert below == ["cells/a1.tif", "cells/a2.tif", "cells/day 2/a1.tif"]


def test_numbers_are_sorted_as_numbers(tmp_path):
    for number in (10, 9, 1):
        (tmp_path / f"t{number}.tif").write_bytes(b"")
    found = [one.path.name for one in find_images([tmp_path])]
    assert found == ["t1.tif", "t9.tif", "t10.tif"]


def test_a_zarr_in_a_folder_is_one_image(tmp_path):
    (tmp_path / "stack.ome.zarr" / "0").mkdir(parents=True)
    (tmp_path / "stack.ome.zarr" / "0" / "thumbnail.tif").write_bytes(b"")
    found = find_images([tmp_path], recursive=True)
    assert [one.path.name for one in found] == ["stack.ome.zarr"]


def test_a_pattern_keeps_the_folders_that_it_leaves_open(cells):
    jobs = find_jobs(["cells/**/a1.tif"], cells.parent / "out")
    targets = [str(job.target.relative_to(cells.parent)) for job in jobs]
    assert targets == ["out/a1 denoised.tif", "out/day 2/a1 denoised.tif"]


def test_a_file_that_is_named_is_taken_whatever_it_is_called(cells):
    assert names(find_images(["cells/notes.txt"])) == ["cells/notes.txt"]


def test_each_image_is_taken_once(cells):
    assert len(find_images(["cells", "cells/a*.tif", "cells/a1.tif"])) == 2


@pytest.mark.parametrize("given", ["cells/b*.tif", "empty"])
def test_nothing_to_denoise_is_said(cells, given):
    (cells.parent / "empty").mkdir()
    with pytest.raises(RequestError, match="no image in"):
        find_images([given])


@pytest.mark.parametrize("target", ["cells", "cells/results"])
def test_results_of_earlier_runs_are_no_images(cells, target):
    once = find_jobs(["cells"], cells.parent / target, recursive=True)
    for job in once:
        job.target.parent.mkdir(parents=True, exist_ok=True)
        write_image(read_image(job.source), job.target)
    again = find_jobs(["cells"], cells.parent / target, recursive=True)
    assert again == once


def test_names_of_results_are_made_from_a_template(cells):
    template = "{number} {folder} {name}.ome.zarr"
    jobs = find_jobs(["cells"], cells.parent, name=template)
    assert [job.target.name for job in jobs] == [
        "1 cells a1.ome.zarr",
        "2 cells a2.ome.zarr",
    ]


@pytest.mark.parametrize(
    "name",
    [
        *("{wrong}.tif", "{name}.png", "{name", "{name}", "{}.tif", "{name:x}.tif"),
        *(
            "{name.parent}.tif",
            "{number:9999999d}.tif",
            "../{name}.tif",
            "{name!r}.tif",
        ),
    ],
)
def test_a_template_that_makes_no_name_is_refused(cells, name):
    with pytest.raises(RequestError, match="cannot be the name of results"):
        find_jobs(["cells"], cells.parent, name=name)


def test_two_results_of_one_name_are_refused(cells):
    with pytest.raises(RequestError, match="same name"):
        find_jobs(["cells/a1.tif", "cells/day 2/a1.tif"], cells.parent)
    with pytest.raises(RequestError, match="same name"):
        find_jobs(["cells"], cells.parent, name="result.tif")


# How each ends -----------------------------------------------------------------------


def test_one_that_fails_does_not_stop_the_others(tmp_path):
    jobs = [Job(tmp_path / name, tmp_path / f"{name} denoised") for name in "abcd"]
    ended = []

    def work(job):
        if job.source.name == "b":
            raise RequestError("It is no image.", "Choose one.")
        if job.source.name == "c":
            raise ZeroDivisionError
        return Outcome(job.source, "denoised")

    outcomes = run_jobs(jobs, work, [ended.append], lambda job: job is jobs[0])
    assert ended == outcomes.each
    found = [(one.status, one.reason) for one in outcomes.each]
    assert found == [
        ("skipped", ""),
        ("failed", "It is no image. Choose one."),
        ("failed", "ZeroDivisionError"),
        ("denoised", ""),
    ]
    summary = outcomes.summary(5)
    for words in ("1  denoised", "1  skipped", "2  failed", "1  not reached"):
        assert words in summary


def test_a_sample_lies_all_over_the_list():
    assert spread(list(range(100)), 4) == [0, 25, 50, 75]
    assert spread([1, 2], 4) == [1, 2]


def test_images_with_as_many_channels_as_most_are_learned_from():
    one = [Image(np.zeros((8, 8)), "YX", name=str(n)) for n in range(3)]
    two = Image(np.zeros((2, 8, 8)), "CYX")
    assert kind_of_most([two, *one]) == one


@pytest.fixture
def dirty(cells):
    """The same folder with files that are damaged in five ways."""
    whole = (cells / "a1.tif").read_bytes()
    (cells / "cut.tif").write_bytes(whole[: len(whole) // 2])
    (cells / "empty.tif").write_bytes(b"")
    (cells / "text.tif").write_text("no image")
    dyes = np.random.default_rng(1).poisson(50, (2, 32, 32)).astype(np.uint16)
    tifffile.imwrite(cells / "dyes.tif", dyes, imagej=True, metadata={"axes": "CYX"})
    tifffile.imwrite(cells / "gaps.tif", np.full((32, 32), np.nan, np.float32))
    return cells


@pytest.mark.usefixtures("brief_fit")
def test_a_folder_with_bad_files_ends_with_results_and_reasons(dirty, selfdenoise):
    status, report, _ = selfdenoise(
        *("denoise", "cells", "out", *QUICK, "--recursive", "--log", "log.jsonl"),
    )
    assert status == 1
    assert (report["denoised"], report["skipped"], report["failed"]) == (3, 0, 5)
    reasons = {one["source"]: one["reason"] for one in report["files"] if one["reason"]}
    assert "damaged" in reasons["cells/cut.tif"]
    assert "is empty" in reasons["cells/empty.tif"]
    assert "not a TIFF" in reasons["cells/text.tif"]
    assert "trained on 1 channel" in reasons["cells/dyes.tif"]
    assert "No pixel holds a number" in reasons["cells/gaps.tif"]
    found = sorted(str(p) for p in (dirty.parent / "out").rglob("*") if p.is_file())
    assert sorted(map(os.path.abspath, report["outputs"]["denoised"])) == found
    lines = (dirty.parent / "log.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == report["files"]


@pytest.mark.usefixtures("brief_fit")
def test_again_with_skip_existing_does_only_what_is_missing(dirty, selfdenoise):
    how = "denoise", "cells", "out", *QUICK, "--skip-existing"
    selfdenoise(*how)
    kept = dirty.parent / "out/a1 denoised.tif"
    before = kept.stat().st_mtime_ns
    (dirty.parent / "out/a2 denoised.tif").unlink()
    status, report, _ = selfdenoise(*how)
    assert status == 1  # those that failed still do
    assert (report["denoised"], report["skipped"], report["failed"]) == (1, 1, 5)
    assert kept.stat().st_mtime_ns == before


@pytest.mark.usefixtures("brief_fit")
def test_where_all_is_there_nothing_is_trained(cells, selfdenoise):
    how = "denoise", "cells", "out", *QUICK, "--skip-existing"
    selfdenoise(*how)
    status, report, _ = selfdenoise(*how)
    assert (status, report["skipped"]) == (0, 2)
    assert "steps" not in report


@pytest.mark.usefixtures("brief_fit")
def test_one_model_learns_from_a_sample_of_all(cells, selfdenoise):
    how = "--sample", 1, "--save-model", "cells.safetensors"
    status, _, _ = selfdenoise("denoise", "cells", "out", *QUICK, *how)
    assert status == 0
    model = load_model("cells.safetensors")
    assert len(model.provenance["images"]) == 1


@pytest.mark.usefixtures("brief_fit")
def test_learning_goes_on_from_file_to_file_or_begins_anew(cells, selfdenoise):
    results = {}
    for learn in ("continue", "anew"):
        how = "--learn", learn, "--name", f"{{name}} {learn}.tif"
        status, _, _ = selfdenoise("denoise", "cells", "out", *QUICK, *how)
        assert status == 0
        results[learn] = [
            read_image(f"out/{name} {learn}.tif").data for name in ("a1", "a2")
        ]
    first, second = zip(results["continue"], results["anew"], strict=True)
    np.testing.assert_array_equal(*first)
    assert (second[0] != second[1]).any()


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--pair", "a.tif"], "--pair is for one"),
        (["--report", "r.html"], "--report is for one"),
        (["--learn", "anew", "--save-model", "m"], "--save-model is for one"),
        (["--name", "{name}.png"], "cannot be the name"),
        (["--log", "nowhere/log.jsonl"], "nowhere"),
        (["--learn", "anew", "--save-model", "m", "--resume"], "--resume"),
    ],
)
def test_what_does_not_go_with_a_folder_is_refused(cells, selfdenoise, flags, words):
    status, report, _ = selfdenoise("denoise", "cells", "out", *QUICK, *flags)
    assert status == 2
    assert words in report["error"]
    assert not (cells.parent / "out").exists()


def test_predict_goes_through_a_folder(cells, selfdenoise, model):
    save_model(model, "m")
    status, report, _ = selfdenoise("predict", "m.safetensors", "cells", "out")
    assert status == 0
    assert (report["denoised"], report["tiles"]) == (2, 2)
    assert [read_image(p).shape for p in report["outputs"]["denoised"]] == [
        (32, 32)
    ] * 2


def test_of_a_single_file_the_output_may_be_a_file(cells, selfdenoise, model):
    save_model(model, "m")
    how = "predict", "m.safetensors", "cells/a1.tif", "out.tif", "--skip-existing"
    assert selfdenoise(*how)[1]["denoised"] == 1
    assert selfdenoise(*how)[1]["skipped"] == 1
    assert (cells.parent / "out.tif").is_file()


@pytest.mark.parametrize(
    ("sources", "how"),
    [
        (["cells"], ["--name", "{name}.tif"]),
        (["cells"], ["--name", "a{number}.tif"]),
        (["cells/a1.tif", "cells/a1 denoised.tif"], []),
        (["cells"], ["--outputs", "denoised,noise-std"]),
    ],
    ids=["its own name", "a number", "named", "another output"],
)
def test_an_input_is_never_replaced(cells, selfdenoise, model, sources, how):
    save_model(model, "m")
    raw = np.random.default_rng(5).poisson(50, (32, 32)).astype(np.uint16)
    for name in ("a1 denoised", "a1 noise std"):
        tifffile.imwrite(cells / f"{name}.tif", raw)
    before = {path: path.read_bytes() for path in cells.glob("*.tif")}
    status, report, _ = selfdenoise("predict", "m.safetensors", *sources, "cells", *how)
    assert status == 2
    assert "would overwrite" in report["error"]
    assert {path: path.read_bytes() for path in cells.glob("*.tif")} == before


def test_results_of_another_output_are_no_images_either(cells, selfdenoise, model):
    save_model(model, "m")
    how = (
        "predict",
        "m.safetensors",
        "cells",
        "cells",
        "--outputs",
        "denoised,noise-std",
    )
    for _ in range(2):
        status, report, _ = selfdenoise(*how)
        assert (status, report["denoised"]) == (0, 2)


def test_a_log_replaces_nothing(cells, selfdenoise, model):
    save_model(model, "m")
    before = (cells / "a1.tif").read_bytes()
    for log in ("cells/a1.tif", "m.safetensors", "cells"):
        how = "predict", "m.safetensors", "cells", "out", "--log", log
        status, report, _ = selfdenoise(*how)
        assert status == 2
        assert "cannot be a log" in report["error"]
    assert (cells / "a1.tif").read_bytes() == before


def test_numbers_and_what_is_skipped_do_not_go_together(cells, selfdenoise, model):
    save_model(model, "m")
    how = "--name", "{number}.tif", "--skip-existing"
    status, report, _ = selfdenoise("predict", "m.safetensors", "cells", "out", *how)
    assert status == 2
    assert "Numbers of inputs change" in report["error"]


def test_a_folder_is_no_result(cells, selfdenoise, model):
    save_model(model, "m")
    (cells.parent / "out" / "a1 denoised.tif").mkdir(parents=True)
    how = "predict", "m.safetensors", "cells", "out", "--skip-existing"
    status, report, _ = selfdenoise(*how)
    assert (status, report["skipped"], report["failed"]) == (1, 0, 1)


@pytest.mark.skipif(os.name == "nt", reason="links need rights on Windows")
def test_links_are_taken_once_and_not_followed_in_circles(cells):
    (cells / "day 2" / "round").symlink_to(cells)
    (cells / "day 2" / "link.tif").symlink_to(cells.parent / "elsewhere.tif")
    tifffile.imwrite(cells.parent / "elsewhere.tif", np.zeros((8, 8), np.uint8))
    found = names(find_images(["cells"], recursive=True))
    assert len(found) == 4
    assert len(find_jobs(["cells"], cells.parent / "out", recursive=True)) == 4


def test_names_with_odd_digits_are_sorted(tmp_path):
    (tmp_path / "10²3.tif").write_bytes(b"")
    assert len(find_images([tmp_path])) == 1


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGINT for one process")
def test_ctrl_c_writes_no_image_in_part(cells, selfdenoise, model, monkeypatch):
    save_model(model, "m")
    frames = np.random.default_rng(0).poisson(50, (4, 32, 32)).astype(np.uint16)
    tifffile.imwrite(cells / "a2.tif", frames, imagej=True, metadata={"axes": "TYX"})
    monkeypatch.setattr(screen, "_LINE_S", 0)
    said = []

    def interrupt(line):
        said.append(line)
        if line.startswith("a2: denoising image 3"):
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(runs, "say", interrupt)
    monkeypatch.setattr(screen, "say", interrupt)
    status, report, err = selfdenoise("predict", "m.safetensors", "cells", "out")
    assert (status, report["error"]) == (130, "Stopped.")
    assert [path.name for path in (cells.parent / "out").iterdir()] == [
        "a1 denoised.tif"
    ]
    assert "1  not reached" in err
    assert "Stopping: the image that was begun is not written." in said


# What is shown -----------------------------------------------------------------------


def test_a_terminal_shows_bars_and_keeps_what_is_said(monkeypatch, capsys):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "80")
    with screen.progress_bar() as outer, screen.progress_bar() as inner:
        outer(screen.Shown("1 of 2 files", 0.5))
        inner(screen.Shown("cells [1]: denoising", None))
        time.sleep(0.3)  # bars are drawn ten times a second
        screen.say("b.tif [x] was left out.")
    err = capsys.readouterr().err
    assert "1 of 2 files" in err and "cells [1]: denoising" in err
    assert "b.tif [x] was left out." in err
    assert "\x1b[?25h" in err  # the cursor is back
    screen.say("after")
    assert capsys.readouterr().err == "after\n"


def test_a_pipe_gets_lines(capsys, monkeypatch):
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    with screen.progress_bar() as show:
        show(screen.Shown("first", 0.1))
        show(screen.Shown("too soon", 0.2))
    assert capsys.readouterr().err == "first\n"
