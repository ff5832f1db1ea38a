"""Resolution of a denoised image, confirmed by noise that the model was not given.

A denoised image is smooth, so ring correlation of it alone says nothing: neighbours
were predicted from each other. Here the noisy image is made into two whose noise is
independent: noise of the same strength, times a factor, is added to one; over the
factor, it is subtracted for the other. The model denoises the first, and the second
confirms it: what both share is signal. The correlation is brought to what it is with a
second frame of the usual noise, of a result that was denoised from slightly more of it.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from napari_selfdenoise.defects import CleanImage
from napari_selfdenoise.errors import RequestError
from napari_selfdenoise.evaluation import (
    DENOISED_RESOLUTION,
    Evaluation,
    ResidualPlane,
    confirmed_resolution,
    mean_of,
    raised_to_floor,
    require_white,
    residual_planes,
)
from napari_selfdenoise.images import Image
from napari_selfdenoise.long_work import STOP, Command
from napari_selfdenoise.model import TrainedModel
from napari_selfdenoise.parts.noise_models import NoiseCurve
from napari_selfdenoise.prediction.evaluated_planes import (
    crop,
    of_channel,
    predicted,
    require_same,
    some_planes,
)

Array = NDArray[np.float64]

FACTOR = 0.5
"""Of the noise that is added: the model gets a quarter more variance than there is."""

STOPPED = "It was stopped before this was measured."


def denoised_resolution_steps(
    noisy: Image,
    denoised: Image,
    model: TrainedModel,
    curves: Sequence[NoiseCurve] | None = None,
    *,
    device: str = "auto",
) -> Generator[float, Command | None, Evaluation]:
    """Measure the finest detail of a result that held-out noise confirms.

    Parameters
    ----------
    noisy, denoised : Image
        With equally many planes of one size.
    model : TrainedModel
        That made the denoised image of the noisy one.
    curves : sequence of NoiseCurve, optional
        Of the noise of each channel, raw units; the model's own by default.
    device : str
        Name of the device.

    Yields
    ------
    float
        Share that is done. Send `STOP` to end with the planes so far.

    Returns
    -------
    Evaluation
        The period in pixels.

    Raises
    ------
    RequestError
        If the images do not fit each other or the model, neighbours share noise, or the
        model makes something else of the noisy image.

    References
    ----------
    Pang et al. 2021 (two images with independent noise from one).
    """
    model.require_fits(noisy)
    if model.config.masking.correlated:
        raise RequestError(
            "The model takes neighbouring pixels to share noise, and this figure needs "
            "noise that they do not share.",
            "Compare with a second frame instead.",
        )
    planes = some_planes(noisy, denoised)
    values: list[float] = []
    for number, (source, target) in enumerate(planes):
        channel = noisy.channel_of(source)
        plane = _Plane(crop(noisy, source), crop(denoised, target))
        curve = (curves or model.noise_curves)[channel]
        for share in plane.steps(of_channel(model, channel), curve, device):
            if (yield (number + share) / len(planes)) is STOP:
                return _evaluation(values)
        values.append(plane.resolution)
    return _evaluation(values)


class _Plane:
    """One noisy plane, made into two and denoised once more."""

    def __init__(self, noisy: Image, denoised: Image) -> None:
        self.clean = CleanImage(noisy).read(())
        require_white([self.clean.pixels])
        self.noisy = noisy
        self.plane: ResidualPlane = residual_planes(noisy, denoised)[0]
        self.resolution = float("nan")

    def steps(
        self, model: TrainedModel, curve: NoiseCurve, device: str
    ) -> Iterator[float]:
        """Denoise one of two images; the other confirms it."""
        std = self.plane.noise_std(curve)
        usual = self.clean.pixels.astype(np.float64)
        std = raised_to_floor(std, usual)
        rng = np.random.default_rng(model.config.seed)
        added = np.where(self.clean.good, std * rng.normal(size=std.shape), 0)
        for share, result in predicted(self.noisy, FACTOR * added, model, device):
            yield share
            if result is not None:
                other = self.clean.pixels - added / FACTOR
                require_same(result, self.plane, std, FACTOR)
                result = np.where(np.isfinite(result), result, usual)
                self.resolution = confirmed_resolution(result, other, usual)


def _evaluation(values: Sequence[float]) -> Evaluation:
    return Evaluation(
        (mean_of(DENOISED_RESOLUTION, values, "" if values else STOPPED),)
    )
