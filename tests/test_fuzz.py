"""Bad input of all kinds ends with a sound result or with a sentence.

Examples are the same in each run. benchmarks/fuzz.py draws thousands more, and changes
files of more formats.
"""

import json
import math
import random
from pathlib import Path

import h5py
import imagecodecs
import mrcfile
import numpy as np
import pytest
import tifffile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from safetensors import safe_open
from safetensors.torch import save

from napari_selfdenoise import (
    DenoisingError,
    Image,
    RequestError,
    denoise,
    load_model,
    read_image,
    recipe,
    train,
    write_image,
)
from napari_selfdenoise.config import RECIPES, TrainingConfig, parse_config
from napari_selfdenoise.context.motion import measure_motion
from napari_selfdenoise.images import require_denoisable, series_names, write_ome_zarr
from napari_selfdenoise.noise.inspection import inspect_fitted, numbers_at, tables
from napari_selfdenoise.parts.noise_models import load_noise_model
from napari_selfdenoise.parts.psf.kernels import airy_kernel
from napari_selfdenoise.training import training_loop

DATA = Path(__file__).parent / "data"
SENTENCES = RequestError, DenoisingError
SMALL = {"steps": 1, "network.width": 4, "network.depth": 1, "patch_size": 16}
SMALL |= {"batch_size": 1, "device": "cpu", "precision": "float32", "flips": False}


def examples(count):
    """The same examples in each run, and as long as they take."""
    slow = [HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
    slow.append(HealthCheck.data_too_large)
    return settings(
        max_examples=count,
        derandomize=True,
        deadline=None,
        database=None,
        suppress_health_check=slow,
    )


@pytest.fixture(autouse=True)
def brief(monkeypatch):
    for effort in ("THOROUGH", "BRIEF"):
        monkeypatch.setattr(training_loop, effort, training_loop.Effort(1e8, 10))


# Arrays -------------------------------------------------------------------------------

TYPES = ["u1", "u2", ">u2", "u4", "i2", "i8", "f2", "f4", ">f8", "?", "F", "O", "U2"]
VALUES = [0.0, 1.0, 100.0, -1.0, 65535.0, 1e30, math.nan, math.inf]


@st.composite
def an_image(draw):
    """An array with letters for its axes: most fit, some do not."""
    shape = draw(arrays.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4))
    outer = shape[:-2]
    sides = draw(st.tuples(*[st.sampled_from([0, 1, 7, 16, 24, 32, 40])] * 2))
    shape = (*outer, *sides) if draw(st.integers(0, 9)) else shape
    rng = np.random.default_rng(draw(st.integers(0, 9)))
    values = rng.poisson(draw(st.sampled_from([0.1, 30, 3000])), shape).astype(float)
    values *= draw(st.sampled_from([1, 1, 1, 1e-30, 1e12, 1e30]))
    if values.size and draw(st.booleans()):
        share = draw(st.sampled_from([0.02, 0.6, 1.1]))
        values[rng.random(shape) < share] = draw(st.sampled_from(VALUES))
    kind = draw(st.sampled_from(TYPES[:9] * 3 + TYPES))
    with np.errstate(all="ignore"):
        data = values.astype(kind)
    data = data[::-1] if data.ndim and draw(st.booleans()) else data
    letters = draw(st.permutations("TCZIQ"))[: max(0, data.ndim - 2)]
    axes = "".join([*letters, "Y", "X"])[: data.ndim]
    other = draw(st.integers(0, 9)) == 0
    return data, draw(st.text("TCZYXSé", max_size=5)) if other else axes


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@examples(60)
@given(an_image(), st.sampled_from(["none", "none", "neighbours", "auto"]))
def test_any_array_is_denoised_or_refused(given_array, context):
    data, axes = given_array
    try:
        image = Image(data, axes)
        require_denoisable(image)
        image.describe()
        model = train(image, recipe("fast").override(SMALL | {"context": context}))
        result = denoise(image, model, device="cpu").denoised
    except SENTENCES as error:
        assert str(error)
        return
    with np.errstate(all="ignore"):
        before = data.astype(np.float32)
    known = np.isfinite(before)
    after = np.asarray(result.data)
    assert after.shape == data.shape and after.dtype == np.float32
    assert np.isfinite(after[known]).all()
    low, high = before[known].min(), before[known].max()
    slack = 1e-3 * (float(high) - float(low)) + 1e-5 * max(abs(low), abs(high))
    assert low - slack <= after[known].mean(dtype=float) <= high + slack


def test_displacements_of_values_beyond_the_numbers_are_none():
    rng = np.random.default_rng(0)
    planes = [(1e30 * rng.random((32, 32))).astype(np.float32) for _ in range(3)]
    for motion in measure_motion(planes[0], planes[1:]):
        assert np.isfinite(motion.steps).all()


# Files of images ----------------------------------------------------------------------

WORDS = [0, 1, 127, 255, 65535, 2**31 - 1, 2**32 - 1, 2**63 - 1]
CHANGES = st.lists(
    st.tuples(
        st.sampled_from(["flip", "word", "cut", "remove", "insert"]),
        st.floats(0, 1),
        st.sampled_from(WORDS),
    ),
    min_size=1,
    max_size=4,
)


def spoiled(content, changes):
    """Bytes with some changed, taken away or added; most of them near the ends."""
    data = bytearray(content)
    for kind, place, word in changes:
        size = max(1, len(data))
        at = int(min(size, 400) * 2 * place) if place < 0.5 else int(size * place)
        at = min(at, size - 1)
        if kind == "flip" and data:
            data[at] ^= 1 << word % 8
        elif kind == "word":
            width = 8 if word > 2**32 else 4 if word > 65535 else 2
            data[at : at + width] = word.to_bytes(width, "little")
        elif kind == "cut":
            del data[at:]
        elif kind == "remove":
            del data[at : at + word % 40]
        else:
            data[at:at] = bytes([word % 256]) * (word % 40)
    return bytes(data)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A sound file of each kind, by its name."""
    folder = tmp_path_factory.mktemp("sound")
    rng = np.random.default_rng(0)
    plane = rng.poisson(100, (24, 32)).astype(np.uint16)
    stack = np.stack([plane, plane + 1])
    image = Image(stack, "TYX", (1.0, 0.1, 0.1), ("s", "µm", "µm"))
    for name in ("imagej.tif", "ome.ome.tif"):
        write_image(image, folder / name)
    tifffile.imwrite(folder / "plain.tif", stack)
    tifffile.imwrite(folder / "zlib.tif", plane, compression="zlib")
    tifffile.imwrite(folder / "big.tif", plane, bigtiff=True)
    (folder / "a.png").write_bytes(imagecodecs.png_encode(plane))
    with h5py.File(folder / "a.h5", "w") as file:
        file["a"] = stack
    for name, how in (("a.mrc", None), ("b.mrc.gz", "gzip")):
        with mrcfile.new(folder / name, plane.astype(np.float32), compression=how):
            pass
    return {one.name: one.read_bytes() for one in folder.iterdir()}


def require_read(path):
    """Read a file and look at it, or get a sentence."""
    try:
        assert series_names(path)
        image = read_image(path)
        require_denoisable(image)
        corner = image.read_plane(next(iter(image.planes())), slice(0, 9), slice(0, 9))
    except SENTENCES as error:
        assert 0 < len(str(error)) < 2000
        return
    assert corner.shape == tuple(min(9, n) for n in image.plane_shape)
    assert all(0 < size < math.inf for size in image.pixel_size)
    assert image.describe()


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "name",
    [
        "imagej.tif",
        "ome.ome.tif",
        "plain.tif",
        "zlib.tif",
        "big.tif",
        "a.png",
        "a.h5",
        "a.mrc",
        "b.mrc.gz",
    ],
)
@examples(25)
@given(changes=CHANGES)
def test_a_spoiled_file_is_read_or_refused(files, tmp_path, name, changes):
    path = tmp_path / name
    path.write_bytes(spoiled(files[name], changes))
    require_read(path)


JUNK = st.one_of(
    st.none(),
    st.booleans(),
    st.sampled_from([0, -1, 2**63, 10**30, 1e308, math.nan, math.inf, "", "x" * 99]),
    st.sampled_from(["\x1b[31m", "../..", [], {}, [[]], [1, 2], {"kind": "auto"}]),
)


def with_junk(content, changes):
    """JSON with some values replaced; each place is drawn by a seed."""
    content = json.loads(json.dumps(content))
    for seed, junk in changes:
        draw, inner, key = random.Random(seed), content, None
        while isinstance(inner, dict | list) and inner:
            outer = inner
            key = draw.choice(
                list(inner) if isinstance(inner, dict) else range(len(inner))
            )
            inner = outer[key]
            if draw.random() < 0.2:
                break
        if key is not None:
            outer[key] = json.loads(json.dumps(junk))
    return content


JUNK_PLACES = st.lists(st.tuples(st.integers(0, 10**6), JUNK), min_size=1, max_size=3)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("version", ["0.4", "0.5"])
@examples(20)
@given(changes=JUNK_PLACES, number=st.integers(0, 9))
def test_a_zarr_with_other_metadata_is_read_or_refused(
    tmp_path_factory, version, changes, number
):
    path = tmp_path_factory.mktemp("zarr") / "a.ome.zarr"
    write_ome_zarr(Image(np.ones((2, 16, 16)), "TYX"), path, version=version)
    texts = sorted(
        p for p in path.rglob("*") if p.suffix == ".json" or p.name[0] == "."
    )
    one = texts[number % len(texts)]
    one.write_text(json.dumps(with_junk(json.loads(one.read_text()), changes)))
    require_read(path)


# Files of the program -----------------------------------------------------------------


@pytest.mark.filterwarnings("ignore")
@examples(25)
@given(changes=JUNK_PLACES, name=st.sampled_from(["fast", "deconoising", "khademi"]))
def test_a_model_file_with_other_settings_is_loaded_or_refused(tmp_path, changes, name):
    with safe_open(DATA / f"{name}.safetensors", "pt") as file:
        tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        about = json.loads(file.metadata()["selfdenoise"])
    path = tmp_path / "model.safetensors"
    text = json.dumps(with_junk(about, changes))
    path.write_bytes(save(tensors, {"selfdenoise": text}))
    image = Image(np.random.default_rng(0).poisson(50, (24, 32)), "YX")
    try:
        result = denoise(image, load_model(path), device="cpu").denoised
    except SENTENCES as error:
        assert str(error)
        return
    assert np.isfinite(result.data).all()


@pytest.mark.filterwarnings("ignore")
@examples(40)
@given(changes=JUNK_PLACES)
def test_a_noise_model_file_with_other_values_is_shown_or_refused(tmp_path, changes):
    about = json.loads((DATA / "poisson_gaussian.noise.json").read_text())
    path = tmp_path / "a.noise.json"
    path.write_text(json.dumps(with_junk(about, changes)))
    try:
        found = inspect_fitted("a", load_noise_model(path))
    except SENTENCES as error:
        assert str(error)
        return
    low, high = found.span
    numbers_at(found, [low, found.middle, high])
    tables(found, None)


# Settings -----------------------------------------------------------------------------

NAMES = [*TrainingConfig.model_fields, "masking.fraction", "network.width", "a.b", ""]


@examples(150)
@given(
    st.sampled_from(sorted(RECIPES)),
    st.dictionaries(st.sampled_from(NAMES), JUNK | st.text(max_size=5), max_size=4),
)
def test_any_settings_are_a_config_or_refused(name, changes):
    try:
        config = recipe(name).override(changes)
    except RequestError as error:
        assert str(error)
        return
    assert parse_config(config.model_dump(mode="json")) == config


def test_a_pattern_within_a_pixel_is_that_pixel():
    kernel = airy_kernel(10_000.0, 10_000.0, False)
    assert kernel.shape == (3, 3)
    assert kernel[1, 1] == pytest.approx(1)
