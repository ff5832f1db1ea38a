"""Parts of a method are changed one by one, and what was asked for appears."""

import numpy as np
import pytest
import tifffile
from qtpy.QtWidgets import QApplication, QFileDialog, QLineEdit, QPushButton, QWidget
from scipy.ndimage import gaussian_filter

from napari_selfdenoise import Image, denoise
from napari_selfdenoise.config import RECIPES
from napari_selfdenoise.errors import RequestError
from napari_selfdenoise.parts.estimators import PosteriorSamples
from napari_selfdenoise.parts.masking import ShapeMask
from napari_selfdenoise.parts.psf import MeasuredPSF
from napari_selfdenoise.plugin.viewer.layers import METADATA_KEY

pytestmark = pytest.mark.gl

NOISE = ["noise std", "noise distribution"]


def named(*results):
    return ["cells", *(f"cells {result}" for result in results)]


def samples(desk, count):
    """Ask for posterior samples."""
    desk.pick(signal="gaussian", estimator="posterior_samples")
    desk.choices("estimator").editor("samples").value = count


@pytest.fixture
def bead():
    """One bead on a background, (17, 17)."""
    pixels = np.zeros((17, 17), np.float32)
    pixels[8, 8] = 1000
    return 10 + gaussian_filter(pixels, 1.2)


# The form ----------------------------------------------------------------------------


def test_choosing_a_recipe_again_undoes_all_changes(desk):
    desk.choose_recipe("pn2v")
    desk.pick(psf="gaussian", estimator="posterior_mode", masking="grid")
    recipe = desk.controls.recipe
    recipe.activated.emit(recipe.currentIndex())
    assert desk.controls.config().override({"device": "auto"}) == RECIPES["pn2v"]


def test_each_part_is_changed_alone(desk):
    before = desk.controls.config()
    for part, kind in {
        "masking": "line",
        "noise_model": "gaussian",
        "psf": "gaussian",
        "estimator": "blind_mean",
    }.items():
        desk.pick(**{part: kind})
        after = desk.controls.config()
        names = type(after).model_fields
        changed = {n for n in names if getattr(after, n) != getattr(before, n)}
        assert changed == {part} and getattr(after, part).kind == kind
        before = after


def test_fields_that_a_choice_needs_stand_below_it(desk):
    folded, controls = desk.controls.folded, desk.controls
    desk.pick(masking="shape", noise_model="file", psf="optical")
    for part, name in (
        ("masking", "footprint"),
        ("noise_model", "file"),
        ("psf", "wavelength_nm"),
    ):
        field = desk.choices(part).editor(name).native
        assert field.isVisibleTo(controls) and not folded.isAncestorOf(field), name
    wavelength = desk.choices("psf").editor("wavelength_nm").native
    desk.pick(masking="random", noise_model="network", psf="none")
    fraction = desk.choices("masking").editor("fraction").native
    assert folded.isAncestorOf(fraction) and fraction.isVisibleTo(folded.content())
    assert not wavelength.isVisibleTo(controls)


def test_the_dock_stays_narrow(open_desk):
    desk = open_desk(show=True)
    desk.controls.folded.expand(animate=False)
    for psf in ("gaussian", "measured", "optical"):
        desk.pick(masking="shape", noise_model="file", psf=psf)
        desk.until(desk.is_narrow)


# Greyed out --------------------------------------------------------------------------


def test_nonsense_is_greyed_out_with_the_reason(desk):
    assert "choose a Gaussian, mixture or sampled signal" in desk.why_not(
        "estimator", "posterior_mean"
    )
    assert "learns to copy the noise" in desk.why_not("masking", "none")
    assert desk.why_not("objective", "likelihood") == ""
    desk.pick(signal="gaussian")
    assert desk.why_not("estimator", "posterior_mean") == ""
    assert "look alike" in desk.why_not("noise_model", "unmodelled")
    desk.pick(estimator="posterior_mean")
    said = desk.why_not("signal", "point")
    assert said.startswith("Not now: ") and "A point has no posterior." in said
    assert "share noise" in desk.why_not("masking", "line")
    desk.pick(estimator="single_pass", signal="point", noise_model="unmodelled")
    assert "no likelihood" in desk.why_not("objective", "likelihood")


def test_network_and_masking_rule_each_other(desk):
    desk.pick(network="half_plane", masking="none")
    assert "copy the noise" in desk.why_not("network", "unet")
    assert "no longer blind" in desk.why_not("psf", "gaussian")
    desk.pick(masking="random", network="unet", psf="gaussian")


def test_a_recipe_greys_out_anew(desk):
    desk.choose_recipe("n2v")
    assert desk.why_not("signal", "gaussian")
    desk.choose_recipe("khademi")
    assert not desk.why_not("signal", "gaussian")
    assert "total variance" in desk.why_not("signal", "mixture")
    for part in ("masking", "noise_model", "psf", "estimator", "network", "objective"):
        editor = desk.choices(part)
        combo = getattr(editor, "combo", editor)
        assert combo.model().item(combo.currentIndex()).isEnabled(), part


def test_nonsense_by_a_field_greys_nothing_and_is_told(desk, noisy):
    desk.viewer.add_image(noisy, name="cells")
    desk.pick(psf="optical")
    desk.choices("psf").editor("numerical_aperture").value = 1.6
    for kind in ("none", "gaussian", "measured"):
        assert desk.why_not("psf", kind) == ""
    assert desk.why_not("masking", "none") == ""
    desk.press("train")
    assert "numerical aperture" in desk.status()
    desk.pick(psf="none")
    assert desk.why_not("masking", "none")


def test_an_unreadable_budget_does_not_stop_the_greying(desk):
    desk.controls.budget.setCurrentText("soon")
    desk.pick(signal="gaussian")
    assert desk.why_not("noise_model", "unmodelled")


def test_remembered_edits_trap_nobody(desk):
    """What was edited in a choice that was left does not grey it out."""
    desk.choose_recipe("khademi")
    desk.choose_recipe("n2v")
    assert desk.why_not("noise_model", "poisson_gaussian") == ""


# From files and layers ---------------------------------------------------------------


def test_a_bead_comes_from_a_file(desk, noisy, bead, tmp_path, monkeypatch):
    path = tmp_path / "bead.tif"
    tifffile.imwrite(path, bead)
    desk.viewer.add_image(noisy, name="cells")
    desk.pick(psf="measured")
    desk.press("train")
    desk.finish()
    assert "bead" in desk.status() and desk.names() == ["cells"]
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_: (str(path), ""))
    desk.choices("psf").editor("file").choose_btn.native.click()
    assert desk.controls.config().psf.file == path
    desk.train()
    assert "cells deconvolved" in desk.names()


def test_a_bead_is_taken_from_a_layer(desk, noisy, bead):
    desk.viewer.add_image(noisy, name="cells")
    desk.viewer.add_image(np.stack([bead / 2, bead]), name="beads")
    desk.viewer.add_labels(np.zeros((8, 8), int), name="labels")
    desk.choose("cells")
    desk.pick(psf="measured")
    desk.take("psf.file", "beads")
    taken = desk.controls.config().psf
    expected = MeasuredPSF.taken(np.stack([bead / 2, bead]))
    np.testing.assert_allclose(taken.kernel(), expected.kernel())
    line = desk.widget.findChild(QWidget, "psf.file").findChild(QLineEdit)
    assert line.text() == "" and line.placeholderText() == "beads"
    desk.train()
    assert "cells deconvolved" in desk.names()


def test_a_shape_is_painted_in_a_layer(desk):
    painted = np.zeros((3, 20, 20), int)
    painted[1, 9:12, 10] = painted[1, 10, 9:12] = 1
    desk.viewer.add_labels(painted, name="cross")
    desk.viewer.dims.set_point(0, 1)
    desk.pick(masking="shape")
    desk.take("masking.footprint", "cross")
    assert desk.controls.config().masking == ShapeMask(footprint="010/111/010")
    desk.viewer.dims.set_point(0, 0)
    desk.take("masking.footprint", "cross")
    with pytest.raises(RequestError) as nothing:
        ShapeMask.taken(painted[0])
    assert desk.status() == str(nothing.value)
    assert desk.controls.config().masking.footprint == "010/111/010"


def test_noise_is_taken_from_a_result(desk, noisy):
    desk.viewer.add_image(noisy, name="cells")
    desk.train()
    desk.pick(noise_model="file")
    desk.take("noise_model.file", "cells noise distribution")
    desk.controls.keep.click()
    desk.train()
    first, again = (
        desk.layer(f"cells noise distribution{end}").metadata[METADATA_KEY]
        for end in ("", " [2]")
    )
    assert again["config"]["noise_model"]["kind"] == "file"
    widths = [
        np.interp(70, c["signal"], np.ravel(c["stds"]))
        for c in (first["noise_curves"][0], again["noise_curves"][0])
    ]
    assert widths[0] == pytest.approx(widths[1], rel=0.05)


def test_only_fitting_layers_are_offered(desk, noisy):
    desk.viewer.add_image(np.stack([noisy.astype(np.uint8)] * 3, -1), name="colours")
    desk.viewer.add_labels(np.zeros((8, 8), int), name="labels")
    desk.pick(psf="measured", noise_model="file")
    for field in ("psf.file", "noise_model.file"):
        button = desk.widget.findChild(QPushButton, f"{field}.taken")
        button.menu().aboutToShow.emit()
        assert [a.text() for a in button.menu().actions()] == ["No layer fits"], field


# Results -----------------------------------------------------------------------------


def test_a_psf_brings_a_deconvolved_layer(desk, noisy):
    source = desk.viewer.add_image(
        noisy, name="cells", colormap="magenta", contrast_limits=(20, 130), scale=(2, 3)
    )
    desk.pick(psf="gaussian", estimator="single_pass")
    desk.train()
    assert desk.names() == named("denoised", NOISE[0], "deconvolved", NOISE[1])
    layer = desk.layer("cells deconvolved")
    assert not layer.visible and desk.layer("cells denoised").visible
    assert layer.colormap.name == "magenta"
    np.testing.assert_array_equal(layer.scale, source.scale)
    assert layer.contrast_limits == [layer.data.min(), layer.data.max()]
    assert layer.data.std() > desk.layer("cells denoised").data.std()
    assert layer.metadata[METADATA_KEY]["config"]["psf"]["kind"] == "gaussian"
    assert desk.status().startswith("Done: see")
    assert "Noise std, deconvolved and noise distribution." in desk.status()


def test_posterior_std_and_samples_appear(desk, noisy):
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
    )
    samples(desk, 3)
    camera = getattr(desk.viewer, "scene", desk.viewer).camera
    camera.zoom, camera.center = 7.5, (0, 3, 4)
    desk.train()
    assert camera.zoom == 7.5 and camera.center == (0, 3, 4)
    extra = ["posterior std", "trust", "posterior samples"]
    assert desk.names() == named("denoised", NOISE[0], *extra, NOISE[1])
    std, trust, drawn = (desk.layer(f"cells {name}") for name in extra)
    assert not any(layer.visible for layer in (std, trust, drawn))
    assert trust.contrast_limits == [0, 1] and 0 <= trust.data.min() < 1
    assert std.colormap.name == "viridis" and std.data.shape == noisy.shape
    assert 0 < std.data.min() <= std.data.max() < noisy.std()
    assert std.contrast_limits == [std.data.min(), std.data.max()]
    assert drawn.data.shape == (3, *noisy.shape)
    assert drawn.axis_labels == ("sample", *source.axis_labels)
    assert [str(unit) for unit in drawn.units[1:]] == ["micrometer"] * 2
    assert drawn.contrast_limits == source.contrast_limits
    for corner in ((0, 0), (0, 63), (63, 0), (63, 63)):
        place = drawn.data_to_world((2, *corner))
        np.testing.assert_allclose(place[1:], source.data_to_world(corner))
        assert place[0] == pytest.approx(2)
    mean = desk.layer("cells denoised").data
    assert np.abs(drawn.data - mean).mean() < 2 * std.data.mean()
    for layer in (std, drawn):
        kept = layer.metadata[METADATA_KEY]["config"]["estimator"]
        assert kept["kind"] == "posterior_samples"
    assert "posterior std, trust, posterior samples and noise" in desk.status()


def test_denoise_uses_the_estimator_that_is_chosen(desk, noisy):
    desk.viewer.add_image(noisy, name="cells")
    desk.pick(signal="gaussian")
    desk.train()
    assert desk.names() == named("denoised", *NOISE)
    samples(desk, 2)
    desk.press("denoise")
    desk.finish()
    assert "cells posterior samples" in desk.names()
    expected = denoise(
        Image(noisy, "YX"),
        desk.widget.model,
        estimator=PosteriorSamples(samples=2),
        device="cpu",
    )
    np.testing.assert_array_equal(
        desk.layer("cells denoised").data, expected.denoised.data
    )
    np.testing.assert_array_equal(
        desk.layer("cells posterior samples").data, expected.posterior_samples.data
    )


def test_an_estimator_that_the_model_cannot_do_is_told(desk, noisy):
    desk.viewer.add_image(noisy, name="cells")
    desk.train()
    samples(desk, 2)
    before = desk.names()
    desk.press("denoise")
    assert desk.status().startswith("This model knows single values, not how sure")
    assert "posterior samples" in desk.status() and "Automatic" in desk.status()
    assert desk.names() == before and desk.button("denoise").isEnabled()
    desk.pick(estimator="blind_mean")
    desk.press("denoise")
    desk.finish()
    assert desk.status().startswith("Done")


def test_samples_of_a_stack_have_one_more_axis(desk, noisy):
    film = np.stack([noisy, noisy + 5])
    desk.viewer.add_image(film, name="cells", axis_labels=("t", "y", "x"))
    samples(desk, 2)
    desk.train()
    drawn = desk.layer("cells posterior samples")
    assert drawn.data.shape == (2, 2, 64, 64)
    assert drawn.axis_labels == ("sample", "t", "y", "x")
    assert desk.viewer.dims.ndim == 4
    QApplication.processEvents()


# The masking follows the noise -------------------------------------------------------


def test_what_was_found_of_the_noise_is_said(desk, noisy):
    desk.viewer.add_image(noisy, name="cells")
    desk.endless()
    desk.begin()
    desk.until(lambda: "single pixels are masked" in desk.status())
    desk.press("stop")
    desk.finish()
    assert "single pixels are masked" in desk.status()
    assert desk.widget.model.config.masking.kind == "random"
    assert desk.controls.config().masking.kind == "auto"


def test_the_window_says_what_the_result_is_made_of(desk, noisy):
    desk.viewer.add_image(noisy, name="cells")
    desk.pick(estimator="auto")
    desk.train()
    assert "How it was blended: " in desk.status()
    assert "raw pixels" in desk.status()  # after so few steps, the network is worse
    desk.pick(estimator="single_pass")
    desk.train()
    assert "blended" not in desk.status()
