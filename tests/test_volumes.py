"""Volumes: convolutions, patches, masks and tiles along depth, too."""

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

import napari_selfdenoise.prediction.predict as predicting
import napari_selfdenoise.prediction.slab_views as slabs
from napari_selfdenoise import (
    Image,
    RequestError,
    cli,
    denoise,
    read_image,
    recipe,
    train,
    write_image,
)
from napari_selfdenoise.config import PlanesReach, TrainingConfig, why_not
from napari_selfdenoise.context import Volumes, depth_axis, plane_spacing
from napari_selfdenoise.defects import CleanImage
from napari_selfdenoise.images import Normalization
from napari_selfdenoise.model import ChannelModel, TrainedModel, load_model, save_model
from napari_selfdenoise.parts.context import FullVolume, NoContext
from napari_selfdenoise.parts.estimators import AutoEstimator, BlindMean
from napari_selfdenoise.parts.masking import GridMask, RandomMask
from napari_selfdenoise.parts.networks import UNet, merged, taken_apart
from napari_selfdenoise.prediction import predict_tiles
from napari_selfdenoise.training.patches import PatchSampler
from napari_selfdenoise.training.plan import make_plan
from napari_selfdenoise.training.plane_reader import PlaneReader
from napari_selfdenoise.training.training_data import TrainingData
from napari_selfdenoise.training.volume_patches import VolumePatches

NARROW = UNet(width=4, depth=2)
SHALLOW = UNet(width=4, depth=1)
CPU = torch.device("cpu")
QUICK = recipe("fast").override(
    {
        "context": "volume",
        "network.width": 4,
        "noise_model": "unmodelled",
        "objective": "squared_error",
        "estimator": "single_pass",
        "flips": False,
        "steps": 3,
        "patch_size": 32,
        "device": "cpu",
    }
)


def blobs(planes=12, side=48, seed=0, count=40):
    """Balls as high as wide, from 100 to 1100, (Z, Y, X)."""
    rng = np.random.default_rng(seed)
    canvas = np.zeros((planes, side, side))
    for z, y, x in rng.integers(0, canvas.shape, (count, 3)):
        canvas[z, y, x] = 1
    light = gaussian_filter(canvas, 2.0, mode="wrap")
    return 100 + 1000 * light / light.max()


def noisy(light, std=150.0, seed=1):
    rng = np.random.default_rng(seed)
    return (light + rng.normal(0, std, light.shape)).astype(np.float32)


def untrained(spec=NARROW, context=None, channels=1, **changes):
    """A model with random weights that are not small: all that is near counts."""
    context = context or FullVolume(spacing=3.0, axis="Z")
    config = TrainingConfig(
        network=spec,
        context=context,
        masking=RandomMask(),
        flips=False,
        device="cpu",
        precision="float32",
    ).model_copy(update=changes)
    torch.manual_seed(0)
    network = config.build_network().eval()
    with torch.no_grad():
        network.head.weight.mul_(10)
    empty = ChannelModel.empty()
    one = ChannelModel(network, None, Normalization(300.0, 200.0), empty.noise_curve)
    return TrainedModel(config, (one,) * channels)


def denoised(pixels, model, axes="ZYX", **options):
    options = {"device": "cpu", **options}
    return denoise(Image(pixels, axes), model, **options).denoised.data


# Network ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("spacing", "merges"), [(1.0, (2, 2)), (2.0, (1, 2)), (3.0, (1, 1)), (None, (1, 1))]
)
def test_planes_are_merged_once_pixels_are_as_wide_as_planes_are_apart(spacing, merges):
    assert FullVolume(spacing=spacing).merges(2) == merges


@pytest.mark.parametrize("merges", [(1, 1), (1, 2), (2, 2)])
@pytest.mark.parametrize("planes", [24, 25])
def test_a_prediction_depends_on_planes_within_the_radius_only(merges, planes):
    torch.manual_seed(0)
    network = NARROW.build(1, merges=merges)
    image = torch.randn(planes, 1, 8, 8, requires_grad=True)
    for place in (11, 12):
        (gradient,) = torch.autograd.grad(network(image, planes)[place].sum(), image)
        reached = gradient.abs().amax((1, 2, 3)).nonzero()[:, 0]
        far = (reached - place).abs().max()
        assert 3 <= far <= NARROW.planes_radius(merges)


def test_volumes_of_a_batch_know_nothing_of_each_other():
    torch.manual_seed(0)
    network = NARROW.build(1, merges=(1, 2))
    image = torch.randn(10, 1, 8, 8)
    both, first = network(image, 5), network(image[:5], 5)
    assert torch.allclose(both[:5], first, atol=1e-5)


@pytest.mark.parametrize("planes", [1, 4, 7])
def test_merged_planes_are_taken_apart_again(planes):
    pairs = torch.arange(-(-planes // 2)).repeat_interleave(2)[:planes].float()
    features = torch.cat([pairs, 10 + pairs]).view(-1, 1, 1, 1)
    fewer = merged(features, planes)
    assert len(fewer) == 2 * -(-planes // 2)
    assert torch.equal(taken_apart(fewer, planes), features)


def test_a_network_of_planes_has_the_weights_that_it_had():
    names = dict(NARROW.build(1).named_parameters())
    assert names["down.0.0.weight"].shape == (4, 1, 3, 3)
    deep = dict(NARROW.build(1, merges=(1, 1)).named_parameters())
    assert deep["down.0.0.weight"].shape == (4, 3, 3, 3)
    assert names.keys() == deep.keys()


# Which planes -------------------------------------------------------------------------


def test_planes_are_apart_as_the_voxel_size_says():
    um = ("µm",) * 3
    image = Image(np.zeros((4, 8, 8)), "ZYX", pixel_size=(1.0, 0.25, 0.25), units=um)
    assert plane_spacing(image, "Z") == pytest.approx(4.0)
    assert plane_spacing(Image(np.zeros((4, 8, 8)), "ZYX"), "Z") is None


def test_depth_comes_before_time():
    assert depth_axis(Image(np.zeros((3, 4, 8, 8)), "TZYX")) == "Z"
    assert depth_axis(Image(np.zeros((3, 8, 8)), "TYX")) == "T"
    assert depth_axis(Image(np.zeros((1, 8, 8)), "ZYX")) == ""


def test_a_volume_ends_before_blank_planes():
    pixels = noisy(blobs(12))
    pixels[5] = 0
    clean = CleanImage(Image(pixels, "ZYX"))
    volumes = Volumes(clean, FullVolume(), radius=3)
    assert [p for (p,) in volumes.slab((4,)).planes] == [1, 2, 3, 4]
    assert [p for (p,) in volumes.slab((6,)).planes] == [6, 7, 8, 9]
    together = volumes.slab((4,), 8)
    assert [p for (p,) in together.predicted] == [0, 1, 2, 3, 4]
    assert volumes.slab((6,), 8) == volumes.slab((7,), 8)


@pytest.mark.parametrize("merges", [1, 2, 4])
def test_slabs_begin_where_merged_planes_do(merges):
    clean = CleanImage(Image(noisy(blobs(15)), "ZYX"))
    volumes = Volumes(clean, FullVolume(), radius=3, merged=merges)
    for place in range(15):
        slab = volumes.slab((place,))
        assert slab.predicted == ((place,),)
        assert slab.planes[0][0] % merges == 0
        assert slab.planes[-1][0] == 14 or len(slab.planes) % merges == 0
        assert slab.planes[0][0] <= max(0, place - 3)
        assert slab.planes[-1][0] >= min(14, place + 3)


# Patches ------------------------------------------------------------------------------


def sampler_of(pixels, context):
    clean = CleanImage(Image(pixels, "ZYX"))
    read = PlaneReader([clean], 0, np.random.default_rng(0)).read()
    planes, patches = VolumePatches.of(read, context)
    shown = [one.clean.pixels for one in planes]
    good = [one.clean.good for one in planes]
    turns = RandomMask().orientations
    return PatchSampler(
        shown, good, Normalization(0, 1), 16, turns, CPU, volumes=patches
    )


def test_patches_are_planes_that_follow_each_other_at_the_same_place():
    pixels = np.arange(12 * 20 * 24, dtype=np.float32).reshape(12, 20, 24)
    drawn = sampler_of(pixels, FullVolume(patch_planes=5)).draw(
        200, torch.Generator().manual_seed(0)
    )
    found = drawn.observation.view(200, 5, 16, 16)
    steps = found.diff(dim=1)
    upwards = steps[:, :, 0, 0] > 0
    assert torch.equal(steps.abs(), torch.full_like(steps, 480))
    assert (upwards == upwards[:, :1]).all()
    assert 60 < upwards[:, 0].sum() < 140  # half of them are upside down
    firsts = (found[:, :, 0, 0].amin(1) // 480).long()
    assert set(firsts.tolist()) == set(range(8))


def test_no_patch_lies_across_a_blank_plane():
    pixels = noisy(blobs(14, 32))
    pixels[5] = 7
    drawn = sampler_of(pixels, FullVolume(patch_planes=5)).draw(
        100, torch.Generator().manual_seed(0), turned=False
    )
    by_first = {tuple(pixels[z, :, :].ravel()): z for z in range(14)}
    places = {}
    for z in range(14):
        places |= dict.fromkeys(pixels[z].ravel().tolist(), z)
    found = drawn.observation.view(100, 5, 16, 16)[:, :, 3, 3]
    lists = [[places[v] for v in one] for one in found.tolist()]
    assert all(one == list(range(one[0], one[0] + 5)) for one in lists)
    assert all(5 not in one for one in lists)
    assert len(by_first) == 14


# What is decided ----------------------------------------------------------------------


def decided(pixels, axes="ZYX", context=None, **options):
    config = TrainingConfig(context=context or FullVolume(), device="cpu")
    image = Image(pixels, axes, **options)
    return make_plan(TrainingData.read([image], config), config, CPU)


def test_an_unknown_voxel_size_is_stated():
    plan = decided(noisy(blobs(6)))
    assert plan.config.context == FullVolume(patch_planes=6, spacing=3.0, axis="Z")
    assert "voxel size is not known" in plan.finding


def test_the_voxel_size_decides_how_planes_are_merged():
    options = {"pixel_size": (0.3, 0.25, 0.25), "units": ("µm",) * 3}
    plan = decided(noisy(blobs(8)), **options)
    assert plan.config.context.spacing == pytest.approx(1.2)
    assert "1.2 pixel widths apart" in plan.finding
    assert PlanesReach.of(plan.config).merged == 4


@pytest.mark.parametrize(("planes", "axes"), [(3, "ZYX"), (1, "ZYX")])
def test_few_planes_are_denoised_one_by_one(planes, axes):
    plan = decided(noisy(blobs(planes)), axes)
    assert plan.config.context == NoContext()
    assert "at least 4 planes in a row" in plan.finding


def test_planes_that_share_noise_are_reported():
    pixels = noisy(blobs(12))
    smooth = (pixels[2:] + pixels[1:-1] + pixels[:-2]) / 3
    assert "better choose none" in decided(smooth).finding


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"network": "half_plane", "masking": "none"}, "The half-plane U-Net"),
        ({"masking": "bins"}, "Bins of pixels"),
        ({"psf": "gaussian"}, "The point spread function"),
    ],
)
def test_what_volumes_exclude_is_refused_with_a_reason(changes, words):
    with pytest.raises(RequestError, match=words):
        recipe("fast").override({"context": "volume", **changes})
    assert why_not(recipe("khademi"), "context", "volume") is not None


# Prediction ---------------------------------------------------------------------------


def changed(pixels, place):
    moved = pixels.copy()
    moved[place] += 300
    return moved


@pytest.mark.parametrize(
    "masking", [RandomMask(), GridMask(spacing_min=3, spacing_max=3)]
)
def test_a_masked_voxel_does_not_count_in_its_own_prediction(masking):
    model = untrained(masking=masking, estimator=BlindMean())
    pixels = noisy(blobs(9, 24), 30)
    place = (4, 11, 12)
    before, after = (denoised(p, model) for p in (pixels, changed(pixels, place)))
    assert before[place] == pytest.approx(after[place], abs=1e-3)
    for other in ((3, 11, 12), (5, 11, 12), (4, 11, 13), (4, 12, 12)):
        assert abs(before[other] - after[other]) > 1e-2


@pytest.mark.parametrize(
    ("spacing", "estimator"),
    [(1.0, "single_pass"), (3.0, "single_pass"), (3.0, "blind_mean")],
)
def test_tiles_and_slabs_leave_no_seam(monkeypatch, spacing, estimator):
    context = FullVolume(spacing=spacing, axis="Z")
    model = untrained(SHALLOW, context)
    model = TrainedModel(
        model.config.override({"estimator": estimator, "network.baseline": 0}),
        model.channels,
    )
    pixels = noisy(blobs(9, 32), 30)
    whole = denoised(pixels, model)
    monkeypatch.setattr(predicting, "tile_side", lambda *_: 16)
    monkeypatch.setattr(slabs, "MOST_PLANES", 3)
    tiled = denoised(pixels, model)
    assert np.abs(tiled - whole).max() < 1e-5 * np.ptp(whole)


def test_planes_may_be_denoised_in_any_order():
    model = untrained(SHALLOW)
    model = TrainedModel(model.config.override({"estimator": "auto"}), model.channels)
    pixels = noisy(blobs(10, 32))
    assert np.array_equal(denoised(pixels, model), denoised(pixels, model, first=(7,)))


def test_what_is_prepared_for_a_volume_counts_for_all_its_planes():
    """Else the first plane would seem to take as long as all the others together."""
    model = untrained(SHALLOW, estimator=AutoEstimator())
    steps = predict_tiles(Image(noisy(blobs(8)), "ZYX"), model, device="cpu")
    shares, written = zip(*((one.fraction, one.index) for one in steps), strict=True)
    assert (np.diff(shares) >= 0).all() and shares[-1] == 1
    first = next(n for n, index in enumerate(written) if index is not None)
    assert shares[first - 1] > 0.5


def test_a_stack_upside_down_gives_the_result_upside_down():
    model = untrained()
    with torch.no_grad():
        for name, weight in model.channels[0].network.named_parameters():
            if (
                name.startswith("down") and name.endswith(".0.weight")
            ) or "reduce.w" in name:
                before, own, after = weight.chunk(3, dim=1)
                both = (before + after) / 2
                weight.copy_(torch.cat([both, own, both], dim=1))
    pixels = noisy(blobs(11, 24), 30)
    there, back = denoised(pixels, model), denoised(pixels[::-1].copy(), model)
    assert np.abs(there - back[::-1]).max() < 1e-5 * np.ptp(there)


def test_each_time_point_is_a_volume_of_its_own():
    model = untrained()
    pixels = np.stack([noisy(blobs(6, 24, seed), 30) for seed in (0, 1)])
    moved = changed(pixels, (1, 3, 12, 12))
    before, after = (denoised(p, model, "TZYX") for p in (pixels, moved))
    assert np.array_equal(before[0], after[0])
    assert (before[1] != after[1]).any((1, 2)).sum() == 6
    alone = denoised(pixels[1], model)
    assert np.abs(alone - before[1]).max() < 1e-5 * np.ptp(alone)


def test_blank_planes_and_gaps_stay_as_they_are():
    model = untrained()
    pixels = noisy(blobs(12, 32), 30)
    pixels[5] = 0
    pixels[8, :6, :7] = np.nan
    found = denoised(pixels, model)
    assert (found[5] == 0).all()
    assert np.isnan(found[8, :6, :7]).all()
    assert np.isfinite(np.delete(found, 8, 0)).all()
    moved = changed(pixels, (6, 16, 16))
    after = denoised(moved, model)
    assert np.array_equal(after[:5], found[:5])  # beyond the blank plane
    assert (after[6:9] != found[6:9]).any()


def test_single_images_are_refused_by_a_model_of_volumes():
    with pytest.raises(RequestError, match="Choose a stack"):
        denoised(noisy(blobs(1))[0], untrained(), "YX")


# Training -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def model():
    """A model of a volume, hardly trained."""
    return train(Image(noisy(blobs()), "ZYX"), QUICK)


def test_a_model_file_keeps_the_volume(model, tmp_path):
    save_model(model, tmp_path / "model.selfdenoise")
    again = load_model(tmp_path / "model.selfdenoise")
    assert again.config.context == FullVolume(spacing=3.0, axis="Z")
    pixels = noisy(blobs())
    assert np.array_equal(denoised(pixels, model), denoised(pixels, again))


def test_a_training_goes_on_from_a_model_of_volumes(model):
    fewer = Image(noisy(blobs(5)), "ZYX")
    again = train(fewer, QUICK, start=model)
    assert again.config.context == FullVolume(patch_planes=5, spacing=3.0, axis="Z")
    with pytest.raises(RequestError, match="planes of a stack none"):
        train(fewer, QUICK.override({"context": "none"}), start=model)


@pytest.mark.slow
def test_the_command_line_denoises_a_volume(tmp_path, capsys):
    write_image(Image(noisy(blobs(6, 32)), "ZYX"), tmp_path / "stack.tif")
    words = "denoise stack.tif out.tif --context volume --context.spacing 2.5"
    quick = "--steps 2 --network.width 4 --patch-size 32 --device cpu --no-flips"
    arguments = f"{words} {quick} --noise-model unmodelled --estimator single_pass"
    places = {"stack.tif", "out.tif"}
    with pytest.raises(SystemExit) as end:
        cli.main([str(tmp_path / a) if a in places else a for a in arguments.split()])
    printed = "".join(capsys.readouterr())
    assert end.value.code == 0, printed
    assert "2.5 pixel widths apart" in " ".join(printed.split())
    assert read_image(tmp_path / "out.tif").shape == (6, 32, 32)


@pytest.mark.slow
def test_balls_are_denoised_better_as_a_volume_than_plane_by_plane():
    light = blobs(16, 48, count=60)
    image = Image(noisy(light, 250), "ZYX")
    changes = {"network.width": 8, "patch_size": 32, "steps": 150, "batch_size": 8}
    plain = {"estimator": "single_pass", "flips": False, "device": "cpu"}
    errors = {}
    for context in ("none", "volume"):
        config = QUICK.override(changes | plain | {"context": context})
        found = denoise(image, train(image, config), device="cpu").denoised.data
        errors[context] = float(np.mean((found - light) ** 2))
    assert errors["volume"] < 0.8 * errors["none"]
