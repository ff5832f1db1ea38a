"""Train CAREamics on one image or stack and denoise it, in CAREamics' environment.

    python run_careamics.py INPUT.npy OUTPUT.npy --method n2v|n2v2|structn2v \
        --setting default|tuned [--seconds S] [--epochs N] [--seed 0] [--threads 2] \
        [--trajectory OUT.npz]

What default and tuned mean is said in README.md beside this file.
"""

from __future__ import annotations

import argparse
import tempfile
import warnings

import harness
import numpy as np

PATCH = [64, 64]
BATCH = 16
VOLUME_PATCH = [8, 64, 64]
VOLUME_BATCH = 2
"""Of a stack, as CAREamics' example of a 3-D N2V has them."""
EPOCHS = {"default": 30, "tuned": 120}
SPAN = 5
"""Pixels along the side of a square blind spot; CAREamics' default."""
LEVELS = 4
"""Whole images must be a multiple of this, or are predicted in tiles."""


def main() -> None:
    """Run and report."""
    parser = harness.parse(
        __doc__, methods=("n2v", "n2v2", "structn2v"), settings=("default", "tuned")
    )
    run = harness.Run(parser.parse_args(), peer="careamics")
    with run.importing():
        _import_torchvision()
        import careamics
        import torch
    torch.set_num_threads(run.options.threads)
    warnings.filterwarnings("ignore")
    with tempfile.TemporaryDirectory() as folder:
        result = _denoise(run, folder)
        run.finish(result, careamics.__version__)


def _import_torchvision() -> None:
    """Import torchvision even if its binary part wants CUDA and torch has none.

    CAREamics imports torchvision but calls none of its compiled operators for N2V.
    """
    import torch

    try:
        import torchvision
    except RuntimeError:
        library = torch.library.Library("torchvision", "DEF")
        for name in ("nms", "qnms"):
            library.define(f"{name}(Tensor a, Tensor b, float c) -> Tensor")
        import torchvision  # noqa: F401


def _denoise(run: harness.Run, folder: str) -> np.ndarray:
    from careamics import CAREamist

    image = run.start()
    peer = CAREamist(
        _config(run.options, image.ndim),
        work_dir=folder,
        enable_progress_bar=False,
        callbacks=[_watcher(run, image)],
    )
    _count_supervised(run, peer.model)
    peer.train(train_data=image)
    weights = f"{folder}/end.ckpt"
    peer.trainer.save_checkpoint(weights)
    run.trained()
    divisible = all(size % LEVELS == 0 for size in image.shape)
    tile = None if divisible else (16, 128, 128)[-image.ndim :]
    predictions, _ = peer.predict(pred_data=image, tile_size=tile, checkpoint=weights)
    return predictions[0].reshape(image.shape)


def _config(options: argparse.Namespace, dimensions: int) -> object:
    """CAREamics' own configuration, 2-D or 3-D; its seeds start at one."""
    from careamics.config.factories import create_advanced_n2v_config

    epochs = options.epochs or EPOCHS[options.setting]
    own = _tuned(epochs) if options.setting == "tuned" else {}
    if options.method == "structn2v":
        own |= _struct(options.setting)
    return create_advanced_n2v_config(
        experiment_name="peer",
        data_type="array",
        axes="ZYX"[-dimensions:],
        patch_size=PATCH if dimensions == 2 else VOLUME_PATCH,
        batch_size=BATCH if dimensions == 2 else VOLUME_BATCH,
        num_epochs=epochs,
        use_n2v2=options.method == "n2v2",
        seed=options.seed + 1,
        **own,
    )


def _tuned(epochs: int) -> dict[str, object]:
    """What pays on one image: README.md says how much."""
    return {
        "masked_pixel_percentage": 10.0,  # the most that it allows
        "n_val_patches": 1,
        "model_params": {"use_batch_norm": False},
        "lr_scheduler": "StepLR",
        "lr_scheduler_params": {"step_size": max(1, epochs // 4), "gamma": 0.5},
        "num_workers": 0,
    }


def _struct(setting: str) -> dict[str, object]:
    """Square blind spots for noise that neighbours share in both directions.

    Its own factory for them takes no seed; like it, they come without augmentation.
    """
    own = {"struct_n2v_axes": "square", "struct_n2v_span": SPAN, "augmentations": []}
    if setting == "tuned":  # a quarter of the pixels, as spots of SPAN x SPAN
        own |= {"masked_pixel_percentage": 25 / SPAN**2, "augmentations": None}
    return own


def _count_supervised(run: harness.Run, module) -> None:
    """Count the masked pixels of training batches as the peer draws them."""
    manipulate = module.n2v_manipulate

    def counted(batch, *args, **kwargs) -> tuple:
        masked, original, mask = manipulate(batch, *args, **kwargs)
        if module.training:
            run.pixels_forwarded += batch.numel()
            run.pixels_supervised += int(mask.sum())
        return masked, original, mask

    module.n2v_manipulate = counted


def _watcher(run: harness.Run, image: np.ndarray) -> object:
    """Lightning callback that counts epochs, keeps points and ends in time."""
    from lightning.pytorch import Callback

    class Watcher(Callback):
        def on_train_batch_end(self, trainer, *_) -> None:
            if run.time_is_up:
                trainer.should_stop = True
                trainer.limit_val_batches = 0

        def on_train_epoch_end(self, trainer, module) -> None:
            run.epochs = trainer.current_epoch + 1
            last = trainer.should_stop or run.epochs == trainer.max_epochs
            if run.point_is_due or (last and run.options.trajectory is not None):
                with run.paused():
                    run.add_point(_predict_now(trainer, module, image))

    return Watcher()


def _predict_now(trainer, module, image: np.ndarray) -> np.ndarray:
    """The image with the weights of now, padded to what the network takes."""
    import torch

    scale = trainer.datamodule.train_dataset.normalization
    pads = [(0, -size % LEVELS) for size in image.shape]
    (padded,) = scale(np.pad(image, pads, mode="reflect")[None], None)[:1]
    was_training = module.training
    module.eval()
    with torch.no_grad():
        batch = torch.as_tensor(padded, dtype=torch.float32, device=module.device)
        output = module.model(batch[None])
    module.train(was_training)
    restored = scale.denormalize(output).cpu().numpy()[0, 0]
    return restored[tuple(slice(size) for size in image.shape)]


if __name__ == "__main__":
    main()
