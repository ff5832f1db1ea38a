"""The pages become a site without a warning, and no link on it is broken."""

import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urldefrag

import pytest

import napari_selfdenoise
from napari_selfdenoise import cli

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The site, as `make docs` builds it."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "sphinx", "-q", "-n", "-W", "--keep-going"]
    run = subprocess.run(
        [*command, "-c", "docs", "-d", str(folder / "kept"), ".", str(folder / "html")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    return folder / "html"


class Anchors(HTMLParser):
    """Links, pictures and places of a page."""

    def __init__(self, page):
        super().__init__()
        self.links, self.places = [], {""}
        self.feed(page.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        self.places.add(found.get("id", ""))
        name = {"a": "href", "img": "src", "source": "srcset"}.get(tag, "")
        self.links += [found[name]] if found.get(name) else []


def test_every_page_is_there(site):
    pages = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *ROOT.glob("docs/**/*.md")]
    for page in pages:
        assert (site / page.relative_to(ROOT).with_suffix(".html")).exists(), page
    assert "docs/index.html" in (site / "index.html").read_text(encoding="utf-8")


def test_no_link_is_broken(site):
    pages = {page: Anchors(page) for page in site.rglob("*.html")}
    for page, content in pages.items():
        for link in content.links:
            if re.match(r"(https?|mailto|data):", link) or link == "#":
                continue
            path, place = urldefrag(unquote(link))
            target = (page.parent / path).resolve() if path else page
            assert target.exists(), f"{page.name}: {link}"
            if place and target in pages:
                assert place in pages[target].places, f"{page.name}: {link}"


def test_every_verb_and_its_flags_are_in_the_reference(site):
    page = site / "docs" / "reference" / "commands.html"
    text = page.read_text(encoding="utf-8")
    for verb, command in cli.cli.commands.items():
        assert f'id="selfdenoise-{verb}"' in text
        flags = [p.opts[0] for p in command.params if p.param_type_name == "option"]
        for flag in flags:
            assert f'id="cmdoption-selfdenoise-{verb}-{flag.strip("-")}"' in text, flag


def test_every_public_name_is_in_the_reference(site):
    page = Anchors(site / "docs" / "reference" / "python.html")
    for name in set(napari_selfdenoise.__all__) - {"__version__"}:
        assert f"napari_selfdenoise.{name}" in page.places, name
