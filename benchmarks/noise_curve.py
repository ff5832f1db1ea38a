"""How true the predicted noise std is, where the noise is known.

    python benchmarks/noise_curve.py [--steps 600 | --budget 120] [--device cuda]
        [--recipes fast ollion] [--noises "Poisson-Gaussian 25, 60"] [--psnr]

Noise is put on four noise-free microscopy averages, whose signal s begins at 100:
Poisson-Gaussian of variance `gain (s - 100) + read variance`, Gaussian (std 40), and
speckle (std 0.2 (s - 100) + 5). The error is relative, at percentiles of the true
signal; the last but one is the largest between the 2nd and the 98th.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from common import Pixels, describe_machine, print_table, read

from napari_selfdenoise import Image, denoise, recipe, train
from napari_selfdenoise.evaluation import psnr
from napari_selfdenoise.model import TrainedModel

Variance = Callable[[np.ndarray], np.ndarray]
PERCENTILES = (2, 5, 10, 25, 50, 75, 90, 98)
OFFSET = 100.0
LINES = ((5, 20), (12, 150), (25, 60), (40, 9))
"""Gain and read variance of the Poisson-Gaussian noises."""


def _line(gain: float, read_variance: float) -> Variance:
    return lambda light: gain * light + read_variance


NOISES: dict[str, Variance] = {
    **{f"Poisson-Gaussian {a}, {b}": _line(a, b) for a, b in LINES},
    "Gaussian": lambda light: np.full_like(light, 40.0**2),
    "speckle": lambda light: (0.2 * light + 5) ** 2,
}
"""Variance at a signal less the offset."""


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    effort = parser.add_mutually_exclusive_group()
    effort.add_argument("--budget", type=float, default=120, help="seconds")
    effort.add_argument("--steps", type=int, help="steps, however long they take")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--side", type=int, help="side of a cropped image, in px")
    parser.add_argument("--recipes", nargs="+", default=["fast", "ollion"])
    parser.add_argument("--noises", nargs="+", choices=NOISES, default=list(NOISES))
    parser.add_argument("--psnr", action="store_true", help="denoise, too")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE")
    options = parser.parse_args()
    changes: dict[str, Any] = {"seed": options.seed, "device": options.device}
    changes |= dict(pair.split("=", 1) for pair in options.set)
    # The number of steps decides alone: seconds do not count on a busy machine.
    steps = options.steps and {"steps": options.steps, "budget_s": None}
    changes |= steps or {"budget_s": options.budget}
    print(describe_machine(**changes), flush=True)
    ends = ("largest", "file agrees", *(["PSNR"] if options.psnr else []))
    percentiles = (f"{p} %" for p in PERCENTILES)
    print_table(
        ("noise", "recipe", *percentiles, *ends),
        (
            _row(noise, name, changes, options)
            for noise in options.noises
            for name in options.recipes
        ),
    )


def _row(
    noise: str, name: str, changes: dict[str, Any], options: argparse.Namespace
) -> Sequence[str]:
    """Errors of the curve of one training, in words."""
    clean = read("synthetic/pg_clean.tif")[:, : options.side, : options.side]
    image = Image(observe(noise, clean), "TYX")
    model = train(image, recipe(name).override(changes))
    curve = model.noise_curves[0]

    def error(signal: np.ndarray) -> np.ndarray:
        true = np.sqrt(NOISES[noise](signal - OFFSET))
        return np.asarray(np.interp(signal, curve.signal, curve.std) / true - 1)

    errors = error(np.percentile(clean, PERCENTILES))
    within = error(np.percentile(clean, np.linspace(2, 98, 193)))
    within = np.append(within, error(np.linspace(*np.percentile(clean, (2, 98)), 100)))
    largest = within[np.abs(within).argmax()]
    same = np.array_equal(type(curve).from_json(curve.to_json()).std, curve.std)
    shown = [f"{100 * e:+.1f} %" for e in (*errors, largest)]
    quality = [_psnr(model, image, clean)] if options.psnr else []
    return (noise, name, *shown, "yes" if same else "no", *quality)


def _psnr(model: TrainedModel, image: Image, clean: Pixels) -> str:
    """PSNR of the denoised frames in dB, over the range of each clean one."""
    denoised = denoise(image, model).denoised.data
    frames = zip(denoised.reshape(clean.shape), clean, strict=True)
    each = [psnr(one, true, float(np.ptp(true))) for one, true in frames]
    return f"{np.mean(each):.2f} dB"


def observe(noise: str, clean: Pixels) -> Pixels:
    """Put a noise on clean images, rounded as a camera's values are."""
    rng = np.random.default_rng(11)
    normal = rng.standard_normal(clean.shape)
    if noise in (f"Poisson-Gaussian {a}, {b}" for a, b in LINES):
        gain, variance = (float(n) for n in noise.split(maxsplit=1)[1].split(","))
        photons = rng.poisson((clean - OFFSET) / gain)
        noisy = OFFSET + gain * photons + np.sqrt(variance) * normal
    else:
        noisy = clean + np.sqrt(NOISES[noise](clean - OFFSET)) * normal
    return np.rint(noisy).astype(np.float32)


if __name__ == "__main__":
    main()
