"""The two curves a user watches: the training loss and the camera's noise."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from weakref import WeakSet

import numpy as np
import pyqtgraph as pg
from napari.utils.notifications import show_error
from napari.utils.theme import get_theme
from numpy.typing import ArrayLike, NDArray
from qtpy.QtCore import QSize, Qt
from qtpy.QtGui import QAction, QFontMetricsF  # type: ignore[attr-defined]
from qtpy.QtWidgets import QLabel, QVBoxLayout, QWidget

from napari_selfdenoise.errors import DenoisingError, RequestError
from napari_selfdenoise.images import table_cell
from napari_selfdenoise.plugin.docks.plain_text import without_tags
from napari_selfdenoise.plugin.docks.plot_files import (
    save_pdf,
    save_png,
    save_svg,
    save_text,
)
from napari_selfdenoise.plugin.docks.save_dialog import ask_where_to_save, with_ending

# Okabe and Ito's colours that stand out from napari's dark and light background alike.
VERMILLION = "#D55E00"
BLUISH_GREEN = "#009E73"

_LABEL_MARGIN = 12
"""By how many px the name of an axis may be longer than the axis."""

_LEGEND_ROW = 24
"""Height in px of a legend."""

_LEGEND_HEIGHT = 130
"""Least height in px of a plot in which a legend leaves room for what it names."""

_ANY_WIDTH = 16_777_215
"""Qt's own word for no limit of a width."""

Series = Mapping[str, tuple[NDArray[Any], NDArray[Any]]]
"""Name of a series: its x and y, 1-D arrays of equal length."""


class _ZoomBox(pg.ViewBox):
    """Drag to zoom in, double click to see all; the plain wheel scrolls the dock."""

    def __init__(self) -> None:
        super().__init__(enableMenu=False)
        self.setMouseMode(pg.ViewBox.RectMode)

    def mouseClickEvent(self, event: Any) -> None:
        """Show everything after a double click."""
        if event.double() and event.button() == Qt.MouseButton.LeftButton:
            event.accept()
            self.enableAutoRange()

    def wheelEvent(self, event: Any, axis: int | None = None) -> None:
        """Zoom only while Ctrl is held."""
        if event.modifiers() & Qt.KeyboardModifier.ControlModifier:
            super().wheelEvent(event, axis)
        else:
            event.ignore()


class _Axis(pg.AxisItem):
    """An axis that counts in plain numbers, few of them where it is logarithmic.

    Where it is too short for its name, the unit is left out, then all but the first
    word, or else the name.
    """

    def __init__(self, side: str) -> None:
        super().__init__(side)
        # Room for curves: small plots are half names and numbers.
        self.label.document().setDocumentMargin(0)

    def labelString(self) -> str:
        """The name of the axis, as much of it as there is room for."""
        measure = QFontMetricsF(self.label.font()).horizontalAdvance
        style = ";".join(f"{key}: {value}" for key, value in self.labelStyle.items())
        without_unit = self.labelText.split(" (")[0]
        for text in (self.labelText, without_unit, without_unit.split(" ")[0]):
            if measure(text) < self._room():
                return f"<span style='{style}'>{text}</span>"
        return ""

    def resizeEvent(self, event: Any = None) -> None:
        """Shorten the name, or write it in full again."""
        if self.label is not None and self.labelText:
            self.label.setHtml(self.labelString())
        super().resizeEvent(event)

    def _room(self) -> float:
        """Length of the axis in px, with the margins that its name may reach into."""
        size = self.size()
        length = size.height() if self.orientation == "left" else size.width()
        return float(length) + _LABEL_MARGIN

    def logTickStrings(self, values: Any, scale: float, spacing: float) -> list[str]:
        """Label 1, 2 and 5 of each decade."""
        return [_decade_text(10.0**value * scale) for value in values]


class Plot(QWidget):
    """A pair of axes that takes napari's colours and can be saved.

    Parameters
    ----------
    x, y : str
        Names of the axes, with the unit.
    parent : QWidget, optional
        Qt parent.
    promise : str
        What will be drawn here; shown while there is nothing.

    Attributes
    ----------
    plot : pyqtgraph.PlotWidget
        The axes.
    promise : QLabel
        Says what will be drawn, while there is nothing.
    """

    legend_rows = 1
    """Rows of names that the legend has room for."""

    legend_width = 0
    """Least width in px of a plot that has room for a legend."""

    def __init__(
        self, x: str, y: str, parent: QWidget | None = None, promise: str = ""
    ) -> None:
        super().__init__(parent)
        self.setMinimumHeight(160)
        axes = {side: _Axis(side) for side in ("left", "bottom")}
        self.plot = pg.PlotWidget(viewBox=_ZoomBox(), axisItems=axes)
        self.plot.setLabels(bottom=x, left=y)
        self._legend: pg.LegendItem | None = None
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.plot)
        self.promise = QLabel(promise, self.plot)
        self.promise.setTextFormat(Qt.TextFormat.PlainText)
        self._set_up_axes()
        self._set_up_promise()
        self._add_actions()
        self.apply_theme("#262930", "#f0f1f2")

    def series(self) -> Series:
        """Return what is drawn, by name: nothing on axes alone."""
        return {}

    def apply_theme(self, background: str, text: str) -> None:
        """Take the colours of the window.

        Parameters
        ----------
        background, text : str
            Colours such as "#262930".
        """
        self.plot.setBackground(background)
        for side in ("left", "bottom"):
            axis = self.plot.getAxis(side)
            axis.setPen(text)
            axis.setTextPen(text)
        self.promise.setStyleSheet(f"background: transparent; color: {text};")
        if self._legend is not None:
            self._legend.setLabelTextColor(text)  # of labels to come
            for _, label in self._legend.items:
                label.setText(label.text, color=text)

    def to_csv(self) -> str:
        """Return what is drawn as text: series, x, y, with every digit."""
        text = io.StringIO()
        table = csv.writer(text, lineterminator="\n")
        table.writerow(["series", "x", "y"])
        for name, (x, y) in self.series().items():
            called = table_cell(name)
            table.writerows(zip([called] * x.size, x.tolist(), y.tolist(), strict=True))
        return text.getvalue()

    def _set_up_axes(self) -> None:
        self.plot.setMenuEnabled(False)
        self.plot.hideButtons()
        for side in ("left", "bottom"):
            # Raw units are counts: "kilo-counts" on an axis would only confuse.
            self.plot.getAxis(side).enableAutoSIPrefix(False)
        # pyqtgraph puts the label 5 px below its axis, and its top number higher.
        self.plot.getPlotItem().layout.setContentsMargins(2, 8, 8, 8)
        self.plot.setToolTip(
            "Drag to zoom in, double-click to see all, right-click to save."
        )

    def _legend_above(self, columns: int = 2) -> pg.LegendItem:
        """Make a legend above the axes, where it covers no curve."""
        item = self.plot.getPlotItem()
        item.legend = pg.LegendItem(
            colCount=columns, verSpacing=0
        )  # which items add to
        item.layout.removeItem(item.titleLabel)  # which is empty
        item.layout.addItem(item.legend, 0, 1)
        return item.legend

    def _set_up_promise(self) -> None:
        self.promise.setObjectName("promise")
        self.promise.setWordWrap(True)
        self.promise.setAlignment(Qt.AlignmentFlag.AlignCenter)
        # Whoever drags, clicks or scrolls means the plot below.
        through = Qt.WidgetAttribute.WA_TransparentForMouseEvents
        self.promise.setAttribute(through)

    def resizeEvent(self, event: Any) -> None:
        """Keep the promise in the middle; leave out the legend where room is small."""
        super().resizeEvent(event)
        self._show_promise()
        self.promise.setGeometry(self.plot.rect())

    def sizeHint(self) -> QSize:
        """Ask for no more than the least height: what is left over comes on top."""
        return QSize(super().sizeHint().width(), self.minimumHeight())

    def _show_promise(self) -> None:
        """Promise what is to come on an empty sheet: axes would say nothing yet."""
        drawn = any(x.size for x, _ in self.series().values())
        self.promise.setVisible(not drawn)
        for side in ("left", "bottom"):
            self.plot.getPlotItem().showAxis(side, drawn)
        if self._legend is not None:
            room = drawn and self.height() >= _LEGEND_HEIGHT
            room = room and self.width() >= self.legend_width
            self._legend.setVisible(room)
            self._legend.setMaximumHeight(_LEGEND_ROW * self.legend_rows if room else 0)
            self._legend.setMinimumWidth(0)
            self._legend.setMaximumWidth(_ANY_WIDTH if room else 0)

    def _add_actions(self) -> None:
        # pyqtgraph's own menu offers SVG, which fails with Qt 6.11.
        actions = {
            "Show all": self._show_all,
            "Save plot data (CSV)…": self._save_csv,
            "Save picture (PNG)…": self._save_png,
            "Save drawing (SVG)…": self._save_svg,
            "Save drawing (PDF)…": self._save_pdf,
        }
        for text, slot in actions.items():
            action = QAction(text, self)
            action.triggered.connect(slot)
            self.addAction(action)
        self.setContextMenuPolicy(Qt.ContextMenuPolicy.ActionsContextMenu)
        self.plot.setContextMenuPolicy(Qt.ContextMenuPolicy.NoContextMenu)

    def _show_all(self) -> None:
        self.plot.getViewBox().enableAutoRange()

    def _save_csv(self) -> None:
        if path := self._ask_path("Save plot data", "CSV (*.csv)", ".csv"):
            self._save(save_text, self.to_csv(), path)

    def _save_png(self) -> None:
        if path := self._ask_path("Save picture", "PNG (*.png)", ".png"):
            self._save(save_png, self.plot, path)

    def _save_svg(self) -> None:
        if path := self._ask_path("Save drawing", "SVG (*.svg)", ".svg"):
            self._save(save_svg, self.plot, path)

    def _save_pdf(self) -> None:
        if path := self._ask_path("Save drawing", "PDF (*.pdf)", ".pdf"):
            self._save(save_pdf, self.plot, path)

    def _save(self, save: Callable[[Any, Path], None], what: Any, path: Path) -> None:
        try:
            save(what, path)
        except (RequestError, DenoisingError) as error:
            show_error(without_tags(str(error)))

    def _ask_path(self, title: str, kinds: str, suffix: str) -> Path | None:
        return ask_where_to_save(
            self, title, "", kinds, lambda path, _: with_ending(path, suffix)
        )


class LossPlot(Plot):
    """The loss over the training steps."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(
            "step",
            "error (training)",
            parent,
            "Here you will see how the network learns: the lower, the better.",
        )
        self._curve = _curve()
        self.plot.addItem(self._curve)
        self.set_history([], [])

    def set_history(self, steps: ArrayLike, loss: ArrayLike) -> None:
        """Draw the loss.

        Parameters
        ----------
        steps, loss : array of float
            Equal length; a NaN is a gap.
        """
        self._history = np.asarray(steps, float), np.asarray(loss, float)
        # One point has no line to be seen by.
        symbol = "o" if _finite(*self._history).sum() == 1 else None
        self._curve.setData(*_line(*self._history), symbol=symbol, connect="finite")
        self._show_promise()

    def series(self) -> Series:
        """Return what is drawn, by name."""
        return {"loss": self._history}


class NoisePlot(Plot):
    """The noise against the signal: the model's prediction over what was measured."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(
            "signal (grey values)",
            "noise (std)",
            parent,
            "Here you will see how noisy your camera is, from dark to bright.",
        )
        none = np.zeros(0)
        self._predicted = self._measured = none, none
        self._legend = self._legend_above()
        self._points = pg.ScatterPlotItem(
            size=6, pen=None, brush=BLUISH_GREEN, name="this image"
        )
        self._curve = _curve("model")
        self._curve.setZValue(1)  # over the points
        self.plot.addItem(self._curve)
        self.plot.addItem(self._points)
        self.plot.setToolTip(
            "Dots: measured in this image. Line: the noise model.\n"
            + self.plot.toolTip()
        )
        self.clear()

    def set_curve(self, signal: ArrayLike, std: ArrayLike) -> None:
        """Draw the noise model's standard deviation.

        Parameters
        ----------
        signal, std : array of float
            Equal length, in raw units.
        """
        self._predicted = np.asarray(signal, float), np.asarray(std, float)
        self._curve.setData(*_line(*self._predicted), connect="finite")
        self._show_promise()

    def set_scatter(self, signal: ArrayLike, std: ArrayLike) -> None:
        """Draw the scatter of the residuals as points.

        Parameters
        ----------
        signal, std : array of float
            Equal length, in raw units.
        """
        self._measured = np.asarray(signal, float), np.asarray(std, float)
        shown = _finite(*self._measured)
        self._points.setData(*(values[shown] for values in self._measured))
        self._show_promise()

    def clear(self) -> None:
        """Draw nothing."""
        self.set_curve([], [])
        self.set_scatter([], [])

    def series(self) -> Series:
        """Return what is drawn, by name."""
        return {"predicted": self._predicted, "measured": self._measured}


_DIRECTION_COLOURS = {
    "x": VERMILLION,
    "y": BLUISH_GREEN,
    "the falling diagonal": "#E69F00",
    "the rising diagonal": "#56B4E9",
}
_DIRECTION_NAMES = {"the falling diagonal": "↘", "the rising diagonal": "↗"}


class CorrelationPlot(Plot):
    """Correlation of a pixel's noise with that of pixels some way off."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(
            "distance (px)",
            "correlation",
            parent,
            "Noise that neighbours share could not be measured.",
        )
        self._legend = self._legend_above(columns=4)
        self._drawn: dict[str, tuple[NDArray[Any], NDArray[Any]]] = {}
        self._chance = pg.LinearRegionItem(
            orientation="horizontal", movable=False, brush=(128, 128, 128, 60), pen=None
        )
        self._curves = {
            name: self.plot.plot(
                pen=pg.mkPen(colour, width=2),
                symbol="o",
                symbolSize=5,
                symbolBrush=colour,
                symbolPen=None,
                name=_DIRECTION_NAMES.get(name, name),
            )
            for name, colour in _DIRECTION_COLOURS.items()
        }
        self.plot.addItem(self._chance)
        self.plot.setToolTip(
            "Grey: what chance does. Points above it are shared by neighbours.\n"
            + self.plot.toolTip()
        )
        self.clear()

    def set_correlation(
        self, lags: ArrayLike, rho: Mapping[str, ArrayLike], error: float
    ) -> None:
        """Draw the correlations.

        Parameters
        ----------
        lags : array of int
            Distances in px; those above zero are drawn, as the others mirror them.
        rho : mapping of str to array of float
            Correlations by direction.
        error : float
            Standard error of each.
        """
        distance = np.asarray(lags, float)
        ahead = distance > 0
        self._drawn = {
            name: (distance[ahead], np.asarray(values, float)[ahead])
            for name, values in rho.items()
        }
        self._chance.setRegion((-2 * error, 2 * error))
        self._draw()

    def clear(self) -> None:
        """Draw nothing."""
        self._drawn = {}
        self._draw()

    def series(self) -> Series:
        """Return what is drawn, by name."""
        return self._drawn

    def _draw(self) -> None:
        none = np.zeros(0)
        for name, curve in self._curves.items():
            curve.setData(*self._drawn.get(name, (none, none)))
        self._chance.setVisible(bool(self._drawn))
        self._show_promise()


def theme_colours(viewer: Any) -> tuple[str, str]:
    """Return background and text of a viewer's theme, as "#rrggbb"."""
    theme = get_theme(viewer.theme)
    background, text = theme.background, theme.text
    return background.as_hex(format="long"), text.as_hex(format="long")


def follow_theme(viewer: Any, *plots: Plot) -> Callable[[], None]:
    """Give plots the viewer's colours, now and whenever its theme changes.

    Parameters
    ----------
    viewer : napari.components.ViewerModel
        Whose theme.
    *plots : Plot
        Not kept alive by this.

    Returns
    -------
    callable
        Call it when the plots close.
    """
    alive = WeakSet(plots)

    def apply(event: Any = None) -> None:
        for plot in alive:
            plot.apply_theme(*theme_colours(viewer))

    apply()
    viewer.events.theme.connect(apply)
    return lambda: viewer.events.theme.disconnect(apply)


def _finite(x: NDArray[Any], y: NDArray[Any]) -> NDArray[np.bool_]:
    return np.isfinite(x) & np.isfinite(y)


def _line(x: NDArray[Any], y: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    # Where no point is finite pyqtgraph warns at every repaint, and napari shows it.
    return (x, y) if _finite(x, y).any() else (x[:0], y[:0])


def _decade_text(value: float) -> str:
    """A number as a label of a logarithmic axis; empty where labels would crowd."""
    first = f"{value:e}"[0]
    return f"{value:g}" if first in "125" else ""


def _curve(name: str | None = None) -> pg.PlotDataItem:
    # Not antialiased: Qt takes 140 ms for 2000 points that way, and 4 ms like this.
    return pg.PlotDataItem(
        pen=pg.mkPen(VERMILLION, width=2),
        symbolBrush=VERMILLION,
        symbolPen=None,
        symbol=None,
        name=name,
    )
