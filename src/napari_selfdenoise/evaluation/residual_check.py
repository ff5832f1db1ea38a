"""The verdict on a residual, in words and figures."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_selfdenoise.evaluation.autocorrelation import (
    Autocorrelation,
    autocorrelation,
)
from napari_selfdenoise.evaluation.residuals import (
    ResidualPlane,
    residual_planes,
    scaled_planes,
)
from napari_selfdenoise.evaluation.structure import (
    SIZE,
    Structure,
    block_means,
    find_structure,
)
from napari_selfdenoise.images import Image
from napari_selfdenoise.long_work import run_to_end
from napari_selfdenoise.parts.noise_models import NoiseCurve

Array = NDArray[np.float64]

_BINS = np.linspace(-5, 5, 101)

_OPPOSITE = -0.15
"""Correlation of neighbours below which noise was copied into the result."""

_STRONGER = 1.1
"""Std over that of the noise model from which on more than noise was removed."""

_FEW_PIXELS = 2500

_NEAR = 0.03
"""Mean correlation one and two pixels away of structure; lines correlate by chance."""

_MENTIONED = 0.05
"""Share of the pixels that are left out from which on that is mentioned."""

_COARSE = 0.1
"""Share of the residual's variance in means of blocks: of noise, far below."""

_FOLLOWS = 0.5
"""Share of that which the signal explains, if the images differ in scale."""

_LEAST_BLOCKS = 8
_SHARE_IN_FLATS = 0.5
"""Share of the correlation that is found in flat regions too, if it is the noise's."""


@dataclass(frozen=True, eq=False)
class Histogram:
    """Residuals over their local std, counted.

    Parameters
    ----------
    edges : ndarray
        Of the bins, in stds, (101,).
    counts : ndarray
        Residuals in each bin, (100,); those beyond are in the outermost ones.
    std : float
        Of all; 1 where they are as strong as the noise model says.
    skewness : float
        Third moment over the cubed std: 0 for symmetric noise.
    """

    edges: Array
    counts: NDArray[np.int64]
    std: float
    skewness: float

    @classmethod
    def of(cls, values: Array) -> Histogram:
        """Count values (n,), in stds."""
        counts, edges = np.histogram(values, _BINS)
        std = float(values.std())
        centred = values - values.mean()
        return cls(
            edges, counts, std, float(np.mean(centred**3)) / max(std, 1e-300) ** 3
        )

    def shares(self) -> tuple[Array, Array]:
        """Centre of each bin in stds and its share of the pixels in %, (100,) each."""
        centre = (self.edges[:-1] + self.edges[1:]) / 2
        return centre, 100 * self.counts / max(1, self.counts.sum())

    def gaussian(self) -> tuple[Array, Array]:
        """The same of Gaussian noise of the same std, (100,) each."""
        centre = (self.edges[:-1] + self.edges[1:]) / 2
        std = self.std or np.nan
        density = np.exp(-((centre / std) ** 2) / 2) / (std * np.sqrt(2 * np.pi))
        return centre, 100 * density * np.diff(self.edges)


@dataclass(frozen=True, eq=False)
class ResidualCheck:
    """What a residual says of a denoising.

    Parameters
    ----------
    histogram : Histogram
        Of the standardised residuals.
    correlation : Autocorrelation
        Of neighbours, on average over the image.
    structure : Structure
        What differs between places.
    bias : float
        Mean residual, raw units: above zero, the result is too dark.
    rms : float
        Root mean squared residual, raw units.
    pixels, left_out : int
        Measured; and those that were read but are missing, outliers or clipped.
    planes, of : int
        Planes that were measured, and all.
    modelled : bool
        Whether residuals were standardised by a noise model.
    rescaled : bool
        Whether the residual is mostly a copy of the image, brighter or darker.
    """

    histogram: Histogram
    correlation: Autocorrelation
    structure: Structure
    bias: float
    rms: float
    pixels: int
    left_out: int
    planes: int
    of: int
    modelled: bool = False
    rescaled: bool = False

    @property
    def structure_left(self) -> bool | None:
        """Whether more than noise was removed; None where that cannot be judged."""
        if self.rescaled or self.structure.found or self._only_beside_flats():
            return True
        unclear = self._alike_everywhere() or self.pixels < _FEW_PIXELS
        return None if unclear else False

    def _alike_everywhere(self) -> bool:
        """Whether neighbours are alike, and nothing is flat to judge that by."""
        return self.structure.flat is None and bool(self.correlation.significant())

    @property
    def verdict(self) -> str:
        """Sentences on what the residual holds; the first one is the answer."""
        if self.rescaled:
            return (
                "The residual follows the brightness of the image: the denoised image "
                "has another scale, so nothing else can be judged."
            )
        sentences = [self._on_structure(), *self._on_correlation()]
        share = self.left_out / (self.pixels + self.left_out)
        if share > _MENTIONED:
            sentences.append(
                f"{share:.0%} of the pixels were left out: clipped, not recorded, or "
                "outliers."
            )
        if self.modelled and self.histogram.std > _STRONGER:
            sentences.append(
                f"The residual is {self.histogram.std - 1:.0%} stronger than the noise "
                "model says: more than noise was removed, or the model does not fit."
            )
        return " ".join(filter(None, sentences))

    def _only_beside_flats(self) -> list[str]:
        """Directions in which neighbours are alike, but not in flat regions."""
        flat = self.structure.flat
        if flat is None:
            return []
        alike = self.correlation.significant()
        near = {n: float(np.mean(self.correlation.rho[n][:2])) for n in alike}
        return [
            n for n in alike if near[n] > _NEAR and flat[n] < _SHARE_IN_FLATS * near[n]
        ]

    def _on_structure(self) -> str:
        most, edges = 0.0, self.structure.edges
        if self.structure.found:
            at_edges = edges.certain() if edges else {}
            places = self.structure.places.certain() if self.structure.places else {}
            shares = at_edges or places
            names = [name for name in shares if name != SIZE]
            where = "at edges" if at_edges else "in some places more than in others"
            most = max(shares.values())
        elif names := self._only_beside_flats():
            where = "but not in flat regions"
        elif self.pixels < _FEW_PIXELS:
            return "The image is too small to find structure in its residual."
        elif self._alike_everywhere():
            alike = _values(self.correlation.significant())
            return (
                "It cannot be judged whether structure is left. Neighbours are alike "
                f"{alike} in all places: correlated noise and fine texture do that."
            )
        else:
            return "No structure is left in the residual."
        share = f", about {most:.0%} of its variance there" if most else ""
        phrase = " ".join(filter(None, [_along(names), where]))
        return (
            f"Some structure is left in the residual: {phrase}{share}. Train longer, "
            "or with less smoothing."
        )

    def _on_correlation(self) -> list[str]:
        alike, sentences = self.correlation.significant(), []
        opposite = self.correlation.significant(-1)
        if alike and self.structure_left is False:
            sentences.append(
                f"The noise itself is correlated {_values(alike)}: in flat regions as "
                "well."
            )
        lowest = min((rho for rho, _ in opposite.values()), default=0.0)
        if lowest < _OPPOSITE:
            sentences.append(
                f"Neighbours in the residual are opposite ({lowest:.2f}): some noise "
                "is left in the denoised image."
            )
        return sentences

    def to_json(self) -> dict[str, Any]:
        """Plain values, for the command line."""
        parts = {"edges": self.structure.edges, "places": self.structure.places}
        return {
            "verdict": self.verdict,
            "structure_left": self.structure_left,
            "white": self.correlation.white,
            "bias": self.bias,
            "rms": self.rms,
            "std": self.histogram.std,
            "skewness": self.histogram.skewness,
            "histogram": {
                "edges": self.histogram.edges.tolist(),
                "counts": self.histogram.counts.tolist(),
            },
            "autocorrelation": {
                "rho": {k: list(v) for k, v in self.correlation.rho.items()},
                "error": {k: list(v) for k, v in self.correlation.error.items()},
            },
            "structure": {
                name: {"value": part.value, "error": part.error} if part else None
                for name, part in parts.items()
            },
            "pixels": self.pixels,
            "left_out": self.left_out,
            "planes": self.planes,
            "planes_of_image": self.of,
        }


def check_residual(
    noisy: Image, denoised: Image, curves: Sequence[NoiseCurve] | None = None
) -> ResidualCheck:
    """Check what a denoising has removed: noise alone, or structure as well.

    Parameters
    ----------
    noisy, denoised : Image
        With equally many planes of one size. Up to 16 planes are read.
    curves : sequence of NoiseCurve, optional
        Of the noise of each channel, raw units. Residuals are then compared with the
        noise; by default with each other, at like signal.

    Raises
    ------
    RequestError
        If the images do not fit, or nothing was removed.
    """
    return run_to_end(check_steps(noisy, denoised, curves))


def check_steps(
    noisy: Image, denoised: Image, curves: Sequence[NoiseCurve] | None = None
) -> Generator[float, object, ResidualCheck]:
    """Do as `check_residual`; yields between its parts the share that is done."""
    planes = residual_planes(noisy, denoised)
    yield 0.2
    scaled = list(scaled_planes(planes, curves))
    known = np.concatenate([values[np.isfinite(values)] for values in scaled])
    raw = np.concatenate([plane.residual[plane.good] for plane in planes])
    yield 0.3
    correlation = autocorrelation(scaled)
    yield 0.5
    structure = find_structure(planes, curves)
    yield 0.9
    return ResidualCheck(
        Histogram.of(known),
        correlation,
        structure,
        float(raw.mean()),
        float(np.sqrt(np.mean(raw**2))),
        len(raw),
        _left_out(planes),
        len(planes),
        noisy.plane_count,
        curves is not None,
        _follows_brightness(planes),
    )


def _left_out(planes: Sequence[ResidualPlane]) -> int:
    return sum(int((~plane.good).sum()) for plane in planes)


def _follows_brightness(planes: Sequence[ResidualPlane]) -> bool:
    """Whether means of residuals over 16 × 16 pixels follow those of the signal."""
    pairs = np.concatenate([_block_pairs(plane) for plane in planes], axis=1)
    residual, signal = pairs[:, np.isfinite(pairs).all(0)]
    if len(residual) < _LEAST_BLOCKS or not (residual.std() and signal.std()):
        return False
    total = np.concatenate([plane.residual[plane.good] for plane in planes]).var()
    alike = np.corrcoef(residual, signal)[0, 1] ** 2 > _FOLLOWS
    return bool(alike and residual.var() > _COARSE * total)


def _block_pairs(plane: ResidualPlane) -> Array:
    """Means of residual and signal in each block, (2, blocks)."""
    means = [
        block_means(values, plane.good) for values in (plane.residual, plane.denoised)
    ]
    return np.stack([mean.ravel() for mean in means])


def _values(alike: dict[str, tuple[float, int]]) -> str:
    """Such as "along x (0.31)"."""
    values = ", ".join(f"{rho:.2f}" for rho, _ in alike.values())
    return f"{_along(list(alike))} ({values})"


def _along(names: list[str]) -> str:
    """Such as "along x and y"; empty for no direction."""
    if not names:
        return ""
    if len(names) == 4:
        return "in all directions"
    *others, last = names
    return f"along {', '.join(others)} and {last}" if others else f"along {last}"
