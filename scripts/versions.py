"""Print the versions that a run of the tests depends on most, in one line."""

import platform
from importlib.metadata import PackageNotFoundError, version

PACKAGES = (
    "napari",
    "PySide6-Essentials",
    "PyQt6",
    "torch",
    "numpy",
    "magicgui",
    "pydantic",
    "zarr",
)


def main() -> None:
    """Print "Python 3.11.7, napari 0.9.2, ..."; what is not installed is left out."""
    found = [f"Python {platform.python_version()}"]
    for package in PACKAGES:
        try:
            found.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            continue
    print(", ".join(found))


if __name__ == "__main__":
    main()
