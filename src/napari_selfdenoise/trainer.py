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
from napari_selfdenoise.device import autocast
from napari_selfdenoise.masking import Masking
from napari_selfdenoise.model import ChannelModel, on_device
from napari_selfdenoise.noise_models import NoiseCurve, NoiseModule, raw_curve
from napari_selfdenoise.residuals import Hidden, Residuals, levelled, smoothness
from napari_selfdenoise.sampling import Normalization, PatchSampler

_REMEMBERED = 16
_CLIP = 0.3


class ChannelTrainer:
    """Networks, optimiser and patches of one channel."""

    def __init__(
        self,
        planes: Sequence[NDArray[np.float32]],
        config: TrainingConfig,
        patch_size: int,
        device: torch.device,
        dtype: torch.dtype,
        seed: int,
        start: ChannelModel | None,
    ) -> None:
        self.config, self.device, self.dtype = config, device, dtype
        self.generator = torch.Generator(device).manual_seed(seed)
        pixels = np.concatenate([plane.ravel()[:: _thin(planes)] for plane in planes])
        self.normalization = (
            start.normalization if start else Normalization.measure(pixels)
        )
        self.sampler = PatchSampler(
            planes, self.normalization, patch_size, config.augment, device
        )
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            network = config.network.build(config.signal.outputs)
            noise = config.noise_model.build(_std_floor(pixels, self.normalization))
        if start:
            network.load_state_dict(start.network.state_dict())
            if noise and start.noise:
                noise.load_state_dict(start.noise.state_dict())
        self.network = on_device(network, device)
        self.noise: NoiseModule | None = noise.to(device) if noise else None
        self.average = copy.deepcopy(self.network).requires_grad_(False)
        self.optimizer = self._make_optimizer()
        self.remembered: deque[Hidden] = deque(maxlen=_REMEMBERED)
        self.probed: deque[Hidden] = deque(maxlen=_REMEMBERED)
        self.updates = 0

    def _make_optimizer(self) -> torch.optim.Optimizer:
        config = self.config
        groups: list[dict[str, Any]] = [
            {"params": self.network.parameters(), "factor": 1.0}
        ]
        if self.noise:
            # The noise is a function of one number: it may learn faster.
            groups.append({"params": self.noise.parameters(), "factor": 2.0})
        return torch.optim.AdamW(
            groups,
            lr=config.learning_rate,
            betas=(0.9, 0.99),
            weight_decay=config.weight_decay,
        )

    def accumulate(self, patches: int, share: float) -> Tensor:
        """Add the gradient of `patches` fresh patches; returns their loss, detached."""
        probe = self.updates % 8 == 7
        hidden = self.observe(self.network, self.config.masking, patches, probe)
        loss = self._loss(hidden)
        torch.autograd.backward((loss + self._watch(hidden)) * share)
        return loss.detach()

    def observe(
        self, network: nn.Module, masking: Masking, patches: int, probe: bool
    ) -> Hidden:
        """Predict hidden pixels of fresh patches, and remember them.

        With `probe`, also how far noise moves the prediction, at the same pixels.
        """
        luck = self.generator
        batch = self.sampler.draw(patches, luck)  # (B, 1, Y, X)
        height, width = batch.shape[-2:]
        mask = masking.draw(patches, height, width, luck)
        signal = self._predict(network, masking.apply(batch, mask, luck))
        smooth = mask.gather(smoothness(signal.detach()))
        predicted = mask.gather(signal)
        hidden = Hidden(predicted, mask.gather(batch), levelled(predicted, smooth))
        self.remembered.append(hidden.detached())
        if probe and self.noise:
            with torch.no_grad():
                noisier = self.noise.renoise(signal, batch, luck)
                moved = self._predict(network, masking.apply(noisier, mask, luck))
            self.probed.append(
                hidden._replace(observation=mask.gather(moved)).detached()
            )
        return hidden

    def _predict(self, network: nn.Module, masked: Tensor) -> Tensor:
        """Mean signal of a batch (B, 1, Y, X), float32."""
        masked = masked.contiguous(memory_format=torch.channels_last)
        with autocast(self.device, self.dtype):
            output = network(masked)
        return self.config.signal.mean(output).float()

    def _loss(self, hidden: Hidden) -> Tensor:
        """What teaches the network, by the config's objective."""
        signal, observation, _ = hidden
        if self.noise is None or self.config.objective == "squared_error":
            return (observation - signal).square().mean()
        return -self.noise.log_likelihood(signal, observation).mean()

    def _watch(self, hidden: Hidden) -> Tensor:
        """What teaches the noise model alone, from the residuals.

        The likelihood weighs dim pixels most and holds the signal back in the first
        minute; so under the squared error the noise model only watches.
        """
        if self.noise is None or self.config.objective == "likelihood":
            return torch.zeros((), device=self.device)
        return self._noise_loss(hidden)

    def _noise_loss(self, hidden: Hidden) -> Tensor:
        assert self.noise is not None
        signal, observation, weight = hidden
        likelihood = self.noise.log_likelihood(signal.detach(), observation)
        return -(weight * likelihood).sum() / weight.sum()

    def update(self, learning_rate: float) -> None:
        """Take the step that the accumulated gradient points to."""
        # High rates learn fast, but now and then one patch throws them off.
        nn.utils.clip_grad_norm_(self.network.parameters(), _CLIP)
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate * group["factor"]
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.updates += 1
        decay = min(self.config.ema_decay, self.updates / (self.updates + 9))
        with torch.no_grad():
            for mean, now in zip(
                self.average.parameters(), self.network.parameters(), strict=True
            ):
                mean.lerp_(now, 1 - decay)

    def residuals(self) -> Residuals:
        """What recently hidden pixels say of the noise, in raw units."""
        return Residuals.of(self.remembered, self.probed, self.normalization)

    def noise_curve(self) -> NoiseCurve:
        """What is known of the noise now, in raw units."""
        residuals, norm = self.residuals(), self.normalization
        if self.noise is None:
            return NoiseCurve.gaussian(*residuals.scatter())
        low, high = np.percentile(residuals.signal, (0.1, 99.9))
        low, high = (low - norm.offset) / norm.scale, (high - norm.offset) / norm.scale
        curve = raw_curve(self.noise, low, high, norm.offset, norm.scale)
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
        self.remembered.clear()
        self.probed.clear()
        area = self.sampler.patch_size**2
        affordable = int(flop // (2 * self.config.network.flops_per_pixel * area))
        enough = 4 * len(self.sampler.pixels) // area
        patches = max(4, min(affordable, enough))
        masking, share = self.config.masking.sparse(), -(-patches // _REMEMBERED)
        for _ in range(-(-patches // share)):
            with torch.no_grad():
                self.observe(self.average, masking, share, probe=True)
            yield
        if self.noise is None:
            return
        optimizer = torch.optim.Adam(self.noise.parameters(), lr=5e-3)
        pool = Hidden(*(torch.cat(v) for v in zip(*self.remembered, strict=True)))
        for step in range(steps):
            optimizer.param_groups[0]["lr"] = 5e-3 * (1 - step / steps)
            chosen = torch.randint(
                len(pool.signal), (8192,), generator=self.generator, device=self.device
            )
            optimizer.zero_grad()
            loss = self._noise_loss(Hidden(*(values[chosen] for values in pool)))
            torch.autograd.backward(loss)
            optimizer.step()
            yield

    def model(self) -> ChannelModel:
        """Return the model as it stands; it changes no more."""
        network = copy.deepcopy(self.average).eval()
        noise = copy.deepcopy(self.noise).eval() if self.noise else None
        return ChannelModel(network, noise, self.normalization, self.noise_curve())


def _thin(planes: Sequence[NDArray[np.float32]]) -> int:
    return max(1, sum(p.size for p in planes) // 2**20)


def _std_floor(pixels: NDArray[np.float32], norm: Normalization) -> float:
    """Smallest believable noise: that of rounding, or a thousandth of the range."""
    steps = np.diff(np.unique(pixels[:65536]))
    rounding = float(steps.min()) / math.sqrt(12) if len(steps) else 0.0
    return max(0.5 * rounding / norm.scale, 1e-3)
