"""A training that was thrown off goes on from weights that were sound."""

import copy

import pytest
import torch
from torch import nn

from napari_selfdenoise import DenoisingError, denoise, train
from napari_selfdenoise.evaluation import psnr
from napari_selfdenoise.training.channel_trainer import ChannelTrainer
from napari_selfdenoise.training.recovery import EVERY, Recovery

pytestmark = pytest.mark.slow

PIXELS = torch.randn(1000, generator=torch.Generator().manual_seed(0))
SOUND = torch.zeros(4, 10), torch.ones(4, 10)
LOST = torch.zeros(4, 10), torch.full((4, 10), 10.0)


def layer(value: float) -> nn.Linear:
    made = nn.Linear(2, 1)
    nn.init.constant_(made.weight, value)
    return made


def watched(recovery, average, values):
    """Whether weights were put back after a round of updates."""
    for _ in range(EVERY):
        signal, observation = values
        recovery.watch((observation - signal).square().mean(), 1.0)
    return recovery.rescued(average)


def test_sound_weights_are_put_back_and_steps_become_smaller():
    network, average = layer(1), layer(2)
    recovery = Recovery(network, PIXELS)
    assert not watched(recovery, average, SOUND)
    nn.init.constant_(network.weight, 99)
    nn.init.constant_(average.weight, 88)
    assert watched(recovery, average, LOST)
    assert torch.all(network.weight == 2) and torch.all(average.weight == 2)
    assert (recovery.rescues, recovery.slower) == (1, 0.5)


@pytest.mark.parametrize("bad", [torch.inf, torch.nan])
def test_what_is_no_number_is_not_sound(bad):
    network, average = layer(1), layer(2)
    recovery = Recovery(network, PIXELS)
    watched(recovery, average, SOUND)
    assert watched(recovery, average, (SOUND[0], torch.full((4, 10), bad)))


def test_nothing_is_put_back_before_anything_was_sound():
    network = layer(1)
    assert not watched(Recovery(network, PIXELS), layer(2), LOST)
    assert torch.all(network.weight == 1)


def test_what_never_was_a_number_is_refused():
    recovery = Recovery(layer(1), PIXELS)
    with pytest.raises(DenoisingError, match="smaller learning rate"):
        watched(recovery, layer(2), (SOUND[0], torch.full((4, 10), torch.nan)))


def test_it_is_given_up_where_nothing_helps():
    recovery = Recovery(layer(1), PIXELS)
    watched(recovery, layer(2), SOUND)
    with pytest.raises(DenoisingError, match="diverged"):
        for _ in range(20):
            watched(recovery, layer(2), LOST)
    assert recovery.rescues == 8


def test_a_training_that_is_thrown_off_ends_well(scene, config, monkeypatch):
    config = config.override({"steps": 200})
    update = ChannelTrainer.update
    thrown = []

    def stumbling(self, rate):
        update(self, rate)
        if self.updates == EVERY + 5:
            thrown.append(copy.deepcopy(self.network))
            for weight in self.network.parameters():
                weight.data.mul_(30)

    sound = train(scene.image, config)
    monkeypatch.setattr(ChannelTrainer, "update", stumbling)
    model = train(scene.image, config)
    assert thrown
    assert "became unstable once" in " ".join(model.provenance["warnings"])
    assert "became unstable" not in " ".join(sound.provenance["warnings"])
    scores = [
        psnr(denoise(scene.image, one).denoised.data, scene.signal)
        for one in (model, sound)
    ]
    assert scores[0] > scores[1] - 2.0


@pytest.mark.parametrize(("squared", "sound"), [(1.5, True), (3.0, False)])
def test_errors_of_twice_the_image_are_those_of_a_lost_network(squared, sound):
    """One that knows nothing but the mean errs by the variance of the image."""
    recovery, average = Recovery(layer(1), PIXELS), layer(2)
    watched(recovery, average, SOUND)
    errors = torch.full((4, 10), float((squared * PIXELS.var()).sqrt()))
    assert watched(recovery, average, (torch.zeros(4, 10), errors)) is not sound
