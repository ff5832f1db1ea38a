"""Why a file that was dropped cannot be opened here, and what to do."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from napari_selfdenoise.errors import RequestError

_MICROSCOPES = {
    ".czi": "Zeiss",
    ".dv": "DeltaVision",
    ".ims": "Imaris",
    ".lif": "Leica",
    ".nd2": "Nikon",
    ".oib": "Olympus",
    ".oif": "Olympus",
    ".oir": "Olympus",
    ".vsi": "Olympus",
    ".xlef": "Leica",
}
"""Files of microscopes by their suffix."""

_PICTURES = (".png", ".jpg", ".jpeg", ".gif", ".bmp", ".webp")


def refusal(path: Path, suffixes: Iterable[str]) -> RequestError:
    """Say why a file is not opened, and what to do.

    Parameters
    ----------
    path : Path
        What was dropped.
    suffixes : iterable of str
        Ends of the names of files that can be.
    """
    name, suffix = path.name, path.suffix.lower()
    if path.is_dir():
        return RequestError(
            f"{name} is a folder.", "Drop the image files that are in it."
        )
    if suffix in _MICROSCOPES:
        return RequestError(
            f"{name} is a {_MICROSCOPES[suffix]} file, which only other programs read.",
            "Save it as TIFF in Fiji, or open it in napari with a reader for such "
            "files, and choose its layer.",
        )
    if suffix in _PICTURES:
        return RequestError(
            f"{name} is a picture for the screen: its noise is no longer that of the "
            "camera.",
            "Drop the microscope's own file, saved as TIFF. Or drop it on the image "
            "area of napari, and choose its layer.",
        )
    known = ", ".join(dict.fromkeys(suffixes))
    return RequestError(
        f"{name} is no file that can be opened here ({known}).",
        "Save images as TIFF. What napari itself can open, drop on its image area.",
    )


def refusals(paths: list[Path], suffixes: Iterable[str]) -> RequestError:
    """Say it of one file, or of the first of several and how many more there are."""
    first = refusal(paths[0], suffixes)
    if len(paths) == 1:
        return first
    more = f"{len(paths) - 1} more cannot be opened either."
    return RequestError(f"{first.message} {more}", first.hint)
