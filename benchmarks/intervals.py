"""How many pixels the intervals of the posterior hold, where the signal is known.

    python benchmarks/intervals.py [--steps 300] [--only pg fish] [--device cuda]

Of the *signal*: within posterior mean ± z posterior std, with the width as the signal
head has it and as it is calibrated on held-out pixels. Of held-out *observations*: by
the probability of a smaller one (PIT), on pixels that nothing was fitted to. For a head
that gives points, it is the posterior of the calibrated prior.

pg: `synthetic/pg_*`, whose averages hold a white noise of their own, 1.4 to 5.9 % of
the noise's variance, which counts as signal here. smooth: noise of the same line drawn
here on those averages, low-passed by 1 px. given: pg, the noise's line being known, as
after a calibration. fish, mice, pollen: real data, whose reference is a mean of 50
frames; pollen has none.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from common import describe_machine, print_table, read
from scipy.ndimage import gaussian_filter

from napari_selfdenoise import Image, NoiseCurve, denoise, recipe, train
from napari_selfdenoise.compute import resolve_device
from napari_selfdenoise.config import with_estimator
from napari_selfdenoise.defects import CleanImage
from napari_selfdenoise.images import Tile
from napari_selfdenoise.long_work import run_to_end
from napari_selfdenoise.model import TrainedModel
from napari_selfdenoise.parts.estimators import PosteriorMean
from napari_selfdenoise.parts.noise_models import NoiseFromFile
from napari_selfdenoise.prediction import Intervals, interval_steps
from napari_selfdenoise.prediction.context_spread import Context
from napari_selfdenoise.prediction.held_out import HoldOut, sample_tiles
from napari_selfdenoise.prediction.intervals import views_of

Pixels = np.ndarray[Any, Any]

_Z = {"50 %": 0.6745, "90 %": 1.6449}
_GAIN, _READ, _OFFSET = 12.0, 150.0, 100.0

HEADS = ("point", "gaussian", "mixture")


class Case(NamedTuple):
    """A noisy image, its reference if there is one, and its noise if it is given."""

    name: str
    noisy: Pixels
    truth: Pixels | None
    given: NoiseCurve | None = None


def cases(frame: int, side: int) -> Iterator[Case]:
    """All sets."""
    part = slice(0, side), slice(0, side)
    clean, noisy = (read(f"synthetic/pg_{n}.tif")[frame] for n in ("clean", "noisy"))
    yield Case("pg", noisy[part], clean[part])
    smooth = gaussian_filter(clean.astype(float), 1.0)
    yield Case("smooth", _observed(smooth)[part], smooth[part])
    constant = _READ - _GAIN * _OFFSET
    line = NoiseCurve.line(_GAIN, constant, clean.min(), clean.max(), _READ**0.5)
    yield Case("given", noisy[part], clean[part], line)
    for name in ("fish", "mice"):
        raw, truth = (
            read(f"fmd/confocal_{name}_otherfov_{n}.tif") for n in ("raw", "gt")
        )
        yield Case(name, raw[part], truth[part])
    yield Case("pollen", read("stacks/pollen_3d.tif")[16][part], None)


def _observed(signal: Pixels) -> Pixels:
    rng = np.random.default_rng(11)
    photons = rng.poisson((signal - _OFFSET) / _GAIN)
    read_noise = rng.normal(0, _READ**0.5, signal.shape)
    return np.rint(_OFFSET + _GAIN * photons + read_noise).astype(np.float32)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--side", type=int, default=512, help="of the images, px")
    parser.add_argument("--frames", type=int, nargs="+", default=[0], help="of pg")
    parser.add_argument("--heads", nargs="+", choices=HEADS, default=list(HEADS))
    parser.add_argument("--only", nargs="+", default=[])
    parser.add_argument("--device", default="auto")
    options = parser.parse_args()
    print(describe_machine(steps=options.steps, side=options.side, seed=0))
    header = (
        *("set", "head", "signal, head alone", "signal, calibrated"),
        *("held out, head alone", "held out, calibrated", "temperature", "s"),
    )
    print_table(header, _rows(options))


def _rows(options: argparse.Namespace) -> Iterator[Sequence[object]]:
    for frame in options.frames:
        for case in cases(frame, options.side):
            synthetic = case.name in ("pg", "smooth", "given")
            if options.only and case.name not in options.only:
                continue
            if frame != options.frames[0] and not synthetic:
                continue
            name = f"{case.name} {frame}" if synthetic else case.name
            for head in options.heads:
                yield (name, head, *_row(case, head, options))


def _row(case: Case, head: str, options: argparse.Namespace) -> Sequence[object]:
    begin = time.perf_counter()
    changes = {"steps": options.steps, "signal": head, "device": options.device}
    config = recipe("fast").override(changes | {"objective": "squared_error"})
    if case.given is not None:
        model_of_noise = NoiseFromFile.taken(case.given.to_json())
        config = config.model_copy(update={"noise_model": model_of_noise})
    image = Image(case.noisy.astype(np.float32), "YX")
    model = train(image, config)
    found = run_to_end(interval_steps(image, model, device=options.device))
    assert found is not None
    alone, calibrated = _of_signal(image, model, case, found, options.device)
    print(f"{case.name}, {head}: {found}", file=sys.stderr, flush=True)
    return (
        alone,
        calibrated,
        _shown(found.uncorrected),
        _shown(found.coverage),
        "" if found.temperature is None else f"{found.temperature:.2f}",
        f"{time.perf_counter() - begin:.0f}",
    )


def _of_signal(
    image: Image, model: TrainedModel, case: Case, found: Intervals, device: str
) -> tuple[str, str]:
    """Coverage of the signal by the head's own width, and by the calibrated one."""
    if case.truth is None:
        return "", ""
    context, observed = _held_out(image, model, device)
    alone = ""
    if model.config.signal.spreads:
        alone = _coverage(*_posterior(context, observed, context.prior), case.truth)
        result = _denoised(image, model, device)
        return alone, _coverage(*result, case.truth)
    variance = found.spread.variance(context)
    return alone, _coverage(*_posterior(context, observed, variance), case.truth)


def _held_out(image: Image, model: TrainedModel, device: str) -> tuple[Context, Pixels]:
    """Context and observation of all pixels."""
    target = resolve_device(device)
    views = views_of(CleanImage(image), model.to(target), (), target)
    hold_out, tiles = HoldOut(views), list(sample_tiles(views, (), image.data.size))
    run_to_end(hold_out.measure_noise(tiles))
    whole = Tile((), 0, image.shape[0], 0, image.shape[1])
    *_, (_, found) = hold_out.tile(whole)
    assert found is not None
    return found.context, found.observed


def _posterior(
    context: Context, observed: Pixels, variance: Pixels
) -> tuple[Pixels, Pixels]:
    """Mean and std of the posterior of a Gaussian prior."""
    weight = variance / np.maximum(variance + context.noise, 1e-30)
    mean = context.mean + weight * (observed - context.mean)
    return mean, np.sqrt(weight * context.noise)


def _denoised(image: Image, model: TrainedModel, device: str) -> tuple[Pixels, Pixels]:
    """The layers "denoised" and "posterior std"."""
    config = with_estimator(model.config, PosteriorMean())
    result = denoise(image, replace(model, config=config), device=device)
    assert result.posterior_std is not None
    return result.denoised.data, result.posterior_std.data


def _coverage(estimate: Pixels, std: Pixels, truth: Pixels) -> str:
    scaled = np.abs(estimate - truth) / np.maximum(std, 1e-12)
    return " / ".join(f"{100 * np.mean(scaled < z):.1f}" for z in _Z.values())


def _shown(coverage: Any) -> str:
    if coverage is None:
        return ""
    return f"{100 * coverage.half:.1f} / {100 * coverage.nine_tenths:.1f}"


if __name__ == "__main__":
    main()
