"""What a fit of a noise model gives, and a noise model file holds."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from napari_selfdenoise.parts.noise_models.curve import NoiseCurve
from napari_selfdenoise.parts.noise_models.models import NoiseModel


@dataclass(frozen=True, eq=False)
class FittedNoise:
    """A fitted noise model and how good it is; what a noise model file holds.

    Parameters
    ----------
    kind : str
        Of the noise model: "histogram", for instance.
    config : NoiseModel
        Its settings.
    curve : NoiseCurve
        What it says, in raw units.
    signal_range : tuple of float
        Lowest and highest signal that it was fitted to, raw units.
    poisson_gaussian : tuple of float
        a and b of the line variance = a * signal + b through the same pairs.
    bits_per_pixel : float
        Mean of -log2 of the probability of the observations given the signal, of pairs
        that were kept out of the fit where there were enough. Lower is better; it
        compares noise models of the same pairs.
    provenance : dict
        Where the pairs came from.
    warnings : list of str
        Sentences the user should read.
    notes : dict of str
        What the user wrote down: "camera", "date" and "conditions", where given.
    """

    kind: str
    config: NoiseModel
    curve: NoiseCurve
    signal_range: tuple[float, float]
    poisson_gaussian: tuple[float, float]
    bits_per_pixel: float
    provenance: dict[str, Any] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    notes: dict[str, str] = field(default_factory=dict)

    def noted(self, **notes: str | None) -> FittedNoise:
        """Return it with notes in place of its own; empty ones are left out."""
        written = {name: text.strip() for name, text in notes.items() if text}
        return replace(
            self, notes={name: text for name, text in written.items() if text}
        )
