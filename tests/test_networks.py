"""Truths of every network; a new member of the union is tested unasked."""

import math
from typing import get_args

import pytest
import torch
from pydantic import TypeAdapter
from torch import nn

from napari_selfdenoise.parts.networks import HalfPlaneUNet, Network, UNet

MEMBERS = get_args(get_args(Network)[0])
DEPTHS = [1, 2, 3]
POOLINGS = get_args(UNet.model_fields["pooling"].annotation)

SPECS = [member(width=4, depth=depth) for member in MEMBERS for depth in DEPTHS]
SPECS += [UNet(width=4, depth=depth, growth=1) for depth in DEPTHS]
SPECS += [UNet(width=4, pooling=pooling) for pooling in POOLINGS]
SPECS += [UNet(width=4, depth=d, pooling="blur", top_skip=False) for d in DEPTHS]
SPECS += [UNet(width=4, depth=depth, smoothing=0.7) for depth in DEPTHS]
SPECS += [UNet(width=4, depth=depth).sharp for depth in DEPTHS]
SPECS += [UNet(width=4, depth=1, baseline=8)]

every_network = pytest.mark.parametrize("spec", SPECS, ids=repr)


def luck(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def built(spec, outputs=1):
    torch.manual_seed(0)
    network = spec.build(outputs)
    with torch.no_grad():  # biases start at zero, where faults of borders hide
        for weight in network.parameters():
            if weight.ndim == 1:
                weight.normal_(0, 0.3)
    return network


@pytest.mark.parametrize("outputs", [1, 3, 9])
@every_network
def test_the_output_has_the_shape_of_the_image(spec, outputs):
    output = spec.build(outputs)(torch.zeros(2, 1, 16, 24))
    assert output.shape == (2, outputs, 16, 24)
    assert output.dtype == torch.float32


@every_network
def test_the_output_is_exact_where_features_are_not(spec):
    with torch.autocast("cpu", dtype=torch.bfloat16), torch.no_grad():
        output = built(spec)(torch.randn((1, 1, 16, 16), generator=luck()))
    assert output.dtype == torch.float32
    assert not torch.equal(output, output.bfloat16().float())


@pytest.mark.parametrize("outputs", [1, 4, 12])
@every_network
def test_outputs_at_some_pixels_are_those_of_the_whole_image(spec, outputs):
    network = built(spec, outputs)
    image = torch.randn((2, 1, 16, 24), generator=luck())
    positions = torch.randint(16 * 24, (2, 7), generator=luck())
    with torch.no_grad():
        whole = network(image)
        mean, rest = network.at(image, positions)
    torch.testing.assert_close(mean, whole[:, :1])
    places = positions.unsqueeze(1).expand(-1, outputs - 1, -1)
    torch.testing.assert_close(rest, whole[:, 1:].flatten(2).gather(2, places).mT)


@every_network
def test_json_round_trip_by_kind(spec):
    adapter = TypeAdapter(Network)
    assert adapter.validate_json(adapter.dump_json(spec)) == spec


@every_network
def test_a_prediction_depends_on_pixels_within_reach_only(spec):
    network, side = spec.build(1), 2 * spec.receptive_field_radius + 4 * spec.stride
    side = side // spec.stride * spec.stride
    with torch.no_grad():  # so that no path is cut off by a ReLU or cancels another
        for weight in network.parameters():
            weight.abs_().add_(0.01)
    extents = []
    for shift in range(spec.stride):
        y, x = side // 2 + shift, side // 2 - shift
        image = torch.ones((1, 1, side, side), requires_grad=True)
        network(image)[0, 0, y, x].backward()
        rows, columns = image.grad[0, 0].nonzero().unbind(1)
        distance = torch.cat([rows - y, columns - x]).abs().max()
        extents.append(int(distance))
    assert max(extents) <= spec.receptive_field_radius
    # A reach much too long would make tiles slow.
    assert max(extents) > spec.receptive_field_radius - 2 * spec.stride


@every_network
def test_flops_are_those_of_the_convolutions(spec):
    spec, side, counted = spec.model_copy(update={"width": 16}), 96, []

    def count(layer, inputs, output):
        taps = layer.in_channels * layer.out_channels * layer.kernel_size[0] ** 2
        counted.append(2 * taps * len(output) * output.shape[-2] * output.shape[-1])

    network = spec.build(1)
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d):
            layer.register_forward_hook(count)
    network(torch.zeros(1, 1, side, side))
    # Not counted: a last 1x1 layer, and rows beyond the border.
    assert spec.flops_per_pixel == pytest.approx(sum(counted) / side**2, rel=0.05)


@every_network
def test_a_shift_by_the_stride_shifts_the_prediction(spec):
    network = built(spec)
    side = 2 * (spec.receptive_field_radius + 2 * spec.stride) // 16 * 16 + 16
    image = torch.randn((1, 1, side, side), generator=luck())
    shift = (spec.stride, -spec.stride)
    with torch.no_grad():
        moved = network(image.roll(shift, (2, 3)))
        expected = network(image).roll(shift, (2, 3))
    inner = slice(
        spec.receptive_field_radius + spec.stride,
        -(spec.receptive_field_radius + spec.stride),
    )
    assert moved[..., inner, inner].numel() > 0
    torch.testing.assert_close(
        moved[..., inner, inner], expected[..., inner, inner], rtol=1e-4, atol=1e-5
    )


@pytest.mark.parametrize("member", MEMBERS)
def test_the_initial_state_depends_on_the_seed_only(member):
    def weights(seed):
        torch.manual_seed(seed)
        return torch.cat([w.flatten() for w in member(width=4).build(1).parameters()])

    assert torch.equal(weights(3), weights(3))
    assert not torch.equal(weights(3), weights(4))


@every_network
def test_features_neither_die_nor_explode_at_the_start(spec):
    torch.manual_seed(0)
    network = spec.model_copy(update={"width": 16}).build(1)
    with torch.no_grad():
        output = network(torch.randn((1, 1, 64, 64), generator=luck()))
    assert 0.005 < output.std() < 1


@every_network
def test_every_weight_learns(spec):
    network = built(spec)
    network(torch.randn((1, 1, 32, 32), generator=luck())).square().mean().backward()
    for name, weight in network.named_parameters():
        assert weight.grad.abs().max() > 0, name


# Pooling and the top skip ----------------------------------------------------------


def test_blurred_pooling_is_a_binomial_mean_of_maxima():
    image = torch.randn((2, 3, 12, 16), generator=luck())
    pooled = UNet(pooling="blur").build(1).pool(image)
    y, x = 2, 5  # sees the rows 2 y - 1 to 2 y + 2, in 3 x 3 overlapping 2 x 2 blocks
    near = image[..., 2 * y - 1 : 2 * y + 3, 2 * x - 1 : 2 * x + 3]
    highest = near.unfold(2, 2, 1).unfold(3, 2, 1).amax((-1, -2))  # (2, 3, 3, 3)
    weight = torch.tensor([1.0, 2.0, 1.0]) / 4
    expected = (highest * torch.outer(weight, weight)).sum((-1, -2))
    assert pooled.shape == (2, 3, 6, 8)
    torch.testing.assert_close(pooled[..., y, x], expected)


@pytest.mark.parametrize("axis", [2, 3])
def test_blurred_pooling_favours_no_side(axis):
    pool = UNet(pooling="blur").build(1).pool
    image = torch.randn((1, 2, 12, 16), generator=luck())
    torch.testing.assert_close(pool(image.flip(axis)), pool(image).flip(axis))


def test_blurred_pooling_hardly_moves_with_the_grid():
    """What it is for: plain maxima of every other pixel jump when the image shifts."""
    wave = torch.sin(torch.arange(64.0)).expand(1, 1, 64, 64)

    def change(pooling):
        pool = UNet(pooling=pooling).build(1).pool
        a, b = (pool(wave.roll(shift, 3))[..., 4:-4, 4:-4] for shift in (0, 1))
        return (a.std(-1) - b.std(-1)).abs().mean()

    assert change("blur") < change("max")


def test_a_network_without_the_top_skip_hears_the_top_only_through_a_pooling():
    network = built(UNet(width=4, top_skip=False))
    whole = built(UNet(width=4))
    assert set(whole.state_dict()) - set(network.state_dict()) == {
        "up.0.skipped.weight"
    }
    image = torch.randn((1, 1, 16, 16), generator=luck())
    with torch.no_grad():
        expected = network(image)
        # A skip would see the top level's features; the pooling sees their mean.
        first = network.down[0]
        network.down[0] = nn.Sequential(first, nn.AvgPool2d(2), nn.Upsample(None, 2))
        torch.testing.assert_close(network(image), expected)


def test_only_a_network_that_is_blind_says_so():
    assert [spec.blind for spec in (UNet(), HalfPlaneUNet())] == [False, True]


# Half-planes -----------------------------------------------------------------------

SIDES = [(16, 16), (15, 15), (13, 22), (24, 16), (3, 9), (1, 5), (1, 1)]
every_side = pytest.mark.parametrize("sides", SIDES, ids=str)
every_depth = pytest.mark.parametrize("depth", DEPTHS)


def pixels_of(height, width):
    corners = [(y, x) for y in (0, height - 1) for x in (0, width - 1)]
    return {*corners, (height // 2, width // 2), (height // 3, width - 1)}


@every_side
@every_depth
def test_a_half_plane_network_is_blind_at_every_pixel(depth, sides):
    network = built(HalfPlaneUNet(width=4, depth=depth), outputs=3)
    image = torch.randn((2, 1, *sides), generator=luck())
    with torch.no_grad():
        before = network(image)
        assert before.shape == (2, 3, *sides)
        for y, x in pixels_of(*sides):
            other = image.clone()
            other[..., y, x] = 1e6
            after = network(other)
            assert torch.equal(after[..., y, x], before[..., y, x]), (y, x)
            if len(pixels_of(*sides)) > 1:
                assert not torch.equal(after, before)


@every_side
@every_depth
def test_a_half_plane_network_sees_every_neighbour(depth, sides):
    network = built(HalfPlaneUNet(width=4, depth=depth))
    for y, x in pixels_of(*sides):
        image = torch.randn((1, 1, *sides), generator=luck(), requires_grad=True)
        network(image)[0, 0, y, x].backward()
        seen = torch.nn.functional.pad(image.grad[0, 0] != 0, (1, 1, 1, 1))
        inside = torch.nn.functional.pad(torch.ones(sides), (1, 1, 1, 1)) > 0
        inside[y + 1, x + 1] = False
        near = (slice(y, y + 3), slice(x, x + 3))
        # Neighbours may lose to others in a pooling, but not the direct ones to all.
        assert not (seen[near] & ~inside[near]).any()
        direct = torch.tensor([[0, 1, 0], [1, 0, 1], [0, 1, 0]], dtype=torch.bool)
        assert torch.equal(seen[near] & direct, inside[near] & direct)


def test_the_four_half_planes_together_are_all_but_the_pixel():
    network = built(HalfPlaneUNet(width=4, depth=1))
    image = torch.randn((1, 1, 20, 20), generator=luck(), requires_grad=True)
    halves = network._half_planes(image).unflatten(1, (4, -1))  # (B, 4, C, Y, X)
    looked = []
    for half in halves.unbind(1):
        half[0, :, 9, 10].sum().backward(retain_graph=True)
        looked.append(image.grad[0, 0] != 0)
        image.grad = None
    (above, *_), below = looked, looked[2]
    assert above.any()
    assert not above[9:].any()
    assert below.any()
    assert not below[:10].any()
    assert not torch.stack(looked).any(0)[9, 10]


def test_square_and_oblong_images_are_predicted_alike():
    spec = HalfPlaneUNet(width=4, depth=1)
    network, reach = built(spec), spec.receptive_field_radius
    image = torch.randn((1, 1, 48, 64), generator=luck())
    with torch.no_grad():
        inner = network(image)[..., : 48 - reach, : 48 - reach]
        square = network(image[..., :48])[..., : 48 - reach, : 48 - reach]
    torch.testing.assert_close(square, inner, rtol=1e-4, atol=1e-5)


def test_a_half_plane_network_learns_from_every_pixel_without_copying_it():
    """White noise has nothing to predict: the best guess is its mean, not itself."""
    network = built(HalfPlaneUNet(width=4, depth=1))
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-2)
    generator = luck()
    for _ in range(60):
        noise = torch.randn((4, 1, 32, 32), generator=generator)
        loss = (network(noise) - noise).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() == pytest.approx(1, abs=0.1)


def test_smoothing_is_that_of_a_gaussian_for_the_mean_alone():
    smooth = UNet(smoothing=1.5).build(1).smooth
    outputs = torch.zeros(1, 3, 41, 41)
    outputs[..., 20, 20] = 1
    mean, *rest = smooth(outputs)[0]
    assert mean.sum() == pytest.approx(1)
    at = torch.arange(41) - 20.0
    for axis in (0, 1):
        width = (mean.sum(axis) * at**2).sum().sqrt()
        assert width == pytest.approx(math.sqrt(1.5**2 + 1 / 12), rel=1e-2)
    for other in rest:
        assert torch.equal(other, outputs[0, 1])
    flat = smooth(torch.full((1, 1, 8, 8), 5.0))
    torch.testing.assert_close(flat, torch.full((1, 1, 8, 8), 5.0))


def test_a_network_that_knows_nothing_predicts_the_baseline():
    network = UNet(width=4, baseline=1.5).build(3)
    nn.init.zeros_(network.head.weight)
    image = torch.zeros(1, 1, 40, 40)
    image[..., 20, 20] = 1
    mean, *rest = network(image)[0].detach()
    assert mean.sum() == pytest.approx(1)
    at = torch.arange(40) - 20.0
    for axis in (0, 1):
        width = (mean.sum(axis) * at**2).sum().sqrt()
        assert width == pytest.approx(math.sqrt(1.5**2 + 1 / 12), rel=1e-2)
    assert not any(other.any() for other in rest)
    sharp = UNet(width=4).sharp.build(1)
    nn.init.zeros_(sharp.head.weight)
    assert not sharp(image).any()


def test_a_baseline_wider_than_the_network_looks_widens_the_reach():
    assert (
        UNet(width=4, depth=1).receptive_field_radius
        < UNet(width=4, depth=1, baseline=8).receptive_field_radius
    )


def test_a_network_is_wider_where_there_is_much_to_learn_from():
    asked = UNet(width=16, scales=True)
    assert asked.scaled(512**2) == UNet(width=16)
    assert asked.scaled(400 * 180**2) == UNet(width=32)
    assert UNet(width=16).scaled(400 * 180**2) == UNet(width=16)
    assert UNet(width=256, scales=True).scaled(10**8).width == 256
