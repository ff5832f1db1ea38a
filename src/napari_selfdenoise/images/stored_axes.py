"""Axes without a meaning, which file formats do not know: what they were before."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any
from xml.etree import ElementTree

from napari_selfdenoise.images.planes import UNNAMED_AXES

KEY = "selfdenoise_axes"
"""Name of the text in a file; other programs take no notice of it."""


def letters_changed(axes: str, stored: str) -> dict[str, str]:
    """Letter of each axis without a meaning, by the one that it has in a file.

    Formats know few kinds of axes: one of any images may be stored as time.

    Parameters
    ----------
    axes : str
        Of the image.
    stored : str
        The letter of each in the file.

    Examples
    --------
    >>> letters_changed("IYX", "TYX")
    {'T': 'I'}
    """
    pairs = zip(stored, axes, strict=True)
    return {there: own for there, own in pairs if there != own and own in UNNAMED_AXES}


def with_own_letters(stored: str, changed: Mapping[str, str]) -> str:
    """Axes of a file with the letters that they had in the image that was written.

    Parameters
    ----------
    stored : str
        As the file's format has them.
    changed : mapping of str to str
        From `letters_changed`; what does not fit changes nothing.
    """
    known = {axis: own for axis, own in changed.items() if own in tuple(UNNAMED_AXES)}
    letters = "".join(known.get(axis, axis) for axis in stored)
    return letters if len(set(letters)) == len(letters) else stored


def add_to_tiff(options: dict[str, Any], changed: Mapping[str, str]) -> None:
    """Add `letters_changed` to the options of tifffile's writer."""
    if changed and "ome" in options:
        options["metadata"]["MapAnnotation"] = {"Namespace": KEY, **changed}
    elif changed:
        pairs = (f"{there}:{own}" for there, own in changed.items())
        options["metadata"][KEY] = ",".join(pairs)


def of_tiff(tif: Any) -> dict[str, str]:
    """Letters that were written down in an open TIFF; none in those of others."""
    if tif.is_ome:
        return _of_ome(tif.ome_metadata)
    text = (tif.imagej_metadata or {}).get(KEY, "") if tif.is_imagej else ""
    pairs = (pair.split(":") for pair in str(text).split(","))
    return {pair[0]: pair[1] for pair in pairs if len(pair) == 2}


def of_zarr(attributes: Mapping[str, Any]) -> dict[str, str]:
    """Letters that were written down in a zarr; none in those of others."""
    found = attributes.get(KEY, {})
    return dict(found) if isinstance(found, Mapping) else {}


def _of_ome(text: str) -> dict[str, str]:
    if KEY not in text:
        return {}
    with suppress(ElementTree.ParseError):
        found = ElementTree.fromstring(text).iterfind(
            f".//{{*}}MapAnnotation[@Namespace='{KEY}']//{{*}}M"
        )
        return {one.get("K", ""): one.text or "" for one in found}
    return {}
