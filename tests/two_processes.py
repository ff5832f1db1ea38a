"""What each of two processes does that `test_processes.py` starts with torchrun.

What comes of it goes into the folder that is named, with the rank of the process.
"""

import json
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from napari_selfdenoise import STOP, Image, recipe, save_model, train, train_steps
from napari_selfdenoise.compute import Processes
from napari_selfdenoise.training import checkpoint, training_data, training_loop
from napari_selfdenoise.training.channel_trainer import ChannelTrainer

SIDE = 64
STEPS = 16

BOOTSTRAP = {"objective": "bootstrap", "noise_model": "poisson_gaussian"}
"""The first process fits the noise several times while the network learns."""


def noisy(*shape):
    rng = np.random.default_rng(0)
    wave = 60 + 30 * np.sin(np.arange(SIDE) / 5)
    return rng.poisson(np.broadcast_to(wave, (*shape, SIDE, SIDE))).astype(np.uint16)


def quick(**changes):
    small = {"network.width": 4, "network.depth": 1, "patch_size": 32}
    small |= {"steps": STEPS, "flips": False, "device": "cpu", "batch_size": 2}
    return recipe("fast").override(small | {"precision": "float32"} | changes)


def brief():
    """Checkpoints after each step, and brief fits of the noise."""
    checkpoint.EVERY_S = 0.0
    training_loop.THOROUGH = training_loop.BRIEF = training_loop.Effort(1e8, 10)


def pause_after_checkpoints():
    """Leave time to be killed in."""
    plain = checkpoint.CheckpointWriter.write

    def write(self, step, state):
        plain(self, step, state)
        time.sleep(0.1)

    checkpoint.CheckpointWriter.write = write


def whole(folder):
    return train(Image(noisy(), "YX"), quick())


def interrupted(folder):
    """Left after some steps, then gone on with from the checkpoint of the first."""
    image, config, path = Image(noisy(), "YX"), quick(**BOOTSTRAP), folder / "left"
    steps = train_steps(image, config, checkpoint=path)
    next(progress for progress in steps if progress.step >= STEPS // 2)
    steps.close()
    return train(image, config, checkpoint=path, resume=True)


def bootstrapped(folder):
    return train(Image(noisy(), "YX"), quick(**BOOTSTRAP))


def timed(folder):
    """By the clock, of planes that are read between the steps."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training_data, "FIRST_PIXELS", 3 * SIDE**2)
        patch.setattr(training_data, "_LEAST_PIXELS", 0)
        config = quick(context="none", steps=None, budget_s=1.0)
        return train(Image(noisy(12), "TYX"), config)


def stopped(folder):
    """By the second process alone."""
    steps = train_steps(Image(noisy(), "YX"), quick(steps=100_000))
    command = None
    while True:
        try:
            progress = steps.send(command)
        except StopIteration as end:
            return end.value
        asked = not Processes.started().is_first and progress.step > 3
        command = STOP if asked else None


def crowded(folder):
    """The second process has room for a single patch."""
    plain = ChannelTrainer.accumulate

    def accumulate(self, patches, share):
        if patches > 1 and not Processes.started().is_first:
            raise torch.OutOfMemoryError
        return plain(self, patches, share)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ChannelTrainer, "accumulate", accumulate)
        return train(Image(noisy(), "YX"), quick())


def gradients():
    """Of one batch, and of its halves, one a process, averaged."""
    torch.manual_seed(0)
    network = torch.nn.Conv2d(1, 3, 3).to(memory_format=torch.channels_last)
    batch, wanted = torch.rand(4, 1, 8, 8), torch.rand(4, 3, 6, 6)
    found, rank = [], Processes.started().rank
    for part in (slice(None), slice(2 * rank, 2 * rank + 2)):
        loss = (network(batch[part]) - wanted[part]).square().mean()
        found.append(torch.autograd.grad(loss, network.parameters()))
    joined, mine = found
    Processes.started().average(mine)
    return max(float((a - b).abs().max()) for a, b in zip(joined, mine, strict=True))


def main(folder):
    brief()
    rank = Processes.started().rank
    about = {"gradients": gradients()}
    for run in (whole, bootstrapped, interrupted, timed, stopped, crowded):
        model = run(folder)
        save_model(model, folder / f"{run.__name__}{rank}")
        about[run.__name__] = model.provenance["warnings"]
    (folder / f"about{rank}.json").write_text(json.dumps(about))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
