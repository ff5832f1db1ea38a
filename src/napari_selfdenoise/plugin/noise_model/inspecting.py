"""Shows noise models below the image, and follows the mouse over it."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from napari.viewer import Viewer
from qtpy.QtCore import QObject, Signal  # type: ignore[attr-defined]
from qtpy.QtWidgets import QFileDialog, QMenu

from napari_selfdenoise.model import load_model
from napari_selfdenoise.noise.inspection import (
    ELECTRONS,
    Figures,
    InspectedNoise,
    all_figures,
    density_figure,
    inspect_curve,
    inspect_fitted,
    inspect_model_curves,
)
from napari_selfdenoise.parts.noise_models import (
    SUFFIX,
    FittedNoise,
    NoiseCurve,
    load_noise_model,
)
from napari_selfdenoise.plugin.docks.dock import ignore, loading
from napari_selfdenoise.plugin.docks.places import place_below
from napari_selfdenoise.plugin.docks.plots import follow_theme
from napari_selfdenoise.plugin.docks.worker import Run
from napari_selfdenoise.plugin.noise_model.inspection_panel import InspectionPanel
from napari_selfdenoise.plugin.noise_model.inspection_plots import COLOURS, Drawn
from napari_selfdenoise.plugin.viewer.pointer import Pointer
from napari_selfdenoise.plugin.viewer.sources import sources

TITLE = "Noise inspection"

_FILES = f"Noise models and models (*{SUFFIX} *.safetensors)"


@dataclass(eq=False)
class _Entry:
    """A noise model on the list, and its figures by unit, once they are computed."""

    noise: InspectedNoise
    colour: str
    figures: dict[str, Figures] = field(default_factory=dict)

    def can_be_in(self, unit: str) -> bool:
        return unit != ELECTRONS or self.noise.gain is not None


class Inspector(QObject):
    """Shows noise models in a panel of their own below the image.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        Whose window the panel is shown in.
    parent : QObject
        Qt parent.

    Attributes
    ----------
    panel : InspectionPanel or None
        The panel, while it is open.
    """

    failed = Signal(object)
    """The error that there was."""

    def __init__(self, viewer: Viewer, parent: QObject) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self.panel: InspectionPanel | None = None
        self._place: Any = None
        self._entries: list[_Entry] = []
        self._run: Run | None = None
        self._loading: Run | None = None
        self._signal: float | None = None
        self._unit = ""
        self._pointer = Pointer(viewer, self)
        self._pointer.pointed.connect(self._on_pointed)

    @property
    def busy(self) -> bool:
        """Whether figures are being computed."""
        return self._run is not None or self._loading is not None

    # ---- What is shown ----

    def show_fitted(self, name: str, fitted: FittedNoise | None) -> None:
        """Open the panel with the noise model in hand, or bring it to the front."""
        self._open()
        if fitted is not None and not self._has(fitted.curve):
            self.add(inspect_fitted(name or "noise model", fitted))

    def add(self, noise: InspectedNoise) -> None:
        """Show a noise model together with the others."""
        self._open()
        assert self.panel is not None
        taken = {entry.colour for entry in self._entries}
        free = [colour for colour in COLOURS if colour not in taken]
        entry = _Entry(noise, free[0] if free else COLOURS[len(taken) % len(COLOURS)])
        self._entries.append(entry)
        self.panel.add(noise.name, entry.colour)
        self._refresh()

    def add_file(self, path: str | Path | None = None) -> None:
        """Show the noise models of a file; asks for it where none is given."""
        if path is None:
            path, _ = QFileDialog.getOpenFileName(
                self.panel, "Add a noise model", "", _FILES
            )
        if path and self._loading is None:
            make = partial(loading, _load, Path(path))
            self._loading = Run(make, ignore, self._on_loaded, self._on_error, ignore)
            self._loading.start()

    def close(self) -> None:
        """Take the panel away, and let go of the viewer."""
        self._abandon()
        self._pointer.stop()
        self._take_away()

    # ---- Computing ----

    def _refresh(self) -> None:
        """Draw; first compute what is missing, in a worker."""
        if self.panel is None:
            return
        unit = self.panel.unit()
        missing = [
            entry
            for number, entry in enumerate(self._entries)
            if self.panel.ticked(number)
            and unit not in entry.figures
            and entry.can_be_in(unit)
        ]
        self._abandon_figures()
        if not missing:
            self._draw()
            return
        make = partial(_compute, missing, unit)
        self._run = Run(make, ignore, self._on_computed, self._on_error, ignore)
        self._run.start()

    def _on_computed(self, found: Sequence[tuple[_Entry, str, Figures]]) -> None:
        self._run = None
        for entry, unit, made in found:
            entry.figures[unit] = made
        self._refresh()

    def _on_loaded(self, found: list[InspectedNoise]) -> None:
        self._loading = None
        if self.panel is not None:
            for noise in found:
                self.add(noise)

    def _on_error(self, error: Exception) -> None:
        self._run = self._loading = None
        self.failed.emit(error)

    def _abandon_figures(self) -> None:
        if self._run is not None:
            self._run.abandon()
            self._run = None

    def _abandon(self) -> None:
        self._abandon_figures()
        if self._loading is not None:
            self._loading.abandon()
            self._loading = None

    # ---- Drawing ----

    def _draw(self) -> None:
        panel = self.panel
        assert panel is not None
        unit, shown = panel.unit(), self._shown()
        drawn = [Drawn(e.noise.name, e.colour, e.figures[unit]) for e in shown]
        row = panel.models.currentRow()
        chosen = self._entries[row] if 0 <= row < len(self._entries) else None
        by_entry = dict(zip(shown, drawn, strict=True))
        panel.draw(drawn, None if chosen is None else by_entry.get(chosen))
        panel.note.setText(self._note(unit))
        self._keep_signal(unit, drawn)

    def _shown(self) -> list[_Entry]:
        panel = self.panel
        assert panel is not None
        unit = panel.unit()
        return [
            entry
            for number, entry in enumerate(self._entries)
            if panel.ticked(number) and unit in entry.figures
        ]

    def _note(self, unit: str) -> str:
        """Sentence on what is not shown in a unit; empty where all is."""
        names = [e.noise.name for e in self._entries if not e.can_be_in(unit)]
        if not names:
            return ""
        return f"Not shown in electrons, as the gain is not known: {', '.join(names)}."

    def _keep_signal(self, unit: str, drawn: Sequence[Drawn]) -> None:
        """Keep the chosen signal; take the middle of the span where there is none."""
        if not drawn:
            self._show_signal(None)
            return
        if self._signal is None or unit != self._unit:
            self._signal = drawn[0].figures.noise.middle
        self._unit = unit
        assert self.panel is not None
        self.panel.std.choose(self._signal)
        self._show_signal(self._signal)

    def _on_signal(self, signal: float) -> None:
        """The line was dragged."""
        self._signal = signal
        self._show_signal(signal)

    def _on_pointed(self, name: str, value: float) -> None:
        """The mouse is over a pixel of a layer, whose value is in grey values."""
        shown = self._shown() if self.panel is not None else []
        if not shown or self.panel is None or not self.panel.isVisible():
            return
        noise = shown[0].figures[self.panel.unit()].noise
        self._signal = noise.from_grey_values(value)
        self.panel.std.choose(self._signal)
        self._show_signal(self._signal, f"under the mouse in {name}: ")

    def _show_signal(self, signal: float | None, where: str = "") -> None:
        panel = self.panel
        if panel is None:
            return
        if signal is None:
            panel.density.draw([])
            panel.caption.setText("")
            return
        shown = self._shown()
        found = []
        for entry in shown:
            noise = entry.figures[panel.unit()].noise
            figure = density_figure(noise, signal)
            found.append(
                (entry.noise.name, entry.colour, figure, noise.is_measured_at(signal))
            )
        panel.density.draw(found)
        panel.caption.setText(f"{where}{_caption(found)}")

    # ---- The panel ----

    def _open(self) -> None:
        if self.panel is not None and self.panel.parent() is not None:
            self._place.show()
            self._place.raise_()
            return
        self._abandon()  # where the user has closed the panel
        self._pointer.stop()
        self._entries, self._signal = [], None
        self.panel = InspectionPanel()
        self.panel.changed.connect(self._refresh)
        self.panel.removed.connect(self._remove)
        self.panel.std.signal_chosen.connect(self._on_signal)
        self.panel.follow.toggled.connect(self._pointer.follow)
        self.panel.add_button.setMenu(self._add_menu())
        unfollow = follow_theme(self._viewer, *self.panel.plots)
        self.panel.destroyed.connect(lambda *_: unfollow())
        self._place = place_below(self._viewer, self.panel, TITLE)

    def _take_away(self) -> None:
        place, self.panel, self._place = self._place, None, None
        if place is not None:
            with suppress(LookupError, RuntimeError):
                self._viewer.window.remove_dock_widget(place)

    def _add_menu(self) -> QMenu:
        assert self.panel is not None
        menu = QMenu(self.panel)
        menu.aboutToShow.connect(partial(self._fill_menu, menu))
        self._fill_menu(menu)
        return menu

    def _fill_menu(self, menu: QMenu) -> None:
        """Offer a file, and the noise curves that layers keep, each once."""
        menu.clear()
        menu.addAction("From a file…", lambda: self.add_file())
        curves: list[Any] = []
        for name, take in sources(self._viewer, "noise"):
            if (curve := take()) not in curves:
                curves.append(curve)
                menu.addAction(name, partial(self._add_curve, name, curve))

    def _add_curve(self, name: str, curve: dict[str, Any]) -> None:
        self.add(inspect_curve(name, NoiseCurve.from_json(curve)))

    def _remove(self, index: int) -> None:
        assert self.panel is not None
        del self._entries[index]
        self.panel.models.takeItem(index)
        self._refresh()

    def _has(self, curve: NoiseCurve) -> bool:
        return any(entry.noise.curve is curve for entry in self._entries)


def _load(path: Path) -> list[InspectedNoise]:
    """The noise models of a file: one of a noise model, one a channel of a model."""
    if path.name.endswith(SUFFIX):
        return [inspect_fitted(path.name.removesuffix(SUFFIX), load_noise_model(path))]
    return inspect_model_curves(path.stem, load_model(path).noise_curves)


def _compute(
    entries: Sequence[_Entry], unit: str
) -> Generator[float, object, list[tuple[_Entry, str, Figures]]]:
    found = []
    for number, entry in enumerate(entries):
        yield number / len(entries)
        noise = entry.noise.in_electrons() if unit == ELECTRONS else entry.noise
        found.append((entry, unit, all_figures(noise)))
    return found


def _caption(found: Sequence[tuple[str, str, Any, bool]]) -> str:
    """Sentence on the noise at a signal, of each noise model."""
    if not found:
        return ""
    each = [
        f"{name} std {figure.std:.3g}{'' if measured else ' (not measured here)'}"
        for name, _, figure, measured in found
    ]
    return f"signal {found[0][2].signal:.4g}: {'; '.join(each)}"
