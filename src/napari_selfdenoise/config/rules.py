"""Which settings do not go together, and why.

A config is refused by the first rule that it breaks; the form greys out what would
break one, and docs/settings.md lists them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol

from napari_selfdenoise.parts.channels import Channels
from napari_selfdenoise.parts.context import Context
from napari_selfdenoise.parts.estimators import Estimator
from napari_selfdenoise.parts.masking import Masking
from napari_selfdenoise.parts.networks import Network
from napari_selfdenoise.parts.noise_models import NoiseModel
from napari_selfdenoise.parts.psf import PSF
from napari_selfdenoise.parts.signal_heads import Signal


class Method(Protocol):
    """The settings of a training that rules are about."""

    @property
    def masking(self) -> Masking: ...  # noqa: D102
    @property
    def network(self) -> Network: ...  # noqa: D102
    @property
    def context(self) -> Context: ...  # noqa: D102
    @property
    def channels(self) -> Channels: ...  # noqa: D102
    @property
    def signal(self) -> Signal: ...  # noqa: D102
    @property
    def noise_model(self) -> NoiseModel: ...  # noqa: D102
    @property
    def psf(self) -> PSF: ...  # noqa: D102
    @property
    def estimator(self) -> Estimator: ...  # noqa: D102
    @property
    def supervision(self) -> str: ...  # noqa: D102
    @property
    def objective(self) -> str: ...  # noqa: D102
    @property
    def per_image(self) -> bool: ...  # noqa: D102


class Rule(NamedTuple):
    """What must hold between some settings.

    Attributes
    ----------
    parts : tuple of str
        Names of the settings.
    holds : callable
        Whether it holds for a config.
    reason : str
        Why it must, and what to choose where it does not.
    """

    parts: tuple[str, ...]
    holds: Callable[[Method], bool]
    reason: str


def broken_rule(method: Method) -> Rule | None:
    """Return the first rule that does not hold; None where all do."""
    return next((rule for rule in RULES if not rule.holds(method)), None)


def _needs_no_noise_model(method: Method) -> bool:
    return method.objective not in ("likelihood", "bootstrap")


def _of_pixels(method: Method) -> bool:
    """Whether the noise model is of pixels: from a file, or fitted to each image."""
    return method.noise_model.is_given or method.per_image


def _has_target(method: Method) -> bool:
    """Whether a second exposure or a noise-free image is what is predicted."""
    return method.supervision != "self"


def _uses_own_value(method: Method) -> bool:
    estimator = method.estimator
    return not (estimator.masks_pixels or estimator.fuses)


RULES: tuple[Rule, ...] = (
    Rule(
        ("network", "supervision"),
        lambda m: not m.network.blind or not _has_target(m),
        "the half-plane U-Net would leave out the pixel's own value, which a second "
        "exposure allows to use: choose the U-Net",
    ),
    Rule(
        ("masking", "network", "supervision"),
        lambda m: m.masking.masks_pixels or m.network.blind or _has_target(m),
        "with no pixel masked, this network learns to copy the noise: choose a "
        "masking, or the half-plane U-Net, which is blind to the pixel it predicts",
    ),
    Rule(
        ("context", "network"),
        lambda m: not m.network.blind or not m.context.count,
        "the half-plane U-Net looks past the pixel that it predicts in all planes, so "
        "that neighbouring planes would lose what they add: choose the U-Net",
    ),
    Rule(
        ("context", "network"),
        lambda m: not m.network.blind or not m.context.volumetric,
        "the half-plane U-Net is blind within single planes only, so that other planes "
        "of a volume are out of its reach: choose the U-Net",
    ),
    Rule(
        ("channels", "network"),
        lambda m: not m.network.blind or not m.channels.together,
        "the half-plane U-Net looks past the pixel that it predicts in all channels, "
        "so that the others would lose what they add: choose the U-Net",
    ),
    Rule(
        ("channels", "context"),
        lambda m: not (m.context.volumetric & m.channels.together),
        "volumes are predicted from one channel: choose independent channels, or "
        "neighbouring planes",
    ),
    Rule(
        ("context", "masking"),
        lambda m: not (m.context.volumetric & (m.masking.binning > 1)),
        "bins of pixels are means within a plane, and are not learned from in volumes: "
        "choose another masking, or neighbouring planes",
    ),
    Rule(
        ("context", "psf"),
        lambda m: not (m.context.volumetric & m.psf.blurs),
        "the point spread function blurs within planes only, but a microscope blurs "
        "volumes along depth as well: choose no point spread function, or neighbouring "
        "planes",
    ),
    Rule(
        ("psf", "masking", "supervision"),
        lambda m: m.masking.masks_pixels or _has_target(m) or not m.psf.blurs,
        "a point spread function spreads each pixel into its neighbours, so the "
        "half-plane U-Net is no longer blind: choose a masking",
    ),
    Rule(
        ("noise_model", "objective"),
        lambda m: m.noise_model.is_modelled or _needs_no_noise_model(m),
        "without a noise model there is no likelihood: choose one, or the squared "
        "error as objective",
    ),
    Rule(
        ("noise_model", "signal"),
        lambda m: m.noise_model.is_modelled or not m.signal.spreads,
        "without a noise model, noise and the spread of the signal look alike: choose "
        "a noise model, or the point as signal head",
    ),
    Rule(
        ("noise_model", "objective"),
        lambda m: m.noise_model.follows_gradient or m.objective != "likelihood",
        "a histogram is measured, not learned with the network: choose bootstrap as "
        "objective, or a noise model file",
    ),
    Rule(
        ("noise_model", "signal"),
        lambda m: not m.per_image or m.signal.kind == "gaussian",
        "noise fitted to each image takes the total variance from the network: choose "
        "the Gaussian signal head",
    ),
    Rule(
        ("noise_model", "objective"),
        lambda m: not m.per_image or m.objective != "bootstrap",
        "noise fitted to each image is fitted after the training: choose the "
        "likelihood or the squared error as objective",
    ),
    Rule(
        ("estimator", "signal"),
        lambda m: not m.estimator.fuses or m.signal.spreads,
        "a posterior needs to know how sure the network is: choose a Gaussian, mixture "
        "or sampled signal head (advanced settings)",
    ),
    Rule(
        ("estimator", "masking"),
        lambda m: not m.estimator.fuses or not m.masking.correlated,
        "this masking is for noise that neighbours share, which a posterior would "
        "count twice: choose another estimator, or another masking",
    ),
    Rule(
        ("masking", "estimator"),
        lambda m: m.masking.binning == 1 or not m.estimator.masks_pixels,
        "bins average each pixel with its neighbours, so that it cannot be masked "
        "alone: choose another estimator",
    ),
    Rule(
        ("masking", "psf"),
        lambda m: m.masking.binning == 1 or not m.psf.blurs,
        "bins of pixels lose the detail that a point spread function is to bring back: "
        "choose a shape as masking",
    ),
    Rule(
        ("masking", "noise_model"),
        lambda m: m.masking.binning == 1 or not _of_pixels(m),
        "this noise model is for pixels, not for bins: choose a noise model that is "
        "learned with the network, or a shape as masking",
    ),
    Rule(
        ("masking", "supervision"),
        lambda m: not m.masking.masks_pixels or not _has_target(m),
        "the noise of a second exposure is independent, so that no pixel is masked: "
        "choose no masking",
    ),
    Rule(
        ("context", "supervision"),
        lambda m: not (_has_target(m) & bool(m.context.count)),
        "with a second exposure each plane is predicted by itself: choose no planes "
        "around it",
    ),
    Rule(
        ("channels", "supervision"),
        lambda m: not (_has_target(m) & m.channels.together),
        "with a second exposure each channel is predicted by itself: choose "
        "independent channels",
    ),
    Rule(
        ("signal", "supervision"),
        lambda m: not m.signal.spreads or not _has_target(m),
        "a second exposure teaches the mean of the signal: choose the point as signal "
        "head",
    ),
    Rule(
        ("estimator", "supervision"),
        lambda m: _uses_own_value(m) or not _has_target(m),
        "the network has learned to use each pixel's own value, which a posterior "
        "would count twice: choose the single pass, or the automatic estimator",
    ),
    Rule(
        ("objective", "supervision"),
        lambda m: m.objective == "squared_error" or not _has_target(m),
        "a second exposure is learned from by its squared error: choose that as "
        "objective",
    ),
)
