"""The figures of docs/methods, one a page, made from scratch in a few minutes.

    python benchmarks/method_figures.py [--only masking networks] [--output FOLDER]

Shown are frames of the FMD data (confocal_fish of the mixed test set, and the stack
confocal_bpae_b_fov1), and scenes that are made here. Trainings are counted in steps,
not in seconds, so that the same machine makes the same figures again.
"""

from __future__ import annotations

import argparse
import io
import itertools
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from common import describe_machine, read
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image as Picture
from scipy import ndimage
from scipy.special import ndtr

from napari_selfdenoise import (
    Image,
    NoiseCurve,
    TrainedModel,
    denoise,
    recipe,
    train,
)
from napari_selfdenoise.evaluation import psnr
from napari_selfdenoise.model import run
from napari_selfdenoise.noise import binned
from napari_selfdenoise.noise.calibration import calibrate
from napari_selfdenoise.parts.estimators import (
    BlindMean,
    Estimator,
    PosteriorSamples,
    SinglePass,
)
from napari_selfdenoise.parts.gaussian_mixtures import Mixture
from napari_selfdenoise.parts.likelihood import posterior
from napari_selfdenoise.parts.masking import (
    GridMask,
    LineMask,
    Mask,
    Masking,
    RandomMask,
    ShapeMask,
)
from napari_selfdenoise.parts.networks import HalfPlaneUNet, Network, UNet
from napari_selfdenoise.parts.noise_models import (
    FittedNoise,
    GaussianMixtureNoise,
    HistogramNoise,
    NoiseModel,
    NoiseNetwork,
    PoissonGaussianNoise,
    TabulatedModule,
    save_noise_model,
)
from napari_selfdenoise.parts.psf import GaussianPSF
from napari_selfdenoise.parts.psf.models import OpticalPSF

Array = NDArray[np.float64]
Plane = NDArray[np.float32]

BLUE, ORANGE, GREEN, RED, PURPLE = "#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7"
GREY, BLACK = "#999999", "#000000"
DPI = 110


def main() -> None:
    """Make the figures that were asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="+", choices=FIGURES, default=list(FIGURES))
    parser.add_argument("--output", type=Path, default=Path("docs/images/methods"))
    options = parser.parse_args()
    print(describe_machine(seed=0))
    options.output.mkdir(parents=True, exist_ok=True)
    for name in options.only:
        start = time.perf_counter()
        path = options.output / f"{name}.png"
        _save(FIGURES[name](), path)
        seconds = time.perf_counter() - start
        print(
            f"{path}: {path.stat().st_size / 1e3:.0f} kB, {seconds:.0f} s", flush=True
        )


def _save(figure: Figure, path: Path) -> None:
    """Write with a palette of 256 colours: a third of the size."""
    with io.BytesIO() as buffer:
        figure.savefig(buffer, dpi=DPI, format="png")
        picture = Picture.open(buffer).convert("RGB")
    picture.quantize(256, Picture.Quantize.MAXCOVERAGE).save(path, optimize=True)


def _panels(
    rows: int, columns: int, size: tuple[float, float], **options: Any
) -> tuple[Figure, NDArray[Any]]:
    """A figure of panels, each of a size in inches: (rows, columns)."""
    width, height = size
    figure = Figure(figsize=(columns * width, rows * height), layout="constrained")
    return figure, figure.subplots(rows, columns, squeeze=False, **options)


def _show(axes: Axes, plane: NDArray[Any], title: str, **options: Any) -> Any:
    shown = axes.imshow(plane, **{"cmap": "gray", "interpolation": "nearest"} | options)
    axes.set_title(title, fontsize=10)
    axes.set(xticks=[], yticks=[])
    return shown


def _train(pixels: NDArray[Any], steps: int, **changes: Any) -> TrainedModel:
    """Train on an array (Y, X); names of settings have __ for the dot.

    Pixels stay hidden, unless another objective is named: parts are to be compared.
    """
    named = {name.replace("__", "."): value for name, value in changes.items()}
    settings = {"steps": steps, "objective": "squared_error", **named}
    return train(Image(pixels, "YX"), recipe("fast").override(settings))


def _denoise(pixels: NDArray[Any], model: TrainedModel, estimator: Estimator) -> Plane:
    return denoise(Image(pixels, "YX"), model, estimator=estimator).denoised.data


# -- Masking ---------------------------------------------------------------------------

SCHEMES: dict[str, Masking] = {
    "Random pixels": RandomMask(),
    "Grid of random spacing": GridMask(),
    "Line along x, extent 3": LineMask(),
    "Shape 5x5": ShapeMask(),
}


def masking() -> Figure:
    """What each scheme hides in a patch, and what the network is shown instead."""
    patch = read("fmd/testmix_confocal_fish_raw4.tif")[0, 226:258, 224:256]
    contrast = {"vmin": patch.min(), "vmax": np.percentile(patch, 99)}
    figure, panels = _panels(2, 1 + len(SCHEMES), (2.3, 2.45))
    _show(panels[0, 0], patch, "Noisy patch", **contrast)
    _key(panels[1, 0])
    for column, (name, scheme) in zip(panels[:, 1:].T, SCHEMES.items(), strict=True):
        mask, shown = _masked(patch, scheme)
        _show(column[0], patch, name, **contrast)
        column[0].imshow(_overlay(mask), interpolation="nearest")
        _show(column[1], shown, "shown to the network", **contrast)
    return figure


def _masked(patch: Plane, scheme: Masking) -> tuple[Mask, Plane]:
    luck = torch.Generator().manual_seed(3)
    batch = torch.from_numpy(patch)[None, None]
    mask = scheme.draw(1, *patch.shape, luck)
    return mask, scheme.apply(batch, mask, luck)[0, 0].numpy()


def _overlay(mask: Mask) -> NDArray[np.float64]:
    """Targets in one colour, what is hidden for their sake in another: (Y, X, 4)."""
    hidden = mask.masked[0, 0].numpy()
    colours = np.zeros((*hidden.shape, 4))
    colours[hidden] = _rgba(BLUE)
    colours.reshape(-1, 4)[mask.positions[0].numpy()] = _rgba(ORANGE)
    return colours


def _rgba(colour: str) -> tuple[float, ...]:
    return (*(int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)), 0.9)


def _key(axes: Axes) -> None:
    for colour, label in ((ORANGE, "target, hidden"), (BLUE, "hidden with it")):
        axes.plot([], [], "s", color=colour, markersize=9, label=label)
    axes.legend(loc="center", frameon=False, fontsize=10)
    axes.set_axis_off()


# -- Networks --------------------------------------------------------------------------

_AROUND, _SIDE, _CENTRE = 16, 64, 32

NETWORKS: dict[str, tuple[Network, str]] = {
    "U-Net, average": (UNet(), "random"),
    "U-Net, blur, no top skip": (UNet(pooling="blur", top_skip=False), "random"),
    "Half-plane U-Net": (HalfPlaneUNet(width=16, depth=2), "none"),
}


def networks() -> Figure:
    """How strongly the prediction of a pixel depends on each pixel around it."""
    frame = read("fmd/testmix_confocal_fish_raw4.tif")[0, 160:416, 160:416]
    figure, panels = _panels(1, len(NETWORKS), (3.1, 3.3))
    colours = _from_black_to_white()
    for axes, (name, (network, scheme)) in zip(
        panels[0], NETWORKS.items(), strict=True
    ):
        model = _train(
            frame, 150, network=network.model_dump(), masking=scheme, patch_size=64
        )
        pull = _pull(model, frame)
        share = pull[_AROUND, _AROUND] / pull.sum()
        with np.errstate(divide="ignore"):
            level = np.log10(pull / pull.max())
        said = "exactly 0" if share == 0 else f"{100 * share:.0f} % of the sum"
        shown = _show(
            axes,
            np.where(np.isfinite(level), level, np.nan),
            f"{name}\npixel itself: {said}",
            cmap=colours,
            vmin=-3,
            vmax=0,
            extent=(-_AROUND - 0.5, _AROUND + 0.5) * 2,
        )
        axes.set(xticks=[-16, -8, 0, 8, 16], yticks=[-16, -8, 0, 8, 16])
        axes.set_xlabel("pixels from the predicted one")
    figure.colorbar(
        shown, ax=panels, shrink=0.8, label="log10 |d prediction / d pixel|"
    )
    return figure


def _from_black_to_white() -> ListedColormap:
    """Grey for dependence, and a colour for none at all."""
    colours = ListedColormap(np.repeat(np.linspace(0.05, 1, 256)[:, None], 3, axis=1))
    colours.set_bad(ORANGE)
    return colours


def _pull(model: TrainedModel, frame: Plane) -> Array:
    """Mean size of d prediction / d pixel around pixels of every phase, (Y, X)."""
    luck = np.random.default_rng(0)
    channel, stride = model.channels[0], model.config.network.stride
    corners = luck.integers(0, np.subtract(frame.shape, _SIDE), (16, 2))
    crops = np.stack([frame[y : y + _SIDE, x : x + _SIDE] for y, x in corners])
    images = channel.normalization.apply(torch.from_numpy(crops)[:, None])
    total = np.zeros((2 * _AROUND + 1,) * 2)
    for y, x in itertools.product(range(_CENTRE, _CENTRE + stride), repeat=2):
        total += _gradients(channel.network, images, y, x)
    return total


def _gradients(network: torch.nn.Module, images: torch.Tensor, y: int, x: int) -> Array:
    seen = images.clone().requires_grad_(True)
    predicted: torch.Tensor = network(seen)[:, 0, y, x].sum()
    (slope,) = torch.autograd.grad(predicted, seen)
    near = slope[:, 0, y - _AROUND : y + _AROUND + 1, x - _AROUND : x + _AROUND + 1]
    return near.abs().mean(0).double().numpy()


# -- Signal heads ----------------------------------------------------------------------

HEADS: dict[str, dict[str, object]] = {
    "Gaussian": {"kind": "gaussian"},
    "Mixture of 3": {"kind": "mixture"},
    "Samples (100)": {"kind": "sampled", "samples": 100},
}
_DARK, _BRIGHT, _READ = 100.0, 200.0, 30.0


def signal_heads() -> Figure:
    """Prior and posterior of a pixel that may be dark or bright."""
    clean, noisy = _two_levels()
    models = {
        name: _train(
            noisy, 300, signal=head, noise_model="gaussian", objective="likelihood"
        )
        for name, head in HEADS.items()
    }
    place = _most_doubtful(models["Mixture of 3"], noisy)
    figure, panels = _panels(1, 1 + len(HEADS), (3.0, 2.9))
    _show_place(panels[0, 0], noisy, place)
    for axes, (name, model) in zip(panels[0, 1:], models.items(), strict=True):
        before, after = _before_and_after(model, noisy, place)
        _draw_density(axes, before, ORANGE, "prior (context)")
        _draw_density(axes, after, BLUE, "posterior")
        axes.axvline(clean[place], color=BLACK, linewidth=1, label="true signal")
        axes.axvline(noisy[place], color=GREY, linestyle=":", label="observed")
        axes.set_title(name, fontsize=10)
        axes.set(xlabel="signal", yticks=[], xlim=(40, 260))
        axes.set_ylim(bottom=0)
    panels[0, 1].set_ylabel("density")
    lines = panels[0, 1].get_legend_handles_labels()
    figure.legend(*lines, loc="outside lower center", ncols=4, fontsize=9)
    return figure


def _two_levels() -> tuple[Plane, Plane]:
    """A scene that is dark or bright, and what a camera makes of it."""
    luck = np.random.default_rng(1)
    field = ndimage.gaussian_filter(luck.standard_normal((256, 256)), 2)
    clean = np.where(field > 0, _BRIGHT, _DARK).astype(np.float32)
    noisy = clean + _READ * luck.standard_normal(clean.shape)
    return clean, np.rint(noisy).astype(np.float32)


def _prior(
    model: TrainedModel, noisy: Plane, hidden: torch.Tensor
) -> tuple[Mixture, torch.Tensor]:
    """Prior of all pixels, and the image, normalised; `hidden` is (1, 1, Y, X)."""
    channel = model.channels[0]
    image = channel.normalization.apply(torch.from_numpy(noisy)[None, None])
    mask = Mask(hidden, torch.zeros((1, 0), dtype=torch.long))
    luck = torch.Generator().manual_seed(0)
    with torch.no_grad():
        shown = model.config.masking.apply(image, mask, luck)
        seen = run(channel.network, channel.optics, shown, model.precision)
        prior = model.config.signal.prior(
            seen.mean[0, 0], seen.rest[0].permute(1, 2, 0)
        )
    return prior, image[0, 0]


def _most_doubtful(model: TrainedModel, noisy: Plane) -> tuple[int, int]:
    """The hidden pixel, of one pass, whose prior is widest."""
    hidden = torch.zeros((1, 1, *noisy.shape), dtype=torch.bool)
    hidden[..., 16:-16:3, 16:-16:3] = True
    prior, _ = _prior(model, noisy, hidden)
    width = torch.where(hidden[0, 0], prior.variance(), 0.0)
    y, x = divmod(int(width.argmax()), noisy.shape[1])
    return y, x


def _before_and_after(
    model: TrainedModel, noisy: Plane, place: tuple[int, int]
) -> tuple[Mixture, Mixture]:
    """Prior and posterior of one pixel, raw units, each (M,)."""
    hidden = torch.zeros((1, 1, *noisy.shape), dtype=torch.bool)
    hidden[0, 0][place] = True
    prior, image = _prior(model, noisy, hidden)
    channel = model.channels[0]
    noise = TabulatedModule(channel.noise_units(), channel.noise_curve)
    one = Mixture(*(values[place][None] for values in prior))
    with torch.no_grad():
        known = posterior(one, noise, image[place][None])
    norm = channel.normalization
    return _raw(one, norm.offset, norm.scale), _raw(known, norm.offset, norm.scale)


def _raw(mixture: Mixture, offset: float, scale: float) -> Mixture:
    log_weight, mean, log_std = (values[0] for values in mixture)
    return Mixture(log_weight, mean * scale + offset, log_std + np.log(scale))


def _draw_density(axes: Axes, mixture: Mixture, colour: str, label: str) -> None:
    """A curve, or bars where the mixture is points without a width."""
    style = {"color": colour, "label": label}
    if bool(mixture.log_std.isinf().all()):
        weights = mixture.log_weight.exp().numpy()
        bins = np.arange(40, 261, 5.0)
        axes.hist(mixture.mean, bins, weights=weights / 5, histtype="step", **style)
        return
    signal = torch.linspace(40, 260, 441)
    wide = Mixture(*(values.expand(len(signal), -1) for values in mixture))
    axes.plot(signal, wide.log_density(signal).exp(), **style)


def _show_place(axes: Axes, noisy: Plane, place: tuple[int, int]) -> None:
    half = 16
    crop = noisy[tuple(slice(p - half, p + half + 1) for p in place)]
    _show(axes, crop, "Observed, and the pixel")
    corner = half - 0.5
    square = np.array([[0, 0], [1, 0], [1, 1], [0, 1], [0, 0]]) + corner
    axes.plot(*square.T, color=ORANGE, linewidth=1.5)


# -- Noise models ----------------------------------------------------------------------

NOISES: dict[str, tuple[NoiseModel, str, str]] = {
    "Histogram": (HistogramNoise(), BLUE, "-"),
    "Gaussian mixture": (GaussianMixtureNoise(), GREEN, "-"),
    "Learned (N-net, 3 Gaussians)": (NoiseNetwork(components=3), PURPLE, "-"),
    "Shot and read noise": (PoissonGaussianNoise(), RED, "--"),
}


def noise_models() -> Figure:
    """Noise std against signal, and the density at one signal, of fifty frames."""
    stack = read("fmd/confocal_bpae_b_fov1_raw50.tif").astype(np.uint8)
    fits = {name: _calibrated(stack, noise) for name, (noise, _, _) in NOISES.items()}
    figure, panels = _panels(1, 2, (5.0, 3.7))
    _draw_curves(panels[0, 0], stack, fits)
    _draw_slice(panels[0, 1], stack, fits)
    return figure


def _calibrated(stack: NDArray[Any], noise: NoiseModel) -> FittedNoise:
    return calibrate(Image(stack, "TYX"), noise)


def _draw_curves(axes: Axes, stack: NDArray[Any], fits: dict[str, FittedNoise]) -> None:
    signal, std = _measured(stack)
    axes.plot(signal, std, "o", color=ORANGE, markersize=5, label="measured")
    for name, fitted in fits.items():
        _, colour, line = NOISES[name]
        inside = fitted.curve.signal <= signal[-1]
        axes.plot(
            fitted.curve.signal[inside],
            fitted.curve.std[inside],
            line,
            color=colour,
            label=f"{name} ({fitted.bits_per_pixel:.2f} bits)",
        )
    axes.set(xlabel="signal (mean of 50 frames)", ylabel="noise std")
    axes.legend(fontsize=8)


def _measured(stack: NDArray[Any]) -> tuple[Array, Array]:
    """Noise std over the frames, of pixels of like signal, in bins of equal width."""
    mean, variance = stack.mean(0), stack.var(0, ddof=1)
    which = np.digitize(mean, np.linspace(mean.min(), np.percentile(mean, 99.8), 26))
    bins = [which == number for number in range(1, 26)]
    return (
        np.array([mean[inside].mean() for inside in bins]),
        np.sqrt([variance[inside].mean() for inside in bins]),
    )


def _draw_slice(
    axes: Axes, stack: NDArray[Any], fits: dict[str, FittedNoise], at: float = 10.0
) -> None:
    """Observations where the signal is within 1 % of a value, and what fits say."""
    mean = stack.mean(0)
    seen = stack[:, np.abs(mean - at) < 0.01 * at].ravel()
    values = np.arange(seen.min(), np.percentile(seen, 99.8) + 1)
    share = [(seen == value).mean() for value in values]
    axes.bar(values, share, 1.0, color=ORANGE, alpha=0.5, label="measured")
    values = np.arange(values[0] - 3, values[-1] + 1)
    for name, fitted in fits.items():
        _, colour, line = NOISES[name]
        chance = _chance(fitted.curve.at(np.array([at])), values - at)
        axes.plot(values, chance, line, color=colour, marker=".", label=name)
    axes.axvline(at, color=BLACK, linewidth=0.8)
    axes.set(xlabel=f"observation where the signal is {at:g}", ylabel="probability")


def _chance(curve: NoiseCurve, residual: Array) -> Array:
    """Probability of whole numbers, that of all values which are rounded to them."""
    upper, lower = (
        ndtr((residual[:, None] + half - curve.means) / curve.stds)
        for half in (0.5, -0.5)
    )
    return np.asarray((curve.weights * (upper - lower)).sum(1))


# -- Calibration -----------------------------------------------------------------------

_GAIN, _OFFSET, _VARIANCE = 6.0, 100.0, 150.0


def calibration() -> Figure:
    """Variance against signal: the truth, from repeats, and from predictions."""
    luck = np.random.default_rng(5)
    clean = _tissue(luck)
    frames = np.stack([_camera(clean, luck) for _ in range(30)])
    noise = PoissonGaussianNoise()
    repeats = calibrate(Image(frames, "TYX"), noise)
    plain, corrected = _bootstrapped(frames[0], noise)
    figure, panels = _panels(1, 2, (4.4, 3.6))
    _show(panels[0, 0], frames[0], "One noisy frame (synthetic)")
    axes = panels[0, 1]
    signal = np.linspace(*np.percentile(clean, (0.5, 99.5)), 50)
    axes.plot(signal, _true_variance(signal), color=BLACK, linewidth=4, alpha=0.3)
    axes.lines[-1].set_label("true")
    for label, fitted, colour, line in (
        ("30 repeated frames", repeats, BLUE, "-"),
        ("bootstrap, as it is", plain, RED, "--"),
        ("bootstrap, own variance taken out", corrected, GREEN, "-"),
    ):
        slope, level = fitted.poisson_gaussian
        label = f"{label} (a = {slope:.2f})"
        axes.plot(signal, slope * signal + level, line, color=colour, label=label)
    axes.lines[0].set_label(f"true (a = {_GAIN:.2f})")
    axes.set(xlabel="signal", ylabel="noise variance")
    axes.legend(fontsize=8)
    return figure


def _tissue(luck: np.random.Generator) -> Plane:
    """Fine bright structure on a smooth background, raw units, (256, 256)."""
    fine = ndimage.gaussian_filter(luck.standard_normal((256, 256)), 1.5)
    smooth = ndimage.gaussian_filter(luck.standard_normal((256, 256)), 12)
    light = np.exp(0.7 * fine / fine.std() + 0.6 * smooth / smooth.std())
    return (_OFFSET + 60 * np.minimum(light, 8)).astype(np.float32)


def _true_variance(signal: Array) -> Array:
    return _GAIN * (signal - _OFFSET) + _VARIANCE


def _camera(clean: Plane, luck: np.random.Generator) -> Plane:
    """Photons, gain and read noise, rounded to counts."""
    light = _GAIN * luck.poisson((clean - _OFFSET) / _GAIN)
    dark = np.sqrt(_VARIANCE) * luck.standard_normal(clean.shape)
    return np.rint(_OFFSET + light + dark).astype(np.float32)


def _bootstrapped(frame: Plane, noise: NoiseModel) -> tuple[FittedNoise, FittedNoise]:
    """Fitted to a blind prediction: as if it were clean, and knowing that it is not.

    Its own variance is how far it moves when noise is added once more.
    """
    model = _train(frame, 300)
    predicted = _denoise(frame, model, BlindMean())
    signal, clip = Image(predicted, "YX", name="prediction"), (0.5, 99.5)
    image = Image(frame, "YX")
    plain = calibrate(image, noise, signal=signal, clip=clip)
    luck = np.random.default_rng(6).standard_normal(frame.shape)
    more = frame + plain.curve.std_at(predicted) * luck.astype(np.float32)
    moved = (_denoise(more, model, BlindMean()) - predicted).ravel()
    level = binned(predicted.ravel(), moved, np.ones_like(moved))
    own = Image(np.interp(predicted, *level).astype(np.float32), "YX")
    corrected = calibrate(image, noise, signal=signal, own_variance=own, clip=clip)
    return plain, corrected


# -- Point spread functions ------------------------------------------------------------

_BLUR = 2.0


def point_spread_functions() -> Figure:
    """A phantom, its blurred and noisy image, what comes back, and two kernels."""
    luck = np.random.default_rng(7)
    phantom = _filaments(luck)
    blurred = ndimage.gaussian_filter(phantom, _BLUR)
    noisy = luck.poisson(blurred).astype(np.float32)
    model = _train(noisy, 400, psf=GaussianPSF(sigma=_BLUR).model_dump())
    result = denoise(Image(noisy, "YX"), model)
    assert result.deconvolved is not None
    planes = {
        "Phantom": phantom,
        "Blurred, with noise": noisy,
        "Denoised": result.denoised.data,
        "Deconvolved": result.deconvolved.data,
    }
    figure, panels = _panels(2, 3, (2.9, 2.9))
    where = (slice(64, 160), slice(64, 160))
    for axes, (title, plane) in zip(
        (panels[0, 0], panels[0, 1], panels[1, 0], panels[1, 1]),
        planes.items(),
        strict=True,
    ):
        high = np.percentile(plane[where], 99.7)
        _show(axes, plane[where], title, vmin=0, vmax=high)
    _draw_kernels(panels[0, 2])
    _draw_row(panels[1, 2], planes, where, _busiest_row(phantom[where]))
    return figure


def _filaments(luck: np.random.Generator, side: int = 224, count: int = 34) -> Array:
    """Bent lines, one or two pixels wide, on a weak background: photons."""
    phantom = np.full((side, side), 4.0)
    for _ in range(count):
        place, angle = luck.uniform(0, side, 2), luck.uniform(0, 2 * np.pi)
        for _ in range(int(luck.integers(60, 200)) * 2):
            angle += 0.03 * luck.standard_normal()
            place += 0.5 * np.array([np.sin(angle), np.cos(angle)])
            y, x = np.rint(place).astype(int) % side
            phantom[y, x] = 80.0
    return phantom


def _draw_kernels(axes: Axes) -> None:
    """Profiles through the middle of a Gaussian and of an Airy pattern."""
    optics = OpticalPSF(pixel_size_nm=65)
    sigma = 0.225 * optics.wavelength_nm / optics.numerical_aperture / 65
    kernels = {
        f"Gaussian, {sigma:.1f} px": (GaussianPSF(sigma=sigma), BLUE, "-"),
        "optics: Airy": (optics, RED, "-"),
        "optics: confocal": (optics.model_copy(update={"confocal": True}), GREEN, "--"),
    }
    for label, (psf, colour, line) in kernels.items():
        kernel = psf.kernel()
        middle = kernel[len(kernel) // 2]
        places = np.arange(len(middle)) - len(middle) // 2
        axes.plot(places, middle / middle.max(), line, color=colour, label=label)
    axes.set(xlim=(-9, 9), ylim=(1e-4, 50), yscale="log")
    axes.set(yticks=[1e-4, 1e-3, 1e-2, 0.1, 1], xlabel="pixels of 65 nm")
    axes.set_title("Kernels, NA 1.4, 520 nm", fontsize=10)
    axes.legend(fontsize=8, loc="upper center")


def _busiest_row(plane: Array) -> int:
    return int(np.abs(np.diff(plane)).sum(1).argmax())


def _draw_row(
    axes: Axes, planes: dict[str, Any], where: tuple[slice, slice], row: int
) -> None:
    """One row of three planes, each scaled to its own maximum."""
    seen = {name: plane[where][row] for name, plane in planes.items()}
    scaled = {name: values / values.max() for name, values in seen.items()}
    axes.fill_between(
        np.arange(len(scaled["Phantom"])),
        scaled["Phantom"],
        step="mid",
        color=GREY,
        alpha=0.5,
        label="Phantom",
    )
    for name, colour in (("Denoised", BLUE), ("Deconvolved", RED)):
        axes.plot(scaled[name], color=colour, linewidth=1.3, label=name)
    axes.set(xlabel=f"column, in row {row}", yticks=[], ylim=(0, 1.5))
    axes.set_title("One row, each to its maximum", fontsize=10)
    axes.legend(fontsize=8, loc="upper center")


# -- Estimators ------------------------------------------------------------------------


def estimators() -> Figure:
    """What each estimator makes of the same trained network."""
    frame, *others = read("fmd/testmix_confocal_fish_raw4.tif")
    clean = read("fmd/testmix_confocal_fish_gt.tif")
    with _calibrated_file(np.stack(others), clean) as noise:
        model = _train(frame, 300, signal="mixture", noise_model=noise)
    where = (slice(184, 392), slice(150, 358))
    noisy, clean = frame[where], clean[where]
    found = denoise(Image(noisy, "YX"), model, estimator=PosteriorSamples(samples=2))
    assert found.posterior_std is not None and found.posterior_samples is not None
    planes = {
        "Noisy": noisy,
        "Blind": _denoise(noisy, model, BlindMean()),
        "Single pass": _denoise(noisy, model, SinglePass()),
        "Posterior mean": found.denoised.data,
        "Sample 1": found.posterior_samples.data[0],
        "Sample 2": found.posterior_samples.data[1],
    }
    return _draw_estimates(planes, found.posterior_std.data, clean)


@contextmanager
def _calibrated_file(stack: Plane, clean: Plane) -> Iterator[dict[str, str]]:
    """The noise of other frames of the same scene, as a noise model to train with."""
    image, signal = Image(stack.astype(np.uint8), "TYX"), Image(clean, "YX")
    fitted = calibrate(image, NoiseNetwork(components=3), signal=signal)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "camera.noise.json"
        save_noise_model(fitted, path)
        yield {"kind": "file", "file": str(path)}


def _draw_estimates(
    planes: dict[str, Plane], std: Plane, clean: Plane, border: int = 56
) -> Figure:
    """Eight panels: estimates with their PSNR, the posterior std, the clean image."""
    inner = (slice(border, -border),) * 2
    contrast = {"vmin": 0, "vmax": np.percentile(clean[inner], 99.7)}
    figure, panels = _panels(2, 4, (2.5, 2.65))
    first, last = panels.ravel()[:4], panels.ravel()[5:7]
    for axes, (name, plane) in zip([*first, *last], planes.items(), strict=True):
        decibel = psnr(plane, clean, data_range=255)
        _show(axes, plane[inner], f"{name}, {decibel:.1f} dB", **contrast)
    _show(panels[1, 0], clean[inner], "Mean of 50 frames", **contrast)
    shown = _show(panels[1, 3], std[inner], "Posterior std", cmap="viridis")
    figure.colorbar(shown, ax=panels[1, 3], shrink=0.8)
    return figure


FIGURES: dict[str, Callable[[], Figure]] = {
    "masking": masking,
    "networks": networks,
    "signals": signal_heads,
    "noise-models": noise_models,
    "calibration": calibration,
    "point-spread-functions": point_spread_functions,
    "estimators": estimators,
}


if __name__ == "__main__":
    main()
