"""Whether a window that is used for long keeps its size: trainings, then predictions.

    python benchmarks/endurance.py [--trainings 50] [--predictions 200] [--size 64]
        [--steps 12] [--seed 0] [--figure docs/images/endurance.png]

Opens the real napari window with the Denoise dock, presses Train so many times on a
small image, then Denoise. After each run memory, threads, Qt objects, Python objects,
open files and temporary files are counted. Prints them every so often, and the slope of
each over the second half of either kind of run. Needs a screen: run it under xvfb-run
where there is none.
"""

from __future__ import annotations

import argparse
import gc
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from common import describe_machine, print_table, say, version_of

_ROWS = 5
"""Rows of the table for each kind of run, besides the first."""

_PATIENCE_S = 120.0


class Counts(NamedTuple):
    """What a process holds.

    Parameters
    ----------
    memory_mib : float
        Resident memory, after what is free was given back, MiB.
    threads : int
        Of the process.
    windows : int
        And widgets without a parent, hidden ones included.
    qt_objects : int
        All that hangs below them.
    python_objects : int
        That the garbage collector knows.
    open_files : int
        Pipes and sockets included.
    temporary_files : int
        In the temporary folder, and folders in it.
    """

    memory_mib: float
    threads: int
    windows: int
    qt_objects: int
    python_objects: int
    open_files: int
    temporary_files: int


TITLES = Counts(
    "memory (MiB)",
    "threads",
    "windows",
    "Qt objects",
    "Python objects",
    "open files",
    "temporary files",
)


def main() -> None:
    """Print the table, and draw the figure."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--trainings", type=int, default=50)
    parser.add_argument("--predictions", type=int, default=200)
    parser.add_argument("--size", type=int, default=64, help="side in pixels")
    parser.add_argument("--steps", type=int, default=12, help="of each training")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--figure", type=Path, help="file to draw into")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        _move_into(Path(folder))
        versions = {name: version_of(name) for name in ("napari", "qtpy")}
        asked = {k: v for k, v in vars(options).items() if k != "figure"}
        print(describe_machine(**versions, **asked), flush=True)
        found = list(endure(options))
        _print_counts(found)
    if options.figure:
        draw(options.figure, found)


def _move_into(folder: Path) -> None:
    """Keep settings, checkpoints and temporary files of this process apart."""
    os.environ["NAPARI_CONFIG"] = str(folder / "settings.yaml")
    os.environ["SELFDENOISE_CHECKPOINTS"] = str(folder / "checkpoints")
    tempfile.tempdir = str(folder / "temporary")
    Path(tempfile.tempdir).mkdir()
    # Nothing is timed: workers need not wait for whatever else this machine does.
    os.setpriority = lambda *_: None


class Run(NamedTuple):
    """What was counted after a run; the first of each kind came before any."""

    kind: str
    number: int
    counts: Counts


def endure(options: argparse.Namespace) -> Iterator[Run]:
    """Train and denoise in a window, and count after each run."""
    viewer, dock = open_window(options.size, options.steps, options.seed)
    yield Run("training", 0, count())
    for kind, button, times in (
        ("training", dock.controls.train, options.trainings),
        ("prediction", dock.controls.denoise, options.predictions),
    ):
        for number in range(1, times + 1):
            press(dock, button)
            found = Run(kind, number, count())
            if number % 10 == 0:
                say(f"{kind} {number}: {found.counts.memory_mib:.1f} MiB")
            yield found
    viewer.close()


def open_window(size: int, steps: int, seed: int) -> tuple[Any, Any]:
    """A window with a noisy image, and its Denoise dock with a brief training set."""
    import napari

    noise = np.random.default_rng(seed)
    y, x = np.mgrid[:size, :size]
    light = 60 + 50 * np.sin(x / 7) * np.cos(y / 9)
    viewer = napari.Viewer(show=True)
    viewer.add_image(noise.poisson(light).astype(np.uint16), name="cells")
    _, dock = viewer.window.add_plugin_dock_widget("napari-selfdenoise", "Denoise")
    # It opens while the window goes on.
    pump(lambda: getattr(dock, "controls", None) is not None)
    dock = getattr(dock, "dock", dock) or dock
    brief = {"network.width": 8, "network.depth": 1, "patch_size": 32}
    brief |= {"batch_size": 2, "flips": False, "steps": steps, "seed": seed}
    for name, value in brief.items():
        dock.controls.advanced.editor(name).value = value
    dock.controls.budget.setCurrentText("until I stop")  # or its steps are done
    pump(lambda: dock.controls.train.isEnabled())
    return viewer, dock


def press(dock: Any, button: Any) -> None:
    """Press a button and wait until all is shown."""
    button.click()
    pump(lambda: dock._run is None)


def count() -> Counts:
    """Count, when everything that can go is gone."""
    import psutil
    from qtpy.QtCore import QEvent
    from qtpy.QtWidgets import QApplication

    from napari_selfdenoise.compute import give_back_memory

    end = [0]
    pump(lambda: end.append(0) or len(end) > 20)  # what was to be called a bit later
    QApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
    gc.collect()
    give_back_memory()
    process, tops = psutil.Process(), QApplication.topLevelWidgets()
    below = sum(map(tree_size, tops))
    return Counts(
        process.memory_info().rss / 2**20,
        process.num_threads(),
        len(tops),
        below,
        len(gc.get_objects()),
        process.num_fds() if hasattr(process, "num_fds") else process.num_handles(),
        sum(1 for _ in Path(tempfile.gettempdir()).rglob("*")),
    )


def tree_size(top: Any) -> int:
    """How many Qt objects there are from one of them downwards.

    By what Qt prints of them: to ask for them makes a Python object of each, which
    PySide keeps when the widget is gone.
    """
    from qtpy.QtCore import qInstallMessageHandler

    lines: list[str] = []
    before = qInstallMessageHandler(lambda kind, where, text: lines.append(text))
    try:
        top.dumpObjectTree()
    finally:
        qInstallMessageHandler(before)
    return len(lines)


def pump(done: Callable[[], bool]) -> None:
    """Run the window's loop until something is so.

    Raises
    ------
    TimeoutError
        If that takes longer than anything here should.
    """
    from qtpy.QtCore import QEventLoop, QTimer

    loop, check, end = QEventLoop(), QTimer(), QTimer()
    check.timeout.connect(lambda: done() and loop.quit())
    end.setSingleShot(True)
    end.timeout.connect(lambda: loop.exit(1))
    check.start(5)
    end.start(int(1000 * _PATIENCE_S))
    if loop.exec():
        raise TimeoutError(f"Nothing came within {_PATIENCE_S:g} s.")


def slope(runs: Sequence[Run]) -> Counts:
    """Growth a run over the second half of some runs: then all caches are filled."""
    half = runs[len(runs) // 2 :]
    if len(half) < 2:
        return Counts(*[0.0] * len(TITLES))
    numbers = [run.number for run in half]
    columns = zip(*(run.counts for run in half), strict=True)
    return Counts(*(float(np.polyfit(numbers, c, 1)[0]) for c in columns))


def _print_counts(found: Sequence[Run]) -> None:
    rows: list[tuple[object, ...]] = []
    for kind in ("training", "prediction"):
        runs = [run for run in found if run.kind == kind]
        every = max(1, len(runs) // _ROWS)
        rows += [
            (f"{kind} {run.number}", f"{run.counts.memory_mib:.1f}", *run.counts[1:])
            for run in runs
            if run.number % every == 0
        ]
        grown = (f"{value:+.3f}" for value in slope(runs))
        rows.append((f"growth a {kind}", *grown))
    print_table(("after", *TITLES), rows)


def draw(path: Path, found: Sequence[Run]) -> None:
    """Draw all that was counted against the runs."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 5.4), layout="constrained")
    trainings = sum(run.kind == "training" and run.number > 0 for run in found)
    axes = figure.subplots(2, 4).ravel()
    for place, (title, axis) in enumerate(zip(TITLES, axes, strict=False)):
        values = [run.counts[place] for run in found]
        axis.plot(values, color="#D55E00", lw=1.2)
        axis.axvline(trainings, color="0.6", lw=0.8, ls="--")
        axis.set_title(title, fontsize=9)
        axis.set_ylim(0, 1.25 * max(max(values), 1))
        axis.tick_params(labelsize=8)
    axes[-1].axis("off")
    axes[-1].text(
        0,
        0.5,
        f"Runs in one window.\nLeft of the dashed line:\n{trainings} trainings.\n"
        f"Right of it:\n{len(found) - 1 - trainings} predictions.",
        va="center",
        fontsize=9,
    )
    figure.supxlabel("runs", fontsize=9)
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    main()
