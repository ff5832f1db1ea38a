"""What can be blended: estimates of a tile by name, made of the network's views."""

from __future__ import annotations

import math

import torch.nn.functional as F
from torch import Tensor

from napari_selfdenoise.config import TrainingConfig
from napari_selfdenoise.prediction.posterior import PosteriorOfTile
from napari_selfdenoise.prediction.sure import OBSERVATION
from napari_selfdenoise.prediction.tile_views import Estimates, Inner
from napari_selfdenoise.prediction.views import Views

SINGLE_PASS, BLIND_MEAN, POSTERIOR_MEAN = "single pass", "blind mean", "posterior mean"

# Side in px of the box filter, which runs three times: a low-pass filter.
_BOX = 15

# How far that reaches, in px. Noise is averaged over some 700 pixels by it.
_LOW_PASS_RADIUS = 3 * (_BOX // 2)


def low_pass_radius(config: TrainingConfig) -> int:
    """Radius of the low-pass filter of estimates at the raw brightness, in pixels.

    Parameters
    ----------
    config : TrainingConfig
        Where it masks neighbours together, there are no such estimates.
    """
    return 0 if config.masking.correlated else _LOW_PASS_RADIUS


class Candidates:
    """Makes estimates of tiles, raw units, from what the network predicts.

    Parameters
    ----------
    posterior : PosteriorOfTile
        Of the plane.
    """

    def __init__(self, posterior: PosteriorOfTile) -> None:
        self.views, self.posterior = posterior.views, posterior
        self.config = self.views.config
        self._radius = low_pass_radius(self.config)

    @property
    def average(self) -> str:
        """Name of the average of all views."""
        count = len(self.views.turns)
        return f"average of {count} orientations" if count > 1 else SINGLE_PASS

    @property
    def at_raw_brightness(self) -> str:
        """Name of the average whose low frequencies are those of the observation."""
        return f"{self.average} at the raw brightness"

    @property
    def unmasked(self) -> tuple[str, ...]:
        """Names of the predictions from all pixels."""
        return SINGLE_PASS, self.average, self.at_raw_brightness

    @property
    def is_blind(self) -> bool:
        """Whether the network is blind to each pixel anyway."""
        alone = math.prod(self.config.masking.lattice) == 1
        return alone and not self.config.uses_own_value

    def widened(self, inner: Inner) -> Inner:
        """Return a tile's place in its padded pixels, wider by the filter's radius."""
        rows, columns = (
            slice(part.start - self._radius, part.stop + self._radius) for part in inner
        )
        return rows, columns

    def from_unmasked(self, views: Views, observed: Tensor) -> Estimates:
        """Estimates that every pixel of a tile went into.

        Parameters
        ----------
        views : Views
            Of the widened tile.
        observed : Tensor
            The observation there, (Y, X), raw units.

        Returns
        -------
        dict
            By name, of the tile as it was before it was widened, (Y, X).
        """
        invert = self.views.normalization.invert
        found = {SINGLE_PASS: invert(views.first)} | self._averaged(views)
        if self._radius:
            average = found[self.average]
            found[self.at_raw_brightness] = average + _low_pass(observed - average)
        found[OBSERVATION] = observed
        inner = slice(self._radius, -self._radius or None)
        return {
            name: values[inner, inner].cpu().numpy() for name, values in found.items()
        }

    def plain(self, views: Views) -> Estimates:
        """Only the average of all views of a tile, as it is, by name, (Y, X)."""
        found = self._averaged(views)
        return {name: values.cpu().numpy() for name, values in found.items()}

    def _averaged(self, views: Views) -> dict[str, Tensor]:
        """Average of all views, and the same before the blur, raw units."""
        invert = self.views.normalization.invert
        found = {self.average: invert(views.mean[0])}
        if self.views.channel.optics:
            found["deconvolved"] = invert(views.mean[-1])
        return found

    def from_masked(self, views: Views, observed: Tensor) -> Estimates:
        """Estimates whose context leaves each pixel out, by name, (Y, X).

        Parameters
        ----------
        views : Views
            Of the tile, each pixel masked.
        observed : Tensor
            The observation, (Y, X), raw units.
        """
        norm, found = self.views.normalization, {}
        if not self.is_blind:
            found[BLIND_MEAN] = norm.invert(views.mean[0])
        if self.config.signal.spreads:
            known = self.posterior.estimates(views.mean, norm.apply(observed))
            found[POSTERIOR_MEAN] = known["denoised"]
        return {name: values.cpu().numpy() for name, values in found.items()}


def _low_pass(values: Tensor) -> Tensor:
    """Low-pass values (Y, X): nearly by a Gaussian of 7.5 px.

    What lies within `_LOW_PASS_RADIUS` px of a border is not to be used.
    """
    smooth = values[None]
    for _ in range(3):
        smooth = F.avg_pool2d(smooth, (_BOX, 1), 1, (_BOX // 2, 0))
        smooth = F.avg_pool2d(smooth, (1, _BOX), 1, (0, _BOX // 2))
    return smooth[0]
