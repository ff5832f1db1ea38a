"""Triton, a compiler of PyTorch, beside the driver that draws the window."""

from __future__ import annotations

import sys
from pathlib import Path

LIBRARIES = Path("/proc/self/maps")
"""Where Linux lists the libraries of a process; no other system needs this."""


def keep_triton_out() -> None:
    """Leave triton out of this process where it would end it.

    Mesa, which draws windows on many Linux computers, brings LLVM as a shared library.
    Triton has an LLVM of its own, and takes functions of that one by mistake: the
    process ends as triton is imported. PyTorch imports it before a first training,
    where it is installed, whether it is used or not. Nothing here uses it.
    """
    if "triton" not in sys.modules and _has_shared_llvm():
        # To Python, a module that is not installed.
        sys.modules["triton"] = None  # type: ignore[assignment]


def _has_shared_llvm() -> bool:
    try:
        return "libLLVM" in LIBRARIES.read_text(errors="replace")
    except OSError:
        return False
