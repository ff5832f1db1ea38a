"""Results of a prediction: their names and shapes, and where they are kept."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_selfdenoise.config import TrainingConfig
from napari_selfdenoise.errors import DenoisingError, RequestError
from napari_selfdenoise.images import Coverage, Image, bytes_in_words, reserve
from napari_selfdenoise.parts.estimators import Estimator
from napari_selfdenoise.parts.noise_models import NoiseCurve
from napari_selfdenoise.prediction.sure import Blend, summary

IN_MEMORY_BYTES = 2**32
"""Results larger than this are kept in a temporary file instead of in memory."""


@dataclass(frozen=True, eq=False)
class Denoised:
    """What a prediction gives back.

    Parameters
    ----------
    images : mapping of str to Image
        The results, by the names that `result_shapes` gives;
        float32, in the image's raw units.
    noise_curves : tuple of NoiseCurve
        One a channel, in raw units.
    coverage : Coverage
        What was denoised. Where a prediction was stopped, pixels that it did not reach
        are NaN, or as they were in arrays that it was given.
    blends : tuple of Blend
        What the automatic estimator chose, one a plane; empty for other estimators.
    notes : tuple of str
        What the user should know of the image, in sentences.
    """

    images: Mapping[str, Image]
    noise_curves: tuple[NoiseCurve, ...]
    coverage: Coverage
    blends: tuple[Blend, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def complete(self) -> bool:
        """Whether the prediction was not stopped before its end."""
        return self.done_fraction == 1.0

    @property
    def done_fraction(self) -> float:
        """Share of the pixels that was denoised."""
        return self.coverage.fraction

    @property
    def chosen(self) -> str:
        """What the automatic estimator chose, as a phrase; of many planes the mean."""
        return summary(self.blends)

    @property
    def denoised(self) -> Image:
        """Predicted signal."""
        return self.images["denoised"]

    @property
    def noise_std(self) -> Image:
        """Standard deviation of the noise expected at each pixel."""
        return self.images["noise_std"]

    @property
    def deconvolved(self) -> Image | None:
        """The image before the blur; None without a point spread function."""
        return self.images.get("deconvolved")

    @property
    def posterior_std(self) -> Image | None:
        """How sure each denoised pixel is; None without a posterior estimator."""
        return self.images.get("posterior_std")

    @property
    def trust(self) -> Image | None:
        """Share of each estimate that came from the context; None as `posterior_std`.

        One minus it came from the pixel's own value.
        """
        return self.images.get("trust")

    @property
    def posterior_samples(self) -> Image | None:
        """Draws from the posterior along a first axis; None where none were asked."""
        return self.images.get("posterior_samples")


def result_names(
    config: TrainingConfig, estimator: Estimator | None = None
) -> list[str]:
    """Names of the results that a model of this config gives.

    Parameters
    ----------
    config : TrainingConfig
        Of the model.
    estimator : Estimator, optional
        In place of the config's.
    """
    estimator = estimator or config.estimator
    return [
        "denoised",
        "noise_std",
        *(["deconvolved"] if config.psf.blurs else []),
        *(["posterior_std", "trust"] if estimator.fuses else []),
        *(["posterior_samples"] if estimator.count else []),
    ]


def result_shapes(
    image: Image, config: TrainingConfig, estimator: Estimator | None = None
) -> dict[str, tuple[int, ...]]:
    """Names of the results, and their shapes for an image.

    The parameters are those of `result_names`.
    """
    estimator = estimator or config.estimator
    shapes = dict.fromkeys(result_names(config, estimator), image.shape)
    if "posterior_samples" in shapes:
        shapes["posterior_samples"] = (estimator.count, *image.shape)
    return shapes


def require_places(
    into: Mapping[str, Any], shapes: Mapping[str, tuple[int, ...]]
) -> None:
    """Refuse places for results that the model does not give, or of other shapes.

    Parameters
    ----------
    into : mapping
        Writable arrays by the names of results.
    shapes : mapping
        As from `result_shapes`.

    Raises
    ------
    RequestError
        With what the model gives.
    """
    for name, data in into.items():
        if name not in shapes:
            raise RequestError(
                f"The model gives no {name.replace('_', ' ')}; it gives "
                f"{', '.join(shapes).replace('_', ' ')}.",
                "Deconvolved images need a point spread function, posterior stds, "
                "trust and samples a posterior estimator.",
            )
        if tuple(data.shape) != shapes[name]:
            raise RequestError(
                f"The place for {name.replace('_', ' ')} has the shape "
                f"{tuple(data.shape)}; {shapes[name]} is needed."
            )


def result_image(image: Image, name: str, data: Any) -> Image:
    """Return a result with the axes, units and name that follow from the image.

    Parameters
    ----------
    image : Image
        That was denoised.
    name : str
        Of the result.
    data : array
        Of the shape that `result_shapes` gives.
    """
    count = len(data) if name == "posterior_samples" else 0
    like = image_like(image, name, count)
    return like.with_data(data, f"{image.name} {name.replace('_', ' ')}")


def image_like(image: Image, name: str, samples: int = 0) -> Image:
    """Return an image with the axes, units and look of a result.

    Parameters
    ----------
    image : Image
        That is denoised.
    name : str
        Of the result.
    samples : int
        How many images lie along a first axis, where the result is samples.
    """
    like = image.stack_of(samples) if name == "posterior_samples" else image
    if not are_intensities(name):
        return replace(like, look=None)  # not to be shown as such
    if name == "deconvolved" and like.look:  # brighter than the image
        return replace(like, look=replace(like.look, ranges=()))
    return like


def are_intensities(name: str) -> bool:
    """Whether a result holds intensities, as the image does."""
    return not (name.endswith("_std") or name == "trust")


def allocate(
    shape: tuple[int, ...], in_memory: int | None = None
) -> NDArray[np.float32]:
    """Zeros, in memory or, where they are large, in a temporary file.

    Parameters
    ----------
    shape : tuple of int
        Of the array.
    in_memory : int, optional
        Bytes that are kept in memory, at most; `IN_MEMORY_BYTES` where not given.

    Raises
    ------
    DenoisingError
        If neither has room.
    """
    most = IN_MEMORY_BYTES if in_memory is None else in_memory
    try:
        if 4 * math.prod(shape) <= most:
            return np.zeros(shape, np.float32)
        with tempfile.TemporaryFile(prefix="selfdenoise-") as file:
            reserve(file, 4 * math.prod(shape))
            return np.memmap(file, np.float32, "w+", shape=shape)
    except (MemoryError, OSError) as error:
        raise DenoisingError(
            f"There is no room for a result of {bytes_in_words(4 * math.prod(shape))}: "
            f"{error}.",
            "Free memory or disk space, or denoise to a file with `selfdenoise "
            "predict`.",
        ) from error
