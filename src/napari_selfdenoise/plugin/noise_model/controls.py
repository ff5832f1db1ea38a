"""Everything on the Noise model dock that can be read or pressed."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from operator import or_
from typing import Any, get_args

from napari.layers import Image as ImageLayer
from qtpy.QtWidgets import QGridLayout, QWidget

from napari_selfdenoise.parts.noise_models import (
    NoiseFromFile,
    NoiseModel,
    PoissonGaussianNoise,
    UnmodelledNoise,
)
from napari_selfdenoise.plugin.docks.panel import (
    Panel,
    button,
    fix_height,
    label,
    rows,
)
from napari_selfdenoise.plugin.docks.plots import NoisePlot
from napari_selfdenoise.plugin.docks.status import Status
from napari_selfdenoise.plugin.forms.fields import union_members
from napari_selfdenoise.plugin.forms.form import UnionForm
from napari_selfdenoise.plugin.forms.layer_box import layer_box
from napari_selfdenoise.plugin.noise_model.bootstrapping import TIP as BOOTSTRAP_TIP
from napari_selfdenoise.plugin.noise_model.comparing import Comparing, Notes

_KINDS: Any = reduce(
    or_,
    (
        member
        for member in union_members(get_args(NoiseModel)[0])
        if member not in (UnmodelledNoise, NoiseFromFile)
    ),
)
"""Union of the noise models that can be calibrated."""

_OF_TRAINING = ("estimation", "regularisation")
"""Settings of noise models that say how they are learned beside a network."""

_PLOT_HEIGHT = 140
"""Least height of the plot in px, legend included; the dock scrolls."""

_ABOUT = (
    "Measures how a camera's noise depends on the signal, from a layer of repeated "
    "frames of a scene that does not move. Ten or more frames are best. With a single "
    "image, denoise it and press Bootstrap."
)


class NoiseModelControls(Panel):
    """Choices, buttons, noise curve and findings of the Noise model dock."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._make_choices()
        self._make_buttons()
        self.about, self.findings = label("about"), Status("findings")
        self.about.setText(_ABOUT)
        self.noise_plot = NoisePlot()
        self.noise_plot.setObjectName("noise_plot")
        fix_height(self.noise_plot)
        self.noise_plot.setMinimumHeight(_PLOT_HEIGHT)
        self.comparing, self.notes = Comparing(), Notes()
        form = rows(
            ("Frames", self.frames),
            ("", self.axes),
            ("Signal", self.signal),
            ("Kind", self.kind.combo),
        )
        form.addRow(self.kind.fields.native)
        self.lay_out(
            self.about,
            form,
            self.comparing.wanted,
            self._grid_of_buttons(),
            self.bar(),
            self.words(),
            self.comparing,
            self.noise_plot,
            self.findings.with_details(),
            self.notes,
        )

    def list_layers(self, layers: Sequence[ImageLayer], active: Any) -> None:
        """Offer the layers as frames and as signal; keep what is chosen."""
        self.frames_box.offer(layers, active)
        self.signal_box.offer(layers)

    def enable(self, *, layer: bool, noise: bool, running: bool) -> None:
        """Enable what can be pressed now."""
        self.comparing.offer(signal=self.signal.currentData() is not None)
        self.about.setVisible(not noise)  # which leaves its room to the results
        self.calibrate.setEnabled(layer and not running)
        self.bootstrap.setEnabled(layer and not running)
        self.stop.setEnabled(running)
        self.save.setEnabled(noise and not running)
        self.load.setEnabled(not running)
        self.use.setEnabled(noise and not running)

    def _make_choices(self) -> None:
        self.frames_box = layer_box(
            "frames", "Images of the same scene, one after the other along an axis."
        )
        self.axes = label("axes")
        self.signal_box = layer_box(
            "signal",
            "What the scene looks like without noise, or nearly.",
            none="mean of the frames",
        )
        self.frames, self.signal = self.frames_box.combo, self.signal_box.combo
        self.kind = UnionForm(_KINDS, name="noise_model", without=_OF_TRAINING)
        self.kind.native.setParent(self)  # only its two parts are laid out
        self.kind.value = PoissonGaussianNoise()

    def _make_buttons(self) -> None:
        self.calibrate = button(
            "calibrate", "Calibrate", "Fit the noise model to the frames."
        )
        self.stop = button("stop", "Stop", "End now, and keep nothing.")
        self.save = button("save_noise_model", "Save…", "Keep the noise model.")
        self.load = button("load_noise_model", "Load…", "Take a saved noise model.")
        self.use = button(
            "use_for_denoising",
            "Use for denoising",
            "Save it, if that is still to be done, and train with it: opens Denoise.",
        )

        self.bootstrap = button("bootstrap", "Bootstrap", BOOTSTRAP_TIP)
        self.inspect = button(
            "inspect",
            "Inspect…",
            "Look at noise models below the image, several over each other: how noise "
            "depends on the signal, and its distribution. What the plots tell is in "
            "the documentation: “What your noise plot tells you”.",
        )

    def _grid_of_buttons(self) -> QGridLayout:
        grid = QGridLayout()
        grid.addWidget(self.calibrate, 0, 0)
        grid.addWidget(self.stop, 0, 1)
        grid.addWidget(self.save, 1, 0)
        grid.addWidget(self.load, 1, 1)
        grid.addWidget(self.use, 2, 0, 1, 2)
        grid.addWidget(self.bootstrap, 3, 0)
        grid.addWidget(self.inspect, 3, 1)
        return grid
