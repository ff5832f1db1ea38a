import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from napari_selfdenoise import (
    DenoisingError,
    Image,
    RequestError,
    denoise,
    load_model,
    save_model,
    train,
)
from napari_selfdenoise.model.model_file import VERSION

ROOT = Path(__file__).parent.parent

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("brief_fits")]


@pytest.fixture
def saved(model, tmp_path):
    return save_model(model, tmp_path / "model.safetensors")


def rewritten(path, change):
    """Write the file again with its description changed."""
    with safe_open(path, "pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        description = json.loads(file.metadata()["selfdenoise"])
    change(description)
    save_file(tensors, path, {"selfdenoise": json.dumps(description)})


@pytest.mark.parametrize("noise_model", ["network", "poisson_gaussian", "unmodelled"])
def test_a_saved_model_predicts_the_same_to_the_bit(
    noise_model, scene, config, tmp_path
):
    image = Image(np.stack([scene.image.data, scene.image.data // 2]), "CYX")
    changes = {"steps": 2, "noise_model": noise_model, "masking": "grid"}
    model = train(image, config.override(changes))
    again = load_model(save_model(model, tmp_path / "model"))
    before, after = (denoise(image, m, device="cpu") for m in (model, again))
    assert np.array_equal(before.denoised.data, after.denoised.data)
    assert np.array_equal(before.noise_std.data, after.noise_std.data)
    assert again.config == model.config
    assert again.provenance == model.provenance
    assert np.array_equal(again.history.step, model.history.step)
    assert np.array_equal(again.history.loss, model.history.loss)


def test_the_curve_in_the_file_is_the_curve_drawn(model, saved):
    with safe_open(saved, "pt") as file:
        description = json.loads(file.metadata()["selfdenoise"])
    kept = description["channels"][0]["noise_curve"]
    assert kept == model.noise_curves[0].to_json()
    assert np.array_equal(
        load_model(saved).noise_curves[0].std, model.noise_curves[0].std
    )


def test_a_loaded_model_can_be_trained_on(saved, scene, config):
    start = load_model(saved)
    assert train(scene.image, config.override({"steps": 2}), start=start)


def test_the_file_is_safetensors_with_json_and_no_pickle(saved):
    content = saved.read_bytes()
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    description = json.loads(header["__metadata__"]["selfdenoise"])
    assert description["format"] == "napari-selfdenoise model"
    assert description["version"] == VERSION
    assert {entry["dtype"] for name, entry in header.items() if name[0] != "_"} == {
        "F32"
    }


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("m", "m.safetensors"),
        ("m.v2", "m.v2.safetensors"),
        ("m.safetensors", "m.safetensors"),
    ],
)
def test_the_suffix_is_added(model, tmp_path, name, written):
    assert save_model(model, tmp_path / name) == tmp_path / written
    assert [path.name for path in tmp_path.iterdir()] == [written]


def cut(path):
    path.write_bytes(path.read_bytes()[:-100])


def cut_header(path):
    path.write_bytes(path.read_bytes()[:50])


def empty(path):
    path.write_bytes(b"")


def garbage(path):
    path.write_bytes(np.random.default_rng(0).bytes(5000))


def tiff(path):
    path.write_bytes(b"II*\0" + bytes(500))


def other_safetensors(path):
    save_file({"weight": torch.zeros(3)}, path)


def other_metadata(path):
    save_file({"weight": torch.zeros(3)}, path, {"selfdenoise": '{"format": "x"}'})


def no_json(path):
    save_file({"weight": torch.zeros(3)}, path, {"selfdenoise": "{"})


def a_json_list(path):
    save_file({"weight": torch.zeros(3)}, path, {"selfdenoise": "[]"})


def no_channels(path):
    rewritten(path, lambda d: d.pop("channels"))


def other_network(path):
    rewritten(path, lambda d: d["config"]["network"].update(width=24))


def unknown_noise_model(path):
    rewritten(path, lambda d: d["config"]["noise_model"].update(kind="future"))


def weights_that_are_no_numbers(path):
    with safe_open(path, "pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        metadata = file.metadata()
    del metadata["sha256"]
    next(iter(tensors.values())).fill_(float("nan"))
    save_file(tensors, path, metadata)


@pytest.mark.parametrize(
    "damage",
    [
        cut,
        cut_header,
        empty,
        garbage,
        tiff,
        other_safetensors,
        other_metadata,
        no_json,
        a_json_list,
        no_channels,
        other_network,
        weights_that_are_no_numbers,
    ],
    ids=lambda damage: damage.__name__,
)
def test_a_damaged_or_other_file_is_refused(saved, damage):
    damage(saved)
    with pytest.raises(RequestError, match=r"model\.safetensors is not a model"):
        load_model(saved)


def test_one_changed_bit_is_noticed(saved):
    """Of the weights or of the description; files of before have no checksum."""
    content = bytearray(saved.read_bytes())
    content[-9] ^= 1
    saved.write_bytes(content)
    with pytest.raises(RequestError, match="its checksum does not agree"):
        load_model(saved)
    content[-9] ^= 1
    described = bytes(content).replace(b"gaussian", b"gausSian", 1)
    saved.write_bytes(described.replace(b'"steps\\": ', b'"sTeps\\": ', 1))
    with pytest.raises(RequestError):
        load_model(saved)


def test_settings_of_a_later_version_are_named(saved):
    rewritten(saved, lambda d: d["config"].update(telepathy=True))
    with pytest.raises(RequestError, match=r"saved by version .*telepathy"):
        load_model(saved)


def test_the_page_on_the_file_names_all_that_it_holds(saved):
    page = (ROOT / "docs" / "model-file.md").read_text("utf-8")
    with safe_open(saved, "pt") as file:
        metadata = file.metadata()
    description = json.loads(metadata["selfdenoise"])
    names = [*metadata, *description, *description["channels"][0]]
    names += [*description["provenance"], *description["channels"][0]["noise_curve"]]
    assert [name for name in names if f"`{name}`" not in page] == []


def test_a_model_of_an_unknown_kind_is_refused(saved):
    unknown_noise_model(saved)
    with pytest.raises(RequestError, match="noise_model"):
        load_model(saved)


def test_a_model_of_a_newer_version_is_refused(saved):
    rewritten(saved, lambda d: d.update(version=VERSION + 1))
    with pytest.raises(RequestError, match=r"newer version .*format 3.*Update"):
        load_model(saved)


def test_a_file_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(RequestError, match="There is no model file"):
        load_model(tmp_path / "missing.safetensors")


def test_a_folder_that_is_not_there_is_refused(model, tmp_path):
    with pytest.raises(RequestError, match="is not there"):
        save_model(model, tmp_path / "missing" / "model")


def test_a_failed_write_keeps_the_old_file_and_leaves_no_other(
    model, saved, monkeypatch
):
    before = saved.read_bytes()

    def half_written(path, content):
        with path.open("wb") as file:
            file.write(content[:100])
        raise OSError("No space left on device")

    monkeypatch.setattr(Path, "write_bytes", half_written)
    with pytest.raises(DenoisingError, match=r"could not be written .*No space"):
        save_model(model, saved)
    assert saved.read_bytes() == before
    assert list(saved.parent.iterdir()) == [saved]


def test_a_folder_that_may_not_be_written_to_is_said(model, tmp_path):
    tmp_path.chmod(0o500)
    try:
        if os.access(tmp_path, os.W_OK):
            pytest.skip("this user (root?) may write to read-only folders")
        with pytest.raises(DenoisingError, match="could not be written"):
            save_model(model, tmp_path / "model")
    finally:
        tmp_path.chmod(0o700)


@pytest.mark.parametrize("name", ["a\0b", "x" * 400])
def test_names_that_no_file_can_have_are_not_there(name):
    with pytest.raises(RequestError, match="no model file"):
        load_model(name)


def test_a_folder_and_a_file_that_may_not_be_read_are_told_apart(tmp_path, monkeypatch):
    for folder in (tmp_path, ""):
        with pytest.raises(RequestError, match="is a folder"):
            load_model(folder)

    def denied(*_, **__):
        raise FileNotFoundError(2, "No such file or directory")

    path = tmp_path / "a.safetensors"
    path.write_bytes(b"x")
    monkeypatch.setattr("napari_selfdenoise.model.model_file.safe_open", denied)
    with pytest.raises(RequestError, match="you may not read it"):
        load_model(path)


@pytest.mark.parametrize("name", ["", "."])
def test_a_model_is_not_saved_without_a_name(model, name):
    with pytest.raises(RequestError, match="names no model file"):
        save_model(model, name)
