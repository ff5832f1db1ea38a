"""What `diagnose` finds of images whose answers are known, without training.

    python benchmarks/diagnose.py [--fields 20] [--white 200]
    python benchmarks/diagnose.py --held-out 30

Gain and variance at the darkest signal of Poisson-Gaussian data, over the true ones;
the axis and sign of noise that neighbours share; alarms on images whose noise they do
not share; the forecast gain, against what `fast` reached in 60 s, by
`benchmarks/quality.py`; and seconds for a plane of 2048 x 2048 px.

The second command forecasts images that no constant was chosen on, and trains on each
for so many seconds. Its last column is the variance of the noise that was measured,
over the mean squared distance between noisy image and reference.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Sequence

import numpy as np
from common import (
    SETS,
    Pixels,
    describe_machine,
    image_of,
    measured,
    print_table,
    read,
)

from napari_selfdenoise import Image, denoise, recipe, train
from napari_selfdenoise.diagnosis import (
    Autocorrelogram,
    Diagnosis,
    autocorrelogram,
    diagnose,
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
        "two-photon, BPAE (scale-invariant)",
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
    options = parser.parse_args()
    print(describe_machine(seed=0))
    if options.held_out:
        header = ("image", "fast gained, dB", "forecast", "interval", "noise, share")
        print_table(header, _held_out(options.held_out))
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


def _held_out(seconds: float) -> Iterator[Sequence[str]]:
    config = recipe("fast").override({"budget_s": seconds, "seed": 0})
    for title, noisy, reference, number in HELD_OUT:
        pixels, truth = (_plane(name, number) for name in (noisy, reference))
        measure = "scale_invariant_psnr" if "invariant" in title else "psnr"
        image = image_of(pixels)
        forecast = diagnose(image).forecast
        denoised = np.asarray(denoise(image, train(image, config)).denoised.data)
        gained = measured(denoised, truth, measure) - measured(pixels, truth, measure)
        if forecast is None:
            yield title, f"{gained:.2f}", "–", "–", "–"
            continue
        distance = float(np.mean((pixels - truth) ** 2))
        yield (
            title,
            f"{gained:.2f}",
            f"{forecast.gain_db:.2f}",
            f"{forecast.low_db:.1f} to {forecast.high_db:.1f}",
            f"{forecast.noise_std**2 / distance:.2f}",
        )


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
