"""Everything on the Evaluate dock that can be read or pressed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from napari.layers import Image as ImageLayer
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QSlider, QWidget

from napari_selfdenoise.evaluation import FullEvaluation
from napari_selfdenoise.plugin.docks.panel import (
    Panel,
    button,
    fix_height,
    label,
    line,
    rows,
)
from napari_selfdenoise.plugin.docks.status import Status
from napari_selfdenoise.plugin.evaluate.comparing import KEY
from napari_selfdenoise.plugin.evaluate.figure_table import FigureTable
from napari_selfdenoise.plugin.evaluate.plots import (
    ProfilePlot,
    ResidualCorrelation,
    ResidualHistogram,
)
from napari_selfdenoise.plugin.forms.layer_box import layer_box

STEPS = 1000
"""Places of the slider that moves the line."""

_PLOT_HEIGHT = 140
"""Least height of a plot in px, legend included; the dock scrolls."""


_ABOUT = (
    "Choose an image and what it was denoised to: by the Denoise dock, or by another "
    "program, opened as a layer."
)


class EvaluateControls(Panel):
    """Choices, buttons, verdict, figures and plots of the Evaluate dock."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._make_choices()
        self._make_buttons()
        self._make_plots()
        self.about = label("about")
        self.about.setText(_ABOUT)
        self.verdict = Status("verdict")
        self.figures = FigureTable()
        self.lay_out(
            rows(
                ("Noisy", self.noisy),
                ("Result", self.result),
                ("Reference", self.reference),
            ),
            self.about,
            line(self.evaluate, self.stop, self.show_runs),
            line(self.swipe, self.blink, self.profile),
            self.swipe_position,
            self.bar(),
            self.words(),
            self.verdict.with_details(),
            self.figures,
            *self.plots,
        )

    def list_layers(
        self, layers: Sequence[ImageLayer], noisy: Any, result: Any, reference: Any
    ) -> None:
        """Offer the layers; keep what is chosen, else take the others given."""
        self.noisy_box.offer(layers, noisy)
        self.result_box.offer(layers, result)
        self.reference_box.offer(layers, reference)

    def enable(self, *, pair: bool, running: bool) -> None:
        """Enable what can be pressed now."""
        self.about.setVisible(not pair)
        self.evaluate.setEnabled(pair and not running)
        self.stop.setEnabled(running)
        for one in (self.swipe, self.blink, self.profile):
            one.setEnabled(pair)

    def show_evaluation(self, found: FullEvaluation) -> None:
        """Show verdict, figures and plots."""
        self.verdict.setText("\n".join([found.check.verdict, *found.measured.notes]))
        self.figures.show_figures(found.measured.figures)
        self.histogram.show_check(found.check)
        self.correlation.show_check(found.check)

    def clear(self) -> None:
        """Show nothing of an evaluation."""
        self.verdict.setText("")
        self.figures.show_figures(())
        self.histogram.clear()
        self.correlation.clear()

    def show_swipe(self, share: float | None) -> None:
        """Show where the line is; None where there is none."""
        for one in (self.swipe, self.swipe_position):
            one.blockSignals(True)
        self.swipe.setChecked(share is not None)
        self.swipe_position.setVisible(share is not None)
        if share is not None:
            self.swipe_position.setValue(round(STEPS * share))
        for one in (self.swipe, self.swipe_position):
            one.blockSignals(False)

    def _make_choices(self) -> None:
        self.noisy_box = layer_box("noisy", "The image that was denoised.")
        self.result_box = layer_box("result", "What became of it.")
        self.reference_box = layer_box(
            "reference",
            "The same field with little noise, such as a mean of many frames.",
            none="none",
        )
        self.noisy, self.result = self.noisy_box.combo, self.result_box.combo
        self.reference = self.reference_box.combo

    def _make_buttons(self) -> None:
        self.evaluate = button(
            "evaluate",
            "Evaluate",
            "Measure what was removed, and how good the result is.",
        )
        self.stop = button("stop", "Stop", "End now, and keep nothing.")
        self.show_runs = button(
            "show_runs", "Runs", "A table of all runs in this viewer, below the image."
        )
        self.swipe = button(
            "swipe",
            "Swipe line",
            "Left of a line the noisy image, right of it the result: drag the line.",
        )
        self.swipe.setCheckable(True)
        self.blink = button(
            "blink",
            f"Noisy ({KEY.upper()})",
            "While it is held, the noisy image alone; as the key does on the image.",
        )
        self.profile = button(
            "line_profile",
            "Line profile",
            "Draw a line: intensities of noisy layer, result and reference along it.",
        )
        self.swipe_position = QSlider(Qt.Orientation.Horizontal)
        self.swipe_position.setObjectName("swipe_position")
        self.swipe_position.setRange(0, STEPS)
        self.swipe_position.setToolTip("Place of the swipe line.")
        self.swipe_position.hide()

    def _make_plots(self) -> None:
        self.histogram, self.correlation = ResidualHistogram(), ResidualCorrelation()
        self.profile_plot = ProfilePlot()
        self.histogram.setObjectName("residual_histogram")
        self.correlation.setObjectName("residual_correlation")
        self.profile_plot.setObjectName("profile_plot")
        self.plots = (self.histogram, self.correlation, self.profile_plot)
        fix_height(*self.plots)
        for plot in self.plots:  # without its legend, a plot of several says nothing
            plot.setMinimumHeight(_PLOT_HEIGHT)
