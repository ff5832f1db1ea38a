"""Noise models: how an observation scatters around the signal.

Inside training all values are normalised; `NoiseCurve` says the same in the image's
raw units and is what the plots draw, the prediction uses and the model file keeps.
"""

from napari_selfdenoise.parts.noise_models.base import (
    NoiseConfig,
    NoiseModule,
    NoiseUnits,
)
from napari_selfdenoise.parts.noise_models.curve import (
    NoiseCurve,
    NoiseDistribution,
    noise_distribution,
    raw_curve,
)
from napari_selfdenoise.parts.noise_models.fitted_noise import FittedNoise
from napari_selfdenoise.parts.noise_models.gaussian_mixture import (
    GaussianMixtureModule,
    GaussianMixtureNoise,
)
from napari_selfdenoise.parts.noise_models.histogram import (
    HistogramModule,
    HistogramNoise,
)
from napari_selfdenoise.parts.noise_models.lines import binned_means, variance_line
from napari_selfdenoise.parts.noise_models.models import (
    GaussianModule,
    GaussianNoise,
    NoiseFromFile,
    NoiseModel,
    NoiseNetwork,
    NoiseNetworkModule,
    PoissonGaussianModule,
    PoissonGaussianNoise,
    PoissonModule,
    PoissonNoise,
    UnmodelledNoise,
)
from napari_selfdenoise.parts.noise_models.noise_file import (
    SUFFIX,
    load_noise_model,
    noise_model_path,
    save_noise_model,
)
from napari_selfdenoise.parts.noise_models.tabulated import TabulatedModule

__all__ = [
    "SUFFIX",
    "FittedNoise",
    "GaussianMixtureModule",
    "GaussianMixtureNoise",
    "GaussianModule",
    "GaussianNoise",
    "HistogramModule",
    "HistogramNoise",
    "NoiseConfig",
    "NoiseCurve",
    "NoiseDistribution",
    "NoiseFromFile",
    "NoiseModel",
    "NoiseModule",
    "NoiseNetwork",
    "NoiseNetworkModule",
    "NoiseUnits",
    "PoissonGaussianModule",
    "PoissonGaussianNoise",
    "PoissonModule",
    "PoissonNoise",
    "TabulatedModule",
    "UnmodelledNoise",
    "binned_means",
    "load_noise_model",
    "noise_distribution",
    "noise_model_path",
    "raw_curve",
    "save_noise_model",
    "variance_line",
]
