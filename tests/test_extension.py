"""A new mask or noise model is one class in one file: form, flags and files follow."""

import filecmp
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import tifffile

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "napari_selfdenoise"

DRIVER = """
import contextlib, io, json, pathlib, sys
import napari_selfdenoise
from napari_selfdenoise import cli, load_model, save_model
from qtpy.QtWidgets import QApplication

folder, part, *settings = sys.argv[1:]
model = f"{folder}/cells.safetensors"

def selfdenoise(*arguments):
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        try:
            cli.main(arguments)
        except SystemExit as end:
            assert end.code == 0, arguments
    return said.getvalue()

help = selfdenoise("train", "--help")
calibrate = selfdenoise("calibrate", "--help")
selfdenoise(
    "train", f"{folder}/noisy.tif", "--model", model, *settings,
    "--steps", "2", "--network.width", "4", "--network.depth", "1",
    "--patch-size", "16", "--batch-size", "2", "--no-flips",
    "--device", "cpu", "--precision", "float32",
)
selfdenoise("predict", model, f"{folder}/noisy.tif", f"{folder}/denoised.tif")
trained = load_model(model)
again = load_model(save_model(trained, f"{folder}/again"))

application = QApplication([])
from napari_selfdenoise.plugin.denoise.controls import Controls

controls = Controls()
choice = controls.part(part)
choice.value = getattr(again.config, part)
json.dump(
    {
        "package": str(pathlib.Path(napari_selfdenoise.__file__).parent),
        "help": help,
        "calibrate": calibrate,
        "trained": getattr(trained.config, part).model_dump(),
        "again": getattr(again.config, part).model_dump(),
        "noise": sorted(again.channels[0].noise.state_dict()),
        "titles": [choice.combo.itemText(n) for n in range(choice.combo.count())],
        "rows": sorted(choice.page().editors),
        "shown": getattr(controls.config(), part).model_dump(),
    },
    sys.stdout,
)
"""


class Addition(NamedTuple):
    """An example of CONTRIBUTING, the file that it belongs in, and how to choose it."""

    number: int
    file: str
    part: str
    kind: str
    title: str
    settings: dict[str, int]


ADDITIONS = [
    Addition(
        0, "parts/masking/schemes.py", "masking", "lattice", "Lattice", {"spacing": 3}
    ),
    Addition(
        1, "parts/noise_models/models.py", "noise_model", "speckle", "Speckle", {}
    ),
]


def example(number):
    page = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    return re.findall(r"```python\n(.*?)```", page, re.DOTALL)[number]


def offered(page):
    """Kinds that the help of a verb lists, the last of each list."""
    return re.findall(r"\|(\w+)\]", "".join(page.split()))


def files_of(package):
    paths = (path for path in package.rglob("*") if path.is_file())
    found = {str(path.relative_to(package)) for path in paths}
    return {name for name in found if "__pycache__" not in name}


def extended(folder, addition):
    """Copy the package and append the example to one of its files."""
    copy = folder / "napari_selfdenoise"
    shutil.copytree(PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__"))
    with (copy / addition.file).open("a", encoding="utf-8") as file:
        file.write(f"\n\n{example(addition.number)}")
    return copy


def driven(folder, addition):
    """What a fresh interpreter reports that sees the copy instead of the package."""
    noisy = np.random.default_rng(0).poisson(50, (24, 24)).astype(np.uint16)
    tifffile.imwrite(folder / "noisy.tif", noisy)
    settings = [f"--{addition.part.replace('_', '-')}", addition.kind]
    for name, value in addition.settings.items():
        settings += [f"--{addition.part}.{name}", str(value)]
    command = [sys.executable, "-c", DRIVER, str(folder), addition.part, *settings]
    surroundings = os.environ | {
        "PYTHONPATH": str(folder),
        "QT_QPA_PLATFORM": "offscreen",
        "OMP_NUM_THREADS": "1",
    }
    done = subprocess.run(
        command, env=surroundings, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("addition", ADDITIONS, ids=lambda a: a.kind)
def test_an_addition_touches_one_file_and_is_found_everywhere(addition, tmp_path):
    copy = extended(tmp_path, addition)
    names = files_of(PACKAGE)
    assert files_of(copy) == names
    _, different, failed = filecmp.cmpfiles(PACKAGE, copy, names, shallow=False)
    assert different == [addition.file] and not failed

    report = driven(tmp_path, addition)
    assert report["package"] == str(copy)
    expected = {"kind": addition.kind, **addition.settings}
    # The command line: offered as a choice, its fields as flags, trained with.
    assert addition.kind in offered(report["help"])
    for name in addition.settings:
        assert f"--{addition.part}.{name} " in report["help"]
    is_noise = addition.part == "noise_model"
    assert (addition.kind in offered(report["calibrate"])) == is_noise
    assert report["trained"] == expected
    assert tifffile.imread(tmp_path / "denoised.tif").shape == (24, 24)
    # The model file: written and read twice, with its own weights.
    assert report["again"] == expected
    if is_noise:
        assert report["noise"] == ["log_constant", "log_share"]
    # The form: in the list by its title, with a row for each field.
    assert addition.title in report["titles"]
    assert report["rows"] == sorted(addition.settings)
    assert report["shown"] == expected
