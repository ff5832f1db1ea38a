"""Settings that follow the image: decided once, before the training."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from napari_selfdenoise.config import TrainingConfig, why_not
from napari_selfdenoise.context import (
    Benefit,
    depth_axis,
    measure_benefit,
    plane_spacing,
    stack_axis,
)
from napari_selfdenoise.defects import CleanImage, went_through_jpeg
from napari_selfdenoise.noise import NoiseLevel, measure_level
from napari_selfdenoise.noise.correlation import (
    NoiseCorrelation,
    describe,
    measure_correlation,
    recommended_masking,
)
from napari_selfdenoise.parts.context import (
    ASSUMED_SPACING,
    MOST_OF_SCENE,
    AutomaticContext,
    Context,
    FullVolume,
    NeighbouringPlanes,
    NoContext,
)
from napari_selfdenoise.parts.estimators import BlindMean
from napari_selfdenoise.parts.masking import (
    LARGEST_BIN,
    AutomaticMask,
    BinMask,
    Masking,
)
from napari_selfdenoise.parts.networks import UNet
from napari_selfdenoise.training.patches import (
    planes_around,
    smallest_side,
)
from napari_selfdenoise.training.plane_reader import TrainingPlane
from napari_selfdenoise.training.training_data import TrainingData

Planes = Sequence[NDArray[np.float32]]
"""Observations (Y, X), raw units; NaN where nothing was recorded."""

PLANES_ALONE = "Each plane is denoised by itself"
"""How sentences begin that say why planes around are not used."""

LEAST_PLANES = 4
"""Planes in a row that a volume needs: with fewer, all are at its ends."""

_FRAMES = 8  # frames that are compared, at most
_FRAME_PIXELS = 2**24  # of all of them, at most
_FEW_FRAMES = 4  # of frames of so many pixels all together
_ENOUGH_PIXELS = 2**20


def resolve_masking(
    config: TrainingConfig,
    images: Sequence[CleanImage],
    channels: Sequence[Planes],
    measured: Sequence[NoiseCorrelation] = (),
) -> tuple[TrainingConfig, str]:
    """Return a config whose masking follows the noise's correlation, if automatic.

    Parameters
    ----------
    config : TrainingConfig
        As the user chose it.
    images : sequence of CleanImage
        What to train on.
    channels : sequence of sequence of ndarray
        Planes of each channel, each (Y, X), raw units.
    measured : sequence of NoiseCorrelation
        Of the channels, where it is known; otherwise it is measured.

    Returns
    -------
    TrainingConfig
        With a masking that is not automatic.
    str
        What was found, in a sentence or two; empty where nothing was measured.
    """
    if not isinstance(config.masking, AutomaticMask):
        return config, ""
    found = measured or [
        measure_correlation(*_best_view(images, number, planes))
        for number, planes in enumerate(channels)
        if planes
    ]
    bins = _may_bin(config, images)
    masking = recommended_masking(*found, bins=bins)
    if bins and not masking.correlated and _compressed(channels):
        return _with_masking(config, _OF_JPEG, _JPEG_FINDING)
    widest = max(found, key=lambda one: (one.extent_y + 1) * (one.extent_x + 1))
    return _with_masking(config, masking, describe(widest, masking))


def resolve_context(
    config: TrainingConfig, data: TrainingData
) -> tuple[TrainingConfig, str]:
    """Return a config whose context is along an axis that the images have, or none.

    Parameters
    ----------
    config : TrainingConfig
        As the user chose it.
    data : TrainingData
        What is learned from.

    Returns
    -------
    TrainingConfig
        With a context that is not automatic.
    str
        What was decided and why, in a sentence; empty where nothing was.
    """
    context = config.context
    if isinstance(context, NoContext):
        return config, ""
    if isinstance(context, FullVolume):
        return _volume(config, context, data)
    wanted = context.axis if isinstance(context, NeighbouringPlanes) else ""
    axis = stack_axis(data.images[0], wanted)
    if isinstance(context, AutomaticContext):
        return _measured_context(config, context, data)
    if not axis:
        text = f"{PLANES_ALONE}: the image is no stack."
        return _with_context(config, NoContext(), text)
    chosen = _neighbours(context, axis, data)
    found = [_benefit(planes, chosen) for planes in data.planes if planes]
    chosen = _with_useful_mean(chosen, context.still_planes, found)
    reason = next((one.reason for one in found if one.reason), "")
    though = f", though {reason}: better choose none" if reason else ""
    text = _together(chosen, measured=context.still_planes is None)
    return _with_context(config, chosen, f"{text}{though}.")


def _neighbours(
    context: NeighbouringPlanes | AutomaticContext, axis: str, data: TrainingData
) -> NeighbouringPlanes:
    """Neighbours along an axis, and as many planes of a still scene as are known."""
    mean = context.still_planes
    if mean is None:
        known = [data.images[0].sizes.get(axis, 1)]
        for planes in filter(None, data.planes):
            known.append(sum(one.place == planes[0].place for one in planes))
        mean = max(0, min(MOST_OF_SCENE, *(count - 1 for count in known)))
    return NeighbouringPlanes(
        planes=context.planes, motion=context.motion, axis=axis, still_planes=mean
    )


def _with_useful_mean(
    context: NeighbouringPlanes, wanted: int | None, measured: Sequence[Benefit]
) -> NeighbouringPlanes:
    """Neighbours and the mean of the scene, as far as they help, if not as wanted."""
    if wanted is not None:
        return context
    if not all(one.still for one in measured):
        return context.model_copy(update={"still_planes": 0})
    if all(one.mean_suffices for one in measured):
        # Planes that the mean holds already are inputs that only have to be unlearned.
        return context.model_copy(update={"planes": 1})
    return context


def _volume(
    config: TrainingConfig, context: FullVolume, data: TrainingData
) -> tuple[TrainingConfig, str]:
    """A config whose volumes are those of the images, or none where these are flat."""
    image = data.images[0]
    known = bool(context.axis)  # of a model to continue from: its network is what it is
    axis = depth_axis(image, context.axis)
    planes = data.volume_depth(context)
    if planes < LEAST_PLANES and not known:
        text = (
            f"{PLANES_ALONE}: a volume needs at least "
            f"{LEAST_PLANES} planes in a row that are not blank; there "
            f"{'is' if planes == 1 else 'are'} {planes}."
        )
        return _with_context(config, NoContext(), text)
    spacing = context.spacing or plane_spacing(image, axis)
    chosen = FullVolume(
        patch_planes=min(context.patch_planes, planes),
        spacing=spacing or ASSUMED_SPACING,
        axis=axis,
    )
    around = NeighbouringPlanes(planes=1, axis=axis)
    found = [_benefit(planes, around) for planes in data.planes if planes]
    reason = next((one.reason for one in found if one.reason), "")
    though = f", though {reason}: better choose none" if reason else ""
    text = f"Volumes along {axis} are predicted as a whole{though}. "
    return _with_context(config, chosen, text + _spacing_text(chosen, bool(spacing)))


def _spacing_text(context: FullVolume, known: bool) -> str:
    if known:
        return f"Planes are {context.spacing:.3g} pixel widths apart."
    return (
        f"Planes are taken to be {context.spacing:.3g} pixel widths apart, as the "
        "voxel size is not known: set the distance of planes if it is."
    )


def _measured_context(
    config: TrainingConfig,
    wanted: AutomaticContext,
    data: TrainingData,
) -> tuple[TrainingConfig, str]:
    """A config with a context, if the first image shows that it helps each channel."""
    single = not all(stack_axis(image) for image in data.images)
    if single or why_not(config, "context", "neighbours"):
        return _with_context(config, NoContext(), "")
    context = _neighbours(wanted, stack_axis(data.images[0]), data)
    found = [_benefit(planes, context) for planes in data.planes if planes]
    if reason := next((one.reason for one in found if one.reason), ""):
        text = f"{PLANES_ALONE}, as {reason}."
        return _with_context(config, NoContext(), text)
    context = _with_useful_mean(context, wanted.still_planes, found)
    gain = min(one.gain for one in found)
    together = _together(context, measured=wanted.still_planes is None)
    text = f"{together}: a simple prediction of pixels is {gain:.1%} closer."
    return _with_context(config, context, text)


def _benefit(planes: Sequence[TrainingPlane], context: NeighbouringPlanes) -> Benefit:
    """What context adds in the first image of some planes of one channel."""
    place = planes[0].place
    around = planes_around(planes, context)[place]
    known = [one.plane for one in planes if one.place == place]
    return measure_benefit(around, sorted(known, key=around.sequence))


def _together(context: NeighbouringPlanes, measured: bool) -> str:
    mean, count = "", context.still_planes
    if count and measured:
        mean = f", and with the mean of {count} around it, as the scene stands still"
    elif count:
        mean = f", and with the mean of up to {count} around it"
    return (
        f"Each plane is predicted together with {context.planes} before and after it, "
        f"along {context.axis}{mean}"
    )


def _with_context(
    config: TrainingConfig, context: Context, text: str
) -> tuple[TrainingConfig, str]:
    return config.model_copy(update={"context": context}), text


_OF_JPEG = BinMask(size=2)
"""Masking where JPEG has spread noise: bins of 3 px gave 0.5 to 1 dB less."""

_JPEG_FINDING = (
    "Some fine detail is lost, as bins of 2 × 2 px are masked: the image went through "
    "JPEG, which spreads noise over blocks. Save without compression."
)


def _compressed(channels: Sequence[Planes]) -> bool:
    return any(went_through_jpeg(planes) for planes in channels if planes)


def _may_bin(config: TrainingConfig, images: Sequence[CleanImage]) -> bool:
    """Whether what is chosen goes with bins, and the images are large enough."""
    side = min(min(image.plane_shape) for image in images)
    fits = side >= smallest_side(config.network.stride, LARGEST_BIN)
    return fits and why_not(config, "masking", BinMask().kind) is None


def resolve_width(config: TrainingConfig, pixels: int) -> tuple[TrainingConfig, str]:
    """Return a config whose network's width follows the amount of data, if it may.

    Parameters
    ----------
    config : TrainingConfig
        As the user chose it.
    pixels : int
        Of the channel that has the fewest, of those that are not empty.

    Returns
    -------
    TrainingConfig
        With a network that no longer scales.
    str
        What was decided, in a sentence; empty where nothing was.
    """
    network = config.network
    if not isinstance(network, UNet) or not network.scales:
        return config, ""
    chosen = network.scaled(pixels)
    text = (
        f"With {pixels / 1e6:.2g} million pixels to learn from, the network has "
        f"{chosen.width} channels."
    )
    return config.model_copy(update={"network": chosen}), text


def resolve_objective(
    config: TrainingConfig, channels: Sequence[Planes]
) -> tuple[TrainingConfig, tuple[NoiseLevel | None, ...], str]:
    """Choose squared error instead of SURE, where that would fail.

    It needs Gaussian noise of one strength, known to a few percent.

    Parameters
    ----------
    config : TrainingConfig
        Its masking does not follow the noise any more.
    channels : sequence of sequence of ndarray
        Planes of each channel, each (Y, X), raw units.

    Returns
    -------
    TrainingConfig
        With an objective that will do.
    tuple of NoiseLevel or None
        One a channel: its noise where SURE is to teach, else None.
    str
        What was decided and why, in a sentence; empty where nothing was.
    """
    none = (None,) * len(channels)
    if not config.uses_sure:
        return config, none, ""
    reason = _why_mask(config)
    measured = [] if reason else [measure_level(p) if p else None for p in channels]
    levels = tuple(level for level in measured if level is not None)
    reason = reason or _unlike(levels, sum(bool(planes) for planes in channels))
    if reason:
        squared = config.model_copy(update={"objective": "squared_error"})
        return squared, none, f"{reason[0].upper()}{reason[1:]}."
    stds = ", ".join(f"{level.std:.3g}" for level in levels)
    text = (
        f"Noise is equally strong everywhere (std {stds}), so the network soon learns "
        "from all pixels as they are (SURE)."
    )
    return config, tuple(measured), text


def _why_mask(config: TrainingConfig) -> str:
    """Reason to mask pixels, whatever the noise's strength; empty if there is none."""
    if config.network.blind:
        return "The network predicts each pixel from its surroundings only"
    if config.masking.correlated:
        return "Pixels are masked all through the training: neighbours share noise"
    if config.signal.spreads:
        return "Pixels are masked all through the training: the signal head asks for it"
    if config.estimator.masks_pixels:
        return "Pixels are masked all through the training: the estimator asks for it"
    return ""


def _unlike(levels: Sequence[NoiseLevel], channels: int) -> str:
    """Why noise that was measured is not simple in all channels; empty if it is."""
    if len(levels) < channels:
        return (
            "Too few pixels show noise to measure how strong it is; that is learned "
            "instead"
        )
    return next(filter(None, (level.why_not_simple() for level in levels)), "")


def _with_masking(
    config: TrainingConfig, masking: Masking, text: str
) -> tuple[TrainingConfig, str]:
    changes: dict[str, object] = {"masking": masking}
    if masking.correlated and config.estimator.fuses:
        # The posterior would count noise twice that the context holds already.
        changes["estimator"] = BlindMean()
        text += " So the pixel's own value is left out of the result (no posterior)."
    return config.model_copy(update=changes), text


def _best_view(
    images: Sequence[CleanImage], channel: int, planes: Planes
) -> tuple[Planes, bool]:
    """Planes to measure, and whether they follow each other in time.

    Differences between frames measure noise best, where the scene stands still.
    """
    image = images[0].image
    others = [
        axis for axis in image.axes if axis not in "CYX" and image.sizes[axis] > 1
    ]
    pixels = int(np.prod(image.plane_shape))
    count = max(_FEW_FRAMES, _ENOUGH_PIXELS // pixels)
    count = min(count, _FRAMES, _FRAME_PIXELS // pixels)
    if others != ["T"] or count < 2:
        return planes, False
    frames = (p for p in image.planes(channel) if not images[0].is_blank(p))
    chosen = itertools.islice(frames, count)
    return [images[0].read(plane).recorded for plane in chosen], True
