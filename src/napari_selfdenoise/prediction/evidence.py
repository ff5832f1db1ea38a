"""What a result knows of one pixel: prior, likelihood, posterior, and their shares."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from napari_selfdenoise.images import PlaneIndex

Array = NDArray[np.float64]

Kind = Literal["observed", "saturated", "cut off", "outlier", "missing", "blank"]
"""What the camera recorded at a pixel: a value that counts, or why it does not."""


_VISIBLE = 0.02
"""Share of its peak below which a curve is out of view, until all is asked for."""


@dataclass(frozen=True, eq=False)
class PixelEvidence:
    """What the estimate of one pixel is made of, in the image's units.

    The curves are densities per grey value on one grid of signals, and each integrates
    to one by the trapezoidal rule. A curve is None where there is no such thing:
    `reason` then says why.

    Parameters
    ----------
    plane : tuple of int
        Position along every axis but Y and X.
    row, column : int
        Of the pixel.
    kind : str
        What the camera recorded there; see `Kind`.
    recorded : float
        The pixel's value in the image.
    observation : float
        The same without what its line adds, as the estimate takes it; NaN where nothing
        was observed.
    estimate : float
        Of the model's estimator; NaN where it is not known yet, or there is none.
    signal : ndarray
        Increasing grid of signals, (n,); empty without curves.
    prior : ndarray or None
        p(signal | context), (n,).
    likelihood : ndarray or None
        p(observation | signal), over its integral, (n,).
    posterior : ndarray or None
        p(signal | observation, context), (n,).
    prior_mean, prior_std, noise_std, posterior_mean, posterior_std : float
        Of the pixel, NaN where they are not known. The noise is that at the prior's
        mean.
    own_share : float or None
        Share of the posterior mean that came from the pixel itself, 0 to 1.
    reason : str
        Why there is no posterior, and what is needed; else empty.
    final : bool
        Whether all orientations are averaged already.

    References
    ----------
    Krull et al. 2020, Fig. 1.
    """

    plane: PlaneIndex
    row: int
    column: int
    kind: Kind
    recorded: float
    observation: float = np.nan
    estimate: float = np.nan
    signal: Array = field(default_factory=lambda: np.zeros(0))
    prior: Array | None = None
    likelihood: Array | None = None
    posterior: Array | None = None
    prior_mean: float = np.nan
    prior_std: float = np.nan
    noise_std: float = np.nan
    posterior_mean: float = np.nan
    posterior_std: float = np.nan
    own_share: float | None = None
    reason: str = ""
    final: bool = True

    @property
    def curves(self) -> dict[str, Array]:
        """The densities that there are, (n,), by name."""
        found = {
            "prior": self.prior,
            "likelihood": self.likelihood,
            "posterior": self.posterior,
        }
        return {name: curve for name, curve in found.items() if curve is not None}

    def in_view(self) -> tuple[float, float] | None:
        """Signals between which a curve, the value or the estimate is worth drawing."""
        worth = [
            self.signal[curve > _VISIBLE * curve.max()]
            for curve in self.curves.values()
        ]
        marks = np.array([self.observation, self.estimate])
        ends = np.concatenate([*worth, marks[np.isfinite(marks)]])
        return (float(ends.min()), float(ends.max())) if len(ends) else None

    def figures(self) -> dict[str, Any]:
        """All of it but the curves, by name; None for what is not known."""
        curves = ("signal", "prior", "likelihood", "posterior")
        found = {name: v for name, v in vars(self).items() if name not in curves}
        found |= {n: None for n, v in found.items() if v != v}  # NaN
        return found | {"plane": list(self.plane)}

    def to_csv(self) -> str:
        """The curves as text: signal, prior, likelihood and posterior a line."""
        columns = {"signal": self.signal} | self.curves
        text = io.StringIO()
        table = csv.writer(text, lineterminator="\n")
        table.writerow(columns)
        table.writerows(zip(*(v.tolist() for v in columns.values()), strict=True))
        return text.getvalue()

    @property
    def sentences(self) -> list[str]:
        """What the pixel's evidence says in words, the answer first."""
        found = []
        if self.own_share is not None:
            own = round(100 * self.own_share)
            found.append(f"The pixel itself: {own} %, its surroundings: {100 - own} %.")
        found.append(_KINDS.get(self.kind, ""))
        found.append(self.reason)
        return [sentence for sentence in found if sentence]


_KINDS: dict[str, str] = {
    "saturated": "The pixel is saturated: the true signal may be higher than shown.",
    "cut off": "The value is cut off at the dark end: the true signal may be lower.",
    "outlier": "The value was an outlier and was replaced: nothing was observed here.",
    "missing": "Nothing was recorded here: the pixel stays as it is.",
    "blank": "There is nothing to denoise in this plane: it stays as it is.",
}
