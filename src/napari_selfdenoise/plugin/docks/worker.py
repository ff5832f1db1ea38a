"""Running a core generator in a thread: the one place where that is done."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any

from superqt.utils import GeneratorWorker

from napari_selfdenoise.errors import DenoisingError, RequestError
from napari_selfdenoise.plugin.docks.triton import keep_triton_out

_CANCEL = object()
"""A message that is not for the generator: it is closed."""


class Run:
    """A core generator at work in a thread of its own.

    The callbacks are called in the window's thread. They must be methods of a Qt
    object, so that Qt drops the connection when that object is gone.

    Parameters
    ----------
    make : callable
        Makes the generator; called in the thread.
    on_progress : callable
        Receives what the generator yields.
    on_result : callable
        Receives what it returns, unless the run was abandoned.
    on_error : callable
        Receives the exception that ended it.
    on_abort : callable
        Called where somebody else ended it: napari does when it closes.
    """

    def __init__(
        self,
        make: Callable[[], Generator[Any, Any, Any]],
        on_progress: Callable[[Any], None],
        on_result: Callable[[Any], None],
        on_error: Callable[[Exception], None],
        on_abort: Callable[..., None],
    ) -> None:
        self._mailbox = Mailbox()
        self.cancelled = False
        # The class under napari's thread_worker. That one shows each error twice more,
        # as a traceback, and ties the worker to whichever viewer was used last: napari
        # 0.9.2 raises a TypeError there when a worker fails.
        self._worker = GeneratorWorker(_translated, make, self._mailbox.take)
        self._worker.yielded.connect(on_progress)
        self._worker.returned.connect(on_result)
        self._worker.errored.connect(on_error)
        self._worker.aborted.connect(on_abort)

    def start(self) -> None:
        """Begin."""
        self._worker.start()

    def send(self, message: Any, *, final: bool = False) -> None:
        """Send a message to the generator; nothing may follow a final one."""
        self._mailbox.put(message, final)

    def cancel(self) -> None:
        """End at the next yield without a result, even if it is ready."""
        self.cancelled = True
        self._mailbox.put(_CANCEL, final=True)

    def abandon(self) -> None:
        """End at the next yield and throw the result away."""
        self._worker.quit()


class Mailbox:
    """Room for one message to a generator; a final one stays in it for good.

    The worker's own mailbox loses a message that is sent before the generator's first
    yield, or while it takes the one before.
    """

    def __init__(self) -> None:
        self._message: Any = None
        self._final: Any = None

    def put(self, message: Any, final: bool = False) -> None:
        """Leave a message in the place of the one before."""
        if final:
            self._final = message
        else:
            self._message = message

    def take(self) -> Any:
        """Return the final message, else the last one, else None."""
        if self._final is not None:
            return self._final
        message, self._message = self._message, None
        return message


def _translated(
    make: Callable[[], Generator[Any, Any, Any]], next_message: Callable[[], Any]
) -> Generator[Any, Any, Any]:
    """Run the generator; its RuntimeError, lost in workers, becomes another error."""
    keep_triton_out()  # now, not once: a driver is loaded when something is drawn
    try:
        generator = make()
        progress = next(generator)
        while True:
            yield progress
            message = next_message()
            if message is _CANCEL:
                generator.close()
                return None
            progress = generator.send(message)
    except StopIteration as end:
        return end.value
    except RuntimeError as error:
        raise DenoisingError(
            f"The computation failed: {error}.",
            "Try the CPU or float32 precision, and see `selfdenoise doctor`.",
        ) from error


def sentence(error: Exception) -> str:
    """Message for the user about an error."""
    if isinstance(error, RequestError | DenoisingError):
        return str(error)
    return f"Something unexpected went wrong: {type(error).__name__}: {error}"
