"""What learns: the networks, optimiser and patches of one channel."""

from __future__ import annotations

import copy
import math
from collections import deque
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from napari_selfdenoise.config import TrainingConfig
from napari_selfdenoise.defects import CleanPlane
from napari_selfdenoise.images import (
    Normalization,
    sliding_means,
    variance_of_bins,
    whole_bins,
)
from napari_selfdenoise.model import ChannelModel, Outputs, on_device, run, run_at
from napari_selfdenoise.noise import (
    PROBE,
    Differences,
    Hidden,
    NoiseLevel,
    Residuals,
    balanced,
    block_numbers,
    smoothness,
)
from napari_selfdenoise.noise.calibration import range_warning
from napari_selfdenoise.noise.correlation import left_over, measure_correlation
from napari_selfdenoise.parts.gaussian_mixtures import Mixture
from napari_selfdenoise.parts.likelihood import log_marginal
from napari_selfdenoise.parts.masking import Mask, Masking, RandomMask
from napari_selfdenoise.parts.networks import NetworkModule
from napari_selfdenoise.parts.noise_models import (
    NoiseCurve,
    NoiseModule,
    NoiseUnits,
    raw_curve,
)
from napari_selfdenoise.parts.psf import NoPSF, Optics, darkest_level
from napari_selfdenoise.training.patches import PatchSampler
from napari_selfdenoise.training.recovery import EVERY, Recovery
from napari_selfdenoise.training.sure_loss import SteinProbe

_REMEMBERED = 16
_KEPT = 2**14
_TAUGHT = 2**11
"""Hidden pixels of a pass that the noise learns from: as a function of one number, it
needs few."""

_LOOKED_AT = 16
_FILL = RandomMask()
_CLIP = 0.3
_UNTURNED = ((False, False, False),)


class ChannelTrainer:
    """Networks, optimiser and patches of one channel.

    Parameters
    ----------
    planes : sequence of CleanPlane
        What to learn from, each (Y, X), raw units.
    config : TrainingConfig
        What to train.
    patch_size : int
        Side of the patches, in pixels.
    device : torch.device
        Where to compute.
    dtype : torch.dtype
        Number format of the convolutions.
    seed : int
        Of all randomness.
    kernel : ndarray
        Point spread function, (Y, X); 1 x 1 where there is none.
    start : ChannelModel, optional
        Continue from these weights.

    Attributes
    ----------
    level : NoiseLevel or None
        Noise in raw units, where it is simple and Stein's risk is to teach the network.
    """

    def __init__(
        self,
        planes: Sequence[CleanPlane],
        config: TrainingConfig,
        patch_size: int,
        device: torch.device,
        dtype: torch.dtype,
        seed: int,
        kernel: NDArray[np.float64],
        start: ChannelModel | None,
    ) -> None:
        self.config, self.device, self.dtype = config, device, dtype
        self.generator = torch.Generator(device).manual_seed(seed)
        size = config.masking.binning
        # Noise std of a pixel over that of a bin.
        self.finer = 1.0
        observed, good = [p.pixels for p in planes], [p.good for p in planes]
        if size > 1:
            rho = measure_correlation([plane.recorded for plane in planes]).rho
            self.finer = 1 / math.sqrt(variance_of_bins(rho, size))
            observed = [sliding_means(plane, size) for plane in observed]
            good = [whole_bins(flags, size) for flags in good]
        pixels = _some(observed, good)
        self.normalization = norm = (
            start.normalization if start else Normalization.measure(pixels)
        )
        turns = config.masking.orientations if config.augment else _UNTURNED
        self.sampler = PatchSampler(
            observed, good, norm, patch_size, turns, device, size
        )
        units = NoiseUnits(norm.offset, norm.scale, _std_floor(pixels, norm))
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            network = config.build_network()
            noise = config.noise_model.build(units)
        if start:
            network.load_state_dict(start.network.state_dict())
            if noise and start.noise:
                noise.load_state_dict(start.noise.state_dict())
        self.network = on_device(network, device)
        self.noise: NoiseModule | None = noise.to(device) if noise else None
        optics = Optics.of(config.psf, kernel, _background(config, observed, norm))
        self.optics = optics.to(device) if optics else None
        self.average = copy.deepcopy(self.network).requires_grad_(False)
        self.recovery = Recovery(self.network, self.sampler.pixels)
        self.remembered: deque[Hidden] = deque(maxlen=_REMEMBERED)
        self.probed: deque[Hidden] = deque(maxlen=_REMEMBERED)
        self.differences: list[Differences] = []
        self.updates = 0
        self.lessons = 0
        self.level: NoiseLevel | None = None
        # Patches that were last learned from at once: predicting alone takes less room.
        self.fits = 1
        self.calibrated = self.fixed = self.settled = bool(noise and noise.frozen)
        self.optimizer = self._make_optimizer()

    def _make_optimizer(self) -> torch.optim.Optimizer:
        config = self.config
        groups: list[dict[str, Any]] = [
            {"params": self.network.parameters(), "factor": 1.0}
        ]
        if self.noise and self._noise_learns:
            # The noise is a function of one number: it may learn faster.
            groups.append({"params": self.noise.parameters(), "factor": 2.0})
        return torch.optim.AdamW(
            groups,
            lr=config.learning_rate,
            betas=(0.9, 0.99),
            weight_decay=config.weight_decay,
            # All weights in one go: there are many, and small ones.
            fused=self.device.type in ("cpu", "cuda"),
        )

    @property
    def learns_likelihood(self) -> bool:
        """Whether the likelihood teaches the network, after the first lessons."""
        return self.lessons > 0 and not self.config.sees

    @property
    def sees(self) -> bool:
        """Whether Stein's risk teaches the network now, no pixel hidden."""
        return self.level is not None and self.lessons > 0

    @property
    def _noise_learns(self) -> bool:
        """Whether the noise model follows the gradient now."""
        noise = self.noise
        return noise is not None and noise.differentiable and not self.fixed

    def accumulate(self, patches: int, share: float) -> Tensor:
        """Add the gradient of `patches` fresh patches; returns their loss, detached."""
        self.fits = patches
        if self.sees:
            return self._accumulate_seen(patches, share)
        probe = self.updates % 8 == 7
        hidden, prior, phantom = self.observe(
            self.network, self.config.masking, patches, probe
        )
        self.recovery.watch(hidden.signal, hidden.observation, share)
        loss = self._loss(hidden, prior)
        total = loss + self._watch(hidden) + self._penalty(phantom)
        torch.autograd.backward(total * share)
        return loss.detach()

    def _accumulate_seen(self, patches: int, share: float) -> Tensor:
        """Add the gradient of Stein's risk of fresh patches; as `accumulate`."""
        assert self.level is not None
        batch, good = self.sampler.draw(patches, self.generator)
        std = self.level.std / self.normalization.scale
        probe = SteinProbe.draw(batch, std, self.generator)
        images = probe.images()
        seen = self._predict(self.network, images)
        self.recovery.watch(seen.mean, images, share)
        loss = probe.risk(seen.mean, good)
        torch.autograd.backward((loss + self._penalty(seen.phantom)) * share)
        return loss.detach()

    def observe(
        self, network: NetworkModule, masking: Masking, patches: int, probe: bool
    ) -> tuple[Hidden, Mixture, Tensor]:
        """Predict hidden pixels of fresh patches, and remember them.

        With `probe`, also how far noise moves the prediction, at the same pixels.

        Returns
        -------
        hidden : Hidden
            Mean, observation and weight of the hidden pixels, each (B, N).
        prior : Mixture
            Of their signals, (B, N, M).
        phantom : Tensor
            Of the whole patches, (B, 1, Y, X).
        """
        luck = self.generator
        drawn = self.sampler.draw(patches, luck)
        batch = drawn.observation  # (B, 1, Y, X)
        height, width = batch.shape[-2:]
        mask = drawn.targets(masking.draw(patches, height, width, luck))
        seen = self._predict(network, masking.apply(batch, mask, luck), mask.positions)
        smooth = mask.gather(smoothness(seen.mean.detach()))
        predicted = mask.gather(seen.mean)
        hidden = Hidden(predicted, mask.gather(batch), balanced(predicted, smooth))
        self.remembered.append(hidden.detached(_KEPT))
        if probe and self.noise:
            with torch.no_grad():
                noisier = self.noise.renoise(seen.mean, batch, luck)
                moved = self._predict(network, masking.apply(noisier, mask, luck))
            moved_to = hidden._replace(observation=mask.gather(moved.mean))
            self.probed.append(moved_to.detached(_KEPT))
        return hidden, self.config.signal.prior(predicted, seen.rest), seen.phantom

    def _predict(
        self, network: NetworkModule, masked: Tensor, positions: Tensor | None = None
    ) -> Outputs:
        """Mean of a batch (B, 1, Y, X), and other outputs at some pixels (B, N)."""
        if positions is None:
            positions = masked.new_empty((len(masked), 0), dtype=torch.long)
        return run_at(network, self.optics, masked, self.dtype, positions)

    @torch.no_grad()
    def mean(self, patches: Tensor) -> Tensor:
        """What the averaged network predicts now, (B, 1, Y, X), normalised."""
        return self._predict(self.average, patches).mean

    @torch.no_grad()
    def denoised(self, images: Tensor) -> Tensor:
        """Mean of images of pixels, which patches may be bins of; as `mean`."""
        size = self.config.masking.binning
        return run(self.average, self.optics, images, self.dtype, size).mean

    def _loss(self, hidden: Hidden, prior: Mixture) -> Tensor:
        """What teaches the network, by the config's objective and the moment."""
        spreads = self.config.signal.spreads
        if self.learns_likelihood and (not spreads or _regularisation(self.config)):
            surprise = self._surprise(prior, hidden.observation, fixed_noise=False)
            return surprise + self._uncertainty(prior)
        squared = (hidden.observation - hidden.signal).square()
        if not spreads:
            return squared.mean()
        around = prior._replace(
            mean=prior.mean - (hidden.signal - hidden.signal.detach()).unsqueeze(-1)
        )
        surprise = self._surprise(around, hidden.observation, fixed_noise=True)
        if not self.learns_likelihood:
            return squared.mean() + surprise
        # In squares weighed by their variance the mean stays true whatever the noise's
        # shape: a likelihood of another skewness would shift it.
        variance = self._predicted_variance(prior)
        weight = variance.sqrt()
        return (0.5 * squared / weight).mean() / weight.mean() + surprise

    def _surprise(
        self, prior: Mixture, observation: Tensor, fixed_noise: bool
    ) -> Tensor:
        """Mean negative log likelihood of the observations, given their context."""
        noise = None if self.config.per_image else self.noise
        if noise is None or not (fixed_noise and self._noise_learns):
            return self._weighed(prior, noise, observation)
        # Only the sum of both variances shows: were they to learn together, one
        # could grow at the other's expense. So the noise learns by watching.
        noise.requires_grad_(False)
        try:
            return self._weighed(prior, noise, observation)
        finally:
            noise.requires_grad_(True)

    def _weighed(
        self, prior: Mixture, noise: NoiseModule | None, observation: Tensor
    ) -> Tensor:
        """Mean surprise; where a std is learned, weighed by it (Seitzer et al. 2022).

        A likelihood pulls the mean by the inverse variance: hardly where the network is
        unsure, and off a cliff where it is too sure.
        """
        surprise = -log_marginal(prior, noise, observation)
        if not self.config.signal.spreads:
            return surprise.mean()
        weight = self._predicted_variance(prior).sqrt()
        return (weight * surprise).mean() / weight.mean()

    @torch.no_grad()
    def _predicted_variance(self, prior: Mixture) -> Tensor:
        """Of the observations given their context."""
        variance = prior.variance()
        if self.noise is None or self.config.per_image:
            return variance
        return variance + self.noise.std(prior.expectation()).square()

    def _uncertainty(self, prior: Mixture) -> Tensor:
        """Price of an unsure prior (Khademi et al. 2021, equation 9)."""
        weight = _regularisation(self.config)
        if not weight or not self.config.signal.spreads:
            return torch.zeros((), device=self.device)
        return weight * prior.variance().clamp_min(1e-12).sqrt().mean()

    def _penalty(self, phantom: Tensor) -> Tensor:
        """Price of a phantom with less than no light."""
        if self.optics is None:
            return torch.zeros((), device=self.device)
        weight = getattr(self.config.psf, "positivity_weight", 0.0)
        return weight * self.optics.penalty(phantom)

    def _watch(self, hidden: Hidden) -> Tensor:
        """What teaches the noise model alone, from the residuals.

        The likelihood weighs dim pixels most and holds the signal back in the first
        minute; so under the squared error the noise model only watches.
        """
        together = self.learns_likelihood and (
            not self.config.signal.spreads or _regularisation(self.config)
        )
        if not self._noise_learns or together:
            return torch.zeros((), device=self.device)
        return self._noise_loss(hidden)

    def _noise_loss(self, hidden: Hidden) -> Tensor:
        assert self.noise is not None
        signal, observation, weight = hidden.detached(_TAUGHT)
        likelihood = self.noise.log_likelihood(signal, observation)
        return -(weight * likelihood).sum() / weight.sum()

    def update(self, learning_rate: float) -> None:
        """Take the step that the accumulated gradient points to."""
        # High rates learn fast, but now and then one patch throws them off.
        nn.utils.clip_grad_norm_(self.network.parameters(), _CLIP)
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate * group["factor"] * self.recovery.slower
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.updates += 1
        decay = min(self.config.ema_decay, self.updates / (self.updates + 9))
        with torch.no_grad():
            for mean, now in zip(
                self.average.parameters(), self.network.parameters(), strict=True
            ):
                mean.lerp_(now, 1 - decay)
        if self.updates % EVERY == 0:
            self.recover()

    def start_over(self) -> None:
        """Forget the gradient that was accumulated since the last update."""
        self.optimizer.zero_grad(set_to_none=True)

    def recover(self) -> None:
        """Go back to earlier weights, if the training was thrown off."""
        if self.recovery.rescued(self.average):
            self.optimizer = self._make_optimizer()

    def residuals(self) -> Residuals:
        """What recently hidden pixels say of the noise, in raw units."""
        return Residuals.of(
            self.remembered, self.probed, self.normalization, self.differences
        )

    def scatter(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Signal and noise std of a pixel as measured in bins of signals, raw units."""
        if self.sees and self.level:
            return np.array(self.level.signal), np.array(self.level.by_signal)
        signal, std = self.residuals().scatter()
        return signal, std * self.finer

    def noise_curve(self) -> NoiseCurve:
        """What is known of the noise of a pixel now, in raw units."""
        return self._noise_curve().scaled(self.finer)

    def _noise_curve(self) -> NoiseCurve:
        """What is known of the noise of what the network sees."""
        residuals, norm = self.residuals(), self.normalization
        low, high = np.percentile(residuals.signal, (0.1, 99.9))
        if self.sees and self.level and not self.calibrated:
            return NoiseCurve.line(0.0, self.level.std**2, low, high)
        if self.noise is None or not (self.noise.differentiable or self.settled):
            return NoiseCurve.gaussian(*residuals.scatter())
        low, high = (low - norm.offset) / norm.scale, (high - norm.offset) / norm.scale
        curve = raw_curve(self.noise, low, high, norm.offset, norm.scale)
        if self.settled:
            return curve
        return curve.less(residuals.own_variance(curve.signal))

    def settle(self, flop: float, steps: int) -> Iterator[None]:
        """Fit the noise to the residuals of the averaged network alone, bit by bit.

        Parameters
        ----------
        flop : float
            Floating-point operations that the predictions may take.
        steps : int
            Of the noise model's optimiser.
        """
        if self.sees:
            return  # it no longer knows what to make of hidden pixels
        yield from self._look(flop)
        if not self.fixed and not _regularisation(self.config):
            rate = 0.5 * self.noise.rate if self.noise else None
            yield from self._fit_noise(steps, (0.0, 100.0), rate)
        self.settled = True

    def bootstrap(self, flop: float, steps: int, believed: float) -> Iterator[None]:
        """Fit the noise to predictions as if they were clean, and keep it so.

        Prakash et al. 2020, PPN2V; the outer half percents of the signals are left out
        as there. The parameters are those of `settle`, and the share of the noise's
        variance that is believed.
        """
        yield from self._look(flop)
        if self.noise is not None:
            self.noise.freeze(False)
            yield from self._fit_noise(4 * steps, (0.5, 99.5), None, believed)
            self.noise.freeze()
        self.fixed = self.settled = True
        self.lessons += 1

    def _look(self, flop: float) -> Iterator[None]:
        """Remember what the averaged network predicts, and nothing else."""
        self.remembered.clear()
        self.probed.clear()
        self.differences.clear()
        area = self.sampler.patch_size**2
        affordable = int(flop // (4 * self.config.network.flops_per_pixel * area))
        enough = 4 * len(self.sampler.pixels) // area
        patches = max(4, min(affordable, enough))
        sparse = self.config.masking.sparse()
        share = min(-(-patches // _REMEMBERED), 4 * self.fits)
        rounds = range(min(-(-patches // share), _REMEMBERED))
        for _ in rounds:
            with torch.no_grad():
                self.observe(self.average, sparse, share, probe=True)
            yield
        masking = self.config.masking
        if masking.correlated and masking.binning == 1:
            return  # differences would cancel what neighbours share
        differences = []
        for _ in rounds:
            differences.append(self._differ(share))
            yield
        self.differences = differences

    @torch.no_grad()
    def _differ(self, patches: int) -> Differences:
        """Differences of residuals in hidden blocks of fresh patches."""
        luck, device = self.generator, self.device
        batch, good = self.sampler.draw(patches, luck)
        side = torch.arange(batch.shape[-1], device=device)
        chosen = torch.randint(4, (1,), generator=luck, device=device)
        hidden = block_numbers(side, side) == chosen
        mask = Mask(hidden[None, None], torch.zeros((1, 0), dtype=torch.long))
        signal = self.mean(_FILL.apply(batch, mask, luck))
        std = torch.from_numpy(self._noise_std(signal.cpu().numpy())).to(batch)
        added = torch.randn(batch.shape, generator=luck, device=device) * PROBE * std
        noisier = _FILL.apply(batch + added, mask, luck)
        moved = self.mean(noisier)
        return Differences.of(signal, batch, moved, hidden, good).thinned(_KEPT)

    def _noise_std(self, signal: NDArray[np.float32]) -> NDArray[np.float64]:
        """Noise std as the residuals have it, normalised, at signals (...)."""
        norm = self.normalization
        std = np.interp(signal * norm.scale + norm.offset, *self.residuals().scatter())
        return np.asarray(std / norm.scale)

    def _fit_noise(
        self,
        steps: int,
        clip: tuple[float, float],
        rate: float | None,
        believed: float = 1.0,
    ) -> Iterator[None]:
        """Fit the noise model to what is remembered, the prediction's part taken out.

        Published bootstraps take it for noise, and overestimate the gain by 17 to 30 %.
        """
        if self.noise is None:
            return
        signal, observation, weight = (
            torch.cat(values) for values in zip(*self.remembered, strict=True)
        )
        residuals, norm = self.residuals(), self.normalization
        raw = signal.double().cpu().numpy() * norm.scale + norm.offset
        share = believed * residuals.noise_share(raw)
        shrunk = torch.from_numpy(np.sqrt(share)).to(signal)
        bias = torch.from_numpy(residuals.bias(raw) / norm.scale).to(signal)
        observation = signal + (observation - signal - bias) * shrunk
        low, high = (np.percentile(raw, clip) - norm.offset) / norm.scale
        inside = (signal >= low) & (signal <= high)
        yield from self.noise.fit(
            signal[inside],
            observation[inside],
            weight[inside],
            self.generator,
            steps=steps,
            rate=rate,
        )

    def model(self) -> ChannelModel:
        """Return the model as it stands; it changes no more."""
        network = copy.deepcopy(self.average).eval()
        noise = copy.deepcopy(self.noise).eval() if self.noise else None
        return ChannelModel(
            network, noise, self.normalization, self.noise_curve(), self.optics
        )

    def notes(self) -> list[str]:
        """Return what the user should know of the noise model and this image."""
        found = self._range_note(), self._left_over_note(), self._rescue_note()
        return [note for note in found if note]

    def _rescue_note(self) -> str | None:
        """Whether the training was thrown off."""
        rescues = self.recovery.rescues
        if not rescues:
            return None
        times = "once" if rescues == 1 else f"{rescues} times"
        return (
            f"The training became unstable {times} and went on from earlier weights, "
            "at a smaller learning rate."
        )

    def _range_note(self) -> str | None:
        """Whether the image leaves the signals of a calibrated noise model."""
        fitted = getattr(self.noise, "signal_range", None)
        if not self.fixed or fitted is None:
            return None
        signal = self.residuals().signal
        return range_warning(fitted, float(signal.min()), float(signal.max()))

    @torch.no_grad()
    def _left_over_note(self) -> str | None:
        """Whether noise that neighbours share was left in the prediction."""
        batch, good = self.sampler.draw(_LOOKED_AT, self.generator, turned=False)
        mean = self.mean(batch)
        if good is not None:  # what was filled is flat, and not for lack of noise
            batch = batch.masked_fill(~good, math.nan)
        before, after = (list(v[:, 0].cpu().numpy()) for v in (batch, mean))
        found = left_over(before, after, self.config.masking)
        return str(found) if found.wider else None


def _regularisation(config: TrainingConfig) -> float:
    return float(getattr(config.noise_model, "regularisation", 0.0))


def _background(
    config: TrainingConfig,
    planes: Sequence[NDArray[np.float32]],
    normalization: Normalization,
) -> float:
    """Level where there is no light, normalised."""
    if isinstance(config.psf, NoPSF):
        return 0.0
    given = config.psf.background
    level = darkest_level(planes) if given is None else given
    return (level - normalization.offset) / normalization.scale


def _some(
    planes: Sequence[NDArray[np.float32]], good: Sequence[NDArray[np.bool_]]
) -> NDArray[np.float32]:
    """About a million good pixels of planes, (n,)."""
    every = max(1, sum(p.size for p in planes) // 2**20)
    parts = [
        plane.ravel()[::every][flags.ravel()[::every]]
        for plane, flags in zip(planes, good, strict=True)
    ]
    found = np.concatenate(parts)
    if len(found):
        return found
    return np.concatenate([p[f] for p, f in zip(planes, good, strict=True)])


def _std_floor(pixels: NDArray[np.float32], norm: Normalization) -> float:
    """Smallest believable noise: that of rounding, or a thousandth of the range."""
    steps = np.diff(np.unique(pixels[:65536]))
    rounding = float(steps.min()) / math.sqrt(12) if len(steps) else 0.0
    return max(0.5 * rounding / norm.scale, 1e-3)
