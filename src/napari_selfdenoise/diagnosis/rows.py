"""Rows of a diagnosis: what was found, what it means, what will be done."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from napari_selfdenoise.diagnosis.autocorrelogram import Autocorrelogram
from napari_selfdenoise.diagnosis.measurements import Measurements
from napari_selfdenoise.diagnosis.photon_transfer import PhotonTransfer
from napari_selfdenoise.images import UNNAMED_AXES, Image

_SLIGHT = 0.3
"""Correlation with the next pixel from which on it is no longer slight."""


@dataclass(frozen=True)
class Finding:
    """One row of the table "image: what was found, what it means, what will be done".

    Parameters
    ----------
    subject : str
        What it is about, such as "hot pixels".
    found, meaning, action : str
        A sentence or two each; an action may be empty.
    changes : mapping
        Settings that bring the action about, by dotted name; empty where nothing has to
        be set.
    """

    subject: str
    found: str
    meaning: str
    action: str = ""
    changes: Mapping[str, Any] = field(default_factory=dict)


def rows_of(image: Image, channel: int, known: Measurements) -> tuple[Finding, ...]:
    """Rows about an image, in the order of the table."""
    makers = (_frames, _noise, _light, _correlation, _clipping)
    rows = [axes_row(image, channel, known.sample.part)]
    if known.sample.planes:
        rows += [row for make in makers if (row := make(known)) is not None]
    others = (_greys, _outliers, _missing, _lines, _jpeg)
    rows += [row for make in others if (row := make(known)) is not None]
    return (*rows, _forecast(known))


def axes_row(image: Image, channel: int, part: str = "") -> Finding:
    """Row on how the axes are understood."""
    meaning, action = _meaning_of_axes(image)
    if image.channels > 1:
        action = f"{action} This is channel {channel + 1} of {image.channels}."
    if part:
        action = f"{action} Noise was measured in {part}."
    return Finding("axes", f"{_capital(image.describe())}.", meaning, action)


def _meaning_of_axes(image: Image) -> tuple[str, str]:
    if image.line_scan:
        return "Lines were scanned again and again.", "Rows are taken for time."
    if any(axis in UNNAMED_AXES for axis in image.axes):
        return (
            "Images along an axis without a name are taken for unrelated ones.",
            "Name the axis, if it is time or depth.",
        )
    if image.channels > 1:
        return "Each channel has noise of its own.", "One network a channel is trained."
    if image.plane_count > 1:
        return "All planes show the same kind of structure.", "One network is trained."
    return "One image is enough to learn from.", "One network is trained."


_KINDS = {
    "static": (
        "The {} frames looked at are replicates of a static scene.",
        "Differences between them are noise alone. It was measured on them.",
        "Calibrate a noise model from them, and average them for a reference.",
    ),
    "drifting": (
        "Consecutive frames show a static scene, which changes slowly.",
        "The lamp, the stage or the sample drifts, or it bleaches.",
        "Noise was measured on consecutive frames. Calibrate on few of them.",
    ),
    "moving": (
        "The scene moves or changes between frames.",
        "The frames are no replicates.",
        "Do not calibrate on these frames.",
    ),
    "unrelated": (
        "The planes show different scenes.",
        "The frames are no replicates.",
        "Noise was measured in each plane.",
    ),
}


def _frames(known: Measurements) -> Finding | None:
    if known.frames is None:
        return _copies(known)
    found, meaning, action = _KINDS[known.frames.kind]
    found = found.format(len(known.sample.planes))
    changed = f"{_percent(known.frames.changed)} of the blocks changed"
    drift = f"brightness changed by {known.frames.drift:.2g} noise stds"
    return Finding("frames", f"{found} At most {changed}; {drift}.", meaning, action)


def _copies(known: Measurements) -> Finding | None:
    """Frames that are one frame, stored again and again."""
    planes = known.sample.recorded if known.sample.sequence else []
    pairs = itertools.pairwise(planes)
    if len(planes) < 2 or not all(np.array_equal(*p, equal_nan=True) for p in pairs):
        return None
    return Finding(
        "frames",
        f"The {len(planes)} frames looked at are equal, pixel by pixel.",
        "They are copies of one frame, and hold its noise alone.",
        "Do not calibrate on these frames.",
    )


def _noise(known: Measurements) -> Finding | None:
    """How strong the noise is, and whether that differs."""
    transfer, level = known.transfer, known.level
    if transfer is None:
        return Finding(
            "noise level",
            "Too few pixels show noise to measure it.",
            "How strong the noise is, is not known before the training.",
            "It is learned.",
        )
    stds = transfer.variance_at(transfer.signal) ** 0.5
    low, high = float(stds[0]), float(stds[-1])
    found = f"Noise std {low:.3g} where it is dark to {high:.3g} where it is bright."
    if not transfer.grows:
        found = f"Noise std {low:.3g}."
    reason = level.why_not_simple() if level is not None else ""
    if level is not None and not reason:
        return Finding(
            "noise level",
            f"Noise std {level.std:.3g}.",
            "It is Gaussian and equally strong everywhere.",
            "The network soon learns from all pixels as they are (SURE).",
        )
    meaning = f"{_capital(reason)}." if reason else "It is not simple."
    return Finding("noise level", found, meaning, "How strong it is, is learned.")


def _light(known: Measurements) -> Finding | None:
    """The photon-transfer line."""
    line = known.transfer
    if line is None:
        return None
    if line.gain < -3 * line.gain_error:
        return Finding(
            "photon transfer",
            "Noise is weaker where the image is brighter.",
            "That is not how a camera counts light: the image may be inverted, or its "
            "brightest pixels cut off.",
            "The gain cannot be measured on this image.",
        )
    if not line.grows:
        return Finding(
            "photon transfer",
            "Noise does not grow with the signal.",
            "Counted light does not show: the camera's own noise is stronger, or the "
            "signal varies little.",
            "The gain cannot be measured on this image.",
        )
    low, high = line.offset
    found = (
        f"{line.gain:.3g} ± {_short(line.gain_error)} grey values per photo-electron, "
        f"from {line.source}. {_read_noise(line)}"
    )
    least = f"; at least {low:.4g}" if low < high else ""
    meaning = (
        f"Noise variance grows with the signal, as with light. The offset is a guess: "
        f"{high:.4g}, the darkest signal{least}."
    )
    return Finding("photon transfer", found, meaning, "Calibrate for certainty.")


def _read_noise(line: PhotonTransfer) -> str:
    if line.dark_variance <= 2 * line.dark_variance_error:
        return "Read noise is too weak to measure, or cut off."
    electrons = line.read_noise_electrons or 0.0
    return (
        f"Read noise at most {line.read_noise:.3g} ± {_short(line.read_noise_error)} "
        f"grey values ({electrons:.2g} electrons)."
    )


def _correlation(known: Measurements) -> Finding | None:
    found = known.autocorrelogram
    if found is None or known.correlation is None:
        return None
    masking = known.config.masking
    changes = {"masking": masking.model_dump(mode="json")} if masking.correlated else {}
    values = ", ".join(
        f"{found.next_pixel(name):+.2f} along {name}" for name in found.rho
    )
    text = f"Correlation at 1 px: {values} (± {found.error:.1g})."
    if not found.pixels:
        text = "No part of the image is flat enough to measure it."
    return Finding("correlation", text, _meaning_of(found), known.on_masking, changes)


def _meaning_of(found: Autocorrelogram) -> str:
    if not found.pixels:
        return "Whether neighbours share noise is not known."
    if found.shared:
        axes = " and ".join(
            f"along {one.axis} up to {one.reach} px "
            f"({'alike' if one.correlation > 0 else 'opposed'})"
            for one in found.shared
        )
        return f"Neighbours share noise {axes}."
    if found.weak:
        sign = "alike" if found.next_pixel(found.weak) > 0 else "opposed"
        if abs(found.next_pixel(found.weak)) > _SLIGHT:
            return (
                f"Neighbours along {found.weak} are {sign}: structure, it seems, and "
                "not noise."
            )
        return (
            f"Neighbours along {found.weak} are slightly {sign}: a little of "
            "the structure or of the noise."
        )
    return "Neighbours share no noise."


def _clipping(known: Measurements) -> Finding | None:
    clipped = known.clipping
    if clipped is None:
        return None
    if not clipped.low and not clipped.high:
        ends = f"Values from {clipped.lowest:g} to {clipped.highest:g}"
        found = f"{ends}; hardly any cut off, if at all."
        return Finding("clipping", found, "The noise is whole at both ends.")
    parts = []
    if clipped.low:
        parts.append(f"{_percent(clipped.low)} at the lowest value {clipped.lowest:g}")
    if clipped.high:
        parts.append(f"{_percent(clipped.high)} saturated at {clipped.highest:g}")
    return Finding(
        "clipping",
        f"Pixels are cut off: {', '.join(parts)}.",
        _harm(bool(clipped.low), bool(clipped.high)),
        _cure(bool(clipped.low), bool(clipped.high)),
    )


def _harm(low: bool, high: bool) -> str:
    parts = ["Dark regions come out too bright."] if low else []
    parts += ["Saturated regions come out too dark."] if high else []
    return " ".join([*parts, "Noise looks weaker there than it is."])


def _cure(low: bool, high: bool) -> str:
    parts = ["Raise the camera's offset."] if low else []
    parts += ["Expose less."] if high else []
    return " ".join(parts)


def _greys(known: Measurements) -> Finding | None:
    greys, line = known.greys, known.transfer
    if greys is None or line is None:
        return None
    # The line may be too low where dark values are cut off.
    std = max(float(line.variance_at(line.darkest)), float(line.variance[0])) ** 0.5
    clipped = known.clipping
    if clipped is not None and clipped.photons is not None:
        found = f"Single photons were counted, {clipped.photons:.2g} a pixel."
        return Finding("grey values", found, "The noise is that of light alone.")
    if not greys.step:
        return Finding("grey values", "Values are continuous.", "Nothing was rounded.")
    found = f"Steps of {greys.step:.3g}; noise std {std:.3g} where it is dark."
    if greys.step > 2 * std:
        return Finding(
            "grey values",
            found,
            "Steps are coarser than the noise: dark signals are lost between them.",
            "Save with more bits, or without scaling.",
        )
    return Finding("grey values", found, "Steps are fine enough to hold the noise.")


def _outliers(known: Measurements) -> Finding | None:
    share = known.losses.outliers
    if not known.sample.planes:
        return None
    if known.sample.planes[0].doubtful:
        return Finding(
            "hot pixels",
            "The image is too small to distinguish them from structure.",
            "Hot pixels may remain.",
        )
    if not share:
        return Finding("hot pixels", "None.", "No pixel sticks out by more than noise.")
    return Finding(
        "hot pixels",
        f"{_capital(_percent(share))} of the pixels are outliers.",
        "Hot, dead or hit by a cosmic ray: nothing can be learned from them.",
        "They are left out, and replaced from around.",
        {"outliers": "replace"},
    )


def _missing(known: Measurements) -> Finding | None:
    lost = known.losses
    parts = list(_lost_parts(known))
    if not parts:
        if lost.planes == 1:
            return Finding("not recorded", "None.", "All pixels hold a signal.")
        found = f"None in the {lost.planes} planes looked at."
        return Finding("not recorded", found, "All pixels of these hold a signal.")
    everything = lost.blank == lost.planes or not known.sample.planes
    return Finding(
        "not recorded",
        f"{_capital('; '.join(parts))}.",
        "There is nothing to learn from." if everything else "No signal is there.",
        "Choose an image that was exposed."
        if everything
        else "Left out, and kept as it is.",
    )


def _lost_parts(known: Measurements) -> Iterator[str]:
    lost = known.losses
    if lost.no_number:
        yield f"{_percent(lost.no_number)} of the pixels hold no number, or are masked"
    if lost.padding > 1e-5:
        yield f"{_percent(lost.padding)} of the pixels are padding of one value"
    if lost.blank:
        planes = (
            "the plane is"
            if lost.planes == 1
            else (f"{lost.blank} of {lost.planes} planes looked at are")
        )
        yield f"{planes} blank or saturated"


def _lines(known: Measurements) -> Finding | None:
    if not known.sample.planes:
        return None
    rows, columns = known.patterns.rows, known.patterns.columns
    if rows is None and columns is None:
        found = "None that are stronger than a twelfth of the noise."
        return Finding("line offsets", found, "Lines have no brightness of their own.")
    parts = [f"lines, std {rows.std:.3g}"] if rows else []
    parts += [f"columns, std {columns.std:.3g}"] if columns else []
    return Finding(
        "line offsets",
        f"Offsets of {' and of '.join(parts)}.",
        "Masking cannot take them away: a whole line shares its offset.",
        "They are measured and subtracted.",
        {"line_offsets": "subtract"},
    )


def _jpeg(known: Measurements) -> Finding | None:
    if not known.jpeg:
        return None
    return Finding(
        "compression",
        "The image went through JPEG.",
        "JPEG spreads noise over blocks of 8 × 8 px, and rounds it away.",
        "Save without compression.",
    )


def _forecast(known: Measurements) -> Finding:
    gain = known.forecast
    if gain is None:
        return Finding(
            "forecast",
            "No gain can be forecast.",
            "Too few pixels show noise, or there is none.",
        )
    found = f"{gain.gain_db:.1f} dB ({gain.low_db:.1f} to {gain.high_db:.1f})."
    meaning = (
        f"The error falls from {gain.noise_std:.3g} to about {gain.error_std:.3g} grey "
        "values."
    )
    action = "" if gain.gain_db >= 1 else "There is little to gain: the noise is weak."
    return Finding("forecast", found, meaning, action)


def _short(error: float) -> str:
    """An error with one digit, without an exponent where it is of usual size."""
    return f"{float(f'{error:.1g}'):g}"


def _capital(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}"


def _percent(share: float) -> str:
    percent = 100 * share
    if 0 < percent < 0.01:
        return "below 0.01 %"
    return f"{percent:.0f} %" if percent >= 10 else f"{percent:.2g} %"
