"""Channels that are predicted from each other, where that helps and does no harm."""

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from napari_selfdenoise import (
    Image,
    NoiseCurve,
    RequestError,
    TrainedModel,
    TrainingConfig,
    denoise,
    load_model,
    save_model,
    train,
)
from napari_selfdenoise.context import OtherChannels
from napari_selfdenoise.defects import CleanImage
from napari_selfdenoise.images import Normalization
from napari_selfdenoise.model import ChannelModel
from napari_selfdenoise.parts.channels import (
    AutomaticChannels,
    IndependentChannels,
    JointChannels,
)
from napari_selfdenoise.parts.context import NeighbouringPlanes
from napari_selfdenoise.parts.estimators import BlindMean
from napari_selfdenoise.parts.masking import RandomMask
from napari_selfdenoise.parts.networks import HalfPlaneUNet, UNet
from napari_selfdenoise.parts.noise_models import UnmodelledNoise
from napari_selfdenoise.training import training_data
from napari_selfdenoise.training.channel_choice import resolve_channels
from napari_selfdenoise.training.channel_trainer import ChannelTrainer
from napari_selfdenoise.training.training_data import TrainingData

STD = 12.0
CURVE = NoiseCurve.gaussian(np.array([0.0, 1000.0]), np.full(2, STD))
ALL = slice(None)


def structure(seed=0, side=96):
    """Blobs with detail of two pixels, (Y, X)."""
    rng = np.random.default_rng(seed)
    found = gaussian_filter(rng.normal(size=(side, side)), 1.6, mode="wrap")
    return 40 * found / found.std()


def noisy(*signals, seed=1):
    """Channels with noise of their own, (C, Y, X)."""
    stack = np.stack(signals)
    rng = np.random.default_rng(seed)
    return (stack + rng.normal(0, STD, stack.shape)).astype(np.float32)


def two_dyes(seed=0):
    """The same structure twice, the second time dimmer and over another level."""
    light = structure(seed)
    return np.stack([200 + light, 1000 + 0.6 * light])


def quick(steps=5, **changes):
    return TrainingConfig(
        network=UNet(width=8, depth=1),
        patch_size=32,
        budget_s=None,
        steps=steps,
        device="cpu",
        flips=False,
        noise_model=UnmodelledNoise(),
        **changes,
    )


def chosen(pixels, axes="CYX", channels=None, **changes):
    """Channels as they are decided before a training, and the sentence on it."""
    config = quick(channels=channels or AutomaticChannels(), **changes)
    data = TrainingData.read([Image(pixels, axes)], config)
    config, text = resolve_channels(config, data)
    return config.channels, text


def joint(pixels):
    """All channels together, measured as a training measures them."""
    return chosen(pixels, channels=JointChannels())[0]


def untrained(pixels, axes="CYX", **changes):
    """A model with random weights that reads all channels."""
    torch.manual_seed(0)
    channels = chosen(pixels, axes, JointChannels())[0]
    config = TrainingConfig(
        network=UNet(width=4, depth=1),
        masking=RandomMask(),
        channels=channels,
        flips=False,
        **changes,
    )
    models = [
        ChannelModel(
            config.build_network().eval(),
            None,
            Normalization(channels.offsets[c], channels.scales[c]),
            CURVE,
        )
        for c in range(len(channels.scales))
    ]
    return TrainedModel(config, tuple(models))


# Where it helps ----------------------------------------------------------------------


def test_channels_of_one_structure_help_each_other():
    found, text = chosen(noisy(*two_dyes()))
    assert isinstance(found, JointChannels)
    assert found.helped == (0, 1)
    assert "closer" in text


def test_a_channel_that_is_dark_where_the_other_is_bright_helps_too():
    light = structure()
    found, _ = chosen(noisy(200 + light, 200 - light))
    assert isinstance(found, JointChannels)


def test_channels_that_show_different_things_stay_independent():
    found, text = chosen(noisy(200 + structure(0), 200 + structure(1)))
    assert isinstance(found, IndependentChannels)
    assert "Channels 1, 2: the others do not help to predict its pixels." in text


def test_only_those_channels_are_helped_that_the_others_help():
    light = structure()
    found, text = chosen(noisy(200 + light, 200 + light, 200 + structure(5)))
    assert isinstance(found, JointChannels)
    assert found.helped == (0, 1)
    assert "Channel 3: the others do not help to predict its pixels." in text


@pytest.mark.parametrize("sign", [1, -1], ids=["alike", "opposite"])
def test_channels_that_share_noise_are_not_used(sign):
    # As after unmixing, or with a camera of coloured pixels: the other channel would
    # show the network the noise that it is to remove.
    rng = np.random.default_rng(2)
    light, noise = structure(), rng.normal(0, STD, (96, 96))
    pixels = np.stack([200 + light + noise, 200 + light + sign * noise])
    found, text = chosen(pixels.astype(np.float32))
    assert isinstance(found, IndependentChannels)
    assert "the others are blank, or share its noise" in text


def test_channels_whose_noise_adds_up_to_zero_are_not_used():
    # As where the mean over channels was subtracted: each pair of ten shares little,
    # but nine together tell of all noise of the tenth.
    signals = [200 + structure(n) for n in range(10)]
    pixels = noisy(*signals)
    noise = pixels - np.stack(signals)
    pixels = (np.stack(signals) + noise - noise.mean(0)).astype(np.float32)
    found, text = chosen(pixels)
    assert isinstance(found, IndependentChannels)
    assert "share its noise" in text


def test_noise_that_was_shifted_between_channels_is_found():
    rng = np.random.default_rng(2)
    light, noise = structure(), rng.normal(0, STD, (96, 96))
    pixels = np.stack([200 + light + noise, 200 + light + np.roll(noise, 2, 1)])
    assert isinstance(chosen(pixels.astype(np.float32))[0], IndependentChannels)


@pytest.mark.parametrize("side", [16, 18, 20, 31])
def test_small_images_are_not_known_to_have_noise_of_their_own(side):
    pixels = noisy(*two_dyes())[:, :side, :side]
    config = quick(2, channels=AutomaticChannels()).override({"patch_size": 16})
    model = train(Image(pixels, "CYX"), config)
    assert isinstance(model.config.channels, IndependentChannels)


def test_the_choice_does_not_depend_on_the_order_of_images():
    alike = Image(noisy(*two_dyes()), "CYX")
    apart = Image(noisy(200 + structure(0), 1000 + structure(1)), "CYX")
    config, found = quick(channels=AutomaticChannels()), []
    for images in ([alike, apart, apart], [apart, apart, alike]):
        channels, _ = resolve_channels(config, TrainingData.read(images, config))
        found.append(getattr(channels.channels, "helped", ()))
    assert found[0] == found[1]


def test_where_channels_are_asked_for_they_are_joint_and_a_doubt_is_said():
    pixels = noisy(200 + structure(0), 200 + structure(1))
    found, text = chosen(pixels, channels=JointChannels())
    assert isinstance(found, JointChannels)
    assert found.helped == (0, 1)
    assert "Better choose automatic" in text


def test_planes_around_that_hold_the_scene_already_leave_nothing_to_other_channels():
    light = two_dyes()
    frames = np.stack([noisy(*light, seed=n) for n in range(12)])
    config = quick(
        channels=AutomaticChannels(),
        context=NeighbouringPlanes(planes=4, axis="T", motion=False, still_planes=0),
    )
    data = TrainingData.read([Image(frames, "TCYX")], config)
    alone = config.model_copy(update={"context": quick().context})
    assert resolve_channels(alone, data)[0].channels.helped == (0, 1)
    text = resolve_channels(config, data)[1]
    assert "Channel 1: the others do not help to predict its pixels." in text


def test_joint_channels_beat_independent_ones_after_as_many_steps():
    signal = two_dyes()
    image = Image(noisy(*signal), "CYX")
    errors = []
    for channels in (IndependentChannels(), JointChannels()):
        model = train(image, quick(150, channels=channels))
        found = denoise(image, model).denoised.data
        errors.append(((found - signal) ** 2).mean((1, 2)))
    assert np.all(errors[1] < 0.95 * errors[0])


# What the network gets ---------------------------------------------------------------


def test_other_channels_come_at_the_level_and_spread_of_the_own_one():
    pixels = noisy(*two_dyes())
    channels = joint(pixels)
    others = OtherChannels(CleanImage(Image(pixels, "CYX")), channels)
    found = others.stack((0,), slice(8, 40), slice(16, 64))
    gain = channels.scales[0] / channels.scales[1]
    level = channels.offsets[0] - gain * channels.offsets[1]
    np.testing.assert_allclose(found[0], gain * pixels[1, 8:40, 16:64] + level, 1e-4)


def test_the_noise_of_other_channels_is_that_of_their_pixels_as_they_are_given():
    light = two_dyes()
    pixels = noisy(*light)
    pixels[1] = light[1] + 0.5 * (pixels[1] - light[1])
    channels = joint(pixels)
    others = OtherChannels(CleanImage(Image(pixels, "CYX")), channels)
    gain = channels.scales[0] / channels.scales[1]
    assert others.noise_shares((0,))[0] == pytest.approx(0.5 * gain, rel=0.1)


def test_a_region_gets_the_same_place_of_the_other_channels():
    pixels = noisy(*two_dyes())
    others = OtherChannels(CleanImage(Image(pixels, "CYX")), joint(pixels))
    whole = others.stack((0,), slice(0, 96), slice(0, 96))
    part = others.at((32, 16), (48, 64)).stack((0,), slice(4, 20), slice(0, 64))
    np.testing.assert_array_equal(part, whole[:, 36:52, 16:80])


def test_other_channels_are_those_of_the_same_time_and_depth():
    pixels = np.stack([noisy(*two_dyes(n), seed=n) for n in range(6)])
    pixels = pixels.reshape(3, 2, 2, 96, 96)
    channels = chosen(pixels, "TZCYX", JointChannels())[0]
    others = OtherChannels(CleanImage(Image(pixels, "TZCYX")), channels)
    assert others.of((2, 1, 0)) == [(2, 1, 1)]
    assert others.of((0, 1, 1)) == [(0, 1, 0)]


def test_hot_pixels_of_another_channel_are_mended_before_they_are_used():
    pixels = noisy(*two_dyes())
    pixels[1, 40, 50] = 60_000
    others = OtherChannels(CleanImage(Image(pixels, "CYX")), joint(pixels))
    found = others.stack((0,), slice(0, 96), slice(0, 96))[0]
    assert abs(found[40, 50] - np.median(found)) < 6 * found.std()


def test_blank_planes_of_another_channel_are_left_out():
    frames = np.stack([noisy(*two_dyes(), seed=n) for n in range(3)])
    frames[1, 1] = 7
    channels = chosen(frames, "TCYX", JointChannels())[0]
    others = OtherChannels(CleanImage(Image(frames, "TCYX")), channels)
    assert others.of((1, 0)) == [None]
    level = channels.offsets[0]
    assert (others.stack((1, 0), slice(0, 9), slice(0, 9)) == level).all()
    assert others.stack((0, 0), slice(0, 9), slice(0, 9)).std() > 5


def test_what_was_not_recorded_of_another_channel_is_its_level():
    pixels = noisy(*two_dyes())
    channels = joint(pixels)
    pixels[1, :30] = np.nan
    others = OtherChannels(CleanImage(Image(pixels, "CYX")), channels)
    found = others.stack((0,), slice(0, 96), slice(0, 96))[0]
    assert (found[:30] == channels.offsets[0]).all()
    assert found[30:].std() > 5


@pytest.mark.parametrize(
    "change",
    [lambda y: 0 * y, lambda y: y + 500, lambda y: 3 * y, lambda y: 0 * y + np.nan],
    ids=["blank", "other level", "other exposure", "never recorded"],
)
def test_a_channel_unlike_that_of_the_training_is_left_out_with_a_note(change):
    light = structure()
    opposite = np.stack([200 + light, 200 - light])
    model = train(Image(noisy(*opposite), "CYX"), quick(150, channels=JointChannels()))
    signal = np.stack([200 + structure(7), 200 - structure(7)])
    pixels = noisy(*signal, seed=9)
    pixels[1] = change(pixels[1])
    result = denoise(Image(pixels, "CYX"), model)
    error = (result.denoised.data[0] - signal[0]).std()
    assert error < STD  # it was three times the noise before channels were hidden
    assert any("had to be predicted without a channel" in n for n in result.notes)


def test_a_dark_plane_of_another_channel_stays_dark():
    # Brought to the spread of the own channel plane by plane, its noise would look
    # like structure.
    dyes = two_dyes()
    frames = np.stack([noisy(*dyes, seed=n) for n in range(4)])
    frames[3, 1] = noisy(np.full((96, 96), 1000.0), seed=9)[0]
    channels = chosen(frames, "TCYX", JointChannels())[0]
    others = OtherChannels(CleanImage(Image(frames, "TCYX")), channels)
    bright, dark = (
        others.stack((t, 0), slice(0, 96), slice(0, 96)).std() for t in (0, 3)
    )
    assert dark < 0.7 * bright


def test_an_empty_channel_passes_through_and_the_rest_is_joint():
    light = two_dyes()
    pixels = np.stack([*noisy(*light), np.zeros((96, 96), np.float32)])
    model = train(Image(pixels, "CYX"), quick(channels=AutomaticChannels()))
    assert model.config.channels.helped == (0, 1)
    found = denoise(Image(pixels, "CYX"), model).denoised.data
    np.testing.assert_array_equal(found[2], 0)
    assert np.isfinite(found).all()


def test_one_channel_alone_stays_independent_and_says_so():
    pixels = noisy(200 + structure())
    found, text = chosen(pixels[0], "YX", JointChannels())
    assert isinstance(found, IndependentChannels)
    assert text == "Each channel is denoised by itself: there is only one."
    empty = np.stack([pixels[0], np.zeros_like(pixels[0])])
    assert (
        "only one of them holds anything"
        in chosen(empty)[1] + (chosen(empty, channels=JointChannels())[1])
    )


# What follows what -------------------------------------------------------------------


def test_the_prediction_of_a_masked_pixel_does_not_depend_on_its_own_value():
    pixels = noisy(*two_dyes())
    model = untrained(pixels)
    changed = pixels.copy()
    changed[0, 48, 48] += 30
    results = [
        denoise(Image(p, "CYX"), model, estimator=BlindMean()).denoised.data
        for p in (pixels, changed)
    ]
    assert results[1][0, 48, 48] == results[0][0, 48, 48]
    assert results[1][1, 48, 48] != results[0][1, 48, 48]


def test_an_independent_channel_does_not_follow_the_others():
    pixels = noisy(*two_dyes())
    changed = pixels.copy()
    changed[1] = noisy(structure(8) + 500)[0]
    results = [
        denoise(Image(p, "CYX"), train(Image(p, "CYX"), quick())).denoised.data[0]
        for p in (pixels, changed)
    ]
    np.testing.assert_array_equal(*results)


def test_a_channel_that_is_not_helped_does_not_follow_the_others():
    pixels = noisy(*two_dyes())
    model = untrained(pixels)
    alone = model.config.channels.model_copy(update={"helped": (1,)})
    config = model.config.model_copy(update={"channels": alone})
    model = TrainedModel(config, model.channels)
    changed = pixels.copy()
    changed[1] += 20 * structure(8).astype(np.float32)
    results = [denoise(Image(p, "CYX"), model).denoised.data for p in (pixels, changed)]
    np.testing.assert_array_equal(results[0][0], results[1][0])


@pytest.mark.parametrize("axes", ["CYX", "YXC", "XCY"])
def test_the_result_does_not_depend_on_the_order_of_axes(axes):
    pixels = noisy(*two_dyes())
    model = untrained(pixels)
    order = ["CYX".index(axis) for axis in axes]
    found = denoise(Image(pixels.transpose(order), axes), model).denoised.data
    plain = denoise(Image(pixels, "CYX"), model).denoised.data
    np.testing.assert_allclose(found, plain.transpose(order), atol=1e-4)


def test_a_part_is_predicted_as_in_the_whole():
    pixels = noisy(*two_dyes())
    model = untrained(pixels)
    whole = denoise(Image(pixels, "CYX"), model).denoised.data
    part = slice(32, 64), slice(16, 80)
    found = denoise(Image(pixels, "CYX"), model, within=part).denoised.data
    np.testing.assert_allclose(found[:, *part], whole[:, *part], atol=1e-3)


# Together with all else --------------------------------------------------------------


def test_the_model_file_keeps_the_channels(tmp_path):
    image = Image(noisy(*two_dyes()), "CYX")
    model = train(image, quick(channels=AutomaticChannels()))
    save_model(model, tmp_path / "joint.n2sd")
    loaded = load_model(tmp_path / "joint.n2sd")
    assert loaded.config == model.config
    np.testing.assert_array_equal(
        denoise(image, loaded).denoised.data, denoise(image, model).denoised.data
    )


@pytest.mark.parametrize("channels", [AutomaticChannels(), JointChannels()])
def test_a_training_goes_on_from_joint_channels(channels):
    image = Image(noisy(*two_dyes()), "CYX")
    model = train(image, quick(channels=JointChannels()))
    further = train(image, quick(channels=channels), start=model)
    assert further.config.channels == model.config.channels
    with pytest.raises(RequestError, match="channels independent"):
        train(image, quick(), start=model)


def test_frames_with_neighbours_and_channels_get_both():
    frames = np.stack([noisy(*two_dyes(), seed=n) for n in range(6)])
    context = NeighbouringPlanes(planes=1, axis="T", motion=False, still_planes=0)
    config = quick(channels=JointChannels(), context=context)
    model = train(Image(frames, "TCYX"), config)
    assert model.config.inputs == 1 + 2 + 1
    assert np.isfinite(denoise(Image(frames, "TCYX"), model).denoised.data).all()


@pytest.mark.parametrize("masking", ["random", "grid", "bins", "shape"])
def test_dirty_channels_are_denoised_with_any_masking(masking):
    frames = np.stack([noisy(*two_dyes(), seed=n) for n in range(3)])
    frames[0, 0, :12] = np.nan
    frames[1, 1] = 0
    frames[2, 1, 30, 30] = 60_000
    config = quick(channels=JointChannels()).override({"masking": masking})
    model = train(Image(frames, "TCYX"), config)
    found = denoise(Image(frames, "TCYX"), model).denoised.data
    assert np.isfinite(found[1:]).all()
    assert np.isfinite(found[0, 0, 12:]).all()


def test_planes_that_are_read_later_come_with_their_other_channels(monkeypatch):
    monkeypatch.setattr(training_data, "FIRST_PIXELS", 2 * 96**2)
    monkeypatch.setattr(training_data, "_LEAST_PIXELS", 0)
    added = []
    plain = ChannelTrainer.add
    monkeypatch.setattr(
        ChannelTrainer, "add", lambda s, p: (added.extend(p), plain(s, p))
    )
    frames = np.stack([noisy(*two_dyes(n), seed=n) for n in range(12)])
    model = train(Image(frames, "TCYX"), quick(30, channels=JointChannels()))
    others = OtherChannels(CleanImage(Image(frames, "TCYX")), model.config.channels)
    assert len(added) > 8
    for one in added:
        expected = others.stack(one.plane, slice(0, 96), slice(0, 96))
        np.testing.assert_array_equal(one.around, expected)


def test_the_same_seed_gives_the_same_joint_model():
    image = Image(noisy(*two_dyes()), "CYX")
    results = [
        denoise(image, train(image, quick(8, channels=AutomaticChannels())))
        for _ in range(2)
    ]
    np.testing.assert_array_equal(*(r.denoised.data for r in results))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"network": HalfPlaneUNet(), "channels": JointChannels()}, "half-plane U-Net"),
        ({"context": "volume", "channels": "joint"}, "predicted from one channel"),
    ],
)
def test_what_does_not_go_with_joint_channels_is_refused(changes, reason):
    plain = {
        name: value if isinstance(value, str) else value.model_dump()
        for name, value in changes.items()
    }
    with pytest.raises(RequestError, match=reason):
        TrainingConfig().override(plain)


@pytest.mark.parametrize(
    "changes",
    [{"lows": (0.0,)}, {"offsets": ()}, {"helped": (2,)}, {"scales": (1.0, 1.0, 1.0)}],
)
def test_measurements_of_other_channels_are_refused(changes):
    values = dict.fromkeys(("offsets", "scales", "lows", "highs"), (1.0, 1.0))
    joint = {"kind": "joint", "helped": (0, 1)} | values
    assert TrainingConfig(channels=joint).channels.count == 1
    with pytest.raises(RequestError, match="not of as many channels"):
        TrainingConfig().override({"channels": joint | changes})


def test_blind_nets_leave_automatic_channels_independent():
    pixels = noisy(*two_dyes())
    config = quick(channels=AutomaticChannels()).override(
        {"network": "half_plane", "masking": "none"}
    )
    data = TrainingData.read([Image(pixels, "CYX")], config)
    assert resolve_channels(config, data) == (
        config.model_copy(update={"channels": IndependentChannels()}),
        "",
    )
