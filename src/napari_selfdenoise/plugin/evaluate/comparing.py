"""Before and after in one place: at a keystroke, and by a line that is dragged."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from napari.layers import Image as ImageLayer
from napari.viewer import Viewer
from qtpy.QtCore import QObject, QTimer, Signal  # type: ignore[attr-defined]

from napari_selfdenoise.errors import RequestError
from napari_selfdenoise.evaluation import BeforeAfter
from napari_selfdenoise.plugin.viewer.layers import appearance, pixels_of
from napari_selfdenoise.plugin.viewer.marks import TEMPORARY

KEY = "n"
"""Held, it shows the noisy image. Napari uses B and other letters for its own."""

TITLE = "Before and after"

_NEAR = 8.0
"""Screen pixels from the line within which a press takes it."""

_LINE = 2.0
"""Width of the line in screen pixels."""


class Blink(QObject):
    """Shows the noisy image alone while a key is held.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        Whose layers.
    noisy : callable
        Gives the layer to show; None for none.
    parent : QObject
        Qt parent.
    """

    def __init__(
        self, viewer: Viewer, noisy: Callable[[], Any], parent: QObject
    ) -> None:
        super().__init__(parent)
        self._viewer, self._noisy = viewer, noisy
        self._before: list[tuple[Any, bool]] = []
        self.bound = True
        try:
            viewer.bind_key(KEY, self._while_held)
        except ValueError:  # the user's own key
            self.bound = False

    def show_noisy(self) -> None:
        """Show the noisy image, and hide other images."""
        noisy = self._noisy()
        if self._before or noisy is None or noisy not in self._viewer.layers:
            return
        images = [la for la in self._viewer.layers if isinstance(la, ImageLayer)]
        self._before = [(layer, layer.visible) for layer in images]
        noisy.visible = True
        for layer in images:
            layer.visible = layer is noisy or layer == noisy

    def restore(self) -> None:
        """Show and hide what was shown and hidden before."""
        before, self._before = self._before, []
        for layer, visible in before:
            layer.visible = visible

    def close(self) -> None:
        """Give the key back."""
        self.restore()
        if self.bound:
            self._viewer.bind_key(KEY, None)
            self.bound = False

    def _while_held(self, viewer: Any) -> Iterator[None]:
        self.show_noisy()
        yield
        self.restore()


class Swipe(QObject):
    """A line over the image: left of it the noisy image, right of it the result.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        Where it is shown, as a layer for the time being.
    parent : QObject
        Qt parent.

    Attributes
    ----------
    layers : tuple
        The noisy layer and the result; empty while there is no line.
    """

    moved = Signal(float)
    """The line is elsewhere: its place as a share of the image's width."""

    ended = Signal()
    """The layer is gone."""

    def __init__(self, viewer: Viewer, parent: QObject) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._both: BeforeAfter | None = None
        self.layers: tuple[Any, ...] = ()
        self._shown: ImageLayer | None = None
        self._free = True
        self._drawing = QTimer(self)
        self._drawing.setSingleShot(True)
        self._drawing.timeout.connect(self._draw)

    @property
    def layer(self) -> ImageLayer | None:
        """What shows both; None while there is no line."""
        return self._shown

    def begin(self, noisy: ImageLayer, result: ImageLayer) -> None:
        """Show the line.

        Raises
        ------
        RequestError
            If the layers do not fit, or are RGB.
        """
        self.end()
        require_alike(noisy, result)
        active = self._viewer.layers.selection.active
        limits = tuple(result.contrast_limits)
        both = BeforeAfter(pixels_of(noisy), pixels_of(result), limits[1])
        look = appearance(result) | {"contrast_limits": limits, "opacity": 1.0}
        look |= {"blending": "translucent_no_depth", "name": TITLE}
        layer = ImageLayer(both, multiscale=False, metadata=dict(TEMPORARY), **look)
        self._both, self.layers, self._shown = both, (noisy, result), layer
        layers = self._viewer.layers
        images = [n for n, la in enumerate(layers) if isinstance(la, ImageLayer)]
        layers.insert(images[-1] + 1, layer)  # lines that are drawn stay above it
        self._viewer.layers.selection.active = active
        self._viewer.layers.events.removed.connect(self._on_removed)
        self._viewer.mouse_move_callbacks.append(self._on_move)
        self._viewer.mouse_drag_callbacks.append(self._on_drag)
        self._turn_axis()

    def move_to(self, share: float) -> None:
        """Put the line at a share of the image's width, from 0 to 1."""
        if self._both is not None:
            self._turn_axis()
            length = self._both.shape[self._both.axis]
            self._put(round(share * length))

    def end(self) -> None:
        """Take the layer away; all others are as they were."""
        layer, self._shown = self._shown, None
        if layer is None:
            return
        self._free_camera()
        layers = self._viewer.layers
        layers.events.removed.disconnect(self._on_removed)
        for callbacks, mine in (
            (self._viewer.mouse_move_callbacks, self._on_move),
            (self._viewer.mouse_drag_callbacks, self._on_drag),
        ):
            if mine in callbacks:
                callbacks.remove(mine)
        active = layers.selection.active
        if layer in layers:
            layers.remove(layer)
        if active in layers:
            layers.selection.active = active
        self._both, self.layers = None, ()
        self.ended.emit()

    def _turn_axis(self) -> None:
        """Let the line stand upright, whichever axis is drawn across."""
        both, shown = self._both, self._viewer.dims.displayed
        if both is not None:
            extra = self._viewer.dims.ndim - both.ndim
            both.axis = max(0, shown[-1] - extra)
            both.line_px = max(1, round(_LINE * self._px_on_screen()))

    def _px_on_screen(self) -> float:
        """Pixels of the image that a pixel of the screen covers."""
        if self._both is None or self._shown is None:
            return 1.0
        step = float(self._shown.scale[self._both.axis]) or 1.0
        return 1.0 / max(1e-9, _camera(self._viewer).zoom * step)

    def _put(self, place: int) -> None:
        if self._both is None or self._shown is None:
            return
        length = self._both.shape[self._both.axis]
        self._both.place = min(max(place, 0), length)
        self._drawing.start(0)  # of many moves the last one is drawn
        self.moved.emit(self._both.place / max(1, length))

    def _draw(self) -> None:
        if self._shown is not None:
            self._shown.refresh(thumbnail=False, extent=False, highlight=False)

    def _along(self, event: Any) -> float:
        """Place of the mouse along the axis that the line moves along, in px."""
        assert self._both is not None and self._shown is not None
        point = self._shown.world_to_data(event.position[-self._shown.ndim :])
        return float(point[self._both.axis]) + 0.5

    def _is_near(self, event: Any) -> bool:
        if self._both is None or len(event.position) < self._both.ndim:
            return False
        away = abs(self._along(event) - self._both.place)
        return away < max(1.0, _NEAR * self._px_on_screen())

    def _on_move(self, viewer: Any, event: Any) -> None:
        """Keep the image from being moved where the line is to be."""
        near = self._is_near(event)
        if near and self._free:
            self._free = False
            _camera(self._viewer).mouse_pan = False
        elif not near:
            self._free_camera()

    def _free_camera(self) -> None:
        if not self._free:
            self._free = True
            active = self._viewer.layers.selection.active
            _camera(self._viewer).mouse_pan = active is None or active.mouse_pan

    def _on_drag(self, viewer: Any, event: Any) -> Iterator[None]:
        if not self._is_near(event):
            return
        yield
        while event.type == "mouse_move" and self._shown is not None:
            self._put(round(self._along(event)))
            event.handled = True
            yield

    def _on_removed(self, event: Any) -> None:
        if event.value is self._shown or event.value in self.layers:
            # Not now: napari may be about to remove others itself.
            QTimer.singleShot(0, self.end)


def require_alike(noisy: Any, result: Any) -> None:
    """Raise an error unless two layers lie on each other pixel by pixel.

    Raises
    ------
    RequestError
        If a layer is missing or RGB, or shapes differ.
    """
    if noisy is None or result is None:
        raise RequestError(
            "Two layers are needed.", "Choose the noisy layer and its result."
        )
    if noisy == result:
        raise RequestError(
            "The noisy layer and the result are one layer.",
            "Choose what was made of the noisy layer as the result.",
        )
    if noisy.rgb or result.rgb:
        raise RequestError(
            "An RGB layer cannot be compared.", "Choose a layer of grey values."
        )
    shapes = [tuple(pixels_of(layer).shape) for layer in (noisy, result)]
    if shapes[0] != shapes[1]:
        raise RequestError(
            f"The noisy layer has the shape {shapes[0]}, the result {shapes[1]}.",
            "Choose the result of this very layer.",
        )


def _camera(viewer: Any) -> Any:
    return getattr(viewer, "scene", viewer).camera  # the viewer's own, before 0.9
