"""Named configs: a recipe is a value of the whole config, nothing else."""

from __future__ import annotations

from napari_selfdenoise.config import TrainingConfig
from napari_selfdenoise.errors import RequestError
from napari_selfdenoise.masking import GridMask, RandomMask
from napari_selfdenoise.networks import UNet
from napari_selfdenoise.noise_models import NoiseNetwork, UnmodelledNoise

RECIPES: dict[str, TrainingConfig] = {
    # The default: as good as one image allows, in a minute.
    "fast": TrainingConfig(recipe="fast"),
    # Ollion et al. 2021: joint likelihood, grid masks, 64 features at every level.
    "ollion": TrainingConfig(
        recipe="ollion",
        masking=GridMask(),
        network=UNet(width=64, depth=2, growth=1),
        noise_model=NoiseNetwork(),
        objective="likelihood",
        patch_size=96,
        batch_size=8,
        learning_rate=4e-4,
        budget_s=600.0,
    ),
    # Krull et al. 2019: sparse masks filled with a random neighbour, squared error.
    "n2v": TrainingConfig(
        recipe="n2v",
        masking=RandomMask(fraction=0.015, fill="uniform"),
        network=UNet(width=32, depth=2),
        noise_model=UnmodelledNoise(),
        patch_size=64,
        batch_size=16,
        learning_rate=4e-4,
        flips=False,
        budget_s=600.0,
    ),
}

DESCRIPTIONS: dict[str, str] = {
    "fast": "The default: trains for a minute, and shows the camera's noise curve.",
    "ollion": "Signal and noise networks trained jointly (Ollion et al. 2021).",
    "n2v": "Noise2Void: sparse masks, squared error (Krull et al. 2019).",
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
