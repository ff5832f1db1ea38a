"""How long the pixel probe takes: for a pixel of a kept tile, and for a new tile.

    python benchmarks/probe.py [--size 512] [--pixels 500] [--tiles 5] [--device cpu]

Networks have random weights, which are as fast as trained ones. *First view* is one
orientation of a tile; the probe answers from then on, and again when all are there.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
from common import describe_machine, print_table

from napari_selfdenoise import Image, NoiseCurve, TrainedModel, TrainingConfig, recipe
from napari_selfdenoise.images import Normalization, poisson_gaussian_stack
from napari_selfdenoise.model import ChannelModel
from napari_selfdenoise.prediction import PixelProbe

SEED = 0

MODELS = {
    "pn2v (800 samples, one pass)": recipe("pn2v"),
    "ppn2v (800 samples, one pass)": recipe("ppn2v"),
    "fast with a mixture head, 9 passes, 8 orientations": recipe("fast").override(
        {"signal": "mixture", "estimator": "posterior_mean"}
        | {"objective": "squared_error"}
    ),
}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--pixels", type=int, default=500)
    parser.add_argument("--tiles", type=int, default=5)
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    noisy, _ = poisson_gaussian_stack(frames=1, size=options.size)
    image = Image(noisy.data[0], "YX")
    said = {"image": f"{options.size}²", "device": options.device, "seed": SEED}
    print(describe_machine(**said))
    header = ("model", "tile", "kept: median, p95", "first view", "whole tile")
    rows = (
        (name, *measured(untrained(config, image), image, options))
        for name, config in MODELS.items()
    )
    print_table(header, rows)


def untrained(config: TrainingConfig, image: Image) -> TrainedModel:
    """A model with random weights."""
    import torch

    torch.manual_seed(SEED)
    norm = Normalization.measure(image.read_plane(()))
    curve = NoiseCurve.line(12, 150, 0.0, 4000.0)
    network = config.build_network().eval()
    return TrainedModel(config, (ChannelModel(network, None, norm, curve),))


def measured(
    model: TrainedModel, image: Image, options: argparse.Namespace
) -> tuple[str, ...]:
    """Columns of the table for one model."""
    probe = PixelProbe(image, model, device=options.device)
    rng = np.random.default_rng(SEED)
    first, whole, kept = [], [], []
    for _ in range(options.tiles):
        row, column = (int(v) for v in rng.integers(0, options.size, 2))
        begin, ready = time.perf_counter(), []
        for step in probe.predict_steps((), row, column):
            if step.ready:
                ready.append(time.perf_counter() - begin)
        first.append(ready[0])
        whole.append(time.perf_counter() - begin)
        tile = probe.tile_of((), row, column)
        for _ in range(options.pixels // options.tiles):
            place = (
                int(rng.integers(tile.top, tile.bottom)),
                int(rng.integers(tile.left, tile.right)),
            )
            begin = time.perf_counter()
            assert probe.probe((), *place) is not None
            kept.append(time.perf_counter() - begin)
    side = tile.bottom - tile.top
    median, most = (1e3 * np.percentile(kept, q) for q in (50, 95))
    return (
        f"{side} px",
        f"{median:.1f} ms, {most:.1f} ms",
        f"{np.median(first):.2f} s",
        f"{np.median(whole):.2f} s",
    )


if __name__ == "__main__":
    main()
