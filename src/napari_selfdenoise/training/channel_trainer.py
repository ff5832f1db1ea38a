"""What learns: the network, optimiser and patches of one channel."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from napari_selfdenoise.compute import free_memory, lacks_memory
from napari_selfdenoise.config import TrainingConfig
from napari_selfdenoise.images import Normalization
from napari_selfdenoise.model import ChannelModel, on_device, run
from napari_selfdenoise.parts.context import Context, FullVolume, NetworkInput
from napari_selfdenoise.parts.networks import NetworkModule
from napari_selfdenoise.parts.noise_models import NoiseCurve, NoiseModule, NoiseUnits
from napari_selfdenoise.parts.psf import NoPSF, Optics, darkest_level
from napari_selfdenoise.training.masked_prediction import (
    MaskedPrediction,
    MaskedPredictor,
)
from napari_selfdenoise.training.noise_learning import NoiseLearner
from napari_selfdenoise.training.objectives import (
    Likelihood,
    MarginalLikelihood,
    Objective,
    SquaredError,
)
from napari_selfdenoise.training.observations import (
    Observations,
    observed,
    std_floor,
)
from napari_selfdenoise.training.paired_prediction import PairedPredictor
from napari_selfdenoise.training.patches import (
    Contexts,
    Patches,
    PatchSampler,
)
from napari_selfdenoise.training.phase import NoisePhase, Phase
from napari_selfdenoise.training.plan import TrainingPlan
from napari_selfdenoise.training.plane_reader import TrainingPlane
from napari_selfdenoise.training.recorded_passes import RecordedPasses
from napari_selfdenoise.training.recovery import EVERY, Recovery
from napari_selfdenoise.training.sure_loss import SureProbe
from napari_selfdenoise.training.targets import PairedPlanes
from napari_selfdenoise.training.volume_patches import VolumePatches

# Updates between two measurements of how far noise moves the prediction.
_PROBED_EVERY = 8

# High rates learn fast, but now and then one patch throws them off.
_LARGEST_GRADIENT = 0.3

_UNTURNED = ((False, False, False),)


class _Learned(NamedTuple):
    """What a pass has learned from.

    Parameters
    ----------
    loss, squared_error : Tensor
        Means over its pixels, scalars; the second is that of the predictions.
    predicted : MaskedPrediction or None
        What the network made of masked pixels, where pixels were masked.
    """

    loss: Tensor
    squared_error: Tensor
    predicted: MaskedPrediction | None

    def detached(self) -> _Learned:
        """Return the same values without the way that they were computed."""
        predicted = self.predicted and self.predicted.detached()
        return _Learned(self.loss.detach(), self.squared_error, predicted)


class ChannelTrainer:
    """Network, optimiser and patches of one channel.

    Parameters
    ----------
    planes : sequence of TrainingPlane
        What to learn from.
    plan : TrainingPlan
        What to train.
    channel : int
        Which channel of the images it is.
    start : ChannelModel, optional
        Continue from these weights.

    Attributes
    ----------
    phase : Phase
        What teaches the network now.
    noise : NoiseLearner
        The noise model, and what it is learned from.
    average : NetworkModule
        Running average of the weights: what predicts.
    updates : int
        Steps of the optimiser so far.
    patches_per_pass : int
        That were last learned from at once: predicting alone takes less room.
    generator : torch.Generator
        Of patches, masks and noise.
    """

    def __init__(
        self,
        planes: Sequence[TrainingPlane],
        plan: TrainingPlan,
        channel: int,
        start: ChannelModel | None = None,
    ) -> None:
        self.config, self.device, self.dtype = plan.config, plan.device, plan.dtype
        self._level = plan.noise_levels[channel]
        seed = self.config.seed + channel
        generator = torch.Generator(plan.device).manual_seed(seed)
        planes, volumes = _in_volumes(planes, self.config.context)
        paired = _paired(planes, self.config)
        shown = Observations.of(paired.planes, self.config.masking.binning)
        self._pixel_to_bin_std, pixels = shown.pixel_to_bin_std, shown.sample()
        norm = start.normalization if start else Normalization.measure(pixels)
        self.normalization = norm
        around = _contexts(planes, self.config, channel)
        self.sampler = _make_sampler(shown, around, norm, plan, paired, volumes)
        units = NoiseUnits(norm.offset, norm.scale, std_floor(pixels, norm))
        network, noise = _make_modules(self.config, seed, units, start)
        self.network = on_device(network, plan.device)
        noise = noise.to(plan.device) if noise else None
        self.optics = _make_optics(shown, norm, plan)
        self.average = copy.deepcopy(self.network).requires_grad_(False)
        self.generator = generator
        self.recovery = Recovery(self.network, self.sampler.pixels)
        self.noise = NoiseLearner(noise, self.config, norm, generator)
        how = self.sampler, self.optics, self.dtype, generator
        self._predictor = _predictor_of(self.config)(self.config, *how)
        self._passes = _make_passes(self.config, noise, generator)
        likelihood = MarginalLikelihood(self.config, self.noise)
        self._objectives: dict[Phase, Objective] = {
            Phase.SQUARED_ERROR: SquaredError(likelihood),
            Phase.LIKELIHOOD: Likelihood(likelihood),
        }
        self.phase, self.updates = Phase.SQUARED_ERROR, 0
        self.patches_per_pass = 1
        self.optimizer = make_optimizer(self.config, self.network, self.noise)

    # Learning -------------------------------------------------------------------------

    def add(self, planes: Sequence[TrainingPlane]) -> None:
        """Learn from more planes, from now on."""
        self._passes.forget()
        size, clean = self.config.masking.binning, [one.clean for one in planes]
        self.sampler.add(*observed(clean, size), Contexts.of(planes, size))

    def enter_next_phase(self) -> None:
        """Go over from the squared error to the config's objective."""
        self._passes.forget()
        self.phase = Phase.SURE if self.config.uses_sure else Phase.LIKELIHOOD

    def accumulate(self, patches: int, share: float) -> Tensor:
        """Add the gradient of fresh patches.

        Parameters
        ----------
        patches : int
            How many to draw.
        share : float
            Of an update, that they are.

        Returns
        -------
        Tensor
            Their loss, a scalar, detached.
        """
        self.patches_per_pass = patches
        probes = self.updates % _PROBED_EVERY == _PROBED_EVERY - 1
        kind = patches, share, probes, self.phase, self.noise.phase
        work = partial(self._learn, patches, share, probes)
        learned = self._passes.run(kind, work, _parameters(self.optimizer))
        if learned.predicted:
            self.noise.collect(learned.predicted)
        self.recovery.watch(learned.squared_error, share)
        return learned.loss

    def _learn(self, patches: int, share: float, probes: bool) -> _Learned:
        """Add the gradient of fresh patches: kernels alone, as it may be recorded."""
        if self.phase is Phase.SURE:
            learned, total = self._sure_loss(patches)
        else:
            learned, total = self._masked_loss(patches, probes)
        torch.autograd.backward(total * share)
        return learned.detached()

    def _masked_loss(self, patches: int, probes: bool) -> tuple[_Learned, Tensor]:
        """Loss of masked pixels, and the same with what else is learned."""
        noise, masking = self.noise.module if probes else None, self.config.masking
        predicted = self._predictor.predict(self.network, masking, patches, noise)
        masked = predicted.masked
        objective = self._objectives[self.phase]
        loss = objective.loss(predicted)
        total = loss + self._penalty(predicted.phantom)
        if self.noise.follows_gradient and not objective.teaches_noise:
            # The likelihood weighs dim pixels most and holds the signal back in the
            # first minute; so the noise model is taught apart, by the residuals.
            total = total + self.noise.loss(predicted.of_noise)
        error = _squared_error(masked.signal, masked.observation)
        return _Learned(loss, error, predicted), total

    def _sure_loss(self, patches: int) -> tuple[_Learned, Tensor]:
        """SURE of fresh patches, and the same with the penalty."""
        assert self._level is not None, "the plan has a level where SURE is"
        batch, good, context = self.sampler.draw(patches, self.generator)
        std = self._level.std / self.normalization.scale
        probe = SureProbe.draw(batch, std, self.generator)
        images = probe.images()
        outputs = self._predictor.outputs(self.network, images, None, context)
        loss = probe.risk(outputs.mean, good)
        error = _squared_error(outputs.mean, images)
        return _Learned(loss, error, None), loss + self._penalty(outputs.phantom)

    def _penalty(self, phantom: Tensor) -> Tensor:
        """Price of a phantom with less than no light."""
        psf = self.config.psf
        if self.optics is None or isinstance(psf, NoPSF):
            return torch.zeros((), device=self.device)
        return psf.positivity_weight * self.optics.penalty(phantom)

    def update(self, learning_rate: float) -> None:
        """Take the step that the accumulated gradient points to."""
        nn.utils.clip_grad_norm_(self.network.parameters(), _LARGEST_GRADIENT)
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate * group["factor"] * self.recovery.slower
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.updates += 1
        decay = min(self.config.ema_decay, self.updates / (self.updates + 9))
        _follow(self.average, self.network, decay)
        if self.updates % EVERY == 0:
            self.recover()

    def start_over(self) -> None:
        """Forget the gradient that was accumulated since the last update."""
        self._passes.forget()
        self.optimizer.zero_grad(set_to_none=True)

    def recover(self) -> None:
        """Go back to earlier weights, if the training was thrown off."""
        if self.recovery.rescued(self.average):
            self.optimizer = make_optimizer(self.config, self.network, self.noise)

    def bootstrap(
        self, flop: float, steps: int, noise_fraction: float
    ) -> Iterator[None]:
        """Fit the noise model to predictions as if they were clean, and keep it so.

        See `NoiseLearner.bootstrap`; from then on the likelihood teaches the network.
        """
        self._passes.forget()
        fit = partial(self.noise.bootstrap, self._predictor, self.average)
        how = flop, steps, noise_fraction
        yield from _where_there_is_room(self, lambda patches: fit(patches, *how))
        # What the fit has left would else move the noise model once more.
        self.optimizer.zero_grad(set_to_none=True)
        self.enter_next_phase()

    def fit_final_noise(self, flop: float, steps: int) -> Iterator[None]:
        """Fit the noise model to the residuals of the averaged network, bit by bit.

        See `NoiseLearner.fit_final`. Nothing is done after SURE: the network no
        longer knows what to make of masked pixels.
        """
        self._passes.forget()
        if self.phase is Phase.SURE:
            return
        fit = partial(self.noise.fit_final, self._predictor, self.average)
        yield from _where_there_is_room(self, lambda p: fit(p, flop, steps))

    # What is known now ----------------------------------------------------------------

    @torch.no_grad()
    def mean(self, patches: Patches) -> Tensor:
        """What the averaged network predicts, (B, 1, Y, X), normalised."""
        batch, _, context = patches
        return self._predictor.outputs(self.average, batch, None, context).mean

    @torch.no_grad()
    def denoised(self, images: Tensor, context: Tensor | None = None) -> Tensor:
        """Mean of images of pixels, (B, 1, Y, X); with `context` as `NetworkInput`."""
        size, volumetric = self.config.masking.binning, self.config.context.volumetric
        images, planes, place = NetworkInput.of(images, context, volumetric)
        outputs = run(self.average, self.optics, images, self.dtype, size, planes)
        return outputs.mean[place]

    def draw_unturned(self, patches: int) -> Patches:
        """Draw patches as they lie."""
        return self.sampler.draw(patches, self.generator, turned=False)

    def scatter(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Signal and noise std of a pixel, measured in bins of signals; raw, (n,)."""
        if self.phase is Phase.SURE and self._level:
            return np.array(self._level.signal), np.array(self._level.by_signal)
        signal, std = self.noise.scatter()
        return signal, std * self._pixel_to_bin_std

    def noise_curve(self) -> NoiseCurve:
        """Noise of a pixel as it is known now, raw units."""
        given = self.noise.phase is NoisePhase.GIVEN
        if self.phase is Phase.SURE and self._level and not given:
            low, high = self.noise.signal_range()
            return NoiseCurve.line(0.0, self._level.std**2, low, high)
        return self.noise.curve().scaled(self._pixel_to_bin_std)

    def model(self) -> ChannelModel:
        """Return the model as it stands; it changes no more."""
        network, module = copy.deepcopy(self.average).eval(), self.noise.module
        noise = copy.deepcopy(module).eval() if module else None
        return ChannelModel(
            network, noise, self.normalization, self.noise_curve(), self.optics
        )


def _where_there_is_room(
    trainer: ChannelTrainer, fit: Callable[[int], Iterator[None]]
) -> Iterator[None]:
    """Fit the noise; in smaller passes where the device has no room for it."""
    while True:
        try:
            yield from fit(trainer.patches_per_pass)
            return
        except (RuntimeError, MemoryError) as error:
            if not lacks_memory(error) or trainer.patches_per_pass == 1:
                raise
        # Not above: there the error still holds what was computed.
        free_memory()
        trainer.patches_per_pass = max(1, trainer.patches_per_pass // 2)


def _make_passes(
    config: TrainingConfig, noise: NoiseModule | None, generator: torch.Generator
) -> RecordedPasses[_Learned]:
    return RecordedPasses(generator, _repeats_itself(config, noise))


def _repeats_itself(config: TrainingConfig, noise: NoiseModule | None) -> bool:
    """Whether passes differ in their numbers alone, and never wait for the device."""
    if config.context.volumetric or config.supervision != "self":
        return False  # as no graphics card has shown that recordings of these are right
    # Without a closed form, a look at the prior decides where it is evaluated.
    return not config.masking.targets_vary and (noise is None or noise.closed_form)


def _parameters(optimizer: torch.optim.Optimizer) -> Iterator[nn.Parameter]:
    for group in optimizer.param_groups:
        yield from group["params"]


def _squared_error(signal: Tensor, observation: Tensor) -> Tensor:
    return (observation - signal).detach().square().mean()


# What a trainer is made of ------------------------------------------------------------


def _predictor_of(config: TrainingConfig) -> type[MaskedPredictor]:
    return MaskedPredictor if config.supervision == "self" else PairedPredictor


def _paired(planes: Sequence[TrainingPlane], config: TrainingConfig) -> PairedPlanes:
    """Planes and what they are to predict, where that is not themselves."""
    if config.supervision == "self":
        return PairedPlanes.alone(planes)
    return PairedPlanes.of(planes, both=config.supervision == "pair")


def _make_sampler(
    shown: Observations,
    around: Contexts | None,
    normalization: Normalization,
    plan: TrainingPlan,
    paired: PairedPlanes,
    volumes: VolumePatches | None,
) -> PatchSampler:
    masking = plan.config.masking
    turns = masking.orientations if plan.config.augment else _UNTURNED
    return PatchSampler(
        shown.planes,
        shown.good,
        normalization,
        plan.patch_size,
        turns,
        plan.device,
        masking.binning,
        around,
        paired.partners,
        paired.inputs,
        volumes,
    )


def _contexts(
    planes: Sequence[TrainingPlane], config: TrainingConfig, channel: int
) -> Contexts | None:
    """Contexts of planes, and what stands in place of other channels at times."""
    return Contexts.of(planes, config.masking.binning, config.channels.levels(channel))


def _in_volumes(
    planes: Sequence[TrainingPlane], context: Context
) -> tuple[Sequence[TrainingPlane], VolumePatches | None]:
    """Planes in the order of their volumes, and the patches that these have."""
    if isinstance(context, FullVolume):
        return VolumePatches.of(planes, context)
    return planes, None


def _make_modules(
    config: TrainingConfig, seed: int, units: NoiseUnits, start: ChannelModel | None
) -> tuple[NetworkModule, NoiseModule | None]:
    """Network and noise model: as those of a model, or with weights by the seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network, noise = config.build_network(), config.noise_model.build(units)
    if start:
        network.load_state_dict(start.network.state_dict())
    if start and noise and start.noise:
        noise.load_state_dict(start.noise.state_dict())
    return network, noise


def _make_optics(
    shown: Observations, normalization: Normalization, plan: TrainingPlan
) -> Optics | None:
    psf = plan.config.psf
    if isinstance(psf, NoPSF):
        return None
    given = psf.background
    level = darkest_level(shown.planes) if given is None else given
    background = (level - normalization.offset) / normalization.scale
    return Optics(plan.kernel, background, psf.positivity).to(plan.device)


@torch.no_grad()
def _follow(average: NetworkModule, network: NetworkModule, decay: float) -> None:
    """Move a running average towards the weights as they are now."""
    mean, now = (tuple(m.parameters()) for m in (average, network))
    torch._foreach_lerp_(mean, now, 1 - decay)  # all in one go


def make_optimizer(
    config: TrainingConfig, network: NetworkModule, noise: NoiseLearner
) -> torch.optim.Optimizer:
    """Make what teaches a network, and its noise model where a gradient does."""
    groups: list[dict[str, Any]] = [{"params": network.parameters(), "factor": 1.0}]
    if noise.module and noise.follows_gradient:
        # The noise is a function of one number: it may learn faster.
        groups.append({"params": noise.module.parameters(), "factor": 2.0})
    device = next(network.parameters()).device
    return torch.optim.AdamW(
        groups,
        lr=config.learning_rate,
        betas=(0.9, 0.99),
        weight_decay=config.weight_decay,
        # All weights in one go: there are many, and small ones.
        fused=device.type in ("cpu", "cuda"),
    )
