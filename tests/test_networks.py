import pytest
import torch
from torch import nn

from napari_selfdenoise.networks import UNet

every_depth = pytest.mark.parametrize("depth", [1, 2, 3])


@pytest.mark.parametrize("growth", [1, 2])
@pytest.mark.parametrize("outputs", [1, 3])
@every_depth
def test_the_output_has_the_shape_of_the_image(depth, outputs, growth):
    network = UNet(width=4, depth=depth, growth=growth).build(outputs)
    assert network(torch.zeros(2, 1, 16, 24)).shape == (2, outputs, 16, 24)


@every_depth
def test_a_prediction_depends_on_pixels_within_reach_only(depth):
    spec = UNet(width=4, depth=depth)
    network, side = spec.build(1), 2 * spec.reach + 4 * spec.stride
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
    assert max(extents) <= spec.reach
    # A reach much too long would make tiles slow.
    assert max(extents) > spec.reach - 2 * spec.stride


@pytest.mark.parametrize("growth", [1, 2])
@every_depth
def test_flops_are_those_of_the_convolutions(depth, growth):
    spec, side, counted = UNet(depth=depth, growth=growth), 32, []

    def count(layer, inputs, output):
        taps = layer.in_channels * layer.out_channels * layer.kernel_size[0] ** 2
        counted.append(2 * taps * output.shape[-2] * output.shape[-1])

    network = spec.build(1)
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d):
            layer.register_forward_hook(count)
    network(torch.zeros(1, 1, side, side))
    # The 1x1 layers are not counted: about a hundredth.
    assert spec.flops_per_pixel == pytest.approx(sum(counted) / side**2, rel=0.03)


@every_depth
def test_a_shift_by_the_stride_shifts_the_prediction(depth):
    torch.manual_seed(0)
    spec = UNet(width=4, depth=depth)
    network = spec.build(1)
    side = 2 * (spec.reach + 2 * spec.stride) // 16 * 16 + 16
    image = torch.randn(1, 1, side, side)
    shift = (spec.stride, -spec.stride)
    with torch.no_grad():
        moved = network(image.roll(shift, (2, 3)))
        expected = network(image).roll(shift, (2, 3))
    inner = slice(spec.reach + spec.stride, -(spec.reach + spec.stride))
    assert moved[..., inner, inner].numel() > 0
    torch.testing.assert_close(
        moved[..., inner, inner], expected[..., inner, inner], rtol=1e-4, atol=1e-5
    )


def test_the_initial_state_depends_on_the_seed_only():
    def weights(seed):
        torch.manual_seed(seed)
        return torch.cat([w.flatten() for w in UNet(width=4).build(1).parameters()])

    assert torch.equal(weights(3), weights(3))
    assert not torch.equal(weights(3), weights(4))
