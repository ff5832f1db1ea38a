"""The one table of units."""

import numpy as np
import pytest

from napari_selfdenoise import Image, RequestError, write_image
from napari_selfdenoise.config.files import read_bead
from napari_selfdenoise.images import in_micrometres
from napari_selfdenoise.images.units import unit_symbol
from napari_selfdenoise.parts.psf import MeasuredPSF


@pytest.mark.parametrize(
    ("written", "symbol", "micrometres"),
    [
        ("um", "µm", 1),
        ("μm", "µm", 1),  # Greek mu
        ("\\u00B5m", "µm", 1),
        ("Micron", "µm", 1),
        ("nanometres", "nm", 1e-3),
        ("mm", "mm", 1e3),
        ("centimeter", "cm", 1e4),
        ("inch", "in", 25_400),
        ("Å", "Å", 1e-4),
        ("sec", "s", None),
        ("px", "pixel", None),
        ("furlong", "furlong", None),
    ],
)
def test_a_unit_is_known_however_it_is_written(written, symbol, micrometres):
    assert unit_symbol(written) == symbol
    assert in_micrometres(written) == micrometres


@pytest.mark.parametrize("unit", ["mm", "µm", "nm", "m"])
def test_a_bead_of_other_pixels_is_refused_in_any_unit(tmp_path, unit):
    """One whose pixel size was written in mm was once accepted at any size."""
    bead = np.zeros((31, 31), np.float32)
    y, x = np.ogrid[-15:16, -15:16]
    bead += 1000 * np.exp(-(y**2 + x**2) / 8)
    size = 0.4 / in_micrometres(unit)
    path = tmp_path / "bead.ome.tif"
    write_image(Image(bead, "YX", (size, size), (unit, unit)), path)
    with pytest.raises(RequestError, match=r"recorded with pixels of 0\.4 × 0\.4 µm"):
        read_bead(MeasuredPSF(file=str(path)), (0.1, 0.1))
    assert read_bead(MeasuredPSF(file=str(path)), (0.4, 0.4)).values
