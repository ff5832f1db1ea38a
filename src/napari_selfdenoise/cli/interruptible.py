"""Trainings whose model goes into a file: they go on where they were interrupted."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from napari_selfdenoise.cli.screen import say
from napari_selfdenoise.config import TrainingConfig
from napari_selfdenoise.errors import RequestError

if TYPE_CHECKING:
    from napari_selfdenoise.training import Checkpoint

resume_option = click.option(
    "--resume",
    is_flag=True,
    help="Go on where a run with this --save-model was interrupted: with its training, "
    "to the same result, or with its model.",
)


class Interruptible(NamedTuple):
    """A training that writes checkpoints, and what there is to go on from.

    Attributes
    ----------
    path : Path or None
        Of the checkpoint; None where the model is not kept, and neither is that.
    found : Checkpoint or None
        That an interrupted training has left.
    model : TrainedModel or None
        That an interrupted run has left: its training had ended.
    """

    path: Path | None = None
    found: Checkpoint | None = None
    model: Any = None

    @classmethod
    def of(cls, save_model: str | None, resume: bool) -> Interruptible:
        """What a run goes on from whose model is to be a file.

        Raises
        ------
        RequestError
            If it is to go on, and no file is named, or the one that is left is damaged.
        """
        from napari_selfdenoise.model import SUFFIX, load_model

        if save_model is None:
            if resume:
                raise RequestError(
                    "--resume needs to know which run was interrupted.",
                    "Give --save-model FILE, as that run had.",
                )
            return cls()
        first = cls.into(save_model, resume)
        if not resume or first.found:
            return first
        path = Path(save_model.removesuffix(SUFFIX) + SUFFIX)
        if path.is_file():
            model = load_model(path)
            images = model.provenance.get("images", ())
            names = ", ".join(map(str, images[:4]))
            say(
                f"Going on with the model {path}, which was trained on {names}: "
                "settings of a training change nothing any more."
            )
            return first._replace(model=model)
        say(f"No run was interrupted that was to keep {path}: training anew.")
        return first

    @classmethod
    def into(cls, target: str, resume: bool) -> Interruptible:
        """As `of`, where the model itself is the start of another training."""
        from napari_selfdenoise.training import checkpoint_path, read_checkpoint

        path = checkpoint_path(target)
        if not path.is_file():
            return cls(path)
        if not resume:
            say(
                f"{path} is left of a training that was interrupted. With --resume it "
                "would go on; it is replaced in a minute."
            )
            return cls(path)
        found = read_checkpoint(path)
        say(f"Going on after step {found.step} of the training that was interrupted.")
        return cls(path, found)

    @property
    def config(self) -> TrainingConfig | None:
        """Settings of what there is to go on from."""
        known = self.found or self.model
        return known.config if known else None

    def trained(self, train: Callable[..., Any]) -> Any:
        """The model that there is, or one that is trained.

        Parameters
        ----------
        train : callable
            Trains, given the arguments of `train_steps` on checkpoints.
        """
        if self.model is not None:
            return self.model
        return train(checkpoint=self.path, resume=self.found is not None)

    def forget(self) -> None:
        """Remove the checkpoint, now that the model is safe."""
        if self.path:
            self.path.unlink(missing_ok=True)
