"""The verbs that denoise: `denoise`, and its halves `train` and `predict`."""

from __future__ import annotations

import functools
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import click

from napari_selfdenoise.batch import find_images
from napari_selfdenoise.cli.batch_learning import (
    Learning,
    learn_and_denoise,
    learning_options,
    require_single,
)
from napari_selfdenoise.cli.batches import (
    Batch,
    BatchOptions,
    batch_options,
    recursive_option,
)
from napari_selfdenoise.cli.html_report import report_option, write_run_report
from napari_selfdenoise.cli.inputs import (
    Inputs,
    correction_files,
    input_options,
)
from napari_selfdenoise.cli.interruptible import Interruptible, resume_option
from napari_selfdenoise.cli.limits import memory_option
from napari_selfdenoise.cli.outputs import (
    inputs_and_output,
    output_paths,
    outputs_option,
    require_given,
    require_new,
    require_writable,
    result_paths,
    type_option,
)
from napari_selfdenoise.cli.pairs import (
    for_files,
    paths_of,
    read_files,
    second_of,
    take_files,
    teaching_options,
)
from napari_selfdenoise.cli.report import reports, training_report
from napari_selfdenoise.cli.runs import (
    foretell,
    predict_with_progress,
    require_room_for,
    train_with_progress,
)
from napari_selfdenoise.cli.settings import run_config, training_options
from napari_selfdenoise.compute import Processes
from napari_selfdenoise.images import Image


@click.command(name="denoise")
@click.argument("given", metavar="INPUT... OUTPUT", nargs=-1, required=True)
@click.option(
    "--save-model",
    metavar="FILE",
    help="Keep the trained model, and until then a checkpoint of its training.",
)
@resume_option
@outputs_option
@type_option
@memory_option
@report_option
@batch_options
@learning_options
@teaching_options
@training_options
@input_options
@reports
def denoise_verb(
    given: tuple[str, ...],
    save_model: str | None,
    resume: bool,
    outputs: str,
    as_source: bool,
    report_file: str | None,
    **values: Any,
) -> dict[str, Any]:
    """Train on INPUT and write it denoised to OUTPUT, in one go.

    INPUT may be several files, a folder, or a pattern in quotes such as "day*.tif";
    OUTPUT is a folder then. One that fails does not stop the others.
    """
    options, learning = BatchOptions.take(values), Learning.take(values)
    sources, target = inputs_and_output(given)
    memory = values.pop("max_memory")
    wanted = _Wanted(outputs, as_source, report_file, save_model, resume, memory)
    if options.are_for(sources):
        return _denoise_many(options, learning, sources, target, wanted, values)
    return _denoise_one(sources[0], target, wanted, values)


class _Wanted(NamedTuple):
    """What is to be written, by the flags of `denoise`."""

    outputs: str
    as_source: bool
    report_file: str | None
    save_model: str | None
    resume: bool
    max_memory: int | None


def _denoise_many(
    options: BatchOptions,
    learning: Learning,
    sources: Sequence[str],
    target: str,
    wanted: _Wanted,
    values: dict[str, Any],
) -> dict[str, Any]:
    """Train on some of many inputs, or on each, and denoise them all."""
    outputs, as_source, report_file, save_model, resume, memory = wanted
    files = take_files(values, sources)
    require_single(report_file, save_model, learning, files, resume)
    require_writable(save_model)
    kept = Interruptible.of(save_model, resume)
    read = correction_files(values).values()
    inputs = Inputs.take(values, memory)
    config = run_config(values, kept.config)
    batch = Batch(options, sources, target, outputs, read)
    require_given(config, result_paths(batch.jobs[0].target, outputs))
    about = as_source, save_model, kept, memory
    return learn_and_denoise(batch, learning, config, inputs, *about)


def _denoise_one(
    source: str, target: str, wanted: _Wanted, values: dict[str, Any]
) -> dict[str, Any]:
    """Train on one input and denoise it."""
    from napari_selfdenoise.model import save_model as save

    started = time.perf_counter()
    outputs, as_source, report_file, save_model, resume, memory = wanted
    paths = output_paths(Path(target), outputs)
    files = take_files(values, [source])
    read = *correction_files(values).values(), *paths_of(files)
    require_new(paths.values(), [source, *read])
    inputs = Inputs.take(values, memory)
    require_writable(save_model)
    kept = Interruptible.of(save_model, resume)
    config = for_files(run_config(values, kept.config), files)
    require_given(config, paths)
    require_writable(report_file)
    image = inputs.read(source)
    taught = read_files(files, inputs)
    dtype = inputs.type_of(source, as_source)
    require_room_for(image, paths, config)
    clock = foretell(image, config)
    how = [image], config, None, clock
    options = {**taught, "max_memory": memory}
    model = kept.trained(functools.partial(train_with_progress, *how, **options))
    # The model first: should the disk be full, the training is not lost.
    path = str(save(model, save_model)) if save_model else None
    kept.forget()
    more = config.device, memory, None, clock, second_of(taught), dtype
    result = predict_with_progress(model, image, paths, *more, source=source)
    report = training_report(model, time.perf_counter() - started, path)
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
    "--resume",
    is_flag=True,
    help="Go on where a training into FILE was interrupted, to the same result; else "
    "continue from the weights in FILE.",
)
@recursive_option
@memory_option
@report_option
@teaching_options
@training_options
@input_options
@reports
def train_verb(
    sources: tuple[str, ...],
    target: str,
    resume: bool,
    recursive: bool,
    report_file: str | None,
    **values: Any,
) -> dict[str, Any]:
    """Train on one or more INPUTs and keep the model in FILE.

    An INPUT may be a folder, or a pattern in quotes such as "day*.tif". One that cannot
    be read is left out, as long as there are others. Processes that torchrun starts
    train one model together, each on a GPU of its own.
    """
    from napari_selfdenoise.model import load_model, save_model

    started = time.perf_counter()
    paths = [str(found.path) for found in find_images(sources, recursive)]
    require_writable(target)
    require_writable(report_file)
    memory = values.pop("max_memory")
    kept = Interruptible.into(target, resume)
    starts = resume and (kept.found is None or kept.found.continued)
    start = load_model(target) if starts else None
    known = kept.found or start
    files = take_files(values, paths)
    inputs = Inputs.take(values, memory)
    config = for_files(run_config(values, known.config if known else None), files)
    images, left_out = _read_inputs(inputs, paths, all_needed=bool(files))
    taught = read_files(files, inputs) | {"max_memory": memory}
    train = functools.partial(train_with_progress, images, config, start, **taught)
    model = kept.trained(train)
    if not Processes.started().is_first:  # one writes
        return {}
    path = str(save_model(model, target))
    kept.forget()
    report = training_report(model, time.perf_counter() - started, path)
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
