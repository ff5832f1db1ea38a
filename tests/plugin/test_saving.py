"""Result layers saved by napari's File menu, with all that their source knew."""

import numpy as np
import pytest
import tifffile
from qtpy.QtWidgets import QFileDialog
from window_helpers import notified, stack

from napari_selfdenoise import read_image
from napari_selfdenoise.images import Image, rounded

pytestmark = pytest.mark.gl

FLOAT = "calibrated TIFF"
WHOLE = "calibrated TIFF, type of the source"


@pytest.fixture
def save(monkeypatch):
    """Save the selected layer by napari's dialog, and return what napari says."""

    def do(desk, layer, path, kind):
        desk.viewer.layers.selection.active = desk.layer(layer)
        chosen = f"Self-Denoise {kind} (*.tif *.tiff)"
        monkeypatch.setattr(
            QFileDialog, "getSaveFileName", lambda *_, **__: (str(path), chosen)
        )
        with notified() as told:
            desk.viewer.window._qt_viewer._save_layers_dialog(selected=True)
        return " ".join(one.message for one in told)

    return do


def test_a_result_is_saved_with_all_that_its_file_knew(desk, noisy, tmp_path, save):
    ramps = np.arange(256)[None] * np.eye(3)[:2, :, None]
    about = {"axes": "TCYX", "unit": "um", "finterval": 2.5, "mode": "composite"}
    about |= {"LUTs": list(ramps.astype(np.uint8)), "Labels": ["DAPI", "GFP"] * 2}
    film = stack(noisy, 2, 2)
    options = {"imagej": True, "resolution": (10, 10), "metadata": about}
    tifffile.imwrite(tmp_path / "film.tif", film, **options)
    desk.drop(tmp_path / "film.tif")
    desk.until(desk.names)
    assert "2 channels (DAPI, GFP)" in desk.controls.axes.text()
    desk.train()
    told = save(desk, "film denoised", tmp_path / "out.tif", FLOAT)
    assert told.startswith("Saved out.tif: 2 time points of 2 channels (DAPI, GFP)")
    image = read_image(tmp_path / "out.tif")
    np.testing.assert_array_equal(image.data, desk.layer("film denoised").data)
    assert image.axes == "TCYX" and image.channel_names == ("DAPI", "GFP")
    np.testing.assert_allclose(image.pixel_size, (2.5, 1, 0.1, 0.1))
    assert image.units == ("s", "pixel", "µm", "µm")
    np.testing.assert_array_equal(image.look.tables, ramps)
    limits = desk.layer("film denoised").contrast_limits
    with tifffile.TiffFile(tmp_path / "out.tif") as tif:
        assert tif.imagej_metadata["max"] == pytest.approx(limits[1])
    # In the type of the source; napari's own dialog may leave the suffix away.
    save(desk, "film denoised", tmp_path / "whole 0.5 px", WHOLE)
    whole = read_image(tmp_path / "whole 0.5 px.tif")
    assert whole.dtype == np.uint16
    np.testing.assert_allclose(whole.data, image.data, atol=0.5)
    # A standard deviation has no type of its source.
    told = save(desk, "film noise std", tmp_path / "std.tif", WHOLE)
    assert "Not rounded" in told
    std = read_image(tmp_path / "std.tif")
    assert std.dtype == np.float32 and std.channel_names == ("DAPI", "GFP")


def test_clipping_is_reported(desk, tmp_path, save):
    values = np.full((20, 30), 200, np.float32)
    values[0, :3], values[1, 0], values[2, 0] = 300, -5, np.nan
    known = {"selfdenoise_file": {"dtype": "uint8"}}
    desk.viewer.add_image(values, name="bright", metadata=known, scale=(0.1, 0.1))
    told = save(desk, "bright", tmp_path / "out.tif", WHOLE)
    assert "4 pixels (0.67 %) were clipped: 1 below 0, 3 above 255." in told
    assert "1 pixel (0.17 %) was set to 0: no number there." in told
    image = read_image(tmp_path / "out.tif")
    assert image.dtype == np.uint8 and image.data[0, 0] == 255 and image.data[1, 0] == 0


def test_a_file_that_is_there_is_not_replaced_unasked(desk, noisy, tmp_path, save):
    (tmp_path / "out.tif").write_text("precious")
    desk.viewer.add_image(noisy, name="cells")
    with pytest.raises(Exception, match="is there already"):
        save(desk, "cells", tmp_path / "out", FLOAT)
    assert (tmp_path / "out.tif").read_text() == "precious"


def test_values_are_rounded_in_any_order_of_axes():
    values = np.random.default_rng(0).uniform(-1, 9, (4, 5, 3)).astype(np.float32)
    made = rounded(Image(values, "XYT"), np.uint8)
    np.testing.assert_array_equal(made.image.data, np.rint(values).clip(0))
    assert made.low == (np.rint(values) < 0).sum() and made.high == 0
