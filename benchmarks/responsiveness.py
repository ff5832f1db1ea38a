"""How the real napari window feels while it trains.

    python benchmarks/responsiveness.py [--seconds 20] [--size 512] [--wait 5]
        [--window 1500 950]

Waits while the dock loads what a training needs, as a user does who looks for an image;
then presses Train on a square one and measures: seconds to the first preview; the time
between the ticks of a 10 ms timer in the window's thread while training; seconds from
pressing Stop to the model in hand. Needs a screen: run it under xvfb-run where there is
none.
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


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--wait", type=float, default=5, help="seconds before Train")
    parser.add_argument(
        "--window", type=int, nargs=2, metavar=("WIDTH", "HEIGHT"), help="in pixels"
    )
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["NAPARI_CONFIG"] = str(Path(folder) / "settings.yaml")
        rows = _measure(options)
    said = {"image": f"{options.size}²", "seconds": f"{options.seconds:g}"}
    print(describe_machine(**said, wait=f"{options.wait:g} s"))
    print_table(("what", "measured", "asked"), rows)


def _measure(options: argparse.Namespace) -> list[tuple[str, str, str]]:
    import napari
    from qtpy.QtCore import Qt, QTimer

    from napari_selfdenoise.images import poisson_gaussian_stack

    noisy, _ = poisson_gaussian_stack(frames=1, size=options.size)
    viewer = napari.Viewer(show=True)
    if options.window:
        viewer.window.resize(*options.window)
    viewer.add_image(noisy.data[0], name="noisy")
    _, dock = viewer.window.add_plugin_dock_widget("napari-selfdenoise", "Denoise")
    dock.controls.budget.setCurrentText("10 min")
    _pump(lambda: False, options.wait)
    ticks: list[float] = []
    timer = QTimer()
    timer.setTimerType(Qt.TimerType.PreciseTimer)
    timer.timeout.connect(lambda: ticks.append(time.perf_counter()))
    timer.start(10)
    dock.controls.train.click()
    preview = _pump(lambda: "noisy denoised" in viewer.layers, 60)
    _pump(lambda: False, options.seconds)
    timer.stop()
    dock.controls.stop.click()
    stop = _pump(lambda: dock.model is not None, 60)
    all_of_it = stop + _pump(lambda: dock._run is None, 60)
    viewer.close()
    gaps = 1000 * np.diff(ticks)
    return [
        ("first preview", f"{preview:.2f} s", "5 s"),
        ("timer, median", f"{np.median(gaps):.1f} ms", ""),
        ("timer, 95th percentile", f"{np.percentile(gaps, 95):.1f} ms", ""),
        ("timer, 99th percentile", f"{np.percentile(gaps, 99):.1f} ms", "60 ms"),
        ("timer, longest", f"{gaps.max():.0f} ms", ""),
        ("stop to model in hand", f"{stop:.2f} s", "1 s"),
        ("stop to all layers there", f"{all_of_it:.2f} s", ""),
        ("steps trained", f"{dock.model.provenance['steps']}", ""),
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
