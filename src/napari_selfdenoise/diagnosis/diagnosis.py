"""The diagnosis of an image: a table of findings, numbers, and what to do."""

from __future__ import annotations

import time
from collections.abc import Generator
from dataclasses import dataclass
from typing import Any

from napari_selfdenoise.defects import rounding_notes
from napari_selfdenoise.diagnosis.autocorrelogram import Autocorrelogram
from napari_selfdenoise.diagnosis.forecast_gain import GainForecast
from napari_selfdenoise.diagnosis.frames import Frames
from napari_selfdenoise.diagnosis.measurements import Measurements, measure_steps
from napari_selfdenoise.diagnosis.photon_transfer import PhotonTransfer
from napari_selfdenoise.diagnosis.recommendations import (
    Recommendation,
    recommend,
    suited_recipe,
)
from napari_selfdenoise.diagnosis.rows import Finding, axes_row, rows_of
from napari_selfdenoise.errors import RequestError
from napari_selfdenoise.images import Image, require_denoisable
from napari_selfdenoise.long_work import run_to_end


@dataclass(frozen=True, eq=False)
class Diagnosis:
    """What one channel of an image is like, and what that asks for.

    Parameters
    ----------
    image : str
        Name of the image.
    channel : int
        Which one, from 0.
    findings : tuple of Finding
        Rows of the table.
    recommended : tuple of Recommendation
        Recipe, masking, noise model and time; empty where nothing can be learned.
    transfer : PhotonTransfer or None
        Noise variance against the signal; None where it could not be measured, as all
        below.
    autocorrelogram : Autocorrelogram or None
        How neighbours share noise.
    frames : Frames or None
        Whether planes are replicates of a static scene; None for a single plane.
    forecast : GainForecast or None
        What a training will gain.
    seconds : float
        How long it took.
    """

    image: str
    channel: int
    findings: tuple[Finding, ...]
    recommended: tuple[Recommendation, ...]
    transfer: PhotonTransfer | None
    autocorrelogram: Autocorrelogram | None
    frames: Frames | None
    forecast: GainForecast | None
    seconds: float

    def finding(self, subject: str) -> Finding | None:
        """The row about a subject, such as "hot pixels"; None where there is none."""
        return next((row for row in self.findings if row.subject == subject), None)

    @property
    def changes(self) -> dict[str, Any]:
        """All settings that rows and recommendations ask for, by dotted name.

        "recipe" is the recipe to start from; the others change it.
        """
        together: dict[str, Any] = {}
        for changes in (one.changes for one in self.recommended):
            together |= changes
        for changes in (row.changes for row in self.findings):
            together |= changes
        return together


Diagnosing = Generator[float, object, Diagnosis | None]
"""Yields the share that is done; ends with None once anything is sent to it."""


def diagnose_steps(image: Image, channel: int = 0) -> Diagnosing:
    """Diagnose one channel of an image, without training and without a reference.

    Some planes are read, and a square of large ones: a second or two, whatever the
    size.

    Parameters
    ----------
    image : Image
        As it was recorded.
    channel : int
        Which channel, from 0.

    Yields
    ------
    float
        Share that is done. Send anything to end it.

    Returns
    -------
    Diagnosis
        Or None, where it was ended early.

    Raises
    ------
    RequestError
        If the image is no measurement, such as RGB or true/false values, or has no such
        channel.
    """
    began = time.perf_counter()
    _require(image, channel)
    rounding, hopeless = _rounding(image)
    if hopeless:
        return _unmeasured(image, channel, rounding)
    measuring = measure_steps(image, channel, suited_recipe(image))
    while True:
        try:
            share = next(measuring)
        except StopIteration as end:
            known: Measurements = end.value
            break
        if (yield share) is not None:
            return None
    return Diagnosis(
        image.name,
        channel,
        (*rows_of(image, channel, known), *rounding),
        tuple(recommend(image, known)),
        known.transfer,
        known.autocorrelogram,
        known.frames,
        known.forecast,
        time.perf_counter() - began,
    )


def diagnose(image: Image, channel: int = 0) -> Diagnosis:
    """Run `diagnose_steps` to its end; see there."""
    found = run_to_end(diagnose_steps(image, channel))
    assert found is not None  # nobody stopped it
    return found


def _require(image: Image, channel: int) -> None:
    require_denoisable(image)
    if not 0 <= channel < image.channels:
        one = image.channels == 1
        raise RequestError(
            f"There is no channel {channel}: "
            f"{'the image has one' if one else f'there are {image.channels}'}.",
            "Leave it out." if one else f"Choose 0 to {image.channels - 1}.",
        )


def _rounding(image: Image) -> tuple[list[Finding], bool]:
    """What 32-bit floats lose, if anything; and whether that is all of the image."""
    try:
        notes = rounding_notes(image)
    except RequestError as error:
        row = Finding(
            "rounding", error.message, "Too little is left of it.", error.hint
        )
        return [row], True
    return [Finding("rounding", note, "Detail is lost.") for note in notes], False


def _unmeasured(image: Image, channel: int, rows: list[Finding]) -> Diagnosis:
    """Diagnosis of an image whose values cannot be computed with."""
    found = (axes_row(image, channel), *rows)
    return Diagnosis(image.name, channel, found, (), None, None, None, None, 0.0)
