"""The noise of a plane, measured in a sample of it before errors are estimated."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from napari_selfdenoise.images import Tile
from napari_selfdenoise.noise import Differences, measure_level
from napari_selfdenoise.parts.noise_models import NoiseCurve
from napari_selfdenoise.prediction.blend_sample import SAMPLE_PIXELS
from napari_selfdenoise.prediction.image_noise import ImageNoise
from napari_selfdenoise.prediction.sure import measured_noise

# Noise by contrasts of residuals over that of flat blocks, at most. They agree but for
# what neighbours share, a few percent. Where fine structure fills the image, contrasts
# are too large: the result was worse than the input.
_ABOVE = 1.1


class SampleNoise:
    """Measures the noise of a plane.

    Parameters
    ----------
    noise : ImageNoise
        As the model, or a fit to the plane, has it.

    Attributes
    ----------
    curve : NoiseCurve
        As it was measured, raw units.
    is_measured : bool
        False where gaps left nothing to measure: the error cannot be estimated then.
    """

    def __init__(self, noise: ImageNoise) -> None:
        self.noise, self.views = noise, noise.views
        self.curve, self.is_measured = noise.curve, True

    def measure(self, sample: Sequence[Tile]) -> Iterator[float]:
        """Measure the noise of some tiles; yields the share that is done."""
        curve = self.noise.curve
        if self.views.config.uses_own_value:
            # After SURE, the network predicts masked pixels badly.
            self.curve = self._bounded(curve, sample, 1.0)
            return
        contrasts: list[Differences] = []
        for number, tile in enumerate(sample):
            contrasts += self.noise.block_contrasts(tile, SAMPLE_PIXELS // len(sample))
            yield (number + 1) / len(sample)
        found = measured_noise(contrasts, curve)
        # Where gaps leave no whole block, the noise is that of the model.
        self.is_measured = found is not curve or all(
            self.views.good(tile).all() for tile in sample
        )
        self.curve = self._bounded(found, sample, _ABOVE)

    def _bounded(
        self, curve: NoiseCurve, sample: Sequence[Tile], most: float
    ) -> NoiseCurve:
        """Return a noise curve, at most so many times what flat blocks have.

        That there is more in them than in the curve may be structure. Where neighbours
        are alike even in flat blocks, they may share noise or structure: then the most
        noise that there may be counts. With too little, most of the noise would be
        taken for structure and stay.
        """
        level = measure_level([self.views.recorded(tile) for tile in sample])
        if level is None:
            return curve
        if not level.white:
            return curve.scaled(max(1.0, level.longer / level.std))
        signal = np.array(level.signal, np.float32)
        ratio = np.minimum(most * np.array(level.by_signal) / curve.std_at(signal), 1)
        # Beyond the groups the curve keeps its shape.
        std = curve.std * np.interp(curve.signal, signal, ratio)
        return NoiseCurve.gaussian(curve.signal, std)
