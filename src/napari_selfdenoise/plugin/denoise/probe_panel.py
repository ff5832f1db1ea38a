"""The part of the Denoise dock that shows the pixel under the mouse."""

from __future__ import annotations

from qtpy.QtCore import Signal  # type: ignore[attr-defined]
from qtpy.QtWidgets import QCheckBox, QVBoxLayout, QWidget

from napari_selfdenoise.plugin.denoise.probe_plot import PROMISE, ProbePlot
from napari_selfdenoise.plugin.docks.panel import bare, label
from napari_selfdenoise.plugin.docks.plots import Plot
from napari_selfdenoise.prediction import PixelEvidence

_LINES = 5
"""Lines of text that have room: what is below must not jump at each pixel."""


class ProbePanel(QWidget):
    """A box to tick, which unfolds a plot and sentences on one pixel.

    Parameters
    ----------
    *others : Plot
        Hidden while this is unfolded: the dock has room for one of them.

    Attributes
    ----------
    box : QCheckBox
        Ticked while pixels are probed.
    plot : ProbePlot
        The curves.
    words : QLabel
        What they say.
    """

    toggled = Signal(bool)
    """Whether pixels are to be probed."""

    def __init__(self, *others: Plot, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._others = others
        self.box = QCheckBox("Probe pixels")
        self.box.setObjectName("probe")
        self.box.setToolTip(
            "Point at a pixel of the image: what its surroundings tell, what its own "
            "value tells, and how much of the result came from either."
        )
        self.plot, self.words = ProbePlot(), label("probe_words")
        self.plot.setObjectName("probe_plot")
        self.words.setMinimumHeight(_LINES * self.words.fontMetrics().lineSpacing())
        column = bare(QVBoxLayout(self))
        for part in (self.box, self.plot, self.words):
            column.addWidget(part)
        self.box.toggled.connect(self._unfold)
        self._unfold(False)

    def show_evidence(self, known: PixelEvidence, axes: str) -> None:
        """Show what is known of a pixel.

        Parameters
        ----------
        known : PixelEvidence
            The pixel.
        axes : str
            Letters of the image's axes but Y and X.
        """
        if known.curves:
            self.plot.set_evidence(known)
        else:
            self.plot.clear("")
        self.words.setText("\n".join([*known.sentences, _figures(known, axes)]))

    def say(self, text: str, clear: bool = True) -> None:
        """Show a sentence in place of a pixel."""
        if clear:
            self.plot.clear(text or PROMISE)
        self.words.setText("" if clear else text)

    def _unfold(self, shown: bool) -> None:
        self.plot.setVisible(shown)
        self.words.setVisible(shown)
        for plot in self._others:
            plot.setVisible(not shown)
        self.say("")
        self.toggled.emit(shown)


def _figures(known: PixelEvidence, axes: str) -> str:
    """A line of numbers: place, value and estimate of a pixel."""
    place = [f"{a.lower()} {n}" for a, n in zip(axes, known.plane, strict=True)]
    place += [f"y {known.row}", f"x {known.column}"]
    parts = [f"recorded {known.recorded:.5g}"]
    if known.observation == known.observation != known.recorded:
        parts.append(f"{known.observation:.5g} without its line's offset")
    if known.estimate == known.estimate:
        parts.append(f"denoised {known.estimate:.5g}")
    if known.posterior_std == known.posterior_std:
        parts.append(f"posterior std {known.posterior_std:.3g}")
    more = "" if known.final else " (first view)"
    return f"{', '.join(place)}: {', '.join(parts)}{more}."
