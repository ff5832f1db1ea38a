"""Figures for print, drawn with matplotlib from the same numbers as the plots."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_selfdenoise.errors import RequestError
from napari_selfdenoise.images import saving
from napari_selfdenoise.model import LossHistory
from napari_selfdenoise.parts.noise_models import NoiseCurve

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Scatter = tuple[NDArray[np.float64], NDArray[np.float64]]


def save_loss_figure(history: LossHistory, path: Path) -> None:
    """Draw the loss along the training."""
    figure = _figure(1)
    axes = figure.subplots()
    axes.plot(history.step, history.loss, color="#999999", linewidth=0.7)
    axes.plot(history.step, history.smoothed, color="#0072B2")
    axes.set(xlabel="step", ylabel="loss", title="Training loss")
    _save(figure, path)


def save_noise_figure(curve: NoiseCurve, scatter: Scatter | None, path: Path) -> None:
    """Draw the noise's standard deviation against the signal, in raw units."""
    figure = _figure(1)
    axes = figure.subplots()
    if scatter is not None:
        axes.plot(*scatter, "o", color="#E69F00", label="measured", markersize=4)
    axes.plot(curve.signal, curve.std, color="#0072B2", label="predicted")
    axes.set(
        xlabel="signal (raw units)", ylabel="noise std (raw units)", title="Noise curve"
    )
    axes.legend()
    _save(figure, path)


def save_comparison(planes: Mapping[str, NDArray[np.float32]], path: Path) -> None:
    """Draw planes (Y, X) side by side, on the contrast of the last one."""
    figure = _figure(len(planes))
    low, high = np.percentile(list(planes.values())[-1], (0.5, 99.8))
    for axes, (title, plane) in zip(
        figure.subplots(1, len(planes), squeeze=False)[0], planes.items(), strict=True
    ):
        axes.imshow(plane, cmap="gray", vmin=low, vmax=high)
        axes.set(title=title, xticks=[], yticks=[])
    _save(figure, path)


def _save(figure: Figure, path: Path) -> None:
    with saving(path, "figure") as part:
        figure.savefig(part, dpi=150, format="png")


def require_matplotlib() -> None:
    """Raise an error if matplotlib is missing, before minutes of training.

    Raises
    ------
    RequestError
        If matplotlib is not installed.
    """
    _figure(1)


def _figure(panels: int) -> Figure:
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise RequestError(
            "Figures need matplotlib, which is not installed.",
            'Run: pip install "napari-selfdenoise[figures]".',
        ) from error
    return Figure(figsize=(5 * panels, 4.2), layout="constrained")
