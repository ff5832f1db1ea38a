"""Plots of one or several noise models: std, distribution, shape, and maps."""

from __future__ import annotations

import csv
import html
import io
from collections.abc import Sequence
from typing import Any, ClassVar, NamedTuple

import numpy as np
import pyqtgraph as pg
from numpy.typing import NDArray
from qtpy.QtCore import QRectF, Qt, Signal  # type: ignore[attr-defined]
from qtpy.QtWidgets import QWidget

from napari_selfdenoise.noise.inspection import Figures, NoiseMaps, SignalDensity
from napari_selfdenoise.plugin.docks.plots import (
    BLUISH_GREEN,
    VERMILLION,
    Plot,
    Series,
)

COLOURS = (VERMILLION, "#56B4E9", BLUISH_GREEN, "#E69F00", "#CC79A7", "#999999")
"""Okabe and Ito's, of which each noise model takes the next one."""

_FADED = 120
"""Opacity, of 255, of lines where nothing was measured."""

_BAND = 60
"""Opacity, of 255, of a confidence band."""

_NAME = 18
"""Characters of a name in a legend."""


class Drawn(NamedTuple):
    """A noise model that is shown: its name, colour and figures."""

    name: str
    colour: str
    figures: Figures


class InspectionPlot(Plot):
    """Axes on which several noise models lie over each other."""

    legend_rows, legend_width = 2, 400

    def __init__(self, x: str, y: str, promise: str = "") -> None:
        super().__init__(x, y, None, promise)
        self._drawn: dict[str, tuple[NDArray[Any], NDArray[Any]]] = {}
        self._names = self._legend = self._legend_above(columns=3)
        self._x, self._y = x, y
        self.set_unit("grey values")

    def series(self) -> Series:
        """Return what is drawn, by name."""
        return self._drawn

    def set_unit(self, unit: str) -> None:
        """Name the axes with a unit in place of {}."""
        self.plot.setLabels(bottom=self._x.format(unit), left=self._y.format(unit))

    def set_log(self, x: bool, y: bool) -> None:
        """Make axes logarithmic, or not."""
        self.plot.setLogMode(x=x, y=y)
        for item in self.plot.getPlotItem().items:  # pyqtgraph leaves them as they were
            if isinstance(item, pg.FillBetweenItem):
                item.updatePath()
        self.plot.getViewBox().enableAutoRange()

    def begin(self) -> None:
        """Take away what is drawn."""
        self.plot.clear()
        self._drawn = {}

    def line(
        self, name: str, x: NDArray[Any], y: NDArray[Any], pen: Any, key: str | None
    ) -> pg.PlotDataItem:
        """Draw a line and note it under a name; one without a key has no legend."""
        self._drawn[name] = x, y
        shown = None if key is None else html.escape(key)
        return self.plot.plot(*_finite(x, y), pen=pen, connect="finite", name=shown)

    def dots(self, name: str, x: NDArray[Any], y: NDArray[Any], colour: str) -> None:
        """Draw dots and note them under a name."""
        self._drawn[name] = x, y
        self.plot.plot(
            *_finite(x, y),
            pen=None,
            symbol="o",
            symbolSize=5,
            symbolPen=None,
            symbolBrush=colour,
        )

    def key(self, name: str, item: Any) -> None:
        """Explain a sign in the legend, by an item that is drawn nowhere."""
        self._names.addItem(item, html.escape(name))

    def clear_keys(self) -> None:
        """Take everything out of the legend."""
        self._names.clear()


class StdPlot(InspectionPlot):
    """Noise std against signal, dashed where nothing was measured."""

    signal_chosen = Signal(float)
    """The line was moved to a signal."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(
            "signal ({})",
            "noise std ({})",
            "Add a noise model to see how its noise depends on the signal.",
        )
        self.setObjectName("std_plot")
        self.marker = pg.InfiniteLine(
            angle=90, movable=True, pen=pg.mkPen("#999999", width=2), hoverPen="#FFFFFF"
        )
        self.marker.sigPositionChanged.connect(self._report)
        self._silent = self._log_x = False
        self.plot.setToolTip(
            "Line: the noise model, dashed where nothing was measured.\n"
            "Dots: measured. Band: where the std lies with 95 % confidence.\n"
            "Drag the upright line to choose a signal.\n" + self.plot.toolTip()
        )

    def draw(self, models: Sequence[Drawn]) -> None:
        """Draw noise models over each other."""
        self.begin()
        self.clear_keys()
        for name, colour, figures in models:
            figure, key = figures.std, _short(name)
            self._band(name, colour, figure)
            if figure.dots[0].size:
                self.dots(f"{name}, measured", *figure.dots[:2], colour)
            solid = pg.mkPen(colour, width=2)
            self.line(name, figure.signal, figure.solid, solid, key)
            beyond = f"{name}, not measured"
            self.line(beyond, figure.signal, figure.dashed, faded(colour), None)
        if models:
            self._explain(any(each.figures.std.dots[0].size for each in models))
            self.plot.addItem(self.marker, ignoreBounds=True)
        self._show_promise()

    def choose(self, signal: float) -> None:
        """Move the line to a signal, without reporting it."""
        self._silent = True
        try:
            self.marker.setValue(_to_axis(signal, self._log_x))
        finally:
            self._silent = False

    def set_log(self, x: bool, y: bool) -> None:
        """Make axes logarithmic, or not; the line stays at its signal."""
        signal = self.signal()
        self._log_x = x
        super().set_log(x, y)
        self.choose(signal)

    def signal(self) -> float:
        """Return the signal that the line is at."""
        place = float(self.marker.value())
        return 10.0**place if self._log_x else place

    def _report(self, *_: Any) -> None:
        if not self._silent:
            self.signal_chosen.emit(self.signal())

    def _band(self, name: str, colour: str, figure: Any) -> None:
        if not np.isfinite(figure.low).any():
            return
        none = pg.mkPen(None)
        ends = [
            self.line(f"{name}, {end} end of the band", figure.signal, y, none, None)
            for end, y in (("low", figure.low), ("high", figure.high))
        ]
        brush = pg.mkBrush(pg.mkColor(colour))
        shade = brush.color()
        shade.setAlpha(_BAND)
        self.plot.addItem(pg.FillBetweenItem(*ends, brush=shade))

    def _explain(self, measured: bool) -> None:
        grey = "#999999"
        if measured:
            self.key("measured", pg.ScatterPlotItem(size=5, pen=None, brush=grey))
        self.key("not measured", pg.PlotDataItem(pen=faded(grey)))


class DensityPlot(InspectionPlot):
    """Distribution of the observation at one signal."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(
            "observation ({})",
            "density",
            "Add a noise model to see what is observed at a signal.",
        )
        self.setObjectName("density_plot")
        self.plot.setToolTip(
            "What is observed where the signal is that of the upright line.\n"
            "Line: the noise model. Steps: measured at that signal.\n"
            + self.plot.toolTip()
        )

    def draw(self, models: Sequence[tuple[str, str, SignalDensity, bool]]) -> None:
        """Draw the densities of noise models; the last says whether it was measured."""
        self.begin()
        self.clear_keys()
        for name, colour, figure, measured in models:
            self._steps(name, colour, figure)
            pen = pg.mkPen(colour, width=2) if measured else faded(colour)
            self.line(name, figure.observation, figure.density, pen, _short(name))
        if models:
            at = models[0][2].signal
            self.plot.addItem(
                pg.InfiniteLine(at, angle=90, pen=pg.mkPen("#999999", width=1))
            )
        self._show_promise()

    def set_log(self, x: bool, y: bool) -> None:
        """Make the density logarithmic, or not; observations may be below zero."""
        for item in self.plot.listDataItems():
            if item.opts["stepMode"]:
                item.setFillLevel(None if y else 0)
        super().set_log(False, y)

    def _steps(self, name: str, colour: str, figure: SignalDensity) -> None:
        if not figure.counted.size:
            return
        self._drawn[f"{name}, measured"] = figure.middles, figure.counted
        shade = pg.mkColor(colour)
        shade.setAlpha(_BAND)
        # Without a fill under logarithmic axes, where zero is infinitely far.
        self.plot.plot(
            figure.edges,
            figure.counted,
            stepMode="center",
            pen=pg.mkPen(colour, width=1),
            fillLevel=None if self.plot.getAxis("left").logMode else 0,
            brush=shade,
        )


class ShapePlot(InspectionPlot):
    """One number of the shape of noise against signal, as in Ollion et al., Fig. 3.

    Parameters
    ----------
    what : str
        "skewness" or "divergence".
    """

    _TITLES: ClassVar = {
        "skewness": "skewness",
        "divergence": "KL divergence (nats)",
    }
    _LEAST_RANGES: ClassVar = {"skewness": 0.2, "divergence": 0.02}
    # Of the axis: what is smaller means nothing, and would look as if it did.
    _TIPS: ClassVar = {
        "skewness": "Above zero: bright outliers are more frequent than dark ones.",
        "divergence": "How far the noise is from a Gaussian: 0 means that it is one.\n"
        "Crosses: how far what was measured is from the noise model.",
    }

    def __init__(self, what: str) -> None:
        super().__init__("signal ({})", self._TITLES[what])
        self.setObjectName(f"{what}_plot")
        self.what = what
        self.plot.getViewBox().setLimits(minYRange=self._LEAST_RANGES[what])
        self.plot.setToolTip(f"{self._TIPS[what]}\n{self.plot.toolTip()}")

    def draw(self, models: Sequence[Drawn]) -> None:
        """Draw noise models over each other."""
        self.begin()
        self.clear_keys()
        for name, colour, figures in models:
            figure = figures.shape
            values = getattr(figure, self.what)
            if figure.dots[0].size:
                number = 1 if self.what == "skewness" else 3
                signal, found = figure.dots[0], figure.dots[number]
                self.dots(f"{name}, measured", signal, found, colour)
            if self.what == "divergence" and figure.misfit.size:
                self._crosses(name, colour, figure)
            solid, dashed = figure.split(values)
            pen = pg.mkPen(colour, width=2)
            self.line(name, figure.signal, solid, pen, _short(name))
            beyond = f"{name}, not measured"
            self.line(beyond, figure.signal, dashed, faded(colour), None)
        self._show_promise()

    def set_log(self, x: bool, y: bool) -> None:
        """Make the signal logarithmic, or not; shapes may be below zero."""
        super().set_log(x, False)

    def _crosses(self, name: str, colour: str, figure: Any) -> None:
        x, y = figure.dots[0], figure.misfit
        self._drawn[f"{name}, measured from the model"] = x, y
        self.plot.plot(
            *_finite(x, y),
            pen=None,
            symbol="x",
            symbolSize=6,
            symbolPen=None,
            symbolBrush=colour,
        )


class MapPlot(Plot):
    """Density over signal and residual, each signal scaled to its own maximum.

    Parameters
    ----------
    what : str
        "predicted" or "measured".
    """

    _PROMISE: ClassVar = {
        "predicted": "Choose a noise model in the list.",
        "measured": "No measurement is kept with this noise model.",
    }

    def __init__(self, what: str) -> None:
        super().__init__("signal", "residual", None, self._PROMISE[what])
        self.setObjectName(f"{what}_map")
        self.what = what
        self.plot.setToolTip(
            "Each signal is scaled to its own maximum. Empty: nothing was measured.\n"
            + self.plot.toolTip()
        )
        self._maps: NoiseMaps | None = None
        self._image = pg.ImageItem(axisOrder="row-major")
        self._image.setColorMap(pg.colormap.get("viridis"))
        self.plot.addItem(self._image)
        self.set_unit("grey values")

    def set_unit(self, unit: str) -> None:
        """Name the axes with a unit."""
        self.plot.setLabels(
            bottom=f"signal ({unit})", left=f"{self.what} residual ({unit})"
        )

    def draw(self, maps: NoiseMaps | None) -> None:
        """Draw a map; nothing where there is none."""
        data = None if maps is None else getattr(maps, self.what)
        if maps is None or data is None or not np.isfinite(data).any():
            self._maps = None
            self._image.clear()
        else:
            self._maps = maps
            self._image.setImage(data.astype(np.float32), levels=(0.0, 1.0))
            self._image.setRect(_rectangle(maps))
            self.plot.setRange(_rectangle(maps), padding=0)
        self._show_promise()

    def series(self) -> Series:
        """Return ends of the axes of what is drawn; nothing on axes alone."""
        if self._maps is None:
            return {}
        return {self.what: (np.array(self._maps.signal), np.array(self._maps.residual))}

    def to_csv(self) -> str:
        """Return the map as text: signal, residual, density over its maximum."""
        text = io.StringIO()
        table = csv.writer(text, lineterminator="\n")
        table.writerow(["signal", "residual", "density"])
        if self._maps is not None:
            table.writerows(self._maps.rows(self.what))
        return text.getvalue()

    def _show_all(self) -> None:
        if self._maps is not None:
            self.plot.setRange(_rectangle(self._maps), padding=0)


def faded(colour: str) -> Any:
    """The pen of lines where nothing was measured: dashed, and half transparent."""
    shade = pg.mkColor(colour)
    shade.setAlpha(_FADED)
    return pg.mkPen(shade, width=2, style=Qt.PenStyle.DashLine)


def _rectangle(maps: NoiseMaps) -> QRectF:
    (left, right), (low, high) = maps.signal, maps.residual
    return QRectF(left, low, right - left, high - low)


def _short(name: str) -> str:
    return name if len(name) <= _NAME else f"{name[: _NAME - 1]}…"


def _finite(x: NDArray[Any], y: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    # Where no point is finite pyqtgraph warns at every repaint.
    return (x, y) if np.isfinite(y).any() else (x[:0], y[:0])


def _to_axis(signal: float, log: bool) -> float:
    return float(np.log10(max(signal, 1e-12))) if log else signal
