"""How true the predicted noise std is, where the noise is known.

    python benchmarks/noise_curve.py [--budget 60] [--recipes fast ollion]

Poisson-Gaussian: four frames of microscopy averages with variance 12 (s - 100) + 150.
Gaussian (std 40) and speckle (std 0.2 (s - 100) + 5): made here on the same averages.
The error is relative, between the 2nd and 98th percentile of the true signal.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence

import numpy as np
from common import describe_machine, print_table, read

from napari_selfdenoise import Image, recipe, train

Std = Callable[[np.ndarray], np.ndarray]

NOISES: dict[str, Std] = {
    "Poisson-Gaussian": lambda s: np.sqrt(12 * (s - 100) + 150),
    "Gaussian": lambda s: np.full_like(s, 40.0),
    "speckle": lambda s: 0.2 * (s - 100) + 5,
}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--budget", type=float, default=60)
    parser.add_argument("--recipes", nargs="+", default=["fast", "ollion"])
    parser.add_argument("--noises", nargs="+", choices=NOISES, default=list(NOISES))
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE")
    options = parser.parse_args()
    changes = dict(pair.split("=", 1) for pair in options.set)
    print(describe_machine(budget=f"{options.budget:g} s", seed=0, **changes))
    header = ("noise", "recipe", "lowest error", "highest error", "mean", "file agrees")
    print_table(
        header,
        (
            _row(noise, name, options.budget, changes)
            for noise in options.noises
            for name in options.recipes
        ),
    )


def _row(
    noise: str, name: str, budget: float, changes: dict[str, str]
) -> Sequence[str]:
    clean = read("synthetic/pg_clean.tif")
    noisy = _observe(noise, clean)
    config = recipe(name).override({"budget_s": budget, **changes})
    curve = train(Image(noisy, "TYX"), config).noise_curves[0]
    signal = np.linspace(*np.percentile(clean, (2, 98)), 100)
    error = np.interp(signal, curve.signal, curve.std) / NOISES[noise](signal) - 1
    same = np.array_equal(type(curve).from_json(curve.to_json()).std, curve.std)
    shown = [f"{100 * e:+.1f} %" for e in (error.min(), error.max(), error.mean())]
    return (noise, name, *shown, "yes" if same else "no")


def _observe(noise: str, clean: np.ndarray) -> np.ndarray:
    if noise == "Poisson-Gaussian":
        return read("synthetic/pg_noisy.tif")
    luck = np.random.default_rng(11).standard_normal(clean.shape)
    return np.rint(clean + NOISES[noise](clean) * luck).astype(np.float32)


if __name__ == "__main__":
    main()
