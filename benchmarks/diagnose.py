"""What `diagnose` finds of images whose answers are known, without training.

    python benchmarks/diagnose.py [--fields 20] [--white 200]
    python benchmarks/diagnose.py --steps 600

Gain and variance at the darkest signal of Poisson-Gaussian data, over the true ones;
the axis and sign of noise that neighbours share; alarms on images whose noise they do
not share; the forecast gain, against what `fast` reached in 60 s, by
`benchmarks/quality.py`; and seconds for a plane of 2048 x 2048 px.

The second command forecasts images that no constant was chosen on, and trains on each
for so many steps, or with `--held-out` for so many seconds. What was gained is given
towards the reference as it is, and towards the reference mapped onto the noisy image:
moved by a part of a pixel, and with the gain and offset that fit best. The differences
are to the latter. The last column is the variance of the noise that was measured, over
the mean squared distance between noisy image and mapped reference. A second table
forecasts one of them with the noise measured on more fields, and with the true noise.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
from common import (
    SETS,
    Pixels,
    describe_machine,
    image_of,
    print_table,
    read,
)
from scipy.ndimage import shift

from napari_selfdenoise import Image, denoise, recipe, train
from napari_selfdenoise.diagnosis import (
    Autocorrelogram,
    Diagnosis,
    autocorrelogram,
    diagnose,
    forecast_gain,
    measure_photon_transfer,
)
from napari_selfdenoise.noise.correlation import measure_correlation

GAIN, OFFSET, READ_VARIANCE = 12.0, 100.0, 150.0
"""Of the synthetic Poisson-Gaussian data."""

REACHED = {
    "fish": 32.93 - 22.88,
    "twophoton-mice": 35.25 - 26.60,
    "mice": 41.75 - 31.12,
    "widefield": 33.08 - 23.90,
    "w2s": 36.87 - 21.08,
    "photographs": 29.49 - 20.18,
    "photographs-10": 33.48 - 28.14,
}
"""dB that `fast` gained in 60 s: the table of docs/benchmarks.md, means of each set."""

HELD_OUT = (
    ("pg, field 0", "synthetic/pg_noisy.tif", "synthetic/pg_clean.tif", 0),
    ("pg, field 3", "synthetic/pg_noisy.tif", "synthetic/pg_clean.tif", 3),
    ("rowcorr, field 0", "synthetic/rowcorr_noisy.tif", "synthetic/pg_clean.tif", 0),
    ("rowcorr, field 3", "synthetic/rowcorr_noisy.tif", "synthetic/pg_clean.tif", 3),
    (
        "confocal, BPAE, blue",
        "fmd/confocal_bpae_b_fov1_raw50.tif",
        "fmd/confocal_bpae_b_fov1_gt.tif",
        0,
    ),
    (
        "confocal, BPAE, green",
        "fmd/testmix_confocal_bpae_g_raw4.tif",
        "fmd/testmix_confocal_bpae_g_gt.tif",
        0,
    ),
    (
        "two-photon, BPAE",
        "fmd/testmix_twophoton_bpae_r_raw4.tif",
        "fmd/testmix_twophoton_bpae_r_gt.tif",
        0,
    ),
    ("calcium imaging, simulated", "calcium_sim/noisy.tif", "calcium_sim/gt.tif", 0),
    (
        "STEM lattice, simulated",
        "em/stem_sim_binary_square_d20_noisy.tif",
        "em/stem_sim_binary_square_d20_clean.tif",
        0,
    ),
)
"""Title, noisy image, reference, and which plane of each."""

SHARED = (
    ("synthetic/rowcorr_noisy.tif", "x, alike"),
    ("fmd/testmix_widefield_bpae_g_raw4.tif", "x and y, alike"),
    ("em/sem_n2v.tif", "x, alike, weak"),
)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fields", type=int, default=20, help="of W2S, a channel")
    parser.add_argument("--white", type=int, default=200, help="images of white noise")
    parser.add_argument("--held-out", type=float, help="seconds of each training")
    parser.add_argument(
        "--steps", type=int, help="of each training, with small patches"
    )
    options = parser.parse_args()
    print(describe_machine(seed=0))
    if options.held_out or options.steps:
        _print_held_out(options.held_out, options.steps)
        return
    print_table(("image", "gain / true", "dark variance / true"), _lines())
    print_table(("image", "known", "found", "correlation at 1 px"), _axes())
    header = ("images", "number", "alarms", "slight, no alarm")
    print_table(header, _alarms(options.fields, options.white))
    header = ("set", "fast gained, dB", "forecast", "difference", "s an image")
    print_table(header, _forecasts(options.fields))
    print_table(("2048 x 2048 px", "seconds"), _seconds())


def _lines() -> Iterator[Sequence[str]]:
    planes = list(read("synthetic/pg_noisy.tif").astype(np.float32))
    for number in range(len(planes)):
        yield f"pg, field {number}, one frame", *_line([planes[number]])
    yield "pg, four fields together", *_line(planes)
    shared = list(read("synthetic/rowcorr_noisy.tif").astype(np.float32))
    yield "rowcorr, four fields together", *_line(shared)


def _line(planes: Sequence[Pixels]) -> tuple[str, str]:
    line = measure_photon_transfer(planes, correlation=measure_correlation(planes))
    if line is None:
        return "–", "–"
    dark = GAIN * (line.darkest - OFFSET) + READ_VARIANCE
    error = line.gain_error / GAIN
    return (
        f"{line.gain / GAIN:.3f} ± {error:.3f}",
        f"{line.dark_variance / dark:.3f} ± {line.dark_variance_error / dark:.3f}",
    )


def _axes() -> Iterator[Sequence[str]]:
    for name, known in SHARED:
        pixels = read(name)
        found = diagnose(image_of(pixels[0] if pixels.ndim == 3 else pixels))
        one = found.autocorrelogram
        if one is None:
            continue
        values = (
            f"{axis} {one.next_pixel(axis):+.2f} ± {one.error:.2f}" for axis in "xy"
        )
        yield name, known, _named(one), ", ".join(values)


def _named(found: Autocorrelogram) -> str:
    if found.weak:
        return f"{found.weak}, {_sign(found.next_pixel(found.weak))}, weak"
    axes = " and ".join(shared.axis for shared in found.shared)
    signs = {_sign(shared.correlation) for shared in found.shared}
    return ", ".join([axes, *signs]) if axes else "none"


def _sign(correlation: float) -> str:
    return "alike" if correlation > 0 else "opposed"


def _alarms(fields: int, white: int) -> Iterator[Sequence[str]]:
    w2s = [case.noisy[0] for case in SETS["w2s"].cases(fields)]
    yield "W2S", *_counted(w2s)
    rng = np.random.default_rng(0)
    planes = [rng.normal(100, 10, (256, 256)) for _ in range(white)]
    yield "white noise, 256 x 256 px", *_counted(planes)


def _counted(planes: Sequence[Pixels]) -> tuple[str, str, str]:
    found = [autocorrelogram(measure_correlation([plane])) for plane in planes]
    alarms = sum(bool(one.shared) for one in found)
    return str(len(found)), str(alarms), str(sum(bool(one.weak) for one in found))


def _forecasts(fields: int) -> Iterator[Sequence[str]]:
    for name, gained in REACHED.items():
        began = time.perf_counter()
        found = [_diagnosed(case.noisy[0]) for case in SETS[name].cases(fields)]
        each = (time.perf_counter() - began) / len(found)
        gains = [one.forecast.gain_db for one in found if one.forecast is not None]
        mean = float(np.mean(gains))
        title = SETS[name].title
        yield (
            title,
            f"{gained:.2f}",
            f"{mean:.2f}",
            f"{mean - gained:+.2f}",
            f"{each:.1f}",
        )


def _print_held_out(seconds: float | None, steps: int | None) -> None:
    limits: dict[str, object] = {"budget_s": seconds}
    if steps is not None:
        # Small patches, so that a slow machine does it within half an hour.
        limits = {"budget_s": None, "steps": steps, "patch_size": 64}
    columns = ("fast gained, dB", "reference mapped", "forecast", "difference")
    rows = _held_out({"seed": 0} | limits)
    print_table(("image", *columns, "interval", "noise, share"), rows)
    header = ("pg, field 0: noise from", "noise, share", "forecast", "interval")
    print_table(header, _known_better())


def _held_out(settings: dict[str, object]) -> Iterator[Sequence[str]]:
    config = recipe("fast").override(settings)
    for title, noisy, reference, number in HELD_OUT:
        pixels, truth = (_plane(name, number) for name in (noisy, reference))
        image = image_of(pixels)
        forecast = diagnose(image).forecast
        denoised = np.asarray(denoise(image, train(image, config)).denoised.data)
        mapped = _mapped(truth, pixels)
        plain, gained = (_gain(denoised, pixels, one) for one in (truth, mapped))
        row = title, f"{plain:.2f}", f"{gained:.2f}"
        if forecast is None:
            yield *row, "–", "–", "–", "–"
            continue
        share = forecast.noise_std**2 / _distance(pixels, mapped)
        low, high = forecast.low_db, forecast.high_db
        difference = f"{forecast.gain_db - gained:+.2f}"
        interval = f"{low:.1f} to {high:.1f}"
        yield *row, f"{forecast.gain_db:.2f}", difference, interval, f"{share:.2f}"


def _gain(denoised: Pixels, noisy: Pixels, truth: Pixels) -> float:
    """PSNR of the result less that of the noisy image, dB."""
    return 10 * float(np.log10(_distance(noisy, truth) / _distance(denoised, truth)))


def _distance(one: Pixels, other: Pixels) -> float:
    return float(np.mean((one.astype(np.float64) - other) ** 2))


def _mapped(truth: Pixels, noisy: Pixels) -> Pixels:
    """The reference as the noisy image shows it: moved, with its gain and offset.

    All four are fitted by least squares, again after each move. Least squares with the
    noise on the left are without bias: no denoiser is favoured.
    """
    moved, distance = truth, np.zeros(2)
    for _ in range(4):
        slopes = [slope.ravel() for slope in np.gradient(moved)]
        columns = np.stack([moved.ravel(), np.ones(moved.size), *slopes], axis=1)
        gain, _, *along = np.linalg.lstsq(columns, noisy.ravel(), rcond=None)[0]
        distance -= np.array(along) / gain
        moved = shift(truth, distance, order=3, mode="nearest")
    gain, offset = np.polyfit(moved.ravel().astype(float), noisy.ravel(), 1)
    return (gain * moved + offset).astype(np.float32)


def _known_better() -> Iterator[Sequence[str]]:
    """Forecasts of a field whose noise is measured on it, on four, and given."""
    noisy = read("synthetic/pg_noisy.tif").astype(np.float32)
    clean = read("synthetic/pg_clean.tif")[0]
    line = measure_photon_transfer([noisy[0]])
    four = measure_photon_transfer(list(noisy))
    if line is None or four is None:
        return
    true = replace(line, gain=GAIN, constant=READ_VARIANCE - GAIN * OFFSET)
    lines = {"this field": line, "all four fields": four, "how it was made": true}
    correlation = measure_correlation([noisy[0]])
    for title, one in lines.items():
        good = np.ones(clean.shape, bool)
        found = forecast_gain(noisy[0], good, one, correlation)
        if found is not None:
            share = found.noise_std**2 / _distance(noisy[0], clean)
            interval = f"{found.low_db:.1f} to {found.high_db:.1f}"
            yield title, f"{share:.3f}", f"{found.gain_db:.2f}", interval


def _plane(name: str, number: int) -> Pixels:
    """A plane of a file, (Y, X); the only one where there are no others."""
    pixels = read(name).astype(np.float32)
    return pixels[number] if pixels.ndim == 3 else pixels


def _diagnosed(pixels: Pixels) -> Diagnosis:
    return diagnose(image_of(pixels))


def _seconds() -> Iterator[Sequence[str]]:
    four = read("synthetic/pg_noisy.tif")
    plane = np.tile(np.concatenate(list(four), axis=1), (4, 1))
    for number in range(3):
        yield f"run {number + 1}", f"{diagnose(Image(plane, 'YX')).seconds:.1f}"


if __name__ == "__main__":
    main()
