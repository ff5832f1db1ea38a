"""Which chunks of a prediction are finished, written down as they are."""

from __future__ import annotations

import json
import zlib
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from napari_selfdenoise.defects import DefectCount
from napari_selfdenoise.images import PlaneIndex, Tile, parse_json
from napari_selfdenoise.prediction.findings import Findings
from napari_selfdenoise.prediction.grid import Grid
from napari_selfdenoise.prediction.plane_state import PlaneState, blend_from

_VERSION = 2


class ChunkRecord:
    """A file of one line a finished chunk, with what was found in it.

    Lines are appended, each with its checksum. One that was cut off by a kill, or was
    changed, does not count: what it stands for is done once more.

    Parameters
    ----------
    path : Path
        Of the file.

    Attributes
    ----------
    job : str
        What is denoised, how and into what; of other jobs nothing can be used.
    grid : Grid or None
        How planes are cut.
    finished : dict
        What was found in each finished chunk.
    sizes : dict
        Bytes of each finished chunk, in each result.
    paths : list of Path
        The results.
    states : dict
        What is known of large planes, which takes a while to learn.
    pixels : int
        How many lie in finished chunks.
    is_complete : bool
        Whether all chunks are finished, and the copies made.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.job, self.is_complete = path, "", False
        self.grid: Grid | None = None
        self.finished: dict[Tile, Findings] = {}
        self.sizes: dict[Tile, list[int]] = {}
        self.paths: list[Path] = []
        self.states: dict[PlaneIndex, PlaneState] = {}
        self.pixels = 0

    def begin(self, job: str, grid: Grid, paths: Sequence[Path] = ()) -> None:
        """Begin anew; what was written before goes.

        Raises
        ------
        OSError
            If the file cannot be written.
        """
        self.job, self.grid = job, grid
        self.finished, self.pixels, self.is_complete = {}, 0, False
        self.states, self.sizes, self.paths = {}, {}, list(paths)
        head = {"version": _VERSION, "job": job, "grid": list(grid)}
        head["paths"] = [str(path) for path in paths]
        if self.path.is_symlink():  # whatever it leads to is none of this program's
            self.path.unlink()
        self.path.write_text(f"{_signed(head)}\n", encoding="utf-8")

    def read(self) -> None:
        """Read what an earlier run has written; nothing where that is no record."""
        try:
            text = self.path.read_text(encoding="utf-8", errors="replace")
            head, *lines = text.splitlines()
            about = _checked(head)
            if about["version"] != _VERSION:
                return
            paths = [path for path in map(Path, about["paths"]) if self._beside(path)]
            job, grid = str(about["job"]), Grid(*map(int, about["grid"]))
        except (OSError, LookupError, TypeError, ValueError, OverflowError):
            return
        self.paths, self.job, self.grid = paths, job, grid
        for line in lines:
            # One that a kill has cut off says nothing.
            with suppress(AttributeError, LookupError, TypeError, ValueError):
                self._take(_checked(line))

    def _beside(self, path: Path) -> bool:
        """Whether a result that the record names lies beside it.

        What is left of it is removed: nothing is removed elsewhere.
        """
        return path.parent.resolve() == self.path.parent.resolve()

    def _take(self, line: dict[str, Any]) -> None:
        if line.get("complete"):
            self.is_complete = True
            return
        if "state" in line:
            self.states[tuple(line["plane"])] = PlaneState.from_json(line["state"])
            return
        plane, *ends = line["chunk"]
        chunk = Tile(tuple(plane), *map(int, ends))
        self._keep(chunk, _findings(chunk.plane, line))
        self.sizes[chunk] = [int(size) for size in line["bytes"]]

    def add(self, chunk: Tile, found: Findings, sizes: Sequence[int] = ()) -> None:
        """Write down that a chunk is finished.

        Parameters
        ----------
        chunk : Tile
            Which one.
        found : Findings
            What was found in it.
        sizes : sequence of int
            Bytes that it takes in each result.

        Raises
        ------
        OSError
            If the file cannot be written.
        """
        self._keep(chunk, found)
        ends = chunk.top, chunk.bottom, chunk.left, chunk.right
        self.sizes[chunk] = list(sizes)
        line = {"chunk": [chunk.plane, *ends], "bytes": list(sizes)}
        self._append(line | _line(chunk.plane, found))

    def add_state(self, plane: PlaneIndex, state: PlaneState) -> None:
        """Write down what is known of a plane.

        Raises
        ------
        OSError
            If the file cannot be written.
        """
        self.states[plane] = state
        self._append({"plane": plane, "state": state.to_json()})

    def _keep(self, chunk: Tile, found: Findings) -> None:
        if chunk not in self.finished:
            self.pixels += (chunk.bottom - chunk.top) * (chunk.right - chunk.left)
        self.finished[chunk] = found

    def complete(self) -> None:
        """Write down that there is nothing more to compute."""
        self.is_complete = True
        self._append({"complete": True})

    def forget(self, chunk: Tile) -> None:
        """Take a chunk for not finished: its pixels are not there."""
        del self.finished[chunk]
        self.pixels -= (chunk.bottom - chunk.top) * (chunk.right - chunk.left)

    def remove(self) -> None:
        """Remove the file."""
        self.path.unlink(missing_ok=True)

    def _append(self, line: dict[str, Any]) -> None:
        with self.path.open("a", encoding="utf-8") as file:
            # A line that was cut off ends here, so that it does not spoil this one.
            file.write(f"\n{_signed(line)}\n")


def _signed(content: dict[str, Any]) -> str:
    """A line of the record: its checksum, and JSON."""
    text = json.dumps(content)
    return f"{zlib.crc32(text.encode()):08x} {text}"


def _checked(line: str) -> Any:
    """What a line says.

    Raises
    ------
    ValueError
        If it was cut off or changed.
    """
    check, _, text = line.partition(" ")
    if int(check, 16) != zlib.crc32(text.encode("utf-8", "replace")):
        raise ValueError("the line was changed")
    return parse_json(text)


def _line(plane: PlaneIndex, found: Findings) -> dict[str, Any]:
    """What was found in a chunk, as JSON has it; without its noise curve."""
    defects = {name: n for name, n in vars(found.defects).items() if n}
    kinds = ("lacking", "blank", "doubtful")
    marks = [kind for kind in kinds if plane in getattr(found, kind)]
    line: dict[str, Any] = {"defects": defects, "marks": marks}
    if plane in found.blends:
        line["blend"] = asdict(found.blends[plane])
    return line


def _findings(plane: PlaneIndex, line: dict[str, Any]) -> Findings:
    found = Findings(defects=DefectCount(**line["defects"]))
    for kind in line["marks"]:
        getattr(found, kind).add(plane)
    found.planes.add(plane)
    if "blend" in line:
        found.blends[plane] = blend_from(line["blend"])
    return found
