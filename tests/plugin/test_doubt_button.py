"""The button "Where not to trust": a mask over the result, and the coverage."""

import numpy as np
import pytest

from napari_selfdenoise.plugin.viewer.marks import METADATA_KEY

pytestmark = [pytest.mark.gl, pytest.mark.slow]

NAME = "cells where not to trust"


def image(side=80):
    rng = np.random.default_rng(0)
    light = 500 + 200 * np.sin(np.arange(side) / 9)[:, None] * np.ones(side)
    noisy = light + rng.normal(0, 30, (side, side))
    noisy[60, 20] = 60_000
    return np.rint(noisy).astype(np.uint16)


def doubted(desk):
    desk.press("doubt")
    assert "%" in desk.button("doubt").text()
    desk.until(lambda: NAME in [layer.name for layer in desk.viewer.layers])
    return desk.layer(NAME)


def test_a_mask_lies_over_the_result_until_the_next_run(open_desk):
    desk = open_desk()
    source = desk.viewer.add_image(image(), name="cells", scale=(0.2, 0.3))
    assert not desk.button("doubt").isEnabled()
    assert "Train" in desk.button("doubt").toolTip()
    desk.pick(objective="squared_error")
    desk.pick(estimator="single_pass")
    desk.train()
    mask = doubted(desk)
    assert mask.data.shape == source.data.shape and mask.data.dtype == np.uint8
    assert mask.data[60, 20] == 3 and (mask.data == 3).sum() < 10
    assert tuple(mask.scale) == (0.2, 0.3) and mask.opacity < 0.8
    assert "clipped" in list(mask.features["why"])[3]
    assert desk.button("doubt").text() == "Where not to trust"
    assert "hold" in desk.status() and "not to be trusted" in desk.status()
    assert mask.metadata[METADATA_KEY]["intervals"].startswith("Intervals of 90 %")
    # Pressed again: one mask, not two. The next run replaces it with the results.
    desk.viewer.layers.selection.active = source
    desk.press("doubt")
    desk.until(lambda: desk.layer(NAME) is not mask)
    desk.train()
    assert NAME not in [layer.name for layer in desk.viewer.layers]


def test_a_model_that_learned_by_sure_cannot_be_judged(open_desk):
    desk = open_desk()
    desk.viewer.add_image(image(64), name="cells")
    desk.pick(objective="sure")
    desk.train()
    uses_sure = desk.widget.model.config.uses_sure
    assert desk.button("doubt").isEnabled() is not uses_sure
    assert ("SURE" in desk.button("doubt").toolTip()) is uses_sure
