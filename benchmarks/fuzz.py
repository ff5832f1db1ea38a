"""Bad input of all kinds: each case must end with a sound result or with a sentence.

    python benchmarks/fuzz.py [--cases 10000] [--seed 0] [--parts tiff model ...]
        [--only 17] [--limit 20] [--memory 4] [--examples FILE]

Arrays and axes, files of images whose bytes, tags or metadata were changed, files of
the program (models, noise models, checkpoints, records of chunks), frames for a
calibration, random settings, random flags of the command line. What is accepted is
trained on for one step and denoised where it is small, and the result is checked: its
shape and type, that it is finite wherever the input is, and that its mean lies within
the input's range.

Cases run in processes of their own, some hundred in each, which may take so many
gigabytes more than they have at their start. A case that computes longer than the
limit, in seconds, or waits six times as long, counts as hang; one that ends the process
as crash. Each follows from seed, part and number alone: `--parts tiff --only 17`
repeats one. Fits of the noise are shortened. Settings that make a training slow are not
drawn: widths above 12, patches above 48 px. Vendors' files are taken from
SELFDENOISE_DATA.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

SHARES = {
    "arrays": 900,
    "tiff": 2400,
    "zarr": 900,
    "png": 600,
    "hdf5": 800,
    "mrc": 600,
    "vendor": 300,
    "model": 900,
    "noise model": 600,
    "checkpoint": 300,
    "record": 400,
    "calibration": 150,
    "configs": 1000,
    "flags": 350,
}
"""Cases of each part, of ten thousand or so."""

OUTCOMES = ("accepted", "sentence", "wrong", "other", "memory", "hang", "crash")
HEADER = ("part", "cases", "accepted", "sentence", "wrong result", "other exception")
HEADER += ("too much memory", "hang", "crash")

_BATCH = 250
_LONGEST = 2000
"""Letters of a sentence: more than that is no sentence."""


class _HangError(BaseException):
    """A case takes longer than it may."""


def main() -> None:
    """Print the table; exit with 1 where a case ended otherwise than it must."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--parts", nargs="+", default=list(SHARES), choices=SHARES)
    parser.add_argument("--only", type=int, help="number of one case, to repeat it")
    parser.add_argument("--limit", type=int, default=20, help="seconds a case")
    parser.add_argument("--memory", type=float, default=4, help="gigabytes a process")
    parser.add_argument("--examples", type=Path, help="JSON lines of what went wrong")
    parser.add_argument("--work", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work:
        work(options)
        return
    with tempfile.TemporaryDirectory() as home:
        _make_seeds(Path(home))
        sys.exit(_table(options))


def _make_seeds(home: Path) -> None:
    """Write the sound files in a process of its own, which patches what it needs."""
    os.environ["SELFDENOISE_FUZZ_SEEDS"] = home.as_posix()
    data = Path(os.environ.get("SELFDENOISE_DATA", "../shared/data")) / "vendor"
    vendor = f"Path({str(data)!r})" if data.is_dir() else "None"
    code = "from pathlib import Path; import fuzz_cases as cases; "
    code += f"cases.make_seeds(cases.SEEDS, {vendor})"
    here = Path(__file__).parent
    subprocess.run([sys.executable, "-c", code], cwd=here, check=True)


def _table(options: argparse.Namespace) -> int:
    from common import describe_machine, print_table

    print(describe_machine(seed=options.seed, cases=options.cases))
    rows, found = [], Counter[str]()
    for part in options.parts:
        counts = Counter(one["outcome"] for one in run_part(options, part))
        found += counts
        rows.append(_row(part, counts))
    print_table(HEADER, [*rows, _row("all", found)])
    return int(any(found[outcome] for outcome in OUTCOMES[2:]))


def _row(part: str, counts: Counter[str]) -> list[object]:
    return [part, sum(counts.values()), *(counts[name] for name in OUTCOMES)]


def cases_of(options: argparse.Namespace, part: str) -> int:
    """How many cases a part has: its share of all."""
    whole = sum(SHARES[name] for name in options.parts)
    return max(1, -(-options.cases * SHARES[part] // whole))


def run_part(options: argparse.Namespace, part: str) -> Iterator[dict[str, Any]]:
    """Run the cases of a part in processes, and say what went wrong in some."""
    from common import say

    first, end = 0, cases_of(options, part)
    if options.only is not None:
        first, end = options.only, options.only + 1
    started, since = time.perf_counter(), first
    while first < end:
        for one in _run_batch(options, part, first, min(end, first + _BATCH)):
            first = one["case"] + 1
            if one["outcome"] not in OUTCOMES[:2] or options.only is not None:
                say(f"{part} {one['case']}: {one['outcome']}: {one['about']}")
                if options.examples:
                    with options.examples.open("a") as file:
                        file.write(json.dumps({"part": part} | one) + "\n")
            yield one
    taken = time.perf_counter() - started
    say(f"{part}: {end - since} cases, {taken:.0f} s")


def _run_batch(
    options: argparse.Namespace, part: str, first: int, end: int
) -> Iterator[dict[str, Any]]:
    """Outcomes of some cases; fewer where one of them ended the process."""
    command = [sys.executable, "-W", "ignore", __file__, "--seed", str(options.seed)]
    command += ["--limit", str(options.limit), "--memory", str(options.memory)]
    command += ["--work", part, str(first), str(end)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stderr is not None
    case, patience = first, 240.0  # until all is imported
    with process:
        while case < end:
            if not select.select([process.stdout], [], [], patience)[0]:
                process.kill()
                yield {"case": case, "outcome": "hang", "about": "killed"}
                return
            line = process.stdout.readline()
            if not line:
                last = process.stderr.read().decode("utf-8", "replace")[-600:]
                yield {"case": case, "outcome": "crash", "about": last}
                return
            found = json.loads(line)
            case, patience = found["case"] + 1, 6.0 * options.limit
            yield found


# -- In a process of its own -----------------------------------------------------------


def work(options: argparse.Namespace) -> None:
    """Run some cases, and print a line of JSON after each."""
    import numpy as np

    part, first, end = options.work[0], *map(int, options.work[1:])
    case = _prepared(part, options.memory)
    out = os.fdopen(os.dup(1), "w")
    with Path(os.devnull).open("w") as nowhere:
        os.dup2(nowhere.fileno(), 1)
    place = list(SHARES).index(part)
    signal.signal(signal.SIGPROF, _hang)
    for number in range(first, end):
        rng = np.random.default_rng((options.seed, place, number))
        folder = Path(tempfile.mkdtemp(prefix="fuzz-"))
        started = time.perf_counter()
        try:
            outcome, about = _outcome(case, rng, folder, options.limit)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        taken = round(time.perf_counter() - started, 2)
        found = {"case": number, "outcome": outcome, "about": about, "seconds": taken}
        print(json.dumps(found), file=out, flush=True)


def _prepared(part: str, gigabytes: float) -> Any:
    """The function of a part, with all imported, and the limit on memory set."""
    warnings.simplefilter("ignore")
    import fuzz_cases as cases
    import torch
    from common import memory_bytes

    from napari_selfdenoise.noise.calibration import fit
    from napari_selfdenoise.training import training_loop

    torch.set_num_threads(1)
    fit._STEPS = 20
    for effort in ("THOROUGH", "BRIEF"):
        setattr(training_loop, effort, training_loop.Effort(1e8, 10))
    others = {"zarr": cases.ome_zarr, "model": cases.model_file}
    others |= {"noise model": cases.noise_model_file}
    others |= {n: cases.file_of(n) for n in ("png", "hdf5", "vendor")}
    most = memory_bytes("VmSize") + int(gigabytes * 2**30)
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    resource.setrlimit(resource.RLIMIT_FSIZE, (2**31, 2**31))
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    return others.get(part) or getattr(cases, part)


def _hang(*_: object) -> None:
    raise _HangError


def _outcome(case: Any, rng: Any, folder: Path, limit: int) -> tuple[str, str]:
    """How a case ended, and what is to be known of it."""
    from fuzz_cases import WrongResultError

    from napari_selfdenoise import DenoisingError, RequestError

    signal.setitimer(signal.ITIMER_PROF, limit)
    try:
        case(rng, folder)
    except (RequestError, DenoisingError) as error:
        return _of_sentence(error)
    except WrongResultError as error:
        return "wrong", str(error)[:500]
    except _HangError:
        return "hang", _where()
    except BaseException as error:  # noqa: BLE001 - that there is none is the point
        kind = "memory" if _ran_out(error) else "other"
        return kind, f"{type(error).__name__}: {str(error)[:300]} {_where()}"
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
    return "accepted", ""


def _of_sentence(error: Exception) -> tuple[str, str]:
    """A sentence must be one, and no memory may have run out before it."""
    text = str(error)
    if _ran_out(error):
        return "memory", text[:300]
    if not text or len(text) > _LONGEST:
        return "wrong", f"no sentence, {len(text)} letters: {text[:200]}"
    return "sentence", text[:300]


def _ran_out(error: BaseException | None) -> bool:
    """Whether memory ran out, which is what an error was made of."""
    while error is not None:
        text = str(error)
        if isinstance(error, MemoryError) or "t allocate memory" in text:
            return True
        error = error.__cause__ or error.__context__
    return False


def _where() -> str:
    """Innermost places of the error in hand."""
    frames = traceback.extract_tb(sys.exc_info()[2])[-7:]
    places = (f"{Path(f.filename).name}:{f.lineno} {f.name}" for f in frames)
    return " < ".join(reversed(list(places)))


if __name__ == "__main__":
    main()
