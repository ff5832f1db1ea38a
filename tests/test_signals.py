"""Truths of every signal head."""

from statistics import NormalDist
from typing import get_args

import pytest
import torch
from pydantic import TypeAdapter

from napari_selfdenoise.parts.signal_heads import MixtureSignal, SampledSignal, Signal

MEMBERS = get_args(get_args(Signal)[0])
HEADS = [member() for member in MEMBERS]
HEADS += [MixtureSignal(components=n) for n in (2, 5)] + [SampledSignal(samples=7)]

every_head = pytest.mark.parametrize("head", HEADS, ids=repr)


def outputs(head, scale=1.0):
    luck = torch.Generator().manual_seed(0)
    values = scale * torch.randn((50, head.outputs), generator=luck)
    return values.double().requires_grad_()


@every_head
def test_the_first_output_is_the_mean(head):
    values = outputs(head)
    prior = head.prior(values[:, 0], values[:, 1:])
    assert torch.allclose(prior.expectation(), values[:, 0], atol=1e-6)


@every_head
def test_weights_add_up_to_one(head):
    values = outputs(head)
    prior = head.prior(values[:, 0], values[:, 1:])
    total = prior.log_weight.exp().sum(-1)
    assert torch.allclose(total, torch.ones_like(total))


@every_head
def test_only_heads_that_spread_have_a_variance(head):
    values = outputs(head)
    variance = head.prior(values[:, 0], values[:, 1:]).variance()
    assert bool((variance > 0).all()) == head.spreads
    assert bool((variance == 0).all()) != head.spreads


@every_head
def test_a_fresh_network_starts_with_a_believable_spread(head):
    if not head.spreads:
        return
    values = outputs(head, 0.0)
    std = head.prior(values[:, 0], values[:, 1:]).variance().sqrt()
    assert ((std > 0.05) & (std < 1)).all()


@every_head
@pytest.mark.parametrize("scale", [1.0, 1e4])
def test_gradients_are_finite_at_any_output(head, scale):
    values = outputs(head, scale)
    prior = head.prior(values[:, 0], values[:, 1:])
    (prior.variance() + prior.expectation()).sum().backward()
    assert values.grad.isfinite().all()


@every_head
def test_json_round_trip_by_kind(head):
    adapter = TypeAdapter(Signal)
    assert adapter.validate_json(adapter.dump_json(head)) == head


def test_the_shape_of_a_mixture_follows_a_tenth_of_its_outputs():
    """An output of 10 makes one component e times as likely as another, not e^10."""
    head = MixtureSignal(components=2)
    rest = torch.zeros(1, head.outputs - 1)
    rest[0, 1] = 10.0  # after the width: weights, places, widths
    weights = head.prior(torch.zeros(1), rest).log_weight
    assert float(weights[0, 0] - weights[0, 1]) == pytest.approx(1.0, abs=1e-5)


def test_an_output_of_ten_moves_a_sample_by_one_std():
    """Of the Gaussian that samples start as; here the middle one meets the upper."""
    rest = torch.zeros(1, SampledSignal(samples=3).outputs - 1)
    rest[0, 2] = 10 * NormalDist().inv_cdf(5 / 6)  # of thirds, the upper one's middle
    lower, middle, upper = SampledSignal(samples=3).prior(torch.zeros(1), rest).mean[0]
    assert middle - lower > 0.1
    assert float(middle) == pytest.approx(float(upper), abs=1e-6)
