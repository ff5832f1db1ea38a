"""Base of the docks: runs, errors, dropped files, and the end of napari."""

from __future__ import annotations

from collections.abc import Callable, Generator
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

from napari.layers import Image as ImageLayer
from napari.utils.notifications import notification_manager, show_error, show_info
from napari.viewer import Viewer
from qtpy.QtCore import QEvent, QObject, QTimer, Signal  # type: ignore[attr-defined]
from qtpy.QtWidgets import QMainWindow, QVBoxLayout, QWidget

from napari_selfdenoise.errors import DenoisingError, RequestError
from napari_selfdenoise.images import is_zarr
from napari_selfdenoise.long_work import STOP
from napari_selfdenoise.plugin.docks.activity import Activity
from napari_selfdenoise.plugin.docks.drops import FileWords, refusals
from napari_selfdenoise.plugin.docks.panel import Panel
from napari_selfdenoise.plugin.docks.places import become_tab, dock_of
from napari_selfdenoise.plugin.docks.plain_text import without_tags
from napari_selfdenoise.plugin.docks.plots import Plot, follow_theme
from napari_selfdenoise.plugin.docks.series import read_layer, several_note
from napari_selfdenoise.plugin.docks.worker import Run, sentence
from napari_selfdenoise.plugin.viewer.layer_choice import first_choice, offered

IMAGES = (
    *(".tif", ".tiff", ".czi", ".lif", ".nd2", ".oif", ".oib", ".mrc", ".png"),
    *(".zarr", ".h5", ".hdf5"),
)
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
        self._fail: Callable[[Exception], None] = ignore
        self._files, self._reading = FileWords(), 0
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

    def _open(self, path: Path) -> None:
        """Open a file that was dropped."""

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
        """End the run and keep what was done so far."""
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
        on_error: Callable[[Exception], None] | None = None,
    ) -> None:
        self.panel.forget_problem()
        self._then, self._fail = on_result, on_error or self._complain
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
        """End the activity when all is shown, after the last part of a run."""
        if self._run is None:
            self._activity.end()

    def _require_idle(self) -> None:
        if self._run is not None:
            raise RequestError(
                "A run is still going on.", "Wait for its end, or press Stop."
            )

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
        self._fail(error)
        self._end_activity()

    def _on_abort(self) -> None:
        if self._run is not None:
            self._ended()
            self._discard()
            self.panel.say("The run was ended by napari; nothing was kept.")
            self._end_activity()

    def _complain(self, error: Exception) -> None:
        self.panel.say(sentence(error), problem=True)
        _notify(error)

    # ---- The viewer ----

    def _images(self) -> list[ImageLayer]:
        return offered(self.viewer.layers)

    def _first_choice(self) -> Any:
        layers = self.viewer.layers
        return first_choice(layers, layers.selection.active)

    def _layer_list_events(self) -> list[Any]:
        events = self.viewer.layers.events
        return [events.inserted, events.removed, events.reordered, events.renamed]

    def _forget_image(self) -> None:
        """Clear messages about an image that is no longer chosen."""
        if self._run is None:
            self.panel.say("")

    def _forget_removed(self, before: Any, chosen: Any) -> None:
        """The same where the choice is another, as the one before was removed.

        Or as there was none: then the words are of one that is long gone.
        """
        if chosen != before:
            self._forget_image()

    # ---- Files ----

    def open_files(self, paths: list[Path]) -> None:
        """Open the files that can be opened, and show why others are not."""
        self.panel.forget_problem()
        self._forget_files()
        wrong = [path for path in paths if not self._opens(path)]
        for path in paths:
            if path not in wrong:
                self._open(path)
        if wrong:
            self._refuse_files(refusals(wrong, self.suffixes), *wrong)

    def _opens(self, path: Path) -> bool:
        if path.is_dir():
            return is_zarr(path)
        return path.name.lower().endswith(self.suffixes)

    def _read(self, path: Path, series: int | None = None) -> None:
        """Read an image beside whatever else is going on."""
        make = partial(_opening, path, read_layer, series)
        self._reading += 1
        Run(make, ignore, self._on_read, self._on_unread, ignore).start()

    def _on_read(self, found: tuple[Any, dict[str, Any]]) -> None:
        if self._closed:
            return
        data, options = found
        try:
            layer = self.viewer.add_image(data, **options)
            self._choose(layer)
        finally:
            self._reading -= 1
        self._files.opened.append(layer.name)
        if note := several_note(options):
            self._report_file(note)
        elif self._files.refused:
            self._show_files()

    def _on_unread(self, error: Exception) -> None:
        self._reading -= 1
        self._on_unopened(error)

    def _on_unopened(self, error: Any) -> None:
        self._refuse_files(error.why, error.path)

    def _begin_loading(
        self, load: Callable[[Path], Any], path: Path, on_result: Callable[[Any], None]
    ) -> None:
        """Load a model in a run of its own, unless another goes on."""
        if self._run is None:
            make = partial(_opening, path, load)
            self._begin(make, ignore, on_result, self._on_unopened)
            return
        error = RequestError(
            f"{path.name} was not loaded, as a run was going on.",
            "Drop it again after its end.",
        )
        self._refuse_files(error, path)

    def _report_file(self, words: str) -> None:
        """Add a sentence about a file to those about the others."""
        self._files.notes.append(words)
        self._show_files()
        if self._run is not None:  # whose words come first
            show_info(without_tags(words))

    def _refuse_files(self, error: Exception, *paths: Path) -> None:
        """Add why files cannot be opened to the sentences about the others."""
        self._files.refused |= {path.name: sentence(error) for path in paths}
        self._show_files()
        _notify(error)

    def _show_files(self) -> None:
        self._forget_image()  # its words would come first
        self.panel.say_of_files(self._files.text(), bool(self._files.refused))

    def _forget_files(self) -> None:
        """Clear the sentences about files, unless some are still being read."""
        if not self._reading:
            self._files = FileWords()
            self.panel.say_of_files("")

    def dragEnterEvent(self, event: Any) -> None:
        """Accept any file: a message says why one cannot be opened."""
        if _dropped(event):
            event.acceptProposedAction()

    def dropEvent(self, event: Any) -> None:
        """Open what was dropped."""
        event.acceptProposedAction()
        self.open_files(_dropped(event))

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
        own = dock_of(self)
        if self._placed or own is None:
            return
        self._placed = True
        # Tabs are too narrow for the name of the plugin, which the title bar keeps.
        own.setWindowTitle(self.title)
        become_tab(self, Dock)

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


def is_in_front(viewer: Any, name: str) -> bool:
    """Whether one of this plugin's docks is open, and not behind another tab."""
    widget = dict(viewer.window.dock_widgets).get(f"{name} ({PLUGIN})")
    return widget is not None and not widget.visibleRegion().isEmpty()


def _notify(error: Exception) -> None:
    """Let napari show an error as well."""
    if isinstance(error, RequestError | DenoisingError):
        show_error(without_tags(sentence(error)))
    else:  # with the traceback, for a report
        notification_manager.receive_error(type(error), error, error.__traceback__)


def _dropped(event: Any) -> list[Path]:
    urls = event.mimeData().urls()
    return [Path(url.toLocalFile()) for url in urls if url.isLocalFile()]


class _UnopenedError(Exception):
    """Which file could not be opened, and why."""

    def __init__(self, path: Path, why: Exception) -> None:
        super().__init__(str(why))
        self.path, self.why = path, why


def _opening(
    path: Path, read: Callable[..., Any], *how: Any
) -> Generator[None, None, Any]:
    """Open a file in a worker.

    Raises
    ------
    _UnopenedError
        Where that fails: a drop may hold several files.
    """
    yield None
    try:
        return read(path, *how)
    except Exception as error:
        raise _UnopenedError(path, error) from error


def loading(read: Callable[..., Any], *what: Any) -> Generator[None, None, Any]:
    """Load something in a worker."""
    yield None
    return read(*what)


def ignore(*_: Any) -> None:
    """Show nothing."""
