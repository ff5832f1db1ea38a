"""How the real napari window feels while it trains.

    python benchmarks/responsiveness.py [--seconds 20] [--size 512] [--wait 5]
        [--window 1500 950]
    python benchmarks/responsiveness.py --frames 200 --context auto --denoising 20
    python benchmarks/responsiveness.py --size 8192 --denoising 20

Waits while the dock loads what a training needs, as a user does who looks for an image;
then presses Train on a square one and measures: seconds to the first preview; the time
between the ticks of a 10 ms timer in the window's thread while training; seconds from
pressing Stop to the model in hand; with `--denoising` the ticks while it denoises, too,
for so many seconds, before Stop is pressed again. Needs a screen: run it under xvfb-run
where there is none.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from common import describe_machine, print_table

_SCENE = 1024  # px; side of the largest scene that is made


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--frames", type=int, default=1, help="of a stack in time")
    parser.add_argument("--context", help="planes of a stack, as the dock names them")
    parser.add_argument(
        "--denoising", type=float, help="seconds to denoise, instead of to the end"
    )
    parser.add_argument("--wait", type=float, default=5, help="seconds before Train")
    parser.add_argument(
        "--window", type=int, nargs=2, metavar=("WIDTH", "HEIGHT"), help="in pixels"
    )
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["NAPARI_CONFIG"] = str(Path(folder) / "settings.yaml")
        rows = _measure(options)
    said = {"image": f"{options.frames} x {options.size}²"}
    said |= {"context": options.context or "none", "seconds": f"{options.seconds:g}"}
    print(describe_machine(**said, wait=f"{options.wait:g} s"))
    print_table(("what", "measured", "asked"), rows)


def _measure(options: argparse.Namespace) -> list[tuple[str, str, str]]:
    import napari

    pixels = _noisy(options.frames, options.size)
    viewer = napari.Viewer(show=True)
    if options.window:
        viewer.window.resize(*options.window)
    viewer.add_image(pixels, name="noisy", axis_labels="TYX"[-pixels.ndim :])
    _, dock = viewer.window.add_plugin_dock_widget("napari-selfdenoise", "Denoise")
    # It opens while the window goes on.
    _pump(lambda: getattr(dock, "controls", None) is not None, 60)
    dock = getattr(dock, "dock", dock)  # what has opened in it
    dock.controls.budget.setCurrentText("10 min")
    if options.context:
        choice = dock.controls.part("context").choice
        choice.combo.setCurrentIndex(choice.kinds().index(options.context))
    _pump(lambda: False, options.wait)
    ticks = _Ticks()
    dock.controls.train.click()
    preview = _pump(lambda: "noisy denoised" in viewer.layers, 180)
    _pump(lambda: False, options.seconds)
    training = ticks.gaps()
    dock.controls.stop.click()
    stop = _pump(lambda: dock.model is not None, 60)
    ticks = _Ticks()
    every = _pump(lambda: dock._run is None, options.denoising or 60)
    denoising = ticks.gaps()
    rows = [
        ("first preview", f"{preview:.2f} s", "5 s"),
        *_rows("training", training),
        ("stop to model in hand", f"{stop:.2f} s", "1 s"),
    ]
    if dock._run is None:
        rows += [("stop to all layers there", f"{stop + every:.2f} s", "")]
    else:
        dock.controls.stop.click()
        ended = _pump(lambda: dock._run is None, 60)
        rows += [("stop while denoising", f"{ended:.2f} s", "1 s")]
    if options.denoising:
        rows += _rows("denoising", denoising)
    rows += [("steps trained", f"{dock.model.provenance['steps']}", "")]
    viewer.close()
    return rows


def _noisy(frames: int, size: int) -> np.ndarray:
    """A noisy stack, or a plane; one larger than `_SCENE` repeats its scene."""
    from napari_selfdenoise.images import poisson_gaussian_stack

    noisy, _ = poisson_gaussian_stack(frames=frames, size=min(size, _SCENE))
    times = -(-size // _SCENE)
    pixels = np.tile(noisy.data, (1, times, times))[:, :size, :size]
    return pixels if frames > 1 else pixels[0]


class _Ticks:
    """When a 10 ms timer in the window's thread ticks."""

    def __init__(self) -> None:
        from qtpy.QtCore import Qt, QTimer

        self._times: list[float] = []
        self._timer = QTimer()
        self._timer.setTimerType(Qt.TimerType.PreciseTimer)
        self._timer.timeout.connect(lambda: self._times.append(time.perf_counter()))
        self._timer.start(10)

    def gaps(self) -> np.ndarray:
        """Time between ticks so far, ms; it ticks no more."""
        self._timer.stop()
        return 1000 * np.diff(self._times)


def _rows(what: str, gaps: np.ndarray) -> list[tuple[str, str, str]]:
    return [
        (f"timer while {what}, median", f"{np.median(gaps):.1f} ms", ""),
        ("95th percentile", f"{np.percentile(gaps, 95):.1f} ms", ""),
        ("99th percentile", f"{np.percentile(gaps, 99):.1f} ms", "60 ms"),
        ("longest", f"{gaps.max():.0f} ms", ""),
    ]


def _pump(done: Callable[[], bool], seconds: float) -> float:
    """Run the window's loop until `done` or `seconds`; returns how long it took."""
    from qtpy.QtCore import QEventLoop, QTimer

    start = time.perf_counter()
    loop, check = QEventLoop(), QTimer()
    check.timeout.connect(
        lambda: (done() or time.perf_counter() - start > seconds) and loop.quit()
    )
    check.start(5)
    loop.exec()
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
