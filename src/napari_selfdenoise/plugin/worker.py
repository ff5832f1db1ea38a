"""Running a core generator in a thread: the one place where that is done."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any

from napari.qt.threading import GeneratorWorker, create_worker

from napari_selfdenoise.errors import DenoisingError, RequestError


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
    """

    def __init__(
        self,
        make: Callable[[], Generator[Any, Any, Any]],
        on_progress: Callable[[Any], None],
        on_result: Callable[[Any], None],
        on_error: Callable[[Exception], None],
    ) -> None:
        self._worker: GeneratorWorker = create_worker(
            _translated, make, _start_thread=False
        )
        self._worker.yielded.connect(on_progress)
        self._worker.returned.connect(on_result)
        self._worker.errored.connect(on_error)
        self._final = False

    def start(self) -> None:
        """Begin."""
        self._worker.start()

    @property
    def running(self) -> bool:
        """Whether the thread is still at work."""
        return bool(self._worker.is_running)

    def send(self, message: Any, *, final: bool = False) -> None:
        """Send a message to the generator; nothing may follow a final one."""
        # The worker has room for one message: a stop must not be overwritten.
        if not self._final:
            self._worker.send(message)
        self._final = self._final or final

    def abandon(self) -> None:
        """End at the next yield and throw the result away."""
        self._worker.quit()


def _translated(
    make: Callable[[], Generator[Any, Any, Any]],
) -> Generator[Any, Any, Any]:
    """Run the generator; RuntimeError would vanish without a word in the worker."""
    # A message sent before the first yield would be refused by Python.
    yield None
    try:
        return (yield from make())
    except RuntimeError as error:
        raise DenoisingError(
            f"The computation failed: {error}.",
            "Try the CPU or float32 precision, and see `selfdenoise doctor`.",
        ) from error


def sentence(error: Exception) -> str:
    """What to tell the user of an error."""
    if isinstance(error, RequestError | DenoisingError):
        return str(error)
    return f"Something unexpected went wrong: {type(error).__name__}: {error}"
