"""Figures of a result that need no reference, from the noisy image and the result."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence

import numpy as np

from napari_selfdenoise.defects import CleanImage
from napari_selfdenoise.errors import RequestError
from napari_selfdenoise.evaluation.figures import (
    HELD_OUT_BITS,
    NOISY_RESOLUTION,
    RESIDUAL_STD,
    STEIN_ERROR,
    STEIN_GAIN,
    Evaluation,
    Figure,
    mean_of,
)
from napari_selfdenoise.evaluation.metrics import roughness
from napari_selfdenoise.evaluation.residuals import (
    MOST_PLANES,
    ResidualPlane,
    require_pair,
    residual_planes,
)
from napari_selfdenoise.evaluation.single_image_frc import (
    measured_curve,
    noise_std_of,
    require_white,
    single_image_frc,
)
from napari_selfdenoise.images import Image, PlaneIndex
from napari_selfdenoise.long_work import STOP, Command
from napari_selfdenoise.parts.noise_models import NoiseCurve

_MOST_MISSING = 0.1
"""Share of the pixels that may be missing where detail is measured."""

_OF_MODEL = (STEIN_ERROR, STEIN_GAIN, HELD_OUT_BITS)
_NEEDS_MODEL = "This needs the model that made the result: two images are not enough."


def examine_steps(
    noisy: Image, denoised: Image, curves: Sequence[NoiseCurve] | None = None
) -> Generator[float, Command | None, Evaluation]:
    """Measure the figures that need no reference and no model.

    Parameters
    ----------
    noisy, denoised : Image
        With equally many planes of one size. Up to 16 planes are read.
    curves : sequence of NoiseCurve, optional
        Of the noise of each channel, raw units; by default it is measured in the image.

    Yields
    ------
    float
        Share that is done. Send `STOP` to end early.

    Returns
    -------
    Evaluation
        Resolution of the noisy image and residual over noise; what needs a model has
        no value, and says so.

    Raises
    ------
    RequestError
        If the images do not fit.
    """
    require_pair(noisy, denoised)
    resolution = yield from resolution_steps(noisy, curves)
    figures = [resolution, _residual_over_noise(noisy, denoised, curves)]
    yield 1.0
    figures += [Figure.missing(q, _NEEDS_MODEL) for q in _OF_MODEL]
    return Evaluation(tuple(figures), tuple(_notes(noisy, denoised)))


def resolution_steps(
    noisy: Image, curves: Sequence[NoiseCurve] | None = None
) -> Generator[float, Command | None, Figure]:
    """Measure the resolution of a noisy image, by the ring correlation of one image.

    Parameters
    ----------
    noisy : Image
        As it was recorded. Up to 16 planes are read.
    curves : sequence of NoiseCurve, optional
        Of the noise of each channel, raw units; by default it is measured in the image.

    Yields
    ------
    float
        Share that is done. Send `STOP` to end with the planes so far.

    Returns
    -------
    Figure
        Mean over the planes in pixels, or why it cannot be measured.
    """
    clean, values, reason = CleanImage(noisy), [], "All planes are blank."
    planes = _some_planes(noisy)
    for number, plane in enumerate(planes):
        if not clean.is_blank(plane):
            curve = curves[noisy.channel_of(plane)] if curves else None
            try:
                values.append(_resolution(clean, plane, curve))
            except RequestError as error:
                reason = str(error)
        if (yield 0.8 * (number + 1) / len(planes)) is STOP:
            break
    return mean_of(NOISY_RESOLUTION, values, "" if values else reason)


def _resolution(
    clean: CleanImage, plane: PlaneIndex, curve: NoiseCurve | None
) -> float:
    part = clean.read(plane)
    if (~part.good).mean() > _MOST_MISSING:
        raise RequestError(
            f"{(~part.good).mean():.0%} of the pixels are missing or outliers.",
            "Crop the image to what was recorded.",
        )
    require_white([part.pixels])
    return single_image_frc(part.pixels, noise_std_of(part.pixels, curve)).resolution_px


def _residual_over_noise(
    noisy: Image, denoised: Image, curves: Sequence[NoiseCurve] | None
) -> Figure:
    try:
        planes = residual_planes(noisy, denoised)
        ratios = [
            _ratio(plane, curves[plane.channel] if curves else None) for plane in planes
        ]
    except RequestError as error:
        return Figure.missing(RESIDUAL_STD, error)
    return mean_of(RESIDUAL_STD, ratios)


def _ratio(plane: ResidualPlane, curve: NoiseCurve | None) -> float:
    """Root mean squared residual over the noise std at its signal."""
    if curve is None:
        observed = np.where(plane.good, plane.residual, 0) + plane.denoised
        curve = measured_curve([observed.astype(np.float32)])
    scaled = plane.residual / np.maximum(plane.noise_std(curve), 1e-300)
    return float(np.sqrt(np.nanmean(scaled**2)))


def _notes(noisy: Image, denoised: Image) -> Iterator[str]:
    """What is odd about two files."""
    pairs = list(zip(_some_planes(noisy), _some_planes(denoised), strict=True))
    rough, empty = [], 0
    for source, target in pairs:
        before, after = noisy.read_plane(source), denoised.read_plane(target)
        rough.append(roughness(after) > roughness(before) > 0)
        empty += bool(np.isnan(after).all())
    if sum(rough) > len(pairs) / 2:
        yield (
            "The denoised image is noisier than the noisy one. Are the two files "
            "swapped?"
        )
    if empty:
        yield f"{empty} of {len(pairs)} planes that were read are not denoised."


def _some_planes(image: Image) -> list[PlaneIndex]:
    """At most 16 planes, evenly spaced."""
    planes = list(image.planes())
    return planes[:: -(-len(planes) // MOST_PLANES)]
