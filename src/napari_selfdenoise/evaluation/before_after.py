"""Two images in one, divided by a line: the noisy one before it, the result after."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

_KEPT_PIXELS = 2**24
"""Pixels of the part in view that are kept, so that the line moves at once."""


class BeforeAfter:
    """An array that shows one image on one side of a line, another on the other side.

    It can be sliced like an array, and reads no more than what is in view.

    Parameters
    ----------
    before, after : array
        Of one shape; NumPy or lazy.
    line_value : float
        Value of the line, raw units.

    Attributes
    ----------
    axis : int
        Along which the line moves.
    place : int
        Pixels along it that show `before`.
    line_px : int
        Width of the line.
    """

    def __init__(self, before: Any, after: Any, line_value: float) -> None:
        self.before, self.after, self.line_value = before, after, line_value
        self.shape, self.ndim = tuple(before.shape), before.ndim
        self.dtype = np.dtype(np.float32)
        self.axis, self.line_px = self.ndim - 1, 1
        self.place = self.shape[self.axis] // 2
        self._kept: tuple[Any, NDArray[np.float32], NDArray[np.float32]] | None = None

    def __getitem__(self, index: Any) -> NDArray[np.float32]:
        """Pixels with the line at its place."""
        key = self._whole_key(index)
        before, after = self._read(key)
        along = np.arange(self.shape[self.axis])[key[self.axis]]
        if np.ndim(along) == 0:
            return before if along < self.place else after
        # Up to the line: slices copy faster than masks.
        first, last = np.searchsorted(along, (self.place - self.line_px, self.place))
        axis = sum(isinstance(part, slice) for part in key[: self.axis])
        shown = after.copy()
        ahead = (slice(None),) * axis
        shown[(*ahead, slice(0, last))] = before[(*ahead, slice(0, last))]
        shown[(*ahead, slice(first, last))] = self.line_value
        return shown

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        """All pixels."""
        return self[...].astype(dtype or self.dtype, copy=bool(copy))

    def __len__(self) -> int:
        """Length of the first axis."""
        return int(self.shape[0])

    def _whole_key(self, index: Any) -> tuple[Any, ...]:
        """An index that names every axis by a number or a slice that goes upwards."""
        parts = index if isinstance(index, tuple) else (index,)
        if not any(part is Ellipsis for part in parts):
            parts = (*parts, Ellipsis)
        place = next(n for n, part in enumerate(parts) if part is Ellipsis)
        missing = (slice(None),) * (self.ndim - len(parts) + 1)
        return (*parts[:place], *missing, *parts[place + 1 :])

    def _read(
        self, key: tuple[Any, ...]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        known = repr(key)
        if self._kept is None or self._kept[0] != known:
            before, after = (
                np.asarray(array[key]).astype(np.float32)
                for array in (self.before, self.after)
            )
            if before.size > _KEPT_PIXELS:
                return before, after
            self._kept = known, before, after
        return self._kept[1:]
