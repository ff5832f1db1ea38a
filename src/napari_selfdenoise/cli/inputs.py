"""The images that a verb is given: how they are read, what is done to them first."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import click

from napari_selfdenoise.cli.screen import say
from napari_selfdenoise.defects import Corrections
from napari_selfdenoise.errors import DenoisingError, RequestError
from napari_selfdenoise.images import Image, require_denoisable

axes_option = click.option(
    "--axes",
    metavar="LETTERS",
    help="What the axes of the file are, such as TYX, where it does not say so: "
    "T time, C channel, Z depth, Y row, X column. Words do, too: frame,row,col.",
)

pixel_size_option = click.option(
    "--pixel-size",
    metavar="SIZE",
    help="Pixel size, where the file has none or a wrong one, in µm: 0.1, or 65nm; "
    "of Z, Y and X 0.3,0.1,0.1; by axis YX=0.1,T=2s.",
)

series_option = click.option(
    "--series",
    type=int,
    metavar="N",
    help="Which position, scene, well or series of a file with several, from 0. "
    "Default: the first.",
)

_correction_options = (
    click.option(
        "--dark",
        metavar="FILE",
        help="Dark frame: an image without light, or a stack of such. It is "
        "subtracted, but for its median.",
    ),
    click.option(
        "--flat",
        metavar="FILE",
        help="Flat field: an image of an evenly lit field, or a stack of such. The "
        "image is divided by it.",
    ),
    click.option(
        "--mask",
        metavar="FILE",
        help="Mask: an image that is 0 where nothing was recorded. Those pixels are "
        "not learned from, and stay as they are.",
    ),
)


def input_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a verb the flags that say how its inputs are read."""
    reading = (axes_option, pixel_size_option, series_option)
    for option in (*reading, *_correction_options)[::-1]:
        command = option(command)
    return command


def correction_files(values: dict[str, Any]) -> dict[str, str]:
    """Files that a verb's values give as dark frame, flat field and mask, by name."""
    paths = {name: values[name] for name in ("dark", "flat", "mask")}
    return {name: path for name, path in paths.items() if path}


FLAGS = ("frame", "axes", "series", "pixel_size", "dark", "flat", "mask")
"""Names of the flags that `Inputs.take` takes."""


def open_input(flags: dict[str, Any], max_memory: int | None, path: str) -> Image:
    """Read and correct an input as the flags of a verb say: on any machine."""
    return Inputs.take(dict(flags), max_memory).read(path)


@dataclass(frozen=True, eq=False)
class Inputs:
    """How the inputs of a verb are read.

    Attributes
    ----------
    corrections : Corrections
        The same for all inputs.
    types : dict
        Of the pixels in the file of each input that was read.
    """

    frame: int | None
    axes: str | None
    series: int | None
    pixel_size: str | None
    corrections: Corrections
    max_memory: int | None = None
    types: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def take(cls, values: dict[str, Any], max_memory: int | None = None) -> Inputs:
        """Take the flags of `input_options`, and the frame, out of a verb's values.

        Parameters
        ----------
        values : dict
            Of the verb.
        max_memory : int, optional
            Bytes that the run may take.

        Raises
        ------
        RequestError
            If a dark frame, flat field or mask cannot be read.
        """
        from napari_selfdenoise.images import read_image

        paths = correction_files(values)
        given = {name: read_image(path) for name, path in paths.items()}
        for name in ("dark", "flat", "mask"):
            values.pop(name)
        return cls(
            values.pop("frame"),
            values.pop("axes"),
            values.pop("series"),
            values.pop("pixel_size"),
            Corrections(**given),
            max_memory,
        )

    def read(self, path: str) -> Image:
        """Read an input and correct it; notes on it go to stderr.

        Raises
        ------
        RequestError
            If it cannot be read or denoised.
        """
        from napari_selfdenoise.images import read_image

        how: Any = {"axes": self.axes, "series": self.series}
        how |= {"pixel_size": self.pixel_size, "max_memory": self.max_memory}
        image = read_image(path, **how)
        require_denoisable(image)
        self.types[path] = image.dtype
        # A mask may be that of the whole stack.
        image = Corrections(mask=self.corrections.mask).apply(image)
        image = image if self.frame is None else image.frame(self.frame)
        camera = Corrections(self.corrections.dark, self.corrections.flat)
        image = camera.apply(image)
        for note in image.notes:
            say(note)
        if image.notes and not self.axes:
            self._say_axes(path)
        return image

    def type_of(self, path: str, wanted: bool) -> Any:
        """Type of an input's pixels, for results; None where these are to be floats.

        Raises
        ------
        RequestError
            If they are wanted as whole numbers, but the input holds others.
        """
        dtype = self.types[path]
        if wanted and dtype.kind not in "ui":
            raise RequestError(
                f"{path} holds numbers of the type {dtype}: there is nothing to round.",
                "Leave --type-of-source out.",
            )
        return dtype if wanted else None

    def _say_axes(self, path: str) -> None:
        """Print how images that a file calls colours are read as channels."""
        from napari_selfdenoise.images import axes_with_channels

        if axes := axes_with_channels(path, self.series):
            say(f"If the colours of {path} are channels, give --axes {axes}.")

    def read_all(self, paths: Sequence[str]) -> tuple[list[Image], list[str]]:
        """Read inputs to train on; those that cannot be read are left out.

        Returns
        -------
        list of Image
            At least one.
        list of str
            Which were left out, and why.

        Raises
        ------
        RequestError
            If not one can be read.
        """
        images: list[Image] = []
        errors: list[Exception] = []
        left_out: list[str] = []
        for path in paths:
            try:
                images.append(self.read(path))
            except (RequestError, DenoisingError) as error:
                errors.append(error)
                left_out.append(left_out_note(path, error))
        if not images:
            raise errors[0]
        for note in left_out:
            say(note)
        return images, left_out

    def report(self) -> dict[str, Any]:
        """Corrections for the report of a verb; empty where there were none."""
        names = self.corrections.names()
        return {"corrections": names} if names else {}


def left_out_note(path: str, error: Exception) -> str:
    """Note on why one of several inputs was left out."""
    return f"{path} was left out: {error}"
