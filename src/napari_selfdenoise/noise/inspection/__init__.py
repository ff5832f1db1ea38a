"""What a noise model says of noise, next to what was measured: all that plots show.

Every figure comes from a `NoiseCurve` and, where pairs of signal and observation are at
hand, from a `MeasuredNoise` of them.
"""

from napari_selfdenoise.noise.inspection.bootstrap import bootstrap_steps
from napari_selfdenoise.noise.inspection.figures import (
    Figures,
    ShapeFigure,
    SignalDensity,
    StdFigure,
    all_figures,
    density_figure,
    numbers_at,
    shape_figure,
    std_figure,
    tables,
)
from napari_selfdenoise.noise.inspection.inspected import (
    ELECTRONS,
    GREY_VALUES,
    InspectedNoise,
    inspect_curve,
    inspect_fitted,
    inspect_model_curves,
    with_measurement,
)
from napari_selfdenoise.noise.inspection.maps import NoiseMaps, noise_maps
from napari_selfdenoise.noise.inspection.measured import (
    MeasuredNoise,
    measure_noise_steps,
    measure_pairs,
)

__all__ = [
    "ELECTRONS",
    "GREY_VALUES",
    "Figures",
    "InspectedNoise",
    "MeasuredNoise",
    "NoiseMaps",
    "ShapeFigure",
    "SignalDensity",
    "StdFigure",
    "all_figures",
    "bootstrap_steps",
    "density_figure",
    "inspect_curve",
    "inspect_fitted",
    "inspect_model_curves",
    "measure_noise_steps",
    "measure_pairs",
    "noise_maps",
    "numbers_at",
    "shape_figure",
    "std_figure",
    "tables",
    "with_measurement",
]
