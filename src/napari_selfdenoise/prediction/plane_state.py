"""What an estimator has learned of a plane before it denoises its tiles."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, NamedTuple

from napari_selfdenoise.parts.noise_models import NoiseCurve
from napari_selfdenoise.prediction.context_spread import ContextSpread
from napari_selfdenoise.prediction.sure import Blend


class PlaneState(NamedTuple):
    """All that tiles of one plane have in common: with it, others can denoise them.

    Parameters
    ----------
    curve : NoiseCurve
        Noise of the plane, raw units.
    temperature : float
        As of `ImageNoise`.
    blend : Blend or None
        What the results are made of, where that was chosen.
    spread : ContextSpread or None
        How far the context leaves the signal open, where that was measured.
    all_turns : bool
        Whether mirrored images are averaged as well.
    """

    curve: NoiseCurve
    temperature: float = 1.0
    blend: Blend | None = None
    spread: ContextSpread | None = None
    all_turns: bool = False

    def to_json(self) -> dict[str, Any]:
        """Plain lists and numbers, exact to the bit."""
        return {
            "curve": self.curve.to_json(),
            "temperature": self.temperature,
            "blend": asdict(self.blend) if self.blend else None,
            "spread": list(self.spread) if self.spread else None,
            "all_turns": self.all_turns,
        }

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> PlaneState:
        """Inverse of `to_json`."""
        return cls(
            NoiseCurve.from_json(content["curve"]),
            float(content["temperature"]),
            blend_from(content["blend"]) if content["blend"] else None,
            ContextSpread(*content["spread"]) if content["spread"] else None,
            bool(content["all_turns"]),
        )


def blend_from(content: dict[str, Any]) -> Blend:
    """A blend from what `asdict` has made of it, and JSON of that."""
    table = tuple(tuple(row) for row in content["table"])
    lists = {name: tuple(content[name]) for name in ("parts", "weights", "signal")}
    return Blend(**(content | lists | {"table": table}))
