"""Where docks are put: those of a kind become tabs over each other."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import QSize
from qtpy.QtWidgets import QDockWidget, QMainWindow, QWidget

EDGE = 6, 4, 6, 4
"""Margins in px of a panel below the image: left, top, right, bottom."""

LEAST_PLOT = 130
"""Least height in px of a plot in it, its legend included; the tabs below napari's own
docks leave a window of 700 px no more."""

_HEIGHT = 230
"""Height in px that a panel below the image asks for; a low window gives it less."""


class BelowImage(QWidget):
    """A panel that is wide and low: there is room for it below the image."""

    def sizeHint(self) -> QSize:
        """Ask for a height at which plots can be read."""
        return super().sizeHint().expandedTo(QSize(0, _HEIGHT))


def place_below(viewer: Any, panel: BelowImage, name: str) -> Any:
    """Dock a panel below the image, as a tab in front of others that are there.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        In whose window.
    panel : BelowImage
        The panel.
    name : str
        Of its tab, and in napari's list of docks.

    Returns
    -------
    QDockWidget
        The dock that holds it.
    """
    dock = viewer.window.add_dock_widget(panel, name=name, area="bottom")
    become_tab(panel, BelowImage)
    return dock


def become_tab(widget: QWidget, kind: type[QWidget]) -> None:
    """Let the dock of a widget become a tab over others on the same side.

    Parameters
    ----------
    widget : QWidget
        What the dock holds.
    kind : type
        What the others hold. napari's own docks are left where they are.
    """
    window, own = widget.window(), dock_of(widget)
    if own is None or not isinstance(window, QMainWindow):
        return
    side = window.dockWidgetArea(own)
    # Looked for anew each time: one that Python alone still knows raises an error. A
    # dock that is closed stays a child of the window for a moment, on no side of it;
    # another one that became its tab would be on no side either.
    for other in window.findChildren(kind):
        dock = dock_of(other)
        if dock in (None, own) or dock.isFloating() or not dock.isVisible():
            continue
        if window.dockWidgetArea(dock) == side:
            window.tabifyDockWidget(dock, own)
            own.show()  # Qt brings nothing to the front that it is still to show
            own.raise_()


def dock_of(widget: QWidget) -> Any:
    """The dock that a widget is in; None where it is in none."""
    parent: Any = widget.parent()
    while parent is not None and not isinstance(parent, QDockWidget):
        parent = parent.parent()
    return parent
