"""Passes that a GPU repeats from recordings do what they did without."""

from contextlib import nullcontext

import pytest
import torch
from torch import nn

from napari_selfdenoise import recipe, train
from napari_selfdenoise.compute import RecordedWork, cuda_graph
from napari_selfdenoise.parts.noise_models import NoiseUnits
from napari_selfdenoise.training import recorded_passes
from napari_selfdenoise.training.channel_trainer import _repeats_itself
from napari_selfdenoise.training.recorded_passes import RecordedPasses


class Graph:
    """Stands in for a CUDA graph: here nothing is repeated, as results show."""

    def register_generator_state(self, generator):
        pass

    def replay(self):
        pass


@pytest.fixture
def device_that_records(monkeypatch):
    """Let a CPU pass for a CUDA device."""
    monkeypatch.setattr(torch.cuda, "CUDAGraph", Graph)
    monkeypatch.setattr(torch.cuda, "graph", lambda *_, **__: nullcontext())
    monkeypatch.setattr(torch.cuda, "graph_pool_handle", lambda: (0, 1))
    monkeypatch.setattr(recorded_passes, "records", lambda device: True)


def generator():
    return torch.Generator().manual_seed(0)


@pytest.mark.usefixtures("device_that_records")
def test_work_is_recorded_once_and_then_repeated():
    runs = []

    def work():
        runs.append(1)
        return "a tensor"

    recorded = RecordedWork(work, generator(), None)
    results = [recorded() for _ in range(10)]
    assert results == ["a tensor"] * 10
    assert len(runs) == cuda_graph._EAGER_RUNS + 1


@pytest.mark.usefixtures("device_that_records")
def test_work_that_waits_for_the_gpu_is_run_each_time(monkeypatch):
    shared, runs = generator(), []

    def work():
        runs.append(1)
        if len(runs) == cuda_graph._EAGER_RUNS + 1:
            raise RuntimeError("operation not permitted when stream is capturing")
        return float(torch.rand((), generator=shared))

    put_back = []
    recorded = RecordedWork(work, shared, None)
    monkeypatch.setattr(cuda_graph, "_put_back", lambda *pair: put_back.append(pair))
    results = [recorded() for _ in range(8)]
    fresh = generator()
    assert results == [float(torch.rand((), generator=fresh)) for _ in range(8)]
    assert "capturing" in recorded.refusal and len(put_back) == 1


@pytest.mark.usefixtures("device_that_records")
def test_gradients_lie_in_one_place_and_begin_at_zero():
    weight, untaught = nn.Parameter(torch.ones(3)), nn.Parameter(torch.ones(2))
    passes, places = RecordedPasses(generator()), []

    def teach():
        (2 * weight).sum().backward()

    for _ in range(cuda_graph._EAGER_RUNS):
        weight.grad = None  # as after each step
        passes.run("a pass", teach, [weight, untaught])
        assert weight.grad.tolist() == [2, 2, 2]
        assert untaught.grad is None
        places.append(weight.grad.data_ptr())
    assert len(set(places[1:])) == 1


@pytest.mark.usefixtures("device_that_records")
def test_passes_of_another_kind_have_a_recording_of_their_own():
    passes, done = RecordedPasses(generator()), []
    for number in range(20):
        kind = number % 2
        passes.run(kind, lambda kind=kind: done.append(kind), [])
    each = cuda_graph._EAGER_RUNS + 1
    assert done.count(0) == done.count(1) == each
    passes.forget()
    passes.run(0, lambda: done.append(2), [])
    assert done[-1] == 2


@pytest.mark.usefixtures("device_that_records")
def test_what_never_repeats_itself_is_never_recorded():
    passes, runs = RecordedPasses(generator(), allowed=False), []
    for _ in range(10):
        passes.run("a pass", lambda: runs.append(1), [])
    assert len(runs) == 10


@pytest.mark.parametrize(
    ("name", "repeats"),
    [
        ("fast", True),
        ("structn2v", True),
        ("deconoising", True),
        ("ollion", False),  # spacings of its grids are drawn at random
        ("pn2v", False),  # its histogram has no closed form
    ],
)
def test_recipes_whose_passes_repeat_themselves(name, repeats):
    config = recipe(name)
    noise = config.noise_model.build(NoiseUnits(0.0, 1.0, 1e-3))
    assert _repeats_itself(config, noise) is repeats


def test_a_cpu_records_nothing():
    passes, runs = RecordedPasses(generator()), []
    for _ in range(10):
        passes.run("a pass", lambda: runs.append(1), [])
    assert len(runs) == 10


RECIPES = ["fast", "ollion", "pn2v", "khademi", "deconoising", "structn2v"]


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("name", RECIPES)
def test_recordings_change_no_weight(scene, name, monkeypatch):
    small = {"steps": 30, "batch_size": 4, "patch_size": 32, "device": "cuda"}
    config = recipe(name).override(small)
    recorded = train(scene.image, config)
    monkeypatch.setattr(cuda_graph, "_EAGER_RUNS", 10**9)
    plain = train(scene.image, config)
    pairs = zip(
        recorded.channels[0].network.state_dict().values(),
        plain.channels[0].network.state_dict().values(),
        strict=True,
    )
    assert all(torch.equal(one, two) for one, two in pairs)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_random_numbers_go_on_after_a_recording_has_failed():
    def numbers():
        drawn = torch.Generator("cuda").manual_seed(0)

        def work():
            return float(torch.rand(5, generator=drawn, device="cuda").sum())

        return work, drawn

    work, drawn = numbers()
    recorded = RecordedWork(work, drawn, torch.cuda.graph_pool_handle())
    plain, _ = numbers()
    assert [recorded() for _ in range(8)] == [plain() for _ in range(8)]
    assert recorded.refusal
