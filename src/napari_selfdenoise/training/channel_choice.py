"""Whether channels are predicted together: decided once, before the training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from napari_selfdenoise.config import TrainingConfig, why_not
from napari_selfdenoise.context import (
    Benefit,
    OtherChannels,
    PlaneWaves,
    measure_benefit,
    pooled,
)
from napari_selfdenoise.images import Normalization, spread
from napari_selfdenoise.parts.channels import (
    Channels,
    IndependentChannels,
    JointChannels,
)
from napari_selfdenoise.training.patches import context_of
from napari_selfdenoise.training.plane_reader import TrainingPlane
from napari_selfdenoise.training.training_data import TrainingData

CHANNELS_ALONE = "Each channel is denoised by itself"
"""How sentences begin that say why other channels are not used."""

_MOST_IMAGES = 4  # whose channels are compared

_SAMPLED = 2**18  # pixels of a channel whose level and spread are measured, about


def resolve_channels(
    config: TrainingConfig, data: TrainingData
) -> tuple[TrainingConfig, str]:
    """Return a config whose channels are independent, or joint and measured.

    Parameters
    ----------
    config : TrainingConfig
        As the user chose it; its context is not automatic any more.
    data : TrainingData
        What is learned from.

    Returns
    -------
    TrainingConfig
        With channels that are not automatic.
    str
        What was decided and why, in a sentence; empty where nothing was.
    """
    channels = config.channels
    if isinstance(channels, IndependentChannels) or _is_measured(channels):
        return config, ""
    learned = [number for number, planes in enumerate(data.planes) if planes]
    if channels.measured and (len(learned) < 2 or why_not(config, "channels", "joint")):
        return _with_channels(config, IndependentChannels(), "")
    if len(learned) < 2:
        text = f"{CHANNELS_ALONE}: only one of them holds anything."
        text = text if data.channels > 1 else f"{CHANNELS_ALONE}: there is only one."
        return _with_channels(config, IndependentChannels(), text)
    joint = _measured(data)
    found = {n: _benefit(config, joint, data.planes[n]) for n in learned}
    if channels.measured:
        return _automatic(config, joint, found)
    doubts = _doubts(found)
    doubts = f"{doubts} Better choose automatic." if doubts else ""
    text = f"Each channel is predicted together with the others. {doubts}".strip()
    return _with_channels(config, joint, text)


def _is_measured(channels: Channels) -> bool:
    """Whether they are those of a model that the training goes on from."""
    return isinstance(channels, JointChannels) and bool(channels.scales)


def _measured(data: TrainingData) -> JointChannels:
    """All channels together, each at its level and spread."""
    found = [_level(planes) for planes in data.planes]
    ranges = [_range(planes) for planes in data.planes]
    return JointChannels(
        lows=tuple(low for low, _ in ranges),
        highs=tuple(high for _, high in ranges),
        offsets=tuple(one.offset if one else 0.0 for one in found),
        scales=tuple(one.scale if one else 0.0 for one in found),
        helped=tuple(number for number, one in enumerate(found) if one),
    )


def _level(planes: Sequence[TrainingPlane]) -> Normalization | None:
    """Level and spread of a channel; None where it is empty."""
    if not planes:
        return None
    each = max(1, _SAMPLED // len(planes))
    pixels = (one.clean.pixels[one.clean.good] for one in planes)
    return Normalization.measure(
        np.concatenate([some[:: max(1, len(some) // each)] for some in pixels])
    )


def _range(planes: Sequence[TrainingPlane]) -> tuple[float, float]:
    """How dark and how bright the blocks of a channel are."""
    found = [PlaneWaves.of(one.clean.recorded).range for one in planes]
    return min((low for low, _ in found), default=0.0), max(
        (high for _, high in found), default=0.0
    )


def _benefit(
    config: TrainingConfig, joint: JointChannels, planes: Sequence[TrainingPlane]
) -> Benefit:
    """What the other channels add in some images, beyond the planes around."""
    alone = config.model_copy(update={"channels": IndependentChannels()})
    find = context_of(planes, alone)
    firsts = list({id(one.image): one for one in reversed(planes)}.values())[::-1]
    found = []
    for first in spread(firsts, _MOST_IMAGES):
        others = OtherChannels(first.image, joint).at(*first.region)
        known = sorted(one.plane for one in planes if one.place == first.place)
        beyond = find(first) if find else None
        found.append(measure_benefit(others, known, beyond=beyond))
    return pooled(found)


def _automatic(
    config: TrainingConfig, joint: JointChannels, found: Mapping[int, Benefit]
) -> tuple[TrainingConfig, str]:
    """A config in which those channels are helped that the others help."""
    helped = tuple(number for number, one in found.items() if not _why_not(one))
    doubts = _doubts(found)
    if not helped:
        text = f"{CHANNELS_ALONE}. {doubts}"
        return _with_channels(config, IndependentChannels(), text)
    gains = ", ".join(f"{n + 1} ({found[n].gain:.1%} closer)" for n in helped)
    text = (
        "By a simple prediction of pixels, the other channels help to predict channel "
        f"{gains}. {doubts}"
    )
    chosen = joint.model_copy(update={"helped": helped})
    return _with_channels(config, chosen, text.strip())


def _doubts(found: Mapping[int, Benefit]) -> str:
    """Sentences on the channels that the others do not help."""
    by_reason: dict[str, list[str]] = {}
    for number, one in found.items():
        by_reason.setdefault(_why_not(one), []).append(str(number + 1))
    by_reason.pop("", None)
    return " ".join(
        f"Channel{'s' if len(numbers) > 1 else ''} {', '.join(numbers)}: {reason}."
        for reason, numbers in by_reason.items()
    )


def _why_not(found: Benefit) -> str:
    """Why the others do not help a channel; empty where they do."""
    if found.alone > _MOST_ALONE:
        return "the others are blank, or share its noise"
    return found.why_not("the others")


_MOST_ALONE = 0.5
"""Share of the planes without any other channel from which on none is used."""


def _with_channels(
    config: TrainingConfig, channels: Channels, text: str
) -> tuple[TrainingConfig, str]:
    return config.model_copy(update={"channels": channels}), text
