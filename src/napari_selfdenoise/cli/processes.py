"""Verbs that several processes work at together: the first one speaks and writes."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from pathlib import Path

from napari_selfdenoise.compute import Processes
from napari_selfdenoise.errors import RequestError

_TOGETHER = ("train",)
"""Verbs whose work is shared."""

_WAIT_S = 5.0
"""Seconds in which the first process says what is wrong, if it is so for all."""


def require_together(verb: str) -> None:
    """Refuse a verb that each process would do as a whole.

    Raises
    ------
    RequestError
        If torchrun has started several.
    """
    count = Processes.started().count
    if count > 1 and verb not in _TOGETHER:
        raise RequestError(
            f"{count} processes were started, and each would do all that `{verb}` "
            "does: only `train` shares its work among them.",
            "Start it without torchrun. To denoise on several machines, give `predict "
            "--scheduler`.",
        )


@contextmanager
def only_first_speaks() -> Iterator[None]:
    """Print nothing inside the context, but for the first process."""
    if Processes.started().is_first:
        yield
        return
    with (
        Path(os.devnull).open("w") as nothing,
        redirect_stdout(nothing),
        redirect_stderr(nothing),
    ):
        yield


def wait_for_first() -> str:
    """Let the first process say what went wrong, if it is so for all.

    torchrun ends all processes once one has failed.

    Returns
    -------
    str
        Which process this is, for what it has to say; empty for the first.
    """
    processes = Processes.started()
    if processes.is_first:
        return ""
    with suppress(KeyboardInterrupt):
        time.sleep(_WAIT_S)
    return f"In process {processes.rank} of {processes.count}: "
