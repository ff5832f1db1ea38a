"""The plot of the pixel probe: prior, likelihood, posterior, value and estimate."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyqtgraph as pg
from numpy.typing import NDArray
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QWidget

from napari_selfdenoise.plugin.docks.plots import (
    BLUISH_GREEN,
    VERMILLION,
    Plot,
    Series,
)
from napari_selfdenoise.prediction import PixelEvidence

PROMISE = "Point at a pixel of the image."

_SKY, _GREY = "#56B4E9", "#8a8d93"
_HEIGHT = 210
"""Least height in px: a legend of two rows above the curves."""

_LEGEND_ROWS = 50
"""Height in px of the legend."""

_PENS = {
    "prior": pg.mkPen(_SKY, width=4),  # in sight behind a like posterior
    "likelihood": pg.mkPen("#E69F00", width=2),
    "observed": pg.mkPen(_GREY, width=2, style=Qt.PenStyle.DashLine),
    "posterior": pg.mkPen(BLUISH_GREEN, width=2),
    "denoised": pg.mkPen(VERMILLION, width=2),
}
"""Of the curves, in the order of the legend: no column has two long names."""


class ProbePlot(Plot):
    """Densities of one pixel's signal, and lines at its value and its estimate."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__("signal (grey values)", "density", parent, PROMISE)
        self.setMinimumHeight(_HEIGHT)
        self._legend = self._narrow_legend()
        self._drawn: dict[str, tuple[NDArray[Any], NDArray[Any]]] = {}
        self._curves = {
            name: self.plot.plot(pen=pen, name=name) for name, pen in _PENS.items()
        }
        self.plot.setToolTip(
            "Prior: what the surroundings tell. Likelihood: which signals explain the "
            "value. Posterior: both together.\n" + self.plot.toolTip()
        )
        self.clear()

    def set_evidence(self, known: PixelEvidence) -> None:
        """Draw what is known of a pixel."""
        self._drawn = {name: (known.signal, y) for name, y in known.curves.items()}
        top = max((float(y.max()) for _, y in self._drawn.values()), default=1.0)
        for name, value in (
            ("observed", known.observation),
            ("denoised", known.estimate),
        ):
            if np.isfinite(value) and self._drawn:
                self._drawn[name] = np.full(2, value), np.array([0.0, top])
        self._draw()
        ends = known.in_view()
        if ends is not None and self._drawn:
            self.plot.setXRange(*ends, padding=0.03)
            self.plot.setYRange(0.0, top, padding=0.03)

    def clear(self, promise: str = PROMISE) -> None:
        """Draw nothing, and say why."""
        self._drawn = {}
        self.promise.setText(promise)
        self._draw()

    def series(self) -> Series:
        """Return what is drawn, by name."""
        return self._drawn

    def _narrow_legend(self) -> pg.LegendItem:
        """Make a legend of three columns that a dock has the width for."""
        legend, layout = self._legend_above(columns=3), self.plot.getPlotItem().layout
        legend.layout.setHorizontalSpacing(2)
        legend.setLabelTextSize("8pt")
        layout.removeItem(legend)
        layout.addItem(legend, 0, 0, 1, 2)  # above the axis as well
        return legend

    def _draw(self) -> None:
        none = np.zeros(0)
        for name, curve in self._curves.items():
            curve.setData(*self._drawn.get(name, (none, none)))
        self._show_promise()

    def _show_promise(self) -> None:
        """Give the legend its two rows."""
        super()._show_promise()
        if self._legend is not None:
            height = _LEGEND_ROWS if self._legend.isVisible() else 0
            self._legend.setMinimumHeight(height)
            self._legend.setMaximumHeight(height)
