"""Pictures of noise plots, healthy and not, for the docs page that explains them.

Run as ``python scripts/noise_plot_pictures.py docs/images/noise-plots``; without a
screen, put ``xvfb-run`` before it. Cameras are simulated, with a seed, so that it is
known what is wrong with each; the last case is the real frame that ships with the
package. The plots are those of the window's panel Inspect.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from qtpy.QtWidgets import QApplication, QHBoxLayout, QWidget

from napari_selfdenoise.images import Image, fish_average, fish_frame
from napari_selfdenoise.long_work import run_to_end
from napari_selfdenoise.noise.calibration import calibrate
from napari_selfdenoise.noise.inspection import (
    InspectedNoise,
    all_figures,
    density_figure,
    inspect_fitted,
    measure_noise_steps,
    with_measurement,
)
from napari_selfdenoise.parts.noise_models import PoissonGaussianNoise
from napari_selfdenoise.plugin.noise_model.inspection_plots import (
    COLOURS,
    DensityPlot,
    Drawn,
    StdPlot,
)

SIDE, FRAMES, GAIN, OFFSET, READ = 192, 24, 4.0, 100.0, 6.0
SIZE = 900, 230
THEMES = {"dark": ("#262930", "#f0f1f2"), "light": ("#efebe9", "#3b3a39")}

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Case:
    """What is drawn: frames, or one image and its signal; and at which signal."""

    frames: Array
    at: float
    signal: Array | None = None
    model_of: Array | None = None


def scene(low: float = 0.0, high: float = 700.0) -> Array:
    """Light of soft cells, (Y, X), in grey values above the offset."""
    y, x = np.mgrid[:SIDE, :SIDE]
    waves = np.sin(x / 17) * np.cos(y / 23) + 0.4 * np.sin((x + y) / 11)
    even = (waves - waves.min()) / np.ptp(waves)
    return low + (high - low) * even**1.5


def record(
    light: Array, offset: float = OFFSET, read: Any = READ, seed: int = 0
) -> Array:
    """Frames of a camera, (T, Y, X): photo-electrons, gain, offset, read noise."""
    rng = np.random.default_rng(seed)
    electrons = rng.poisson(light / GAIN, (FRAMES, *light.shape))
    return np.rint(offset + GAIN * electrons + read * rng.normal(size=electrons.shape))


def healthy() -> Case:
    """A camera as it should be."""
    return Case(record(scene()), 300)


def clipped() -> Case:
    """An offset of zero: values below it are cut off."""
    return Case(record(scene(0, 80), offset=0).clip(0), 4)


def saturated() -> Case:
    """Bright cells beyond the highest value."""
    return Case(record(scene(0, 900)).clip(None, 700), 670)


def steps() -> Case:
    """Sixteen bits put into so few that a step is wider than the dark noise."""
    return Case(48 * np.rint(record(scene()) / 48), 170)


def unequal() -> Case:
    """One pixel in thirty with six times the read noise, as of sCMOS cameras."""
    rng = np.random.default_rng(1)
    read = np.where(rng.random((SIDE, SIDE)) < 1 / 30, 10 * READ, READ)
    return Case(record(scene(0, 300), read=read), 120)


def moved() -> Case:
    """A scene that moves by half a pixel a frame."""
    light = scene()
    frames = [record(np.roll(light, n // 2, axis=1), seed=n)[0] for n in range(FRAMES)]
    return Case(np.stack(frames), 450)


def extrapolated() -> Case:
    """Calibrated on dark frames alone; the images are five times as bright."""
    return Case(record(scene(0, 700)), 500, model_of=record(scene(0, 140)))


def real() -> Case:
    """A confocal frame of zebrafish, and the mean of 50 as its signal (FMD)."""
    frame, mean = (np.asarray(i.data, float) for i in (fish_frame(), fish_average()))
    return Case(frame[None], 90, signal=mean)


CASES: tuple[Callable[[], Case], ...] = (
    healthy,
    clipped,
    saturated,
    steps,
    unequal,
    moved,
    extrapolated,
    real,
)


def inspected(name: str, case: Case) -> InspectedNoise:
    """Fit a Poisson-Gaussian noise model to a case, and measure its scatter."""
    frames = case.frames if case.model_of is None else case.model_of
    stack = Image(frames, "TYX", name=name)
    signal = None if case.signal is None else Image(case.signal, "YX", name="mean")
    fitted = calibrate(stack, PoissonGaussianNoise(), signal=signal)
    measured = run_to_end(measure_noise_steps(stack, signal))
    assert measured is not None
    return inspect_fitted("Poisson-Gaussian", with_measurement(fitted, measured))


def photograph(name: str, case: Case, folder: Path) -> None:
    """Save the noise curve and the distribution at a signal, in both themes."""
    noise = inspected(name, case)
    holder, std, density = QWidget(), StdPlot(), DensityPlot()
    row = QHBoxLayout(holder)
    row.setContentsMargins(0, 0, 0, 0)
    row.setSpacing(0)
    for plot in (std, density):
        plot.legend_width = 300
        row.addWidget(plot)
    holder.resize(*SIZE)
    holder.show()
    std.draw([Drawn(noise.name, COLOURS[0], all_figures(noise))])
    std.choose(case.at)
    figure = density_figure(noise, case.at)
    density.draw([(noise.name, COLOURS[0], figure, noise.is_measured_at(case.at))])
    for theme, colours in THEMES.items():
        for plot in (std, density):
            plot.apply_theme(*colours)
        QApplication.processEvents()
        holder.grab().save(str(folder / f"{name}-{theme}.png"))
    line = noise.line or (0.0, 0.0)
    print(
        f"{name}: gain {line[0]:.3g} (true {GAIN:g}), span {noise.span[0]:.4g} to "
        f"{noise.span[1]:.4g}, std at {case.at:g}: {figure.std:.3g}"
    )


def main() -> None:
    """Make all pictures."""
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    application = QApplication.instance() or QApplication([])
    for case in CASES:
        photograph(case.__name__, case(), folder)
    del application


if __name__ == "__main__":
    main()
