"""All settings of a run as one frozen value.

Each parameter is declared once, here or in the part it belongs to: the form, the
command line, the model file and the documentation are made from these fields.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal, get_args, get_origin

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
    model_validator,
)

from napari_selfdenoise.config.rules import broken_rule
from napari_selfdenoise.errors import RequestError
from napari_selfdenoise.parts.channels import Channels, IndependentChannels
from napari_selfdenoise.parts.context import Context, NoContext
from napari_selfdenoise.parts.estimators import Estimator, SinglePass
from napari_selfdenoise.parts.masking import AutomaticMask, Masking
from napari_selfdenoise.parts.networks import Network, NetworkModule, UNet
from napari_selfdenoise.parts.noise_models import NoiseModel, NoiseNetwork
from napari_selfdenoise.parts.psf import PSF, NoPSF
from napari_selfdenoise.parts.signal_heads import PointSignal, Signal

Supervision = Literal["self", "pair", "noise_free"]


class TrainingConfig(BaseModel):
    """Everything that decides a training and the prediction after it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    recipe: str = Field(
        "fast",
        title="Recipe",
        description="Name of the recipe that these settings started from.",
    )
    masking: Masking = Field(
        AutomaticMask(),
        title="Masking",
        description="Which pixels are masked in training, so that the network predicts "
        "them without their own value, and what fills them.",
    )
    network: Network = Field(
        UNet(),
        title="Network",
        description="How the context of a pixel becomes its prediction.",
    )
    context: Context = Field(
        NoContext(),
        title="Planes of a stack",
        description="Whether a pixel of a stack is predicted from its own frame or "
        "plane alone, or from those before and after it, too.",
    )
    channels: Channels = Field(
        IndependentChannels(),
        title="Channels",
        description="Whether a pixel of a channel is predicted from that channel "
        "alone, or from the others, too.",
    )
    signal: Signal = Field(
        PointSignal(),
        title="Signal head",
        description="Whether the network predicts one value for each pixel, or also "
        "how sure it is of it.",
    )
    noise_model: NoiseModel = Field(
        NoiseNetwork(),
        title="Noise model",
        description="How an observation scatters around the signal.",
    )
    psf: PSF = Field(
        NoPSF(),
        title="Point spread function",
        description="How the microscope blurs: with one, the network predicts the "
        "image before the blur (deconvolved), and learns from it after the blur.",
    )
    estimator: Estimator = Field(
        SinglePass(),
        title="Estimator",
        description="What is made of the trained network's predictions.",
    )
    supervision: Supervision = Field(
        "self",
        title="Supervision",
        description="What is predicted: the image itself, a second one, or the signal.",
        json_schema_extra={"hidden": True},
    )
    objective: Literal["squared_error", "likelihood", "bootstrap", "sure"] = Field(
        "squared_error",
        title="Objective",
        description="What the training makes small. Squared error: fast and robust; "
        "the noise model is learned from the residuals. Likelihood: noise model and "
        "signal head are learned with the network. Bootstrap (PPN2V): squared error "
        "for 5 % of the training, then likelihood. The noise model is fitted to the "
        "predictions after 5, 20 and 45 %; one from a file is kept. SURE: "
        "better for Gaussian noise that is equally strong everywhere. It starts with "
        "squared error; after 20 % no pixel is masked (Stein's unbiased risk "
        "estimate). Where other noise is measured before, squared error stays.",
    )
    budget_s: float | None = Field(
        60.0,
        gt=0,
        title="Time budget",
        description="Training time; automatic: no limit. Training ends with the "
        "budget or the steps, whichever is first, or when it is stopped.",
        json_schema_extra={"unit": "s"},
    )
    steps: int | None = Field(
        None,
        ge=1,
        title="Steps",
        description="Largest number of training steps; automatic: no limit. Without a "
        "time budget, the same seed and steps give the same result on the same device.",
    )
    patch_size: int = Field(
        96,
        ge=16,
        le=1024,
        title="Patch size",
        description="Side of the square patches the network is trained on.",
        json_schema_extra={"unit": "px"},
    )
    batch_size: int = Field(
        4,
        ge=1,
        le=1024,
        title="Patches a step",
        description="Number of patches that each step learns from.",
    )
    learning_rate: float = Field(
        2e-3,
        gt=0,
        le=0.1,
        title="Learning rate",
        description="Largest step size of the optimiser; it falls to zero along a "
        "cosine over the budget.",
    )
    weight_decay: float = Field(
        0.0,
        ge=0,
        le=1,
        title="Weight decay",
        description="How strongly weights are pulled to zero (AdamW).",
    )
    ema_decay: float = Field(
        0.99,
        ge=0,
        lt=1,
        title="Weight averaging",
        description="The result has a running average of the network's weights; the "
        "closer to 1, the more steps it spans.",
    )
    outliers: Literal["replace", "keep"] = Field(
        "replace",
        title="Outliers",
        description="Cosmic rays, hot and dead pixels: single pixels that differ from "
        "their neighbours by more than noise and optics explain. Nothing is learned "
        "from them. Replace: the result shows a value from their surroundings. Keep: "
        "it shows them as they were recorded.",
    )
    line_offsets: Literal["subtract", "keep"] = Field(
        "subtract",
        title="Line offsets",
        description="Whole rows or columns that are too bright or too dark, as with an "
        "sCMOS camera or a resonant scanner. Subtract: where they are found, they are "
        "measured and subtracted. Keep: they count as structure.",
    )
    augment: bool = Field(
        True,
        title="Flip and transpose patches",
        description="Train on all eight orientations of the patches.",
    )
    flips: bool = Field(
        True,
        title="Average orientations",
        description="Predict the image turned by all quarter turns and average them: "
        "better, and four times slower to predict. Mirrored images, too, where they "
        "may save more than 0.02 dB.",
    )
    seed: int = Field(
        0,
        ge=0,
        le=2**31 - 1,
        title="Seed",
        description="Equal seeds and steps give equal results. Change it to train with "
        "other random choices.",
    )
    device: str = Field(
        "auto",
        title="Device",
        description="Where to compute: auto (the first GPU, else the CPU), cpu, cuda, "
        "cuda:1, mps.",
    )
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        "auto",
        title="Precision",
        description="Number format of the convolutions. Automatic: bfloat16 where a "
        "short trial shows that it is faster.",
    )

    @model_validator(mode="after")
    def _makes_sense(self) -> TrainingConfig:
        rule = broken_rule(self)
        if rule is not None:
            raise ValueError(rule.reason)
        return self

    def build_network(self) -> NetworkModule:
        """Make the network, with as many outputs as the signal head reads.

        Its inputs are the image, the planes of its context, and other channels.

        Without smoothing where there is a point spread function, as a phantom is to be
        sharp, and where pixels that share noise are masked: there, it cost 0.1 to
        0.2 dB.
        """
        network = self.network
        masking = self.masking
        shared = masking.correlated and masking.binning == 1
        sharp = shared or not isinstance(self.psf, NoPSF)
        if not isinstance(network, UNet):
            return network.build(self.signal.outputs)
        network = network.sharp if sharp else network
        merges = self.context.merges(network.depth)
        return network.build(self.signal.outputs, self.inputs, merges)

    @property
    def inputs(self) -> int:
        """Number of images that the network gets: one, its context, other channels."""
        return 1 + self.context.count + self.channels.count

    @property
    def stride(self) -> int:
        """Sides of what is predicted must be multiples of this, in pixels."""
        return self.network.stride * self.masking.binning

    @property
    def receptive_field_radius(self) -> int:
        """Receptive field radius of the network in px, without that of the optics."""
        size = self.masking.binning
        return self.network.receptive_field_radius * size + 2 * (size - 1)

    @property
    def uses_sure(self) -> bool:
        """Whether the network learns to use each pixel's own value (by SURE)."""
        return self.objective == "sure"

    @property
    def uses_own_value(self) -> bool:
        """Whether predictions need each pixel's own value: after SURE, or a pair."""
        return self.uses_sure or self.supervision != "self"

    @property
    def per_image(self) -> bool:
        """Whether the noise is fitted to each image when it is predicted.

        The network then learns the total variance, of signal and noise together.
        """
        return self.noise_model.fits_each_image

    def override(self, changes: dict[str, Any]) -> TrainingConfig:
        """Return this config with some fields changed.

        Parameters
        ----------
        changes : dict
            Values by dotted field name, such as ``{"masking.fraction": 0.1}``; text is
            converted. A union's name alone chooses its member by kind
            (``{"masking": "grid"}``).

        Raises
        ------
        RequestError
            If a name or a value is not valid.
        """
        return parse_config(_changed(self.model_dump(), changes))


def with_estimator(config: TrainingConfig, estimator: Estimator) -> TrainingConfig:
    """Return the config of a trained model with another estimator.

    Raises
    ------
    RequestError
        If what was learned is not enough for it.
    """
    if config.uses_own_value and estimator.masks_pixels:
        raise _not_blind()
    return config.override({"estimator": estimator.model_dump()})


def _not_blind() -> RequestError:
    return RequestError(
        "This model has learned to use each pixel's own value, and cannot predict it "
        "from the neighbours alone.",
        "Choose the estimator Automatic, or train on single exposures with the squared "
        "error as objective.",
    )


def why_not(config: TrainingConfig, part: str, kind: str) -> str | None:
    """Say why a part of a config cannot be changed to another kind; None if it can.

    Parameters
    ----------
    config : TrainingConfig
        What else is chosen.
    part, kind : str
        Such as "masking" and "none".
    """
    try:
        config.override({part: kind})
    except RequestError as error:
        return error.message
    return None


def _changed(content: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """Plain values of a config with some changed; see `TrainingConfig.override`."""
    if changes.get("steps") is not None and "budget_s" not in changes:
        content["budget_s"] = None  # a number of steps takes the place of a time
    # Members are chosen before their fields are set, whatever the order given.
    for name in sorted(changes, key=lambda key: key.count(".")):
        _set(content, name.split("."), changes[name])
    return content


def _set(content: dict[str, Any], path: list[str], value: Any) -> None:
    *parents, name = path
    inner: Any = content
    for parent in parents:
        inner = inner.get(parent) if isinstance(inner, dict) else None
    if not isinstance(inner, dict) or (name not in inner and not parents):
        raise RequestError(
            f"There is no setting called {'.'.join(path)}.",
            f"Choose one of {', '.join(content)}.",
        )
    if inner.get("kind") == _AUTO and name not in inner:
        # A field of a member is given: so that member is meant.
        inner["kind"] = _member_with(parents[0], name) or _AUTO
    content = inner
    current = content.get(name)
    if isinstance(current, dict) and isinstance(value, str):
        # The name of a union's member; its fields start at their defaults.
        content[name] = current if current.get("kind") == value else {"kind": value}
    else:
        content[name] = value


_AUTO = "auto"


def _member_with(part: str, name: str) -> str | None:
    """Kind of the first member of a union that has a field of this name.

    The automatic one comes first, where it has it.
    """
    members = get_args(TrainingConfig.model_fields[part].annotation)
    found = [m.model_fields for m in members if name in m.model_fields]
    kinds = [fields["kind"].default for fields in found]
    return _AUTO if _AUTO in kinds else next(iter(kinds), None)


def _kinds(annotation: Any) -> set[str]:
    members = get_args(annotation) if get_origin(annotation) else ()
    fields = [m.model_fields for m in members if hasattr(m, "model_fields")]
    return {f["kind"].default for f in fields if "kind" in f}


_KINDS = {
    name: _kinds(field.annotation)
    for name, field in TrainingConfig.model_fields.items()
}


def parse_config(content: dict[str, Any]) -> TrainingConfig:
    """Validate a config from plain values.

    Raises
    ------
    RequestError
        With a sentence for each setting that is not valid.
    """
    with _as_request_error():
        return TrainingConfig.model_validate(content)


def noise_model(content: dict[str, Any]) -> NoiseModel:
    """Validate a noise model from plain values, its kind among them.

    Raises
    ------
    RequestError
        With a sentence for each setting that is not valid.
    """
    with _as_request_error():
        return _NOISE_MODEL.validate_python(content)


_NOISE_MODEL: TypeAdapter[NoiseModel] = TypeAdapter(NoiseModel)


@contextmanager
def _as_request_error() -> Iterator[None]:
    try:
        yield
    except ValidationError as error:
        sentences = " ".join(_sentence(item) for item in error.errors())
        raise RequestError(sentences, "Choose other values.") from error


def _sentence(item: Any) -> str:
    part, *rest = [str(part) for part in item["loc"]] or [""]
    # Pydantic names the member of a union that it tried: no part of a setting's name.
    rest = rest[1:] if rest and rest[0] in _KINDS.get(part, ()) else rest
    place = ".".join((part, *rest))
    text = item["msg"].removeprefix("Value error, ")
    if item["type"] == "extra_forbidden":
        text = "does not belong to what was chosen there"
    if not place:
        return f"{text[0].upper()}{text[1:]}."
    return f"{place}: {text} (found {item['input']!r})."
