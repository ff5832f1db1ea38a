"""Files are written under another name, then renamed: no half-written file stays."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from napari_selfdenoise.errors import DenoisingError, RequestError


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary file name that becomes `path` if all goes well.

    Until then a file at `path` stays as it is. After an error, the temporary one goes.

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


@contextmanager
def saving(path: Path, what: str) -> Iterator[Path]:
    """Do as `replacing`, with a sentence for what goes wrong.

    Parameters
    ----------
    path : Path
        Where the file is to be.
    what : str
        What is written, such as "model".

    Raises
    ------
    RequestError
        If the folder is not there.
    DenoisingError
        If the file cannot be written.
    """
    require_folder(path)
    try:
        with replacing(path) as part:
            yield part
    except OSError as error:
        raise DenoisingError(
            f"The {what} could not be written to {path}: {error.strerror or error}.",
            "Choose a folder you may write to, on a disk with room.",
        ) from error


def require_folder(path: Path) -> None:
    """Raise a RequestError if the folder of a file is not there."""
    folder = path.parent
    if folder.is_file():
        raise RequestError(f"{folder} is a file, and no folder.", "Choose another.")
    if not folder.is_dir():
        raise RequestError(
            f"The folder {folder} is not there.", "Make it, or choose another."
        )


def require_no_folder(path: Path) -> None:
    """Raise a RequestError if there is a folder where a file is to be written."""
    with suppress(OSError):  # of names that are too long
        if path.is_dir():
            raise RequestError(
                f"{path} is a folder, and not a file.", "Choose another name."
            )


def reserve(file: IO[bytes], size: int) -> None:
    """Claim so many bytes of the disk for a file that will be mapped.

    It would else grow while it is written: where the disk is full by then, the system
    ends the process. Neither Windows nor macOS can do that.

    Raises
    ------
    OSError
        If the disk has no room.
    """
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(file.fileno(), 0, size)
