"""Files and names that others chose: nothing runs, grows or leads elsewhere."""

import ast
import csv
import gzip
import json
import os
import pickle
import struct
import tracemalloc
import zlib
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch  # noqa: F401 - a condition below reads it
import tifffile
import torch
from safetensors import safe_open
from safetensors.torch import save_file

import napari_selfdenoise
from napari_selfdenoise import (
    DenoisingError,
    Image,
    RequestError,
    denoise,
    load_model,
    read_image,
    write_image,
)
from napari_selfdenoise.batch import find_images
from napari_selfdenoise.images import (
    parse_json,
    printable,
    saving,
    series_names,
    table_cell,
)
from napari_selfdenoise.images.zarr_writing import StartedZarr
from napari_selfdenoise.parts.noise_models import load_noise_model
from napari_selfdenoise.prediction.chunk_record import ChunkRecord
from napari_selfdenoise.prediction.grid import Grid
from napari_selfdenoise.report import write_report
from napari_selfdenoise.training.checkpoint import read_checkpoint

PACKAGE = Path(napari_selfdenoise.__file__).parent
DATA = Path(__file__).parent / "data"
DEEP = "[" * 100_000 + "]" * 100_000
HTML = "<img src=x onerror=alert(1)><script>"


# Nothing is executed -----------------------------------------------------------------

RUNS = {"eval", "exec", "compile", "__import__"}
RUNS |= {"pickle", "marshal", "shelve", "dill", "cloudpickle", "joblib", "yaml"}
RUNS |= {"torch.load", "torch.jit", "np.load", "numpy.load", "os.system", "os.popen"}
MODULES = {"pickle", "marshal", "shelve", "dill", "cloudpickle", "joblib", "yaml"}


def dotted(node):
    """Name that is called, such as "torch.load"."""
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def nodes():
    """All code of the program, with its place."""
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            yield f"{path.name}:{getattr(node, 'lineno', 0)}", node


def test_nothing_in_the_program_executes_what_it_reads():
    for place, node in nodes():
        if isinstance(node, ast.Call):
            assert dotted(node.func) not in RUNS, place
            given = {keyword.arg: keyword.value for keyword in node.keywords}
            assert "allow_pickle" not in given, place
            shell = given.get("shell")
            assert shell is None or not getattr(shell, "value", True), place
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module or ""]
        assert not {name.partition(".")[0] for name in names} & MODULES, place


class Evil:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize(
    ("dtype", "filters", "compressor"),
    [("|O", [{"id": "pickle"}], None), ("<u2", None, {"id": "pickle"})],
)
def test_a_zarr_of_pickled_values_is_refused(tmp_path, dtype, filters, compressor):
    path = old_zarr(
        tmp_path, [2, 2], [2, 2], dtype, filters=filters, compressor=compressor
    )
    (path / "0.0").write_bytes(pickle.dumps(Evil(tmp_path / "made")))
    with pytest.raises(RequestError, match="could not be read as OME-Zarr"):
        read_image(path)
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize("load", [load_model, read_checkpoint])
def test_a_pickle_is_no_model_and_no_checkpoint(tmp_path, load):
    path = tmp_path / "model.safetensors"
    path.write_bytes(pickle.dumps(Evil(tmp_path / "made")))
    with pytest.raises(RequestError):
        load(path)
    assert not (tmp_path / "made").exists()


# JSON --------------------------------------------------------------------------------


@pytest.mark.parametrize("text", [DEEP, '{"a":' * 10**5, '{"a": 1, "a": 2}', "[", ""])
def test_json_that_is_deep_or_double_is_a_value_error(text):
    with pytest.raises(ValueError):
        parse_json(text)


def test_deep_json_in_every_file_is_a_sentence(tmp_path, selfdenoise):
    noise = tmp_path / "a.noise.json"
    noise.write_text(DEEP)
    with pytest.raises(RequestError):
        load_noise_model(noise)
    for load, name in (
        (load_model, "a.safetensors"),
        (read_checkpoint, "a.checkpoint"),
    ):
        save_file({"a": torch.zeros(1)}, tmp_path / name, {"selfdenoise": DEEP})
        with pytest.raises(RequestError):
            load(tmp_path / name)
    (tmp_path / "settings.json").write_text(DEEP)
    code, _, err = selfdenoise(
        "denoise", "a.tif", "b.tif", "--config", tmp_path / "settings.json"
    )
    assert code == 2 and "cannot be read" in err
    record = ChunkRecord(tmp_path / ".a.progress")
    record.path.write_text(f"{zlib.crc32(DEEP.encode()):08x} {DEEP}")
    record.read()
    assert not record.job


@pytest.mark.parametrize("text", ["5", "null", "[1]", '"a"'])
def test_a_checkpoint_that_describes_no_training_is_damaged(tmp_path, text):
    path = tmp_path / "a.checkpoint"
    save_file({"a": torch.zeros(1)}, path, {"selfdenoise": text})
    with pytest.raises(RequestError, match="no checkpoint"):
        read_checkpoint(path)


# Models ------------------------------------------------------------------------------


def rewritten(tmp_path, about=None, tensors=None, name="fast"):
    """A model file with its description and tensors changed."""
    with safe_open(DATA / f"{name}.safetensors", "pt") as file:
        kept = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        found = json.loads(file.metadata()["selfdenoise"])
    if about:
        about(found)
    if tensors:
        tensors(kept)
    path = tmp_path / "model.safetensors"
    save_file(kept, path, {"selfdenoise": json.dumps(found)})
    return path


def first(tensors):
    return next(name for name in sorted(tensors) if "network" in name)


@pytest.mark.parametrize(
    "kind",
    [
        *("float64", "float16", "int64", "uint8", "bool"),
        pytest.param(
            "complex64",
            marks=pytest.mark.skipif(
                "torch.complex64 not in safetensors.torch._SIZE",
                reason="safetensors below 0.7 has no complex numbers",
            ),
        ),
    ],
)
def test_weights_of_another_type_are_refused(tmp_path, kind):
    def change(tensors):
        one = tensors[first(tensors)]
        tensors[first(tensors)] = torch.ones_like(one).to(getattr(torch, kind))

    with pytest.raises(RequestError, match="not a model"):
        load_model(rewritten(tmp_path, tensors=change))


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_weights_that_lead_beyond_the_numbers_are_a_sentence(tmp_path):
    def enlarge(tensors):
        for name in tensors:
            tensors[name] = torch.full_like(tensors[name], 1e30)

    model = load_model(rewritten(tmp_path, tensors=enlarge))
    image = Image(np.random.default_rng(0).poisson(50, (32, 32)), "YX")
    with pytest.raises(DenoisingError, match="no finite numbers"):
        denoise(image, model, device="cpu")


@pytest.mark.parametrize("change", ["flatten", "missing", "more", "channel", "nan"])
def test_weights_that_do_not_fit_are_refused(tmp_path, change):
    def spoil(tensors):
        name = max(tensors, key=lambda key: tensors[key].numel())
        if change == "flatten":
            tensors[name] = tensors[name].flatten()
        elif change == "missing":
            del tensors[name]
        elif change == "more":
            tensors["0.network.more"] = torch.zeros(3)
        elif change == "channel":
            tensors["7.network.more"] = torch.zeros(3)
        else:
            tensors[name] = tensors[name] * torch.nan

    with pytest.raises(RequestError, match="not a model"):
        load_model(rewritten(tmp_path, tensors=spoil))


@pytest.mark.parametrize(
    "network", [{"width": 10**9}, {"width": 256, "depth": 5}, {"depth": 10**9}]
)
def test_settings_do_not_make_a_network_larger_than_its_file(tmp_path, network):
    """A network 256 wide and 5 deep has three gigabytes of weights."""
    made = torch.nn.modules.module.register_module_parameter_registration_hook
    sizes = []
    hook = made(lambda module, name, value: sizes.append(on_cpu(value)))
    path = rewritten(tmp_path, lambda about: about["config"]["network"].update(network))
    try:
        with pytest.raises(RequestError):
            load_model(path)
    finally:
        hook.remove()
    assert sum(sizes) < 2**20


def on_cpu(value):
    return value.numel() if value is not None and value.device.type == "cpu" else 0


def nothing_learned(about):
    about["channels"][0]["empty"] = True


def curve_of_nan(about):
    about["channels"][0]["noise_curve"]["stds"][0][0] = float("nan")


def no_scale(about):
    about["channels"][0]["normalization"]["scale"] = 0.0


def infinite_offset(about):
    about["channels"][0]["normalization"]["offset"] = float("inf")


def no_channel(about):
    about["channels"] = []


def images_are_numbers(about):
    about["provenance"]["images"] = [1, 2]


def steps_are_text(about):
    about["history"]["step"] = ["a"] * len(about["history"]["step"])


def lines_of_text(about):
    about["channels"][0]["noise_curve"]["poisson_gaussian"] = ["a", "b"]


@pytest.mark.parametrize(
    "change",
    [
        nothing_learned,
        curve_of_nan,
        no_scale,
        infinite_offset,
        no_channel,
        images_are_numbers,
        steps_are_text,
        lines_of_text,
    ],
)
def test_a_description_with_wrong_numbers_is_refused(tmp_path, change):
    with pytest.raises(RequestError, match="not a model"):
        load_model(rewritten(tmp_path, change))


def test_a_kernel_without_a_middle_is_refused(tmp_path):
    def cut(tensors):
        tensors["0.kernel"] = tensors["0.kernel"][1:, 1:].contiguous()

    with pytest.raises(RequestError, match="not a model"):
        load_model(rewritten(tmp_path, tensors=cut, name="deconoising"))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("signal_range", [2, 1]),
        ("signal_range", ["a", "b"]),
        ("poisson_gaussian", ["x", 0]),
        ("poisson_gaussian", [float("nan"), 0]),
    ],
)
def test_a_noise_model_with_wrong_numbers_is_refused(tmp_path, key, value):
    about = json.loads((DATA / "poisson_gaussian.noise.json").read_text())
    path = tmp_path / "a.noise.json"
    path.write_text(json.dumps(about | {key: value}))
    with pytest.raises(RequestError, match="not a noise model"):
        load_noise_model(path)


# Sizes that are declared, and what unpacks to far more -------------------------------


def old_zarr(folder, shape, chunks, dtype="<u2", **more):
    path = folder / "a.zarr"
    path.mkdir()
    about = {"zarr_format": 2, "shape": shape, "chunks": chunks, "dtype": dtype}
    about |= {"fill_value": 0, "order": "C", "filters": None, "compressor": None}
    (path / ".zarray").write_text(json.dumps(about | more))
    return path


def part(kind, content):
    check = struct.pack(">I", zlib.crc32(kind + content))
    return struct.pack(">I", len(content)) + kind + content + check


def png(folder, side):
    header = struct.pack(">IIBBBBB", side, side, 16, 0, 0, 0, 0)
    parts = part(b"IHDR", header), part(b"IDAT", zlib.compress(b"\0" * 1000))
    path = folder / "a.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(parts) + part(b"IEND", b""))
    return path


def mrc(folder, side):
    header = struct.pack("<4i", side, side, side, 2) + bytes(1008)
    path = folder / "a.mrc.gz"
    path.write_bytes(gzip.compress(header + bytes(1000)))
    return path


def hdf5(folder, side):
    h5py = pytest.importorskip("h5py")
    with h5py.File(folder / "a.h5", "w") as file:
        file.create_dataset("a", shape=(side, 64), dtype="u2", chunks=(64, 64))
    return folder / "a.h5"


def tiff(folder, side):
    path = folder / "a.tif"
    tifffile.imwrite(path, np.zeros((64, 64), np.uint16), compression="zlib")
    with tifffile.TiffFile(path, mode="r+") as tif:
        for tag in (256, 257, 278):
            tif.pages[0].tags[tag].overwrite(side, dtype=4)
    return path


def tiles(folder, side):
    path, plane = folder / "a.tif", np.zeros((64, 64), np.uint16)
    tifffile.imwrite(path, plane, compression="zlib", tile=(64, 64))
    with tifffile.TiffFile(path, mode="r+") as tif:
        for tag in (322, 323):
            tif.pages[0].tags[tag].overwrite(side, dtype=4)
    return path


def chunks(folder, side):
    path = old_zarr(folder, [64, 64], [side, side])
    (path / "0.0").write_bytes(b"abc")
    return path


@pytest.mark.parametrize(
    ("make", "side"),
    [
        (png, 60_000),
        (png, 2**31 - 1),
        (mrc, 3000),
        (hdf5, 10**9),
        (tiff, 60_000),
        (tiles, 2**16),
        (chunks, 2**20),
        (lambda folder, n: old_zarr(folder, [n, 64, 64], [1, 64, 64]), 10**9),
        (lambda folder, n: old_zarr(folder, [n, n, n], [1, 64, 64]), 10**6),
    ],
)
def test_sizes_that_no_image_has_are_refused_before_anything_is_made(
    tmp_path, make, side
):
    path = make(tmp_path, side)
    tracemalloc.start()
    try:
        with pytest.raises(RequestError, match=r"at once|long|pieces"):
            read_image(path)
        assert tracemalloc.get_traced_memory()[1] < 2**27
    finally:
        tracemalloc.stop()


def test_a_list_of_images_without_end_is_refused(tmp_path):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, np.ones((2, 24, 24), np.uint8), compression="zlib")
    with tifffile.TiffFile(path) as tif:
        start, last = (page.offset for page in tif.pages)
    content = bytearray(path.read_bytes())
    (tags,) = struct.unpack_from("<H", content, last)
    struct.pack_into("<I", content, last + 2 + 12 * tags, start)
    path.write_bytes(content)
    for read in (read_image, series_names):
        with pytest.raises(RequestError, match="damaged"):
            read(path)


def test_entities_of_xml_do_not_multiply(tmp_path):
    names = "abcdefghijkl"
    entities = [f'<!ENTITY a "{"a" * 10}">']
    for name, before in zip(names[1:], names, strict=False):
        entities.append(f'<!ENTITY {name} "{f"&{before};" * 10}">')
    text = f"<!DOCTYPE l [{''.join(entities)}]><OME>&l;</OME>"
    path = tmp_path / "a.ome.tif"
    tifffile.imwrite(path, np.zeros((16, 16), np.uint8), description=text)
    with suppress(RequestError):
        read_image(path)


# Places ------------------------------------------------------------------------------


def test_a_plate_does_not_lead_out_of_its_folder(tmp_path):
    import zarr

    other = tmp_path / "other.ome.zarr"
    write_image(Image(np.ones((8, 8), np.float32), "YX"), other)
    plate = tmp_path / "plate.zarr"
    group = zarr.open_group(str(plate), mode="w", zarr_format=2)
    group.attrs["plate"] = {"wells": [{"path": "A/1"}]}
    well = group.create_group("A/1")
    well.attrs["well"] = {"images": [{"path": "../../../other.ome.zarr"}]}
    with pytest.raises(RequestError, match="outside"):
        read_image(plate)


def test_an_hdf5_does_not_show_other_files(tmp_path):
    h5py = pytest.importorskip("h5py")
    secret = tmp_path / "secret.txt"
    secret.write_bytes(b"s" * 400)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("a", (20, 20), "u1", external=[(str(secret), 0, 400)])
    with pytest.raises(RequestError, match="no array"):
        read_image(tmp_path / "a.h5")


def test_a_result_replaces_a_link_and_not_what_it_leads_to(tmp_path):
    kept = tmp_path / "kept.txt"
    kept.write_text("mine")
    link = tmp_path / "result.tif"
    link.symlink_to(kept)
    with saving(link, "result") as part:
        part.write_text("new")
    assert kept.read_text() == "mine"
    assert not link.is_symlink()


def test_hidden_folders_that_are_links_are_not_followed(tmp_path):
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "zarr.json").write_text("{}")
    results = tmp_path / "results"
    results.mkdir()
    (results / ".a.zarr.part").symlink_to(precious)
    image = Image(np.zeros((8, 8), np.float32), "YX")
    started = StartedZarr(results / "a.zarr", image)
    assert not started.is_there
    with pytest.raises(ValueError, match="elsewhere"):
        started.go_on()
    started.begin()
    assert [one.name for one in precious.iterdir()] == ["zarr.json"]


def test_a_record_is_written_beside_a_link_and_names_no_other_folder(tmp_path):
    kept = tmp_path / "kept.txt"
    kept.write_text("mine")
    results = tmp_path / "results"
    results.mkdir()
    record = ChunkRecord(results / ".a.zarr.progress")
    record.path.symlink_to(kept)
    paths = [results / "a.zarr", tmp_path / "elsewhere.zarr"]
    record.begin("job", Grid(64, 4, 64), paths)
    assert kept.read_text() == "mine"
    record.read()
    assert record.paths == paths[:1]


def test_lines_of_a_record_that_were_changed_do_not_count(tmp_path):
    record = ChunkRecord(tmp_path / ".a.zarr.progress")
    record.begin("job", Grid(64, 4, 64))
    record.complete()
    text = record.path.read_text()
    record.path.write_text(text.replace("true", "True"))
    again = ChunkRecord(record.path)
    again.read()
    assert again.job == "job" and not again.is_complete
    record.path.write_text(text.replace("job", "jab"))
    again = ChunkRecord(record.path)
    again.read()
    assert not again.job


@pytest.mark.parametrize(
    "grid",
    [
        (0, 4, 64),
        (64, 4, 0),
        (64, 0, 64),
        (64, 4, 66),
        (-1, 4, 64),
        (64, 8, 64),
        (10**12, 4, 64),
    ],
)
def test_a_grid_of_another_network_is_not_gone_on_with(grid):
    usual = Grid(64, 4, 1024)
    assert usual.suits(usual) and usual.halved().suits(usual)
    assert not Grid(*grid).suits(usual)


def test_links_of_folders_do_not_lead_round_in_circles(tmp_path):
    (tmp_path / "day").mkdir()
    write_image(Image(np.ones((8, 8), np.float32), "YX"), tmp_path / "day" / "a.tif")
    (tmp_path / "day" / "again").symlink_to(tmp_path)
    assert len(find_images([tmp_path], recursive=True)) == 1


# What is shown -----------------------------------------------------------------------


def test_control_characters_are_spelled_out():
    assert printable("a\x1b[31mb\x07\u202ec\x9bd") == r"a\x1b[31mb\x07\u202ec\x9bd"
    assert printable("Zellen µm 細胞\n\tb") == "Zellen µm 細胞\n\tb"
    assert printable("bad\udcff") == r"bad\udcff"


def test_names_of_files_do_not_steer_the_terminal(tmp_path, capsys):
    from napari_selfdenoise import cli

    with pytest.raises(SystemExit):
        cli.main(["diagnose", str(tmp_path / "a\x1b]0;title\x07.tif")])
    out, err = capsys.readouterr()
    assert "\x1b" not in out + err
    assert r"\x1b]0;title\x07" in err


@pytest.mark.parametrize("begin", ["=", "+", "-", "@", "\t", "\r", "\n", " ="])
def test_texts_that_compute_are_no_formulas_in_tables(begin):
    assert table_cell(f"{begin}1+1") == f"'{begin}1+1"
    assert table_cell(-1.5) == -1.5
    assert table_cell("cells") == "cells"


def test_the_table_of_inspect_holds_no_formula(tmp_path, selfdenoise):
    source = tmp_path / "=cmd().noise.json"
    source.write_bytes((DATA / "poisson_gaussian.noise.json").read_bytes())
    target = tmp_path / "a.csv"
    assert selfdenoise("inspect", source, "--csv", target)[0] == 0
    with target.open(newline="") as file:
        _, *rows = csv.reader(file)
    assert {row[0] for row in rows} == {"'=cmd()"}
    assert all(
        cell.startswith("'") or is_number(cell)
        for row in rows
        for cell in (row[0], *row[2:4])
    )


def is_number(text):
    float(text)
    return True


def test_html_in_names_is_text_in_the_report(tmp_path):
    model = load_model(DATA / "fast.safetensors")
    model.provenance["images"] = [HTML]
    model.provenance["warnings"] = [HTML]
    model.provenance[HTML] = {HTML: HTML}
    image = Image(
        np.random.default_rng(0).random((32, 32), np.float32), "YX", name=HTML
    )
    text = write_report(
        tmp_path / "r.html", model, image, image, warnings=[HTML]
    ).read_text("utf-8")
    assert "<script" not in text
    assert "<img src=x" not in text
    assert text.count("&lt;script&gt;") > 3
