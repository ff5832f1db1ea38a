"""Plots of an evaluation: histogram and autocorrelation of the residual, profiles."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyqtgraph as pg
from numpy.typing import NDArray
from qtpy.QtWidgets import QWidget

from napari_selfdenoise.evaluation import LineProfile, ResidualCheck
from napari_selfdenoise.plugin.docks.plots import (
    BLUISH_GREEN,
    VERMILLION,
    CorrelationPlot,
    Plot,
    Series,
)

Curve = tuple[NDArray[Any], NDArray[Any]]

_GREY = "#999999"

_PROFILE_COLOURS = {"noisy": _GREY, "result": VERMILLION, "reference": BLUISH_GREEN}
"""The noisy one first: the others are drawn over it."""


class ResidualHistogram(Plot):
    """Residuals over the local noise std, and the Gaussian of noise alone."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(
            "residual (noise std)",
            "pixels (%)",
            parent,
            "Here you will see how large what was removed is.",
        )
        self._drawn: dict[str, Curve] = {}
        self._legend = self._legend_above()
        self._counted = self.plot.plot(
            pen=pg.mkPen(VERMILLION, width=2), name="residual"
        )
        dashed = pg.mkPen(_GREY, width=2, style=pg.QtCore.Qt.PenStyle.DashLine)
        self._gaussian = self.plot.plot(pen=dashed, name="Gaussian")
        self.plot.setToolTip(
            "Noise alone is close to the dashed line.\n" + self.plot.toolTip()
        )
        self.clear()

    def show_check(self, check: ResidualCheck) -> None:
        """Draw the histogram of a residual."""
        found = check.histogram
        self._drawn = {"residual": found.shares(), "Gaussian": found.gaussian()}
        self._draw()

    def clear(self) -> None:
        """Draw nothing."""
        self._drawn = {}
        self._draw()

    def series(self) -> Series:
        """Return what is drawn, by name."""
        return self._drawn

    def _draw(self) -> None:
        none = np.zeros(0), np.zeros(0)
        self._counted.setData(*self._drawn.get("residual", none))
        self._gaussian.setData(*self._drawn.get("Gaussian", none))
        self._show_promise()


class ResidualCorrelation(CorrelationPlot):
    """How alike neighbours in the residual are."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.promise.setText(
            "Here you will see whether neighbours in what was removed are alike."
        )

    def show_check(self, check: ResidualCheck) -> None:
        """Draw the autocorrelation of a residual."""
        found = check.correlation
        self.set_correlation(found.lags, found.rho, found.largest_error)


class ProfilePlot(Plot):
    """Intensities of several images along one line."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(
            "distance (px)",
            "grey values",
            parent,
            "Press Line profile, and draw a line on the image.",
        )
        self._drawn: dict[str, Curve] = {}
        self._legend = self._legend_above(columns=3)
        # All three fit a narrow dock that scrolls.
        self._legend.setLabelTextSize("8pt")
        self._legend.layout.setHorizontalSpacing(3)
        self._legend.layout.setContentsMargins(0, 0, 0, 0)
        self._curves = {
            name: self.plot.plot(pen=pg.mkPen(colour, width=2), name=name)
            for name, colour in _PROFILE_COLOURS.items()
        }
        self.clear()

    def show_profiles(self, profiles: Mapping[str, LineProfile], unit: str) -> None:
        """Draw the profiles of "noisy", "result" and "reference", those there are."""
        self.plot.setLabels(bottom=f"distance ({unit})")
        self._drawn = {
            name: (found.distance, found.values) for name, found in profiles.items()
        }
        self._draw()

    def clear(self) -> None:
        """Draw nothing."""
        self._drawn = {}
        self._draw()

    def series(self) -> Series:
        """Return what is drawn, by name."""
        return self._drawn

    def _draw(self) -> None:
        none = np.zeros(0), np.zeros(0)
        for name, curve in self._curves.items():
            curve.setData(*self._drawn.get(name, none), connect="finite")
        self._show_promise()
