"""Planes of a stack that are predicted together with those around them."""

import json

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from scipy.ndimage import gaussian_filter, map_coordinates, shift

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
from napari_selfdenoise.context import (
    ContextPlanes,
    PairOfPlanes,
    PlaneWaves,
    measure_motion,
    neighbour_places,
    stack_axis,
)
from napari_selfdenoise.defects import CleanImage
from napari_selfdenoise.images import Normalization
from napari_selfdenoise.model import ChannelModel
from napari_selfdenoise.parts.context import (
    AutomaticContext,
    NeighbouringPlanes,
    NoContext,
    joined,
)
from napari_selfdenoise.parts.estimators import BlindMean
from napari_selfdenoise.parts.masking import NoMask, RandomMask
from napari_selfdenoise.parts.networks import HalfPlaneUNet, UNet
from napari_selfdenoise.parts.noise_models import UnmodelledNoise
from napari_selfdenoise.training import plane_reader as sampling
from napari_selfdenoise.training.patches import (
    Contexts,
    PatchSampler,
    planes_around,
)
from napari_selfdenoise.training.plane_reader import PlaneReader
from napari_selfdenoise.training.resolve import resolve_context
from napari_selfdenoise.training.training_data import TrainingData

STD = 12.0
CURVE = NoiseCurve.gaussian(np.array([0.0, 1000.0]), np.full(2, STD))
TWO = NeighbouringPlanes(planes=2, axis="T", still_planes=0)
MEAN = TWO.model_copy(update={"still_planes": 32})


def scene(frames=8, side=64, speed=0.0, seed=0):
    """Blobs that move by `speed` px a frame, (T, Y, X)."""
    rng = np.random.default_rng(seed)
    wide = gaussian_filter(rng.normal(size=(side + 64,) * 2), 3, mode="wrap")
    wide = 100 + 40 * wide / wide.std()
    moved = [shift(wide, speed * t, order=3, mode="grid-wrap") for t in range(frames)]
    return np.stack(moved)[:, 32 : 32 + side, 32 : 32 + side]


def fine_scene(frames, side=96, speed=0.0):
    """Grain of one pixel, which only more light shows, (T, Y, X)."""
    rng = np.random.default_rng(4)
    field = gaussian_filter(rng.normal(size=(side + 64,) * 2), 0.8, mode="wrap")
    field = 100 + 8 * field / field.std()
    moved = [shift(field, speed * t, order=3, mode="grid-wrap") for t in range(frames)]
    return np.stack(moved)[:, 32 : 32 + side, 32 : 32 + side]


def noisy(signal, seed=1):
    rng = np.random.default_rng(seed)
    return (signal + rng.normal(0, STD, signal.shape)).astype(np.float32)


def around(pixels, context=TWO, **image):
    return ContextPlanes(CleanImage(Image(pixels, "TYX", **image)), context)


def places(pixels, context=TWO):
    """Frame numbers of the neighbours of every frame."""
    found = around(pixels, context)
    return [[p and p[0] for p in found.of((t,))] for t in range(len(pixels))]


def untrained(pixels, **changes):
    """A model with random weights that reads two planes to each side."""
    torch.manual_seed(0)
    config = TrainingConfig(
        network=UNet(width=4, depth=1),
        masking=RandomMask(),
        **{"context": TWO, **changes},
    )
    norm = Normalization.measure(pixels)
    network = config.build_network().eval()
    return TrainedModel(config, (ChannelModel(network, None, norm, CURVE),))


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


# Which planes ------------------------------------------------------------------------


@pytest.mark.parametrize("count", [1, 2, 4])
@pytest.mark.parametrize("length", [2, 3, 5, 9])
def test_a_plane_is_never_its_own_context(length, count):
    for place in range(length):
        found = neighbour_places(
            place, count, lambda p, own=place: p != own and 0 <= p < length
        )
        assert len(found) == 2 * count
        assert place not in found
        assert None not in found


def test_ends_are_mirrored_about_the_plane_itself():
    found = places(noisy(scene(6)))
    assert found[0] == [2, 1, 1, 2]
    assert found[1] == [3, 0, 2, 3]
    assert found[3] == [1, 2, 4, 5]
    assert found[5] == [3, 4, 4, 3]


def test_frames_that_were_written_twice_are_no_context_of_each_other():
    pixels = noisy(scene(4)).repeat(2, axis=0)
    for frame, others in enumerate(places(pixels)):
        assert all(other // 2 != frame // 2 for other in others)


def test_where_all_frames_share_noise_there_is_no_context():
    pixels = np.repeat(noisy(scene(1)), 4, axis=0)
    assert places(pixels) == [[None] * 4] * 4


def test_a_running_mean_of_frames_shares_noise_and_a_still_scene_does_not():
    pixels = noisy(scene(6, side=128))
    smooth = (pixels[1:] + pixels[:-1]) / 2
    waves = [PlaneWaves.of(plane) for plane in smooth]
    assert PairOfPlanes.of(waves[0], waves[1]).shared_noise == pytest.approx(
        0.5, abs=0.1
    )
    assert not PairOfPlanes.of(waves[0], waves[1]).independent
    assert PairOfPlanes.of(waves[0], waves[2]).independent
    assert PairOfPlanes.of(*map(PlaneWaves.of, pixels[:2])).usable


def test_context_ends_where_the_scene_is_cut():
    pixels = noisy(np.concatenate([scene(4, 128), scene(4, 128, seed=5)]))
    for frame, others in enumerate(places(pixels)):
        assert all(other // 4 == frame // 4 for other in others)


def test_blank_frames_give_way_to_others():
    pixels = noisy(scene(6))
    pixels[2] = 7
    found = places(pixels)
    assert all(2 not in others for t, others in enumerate(found) if t != 2)
    assert found[3] == [1, 4, 4, 5]


def test_neighbours_are_those_of_the_same_channel_and_depth():
    pixels = noisy(scene(8)).reshape(4, 1, 2, 64, 64)
    clean = CleanImage(Image(pixels, "TCZYX"))
    found = ContextPlanes(clean, TWO).of((1, 0, 1))
    assert found == [(3, 0, 1), (0, 0, 1), (2, 0, 1), (3, 0, 1)]


def test_the_axis_is_time_then_depth_then_one_without_a_name():
    def axis(axes, *shape):
        return stack_axis(Image(np.zeros((*shape, 8, 8)), axes))

    assert axis("ZTYX", 3, 4) == "T"
    assert axis("ZTYX", 3, 1) == "Z"
    assert axis("QCYX", 3, 2) == "Q"
    assert axis("CYX", 3) == ""


# Blindness ----------------------------------------------------------------------------


def test_the_prediction_of_a_masked_pixel_does_not_depend_on_its_own_value():
    torch.manual_seed(0)
    network = UNet(width=4, depth=1).build(1, inputs=5)
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(1, 1, 16, 16, requires_grad=True)
    planes = torch.randn(1, 4, 16, 16)
    planes[:, 1] = torch.nan  # one plane has no neighbour there
    planes.requires_grad_()
    scheme = RandomMask()
    mask = scheme.draw(1, 16, 16, generator)
    filled = scheme.apply(images, mask, generator)
    output = network(joined(filled, planes)).flatten()
    for place in mask.positions[0, :8].tolist():
        own, others = torch.autograd.grad(
            output[place], (images, planes), retain_graph=True
        )
        assert own.flatten()[place] == 0
        assert others[0, 0].flatten()[place] != 0


@pytest.mark.parametrize("frame", [1, 5])  # near an end, and at one
@pytest.mark.parametrize("mean", [0, 32])
def test_a_blind_result_does_not_follow_the_pixel_itself(mean, frame):
    pixels = noisy(scene(6, side=24))  # too small for a brightness to be measured
    still = TWO.model_copy(update={"motion": False, "still_planes": mean})
    model = untrained(pixels, context=still, estimator=BlindMean(), flips=False)
    moved = pixels.copy()
    moved[frame, 12, 13] += 3
    before, after = (
        denoise(Image(p, "TYX"), model, device="cpu").denoised.data
        for p in (pixels, moved)
    )
    assert before[frame, 12, 13] == after[frame, 12, 13]
    assert (before[frame] != after[frame]).any()


@pytest.mark.parametrize("speed", [0.0, 1.0])
def test_displacements_hardly_follow_the_noise_of_the_plane(speed):
    # The share of a pixel's own noise that comes back by way of the displacements.
    signal, rng = scene(5, 96, speed), np.random.default_rng(3)
    pixels, part = noisy(signal), slice(0, 96)
    shares = []
    for _ in range(4):
        step = rng.normal(0, 0.1 * STD, signal[2].shape).astype(np.float32)
        found = []
        for sign in (1, -1):
            frames = pixels.copy()
            frames[2] += sign * step
            found.append(around(frames).stack((2,), part, part))
        change = np.nanmean((found[0] - found[1]) / 2 * step, axis=(1, 2))
        shares.append(change.mean() / (0.1 * STD) ** 2)
    assert abs(np.mean(shares)) < 0.01


# Motion and brightness ----------------------------------------------------------------


def test_a_scene_that_moved_is_moved_back():
    signal = scene(5, 96, speed=1.5)
    found = around(noisy(signal)).stack((2,), slice(8, 88), slice(8, 88))
    clean = signal[2, 8:88, 8:88]
    for n, other in enumerate((0, 1, 3, 4)):
        before = np.std(signal[other, 8:88, 8:88] - clean)
        noise = np.nanmean(found[n] - clean) ** 2, np.nanvar(found[n] - clean)
        assert sum(noise) < STD**2 + 0.05 * before**2
        assert before > 0.5 * STD


def test_parts_that_move_apart_are_each_moved_back():
    rng = np.random.default_rng(0)
    field = 100 + 300 * gaussian_filter(rng.normal(size=(96, 128)), 2, mode="wrap")
    frames = []
    for t in (-1, 0, 1):
        y, x = np.mgrid[:96, :128].astype(float)
        apart = 2 * t * np.tanh((x - 64) / 20)  # the halves move up and down
        frames.append(map_coordinates(field, (y + apart, x), order=3, mode="wrap"))
    plane, other = (np.asarray(f, np.float32) for f in frames[1:])
    motion = measure_motion(plane, [other])[0]
    found = motion.at(slice(24, 72), slice(0, 128))
    left, right = found[0][:, 16:40].mean(), found[0][:, 88:112].mean()
    assert left == pytest.approx(2, abs=0.3)
    assert right == pytest.approx(-2, abs=0.3)
    assert np.abs(found[1]).mean() < 0.15


def test_a_moving_dot_is_not_smeared():
    y, x = np.mgrid[:64, :64]
    dots = [
        100 + 800 * np.exp(-((y - 32) ** 2 + (x - 26 - 3 * t) ** 2) / (2 * 1.5**2))
        for t in range(5)
    ]
    pixels = noisy(np.stack(dots))
    found = around(pixels).stack((2,), slice(0, 64), slice(0, 64))
    still = NeighbouringPlanes(planes=2, axis="T", motion=False)
    smeared = around(pixels, still).stack((2,), slice(0, 64), slice(0, 64))
    peak = dots[2].max() - 100
    assert found.mean(0)[32, 32] - 100 > 0.8 * peak
    assert smeared.mean(0)[32, 32] - 100 < 0.4 * peak


@pytest.mark.parametrize("speed", [0.0, 1.0])
def test_a_frame_of_other_brightness_is_matched(speed):
    signal = scene(5, 96, speed)
    light = np.array([1.0, 0.5, 1.0, 1.6, 1.0])[:, None, None]
    near = around(noisy(50 + light * signal))
    found = near.stack((2,), slice(8, 88), slice(8, 88))
    for number in range(4):
        apart = np.nanmean(found[number]) - (50 + signal[2, 8:88, 8:88].mean())
        assert abs(apart) < 0.1 * signal.std()
    dim, bright = near.noise_shares((2,))[[1, 2]]
    assert dim > 2.5 * bright


def test_planes_of_one_brightness_stay_as_they_are():
    pixels = noisy(scene(4, 128))
    waves = [PlaneWaves.of(plane) for plane in pixels]
    for one in waves[1:]:
        brightness = PairOfPlanes.of(waves[0], one).brightness
        assert brightness.gain == 1
        assert abs(brightness.offset) < 0.2 * STD


def test_what_came_into_the_image_later_is_not_invented():
    signal = scene(3, 96, speed=3)
    found = around(noisy(signal), NeighbouringPlanes(planes=1, axis="T")).stack(
        (1,), slice(0, 96), slice(0, 96)
    )
    assert np.isnan(found[0][-1]).mean() + np.isnan(found[0][0]).mean() > 0.5
    assert not np.isnan(found[:, 8:88, 8:88]).any()


def test_parts_of_a_plane_get_the_same_context_as_the_whole():
    near = around(noisy(scene(5, 96, speed=1.5)))
    whole = near.stack((2,), slice(0, 96), slice(0, 96))
    part = near.stack((2,), slice(30, 50), slice(70, 96))
    assert np.allclose(part, whole[:, 30:50, 70:96], atol=1e-3, equal_nan=True)


@pytest.mark.parametrize("shape", [(16, 16), (17, 301), (33, 5)])
def test_planes_of_any_shape_are_followed(shape):
    rng = np.random.default_rng(0)
    plane = rng.normal(100, 9, shape).astype(np.float32)
    motion = measure_motion(plane, [plane, np.full(shape, 7, np.float32)])
    rows, columns = (slice(0, side) for side in shape)
    for one in motion:
        assert np.isfinite(one.at(rows, columns)).all()
    assert np.abs(motion[0].at(rows, columns)).max() < 0.01


# The mean of a still scene ------------------------------------------------------------


def test_the_mean_of_a_scene_is_that_of_all_other_planes():
    signal = scene(9, 96)
    pixels = noisy(signal)
    near = around(pixels, MEAN)
    mean = near.stack((3,), slice(0, 96), slice(0, 96))[-1]
    others = np.sort(np.delete(pixels, 3, axis=0), axis=0)[1:-1].mean(0)
    # But for their brightness, which is measured of each.
    assert np.std(mean - others) < 0.1 * STD
    assert np.std(mean - signal[3]) == pytest.approx(STD / np.sqrt(8), rel=0.12)
    assert near.noise_shares((3,))[-1] == pytest.approx(1 / np.sqrt(8), rel=0.1)
    assert len(around(pixels, MEAN).of_scene((0,))) == 8


def test_what_moves_through_a_still_scene_leaves_no_trail_in_its_mean():
    still = scene(20, 96)
    y, x = np.mgrid[:96, :96]
    dots = [np.exp(-((y - 48) ** 2 + (x - 10 - 4 * t) ** 2) / 8) for t in range(20)]
    seen = around(noisy(still + 300 * np.stack(dots)), MEAN)
    mean = seen.stack((10,), slice(0, 96), slice(0, 96))[-1]
    trail = slice(46, 51), slice(30, 70)
    without = around(noisy(still), MEAN).stack((10,), slice(0, 96), slice(0, 96))[-1]
    assert abs((mean - without)[trail].mean()) < 0.3 * STD
    # The plain mean of all frames shows it.
    assert (300 * np.stack(dots).mean(0)[trail]).mean() > STD


def test_copies_blank_frames_and_other_scenes_are_not_in_the_mean():
    pixels = noisy(np.concatenate([scene(6, 128), scene(2, 128, seed=5)]))
    pixels[2] = pixels[3]  # written twice
    pixels[4] = 7
    found = around(pixels, MEAN).of_scene((3,))
    assert sorted(found) == [(0,), (1,), (5,)]


def test_the_nearest_planes_are_averaged():
    five = TWO.model_copy(update={"still_planes": 5})
    found = around(noisy(scene(12)), five)
    assert sorted(found.of_scene((6,))) == [(3,), (4,), (5,), (7,), (8,)]


def test_the_mean_is_used_where_the_scene_stands_still():
    context, text = decided(noisy(fine_scene(12)))
    assert context.still_planes == 11
    assert context.planes == 1  # the others are in the mean
    assert "the mean of 11 around it, as the scene stands still" in text
    context, text = decided(noisy(fine_scene(12)), context=TWO)
    assert context.still_planes == 0
    assert "stands still" not in text


def test_the_mean_is_not_used_where_the_scene_moves():
    context, text = decided(noisy(fine_scene(12, speed=0.7)))
    assert getattr(context, "still_planes", 0) == 0
    assert "stands still" not in text


@pytest.mark.slow
def test_a_stack_with_the_mean_of_its_scene_is_denoised_again_by_its_model(tmp_path):
    image = Image(noisy(fine_scene(6, 64)), "TYX")
    model = train(image, quick(3, context=MEAN))
    assert model.config.context.still_planes == 32
    again = load_model(save_model(model, tmp_path / "still"))
    found, same = (
        denoise(image, m, device="cpu").denoised.data for m in (model, again)
    )
    assert np.array_equal(found, same)
    fewer = Image(image.data[:2], "TYX")
    assert np.isfinite(denoise(fewer, again, device="cpu").denoised.data).all()
    more = quick(1, context=NeighbouringPlanes(planes=2))
    assert train(fewer, more, start=again).config.context == again.config.context


# Automatic ----------------------------------------------------------------------------


def decided(pixels, axes="TYX", **changes):
    """What the automatic context becomes, and the sentence that says why."""
    config = TrainingConfig(**{"context": AutomaticContext(), **changes})
    data = TrainingData.read([Image(pixels, axes)], config)
    config, text = resolve_context(config, data)
    return config.context, text


@pytest.mark.parametrize("speed", [0.0, 1.0])
def test_frames_that_help_are_used(speed):
    context, text = decided(noisy(scene(6, 96, speed)))
    assert (context.kind, context.axis) == ("neighbours", "T")
    assert (context.planes, context.still_planes) == ((2, 0) if speed else (1, 5))
    assert "before and after it, along T" in text


def test_frames_that_share_noise_are_not_used():
    pixels = noisy(scene(9, 96))
    smooth = (pixels[4:] + pixels[3:-1] + pixels[2:-2] + pixels[1:-3] + pixels[:-4]) / 5
    context, text = decided(smooth)
    assert context == NoContext()
    assert "share its noise" in text
    context, text = decided(smooth, context=TWO)
    assert context == TWO
    assert "though those around it" in text


def test_frames_of_other_scenes_are_not_used():
    pixels = noisy(np.concatenate([scene(1, 128, seed=n) for n in range(6)]))
    context, text = decided(pixels)
    assert context == NoContext()
    assert "other scenes" in text


def test_frames_without_structure_change_nothing():
    rng = np.random.default_rng(0)
    context, text = decided(rng.normal(100, 9, (6, 64, 64)).astype(np.float32))
    assert context == NoContext()
    assert "do not help" in text


def test_a_number_of_planes_leaves_the_choice_automatic():
    changes = {"context": "auto", "context.planes": 4}
    assert TrainingConfig().override(changes).context == AutomaticContext(planes=4)


def test_single_images_and_blind_nets_are_left_as_they_are():
    pixels = noisy(scene(3))
    assert decided(pixels[0], "YX") == (NoContext(), "")
    blind = {"network": HalfPlaneUNet(), "masking": NoMask()}
    assert decided(pixels, **blind) == (NoContext(), "")


# Training and prediction --------------------------------------------------------------


def test_patches_come_with_the_same_part_of_the_planes_around():
    pixels = np.arange(6 * 20 * 24, dtype=np.float32).reshape(6, 20, 24)
    clean = CleanImage(Image(pixels, "TYX"))
    planes = PlaneReader([clean], 0, np.random.default_rng(0)).read()
    nothing = np.full((20, 24), np.nan, np.float32)
    around = [
        np.stack([pixels[t - 2] if t >= 2 else nothing, pixels[5 - t]])
        for t in (one.plane[0] for one in planes)
    ]
    sampler = PatchSampler(
        [one.clean.pixels for one in planes],
        [one.clean.good for one in planes],
        Normalization(0, 1),
        16,
        RandomMask().orientations,
        torch.device("cpu"),
        around=Contexts(around, np.ones(2, np.float32)),
    )
    drawn = sampler.draw(60, torch.Generator().manual_seed(0))
    t = (drawn.observation // 480).long()[:, 0, 0, 0]
    before, mirrored = drawn.context.unbind(1)
    assert torch.equal(mirrored.isnan().any(), torch.tensor(False))
    inside = drawn.observation[:, 0] % 480
    assert torch.equal(mirrored % 480, inside)
    assert torch.equal(mirrored[:, 0, 0] // 480, 5 - t.float())
    assert torch.equal(before.isnan()[:, 0, 0], t < 2)
    assert torch.equal(before[t >= 2] % 480, inside[t >= 2])


def test_planes_that_are_read_together_are_neighbours(monkeypatch):
    monkeypatch.setattr(sampling, "MAX_TRAINING_PIXELS", 8 * 32 * 32)
    pixels = noisy(scene(64, side=32))
    clean = CleanImage(Image(pixels, "TYX"))
    planes = PlaneReader([clean], 0, np.random.default_rng(0), run=8).read()
    times = sorted(one.plane[0] for one in planes)
    assert len(planes) == 8
    assert times == list(range(times[0], times[0] + 8))
    (near,) = planes_around(planes, TWO).values()
    for one in planes:
        found = near.of(one.plane)
        assert None not in found
        assert one.plane not in found


def test_parts_that_were_read_elsewhere_are_no_neighbours(monkeypatch):
    """Of a large stack, the last planes are read in part, each run at a place."""
    monkeypatch.setattr(sampling, "MAX_TRAINING_PIXELS", 20 * 96 * 96)
    pixels = noisy(scene(40, side=96))
    clean = CleanImage(Image(pixels, "TYX"))
    planes = PlaneReader([clean], 0, np.random.default_rng(1), run=8).read()
    assert len({one.corner for one in planes}) > 1
    near = planes_around(planes, NeighbouringPlanes(planes=2, axis="T", motion=False))
    for one in planes:
        height, width = one.clean.pixels.shape
        y, x = one.corner
        found = near[one.place].of(one.plane)
        stack = near[one.place].stack(one.plane, slice(0, height), slice(0, width))
        for other, part in zip(found, stack, strict=True):
            if other is not None:
                expected = pixels[other[0], y : y + height, x : x + width]
                assert np.corrcoef(part.ravel(), expected.ravel())[0, 1] > 0.999


@pytest.mark.slow
@pytest.mark.parametrize("context", ["neighbours", "auto", "volume"])
def test_a_stack_that_is_read_in_part_is_learned_from(monkeypatch, context):
    monkeypatch.setattr(sampling, "MAX_TRAINING_PIXELS", 30 * 64 * 64)
    image = Image(noisy(scene(20)), "ZYX")
    config = quick(1).override({"context": context})
    result = denoise(image, train(image, config))
    assert np.isfinite(result.denoised.data).all()


@pytest.mark.slow
def test_a_single_image_is_learned_from_as_without_context():
    image = Image(noisy(scene(1, side=32))[0], "YX")
    plain, stack = (
        train(image, quick(3, context=context)) for context in (NoContext(), TWO)
    )
    assert stack.config.context == NoContext()
    found, same = (
        denoise(image, m, device="cpu").denoised.data for m in (plain, stack)
    )
    assert np.array_equal(found, same)


@pytest.mark.slow
def test_the_model_file_keeps_the_context(tmp_path):
    image = Image(noisy(scene(5)), "TYX")
    model = train(image, quick(3, context=NeighbouringPlanes(planes=1)))
    found = model.config.context
    assert (found.kind, found.planes, found.axis) == ("neighbours", 1, "T")
    assert "along T" in model.provenance["finding"]
    again = load_model(save_model(model, tmp_path / "stack"))
    assert again.config == model.config
    found, same = (
        denoise(image, m, device="cpu").denoised.data for m in (model, again)
    )
    assert np.array_equal(found, same)


def test_models_of_before_do_not_follow_motion(tmp_path):
    path = save_model(untrained(noisy(scene(3, 32))), tmp_path / "stack")
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata()
    description = json.loads(metadata["selfdenoise"])
    assert description["config"]["context"].pop("motion")
    metadata = {"selfdenoise": json.dumps(description)}  # none had a checksum
    save_file(load_file(path), path, metadata)
    assert not load_model(path).config.context.motion
    del description["config"]["context"]
    assert TrainingConfig.model_validate(description["config"]).context == NoContext()


def test_a_single_image_is_refused_by_a_model_of_stacks():
    pixels = noisy(scene(3))
    with pytest.raises(RequestError, match="together with 4 others"):
        denoise(Image(pixels[0], "YX"), untrained(pixels), device="cpu")


def test_the_half_plane_net_goes_without_context():
    with pytest.raises(RequestError, match="half-plane"):
        TrainingConfig().override({"network": "half_plane", "context": "neighbours"})


@pytest.mark.slow
@pytest.mark.parametrize("speed", [0.0, 0.5])
def test_context_beats_single_planes_after_as_many_steps(speed):
    signal = scene(6, side=40, speed=speed)
    image = Image(noisy(signal), "TYX")
    errors = []
    for context in (NoContext(), TWO):
        model = train(image, quick(80, context=context, masking=RandomMask()))
        found = denoise(image, model, device="cpu").denoised.data
        errors.append(float(np.mean((found - signal) ** 2)))
    assert errors[1] < 0.9 * errors[0]


@pytest.mark.slow
@pytest.mark.parametrize("masking", ["bins", "line"])
def test_dirty_stacks_are_denoised_with_any_masking(masking):
    pixels = noisy(scene(7))
    pixels[1] = 0
    pixels[2, 10:20, 10:20] = np.nan
    pixels[3, 30, 30] = 4000
    pixels[5] = pixels[4]
    image = Image(pixels, "TYX")
    config = quick(2, context=TWO).override({"masking": masking})
    found = denoise(image, train(image, config), device="cpu").denoised.data
    kept = np.isnan(pixels)
    assert np.isfinite(found[~kept]).all()
    assert np.array_equal(found[1], pixels[1])


def test_a_stack_whose_planes_have_no_context_is_still_predicted():
    pixels = np.repeat(noisy(scene(1, side=32)), 3, axis=0)
    found = denoise(Image(pixels, "TYX"), untrained(pixels), device="cpu").denoised
    assert np.isfinite(found.data).all()
