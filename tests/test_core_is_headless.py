"""The core computes without a window, and napari finds the plugin."""

import pkgutil
import subprocess
import sys
from importlib.resources import files
from pathlib import Path

import pytest
import yaml

import napari_selfdenoise

PACKAGE = Path(napari_selfdenoise.__file__).parent
MODULES = [
    module.name
    for module in pkgutil.walk_packages([str(PACKAGE)], "napari_selfdenoise.")
    if not module.name.startswith("napari_selfdenoise.plugin")
]
MANIFEST = yaml.safe_load(files(napari_selfdenoise).joinpath("napari.yaml").read_text())


def loaded_after(imports):
    """Top-level modules that a fresh interpreter holds after some imports."""
    code = f"import sys, {imports}; print(*{{m.split('.')[0] for m in sys.modules}})"
    command = [sys.executable, "-c", code]
    return set(subprocess.check_output(command, text=True).split())


def test_the_core_loads_no_gui():
    assert "napari_selfdenoise.training.training_run" in MODULES
    loaded = loaded_after(", ".join(MODULES))
    gui = {"qtpy", "napari", "magicgui", "superqt", "pyqtgraph", "PySide6", "PyQt6"}
    assert not gui & loaded
    assert "matplotlib" not in loaded  # only when a figure is drawn


def test_importing_the_package_is_quick():
    loaded = loaded_after("napari_selfdenoise")
    assert not {"torch", "numpy", "pydantic"} & loaded


def test_every_public_name_is_there():
    for name in napari_selfdenoise.__all__:
        assert getattr(napari_selfdenoise, name).__doc__
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        napari_selfdenoise.nothing  # noqa: B018


def test_the_manifest_at_the_top_is_the_one_in_the_package():
    top = Path(__file__).parent.parent / "napari.yaml"
    if not top.is_symlink():
        pytest.skip("symlinks are plain text in this checkout")
    assert top.read_text() == (PACKAGE / "napari.yaml").read_text()


def test_every_contribution_names_a_declared_command():
    contributions = MANIFEST["contributions"]
    declared = {command["id"] for command in contributions["commands"]}
    menus = [item for menu in contributions["menus"].values() for item in menu]
    used = [*contributions["widgets"], *contributions["sample_data"], *menus]
    used += [*contributions["readers"], *contributions["writers"]]
    assert {entry["command"] for entry in used} == declared
    assert all(name.startswith("napari-selfdenoise.") for name in declared)


def test_the_manifest_is_found_by_its_distribution():
    from npe2 import PluginManifest

    manifest = PluginManifest.from_distribution("napari-selfdenoise")
    assert manifest.name == MANIFEST["name"] == "napari-selfdenoise"
