"""Going on from earlier weights where a training was thrown off."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn

from napari_selfdenoise.errors import DenoisingError

EVERY = 32
"""Updates between two looks: each lets the device wait once."""

_WORSE = 2.0
"""Squared error, over the variance of the image, that no sound network has.

One that has learned nothing but the mean has one.
"""

_SLOWER = 0.5
"""Factor of the learning rate after each rescue."""

_MOST = 8
"""Rescues after which it is given up."""


class Recovery:
    """Watches the squared errors of a training, and keeps weights that were sound.

    High rates learn fast, but now and then a network is thrown so far off that it takes
    the rest of the training to come back. Looks at fixed numbers of updates, so that
    equal seeds give equal results.

    Parameters
    ----------
    network : nn.Module
        What is trained.
    pixels : Tensor
        Of the images that it is trained on, normalised, (n,).

    Attributes
    ----------
    errors : Tensor
        Sum of the squared errors of the updates since the last look, a scalar.
    """

    def __init__(self, network: nn.Module, pixels: Tensor) -> None:
        self.network, self.rescues = network, 0
        self._limit = _WORSE * pixels.var() + 1e-12
        self.errors, self._updates = torch.zeros_like(self._limit), 0.0
        self._kept: dict[str, Tensor] | None = None

    @property
    def slower(self) -> float:
        """Factor of the learning rate."""
        return _SLOWER**self.rescues

    def state(self) -> dict[str, Any]:
        """What changes while it watches."""
        return {
            "rescues": self.rescues,
            "errors": self.errors,
            "updates": self._updates,
            "kept": self._kept and dict(self._kept),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a state."""
        self.rescues, self._updates = state["rescues"], state["updates"]
        device = self.errors.device
        self.errors = state["errors"].to(device)
        if state["kept"]:
            self._kept = {name: v.to(device) for name, v in state["kept"].items()}

    def watch(self, squared_error: Tensor, share: float) -> None:
        """Take in the mean squared error of predictions: of a share of one update."""
        self.errors += share * squared_error
        self._updates += share

    def rescued(self, average: nn.Module) -> bool:
        """Look, and put the last sound weights back where that is needed.

        Parameters
        ----------
        average : nn.Module
            Running average of the weights: what is kept, and what is put back too.

        Returns
        -------
        bool
            Whether they were put back: what an optimiser remembers is then worthless.

        Raises
        ------
        DenoisingError
            If that did not help, or the very first weights are no numbers.
        """
        sound = bool(self.errors <= self._updates * self._limit)  # not if NaN
        lost = not sound and not bool(self.errors.isfinite())
        self.errors.zero_()
        self._updates = 0.0
        if sound:
            self._kept = copy.deepcopy(average.state_dict())
        if (self.rescues == _MOST and not sound) or (lost and self._kept is None):
            raise DenoisingError(
                "The training diverged: its predictions are no longer near the image.",
                "Choose a smaller learning rate, or float32 precision.",
            )
        if sound or self._kept is None:
            return False
        self.network.load_state_dict(self._kept)
        average.load_state_dict(self._kept)
        self.rescues += 1
        return True
