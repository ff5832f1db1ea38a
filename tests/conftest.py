import gc
import json
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, NamedTuple

# Small arrays are fastest on one thread, and threads of other runs are left alone.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from napari_selfdenoise import (
    Image,
    TrainedModel,
    TrainingConfig,
    cli,
    recipe,
    train,
)
from napari_selfdenoise.training import training_loop

torch.set_num_threads(1)


@pytest.fixture(scope="session", autouse=True)
def imports_are_no_garbage() -> Iterator[None]:
    """Each full collection, of which windows ask for some, would go through all."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture(scope="module")
def brief_fits() -> Iterator[None]:
    """Trainings end with a brief fit of the noise: for tests of anything else."""
    with pytest.MonkeyPatch.context() as patch:
        _shorten_fits(patch)
        yield


@pytest.fixture
def brief_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    """As `brief_fits`, for one test of a file whose others fit as a user's training."""
    _shorten_fits(monkeypatch)


def _shorten_fits(patch: pytest.MonkeyPatch) -> None:
    for effort in ("THOROUGH", "BRIEF"):
        patch.setattr(training_loop, effort, training_loop.Effort(1e8, 10))


@pytest.fixture
def selfdenoise(capsys: pytest.CaptureFixture[str]) -> Callable[..., Any]:
    """Run the command line in this process: exit status, JSON, stderr."""

    def run(*arguments: object) -> tuple[int, Any, str]:
        with pytest.raises(SystemExit) as end:
            cli.main([*map(str, arguments), "--json"])
        out, err = capsys.readouterr()
        return end.value.code, json.loads(out), err

    return run


@pytest.fixture
def full_disk() -> Callable[[int], AbstractContextManager[None]]:
    """A disk with room for so many bytes of each file: what is more is refused.

    By a limit of this process, which each writer meets as it meets a disk.
    """
    resource = pytest.importorskip("resource", reason="Windows has no such limits")
    kind, before = resource.RLIMIT_FSIZE, resource.getrlimit(resource.RLIMIT_FSIZE)

    @contextmanager
    def full(room: int) -> Iterator[None]:
        resource.setrlimit(kind, (room, before[1]))
        try:
            yield
        finally:
            resource.setrlimit(kind, before)

    return full


class Scene(NamedTuple):
    """A noisy image and what it would be without noise, both (Y, X) in counts."""

    image: Image
    signal: np.ndarray


@pytest.fixture(scope="session")
def scene() -> Scene:
    """Smooth blobs over an offset of 100; noise variance 2 (s - 100) + 400."""
    rng = np.random.default_rng(0)
    canvas = np.zeros((64, 64))
    canvas[rng.integers(0, 64, 12), rng.integers(0, 64, 12)] = rng.uniform(0.5, 1, 12)
    blobs = gaussian_filter(canvas, 4, mode="wrap")
    light = 500 * blobs / blobs.max()
    counts = 100 + 2 * rng.poisson(light / 2) + rng.normal(0, 20, light.shape)
    noisy = np.clip(np.rint(counts), 0, 65535).astype(np.uint16)
    return Scene(Image(noisy, "YX", name="blobs"), (100 + light).astype(np.float32))


@pytest.fixture(scope="session")
def config() -> TrainingConfig:
    """The smallest training that teaches something."""
    return recipe("fast").override(
        {
            "steps": 60,
            "network.width": 8,
            "patch_size": 32,
            "batch_size": 4,
            "flips": False,  # eight passes of each tile tell no more here
            "device": "cpu",
            "precision": "float32",
        }
    )


@pytest.fixture(scope="session")
def model(scene: Scene, config: TrainingConfig) -> TrainedModel:
    return train(scene.image, config)
