"""Named configs: a recipe is a value of the whole config, nothing else.

Published recipes have the published hyper-parameters, and end with the published number
of steps or after ten minutes, whichever is first.
"""

from __future__ import annotations

from napari_selfdenoise.config.training_config import TrainingConfig
from napari_selfdenoise.errors import RequestError
from napari_selfdenoise.parts.estimators import AutoEstimator, PosteriorMean
from napari_selfdenoise.parts.masking import GridMask, LineMask, NoMask, RandomMask
from napari_selfdenoise.parts.networks import HalfPlaneUNet, UNet
from napari_selfdenoise.parts.noise_models import (
    GaussianMixtureNoise,
    HistogramNoise,
    NoiseNetwork,
    PoissonGaussianNoise,
    UnmodelledNoise,
)
from napari_selfdenoise.parts.psf import GaussianPSF
from napari_selfdenoise.parts.signal_heads import GaussianSignal, SampledSignal

_MINUTES = 600.0

_N2V = TrainingConfig(
    recipe="n2v",
    masking=RandomMask(fraction=0.0156, fill="uniform"),  # 64 pixels of 64 x 64
    network=UNet(width=32, depth=2, pooling="max").sharp,
    noise_model=UnmodelledNoise(),
    patch_size=64,
    batch_size=128,
    learning_rate=4e-4,
    steps=40_000,
    budget_s=_MINUTES,
    flips=False,
)

_PN2V = TrainingConfig(
    recipe="pn2v",
    masking=RandomMask(fraction=0.0312, fill="uniform"),  # 312 pixels of 100 x 100
    network=UNet(width=64, depth=2, pooling="max").sharp,
    signal=SampledSignal(samples=800),
    noise_model=HistogramNoise(),
    estimator=PosteriorMean(blind=False),
    objective="bootstrap",
    patch_size=100,
    batch_size=80,
    learning_rate=1e-4,
    steps=10_000,
    budget_s=_MINUTES,
    flips=False,
)

RECIPES: dict[str, TrainingConfig] = {
    # The default: as good as one image allows, in a minute.
    "fast": TrainingConfig(recipe="fast", estimator=AutoEstimator(), objective="sure"),
    # Ten minutes: what pays where there is much to learn from.
    "best": TrainingConfig(
        recipe="best",
        network=UNet(scales=True),
        estimator=AutoEstimator(),
        objective="sure",
        budget_s=_MINUTES,
    ),
    # Krull et al. 2019.
    "n2v": _N2V,
    # Höck et al. 2022: no checkerboards.
    "n2v2": _N2V.model_copy(
        update={
            "recipe": "n2v2",
            "masking": RandomMask(fraction=0.00198, fill="median"),
            "network": UNet(width=32, depth=2, pooling="blur", top_skip=False).sharp,
        }
    ),
    # Broaddus et al. 2020: noise that is correlated along rows.
    "structn2v": _N2V.model_copy(
        update={
            "recipe": "structn2v",
            "masking": LineMask(axis="x", extent=4, fraction=0.0156),
        }
    ),
    # Batson and Royer 2019.
    "n2s": _N2V.model_copy(
        update={
            "recipe": "n2s",
            "masking": GridMask(spacing_min=4, spacing_max=4, fill="cross"),
            "batch_size": 32,
            "learning_rate": 1e-3,
        }
    ),
    # Krull et al. 2020: 800 samples, histogram.
    "pn2v": _PN2V,
    # Prakash et al. 2020: Gaussian mixture noise model from the image itself.
    "ppn2v": _PN2V.model_copy(
        update={
            "recipe": "ppn2v",
            "noise_model": GaussianMixtureNoise(components=3, coefficients=2),
            "batch_size": 20,
            "learning_rate": 1e-3,
            "steps": 3_000,
        }
    ),
    # Goncharova et al. 2020.
    "deconoising": _PN2V.model_copy(
        update={
            "recipe": "deconoising",
            "signal": _N2V.signal,
            "noise_model": UnmodelledNoise(),
            "psf": GaussianPSF(sigma=1.0, positivity="penalty"),
            "estimator": _N2V.estimator,
            "objective": "squared_error",
            "batch_size": 20,
            "learning_rate": 1e-3,
            "steps": 2_000,
        }
    ),
    # Khademi et al. 2021: total variance, noise fitted to each image.
    "khademi": TrainingConfig(
        recipe="khademi",
        masking=NoMask(),
        network=HalfPlaneUNet(width=48, depth=5),
        signal=GaussianSignal(),
        noise_model=PoissonGaussianNoise(estimation="per_image"),
        estimator=PosteriorMean(),
        objective="likelihood",
        patch_size=128,
        batch_size=4,
        learning_rate=3e-4,
        steps=15_000,
        budget_s=_MINUTES,
        flips=False,
    ),
    # Ollion et al. 2021: joint likelihood, grid masks, 64 features at every level.
    "ollion": TrainingConfig(
        recipe="ollion",
        masking=GridMask(),
        network=UNet(width=64, depth=2, growth=1, pooling="max").sharp,
        noise_model=NoiseNetwork(),
        objective="likelihood",
        patch_size=96,
        batch_size=100,
        learning_rate=4e-4,
        steps=80_000,
        budget_s=_MINUTES,
    ),
}

TITLES: dict[str, str] = {
    "fast": "Fast (1 min)",
    "best": "Best (10 min)",
    "n2v": "Noise2Void (Krull 2019)",
    "n2v2": "Noise2Void without checkerboards (Höck 2022)",
    "structn2v": "Noise2Void for noise along rows (Broaddus 2020)",
    "n2s": "Noise2Self (Batson 2019)",
    "pn2v": "Probabilistic Noise2Void (Krull 2020)",
    "ppn2v": "Parametric PN2V (Prakash 2020)",
    "deconoising": "DecoNoising: sharpens too (Goncharova 2020)",
    "khademi": "Noise fitted to each image (Khademi 2021)",
    "ollion": "Signal and noise networks (Ollion 2021)",
}
"""Names of the recipes in the window; published ones with author and year."""

DESCRIPTIONS: dict[str, str] = {
    "fast": "The default: trains for a minute, and shows the camera's noise curve.",
    "best": "The highest quality, for stacks and many images: trains for ten minutes, "
    "with a wider network where there is enough to learn from. One frame gains little.",
    "n2v": "Noise2Void: sparse masks, squared error (Krull et al. 2019).",
    "n2v2": "Noise2Void without checkerboards: blurred pooling, no top skip (Höck et "
    "al. 2022).",
    "structn2v": "Noise2Void for noise that neighbours in a row share (Broaddus et al. "
    "2020).",
    "n2s": "Noise2Self: masks on a grid (Batson and Royer 2019).",
    "pn2v": "Probabilistic Noise2Void: 800 samples a pixel, histogram of the noise "
    "(Krull et al. 2020).",
    "ppn2v": "PN2V with a Gaussian mixture noise model (Prakash et al. 2020).",
    "deconoising": "Noise2Void through a point spread function: denoised and "
    "deconvolved (Goncharova et al. 2020).",
    "khademi": "Blind-spot network with variance, Poisson-Gaussian noise fitted to "
    "each image (Khademi et al. 2021).",
    "ollion": "Signal and noise networks trained jointly (Ollion et al. 2021).",
}


def recipe(name: str) -> TrainingConfig:
    """Return a recipe by its name.

    Raises
    ------
    RequestError
        If there is no such recipe.
    """
    try:
        return RECIPES[name]
    except KeyError:
        raise RequestError(
            f"There is no recipe called {name!r}.",
            f"Choose one of {', '.join(RECIPES)}.",
        ) from None
