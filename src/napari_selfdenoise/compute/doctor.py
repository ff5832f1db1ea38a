"""Versions, devices and speeds of this machine, and combinations known to be bad."""

from __future__ import annotations

import platform
import sys
from importlib import metadata
from typing import Any

import torch

from napari_selfdenoise.compute.device import (
    available_devices,
    compute_threads,
    resolve_device,
    speeds,
)

_PACKAGES = (
    "napari-selfdenoise",
    "napari",
    "npe2",
    "torch",
    "numpy",
    "pydantic",
    "tifffile",
    "zarr",
    "pyqtgraph",
    "superqt",
    "qtpy",
    "PySide6-Essentials",
    "PySide6",
    "PyQt6",
    "matplotlib",
)


def examine() -> dict[str, Any]:
    """Return versions, devices, number formats and warnings, as JSON values."""
    versions = {name: _version(name) for name in _PACKAGES}
    device = resolve_device("auto")
    return {
        "python": platform.python_version(),
        "system": platform.platform(),
        "versions": {name: v for name, v in versions.items() if v},
        "devices": available_devices(),
        "device": str(device),
        "threads": compute_threads(),
        "training_speed": _speeds(device),
        "warnings": _warnings(versions),
    }


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _speeds(device: torch.device) -> dict[str, str]:
    """How fast each number format is, as a ratio to float32."""
    return {
        name: f"{speed:.1f} x" if speed else "no"
        for name, speed in speeds(device).items()
    }


def _warnings(versions: dict[str, str | None]) -> list[str]:
    found = []
    pyside = versions["PySide6-Essentials"] or versions["PySide6"] or ""
    if pyside.startswith("6.12.0") and sys.version_info < (3, 12):
        found.append(
            "PySide6 6.12.0 crashes Python 3.11 after some minutes: "
            'pip install "PySide6-Essentials<6.12".'
        )
    if pyside in ("6.11.0", "6.11.1"):
        found.append(f'napari refuses PySide6 {pyside}: pip install "PySide6>=6.11.2".')
    if versions["napari"] is None:
        found.append('No napari: pip install "napari-selfdenoise[gui]" for the window.')
    elif not (pyside or versions["PyQt6"]):
        found.append("napari has no Qt binding: pip install PySide6-Essentials.")
    if versions["matplotlib"] is None:
        found.append('No matplotlib: pip install "napari-selfdenoise[figures]".')
    return found
