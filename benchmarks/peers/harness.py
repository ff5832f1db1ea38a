"""What the runners share: command line, threads, clock, trajectory, one JSON line.

Needs numpy alone, so that it runs in every peer's environment. Nothing of
napari_selfdenoise is imported here: a peer is measured without it.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

import numpy as np

THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")

GROWTH = 1.25
"""A trajectory's next point is due when this many times the seconds have passed."""


def parse(
    description: str, methods: Sequence[str], *, settings: Sequence[str]
) -> argparse.ArgumentParser:
    """Command line that all runners have; the caller may add to it."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("input", type=Path, help="one noisy image, .npy, axes YX or ZYX")
    parser.add_argument("output", type=Path, help="the denoised image, .npy, float32")
    parser.add_argument("--method", choices=methods, default=methods[0])
    parser.add_argument("--setting", choices=settings, default=settings[0])
    parser.add_argument("--seconds", type=float, help="end training after these")
    parser.add_argument(
        "--epochs", type=int, help="instead of the setting's own number"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument(
        "--trajectory", type=Path, help="predictions along the training, .npz"
    )
    return parser


class Clock:
    """Seconds of work since it was made; pauses do not count."""

    def __init__(self) -> None:
        self._begin = time.perf_counter()

    def seconds(self) -> float:
        """Seconds of work so far."""
        return time.perf_counter() - self._begin

    @contextmanager
    def paused(self) -> Iterator[None]:
        """What happens inside takes no time."""
        begin = time.perf_counter()
        yield
        self._begin += time.perf_counter() - begin


class Run:
    """One run of a peer: what it was asked, did, and took.

    The order of calls is `importing`, `start`, `trained`, `finish`. From its making on,
    what the peer prints goes to stderr, so that stdout holds the JSON line alone.
    """

    def __init__(self, options: argparse.Namespace, peer: str) -> None:
        self.options = options
        self.peer = peer
        self.clock = Clock()
        self.epochs = 0
        self.pixels_forwarded = 0
        self.pixels_supervised = 0
        self._seconds_train = 0.0
        self._points: list[tuple[float, int, int, np.ndarray]] = []
        self._due = 0.0
        self._stdout = _claim_stdout()
        for variable in THREAD_VARIABLES:
            os.environ[variable] = str(options.threads)

    @contextmanager
    def importing(self) -> Iterator[None]:
        """Time the imports that happen inside."""
        begin = time.perf_counter()
        yield
        self.seconds_import = time.perf_counter() - begin

    def start(self) -> np.ndarray:
        """Read the noisy image, float32 (Y, X) or (Z, Y, X), and start the clock."""
        image = np.load(self.options.input).astype(np.float32)
        self.clock = Clock()
        return image

    @property
    def time_is_up(self) -> bool:
        """Whether the seconds asked for have passed."""
        budget = self.options.seconds
        return budget is not None and self.clock.seconds() >= budget

    @property
    def point_is_due(self) -> bool:
        """Whether the trajectory wants a prediction now."""
        wanted = self.options.trajectory is not None
        return wanted and self.clock.seconds() >= self._due

    def add_point(self, prediction: np.ndarray) -> None:
        """Keep a prediction (Y, X) of now; call it with the clock paused."""
        now = self._paused_at
        point = np.asarray(prediction, np.float32)
        self._points.append((now, self.epochs, self.pixels_forwarded, point))
        self._due = max(GROWTH * now, now + 0.5)

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Stop the clock, for what a user's run would not do."""
        self._paused_at = self.clock.seconds()
        with self.clock.paused():
            yield

    def trained(self) -> None:
        """Training ends here, prediction begins."""
        self._seconds_train = self.clock.seconds()

    def finish(self, result: np.ndarray, version: str) -> None:
        """Stop the clock, write the files, print the line."""
        total = self.clock.seconds()
        np.save(self.options.output, np.asarray(result, np.float32))
        if self.options.trajectory is not None:
            self._save_trajectory()
        print(json.dumps(self._line(total, version)), file=self._stdout, flush=True)

    def _save_trajectory(self) -> None:
        seconds, epochs, pixels, images = zip(*self._points, strict=True)
        np.savez_compressed(
            self.options.trajectory,
            seconds=np.array(seconds),
            epochs=np.array(epochs),
            pixels_forwarded=np.array(pixels),
            predictions=np.stack(images),
        )

    def _line(self, total: float, version: str) -> dict[str, object]:
        return {
            "peer": self.peer,
            "version": version,
            "method": self.options.method,
            "setting": self.options.setting,
            "seconds_import": round(self.seconds_import, 3),
            "seconds_train": round(self._seconds_train, 3),
            "seconds_predict": round(total - self._seconds_train, 3),
            "seconds_total": round(total, 3),
            "peak_memory_bytes": _peak_memory_bytes(),
            "pixels_forwarded": self.pixels_forwarded,
            "pixels_supervised": self.pixels_supervised,
            "epochs": self.epochs,
            "seed": self.options.seed,
            "threads": self.options.threads,
        }


def _claim_stdout() -> TextIO:
    """The real stdout; whatever else writes to it, C libraries too, meets stderr."""
    sys.stdout.flush()
    real = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    return real


def _peak_memory_bytes() -> int:
    """Largest resident size of this process plus that of its largest helper."""
    kinds = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    peak = sum(resource.getrusage(kind).ru_maxrss for kind in kinds)
    return peak if sys.platform == "darwin" else 1024 * peak
