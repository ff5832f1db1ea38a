"""What a config means for volumes: how far it reaches, and how much a step learns."""

from __future__ import annotations

import math
from typing import NamedTuple

from napari_selfdenoise.config.training_config import TrainingConfig
from napari_selfdenoise.parts.networks import UNet


class PlanesReach(NamedTuple):
    """How far a network reaches along the depth of a volume.

    Parameters
    ----------
    radius : int
        How many planes away from a pixel its prediction depends on.
    merged : int
        How many planes its poolings merge into one, all together.
    """

    radius: int
    merged: int

    @classmethod
    def of(cls, config: TrainingConfig) -> PlanesReach:
        """Return how far the network of a config reaches: nowhere but in volumes."""
        network, merges = config.network, config.context.merges(config.network.depth)
        if merges is None or not isinstance(network, UNet):
            return cls(0, 1)
        return cls(network.planes_radius(merges), math.prod(merges))


def patches_a_step(config: TrainingConfig) -> int:
    """Return how many patches each step learns from.

    Each plane of a patch of a volume counts as one of the batch.
    """
    return -(-config.batch_size // config.context.depth)
