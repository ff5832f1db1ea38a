"""The verb that denoises with a saved model: `predict`."""

from __future__ import annotations

import functools
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from napari_selfdenoise.cli.batches import Batch, BatchOptions, batch_options
from napari_selfdenoise.cli.cluster_runs import predict_on_cluster, require_for_cluster
from napari_selfdenoise.cli.flags import config_changes, config_options, help_named
from napari_selfdenoise.cli.html_report import report_option, write_run_report
from napari_selfdenoise.cli.inputs import (
    FLAGS,
    Inputs,
    correction_files,
    input_options,
    open_input,
)
from napari_selfdenoise.cli.limits import memory_option, peak_memory
from napari_selfdenoise.cli.outputs import (
    inputs_and_output,
    output_paths,
    output_places,
    outputs_option,
    require_given,
    require_new,
    require_writable,
    result_paths,
    type_option,
)
from napari_selfdenoise.cli.pairs import pair_option, take_pairs
from napari_selfdenoise.cli.report import reports
from napari_selfdenoise.cli.runs import Written, predict_with_progress


@click.command(name="predict")
@click.argument("model_path", metavar="MODEL")
@click.argument("paths", metavar="INPUT... OUTPUT", nargs=-1, required=True)
@click.option(
    "--frame", type=int, help="Take this frame or plane of the stack, from 0."
)
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda:0…")
@memory_option
@click.option(
    "--scheduler",
    metavar="ADDRESS",
    help="Denoise on the workers of this scheduler of dask.distributed; OUTPUT is an "
    ".ome.zarr that all of them can write to. A path of a scheduler file will do.",
)
@outputs_option
@type_option
@report_option
@batch_options
@pair_option
@functools.partial(config_options, part="estimator")
@input_options
@reports
def predict_verb(
    model_path: str, paths: tuple[str, ...], outputs: str, **values: Any
) -> dict[str, Any]:
    """Denoise INPUTs with a saved MODEL, tile by tile, whatever their size.

    With several INPUTs, a folder, or a pattern in quotes such as "day*.tif", OUTPUT is
    a folder; one that fails does not stop the others.
    """
    started = time.perf_counter()
    options = BatchOptions.take(values)
    sources, target = inputs_and_output(paths)
    pairs = take_pairs(values, sources)
    read = [model_path, *correction_files(values).values(), *pairs.values()]
    if options.are_for(sources):
        batch = Batch(options, sources, target, outputs, read)
        files = result_paths(batch.jobs[0].target, outputs)
        predictor = _Predictor(model_path, pairs, values, files, many=True)
        report = batch.report(batch.run(predictor.denoise))
    else:
        (place,) = output_places(Path(target), sources)
        files = output_paths(place, outputs)
        require_new(files.values(), [*sources, *read])
        predictor = _Predictor(model_path, pairs, values, files, many=False)
        report = predictor.report_of_one(sources[0], files)
    seconds = {"seconds": time.perf_counter() - started}
    return seconds | predictor.report() | report


class _Predictor:
    """Denoises inputs with a model from a file.

    Parameters
    ----------
    model_path : str
        File of the model.
    pairs : dict
        File of the second exposure of each input, or none at all.
    values : dict
        Flags of the verb; all are taken.
    files : dict
        File of each result of the first input, by name.
    many : bool
        Whether there may be several inputs: what is stopped is not written then.
    """

    def __init__(
        self,
        model_path: str,
        pairs: dict[str, str],
        values: dict[str, Any],
        files: dict[str, Path],
        many: bool,
    ) -> None:
        from napari_selfdenoise.model import load_model

        self._report_file = values.pop("report_file")
        require_writable(self._report_file)
        self._device, self._as_source = values.pop("device"), values.pop("as_source")
        self._memory, self._scheduler = (
            values.pop("max_memory"),
            values.pop("scheduler"),
        )
        self._read = correction_files(values)
        self._flags = {name: values[name] for name in FLAGS}
        self._inputs = Inputs.take(values, self._memory)
        self._pairs, self._many = pairs, many
        self._model = load_model(model_path)
        changes, config = config_changes(values, "estimator"), self._model.config
        with help_named("predict"):
            self._config = config.override(changes) if changes else config
        require_given(self._config, files)
        self._done: list[Written] = []

    def denoise(
        self, source: str, files: dict[str, Path]
    ) -> tuple[Written, Sequence[str]]:
        """Denoise an input into files; returns notes on the image, too."""
        image = self._inputs.read(source)
        pair = self._inputs.read(self._pairs[source]) if self._pairs else None
        dtype = self._inputs.type_of(source, self._as_source)
        made = self._predict(source, image, files, pair, dtype)
        if self._report_file and not self._done:
            notes = [*image.notes, *made.notes, made.warning]
            about = self._model, image, files.get("denoised"), notes
            write_run_report(self._report_file, *about)
        self._done.append(made)
        return made, image.notes

    def _predict(
        self, source: str, image: Any, files: dict[str, Path], pair: Any, dtype: Any
    ) -> Written:
        """Denoise an image here, or on a cluster."""
        estimator = self._config.estimator
        if self._scheduler:
            require_for_cluster(files, pair, self._device)
            opens = functools.partial(open_input, *self._places(source))
            how = self._scheduler, estimator, self._memory, dtype, source
            return predict_on_cluster(opens, self._model, image, files, *how)
        options = self._device, self._memory, estimator, None, pair, dtype, self._many
        return predict_with_progress(self._model, image, files, *options, source)

    def _places(self, source: str) -> tuple[dict[str, Any], int | None, str]:
        """Flags and input by names that hold wherever a worker was started."""
        files = {name: str(Path(path).absolute()) for name, path in self._read.items()}
        return self._flags | files, self._memory, str(Path(source).absolute())

    def report_of_one(self, source: str, files: dict[str, Path]) -> dict[str, Any]:
        """Denoise the only input, and return what is reported of it."""
        made, notes = self.denoise(source, files)
        warnings = filter(None, (*notes, *made.notes, made.warning))
        written = {name: str(path) for name, path in files.items()}
        return {"outputs": written, "warnings": list(dict.fromkeys(warnings))}

    def report(self) -> dict[str, Any]:
        """What is reported of all inputs together."""
        chosen = [one.chosen for one in self._done if one.chosen]
        about = {
            "tiles": sum(one.tiles for one in self._done),
            "chosen": chosen if len(chosen) > 1 else "".join(chosen),
            "peak_memory_bytes": peak_memory(),
        }
        return about | self._inputs.report()
