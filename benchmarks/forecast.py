"""What is said before a run about its time, and what it then takes.

    python benchmarks/forecast.py [--seconds 20] [--steps 200] [--busy 0] [--seed 0]
        [--only fish-20]

Each row is a recipe on an image, in a process of its own. "Said" is the forecast from
a probe; "said again" what the time left adds up to in the middle of the learning, when
the speed of this very run is known. So many `--busy` processes begin to compute when
the forecast has been made.
"""

from __future__ import annotations

import argparse
import multiprocessing
import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from common import describe_machine, in_fresh_process, print_table, read
from numpy.typing import NDArray

from napari_selfdenoise import (
    Image,
    TrainedModel,
    TrainingConfig,
    predict_tiles,
    recipe,
    train_steps,
)
from napari_selfdenoise.run_time import RunClock, RunEstimate, estimate_run
from napari_selfdenoise.training import FINISHING, preload

HEADER = (
    "image",
    "recipe",
    "reading, said / took",
    "learning",
    "finishing",
    "denoising",
    "in all, said / took",
    "said again / took",
)


@dataclass(frozen=True)
class Scene:
    """An image and the recipe it is tried with."""

    file: str
    crop: int
    frames: int
    recipe: str
    by_steps: bool = False


SCENES = {
    "fish-20": Scene("fmd/testmix_confocal_fish_raw4.tif", 512, 1, "fast"),
    "small": Scene("fmd/testmix_confocal_fish_raw4.tif", 96, 1, "fast"),
    "frames": Scene("w2s/train_fov001-020_ch0_avg1.tif", 256, 12, "fast"),
    "large": Scene("gigadb/mito_60x_noise1_low.tif", 1024, 1, "fast"),
    "correlated": Scene("fmd/testmix_widefield_bpae_g_raw4.tif", 512, 1, "fast"),
    "ollion": Scene("fmd/testmix_confocal_fish_raw4.tif", 256, 1, "ollion", True),
    "pn2v": Scene("fmd/testmix_confocal_fish_raw4.tif", 256, 1, "pn2v"),
    "structn2v": Scene("fmd/testmix_confocal_fish_raw4.tif", 512, 1, "structn2v"),
}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--busy", type=int, default=0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="+", choices=SCENES, default=list(SCENES))
    options = parser.parse_args()
    print(describe_machine(seed=options.seed, busy=options.busy))
    print_table(HEADER, _rows(options))


def _rows(options: argparse.Namespace) -> Iterator[tuple[str, ...]]:
    for name in options.only:
        yield name, *in_fresh_process(_row, SCENES[name], vars(options))


def _row(scene: Scene, options: dict[str, float]) -> tuple[str, ...]:
    image, config = _image(scene), _config(scene, options)
    preload()
    said = estimate_run(image, config)
    others = [_busy() for _ in range(int(options["busy"]))]
    try:
        took = Took(image, config, said)
        took.denoise(took.train())
    finally:
        for other in others:
            other.kill()
    return (scene.recipe, *_compared(said, took))


def _busy() -> multiprocessing.Process:
    context = multiprocessing.get_context("spawn")
    other = context.Process(target=_compute_for_ever, daemon=True)
    other.start()
    return other


def _compute_for_ever() -> None:
    torch.set_num_threads(1)
    numbers = torch.rand(512, 512)
    while True:
        numbers = torch.tanh(numbers @ numbers)


def _compared(said: RunEstimate, took: Took) -> Iterator[str]:
    hidden = said.planes * said.masked_plane_s
    yield f"{said.reading_s:.1f} / {took.reading:.1f}"
    yield f"{said.learning_s or 0.0:.1f} / {took.learning:.1f}"
    yield f"{said.finishing_s:.1f} / {took.finishing:.1f}"
    yield f"{said.denoising_s:.1f} to {hidden:.1f} / {took.denoising:.1f}"
    yield f"{said.total_s:.1f} to {said.most_s:.1f} / {took.total:.1f}"
    yield f"{took.again:.1f} / {took.total:.1f}"


def _image(scene: Scene) -> Image:
    pixels = np.atleast_3d(read(scene.file))
    if pixels.shape[-1] == 1:
        pixels = pixels[..., 0][None]
    part: NDArray[np.float32] = pixels[: scene.frames, : scene.crop, : scene.crop]
    return Image(np.ascontiguousarray(part), "TYX")


def _config(scene: Scene, options: dict[str, float]) -> TrainingConfig:
    changes: dict[str, object] = {"budget_s": options["seconds"]}
    if scene.by_steps:
        changes = {"budget_s": None, "steps": int(options["steps"])}
    return recipe(scene.recipe).override({"seed": int(options["seed"]), **changes})


class Took:
    """A run with a watch in hand."""

    reading = learning = finishing = denoising = again = 0.0

    def __init__(self, image: Image, config: TrainingConfig, said: RunEstimate) -> None:
        self.image, self.config = image, config
        self.clock = RunClock(image, said)
        self.began = time.perf_counter()

    @property
    def total(self) -> float:
        """Seconds of all."""
        return self.reading + self.learning + self.finishing + self.denoising

    def train(self) -> TrainedModel:
        """Train, and keep when what began."""
        steps = train_steps(self.image, self.config)
        try:
            while True:
                progress = next(steps)
                self._keep(progress.stage == FINISHING, progress.step)
                left = self.clock.learning(progress).left_s
                half = (progress.fraction or 0.0) >= 0.5
                if half and left is not None and not self.again:
                    self.again = self._spent() + left
        except StopIteration as end:
            self.finishing = self._spent() - self.reading - self.learning
            model: TrainedModel = end.value
            return model

    def _keep(self, finishing: bool, step: int) -> None:
        if step and not self.reading:
            self.reading = self._spent()  # and the first step
        if step and not finishing:
            self.learning = self._spent() - self.reading

    def denoise(self, model: TrainedModel) -> None:
        """Denoise all planes."""
        before = self._spent()
        for _ in predict_tiles(self.image, model):
            pass
        self.denoising = self._spent() - before

    def _spent(self) -> float:
        return time.perf_counter() - self.began


if __name__ == "__main__":
    main()
