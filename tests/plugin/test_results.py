"""What a run leaves in the viewer, and what it leaves as it was."""

import threading
import warnings

import dask.array as da
import numpy as np
import pytest
from window_helpers import NAMES, stack

import napari_selfdenoise.training.plane_reader as sampling
from napari_selfdenoise.images import plane_choice, pyramid
from napari_selfdenoise.plugin.denoise import forecast
from napari_selfdenoise.plugin.viewer import results
from napari_selfdenoise.plugin.viewer.layers import METADATA_KEY
from napari_selfdenoise.prediction import image_planes, predict
from napari_selfdenoise.prediction import predict as prediction

pytestmark = pytest.mark.gl


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


# What is not denoised yet ------------------------------------------------------------


def lazy(image):
    return da.from_array(image, chunks=(1, *image.shape[1:]))


@pytest.fixture
def slow_tiles(monkeypatch):
    """A prediction in which each tile is waited for; `held` while one is."""
    go = threading.Semaphore(0)
    go.held = False
    write = image_planes.ImagePlanes._write

    def waiting(*where):
        go.held = not go.acquire(blocking=False)
        if go.held:
            assert go.acquire(timeout=120)  # a busy machine takes its time
            go.held = False
        return write(*where)

    monkeypatch.setattr(image_planes.ImagePlanes, "_write", waiting)
    monkeypatch.setattr(prediction, "tile_side", lambda *_: 32)
    yield go
    go.release(1000)


@pytest.mark.parametrize("kind", [np.asarray, lazy])
def test_the_raw_image_shows_until_it_is_denoised(desk, noisy, slow_tiles, kind):
    film = stack(noisy, 5)
    desk.viewer.add_image(kind(film), name="cells", contrast_limits=(0, 300))
    desk.viewer.dims.set_point(0, 2)
    desk.press("train")
    slow_tiles.release(6)  # of four tiles a frame
    desk.until(lambda: "cells denoised" in desk.names())
    layer = desk.layer("cells denoised")
    desk.until(lambda: (np.asarray(layer.data) != film).mean() > 0.29)
    desk.until(lambda: slow_tiles.held)  # the seventh is under way
    desk.press("stop")
    slow_tiles.release(1)
    desk.finish()
    shown = np.asarray(layer.data)
    changed = [share > 0.9 for share in (shown != film).mean(axis=(1, 2))]
    assert changed == [False, False, True, False, False]  # the frame in view first
    np.testing.assert_array_equal(shown[[0, 3, 4]], film[[0, 3, 4]])
    known = made(layer)
    assert known["done"] == 7 / 20 and known["planes_done"] == [[2]]
    assert layer.name == "cells denoised (35 % done)"
    assert np.isnan(desk.layer("cells noise std (35 % done)").data[4]).all()
    assert "1 of 5 images are denoised, the others show the raw" in desk.status()

    slow_tiles.release(100)
    desk.press("denoise")
    desk.finish()
    assert desk.names() == ["cells", *NAMES]  # in the place of the unfinished one
    layer = desk.layer("cells denoised")
    assert type(layer.data) is np.ndarray and made(layer)["done"] == 1
    assert (layer.data != film).mean() > 0.9


def test_a_preview_shows_the_raw_image_around_it(desk, noisy):
    film = stack(noisy, 3)
    desk.viewer.add_image(film, name="cells")
    desk.viewer.dims.set_point(0, 1)
    desk.endless()
    desk.press("train")
    desk.until(lambda: "cells denoised" in desk.names())
    shown = desk.layer("cells denoised").data.copy()
    assert (shown[1] != film[1]).mean() > 0.9
    np.testing.assert_array_equal(shown[[0, 2]], film[[0, 2]])
    desk.press("stop")
    desk.press("stop")  # the denoising as well
    desk.finish()
    assert desk.names() == ["cells"]
    assert "nothing is denoised" in desk.status() and desk.widget.model is not None


# Stop and Cancel ---------------------------------------------------------------------


def test_the_stop_button_says_what_it_does(desk, noisy, slow_tiles):
    stop = desk.button("stop")
    desk.viewer.add_image(noisy, name="cells")
    desk.endless()
    desk.begin()
    assert stop.text() == "Stop" and "then denoised" in stop.toolTip()
    desk.press("stop")
    assert stop.text() == "Stop denoising" and stop.isEnabled()
    slow_tiles.release(1)
    desk.until(lambda: slow_tiles._value == 0)  # one tile of four is written
    desk.press("stop")
    slow_tiles.release(1)
    desk.finish()
    assert "of the image is denoised, the rest shows the raw image" in desk.status()
    assert stop.text() == "Stop"


def test_hardly_trained_is_said_first(desk, noisy):
    desk.viewer.add_image(noisy, name="cells")
    desk.endless()
    desk.press("train")
    desk.press("stop")
    desk.finish()
    assert desk.status().startswith("Hardly trained. The training was stopped after 1")
    assert "Done" not in desk.status() and "remaining error" not in desk.status()


def test_cancel_leaves_all_as_before(desk, noisy):
    desk.viewer.add_image(noisy, name="other")
    source = desk.viewer.add_image(noisy, name="cells")
    camera = getattr(desk.viewer, "scene", desk.viewer).camera
    camera.zoom = 3.3
    desk.choose("cells")
    desk.endless()
    for wait in (False, True):
        desk.press("train")
        if wait:
            desk.until(lambda: "cells denoised" in desk.names())
        desk.press("cancel")
        desk.finish()
        assert desk.names() == ["other", "cells"] and desk.widget.model is None
        assert desk.viewer.layers.selection.active == source
        assert camera.zoom == 3.3
        assert (
            desk.status().startswith("Cancelled")
            and not desk.button("cancel").isEnabled()
        )
        assert len(desk.controls.loss_plot.series()["loss"][0]) == 0


def test_cancel_keeps_the_last_run(desk, noisy, slow_tiles):
    """Its layers, and its model, wherever the cancelled run is."""
    desk.viewer.add_image(noisy, name="cells")
    slow_tiles.release(4)
    desk.train()
    before = [desk.layer(name) for name in desk.names()]
    model = desk.widget.model
    desk.press("train")
    slow_tiles.release(2)
    desk.until(lambda: len(desk.names()) == 5)  # it denoises
    desk.press("cancel")
    slow_tiles.release(10)
    desk.finish()
    assert [desk.layer(name) for name in desk.names()] == before
    assert desk.widget.model is model


# The source goes ---------------------------------------------------------------------


@pytest.mark.parametrize("stage", ["training", "denoising"])
@pytest.mark.parametrize("clear", [False, True])
def test_no_layer_comes_back(desk, noisy, slow_tiles, stage, clear):
    desk.viewer.add_image(stack(noisy, 3), name="cells")
    if not clear:
        desk.viewer.add_image(noisy, name="other")
        desk.choose("cells")
    if stage == "training":
        desk.endless()
    desk.press("train")
    if stage == "denoising":
        slow_tiles.release(2)
    desk.until(lambda: "cells denoised" in desk.names())
    if clear:
        desk.viewer.layers.clear()
    else:
        desk.viewer.layers.remove("cells")
    slow_tiles.release(100)
    desk.finish()
    assert desk.names() == ([] if clear else ["other"])
    assert desk.controls.layer.currentText() == ("" if clear else "other")
    assert "The layer is gone, so nothing is denoised" in desk.status()
    assert desk.widget.model is not None
    desk.viewer.add_image(noisy, name="third")  # of which this is not true
    desk.choose("third")
    assert not desk.status()


def test_results_stay_whatever_comes_after_the_run(desk, noisy, tmp_path):
    (tmp_path / "bad.safetensors").write_text("no model")
    desk.viewer.add_image(noisy, name="cells")
    desk.train()
    model = desk.widget.model
    desk.drop(tmp_path / "bad.safetensors")
    desk.until(lambda: "bad.safetensors" in desk.status())
    assert desk.names() == ["cells", *NAMES] and desk.widget.model is model
    desk.viewer.layers.remove("cells")
    desk.qtbot.wait(50)
    assert desk.names() == NAMES
    assert desk.button("stop").text() == "Stop"


# Several runs ------------------------------------------------------------------------


def test_a_run_takes_the_place_of_the_last_one(desk, noisy):
    desk.viewer.add_image(noisy, name="below")
    desk.viewer.add_image(noisy, name="cells")
    desk.viewer.add_image(noisy, name="above")
    for name in ("cells", "below", "cells", "cells"):
        desk.choose(name)
        desk.train()
    results = [name.replace("cells", "below") for name in NAMES]
    assert desk.names() == ["below", *results, "cells", *NAMES, "above"]


def test_runs_that_are_kept_have_one_number_each(desk, noisy):
    desk.viewer.add_image(stack(noisy, 2), name="cells", axis_labels=("c", "y", "x"))
    desk.train()
    desk.controls.keep.click()
    for _ in range(2):
        desk.train()
    parts = ["denoised", "noise std", "noise distribution 0", "noise distribution 1"]
    ends = ["", " [2]", " [3]"]
    expected = [f"cells {part}{end}" for end in ends for part in parts]
    assert desk.names() == ["cells", *expected]
    desk.controls.keep.click()
    desk.train()  # in the place of the third; the others were kept
    assert desk.names() == ["cells", *expected]


def test_what_the_user_changed_is_hers(desk, noisy):
    desk.viewer.add_image(noisy, name="cells")
    desk.train()
    desk.layer("cells denoised").name = "the good one"
    desk.layer("cells noise std").data = noisy.astype(np.float32)
    hers = [desk.layer("the good one"), desk.layer("cells noise std")]
    desk.train()
    assert all(layer in desk.viewer.layers for layer in hers)
    fresh = [f"{name} [2]" for name in NAMES]
    assert desk.names() == ["cells", "the good one", "cells noise std", *fresh]


# Contrast ----------------------------------------------------------------------------


def test_a_result_without_hot_pixels_is_not_shown_as_black(desk, noisy):
    hot = noisy.astype(np.uint16)
    hot[20, 30] = 60_000
    desk.viewer.add_image(hot, name="cells")
    desk.train()
    low, high = desk.layer("cells denoised").contrast_limits
    assert high - low < 1000
    assert desk.layer("cells").contrast_limits[1] == 60_000


def test_a_result_has_the_contrast_of_its_image(desk, noisy):
    desk.viewer.add_image(noisy, name="cells", contrast_limits=(20, 130))
    desk.train()
    assert desk.layer("cells denoised").contrast_limits == [20, 130]


# What layers know --------------------------------------------------------------------


def test_results_lie_where_the_source_lies(desk, noisy):
    affine = np.array([[0, 1, 3], [-1, 0.2, -2], [0, 0, 1]], float)
    source = desk.viewer.add_image(
        noisy,
        name="cells",
        scale=(0.3, 0.2),
        translate=(5, -7),
        rotate=20,
        shear=[0.1],
        affine=affine,
        units=("um", "um"),
        gamma=0.7,
        blending="additive",
        interpolation2d="linear",
    )
    desk.train()
    for name in NAMES[:2]:
        layer = desk.layer(name)
        for corner in ((0, 0), (0, 63), (63, 0), (63, 63)):
            np.testing.assert_allclose(
                layer.data_to_world(corner), source.data_to_world(corner)
            )
        assert layer.units == source.units
    result = desk.layer(NAMES[0])
    assert result.gamma == 0.7 and result.blending == "additive"
    assert str(result.interpolation2d) == "linear"


@pytest.mark.parametrize(
    "options",
    [
        {"units": ("s", "um", "um"), "axis_labels": ("t", "y", "x")},
        {"units": ("pixel", "nm", "nm")},
        {},
    ],
)
def test_units_of_all_layers_agree(desk, noisy, options):
    desk.viewer.add_image(stack(noisy, 2), name="cells", **options)
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        desk.train()
        desk.viewer.scale_bar.visible = True
    assert not [w for w in seen if "nits" in str(w.message)]
    assert len(desk.names()) == 4
    extent = desk.viewer.layers.extent
    assert extent.units is not None and len(extent.units) == 3


def test_channels_have_a_noise_distribution_each(desk, noisy):
    film = stack(noisy, 2, 2)
    desk.viewer.add_image(film, name="cells", axis_labels=("t", "c", "y", "x"))
    desk.train()
    assert desk.names()[1:] == [
        "cells denoised",
        "cells noise std",
        "cells noise distribution 0",
        "cells noise distribution 1",
    ]
    assert desk.layer("cells denoised").data.shape == film.shape


def test_lazy_layer_stays_lazy(desk, noisy, monkeypatch):
    read = []

    def plane(block, block_info=None):
        read.append(block_info[0]["chunk-location"][0])
        return block

    monkeypatch.setattr(sampling, "MAX_TRAINING_PIXELS", 3 * noisy.size)
    film = da.from_array(stack(noisy, 40), chunks=(1, 64, 64))
    film = film.map_blocks(plane, dtype=film.dtype, meta=np.zeros((0,) * 3, film.dtype))
    desk.viewer.add_image(film, name="film", contrast_limits=(0, 300))
    read.clear()
    desk.controls.axes.setText("")
    desk.widget._show_state()
    assert "40 images" in desk.controls.axes.text() and not read
    desk.endless()
    desk.begin()
    assert len(read) < 15  # eight of them tell whether lines have offsets of their own
    desk.press("stop")
    desk.until(lambda: desk.widget.model is not None)
    desk.finish()
    assert desk.layer("film").data is film
    assert desk.layer("film denoised").data.all()


def test_only_the_chosen_frames_are_denoised(desk, noisy):
    film = stack(noisy, 5)
    desk.viewer.add_image(film, name="film", axis_labels=("t", "y", "x"))
    extent = desk.controls.extent.combo
    extent.setCurrentText("4 to 9")
    desk.press("train")
    assert "There are no frames 4 to 9: there are 5" in desk.status()
    extent.setCurrentText("1 to 2")
    desk.train()
    (name,) = (name for name in desk.names() if "denoised" in name)
    assert name == "film denoised (40 % done)"
    layer = desk.layer(name)
    same = [bool((layer.data[n] == film[n]).all()) for n in range(5)]
    assert same == [True, False, False, True, True]
    assert layer.metadata[METADATA_KEY]["planes_done"] == [[1], [2]]
    assert "2 of 5 images are denoised, the others show the raw" in desk.status()
    desk.viewer.dims.set_current_step(0, 4)
    extent.setCurrentText("what I see")
    desk.press("denoise")
    desk.finish()
    layer = desk.layer("film denoised (20 % done)")
    same = [bool((layer.data[n] == film[n]).all()) for n in range(5)]
    assert same == [True, True, True, True, False]


def test_of_a_large_image_the_part_in_view_is_denoised(desk, noisy, monkeypatch):
    monkeypatch.setattr(plane_choice, "LARGE_PLANE", 0)
    monkeypatch.setattr(predict, "tile_side", lambda *_: 16)
    desk.viewer.add_image(noisy, name="mosaic")
    extent = desk.controls.extent.combo
    assert not extent.isHidden()
    corners = np.array([[20, 36], [28, 45]])
    monkeypatch.setattr(results, "_corners", lambda _: corners)
    extent.setCurrentText("what I see")
    desk.train()
    name = desk.names()[1]
    result = desk.layer(name).data
    changed = result != noisy
    assert changed[16:32, 32:48].any()
    changed[16:32, 32:48] = False
    assert not changed.any()
    assert "6 % of the image is denoised, the rest shows the raw" in desk.status()
    assert "Stopped" not in desk.status()


def test_the_end_of_a_run_says_that_planes_around_may_help(desk, noisy):
    hint = "set Stack to Automatic"
    desk.viewer.add_image(noisy, name="one")
    desk.train()
    assert hint not in desk.status()
    desk.viewer.layers.clear()
    desk.viewer.add_image(stack(noisy, 3), name="film", axis_labels=("t", "y", "x"))
    desk.train()
    assert hint in desk.status()


def test_channels_are_predicted_from_each_other_where_that_is_chosen(desk, noisy):
    hint = "set Channels to Automatic"
    dyes = np.stack([noisy, np.random.default_rng(5).permutation(noisy)])
    desk.viewer.add_image(dyes, name="dyes", axis_labels=("c", "y", "x"))
    desk.train()
    assert hint in desk.status()
    desk.pick(channels="joint")
    desk.train()
    assert hint not in desk.status()
    assert "predicted together with the others" in desk.status()
    assert desk.widget.model.config.channels.helped == (0, 1)
    desk.pick(channels="independent", network="half_plane")
    assert "looks past the pixel" in desk.why_not("channels", "joint")


def test_the_forecast_is_of_the_chosen_frames(desk, noisy, monkeypatch):
    monkeypatch.setattr(forecast, "WAIT_MS", 10)
    desk.endless()
    film = stack(noisy, 20)
    desk.viewer.add_image(film, name="film", axis_labels=("t", "y", "x"))
    text = desk.controls.forecast.text
    desk.until(lambda: text().endswith("of denoising 20 images."))
    extent = desk.controls.extent.combo
    extent.setCurrentText("3 to 7")
    assert text().endswith("of denoising 5 images.")
    extent.setCurrentText("what I see")
    assert text().endswith("of denoising the image.")
    extent.setCurrentText("3 to")  # in the middle of typing
    assert text().endswith("of denoising 20 images.")


def test_an_empty_channel_is_passed_through(desk, noisy):
    dyes = np.stack([noisy, 0 * noisy, noisy])
    desk.viewer.add_image(dyes, name="dyes", axis_labels=("c", "y", "x"))
    desk.train()
    result = desk.layer("dyes denoised").data
    assert (result[1] == 0).all()
    assert (result[0] != noisy).any() and (result[2] != noisy).any()
    assert "1 of 3 planes was blank" in desk.status()


@pytest.mark.parametrize("kind", [np.asarray, lazy])
def test_a_huge_result_is_read_where_it_is_looked_at(
    desk, noisy, slow_tiles, monkeypatch, kind
):
    """Tiles show at once in the level that is in view."""
    monkeypatch.setattr(pyramid, "HUGE_PLANE", 0)
    monkeypatch.setattr(pyramid, "_COARSEST", 16)
    desk.viewer.add_image(kind(noisy), name="mosaic", contrast_limits=(0, 300))
    desk.press("train")
    slow_tiles.release(2)  # of four tiles
    desk.until(lambda: "mosaic denoised" in desk.names() and slow_tiles.held)
    layer = desk.layer("mosaic denoised")
    assert [level.shape for level in layer.data] == [(64, 64), (32, 32), (16, 16)]
    before = np.array(layer.data[-1])
    slow_tiles.release(1)
    desk.until(lambda: (np.asarray(layer.data[-1]) != before).any())
    changed = np.asarray(layer.data[-1]) != before
    assert changed[8:, :8].mean() > 0.9
    changed[8:, :8] = False
    assert not changed.any()
    slow_tiles.release(9)
    desk.finish()
    assert made(layer)["done"] == 1
    assert type(layer.data[0]) is np.ndarray and layer.data[0].shape == (64, 64)
