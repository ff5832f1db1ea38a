"""Files that say odd things, and the camera's dark frame, flat field and mask."""

import threading

import imagecodecs
import numpy as np
import pytest
import tifffile
from napari.utils.notifications import notification_manager
from qtpy.QtWidgets import QFileDialog, QLineEdit
from superqt.utils import WorkerBase
from window_helpers import NAMES, notified, stack

from napari_selfdenoise import Image, denoise
from napari_selfdenoise.defects import camera_correction, corrected
from napari_selfdenoise.errors import DenoisingError
from napari_selfdenoise.images import write_image
from napari_selfdenoise.plugin.denoise import widget as denoise_widget
from napari_selfdenoise.plugin.denoise import work
from napari_selfdenoise.plugin.viewer.layers import METADATA_KEY, axes_of

pytestmark = pytest.mark.gl


@pytest.fixture
def wells(tmp_path, noisy):
    """A file with three positions."""
    path = tmp_path / "wells.ome.tif"
    with tifffile.TiffWriter(path, ome=True) as writer:
        for number in range(3):
            named = {"axes": "YX", "Name": f"well {number}"}
            writer.write(noisy + number, metadata=named, photometric="minisblack")
    return path


def is_shown(widget, desk):
    return widget.isVisibleTo(desk.controls)


def combo(desk, name):
    return desk.controls.corrections.combos[name]


def items(box):
    return [box.itemText(index) for index in range(box.count())]


def choose(box, text):
    """Choose an item as a person does."""
    box.setCurrentIndex(box.findText(text))
    box.activated.emit(box.currentIndex())
    assert box.currentText() == text


def open_file(desk, path):
    count = len(desk.viewer.layers)
    assert desk.drop(path)
    desk.until(lambda: len(desk.viewer.layers) == count + 1)


# Several images in a file -------------------------------------------------------------


def test_positions_are_listed_and_opened(desk, wells, noisy):
    open_file(desk, wells)
    series = desk.controls.series
    assert is_shown(series, desk)
    assert items(series.combo) == ["well 0", "well 1", "well 2"]
    assert "holds 3 images; this is well 0" in desk.status()
    choose(series.combo, "well 2")
    desk.until(lambda: len(desk.viewer.layers) == 2)
    assert desk.controls.layer.currentText() == "wells well 2"
    assert (desk.layer("wells well 2").data == noisy + 2).all()
    assert series.combo.currentText() == "well 2"
    choose(series.combo, "well 0")  # it is there already
    desk.until(lambda: desk.controls.layer.currentText() == "wells well 0")
    assert desk.names() == ["wells well 0", "wells well 2"]


def test_a_file_of_one_image_has_no_list(desk, tmp_path, noisy, wells):
    open_file(desk, wells)
    tifffile.imwrite(tmp_path / "one.tif", noisy)
    open_file(desk, tmp_path / "one.tif")
    assert not is_shown(desk.controls.series, desk)
    desk.choose("wells well 0")
    assert is_shown(desk.controls.series, desk)


def test_one_bad_file_does_not_stop_the_others(desk, tmp_path, noisy):
    for name in ("a.tif", "c.tif"):
        tifffile.imwrite(tmp_path / name, noisy)
    (tmp_path / "broken.tif").write_text("no image")
    desk.drop(*(tmp_path / name for name in ("a.tif", "broken.tif", "c.tif")))

    def was_told():
        sent = [record.message for record in notification_manager.records]
        return any("broken.tif is not a TIFF file" in message for message in sent)

    desk.until(lambda: len(desk.viewer.layers) == 2 and was_told())
    assert sorted(desk.names()) == ["a", "c"]


def test_what_is_odd_about_a_file_is_said(desk, tmp_path, noisy):
    stack = np.stack([noisy] * 10)
    tifffile.imwrite(tmp_path / "a.tif", stack, imagej=True, metadata={"axes": "TYX"})
    whole = (tmp_path / "a.tif").read_bytes()
    (tmp_path / "cut.tif").write_bytes(whole[: len(whole) // 2])
    open_file(desk, tmp_path / "cut.tif")
    assert desk.layer("cut").data.shape == (5, 64, 64)
    assert "5 of its 10 images are whole" in desk.controls.axes.text()
    desk.train()
    assert "5 of its 10 images are whole" in desk.status()


def test_an_inverted_file_looks_inverted_and_so_does_its_result(desk, tmp_path, noisy):
    tifffile.imwrite(tmp_path / "a.tif", noisy, photometric="miniswhite")
    open_file(desk, tmp_path / "a.tif")
    assert (desk.layer("a").data == noisy).all()
    assert desk.layer("a").colormap.name == "gray_r"
    desk.train()
    assert desk.layer("a denoised").colormap.name == "gray_r"


# What axes are ------------------------------------------------------------------------


def test_frames_that_are_called_colours_are_asked_about(desk, tmp_path, noisy):
    frames = np.stack([noisy, noisy + 1, noisy + 2])
    options = {"photometric": "rgb", "planarconfig": "separate"}
    tifffile.imwrite(tmp_path / "rgb.tif", frames, **options)
    open_file(desk, tmp_path / "rgb.tif")
    layer, choice = desk.layer("rgb"), desk.controls.axes_choice
    assert not layer.rgb
    assert layer.data.shape == (3, 64, 64)
    assert desk.controls.axes.text().startswith("3 images of 64 × 64 px")
    asked = "Confirm or choose below what they are: time, depth or channels."
    assert desk.controls.axes.text().endswith(f"calls them colours (RGB). {asked}")
    assert "CYX" not in desk.controls.axes.text()
    assert is_shown(choice, desk)
    (box,) = choice.findChildren(type(desk.controls.layer))
    choose(box, "channels")
    assert layer.axis_labels == ("c", "y", "x")
    assert desk.controls.axes.text().startswith("3 channels of 64 × 64 images")
    assert asked not in desk.controls.axes.text()
    assert is_shown(choice, desk)  # to think again
    choose(box, "time")
    assert layer.axis_labels == ("t", "y", "x")


def test_axes_are_asked_for_only_where_they_have_no_name(desk, noisy):
    choice = desk.controls.axes_choice
    stack = np.stack([[noisy] * 2] * 3)
    for labels, count in {
        ("t", "c", "y", "x"): 0,
        ("axis -4", "z", "axis -2", "axis -1"): 1,
        ("a", "b", "y", "x"): 2,
        ("sample", "t", "y", "x"): 0,
    }.items():
        desk.viewer.layers.clear()
        desk.viewer.add_image(stack, axis_labels=labels)
        assert is_shown(choice, desk) == (count > 0), labels
        assert len(choice._combos) == count
    desk.viewer.layers.clear()
    assert not is_shown(choice, desk)
    desk.viewer.add_image(noisy)
    assert not is_shown(choice, desk)


def test_a_guess_is_no_meaning_until_it_is_confirmed(desk, noisy):
    layer = desk.viewer.add_image(np.stack([[noisy] * 3] * 12))
    first, second = desk.controls.axes_choice._combos.values()
    assert first.currentText() == "guess: time"
    assert second.currentText() == "guess: channels"
    assert axes_of(layer.axis_labels) == "IQYX"  # as before
    assert desk.controls.axes.text().startswith("12 × 3 images")
    desk.press("confirm_axis_1")
    assert layer.axis_labels[1] == "c"
    assert desk.controls.axes.text().startswith("3 channels of 12 images")
    assert not is_shown(desk.button("confirm_axis_1"), desk)
    choose(first, "depth")
    assert layer.axis_labels[:2] == ("z", "c")


def test_two_axes_can_swap_their_meanings(desk, noisy):
    film = np.stack([[noisy] * 2] * 3)
    layer = desk.viewer.add_image(film, axis_labels=("t", "slice", "row", "col"))
    assert not is_shown(desk.controls.axes_choice, desk)
    assert desk.controls.axes.text().startswith("3 time points of 2 planes")
    first, second = desk.controls.corrections.axes._combos.values()
    assert (first.currentText(), second.currentText()) == ("time", "depth")
    choose(first, "depth")
    assert (first.currentText(), second.currentText()) == ("depth", "time")
    assert desk.controls.axes.text().startswith("3 planes of 2 time points")
    choose(first, "other")
    assert layer.axis_labels[:2] == ("sample", "t")


def test_a_pixel_size_is_typed(desk, noisy):
    layer = desk.viewer.add_image(np.stack([noisy] * 3), axis_labels=("z", "y", "x"))
    box = desk.widget.findChild(QLineEdit, "pixel_size")
    box.setText("0.1 µm, Z=0.3 µm")
    box.editingFinished.emit()  # left without Enter
    assert box.text() == "" and tuple(layer.scale) == (1, 1, 1)
    box.setText("0.1 µm, Z=0.3 µm")
    box.returnPressed.emit()
    np.testing.assert_allclose(layer.scale, (0.3, 0.1, 0.1))
    assert [str(unit) for unit in layer.units] == ["micrometer"] * 3
    assert desk.controls.axes.text().endswith("0.1 µm pixels.")
    for wrong in ("T=2 s", "wide", "0.1 parsnips"):
        box.setText(wrong)
        box.returnPressed.emit()
        assert desk.status(), wrong
        np.testing.assert_allclose(layer.scale, (0.3, 0.1, 0.1))


def test_a_line_scan_is_denoised_in_its_own_shape(desk, noisy):
    lines = noisy[:, None, :]
    desk.viewer.add_image(lines, name="scan", axis_labels=("t", "y", "x"))
    assert desk.controls.axes.text().startswith(
        "Line scan: 64 time points × 64 positions"
    )
    desk.train()
    found = desk.layer("scan denoised")
    assert found.data.shape == lines.shape
    assert found.axis_labels == ("t", "y", "x")
    result = denoise(Image(noisy, "YX"), desk.widget.model).denoised
    np.testing.assert_allclose(found.data[:, 0], result.data, rtol=1e-5)


# Dark frame, flat field, mask ---------------------------------------------------------


@pytest.fixture
def bench(desk, noisy):
    """A noisy layer, and layers that can correct it or not."""
    luck = np.random.default_rng(0)
    pattern = luck.uniform(90, 110, (64, 64)).astype(np.float32)
    gain = np.linspace(0.5, 1.5, 64, dtype=np.float32)[:, None] * np.ones((1, 64))
    gain = gain.astype(np.float32)
    viewer = desk.viewer
    viewer.add_image(np.stack([pattern] * 3), name="closed")
    viewer.add_image(gain, name="lamp")
    viewer.add_image(pattern[:32], name="half")
    viewer.add_labels(np.ones((64, 64), int), name="field")
    viewer.add_labels(np.ones((2, 64, 64), int), name="two")
    viewer.add_image(noisy * gain + pattern, name="cells")
    desk.choose("cells")
    return desk


def test_layers_of_the_size_are_offered(bench):
    assert items(combo(bench, "dark")) == ["none", "closed", "lamp"]
    assert items(combo(bench, "flat")) == ["none", "closed", "lamp"]
    assert items(combo(bench, "mask")) == ["none", "field"]
    choose(combo(bench, "dark"), "closed")
    bench.viewer.layers.remove("lamp")
    assert items(combo(bench, "flat")) == ["none", "closed"]
    assert combo(bench, "dark").currentText() == "closed"
    bench.choose("half")
    assert items(combo(bench, "dark")) == ["none"]


def test_what_this_plugin_made_is_no_correction(bench):
    bench.train()
    assert {"cells denoised", "cells noise std"} < set(bench.names())
    for name in ("dark", "flat"):
        assert items(combo(bench, name)) == ["none", "closed", "lamp"]


def test_corrections_are_applied_and_named(bench, monkeypatch):
    threads = []

    def spy(*what):
        threads.append(threading.current_thread())
        return corrected(*what)

    monkeypatch.setattr(camera_correction, "corrected", spy)
    choose(combo(bench, "dark"), "closed")
    choose(combo(bench, "flat"), "lamp")
    bench.train()
    assert threads and threading.main_thread() not in threads
    raw, dark, flat = (
        Image(bench.layer(name).data, "TYX"[-bench.layer(name).ndim :])
        for name in ("cells", "closed", "lamp")
    )
    expected = denoise(corrected(raw, dark, flat), bench.widget.model).denoised
    found = bench.layer("cells denoised")
    np.testing.assert_allclose(found.data, expected.data, rtol=1e-4)
    for name in ("cells denoised", "cells noise std"):
        made = bench.layer(name).metadata[METADATA_KEY]
        assert made["corrections"] == {"dark": "closed", "flat": "lamp"}
    assert "The dark frame 'closed' was subtracted." in bench.status()
    choose(combo(bench, "flat"), "none")
    choose(combo(bench, "dark"), "none")
    bench.press("denoise")
    bench.finish()
    (plain,) = [n for n in bench.names() if n.startswith("cells denoised")][-1:]
    assert "corrections" not in bench.layer(plain).metadata[METADATA_KEY]


def test_the_mask_goes_with_the_image(bench, monkeypatch):
    taken = []

    def spy(images, *what, **options):
        taken.extend(images)
        return train_steps(images, *what, **options)

    train_steps = work.train_steps
    monkeypatch.setattr(work, "train_steps", spy)
    labels = bench.layer("field")
    labels.data[:9] = 0
    labels.data[20:, 3] = 7
    choose(combo(bench, "mask"), "field")
    bench.train()
    mask = taken[0].read_mask(())
    assert (mask == (labels.data != 0)).all()
    made = bench.layer("cells denoised").metadata[METADATA_KEY]
    assert made["corrections"] == {"mask": "field"}


def test_what_is_chosen_is_named_on_the_folded_section(bench):
    section = bench.controls.corrections
    assert section.text() == "Corrections"
    choose(combo(bench, "dark"), "closed")
    choose(combo(bench, "mask"), "field")
    assert section.text() == "Corrections: dark frame, mask"
    bench.layer("closed").data = np.ones((9, 9), np.float32)  # it no longer fits
    assert section.text() == "Corrections: mask"


def test_a_mask_that_no_longer_fits_is_refused(bench):
    choose(combo(bench, "mask"), "field")
    bench.layer("field").data = np.ones((9, 9), int)
    bench.press("train")
    assert "The mask 'field' is one image of 9 × 9 px" in bench.status()
    assert bench.widget.model is None


def test_a_mask_of_one_plane_or_of_the_whole_stack(desk, noisy):
    desk.viewer.add_image(np.stack([noisy] * 3), name="film")
    desk.viewer.add_labels(np.ones((64, 64), int), name="plane")
    desk.viewer.add_labels(np.ones((3, 64, 64), int), name="stack")
    desk.viewer.add_labels(np.ones((2, 3, 64, 64), int), name="more")
    desk.choose("film")
    assert items(combo(desk, "mask")) == ["none", "plane", "stack"]


# Opening and saving -------------------------------------------------------------------


def test_several_files_open_as_layers_and_the_last_is_chosen(desk, noisy, tmp_path):
    desk.viewer.add_image(noisy, name="there")
    paths = [tmp_path / f"{name}.tif" for name in ("one", "two", "three")]
    for path in paths:
        tifffile.imwrite(path, noisy)
    assert desk.drop(*paths)
    desk.until(lambda: len(desk.viewer.layers) == 4)
    assert set(desk.names()) == {"there", "one", "two", "three"}
    assert desk.controls.layer.currentText() == desk.names()[-1]


def test_files_may_be_dropped_anywhere_on_the_dock(desk, noisy, tmp_path):
    tifffile.imwrite(tmp_path / "cells.tif", noisy)
    for place in (
        desk.controls.budget.lineEdit(),
        desk.controls.loss_plot.plot.viewport(),
        desk.controls.advanced.editor("patch_size").native.lineEdit(),
        desk.button("train"),
    ):
        desk.viewer.layers.clear()
        assert desk.drop(tmp_path / "cells.tif", on=place)
        desk.until(lambda: desk.names() == ["cells"])


def test_stack_keeps_axes_and_pixel_size(desk, noisy, tmp_path):
    path = tmp_path / "stack.tif"
    about = {"unit": "um", "axes": "ZYX", "spacing": 0.5}
    tifffile.imwrite(
        path, stack(noisy, 3), imagej=True, resolution=(4, 4), metadata=about
    )
    desk.drop(path)
    desk.until(lambda: desk.names())
    layer = desk.layer("stack")
    assert layer.axis_labels == ("z", "y", "x")
    np.testing.assert_allclose(layer.scale, (0.5, 0.25, 0.25))
    assert [str(unit) for unit in layer.units] == ["micrometer"] * 3


REFUSED = {
    "notes.txt": "notes.txt is no file that can be opened here",
    "cells.dv": "cells.dv is a DeltaVision file, which only other programs read.",
    "cells.XLEF": "cells.XLEF is a Leica file",
    "cells.jpg": "cells.jpg is a picture for the screen",
    "folder.tif": "folder.tif is a folder, and no OME-Zarr. Drop the image files that",
    "folder.zarr": "folder.zarr is a folder, and no OME-Zarr.",
}


def test_a_refused_file_is_told_why_and_what_to_do(desk, noisy, tmp_path):
    for name, sentence in REFUSED.items():
        path = tmp_path / name
        path.mkdir() if "folder" in name else path.write_text("no image")
        with notified() as told:
            assert desk.drop(path)
        assert desk.status().startswith(sentence) and len(told) == 1
    assert desk.drop(*(tmp_path / name for name in REFUSED))
    assert desk.status().startswith(f"Not opened: {', '.join(REFUSED)}.")
    assert all(sentence in desk.status() for sentence in REFUSED.values())
    assert not desk.names()
    tifffile.imwrite(tmp_path / "cells.tif", noisy)
    assert desk.drop(tmp_path / "cells.tif", tmp_path / "cells.dv")
    desk.until(lambda: desk.names() == ["cells"])
    assert "DeltaVision" in desk.status()  # the other one
    desk.drop(tmp_path / "cells.tif")
    assert desk.status() == ""  # an old complaint goes
    desk.until(lambda: len(desk.names()) == 2)


def test_an_ome_zarr_and_a_png_are_dropped_on_the_dock(desk, noisy, tmp_path):
    steps = (2.5, 1, 0.1, 0.1), ("s", "pixel", "µm", "µm")
    image = Image(stack(noisy, 2, 3), "TCYX", *steps, channel_names=tuple("abc"))
    path = write_image(image, tmp_path / "film.ome.zarr")
    (tmp_path / "cells.png").write_bytes(imagecodecs.png_encode(noisy))
    assert desk.drop(path, tmp_path / "cells.png")
    desk.until(lambda: sorted(desk.names()) == ["cells", "film"])
    film = desk.layer("film")
    assert film.axis_labels == ("t", "c", "y", "x")
    np.testing.assert_allclose(film.scale, image.pixel_size)
    np.testing.assert_array_equal(film.data, image.data)
    np.testing.assert_array_equal(desk.layer("cells").data, noisy)


@pytest.mark.parametrize("suffix", [".tif", ".safetensors"])
def test_damaged_file_is_told(desk, noisy, tmp_path, suffix):
    desk.viewer.add_image(noisy, name="cells")
    path = tmp_path / f"damaged{suffix}"
    path.write_bytes(b"II*\0 not what it says")
    assert desk.drop(path)
    desk.until(lambda: "damaged" in desk.status())
    assert "unexpected" not in desk.status()
    assert desk.names() == ["cells"] and desk.widget.model is None
    desk.train()
    assert desk.names() == ["cells", *NAMES]


def test_damaged_file_does_not_disturb_a_training(desk, noisy, tmp_path):
    (tmp_path / "damaged.tif").write_bytes(b"II*\0")
    desk.viewer.add_image(noisy, name="cells")
    desk.endless()
    desk.begin()
    with notified() as told:
        desk.drop(tmp_path / "damaged.tif")
        desk.until(lambda: told)
    assert desk.button("stop").isEnabled() and not desk.button("train").isEnabled()
    desk.press("stop")
    desk.finish()
    assert desk.widget.model is not None


def test_model_dropped_while_training_is_refused(desk, noisy, tmp_path):
    desk.viewer.add_image(noisy, name="cells")
    desk.train()
    desk.widget.save_model(tmp_path / "m.safetensors")
    desk.endless()
    desk.begin()
    with notified() as told:
        desk.drop(tmp_path / "m.safetensors")
        assert "as a run was going on" in told[0].message
    desk.press("stop")
    desk.finish()


def test_save_without_permission_is_told(desk, noisy, tmp_path, monkeypatch):
    def refuse(*_):
        raise DenoisingError("This folder cannot be written to.", "Choose another.")

    monkeypatch.setattr(denoise_widget, "save_model", refuse)
    desk.viewer.add_image(noisy, name="cells")
    desk.train()
    desk.widget.save_model(tmp_path / "model.safetensors")
    assert desk.status() == "This folder cannot be written to. Choose another."
    assert desk.button("save_model").isEnabled()


def test_cancelled_dialogs_change_nothing(desk, noisy, monkeypatch):
    for name in ("getSaveFileName", "getOpenFileName"):
        monkeypatch.setattr(QFileDialog, name, lambda *_: ("", ""))
    desk.viewer.add_image(noisy, name="cells")
    desk.train()
    before = desk.status(), desk.widget.model
    desk.press("save_model")
    desk.press("load_model")
    assert (desk.status(), desk.widget.model) == before


def test_the_dock_loads_while_the_user_looks_around(open_desk, monkeypatch):
    """What a first training would wait for; where that fails, the dock still works."""
    asked = []

    def failing():
        asked.append(threading.current_thread() is threading.main_thread())
        raise ImportError("a damaged installation")

    monkeypatch.setattr(denoise_widget, "preload", failing)
    desk = open_desk()
    desk.until(lambda: asked == [False])
    WorkerBase.await_workers(20_000)
    assert desk.button("load_model").isEnabled()
    assert not desk.status()
