"""Dirty images: outliers, padding, blank frames, fixed patterns, JPEG, few photons.

    python benchmarks/dirty.py [--steps 400] [--only hot_pixels jpeg] [--recipe fast]

Small synthetic images with their truth, most from `make_cases.py` in the folder
"cases" beside that of the benchmark data; the rest are made here from the same scene.
PSNR in dB with the range of the truth, over the pixels that have one: of the image, of
its best Gaussian blur (width chosen with the truth), of the result, and of the result
for the same image without the defect, where there is one. The last column is what the
user is told before the training. Seed 0, one thread. Images that are refused say so.
"""

from __future__ import annotations

import argparse
import importlib
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from common import data_path, describe_machine, print_table
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from napari_selfdenoise import (
    DenoisingError,
    Image,
    RequestError,
    denoise,
    read_image,
    recipe,
    train,
)

Pixels = NDArray[Any]

WIDTHS = (0.5, 0.7, 1.0, 1.3, 1.6, 2.0, 2.5, 3.0)


class Case(NamedTuple):
    """An image, its truth (NaN where there is none), and the same without defect."""

    image: Image
    truth: Pixels
    control: Image | None = None
    control_truth: Pixels | None = None


def main() -> None:
    """Print one row a case."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--recipe", default="fast")
    parser.add_argument("--only", nargs="+", choices=CASES, default=list(CASES))
    options = parser.parse_args()
    torch.set_num_threads(1)
    print(describe_machine(steps=options.steps, recipe=options.recipe, seed=0))
    header = ("case", "noisy", "best blur", "result", "control", "raw kept", "told")
    with tempfile.TemporaryDirectory() as folder:
        make = _case_folder() / "make_cases.py"
        subprocess.run([sys.executable, make, folder], check=True)
        rows = (_row(name, Path(folder), options) for name in options.only)
        print_table(header, rows)


def _case_folder() -> Path:
    folder = data_path("..") / "cases"
    sys.path.insert(0, str(folder))
    return folder


def _row(name: str, folder: Path, options: argparse.Namespace) -> list[str]:
    case = CASES[name](folder, name)
    raw = np.asarray(case.image.data).astype(np.float64)
    noisy, blur = _psnr(raw, case.truth), _best_blur(raw, case.truth)
    result, kept, told = _run(case.image, case.truth, options)
    control = "–"
    if case.control is not None:
        truth = case.truth if case.control_truth is None else case.control_truth
        control, _, _ = _run(case.control, truth, options)
    return [name, f"{noisy:.2f}", f"{blur:.2f}", result, control, kept, told]


def _run(
    image: Image, truth: Pixels, options: argparse.Namespace
) -> tuple[str, str, str]:
    """PSNR of the result, share of raw pixels in it, and what is told before."""
    try:
        config = recipe(options.recipe).override({"steps": options.steps})
        model = train(image, config)
        result = denoise(image, model)
    except (RequestError, DenoisingError) as error:
        return "refused", "–", str(error)
    shares = [getattr(blend, "raw_share", float("nan")) for blend in result.blends]
    kept = f"{100 * np.mean(shares):.0f} %" if shares else "–"
    found = _psnr(np.asarray(result.denoised.data, float), truth)
    return f"{found:.2f}", kept, model.provenance["finding"]


def _psnr(image: Pixels, truth: Pixels) -> float:
    known = np.isfinite(truth) & np.isfinite(image)
    span = truth[known].max() - truth[known].min()
    error = np.mean((image[known] - truth[known]) ** 2)
    return float(10 * np.log10(span**2 / error))


def _best_blur(image: Pixels, truth: Pixels) -> float:
    filled = np.nan_to_num(image, nan=float(np.nanmedian(image)))
    flat = (0,) * (image.ndim - 2)
    blurred = (gaussian_filter(filled, (*flat, width, width)) for width in WIDTHS)
    return max(_psnr(image, truth) for image in blurred)


# ---- The cases ----


def _made(folder: Path, name: str) -> Case:
    """A case of `make_cases.py`."""
    path = folder / f"{name}.tif"
    image = read_image(path if path.exists() else folder / f"{name}.ome.tif")
    truth = np.load(folder / f"{name}.truth.npy").astype(float)
    path = folder / f"{name}.control.tif"
    if not path.exists():
        return Case(image, truth)
    control = read_image(path)
    if control.shape != image.shape:  # registered: what all frames have in common
        return Case(image, truth, control, truth[:, 42:, :221])
    return Case(image, truth, control)


def _called_rgb(folder: Path, name: str) -> Case:
    """Camera frames that a writer tagged as RGB."""
    scene = importlib.import_module("scene")
    image = read_image(folder / f"{name}.tif")
    return Case(
        image, np.broadcast_to(100 + 32 * scene.scene(128, 160, 50), image.shape)
    )


def _camera(seed: int = 4, side: int = 256) -> tuple[Pixels, Pixels]:
    """Counts of a camera and their truth."""
    scene = importlib.import_module("scene")
    signal = scene.scene(side, side, seed)
    return scene.counts(scene.camera(8 * signal, seed=3)), 100 + 32 * signal


def _cosmic_rays(_: Path, __: str) -> Case:
    counts, truth = _camera()
    dirty = counts.copy()
    dirty[np.random.default_rng(0).random(dirty.shape) < 5e-4] = 65535
    return Case(Image(dirty, "YX"), truth, Image(counts, "YX"))


def _border(_: Path, __: str) -> Case:
    counts, truth = _camera()
    dirty, known = counts + np.uint16(33_000), truth + 33_000
    control = dirty.copy()
    for edge in (np.s_[:12], np.s_[-12:], np.s_[:, :12], np.s_[:, -12:]):
        dirty[edge], known[edge] = 0, np.nan
    return Case(Image(dirty, "YX"), known, Image(control, "YX"))


def _mosaic(_: Path, __: str) -> Case:
    counts, truth = _camera()
    dirty, known = counts.copy(), truth.copy()
    for place in (np.s_[:90, :140], np.s_[180:, 100:]):
        dirty[place], known[place] = 0, np.nan
    return Case(Image(dirty, "YX"), known, Image(counts, "YX"))


def _strip(_: Path, __: str) -> Case:
    scene = importlib.import_module("scene")
    signal = scene.scene(16, 4096, 7)
    counts = scene.counts(scene.camera(8 * signal, seed=3))
    return Case(Image(counts, "YX"), 100 + 32 * signal)


def _jpeg(_: Path, __: str) -> Case:
    import imagecodecs

    scene = importlib.import_module("scene")
    signal = scene.scene(256, 256, 9)
    counts = np.clip(0.55 * scene.camera(8 * signal, seed=3), 0, 255).astype(np.uint8)
    dirty = imagecodecs.jpeg8_decode(imagecodecs.jpeg8_encode(counts, level=85))
    return Case(Image(dirty, "YX"), 0.55 * (100 + 32 * signal), Image(counts, "YX"))


CASES: dict[str, Callable[[Path, str], Case]] = {
    "cosmic_rays": _cosmic_rays,
    "border": _border,
    "hot_pixels": _made,
    "hot_pixels_one": _made,
    "sparse_cells": _made,
    "strip": _strip,
    "column_offsets": _made,
    "line_offsets": _made,
    "jpeg": _jpeg,
    "mosaic": _mosaic,
    "registered": _made,
    "registered_nan": _made,
    "black_frames": _made,
    "clipped": _made,
    "photon_counting": _made,
    "flicker": _made,
    "empty_channel": _made,
    "called_rgb_3": _called_rgb,
    "called_rgb_4": _called_rgb,
    "range_plain": _made,
    "range_tiny": _made,
    "range_negative": _made,
    "range_high_offset": _made,
    "range_large": _made,
    "range_float16": _made,
}


if __name__ == "__main__":
    main()
