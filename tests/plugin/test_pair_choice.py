"""A second layer of the scene: offered where it fits, and denoised together."""

import numpy as np
import pytest

pytestmark = pytest.mark.gl


def exposure(seed, side=64):
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:side, :side]
    signal = 60 + 50 * np.sin(x / 7) * np.cos(y / 9)
    return rng.poisson(signal).astype(np.uint16)


def test_a_second_layer_is_offered_where_it_has_the_same_size(open_desk):
    desk = open_desk(show=True)
    choice = desk.controls.pairing
    desk.viewer.add_image(exposure(1), name="first")
    desk.viewer.add_image(exposure(2, 48), name="other size")
    desk.until(lambda: desk.controls.layer.count() == 2)
    assert choice.isHidden()
    desk.viewer.add_image(exposure(3), name="second")
    desk.controls.choose(desk.layer("first"))
    desk.until(lambda: not choice.isHidden())
    names = [choice.layer.itemText(n) for n in range(choice.layer.count())]
    assert names == ["no other layer", "second"]
    assert not choice.value()
    choice.layer.setCurrentText("second")
    desk.until(lambda: choice.kind.isVisibleTo(choice))
    desk.until(desk.is_narrow)


def test_two_layers_are_denoised_together(desk):
    for name, seed in (("first", 1), ("second", 2)):
        desk.viewer.add_image(exposure(seed), name=name)
    desk.controls.choose(desk.layer("first"))
    choice = desk.controls.pairing
    choice.layer.setCurrentText("second")
    desk.train()
    assert desk.widget.model.config.supervision == "pair"
    result = desk.layer("first denoised")
    assert result.metadata["selfdenoise"]["pair"] == "second"
    assert np.isfinite(result.data).all()


def test_a_copy_as_second_exposure_is_refused(desk):
    for name in ("first", "copy"):
        desk.viewer.add_image(exposure(1), name=name)
    desk.controls.choose(desk.layer("first"))
    desk.controls.pairing.layer.setCurrentText("copy")
    desk.train()
    assert "same picture" in desk.status()
    assert desk.names() == ["first", "copy"]
