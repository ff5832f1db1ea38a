"""A Z stack that is denoised as a whole volume from the Denoise dock."""

import numpy as np
import pytest

pytestmark = pytest.mark.gl


def test_a_stack_is_denoised_as_a_volume(open_desk, noisy):
    desk = open_desk(show=True)
    desk.controls.method.expand(animate=False)
    desk.controls.folded.expand(animate=False)
    stack = np.stack([noisy] * 5) + np.random.default_rng(0).poisson(20, (5, 64, 64))
    desk.viewer.add_image(
        stack.astype(np.uint16), name="stack", axis_labels=("z", "y", "x")
    )
    desk.choose("stack")
    desk.pick(context="volume", estimator="single_pass")
    assert "half-plane" not in desk.why_not("masking", "random")
    assert "Bins of pixels" in desk.why_not("masking", "bins")
    desk.train()
    result = next(name for name in desk.names() if name != "stack")
    found = np.asarray(desk.layer(result).data)
    assert found.shape == stack.shape
    assert found.std() < stack.std()
    assert desk.widget.model.config.context.kind == "volume"
    desk.until(desk.is_narrow)
