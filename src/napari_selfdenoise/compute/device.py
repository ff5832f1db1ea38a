"""Devices to compute on, and the number format that is fastest on each."""

from __future__ import annotations

import ctypes
import functools
import os
import platform
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, TypeVar

import torch
import torch.nn.functional as F

from napari_selfdenoise.compute.measurement_cache import cached, forget
from napari_selfdenoise.errors import DenoisingError, RequestError

Result = TypeVar("Result")


def available_devices() -> dict[str, str]:
    """Devices of this machine: name for `resolve_device` -> what to show."""
    devices = {}
    for index in range(torch.cuda.device_count()):
        devices[f"cuda:{index}"] = f"GPU: {torch.cuda.get_device_name(index)}"
    if torch.backends.mps.is_available():
        devices["mps"] = "GPU: Apple Metal"
    devices["cpu"] = f"CPU ({os.cpu_count()} cores)"
    return devices


def resolve_device(name: str) -> torch.device:
    """Return the device a name stands for; "auto" is the first GPU, else the CPU.

    Raises
    ------
    RequestError
        If this machine has no such device.
    """
    devices = available_devices()
    if name == "auto":
        return torch.device(next(iter(devices)))
    wanted = "cuda:0" if name == "cuda" else name
    if wanted not in devices:
        raise RequestError(
            f"The device {name!r} is not there; this machine has {', '.join(devices)}.",
            'Choose one of these, or "auto".',
        )
    return torch.device(wanted)


@functools.cache
def fastest_precision(device: torch.device) -> torch.dtype:
    """Number format in which a small network trains fastest, by a trial of < 1 s.

    The trial is made once on a machine, as equal seeds give equal results with the same
    format only. `doctor` makes it anew.
    """
    what = f"precision of {_model(device)}, torch {torch.__version__}"
    return _FORMATS[cached(what, lambda: _winner(device))]


_FORMATS = {"float32": torch.float32, "bfloat16": torch.bfloat16}


def _model(device: torch.device) -> str:
    """Name of the model of a device, which differs between kinds of hardware."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{device.type} of {platform.node()} ({platform.machine()})"


def _winner(device: torch.device) -> str:
    """Name of the number format that wins a trial.

    bfloat16 is 6 times faster on CPUs that have units for it, and slower on others;
    it must win clearly, so that the choice does not depend on what else is running.
    """
    seconds = {name: trial_seconds(device, dtype) for name, dtype in _FORMATS.items()}
    wins = seconds["bfloat16"] < 0.75 * seconds["float32"]
    return "bfloat16" if wins else "float32"


def speeds(device: torch.device) -> dict[str, float]:
    """Speed of each number format on a device, divided by that of float32.

    0 where the device does not have the format. Earlier trials are forgotten.
    """
    forget()
    fastest_precision.cache_clear()
    seconds = {name: trial_seconds(device, dtype) for name, dtype in _FORMATS.items()}
    return {name: seconds["float32"] / spent for name, spent in seconds.items()}


def resolve_precision(device: torch.device, name: str) -> torch.dtype:
    """Return the number format that a config's `precision` asks for."""
    if name == "auto":
        return fastest_precision(device)
    return _FORMATS[name]


def autocast(
    device: torch.device, dtype: torch.dtype
) -> AbstractContextManager[object]:
    """Context in which convolutions run in `dtype`."""
    if dtype == torch.float32:
        return nullcontext()
    return torch.autocast(device.type, dtype=dtype)


def trial_seconds(device: torch.device, dtype: torch.dtype) -> float:
    """Time a forward and backward pass of two convolutions; inf if it cannot."""
    weight = torch.full((32, 32, 3, 3), 0.01, device=device, requires_grad=True)
    image = torch.ones((2, 32, 96, 96), device=device)
    image = image.contiguous(memory_format=torch.channels_last)
    best = float("inf")
    try:
        for _ in range(4):
            start = time.perf_counter()
            with autocast(device, dtype):
                loss = F.conv2d(F.conv2d(image, weight), weight).sum()
            torch.autograd.backward(loss)
            _synchronize(device)
            best = min(best, time.perf_counter() - start)
    except (RuntimeError, NotImplementedError):
        return float("inf")  # this device cannot compute in this format
    return best


def _synchronize(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


def compute_threads() -> int:
    """Threads to compute with: OMP_NUM_THREADS, or all cores but one.

    Threads of one convolution wait for each other. With every core taken, anything
    else that runs, be it a window, makes training 3 to 6 times slower.
    """
    setting = os.environ.get("OMP_NUM_THREADS", "")
    return max(1, int(setting) if setting.isdigit() else (os.cpu_count() or 2) - 1)


_M_TRIM_THRESHOLD = -1  # option of glibc's mallopt
_M_MMAP_THRESHOLD = -3  # option of glibc's mallopt


@functools.cache
def _libc() -> ctypes.CDLL | None:
    """The C library, where it is glibc."""
    try:
        library = ctypes.CDLL("libc.so.6")
        return library if hasattr(library, "malloc_trim") else None
    except OSError:
        return None


def give_back_memory() -> None:
    """Give freed memory back to the system, though it will be needed again."""
    library = _libc()
    if library is not None:
        library.malloc_trim(0)


@contextmanager
def _kept_memory() -> Iterator[None]:
    """Keep freed memory for the next step instead of giving it back each time.

    A training step takes and frees the same megabytes again and again; each time the
    system maps and clears them anew, which costs a third of the step on a CPU.
    """
    library = _libc()
    if library is None:
        yield
        return
    library.mallopt(_M_MMAP_THRESHOLD, 32 * 2**20)
    library.mallopt(_M_TRIM_THRESHOLD, 256 * 2**20)
    try:
        yield
    finally:
        library.malloc_trim(0)


@contextmanager
def _repeatable() -> Iterator[None]:
    """Let equal seeds give equal results on a GPU too, inside the context.

    Many CUDA kernels add up in whatever order their threads finish. What has no other
    kernel still runs, with a warning.
    """
    if not torch.cuda.is_available():
        yield
        return
    # Stays set: it is read only once, when matrices are first multiplied.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    before = torch.are_deterministic_algorithms_enabled()
    warned = torch.is_deterministic_algorithms_warn_only_enabled()
    memory: Any = torch.utils.deterministic  # typed as if it had no attributes
    filled = memory.fill_uninitialized_memory
    torch.use_deterministic_algorithms(True, warn_only=True)
    # Memory is written before it is read here; filling it first would only take time.
    memory.fill_uninitialized_memory = False
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before, warn_only=warned)
        memory.fill_uninitialized_memory = filled


@contextmanager
def computing(in_background: bool) -> Iterator[None]:
    """Make results repeatable, set the compute threads, and put both back afterwards.

    Parameters
    ----------
    in_background : bool
        Lower this thread's priority as well, on Linux, so that a window stays smooth.
        A thread cannot raise it again: only for threads that do nothing else.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(compute_threads())
    if in_background and sys.platform == "linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 10)
    try:
        with _kept_memory(), _repeatable():
            yield
    finally:
        torch.set_num_threads(before)


def lacks_memory(error: BaseException) -> bool:
    """Whether an error says that there is no memory left, on whatever device."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    # On a CPU, and on Apple's GPUs, only the words tell.
    text = str(error) if isinstance(error, RuntimeError) else ""
    return any(words in text for words in _NO_MEMORY)


_NO_MEMORY = (
    "out of memory",
    "can't allocate memory",
    "not enough memory",
    "STATUS_ALLOC_FAILED",
)


def is_lost(error: BaseException) -> bool:
    """Whether an error says that a device stopped working, as a GPU that was reset.

    Nothing that lies on it can be read any more, by this process at least.
    """
    if lacks_memory(error) or not isinstance(error, RuntimeError):
        return False
    kinds = getattr(torch, "AcceleratorError", ())  # of newer versions
    return isinstance(error, kinds) or any(words in str(error) for words in _LOST)


_LOST = (
    "CUDA error",
    "HIP error",
    "cuDNN error",
    "CUDNN_STATUS",
    "CUBLAS_STATUS",
    "device-side assert",
    "unspecified launch failure",
)


def if_memory_allows(work: Callable[[], Result]) -> Result | None:
    """Result of some work; None where the device has too little memory for it."""
    try:
        return work()
    except (RuntimeError, MemoryError) as error:
        if not lacks_memory(error):
            raise
    # Not above: there the error still holds what was computed.
    free_memory()
    return None


def free_memory() -> None:
    """Give back what torch keeps of a GPU's memory for its next use."""
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    elif torch.backends.mps.is_available():
        torch.mps.empty_cache()


@contextmanager
def device_errors_as_sentences(
    what: str, kept: Callable[[], str] | None = None
) -> Iterator[None]:
    """Turn the failure of a device into a sentence that says what to try.

    Parameters
    ----------
    what : str
        What was being done, such as "training".
    kept : callable, optional
        Says what is not lost, in a sentence; may give none.
    """
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        rest = kept() if kept else ""
        if lacks_memory(error):
            raise DenoisingError(
                f"The device ran out of memory while {what}.",
                "Choose a smaller batch or a narrower network, close other programs "
                f"that use the GPU, or choose the CPU. {rest}".strip(),
            ) from error
        if not is_lost(error):
            raise
        raise DenoisingError(
            f"The device stopped working while {what}: {_first_line(error)}.",
            f"Restart the program, or choose the CPU. {rest}".strip(),
        ) from error


def _first_line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0].rstrip(".")
