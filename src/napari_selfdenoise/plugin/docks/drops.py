"""Messages about dropped files: which opened, which did not, and why."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from napari_selfdenoise.errors import RequestError

_MICROSCOPES = {
    ".dv": "DeltaVision",
    ".ims": "Imaris",
    ".oir": "Olympus",
    ".vsi": "Olympus",
    ".xlef": "Leica",
}
"""Files of microscopes by their suffix."""

_PICTURES = (".jpg", ".jpeg", ".gif", ".bmp", ".webp")


@dataclass
class FileWords:
    """Messages about the files that were opened last.

    Attributes
    ----------
    refused : dict of str
        Why some cannot be opened, by their names.
    opened : list of str
        Names of the layers that others became.
    notes : list of str
        Other sentences about them.
    """

    refused: dict[str, str] = field(default_factory=dict)
    opened: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def text(self) -> str:
        """All messages: which files opened and which did not, then why."""
        reasons = list(dict.fromkeys(self.refused.values()))
        if not reasons:  # layers speak for themselves
            return " ".join(self.notes)
        opened = [f"Opened: {', '.join(self.opened)}."] if self.opened else []
        others = [*opened, *self.notes]
        if len(self.refused) == 1 and not others:
            return reasons[0]
        short = f"Not opened: {', '.join(self.refused)}."
        return " ".join([short, *others, *reasons])


def refusal(path: Path, suffixes: Iterable[str]) -> RequestError:
    """Error that says why a file is not opened, and what to do.

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
            f"{name} is a folder, and no OME-Zarr.",
            "Drop the image files that are in it.",
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
    """Error about one file, or about the first of each kind, naming the others."""
    kinds: dict[tuple[str, bool], list[Path]] = {}
    for path in paths:
        kinds.setdefault((path.suffix.lower(), path.is_dir()), []).append(path)
    text = [refusal(first, suffixes) for first, *_ in kinds.values()]
    if len(paths) == 1:
        return text[0]
    others = [_others(alike) for alike in kinds.values()]
    pairs = zip(map(str, text), others, strict=True)
    return RequestError(" ".join(filter(None, itertools.chain(*pairs))))


def _others(alike: list[Path]) -> str:
    names = ", ".join(path.name for path in alike[1:])
    return f"Nor can {names} be opened." if names else ""
