"""Every command and every example in Python of README and docs runs as written.

They run in a folder that holds small files under the names that the pages use, with
recipes of two steps. What cannot run here is listed, each with its reason: a new
command that neither runs nor stands in that list fails.
"""

import re
import shlex
import shutil
from pathlib import Path

import numpy as np
import pytest
import tifffile

from napari_selfdenoise import Image, cli, recipe, save_model, train, write_image
from napari_selfdenoise.config import recipes
from napari_selfdenoise.noise.calibration import calibrate, fit
from napari_selfdenoise.parts.noise_models import PoissonGaussianNoise, save_noise_model

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("brief_fits")]

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted(ROOT.glob("docs/**/*.md"))]

TINY = {
    "steps": 2,
    "network.width": 4,
    "patch_size": 16,
    "batch_size": 2,
    "flips": False,
    "device": "cpu",
    "precision": "float32",
}

# Flags that are added, as the command would wait for hours or open a window.
ADDED = {
    "watch": ["--settle", "0.2", "--idle", "0.5"],
    "demo": ["--no-window"],
}
# Files that cannot be made here, and what stands for them.
STAND_INS = {"day3.czi": "day3.ome.tif"}  # nothing writes CZI

# What the files show, large enough for the pixel that is probed on the pages.
RNG = np.random.default_rng(0)
Y, X = np.mgrid[:124, :92] / 124
SIGNAL = 120 + 300 * (np.sin(9 * X) * np.cos(7 * Y)) ** 2
SIZES = {"T": 4, "C": 2}
NAMES = {
    "YX": (
        *("noisy", "noisy1", "noisy2", "noisy3", "second", "frame2", "cells"),
        *("day1", "day2", "day3", "acquired/a", "acquired/b", "day1/cell1"),
    ),
    "TYX": ("stack", "movie", "slide"),
    "CYX": ("ratio",),
}
LEVELS = {"dark": 10, "closed_shutter": 10, "flat": 900, "lamp": 900}

# What is not run, by the start of the line or a word in it, and why.
NOT_RUN = {
    r"^pip install ": "changes the environment; tests of the packages install them",
    r"^napari$": "opens a window and waits; tests/plugin opens it",
    r"^make ": "would run this test, or minutes of others",
    r"^(xvfb-run )?python benchmarks/": "needs minutes, and images that are not here",
    r"^(git|twine) ": "publishes",
    r"^(python -m venv|source) ": "makes an environment",
    r"--scheduler ": "needs a scheduler on another machine: tests/test_cluster.py",
    r"^dask ": "starts one and waits",
    r"\btorchrun ": "needs several processes: tests/test_processes.py",
    r"^(#!|export |resume=|first=)": "lines of a job for SLURM",
}


def command_lines(page):
    """Lines of the shell blocks of a page, and whole commands in its sentences."""
    text = page.read_text(encoding="utf-8")
    for block in re.findall(r"```(?:sh|bash)\n(.*?)```", text, re.DOTALL):
        yield from filter(None, block.replace("\\\n", " ").splitlines())
    for inline in re.findall(r"(?<!`)`(selfdenoise \w+ [^`]+)`", text):
        if not re.search(r"[A-Z]{4}|…", inline):  # a form, not an example
            yield " ".join(inline.split())


def examples(page):
    return re.findall(
        r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL
    )


def named(page, number):
    return f"{page.relative_to(ROOT).as_posix()}-{number}"


LINES = [
    pytest.param(line, id=named(page, number))
    for page in PAGES
    for number, line in enumerate(command_lines(page))
    if line.startswith("selfdenoise ") and "--scheduler " not in line
]
EXAMPLES = [
    pytest.param(code, id=named(page, number))
    for page in PAGES
    for number, code in enumerate(examples(page))
]


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A folder of small files under the names that the pages use."""
    folder = tmp_path_factory.mktemp("files")
    for name in ("acquired", "day1"):
        (folder / name).mkdir()
    for axes, names in NAMES.items():
        for name in names:
            write_image(noisy(axes), folder / f"{name}.tif")
    write_image(noisy("YX"), folder / "huge.ome.zarr")
    (folder / "huge.ome.zarr").rename(folder / "huge.zarr")
    for name in ("average", "reference", "denoised"):
        write_image(Image(SIGNAL.astype(np.float32), "YX"), folder / f"{name}.tif")
    for name, level in LEVELS.items():
        flat = np.full(SIGNAL.shape, level, np.float32)
        write_image(Image(flat, "YX"), folder / f"{name}.tif")
    for name in ("wells.ome.tif", "day3.ome.tif"):
        with tifffile.TiffWriter(folder / name, ome=True) as writer:
            for _ in range(3):
                writer.write(noisy("CYX").data, metadata={"axes": "CYX"})
    tiny = recipe("fast").override(TINY)
    taught = train(noisy("YX"), tiny)
    save_model(taught, folder / "cells")
    save_model(taught, folder / "model")
    save_model(train(noisy("YX"), tiny, pair=noisy("YX")), folder / "pair")
    camera = calibrate(noisy("TYX"), PoissonGaussianNoise())
    save_noise_model(camera, folder / "camera.noise.json")
    return folder


def noisy(axes):
    """An image of counts with these axes, whose planes all show `SIGNAL`."""
    shape = (*(SIZES[axis] for axis in axes[:-2]), *SIGNAL.shape)
    return Image(RNG.poisson(SIGNAL, shape).astype(np.uint16), axes)


@pytest.fixture
def folder(files, tmp_path, monkeypatch):
    """The current folder is a copy of `files`, and recipes are tiny."""
    for name in recipes.RECIPES:
        monkeypatch.setitem(recipes.RECIPES, name, recipe(name).override(TINY))
    monkeypatch.setattr(fit, "_STEPS", 20)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    shutil.copytree(files, tmp_path / "here")
    monkeypatch.chdir(tmp_path / "here")


@pytest.mark.parametrize("line", LINES)
def test_the_command_runs(line, folder):
    verb, *words = shlex.split(line, comments=True)[1:]
    with pytest.raises(SystemExit) as end:
        cli.main(
            [verb, *(STAND_INS.get(word, word) for word in words), *ADDED.get(verb, [])]
        )
    assert end.value.code == 0


@pytest.mark.parametrize("code", EXAMPLES)
def test_the_example_runs(code, folder):
    exec(compile(code, "the page", "exec"), {})


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_what_does_not_run_is_listed_with_its_reason(page):
    for line in command_lines(page):
        reasons = [why for start, why in NOT_RUN.items() if re.search(start, line)]
        ran = line.startswith("selfdenoise ") and "--scheduler " not in line
        assert ran or reasons or line.startswith("#"), f"neither run nor listed: {line}"


def test_each_reason_is_still_needed():
    lines = [line for page in PAGES for line in command_lines(page)]
    for start in NOT_RUN:
        assert any(re.search(start, line) for line in lines), start


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_scripts_that_are_not_run_have_the_flags_that_are_given(page):
    for line in command_lines(page):
        found = re.match(r"(?:xvfb-run )?python ((?:benchmarks|scripts)/\w+\.py)", line)
        if not found:
            continue
        script = ROOT / found[1]
        text = script.read_text(encoding="utf-8")
        text += (ROOT / "benchmarks" / "common.py").read_text(encoding="utf-8")
        for flag in re.findall(r" --([a-z][\w-]*)", line):
            assert re.search(f'"(--)?{flag}"', text), line
