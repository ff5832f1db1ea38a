"""What all docks do: run something, complain, take dropped files, end with napari."""

from __future__ import annotations

from collections.abc import Callable, Generator
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

from napari.layers import Image as ImageLayer
from napari.utils.notifications import notification_manager, show_error
from napari.viewer import Viewer
from qtpy.QtCore import QEvent, QObject, QTimer, Signal  # type: ignore[attr-defined]
from qtpy.QtWidgets import QDockWidget, QMainWindow, QVBoxLayout, QWidget

from napari_selfdenoise.errors import DenoisingError, RequestError
from napari_selfdenoise.plugin.activity import Activity
from napari_selfdenoise.plugin.drops import refusals
from napari_selfdenoise.plugin.layer_choice import first_choice, offered
from napari_selfdenoise.plugin.panel import Panel
from napari_selfdenoise.plugin.plots import Plot, follow_theme
from napari_selfdenoise.plugin.series import read_layer, several_note
from napari_selfdenoise.plugin.worker import Run, sentence
from napari_selfdenoise.training import STOP

IMAGES = (".tif", ".tiff")
PLUGIN = "napari-selfdenoise"


class Dock(QWidget):
    """A dock widget in which one run at a time goes on.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        Where the layers are.
    controls : Panel
        What can be read and pressed.
    *plots : Plot
        Those of its parts that take napari's colours.
    """

    changed = Signal()
    """A run has begun or ended, or something else is in hand."""

    title: ClassVar[str] = "Run"
    """What a run is called in napari's activity dock."""

    suffixes: ClassVar[tuple[str, ...]] = ()
    """Ends of the names of files that can be dropped."""

    def __init__(self, viewer: Viewer, controls: Panel, *plots: Plot) -> None:
        super().__init__()
        self.viewer, self.panel = viewer, controls
        self._activity = Activity(controls.progress, controls.status.shown, self)
        self._run: Run | None = None
        self._then: Callable[[Any], None] = ignore
        self._placed = self._docked = self._closing = self._closed = False
        self._placing = QTimer(self)  # a child, so that it ends with the dock
        self._placing.setSingleShot(True)
        self._placing.timeout.connect(self._share_place)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(controls)
        self.setAcceptDrops(True)
        for event in self._layer_list_events():
            event.connect(self._list_layers)
        self._unfollow_theme = follow_theme(viewer, *plots)

    # ---- What a dock adds ----

    def open_files(self, paths: list[Path]) -> None:
        """Open files that were dropped."""

    def _list_layers(self, event: Any = None) -> None:
        """Offer the layers that there are."""

    def _show_state(self, *_: Any) -> None:
        """Enable what can be pressed now."""

    def _choose(self, layer: ImageLayer) -> None:
        """Choose a layer that was opened here."""

    def _discard(self) -> None:
        """Take away the layers of a run that came to no end."""

    def _let_go(self) -> None:
        """Forget the viewer's layers: the dock is closed."""

    # ---- The run ----

    def stop(self) -> None:
        """End the run; what it has found by then is kept."""
        if self._run:
            self._run.send(STOP, final=True)
            self.panel.say("Stopping…")

    def cancel(self) -> None:
        """End the run and throw away all that it has made."""
        if self._run is not None:
            self._run.cancel()
            self.panel.say("Cancelling…")

    def _begin(
        self,
        make: Callable[[], Any],
        on_progress: Callable[[Any], None],
        on_result: Callable[[Any], None],
    ) -> None:
        self.panel.forget_problem()
        self._then = on_result
        self._run = Run(
            make, on_progress, self._on_result, self._on_error, self._on_abort
        )
        self._activity.begin(self.title)
        self._run.start()
        self._show_state()

    def _ended(self) -> None:
        self._run = None
        self.panel.show_idle()
        self._show_state()

    def _end_activity(self) -> None:
        """After all has been shown, and only after the last part of a run."""
        if self._run is None:
            self._activity.end()

    def _require_idle(self) -> None:
        if self._run is not None:
            raise RequestError(
                "A run is still going on.", "Wait for its end, or press Stop."
            )

    def _read(self, path: Path, series: int | None = None) -> None:
        """Read an image beside whatever else is going on."""
        make = partial(loading, read_layer, path, series)
        Run(make, ignore, self._on_read, self._complain, ignore).start()

    def _on_read(self, found: tuple[Any, dict[str, Any]]) -> None:
        if self._closed:
            return
        data, options = found
        self._choose(self.viewer.add_image(data, **options))
        if note := several_note(options):
            self.panel.say(note)

    def _on_result(self, result: Any) -> None:
        if self._run is not None and self._run.cancelled:
            self._on_cancelled()
        else:
            self._then(result)
        self._end_activity()

    def _on_cancelled(self) -> None:
        self._ended()
        self._discard()
        self.panel.say("Cancelled: nothing of the run is kept.")

    def _on_error(self, error: Exception) -> None:
        self._ended()
        self._discard()
        self._complain(error)
        self._end_activity()

    def _on_abort(self) -> None:
        if self._run is not None:
            self._ended()
            self._discard()
            self.panel.say("The run was ended by napari; nothing was kept.")
            self._end_activity()

    def _complain(self, error: Exception) -> None:
        self.panel.say(sentence(error), problem=True)
        if isinstance(error, RequestError | DenoisingError):
            show_error(sentence(error))
        else:  # with the traceback, for a report
            notification_manager.receive_error(type(error), error, error.__traceback__)

    # ---- The viewer ----

    def _images(self) -> list[ImageLayer]:
        return offered(self.viewer.layers)

    def _first_choice(self) -> Any:
        layers = self.viewer.layers
        return first_choice(layers, layers.selection.active)

    def _layer_list_events(self) -> list[Any]:
        events = self.viewer.layers.events
        return [events.inserted, events.removed, events.reordered, events.renamed]

    # ---- Files dropped on the dock ----

    def dragEnterEvent(self, event: Any) -> None:
        """Accept any file: what cannot be opened is told why."""
        if _dropped(event):
            event.acceptProposedAction()

    def dropEvent(self, event: Any) -> None:
        """Open the files that can be opened, and say why others are not."""
        event.acceptProposedAction()
        self.panel.forget_problem()
        paths = _dropped(event)
        wrong = [path for path in paths if not self._opens(path)]
        self.open_files([path for path in paths if path not in wrong])
        if wrong:
            self._complain(refusals(wrong, self.suffixes))

    def _opens(self, path: Path) -> bool:
        return path.name.lower().endswith(self.suffixes) and not path.is_dir()

    # ---- The end ----

    def event(self, event: QEvent) -> bool:
        """Notice when the dock is closed: napari then takes the parent away."""
        if event.type() == QEvent.Type.ParentChange:
            if self.parent() is None and self._docked:
                self.close_down()
            elif self.parent() is not None:
                self._docked = True
        elif event.type() == QEvent.Type.Show:
            self.window().installEventFilter(self)
            self._placing.start()
        return bool(super().event(event))

    def _share_place(self) -> None:
        """Become a tab beside other docks of this kind: both need the height."""
        window, own = self.window(), _dock_of(self)
        if self._placed or own is None or not isinstance(window, QMainWindow):
            return
        self._placed = True
        area = window.dockWidgetArea(own)
        for other in window.findChildren(Dock):
            dock = _dock_of(other)
            if dock in (None, own) or dock.isFloating() or not dock.isVisible():
                continue
            if window.dockWidgetArea(dock) == area:
                window.tabifyDockWidget(dock, own)
                own.raise_()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Notice when napari is closed."""
        # Not at Close: there napari asks first, and the user may say no. Nor when a
        # dock that floats is closed, which hides it.
        if isinstance(watched, QMainWindow):
            if event.type() == QEvent.Type.Close:
                self._closing = True
            elif event.type() == QEvent.Type.Show:
                self._closing = False
            elif event.type() == QEvent.Type.Hide and self._closing:
                self.close_down()
        return False

    def close_down(self) -> None:
        """End the worker and let go of the viewer."""
        if self._closed:
            return
        self._closed = True
        if self._run is not None:
            self._run.abandon()
            if not self._closing:
                self._discard()
        self._run = None
        self._activity.close()
        self._unfollow_theme()
        for event in self._layer_list_events():
            event.disconnect(self._list_layers)
        self._let_go()


def open_dock(viewer: Any, name: str) -> Any:
    """Open one of this plugin's docks, or bring it to the front; returns its widget."""
    dock, widget = viewer.window.add_plugin_dock_widget(PLUGIN, name)
    dock.show()
    dock.raise_()
    return widget


def _dropped(event: Any) -> list[Path]:
    urls = event.mimeData().urls()
    return [Path(url.toLocalFile()) for url in urls if url.isLocalFile()]


def _dock_of(widget: QWidget) -> Any:
    """The dock that a widget is in; None where it is in none."""
    parent: Any = widget.parent()
    while parent is not None and not isinstance(parent, QDockWidget):
        parent = parent.parent()
    return parent


def loading(read: Callable[..., Any], *what: Any) -> Generator[None, None, Any]:
    """Load something in a worker."""
    yield None
    return read(*what)


def ignore(*_: Any) -> None:
    """Nothing is shown of it."""
