"""What a channel's training needs to go on where it was interrupted."""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from napari_selfdenoise.noise import Differences, MaskedPixels, VarianceCurve
from napari_selfdenoise.training.channel_trainer import ChannelTrainer, make_optimizer
from napari_selfdenoise.training.noise_learning import NoiseLearner
from napari_selfdenoise.training.phase import NoisePhase, Phase

_COMPARED = 2**20  # pixels by which images are recognised


def trainer_state(trainer: ChannelTrainer) -> dict[str, Any]:
    """All that changes while a channel learns, between two steps."""
    return {
        "pixels": fingerprint(trainer),
        "phase": trainer.phase.name,
        "updates": trainer.updates,
        "patches_per_pass": trainer.patches_per_pass,
        "network": dict(trainer.network.state_dict()),
        "average": dict(trainer.average.state_dict()),
        "optimizer": trainer.optimizer.state_dict(),
        "generator": trainer.generator.get_state(),
        "recovery": trainer.recovery.state(),
        "noise": _noise_state(trainer.noise),
    }


def restore_trainer(trainer: ChannelTrainer, state: dict[str, Any]) -> None:
    """Let a fresh trainer of the same images go on from a state.

    Parameters
    ----------
    trainer : ChannelTrainer
        That has read as much as the other one had.
    state : dict
        From `trainer_state`.
    """
    trainer.start_over()
    trainer.phase, trainer.updates = Phase[state["phase"]], state["updates"]
    trainer.patches_per_pass = state["patches_per_pass"]
    trainer.network.load_state_dict(state["network"])
    trainer.average.load_state_dict(state["average"])
    _restore_noise(trainer.noise, state["noise"])
    trainer.recovery.restore(state["recovery"])
    _restore_optimizer(trainer, state["optimizer"])
    _restore_generator(trainer.generator, state["generator"].cpu())


def _restore_generator(generator: torch.Generator, state: Tensor) -> None:
    """Draw on as before; on another kind of device the numbers are others."""
    if state.shape == generator.get_state().shape:
        generator.set_state(state)
    else:
        generator.manual_seed(zlib.crc32(state.numpy().tobytes()))


def _restore_optimizer(trainer: ChannelTrainer, state: dict[str, Any]) -> None:
    """Go on with what an optimiser of the same parameters remembered."""
    if len(state["param_groups"]) != len(trainer.optimizer.param_groups):
        made = make_optimizer(trainer.config, trainer.network, trainer.noise)
        trainer.optimizer = made
    trainer.optimizer.load_state_dict(state)
    # It is to lie in memory as the parameters do: a fused optimiser goes through both
    # side by side, whatever their order is.
    for parameter, known in trainer.optimizer.state.items():
        for name, value in known.items():
            if not isinstance(value, Tensor) or value.ndim == 0:
                continue
            if value.shape != parameter.shape:
                raise ValueError(f"{name} is not of the shape of its weights")
            known[name] = torch.empty_like(parameter).copy_(value)


def fingerprint(trainer: ChannelTrainer) -> int:
    """A number by which the pixels of a training are recognised."""
    pixels = trainer.sampler.pixels
    every = max(1, len(pixels) // _COMPARED)
    return zlib.crc32(pixels[::every].cpu().numpy().tobytes())


def _noise_state(noise: NoiseLearner) -> dict[str, Any]:
    return {
        "phase": noise.phase.name,
        "module": dict(noise.module.state_dict()) if noise.module else None,
        "residuals": list(noise.residual_buffer),
        "probes": list(noise.probe_buffer),
        "contrasts": list(noise.contrasts),
    }


def _restore_noise(noise: NoiseLearner, state: dict[str, Any]) -> None:
    noise.phase = NoisePhase[state["phase"]]
    if noise.module is not None:
        noise.module.load_state_dict(state["module"])
        if noise.phase is NoisePhase.BOOTSTRAPPED:
            noise.module.freeze()
    device = noise.generator.device
    for buffer, kept in (
        (noise.residual_buffer, state["residuals"]),
        (noise.probe_buffer, state["probes"]),
    ):
        buffer.clear()
        buffer.extend(MaskedPixels(*_on(device, values)) for values in kept)
    noise.contrasts = [Differences(*_on(device, v)) for v in state["contrasts"]]
    if noise.contrasts:
        noise.variance = VarianceCurve.of(noise.contrasts, noise.normalization)


def _on(device: Any, values: Iterable[Tensor]) -> list[Tensor]:
    return [value.to(device) for value in values]
