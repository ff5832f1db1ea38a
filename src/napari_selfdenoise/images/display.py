"""How a file wants its pixels shown; for the files of results, which look the same."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, eq=False)
class Look:
    """How a file wants its pixels shown. It changes no pixel.

    Parameters
    ----------
    inverted : bool
        Whether zero is white ("white is zero", an inverting look-up table).
    tables : tuple of array
        Look-up tables of ImageJ, one a channel or one for all; each (3, 256) bytes.
    mode : str
        How ImageJ shows channels: "composite", "color" or "grayscale".
    function : mapping
        Calibration of ImageJ, by the keys of its text: `cf` (which function of pixel
        values), `c0`, `c1`… (coefficients), `vunit` (unit of its values); `xorigin`,
        `yorigin`, `zorigin` (where its lengths begin), `fps` and `loop` (how a movie
        is played).
    ranges : tuple of (float, float)
        Values that are shown as black and as white, in raw units: one pair a channel,
        or one for all; empty where they follow from the pixels.
    """

    inverted: bool = False
    tables: tuple[Any, ...] = ()
    mode: str = ""
    function: Mapping[str, Any] = field(default_factory=dict)
    ranges: tuple[tuple[float, float], ...] = ()

    def notes(self) -> tuple[str, ...]:
        """Sentences for the user; none where the file says nothing odd."""
        notes = []
        if self.inverted:
            notes.append(
                "High values are shown dark, as the file has an inverting look-up "
                "table. Results look the same; pixel values are as stored."
            )
        if "cf" in self.function:
            notes.append(
                "Pixel values are as stored in the file. ImageJ shows other ones, by a "
                "calibration function."
            )
        return tuple(notes)
