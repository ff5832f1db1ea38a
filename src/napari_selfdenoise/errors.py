"""The errors a user can act on: what was found, what is needed, what to try."""

from __future__ import annotations


class RequestError(ValueError):
    """The request cannot be carried out as it was made (exit status 2).

    Parameters
    ----------
    message : str
        What was found and what is needed, as a sentence.
    hint : str
        What to try.
    """

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(f"{message} {hint}".strip())
        self.message = message
        self.hint = hint


class DenoisingError(Exception):
    """A run of a correct request has failed (exit status 1).

    Not a `RuntimeError` on purpose: napari's generator workers swallow those.

    Parameters
    ----------
    message : str
        What happened, as a sentence.
    hint : str
        What to try.
    """

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(f"{message} {hint}".strip())
        self.message = message
        self.hint = hint
