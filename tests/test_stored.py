"""Predictions into OME-Zarrs: what is kept of them when they are interrupted."""

import shutil
from contextlib import suppress
from dataclasses import replace

import numpy as np
import pytest
import torch

from napari_selfdenoise import (
    STOP,
    DenoisingError,
    Image,
    NoiseCurve,
    RequestError,
    TrainedModel,
    TrainingConfig,
    denoise,
    read_image,
    save_model,
    write_image,
)
from napari_selfdenoise.images import (
    Coverage,
    Normalization,
    Tile,
    file_stamp,
    tile_grid,
)
from napari_selfdenoise.images.zarr_levels import InImageOrder
from napari_selfdenoise.long_work import run_to_end
from napari_selfdenoise.model import ChannelModel
from napari_selfdenoise.parts.networks import UNet
from napari_selfdenoise.prediction import grid as grids
from napari_selfdenoise.prediction import predict, store_steps, stored
from napari_selfdenoise.prediction.blend_estimator import BlendEstimator
from napari_selfdenoise.prediction.chunk_record import ChunkRecord
from napari_selfdenoise.prediction.image_planes import ImagePlanes

CURVE = NoiseCurve.gaussian(np.array([0.0, 1000.0]), np.array([1.0, 11.0]))


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch):
    """Chunks of 32 px in tiles of 16 px."""
    monkeypatch.setattr(grids, "CHUNK_PX", 32)
    for module in (stored, predict):
        monkeypatch.setattr(module, "tile_side", lambda *_: 16)


def an_image(shape=(2, 64, 80), axes="TYX", seed=0):
    pixels = np.random.default_rng(seed).integers(0, 4000, shape).astype(np.uint16)
    return Image(pixels, axes, name="cells")


def a_model(image, seed=0, **changes):
    torch.manual_seed(seed)
    norm = Normalization.measure(np.asarray(image.data, np.float32))
    config = TrainingConfig(network=UNet(width=4, depth=1), flips=False)
    config = config.override(changes)
    network = config.network.build(config.signal.outputs)
    channel = ChannelModel(network, None, norm, CURVE)
    return TrainedModel(config, (channel,) * image.channels)


def stored_tiles(image, model, paths, tiles=None, **options):
    """Store a prediction, and stop it after some tiles; how many were denoised."""
    steps = store_steps(image, model, paths, device="cpu", **options)
    done, message = 0, None
    while True:
        try:
            one = steps.send(message)
        except StopIteration as end:
            return end.value, done
        done += one.index is not None
        message = STOP if done == tiles else None


def pixels_of(path):
    return np.asarray(read_image(path).data)


LAYOUTS = [((2, 64, 80), "TYX"), ((45, 33), "XY"), ((3, 40, 2, 50), "CXTY")]


@pytest.mark.parametrize(("shape", "axes"), LAYOUTS)
def test_what_is_stored_is_what_is_predicted_to_the_bit(tmp_path, shape, axes):
    image = an_image(shape, axes)
    model = a_model(image)
    paths = {n: tmp_path / f"{n}.ome.zarr" for n in ("denoised", "noise_std")}
    result, _ = stored_tiles(image, model, paths)
    known = denoise(image, model, device="cpu")
    for name, kept in result.images.items():
        assert np.array_equal(kept.data[...], known.images[name].data)
        assert read_image(paths[name]).shape  # readable, as any other
    assert sorted(one.name for one in tmp_path.iterdir()) == [
        "denoised.ome.zarr",
        "noise_std.ome.zarr",
    ]


@pytest.mark.parametrize("tiles", [1, 5, 17])
def test_a_stopped_prediction_goes_on_to_the_same_result(tmp_path, tiles):
    image = an_image()
    model = a_model(image)
    whole, every = stored_tiles(image, model, {"denoised": tmp_path / "w.ome.zarr"})
    path = tmp_path / "a.ome.zarr"
    part, done = stored_tiles(image, model, {"denoised": path}, tiles)
    assert done == tiles
    assert not part.complete
    assert not part.images
    assert not path.exists()
    result, rest = stored_tiles(image, model, {"denoised": path})
    assert result.complete
    # Chunks that were finished, of four tiles or fewer, are not denoised once more.
    assert every - tiles <= rest <= every - tiles + 3
    assert np.array_equal(result.denoised.data[...], whole.denoised.data[...])


def test_random_draws_are_the_same_where_a_prediction_goes_on(tmp_path):
    image = an_image((64, 80), "YX")
    settings = {"signal": "gaussian", "estimator": "posterior_samples"}
    model = a_model(image, **settings)
    paths = {"posterior_samples": tmp_path / "w.ome.zarr"}
    whole, _ = stored_tiles(image, model, paths)
    paths = {"posterior_samples": tmp_path / "a.ome.zarr"}
    stored_tiles(image, model, paths, 7)
    result, _ = stored_tiles(image, model, paths)
    first, again = (r.posterior_samples.data[...] for r in (whole, result))
    assert np.ptp(first, axis=0).max() > 0
    assert np.array_equal(first, again)


def test_a_line_that_a_kill_has_cut_off_does_not_count(tmp_path):
    image, path = an_image(), tmp_path / "a.ome.zarr"
    model = a_model(image)
    stored_tiles(image, model, {"denoised": path}, 9)
    record = tmp_path / ".a.ome.zarr.progress"
    text = record.read_text().rstrip()
    record.write_text(f"{text[:-20]}")
    known = ChunkRecord(record)
    known.read()
    whole = [line for line in text.splitlines() if '"chunk"' in line]
    assert len(known.finished) == len(whole) - 1
    stored_tiles(image, model, {"denoised": path}, 3)  # and is killed again
    known.read()
    assert len(known.finished) >= len(whole) - 1
    result, _ = stored_tiles(image, model, {"denoised": path})
    assert np.array_equal(
        result.denoised.data[...], denoise(image, model, device="cpu").denoised.data
    )


@pytest.mark.parametrize("what", ["image", "model", "setting"])
def test_what_is_left_of_another_job_is_not_used(tmp_path, what):
    image, path = an_image(), tmp_path / "a.ome.zarr"
    model = a_model(image)
    stored_tiles(image, model, {"denoised": path}, 9)
    if what == "image":
        image = an_image(seed=1)
    elif what == "model":
        model = a_model(image, seed=1)
    else:
        config = model.config.override({"outliers": "keep"})
        model = replace(model, config=config)
    steps = store_steps(image, model, {"denoised": path}, device="cpu")
    assert "denoised anew" in next(steps).finding
    result = run_to_end(steps)
    expected = denoise(image, model, device="cpu").denoised.data
    assert np.array_equal(result.denoised.data[...], expected)


def test_two_runs_do_not_write_the_same_result(tmp_path):
    image, path = an_image(), tmp_path / "a.ome.zarr"
    model = a_model(image)
    first = store_steps(image, model, {"denoised": path}, device="cpu")
    next(first)
    with pytest.raises(RequestError, match="being written by another run"):
        stored_tiles(image, model, {"denoised": path})
    first.close()
    assert stored_tiles(image, model, {"denoised": path})[0].complete


def test_whole_numbers_are_those_of_the_floats(tmp_path):
    image, path = an_image(), tmp_path / "a.ome.zarr"
    model = a_model(image)
    stored_tiles(image, model, {"denoised": path}, 9, dtype=np.uint16)
    result, _ = stored_tiles(image, model, {"denoised": path}, dtype=np.uint16)
    values = denoise(image, model, device="cpu").denoised.data
    kept = pixels_of(path)
    assert kept.dtype == np.uint16
    assert np.array_equal(kept, np.rint(values).clip(0, 65535).astype(np.uint16))
    assert any("rounded" in note for note in result.notes)


def test_a_run_that_ends_between_two_names_goes_on_there(tmp_path, monkeypatch):
    image = an_image()
    model = a_model(image)
    paths = {n: tmp_path / f"{n}.ome.zarr" for n in ("denoised", "noise_std")}
    place, count = stored.StartedZarr.put_in_place, []

    def one_only(zarr):
        if count:
            raise KeyboardInterrupt
        count.append(zarr)
        place(zarr)

    monkeypatch.setattr(stored.StartedZarr, "put_in_place", one_only)
    with pytest.raises(KeyboardInterrupt):
        stored_tiles(image, model, paths)
    assert paths["denoised"].exists()
    assert not paths["noise_std"].exists()
    monkeypatch.setattr(stored.StartedZarr, "put_in_place", place)
    result, tiles = stored_tiles(image, model, paths)
    assert tiles == 0
    known = denoise(image, model, device="cpu")
    for name, path in paths.items():
        assert np.array_equal(pixels_of(path), known.images[name].data)
    assert result.complete


def test_a_full_disk_keeps_what_is_denoised(tmp_path, monkeypatch):
    image, path = an_image(), tmp_path / "a.ome.zarr"
    model = a_model(image)
    write, count = InImageOrder.__setitem__, []

    def full(array, index, values):
        count.append(index)
        if len(count) > 9:
            raise OSError(28, "No space left on device")
        write(array, index, values)

    monkeypatch.setattr(InImageOrder, "__setitem__", full)
    with pytest.raises(DenoisingError, match="what is denoised stays"):
        stored_tiles(image, model, {"denoised": path})
    assert not path.exists()
    monkeypatch.setattr(InImageOrder, "__setitem__", write)
    result, tiles = stored_tiles(image, model, {"denoised": path})
    assert result.complete
    assert tiles < 40  # of forty in all


def test_an_older_result_stays_until_the_new_one_is_complete(tmp_path):
    image, path = an_image(), tmp_path / "a.ome.zarr"
    old = an_image(seed=3)
    write_image(old, path)
    model = a_model(image)
    stored_tiles(image, model, {"denoised": path}, 9)
    assert np.array_equal(pixels_of(path), old.data)
    stored_tiles(image, model, {"denoised": path})
    assert pixels_of(path).dtype == np.float32


def test_less_memory_in_the_middle_goes_on_with_the_chunks_that_are_left(
    tmp_path, monkeypatch
):
    """A device without room halves the tiles; what was finished is not done again."""
    image = an_image((64, 96), "YX")
    model = a_model(image)
    denoise_tile, lacking = ImagePlanes._denoise, []

    def without_room(planes, tile, estimator):
        if tile.top == 32 and planes.grid.side > 8 and not lacking:
            lacking.append(tile)
            raise MemoryError
        return denoise_tile(planes, tile, estimator)

    monkeypatch.setattr(ImagePlanes, "_denoise", without_room)
    monkeypatch.setattr("napari_selfdenoise.prediction.image_planes.LEAST_TILE", 8)
    result, tiles = stored_tiles(image, model, {"denoised": tmp_path / "a.ome.zarr"})
    assert tiles == 12 + 48  # the upper half in tiles of 16 px, the rest of 8 px
    expected = denoise(image, model, device="cpu").denoised.data
    assert np.allclose(result.denoised.data[...], expected, rtol=1e-5)


@pytest.mark.parametrize("tiles", [0, 3, 12])
def test_notes_and_choices_are_those_of_an_undisturbed_run(tmp_path, tiles):
    pixels = an_image((3, 64, 80), "TYX").data
    pixels[1] = 7  # nothing there
    pixels[0, 5, 5] = 65000
    image = Image(pixels, "TYX")
    model = a_model(image, estimator="auto")
    whole, _ = stored_tiles(image, model, {"denoised": tmp_path / "w.ome.zarr"})
    path = tmp_path / "a.ome.zarr"
    if tiles:
        stored_tiles(image, model, {"denoised": path}, tiles)
    result, _ = stored_tiles(image, model, {"denoised": path})
    assert result.notes == whole.notes
    assert result.blends == whole.blends
    assert "1 of 3 planes was blank" in " ".join(whole.notes)


@pytest.mark.parametrize("size", [None, 0, 50])
def test_chunks_that_were_lost_are_denoised_once_more(tmp_path, size):
    """Such as by a disk that lost power: a chunk is gone, empty or cut short."""
    image, path = an_image((64, 80), "YX"), tmp_path / "a.ome.zarr"
    model = a_model(image)
    stored_tiles(image, model, {"denoised": path}, 13)
    chunk = tmp_path / ".a.ome.zarr.part" / "0" / "c" / "0" / "1"
    chunk.unlink() if size is None else chunk.write_bytes(chunk.read_bytes()[:size])
    result, _ = stored_tiles(image, model, {"denoised": path})
    expected = denoise(image, model, device="cpu").denoised.data
    assert np.array_equal(result.denoised.data[...], expected)


@pytest.mark.parametrize("text", ["5", "[]", '{"chunk": 3}', "\x00\xff", "null"])
def test_lines_that_say_nothing_are_left_out(tmp_path, text):
    image, path = an_image((64, 80), "YX"), tmp_path / "a.ome.zarr"
    model = a_model(image)
    stored_tiles(image, model, {"denoised": path}, 9)
    with (tmp_path / ".a.ome.zarr.progress").open("a") as record:
        record.write(f"\n{text}\n")
    assert stored_tiles(image, model, {"denoised": path})[0].complete


def test_a_record_of_what_is_no_longer_there_is_not_believed(tmp_path):
    image, path = an_image((64, 80), "YX"), tmp_path / "a.ome.zarr"
    model = a_model(image)
    stored_tiles(image, model, {"denoised": path}, 9)
    with (tmp_path / ".a.ome.zarr.progress").open("a") as record:
        record.write('{"complete": true}\n')
    shutil.rmtree(tmp_path / ".a.ome.zarr.part")
    assert stored_tiles(image, model, {"denoised": path})[0].complete


def test_results_that_are_not_wanted_any_more_leave_nothing(tmp_path):
    image = an_image((64, 80), "YX")
    model = a_model(image)
    paths = {n: tmp_path / f"{n}.ome.zarr" for n in ("denoised", "noise_std")}
    stored_tiles(image, model, paths, 9)
    stored_tiles(image, model, {"denoised": paths["denoised"]})
    assert [one.name for one in tmp_path.iterdir()] == ["denoised.ome.zarr"]


@pytest.mark.parametrize(
    ("names", "dtype", "sentence"),
    [
        ((), None, "OME-Zarr of its own"),
        (("denoised", "noise_std"), None, "OME-Zarr of its own"),
        (("denoised",), np.float64, "rounded to whole numbers"),
    ],
)
def test_what_cannot_be_stored_is_refused_at_once(tmp_path, names, dtype, sentence):
    image = an_image((64, 80), "YX")
    paths = dict.fromkeys(names, tmp_path / "a.ome.zarr")
    with pytest.raises(RequestError, match=sentence):
        stored_tiles(image, a_model(image), paths, dtype=dtype)
    assert not list(tmp_path.iterdir())


# -- On the command line ---------------------------------------------------------------


def test_ctrl_c_keeps_what_is_denoised_and_the_same_command_goes_on(
    tmp_path, monkeypatch, selfdenoise
):
    monkeypatch.chdir(tmp_path)
    image = an_image()
    write_image(image, "cells.tif")
    save_model(a_model(image), "model")
    command = ("predict", "model", "cells.tif", "out.ome.zarr", "--device", "cpu")
    add, count = ChunkRecord.add, []

    def interrupted(record, chunk, found, sizes):
        count.append(chunk)
        if len(count) > 3:
            raise KeyboardInterrupt
        add(record, chunk, found, sizes)

    monkeypatch.setattr(ChunkRecord, "add", interrupted)
    with suppress(KeyboardInterrupt, ValueError):
        selfdenoise(*command)
    assert not (tmp_path / "out.ome.zarr").exists()
    monkeypatch.setattr(ChunkRecord, "add", add)
    status, report, err = selfdenoise(*command)
    assert status == 0
    assert "Going on: 25% was denoised before" in err
    assert report["tiles"] == 40 - (4 + 4 + 2)
    assert (tmp_path / "out.ome.zarr").exists()


# -- Pieces ----------------------------------------------------------------------------


@pytest.mark.parametrize("grain", [1, 4, 16])
def test_coverage_counts_pixels_whatever_its_grain(grain):
    image = an_image((50, 37), "YX")
    coverage, done = Coverage(image, grain), np.zeros((50, 37), bool)
    for tile in list(tile_grid((), (50, 37), 16, 16))[::2]:
        coverage.add(tile)
        done[tile.rows, tile.columns] = True
    assert coverage.fraction == pytest.approx(done.mean())
    assert np.array_equal(coverage.rest(()), ~done)
    coverage.add(Tile((), 0, 50, 0, 37))
    assert coverage.fraction == 1
    assert coverage.rest(()) is None


def test_planes_are_read_and_written_in_blocks_that_fit_into_memory(tmp_path):
    reads = []

    class Endless:
        """A plane of which each read is kept."""

        shape, dtype, ndim = (5000, 3000), np.dtype("u1"), 2

        def __getitem__(self, index):
            ends = zip(index, self.shape, strict=True)
            rows, columns = (range(*part.indices(n)) for part, n in ends)
            reads.append(len(rows) * len(columns))
            return np.add.outer(np.array(rows), np.array(columns)).astype("u1")

    path = write_image(Image(Endless(), "YX"), tmp_path / "large.ome.zarr")
    assert max(reads) <= 2048**2
    expected = np.add.outer(np.arange(5000), np.arange(3000)).astype("u1")
    assert np.array_equal(pixels_of(path), expected)


def test_what_is_known_of_a_plane_is_learned_once(tmp_path, monkeypatch):
    image = an_image((64, 80), "YX")
    model = a_model(image, estimator="auto")
    path = tmp_path / "a.ome.zarr"
    stored_tiles(image, model, {"denoised": path}, 5)
    known = ChunkRecord(tmp_path / ".a.ome.zarr.progress")
    known.read()
    state = known.states[()]
    assert state.to_json() == type(state).from_json(state.to_json()).to_json()
    with monkeypatch.context() as patch:
        patch.delattr(BlendEstimator, "prepare")
        result, _ = stored_tiles(image, model, {"denoised": path})
    whole, _ = stored_tiles(image, model, {"denoised": tmp_path / "w.ome.zarr"})
    assert np.array_equal(result.denoised.data[...], whole.denoised.data[...])


def test_a_file_that_was_changed_in_between_begins_anew(
    tmp_path, monkeypatch, selfdenoise
):
    """Large images are compared by a sample alone, so the file's time counts, too."""
    monkeypatch.chdir(tmp_path)
    for name in ("_SQUARES", "_SIDE"):
        monkeypatch.setattr(f"napari_selfdenoise.images.digest.{name}", 1)
    image = an_image()
    write_image(image, "cells.ome.tif")
    model = a_model(image)
    save_model(model, "model")
    paths, stamp = {"denoised": "out.ome.zarr"}, file_stamp("cells.ome.tif")
    stored_tiles(read_image("cells.ome.tif"), model, paths, 9, source=stamp)
    changed = image.data.copy()
    changed[0, 3:9] += 100
    write_image(Image(changed, "TYX"), "cells.ome.tif")
    command = ("predict", "model", "cells.ome.tif", "out.ome.zarr", "--device", "cpu")
    status, _, err = selfdenoise(*command, "--estimator", "auto")
    assert status == 0
    assert "denoised anew" in err
