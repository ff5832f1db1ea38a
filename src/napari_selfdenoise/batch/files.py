"""Files that are to be denoised, and the file that each result goes to."""

from __future__ import annotations

import glob
import re
import string
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from napari_selfdenoise.errors import RequestError
from napari_selfdenoise.images import FORMATS, file_stem, was_written_here

IMAGE_ENDINGS = (".tif", ".tiff", *(end for one in FORMATS for end in one.suffixes))
"""Ends of the names of files that are taken out of a folder, in lower case."""

NAME = "{name} denoised.tif"
"""Name of a result, if none is given."""

_FIELDS = ("name", "folder", "number")


Outputs = Callable[[Path], Iterable[Path]]
"""All files that are made of an image, from the name of its result."""


class Found(NamedTuple):
    """A file that was found.

    Parameters
    ----------
    path : Path
        Of it.
    folder : Path
        Where it lies below the folder that was given, or below what a pattern leaves
        open; empty for a file that was named.
    named : bool
        Whether it was named itself.
    """

    path: Path
    folder: Path = Path()
    named: bool = False

    def lies_in(self, results: Path) -> bool:
        """Whether it lies in a folder of results, below the folder looked through."""
        path, folder = self.path.absolute(), results.absolute()
        searched = path.parents[len(self.folder.parts)]
        return searched in folder.parents and path.is_relative_to(folder)


class Job(NamedTuple):
    """A file to denoise, and the file that the result goes to."""

    source: Path
    target: Path


def find_images(given: Sequence[str | Path], recursive: bool = False) -> list[Found]:
    """List the images that files, folders and patterns name, each once.

    Parameters
    ----------
    given : sequence of str or Path
        Files are taken whatever they are called; of folders and patterns those whose
        names end as those of images do. A folder that is an OME-Zarr is an image.
    recursive : bool
        Whether sub-folders of folders are looked through.

    Raises
    ------
    RequestError
        If a folder or a pattern names no image.
    """
    found: dict[Path, Found] = {}
    for one in given:
        images = list(_images_of(str(one), recursive))
        if not images:
            raise _nothing_found(str(one), recursive)
        found |= {image.path: image for image in images if image.path not in found}
    return list(found.values())


def find_jobs(
    given: Sequence[str | Path],
    target: Path,
    name: str = NAME,
    recursive: bool = False,
    outputs: Outputs = lambda target: [target],
) -> list[Job]:
    """List what is to be denoised, and where the results go: nothing is made yet.

    Results of earlier runs, which lie among the images, are no images to denoise: what
    has the name of a result, was written by this program, and was not named itself.

    Parameters
    ----------
    given : sequence of str or Path
        As of `find_images`.
    target : Path
        Folder of the results. Sub-folders are as they were.
    name : str
        Of each result: `{name}` stands for that of the image without its ending,
        `{folder}` for that of its folder, `{number}` for its number, from 1.
    recursive : bool
        As of `find_images`.
    outputs : callable
        All files that are made of an image, from the name of its result.

    Raises
    ------
    RequestError
        If there is no image, the name cannot be made, or two results have one name.
    """
    require_name(name)
    images = find_images(given, recursive)
    images = [one for one in images if not one.lies_in(target)]
    jobs = _named(images, target, name)
    made = {file.resolve() for job in jobs for file in outputs(job.target)}
    left = [one for one in images if not _is_result(one, made)]
    if len(left) < len(images):
        jobs = _named(left, target, name)
    if not jobs:
        raise only_results()
    _require_different(jobs, outputs)
    return jobs


def require_name(name: str) -> None:
    """Refuse a name of results that cannot be made.

    Raises
    ------
    RequestError
        If a field is not known, or it does not end as an image that can be written.
    """
    parts = name.replace("\\", "/").split("/")
    fine = _fields_are_known(name) and ".." not in parts and "\0" not in name
    if not fine or not re.search(r"\.(tiff?|zarr)$", name, re.IGNORECASE):
        raise RequestError(
            f"{name!r} cannot be the name of results.",
            f'Give one such as "{NAME}", made of text and '
            f"{', '.join(f'{{{field}}}' for field in _FIELDS)}; it ends in .tif, "
            ".ome.tif or .ome.zarr.",
        )


def _fields_are_known(name: str) -> bool:
    """Whether a template has nothing but fields that can be filled; numbers as 03d."""
    try:
        fields = [part[1:] for part in string.Formatter().parse(name)]
    except ValueError:
        return False
    return all(
        field is None
        or (field in _FIELDS and conversion is None and not spec)
        or (field == "number" and re.fullmatch(r"0?[1-9]d?", spec or ""))
        for field, spec, conversion in fields
    )


def is_pattern(text: str) -> bool:
    """Whether a name stands for several files."""
    return glob.has_magic(text) and not Path(text).exists()


def is_folder(path: Path) -> bool:
    """Whether it is a folder of images, and no image that is stored as one."""
    return path.is_dir() and not path.name.lower().endswith(IMAGE_ENDINGS)


def _images_of(given: str, recursive: bool) -> Iterator[Found]:
    path = Path(given)
    if is_pattern(given):
        start = _fixed_part(path)
        try:
            matches = list(start.glob(str(path.relative_to(start))))
        except ValueError as error:
            raise RequestError(
                f"{given} is no pattern: {error}.", "Give one such as day*/cell*.tif."
            ) from error
        for one in sorted(matches, key=lambda p: natural(str(p))):
            if _is_image(one):
                yield Found(one, one.parent.relative_to(start))
    elif is_folder(path):
        yield from images_in(path, recursive)
    else:
        # Whatever it is: reading it says what is wrong.
        yield Found(path, named=True)


def images_in(folder: Path, recursive: bool = False) -> list[Found]:
    """List the images in a folder, 2 before 10; there may be none."""
    paths = sorted(_files_of(folder, recursive), key=lambda p: natural(str(p)))
    return [Found(one, one.parent.relative_to(folder)) for one in paths]


def _files_of(folder: Path, recursive: bool) -> Iterator[Path]:
    """Images in a folder; what lies within an image that is a folder is none."""
    for one in folder.iterdir():
        if _is_image(one):
            yield one
        elif recursive and _may_be_entered(one):
            yield from _files_of(one, recursive)


def _may_be_entered(path: Path) -> bool:
    """Whether a sub-folder is looked through: links may lead round in circles."""
    return path.is_dir() and not path.is_symlink() and not path.name.startswith(".")


def _is_image(path: Path) -> bool:
    named = path.name.lower().endswith(IMAGE_ENDINGS)
    return named and not path.name.startswith(".")


def _fixed_part(pattern: Path) -> Path:
    """The folder that a pattern begins in."""
    parts = []
    for part in pattern.parent.parts:
        if glob.has_magic(part):
            break
        parts.append(part)
    return Path(*parts)


def natural(text: str) -> list[tuple[int, str]]:
    """Sort key by which 2 comes before 10."""
    parts = re.split(r"(\d+)", text)
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts]


def job_of(image: Found, target: Path, name: str, number: int) -> Job:
    """What is made of an image, named by a template that `require_name` lets pass."""
    fields = {
        "name": file_stem(image.path),
        "folder": image.path.resolve().parent.name,
        "number": number,
    }
    return Job(image.path, target / image.folder / name.format(**fields))


def _named(images: Sequence[Found], target: Path, name: str) -> list[Job]:
    return [job_of(one, target, name, n) for n, one in enumerate(images, 1)]


def _is_result(image: Found, made: set[Path]) -> bool:
    """Whether an image is a result of an earlier run: of what would be made again."""
    again = not image.named and image.path.resolve() in made
    return again and was_written_here(image.path)


def _require_different(jobs: Sequence[Job], outputs: Outputs) -> None:
    by_file: dict[Path, Path] = {}
    for source, target in jobs:
        for file in outputs(target):
            other = by_file.setdefault(file.absolute(), source)
            if other != source:
                raise RequestError(
                    f"The results of {other} and {source} would have the same name: "
                    "one would overwrite the other.",
                    'Give another name, such as --name "{folder} {name} {number}.tif".',
                )


def only_results() -> RequestError:
    """Return the error of images that are results of earlier runs, all of them."""
    return RequestError(
        "All images that were found are results of earlier runs.",
        "Choose another folder or another --name for the results.",
    )


def _nothing_found(given: str, recursive: bool) -> RequestError:
    hint = f"Their names end in {', '.join(IMAGE_ENDINGS[:2])} or as other formats do."
    if Path(given).is_dir() and not recursive:
        hint += " With --recursive, sub-folders are looked through, too."
    return RequestError(f"There is no image in {given}.", hint)
