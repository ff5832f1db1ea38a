"""The denoised version of a layer, to learn its noise from."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from napari_selfdenoise.errors import RequestError
from napari_selfdenoise.plugin.viewer.marks import marks

TIP = (
    "Fit the noise model to a single noisy layer and what it was denoised to: the "
    "layer under Signal, or else the last result of denoising. Repeated frames are "
    "better, where you have them."
)

_BLIND = "blind_mean"


def denoised_of(layer: Any, layers: Iterable[Any]) -> Any:
    """The last denoised layer that was made of a layer.

    Raises
    ------
    RequestError
        If there is none.
    """
    found = [other for other in layers if _is_denoised_of(layer, other)]
    if not found:
        raise RequestError(
            f"There is no denoised layer of {layer.name} to learn its noise from.",
            "Denoise it first, or choose a denoised layer under Signal.",
        )
    return max(found, key=lambda other: marks(other.metadata)["run"])


def is_blind(layer: Any) -> bool:
    """Whether a result was predicted without each pixel's own value."""
    estimator = marks(layer.metadata).get("config", {}).get("estimator", {})
    return bool(estimator.get("kind") == _BLIND)


def _is_denoised_of(layer: Any, other: Any) -> bool:
    made = marks(other.metadata)
    name = str(made.get("layer", ""))
    is_result = made.get("made_by") == "denoise" and "run" in made
    named = name.startswith(f"{made.get('source')} denoised")
    return is_result and named and made.get("source_id") == str(layer.unique_id)
