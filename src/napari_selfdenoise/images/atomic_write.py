"""Files are written beside, then renamed: no half-written file stays."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from napari_selfdenoise.errors import RequestError


@contextmanager
def beside(path: Path) -> Iterator[Path]:
    """Give a name to write to that becomes `path` if all goes well, else disappears.

    Until then a file that was there stays as it is.

    Parameters
    ----------
    path : Path
        In a folder that is there; see `require_folder`.

    Yields
    ------
    Path
        A name in the same folder that no other writer has.

    Raises
    ------
    OSError
        If it cannot be renamed.
    """
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        yield part
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def require_folder(path: Path) -> None:
    """Refuse a file in a folder that is not there."""
    if not path.parent.is_dir():
        raise RequestError(
            f"The folder {path.parent} is not there.", "Make it, or choose another."
        )
