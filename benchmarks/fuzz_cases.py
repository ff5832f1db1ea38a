"""Cases of each part of `fuzz.py`: bad input, drawn at random, and what is made of it.

A case is a function of a random generator and an empty folder. It returns where the
input was accepted and the result is sound, raises `RequestError` or `DenoisingError`
where it was refused, and `WrongResultError` where a result cannot be right.
"""

from __future__ import annotations

import json
import math
import os
import shutil
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import numpy as np
from fuzz_mutation import (
    Random,
    pick,
    spoiled,
    spoiled_json,
    spoiled_safetensors,
    spoiled_tag,
)
from pydantic import BaseModel

from napari_selfdenoise import Image, RequestError, denoise, read_image, recipe, train
from napari_selfdenoise.images import require_denoisable, series_names

Case = Callable[[Random, Path], None]

ROOT = Path(__file__).resolve().parents[1]
SEEDS = Path(os.environ.get("SELFDENOISE_FUZZ_SEEDS", ""))
"""Folder of sound files, which `make_seeds` fills; cases change copies of them."""

SMALL: dict[str, Any] = {
    "steps": 1,
    "network.width": 4,
    "network.depth": 1,
    "patch_size": 16,
    "batch_size": 1,
    "device": "cpu",
    "precision": "float32",
    "flips": False,
}
"""The smallest training."""


class WrongResultError(Exception):
    """What came of an accepted input cannot be right."""


def require(holds: Any, what: str) -> None:
    """Raise an error where a truth about a result does not hold."""
    if not holds:
        raise WrongResultError(what)


# -- Results ---------------------------------------------------------------------------


def require_sound(image: Image, denoised: Image, in_range: bool = True) -> None:
    """Check shape, type, finiteness and mean of a result.

    Parameters
    ----------
    image, denoised : Image
        Before and after.
    in_range : bool
        Whether the mean must lie between the least and the greatest value.
    """
    require(denoised.shape == image.shape, f"shape {image.shape} -> {denoised.shape}")
    require(denoised.dtype == np.float32, f"type {denoised.dtype}")
    with np.errstate(over="ignore", invalid="ignore"):
        before = np.asarray(image.data).astype(np.float32)
    after = np.asarray(denoised.data)
    known = np.isfinite(before)
    require(np.isfinite(after[known]).all(), "not finite where the input is")
    if in_range and known.any():
        low, high = float(before[known].min()), float(before[known].max())
        mean = float(after[known].astype(float).mean())
        slack = 1e-3 * (high - low) + 1e-5 * max(abs(low), abs(high))
        require(low - slack <= mean <= high + slack, f"mean {mean} of {low} to {high}")


def require_read(image: Image) -> None:
    """Check an image that was read, and look at a corner of one of its planes."""
    require(len(image.axes) == image.ndim == len(image.pixel_size), "axes")
    require(all(size > 0 for size in image.pixel_size), f"steps {image.pixel_size}")
    require(all(map(math.isfinite, image.pixel_size)), f"steps {image.pixel_size}")
    image.describe()
    require_denoisable(image)
    plane = next(iter(image.planes()))
    corner = image.read_plane(plane, slice(0, 64), slice(0, 64))
    rows, columns = (min(64, n) for n in image.plane_shape)
    require(corner.shape == (rows, columns), f"{corner.shape} of {image.plane_shape}")


# -- Arrays ----------------------------------------------------------------------------

_TYPES = ("u1", "u2", "u4", "u8", "i1", "i2", "i4", "i8", "f2", "f4", "f8", "g")
_ODD_TYPES = ("?", "F", "D", "O", "U3", "S2", "M8[s]", "m8[s]", "i4,f4", "V4")
_SIDES = (0, 1, 1, 1, 2, 2, 3, 3, 4, 5, 8, 13)
_PLANE_SIDES = (*_SIDES, *(16, 17, 24, 32, 33, 48, 64, 64) * 6)
_ODD_SIZES = (0.0, -1.0, math.nan, math.inf, 1e300)


def arrays(rng: Random, folder: Path) -> None:
    """An array with axes, pixel sizes and a mask; trained on and denoised if tiny."""
    data = an_array(rng)
    axes = some_axes(rng, data.ndim)
    mask = None
    if rng.random() < 0.2:
        shape = data.shape[int(rng.integers(data.ndim + 1)) :]
        mask = rng.random(pick(rng, (shape, shape, (3, 3)))) < rng.random()
    odd = rng.random() < 0.1
    sizes = tuple(pick(rng, _ODD_SIZES if odd else (1.0, 0.1, 1e-9)) for _ in axes)
    sizes = pick(rng, ((), sizes, sizes[1:] if odd else sizes))
    units = pick(rng, ((), ("µm",) * data.ndim, ("furlong",) * (data.ndim - odd)))
    image = Image(data, axes, sizes, units, name="a <b>name</b>", mask=mask)
    image.describe()
    require_denoisable(image)
    changes = {"context": pick(rng, ("none", "none", "neighbours", "auto"))}
    changes["channels"] = pick(rng, ("independent", "independent", "auto"))
    config = recipe("fast").override(SMALL | changes | {"seed": 1})
    require_sound(image, denoise(image, train(image, config), device="cpu").denoised)


def an_array(rng: Random) -> Any:
    """An array of up to six axes and a few thousand pixels, of any type and order."""
    ndim = pick(rng, (0, 1, *(2, 3) * 8, *(4,) * 4, 5, 6))
    shape = [int(pick(rng, _SIDES)) for _ in range(ndim - 2)]
    shape += [int(pick(rng, _PLANE_SIDES)) for _ in range(min(ndim, 2))]
    while math.prod(shape) > 2**14:
        shape[int(np.argmax(shape))] //= 2
    kind = pick(rng, _TYPES if rng.random() < 0.85 else _ODD_TYPES)
    data = _typed(_values(rng, tuple(shape)), kind)
    order = pick(rng, ("as it is",) * 8 + ("swapped", "turned", "thinned", "flat"))
    if order == "swapped":
        return data.astype(data.dtype.newbyteorder())
    if order == "turned":
        return np.flip(data.T)
    if order == "thinned" and data.ndim:
        return np.repeat(data, 2, axis=0)[::-2]
    if order == "flat" and data.size:
        return np.broadcast_to(data.ravel()[0], data.shape)
    return data


def _values(rng: Random, shape: tuple[int, ...]) -> Any:
    values = rng.poisson(pick(rng, (0.1, 3, 100, 3000)), shape).astype(float)
    values *= pick(rng, (1, 1, 1, 1, 1e-12, 1e-30, 1e12, 1e30, 1e300, -1))
    values += pick(rng, (0, 0, 0, 100, 1e6, 2.0**53, -1e30))
    spoil = pick(rng, ("no",) * 5 + ("some", "many", "all", "constant", "rows"))
    odd = pick(rng, (np.nan, np.inf, -np.inf, 0.0, 1e308, 65535.0))
    if spoil in ("some", "many"):
        values[rng.random(shape) < (0.02 if spoil == "some" else 0.6)] = odd
    elif spoil == "all":
        values[...] = odd
    elif spoil == "constant":
        values[...] = values.ravel()[0] if values.size else 0
    elif spoil == "rows" and values.ndim:
        values[::3] = odd
    return values


def _typed(values: Any, kind: str) -> Any:
    with np.errstate(all="ignore"):
        if kind in ("M8[s]", "m8[s]"):
            return np.nan_to_num(values, posinf=0, neginf=0).astype("i8").astype(kind)
        if kind in ("i4,f4", "V4"):
            return np.zeros(values.shape, kind)
        return values.astype(kind)


def some_axes(rng: Random, ndim: int) -> str:
    """Letters for so many axes; often sound, else with something wrong."""
    outer = list("TCZIQRUVWP")
    rng.shuffle(outer)
    letters = "".join([*outer[: max(0, ndim - 2)], "Y", "X"])[: max(ndim, 0)]
    if rng.random() < 0.15:
        letters = "".join(rng.permutation(list(letters)))
    if rng.random() < 0.1:
        pool = "TCZYXSIQA1é \0\n"
        letters = "".join(pick(rng, pool) for _ in range(int(rng.integers(0, 7))))
    return letters.lower() if rng.random() < 0.1 else letters


# -- Files of images -------------------------------------------------------------------


def tiff(rng: Random, folder: Path) -> None:
    """A TIFF with bytes, tags or its text changed."""
    seed = pick(rng, sorted((SEEDS / "tiff").iterdir()))
    content = seed.read_bytes()
    change = spoiled_tag if rng.random() < 0.55 else spoiled
    read_all(rng, _write(folder / seed.name, change(rng, content)))


def file_of(kind: str) -> Case:
    """Cases of a format of which a file is changed in its bytes."""

    def case(rng: Random, folder: Path) -> None:
        seed = pick(rng, sorted((SEEDS / kind).iterdir()))
        read_all(rng, _write(folder / seed.name, spoiled(rng, seed.read_bytes())))

    return case


def mrc(rng: Random, folder: Path) -> None:
    """An MRC file, zipped or not; what is zipped is changed before or after."""
    import gzip

    seed = pick(rng, sorted((SEEDS / "mrc").iterdir()))
    content = seed.read_bytes()
    if seed.suffix == ".gz" and rng.random() < 0.6:
        content = gzip.compress(spoiled(rng, gzip.decompress(content)))
    else:
        content = spoiled(rng, content)
    read_all(rng, _write(folder / seed.name, content))


def ome_zarr(rng: Random, folder: Path) -> None:
    """An OME-Zarr with its metadata changed, or a chunk changed, cut or lost."""
    seed = pick(rng, sorted((SEEDS / "zarr").iterdir()))
    path = folder / seed.name
    shutil.copytree(seed, path)
    files = [one for one in sorted(path.rglob("*")) if one.is_file()]
    texts = [f for f in files if f.suffix == ".json" or f.name.startswith(".z")]
    for _ in range(int(rng.integers(1, 3))):
        one = pick(rng, texts if rng.random() < 0.75 else files)
        if rng.random() < 0.05:
            one.unlink(missing_ok=True)
        elif one in texts and one.exists():
            about = json.loads(seed.joinpath(one.relative_to(path)).read_text())
            one.write_text(spoiled_json(rng, about))
        elif one.exists():
            one.write_bytes(spoiled(rng, one.read_bytes()))
    read_all(rng, path)


def read_all(rng: Random, path: Path) -> None:
    """List the images of a file, and read one of them, at times with options."""
    options: dict[str, Any] = {}
    if rng.random() < 0.15:
        options["axes"] = pick(rng, ("YX", "TYX", "ZCYX", "row,col", "", "Y,X", "?"))
    if rng.random() < 0.1:
        options["series"] = pick(rng, (0, 1, -1, 10**9))
    if rng.random() < 0.1:
        options["pixel_size"] = pick(rng, ("0.1", "65nm", "YX=0.1,T=2s", "-1", "nan"))
    if rng.random() < 0.1:
        options["frame"] = pick(rng, (0, 1, -1, 10**9))
    if rng.random() < 0.1:
        options["max_memory"] = pick(rng, (1, 2**10, 2**30))
    if rng.random() < 0.3:
        require(series_names(path), "no series")
    require_read(read_image(path, **options))


def _write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


# -- Files of the program --------------------------------------------------------------


def model_file(rng: Random, folder: Path) -> None:
    """A model file with its description, tensors or bytes changed; it predicts."""
    from napari_selfdenoise import load_model

    seed = pick(rng, sorted((SEEDS / "model").iterdir()))
    path = folder / "model.safetensors"
    model = load_model(_write(path, spoiled_safetensors(rng, seed.read_bytes())))
    image = _an_image(rng)
    require_sound(image, denoise(image, model, device="cpu").denoised, in_range=False)


def noise_model_file(rng: Random, folder: Path) -> None:
    """A noise model file that was changed; it is inspected, and trained with."""
    from napari_selfdenoise.noise.inspection import inspect_fitted, numbers_at, tables
    from napari_selfdenoise.parts.noise_models import load_noise_model

    seed = pick(rng, sorted((SEEDS / "noise").iterdir()))
    path = folder / "camera.noise.json"
    path.write_text(spoiled_json(rng, json.loads(seed.read_text())), "utf-8", "replace")
    found = inspect_fitted("camera", load_noise_model(path))
    low, high = found.span
    numbers_at(found, [low, found.middle, high])
    tables(found, None)
    if rng.random() < 0.1:
        config = recipe("pn2v").override(
            {k: v for k, v in SMALL.items() if "network" not in k}
            | {"noise_model": {"kind": "file", "file": str(path)}}
        )
        image = _an_image(rng)
        model = train(image, config)
        require_sound(image, denoise(image, model, device="cpu").denoised)


def checkpoint(rng: Random, folder: Path) -> None:
    """A checkpoint that was changed, and a training that goes on from it."""
    from napari_selfdenoise.training.checkpoint import read_checkpoint

    path = folder / "a.checkpoint"
    content = (SEEDS / "checkpoint" / "a.checkpoint").read_bytes()
    found = read_checkpoint(_write(path, spoiled_safetensors(rng, content)))
    image = seed_image()
    model = train(image, found.config, checkpoint=path, resume=True)
    require_sound(image, denoise(image, model, device="cpu").denoised, in_range=False)


def record(rng: Random, folder: Path) -> None:
    """A record of finished chunks that was changed, and a prediction that goes on."""
    from napari_selfdenoise.long_work import run_to_end
    from napari_selfdenoise.model import load_model
    from napari_selfdenoise.prediction import store_steps
    from napari_selfdenoise.prediction.chunk_record import ChunkRecord

    place = folder / "results"
    shutil.copytree(SEEDS / "record", place)
    path = next(place.glob(".*.progress"))
    sound = path.read_text().splitlines()
    lines = list(sound)
    for _ in range(int(rng.integers(1, 4))):
        number = int(rng.integers(len(lines)))
        check, _, text = sound[number].partition(" ")
        if rng.random() < 0.7 and text.startswith("{"):
            text = spoiled_json(rng, json.loads(text))
            signed = zlib.crc32(text.encode("utf-8", "replace"))
            lines[number] = f"{signed:08x} {text}" if rng.random() < 0.9 else check
            break
        lines[number] = spoiled(rng, lines[number].encode()).decode("utf-8", "replace")
    path.write_text("\n".join(lines), "utf-8", "replace")
    ChunkRecord(path).read()
    model = load_model(SEEDS / "record-model.safetensors")
    paths = {"denoised": place / "a.ome.zarr"}
    result = run_to_end(store_steps(seed_image(), model, paths, device="cpu"))
    require_sound(seed_image(), result.denoised.with_data(result.denoised.data[...]))


def calibration(rng: Random, folder: Path) -> None:
    """Frames to calibrate a camera from, and what they show without noise."""
    from napari_selfdenoise.noise.calibration import calibrate
    from napari_selfdenoise.parts.noise_models import load_noise_model, save_noise_model

    data = an_array(rng)
    if rng.random() < 0.7:
        side = pick(rng, (8, 16, 24))
        data = rng.poisson(rng.uniform(5, 500, (side, side)), (6, side, side))
        data = _typed(data * pick(rng, (1.0, 1e-20, 1e20, 0)), pick(rng, _TYPES))
    image = Image(data, some_axes(rng, data.ndim))
    kinds = ("gaussian", "poisson", "poisson_gaussian", "histogram", "gaussian_mixture")
    from napari_selfdenoise.config import noise_model

    signal = None
    if rng.random() < 0.3:
        other = an_array(rng)
        signal = Image(other, some_axes(rng, other.ndim))
    fitted = calibrate(image, noise_model({"kind": pick(rng, kinds)}), signal=signal)
    path = save_noise_model(fitted, folder / "camera")
    require(load_noise_model(path).kind == fitted.kind, "kind")


# -- Settings --------------------------------------------------------------------------


def configs(rng: Random, folder: Path) -> None:
    """A random set of settings; one that is accepted is trained and predicted with."""
    from napari_selfdenoise.config import RECIPES

    start = recipe(pick(rng, list(RECIPES)))
    changes = dict(some_settings(rng, type(start), "", 0.12))
    config = start.override(SMALL).override(changes)
    config = config.override({"steps": 1, "device": "cpu", "budget_s": None})
    image = _an_image(rng)
    result = denoise(image, train(image, config), device="cpu")
    require_sound(image, result.denoised)
    for name, one in result.images.items():
        require(np.isfinite(one.data).all(), f"{name} is not finite")


_LARGEST = {"network.width": 12, "network.depth": 3, "patch_size": 48, "batch_size": 4}
_LARGEST |= {"signal.samples": 64, "estimator.samples": 8, "noise_model.bins": 64}
_LARGEST |= {"context.patch_planes": 8, "noise_model.components": 5}
_HIDDEN = {"noise_model.curve", "psf.values", "channels.offsets", "channels.scales"}


def some_settings(
    rng: Random, model: type[BaseModel], prefix: str, share: float
) -> Iterator[tuple[str, Any]]:
    """Names and values of a share of the fields of a model, members' included."""
    for name, field in model.model_fields.items():
        place = f"{prefix}{name}"
        members = _members_of(field.annotation)
        if name == "kind" or rng.random() > share or place in _HIDDEN:
            continue
        if members:
            member = pick(rng, members)
            yield place, member.model_fields["kind"].default
            yield from some_settings(rng, member, f"{place}.", 0.4)
        else:
            yield place, _value(rng, field, place)


def _members_of(annotation: Any) -> list[type[BaseModel]]:
    parts = get_args(annotation)
    found = [p for p in parts if isinstance(p, type) and issubclass(p, BaseModel)]
    return found or [m for p in parts for m in _members_of(p)]


def _value(rng: Random, field: Any, place: str) -> Any:
    """A value of a field: mostly one that it takes, none beyond `_LARGEST`."""
    if rng.random() < 0.06:
        return pick(
            rng, (None, -1, 0, 1e400, float("nan"), "nan", "", "x", [], {}, 3.7)
        )
    kinds = (field.annotation, *get_args(field.annotation))
    literal = next((a for a in kinds if get_origin(a) is Literal), None)
    if literal is not None:
        return pick(rng, get_args(literal))
    if bool in kinds:
        return pick(rng, (True, False, "yes", "no"))
    bounds: dict[str, float] = {}
    for one in field.metadata:
        bounds |= {
            n: getattr(one, n) for n in ("ge", "gt", "le", "lt") if hasattr(one, n)
        }
    low = bounds.get("ge", bounds.get("gt", 0))
    high = min(bounds.get("le", bounds.get("lt", 100)), _LARGEST.get(place, 1e9))
    number = pick(rng, (low, high, rng.uniform(low, high), rng.uniform(low, high)))
    if int in kinds:
        return pick(rng, (int(number), int(number), str(int(number))))
    if float in kinds:
        return pick(rng, (float(number), str(number)))
    return pick(
        rng, ("", "auto", "cpu", "5x5", "3x1", "111,010,111", "Z", "1x999", "x")
    )


# -- The command line ------------------------------------------------------------------

_VERBS = ("denoise", "train", "predict", "diagnose", "evaluate", "inspect", "probe")
_VERBS += ("intervals", "calibrate")
_LEFT_OUT = {"--budget", "--help", "--steps", "--device", "--config", "--recursive"}
_LEFT_OUT |= {"--network.width", "--network.depth", "--patch-size", "--batch-size"}


_STARTS_MORE = {"workers", "cluster", "processes", "scheduler"}


def flags(rng: Random, folder: Path) -> None:
    """A verb of the command line with random flags and values."""
    from napari_selfdenoise import cli

    shutil.copytree(SEEDS / "cli", folder, dirs_exist_ok=True)
    verb = pick(rng, _VERBS)
    words = [verb, *_arguments(rng, verb)]
    command = cli.cli.commands[verb]
    known = {name for option in command.params for name in option.opts}
    for option in command.params:
        name = option.opts[-1]
        offered = name.startswith("--") and name not in _LEFT_OUT
        if (
            offered
            and rng.random() < 0.04
            and not _STARTS_MORE & {*name[2:].split("-")}
        ):
            words += [name, *_flag_value(rng, option)]
    small = ("steps", "network.width", "patch_size", "batch_size", "device")
    given = {f"--{n.replace('_', '-')}": str(SMALL[n]) for n in small}
    words += [w for n, v in given.items() if n in known for w in (n, v)]
    _run(cli.main, words, folder)


def _run(main: Callable[[list[str]], None], words: list[str], folder: Path) -> None:
    """Run the command line as a shell does, with its words kept back."""
    import contextlib
    import io

    out, err = io.StringIO(), io.StringIO()
    before = Path.cwd()
    os.chdir(folder)
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            main(words)
    except SystemExit as end:
        require(end.code in (0, 1, 2), f"status {end.code}: {words}")
        require("Traceback" not in err.getvalue(), f"traceback: {words}")
        if end.code:
            raise RequestError(err.getvalue().strip() or "nothing said") from end
    finally:
        os.chdir(before)


def _arguments(rng: Random, verb: str) -> list[str]:
    image = pick(rng, ("a.tif", "a.tif", "a.tif", "b.tif", "none.tif", "cut.tif", "."))
    model = pick(rng, ("m.safetensors", "m.safetensors", "m", "a.tif", "n.noise.json"))
    noise = pick(rng, ("n.noise.json", "m.safetensors", "n", "a.tif"))
    target = pick(
        rng, ("out.tif", "out.ome.tif", "out.ome.zarr", "a.tif", "x/y.tif", "o")
    )
    given = {
        "denoise": [image, target],
        "train": [image, "--model", pick(rng, ("new", "a.tif", "x/new"))],
        "predict": [model, image, target],
        "diagnose": [image],
        "evaluate": [image, pick(rng, ("b.tif", "a.tif", "--noisy=a.tif"))],
        "inspect": [noise],
        "probe": [model, image, pick(rng, ("3", "-1", "999")), pick(rng, ("4", "x"))],
        "intervals": [model, image],
        "calibrate": [pick(rng, ("s.tif", "a.tif")), "--noise-model", "new"],
    }[verb]
    return given[int(rng.random() < 0.05) :]


def _flag_value(rng: Random, option: Any) -> list[str]:
    import click

    if option.is_flag:
        return []
    if isinstance(option.type, click.Choice) and rng.random() < 0.9:
        return [str(pick(rng, list(option.type.choices)))]
    values = ("0", "1", "2", "3", "5", "0.5", "0.1", "-1", "nan", "inf", "1e9", "auto")
    values += (
        "",
        "a.tif",
        "b.tif",
        "m.safetensors",
        "n.noise.json",
        "YX",
        "TYX",
        "1kB",
    )
    return [pick(rng, values)]


# -- Sound files -----------------------------------------------------------------------


def _an_image(rng: Random) -> Image:
    shape, axes = pick(rng, (((40, 40), "YX"), ((33, 48), "YX"), ((3, 32, 32), "TYX")))
    scene = 100 + 50 * np.sin(np.arange(math.prod(shape)).reshape(shape) / 7)
    return Image(rng.poisson(scene).astype(np.uint16), axes)


def seed_image() -> Image:
    """The image of checkpoints and records, always the same."""
    scene = 60 + 30 * np.sin(np.arange(48) / 5)
    pixels = np.random.default_rng(0).poisson(np.broadcast_to(scene, (2, 48, 48)))
    return Image(pixels.astype(np.uint16), "TYX")


def make_seeds(folder: Path, vendor: Path | None) -> None:
    """Fill a folder with sound files of all kinds."""
    for name in ("tiff", "png", "hdf5", "mrc", "zarr", "model", "noise", "checkpoint"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    (folder / "vendor").mkdir(exist_ok=True)
    _make_tiffs(folder / "tiff")
    _make_others(folder)
    data = ROOT / "tests" / "data"
    for path in data.glob("*.safetensors"):
        shutil.copy(path, folder / "model")
    for path in data.glob("*.noise.json"):
        shutil.copy(path, folder / "noise")
    for path in sorted(vendor.glob("*.*")) if vendor else []:
        if path.suffix != ".md" and path.stat().st_size < 4 * 2**20:
            shutil.copy(path, folder / "vendor")
    _make_runs(folder)


def _make_tiffs(folder: Path) -> None:
    import tifffile

    from napari_selfdenoise import write_image

    rng = np.random.default_rng(0)
    plane = rng.poisson(100, (40, 48)).astype(np.uint16)
    stack = rng.poisson(100, (3, 2, 24, 32)).astype(np.uint16)
    for name in ("imagej.tif", "ome.ome.tif"):
        image = Image(stack, "TCYX", (1.0, 1.0, 0.1, 0.1), ("s", "pixel", "µm", "µm"))
        write_image(image, folder / name)
    tifffile.imwrite(folder / "plain.tif", plane)
    tifffile.imwrite(folder / "big.tif", plane, bigtiff=True)
    tifffile.imwrite(folder / "stack.tif", stack[:, 0])
    tifffile.imwrite(folder / "shaped.tif", stack, metadata={"axes": "TCYX"})
    tifffile.imwrite(folder / "rgb.tif", rng.integers(0, 255, (24, 24, 3), np.uint8))
    for name in ("zlib", "lzw", "zstd", "packbits", "jpeg", "jpeg2000", "lerc"):
        kept = plane.astype(np.uint8) if name == "jpeg" else plane
        tifffile.imwrite(folder / f"{name}.tif", kept, compression=name)
    tifffile.imwrite(
        folder / "tiled.tif", plane, tile=(16, 16), compression="zlib", predictor=True
    )
    with tifffile.TiffWriter(folder / "pyramid.ome.tif", ome=True) as tif:
        levels = np.kron(plane, np.ones((4, 4), np.uint16))
        tif.write(levels, subifds=2, tile=(64, 64))
        tif.write(levels[::2, ::2], subfiletype=1, tile=(64, 64))
        tif.write(levels[::4, ::4], subfiletype=1, tile=(64, 64))


def _make_others(folder: Path) -> None:
    import h5py
    import imagecodecs
    import mrcfile

    from napari_selfdenoise.images import write_ome_zarr

    rng = np.random.default_rng(1)
    plane = rng.poisson(100, (40, 48)).astype(np.uint16)
    stack = rng.poisson(100, (3, 24, 32)).astype(np.float32)
    (folder / "png" / "grey.png").write_bytes(imagecodecs.png_encode(plane))
    colours = np.repeat(plane.astype(np.uint8)[..., None], 3, -1)
    (folder / "png" / "rgb.png").write_bytes(imagecodecs.png_encode(colours))
    with h5py.File(folder / "hdf5" / "plain.h5", "w") as file:
        file["a"] = plane
        file["b/c"] = stack
        file["b/c"].attrs["element_size_um"] = [1.0, 0.1, 0.1]
    with h5py.File(folder / "hdf5" / "chunked.h5", "w") as file:
        made = file.create_dataset(
            "a", data=stack, chunks=(1, 8, 8), compression="gzip"
        )
        made.attrs["axistags"] = json.dumps({"axes": [{"key": k} for k in "tyx"]})
    for name in ("a.mrc", "a.mrc.gz", "a.mrc.bz2"):
        kind = {"": None, "gz": "gzip", "bz2": "bzip2"}[name[6:]]
        with mrcfile.new(folder / "mrc" / name, stack, compression=kind) as file:
            file.voxel_size = 1.5
    image = Image(stack, "ZYX", (1.0, 0.1, 0.1), ("µm", "µm", "µm"))
    write_ome_zarr(image, folder / "zarr" / "new.ome.zarr")
    write_ome_zarr(image, folder / "zarr" / "old.ome.zarr", version="0.4")


def _make_runs(folder: Path) -> None:
    """A checkpoint, a record of a prediction that was stopped, files for the verbs."""
    from napari_selfdenoise import STOP, save_model, write_image
    from napari_selfdenoise.prediction import grid, store_steps, stored
    from napari_selfdenoise.training import checkpoint as checkpoints

    image = seed_image()
    small = recipe("fast").override(SMALL | {"steps": 3})
    checkpoints.EVERY_S = 0.0
    from napari_selfdenoise import train_steps

    steps = train_steps(image, small, checkpoint=folder / "checkpoint" / "a.checkpoint")
    for _ in steps:
        if (folder / "checkpoint" / "a.checkpoint").exists():
            break
    steps.close()
    checkpoints.EVERY_S = 1e9
    model = train(image, small)
    save_model(model, folder / "record-model")
    (folder / "record").mkdir()
    paths = {"denoised": folder / "record" / "a.ome.zarr"}
    grid.CHUNK_PX, stored.tile_side = 16, lambda *_: 16
    running = store_steps(image, model, paths, device="cpu")
    next(running)
    for _ in range(4):
        next(running)
    with suppress(StopIteration):
        running.send(STOP)
    running.close()
    home = folder / "cli"
    home.mkdir()
    write_image(image.frame(0), home / "a.tif")
    write_image(image.frame(1), home / "b.tif")
    write_image(image, home / "s.tif")
    (home / "cut.tif").write_bytes((home / "a.tif").read_bytes()[:500])
    save_model(model, home / "m")
    shutil.copy(
        ROOT / "tests" / "data" / "poisson_gaussian.noise.json", home / "n.noise.json"
    )
