"""The diagnosis of an image: numbers with known answers, and sentences for the odd."""

import json

import numpy as np
import pytest
from click.testing import CliRunner
from scipy.ndimage import gaussian_filter
from scipy.signal import lfilter

from napari_selfdenoise import Image, RequestError, TrainingConfig, recipe, write_image
from napari_selfdenoise.cli import cli
from napari_selfdenoise.diagnosis import (
    autocorrelogram,
    compare_frames,
    diagnose,
    diagnose_steps,
    measure_photon_transfer,
)
from napari_selfdenoise.noise.correlation import measure_correlation

GAIN, OFFSET, READ = 8.0, 100.0, 6.0


def structure(side=320, seed=0, most=600.0):
    """Light of blurred blobs on a weak background, grey values above the offset."""
    rng = np.random.default_rng(seed)
    canvas = np.zeros((side, side))
    places = rng.integers(0, side, (2, side // 5))
    canvas[places[0], places[1]] = rng.uniform(0.2, 1, side // 5)
    blobs = gaussian_filter(canvas, 3, mode="wrap")
    return 20 + most * blobs / blobs.max()


def camera(light, rng, gain=GAIN, read=READ):
    """Counts of a camera: Poisson-Gaussian noise on an offset."""
    electrons = rng.poisson(light / gain)
    noise = rng.normal(0, read, light.shape)
    return (OFFSET + gain * electrons + noise).astype(np.float32)


@pytest.fixture(scope="module")
def light():
    return structure()


@pytest.fixture(scope="module")
def frames(light):
    rng = np.random.default_rng(1)
    return [camera(light, rng) for _ in range(4)]


# The photon-transfer line ------------------------------------------------------------


def true_dark(line):
    return GAIN * (line.darkest - OFFSET) + READ**2


def test_one_frame_gives_the_gain_and_the_noise_of_the_darkest_signal(frames):
    line = measure_photon_transfer(frames[:1])
    assert line.gain == pytest.approx(GAIN, rel=0.1)
    assert line.dark_variance == pytest.approx(true_dark(line), rel=0.1)
    assert line.source == "one frame"


@pytest.mark.parametrize("how", [{"static": True}, {"frames": True}])
def test_frames_give_it_more_exactly(frames, how):
    line = measure_photon_transfer(frames, **how)
    assert line.gain == pytest.approx(GAIN, rel=0.04)
    assert line.dark_variance == pytest.approx(true_dark(line), rel=0.05)
    assert abs(line.gain - GAIN) < 4 * line.gain_error


def test_the_offset_lies_in_its_interval(frames):
    low, high = measure_photon_transfer(frames, static=True).offset
    assert low - 1 <= OFFSET <= high + 1


def test_the_gain_has_the_units_of_the_image(frames):
    one = measure_photon_transfer(frames[:1])
    other = measure_photon_transfer([10 * frames[0] - 500])
    assert other.gain == pytest.approx(10 * one.gain, rel=1e-3)
    assert other.darkest == pytest.approx(10 * one.darkest - 500, rel=1e-3)
    assert other.read_noise_electrons == pytest.approx(
        one.read_noise_electrons, rel=1e-2
    )


@pytest.mark.parametrize("unit", [1e-9, 1e9])
def test_the_gain_is_found_in_any_unit(frames, unit):
    one = measure_photon_transfer(frames[:1])
    other = measure_photon_transfer([np.float32(unit) * frames[0]])
    assert other.gain == pytest.approx(unit * one.gain, rel=1e-3)
    assert other.gain_error == pytest.approx(unit * one.gain_error, rel=1e-2)


def test_an_inverted_image_is_not_taken_for_light(frames):
    row = diagnose(Image(5000 - frames[0], "YX")).finding("photon transfer")
    assert "inverted" in row.meaning


def test_even_noise_has_no_gain(light):
    noise = np.random.default_rng(2).normal(0, 20, light.shape)
    line = measure_photon_transfer([(light + noise).astype(np.float32)])
    assert not line.grows
    assert line.read_noise_electrons is None
    assert float(line.variance_at(300.0)) == pytest.approx(400, rel=0.05)


def along_x(shape, rng, coefficient):
    """Noise of variance 1 in which pixels of a row share noise (first order)."""
    steps = rng.normal(size=(shape[0], shape[1] + 64))
    noise = lfilter([np.sqrt(1 - coefficient**2)], [1, -coefficient], steps, axis=1)
    return noise[:, 64:]


def test_noise_that_neighbours_share_gives_the_same_gain(light):
    rng = np.random.default_rng(3)
    std = np.sqrt(GAIN * light + READ**2)
    plane = (OFFSET + light + std * along_x(light.shape, rng, 0.6)).astype(np.float32)
    shared = measure_correlation([plane])
    naive = measure_photon_transfer([plane])
    line = measure_photon_transfer([plane], correlation=shared)
    assert line.gain == pytest.approx(GAIN, rel=0.15)
    assert naive.gain < 0.7 * GAIN


# Correlation -------------------------------------------------------------------------


@pytest.mark.parametrize("coefficient", [0.6, -0.4])
@pytest.mark.parametrize("axis", ["x", "y"])
def test_the_axis_and_sign_of_shared_noise_are_named(light, axis, coefficient):
    noise = along_x(light.shape, np.random.default_rng(4), coefficient)
    noise = noise if axis == "x" else noise.T
    image = Image((light + 30 * noise).astype(np.float32), "YX")
    found = diagnose(image)
    (shared,) = found.autocorrelogram.shared
    assert shared.axis == axis
    assert shared.correlation == pytest.approx(coefficient, abs=0.1)
    row = found.finding("correlation")
    assert f"along {axis}" in row.meaning
    assert ("opposed" in row.meaning) == (coefficient < 0)
    assert row.changes["masking"]["axis"] == axis


def test_white_noise_raises_no_alarm():
    rng = np.random.default_rng(5)
    planes = [rng.normal(100, 10, (128, 128)).astype(np.float32) for _ in range(40)]
    found = [autocorrelogram(measure_correlation([plane])) for plane in planes]
    assert not any(one.shared for one in found)
    assert sum(bool(one.weak) for one in found) <= 1


def test_the_autocorrelogram_is_symmetric_and_one_in_the_middle(frames):
    found = autocorrelogram(measure_correlation(frames))
    assert found.lags.tolist() == [-3, -2, -1, 0, 1, 2, 3]
    for rho in found.rho.values():
        assert rho[3] == 1
        np.testing.assert_allclose(rho, rho[::-1], atol=1e-9)


# Frames ------------------------------------------------------------------------------


def test_replicates_are_told_from_what_moves_and_from_other_scenes(frames, light):
    rng = np.random.default_rng(6)
    moving = [camera(np.roll(light, 2 * n, 0), rng) for n in range(3)]
    other = [camera(structure(seed=n + 7), rng) for n in range(3)]
    brighter = [camera(light + 10 * n, rng) for n in range(3)]
    assert compare_frames(frames).kind == "static"
    assert compare_frames(moving).kind == "moving"
    assert compare_frames(other).kind == "unrelated"
    assert compare_frames(brighter).kind == "drifting"
    assert compare_frames(frames[:1]) is None


def test_frames_in_which_few_cells_light_up_are_no_replicates(frames, light):
    """As in calcium imaging: the median brightness stays, and so do the edges."""
    rng = np.random.default_rng(5)
    lit = light.copy()
    lit[:64, :64] *= 1.5
    last = OFFSET + GAIN * rng.poisson(lit / GAIN) + rng.normal(0, READ, lit.shape)
    assert compare_frames([*frames[:2], last.astype(np.float32)]).kind == "drifting"


def test_copies_of_one_frame_are_no_replicates(frames):
    found = diagnose(Image(np.stack([frames[0]] * 3), "TYX"))
    assert "copies" in found.finding("frames").meaning
    assert "Calibrate" not in found.finding("frames").action


def test_what_was_not_measured_is_no_reason(frames):
    found = diagnose(Image(frames[0][:20, :20], "YX"))
    reasons = {one.setting: one.reason for one in found.recommended}
    assert "not known" in reasons["masking"]
    assert "400 pixels" in reasons["recipe"]


def test_frames_of_a_static_scene_are_used(frames):
    found = diagnose(Image(np.stack(frames), "TYX"))
    assert found.frames.static
    assert found.transfer.source == "repeated frames"


def test_depths_are_no_frames(frames):
    assert diagnose(Image(np.stack(frames), "ZYX")).frames is None


# The forecast ------------------------------------------------------------------------


def test_more_is_gained_where_there_is_less_structure(light):
    rng = np.random.default_rng(8)
    noise = rng.normal(0, 30, light.shape)
    fine = 60 * np.sin(np.arange(light.shape[0]) * 0.9)[:, None]
    smooth, detailed = (
        diagnose(Image((plane + noise).astype(np.float32), "YX")).forecast
        for plane in (light, light + fine * np.sin(light / 20))
    )
    assert smooth.gain_db > detailed.gain_db + 1
    assert smooth.low_db < smooth.gain_db < smooth.high_db
    assert smooth.noise_std == pytest.approx(30, rel=0.05)


def test_the_forecast_does_not_depend_on_the_units(frames):
    one, other = (
        diagnose(Image(plane, "YX")).forecast.gain_db
        for plane in (frames[0], 0.01 * frames[0] + 3)
    )
    assert one == pytest.approx(other, abs=0.05)


# Rows --------------------------------------------------------------------------------


def test_defects_have_rows(frames):
    rng = np.random.default_rng(9)
    plane = frames[0].copy()
    plane[rng.random(plane.shape) < 1e-3] = 20000
    plane[:60] = 0
    plane += np.where(np.arange(plane.shape[1]) % 7 == 3, 30, 0)
    plane[:60] = 0
    found = diagnose(Image(plane, "YX"))
    share = float(found.finding("hot pixels").found.split(" %")[0])
    assert share == pytest.approx(0.08, abs=0.02)  # a fifth of them is padded
    assert "19 %" in found.finding("not recorded").found
    assert "columns" in found.finding("line offsets").found
    assert found.transfer.gain == pytest.approx(GAIN, rel=0.15)


def test_saturated_pixels_have_a_row(frames):
    plane = np.clip(frames[0], 112, 500).astype(np.uint16)
    row = diagnose(Image(plane, "YX")).finding("clipping")
    assert "saturated at 500" in row.found
    assert "lowest value 112" in row.found


def test_few_saturated_pixels_are_not_denied(frames):
    plane = frames[0].astype(np.uint16)
    plane[::9, :2] = 4000  # below the share from which a message is due
    assert (
        "hardly any cut off" in diagnose(Image(plane, "YX")).finding("clipping").found
    )


def test_of_planes_that_were_not_looked_at_nothing_is_claimed(frames):
    movie = np.stack([*frames[:4], *(0 * f for f in frames[:4]), frames[0]])
    row = diagnose(Image(movie, "TYX")).finding("not recorded")
    assert "4 planes looked at" in row.found
    assert row.meaning == "All pixels of these hold a signal."


def test_coarse_grey_values_have_a_row(frames):
    coarse = np.rint(frames[0] / 60) * 60
    row = diagnose(Image(coarse, "YX")).finding("grey values")
    assert row.found.startswith("Steps of 60;")
    assert "coarser" in row.meaning
    fine = diagnose(Image(np.rint(frames[0]), "YX")).finding("grey values")
    assert "fine enough" in fine.meaning


def test_its_changes_make_a_config(light):
    noise = gaussian_filter(np.random.default_rng(10).normal(size=light.shape), 0.8)
    found = diagnose(Image((light + 80 * noise).astype(np.float32), "YX"))
    changes = found.changes
    config = recipe(changes.pop("recipe")).override(changes)
    assert isinstance(config, TrainingConfig)
    assert config.masking.correlated
    assert {one.setting for one in found.recommended} == {
        "recipe",
        "masking",
        "noise model",
        "time",
    }


# What is odd -------------------------------------------------------------------------

RNG = np.random.default_rng(11)
ODD = {
    "tiny": (RNG.normal(size=(8, 8)), "YX"),
    "one row": (RNG.normal(size=(1, 300)), "YX"),
    "one pixel": (np.ones((1, 1)), "YX"),
    "constant": (np.full((64, 64), 7), "YX"),
    "no number": (np.full((64, 64), np.nan), "YX"),
    "blank stack": (np.zeros((5, 64, 64), np.uint8), "TYX"),
    "half blank": (np.stack([np.zeros((96, 96)), RNG.normal(size=(96, 96))]), "TYX"),
    "some NaN": (np.where(RNG.random((96, 96)) < 0.1, np.nan, 1.0), "YX"),
    "too large": (RNG.normal(size=(64, 64)) * 1e40, "YX"),
    "single photons": (RNG.poisson(0.2, (96, 96)).astype(np.uint8), "YX"),
    "columns first": (RNG.normal(size=(80, 3, 96)), "XCY"),
}


@pytest.mark.parametrize("name", ODD)
@pytest.mark.filterwarnings("error")
def test_what_is_odd_gives_sentences(name):
    found = diagnose(Image(*ODD[name]))
    for row in found.findings:
        assert row.found.endswith(".")
        assert row.meaning.endswith(".")
        assert not row.action or row.action.endswith(".")
    blank = name in ("one pixel", "constant", "no number", "blank stack", "some NaN")
    assert (not found.recommended) == (blank or name == "too large")
    assert found.forecast is None or found.forecast.gain_db >= 0


def test_colours_and_missing_channels_are_refused():
    with pytest.raises(RequestError, match="RGB"):
        diagnose(Image(np.zeros((8, 8, 3), np.uint8), "YXS"))
    with pytest.raises(RequestError, match="no channel 2"):
        diagnose(Image(np.zeros((2, 8, 8)), "CYX"), channel=2)


def test_it_ends_when_something_is_sent(frames):
    steps = diagnose_steps(Image(frames[0], "YX"))
    next(steps)
    with pytest.raises(StopIteration) as end:
        steps.send("stop")
    assert end.value.value is None


def test_a_large_plane_is_sampled_where_its_content_is(light):
    rng = np.random.default_rng(12)
    large = np.full((1800, 1800), 30.0)
    large[1400:1720, 1400:1720] = light
    found = diagnose(Image(camera(large, rng), "YX"))
    assert "rows 776 to 1799" in found.finding("axes").action
    assert found.transfer.gain == pytest.approx(GAIN, rel=0.15)


# The command line --------------------------------------------------------------------


def test_the_verb_prints_a_table_or_json(tmp_path, frames):
    path = str(write_image(Image(frames[0], "YX"), tmp_path / "noisy.tif"))
    table = CliRunner().invoke(cli, ["diagnose", path])
    assert table.exit_code == 0
    assert "what it means" in table.output
    assert max(map(len, table.output.splitlines())) <= 132
    done = CliRunner().invoke(cli, ["diagnose", path, "--json"])
    report = json.loads(done.stdout)
    assert report["photon_transfer"]["gain"] == pytest.approx(GAIN, rel=0.1)
    assert report["correlation"]["shared"] == []
    assert report["forecast"]["gain_db"] > 5
    assert "table" not in report
