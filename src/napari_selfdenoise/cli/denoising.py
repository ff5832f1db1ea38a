"""The verbs that denoise: `denoise`, and its halves `train` and `predict`."""

from __future__ import annotations

import functools
import re
import sys
import time
from pathlib import Path
from typing import Any

import click

from napari_selfdenoise.cli.flags import config_changes, config_options
from napari_selfdenoise.cli.outputs import (
    OUTPUTS,
    output_paths,
    output_places,
    require_given,
    require_writable,
)
from napari_selfdenoise.cli.report import reports, training_report
from napari_selfdenoise.cli.runs import Written, predict_aloud, train_aloud
from napari_selfdenoise.cli.settings import run_config, training_options
from napari_selfdenoise.errors import RequestError

_outputs_option = click.option(
    "--outputs",
    default="denoised",
    show_default=True,
    help=f"What to write, separated by commas: {', '.join(OUTPUTS)}.",
)


@click.command(name="denoise")
@click.argument("source", metavar="INPUT")
@click.argument("target", metavar="OUTPUT")
@click.option("--save-model", metavar="FILE", help="Keep the trained model.")
@_outputs_option
@training_options
@reports
def denoise_verb(
    source: str, target: str, save_model: str | None, outputs: str, **values: Any
) -> dict[str, Any]:
    """Train on INPUT and write it denoised to OUTPUT, in one go."""
    from napari_selfdenoise.io import read_image
    from napari_selfdenoise.model_file import save_model as save

    started = time.perf_counter()
    frame, config = values.pop("frame"), run_config(values)
    paths = output_paths(Path(target), outputs)
    require_given(config, paths)
    require_writable(save_model)
    image = read_image(source, frame=frame)
    model = train_aloud([image], config, None)
    # The model first: should the disk be full, the training is not lost.
    kept = str(save(model, save_model)) if save_model else None
    result = predict_aloud(model, image, paths, config.device, None)
    report = training_report(model, time.perf_counter() - started, kept)
    if result.warning:
        report["warnings"] = [*report["warnings"], result.warning]
    written = {name: str(path) for name, path in paths.items()}
    return report | {"outputs": written, "chosen": result.chosen}


@click.command(name="train")
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
@training_options
@reports
def train_verb(
    sources: tuple[str, ...], target: str, resume: bool, **values: Any
) -> dict[str, Any]:
    """Train on one or more INPUTs and keep the model in FILE."""
    from napari_selfdenoise.io import read_image
    from napari_selfdenoise.model_file import load_model, save_model

    started = time.perf_counter()
    require_writable(target)
    start = load_model(target) if resume else None
    frame = values.pop("frame")
    config = run_config(values, start.config if start else None)
    images = [read_image(source, frame=frame) for source in sources]
    model = train_aloud(images, config, start)
    kept = str(save_model(model, target))
    report = training_report(model, time.perf_counter() - started, kept)
    return report | {"outputs": {}}


@click.command(name="predict")
@click.argument("model_path", metavar="MODEL")
@click.argument("paths", metavar="INPUT... OUTPUT", nargs=-1, required=True)
@click.option(
    "--frame", type=int, help="Take this frame or plane of the stack, from 0."
)
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda:0…")
@click.option("--max-memory", help='Memory a tile may take, such as "2GB".')
@_outputs_option
@functools.partial(config_options, part="estimator")
@reports
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
    results: list[Written] = []
    places = output_places(Path(target), sources)
    for source, place in zip(sources, places, strict=True):
        names = output_paths(place, outputs)
        require_given(config, names)
        image = read_image(source, frame=frame)
        results += [
            predict_aloud(model, image, names, device, memory, config.estimator)
        ]
        for name, path in names.items():
            written.setdefault(name, []).append(str(path))
        if results[-1].warning:  # stopped: the other inputs as well
            break
    chosen = [result.chosen for result in results if result.chosen]
    return {
        "seconds": time.perf_counter() - started,
        "outputs": {n: p if len(p) > 1 else p[0] for n, p in written.items()},
        "tiles": sum(result.tiles for result in results),
        "chosen": chosen if len(chosen) > 1 else "".join(chosen),
        "peak_memory_bytes": _peak_memory(),
        "warnings": [result.warning for result in results if result.warning],
    }


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
