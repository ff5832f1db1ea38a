"""Plots as files: numbers as CSV, pictures as PNG, drawings as SVG and PDF."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from qtpy.QtCore import QBuffer, QMarginsF, QRectF, QSizeF
from qtpy.QtGui import QPageSize, QPainter, QPdfWriter
from qtpy.QtSvg import QSvgGenerator
from qtpy.QtWidgets import QWidget

from napari_selfdenoise.images import saving

_MM_PER_INCH = 25.4


def save_text(text: str, path: Path) -> None:
    """Write a text.

    Raises
    ------
    RequestError
        If the folder is not there.
    DenoisingError
        If the file cannot be written; so do the other functions here.
    """
    with saving(path, "plot data") as part:
        part.write_text(text, encoding="utf-8")


def save_png(plot: QWidget, path: Path) -> None:
    """Write a plot as it is on the screen."""
    with _drawing(path, "picture") as buffer:
        if not plot.grab().save(buffer, "PNG"):
            raise OSError("Qt could not draw it")


def save_svg(plot: Any, path: Path) -> None:
    """Write a pyqtgraph plot as a drawing that other programs can edit."""
    with _drawing(path, "drawing") as buffer:
        drawing = QSvgGenerator()
        drawing.setOutputDevice(buffer)
        drawing.setResolution(plot.logicalDpiX())
        drawing.setSize(plot.size())
        drawing.setViewBox(QRectF(plot.rect()))
        drawing.setTitle(path.stem)
        _draw(plot, drawing)


def save_pdf(plot: Any, path: Path) -> None:
    """Write a pyqtgraph plot as a page of its own size."""
    with _drawing(path, "drawing") as buffer:
        page = QPdfWriter(buffer)
        # That of the screen: widths of pens are in dots, and axes are recorded for it.
        page.setResolution(plot.logicalDpiX())
        page.setPageMargins(QMarginsF(0, 0, 0, 0))
        sides = QSizeF(plot.size()) * (_MM_PER_INCH / plot.logicalDpiX())
        page.setPageSize(QPageSize(sides, QPageSize.Unit.Millimeter))
        page.setTitle(path.stem)
        _draw(plot, page)


@contextmanager
def _drawing(path: Path, what: str) -> Iterator[QBuffer]:
    """Room in memory to draw into, which becomes the file: Qt hides a full disk."""
    with saving(path, what) as part:
        buffer = QBuffer()
        buffer.open(QBuffer.OpenModeFlag.WriteOnly)
        yield buffer
        part.write_bytes(bytes(buffer.data().data()))


def _draw(plot: Any, device: Any) -> None:
    """Draw a plot on a device whose dots are those of the screen."""
    painter = QPainter()
    if not painter.begin(device):
        raise OSError("Qt could not draw it")
    try:
        plot.render(painter, QRectF(plot.rect()), plot.viewport().rect())
    finally:
        painter.end()
