"""Figures without a reference, compared with those that have one.

Resolution of one noisy image against the ring correlation of two frames, of public sets
with several frames of one field; SURE against the true error, after short trainings.

    python benchmarks/evaluation.py
    python benchmarks/evaluation.py --steps 100 --side 256 --seed 0
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from common import Pixels, describe_machine, image_of, print_table, read, say

from napari_selfdenoise import NoiseCurve, denoise, recipe, train
from napari_selfdenoise.evaluation import frc_resolution, resolution_steps
from napari_selfdenoise.evaluation.metrics import (
    crossing_period,
    fourier_ring_correlation,
)
from napari_selfdenoise.images import poisson_gaussian_stack
from napari_selfdenoise.long_work import run_to_end
from napari_selfdenoise.noise.calibration import fit_poisson_gaussian
from napari_selfdenoise.prediction import evaluate_model_steps

FRAMES = (
    "fmd/testmix_confocal_fish_raw4",
    "fmd/testmix_confocal_bpae_g_raw4",
    "fmd/testmix_twophoton_mice_raw4",
    "fmd/testmix_twophoton_bpae_r_raw4",
    "fmd/confocal_bpae_b_fov1_raw50",
    "fmd/testmix_widefield_bpae_g_raw4",
)
"""Frames of one static field; the last ones share noise between neighbours."""

HEADER = (
    "image",
    "estimator",
    "true RMSE",
    "SURE",
    "true gain, dB",
    "SURE",
    "bits",
    "period by a second frame, px",
    "without it",
)
ESTIMATORS = ("auto", "single_pass")


def resolutions() -> Iterator[tuple[str, ...]]:
    """Period in px by two frames and by one, of each set."""
    for name in FRAMES:
        frames = read(f"{name}.tif")[:4]
        pairs = itertools.combinations(frames, 2)
        two = np.median([frc_resolution(*pair) for pair in pairs])
        measured = [run_to_end(resolution_steps(image_of(f))) for f in frames]
        curve = _temporal_curve(frames)
        known = [run_to_end(resolution_steps(image_of(f), [curve])) for f in frames]
        parts = np.median([_subsampled(frame) for frame in frames])
        yield (
            name.partition("/")[2],
            f"{two:.2f}",
            _median(measured),
            _median(known),
            f"{parts:.2f}",
        )


def _median(found: list) -> str:
    values = [figure.value for figure in found if figure.value is not None]
    return f"{np.median(values):.2f}" if values else f"none: {found[0].reason}"


def _temporal_curve(frames: Pixels) -> NoiseCurve:
    """Noise by the scatter of each pixel over the frames."""
    mean = frames.mean(axis=0).ravel().astype(float)
    std = frames.std(axis=0, ddof=1).ravel().astype(float)
    a, b = fit_poisson_gaussian(mean, mean + std)
    return NoiseCurve.line(a, b, float(mean.min()), float(frames.max()), 0.1)


def _subsampled(frame: Pixels) -> float:
    """Period by two diagonal pairs of sub-sampled images, not calibrated."""
    a, b, c, d = (frame[y::2, x::2] for y, x in ((0, 0), (1, 1), (0, 1), (1, 0)))
    frequency, first = fourier_ring_correlation(a, b)
    _, second = fourier_ring_correlation(c, d)
    return 2 * crossing_period(frequency, (first + second) / 2)


def risks(steps: int, side: int, seed: int) -> Iterator[tuple[str, ...]]:
    """Error by SURE and against the truth, of each image and estimator."""
    for name, noisy, truth, second in _scenes(side):
        image = image_of(noisy)
        changes = {"steps": steps, "seed": seed, "network.width": 16}
        say(f"{name}: {steps} steps")
        model = train(image, recipe("fast").override(changes))
        for estimator in ESTIMATORS:
            config = model.config.override({"estimator": estimator})
            chosen = replace(model, config=config)
            result = denoise(image, chosen).denoised
            found = run_to_end(evaluate_model_steps(image, result, chosen))
            before, after = (_mse(x, truth) for x in (noisy, result.data))
            yield (
                name,
                estimator,
                f"{np.sqrt(after):.2f}",
                _text(found, "sure_rmse"),
                f"{10 * np.log10(before / after):.2f}",
                _text(found, "sure_gain_db"),
                _text(found, "held_out_bits"),
                f"{frc_resolution(result.data, second):.2f}",
                _text(found, "denoised_resolution_px"),
            )


def _scenes(side: int) -> Iterator[tuple[str, Pixels, Pixels, Pixels]]:
    """Noisy image, truth and a second noisy frame, (side, side) each."""
    part = slice(0, side), slice(0, side)
    noisy, truth = poisson_gaussian_stack(1, 512)
    frame, clean = (i.data.reshape(512, 512)[part] for i in (noisy, truth))
    rng = np.random.default_rng(1)  # noise as `poisson_gaussian_stack` has it
    second = 12 * rng.poisson((clean - 100) / 12) + 100
    second = second + rng.normal(0, 150**0.5, clean.shape)
    yield "synthetic cells", frame.astype(np.float32), clean, second
    fish = read("fmd/testmix_confocal_fish_raw4.tif")
    clean = read("fmd/testmix_confocal_fish_gt.tif")
    yield "confocal fish", fish[0][part], clean[part], fish[1][part]


def _mse(image: Pixels, truth: Pixels) -> float:
    return float(np.mean((image.astype(float) - truth) ** 2))


def _text(found, key: str) -> str:
    figure = found.figure(key)
    return figure.text if figure.value is not None else figure.reason


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--side", type=int, default=256)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", choices=("frames", "risks"))
    options = parser.parse_args()
    print(describe_machine(**vars(options)) + "\n")
    if options.only != "risks":
        header = ("frames", "two frames", "one", "one, known noise", "sub-sampled")
        print_table(header, resolutions())
        print()
    if options.only != "frames":
        print_table(HEADER, risks(options.steps, options.side, options.seed))


if __name__ == "__main__":
    main()
