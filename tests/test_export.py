"""Exported models: other programs give the pixels that this one gives."""

import json
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from napari_selfdenoise import (
    DenoisingError,
    Image,
    NoiseCurve,
    RequestError,
    TrainedModel,
    TrainingConfig,
    denoise,
    save_model,
)
from napari_selfdenoise.cli import main
from napari_selfdenoise.export import (
    ExportedModel,
    export_model,
    export_steps,
    exporting,
    model_card,
    programs,
)
from napari_selfdenoise.images import Normalization
from napari_selfdenoise.model import ChannelModel
from napari_selfdenoise.parts.psf import Optics

CURVE = NoiseCurve.gaussian(np.array([0.0, 1000.0]), np.array([3.0, 31.0]))
UNET = {"network.width": 4, "network.depth": 1}

METHODS = {
    "single pass": {"estimator": "single_pass", **UNET},
    "one orientation": {"estimator": "single_pass", "flips": False, **UNET},
    "blind": {"estimator": "blind_mean", **UNET},
    "line masks": {"estimator": "blind_mean", "masking": "line", **UNET},
    "bins": {"estimator": "single_pass", "masking": "bins", **UNET},
    "posterior": {"estimator": "posterior_mean", "signal": "gaussian", **UNET},
    "mixture, not blind": {
        "estimator": "posterior_mean",
        "estimator.blind": False,
        "signal": "mixture",
        **UNET,
    },
    "samples": {
        "estimator": "posterior_mean",
        "signal": "sampled",
        "signal.samples": 16,
        **UNET,
    },
    "half-planes": {
        "network": "half_plane",
        "network.width": 4,
        "network.depth": 2,
        "masking": "none",
        "estimator": "posterior_mean",
        "signal": "gaussian",
    },
    "optics": {"estimator": "single_pass", "psf": "gaussian", **UNET},
}


@pytest.fixture(scope="module")
def image():
    """Two channels of photons, of odd sides."""
    rng = np.random.default_rng(0)
    light = 800 * gaussian_filter(rng.random((2, 70, 53)), (0, 3, 3)) ** 2
    return Image(rng.poisson(light).astype(np.float32), "CYX")


def a_model(image, changes):
    """A model whose weights are random: what it predicts is of no use, but a lot."""
    torch.manual_seed(0)
    config = TrainingConfig().override(changes)
    norm = Normalization.measure(image.data)
    kernel = np.outer([1, 2, 1, 1, 0], [1, 3, 1]) / 25
    channels = []
    for _ in range(image.channels):
        network = config.build_network().eval()
        with torch.no_grad():
            for weights in network.parameters():
                weights.add_(0.05 * torch.randn(weights.shape))
        optics = Optics.of(config.psf, kernel, -1.0) if config.psf.blurs else None
        channels.append(ChannelModel(network, None, norm, CURVE, optics))
    return TrainedModel(config, tuple(channels))


def apart(results, image, model):
    """Largest difference of results from those of the program, over the range."""
    several = results if isinstance(results, (tuple, list)) else [results]
    made = denoise(image, model, device="cpu")
    names = ("denoised", "deconvolved")[: len(several)]
    assert ("deconvolved" in made.images) == (len(several) == 2)
    return max(
        float(np.abs(np.asarray(one)[0] - made.images[name].data).max())
        / float(np.ptp(made.images[name].data))
        for one, name in zip(several, names, strict=True)
    )


def cropped(image, height, width):
    """A part of it whose sides suit tiles."""
    data = np.tile(image.data, (1, 3, 3))[:, : 3 * height, : 3 * width]
    return Image(np.ascontiguousarray(data), "CYX")


def by_its_library(core, described, image):
    """What bioimageio.core makes of an image with a package, borders and all."""
    from bioimageio.core.digest_spec import create_sample_for_model

    sample = create_sample_for_model(described, inputs={"raw": raw(image).numpy()})
    with core.create_prediction_pipeline(described) as pipeline:
        made = pipeline.predict_sample_without_blocking(sample)
    return [np.asarray(made.members[one.id].data) for one in described.outputs]


def raw(image):
    return torch.from_numpy(image.data[None])


@pytest.mark.parametrize("method", METHODS)
def test_the_exported_module_denoises_as_the_program_does(image, method):
    model = a_model(image, METHODS[method])
    assert apart(ExportedModel(model)(raw(image)), image, model) < 1e-5


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
def test_files_give_the_same_pixels_for_images_of_any_size(tmp_path, image, method):
    pytest.importorskip("onnx")
    runtime = pytest.importorskip("onnxruntime")
    model = a_model(image, METHODS[method])
    script = export_model(model, tmp_path / "model.pt").path
    assert apart(programs.run_torchscript(script, raw(image)), image, model) < 1e-4
    onnx = export_model(model, tmp_path / "model.onnx").path
    session = runtime.InferenceSession(onnx)
    assert apart(session.run(None, {"raw": raw(image).numpy()}), image, model) < 1e-4
    several = np.concatenate([raw(image).numpy()] * 3)
    (first, *_) = session.run(None, {"raw": several})
    assert first.shape == several.shape


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of a library that is not ours
def test_a_package_passes_the_test_run_of_its_own_library(tmp_path, image):
    core = pytest.importorskip("bioimageio.core")
    model = a_model(image, METHODS["single pass"])
    how = {"licence": "CC-BY-4.0", "authors": ["Ada"]}
    made = export_model(model, tmp_path / "model.zip", **how)
    described = core.load_model_description(made.path)
    assert described.inputs[0].pad.mode == "reflect"
    assert described.license == "CC-BY-4.0"
    found = by_its_library(core, described, cropped(image, 64, 48))
    assert apart(found, cropped(image, 64, 48), model) < 1e-4
    assert core.test_model(described, weight_format="onnx").status == "passed"
    with zipfile.ZipFile(made.path) as package:
        assert "Ada" in package.read("README.md").decode()
    tile = raw(image)[..., : described.inputs[0].axes[2].size.min, :].numpy()
    assert tile.shape[2] > 2 * described.outputs[0].axes[2].halo


def test_what_cannot_be_in_a_file_is_replaced_and_said(tmp_path, image):
    auto = a_model(image, {"estimator": "auto", **UNET})
    found = export_model(auto, tmp_path / "card.md")
    assert "blends" in found.notes[0]
    assert found.notes[0] in found.path.read_text()
    drawn = a_model(
        image, {"estimator": "posterior_samples", "signal": "gaussian", **UNET}
    )
    assert "posterior mean" in export_model(drawn, tmp_path / "card.md").notes[0]


def test_random_fills_are_not_exported_and_medians_not_as_onnx(tmp_path, image, capsys):
    blind = {"estimator": "blind_mean", "masking": "random", **UNET}
    drawn = a_model(image, {**blind, "masking.fill": "uniform"})
    assert "at random" in export_model(drawn, tmp_path / "card.md").notes[0]
    median = a_model(image, {**blind, "masking.fill": "median"})
    script = export_model(median, tmp_path / "model.pt").path
    assert apart(programs.run_torchscript(script, raw(image)), image, median) < 1e-4
    pytest.importorskip("onnx")
    with pytest.raises(DenoisingError, match=r"ONNX cannot hold this model: .*median"):
        export_model(median, tmp_path / "model.onnx")
    assert not (tmp_path / "model.onnx").exists()
    assert not capsys.readouterr().out  # stdout is for reports


@pytest.mark.parametrize("end", [".pt", ".onnx"])
def test_sides_of_one_pixel_are_denoised_too(tmp_path, image, end):
    model = a_model(image, METHODS["one orientation"])
    path = export_model(model, tmp_path / f"model{end}").path
    for data in (image.data[:, :1], image.data[:, :, :1]):
        line = Image(np.ascontiguousarray(data), "CYX")
        run = programs.run_torchscript if end == ".pt" else programs.run_onnx
        assert apart(run(path, raw(line)), line, model) < 1e-4


@pytest.mark.parametrize("end", [".pt", ".onnx"])
def test_models_of_tiny_grey_values_are_exported_and_compared(tmp_path, image, end):
    tiny = small(image, METHODS["posterior"], 1e-8)
    assert float(np.ptp(exporting._example(tiny).numpy())) > 1e-7
    assert export_model(tiny, tmp_path / f"model{end}").path.is_file()


def small(image, changes, factor):
    """A model of an image whose grey values are so many times as large."""
    model = a_model(image, changes)
    curve = NoiseCurve.gaussian(CURVE.signal * factor, CURVE.stds[:, 0] * factor)
    norm = Normalization(model.channels[0].normalization.offset * factor, factor)
    channels = [
        replace(one, noise_curve=curve, normalization=norm) for one in model.channels
    ]
    return replace(model, channels=tuple(channels))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of a library that is not ours
def test_what_the_model_zoo_does_not_take_is_a_sentence(tmp_path, image):
    pytest.importorskip("bioimageio.core")
    tiny = small(image, METHODS["one orientation"], 1e-8)
    with pytest.raises(DenoisingError, match=r"Zoo does not take this model: .*small"):
        export_model(tiny, tmp_path / "model.zip")
    with pytest.raises(RequestError, match="name of an author"):
        export_model(tiny, tmp_path / "model.zip", authors=["A/B"])
    assert not list(tmp_path.iterdir())


def test_the_agreement_looks_at_each_channel_and_allows_for_the_last_digit():
    one = np.stack([np.linspace(0, 1, 9), np.linspace(0, 1e6, 9)])[None, :, None]
    other = one.copy()
    other[0, 0] += 0.5
    with pytest.raises(DenoisingError, match="other pixels"):
        programs.require_agreement("ONNX", [one], [other])
    with pytest.raises(DenoisingError, match="no finite numbers"):
        programs.require_agreement("ONNX", [one * np.nan], [one])
    far = np.linspace(1e7, 1e7 + 50, 9, dtype=np.float32)[None, None, None]
    programs.require_agreement("ONNX", [far], [far + np.float32(1)])


def test_a_folder_of_that_name_is_said_before_anything_is_written(tmp_path, image):
    (tmp_path / "model.md").mkdir()
    steps = export_steps(a_model(image, UNET), tmp_path / "model.md")
    with pytest.raises(RequestError, match="is a folder"):
        next(steps)


def test_capital_endings_and_names_of_odd_bytes_are_exported(tmp_path, image):
    model = a_model(image, UNET)
    model.provenance["images"] = ["cell\udcff"]
    made = export_model(model, tmp_path / "model.MD")
    assert made.kind == "model card"
    assert r"cell\udcff" in made.path.read_text("utf-8")


def test_a_file_that_could_not_be_compared_says_so(tmp_path, image, monkeypatch):
    pytest.importorskip("onnx")
    monkeypatch.setattr(programs, "runs_onnx", lambda: False)
    monkeypatch.setattr(exporting, "runs_onnx", lambda: False)
    model = a_model(image, METHODS["one orientation"])
    made = export_model(model, tmp_path / "model.onnx")
    assert "was not compared" in made.notes[0]


def test_the_card_tells_what_becomes_of_gaps_and_blank_images(tmp_path, image):
    text = export_model(a_model(image, UNET), tmp_path / "a.md").path.read_text()
    assert "(NaN) spoils" in text and "Blank images" in text


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"context": "neighbours"}, "a plane with those around it"),
        ({"context": "volume"}, "whole volumes"),
        ({"channels": "joint"}, "channels from each other"),
    ],
)
def test_a_model_that_needs_more_than_a_plane_is_refused(tmp_path, changes, words):
    config = TrainingConfig().override(changes)
    with pytest.raises(RequestError, match=words):
        export_model(TrainedModel(config, ()), tmp_path / "model.onnx")
    assert not list(tmp_path.iterdir())


def test_a_file_that_gives_other_pixels_is_not_kept(tmp_path, image, monkeypatch):
    model, path = a_model(image, METHODS["one orientation"]), tmp_path / "model.pt"
    path.write_text("of before")
    monkeypatch.setattr(
        "napari_selfdenoise.export.exporting.run_torchscript",
        lambda path, raw: [np.zeros(raw.shape, np.float32)],
    )
    with pytest.raises(DenoisingError, match="other pixels"):
        export_model(model, path)
    assert path.read_text() == "of before"
    assert [one.name for one in tmp_path.iterdir()] == ["model.pt"]


def test_names_that_say_no_format_and_missing_packages_are_named(
    tmp_path, image, monkeypatch
):
    model = a_model(image, UNET)
    with pytest.raises(RequestError, match="in which format"):
        export_model(model, tmp_path / "model.h5")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(RequestError, match='"onnx", which is not installed'):
        export_model(model, tmp_path / "model.onnx")
    with pytest.raises(RequestError, match="bioimageio"):
        export_model(model, tmp_path / "model.zip")


def test_a_licence_without_an_identifier_is_refused(tmp_path, image):
    pytest.importorskip("bioimageio.core")
    with pytest.raises(RequestError, match="no licence that"):
        export_model(a_model(image, UNET), tmp_path / "m.zip", licence="ask me")


def test_the_card_tells_data_noise_recipe_versions_and_licence(image):
    about = {"images": ["a | b", "c"], "versions": {"torch": "2.13"}, "steps": 12}
    model = a_model(image, UNET)
    model = TrainedModel(model.config, model.channels, model.history, about)
    card = model_card(model, licence="CC0-1.0")
    for words in ("a \\| b, c", "torch 2.13", "CC0-1.0", "| 1000 | 31 |", "fast", "12"):
        assert words in card
    assert "ask who trained it" in model_card(model)


def test_the_agreement_looks_at_every_pixel():
    one, other = np.zeros((1, 1, 9, 9), np.float32), np.zeros((1, 1, 9, 9), np.float32)
    one[0, 0, 0, 0] = 1
    other[0, 0, 0, 0] = 1.001
    with pytest.raises(DenoisingError, match=r"by 0\.001 of the range"):
        programs.require_agreement("ONNX", [one], [other])
    other[:] = np.nan
    with pytest.raises(DenoisingError, match="other pixels"):
        programs.require_agreement("ONNX", [one], [other])


def test_the_command_line_exports(tmp_path, image, capsys):
    model = save_model(a_model(image, METHODS["one orientation"]), tmp_path / "model")
    out = tmp_path / "model.pt"
    with pytest.raises(SystemExit) as end:
        main(["export", str(model), str(out), "--licence", "CC0-1.0", "--json"])
    assert not end.value.code
    report = json.loads(capsys.readouterr().out)
    assert report == {"output": str(out), "format": "TorchScript", "notes": []}
    with zipfile.ZipFile(out) as archive:
        (name,) = (one for one in archive.namelist() if one.endswith("README.md"))
        assert b"CC0-1.0" in archive.read(name)
    with pytest.raises(SystemExit) as end:
        main(["export", str(model), str(model), "--json"])
    assert end.value.code == 2
    assert Path(model).stat().st_size
