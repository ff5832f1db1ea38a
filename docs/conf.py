"""How the pages become a site: `make docs`.

The source folder is the repository, so that links lead to the same files as on GitHub:
to README.md, CONTRIBUTING.md and files of the code, too.
"""

import os
import re
import sys
from pathlib import Path

from sphinx.application import Sphinx

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "src"))

from napari_selfdenoise import __version__  # noqa: E402

REPOSITORY = "https://github.com/napari-selfdenoise/napari-selfdenoise"

project = "napari-selfdenoise"
author = "napari-selfdenoise contributors"
copyright = f"2026, {author}"  # noqa: A001
release = version = __version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_click",
    "sphinx_copybutton",
]
root_doc = "docs/index"
include_patterns = [
    "docs/**.md",
    "README.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "benchmarks/peers/README.md",
    "src/napari_selfdenoise/data/README.md",
]
# Not looked through: they hold no page, and thousands of files.
exclude_patterns = [".*", "build", "dist", "tests", "demo-output"]

myst_enable_extensions = ["attrs_inline"]
myst_heading_anchors = 4
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
autodoc_member_order = "bysource"
napoleon_google_docstring = False
# Types of other packages, and what is documented in the code alone.
nitpick_ignore_regex = [("py:.*", ".*")]

html_theme = "furo"
html_title = "napari-selfdenoise"
html_static_path = ["_static"]
html_css_files = ["tables.css"]
html_theme_options = {"source_repository": REPOSITORY, "source_branch": "main"}
copybutton_prompt_text = r"\$ |>>> "
copybutton_prompt_is_regexp = True


def setup(app: Sphinx) -> None:
    """Adapt pages as they are read, and lead from the site's top to its contents."""
    app.connect("source-read", adapt)
    app.connect("build-finished", lead_to_contents)


def adapt(app: Sphinx, page: str, source: list[str]) -> None:
    """Make of what GitHub shows what the site shows.

    Parameters
    ----------
    app : Sphinx
        What builds the site.
    page : str
        Name of the page, from the repository's top.
    source : list of str
        Its text, which is replaced.
    """
    text = re.sub(r"<picture>.*?</picture>", both_themes, source[0], flags=re.DOTALL)
    text = re.sub(r"\]\(([^)\s:#]+)(?=[)#])", lambda m: link(page, m), text)
    source[0] = text + contents(text) if page == root_doc else text


def both_themes(picture: re.Match[str]) -> str:
    """A picture for the dark and one for the light theme, of which furo shows one."""
    dark, alt, light = (
        re.search(pattern, picture[0])[1]
        for pattern in (r'srcset="(.+?)"', r'alt="(.+?)"', r'src="(.+?)"')
    )
    return f"![{alt}]({light}){{.only-light}}\n![{alt}]({dark}){{.only-dark}}"


def link(page: str, found: re.Match[str]) -> str:
    """A link to a file that is no page leads to the repository."""
    path = os.path.normpath(Path(page).parent / found[1])
    if Path(path).suffix in (".md", ".png", ".svg") or not (ROOT / path).exists():
        return found[0]
    return f"]({REPOSITORY}/blob/main/{path}"


def contents(text: str) -> str:
    """Return the sidebar of the site: the lists of the contents with their captions."""
    trees = ""
    for caption, items in re.findall(r"\n\*\*(.+)\*\*\n\n((?:- .*\n|  .*\n)+)", text):
        pages = "\n".join(re.findall(r"^- \[.+?\]\((.+?)\.md\)", items, re.MULTILINE))
        trees += f"\n```{{toctree}}\n:hidden:\n:caption: {caption}\n\n{pages}\n```\n"
    return trees


def lead_to_contents(app: Sphinx, error: Exception | None) -> None:
    """Write the page at the top of the site."""
    page = (
        f'<!DOCTYPE html><meta http-equiv="refresh" content="0; url={root_doc}.html">'
    )
    if app.builder.format == "html" and error is None:
        (Path(app.outdir) / "index.html").write_text(page, encoding="utf-8")
