"""What every benchmark needs: data, scores, runs of ours and of peers, log, table.

A run of ours has a process of its own, as a run of a peer has: nothing of an earlier
one is in memory, and neither counts its imports.
"""

from __future__ import annotations

import argparse
import importlib
import itertools
import json
import multiprocessing
import os
import platform
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import tifffile
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from skimage.io import imread

from napari_selfdenoise import DenoisingError, RequestError
from napari_selfdenoise.evaluation import psnr, scale_invariant_psnr, ssim

Pixels = NDArray[np.float32]
Row = dict[str, Any]
Result = TypeVar("Result")

RANGE = 255.0
"""Data range of PSNR and SSIM: all public sets here are 8-bit."""


def read(name: str) -> Pixels:
    """Pixels of a file of the benchmark data, or a sentence and the end."""
    path = data_path(name)
    tiff = path.suffix in (".tif", ".tiff")
    return (tifffile.imread if tiff else imread)(path).astype(np.float32)


def data_path(name: str) -> Path:
    """Place of a file or folder of the benchmark data, or a sentence and the end."""
    path = Path(os.environ.get("SELFDENOISE_DATA", "../shared/data")) / name
    if not path.exists():
        sys.exit(f"{name} is not there: SELFDENOISE_DATA must name the data's folder.")
    return path


def describe_machine(**more: object) -> str:
    """Machine, versions and whatever else decides the figures."""
    from napari_selfdenoise.compute import resolve_device
    from napari_selfdenoise.compute.device import compute_threads

    versions = ", ".join(
        f"{name} {version_of(name)}"
        for name in ("napari-selfdenoise", "torch", "numpy")
    )
    rest = ", ".join(f"{key} {value}" for key, value in more.items())
    return (
        f"{platform.machine()}, {os.cpu_count()} cores, device "
        f"{resolve_device('auto')}, {compute_threads()} compute threads; Python "
        f"{platform.python_version()}, {versions}; {rest}"
    )


def version_of(package: str) -> str:
    """Version of a package; where it is not installed, that of the source tree."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        module = importlib.import_module(package.replace("-", "_"))
        return f"{getattr(module, '__version__', '?')} (source tree)"


def print_table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """A table that reads as text and as Markdown."""
    for line in itertools.chain([header, ["---"] * len(header)], rows):
        print("| " + " | ".join(str(cell) for cell in line) + " |", flush=True)


def say(line: str) -> None:
    """Say how far it is, on stderr: stdout holds the tables."""
    print(line, file=sys.stderr, flush=True)


def in_fresh_process(
    function: Callable[..., Result], *args: object, **named: object
) -> Result:
    """Call a function of a module in a process of its own, which ends with it."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        return pool.submit(function, *args, **named).result()


def peak_memory_bytes() -> int:
    """Largest resident size of this process so far.

    On Linux of what it runs now: `ru_maxrss` starts with what the process that started
    it held.
    """
    status = Path("/proc/self/status")
    if status.exists():
        return memory_bytes("VmHWM")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak


def memory_bytes(name: str) -> int:
    """A size that Linux knows of this process, by its name in /proc; else 0."""
    status = Path("/proc/self/status")
    lines = status.read_text().splitlines() if status.exists() else []
    return next((1024 * int(x.split()[1]) for x in lines if x.startswith(name)), 0)


def gpu_peak_bytes() -> int:
    """Largest memory that this process has held on a CUDA device; 0 without one."""
    import torch

    return torch.cuda.max_memory_reserved() if torch.cuda.is_available() else 0


# -- Public sets -----------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Case:
    """What one training sees, and what its result is measured on.

    Parameters
    ----------
    name : str
        Which part of the set.
    training : ndarray
        Noisy pixels, (Y, X), or (I, Y, X) for a set of unrelated images.
    noisy, truth : list of ndarray
        What is denoised, and what it should become, each (Y, X).
    """

    name: str
    training: Pixels
    noisy: list[Pixels]
    truth: list[Pixels]


@dataclass(frozen=True)
class PublicSet:
    """Cases, and the measure that the set is judged by.

    Parameters
    ----------
    title : str
        What tables call it.
    cases : callable
        Gives the cases; takes the number of fields of view, where there are many.
    measure : str
        "psnr", or "scale_invariant_psnr" where gain and offset differ from frame to
        frame.
    """

    title: str
    cases: Callable[[int], Iterator[Case]]
    measure: str = "psnr"


def _first_frame(raw: str, truth: str) -> Callable[[int], Iterator[Case]]:
    """The first frame of a file of the FMD data, alone."""

    def cases(_: int) -> Iterator[Case]:
        noisy = read(f"fmd/{raw}.tif")
        noisy = noisy[0] if noisy.ndim == 3 else noisy
        yield Case("frame 0", noisy, [noisy], [read(f"fmd/{truth}.tif")])

    return cases


def _w2s(fields: int) -> Iterator[Case]:
    """Each frame alone; each image was stretched on its own, so truth is mapped."""
    for channel in range(3):
        stacks = (f"w2s/train_fov001-020_ch{channel}_avg{n}.tif" for n in (1, 400))
        for number, (noisy, clean) in enumerate(zip(*map(read, stacks), strict=True)):
            if number < fields:
                name = f"field {number + 1}, channel {channel}"
                yield Case(name, noisy, [noisy], [_mapped(clean, noisy)])


def _mapped(clean: Pixels, noisy: Pixels) -> Pixels:
    """Truth in the units of the noisy image: the best gain and offset."""
    gain, offset = np.polyfit(clean.ravel().astype(float), noisy.ravel(), 1)
    return (gain * clean + offset).astype(np.float32)


def _bsd68(_: int) -> Iterator[Case]:
    """Trained on 400 photographs, measured on 68 others; noise of std 25, unclipped."""
    train, test = np.random.default_rng(1), np.random.default_rng(0)
    training = read("bsd/bsd400_train.tif")
    truth = [imread(p).astype(np.float32) for p in sorted(_photographs())]
    yield Case(
        "68 images",
        _with_noise(training, train),
        [_with_noise(one, test) for one in truth],
        truth,
    )


def _photographs_alone(std: float) -> Callable[[int], Iterator[Case]]:
    """Each of four photographs of BSD68 alone; Gaussian noise, unclipped."""

    def cases(_: int) -> Iterator[Case]:
        luck = np.random.default_rng(0)
        for path in sorted(_photographs())[::17]:
            clean = imread(path).astype(np.float32)
            noisy = _with_noise(clean, luck, std)
            yield Case(path.stem, noisy, [noisy], [clean])

    return cases


def _photographs() -> Iterator[Path]:
    return data_path("bsd/bsd68").glob("*.png")


def _with_noise(clean: Pixels, luck: np.random.Generator, std: float = 25) -> Pixels:
    return clean + std * luck.standard_normal(clean.shape, np.float32)


SETS: dict[str, PublicSet] = {
    "fish": PublicSet(
        "Confocal, zebrafish",
        _first_frame("testmix_confocal_fish_raw4", "testmix_confocal_fish_gt"),
    ),
    "twophoton-mice": PublicSet(
        "Two-photon, mouse brain (scale-invariant)",
        _first_frame("testmix_twophoton_mice_raw4", "testmix_twophoton_mice_gt"),
        "scale_invariant_psnr",
    ),
    "mice": PublicSet(
        "Confocal, mouse brain",
        _first_frame("confocal_mice_otherfov_raw", "confocal_mice_otherfov_gt"),
    ),
    "widefield": PublicSet(
        "Wide-field, BPAE (correlated noise)",
        _first_frame("testmix_widefield_bpae_g_raw4", "testmix_widefield_bpae_g_gt"),
    ),
    "w2s": PublicSet("W2S, wide-field (truth affine-fitted)", _w2s),
    "photographs": PublicSet(
        "Photographs of BSD68, sigma 25, each alone", _photographs_alone(25)
    ),
    "photographs-10": PublicSet(
        "Photographs of BSD68, sigma 10, each alone", _photographs_alone(10)
    ),
    "bsd68": PublicSet("BSD68, sigma 25, trained on BSD400", _bsd68),
}
LONG = ("photographs", "photographs-10", "bsd68")
"""Sets that are measured only where they are named."""


def score(predictions: Sequence[Pixels], truth: Sequence[Pixels]) -> Row:
    """Mean PSNR, scale-invariant PSNR (dB) and SSIM over images, each (Y, X)."""
    values = [
        (psnr(p, t, RANGE), scale_invariant_psnr(p, t), ssim(p, t, RANGE))
        for p, t in zip(predictions, truth, strict=True)
    ]
    names = ("psnr", "scale_invariant_psnr", "ssim")
    return dict(zip(names, np.mean(values, axis=0).tolist(), strict=True))


def measured(prediction: Pixels, truth: Pixels, measure: str) -> float:
    """PSNR of one image (Y, X) in dB, as the set is judged by."""
    if measure == "psnr":
        return psnr(prediction, truth, RANGE)
    return scale_invariant_psnr(prediction, truth)


def best_blur(case: Case, measure: str) -> tuple[list[Pixels], float]:
    """Each image with the Gaussian blur that is best for it, and the median width.

    The widths, in pixels, are chosen with the truth: what a single blur reaches at
    most.
    """
    found = [
        max(
            ((gaussian_filter(noisy, width), width) for width in _WIDTHS),
            key=lambda blurred: measured(blurred[0], truth, measure),
        )
        for noisy, truth in zip(case.noisy, case.truth, strict=True)
    ]
    return [blurred for blurred, _ in found], float(np.median([w for _, w in found]))


_WIDTHS = np.arange(0.25, 6.01, 0.25)


# -- Runs ------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Run:
    """What one run gave and took.

    Parameters
    ----------
    predictions : list of ndarray
        One for each noisy image of the case, (Y, X), raw units.
    seconds_train, seconds_predict : float
        From the pixels in memory to the result in memory; the sum is the whole.
    about : dict
        What else is known: steps, versions, memory.
    trajectory : list of tuple
        Seconds after which a user would hold a prediction, and the prediction (Y, X).
    """

    predictions: list[Pixels]
    seconds_train: float
    seconds_predict: float
    about: Row
    trajectory: list[tuple[float, Pixels]] = field(default_factory=list)


@dataclass(frozen=True)
class Ours:
    """A recipe, changed or not.

    Parameters
    ----------
    recipe : str
        Its name.
    changes : tuple
        Settings that differ from it: pairs of dotted name and value.
    """

    recipe: str
    changes: tuple[tuple[str, Any], ...] = ()

    @property
    def name(self) -> str:
        """What tables call it."""
        rest = dict(self.changes)
        budget, steps = rest.pop("budget_s", None), rest.pop("steps", None)
        parts = [self.recipe]
        parts += [f"{budget:g} s"] if budget else []
        parts += [f"{steps} steps"] if steps else []
        return " ".join(parts + [f"{key}={value}" for key, value in rest.items()])

    def takes(self, case: Case) -> bool:
        """Whether it can be trained on such a case."""
        return True

    def run(self, case: Case, seed: int, trajectory: bool = False) -> Run:
        """Train and denoise, in a process of its own."""
        changes = dict(self.changes) | {"seed": seed}
        return in_fresh_process(
            _train_and_denoise, self.recipe, changes, case.training, case.noisy
        )


def image_of(pixels: Pixels) -> Any:
    """An `Image` of pixels (Y, X), or of unrelated ones (I, Y, X)."""
    from napari_selfdenoise import Image

    return Image(pixels, "YX" if pixels.ndim == 2 else "IYX")


def _train_and_denoise(
    name: str, changes: Row, training: Pixels, noisy: list[Pixels]
) -> Run:
    load_everything()
    from napari_selfdenoise import denoise, recipe, train

    config = recipe(name).override(changes)
    begin = time.perf_counter()
    model = train(image_of(training), config)
    trained = time.perf_counter()
    predictions = [denoise(image_of(one), model).denoised.data for one in noisy]
    end = time.perf_counter()
    kept = ("steps", "device", "precision", "finding", "versions", "warnings")
    about = {key: model.provenance.get(key) for key in kept}
    about["masking"] = model.config.masking.model_dump(mode="json")
    about["peak_memory_bytes"] = peak_memory_bytes()
    about["gpu_peak_bytes"] = gpu_peak_bytes()
    return Run(predictions, trained - begin, end - trained, about)


def load_everything() -> None:
    """Import what a training needs, as the peers' scripts do before their clock."""
    from napari_selfdenoise.training import preload

    preload()


_FOLDER = Path(__file__).parent / "peers"

_RUNNERS = {
    "n2v": ("careamics", "run_careamics.py"),
    "n2v2": ("careamics", "run_careamics.py"),
    "structn2v": ("careamics", "run_careamics.py"),
    "zs-n2n": ("", "zs_n2n.py"),
    "vst-bm3d": ("bm3d", "run_bm3d.py"),
}
"""Environment and script of each method; no environment: the one that runs this."""


@dataclass(frozen=True)
class Peer:
    """A method of someone else's, run by its script in its own environment.

    Parameters
    ----------
    method : str
        As the scripts in `peers` name it.
    setting : str
        "default" or "tuned".
    python : str
        Interpreter of its environment.
    threads : int
        Of its main process.
    seconds : float, optional
        After which its training ends.
    epochs : int, optional
        Instead of the setting's own number.
    """

    method: str
    setting: str
    python: str
    threads: int
    seconds: float | None = None
    epochs: int | None = None

    @property
    def name(self) -> str:
        """What tables call it."""
        limit = f" {self.seconds:g} s" if self.seconds else ""
        return f"{self.method} {self.setting}{limit}"

    def takes(self, case: Case) -> bool:
        """Whether it can be trained on such a case: the scripts take one image."""
        return case.training.ndim == 2

    def run(self, case: Case, seed: int, trajectory: bool = False) -> Run:
        """Run the script.

        Raises
        ------
        RuntimeError
            If it fails, with the end of what it said.
        """
        with tempfile.TemporaryDirectory() as folder:
            place = Path(folder)
            points = place / "points.npz" if trajectory else None
            result, about = self.denoised(case.training, seed, place, points)
            seconds = about["seconds_train"], about["seconds_predict"]
            path = _trajectory(points, seconds[1]) if points else []
        return Run([result], *seconds, about, path)

    def denoised(
        self, pixels: NDArray[Any], seed: int, folder: Path, points: Path | None = None
    ) -> tuple[NDArray[Any], Row]:
        """An image (Y, X), or a stack (Z, Y, X), denoised, and what the script said.

        Raises
        ------
        RuntimeError
            As `run`.
        """
        np.save(folder / "in.npy", pixels)
        about = self._call(folder / "in.npy", folder / "out.npy", seed, points)
        return np.load(folder / "out.npy"), about

    def _call(self, source: Path, target: Path, seed: int, points: Path | None) -> Row:
        script = _FOLDER / _RUNNERS[self.method][1]
        options = {
            "--method": self.method,
            "--setting": self.setting,
            "--seconds": self.seconds,
            "--epochs": self.epochs,
            "--seed": seed,
            "--threads": self.threads,
            "--trajectory": points,
        }
        given = [(k, str(v)) for k, v in options.items() if v is not None]
        command = [self.python, script, source, target, *itertools.chain(*given)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"{self.name} failed: ... {done.stderr[-1500:]}")
        about: Row = json.loads(done.stdout.splitlines()[-1])
        return about


def _trajectory(path: Path, seconds_predict: float) -> list[tuple[float, Pixels]]:
    """Points of a peer; who stops at one waits for the prediction too."""
    with np.load(path) as points:
        waited = (points["seconds"] + seconds_predict).tolist()
        return list(zip(waited, points["predictions"], strict=True))


Method = Ours | Peer


def add_peer_options(parser: argparse.ArgumentParser) -> None:
    """Which peers, and where they live; and the threads of both sides."""
    parser.add_argument(
        "--peers",
        nargs="*",
        default=[],
        metavar="METHOD[:SETTING[:SECONDS]]",
        help=f"of {', '.join(_RUNNERS)}; as n2v, n2v2:tuned or zs-n2n:tuned:90",
    )
    for name in ("careamics", "bm3d"):
        parser.add_argument(
            f"--{name}", metavar="PYTHON", help="interpreter of its environment"
        )
    parser.add_argument(
        "--threads",
        type=int,
        help="of both sides; else OMP_NUM_THREADS, else ours takes all cores but one "
        "and a peer all",
    )


def peers_of(
    parser: argparse.ArgumentParser, options: argparse.Namespace
) -> list[Peer]:
    """Peers that were asked for; ends the program where one has no interpreter."""
    if options.threads:
        os.environ["OMP_NUM_THREADS"] = str(options.threads)
    peers = []
    for asked in options.peers:
        method, _, rest = asked.partition(":")
        setting, _, seconds = rest.partition(":")
        if method not in _RUNNERS:
            parser.error(f"{method} is none of {', '.join(_RUNNERS)}")
        home = _RUNNERS[method][0]
        python = getattr(options, home) if home else sys.executable
        if not python or not shutil.which(python):
            parser.error(
                f"{method} needs --{home} PYTHON, an interpreter that is there"
            )
        limit = float(seconds) if seconds else None
        peer = Peer(method, setting or "default", python, peer_threads(), limit)
        peers.append(peer)
    return peers


def peer_threads() -> int:
    """Threads that a peer is given."""
    asked = os.environ.get("OMP_NUM_THREADS", "")
    return int(asked) if asked.isdigit() else os.cpu_count() or 1


def add_change_options(parser: argparse.ArgumentParser) -> None:
    """What differs from the recipe, in all runs of ours."""
    parser.add_argument(
        "--steps", type=int, help="of training, instead of a budget: for a quick try"
    )
    parser.add_argument(
        "--set",
        nargs="+",
        default=[],
        metavar="NAME=VALUE",
        help="settings of ours, as network.width=32",
    )


def ours(options: argparse.Namespace, name: str, budget_s: float | None = None) -> Ours:
    """A recipe of ours as the options change it."""
    changes: Row = dict(pair.split("=", 1) for pair in options.set)
    if options.steps:
        changes["steps"] = options.steps
    elif budget_s:
        changes["budget_s"] = budget_s
    return Ours(name, tuple(changes.items()))


def require_valid(methods: Iterable[Method]) -> None:
    """Refuse a recipe or setting that is not there, before hours are spent."""
    mine = [(m.recipe, dict(m.changes)) for m in methods if isinstance(m, Ours)]
    try:
        in_fresh_process(_make_configs, mine)
    except RequestError as error:
        sys.exit(str(error))


def _make_configs(wanted: list[tuple[str, Row]]) -> None:
    from napari_selfdenoise import recipe

    for name, changes in wanted:
        recipe(name).override(changes)


def interleaved(mine: Sequence[Method], theirs: Sequence[Method]) -> list[Method]:
    """Ours, theirs, ours, theirs: a machine that slows down slows both."""
    pairs = itertools.zip_longest(dict.fromkeys(mine), dict.fromkeys(theirs))
    return [method for pair in pairs for method in pair if method]


# -- Log -------------------------------------------------------------------------------

_KEY = ("benchmark", "set", "case", "method", "seed", "threads")


def add_log_options(parser: argparse.ArgumentParser) -> None:
    """Where rows are kept, so that an interrupted run loses only its last one."""
    parser.add_argument(
        "--log", type=Path, help="append each run as a line of JSON; one file a machine"
    )
    parser.add_argument(
        "--resume", action="store_true", help="take from the log what is there"
    )


class Log:
    """Rows of a file of JSON lines.

    Parameters
    ----------
    path : Path or None
        Appended to; None keeps nothing.
    resume : bool
        Whether what is there counts as done.
    """

    def __init__(self, path: Path | None, resume: bool) -> None:
        self.path = path
        self._known = {_key(row): row for row in _rows(path)} if resume else {}

    def find(self, row: Row) -> Row | None:
        """What is known of a run: the last row with its key."""
        return self._known.get(_key(row))

    def add(self, row: Row) -> None:
        """Keep a row."""
        if self.path is None:
            return
        with self.path.open("a+b") as file:
            file.write(_line_end(file) + json.dumps(row).encode() + b"\n")


def _key(row: Row) -> tuple[object, ...]:
    return tuple(row.get(name) for name in _KEY)


def _rows(path: Path | None) -> Iterator[Row]:
    lines = path.read_text().splitlines() if path and path.exists() else []
    for line in lines:
        try:
            yield json.loads(line)
        except json.JSONDecodeError:  # the run was ended while it wrote
            say(f"A line of {path} is cut off and left out: {line[:60]}")


def _line_end(file: Any) -> bytes:
    """What is missing to begin a new line in a file opened to append."""
    size = file.seek(0, os.SEEK_END)
    if not size:
        return b""
    file.seek(size - 1)
    return b"" if file.read(1) == b"\n" else b"\n"


def logged_run(
    log: Log,
    benchmark: str,
    name: str,
    case: Case,
    method: Method,
    seed: int,
    trajectory: bool = False,
) -> Row | None:
    """Row of one run, from the log or by running it; None where it failed.

    Holds what `score` gives, seconds, and the trajectory of a peer that is asked for
    one: pairs of seconds and dB.
    """
    threads = os.environ.get("OMP_NUM_THREADS")
    about = (benchmark, name, case.name, method.name, seed, threads)
    row: Row = dict(zip(_KEY, about, strict=True))
    if known := log.find(row):
        return known
    try:
        run = method.run(case, seed, trajectory)
        row |= score(run.predictions, case.truth)
    except (RuntimeError, RequestError, DenoisingError) as error:
        say(f"{name}, {case.name}, seed {seed}, {method.name}: {error}")
        return None
    row |= {"seconds_train": run.seconds_train, "seconds_predict": run.seconds_predict}
    measure, truth = SETS[name].measure, case.truth[0]
    row["trajectory"] = [(s, measured(p, truth, measure)) for s, p in run.trajectory]
    row["when"] = time.strftime("%Y-%m-%dT%H:%M:%S")
    row["about"] = run.about
    log.add(row)
    say(
        f"{name}, {case.name}, seed {seed}, {method.name}: {row[measure]:.2f} dB, "
        f"{run.seconds_train:.1f} + {run.seconds_predict:.1f} s"
    )
    return row


def versions_of(rows: Iterable[Row]) -> str:
    """Versions that the rows were made with, each once."""
    found: dict[str, None] = {}
    for row in rows:
        about = row.get("about", {})
        for name, version in (about.get("versions") or {}).items():
            found[f"{name} {version}"] = None
        if "peer" in about:
            found[f"{about['peer']} {about['version']}"] = None
    return ", ".join(found)


def mean_and_spread(values: Iterable[float], digits: int = 2) -> str:
    """Mean over seeds; with several, plus or minus half of their range."""
    seeds = list(values)
    spread = f" ± {np.ptp(seeds) / 2:.{digits}f}" if len(seeds) > 1 else ""
    return f"{np.mean(seeds):.{digits}f}{spread}"
