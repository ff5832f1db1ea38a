"""What a run leaves in the viewer, and what it leaves as it was."""

import numpy as np
import pytest

from napari_selfdenoise.plugin.layers import METADATA_KEY

pytestmark = pytest.mark.gl

NAMES = ["cells denoised", "cells noise std", "cells noise distribution"]


def stack(noisy, *counts):
    """Copies of the noisy image, each a little brighter than the one before."""
    steps = np.arange(np.prod(counts), dtype=np.uint16).reshape(*counts, 1, 1)
    return noisy + 5 * steps


def made(layer):
    return layer.metadata[METADATA_KEY]


# The view ----------------------------------------------------------------------------


def view_from_home(desk):
    """What Home, the sliders, the grid and the scale bar go by."""
    desk.viewer.reset_view()
    camera = getattr(desk.viewer, "scene", desk.viewer).camera
    dims, extent = desk.viewer.dims, desk.viewer.layers.extent
    home = [camera.zoom, *camera.center[-2:]]
    step = extent.step.tolist()
    sliders = [float(number) for span in dims.range for number in span]
    labels = [*dims.axis_labels, *(f"{unit:~}" for unit in extent.units)]
    return home + step + sliders, labels


UM = {"units": "um", "scale": (0.108, 0.108)}
PLACES = {
    "16-bit, 0.108 um": ((), UM),
    "pixels": ((), {}),
    "named axes": ((), {"axis_labels": ("y", "x")}),
    "time": ((3,), {"axis_labels": tuple("tyx"), "scale": (30, 0.1, 0.1)}),
    "nowhere near zero": ((), {"translate": (900, -40), "scale": (0.3, 0.2)}),
    "4-D": ((2, 2), {"axis_labels": tuple("tzyx"), "scale": (30, 0.5, 0.1, 0.1)}),
    "turned": ((), {"rotate": 20, "shear": [0.3], "scale": (0.1, 0.7)}),
    "mirrored": ((2,), {"affine": np.diag([1, -0.4, 0.2, 1])}),
}


@pytest.mark.parametrize("place", PLACES)
def test_the_view_is_the_same_after_a_run(open_desk, noisy, place):
    counts, options = PLACES[place]
    desk = open_desk(show=place == "16-bit, 0.108 um")
    image = 400 * (stack(noisy, *counts) if counts else noisy)
    desk.viewer.add_image(image, name="cells", **options)
    _, labels = view_from_home(desk)
    desk.train()
    assert desk.names() == ["cells", *NAMES]
    after, now = view_from_home(desk)
    assert now == labels
    layer = desk.layer(NAMES[-1])
    assert layer.data.shape <= noisy.shape and min(layer.data.shape) > 20
    low, high = made(layer)["axes"]["signal"]
    assert low < np.median(image) < high  # grey values, wherever it lies
    for name in NAMES:  # the canvas is as large as after the run
        desk.viewer.layers.remove(name)
    np.testing.assert_allclose(after, view_from_home(desk)[0], rtol=1e-9)


# What is chosen ----------------------------------------------------------------------


@pytest.mark.parametrize("key", ["fish", "synthetic"])
@pytest.mark.parametrize("dock_first", [False, True])
def test_the_noisy_sample_is_chosen(make_napari_viewer, key, dock_first):
    viewer = make_napari_viewer()
    if not dock_first:
        viewer.open_sample("napari-selfdenoise", key)
    _, dock = viewer.window.add_plugin_dock_widget("napari-selfdenoise", "Denoise")
    if dock_first:
        viewer.open_sample("napari-selfdenoise", key)
    clean, noisy = viewer.layers
    assert noisy.data.dtype.kind == "u"
    assert dock.controls.layer.currentText() == noisy.name
    assert viewer.layers.selection.active == noisy
    assert clean.name.endswith("(reference)") and not clean.visible
    assert made(clean)["reference"]
    viewer.layers.remove(noisy)
    assert dock.controls.layer.currentText() == ""
    assert "(reference)" in dock.controls.layer.itemText(0)  # it can still be chosen


def test_a_result_is_never_the_next_source_by_itself(desk, noisy):
    desk.viewer.add_image(noisy, name="cells")
    desk.train()
    desk.viewer.add_image(noisy, name="other")
    combo = desk.controls.layer
    offered = [combo.itemText(index) for index in range(combo.count())]
    assert offered == ["cells", "other", *NAMES]
    for name in ("cells", "other"):
        desk.viewer.layers.remove(name)
    assert desk.controls.axes.text().startswith("Choose an image.")
    assert combo.currentText() == "" and not desk.button("train").isEnabled()
    desk.choose("cells denoised")  # who wants it can
    assert desk.button("train").isEnabled()
