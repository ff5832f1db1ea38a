"""Calibration: the variance line on real frames, and which noise model wins.

    python benchmarks/calibration.py [--only line ranking] [--scene slope frames]

Line: the 50 confocal frames of FMD (BPAE, blue), in 32 bins of equally many pixels of
like mean. The direct variance of a pixel is half the mean square of the differences of
consecutive frames; the variance over all frames also holds the slow drift of the stage.
Ranking: 24 frames simulated from a model of each kind, as fitted to those frames; the
kinds are fitted to three quarters of the pixels and compared by the others. The scene
is a slope over all signals, or the mean of the frames: nine tenths of that are
background, whose signals differ by little more than the error of a mean of 24 frames.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence

import numpy as np
from common import describe_machine, print_table, read
from numpy.typing import NDArray

from napari_selfdenoise import Image
from napari_selfdenoise.noise.calibration import COMPARED, calibrate, compare
from napari_selfdenoise.parts.noise_models import FittedNoise

Array = NDArray[np.float64]

STACK = "fmd/confocal_bpae_b_fov1_raw50.tif"
BINS = 32
SIDE, FRAMES = 256, 24  # of simulated frames


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parts = ("line", "ranking")
    parser.add_argument("--only", nargs="+", choices=parts, default=parts)
    scenes = ("slope", "frames")
    parser.add_argument("--scene", nargs="+", choices=scenes, default=["slope"])
    options = parser.parse_args()
    print(describe_machine(seed=0))
    stack = read(STACK)
    fits = [calibrate(Image(stack, "TYX"), config) for config in COMPARED]
    if "line" in options.only:
        header = ("noise model", "direct: worst", "mean", "over all frames: worst")
        print_table(header, _lines(stack.astype(float), fits))
    if "ranking" in options.only:
        kinds = [config.kind for config in COMPARED]
        for name in options.scene:
            header = (f"simulated from ({name})", *kinds, "best")
            print_table(header, _ranking(_scene(name, stack), fits))


def _lines(stack: Array, fits: Sequence[FittedNoise]) -> Iterator[Sequence[str]]:
    """Deviation of each curve's variance from the measured ones."""
    flat = stack.reshape(len(stack), -1)
    direct = (np.diff(flat, axis=0) ** 2).mean(0) / 2
    groups = np.array_split(np.argsort(flat.mean(0)), BINS)
    signal, near, far = (
        np.array([values[group].mean() for group in groups])
        for values in (flat.mean(0), direct, flat.var(0, ddof=1))
    )
    for fitted in fits:
        variance = fitted.curve.std_at(signal) ** 2
        error, other = variance / near - 1, variance / far - 1
        worst, last = (one[np.argmax(np.abs(one))] for one in (error, other))
        shown = (f"{100 * e:+.1f} %" for e in (worst, error.mean(), last))
        yield (fitted.kind, *shown)


def _scene(name: str, stack: Array) -> Array:
    """What simulated frames show, (Y, X)."""
    mean = stack.mean(0)[:SIDE, :SIDE].astype(float)
    if name == "frames":
        return mean
    return np.linspace(*np.percentile(mean, (0.1, 99.9)), SIDE) + np.zeros((SIDE, 1))


def _ranking(scene: Array, fits: Sequence[FittedNoise]) -> Iterator[Sequence[str]]:
    """Held-out bits of each kind on frames that are simulated from each."""
    for truth in fits:
        frames = simulated(truth, scene, FRAMES, np.random.default_rng(0))
        found = compare(Image(frames, "TYX", name=truth.kind))
        bits = (
            f"{row.bits:.4f} (+{row.behind:.4f} ± {row.error:.4f})"
            for row in found.rows
        )
        yield (truth.kind, *bits, found.best.kind)


def simulated(
    truth: FittedNoise, scene: Array, count: int, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Frames of a scene (Y, X) with the noise of a model, (count, Y, X), raw units."""
    at = truth.curve.at(np.tile(scene.ravel(), count))
    edges = at.weights.cumsum(1) / at.weights.sum(1, keepdims=True)
    which = (rng.random(len(edges))[:, None] > edges).sum(1, keepdims=True)
    which = np.minimum(which, at.weights.shape[1] - 1)
    mean, std = (np.take_along_axis(v, which, 1)[:, 0] for v in (at.means, at.stds))
    noisy = at.signal + mean + std * rng.standard_normal(len(mean))
    return noisy.reshape(count, *scene.shape).astype(np.float32)


if __name__ == "__main__":
    main()
