"""Reading an image without its defects, plane by plane or a part at a time."""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from napari_selfdenoise.defects import filling, missing, outliers
from napari_selfdenoise.defects.filling import filled
from napari_selfdenoise.defects.fixed_patterns import (
    MOST_PLANES,
    FixedPatterns,
    measure_patterns,
)
from napari_selfdenoise.defects.missing import (
    find_lone,
    find_padding,
    is_blank,
    is_full_of_gaps,
)
from napari_selfdenoise.defects.outliers import Scatter, find_outliers
from napari_selfdenoise.images import Image, PlaneIndex

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]
Raw = tuple[Array, Flags | None]
"""Pixels as recorded, (Y, X), and where a mask allows them."""

Region = tuple[PlaneIndex, slice, slice]
"""A plane, and its rows and columns."""

WHOLE_PIXELS = 2**22
"""Planes up to this size are cleaned as a whole and kept; of larger ones, parts are."""

_SAMPLE_SIDE = 512
_SAMPLES = 16

_STRIDE = 64
"""Distance in px of the pixels that are read to find content in a large plane."""

_LEAST_CONTENT = 0.05
"""Share of content below which a sample is taken anew, from where the content is."""

_MARGIN = outliers.REACH + missing.REACH + filling.REACH
"""Margin in px that is read around a part of a large plane: its pixels are then judged
as in the whole plane, but for the ends of wide padding."""

_PART_SIDE = 1024  # px; line offsets are looked for in a part of a large plane
_BAND = 1024  # px; width of the bands in which line offsets are measured

_SCATTER_PIXELS = 2**18
"""Pixels of a plane that its scatter is measured on."""

_SMALL = 48 * 48
"""Pixels from which on a plane shows how strong the noise of bright pixels is."""

_LEAST_PIXELS = 144
"""Recorded pixels of a plane, at least, to be learned from."""

_MOST_OUTLIERS = 0.01
"""Share of a smaller plane above which what looks like outliers may be structure."""

_LARGEST = 1e30
"""Values are cut here where they are compared: differences of larger ones overflow."""


class CleanPlane(NamedTuple):
    """A plane, or a part of it, without its defects.

    Parameters
    ----------
    pixels : ndarray
        Observation, raw units, (Y, X), float32; bad pixels are filled from around.
    outliers : ndarray
        Recorded, but ruined, (Y, X).
    missing : ndarray
        Never recorded, (Y, X).
    doubtful : bool
        Whether the plane is too small to distinguish outliers from structure, so that
        none were taken out.
    """

    pixels: NDArray[np.float32]
    outliers: Flags
    missing: Flags
    doubtful: bool = False

    @property
    def good(self) -> Flags:
        """True where a pixel is neither an outlier nor missing, (Y, X)."""
        return ~(self.outliers | self.missing)

    @property
    def spotless(self) -> bool:
        """Whether all pixels are good."""
        return not (self.outliers.any() or self.missing.any())

    @property
    def recorded(self) -> NDArray[np.float32]:
        """Observation with NaN where nothing was recorded; outliers are replaced."""
        if not self.missing.any():
            return self.pixels
        return np.where(self.missing, np.float32(np.nan), self.pixels)

    def part(self, rows: slice, columns: slice) -> CleanPlane:
        """Return a rectangle of it."""
        place = rows, columns
        return self._replace(
            pixels=self.pixels[place],
            outliers=self.outliers[place],
            missing=self.missing[place],
        )


@dataclass(frozen=True, eq=False)
class PlaneDefects:
    """Statistics of a plane by which defects are found in any part of it.

    Parameters
    ----------
    scatter : Scatter or None
        Of its pixels; None where it is blank or full of gaps.
    level : float
        Median of its good pixels, raw units.
    padding : bool
        Whether to look for padding.
    doubtful : bool
        Whether it is too small to distinguish outliers from structure.
    """

    scatter: Scatter | None
    level: float
    padding: bool = True
    doubtful: bool = False

    @property
    def blank(self) -> bool:
        """Whether there is nothing in the plane to learn from."""
        return self.scatter is None

    def clean(self, raw: Array, recorded: Flags | None) -> CleanPlane:
        """Find the defects of a plane or a part of it, and fill them.

        Parameters
        ----------
        raw : ndarray
            Observation, (Y, X), raw units.
        recorded : ndarray, optional
            False where a mask says that nothing was recorded, (Y, X).
        """
        if self.scatter is None:
            gone = np.ones(raw.shape, np.bool_)
            pixels = np.full(raw.shape, self.level, np.float32)
            return CleanPlane(pixels, ~gone, gone)
        gone, values = _recorded(raw, recorded)
        if self.padding:
            gone |= find_padding(np.where(gone, np.nan, values))
        known = values[~gone]
        alike = len(known) >= _SMALL and is_blank(known)
        if alike and (self.padding or np.ptp(known) == 0):
            gone[:] = True  # amid padding: its ends lie outside of this part
        gone |= find_lone(gone)
        complete = filled(values, gone, self.level) if gone.any() else values
        out = np.zeros(raw.shape, np.bool_)
        if not self.doubtful:
            out = find_outliers(complete, gone, self.scatter)
        if out.any():
            narrow = filled(values, gone | out, self.level, filling.NARROW)
            complete = filled(values, gone | out, self.level) if gone.any() else narrow
            complete = np.where(out, narrow, complete)
        return CleanPlane(complete.astype(np.float32), out, gone, self.doubtful)


def measure_defects(raw: Array, recorded: Flags | None) -> PlaneDefects:
    """Measure the statistics of a plane by which its defects are found.

    Parameters
    ----------
    raw : ndarray
        Observation, or a sample of it, (Y, X), raw units.
    recorded : ndarray, optional
        False where a mask says that nothing was recorded, (Y, X).
    """
    gone, values = _recorded(raw, recorded)
    known = values[~gone]
    if not len(known) or is_blank(known):
        return PlaneDefects(None, float(np.median(known)) if len(known) else 0.0)
    padding = find_padding(np.where(gone, np.nan, values) if gone.any() else values)
    gone |= padding
    known = values[~gone]
    if not len(known) or is_blank(known):
        return PlaneDefects(None, float(np.median(values)))
    full = is_full_of_gaps(gone)
    gone |= find_lone(gone)
    if full or np.count_nonzero(~gone) < min(_LEAST_PIXELS, gone.size):
        return PlaneDefects(None, float(np.median(known)))
    known = values[~gone]
    level, place = float(np.median(known)), _crowded(gone)
    gone, values = gone[place], values[place]
    values = filled(values, gone, level) if gone.any() else values
    scatter = Scatter.measure(values, ~gone)
    doubtful = _doubtful(values, gone, scatter)
    return PlaneDefects(scatter, level, bool(padding.any()), doubtful)


def _doubtful(values: Array, gone: Flags, scatter: Scatter) -> bool:
    """Whether a small plane has more outliers than cameras have: then it is structure.

    Few pixels, most of them dark, do not tell how strong the noise of bright ones is.
    """
    known = np.count_nonzero(~gone)
    if known >= _SMALL:
        return False
    return bool(find_outliers(values, gone, scatter).sum() > _MOST_OUTLIERS * known)


def _recorded(raw: Array, recorded: Flags | None) -> tuple[Flags, Array]:
    """Where nothing was recorded, and values that can be compared, both (Y, X)."""
    gone = ~np.isfinite(raw)
    if recorded is not None:
        gone |= ~recorded
    values = np.nan_to_num(raw, nan=0.0) if gone.any() else raw
    if np.abs(values).max(initial=0.0) > _LARGEST:
        values = np.clip(values, -_LARGEST, _LARGEST)
    return gone, values


def _crowded(gone: Flags) -> tuple[slice, ...]:
    """The band of rows with the most pixels that were recorded, of a large plane."""
    height, width = gone.shape
    band = min(height, max(64, _SCATTER_PIXELS // width))
    counts = np.convolve((~gone).sum(1), np.ones(band), "valid")
    start = int(counts.argmax())
    return slice(start, start + band), slice(None)


Found = TypeVar("Found")


def _in_threads(
    work: Callable[..., Found], jobs: Sequence[tuple[Any, ...]]
) -> list[Found]:
    """Results of work, in order; filters of scipy let other threads run."""
    if len(jobs) < 2:
        return [work(*job) for job in jobs]
    with ThreadPoolExecutor(min(len(jobs), os.cpu_count() or 1)) as pool:
        return list(pool.map(lambda job: work(*job), jobs))


def _cleaned(raw: Raw, known: PlaneDefects | None) -> tuple[PlaneDefects, CleanPlane]:
    """A plane without its defects, and their statistics if these are not known."""
    defects = known or measure_defects(*raw)
    return defects, defects.clean(*raw)


def _cleaned_part(
    defects: PlaneDefects, raw: Raw, inner_y: slice, inner_x: slice
) -> CleanPlane:
    """The inner part of a region without its defects."""
    return defects.clean(*raw).part(inner_y, inner_x)


def spread_planes(image: Image, channel: int) -> list[PlaneIndex]:
    """Planes of a channel that patterns are found in, in order.

    The first ones, as frames that follow each other show the noise, and as many all
    over the image.
    """
    planes = list(image.planes(channel))
    first, rest = planes[: MOST_PLANES // 2], planes[MOST_PLANES // 2 :]
    count = min(MOST_PLANES - len(first), len(rest))
    spread = np.linspace(0, len(rest) - 1, count + 1)[1:].astype(int)
    return [*first, *(rest[n] for n in spread)]


class CleanImage:
    """An image whose planes are read without their defects.

    Parameters
    ----------
    image : Image
        As it was recorded.
    subtract : bool
        Whether offsets that whole rows or columns have of their own are subtracted.

    Attributes
    ----------
    kept_planes : int
        How many planes are kept, the last that were read.
    """

    def __init__(self, image: Image, subtract: bool = True) -> None:
        self.image, self._subtract = image, subtract
        self._rules: dict[PlaneIndex, PlaneDefects] = {}
        self._patterns: dict[int, FixedPatterns] = {}
        self._columns: dict[int, Array] = {}
        self._rows: dict[PlaneIndex, Array] = {}
        self.kept_planes = 1
        self._last: tuple[Region, CleanPlane] | None = None
        self._kept: OrderedDict[PlaneIndex, CleanPlane] = OrderedDict()

    @property
    def plane_shape(self) -> tuple[int, int]:
        """Rows and columns of one plane."""
        return self.image.plane_shape

    def defects(self, plane: PlaneIndex) -> PlaneDefects:
        """Statistics by which the defects of a plane are found; measured once."""
        if plane not in self._rules:
            if self._is_small:
                self._wholes([plane])  # read once, it is kept
            else:
                self._rules[plane] = measure_defects(*self._sample(plane))
        return self._rules[plane]

    def is_blank(self, plane: PlaneIndex) -> bool:
        """Whether there is nothing in a plane to learn from."""
        return self.defects(plane).blank

    def blank_planes(self, channel: int | None = None) -> int:
        """Count blank planes of those that were read, of one channel or all."""
        return sum(
            rule.blank
            for plane, rule in self._rules.items()
            if channel in (None, self.image.channel_of(plane))
        )

    def read(
        self,
        plane: PlaneIndex,
        rows: slice = slice(None),
        columns: slice = slice(None),
    ) -> CleanPlane:
        """Read a region of one plane, defects filled.

        Of large planes the last region is kept: a tile lies in what was read around it.
        """
        if self._is_small:
            return self.read_all([(plane, rows, columns)])[0]
        height, width = self.plane_shape
        region = plane, _whole(rows, height), _whole(columns, width)
        if self._last is not None:
            inside = _inside(self._last[0], region)
            if inside is not None:
                return self._last[1].part(*inside)
        (found,) = self.read_all([region])
        self._last = region, found
        return found

    def read_all(self, regions: Sequence[Region]) -> list[CleanPlane]:
        """Read regions of planes, defects filled: in threads, where there are several.

        All of them are in memory at once.
        """
        found = []
        for clean, region in zip(self._recorded_all(regions), regions, strict=True):
            plane, rows, columns = region
            patterns = self.patterns(self.image.channel_of(plane))
            if patterns.found and not self.is_blank(plane):
                by_row, by_column = self._offsets(plane, patterns)
                pixels = clean.pixels - by_row[rows, None] - by_column[columns]
                clean = clean._replace(pixels=pixels.astype(np.float32))
            found.append(clean)
        return found

    def _recorded_all(self, regions: Sequence[Region]) -> list[CleanPlane]:
        """Regions of planes with the offsets of their lines."""
        if self._is_small:
            whole = self._wholes([region[0] for region in regions])
            return [whole[plane].part(*place) for plane, *place in regions]
        height, width = self.plane_shape
        jobs = []
        for plane, rows, columns in regions:
            around_y, inner_y = _widened(rows, height)
            around_x, inner_x = _widened(columns, width)
            raw = self._raw(plane, around_y, around_x)
            jobs.append((self.defects(plane), raw, inner_y, inner_x))
        return _in_threads(_cleaned_part, jobs)

    @property
    def _is_small(self) -> bool:
        """Whether planes are cleaned as a whole."""
        return self.plane_shape[0] * self.plane_shape[1] <= WHOLE_PIXELS

    def patterns(self, channel: int) -> FixedPatterns:
        """Offsets that lines of a channel have of their own; measured once."""
        if channel not in self._patterns:
            self._patterns[channel] = self._measure_patterns(channel)
        return self._patterns[channel]

    def _measure_patterns(self, channel: int) -> FixedPatterns:
        if not self._subtract:
            return FixedPatterns()
        side = max(self.plane_shape) if self._is_small else _PART_SIDE
        middle = tuple(_middle(length, side) for length in self.plane_shape)
        parts = self._some(channel, *middle)
        found = measure_patterns(parts)
        if found.columns is not None:
            if not self._is_small:
                band = _middle(self.plane_shape[0], _BAND)
                parts = self._some(channel, band, slice(None))
            self._columns[channel] = found.columns.of_columns(*parts)
        return found

    def _some(
        self, channel: int, rows: slice, columns: slice
    ) -> list[NDArray[np.float32]]:
        """A region of some planes of a channel, (Y, X), those that are not blank."""
        planes = spread_planes(self.image, channel)
        parts = self._recorded_all([(plane, rows, columns) for plane in planes])
        read = zip(planes, parts, strict=True)
        return [part.recorded for plane, part in read if not self.is_blank(plane)]

    def _offsets(
        self, plane: PlaneIndex, patterns: FixedPatterns
    ) -> tuple[Array, Array]:
        """Offsets of a plane's rows (Y,) and columns (X,), raw units."""
        height, width = self.plane_shape
        channel = self.image.channel_of(plane)
        by_column = self._columns.get(channel, np.zeros(width))
        if patterns.rows is None:
            return np.zeros(height), by_column
        if plane not in self._rows:
            band = _middle(self.plane_shape[1], _BAND)
            (part,) = self._recorded_all([(plane, slice(None), band)])
            offsets = patterns.rows.of_rows(part.recorded - by_column[band])
            self._rows[plane] = offsets
        return self._rows[plane], by_column

    def _wholes(self, planes: Iterable[PlaneIndex]) -> dict[PlaneIndex, CleanPlane]:
        """Planes that are not too large to be kept until others are read."""
        wanted = dict.fromkeys(planes)
        fresh = [plane for plane in wanted if plane not in self._kept]
        jobs = [(self._raw(plane), self._rules.get(plane)) for plane in fresh]
        for plane, found in zip(fresh, _in_threads(_cleaned, jobs), strict=True):
            self._rules[plane], self._kept[plane] = found
        for plane in wanted:
            self._kept.move_to_end(plane)
        whole = {plane: self._kept[plane] for plane in wanted}
        # Planes that were just read stay: offsets of their lines may be measured next.
        most = max(self.kept_planes, len(whole)) if fresh else len(self._kept)
        while len(self._kept) > most:
            self._kept.popitem(last=False)
        return whole

    def read_plane(
        self,
        plane: PlaneIndex,
        rows: slice = slice(None),
        columns: slice = slice(None),
    ) -> NDArray[np.float32]:
        """Pixels of a region of one plane, (Y, X), raw units, defects filled."""
        return self.read(plane, rows, columns).pixels

    def _raw(
        self,
        plane: PlaneIndex,
        rows: slice = slice(None),
        columns: slice = slice(None),
    ) -> tuple[Array, Flags | None]:
        """Pixels of a region of one plane as recorded, and where a mask allows."""
        raw = self.image.read_exact(plane, rows, columns)
        return raw, self.image.read_mask(plane, rows, columns)

    def _sample(self, plane: PlaneIndex) -> tuple[Array, Flags | None]:
        """Squares all over a large plane, below each other."""
        raw, recorded = self._squares(plane, self._places())
        if _content(raw, recorded).mean() >= _LEAST_CONTENT:
            return raw, recorded
        places = self._places_of_content(plane)
        return self._squares(plane, places) if places else (raw, recorded)

    def _squares(
        self, plane: PlaneIndex, places: Iterable[tuple[slice, slice]]
    ) -> tuple[Array, Flags | None]:
        """Parts of a plane below each other, all of one width."""
        squares = [self._raw(plane, *place) for place in places]
        raw = np.concatenate([square for square, _ in squares])
        masks = [recorded for _, recorded in squares if recorded is not None]
        return raw, np.concatenate(masks) if masks else None

    def _places_of_content(self, plane: PlaneIndex) -> list[tuple[slice, slice]]:
        """Squares of a large plane around pixels that are no padding."""
        every = slice(None, None, _STRIDE)
        found = np.argwhere(_content(*self._raw(plane, every, every)))
        chosen = found[:: max(1, len(found) // _SAMPLES)][:_SAMPLES]
        side = min(_SAMPLE_SIDE, *self.plane_shape)
        corners = (
            np.clip(_STRIDE * chosen - side // 2, 0, np.array(self.plane_shape) - side)
            .astype(int)
            .tolist()
        )
        return [(slice(y, y + side), slice(x, x + side)) for y, x in corners]

    def _places(self) -> Iterator[tuple[slice, slice]]:
        """Squares of a large plane, at random but always alike."""
        rng = np.random.default_rng(0)
        height, width = self.plane_shape
        side = min(_SAMPLE_SIDE, height, width)
        for _ in range(_SAMPLES):
            y, x = (int(rng.integers(n - side + 1)) for n in (height, width))
            yield slice(y, y + side), slice(x, x + side)


def _content(raw: Array, recorded: Flags | None) -> Flags:
    """Pixels (Y, X) that were recorded and have not the most frequent value."""
    known = np.isfinite(raw) if recorded is None else np.isfinite(raw) & recorded
    if not known.any():
        return known
    values, counts = np.unique(raw[known], return_counts=True)
    other: Flags = known & (raw != values[counts.argmax()])
    return other


def _whole(part: slice, length: int) -> slice:
    """A part of an axis with both its ends."""
    start, stop, _ = part.indices(length)
    return slice(start, stop)


def _inside(kept: Region, wanted: Region) -> tuple[slice, slice] | None:
    """Where a region lies in one that is kept; None where it does not."""
    if kept[0] != wanted[0]:
        return None
    ends = list(zip(kept[1:], wanted[1:], strict=True))
    if any(w.start < k.start or w.stop > k.stop for k, w in ends):
        return None
    rows, columns = (slice(w.start - k.start, w.stop - k.start) for k, w in ends)
    return rows, columns


def _middle(length: int, most: int) -> slice:
    """The middle of an axis, of so many pixels at most."""
    start = max(0, (length - most) // 2)
    return slice(start, start + min(length, most))


def _widened(part: slice, length: int) -> tuple[slice, slice]:
    """A part of an axis with a margin, and the part's place in it."""
    start, stop, _ = part.indices(length)
    low, high = max(0, start - _MARGIN), min(length, stop + _MARGIN)
    return slice(low, high), slice(start - low, stop - low)
