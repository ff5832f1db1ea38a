"""What this program does otherwise than the papers, and what each of it does.

    python benchmarks/deviations.py [--only training prior fits]

Each row takes one thing back to the way it was published; the rest stays as it is here.
PSNR on single frames of FMD data, by recipes with a narrow network and so many steps.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from common import describe_machine, print_table, read
from numpy.typing import NDArray
from papers import Pixels, changed, frame, same_signal
from torch import Tensor

from napari_selfdenoise import denoise
from napari_selfdenoise.evaluation import psnr
from napari_selfdenoise.noise import Residuals
from napari_selfdenoise.noise.calibration import calibrate, fit, fit_poisson_gaussian
from napari_selfdenoise.parts import networks
from napari_selfdenoise.parts.estimators import PosteriorMean
from napari_selfdenoise.parts.masking import RandomMask, schemes
from napari_selfdenoise.parts.masking.scheme import mask_from_index
from napari_selfdenoise.parts.noise_models import (
    GaussianMixtureNoise,
    HistogramNoise,
    NoiseCurve,
)
from napari_selfdenoise.training import (
    Schedule,
    curriculum,
    objectives,
    train,
)
from napari_selfdenoise.training import channel_trainer as trainer
from napari_selfdenoise.training.curriculum import Moment
from napari_selfdenoise.training.masked_prediction import MaskedPrediction

Row = tuple[object, ...]
Change = Callable[[], AbstractContextManager[object]]
Array = NDArray[np.float64]

FRAMES = ("confocal_fish", "twophoton_mice")


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", nargs="+", choices=SECTIONS, default=list(SECTIONS))
    options = parser.parse_args()
    print(describe_machine(seed=0))

    def rows() -> Iterator[Row]:
        for name in options.only:
            yield from SECTIONS[name]()

    print_table(("recipe", "as published", "measure", "here", "published"), rows())


# -- How networks are trained ----------------------------------------------------------


def training_rows() -> Iterator[Row]:
    """Masks, optimiser and network of `n2v`."""
    settings: dict[str, Any] = {
        "steps": 800,
        "masking__fraction": 0.0312,
        "masking__fill": "uniform",
        "learning_rate": 1e-3,
        "patch_size": 100,
    }
    here = [_trained(name, settings) for name in FRAMES]
    for title, change, other in _TAKEN_BACK:
        with change():
            found = [_trained(name, settings | other) for name in FRAMES]
        yield "n2v", title, "PSNR, fish; two-photon", _listed(here), _listed(found)


def _trained(name: str, settings: dict[str, Any]) -> float:
    noisy = frame(read(f"fmd/testmix_{name}_raw4.tif")[0])
    model = train(noisy, changed("n2v", **settings))
    clean = read(f"fmd/testmix_{name}_gt.tif")
    return psnr(denoise(noisy, model).denoised.data, clean, 255)


def _any_neighbour(patches: Tensor, hidden: Tensor, luck: torch.Generator) -> Tensor:
    """One of 24 neighbours, hidden or not."""
    shift = torch.randint(24, patches.shape, generator=luck)
    shift = shift + (shift >= 12)  # never the pixel itself
    height, width = patches.shape[-2:]
    y = torch.arange(height)[:, None] + shift // 5 - 2
    x = torch.arange(width) + shift % 5 - 2
    places = y.clamp(0, height - 1) * width + x.clamp(0, width - 1)
    return patches.flatten(2).gather(2, places.flatten(2)).view_as(patches)


def _one_in_each_box(
    self: RandomMask, batch: int, height: int, width: int, luck: torch.Generator
) -> Any:
    """One pixel at random in each box."""
    side = round(1 / math.sqrt(self.fraction))
    rows, columns = height // side, width // side
    within = torch.randint(side, (2, batch, rows, columns), generator=luck)
    y = torch.arange(rows)[:, None] * side + within[0]
    x = torch.arange(columns) * side + within[1]
    return mask_from_index((y * width + x).flatten(1), height, width)


def _constant_rate(self: Schedule, step: int) -> float:
    return self.peak * min(1.0, (step + 1) / 20)


_TAKEN_BACK: tuple[tuple[str, Change, dict[str, Any]], ...] = (
    (
        "fill from hidden neighbours too",
        lambda: patch.object(schemes, "uniform_fill", _any_neighbour),
        {},
    ),
    (
        "one target in each box",
        lambda: patch.object(RandomMask, "draw", _one_in_each_box),
        {},
    ),
    (
        "a constant rate",
        lambda: patch.object(Schedule, "learning_rate", _constant_rate),
        {},
    ),
    ("the last weights, not their average", nullcontext, {"ema_decay": 0.0}),
    (
        "gradients as they are",
        lambda: patch.object(trainer, "_LARGEST_GRADIENT", math.inf),
        {},
    ),
    ("plain ReLUs", lambda: patch.object(networks, "_SLOPE", 0.0), {}),
    ("patches not turned", nullcontext, {"augment": False}),
)


# -- The likelihood and the bootstrap --------------------------------------------------


def prior_rows() -> Iterator[Row]:
    """How mean and spread learn, and what a bootstrap takes for noise."""
    stack = read("fmd/confocal_bpae_b_fov1_raw50.tif").astype(np.uint8)
    clean = stack.mean(0).astype(np.float32)
    noisy = same_signal(stack, clean)
    here = _bootstrapped(noisy, clean)
    for title, change in _BOOTSTRAPPED:
        with change():
            found = _bootstrapped(noisy, clean)
        measure = "PSNR, posterior of BPAE with white noise"
        yield "ppn2v", title, measure, f"{here:.2f}", f"{found:.2f}"
    clean = read("w2s/train_fov001-020_ch0_avg400.tif")[:4]
    noise = np.random.default_rng(0).standard_normal(clean.shape)
    noisy = clean + np.sqrt(5 * (clean - clean.min()) + 144) * noise
    here = _joint(noisy, clean)
    with patch.object(curriculum, "_LIKELIHOOD", (Moment(0.0, 0),)):
        found = _joint(noisy, clean)
    measure = "PSNR, W2S with Poisson-Gaussian noise"
    yield (
        "ollion",
        "the likelihood from the start",
        measure,
        f"{here:.2f}",
        f"{found:.2f}",
    )


@contextmanager
def _mean_by_likelihood() -> Iterator[None]:
    """Squares until the first fit, then the likelihood alone."""
    with (
        patch.object(objectives.SquaredError, "loss", _squared),
        patch.object(objectives.Likelihood, "loss", _nll),
    ):
        yield


def _squared(_: Any, predicted: MaskedPrediction) -> Tensor:
    masked = predicted.masked
    return (masked.observation - masked.signal).square().mean()


def _nll(self: objectives.Likelihood, predicted: MaskedPrediction) -> Tensor:
    """Likelihood of the prior as it is: a mean without history is not held fast."""
    masked = predicted.masked._replace(signal=predicted.masked.signal.detach())
    return self.likelihood.of_spread(predicted._replace(masked=masked))


_BOOTSTRAPPED: tuple[tuple[str, Change], ...] = (
    (
        "residuals taken for noise as they are",
        lambda: patch.object(Residuals, "noise_share", lambda _, x: np.ones_like(x)),
    ),
    (
        "a single fit, at 20 % of the training",
        lambda: patch.object(curriculum, "_BOOTSTRAPS", (Moment(0.2, 200, 1.0),)),
    ),
    (
        "the likelihood teaches the mean too",
        _mean_by_likelihood,
    ),
)


def _bootstrapped(noisy: Pixels, clean: Pixels) -> float:
    config = changed(
        "fast",
        steps=800,
        objective="bootstrap",
        signal="gaussian",
        noise_model="gaussian_mixture",
        flips=False,
    )
    model = train(frame(noisy), config)
    result = denoise(frame(noisy), model, estimator=PosteriorMean())
    return psnr(result.denoised.data, clean, 255)


def _joint(noisy: Pixels, clean: Pixels) -> float:
    image = frame(noisy.astype(np.float32))
    config = changed("ollion", steps=600, masking="grid", network__growth=2)
    return psnr(denoise(image, train(image, config)).denoised.data, clean, 255)


# -- Fits of noise, with no network ----------------------------------------------------


def fit_rows() -> Iterator[Row]:
    """Poisson-Gaussian noise on known signals, of which all is known."""
    luck = np.random.default_rng(0)
    gain, dark = 12.0, 900.0
    signal = luck.gamma(2.0, 400.0, 2**19) + 100
    noisy = signal + np.sqrt(gain * signal + dark) * luck.standard_normal(2**19)
    here = fit_poisson_gaussian(signal, noisy)
    low, high = np.quantile(noisy, (0.02, 0.97))
    inside = (noisy >= low) & (noisy <= high)
    found = fit_poisson_gaussian(signal[inside], noisy[inside], cuts=(0.0, 1.0))
    yield (
        "khademi",
        "pixels cut by their observed value",
        f"a of {gain:g}, b of {dark:g}",
        _listed(here),
        _listed(found),
    )
    yield _half_bin(signal, noisy)
    yield _half_way(signal, noisy)


def _half_bin(signal: Array, noisy: Array) -> Row:
    """How far posterior means are off that know the noise and nothing else."""
    grid = np.linspace(150, 2500, 600)
    probes = np.linspace(600, 1500, 400)
    here = calibrate(_pair(noisy), HistogramNoise(), signal=_pair(signal)).curve
    true = _flat_prior(grid, probes, _normal(grid, probes))
    ours = _flat_prior(grid, probes, _density(here, grid, probes))
    theirs = _flat_prior(grid, probes, _counted(signal, noisy, grid, probes))
    return (
        "pn2v",
        "rows of the histogram read at their edges",
        "bias of a posterior mean, grey values",
        f"{np.mean(ours - true):+.1f}",
        f"{np.mean(theirs - true):+.1f}",
    )


def _normal(grid: Array, probes: Array) -> Array:
    variance = (12 * grid + 900)[:, None]
    squared = (probes - grid[:, None]) ** 2
    return np.asarray(np.exp(-0.5 * squared / variance) / np.sqrt(variance))


def _flat_prior(grid: Array, probes: Array, density: Array) -> Array:
    return np.asarray((grid @ density) / density.sum(axis=0))


def _counted(signal: Array, noisy: Array, grid: Array, probes: Array) -> Array:
    """Density (signals, observations): rows read as if counted at their lower edge."""
    low, high, bins = 0.0, 4096.0, 128
    counts = np.histogram2d(signal, noisy, bins, [(low, high)] * 2)[0] + 1e-30
    rows = counts / counts.sum(axis=1, keepdims=True)
    place = (grid - low) / (high - low) * bins
    row, part = place.astype(int), (place % 1)[:, None]
    between = (1 - part) * rows[row] + part * rows[row + 1]
    column = ((probes - low) / (high - low) * bins).astype(int)
    return np.asarray(between[:, column])


def _density(curve: NoiseCurve, grid: Array, probes: Array) -> Array:
    """Density of a noise curve, (signals, observations)."""
    rows = (curve.at(np.array([one])).density(probes - one)[:, 0] for one in grid)
    return np.stack(list(rows))


def _half_way(signal: Array, noisy: Array) -> Row:
    """The fit's last state, and that at half of it."""
    model = GaussianMixtureNoise()
    last = calibrate(_pair(noisy), model, signal=_pair(signal))
    with patch.object(fit, "_STEPS", fit._STEPS // 2):
        half = calibrate(_pair(noisy), model, signal=_pair(signal))
    return (
        "ppn2v",
        "the fit as it stood half-way",
        "bits per pixel",
        f"{last.bits_per_pixel:.4f}",
        f"{half.bits_per_pixel:.4f}",
    )


def _pair(values: Array) -> Any:
    return frame(values.astype(np.float32).reshape(512, 1024))


def _listed(values: Any) -> str:
    return " / ".join(f"{value:.2f}" for value in values)


SECTIONS = {"training": training_rows, "prior": prior_rows, "fits": fit_rows}


if __name__ == "__main__":
    main()
