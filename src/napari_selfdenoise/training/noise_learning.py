"""How the noise model of a channel is learned from the residuals of its network."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_selfdenoise.config import TrainingConfig
from napari_selfdenoise.errors import DenoisingError
from napari_selfdenoise.images import Normalization
from napari_selfdenoise.noise import (
    Differences,
    MaskedPixels,
    Residuals,
    VarianceCurve,
)
from napari_selfdenoise.parts.networks import NetworkModule
from napari_selfdenoise.parts.noise_models import NoiseCurve, NoiseModule, raw_curve
from napari_selfdenoise.training.masked_prediction import (
    MaskedPrediction,
    MaskedPredictor,
)
from napari_selfdenoise.training.phase import NoisePhase

# Passes whose residuals are kept: the last ones.
_BUFFERED_PASSES = 16

# Masked pixels that are kept of a pass.
_KEPT_PIXELS = 2**14

# Masked pixels of a pass that the noise model learns from: as a function of one number,
# it needs few.
_FITTED_PIXELS = 2**11


class NoiseLearner:
    """A noise model, and the residuals that it is learned from.

    Parameters
    ----------
    module : NoiseModule or None
        What learns, normalised; None where the noise is not modelled.
    config : TrainingConfig
        Its masking, network and noise model are used.
    normalization : Normalization
        Of the image.
    generator : torch.Generator
        Of fits.

    Attributes
    ----------
    phase : NoisePhase
        What is done with the noise model now.
    residual_buffer, probe_buffer : deque of Hidden
        Masked pixels of recent passes; how far more noise moved their prediction.
    contrasts : list of Differences
        Of neighbouring residuals; collected for a fit.
    variance : VarianceCurve or None
        Of the noise, by the contrasts; None where there are none.
    """

    def __init__(
        self,
        module: NoiseModule | None,
        config: TrainingConfig,
        normalization: Normalization,
        generator: torch.Generator,
    ) -> None:
        self.module, self.config = module, config
        self.normalization, self.generator = normalization, generator
        given = module is not None and module.frozen
        self.phase = NoisePhase.GIVEN if given else NoisePhase.LEARNING
        self.residual_buffer: deque[MaskedPixels] = deque(maxlen=_BUFFERED_PASSES)
        self.probe_buffer: deque[MaskedPixels] = deque(maxlen=_BUFFERED_PASSES)
        self.contrasts: list[Differences] = []
        self.variance: VarianceCurve | None = None

    @property
    def follows_gradient(self) -> bool:
        """Whether the noise model has parameters that a gradient teaches now."""
        module = self.module
        return module is not None and module.differentiable and not self.phase.is_fixed

    @property
    def is_final(self) -> bool:
        """Whether the noise model is as it will be returned."""
        return self.phase is not NoisePhase.LEARNING

    def collect(self, predicted: MaskedPrediction) -> None:
        """Keep the residuals of a pass."""
        self.residual_buffer.append(predicted.of_noise.detached(_KEPT_PIXELS))
        if predicted.probed:
            self.probe_buffer.append(predicted.probed.detached(_KEPT_PIXELS))

    def loss(self, masked: MaskedPixels) -> Tensor:
        """Mean negative log likelihood of residuals as if predictions were clean."""
        assert self.module is not None
        signal, observation, weight = masked.detached(_FITTED_PIXELS)
        likelihood = self.module.log_likelihood(signal, observation)
        return -(weight * likelihood).sum() / weight.sum()

    def residuals(self) -> Residuals:
        """Residuals of recently masked pixels, in raw units."""
        return Residuals.of(
            self.residual_buffer, self.probe_buffer, self.normalization, self.contrasts
        )

    def noise_std(self, signal: NDArray[np.float32]) -> NDArray[np.float64]:
        """Noise std as the residuals have it at signals (...), both normalised."""
        norm = self.normalization
        raw = signal * norm.scale + norm.offset
        std = np.interp(raw, *self.residuals().scatter())
        return np.asarray(std / norm.scale)

    def signal_range(self) -> tuple[float, float]:
        """Lowest and highest signal of the residuals, raw units, but for outliers."""
        return _range_of(self.residuals())

    def curve(self) -> NoiseCurve:
        """What is known now of the noise of what the network is shown, raw units."""
        residuals, norm, module = self.residuals(), self.normalization, self.module
        if module is None or not (module.differentiable or self.is_final):
            return self._as_measured(NoiseCurve.gaussian(*residuals.scatter()))
        low, high = (_normalised(value, norm) for value in _range_of(residuals))
        curve = raw_curve(module, low, high, norm.offset, norm.scale)
        if self.is_final:
            return self._as_measured(curve)
        return curve.less(residuals.own_variance(curve.signal))

    def _as_measured(self, curve: NoiseCurve) -> NoiseCurve:
        """Return a curve with the variance of the contrasts, where it is free to.

        What learns from residuals at predicted signals mixes unlike ones. A line or a
        constant was chosen, a calibration given, and a bootstrap taught the network.
        """
        module, variance = self.module, self.variance
        bound = module is not None and module.line() is not None
        if self.phase is not NoisePhase.FINAL or variance is None or bound:
            return curve
        knots = variance.knots(curve.signal[0], curve.signal[-1])
        return curve.with_variance(knots, variance.at(knots))

    def scatter(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Where the noise was measured, and its std there, raw units, (n,)."""
        if self.phase is NoisePhase.FINAL and self.variance:
            return self.variance.signal, np.sqrt(self.variance.measured)
        return self.residuals().scatter()

    def fit_final(
        self,
        predictor: MaskedPredictor,
        network: NetworkModule,
        patches_per_pass: int,
        flop: float,
        steps: int,
    ) -> Iterator[None]:
        """Fit the noise model to the residuals of the finished network, bit by bit.

        Parameters
        ----------
        predictor : MaskedPredictor
            Draws patches and masks.
        network : NetworkModule
            What predicts.
        patches_per_pass : int
            That there is room for while learning.
        flop : float
            Floating-point operations that the predictions may take.
        steps : int
            Of the noise model's optimiser.
        """
        yield from self._collect_residuals(predictor, network, patches_per_pass, flop)
        if not self.phase.is_fixed:
            if not self.config.noise_model.uncertainty_weight:
                rate = 0.5 * self.module.rate if self.module else None
                yield from self._fit(steps, (0.0, 100.0), rate)
            self.phase = NoisePhase.FINAL

    def bootstrap(
        self,
        predictor: MaskedPredictor,
        network: NetworkModule,
        patches_per_pass: int,
        flop: float,
        steps: int,
        noise_fraction: float,
    ) -> Iterator[None]:
        """Fit the noise model to predictions as if they were clean, and keep it so.

        The outer half percents of the signals are left out, as in the paper. The
        parameters are those of `fit_final`, and the share of the measured noise
        variance that the noise model is given.

        References
        ----------
        Prakash et al. 2020, PPN2V.
        """
        yield from self._collect_residuals(predictor, network, patches_per_pass, flop)
        if self.module is not None:
            self.module.freeze(False)
            yield from self._fit(4 * steps, (0.5, 99.5), None, noise_fraction)
            self.module.freeze()
        self.phase = NoisePhase.BOOTSTRAPPED

    def _collect_residuals(
        self,
        predictor: MaskedPredictor,
        network: NetworkModule,
        patches_per_pass: int,
        flop: float,
    ) -> Iterator[None]:
        """Keep fresh residuals and contrasts of a network, and none from before."""
        self.residual_buffer.clear()
        self.probe_buffer.clear()
        self.contrasts, self.variance = [], None
        share, passes = self._passes(predictor, patches_per_pass, flop)
        sparse = self.config.masking.sparse()
        for _ in range(passes):
            with torch.no_grad():
                self.collect(predictor.predict(network, sparse, share, self.module))
            yield
        if not predictor.shows_contrasts:
            return
        contrasts = []
        for _ in range(passes):
            found = predictor.block_contrasts(network, share, self.noise_std)
            contrasts.append(found.thinned(_KEPT_PIXELS))
            yield
        self.contrasts = contrasts
        self.variance = VarianceCurve.of(contrasts, self.normalization)

    def _passes(
        self, predictor: MaskedPredictor, patches_per_pass: int, flop: float
    ) -> tuple[int, int]:
        """Patches of a pass, and passes, that are affordable and enough."""
        area = self.config.context.depth * predictor.sampler.patch_size**2
        affordable = int(flop // (4 * self.config.network.flops_per_pixel * area))
        enough = 4 * len(predictor.sampler.pixels) // area
        patches = max(4, min(affordable, enough))
        # Predicting alone takes less room than learning.
        share = min(-(-patches // _BUFFERED_PASSES), 4 * patches_per_pass)
        return share, min(-(-patches // share), _BUFFERED_PASSES)

    def _fit(
        self,
        steps: int,
        clip: tuple[float, float],
        rate: float | None,
        noise_fraction: float = 1.0,
    ) -> Iterator[None]:
        """Fit the noise model to the residuals, the prediction's own error taken out.

        Published bootstraps take it for noise, and overestimate the gain by 17 to 30 %.
        """
        if self.module is None:
            return
        signal, observation, weight = (
            torch.cat(values) for values in zip(*self.residual_buffer, strict=True)
        )
        residuals, norm = self.residuals(), self.normalization
        raw = signal.double().cpu().numpy() * norm.scale + norm.offset
        share = noise_fraction * residuals.noise_share(raw)
        shrunk = torch.from_numpy(np.sqrt(share)).to(signal)
        bias = torch.from_numpy(residuals.bias(raw) / norm.scale).to(signal)
        observation = signal + (observation - signal - bias) * shrunk
        low, high = (_normalised(value, norm) for value in np.percentile(raw, clip))
        inside = (signal >= low) & (signal <= high)
        if not bool(inside.any()):  # predictions that are no numbers
            raise DenoisingError(
                "The noise model could not be fitted: the predictions are no numbers.",
                "Train anew, with a smaller learning rate.",
            )
        yield from self.module.fit(
            signal[inside],
            observation[inside],
            weight[inside],
            self.generator,
            steps=steps,
            rate=rate,
        )


def _range_of(residuals: Residuals) -> tuple[float, float]:
    """Signals that nearly all residuals lie between, raw units."""
    low, high = np.percentile(residuals.signal, (0.1, 99.9))
    return low, high


def _normalised(raw: float, normalization: Normalization) -> float:
    return (raw - normalization.offset) / normalization.scale
