"""PSNR against wall-clock time, of a recipe and of peers; as tables and a figure.

    python benchmarks/time_to_quality.py [--only fish] [--recipe fast]
        [--budget 5 10 20 30 60 120 300] [--preview] [--figure FILE.png]
        [--peers n2v n2v2 --careamics PYTHON] [--seeds 0 1 2] [--log FILE [--resume]]

Ours: a training of its own for each budget, as a user gets it; it is done after the
training and the prediction. Peers: one training, looked at along the way; "by then" is
what a user would hold who had stopped it early enough to predict, and from its end on
the peer's own result. "Preview" is what the window shows along a training of so many
seconds. The second table says which budget was the first to be level with the peer's
result, and what share of the peer's time it took. Imports are left out. Means over the
seeds, ± half of the range.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from common import (
    LONG,
    SETS,
    Case,
    Log,
    Method,
    Ours,
    Peer,
    Pixels,
    Row,
    add_change_options,
    add_log_options,
    add_peer_options,
    best_blur,
    describe_machine,
    image_of,
    in_fresh_process,
    interleaved,
    load_everything,
    logged_run,
    mean_and_spread,
    measured,
    ours,
    peer_threads,
    peers_of,
    print_table,
    require_valid,
    versions_of,
)

BUDGETS = (1.0, 2.0, 3.0, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0)
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7")  # for all eyes
GREY = "#999999"
LATER = 1.25
"""The next preview is asked for after this many times the seconds of the last."""

Curve = list[tuple[float, float]]
"""Pairs of seconds and dB."""


@dataclass
class Race:
    """What was run on one case.

    Attributes
    ----------
    name : str
        Of the set.
    case : Case
        Its first case.
    mine, theirs : list
        A method for each budget; the peers.
    rows : dict
        Rows of each method by its name, one a seed.
    previews : list of tuple
        Seconds and dB of what the window shows.
    """

    name: str
    case: Case
    mine: list[Ours]
    theirs: list[Peer]
    rows: dict[str, list[Row]] = field(default_factory=dict)
    previews: Curve = field(default_factory=list)

    @property
    def measure(self) -> str:
        """Which PSNR the set is judged by."""
        return SETS[self.name].measure

    def of(self, method: Method) -> tuple[list[float], float]:
        """Results of all seeds in dB, and the mean of the seconds they took."""
        rows = self.rows[method.name]
        return [row[self.measure] for row in rows], float(np.mean([*map(whole, rows)]))

    def done(self, methods: list[Ours] | list[Peer]) -> list[Method]:
        """Those that did not fail."""
        return [method for method in methods if self.rows.get(method.name)]


def main() -> None:
    """Print the tables and draw the figure."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    sets = [name for name in SETS if name not in LONG]
    parser.add_argument("--only", choices=sets, default="fish", help="its first image")
    parser.add_argument("--recipe", default="fast")
    parser.add_argument("--budget", type=float, nargs="+", default=BUDGETS)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument(
        "--preview", type=float, nargs="?", const=60.0, metavar="SECONDS"
    )
    parser.add_argument("--figure", type=Path, help="as docs/images/time.png")
    add_change_options(parser)
    add_peer_options(parser)
    add_log_options(parser)
    options = parser.parse_args()
    mine = [ours(options, options.recipe, seconds) for seconds in options.budget]
    theirs = peers_of(parser, options)
    require_valid(mine)
    said = {"seeds": options.seeds, "peers' threads": peer_threads()}
    print(in_fresh_process(describe_machine, set=options.only, **said))
    case = next(SETS[options.only].cases(1))
    race = Race(options.only, case, list(dict.fromkeys(mine)), theirs)
    _run(race, options)
    _print(race)
    if options.figure:
        _draw(race, options.figure)


def _run(race: Race, options: argparse.Namespace) -> None:
    log = Log(options.log, options.resume)
    methods = interleaved(race.mine, race.theirs)
    for seed in options.seeds:
        for method in methods:
            row = logged_run(
                log, "time_to_quality", race.name, race.case, method, seed, True
            )
            race.rows.setdefault(method.name, []).extend([row] if row else [])
    if options.preview:
        seed = options.seeds[0]
        changes = dict(ours(options, options.recipe, options.preview).changes)
        config = changes | {"seed": seed}
        seen = in_fresh_process(_previews, options.recipe, config, race.case.training)
        truth = race.case.truth[0]
        race.previews = [(s, measured(p, truth, race.measure)) for s, p in seen]


def _previews(name: str, changes: Row, noisy: Pixels) -> list[tuple[float, Pixels]]:
    """What the window shows along one training: seconds, and the image (Y, X)."""
    load_everything()
    from napari_selfdenoise import recipe, train_steps
    from napari_selfdenoise.images import FieldOfView

    everything = FieldOfView((), 0, noisy.shape[0], 0, noisy.shape[1])
    config = recipe(name).override(changes)
    begin = time.perf_counter()
    steps = train_steps(image_of(noisy), config)
    seen, due, command = [], 0.0, None
    try:
        while True:
            progress = steps.send(command)
            now = time.perf_counter() - begin
            if progress.preview is not None:
                seen.append((now, progress.preview.denoised))
                due = LATER * now
            command = everything if now >= due else None
    except StopIteration:
        return seen


# -- Tables ----------------------------------------------------------------------------


def whole(row: Row) -> float:
    """Seconds from the image to the result."""
    return float(row["seconds_train"] + row["seconds_predict"])


def curve(row: Row, measure: str) -> Curve:
    """What a peer's user would hold, and when; the result last."""
    return [*map(tuple, row["trajectory"]), (whole(row), row[measure])]


def held(points: Curve, seconds: float) -> float | None:
    """Last value by then, in dB."""
    values = [value for moment, value in points if moment <= seconds]
    return values[-1] if values else None


def _print(race: Race) -> None:
    peers = race.done(race.theirs)
    header = ["method", "dB", "done after, s", *(f"{p.name} by then" for p in peers)]
    shown = ["preview by then"] if race.previews else []
    print_table([*header, *shown], _lines(race, peers))
    if peers:
        print()
        _print_race(race, peers)
    rows = (row for rows in race.rows.values() for row in rows)
    print(f"\nVersions: {versions_of(rows)}")


def _lines(race: Race, peers: list[Method]) -> Iterator[list[str]]:
    noisy, blurred, _ = _floor(race)
    yield ["noisy", f"{noisy:.2f}", "–", *["–"] * (len(peers) + bool(race.previews))]
    yield ["blur", f"{blurred:.2f}", "–", *["–"] * (len(peers) + bool(race.previews))]
    for method in race.done(race.mine):
        values, seconds = race.of(method)
        then = [_by_then(race, peer, seconds) for peer in peers]
        if race.previews:
            then.append(_decibels([held(race.previews, seconds)]))
        yield [method.name, mean_and_spread(values), f"{seconds:.1f}", *then]


def _floor(race: Race) -> tuple[float, float, float]:
    """Noisy frame and best blur, in dB; the blur's width."""
    (blurred,), width = best_blur(race.case, race.measure)
    truth = race.case.truth[0]
    noisy = measured(race.case.noisy[0], truth, race.measure)
    return noisy, measured(blurred, truth, race.measure), width


def _by_then(race: Race, peer: Method, seconds: float) -> str:
    rows = race.rows[peer.name]
    return _decibels([held(curve(row, race.measure), seconds) for row in rows])


def _decibels(values: list[float | None]) -> str:
    known = [value for value in values if value is not None]
    return mean_and_spread(known) if len(known) == len(values) else "–"


def _print_race(race: Race, peers: list[Method]) -> None:
    header = ("peer", "its dB", "its seconds", "level with it", "after, s", "share")
    print_table(header, (line for peer in peers for line in _level(race, peer)))


def _level(race: Race, peer: Method) -> Iterator[tuple[str, ...]]:
    """When the first budget, and the first preview, is level with a peer's result."""
    values, seconds = race.of(peer)
    goal = float(np.mean(values))
    finished = [(*race.of(method), method.name) for method in race.done(race.mine)]
    there = [(took, name) for found, took, name in finished if np.mean(found) >= goal]
    ways = [min(there, default=(None, "none"))]
    if race.previews:
        shown = (moment for moment, value in race.previews if value >= goal)
        ways.append((next(shown, None), "preview"))
    for took, name in ways:
        share = ("–", "–") if took is None else (f"{took:.1f}", f"{took / seconds:.3f}")
        yield peer.name, mean_and_spread(values), f"{seconds:.1f}", name, *share


# -- Figure ----------------------------------------------------------------------------


def _draw(race: Race, path: Path) -> None:
    """Draw all curves over a logarithmic axis of seconds."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4.4), layout="constrained")
    axes = figure.subplots()
    _, blurred, width = _floor(race)
    axes.axhline(blurred, color=GREY, linestyle=":", label=f"best blur, σ {width:g} px")
    colours = iter(COLOURS)
    _draw_mine(race, axes, next(colours))
    for peer, colour in zip(race.done(race.theirs), colours, strict=False):
        for number, row in enumerate(race.rows[peer.name]):
            label = None if number else peer.name
            points = np.array(curve(row, race.measure)).T
            axes.plot(*points, color=colour, label=label)
            axes.plot(*points[:, -1], "s", color=colour)
    axes.set(xscale="log", xlabel="seconds, training and prediction", ylabel="dB")
    axes.set_title(f"{SETS[race.name].title}: PSNR against time", fontsize=10)
    limits = axes.get_xlim()
    axes.set_xticks([0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500], minor=False)
    axes.minorticks_off()
    axes.xaxis.set_major_formatter("{x:g}")
    axes.set_xlim(limits)
    axes.grid(color=GREY, alpha=0.25)
    axes.legend(fontsize=9)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)


def _draw_mine(race: Race, axes, colour: str) -> None:
    mine = race.done(race.mine)
    if mine:
        points = [(race.of(m)[1], float(np.mean(race.of(m)[0]))) for m in mine]
        label = f"{mine[0].recipe}, a training for each budget"
        axes.plot(*np.array(sorted(points)).T, "o-", color=colour, label=label)
    if race.previews:
        preview = np.array(race.previews).T
        axes.plot(*preview, "--", color=colour, label="its preview in the window")


if __name__ == "__main__":
    main()
