from dataclasses import replace

import dask.array as da
import numpy as np
import pytest
import torch
from torch import nn

from napari_selfdenoise import (
    STOP,
    DenoisingError,
    Image,
    NoiseCurve,
    RequestError,
    TrainedModel,
    TrainingConfig,
    denoise,
    predict_tiles,
)
from napari_selfdenoise.defects import cleaning
from napari_selfdenoise.images import Normalization
from napari_selfdenoise.model import ChannelModel
from napari_selfdenoise.parts.networks import UNet
from napari_selfdenoise.prediction import predict as prediction
from napari_selfdenoise.prediction import results
from napari_selfdenoise.prediction.tile_size import tile_side

pytestmark = pytest.mark.slow

CURVE = NoiseCurve.gaussian(np.array([0.0, 1000.0]), np.array([1.0, 11.0]))


def model_of(network, pixels, flips=True, channels=1):
    """A model that was not trained; reach 11, stride 2."""
    norm = Normalization.measure(pixels.astype(np.float32))
    config = TrainingConfig(network=UNet(width=4, depth=1), flips=flips)
    channel = ChannelModel(network, None, norm, CURVE)
    return TrainedModel(config, (channel,) * channels)


@pytest.fixture
def small_tiles(monkeypatch):
    monkeypatch.setattr(prediction, "tile_side", lambda *_: 16)


def counts(shape, dtype=np.uint16, high=4000):
    rng = np.random.default_rng(0)
    return rng.integers(0, high, shape).astype(dtype)


def random_network():
    torch.manual_seed(0)
    return UNet(width=4, depth=1).build(1)


LAYOUTS = [
    ((64, 48), "YX"),
    ((37, 53), "YX"),
    ((53, 37), "XY"),
    ((1, 40), "YX"),
    ((40, 1), "YX"),
    ((3, 5), "YX"),
    ((2, 3, 2, 20, 33), "TCZYX"),
    ((20, 33, 3), "YXC"),
    ((33, 2, 20), "XTY"),
]


@pytest.mark.usefixtures("small_tiles")
@pytest.mark.parametrize("flips", [True, False])
@pytest.mark.parametrize(("dtype", "high"), [("u1", 256), ("u2", 65536)])
@pytest.mark.parametrize(("shape", "axes"), LAYOUTS)
def test_an_identity_network_gives_the_image_back_to_the_bit(
    shape, axes, dtype, high, flips
):
    pixels = counts(shape, dtype, high)
    image = Image(pixels, axes)
    model = model_of(nn.Identity(), pixels, flips, image.channels)
    result = denoise(image, model, device="cpu")
    assert result.denoised.data.dtype == np.float32
    assert np.array_equal(result.denoised.data, pixels)
    assert result.complete


@pytest.mark.parametrize(("shape", "axes"), LAYOUTS)
@pytest.mark.parametrize("flips", [True, False])
def test_the_tiles_do_not_show(shape, axes, flips, monkeypatch):
    pixels = counts(shape)
    image = Image(pixels, axes)
    model = model_of(random_network(), pixels, flips, image.channels)
    results = []
    for side in (8, 14, 500):
        monkeypatch.setattr(prediction, "tile_side", lambda *_, side=side: side)
        results.append(denoise(image, model, device="cpu").denoised.data)
    spread = np.ptp(results[-1]) + 1
    for other in results[:-1]:
        np.testing.assert_allclose(other, results[-1], atol=1e-4 * spread, rtol=1e-4)


@pytest.mark.usefixtures("small_tiles")
def test_orientations_make_the_prediction_turn_with_the_image():
    pixels = counts((32, 32))
    model = model_of(random_network(), pixels, flips=True)

    def run(data):
        return denoise(Image(data, "YX"), model, device="cpu").denoised.data

    straight = run(pixels)
    for turns in (1, 2, 3):
        turned = np.rot90(straight, turns)
        np.testing.assert_allclose(run(np.rot90(pixels, turns)), turned, rtol=1e-3)


@pytest.mark.usefixtures("small_tiles")
def test_planes_are_denoised_one_by_one():
    pixels = counts((3, 20, 24))
    model = model_of(random_network(), pixels)
    stack = denoise(Image(pixels, "ZYX"), model, device="cpu").denoised.data
    for plane, expected in zip(pixels, stack, strict=True):
        alone = denoise(Image(plane, "YX"), model, device="cpu").denoised.data
        np.testing.assert_array_equal(alone, expected)


def test_results_keep_axes_pixel_size_and_units():
    pixels = counts((2, 20, 24))
    image = Image(pixels, "ZYX", (0.5, 0.1, 0.1), ("µm",) * 3, name="cells")
    result = denoise(image, model_of(nn.Identity(), pixels), device="cpu")
    for given, name in [
        (result.denoised, "cells denoised"),
        (result.noise_std, "cells noise std"),
    ]:
        assert (given.axes, given.pixel_size, given.units) == (
            image.axes,
            image.pixel_size,
            image.units,
        )
        assert given.name == name
        assert given.dtype == np.float32


@pytest.mark.usefixtures("small_tiles")
def test_the_noise_std_is_the_curve_at_the_prediction():
    pixels = counts((2, 32, 32))
    result = denoise(
        Image(pixels, "TYX"), model_of(random_network(), pixels), device="cpu"
    )
    expected = CURVE.std_at(result.denoised.data)
    assert np.array_equal(result.noise_std.data, expected)
    assert result.noise_curves == (CURVE,)


class Lazy:
    """An array that is only ever read in pieces."""

    def __init__(self, data):
        self.data, self.shape, self.dtype = data, data.shape, data.dtype
        self.largest = 0

    def __getitem__(self, index):
        piece = self.data[index]
        self.largest = max(self.largest, piece.size)
        return piece

    def __array__(self, *_, **__):
        raise AssertionError("the whole image was read")


@pytest.mark.usefixtures("small_tiles")
def test_a_lazy_image_is_read_tile_by_tile(monkeypatch):
    monkeypatch.setattr(cleaning, "WHOLE_PIXELS", 0)
    for name in ("_SAMPLE_SIDE", "_PART_SIDE", "_BAND"):
        monkeypatch.setattr(cleaning, name, 64)
    pixels = counts((2, 256, 256))
    lazy = Lazy(da.from_array(pixels, chunks=(1, 32, 32)))
    result = denoise(
        Image(lazy, "TYX"), model_of(nn.Identity(), pixels, flips=False), device="cpu"
    )
    # A part of 64 px, which is more than a tile, and what defects are told by around.
    assert lazy.largest <= (64 + 2 * cleaning._MARGIN) ** 2 < pixels[0].size
    assert np.array_equal(result.denoised.data, pixels)


@pytest.mark.usefixtures("small_tiles")
def test_a_stopped_prediction_keeps_the_tiles_it_has():
    pixels = counts((32, 32)) + 1
    tiles = predict_tiles(
        Image(pixels, "YX"), model_of(nn.Identity(), pixels), device="cpu"
    )
    done = next(tile for tile in tiles if tile.index is not None)
    with pytest.raises(StopIteration) as end:
        while True:
            tiles.send(STOP)
    result = end.value.value
    assert not result.complete
    denoised = result.denoised.data
    assert np.array_equal(denoised[done.index], pixels[done.index])
    assert np.isnan(denoised[16:, 16:]).all() and np.isnan(result.noise_std.data).any()
    assert result.done_fraction == np.isfinite(denoised).mean() == 0.25
    assert not result.coverage.planes


@pytest.mark.usefixtures("small_tiles")
def test_what_a_stopped_prediction_was_given_stays_where_it_did_not_come():
    pixels = counts((3, 20, 33)) + 1
    image, into = Image(pixels, "YTX"), {"denoised": np.full((3, 20, 33), -1, "f4")}
    model = model_of(nn.Identity(), pixels)
    steps = predict_tiles(image, model, into=into, first=(7,), device="cpu")
    while next(steps).fraction < 0.1:
        pass
    with pytest.raises(StopIteration) as end:
        steps.send(STOP)
    result = end.value.value
    assert result.coverage.planes == [(6,), (7,)]
    reached = into["denoised"] != -1
    assert reached.mean() == pytest.approx(result.done_fraction)
    np.testing.assert_array_equal(into["denoised"][reached], pixels[reached])


def test_the_frame_in_view_comes_first():
    pixels = counts((2, 4, 16, 16))
    image, model = Image(pixels, "ZTYX"), model_of(nn.Identity(), pixels)
    places = [
        tile.index[:2]
        for tile in predict_tiles(image, model, first=(1, 2), device="cpu")
        if tile.index
    ]
    assert places[:4] == [(1, 2), (0, 2), (1, 1), (1, 3)]
    assert places[-1] == (0, 0) and len(set(places)) == 8


@pytest.mark.usefixtures("small_tiles")
def test_tiles_tell_how_far_they_are_and_where():
    pixels = counts((32, 48))
    written = np.zeros(pixels.shape, int)
    fractions = []
    model = model_of(nn.Identity(), pixels)
    for tile in predict_tiles(Image(pixels, "YX"), model, device="cpu"):
        fractions.append(tile.fraction)
        if tile.index is not None:
            written[tile.index] += 1
    assert (written == 1).all()
    assert (np.diff(fractions) > 0).all()
    assert fractions[-1] == 1
    assert len(fractions) == 4 * 6  # orientations × tiles


@pytest.mark.usefixtures("small_tiles")
def test_results_are_written_where_they_are_wanted():
    pixels = counts((32, 48))
    denoised, noise_std = (np.zeros(pixels.shape, np.float32) for _ in range(2))
    result = denoise(
        Image(pixels, "YX"),
        model_of(nn.Identity(), pixels),
        into={"denoised": denoised, "noise_std": noise_std},
        device="cpu",
    )
    assert result.denoised.data is denoised
    assert np.array_equal(denoised, pixels)
    assert (noise_std > 0).all()


def test_the_image_is_left_alone():
    pixels = counts((32, 48))
    before = pixels.copy()
    denoise(Image(pixels, "YX"), model_of(random_network(), pixels), device="cpu")
    assert np.array_equal(pixels, before)


def test_large_results_are_kept_in_a_file(monkeypatch):
    monkeypatch.setattr(results, "IN_MEMORY_BYTES", 100)
    pixels = counts((32, 48))
    model = model_of(nn.Identity(), pixels)
    result = denoise(Image(pixels, "YX"), model, device="cpu")
    assert isinstance(result.denoised.data, np.memmap)
    assert np.array_equal(result.denoised.data, pixels)


def test_no_room_for_the_result_is_said(monkeypatch):
    def full(*_, **__):
        raise OSError("No space left on device")

    monkeypatch.setattr(results, "IN_MEMORY_BYTES", 100)
    monkeypatch.setattr(results.np, "memmap", full)
    pixels = counts((32, 48))
    with pytest.raises(DenoisingError, match=r"no room for a result of .* No space"):
        denoise(Image(pixels, "YX"), model_of(nn.Identity(), pixels), device="cpu")


def test_other_channels_than_the_models_are_refused():
    pixels = counts((3, 32, 32))
    model = model_of(nn.Identity(), pixels, channels=2)
    with pytest.raises(RequestError, match="2 channels, but the image has 3"):
        denoise(Image(pixels, "CYX"), model, device="cpu")


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.usefixtures("small_tiles")
def test_pixels_that_are_no_numbers_stay_as_they_are(bad):
    pixels = counts((32, 32)).astype(np.float32)
    model = model_of(nn.Identity(), pixels)
    pixels[3:9, 4:11] = bad
    result = denoise(Image(pixels, "YX"), model, device="cpu")
    np.testing.assert_array_equal(result.denoised.data, pixels)
    nothing_known = np.isnan(result.noise_std.data)
    assert np.array_equal(nothing_known, ~np.isfinite(pixels))
    assert "42 pixels (4.1 %) were never recorded" in result.notes[0]


def test_masked_pixels_stay_as_they_are():
    pixels = counts((2, 32, 32))
    mask = np.zeros((32, 32), int)
    mask[:20] = 3
    image = Image(pixels, "TYX", mask=mask)
    result = denoise(image, model_of(random_network(), pixels), device="cpu")
    changed = result.denoised.data != pixels
    assert not changed[:, 20:].any()
    assert changed[:, :20].mean() > 0.9


def test_outliers_are_replaced_unless_they_are_to_be_kept():
    pixels = np.random.default_rng(0).normal(100, 1, (32, 32)).astype(np.float32)
    model = model_of(nn.Identity(), pixels)
    pixels[3, 4] = 60_000
    image = Image(pixels, "YX")
    replaced = denoise(image, model, device="cpu").denoised.data
    assert replaced[3, 4] == pytest.approx(100, abs=3)
    keeping = replace(model, config=model.config.override({"outliers": "keep"}))
    kept = denoise(image, keeping, device="cpu").denoised.data
    assert kept[3, 4] == 60_000
    assert np.delete(kept, 3 * 32 + 4) == pytest.approx(np.delete(replaced, 3 * 32 + 4))


def test_blank_planes_pass_through():
    pixels = counts((3, 32, 32))
    pixels[1] = 7
    model = model_of(random_network(), pixels)
    result = denoise(Image(pixels, "TYX"), model, device="cpu")
    assert (result.denoised.data[1] == 7).all()
    assert (result.denoised.data[::2] != pixels[::2]).mean() > 0.9
    assert "1 of 3 planes was blank" in result.notes[0]


def test_a_channel_that_nothing_was_learned_of_passes_through():
    pixels = counts((2, 32, 32))
    model = model_of(random_network(), pixels, channels=2)
    model = replace(model, channels=(model.channels[0], ChannelModel.empty()))
    result = denoise(Image(pixels, "CYX"), model, device="cpu")
    assert np.array_equal(result.denoised.data[1], pixels[1])
    assert not np.array_equal(result.denoised.data[0], pixels[0])


def test_an_rgb_image_is_refused():
    pixels = counts((32, 32, 3), np.uint8, 255)
    model = model_of(nn.Identity(), pixels)
    with pytest.raises(RequestError, match="RGB"):
        denoise(Image(pixels, "YXS"), model, device="cpu")


def test_a_device_that_is_not_there_is_refused():
    pixels = counts((32, 32))
    with pytest.raises(RequestError, match="'cuda:99' is not there"):
        denoise(Image(pixels, "YX"), model_of(nn.Identity(), pixels), device="cuda:99")


def test_too_little_memory_is_refused():
    pixels = counts((32, 32))
    with pytest.raises(RequestError, match=r"not enough to denoise with"):
        denoise(
            Image(pixels, "YX"),
            model_of(nn.Identity(), pixels),
            device="cpu",
            max_memory=1000,
        )


def test_less_memory_makes_smaller_tiles():
    model, cpu = model_of(nn.Identity(), counts((8, 8))), torch.device("cpu")
    sides = [tile_side(model, cpu, m) for m in (2**21, 2**24, 2**28, None)]
    assert sides == sorted(sides)
    assert sides[0] < sides[-1]


def test_what_is_read_around_a_tile_counts_too():
    """The blend sees broad shades, which lie far around the smallest tile."""
    single, cpu = model_of(nn.Identity(), counts((8, 8))), torch.device("cpu")
    blended = replace(single, config=single.config.override({"estimator": "auto"}))
    enough = 1_500_000
    assert tile_side(single, cpu, enough) == 64
    with pytest.raises(RequestError, match="Allow more memory"):
        tile_side(blended, cpu, enough)


def test_a_part_of_a_plane_is_denoised_as_where_all_is(small_tiles):
    pixels = counts((2, 64, 48))
    image, model = Image(pixels, "TYX"), model_of(random_network(), pixels)
    whole = denoise(image, model, device="cpu").denoised.data
    part = denoise(
        image, model, device="cpu", only=[(1,)], within=(slice(20, 30), slice(40, 42))
    )
    found = part.denoised.data
    assert np.array_equal(found[1, 16:32, 32:], whole[1, 16:32, 32:])
    found[1, 16:32, 32:] = np.nan
    assert np.isnan(found).all()
    assert part.done_fraction == pytest.approx(16 * 16 / (2 * 64 * 48))


def test_the_part_of_a_plane_that_is_denoised_is_all_of_what_is_to_be_done(small_tiles):
    pixels = counts((64, 48))
    steps = predict_tiles(
        Image(pixels, "YX"),
        model_of(random_network(), pixels),
        device="cpu",
        within=(slice(0, 17), slice(0, 1)),
    )
    tiles = [tile for tile in steps if tile.index is not None]
    assert [tile.index for tile in tiles] == [
        (slice(0, 16), slice(0, 16)),
        (slice(16, 32), slice(0, 16)),
    ]
    assert tiles[-1].fraction == 1.0
