import base64
import errno
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import imagecodecs
import numpy as np
import pytest

from napari_selfdenoise import DenoisingError, Image, RequestError, recipe
from napari_selfdenoise.config import RECIPES, supervised
from napari_selfdenoise.evaluation import check_residual
from napari_selfdenoise.report import methods_paragraph, write_report
from napari_selfdenoise.report.methods_text import citations
from napari_selfdenoise.report.plots import plot
from napari_selfdenoise.version import __version__


class Page(HTMLParser):
    """Elements of a page, and all links of it."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.links, self.depth = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.links += [v for k, v in attrs if k in ("src", "href")]
        if tag not in ("img", "meta"):
            self.depth.append(tag)

    def handle_endtag(self, tag):
        assert self.depth.pop() == tag

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)


@pytest.fixture
def write(tmp_path, scene, model):
    def write(name="blobs", units=("µm", "µm"), **more):
        size = (0.1, 0.1)
        noisy = Image(scene.image.data, "YX", size, units, name)
        denoised = Image(scene.signal, "YX", name=name)
        check = check_residual(noisy, denoised)
        path = write_report(
            tmp_path / "r.html", model, noisy, denoised, check=check, **more
        )
        return path.read_text(encoding="utf-8")

    return write


def test_the_page_is_whole_and_needs_nothing_else(write):
    text = write(seconds=12.3)
    page = Page(text)
    assert page.depth == []
    assert page.tags.count("img") == 3
    assert page.tags.count("svg") == 2
    assert all(link.startswith("data:image/png;base64,") for link in page.links)
    shown = imagecodecs.png_decode(base64.b64decode(page.links[0].split(",")[1]))
    assert shown.shape == (64, 64)
    assert "http" not in text
    assert "structure" in text and "12.3" in text


def test_names_of_the_user_are_no_markup(write):
    text = write(name="<script>alert(1)</script>", warnings=['<img src="x">'])
    page = Page(text)
    assert "script" not in page.tags
    assert page.tags.count("img") == 3
    assert "&lt;script&gt;" in text


def test_the_scale_bar_is_there_where_the_pixel_size_is_known(write):
    (width, length) = re.findall(r'width:([\d.]+)%">([\d.]+) µm', write())[0]
    assert float(length) / 6.4 == pytest.approx(float(width) / 100, abs=1e-3)
    assert 'class="bar"' not in write(units=("pixel", "pixel"))


def test_the_methods_name_recipe_steps_seed_and_version(model):
    text, references = methods_paragraph(model)
    for word in ("fast", "60 steps", "seed 0", __version__, "Ollion 2021"):
        assert word in text
    assert any("Joint self-supervised" in reference for reference in references)


@pytest.mark.parametrize(
    ("name", "paper"),
    [
        ("n2v", "Krull 2019"),
        ("n2v2", "Höck 2022"),
        ("structn2v", "Broaddus 2020"),
        ("n2s", "Batson 2019"),
        ("pn2v", "Krull 2020"),
        ("ppn2v", "Prakash 2020"),
        ("deconoising", "Goncharova 2020"),
        ("khademi", "Khademi 2021"),
        ("ollion", "Ollion 2021"),
        ("fast", "Stein 1981"),
    ],
)
def test_each_recipe_cites_its_paper(name, paper):
    assert paper in citations(recipe(name))


@pytest.mark.parametrize(
    ("supervision", "paper", "words"),
    [
        (
            "pair",
            "Lehtinen 2018",
            "from two exposures of each scene, without noise-free",
        ),
        ("noise_free", "Weigert 2018", "with noise-free images of the same scenes"),
    ],
)
def test_what_else_taught_is_in_the_methods(model, supervision, paper, words):
    taught = replace(model, config=supervised(model.config, supervision))
    text, references = methods_paragraph(taught)
    assert words in text and paper in text
    assert any(paper.split()[0] in reference for reference in references)
    assert not any("Noise2Void -" in reference for reference in references)


def test_recipes_cite_no_paper_twice():
    for config in RECIPES.values():
        assert len(citations(config)) == len(set(citations(config)))


def test_a_full_disk_leaves_no_half_file(write, tmp_path, monkeypatch):
    before = write()

    def full(path, text, **more):
        with path.open("w") as file:
            file.write(text[:100])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(DenoisingError, match="could not be written"):
        write()
    assert [path.name for path in tmp_path.iterdir()] == ["r.html"]
    assert (tmp_path / "r.html").read_text(encoding="utf-8") == before


def test_a_model_alone_has_a_report_without_images(tmp_path, model):
    page = Page(write_report(tmp_path / "m.html", model).read_text(encoding="utf-8"))
    assert "img" not in page.tags
    with pytest.raises(RequestError, match="folder"):
        write_report(tmp_path / "none" / "m.html", model)


@pytest.mark.parametrize(
    ("ends", "numbers"),
    [
        ((1, 27), ["5", "10", "15", "20", "25"]),
        ((0.313, 2.43), ["0.5", "1", "1.5", "2"]),
        (
            (-2e-6, 1e-6),
            ["-2e-06", "-1.5e-06", "-1e-06", "-5e-07", "0", "5e-07", "1e-06"],
        ),
        ((0, 65535), ["0", "20000", "40000", "60000"]),
    ],
)
def test_axes_are_numbered_roundly(ends, numbers):
    drawn = plot([(np.array(ends, float), np.array([1.0, 2.0]))], "x", "y")
    below = re.findall(r'class="x">([^<xy]*)</text>', drawn)
    assert below == numbers


def test_what_is_not_known_has_no_row(tmp_path, model):
    known = model.provenance | {"microscope": "", "seed": 0}
    page = write_report(tmp_path / "a.html", replace(model, provenance=known))
    text = page.read_text(encoding="utf-8")
    assert "<th>microscope</th>" not in text
    assert "<th>seed</th><td>0</td>" in text
