"""Denoise one image by a minimal Zero-Shot Noise2Noise of our own, in plain PyTorch.

    python zs_n2n.py INPUT.npy OUTPUT.npy [--setting default|tuned] [--seconds S] \
        [--epochs N] [--seed 0] [--threads 2] [--trajectory OUT.npz]

Written from the description in Mansour and Heckel, "Zero-Shot Noise2Noise", CVPR 2023;
none of the authors' code is used. An epoch is one step on the whole image. What default
and tuned mean is said in README.md beside this file. Needs numpy and torch.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import harness
import numpy as np

if TYPE_CHECKING:
    from torch import Tensor, nn

CHANNELS = 48
RATE = 1e-3
STEPS = 2000
STAGES = 2
"""Stages of equal length, each with half the step size of the one before."""
TUNED_CROP = 128
TUNED_BATCH = 4


def main() -> None:
    """Run and report."""
    parser = harness.parse(__doc__, methods=("zs-n2n",), settings=("default", "tuned"))
    run = harness.Run(parser.parse_args(), peer="zs_n2n")
    with run.importing():
        import torch
    torch.set_num_threads(run.options.threads)
    torch.manual_seed(run.options.seed)
    result = _denoise(run)
    run.finish(result, f"own, torch {torch.__version__}")


def _denoise(run: harness.Run) -> np.ndarray:
    import torch

    image = run.start()
    offset, scale = float(image.min()), float(np.ptp(image)) or 1.0
    noisy = torch.from_numpy((image - offset) / scale)[None, None]
    network = _network()
    _train(run, network, noisy, lambda: _predict(network, noisy) * scale + offset)
    run.trained()
    return _predict(network, noisy) * scale + offset


def _network() -> nn.Module:
    """Two 3x3 convolutions with leaky ReLU and a 1x1: predicts the noise."""
    from torch import nn

    return nn.Sequential(
        nn.Conv2d(1, CHANNELS, 3, padding=1),
        nn.LeakyReLU(0.2),
        nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1),
        nn.LeakyReLU(0.2),
        nn.Conv2d(CHANNELS, 1, 1),
    )


def _train(
    run: harness.Run,
    network: nn.Module,
    noisy: Tensor,
    predict: Callable[[], np.ndarray],
) -> None:
    import torch

    optimizer = torch.optim.Adam(network.parameters(), lr=RATE)
    steps = run.options.epochs or STEPS
    while run.epochs < steps and not run.time_is_up:
        for group in optimizer.param_groups:
            group["lr"] = RATE * 0.5 ** int(STAGES * _progress(run, steps))
        batch = noisy if run.options.setting == "default" else _crops(noisy)
        optimizer.zero_grad()
        loss = _loss(network, batch)
        loss.backward()
        optimizer.step()
        _count(run, batch)
        if run.point_is_due:
            _keep(run, predict)
    if run.options.trajectory is not None:
        _keep(run, predict)


def _progress(run: harness.Run, steps: int) -> float:
    """Fraction of the run that is over, by steps or by seconds, below one."""
    fraction = run.epochs / steps
    if run.options.seconds is not None:
        fraction = max(fraction, run.clock.seconds() / run.options.seconds)
    return min(fraction, 1 - 1e-9)


def _keep(run: harness.Run, predict: Callable[[], np.ndarray]) -> None:
    with run.paused():
        run.add_point(predict())


def _count(run: harness.Run, batch: Tensor) -> None:
    """Two images of a quarter of the pixels and the whole; the two are the targets."""
    run.epochs += 1
    run.pixels_forwarded += batch.numel() * 3 // 2
    run.pixels_supervised += batch.numel() // 2


def _crops(noisy: Tensor) -> Tensor:
    """Random crops (B, 1, Y, X), each turned at random, of an image (1, 1, Y, X)."""
    import torch

    size = min(TUNED_CROP, *noisy.shape[-2:])
    crops = []
    for _ in range(TUNED_BATCH):
        y, x = (int(torch.randint(n - size + 1, (1,))) for n in noisy.shape[-2:])
        crop = noisy[..., y : y + size, x : x + size]
        crop = crop.rot90(int(torch.randint(4, (1,))), (-2, -1))
        crops.append(crop.flip(-1) if torch.rand(()) < 0.5 else crop)
    return torch.cat(crops)


def _pair(image: Tensor) -> tuple[Tensor, Tensor]:
    """Two half-size images (B, 1, Y/2, X/2): means over the diagonals of 2x2 cells."""
    height, width = (size - size % 2 for size in image.shape[-2:])
    even, odd = slice(0, None, 2), slice(1, None, 2)
    cells = image[..., :height, :width]
    first = (cells[..., even, even] + cells[..., odd, odd]) / 2
    second = (cells[..., even, odd] + cells[..., odd, even]) / 2
    return first, second


def _loss(network: nn.Module, noisy: Tensor) -> Tensor:
    """Symmetric residual loss plus consistency with the denoised whole image."""
    from torch.nn.functional import mse_loss

    first, second = _pair(noisy)
    clean_first, clean_second = first - network(first), second - network(second)
    whole_first, whole_second = _pair(noisy - network(noisy))
    residual = mse_loss(clean_first, second) + mse_loss(clean_second, first)
    consistency = mse_loss(clean_first, whole_first)
    consistency = consistency + mse_loss(clean_second, whole_second)
    return (residual + consistency) / 2


def _predict(network: nn.Module, noisy: Tensor) -> np.ndarray:
    """The signal (Y, X): the observation less the predicted noise."""
    import torch

    with torch.no_grad():
        return (noisy - network(noisy)).clamp(0, 1).numpy()[0, 0]


if __name__ == "__main__":
    main()
