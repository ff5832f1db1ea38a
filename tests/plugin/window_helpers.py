"""What tests of the window share: images, waiting, and what napari tells."""

import numpy as np
from napari.utils.notifications import notification_manager
from qtpy.QtWidgets import QLabel

NAMES = ["cells denoised", "cells noise std", "cells noise distribution"]


def error(image, clean):
    """Root of the mean squared error."""
    return np.sqrt(((image - clean) ** 2).mean())


def steps_of(desk):
    """Training steps that the plot of the loss knows of."""
    steps = desk.controls.loss_plot.series()["loss"][0]
    return steps[-1] if len(steps) else 0


def stack(noisy, *counts):
    """Copies of the noisy image, each a little brighter than the one before."""
    steps = np.arange(np.prod(counts), dtype=np.uint16).reshape(*counts, 1, 1)
    return noisy + 5 * steps


def budget(desk, seconds):
    desk.hurry(steps=None)
    desk.controls.budget.setCurrentText(f"{seconds} s")


class notified:
    """Collect what napari tells the user."""

    def __init__(self):
        self.told = []

    def __enter__(self):
        notification_manager.notification_ready.connect(self.told.append)
        return self.told

    def __exit__(self, *_):
        notification_manager.notification_ready.disconnect(self.told.append)


def colours_of(plot):
    """Background and text of a plot."""
    pens = {
        plot.plot.getAxis(side).textPen().color().name() for side in ("left", "bottom")
    }
    (text,) = pens
    return plot.plot.backgroundBrush().color().name(), text


def colours_around(window):
    """What is drawn at the border of a part of the window, and its labels' text."""
    label = QLabel("text", window)
    label.ensurePolished()
    text = label.palette().color(label.foregroundRole()).name()
    label.deleteLater()
    return window.grab().toImage().pixelColor(1, 1).name(), text
