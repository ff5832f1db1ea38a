"""Predictions of a tile that are kept, so that any pixel of it is answered at once."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from napari_selfdenoise.config import TrainingConfig
from napari_selfdenoise.defects import CleanPlane
from napari_selfdenoise.images import Normalization, Tile
from napari_selfdenoise.parts.noise_models import NoiseModule
from napari_selfdenoise.prediction.evidence import Kind, PixelEvidence
from napari_selfdenoise.prediction.pixel_curves import weighed
from napari_selfdenoise.prediction.posterior import prior_of

_NO_WIDTH = (
    "This model knows single values, not how sure they are, so it has no prior and no "
    "posterior. To see them, train with a recipe such as PN2V."
)
_SHARED = (
    "Neighbours share noise here, so the surroundings hold noise of the pixel: a "
    "posterior would count it twice, and there is none."
)
_NOT_BLIND = (
    "This model has learned to use each pixel's own value, so there is no prediction "
    "from the surroundings alone. To see one, train with a recipe such as PN2V."
)


def why_no_posterior(config: TrainingConfig) -> str:
    """Say why a model has no posterior, and what is needed; empty where it has one."""
    if config.uses_own_value:
        return _NOT_BLIND
    if not config.signal.spreads:
        return _NO_WIDTH
    return _SHARED if config.masking.correlated else ""


@dataclass(frozen=True)
class Limits:
    """Lowest and highest value that a plane holds, where pixels are cut off there.

    Parameters
    ----------
    low, high : float
        Raw units; infinite where nothing is cut off.
    """

    low: float = -np.inf
    high: float = np.inf


@dataclass(frozen=True, eq=False)
class PlaneNoise:
    """Noise of a plane as its tiles keep it, on the CPU.

    Parameters
    ----------
    module : NoiseModule
        Normalised.
    temperature : float
        As in `ImageNoise`.
    limits : Limits
        Between which values are not cut off.
    """

    module: NoiseModule
    temperature: float = 1.0
    limits: Limits = Limits()


@dataclass(frozen=True, eq=False)
class ProbedTile:
    """What is predicted of a tile, on the CPU.

    Parameters
    ----------
    tile : Tile
        Which one.
    config : TrainingConfig
        Of the model.
    normalization : Normalization
        Of the tile's channel.
    noise : PlaneNoise
        Of its plane.
    raw : ndarray
        The image, (Y, X), raw units.
    clean : CleanPlane
        The same without its defects.
    outputs : Tensor or None
        Of the network, (C, Y, X), normalised; None where there is nothing to denoise.
    denoised : ndarray or None
        What the model's estimator gives, (Y, X), raw units; None where that is not
        known yet.
    final : bool
        Whether all orientations are averaged.
    """

    tile: Tile
    config: TrainingConfig
    normalization: Normalization
    noise: PlaneNoise
    raw: NDArray[np.float32]
    clean: CleanPlane
    outputs: Tensor | None = None
    denoised: NDArray[np.float32] | None = None
    final: bool = True

    @property
    def nbytes(self) -> int:
        """Memory that it takes, about."""
        outputs = self.outputs
        return 4 * self.raw.size * (4 + (0 if outputs is None else len(outputs)))

    def evidence(self, row: int, column: int) -> PixelEvidence:
        """Weigh prior and observation of a pixel, by its place in the image."""
        place = row - self.tile.top, column - self.tile.left
        kind, raw = self._kind(*place), float(self.raw[place])
        observed = kind in ("observed", "saturated", "cut off")
        known = PixelEvidence(
            self.tile.plane,
            row,
            column,
            kind,
            raw,
            float(self.clean.pixels[place]) if observed else np.nan,
            self._estimate(kind, raw, *place),
            final=self.final,
        )
        if self.outputs is None:
            return known
        return self._weighed(known, self.outputs[:, place[0], place[1]])

    def _weighed(self, known: PixelEvidence, outputs: Tensor) -> PixelEvidence:
        """Evidence of a pixel with what its outputs (C,) say."""
        noise, prior = self.noise, None
        reason = why_no_posterior(self.config)
        known = replace(known, reason=reason)
        if not self.config.uses_own_value:
            prior = prior_of(
                outputs[None], self.config, noise.module, noise.temperature
            )
        return weighed(known, prior, noise.module, self.normalization)

    def _kind(self, row: int, column: int) -> Kind:
        """What was recorded at a pixel of the tile."""
        place, limits = (row, column), self.noise.limits
        if self.outputs is None:
            return "blank"
        if self.clean.missing[place]:
            return "missing"
        if self.clean.outliers[place]:
            return "outlier"
        value = self.raw[place]
        if value >= limits.high:
            return "saturated"
        return "cut off" if value <= limits.low else "observed"

    def _estimate(self, kind: Kind, raw: float, row: int, column: int) -> float:
        """What the result shows at a pixel of the tile; NaN where not known yet."""
        kept = kind == "outlier" and self.config.outliers == "keep"
        if kept or kind in ("missing", "blank"):
            return raw
        return np.nan if self.denoised is None else float(self.denoised[row, column])
