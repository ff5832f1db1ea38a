"""Arrays with axes, their files and their pieces: tiles, bins, samples.

The lowest room: it imports errors alone. For every other room.
"""

from napari_selfdenoise.images.acquisition import Acquisition
from napari_selfdenoise.images.amounts import bytes_in_words
from napari_selfdenoise.images.atomic_write import (
    replacing,
    require_folder,
    require_no_folder,
    reserve,
    saving,
)
from napari_selfdenoise.images.axes import (
    axis_letter,
    axis_letters,
    in_order_of,
    likely_axis,
    parse_pixel_size,
    pixel_size_text,
    with_pixel_size,
)
from napari_selfdenoise.images.binning import (
    sliding_means,
    to_bins,
    to_pixels,
    variance_of_bins,
    whole_bins,
)
from napari_selfdenoise.images.coverage import Coverage
from napari_selfdenoise.images.digest import file_stamp, image_digest
from napari_selfdenoise.images.display import Look
from napari_selfdenoise.images.field_of_view import FieldOfView
from napari_selfdenoise.images.foreign_text import parse_json, printable, table_cell
from napari_selfdenoise.images.formats import FORMATS, format_of, is_zarr
from napari_selfdenoise.images.image import (
    Image,
    as_frames,
    as_line_scan,
    is_in_memory,
    require_denoisable,
)
from napari_selfdenoise.images.normalization import Normalization
from napari_selfdenoise.images.orientations import (
    ROTATIONS,
    UNTURNED,
    Turn,
    turned,
    turned_back,
)
from napari_selfdenoise.images.picking import spread
from napari_selfdenoise.images.plane_choice import (
    IN_VIEW,
    STACK,
    chosen_planes,
    is_large,
)
from napari_selfdenoise.images.planes import UNNAMED_AXES, PlaneIndex
from napari_selfdenoise.images.pyramid import is_huge, levels
from napari_selfdenoise.images.reading import read_image, series_names
from napari_selfdenoise.images.samples import (
    FMD_CREDIT,
    fish_average,
    fish_frame,
    poisson_gaussian_stack,
)
from napari_selfdenoise.images.statistics import (
    bins_by_signal,
    means_of_bins,
    weighted_means_by_signal,
)
from napari_selfdenoise.images.tiff_reading import axes_with_channels, file_stem
from napari_selfdenoise.images.tiff_writing import was_written_here
from napari_selfdenoise.images.tiling import (
    Tile,
    parts_of,
    read_padded,
    sources,
    tile_grid,
)
from napari_selfdenoise.images.units import in_micrometres, unit_symbol
from napari_selfdenoise.images.whole_numbers import Rounded, rounded, storable
from napari_selfdenoise.images.writing import ImageWriter, write_image
from napari_selfdenoise.images.zarr_levels import CHUNK_PX
from napari_selfdenoise.images.zarr_writing import StartedZarr, write_ome_zarr

__all__ = [
    "CHUNK_PX",
    "FMD_CREDIT",
    "FORMATS",
    "IN_VIEW",
    "ROTATIONS",
    "STACK",
    "UNNAMED_AXES",
    "UNTURNED",
    "Acquisition",
    "Coverage",
    "FieldOfView",
    "Image",
    "ImageWriter",
    "Look",
    "Normalization",
    "PlaneIndex",
    "Rounded",
    "StartedZarr",
    "Tile",
    "Turn",
    "as_frames",
    "as_line_scan",
    "axes_with_channels",
    "axis_letter",
    "axis_letters",
    "bins_by_signal",
    "bytes_in_words",
    "chosen_planes",
    "file_stamp",
    "file_stem",
    "fish_average",
    "fish_frame",
    "format_of",
    "image_digest",
    "in_micrometres",
    "in_order_of",
    "is_huge",
    "is_in_memory",
    "is_large",
    "is_zarr",
    "levels",
    "likely_axis",
    "means_of_bins",
    "parse_json",
    "parse_pixel_size",
    "parts_of",
    "pixel_size_text",
    "poisson_gaussian_stack",
    "printable",
    "read_image",
    "read_padded",
    "replacing",
    "require_denoisable",
    "require_folder",
    "require_no_folder",
    "reserve",
    "rounded",
    "saving",
    "series_names",
    "sliding_means",
    "sources",
    "spread",
    "storable",
    "table_cell",
    "tile_grid",
    "to_bins",
    "to_pixels",
    "turned",
    "turned_back",
    "unit_symbol",
    "variance_of_bins",
    "was_written_here",
    "weighted_means_by_signal",
    "whole_bins",
    "with_pixel_size",
    "write_image",
    "write_ome_zarr",
]
