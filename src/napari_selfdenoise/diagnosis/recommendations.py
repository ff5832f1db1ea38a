"""What to train with, and why."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from napari_selfdenoise.config import TITLES, TrainingConfig, budget_text, recipe
from napari_selfdenoise.diagnosis.measurements import Measurements
from napari_selfdenoise.images import Image
from napari_selfdenoise.noise.correlation import masked_by
from napari_selfdenoise.parts.networks import UNet
from napari_selfdenoise.training import MAX_TRAINING_PIXELS


@dataclass(frozen=True)
class Recommendation:
    """A choice, and the reason for it.

    Parameters
    ----------
    setting : str
        "recipe", "masking", "noise model" or "time".
    choice : str
        In words.
    reason : str
        One sentence.
    changes : mapping
        Settings that make the choice, by dotted name.
    """

    setting: str
    choice: str
    reason: str
    changes: Mapping[str, Any] = field(default_factory=dict)


def suited_recipe(image: Image) -> TrainingConfig:
    """The recipe that suits an image: `best` where it has enough to learn from."""
    best = recipe("best")
    return best if _is_large(image, best) else recipe("fast")


def recommend(image: Image, known: Measurements) -> Iterator[Recommendation]:
    """Recipe, masking, noise model and time; nothing where nothing can be learned."""
    if not known.sample.planes:
        return
    config = known.config
    large = config.recipe == "best"
    pixels = image.plane_count // image.channels * _plane_pixels(image)
    amount = (
        f"{pixels / 1e6:.2g} million pixels" if pixels >= 1e5 else f"{pixels} pixels"
    )
    yield Recommendation(
        "recipe",
        TITLES[config.recipe],
        f"There are {amount} to learn from: a wider network pays."
        if large
        else f"With {amount} to learn from, a wider network or more time gains little.",
        {"recipe": config.recipe},
    )
    yield _masking(known)
    yield _noise_model(known)
    yield Recommendation(
        "time",
        budget_text(config.budget_s),
        "Training ends earlier where the image has taught what it can.",
        {"budget_s": config.budget_s},
    )


def _is_large(image: Image, best: TrainingConfig) -> bool:
    network = best.network
    if not isinstance(network, UNet):
        return False
    pixels = min(
        image.plane_count // image.channels * _plane_pixels(image), MAX_TRAINING_PIXELS
    )
    return network.scaled(pixels).width > network.width


def _plane_pixels(image: Image) -> int:
    return image.plane_shape[0] * image.plane_shape[1]


def _masking(known: Measurements) -> Recommendation:
    masking = known.config.masking
    reason = "Noise differs between neighbouring pixels, and fine detail is kept."
    measured = known.autocorrelogram
    if measured is None or not measured.pixels:
        reason = "Whether neighbours share noise is not known; mostly they do not."
    if masking.correlated:
        reason = "Neighbours share noise, so they must not predict each other."
    changes = {"masking": masking.model_dump(mode="json")} if masking.correlated else {}
    return Recommendation("masking", masked_by(masking), reason, changes)


def _noise_model(known: Measurements) -> Recommendation:
    config = known.config
    title = str(config.noise_model.model_config.get("title"))
    reason = "It follows the noise of this image, whatever its shape."
    if known.transfer is not None and known.transfer.grows:
        reason = "Noise grows with the signal, and a learned curve follows that."
    if known.frames is not None and known.frames.kind == "static":
        reason = "It is learned; a model calibrated on these frames is as good."
    return Recommendation("noise model", title, reason)
