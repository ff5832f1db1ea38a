"""What is found of an image while it is denoised, in one run or in many."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from napari_selfdenoise.config import TrainingConfig
from napari_selfdenoise.defects import DefectCount, describe_defects
from napari_selfdenoise.images import Image, PlaneIndex
from napari_selfdenoise.parts.noise_models import NoiseCurve
from napari_selfdenoise.prediction.sure import Blend


@dataclass(eq=False)
class Findings:
    """What is found of some planes of an image, or of parts of them.

    Attributes
    ----------
    planes : set
        Which planes.
    curves : dict
        Noise of each plane, raw units.
    blends : dict
        What each plane's result is made of, where that was chosen.
    lacking : set
        Planes that lacked a channel that would have helped.
    blank : set
        Planes with nothing to denoise.
    doubtful : set
        Planes too small to distinguish outliers from structure.
    defects : DefectCount
        Pixels; planes are counted here.
    patterns : list of str
        Sentences on the offsets of lines.
    """

    planes: set[PlaneIndex] = field(default_factory=set)
    curves: dict[PlaneIndex, NoiseCurve] = field(default_factory=dict)
    blends: dict[PlaneIndex, Blend] = field(default_factory=dict)
    lacking: set[PlaneIndex] = field(default_factory=set)
    blank: set[PlaneIndex] = field(default_factory=set)
    doubtful: set[PlaneIndex] = field(default_factory=set)
    defects: DefectCount = field(default_factory=DefectCount)
    patterns: list[str] = field(default_factory=list)

    def add(self, other: Findings) -> None:
        """Take in what was found of other parts of the image."""
        self.planes |= other.planes
        self.curves |= other.curves
        self.blends |= other.blends
        self.lacking |= other.lacking
        self.blank |= other.blank
        self.doubtful |= other.doubtful
        self.defects += other.defects
        self.patterns = list(dict.fromkeys([*self.patterns, *other.patterns]))

    def noise_curves(
        self, image: Image, known: Sequence[NoiseCurve]
    ) -> tuple[NoiseCurve, ...]:
        """Noise of each channel: of its last plane, where it follows the image.

        Parameters
        ----------
        image : Image
            That was denoised.
        known : sequence of NoiseCurve
            The model's, one a channel.
        """
        found = list(known)
        for plane in sorted(self.curves):
            found[image.channel_of(plane)] = self.curves[plane]
        return tuple(found)

    def chosen(self) -> tuple[Blend, ...]:
        """Blends of the planes, in the order of the image."""
        return tuple(self.blends[plane] for plane in sorted(self.blends))

    def notes(self, config: TrainingConfig, more: Iterable[str]) -> tuple[str, ...]:
        """Sentences for the user on the image, and more of them."""
        count = replace(
            self.defects,
            planes=len(self.planes),
            blank=len(self.blank),
            doubtful=len(self.doubtful),
        )
        found = describe_defects(count, config.outliers)
        every = [found, *self.patterns, _without(len(self.lacking)), *more]
        return tuple(dict.fromkeys(filter(None, every)))


def _without(planes: int) -> str:
    """Note on planes that lacked a channel; empty where there are none."""
    if not planes:
        return ""
    return (
        f"{planes} {'plane' if planes == 1 else 'planes'} had to be predicted without "
        "a channel that would have helped. It is blank there, shares their noise, or "
        "is far brighter or darker than in the training."
    )
