"""The verbs that denoise: `denoise`, and its halves `train` and `predict`."""

from __future__ import annotations

import functools
import re
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click

from napari_selfdenoise.cli.flags import config_changes, config_options, help_named
from napari_selfdenoise.cli.html_report import report_option, write_run_report
from napari_selfdenoise.cli.inputs import (
    Inputs,
    correction_files,
    input_options,
    left_out_note,
)
from napari_selfdenoise.cli.outputs import (
    OUTPUTS,
    output_paths,
    output_places,
    require_given,
    require_new,
    require_writable,
)
from napari_selfdenoise.cli.pairs import (
    for_files,
    pair_option,
    paths_of,
    read_files,
    second_of,
    take_files,
    take_pairs,
    teaching_options,
)
from napari_selfdenoise.cli.report import reports, say, training_report
from napari_selfdenoise.cli.runs import (
    Written,
    foretell,
    predict_with_progress,
    require_room_for,
    train_with_progress,
)
from napari_selfdenoise.cli.settings import run_config, training_options
from napari_selfdenoise.errors import DenoisingError, RequestError
from napari_selfdenoise.images import Image

_outputs_option = click.option(
    "--outputs",
    default="denoised",
    show_default=True,
    help=f"What to write, separated by commas: {', '.join(OUTPUTS)}.",
)

_type_option = click.option(
    "--type-of-source",
    "as_source",
    is_flag=True,
    help="Round images to whole numbers of the type of INPUT, and report what is "
    "clipped; else they are 32-bit floats.",
)


@click.command(name="denoise")
@click.argument("source", metavar="INPUT")
@click.argument("target", metavar="OUTPUT")
@click.option("--save-model", metavar="FILE", help="Keep the trained model.")
@_outputs_option
@_type_option
@report_option
@teaching_options
@training_options
@input_options
@reports
def denoise_verb(
    source: str,
    target: str,
    save_model: str | None,
    outputs: str,
    as_source: bool,
    report_file: str | None,
    **values: Any,
) -> dict[str, Any]:
    """Train on INPUT and write it denoised to OUTPUT, in one go."""
    from napari_selfdenoise.model import save_model as save

    started = time.perf_counter()
    paths = output_paths(Path(target), outputs)
    files = take_files(values, [source])
    read = *correction_files(values).values(), *paths_of(files)
    require_new(paths.values(), [source, *read])
    inputs = Inputs.take(values)
    config = for_files(run_config(values), files)
    require_given(config, paths)
    require_writable(save_model)
    require_writable(report_file)
    image = inputs.read(source)
    taught = read_files(files, inputs)
    dtype = inputs.type_of(source, as_source)
    require_room_for(image, paths, config)
    clock = foretell(image, config)
    model = train_with_progress([image], config, None, clock, **taught)
    # The model first: should the disk be full, the training is not lost.
    kept = str(save(model, save_model)) if save_model else None
    how = config.device, None, None, clock, second_of(taught), dtype
    result = predict_with_progress(model, image, paths, *how)
    report = training_report(model, time.perf_counter() - started, kept)
    warnings = [*report["warnings"], *result.notes, result.warning]
    report["warnings"] = list(dict.fromkeys(filter(None, warnings)))
    if report_file:
        about = paths.get("denoised"), report["warnings"], report["seconds"]
        report["report"] = write_run_report(report_file, model, image, *about)
    written = {name: str(path) for name, path in paths.items()}
    return report | {"outputs": written, "chosen": result.chosen} | inputs.report()


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
@report_option
@teaching_options
@training_options
@input_options
@reports
def train_verb(
    sources: tuple[str, ...],
    target: str,
    resume: bool,
    report_file: str | None,
    **values: Any,
) -> dict[str, Any]:
    """Train on one or more INPUTs and keep the model in FILE.

    An INPUT that cannot be read is left out, as long as there are others.
    """
    from napari_selfdenoise.model import load_model, save_model

    started = time.perf_counter()
    require_writable(target)
    require_writable(report_file)
    start = load_model(target) if resume else None
    files = take_files(values, sources)
    inputs = Inputs.take(values)
    config = for_files(run_config(values, start.config if start else None), files)
    images, left_out = _read_inputs(inputs, sources, all_needed=bool(files))
    taught = read_files(files, inputs)
    model = train_with_progress(images, config, start, **taught)
    kept = str(save_model(model, target))
    report = training_report(model, time.perf_counter() - started, kept)
    report["warnings"] = [*left_out, *report["warnings"]]
    if report_file:
        report["report"] = write_run_report(report_file, model, warnings=left_out)
    return report | {"outputs": {}} | inputs.report()


def _read_inputs(
    inputs: Inputs, sources: Sequence[str], all_needed: bool
) -> tuple[list[Image], list[str]]:
    """Read inputs to train on; where each has a partner, none may be left out."""
    if all_needed:
        return [inputs.read(source) for source in sources], []
    return inputs.read_all(sources)


@click.command(name="predict")
@click.argument("model_path", metavar="MODEL")
@click.argument("paths", metavar="INPUT... OUTPUT", nargs=-1, required=True)
@click.option(
    "--frame", type=int, help="Take this frame or plane of the stack, from 0."
)
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda:0…")
@click.option("--max-memory", help='Memory a tile may take, such as "2GB".')
@_outputs_option
@_type_option
@report_option
@pair_option
@functools.partial(config_options, part="estimator")
@input_options
@reports
def predict_verb(
    model_path: str,
    paths: tuple[str, ...],
    device: str,
    max_memory: str | None,
    outputs: str,
    as_source: bool,
    report_file: str | None,
    **values: Any,
) -> dict[str, Any]:
    """Denoise INPUTs with a saved MODEL, tile by tile, whatever their size.

    With several INPUTs, OUTPUT is a folder; one that fails does not stop the others.
    """
    from napari_selfdenoise.model import load_model

    started = time.perf_counter()
    sources, target = _inputs_and_output(paths)
    require_writable(report_file)
    memory = _parse_memory(max_memory)
    names = [output_paths(p, outputs) for p in output_places(Path(target), sources)]
    pairs = take_pairs(values, sources)
    read = *sources, *correction_files(values).values(), *pairs.values()
    require_new([p for files in names for p in files.values()], [model_path, *read])
    inputs = Inputs.take(values)
    model = load_model(model_path)
    changes = config_changes(values, "estimator")
    with help_named("predict"):
        config = model.config.override(changes) if changes else model.config
    require_given(config, names[0])

    def denoise(source: str, files: dict[str, Path]) -> tuple[Written, Sequence[str]]:
        image = inputs.read(source)
        pair = inputs.read(pairs[source]) if pairs else None
        dtype = inputs.type_of(source, as_source)
        how = device, memory, config.estimator, None, pair, dtype
        made = predict_with_progress(model, image, files, *how)
        if report_file and source == sources[0]:
            _report_of(report_file, model, image, files, made)
        return made, image.notes

    done = _predict_each(list(zip(sources, names, strict=True)), denoise)
    report = done.report(len(sources) > 1) | inputs.report()
    return {"seconds": time.perf_counter() - started} | report


def _inputs_and_output(paths: Sequence[str]) -> tuple[list[str], str]:
    *sources, target = paths
    if not sources:
        raise RequestError("An output is missing.", "Name INPUT and OUTPUT.")
    return sources, target


def _report_of(
    path: str, model: Any, image: Image, files: dict[str, Path], result: Written
) -> None:
    """Write the page of one image that was denoised."""
    notes = [*image.notes, *result.notes, result.warning]
    write_run_report(path, model, image, files.get("denoised"), notes)


def _predict_each(
    places: Sequence[tuple[str, dict[str, Path]]],
    denoise: Callable[[str, dict[str, Path]], tuple[Written, Sequence[str]]],
) -> _Predictions:
    """Denoise inputs one after the other; of several, one may fail."""
    done = _Predictions()
    for source, files in places:
        try:
            result, notes = denoise(source, files)
        except (RequestError, DenoisingError) as error:
            if len(places) == 1:
                raise
            done.failed.append(left_out_note(source, error))
            say(done.failed[-1])
        else:
            done.add(files, result, notes)
            if result.warning:  # stopped: the other inputs as well
                break
    return done


@dataclass
class _Predictions:
    """Files, tiles and notes of the inputs of `predict`."""

    written: dict[str, list[str]] = field(default_factory=dict)
    tiles: int = 0
    chosen: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)

    def add(
        self, files: dict[str, Path], result: Written, notes: Sequence[str]
    ) -> None:
        """Count an input that was denoised."""
        self.tiles += result.tiles
        self.notes += [*notes, *result.notes]
        self.notes += [result.warning] if result.warning else []
        self.chosen += [result.chosen] if result.chosen else []
        for name, path in files.items():
            self.written.setdefault(name, []).append(str(path))

    def report(self, several: bool) -> dict[str, Any]:
        """Return the report of the verb; `failed` counts inputs that were left out."""
        report: dict[str, Any] = {
            "outputs": self.written
            if several
            else {name: path for name, (path,) in self.written.items()},
            "tiles": self.tiles,
            "chosen": self.chosen if len(self.chosen) > 1 else "".join(self.chosen),
            "peak_memory_bytes": _peak_memory(),
            "warnings": [*self.failed, *dict.fromkeys(self.notes)],
        }
        return report | ({"failed": len(self.failed)} if self.failed else {})


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
