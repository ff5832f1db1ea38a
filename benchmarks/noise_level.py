"""Noise of images by their flattest blocks, and whether it is simple.

    python benchmarks/noise_level.py [--planes 6]

Photographs of BSD68 get Gaussian noise of known std; other rows are files as they were
recorded, a few planes of each, each measured alone. "range" is that of the groups by
signal. The last column says for how many planes `sure` would hide nothing in the end,
and why not for the others.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from common import SETS, data_path, describe_machine, print_table, read

from napari_selfdenoise.noise import NoiseLevel, measure_level

Planes = Sequence[np.ndarray]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--planes", type=int, default=6, help="of each file, at most")
    options = parser.parse_args()
    print(describe_machine(seed=0))
    header = ("image", "std", "range", "skewness", "excess", "planes", "simple")
    print_table(header, _rows(options.planes))


def _rows(most: int) -> Iterator[Sequence[str]]:
    (photographs,) = SETS["bsd68"].cases(1)
    yield _row("BSD400, std 25, all together", [list(photographs.training)])
    luck = np.random.default_rng(0)
    for std in (5, 10, 25, 50):
        noisy = [t + std * luck.standard_normal(t.shape) for t in photographs.truth]
        yield _row(f"BSD68, std {std}, all together", [noisy])
        yield _row(f"BSD68, std {std}, each alone", [[plane] for plane in noisy])
    for path in sorted(data_path("").rglob("*.tif")):
        name = path.relative_to(data_path("")).as_posix()
        if not name.startswith("bsd"):
            yield _row(name, [[plane] for plane in _spaced(name, most)])


def _spaced(name: str, most: int) -> Planes:
    pixels = read(name)
    planes = pixels.reshape(-1, *pixels.shape[-2:]).astype(np.float32)
    chosen = np.unique(np.linspace(0, len(planes) - 1, most).astype(int))
    return [plane for plane in planes[chosen] if np.isfinite(plane).all()]


def _row(name: str, sets: Sequence[Planes]) -> Sequence[str]:
    levels = [measure_level(planes) for planes in sets]
    known = [level for level in levels if level is not None]
    if not known:
        return (name, "–", "–", "–", "–", str(len(sets)), "none: too few pixels")
    by_signal = [level.by_signal for level in known]
    return (
        name,
        f"{_median(level.std for level in known):.4g}",
        f"{_median(map(min, by_signal)):.4g} to {_median(map(max, by_signal)):.4g}",
        f"{_median(level.skewness for level in known):.2f}",
        f"{_median(level.excess for level in known):.2f}",
        str(len(sets)),
        _verdict(levels),
    )


def _median(values: Iterable[float]) -> float:
    return float(np.median(list(values)))


def _verdict(levels: Sequence[NoiseLevel | None]) -> str:
    reasons = [
        level.why_not_simple().split(" (")[0] if level else "too few pixels"
        for level in levels
    ]
    against = Counter(filter(None, reasons))
    told = "; ".join(f"{count} {reason}" for reason, count in against.most_common())
    return f"{reasons.count('')} of {len(reasons)}" + (f"; {told}" if told else "")


if __name__ == "__main__":
    main()
