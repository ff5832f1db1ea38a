"""Noise models from an image and its own denoised version (Prakash et al. 2020)."""

from __future__ import annotations

from napari_selfdenoise.images import Image
from napari_selfdenoise.noise.calibration import Fit, calibrate_steps
from napari_selfdenoise.noise.inspection.inspected import with_measurement
from napari_selfdenoise.noise.inspection.measured import measure_noise_steps
from napari_selfdenoise.parts.noise_models import NoiseModel

_CLIP = 0.5, 99.5
"""Percentiles of the signal beyond which predictions are least reliable."""

_BLIND = (
    "Noise may look stronger than it is, as what the prediction has missed counts as "
    "noise."
)
_NOT_BLIND = (
    "Noise may look weaker than it is, as the denoised layer holds a part of each "
    "pixel's own value. Repeated frames are better."
)


def bootstrap_steps(
    noisy: Image, denoised: Image, config: NoiseModel, *, blind: bool, seed: int = 0
) -> Fit:
    """Fit a noise model to an image, with its denoised version as signal.

    Parameters
    ----------
    noisy, denoised : Image
        Of one channel and of the same planes.
    config : NoiseModel
        What to fit.
    blind : bool
        Whether each pixel was denoised without its own value.
    seed : int
        Of the random choices.

    Yields
    ------
    float
        Share that is done. Send anything to end it.

    Returns
    -------
    FittedNoise
        With what it was fitted to; or None, where it was ended early.

    Raises
    ------
    RequestError
        If shapes do not match, or there are several channels.
    """
    fitted = yield from calibrate_steps(
        noisy, config, signal=denoised, clip=_CLIP, seed=seed
    )
    if fitted is None:
        return None
    measured = yield from measure_noise_steps(noisy, denoised)
    if measured is None:
        return None
    fitted.warnings.append(_BLIND if blind else _NOT_BLIND)
    return with_measurement(fitted, measured)
