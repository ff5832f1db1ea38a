"""Pointing at a pixel of the image draws what its estimate is made of."""

from copy import deepcopy
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from napari_selfdenoise import NoiseCurve, TrainedModel, TrainingConfig, save_model
from napari_selfdenoise.images import Normalization
from napari_selfdenoise.model import ChannelModel
from napari_selfdenoise.parts.estimators import PosteriorMean, SinglePass
from napari_selfdenoise.parts.networks import UNet
from napari_selfdenoise.parts.noise_models import NoiseUnits, PoissonGaussianNoise
from napari_selfdenoise.parts.signal_heads import GaussianSignal, PointSignal

pytestmark = [pytest.mark.gl, pytest.mark.slow]

CURVES = {"prior", "likelihood", "posterior"}


def model_of(pixels, channels=1, **parts):
    """A model with random weights, which is there at once."""
    torch.manual_seed(0)
    parts = {"signal": GaussianSignal(), "estimator": PosteriorMean()} | parts
    config = TrainingConfig(
        network=UNet(width=4, depth=1),
        noise_model=PoissonGaussianNoise(),
        flips=False,
        **parts,
    )
    norm = Normalization.measure(pixels.astype(np.float32))
    curve = NoiseCurve.line(1.0, 1.0, 0.0, 200.0)
    network = config.build_network().eval()
    units = NoiseUnits(norm.offset, norm.scale, 1e-3)
    channel = ChannelModel(network, config.noise_model.build(units), norm, curve)
    # Files hold no tensor twice.
    return TrainedModel(config, tuple(deepcopy(channel) for _ in range(channels)))


class Hand:
    """Loads a model and points at pixels of a layer."""

    def __init__(self, desk, tmp_path):
        self.desk, self.folder = desk, tmp_path
        self.panel, self.prober = desk.controls.probe, desk.widget._prober

    def take(self, model, name="model"):
        before = self.desk.widget.model
        self.desk.widget.load_model(save_model(model, self.folder / name))
        self.desk.until(lambda: self.desk.widget.model not in (None, before))
        self.desk.finish()

    def point(self, layer, *place, wait=True):
        """Move the mouse over a pixel, as napari reports it."""
        position = layer.data_to_world(place)
        for callback in list(self.desk.viewer.mouse_move_callbacks):
            callback(self.desk.viewer, SimpleNamespace(position=position))
        if wait:
            prober = self.prober
            self.desk.until(lambda: not prober._soon.isActive() and prober._run is None)

    def drawn(self):
        return {name for name, (x, _) in self.panel.plot.series().items() if x.size}

    def words(self):
        return self.panel.words.text()


@pytest.fixture
def hand(desk, tmp_path):
    return Hand(desk, tmp_path)


def test_pointing_at_a_pixel_draws_its_curves_and_its_share(hand, noisy):
    controls, viewer = hand.desk.controls, hand.desk.viewer
    layer = viewer.add_image(noisy, name="cells", scale=(0.108,) * 2, units=("um",) * 2)
    assert not controls.probe.box.isEnabled()  # there is no model yet
    hand.take(model_of(noisy))
    controls.probe.box.setChecked(True)
    assert controls.loss_plot.isHidden() and controls.noise_plot.isHidden()
    assert not controls.probe.plot.isHidden()
    hand.point(layer, 12, 40)
    assert hand.drawn() == CURVES | {"observed", "denoised"}
    first = hand.words()
    assert "The pixel itself:" in first
    assert f"y 12, x 40: recorded {noisy[12, 40]}" in first
    observed, _ = hand.panel.plot.series()["observed"]
    assert set(observed) == {float(noisy[12, 40])}
    for name in CURVES:
        x, y = hand.panel.plot.series()[name]
        assert np.trapezoid(y, x) == pytest.approx(1)
    assert "posterior" in hand.panel.plot.to_csv()
    hand.point(layer, 13, 40)
    assert "y 13, x 40" in hand.words() != first
    shown = hand.words()
    hand.point(layer, 13, 4000)  # beside the image, on the way to the plot
    assert hand.words() == shown and hand.drawn()
    controls.probe.box.setChecked(False)
    assert not controls.loss_plot.isHidden() and hand.panel.plot.isHidden()
    assert not viewer.mouse_move_callbacks


def test_the_plane_and_channel_under_the_mouse_are_probed(hand, noisy):
    pixels = np.stack([noisy + 5 * n for n in range(6)]).reshape(3, 2, 64, 64)
    layer = hand.desk.viewer.add_image(
        pixels, name="stack", axis_labels=("z", "c", "y", "x"), scale=(2, 1, 0.1, 0.1)
    )
    hand.take(model_of(pixels, channels=2))
    hand.panel.box.setChecked(True)
    hand.point(layer, 2, 1, 7, 9)
    assert f"z 2, c 1, y 7, x 9: recorded {pixels[2, 1, 7, 9]}" in hand.words()
    assert hand.drawn() >= CURVES


def test_another_model_layer_or_none_is_probed_anew(hand, noisy):
    viewer = hand.desk.viewer
    layer = viewer.add_image(noisy, name="cells")
    hand.take(model_of(noisy))
    hand.panel.box.setChecked(True)
    hand.point(layer, 12, 40)
    hand.take(
        model_of(noisy, signal=PointSignal(), estimator=SinglePass()), name="other"
    )
    assert not hand.drawn()  # those were the other model's
    hand.point(layer, 12, 40)
    assert "single values" in hand.words()
    assert hand.drawn() == {"likelihood", "observed", "denoised"}
    other = viewer.add_image(noisy[::-1] + 50, name="others")
    hand.desk.choose("others")
    assert not hand.drawn()
    hand.point(other, 12, 40)
    assert f"recorded {noisy[::-1][12, 40] + 50}" in hand.words()
    other.data = noisy
    hand.point(other, 12, 40)
    assert f"recorded {noisy[12, 40]}" in hand.words()
    viewer.layers.clear()
    assert not hand.drawn()
    assert "no image to probe" in hand.panel.plot.promise.text()


def test_the_estimate_of_a_run_is_that_of_its_layer(hand, noisy):
    layer = hand.desk.viewer.add_image(noisy, name="cells")
    hand.desk.train()
    hand.panel.box.setChecked(True)
    hand.point(layer, 20, 30)
    denoised = hand.desk.layer("cells denoised").data[20, 30]
    value, _ = hand.panel.plot.series()["denoised"]
    assert value[0] == pytest.approx(denoised)


def test_a_model_of_other_channels_is_refused_with_a_sentence(hand, noisy):
    layer = hand.desk.viewer.add_image(noisy, name="cells")
    hand.take(model_of(noisy, channels=2))
    hand.panel.box.setChecked(True)
    hand.point(layer, 12, 40)
    assert "trained on 2 channels" in hand.panel.plot.promise.text() + hand.words()


def test_the_volume_view_is_not_probed(hand, noisy):
    stack = np.stack([noisy] * 3)
    layer = hand.desk.viewer.add_image(stack, name="stack")
    hand.take(model_of(stack))
    hand.panel.box.setChecked(True)
    hand.desk.viewer.dims.ndisplay = 3
    hand.point(layer, 1, 5, 5)
    assert "2D" in hand.panel.plot.promise.text()
    assert not hand.drawn()
