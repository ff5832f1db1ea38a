"""What a release says of itself is the same wherever it stands."""

import importlib
import re
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
import yaml
from packaging.version import Version

from napari_selfdenoise import version

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
CITATION = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
HUB = ROOT / ".napari-hub"


@pytest.fixture
def not_installed(monkeypatch):
    """The version as a source tree has it that was never installed."""

    def missing(name):
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "version", missing)
    yield importlib.reload(version).__version__
    monkeypatch.undo()
    importlib.reload(version)


def test_the_version_without_git_or_installation_is_the_one_that_is_cited(
    not_installed,
):
    assert not_installed == PROJECT["tool"]["hatch"]["version"]["fallback-version"]
    assert not_installed == str(CITATION["version"])


def test_the_version_is_one_of_a_release_or_of_a_commit_after_it():
    assert Version(version.__version__) >= Version("0.1.0")


def test_the_citation_is_complete():
    assert CITATION["cff-version"] == "1.2.0"
    assert CITATION["type"] == "software"
    assert CITATION["license"] == PROJECT["project"]["license"]
    for work in (CITATION, *CITATION["references"]):
        assert work["title"]
        assert work["authors"]


def test_all_links_lead_to_one_home():
    home = PROJECT["project"]["urls"]["Homepage"]
    assert CITATION["repository-code"] == CITATION["url"] == home
    assert all(url.startswith(home) for url in PROJECT["project"]["urls"].values())


def test_the_hub_finds_the_plugin():
    assert "Framework :: napari" in PROJECT["project"]["classifiers"]
    assert PROJECT["project"]["entry-points"]["napari.manifest"]
    config = yaml.safe_load((HUB / "config.yml").read_text(encoding="utf-8"))
    assert config["summary"] == PROJECT["project"]["description"]
    assert config["authors"] == PROJECT["project"]["authors"]


def test_what_the_hub_shows_is_in_the_repository():
    home = PROJECT["project"]["urls"]["Homepage"].removeprefix("https://github.com/")
    text = (HUB / "DESCRIPTION.md").read_text(encoding="utf-8")
    paths = re.findall(rf"{home}/(?:blob/)?main/([^)#\s]+)", text)
    assert len(paths) > 2
    assert all((ROOT / path).exists() for path in paths)


def test_every_folder_of_the_sdist_is_there():
    for name in PROJECT["tool"]["hatch"]["build"]["targets"]["sdist"]["only-include"]:
        assert (ROOT / name).exists(), name
