"""Which reader reads which file: by the end of its name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from napari_selfdenoise.images.formats import (
    czi,
    hdf5,
    lif,
    mrc,
    nd2,
    oif,
    ome_zarr,
    png,
)
from napari_selfdenoise.images.formats.recorded import Listed


class Format(NamedTuple):
    """A file format and its reader.

    Attributes
    ----------
    name : str
        What users call it.
    suffixes : tuple of str
        Ends of file names, in lower case.
    images_in : callable
        Lists the images of a file.
    library : str
        What reads it, where that is not installed with the program; else empty.
    """

    name: str
    suffixes: tuple[str, ...]
    images_in: Callable[[Path], list[Listed]]
    library: str = ""


FORMATS = (
    Format("OME-Zarr", (".zarr",), ome_zarr.images_in),
    Format("CZI", (".czi",), czi.images_in, "czifile"),
    Format("LIF", (".lif",), lif.images_in, "liffile"),
    Format("ND2", (".nd2",), nd2.images_in, "nd2"),
    Format("OIF", (".oif", ".oib"), oif.images_in, "oiffile"),
    Format("MRC", mrc.SUFFIXES, mrc.images_in, "mrcfile"),
    Format("HDF5", (".h5", ".hdf5"), hdf5.images_in, "h5py"),
    Format("PNG", (".png",), png.images_in),
)
"""All but TIFF, which is what a file is taken for that has none of these names."""


def format_of(path: Path) -> Format | None:
    """Format of a file or folder by its name; None for TIFF, and other folders."""
    if ome_zarr.is_zarr(path):
        return FORMATS[0]
    name = path.name.lower()
    return next((one for one in FORMATS if name.endswith(one.suffixes)), None)
