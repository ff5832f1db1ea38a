"""The noise models that can be chosen."""

from __future__ import annotations

import math
from typing import Annotated, Any, ClassVar, Literal, Self

import torch
from pydantic import ConfigDict, Field, ValidationError, field_validator
from torch import Tensor, nn

from napari_selfdenoise.errors import RequestError
from napari_selfdenoise.parts.chosen_file import ChosenFile
from napari_selfdenoise.parts.gaussian_mixtures import Mixture
from napari_selfdenoise.parts.noise_models.base import (
    NoiseConfig,
    NoiseModule,
    NoiseUnits,
)
from napari_selfdenoise.parts.noise_models.curve import NoiseCurve
from napari_selfdenoise.parts.noise_models.gaussian_mixture import GaussianMixtureNoise
from napari_selfdenoise.parts.noise_models.histogram import HistogramNoise
from napari_selfdenoise.parts.noise_models.tabulated import TabulatedModule

_KNOTS = 256
_START_VARIANCE = math.exp(-3.0)  # of the noise before any step, normalised
_START_GAIN = math.exp(-2.5)  # slope of the variance before any step, normalised
_SAMPLES = 2**14
"""Signals that are looked at to follow the darkest."""


class UnmodelledNoise(NoiseConfig):
    """Not modelled (squared error).

    The network learns by squared error alone (Noise2Void, Krull et al. 2019). The
    noise curve is then measured from the residuals of masked pixels.
    """

    model_config = ConfigDict(title="Not modelled (squared error)")

    kind: Literal["unmodelled"] = "unmodelled"
    is_modelled: ClassVar[bool] = False

    def build(self, units: NoiseUnits) -> None:
        """Return None: there is no noise model to train."""


class GaussianNoise(NoiseConfig):
    """The same everywhere (Gaussian).

    One standard deviation at all signals: read noise alone, or an image whose noise
    was made even by a transform.
    """

    model_config = ConfigDict(title="The same everywhere (Gaussian)")

    kind: Literal["gaussian"] = "gaussian"

    def build(self, units: NoiseUnits) -> GaussianModule:
        """Make the trainable noise model."""
        return GaussianModule(units)


class GaussianModule(NoiseModule):
    """One standard deviation, never below the floor."""

    def __init__(self, units: NoiseUnits) -> None:
        super().__init__(units)
        self.tenth = nn.Parameter(torch.tensor(0.1 * math.log(_START_VARIANCE)))

    def residual_mixture(self, signal: Tensor) -> Mixture:
        """Distribution of observation - signal at signals of shape (...)."""
        variance = _exp_of_tenths(self.tenth) + self.std_floor**2
        return _one_gaussian(variance.expand(signal.shape))

    def line(self) -> tuple[float, float]:
        """Gain 0, and the variance as offset."""
        return 0.0, float(_exp_of_tenths(self.tenth.detach())) + self.std_floor**2

    @torch.no_grad()
    def start_from_line(
        self, gain: float, offset: float, low: float, high: float
    ) -> None:
        """Begin at the variance in the middle of the line."""
        variance = gain * 0.5 * (low + high) + offset
        self.tenth.fill_(_tenth_of_log(variance, self.std_floor))


class PoissonNoise(NoiseConfig):
    """Shot noise alone (Poisson).

    Gaussian with a variance proportional to the light: gain * (signal - offset), the
    gain learned. For photon counting, and for cameras whose read noise is negligible.
    """

    model_config = ConfigDict(title="Shot noise (Poisson)")

    kind: Literal["poisson"] = "poisson"
    offset: float = Field(
        0.0,
        title="Dark level",
        description="Signal at which no light arrives, for instance the camera's "
        "offset.",
        json_schema_extra={"unit": "counts"},
    )

    def build(self, units: NoiseUnits) -> PoissonModule:
        """Make the trainable noise model."""
        return PoissonModule(units, units.normalise(self.offset))


class PoissonModule(NoiseModule):
    """Variance = gain * (signal - dark), but at least that of the floor."""

    def __init__(self, units: NoiseUnits, dark: float) -> None:
        super().__init__(units)
        self.dark = dark
        gain = _START_GAIN / max(1.0, -dark)
        self.tenth = nn.Parameter(torch.tensor(0.1 * math.log(gain)))

    def residual_mixture(self, signal: Tensor) -> Mixture:
        """Distribution of observation - signal at signals of shape (...)."""
        light = (signal - self.dark).clamp_min(0)
        return _one_gaussian(_exp_of_tenths(self.tenth) * light + self.std_floor**2)

    def line(self) -> tuple[float, float]:
        """Gain and offset of the variance; the offset is -gain * dark."""
        gain = float(_exp_of_tenths(self.tenth.detach()))
        return gain, -gain * self.dark

    @torch.no_grad()
    def start_from_line(
        self, gain: float, offset: float, low: float, high: float
    ) -> None:
        """Begin at the gain that gives the line's variance at the bright end."""
        light = max(high - self.dark, 1e-6)
        self.tenth.fill_(_tenth_of_log((gain * high + offset) / light, 1e-6))


class PoissonGaussianNoise(NoiseConfig):
    """Shot noise and read noise (Poisson-Gaussian).

    Gaussian with variance a * signal + b, both learned with the network; b may be
    negative where the camera's offset is left in the signal. Khademi et al. 2021.
    """

    model_config = ConfigDict(title="Shot and read noise (Poisson-Gaussian)")

    kind: Literal["poisson_gaussian"] = "poisson_gaussian"
    estimation: Literal["learned", "per_image"] = Field(
        "learned",
        title="Estimation",
        description="Learned: a and b are learned once, with the network. Per image "
        "(uncalibrated, as Khademi et al. published it): the network learns the total "
        "variance of each pixel; a and b are fitted to each image afterwards.",
    )
    regularisation: float = Field(
        0.0,
        ge=0,
        title="Regularisation (lambda)",
        description="How strongly training prefers small uncertainty of the "
        "prediction, so that variance is given to the noise (Khademi et al., eq. 9).",
    )

    @property
    def uncertainty_weight(self) -> float:
        """How strongly training prefers small uncertainty of the prediction."""
        return self.regularisation

    @property
    def fits_each_image(self) -> bool:
        """Whether it is fitted to each image when that is predicted."""
        return self.estimation == "per_image"

    def build(self, units: NoiseUnits) -> PoissonGaussianModule:
        """Make the trainable noise model."""
        return PoissonGaussianModule(units)


class PoissonGaussianModule(NoiseModule):
    """Variance = gain * signal + offset, in normalised units.

    It is learned as a variance above zero at a dark signal and a slope above zero from
    there, so that no clamp stops the gradient of a pixel. Predictions darker than
    that signal are taken for errors: the line may have crossed zero there.
    """

    dark: Tensor

    def __init__(self, units: NoiseUnits) -> None:
        super().__init__(units)
        # Tenths of the logarithms of dark variance and gain: cameras differ by factors
        # of thousands, and each step of the optimiser goes a fixed way.
        self.tenths = nn.Parameter(torch.tensor([-0.3, -0.25]))
        self.register_buffer("dark", torch.tensor(0.0))

    def line(self) -> tuple[float, float]:
        """Gain and offset, in normalised units."""
        dark_variance, gain = _exp_of_tenths(self.tenths.detach()).tolist()
        return gain, dark_variance - gain * float(self.dark)

    @torch.no_grad()
    def start_from_line(
        self, gain: float, offset: float, low: float, high: float
    ) -> None:
        """Begin at a line, from the darkest signal on."""
        self.dark.fill_(low)
        dark_variance = _tenth_of_log(gain * low + offset, self.std_floor)
        self.tenths.copy_(torch.tensor([dark_variance, _tenth_of_log(gain, 1e-6)]))

    def residual_mixture(self, signal: Tensor) -> Mixture:
        """Distribution of observation - signal at signals of shape (...)."""
        if self.training and torch.is_grad_enabled():
            self._follow_darkest(signal.detach())
        above = signal - self.dark
        dark_variance, gain = _exp_of_tenths(self.tenths)
        known = dark_variance + gain * above.clamp_min(0)
        variance = torch.where(above > 0, known, dark_variance.detach())
        return _one_gaussian(variance.clamp_min(math.exp(2 * self.log_floor)))

    def _follow_darkest(self, signal: Tensor) -> None:
        """Start the line at the signal that the darkest 2 % lie below.

        They are left out, as in Khademi et al. 2021.
        """
        some = signal.ravel()[:: max(1, signal.numel() // _SAMPLES)]
        self.dark.lerp_(some.nan_to_num().quantile(0.02), 0.1)


class NoiseNetwork(NoiseConfig):
    """Learned from the image (N-net).

    A small network maps the predicted signal to the distribution of the noise: 1 to 3
    Gaussians with weights, means and widths of their own, centred as a whole.
    Two or three also describe skewed noise. Ollion et al. 2021.
    """

    model_config = ConfigDict(title="Learned while training (N-net)")

    kind: Literal["network"] = "network"
    any_variance: ClassVar[bool] = True
    components: int = Field(
        1,
        ge=1,
        le=3,
        title="Gaussians",
        description="Number of Gaussians that make up the noise at each signal: 1 for "
        "symmetric noise, 2 or 3 for skewed noise.",
    )
    width: int = Field(
        64,
        ge=4,
        le=256,
        title="Noise network width",
        description="Number of features in each layer of the noise network.",
        json_schema_extra={"unit": "channels"},
    )

    def build(self, units: NoiseUnits) -> NoiseNetworkModule:
        """Make the trainable noise model."""
        return NoiseNetworkModule(units, self.components, self.width)


class NoiseNetworkModule(NoiseModule):
    """The network that `NoiseNetwork` describes.

    It is a function of one number, so each step evaluates it on a grid of knots and
    interpolates: the result of a network on every masked pixel at a hundredth of the
    cost.
    """

    def __init__(self, units: NoiseUnits, components: int, width: int) -> None:
        super().__init__(units)
        self.components = components
        layers: list[nn.Module] = []
        for block in range(3):
            inputs = width if block else 1
            layers += [nn.Linear(inputs, width), nn.Tanh()]
            layers += [nn.Linear(width, width), nn.LeakyReLU(0.1)]
        self.body = nn.Sequential(*layers)
        self.head = nn.Linear(width, 3 * components)
        with torch.no_grad():
            self.head.weight.mul_(0.1)
            # Equal Gaussians would stay equal: start them apart.
            self.head.bias.copy_(
                torch.linspace(-1, 1, 3 * components) * (components > 1)
            )

    @torch.no_grad()
    def start_from_line(
        self, gain: float, offset: float, low: float, high: float
    ) -> None:
        """Begin at the width in the middle of the line, the Gaussians apart."""
        variance = max(gain * 0.5 * (low + high) + offset, self.std_floor**2)
        apart = torch.linspace(-0.5, 0.5, self.components + 2)[1:-1]
        weight, mean, log_std = self.head.bias.chunk(3)
        weight.zero_()
        mean.copy_(apart * math.sqrt(variance))
        log_std.copy_(0.5 * math.log(variance) + apart)

    def mixture_on(self, knots: Tensor) -> Mixture:
        """Evaluate the network itself, on signals of shape (n,)."""
        weight, mean, log_std = self.head(self.body(knots[:, None])).chunk(3, dim=-1)
        log_std = self.log_floor + nn.functional.softplus(log_std - self.log_floor)
        return Mixture(weight.log_softmax(-1), mean, log_std).centred()

    def residual_mixture(self, signal: Tensor) -> Mixture:
        """Distribution of observation - signal at signals of shape (...)."""
        low, high = signal.detach().min(), signal.detach().max()
        span = (high - low).clamp_min(1e-3)
        knots = low + span * torch.linspace(0, 1, _KNOTS, device=signal.device)
        table = torch.cat(self.mixture_on(knots), dim=-1)  # (n, 3 K)
        position = ((signal - low) / span * (_KNOTS - 1)).clamp(0, _KNOTS - 1)
        left = position.detach().floor().clamp_max(_KNOTS - 2)
        row = left.nan_to_num().long()  # a diverged training must say so itself
        values = torch.lerp(table[row], table[row + 1], (position - left).unsqueeze(-1))
        weight, mean, log_std = values.chunk(3, dim=-1)
        return Mixture(weight.log_softmax(-1), mean, log_std).centred()


class NoiseFromFile(NoiseConfig):
    """A noise model from a file: calibrated, or learned by another training.

    It stays as it is; the training learns the signal alone. Its file is made by the
    Noise model window or by `selfdenoise calibrate`.
    """

    model_config = ConfigDict(title="From a noise model file")

    kind: Literal["file"] = "file"
    is_given: ClassVar[bool] = True
    file: ChosenFile = Field(
        None,
        title="File",
        description="Noise model file (.noise.json) of the same camera and settings.",
        json_schema_extra={"path": "noise_model", "taken_from": "noise"},
    )
    curve: dict[str, Any] | None = Field(
        None,
        title="Noise curve",
        description="What was read from the file, or taken from a layer.",
        json_schema_extra={"hidden": True},
    )

    @field_validator("curve")
    @classmethod
    def _is_a_curve(cls, curve: dict[str, Any] | None) -> dict[str, Any] | None:
        if curve is not None:
            try:
                NoiseCurve.from_json(curve)
            except (LookupError, TypeError, ValueError) as error:
                raise ValueError(f"this is no noise curve ({error})") from error
        return curve

    @classmethod
    def taken(cls, curve: dict[str, Any]) -> Self:
        """Keep a noise curve that is at hand instead of a file.

        Parameters
        ----------
        curve : dict
            As `NoiseCurve.to_json` makes it, raw units.

        Raises
        ------
        RequestError
            If it is no noise curve.
        """
        try:
            return cls(curve=curve)
        except ValidationError as error:
            raise RequestError(
                "There is no noise curve that could be used.",
                "Choose the layer of a result of this program, or a noise model file.",
            ) from error

    def build(self, units: NoiseUnits) -> TabulatedModule:
        """Make the noise model of the curve; it is not trained.

        Raises
        ------
        RequestError
            If there is no curve: no file is named, or `resolve_files` has not read it.
        """
        if self.curve is not None:
            return TabulatedModule(units, NoiseCurve.from_json(self.curve))
        if self.file is not None:
            raise RequestError(
                f"The noise model file {self.file} has not been read.",
                "Read it with `resolve_files`.",
            )
        raise RequestError(
            "A noise model file is to be used, but none is named.",
            "Choose a .noise.json file, or another noise model.",
        )


def _exp_of_tenths(tenths: Tensor) -> Tensor:
    """Exponential of ten times a value, clipped to what float32 can hold."""
    return (10 * tenths).clamp(-60, 60).exp()


def _tenth_of_log(variance: float, std_floor: float) -> float:
    return 0.1 * math.log(max(variance, std_floor**2))


def _one_gaussian(variance: Tensor) -> Mixture:
    """One Gaussian of mean zero for each variance (...)."""
    log_std = 0.5 * variance.log().unsqueeze(-1)
    zero = torch.zeros_like(log_std)
    return Mixture(zero, zero, log_std)


NoiseModel = Annotated[
    UnmodelledNoise
    | GaussianNoise
    | PoissonNoise
    | PoissonGaussianNoise
    | HistogramNoise
    | GaussianMixtureNoise
    | NoiseNetwork
    | NoiseFromFile,
    Field(discriminator="kind"),
]
