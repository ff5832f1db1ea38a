"""Pictures of the pixel probe in a real napari window, in both themes, for the docs.

Run as ``python scripts/probe_screenshots.py OUT``; without a screen, put
``xvfb-run -s "-screen 0 1600x1000x24"`` before it. Trains for a few hundred steps on a
part of the shipped image, and points at one of its pixels.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from window_screenshots import THEMES, take, wait

SIDE = 256
PIXEL = (40, 60)
TRAINING = {
    "signal": "mixture",
    "noise_model": "poisson_gaussian",
    "objective": "likelihood",
    "estimator": "posterior_mean",
    "masking": "random",
    "steps": 250,
    "network.width": 16,
    "patch_size": 48,
    "batch_size": 6,
    "flips": False,
    "precision": "float32",
    "device": "cpu",
}


def trained(path: Path) -> Any:
    """Train on a part of the shipped image, and keep the model; returns the pixels."""
    from napari_selfdenoise import Image, recipe, save_model, train
    from napari_selfdenoise.images import fish_frame

    pixels = fish_frame().data[:SIDE, :SIDE].copy()
    model = train(Image(pixels, "YX", name="fish"), recipe("fast").override(TRAINING))
    save_model(model, path)
    return pixels


def photograph(folder: Path, theme: str, pixels: Any, model: Path) -> None:
    """Open a window in a theme, point at the pixel, and take a picture."""
    import napari

    viewer = napari.Viewer(show=True)
    viewer.theme = theme
    layer = viewer.add_image(pixels, name="fish", scale=(0.108,) * 2, units=("um",) * 2)
    _, dock = viewer.window.add_plugin_dock_widget("napari-selfdenoise", "Denoise")
    wait(lambda: hasattr(dock, "controls") and dock.controls.train.isEnabled(), 60)
    viewer.window.resize(1280, 800)
    dock.load_model(model)
    point(viewer, dock, layer)
    take(viewer, folder / f"pixel-probe-{theme}.png")
    viewer.close()


def point(viewer: Any, dock: Any, layer: Any) -> None:
    """Point at the pixel, as a mouse does, and wait for its curves."""
    wait(lambda: dock.controls.probe.box.isEnabled(), 60)
    dock.controls.probe.box.click()
    wait(lambda: False, 0.5)
    event = SimpleNamespace(position=layer.data_to_world(PIXEL))
    for callback in list(viewer.mouse_move_callbacks):
        callback(viewer, event)
    wait(lambda: f"y {PIXEL[0]}," in dock.controls.probe.words.text(), 60)
    wait(lambda: False, 1.0)


def main() -> None:
    """Take all pictures, with napari's own settings left alone."""
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as place:
        os.environ["NAPARI_CONFIG"] = str(Path(place) / "settings.yaml")
        model = Path(place) / "model.safetensors"
        pixels = trained(model)
        for theme in THEMES:
            photograph(folder, theme, pixels, model)


if __name__ == "__main__":
    main()
