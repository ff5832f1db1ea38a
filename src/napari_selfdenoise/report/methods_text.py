"""A paragraph for the Methods section of a paper, with the references it needs."""

from __future__ import annotations

from pydantic import BaseModel

from napari_selfdenoise.config import TrainingConfig
from napari_selfdenoise.model import TrainedModel
from napari_selfdenoise.version import __version__

REFERENCES = {
    "Krull 2019": "Krull, A., Buchholz, T.-O. & Jug, F. Noise2Void - Learning "
    "Denoising from Single Noisy Images. CVPR (2019).",
    "Höck 2022": "Höck, E., Buchholz, T.-O., Brachmann, A., Jug, F. & Freytag, A. "
    "N2V2 - Fixing Noise2Void Checkerboard Artifacts with Modified Sampling "
    "Strategies and a Tweaked Network Architecture. ECCV Workshops (2022).",
    "Broaddus 2020": "Broaddus, C., Krull, A., Weigert, M., Schmidt, U. & Myers, G. "
    "Removing Structured Noise with Self-Supervised Blind-Spot Networks. ISBI (2020).",
    "Batson 2019": "Batson, J. & Royer, L. Noise2Self: Blind Denoising by "
    "Self-Supervision. ICML (2019).",
    "Krull 2020": "Krull, A., Vičar, T., Prakash, M., Lalit, M. & Jug, F. "
    "Probabilistic Noise2Void: Unsupervised Content-Aware Denoising. "
    "Front. Comput. Sci. (2020).",
    "Prakash 2020": "Prakash, M., Lalit, M., Tomancak, P., Krull, A. & Jug, F. Fully "
    "Unsupervised Probabilistic Noise2Void. ISBI (2020).",
    "Goncharova 2020": "Goncharova, A., Honigmann, A., Jug, F. & Krull, A. Improving "
    "Blind Spot Denoising for Microscopy. ECCV Workshops (2020).",
    "Khademi 2021": "Khademi, W., Rao, S., Minnerath, C., Hagen, G. & Ventura, J. "
    "Self-Supervised Poisson-Gaussian Denoising. WACV (2021).",
    "Ollion 2021": "Ollion, J., Ollion, C., Gassiat, E., Lehéricy, L. & Le Corff, S. "
    "Joint self-supervised blind denoising and noise estimation. arXiv (2021).",
    "Laine 2019": "Laine, S., Karras, T., Lehtinen, J. & Aila, T. High-Quality "
    "Self-Supervised Deep Image Denoising. NeurIPS (2019).",
    "Lehtinen 2018": "Lehtinen, J., Munkberg, J., Hasselgren, J., Laine, S., Karras, "
    "T., Aittala, M. & Aila, T. Noise2Noise: Learning Image Restoration without Clean "
    "Data. ICML (2018).",
    "Weigert 2018": "Weigert, M., Schmidt, U., Boothe, T. et al. Content-Aware Image "
    "Restoration: Pushing the Limits of Fluorescence Microscopy. Nat. Methods 15 "
    "(2018).",
    "Stein 1981": "Stein, C. M. Estimation of the Mean of a Multivariate Normal "
    "Distribution. Ann. Stat. 9 (1981).",
}

_OF_RECIPES = {
    "n2v": ("Krull 2019",),
    "n2v2": ("Krull 2019", "Höck 2022"),
    "structn2v": ("Krull 2019", "Broaddus 2020"),
    "n2s": ("Batson 2019",),
    "pn2v": ("Krull 2020",),
    "ppn2v": ("Krull 2020", "Prakash 2020"),
    "deconoising": ("Krull 2019", "Goncharova 2020"),
    "khademi": ("Laine 2019", "Khademi 2021"),
    "ollion": ("Ollion 2021",),
}

_OF_SUPERVISION = {"pair": "Lehtinen 2018", "noise_free": "Weigert 2018"}

_TEACHING = {
    "self": ", without noise-free images",
    "pair": " from two exposures of each scene, without noise-free images",
    "noise_free": ", with noise-free images of the same scenes to learn from",
}


def citations(config: TrainingConfig) -> tuple[str, ...]:
    """Keys of `REFERENCES` that a run with these settings cites."""
    taught = _OF_SUPERVISION.get(config.supervision)
    recipe = _OF_RECIPES.get(config.recipe, ("Krull 2019",))
    cited = [taught] if taught else list(recipe)
    if config.noise_model.kind == "network":
        cited.append("Ollion 2021")
    if config.masking.correlated:
        cited.append("Broaddus 2020")
    if config.psf.blurs:
        cited.append("Goncharova 2020")
    if config.estimator.fuses and not config.estimator.blends:
        cited.append("Krull 2020")
    if config.uses_sure or config.estimator.blends:
        cited.append("Stein 1981")
    return tuple(dict.fromkeys(cited))


def methods_paragraph(model: TrainedModel) -> tuple[str, tuple[str, ...]]:
    """Describe a training as the Methods section of a paper does; plain text.

    Parameters
    ----------
    model : TrainedModel
        With its provenance.

    Returns
    -------
    str
        The paragraph, with its citations in brackets.
    tuple of str
        The references in full.
    """
    config, made = model.config, model.provenance
    cited = citations(config)
    version = made.get("versions", {}).get("napari-selfdenoise", __version__)
    count = len(made.get("images", ())) or 1
    images = "the noisy image itself" if count == 1 else f"{count} noisy images"
    text = (
        f"Images were denoised with napari-selfdenoise {version}"
        f"{_TEACHING[config.supervision]}. A network was trained on {images} with the "
        f"recipe “{config.recipe}” "
        f"({'; '.join(cited)}) for {made.get('steps', '?')} steps "
        f"(seed {made.get('seed', config.seed)}). Masking was {_word(config.masking)}, "
        f"the network {_word(config.network)}, the noise model "
        f"{_word(config.noise_model)}, and the estimator {_word(config.estimator)}."
    )
    if config.context.kind != "none":
        text += f" The context of each plane was {_word(config.context)}."
    if config.channels.together:
        text += " Each channel was predicted together with the other channels."
    if model.noise_curves and (line := model.noise_curves[0].poisson_gaussian):
        text += (
            f" The noise variance was {line[0]:.4g} times the signal plus "
            f"{line[1]:.4g} (grey values)."
        )
    return text, tuple(REFERENCES[key] for key in cited)


def _word(part: BaseModel) -> str:
    """Name of a part, as the window shows it."""
    return f"“{part.model_config['title']}”"
