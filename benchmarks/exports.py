"""Whether exported models give the pixels that this program gives.

    python benchmarks/exports.py [--steps 200] [--side 264] [--frames BPAE] [--seed 0]

A model is trained on each of three public frames by three methods: the network's mean,
the posterior of a half-plane U-Net, and deconvolution. Each is exported as BioImage.IO
package, ONNX and TorchScript, and run by bioimageio.core, onnxruntime and PyTorch on
the frame without its defects. Printed is the largest difference from what `predict`
makes of it, over the range of that. Frames are those of FMD that SELFDENOISE_DATA has.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from common import describe_machine, print_table, read
from numpy.typing import NDArray

from napari_selfdenoise import Image, TrainedModel, denoise, recipe, train
from napari_selfdenoise.defects import CleanImage
from napari_selfdenoise.export import export_model, programs

FRAMES = {
    "zebrafish": "fmd/confocal_fish_otherfov_raw.tif",
    "mouse brain": "fmd/testmix_twophoton_mice_raw4.tif",
    "BPAE": "fmd/testmix_widefield_bpae_g_raw4.tif",
}
METHODS: dict[str, dict[str, Any]] = {
    "network's mean": {"estimator": "single_pass"},
    "posterior": {
        "network": "half_plane",
        "masking": "none",
        "signal": "gaussian",
        "estimator": "posterior_mean",
        "network.width": 16,
    },
    "deconvolution": {"psf": "gaussian", "estimator": "single_pass"},
}
ENDINGS = {"BioImage.IO": ".zip", "ONNX": ".onnx", "TorchScript": ".pt"}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--side", type=int, default=264, help="of a frame, pixels")
    parser.add_argument("--frames", nargs="+", choices=[*FRAMES], default=[*FRAMES])
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    print(describe_machine(**vars(options)), flush=True)
    print_table(("frame", "method", *ENDINGS), _rows(options))


def _rows(options: argparse.Namespace) -> Iterator[list[str]]:
    for frame in options.frames:
        image = _frame(FRAMES[frame], options.side)
        for method, changes in METHODS.items():
            model = _trained(image, changes, options)
            expected = _expected(image, model)
            found = [
                f"{_apart(model, image, ending, expected):.1e}"
                for ending in ENDINGS.values()
            ]
            yield [frame, method, *found]


def _frame(place: str, side: int) -> Image:
    """A part of a frame without its defects: a file does not look for them."""
    frames = read(place)
    image = Image(frames[0] if frames.ndim > 2 else frames, "YX")
    plane = CleanImage(image).read_plane(())
    return Image(np.ascontiguousarray(plane[:side, : side - 24]), "YX")


def _trained(
    image: Image, changes: dict[str, Any], options: argparse.Namespace
) -> TrainedModel:
    how = {"steps": options.steps, "seed": options.seed, "device": "cpu"}
    how |= {"precision": "float32", **changes}
    return train(image, recipe("fast").override(how))


def _expected(image: Image, model: TrainedModel) -> list[NDArray[np.float32]]:
    made = denoise(image, model, device="cpu").images
    return [made[name].data for name in ("denoised", "deconvolved") if name in made]


def _apart(
    model: TrainedModel, image: Image, ending: str, expected: list[NDArray[np.float32]]
) -> float:
    """Largest difference of a file's results, over the range."""
    raw = torch.from_numpy(np.asarray(image.data, np.float32))[None, None]
    with tempfile.TemporaryDirectory() as folder:
        path = export_model(model, Path(folder) / f"model{ending}").path
        found = _run(path, raw)
    return max(
        float(np.abs(one[0, 0] - mine).max() / np.ptp(mine))
        for one, mine in zip(found, expected, strict=True)
    )


def _run(path: Path, raw: torch.Tensor) -> list[NDArray[np.float32]]:
    if path.suffix == ".pt":
        return programs.run_torchscript(path, raw)
    if path.suffix == ".onnx":
        found = programs.run_onnx(path, raw)
        assert found is not None, "onnxruntime is not installed"
        return found
    return _run_package(path, raw)


def _run_package(path: Path, raw: torch.Tensor) -> list[NDArray[np.float32]]:
    """By bioimageio.core, with the weights that it prefers."""
    from bioimageio.core import create_prediction_pipeline, load_model_description
    from bioimageio.core.digest_spec import create_sample_for_model

    with programs.quiet():
        described = load_model_description(path)
        sample = create_sample_for_model(described, inputs={"raw": raw.numpy()})
        with create_prediction_pipeline(described) as pipeline:
            made = pipeline.predict_sample_without_blocking(sample)
    ids = [one.id for one in described.outputs]
    return [np.asarray(made.members[name].data) for name in ids]


if __name__ == "__main__":
    main()
