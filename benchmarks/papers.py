"""What the five papers claim, tried on public and synthetic data.

    python benchmarks/papers.py [--only khademi pn2v ...]

Trainings are short and have a number of steps instead of seconds, so that a busy
machine changes no figure, and networks are narrower than published. One table, a line a
claim: what was asked, what was found.
"""

from __future__ import annotations

import argparse
import math
import resource
import time
from collections.abc import Iterator
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from common import describe_machine, print_table, read
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from scipy.special import gammaln

from napari_selfdenoise import Image, TrainedModel, TrainingConfig, denoise, recipe
from napari_selfdenoise.evaluation import psnr
from napari_selfdenoise.noise.calibration import calibrate, measured_variance
from napari_selfdenoise.parts.estimators import BlindMean, PosteriorMean
from napari_selfdenoise.parts.gaussian_mixtures import Mixture, equal_weights
from napari_selfdenoise.parts.noise_models import (
    GaussianMixtureNoise,
    HistogramNoise,
    NoiseCurve,
    PoissonGaussianNoise,
)
from napari_selfdenoise.parts.signal_heads import MixtureSignal
from napari_selfdenoise.prediction.image_noise import ImageNoise
from napari_selfdenoise.prediction.posterior import PosteriorOfTile
from napari_selfdenoise.training import train

Row = tuple[object, ...]
Pixels = NDArray[np.float32]

NARROW = {  # a network and batches for two cores
    "network": "unet",
    "network.width": 16,
    "network.depth": 2,
    "network.smoothing": 0.0,
    "masking": "random",
    "patch_size": 96,
    "batch_size": 4,
    "learning_rate": 4e-3,
    "budget_s": None,
}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="+", choices=SECTIONS, default=list(SECTIONS))
    options = parser.parse_args()
    print(describe_machine(seed=0))
    started = time.perf_counter()

    def rows() -> Iterator[Row]:
        for name in options.only:
            for claim, asked, found in SECTIONS[name]():
                yield name, claim, asked, found

    print_table(("paper", "what", "asked", "found"), rows())
    print(f"{time.perf_counter() - started:.0f} s")


def changed(name: str, **changes: Any) -> TrainingConfig:
    """A recipe with a narrow network and so many steps; "__" stands for a dot."""
    named = {key.replace("__", "."): value for key, value in changes.items()}
    return recipe(name).override(NARROW | named)


def frame(pixels: Pixels) -> Image:
    """One frame, or a stack of them."""
    return Image(pixels, "YX" if pixels.ndim == 2 else "TYX")


def listed(values: Any, digits: int = 2) -> str:
    """Numbers in a row."""
    return " / ".join(f"{value:.{digits}f}" for value in values)


# -- Khademi et al. 2021 ---------------------------------------------------------------

LEVELS = [(lam, sigma) for lam in (10, 30, 50) for sigma in (10, 30, 50)]
# Their Table 5, mean of the absolute errors at these levels, pixels from 0 to 1.
TABLE_5 = (0.01030, 0.000379)


def khademi() -> Iterator[Row]:
    """Noise fitted to each image, on synthetic noise."""
    clean = read("fmd/confocal_mice_otherfov_gt.tif")
    config = changed("khademi", steps=600)
    found = [_khademi_level(clean, config, *level) for level in LEVELS]
    a, b, plain, gap, gain = (np.array(column) for column in zip(*found, strict=True))
    yield (
        "mean abs. error of a, prior variance subtracted",
        f"≤ {TABLE_5[0] / 2:.5f} (half of Table 5)",
        f"{np.abs(a).mean():.5f}; relative, by level {listed(_relative(a))}",
    )
    yield (
        "the same, nothing subtracted (as published)",
        f"≤ {TABLE_5[0]:.5f} (Table 5)",
        f"{np.abs(plain).mean():.5f}",
    )
    yield (
        "mean abs. error of b",
        f"≤ {TABLE_5[1]:.6f} (Table 5)",
        f"{np.abs(b).mean():.6f}",
    )
    yield (
        "posterior with true a, b less posterior with fitted ones, dB",
        "≤ 0.1",
        f"largest {gap.max():.2f}, mean {gap.mean():.2f}",
    )
    yield (
        "posterior over its own blind mean, dB, by level",
        "> 0",
        listed(gain),
    )


def _relative(errors: NDArray[np.float64]) -> list[float]:
    return [error * lam for error, (lam, _) in zip(errors, LEVELS, strict=True)]


def _khademi_level(
    clean: Pixels, config: TrainingConfig, lam: int, sigma: int
) -> tuple[float, float, float, float, float]:
    """Errors of a, b, and a without subtraction; gap and gain in dB.

    Trained on ten noisy copies; fitted to, and averaged over, two others, as the
    paper's tables are averages over fifty.
    """
    rng, a = np.random.default_rng(0), 255 / lam
    shape = (12, *clean.shape)
    noisy = a * rng.poisson(clean / a, shape) + rng.normal(0, sigma, shape)
    stack = noisy.astype(np.float32)
    model = train(frame(stack[2:]), config)
    fits, plain, gaps, gains = [], [], [], []
    for one in stack[:2]:
        fused = denoise(frame(one), model)
        fits.append(fused.noise_curves[0].poisson_gaussian)
        with patch.object(ImageNoise, "fit", _knowing(a, sigma**2)):
            known = denoise(frame(one), model)
        blind = denoise(frame(one), model, estimator=BlindMean())
        plain.append(_published_fit(blind.denoised.data, one))
        scores = [
            psnr(result.denoised.data, clean, 255) for result in (blind, fused, known)
        ]
        gaps.append(scores[2] - scores[1])
        gains.append(scores[1] - scores[0])
    fitted_a, fitted_b = np.mean(fits, axis=0)
    return (
        (fitted_a - a) / 255,
        (fitted_b - sigma**2) / 255**2,
        (float(np.mean(plain)) - a) / 255,
        float(np.mean(gaps)),
        float(np.mean(gains)),
    )


_fit_noise = ImageNoise.fit


def _knowing(a: float, b: float) -> Any:
    """Make a fit that finds the true line."""

    def fit(self: ImageNoise, tiles: Any, masked: bool) -> Iterator[None]:
        yield from _fit_noise(self, tiles, masked)
        low, high = self.curve.signal[[0, -1]]
        self.use(NoiseCurve.line(a, b, low, high, 1e-3))

    return fit


def _published_fit(blind: Pixels, noisy: Pixels) -> float:
    from napari_selfdenoise.noise.calibration import fit_poisson_gaussian

    return fit_poisson_gaussian(blind.ravel(), noisy.ravel())[0]


# -- Krull et al. 2020 and Prakash et al. 2020 -----------------------------------------


def pn2v() -> Iterator[Row]:
    """Calibrated noise models, posterior, bootstrap, samples against mixture."""
    stack = read("fmd/confocal_bpae_b_fov1_raw50.tif").astype(np.uint8)
    clean = stack.mean(0).astype(np.float32)
    signal, variance = measured_variance(stack)
    dense = signal > np.quantile(signal, 0.05)
    kinds = {
        "histogram": HistogramNoise(),
        "gaussian mixture": GaussianMixtureNoise(),
    }
    fitted = {name: calibrate(frame(stack), kind) for name, kind in kinds.items()}
    stds = {n: f.curve.std_at(signal.astype(np.float32)) for n, f in fitted.items()}
    for name, std in stds.items():
        off = std[dense] / np.sqrt(variance[dense]) - 1
        yield (
            f"std of the {name} against the measured one, %",
            "within 5",
            f"{100 * off.min():+.1f} .. {100 * off.max():+.1f}, median "
            f"{100 * np.median(np.abs(off)):.1f}",
        )
    line = calibrate(frame(stack), PoissonGaussianNoise())
    yield (
        "bits per pixel: histogram / Gaussian mixture / Poisson-Gaussian",
        "report",
        listed(f.bits_per_pixel for f in (*fitted.values(), line)),
    )
    white = same_signal(stack, clean)
    curves = {
        n: {"kind": "file", "curve": f.curve.to_json()} for n, f in fitted.items()
    }
    # Gaussian heads for the fusion; three Gaussians or 800 samples further below.
    settings = {"objective": "likelihood", "signal": "gaussian", "flips": False}
    results = {}
    for name, noise in (*curves.items(), ("bootstrapped", "gaussian_mixture")):
        objective = "bootstrap" if name == "bootstrapped" else "likelihood"
        config = changed(
            "fast", steps=800, **settings | {"objective": objective}, noise_model=noise
        )
        results[name] = _fusion(train(frame(white), config), white, clean)
    for name, (blind, fused, predicted) in results.items():
        yield (
            f"posterior over its prior mean, {name}, white real noise, dB",
            f"{predicted:.2f} ± 0.15 = 10 log10(1 + r)",
            f"{fused - blind:.2f} ({blind:.2f} -> {fused:.2f})",
        )
    yield (
        "bootstrapped Gaussian mixture less the calibrated one, dB",
        "≥ -0.1",
        f"{results['bootstrapped'][1] - results['gaussian mixture'][1]:+.2f}",
    )
    yield from _correlated(stack, clean, curves["gaussian mixture"])


def same_signal(stack: Any, clean: Pixels) -> Pixels:
    """A frame whose noise is that of other pixels of the same signal.

    The real distribution at each signal, and nothing that neighbours share: what a
    noise model assumes.
    """
    rng, n = np.random.default_rng(0), clean.size
    order = np.argsort(clean.ravel(), kind="stable")
    residual = (stack - clean).reshape(len(stack), -1)[:, order]
    residual *= math.sqrt(len(stack) / (len(stack) - 1))
    pick = np.clip(np.arange(n) + rng.integers(-200, 201, n), 0, n - 1)
    noisy = np.empty(n, np.float32)
    drawn = residual[rng.integers(len(stack), size=n), pick]
    noisy[order] = clean.ravel()[order] + drawn
    return noisy.reshape(clean.shape)


def _fusion(
    model: TrainedModel, noisy: Pixels, clean: Pixels
) -> tuple[float, float, float]:
    """PSNR of the blind mean and of the posterior, and the gain that is predicted."""
    blind, fused = (
        psnr(denoise(frame(noisy), model, estimator=e).denoised.data, clean, 255)
        for e in (BlindMean(), PosteriorMean())
    )
    ratio = 10 ** ((psnr(noisy, clean, 255) - blind) / 10)
    return blind, fused, 10 * math.log10(1 + ratio)


def _correlated(stack: Any, clean: Pixels, noise: Any) -> Iterator[Row]:
    """The same on a frame as it is, whose neighbours share a little noise."""
    noisy = stack[0].astype(np.float32)
    config = changed(
        "fast", steps=800, objective="likelihood", signal="gaussian", noise_model=noise
    )
    model = train(frame(noisy), config)
    blind = denoise(frame(noisy), model, estimator=BlindMean()).denoised.data
    fused = denoise(frame(noisy), model, estimator=PosteriorMean()).denoised.data
    own, other = (float(np.mean((x - clean) ** 2)) for x in (blind, noisy))
    shared = float(np.mean((blind - clean) * (noisy - clean)))
    best = (own * other - shared**2) / (own + other - 2 * shared)
    yield (
        "posterior over its prior mean, a frame as it is, dB",
        f"{10 * math.log10(own / best):.2f}: the prior's error holds "
        f"{100 * shared / other:.0f} % of the pixel's noise",
        f"{psnr(fused, clean, 255) - psnr(blind, clean, 255):.2f}",
    )


def samples() -> Iterator[Row]:
    """800 samples against three Gaussians, on the same small batches."""
    stack = read("fmd/confocal_bpae_b_fov1_raw50.tif").astype(np.uint8)
    clean = stack.mean(0).astype(np.float32)
    noisy = same_signal(stack, clean)
    curve = calibrate(frame(stack), GaussianMixtureNoise()).curve
    noise: dict[str, Any] = {"kind": "file", "curve": curve.to_json()}
    found = {}
    for head in ("sampled", "mixture"):
        config = changed(
            "fast",
            steps=600,
            learning_rate=1e-3,
            patch_size=64,
            batch_size=2,
            objective="likelihood",
            signal=head,
            noise_model=noise,
            flips=False,
        )
        began = time.perf_counter()
        model = train(frame(noisy), config)
        seconds = time.perf_counter() - began
        blind, fused, _ = _fusion(model, noisy, clean)
        found[head] = (blind, fused, seconds, _peak_mib())
    yield _same_prior(model, noisy, clean, found["mixture"][1])
    # The mixture is run last: what it adds to the peak is what it needs beyond.
    less = found["mixture"][1] - found["sampled"][1]
    kib = {
        head: 4 * changed("fast", signal=head).signal.outputs / 1024 for head in found
    }
    yield (
        "three Gaussians less 800 samples, each trained, posterior, dB",
        "within 0.05",
        f"{less:+.2f} ({found['mixture'][1]:.2f}, {found['sampled'][1]:.2f})",
    )
    yield (
        "time and outputs a pixel, mixture against samples",
        "report",
        f"{found['sampled'][2] / found['mixture'][2]:.1f} times faster to train; "
        f"{kib['mixture']:.2f} against {kib['sampled']:.2f} KiB a pixel; peak memory "
        f"with samples {found['sampled'][3]} MiB",
    )


def _same_prior(
    model: TrainedModel, noisy: Pixels, clean: Pixels, closed: float
) -> Row:
    """The posterior of one prior, in closed form and from samples of it."""
    wide = patch.object(PosteriorOfTile, "_numbers_a_pixel", lambda _: 2400)
    with patch.object(MixtureSignal, "prior", _drawn), wide:
        result = denoise(frame(noisy), model, estimator=PosteriorMean())
    drawn = psnr(result.denoised.data, clean, 255)
    return (
        "three Gaussians less 800 samples of them, posterior, dB",
        "within 0.05",
        f"{closed - drawn:+.2f} ({closed:.2f}, {drawn:.2f})",
    )


_mixture = MixtureSignal.prior


def _drawn(self: MixtureSignal, mean: torch.Tensor, rest: torch.Tensor) -> Mixture:
    """800 samples of the mixture, (n, 800)."""
    known, luck = _mixture(self, mean, rest), torch.Generator().manual_seed(0)
    which = torch.multinomial(known.log_weight.exp(), 800, True, generator=luck)
    scatter = torch.randn(which.shape, generator=luck)
    place = known.mean.gather(1, which) + known.log_std.gather(1, which).exp() * scatter
    return Mixture(equal_weights(place), place, torch.full_like(place, -torch.inf))


def _peak_mib() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10


# -- No NaN ----------------------------------------------------------------------------

RAW = [
    *(
        f"fmd/testmix_{name}_raw4.tif"
        for name in (
            "confocal_fish",
            "confocal_bpae_g",
            "twophoton_mice",
            "twophoton_bpae_r",
            "widefield_bpae_g",
        )
    ),
    *(
        f"fmd/confocal_{name}_otherfov_raw.tif"
        for name in ("mice", "fish", "bpae_g", "bpae_r")
    ),
    "fmd/confocal_bpae_b_fov1_raw50.tif",
    *(f"w2s/train_fov001-020_ch{channel}_avg1.tif" for channel in range(3)),
]


def nan() -> Iterator[Row]:
    """PPN2V's fit and training stay finite, whatever the seed."""
    finite, runs = 0, 0
    for name in RAW:
        pixels = read(name)
        image = frame(pixels[:4] if pixels.ndim == 3 else pixels)
        for seed in range(10):
            config = changed(
                "ppn2v",
                steps=12,
                seed=seed,
                signal__samples=50,
                network__width=8,
                patch_size=48,
                batch_size=2,
            )
            model = train(image, config)
            curve, noise = model.noise_curves[0], model.channels[0].noise
            values = [curve.std, model.history.loss]
            values += [value.numpy() for value in noise.state_dict().values()]
            finite += all(np.isfinite(v).all() for v in values)
            runs += 1
    yield (
        f"PPN2V runs that end finite, 10 seeds on {len(RAW)} sets",
        "all",
        f"{finite} of {runs}",
    )


# -- Goncharova et al. 2020 ------------------------------------------------------------


def phantom() -> Pixels:
    """Sharp filaments and spots on an empty background, 512 x 512, from 0 to 400."""
    rng = np.random.default_rng(3)
    image = np.zeros((512, 512), np.float32)
    for _ in range(60):
        place, angle = rng.uniform(0, 512, 2), rng.uniform(0, 2 * np.pi)
        for _ in range(220):
            angle += rng.normal(0, 0.08)
            place += (np.sin(angle), np.cos(angle))
            y, x = place.astype(int) % 512
            image[y, x] = 400
    image[rng.integers(0, 512, 400), rng.integers(0, 512, 400)] = 400
    return image


def deconoising() -> Iterator[Row]:
    """The width of the point spread function, and what the way through it gains."""
    sharp = phantom()
    signal = gaussian_filter(sharp, 1.0, mode="mirror")
    noisy = signal + np.random.default_rng(0).normal(0, 60, signal.shape)
    noisy = noisy.astype(np.float32)
    scores, last = {}, None
    for sigma in (0.0, 0.5, 1.0, 1.5, 2.0):
        psf: Any = {"kind": "gaussian", "sigma": sigma, "positivity": "softplus"}
        config = changed(
            "deconoising",
            steps=500,
            masking__fraction=0.0312,
            masking__fill="uniform",
            psf={"kind": "none"} if sigma == 0 else psf | {"background": 0.0},
        )
        result = denoise(frame(noisy), train(frame(noisy), config))
        scores[sigma] = psnr(result.denoised.data, signal)
        last = result if sigma == 1 else last
    yield (
        "PSNR by width of the point spread function (0, 0.5, 1, 1.5, 2 px)",
        "best at 1, the true one",
        listed(scores.values()),
    )
    assert last is not None
    assert last.deconvolved is not None
    deconvolved = last.deconvolved.data
    yield (
        "deconvolved pixels below zero, %",
        "< 0.1",
        f"{100 * np.mean(deconvolved < 0):.3f}",
    )
    yield (
        "PSNR to the phantom, deconvolved against denoised",
        "higher",
        f"{psnr(deconvolved, sharp):.2f} against {psnr(last.denoised.data, sharp):.2f}",
    )
    for name, noisy, clean, scale in _real_sets():
        # The same masks, patches, network and steps: only the way through the
        # point spread function differs.
        plain = changed("n2v", **_SAME)
        blurred = plain.override({"psf": recipe("deconoising").psf.model_dump()})
        found = [
            psnr(
                denoise(frame(noisy), train(frame(noisy), c)).denoised.data,
                clean,
                scale,
            )
            for c in (plain, blurred)
        ]
        yield (
            f"deconoising over n2v, {name}, dB",
            "≥ 0.3 on three sets",
            f"{found[1] - found[0]:+.2f} ({found[0]:.2f} -> {found[1]:.2f})",
        )


def _real_sets() -> Iterator[tuple[str, Pixels, Pixels, float]]:
    """Name, noisy frame, clean frame and range of its values."""
    for name in (
        "confocal_fish",
        "confocal_bpae_g",
        "twophoton_bpae_r",
        "twophoton_mice",
    ):
        noisy = read(f"fmd/testmix_{name}_raw4.tif")[0]
        yield name, noisy, read(f"fmd/testmix_{name}_gt.tif"), 255
    noisy = read("fmd/confocal_mice_otherfov_raw.tif")
    yield "confocal_mice", noisy, read("fmd/confocal_mice_otherfov_gt.tif"), 255
    noisy = read("w2s/train_fov001-020_ch0_avg1.tif")[0]
    clean = read("w2s/train_fov001-020_ch0_avg400.tif")[0]
    # Each was stretched to 8 bits on its own.
    slope, constant = np.polyfit(clean.ravel(), noisy.ravel(), 1)
    clean = (slope * clean + constant).astype(np.float32)
    yield "w2s, channel 0", noisy, clean, float(np.ptp(clean))


_SAME: dict[str, Any] = {
    "steps": 800,
    "masking__fraction": 0.0312,
    "masking__fill": "uniform",
    "learning_rate": 1e-3,
    "patch_size": 100,
}


# -- Ollion et al. 2021 ----------------------------------------------------------------


def ollion() -> Iterator[Row]:
    """The noise network finds the noise, and skewed noise with several Gaussians."""
    clean = read("w2s/train_fov001-020_ch0_avg400.tif")
    low = float(clean.min())
    noises: dict[str, Any] = {
        "Gaussian": lambda x: np.full_like(x, 20.0),
        "Poisson-Gaussian": lambda x: np.sqrt(5 * (x - low) + 144),
        "speckle": lambda x: 0.405 * (x - low),
    }
    for name, std in noises.items():
        rng = np.random.default_rng(0)
        noisy = clean + std(clean) * rng.standard_normal(clean.shape)
        curve = _learned(noisy.astype(np.float32), 1)
        ends = np.percentile(clean, (1, 99.5))
        signal = np.linspace(*ends, 60).astype(np.float32)
        true = std(signal)
        off = curve.std_at(signal)[true > 0] / true[true > 0] - 1
        yield (
            f"predicted std against theory, {name}, 1st to 99.5th percentile, %",
            "within 5",
            f"{100 * off.min():+.1f} .. {100 * off.max():+.1f}, median "
            f"{100 * np.median(np.abs(off)):.1f}",
        )
    yield from _skewed(clean, low)


def _learned(noisy: Pixels, components: int) -> NoiseCurve:
    config = changed(
        "ollion",
        steps=1200,
        masking="grid",
        network__growth=2,
        noise_model__components=components,
        flips=False,
    )
    return train(frame(noisy), config).noise_curves[0]


def _skewed(clean: Pixels, low: float) -> Iterator[Row]:
    """Noise like that of a camera that multiplies electrons: a gamma distribution."""
    rng, scale = np.random.default_rng(0), 12.0
    light = np.maximum(clean - low, 0) + 20
    noisy = clean - light + scale * rng.gamma(light / scale)
    spread, found = [], {}
    levels = np.percentile(clean, (10, 50, 90, 99))
    for components in (1, 2, 3):
        curve = _learned(noisy.astype(np.float32), components)
        found[components] = [
            _divergence(curve, level, level - low + 20, scale) for level in levels
        ]
        at = np.interp(levels, curve.signal, curve.skewness)
        spread.append(at)
    true_skew = [2 / math.sqrt((level - low + 20) / scale) for level in levels]
    means = [float(np.mean(found[n])) for n in (1, 2, 3)]
    yield (
        "Kullback-Leibler divergence to skewed noise, 1 / 2 / 3 Gaussians, nats",
        "lower with 2 and 3",
        listed(means, 4),
    )
    yield (
        "skewness at the 10th, 50th, 90th, 99th percentile: true",
        "followed",
        f"{listed(true_skew)}; 2 Gaussians {listed(spread[1])}; 3 Gaussians "
        f"{listed(spread[2])}",
    )


def _divergence(curve: NoiseCurve, level: float, light: float, scale: float) -> float:
    """Kullback-Leibler divergence from the true density at one signal, in nats."""
    width = math.sqrt(light * scale)
    residual = np.linspace(-light + 1e-3, 8 * width, 4000)
    shape, y = light / scale, (residual + light) / scale
    log_true = (shape - 1) * np.log(y) - y - gammaln(shape) - math.log(scale)
    true = np.exp(log_true)
    predicted = curve.at(np.array([level])).density(residual)[:, 0]
    step = residual[1] - residual[0]
    return float(np.sum(true * (log_true - np.log(predicted + 1e-30))) * step)


# -- Broaddus et al. 2020, and the axial masks of Ollion et al. ------------------------


def lines() -> Iterator[Row]:
    """Masks along the axis of correlated noise."""
    noisy, clean = read("synthetic/rowcorr_noisy.tif"), read("synthetic/pg_clean.tif")
    found = {}
    for name, masking in (
        ("random", {"kind": "random"}),
        ("line", {"kind": "line", "axis": "x", "extent": 3}),
    ):
        config = changed("fast", steps=500, masking=masking, objective="squared_error")
        model = train(frame(noisy), config)
        denoised = denoise(frame(noisy), model).denoised.data
        pairs = zip(denoised, clean, strict=True)
        found[name] = float(np.mean([psnr(a, b) for a, b in pairs]))
    before = float(np.mean([psnr(a, b) for a, b in zip(noisy, clean, strict=True)]))
    yield (
        "line masks over random ones, noise correlated along rows, dB",
        "≥ 2",
        f"{found['line'] - found['random']:+.2f} (noisy {before:.2f}, random "
        f"{found['random']:.2f}, line {found['line']:.2f})",
    )


SECTIONS = {
    "khademi": khademi,
    "pn2v": pn2v,
    "samples": samples,
    "nan": nan,
    "deconoising": deconoising,
    "ollion": ollion,
    "lines": lines,
}

if __name__ == "__main__":
    main()
