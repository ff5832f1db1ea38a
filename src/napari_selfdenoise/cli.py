"""The command line: the same generators as the window, driven by a loop."""

from __future__ import annotations

import functools
import json
import math
import os
import re
import signal
import sys
import time
from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click

from napari_selfdenoise import __version__
from napari_selfdenoise.cli_options import (
    config_changes,
    config_options,
    member_changes,
    member_options,
)
from napari_selfdenoise.config import TrainingConfig, noise_model, parse_budget
from napari_selfdenoise.errors import DenoisingError, RequestError
from napari_selfdenoise.image import Image
from napari_selfdenoise.noise_models import NoiseModel
from napari_selfdenoise.recipes import DESCRIPTIONS, RECIPES, recipe

Result = TypeVar("Result")

_OUTPUTS = (
    "denoised",
    "noise-std",
    "deconvolved",
    "posterior-std",
    "posterior-samples",
)

_NOT_CALIBRATED = ("unmodelled", "file")
"""Kinds of noise model that there is nothing to calibrate of."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit: 0 done, 1 the run failed, 2 a wrong request."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    as_json = "--json" in arguments
    try:
        cli.main(arguments, prog_name="selfdenoise", standalone_mode=False)
    except click.exceptions.Abort:
        sys.exit(_complain("Stopped.", "", as_json, 130))
    except click.ClickException as error:
        sys.exit(_complain(error.format_message(), _usage(error), as_json, 2))
    except RequestError as error:
        sys.exit(_complain(error.message, error.hint, as_json, 2))
    except DenoisingError as error:
        sys.exit(_complain(error.message, error.hint, as_json, 1))
    sys.exit(0)


def _complain(message: str, hint: str, as_json: bool, status: int) -> int:
    click.echo(f"Error: {message} {hint}".rstrip(), err=True)
    if as_json:
        click.echo(json.dumps({"error": message, "hint": hint}))
    return status


def _usage(error: click.ClickException) -> str:
    context = getattr(error, "ctx", None)
    path = context.command_path if context else "selfdenoise"
    return f"See `{path} --help`."


def _reports(command: Callable[..., dict[str, Any]]) -> Callable[..., None]:
    """Print what a verb returns: as JSON, or as lines to read."""

    @functools.wraps(command)
    def reporting(**values: Any) -> None:
        as_json = values.pop("as_json")
        report = command(**values)
        click.echo(json.dumps(_finite(report)) if as_json else _readable(report))

    return click.option(
        "--json", "as_json", is_flag=True, help="Print one JSON object on stdout."
    )(reporting)


def _finite(value: Any) -> Any:
    """Replace what JSON cannot say, such as the infinite PSNR of equal images."""
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _readable(report: dict[str, Any]) -> str:
    lines = []
    for name, value in report.items():
        if name == "noise_curve":
            lines.append(_noise_line(value))
        if name in ("noise_curve", "images") or value in (None, [], {}):
            continue
        shown = f"{value:.4g}" if isinstance(value, float) else value
        if isinstance(value, dict):
            shown = ", ".join(f"{key}: {_listed(item)}" for key, item in value.items())
        elif isinstance(value, list):
            shown = _listed(value)
        lines.append(f"{name.replace('_', ' ')}: {shown}")
    return "\n".join(lines)


def _listed(value: Any) -> str:
    if isinstance(value, list):
        return "; ".join(str(item) for item in value)
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _noise_line(curve: dict[str, list[float]]) -> str:
    low, high = min(curve["std"]), max(curve["std"])
    first, last = curve["signal"][0], curve["signal"][-1]
    return f"noise std: {low:.4g} to {high:.4g} over signals {first:.4g} to {last:.4g}"


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, package_name="napari-selfdenoise")
def cli() -> None:
    """Denoise noisy microscopy images with no clean image."""


def _training_options(command: Callable[..., Any]) -> Callable[..., Any]:
    recipes = " ".join(f"{name}: {text}" for name, text in DESCRIPTIONS.items())
    command = config_options(command)
    for option in (
        click.option(
            "--recipe",
            "recipe_name",
            type=click.Choice(list(RECIPES)),
            help=f"Settings to start from (default: fast). {recipes}",
        ),
        click.option(
            "--budget",
            help='Training time, such as "60s", "2min" or "until I stop" (Ctrl-C ends '
            "it and keeps what was learned). Default: the recipe's. With --steps too, "
            "training ends at whichever is first.",
        ),
        click.option(
            "--config",
            "config_file",
            type=click.Path(dir_okay=False),
            help="JSON file of settings; flags override it.",
        ),
        click.option(
            "--frame", type=int, help="Take this frame or plane of the stack, from 0."
        ),
    )[::-1]:
        command = option(command)
    return command


def _config(
    values: dict[str, Any], resumed: TrainingConfig | None = None
) -> TrainingConfig:
    """The recipe or the resumed settings, changed by the file, changed by the flags."""
    name, budget = values.pop("recipe_name"), values.pop("budget")
    content = _read_config(values.pop("config_file"))
    changes = config_changes(values)
    stored = content.pop("recipe", None)
    start = (
        resumed
        if resumed and not (name or stored)
        else recipe(name or stored or "fast")
    )
    config = start.override(_flatten(content))
    if budget is not None:
        changes["budget_s"] = parse_budget(budget)
    return config.override(changes)


def _read_config(path: str | None) -> dict[str, Any]:
    if path is None:
        return {}
    try:
        content = json.loads(Path(path).read_text())
    except (OSError, ValueError) as error:
        raise RequestError(
            f"The settings file {path} cannot be read: {error}.",
            'Give a JSON file such as {"recipe": "fast", "seed": 1}.',
        ) from error
    if not isinstance(content, dict):
        raise RequestError(
            f"The settings file {path} holds no settings.",
            'Give a JSON object such as {"recipe": "fast", "seed": 1}.',
        )
    return content


def _flatten(content: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested settings by dotted name, the kind of each part before its fields."""
    flat: dict[str, Any] = {}
    for name, value in content.items():
        if isinstance(value, dict):
            if "kind" in value:
                flat[f"{prefix}{name}"] = value["kind"]
            inner = {k: v for k, v in value.items() if k != "kind"}
            flat |= _flatten(inner, f"{prefix}{name}.")
        else:
            flat[f"{prefix}{name}"] = value
    return flat


@cli.command(name="denoise")
@click.argument("source", metavar="INPUT")
@click.argument("target", metavar="OUTPUT")
@click.option("--save-model", metavar="FILE", help="Keep the trained model.")
@click.option(
    "--outputs",
    default="denoised",
    show_default=True,
    help=f"What to write, separated by commas: {', '.join(_OUTPUTS)}.",
)
@_training_options
@_reports
def denoise_verb(
    source: str, target: str, save_model: str | None, outputs: str, **values: Any
) -> dict[str, Any]:
    """Train on INPUT and write it denoised to OUTPUT, in one go."""
    from napari_selfdenoise.io import read_image
    from napari_selfdenoise.model_file import save_model as save

    started = time.perf_counter()
    frame, config = values.pop("frame"), _config(values)
    paths = _output_paths(Path(target), outputs)
    _require_given(config, paths)
    _require_folder(Path(save_model) if save_model else None)
    image = read_image(source, frame=frame)
    model = _train([image], config, None)
    # The model first: should the disk be full, the training is not lost.
    kept = str(save(model, save_model)) if save_model else None
    _predict(model, image, paths, config.device, None)
    report = _training_report(model, time.perf_counter() - started, kept)
    return report | {"outputs": {name: str(path) for name, path in paths.items()}}


@cli.command(name="train")
@click.argument("sources", metavar="INPUT...", nargs=-1, required=True)
@click.option(
    "--model",
    "target",
    required=True,
    metavar="FILE",
    help="Where to keep the model; .safetensors is added.",
)
@click.option(
    "--resume", is_flag=True, help="Continue from the weights in the model file."
)
@_training_options
@_reports
def train_verb(
    sources: tuple[str, ...], target: str, resume: bool, **values: Any
) -> dict[str, Any]:
    """Train on one or more INPUTs and keep the model in FILE."""
    from napari_selfdenoise.io import read_image
    from napari_selfdenoise.model_file import load_model, save_model

    started = time.perf_counter()
    _require_folder(Path(target))
    start = load_model(target) if resume else None
    frame = values.pop("frame")
    config = _config(values, start.config if start else None)
    images = [read_image(source, frame=frame) for source in sources]
    model = _train(images, config, start)
    kept = str(save_model(model, target))
    report = _training_report(model, time.perf_counter() - started, kept)
    return report | {"outputs": {}}


@cli.command(name="predict")
@click.argument("model_path", metavar="MODEL")
@click.argument("paths", metavar="INPUT... OUTPUT", nargs=-1, required=True)
@click.option(
    "--frame", type=int, help="Take this frame or plane of the stack, from 0."
)
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda:0…")
@click.option("--max-memory", help='Memory a tile may take, such as "2GB".')
@click.option(
    "--outputs",
    default="denoised",
    show_default=True,
    help=f"What to write, separated by commas: {', '.join(_OUTPUTS)}.",
)
@functools.partial(config_options, part="estimator")
@_reports
def predict_verb(
    model_path: str,
    paths: tuple[str, ...],
    frame: int | None,
    device: str,
    max_memory: str | None,
    outputs: str,
    **values: Any,
) -> dict[str, Any]:
    """Denoise INPUTs with a saved MODEL, tile by tile, whatever their size.

    With several INPUTs, OUTPUT is a folder.
    """
    from napari_selfdenoise.io import read_image
    from napari_selfdenoise.model_file import load_model

    started = time.perf_counter()
    *sources, target = paths
    if not sources:
        raise RequestError("An output is missing.", "Name INPUT and OUTPUT.")
    memory = _parse_memory(max_memory)
    model = load_model(model_path)
    changes = config_changes(values, "estimator")
    config = model.config.override(changes) if changes else model.config
    written: dict[str, Any] = {}
    tiles = 0
    places = [_place(Path(target), s, several=len(sources) > 1) for s in sources]
    if len(set(places)) < len(places):
        raise RequestError(
            "Two inputs have the same name: one result would overwrite the other.",
            "Give them one after the other, each its own folder.",
        )
    for source, place in zip(sources, places, strict=True):
        names = _output_paths(place, outputs)
        _require_given(config, names)
        image = read_image(source, frame=frame)
        tiles += _predict(model, image, names, device, memory, config.estimator)
        for name, path in names.items():
            written.setdefault(name, []).append(str(path))
    return {
        "seconds": time.perf_counter() - started,
        "outputs": {n: p if len(p) > 1 else p[0] for n, p in written.items()},
        "tiles": tiles,
        "peak_memory_bytes": _peak_memory(),
        "warnings": [],
    }


@cli.command(name="calibrate")
@click.argument("stack", metavar="STACK")
@click.option(
    "--noise-model",
    "target",
    required=True,
    metavar="FILE",
    help="Where to keep the noise model; .noise.json is added.",
)
@click.option(
    "--signal",
    metavar="FILE",
    help="What the frames show without noise: one plane for all, or one each. "
    "Default: the mean of the frames, which must show the same static scene.",
)
@click.option("--seed", type=int, default=0, show_default=True, help="Of the fit.")
@member_options(NoiseModel, _NOT_CALIBRATED)
@_reports
def calibrate_verb(
    stack: str, target: str, signal: str | None, seed: int, **values: Any
) -> dict[str, Any]:
    """Measure the noise of a camera from repeated frames in STACK."""
    from napari_selfdenoise.calibration import calibrate_steps
    from napari_selfdenoise.io import read_image
    from napari_selfdenoise.noise_file import save_noise_model

    _require_folder(Path(target))
    kind = values.pop("kind") or "gaussian_mixture"
    changes = member_changes(values, NoiseModel, _NOT_CALIBRATED)
    noise = noise_model({"kind": kind} | changes)
    image = read_image(stack)
    clean = read_image(signal) if signal else None
    _say(f"{image.name}: {image.describe()}")
    steps = calibrate_steps(image, noise, signal=clean, seed=seed)
    fitted = _drive(steps, "stop", lambda share: f"Calibrating: {share:.0%}")
    if fitted is None:
        raise DenoisingError("Stopped: no noise model was written.")
    curve = fitted.curve
    return {
        "noise_model": str(save_noise_model(fitted, target)),
        "kind": fitted.kind,
        "poisson_gaussian": dict(zip("ab", fitted.poisson_gaussian, strict=True)),
        "bits_per_pixel": fitted.bits_per_pixel,
        "noise_curve": {"signal": curve.signal.tolist(), "std": curve.std.tolist()},
        "warnings": fitted.warnings,
    }


@cli.command(name="evaluate")
@click.argument("prediction")
@click.argument("reference")
@click.option(
    "--range",
    "data_range",
    type=float,
    help="Range of the data, such as 255; default: the reference's.",
)
@click.option("--frame", type=int, help="Take this frame of a stack on either side.")
@_reports
def evaluate_verb(
    prediction: str, reference: str, data_range: float | None, frame: int | None
) -> dict[str, Any]:
    """Compare PREDICTION with a clean REFERENCE."""
    from napari_selfdenoise.evaluation import evaluate
    from napari_selfdenoise.io import read_image

    images = [read_image(path) for path in (prediction, reference)]
    if frame is not None:
        if not any(_is_stack(image) for image in images):
            raise RequestError(
                f"Frame {frame} was asked for, but neither side is a stack.",
                "Leave the frame out.",
            )
        images = [i.frame(frame) if _is_stack(i) else i for i in images]
    return evaluate(images[0], images[1], data_range)


@cli.command(name="demo")
@click.option(
    "--output",
    default="selfdenoise-demo",
    show_default=True,
    type=click.Path(file_okay=False),
    help="Folder for the results; made if it is not there.",
)
@click.option("--budget", default="60s", show_default=True, help="Training time.")
@click.option("--window/--no-window", default=True, help="Also drive a napari window.")
@_reports
def demo_verb(output: str, budget: str, window: bool) -> dict[str, Any]:
    """Run the whole pipeline on the real image that ships with the program."""
    from napari_selfdenoise.demo import run_demo

    seconds = parse_budget(budget)
    config = recipe("fast").override({"budget_s": seconds})
    return run_demo(Path(output), config, window=window, say=_say)


@cli.command(name="doctor")
@_reports
def doctor_verb() -> dict[str, Any]:
    """Say which versions and devices are at hand, and what is known to be bad."""
    from napari_selfdenoise.doctor import examine

    return examine()


def _train(images: list[Image], config: TrainingConfig, start: Any) -> Any:
    from napari_selfdenoise.training import STOP, train_steps

    for image in images:
        _say(f"{image.name}: {image.describe()}")
    return _drive(train_steps(images, config, start=start), STOP, _training_line)


def _training_line(progress: Any) -> str:
    if not progress.step:
        return str(progress.stage)
    left = progress.remaining_s
    eta = "until Ctrl-C" if left is None else f"{left:.0f} s left"
    return f"{progress.stage}: step {progress.step}, loss {progress.loss:.4g}, {eta}"


def _drive(
    steps: Generator[Any, Any, Result], stop: Any, line: Callable[[Any], str]
) -> Result:
    """Run a generator to its end; the first Ctrl-C stops it and keeps its result."""
    asked: list[bool] = []

    def _interrupt(*_: Any) -> None:
        if asked:
            raise KeyboardInterrupt
        asked.append(True)
        _say("Stopping: keeping what was learned. Ctrl-C again to throw it away.")

    before = signal.signal(signal.SIGINT, _interrupt)
    said, command = 0.0, None
    try:
        while True:
            progress = steps.send(command)
            if time.perf_counter() - said > 2:
                said = time.perf_counter()
                _say(line(progress))
            command = stop if asked else None
    except StopIteration as end:
        result: Result = end.value
        return result
    finally:
        signal.signal(signal.SIGINT, before)


def _predict(
    model: Any,
    image: Image,
    paths: dict[str, Path],
    device: str,
    memory: int | None,
    estimator: Any = None,
) -> int:
    """Denoise straight into files; returns the number of tiles."""
    from contextlib import ExitStack

    from napari_selfdenoise.io import ImageWriter
    from napari_selfdenoise.prediction import predict_tiles

    tiles, estimator = 0, estimator or model.config.estimator
    with ExitStack() as stack:
        into = {}
        for name, path in paths.items():
            samples = estimator.count if name == "posterior-samples" else 0
            like = image.stack_of(samples) if samples else image
            pixels = stack.enter_context(ImageWriter(path, like)).data
            into[name.replace("-", "_")] = pixels
        said = time.perf_counter()
        for tile in predict_tiles(
            image,
            model,
            into=into,
            estimator=estimator,
            device=device,
            max_memory=memory,
        ):
            tiles += tile.index is not None
            if time.perf_counter() - said > 2:
                said = time.perf_counter()
                _say(f"Denoising {image.name}: {tile.fraction:.0%}")
    return tiles


def _require_given(config: TrainingConfig, paths: dict[str, Path]) -> None:
    """Say before minutes of training which outputs there will not be."""
    from napari_selfdenoise.prediction import result_names

    given = [name.replace("_", "-") for name in result_names(config)]
    missing = [name for name in paths if name not in given]
    if missing:
        raise RequestError(
            f"These settings give no {' and no '.join(missing)}.",
            "deconvolved needs --psf, posterior-std a --estimator that is a posterior, "
            "posterior-samples --estimator posterior_samples.",
        )


def _training_report(model: Any, seconds: float, kept: str | None) -> dict[str, Any]:
    curve, made = model.noise_curves[0], model.provenance
    fitted = curve.poisson_gaussian
    return {
        "seconds": seconds,
        "steps": made["steps"],
        "device": made["device"],
        "precision": made["precision"],
        "seed": made["seed"],
        "recipe": made["recipe"],
        "model": kept,
        "noise_curve": {"signal": curve.signal.tolist(), "std": curve.std.tolist()},
        "poisson_gaussian": dict(zip("ab", fitted, strict=True)) if fitted else None,
        "estimator": model.config.estimator.kind
        + ("_flips" if model.config.flips else ""),
        "warnings": made["warnings"],
    }


def _output_paths(target: Path, outputs: str) -> dict[str, Path]:
    """The file of each output: OUTPUT itself, and its name with a suffix."""
    names = [name.strip() for name in outputs.split(",") if name.strip()]
    unknown = [name for name in names if name not in _OUTPUTS]
    if unknown or not names:
        raise RequestError(
            f"There is no output called {', '.join(unknown) or 'nothing'}.",
            f"Choose from {', '.join(_OUTPUTS)}.",
        )
    stem, dot, suffix = target.name.partition(".")
    if suffix.lower() not in ("tif", "tiff", "ome.tif", "ome.tiff"):
        ending = re.search(r"\.(ome\.)?tiff?$", target.name, re.IGNORECASE)
        if not ending:
            raise RequestError(
                f"The output {target.name} is no TIFF file name.", "End it with .tif."
            )
        stem, dot, suffix = target.name[: ending.start()], ".", ending[0][1:]
    _require_folder(target)
    return {
        name: target
        if name == "denoised"
        else target.with_name(
            f"{stem.removesuffix(' denoised')} {name.replace('-', ' ')}{dot}{suffix}"
        )
        for name in names
    }


def _place(target: Path, source: str, several: bool) -> Path:
    if target.is_dir():
        stem = re.sub(r"(\.ome)?\.tiff?$", "", Path(source).name, flags=re.IGNORECASE)
        return target / f"{stem} denoised.tif"
    if several:
        raise RequestError(
            f"There are several inputs, but {target} is no folder.",
            "Make the folder first, or give one input at a time.",
        )
    return target


def _require_folder(path: Path | None) -> None:
    """Say before minutes of training what would fail after it."""
    if path is None:
        return
    if not path.parent.is_dir():
        raise RequestError(
            f"The folder {path.parent} is not there.", "Make it, or choose another."
        )
    if not os.access(path.parent, os.W_OK):
        raise RequestError(
            f"The folder {path.parent} may not be written to.", "Choose another."
        )


def _is_stack(image: Image) -> bool:
    return any(axis not in "CS" for axis in image.outer_axes)


def _parse_memory(text: str | None) -> int | None:
    if text is None:
        return None
    match = re.fullmatch(r"\s*([\d.]+)\s*([kmgt]?)i?b?\s*", text.lower())
    size = float(match[1]) * 1024 ** " kmgt".index(match[2] or " ") if match else 0
    if size <= 0:
        raise RequestError(
            f"{text!r} is no amount of memory.", 'Give something like "2GB".'
        )
    return int(size)


def _peak_memory() -> int | None:
    try:
        import resource
    except ImportError:  # Windows
        return None
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def _say(line: str) -> None:
    click.echo(line, err=True)
