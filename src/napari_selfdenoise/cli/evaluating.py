"""The verb that says how good a result is: `evaluate`."""

from __future__ import annotations

import time
from collections.abc import Generator, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import click

from napari_selfdenoise.cli.inputs import axes_option, series_option
from napari_selfdenoise.cli.report import reports
from napari_selfdenoise.cli.screen import say
from napari_selfdenoise.errors import RequestError
from napari_selfdenoise.images import Image

if TYPE_CHECKING:
    from napari_selfdenoise.evaluation import Evaluation
    from napari_selfdenoise.parts.noise_models import NoiseCurve

Result = TypeVar("Result")

_IN_REPORT = ("psnr", "psnr_scale_invariant", "ssim", "frc_resolution_px")
"""Figures that the report also has by name, with their lists of planes."""

_EVERY_S = 5.0
"""Seconds between lines of progress."""


@click.command(name="evaluate")
@click.argument("prediction")
@click.argument("reference", required=False)
@click.option(
    "--noisy",
    metavar="FILE",
    help="The image that was denoised: what was removed is checked for structure.",
)
@click.option(
    "--model",
    metavar="FILE",
    help="The model that made PREDICTION of the noisy image: its error is estimated "
    "by SURE, and its held-out bits are measured.",
)
@click.option(
    "--noise-model",
    metavar="FILE",
    help="Noise model file of the camera, in place of noise measured in the image.",
)
@click.option(
    "--range",
    "data_range",
    type=float,
    help="Range of the data, such as 255; default: the reference's.",
)
@click.option("--frame", type=int, help="Take this frame of a stack on either side.")
@axes_option
@series_option
@reports
def evaluate_verb(
    prediction: str,
    reference: str | None,
    noisy: str | None,
    model: str | None,
    noise_model: str | None,
    data_range: float | None,
    frame: int | None,
    axes: str | None,
    series: int | None,
) -> dict[str, Any]:
    """Compare PREDICTION with a REFERENCE, plane by plane, or with the noisy image."""
    from napari_selfdenoise.evaluation import Evaluation

    if not (reference or noisy):
        raise RequestError(
            "There is nothing to compare with.",
            "Give a REFERENCE, or the image that was denoised by --noisy.",
        )
    if (model or noise_model) and not noisy:
        raise RequestError(
            "A model says nothing without the image that was denoised.",
            "Give that image by --noisy.",
        )
    report: dict[str, Any] = {}
    parts: list[Evaluation] = []
    if noisy:
        pair = _pair(prediction, noisy, frame, axes, series)
        parts += _without_reference(*pair, model, noise_model)
        report |= _residual_report(*pair, required=not reference)
    if reference:
        pair = _pair(prediction, reference, frame, axes, series)
        parts.append(_with_reference(*pair, data_range))
        report |= _reference_report(parts[-1])
    found = Evaluation.joined(parts)
    return {"table": _text(report, found)} | report | found.to_json()


def _pair(
    prediction: str,
    other: str,
    frame: int | None,
    axes: str | None,
    series: int | None,
) -> tuple[Image, Image]:
    """Read a prediction and what it is compared with, one of a file with several."""
    from napari_selfdenoise.images import in_order_of, read_image

    images = [read_image(prediction, axes=axes), read_image(other, series=series)]
    if axes is not None and images[1].ndim == images[0].ndim:
        images[1] = read_image(other, axes=axes, series=series)
    images[1] = in_order_of(images[1], images[0])
    if frame is not None:
        if not any(_is_stack(image) for image in images):
            raise RequestError(
                f"Frame {frame} was asked for, but neither side is a stack.",
                "Leave the frame out.",
            )
        images = [i.frame(frame) if _is_stack(i) else i for i in images]
    return images[0], images[1]


def _is_stack(image: Image) -> bool:
    return any(axis not in "CS" for axis in image.outer_axes)


def _without_reference(
    denoised: Image, noisy: Image, model: str | None, noise_model: str | None
) -> list[Evaluation]:
    """Figures from the noisy image, and from the model where there is one."""
    from napari_selfdenoise.evaluation import examine_steps
    from napari_selfdenoise.model import load_model
    from napari_selfdenoise.prediction import evaluate_model_steps

    trained = load_model(model) if model else None
    curves = _curves(noise_model, noisy)
    if trained:
        trained.require_fits(noisy)
    own = trained.noise_curves if trained else None
    parts = [_run(examine_steps(noisy, denoised, curves or own))]
    if trained:
        steps = evaluate_model_steps(noisy, denoised, trained, curves)
        parts.append(_run(steps))
    return parts


def _curves(noise_model: str | None, noisy: Image) -> Sequence[NoiseCurve] | None:
    """The noise of a file, the same for all channels."""
    from napari_selfdenoise.parts.noise_models import load_noise_model

    if noise_model is None:
        return None
    return [load_noise_model(noise_model).curve] * noisy.channels


def _residual_report(denoised: Image, noisy: Image, required: bool) -> dict[str, Any]:
    """What the residual holds; where it is not required, why it cannot be measured."""
    from napari_selfdenoise.evaluation import check_residual

    try:
        return check_residual(noisy, denoised).to_json()
    except RequestError as error:
        if required:
            raise
        return {"verdict": str(error), "structure_left": None}


def _with_reference(
    prediction: Image, reference: Image, data_range: float | None
) -> Evaluation:
    from napari_selfdenoise.evaluation import compare_steps

    found = _run(compare_steps(prediction, reference, data_range))
    if all(figure.value is None for figure in found.figures):
        raise RequestError(found.figures[0].reason)
    return found


def _reference_report(found: Evaluation) -> dict[str, Any]:
    """Means by name, and under "images" the lists of the planes."""
    figures = {key: found.figure(key) for key in _IN_REPORT}
    known = {key: figure for key, figure in figures.items() if figure}
    means: dict[str, Any] = {key: figure.value for key, figure in known.items()}
    lists = {key: list(figure.by_plane) for key, figure in known.items()}
    return means | {"images": lists}


def _text(report: dict[str, Any], found: Evaluation) -> str:
    verdict = report.get("verdict")
    return "\n".join(filter(None, (verdict, found.table())))


def _run(steps: Generator[float, Any, Result]) -> Result:
    """Run steps to their end; how far they are goes to stderr."""
    last = time.monotonic()
    while True:
        try:
            share = next(steps)
        except StopIteration as end:
            result: Result = end.value
            return result
        if time.monotonic() - last > _EVERY_S:
            last = time.monotonic()
            say(f"Evaluating: {share:.0%}")
