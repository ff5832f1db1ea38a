"""Predictions by the workers of a cluster: the same pixels as by one process."""

import os
import signal
import threading
from functools import partial

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
from napari_selfdenoise.defects import cleaning
from napari_selfdenoise.images import Normalization
from napari_selfdenoise.long_work import run_to_end
from napari_selfdenoise.model import ChannelModel
from napari_selfdenoise.parts.networks import UNet
from napari_selfdenoise.prediction import (
    cluster,
    cluster_steps,
    store_steps,
    stored,
)
from napari_selfdenoise.prediction import grid as grids

distributed = pytest.importorskip("distributed", reason="distributed is not installed")

pytestmark = pytest.mark.slow

CURVE = NoiseCurve.gaussian(np.array([0.0, 1000.0]), np.array([1.0, 11.0]))


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch):
    """Chunks of 32 px in tiles of 16 px; planes of 64 px are large."""
    monkeypatch.setattr(grids, "CHUNK_PX", 32)
    for module in (cluster, stored):
        monkeypatch.setattr(module, "tile_side", lambda *_: 16)
    monkeypatch.setattr(cluster, "SAMPLE_PIXELS", 50 * 50)


@pytest.fixture(scope="module")
def threads():
    """A cluster of two workers in this process: quick to start."""
    how = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": ":0"}
    with distributed.LocalCluster(processes=False, **how) as made:
        yield made.scheduler_address


def a_model(image, **changes):
    torch.manual_seed(0)
    norm = Normalization.measure(np.asarray(image.data, np.float32))
    config = TrainingConfig(network=UNet(width=4, depth=1), flips=False)
    config = config.override(changes)
    network = config.network.build(config.signal.outputs)
    return TrainedModel(config, (ChannelModel(network, None, norm, CURVE),))


def an_input(folder, shape=(2, 64, 80), axes="TYX"):
    """A file, and what opens it on any worker."""
    pixels = np.random.default_rng(0).integers(0, 4000, shape).astype(np.uint16)
    path = write_image(Image(pixels, axes), folder / "cells.ome.tif")
    return partial(read_image, path)


@pytest.mark.parametrize("shape", [(2, 64, 80), (3, 40, 50)])
@pytest.mark.parametrize("estimator", ["single_pass", "auto"])
def test_workers_give_the_pixels_of_one_process(tmp_path, threads, shape, estimator):
    opens = an_input(tmp_path, shape)
    model = a_model(opens(), estimator=estimator)
    paths = {n: tmp_path / f"{n}.ome.zarr" for n in ("denoised", "noise_std")}
    result = run_to_end(cluster_steps(opens, model, paths, threads))
    one = {name: tmp_path / f"one {name}.ome.zarr" for name in paths}
    alone = run_to_end(store_steps(opens(), model, one, device="cpu"))
    for name, image in alone.images.items():
        assert np.array_equal(result.images[name].data[...], image.data[...])
    assert result.notes == alone.notes
    assert result.blends == alone.blends
    assert not [one for one in tmp_path.iterdir() if one.name.startswith(".")]


def test_a_single_process_goes_on_with_what_workers_have_left(tmp_path, threads):
    opens, paths = an_input(tmp_path), {"denoised": tmp_path / "a.ome.zarr"}
    model = a_model(opens())
    steps = cluster_steps(opens, model, paths, threads)
    for one in steps:
        if one.chunk is not None:
            break
    with pytest.raises(StopIteration) as end:
        while True:
            steps.send(STOP)
    assert not end.value.value.complete
    assert not paths["denoised"].exists()
    rest = store_steps(opens(), model, paths, device="cpu")
    assert "Going on" in next(rest).finding
    result = run_to_end(rest)
    expected = denoise(opens(), model, device="cpu").denoised.data
    assert np.allclose(result.denoised.data[...], expected, rtol=1e-6)


def test_a_lost_worker_costs_nothing_but_time(tmp_path):
    opens, paths = (
        an_input(tmp_path, (6, 64, 80)),
        {"denoised": tmp_path / "a.ome.zarr"},
    )
    model = a_model(opens())
    how = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": ":0"}
    with distributed.LocalCluster(**how) as made:
        victim = next(iter(made.workers.values())).pid
        steps, killed = (
            cluster_steps(opens, model, paths, made.scheduler_address),
            False,
        )
        for one in steps:
            if one.chunk is not None and not killed:
                os.kill(victim, signal.SIGKILL)
                killed = True
    assert killed
    expected = denoise(opens(), model, device="cpu").denoised.data
    found = np.asarray(read_image(paths["denoised"]).data)
    assert np.allclose(found, expected, rtol=1e-6)


def test_a_worker_looks_for_defects_once_a_plane(tmp_path, threads, monkeypatch):
    """And not again for every chunk: that would be most of its work."""
    opens, paths = an_input(tmp_path), {"denoised": tmp_path / "a.ome.zarr"}
    looks = []
    monkeypatch.setattr(cleaning, "WHOLE_PIXELS", 0)
    measure = cleaning.measure_defects
    monkeypatch.setattr(
        cleaning, "measure_defects", lambda *raw: looks.append(1) or measure(*raw)
    )
    run_to_end(cluster_steps(opens, a_model(opens()), paths, threads))
    assert len(looks) == 2  # both workers are threads of this process


def test_an_error_on_a_worker_is_the_users_sentence(tmp_path, threads):
    opens = an_input(tmp_path)
    model, here = a_model(opens()), threading.get_ident()

    def only_here():
        if threading.get_ident() != here:
            raise RequestError("The file is not there.", "Mount the folder.")
        return opens()

    paths = {"denoised": tmp_path / "a.ome.zarr"}
    with pytest.raises(RequestError, match="The file is not there"):
        run_to_end(cluster_steps(only_here, model, paths, threads))
    assert not paths["denoised"].exists()


def test_an_address_without_a_scheduler_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(cluster, "_CONNECT_S", 1)
    opens = an_input(tmp_path)
    paths = {"denoised": tmp_path / "a.ome.zarr"}
    with pytest.raises(DenoisingError, match="No scheduler answers at tcp://127"):
        run_to_end(cluster_steps(opens, a_model(opens()), paths, "tcp://127.0.0.1:9"))


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        (("out.tif",), "Give OUTPUT a name that ends in .ome.zarr"),
        (("out.ome.zarr", "--device", "cpu"), "Workers choose their own devices"),
    ],
)
def test_what_a_cluster_cannot_do_is_refused(
    tmp_path, monkeypatch, selfdenoise, more, sentence
):
    monkeypatch.chdir(tmp_path)
    image = an_input(tmp_path)()
    save_model(a_model(image), "model")
    flags = (*more, "--scheduler", "tcp://127.0.0.1:9")
    status, report, _ = selfdenoise("predict", "model", "cells.ome.tif", *flags)
    assert status == 2
    assert sentence in report["error"] + report["hint"]


def test_the_command_line_denoises_on_a_cluster(
    tmp_path, monkeypatch, threads, selfdenoise
):
    monkeypatch.chdir(tmp_path)
    image = an_input(tmp_path)()
    save_model(a_model(image), "model")
    flags = ("out.ome.zarr", "--scheduler", threads, "--frame", "1")
    status, _, _ = selfdenoise("predict", "model", "cells.ome.tif", *flags)
    assert status == 0
    expected = denoise(image.frame(1), a_model(image), device="cpu").denoised.data
    found = np.asarray(read_image(tmp_path / "out.ome.zarr").data)
    assert np.allclose(found, expected, rtol=1e-6)


def test_a_scheduler_that_is_lost_is_named(tmp_path, threads, monkeypatch):
    """What distributed says then, as it was found by killing a scheduler."""
    lost = distributed.client.FutureCancelledError("key", "scheduler-connection-lost")

    def spread(*_):
        raise lost
        yield

    monkeypatch.setattr(cluster, "_spread", spread)
    opens, paths = an_input(tmp_path), {"denoised": tmp_path / "a.ome.zarr"}
    with pytest.raises(DenoisingError, match=r"was lost\. .* what is denoised stays"):
        run_to_end(cluster_steps(opens, a_model(opens()), paths, threads))
