"""Write OME-Zarr 0.4 or 0.5: an image and smaller copies of it, for viewers."""

from __future__ import annotations

import itertools
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from napari_selfdenoise.errors import DenoisingError, RequestError
from napari_selfdenoise.images.atomic_write import require_folder
from napari_selfdenoise.images.formats.ome_zarr import is_zarr
from napari_selfdenoise.images.image import Image
from napari_selfdenoise.images.tiling import Tile
from napari_selfdenoise.images.whole_numbers import NOT_ROUNDED, rounded
from napari_selfdenoise.images.zarr_layout import Version, ZarrLayout, layout_of
from napari_selfdenoise.images.zarr_levels import CHUNK_PX, InImageOrder, ZarrLevels

SUFFIX = ".zarr"


def write_ome_zarr(
    image: Image,
    path: str | os.PathLike[str],
    *,
    version: Version = "0.5",
    overwrite: bool = True,
) -> Path:
    """Write an image block by block as OME-Zarr, with copies of half the size and less.

    Axes are brought to the order TCZYX; unnamed ones take the first free letter of T, Z
    and C, and have their own again when `read_image` reads the file.

    Parameters
    ----------
    image : Image
        Its type of pixels is kept.
    path : path
        Name of a folder, ending in .zarr, in a folder that is there.
    version : "0.4" or "0.5"
        Of OME-Zarr: 0.4 is zarr 2, 0.5 is zarr 3.
    overwrite : bool
        Whether a zarr of that name is replaced.

    Returns
    -------
    Path
        The folder written.

    Raises
    ------
    RequestError
        If the image has more than five axes or no pixels, or there is another file or
        folder of that name.
    DenoisingError
        If writing failed; no part of it is left.
    """
    path = Path(path)
    layout = layout_of(image)
    with _replacing_zarr(path, overwrite) as part:
        levels = ZarrLevels.create(part, layout, version)
        levels.write(image)
        levels.complete(image)
    return path


class ZarrWriter:
    """A float32 OME-Zarr filled bit by bit; see `ImageWriter`."""

    data: InImageOrder

    def __init__(self, path: Path, like: Image, *, overwrite: bool = True) -> None:
        float_layout(like)  # raises now what else would be raised later
        self._filling = _filling(path, like, overwrite)

    def __enter__(self) -> Self:
        self.data = self._filling.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        del self.data
        self._filling.__exit__(kind, error, trace)


@contextmanager
def _filling(path: Path, like: Image, overwrite: bool) -> Iterator[InImageOrder]:
    """Yield an array of zeros like an image, which is written once it is filled."""
    # Errors of who fills it are none of the file's, but for those of the disk.
    with _replacing_zarr(path, overwrite, (OSError,)) as part:
        levels = ZarrLevels.create(part, float_layout(like), "0.5")
        yield levels.pixels
        levels.complete(like)


class StartedZarr:
    """A float32 OME-Zarr that is filled in one run or in several.

    Until it is put in place, it is a hidden folder beside its own: a run that is killed
    leaves that one, and whoever reads `path` finds nothing, or what was there before.

    Parameters
    ----------
    path : Path
        Where it is to be, a name that ends in .zarr.
    like : Image
        Whose shape, axes, pixel size and units it takes.
    chunk : int
        Side of its chunks, in pixels.

    Raises
    ------
    RequestError
        If the name or the image cannot be written as an OME-Zarr.
    """

    def __init__(self, path: Path, like: Image, chunk: int = CHUNK_PX) -> None:
        _require_place(path, overwrite=True)
        self.path, self._like, self._chunk = path, like, chunk
        self._layout = float_layout(like)
        self.part = path.with_name(f".{path.name}.part")
        self._whole_numbers = path.with_name(f".{path.name}.rounded.part")

    @property
    def is_there(self) -> bool:
        """Whether an earlier run has left it unfinished."""
        return is_zarr(self.part) and not self.part.is_symlink()

    def begin(self) -> None:
        """Make it anew, all zero; what an earlier run has left goes.

        Raises
        ------
        DenoisingError
            If it cannot be written.
        """
        with writing_errors_as_sentences(self.path, (OSError,)):
            self.discard()
            self._levels = ZarrLevels.create(
                self.part, self._layout, "0.5", self._chunk
            )

    def go_on(self) -> None:
        """Open what an earlier run has left.

        Raises
        ------
        KeyError, OSError, ValueError
            If it is damaged.
        """
        if self.part.is_symlink():
            raise ValueError(f"{self.part} leads elsewhere")
        shutil.rmtree(self._whole_numbers, ignore_errors=True)
        self._levels = ZarrLevels.reopen(self.part, self._layout, "0.5")

    @property
    def data(self) -> InImageOrder:
        """Float32 with the shape and axis order of `like`, zero where not filled."""
        return self._levels.pixels

    def stored_bytes(self, tile: Tile) -> int:
        """Bytes of the files that hold a chunk; 0 where it was not written.

        Parameters
        ----------
        tile : Tile
            Chunk of a plane of `like`, behind an axis of samples or not.
        """
        files = self._files(tile)
        return sum(file.stat().st_size for file in files if file.is_file())

    def remove(self, tile: Tile) -> None:
        """Remove the files that hold a chunk: it is all zero again."""
        for file in self._files(tile):
            file.unlink(missing_ok=True)

    def _files(self, tile: Tile) -> list[Path]:
        """Files of a chunk, whether they are there or not."""
        side, rest = self._chunk, self._like.ndim - 2 - len(tile.plane)
        # An axis of samples comes first.
        outer = [range(n) for n in self._like.shape[:rest]]
        each = iter([*outer, *(range(at, at + 1) for at in tile.plane)])
        ends = {"Y": (tile.top, tile.bottom), "X": (tile.left, tile.right)}
        spans = [
            range(ends[axis][0] // side, -(-ends[axis][1] // side))
            if axis in ends
            else next(each)
            for axis in self._like.axes
        ]
        folder = self.part / "0" / "c"
        places = itertools.product(*(spans[axis] for axis in self._layout.order))
        return [folder.joinpath(*map(str, place)) for place in places]

    def complete(self, dtype: Any = None) -> tuple[str, ...]:
        """Make its smaller copies, and say what it holds, once all is filled.

        Parameters
        ----------
        dtype : dtype, optional
            Whole numbers that the values are rounded to; else they stay floats.

        Returns
        -------
        tuple of str
            That values were rounded, and what was clipped.
        """
        with writing_errors_as_sentences(self.path):
            if dtype is None:
                self._levels.complete(self._like)
                return ()
            made = rounded(self._like.with_data(self.data), dtype)
            if made.missing:
                self._levels.complete(self._like)
                return (NOT_ROUNDED,)
            folder = self._whole_numbers
            levels = ZarrLevels.create(folder, layout_of(made.image), "0.5")
            levels.write(made.image)
            levels.complete(made.image)
            return made.notes()

    def put_in_place(self) -> None:
        """Give it its name, once it is complete; what was there before is replaced."""
        made = self._whole_numbers if is_zarr(self._whole_numbers) else self.part
        old = self.path.with_name(f".{self.path.name}.{secrets.token_hex(4)}.old")
        with writing_errors_as_sentences(self.path):
            if is_zarr(made):  # else a run that was killed then has done so
                _put_in_place(made, self.path, old)
        shutil.rmtree(old, ignore_errors=True)
        self.discard()

    def written(self) -> InImageOrder:
        """What is in place, with the axis order of `like`."""
        return ZarrLevels.reopen(self.path, self._layout, "0.5").pixels

    def discard(self) -> None:
        """Remove what is there of it, but for what is in place."""
        for folder in (self.part, self._whole_numbers):
            if folder.is_symlink():  # what it leads to is none of this program's
                folder.unlink()
            shutil.rmtree(folder, ignore_errors=True)


def float_layout(like: Image) -> ZarrLayout:
    """The layout of 32-bit floats in place of an image's own values."""
    return replace(layout_of(like), dtype=np.dtype(np.float32))


@contextmanager
def _replacing_zarr(
    path: Path, overwrite: bool, errors: tuple[type[Exception], ...] = (Exception,)
) -> Iterator[Path]:
    """Yield a folder that becomes `path` if all goes well; else it goes."""
    _require_place(path, overwrite)
    token = secrets.token_hex(4)
    part = path.with_name(f".{path.name}.{token}.part")
    old = path.with_name(f".{path.name}.{token}.old")
    try:
        with writing_errors_as_sentences(path, errors):
            yield part
            _put_in_place(part, path, old)
    finally:
        for folder in (part, old):
            shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def writing_errors_as_sentences(
    path: Path, errors: tuple[type[Exception], ...] = (Exception,)
) -> Iterator[None]:
    """Turn errors of writing a zarr into a sentence that says what to try."""
    try:
        yield
    except (RequestError, DenoisingError):
        raise
    except errors as error:
        why = getattr(error, "strerror", None) or error
        raise DenoisingError(
            f"{path.name} could not be written: {why}.",
            "Check the free space and the rights of the folder, or choose another.",
        ) from error


def _put_in_place(part: Path, path: Path, old: Path) -> None:
    """Rename a new zarr; the one before stays if that fails."""
    if path.exists():
        path.rename(old)
    try:
        part.rename(path)
    except OSError:
        if old.exists():
            old.rename(path)
        raise


def _require_place(path: Path, overwrite: bool) -> None:
    require_folder(path)
    if path.suffix.lower() != SUFFIX:
        raise RequestError(
            f"{path.name} is no name of a zarr.", f"Name it {path.stem}.ome.zarr."
        )
    if path.exists() and not (overwrite and is_zarr(path)):
        raise RequestError(
            f"{path.name} is there already, and is "
            f"{'not replaced' if is_zarr(path) else 'no zarr'}.",
            "Choose another name.",
        )
