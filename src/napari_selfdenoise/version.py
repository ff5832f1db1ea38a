"""The version of this program."""

from importlib import metadata

# As in pyproject.toml: of a source tree that is used without having been installed.
_FALLBACK = "0.1.0"

try:
    __version__ = metadata.version("napari-selfdenoise")
except metadata.PackageNotFoundError:
    __version__ = _FALLBACK
