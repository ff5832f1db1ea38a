"""What the documentation says is so."""

import ast
import functools
import importlib
import re
import runpy
import sys
from pathlib import Path
from types import ModuleType
from typing import get_args

import click
import numpy as np
import pytest
import torch
import yaml

import napari_selfdenoise
from napari_selfdenoise import Image, TrainingConfig, cli, read_image, write_image
from napari_selfdenoise.config import recipes
from napari_selfdenoise.parts.noise_models import NoiseUnits

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "napari_selfdenoise"
PAGES = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]
METHODS = sorted(ROOT.glob("docs/methods/*.md"))
MANIFEST = yaml.safe_load((PACKAGE / "napari.yaml").read_text(encoding="utf-8"))

each_page = pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
each_method = pytest.mark.parametrize("page", METHODS, ids=lambda path: path.stem)


def text_of(name):
    return (ROOT / name).read_text(encoding="utf-8")


def blocks(name, language):
    return re.findall(rf"```{language}\n(.*?)```", text_of(name), re.DOTALL)


def column(name, heading, number):
    """Cells of one column of the first table below a heading."""
    below = text_of(name).split(f"\n{heading}\n")[1]
    table = re.search(r"(\|.*\n)+", below)[0].splitlines()[2:]
    return [line.split("|")[number + 1].strip() for line in table]


def anchors(page):
    """Anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", h.lower()).replace(" ", "-") for h in headings}


# The README ------------------------------------------------------------------------


def test_the_first_example_uses_public_names_only():
    (code,) = blocks("README.md", "python")
    imports = [n for n in ast.walk(ast.parse(code)) if isinstance(n, ast.ImportFrom)]
    assert [n.module for n in imports] == ["napari_selfdenoise"]
    assert {a.name for a in imports[0].names} <= set(napari_selfdenoise.__all__)


def test_the_first_example_runs(tmp_path, monkeypatch, scene, config):
    quick = config.override({"steps": 3, "network.width": 4})
    monkeypatch.setitem(recipes.RECIPES, "fast", quick)
    monkeypatch.chdir(tmp_path)
    write_image(scene.image, "noisy.tif")
    exec(compile(blocks("README.md", "python")[0], "README.md", "exec"), {})
    denoised = read_image("denoised.tif")
    assert denoised.shape == scene.image.shape
    assert np.isfinite(denoised.data).all()


@pytest.mark.parametrize(
    ("page", "count"), [("README.md", 1), ("docs/using-the-window.md", 3)]
)
def test_the_menu_items_are_called_as_written(page, count):
    plugin, widgets = MANIFEST["display_name"], MANIFEST["contributions"]["widgets"]
    words = " ".join(text_of(page).split())
    assert len(widgets) == 3
    for widget in widgets[:count]:
        item = f"{widget['display_name']} ({plugin})"
        assert f"**Plugins > {plugin} > {item}**" in words
        assert f"**Layers > Filter > {item}**" in words
    assert "File > Open Sample > " + plugin in " ".join(text_of("README.md").split())


def test_every_recipe_is_named():
    for page in ("README.md", "docs/settings.md", "docs/command-line.md"):
        for name in recipes.RECIPES:
            assert f"`{name}`" in text_of(page), f"{page}: {name}"
    differences = text_of("docs/differences.md")
    assert set(re.findall(r"^\*\*`(\w+)`\*\*", differences, re.MULTILINE)) == (
        set(recipes.RECIPES) - {"fast", "best"}
    )


# Links -----------------------------------------------------------------------------


@each_page
def test_links_lead_somewhere(page):
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        if re.match(r"https?://", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


def test_the_contents_name_every_page():
    for page in (ROOT / "docs").rglob("*.md"):
        name = page.relative_to(ROOT / "docs").as_posix()
        assert name == "index.md" or f"({name})" in text_of("docs/index.md"), name


# The command line ------------------------------------------------------------------


def flags_of(command):
    options = [p for p in command.params if isinstance(p, click.Option)]
    names = {n for p in options for n in (*p.opts, *p.secondary_opts)}
    return names | {"--help", "--version"}


def test_every_verb_is_documented_and_there():
    verbs = set(cli.cli.commands)
    page = text_of("docs/command-line.md")
    assert set(re.findall(r"^### selfdenoise (\w+)$", page, re.MULTILINE)) == verbs
    readme = "\n".join(blocks("README.md", "sh"))
    assert set(re.findall(r"^selfdenoise (\w+)", readme, re.MULTILINE)) == verbs


@each_page
def test_examples_have_flags_of_their_verb(page):
    for line in re.findall(
        r"selfdenoise [a-z]+ [^`\n]+", page.read_text(encoding="utf-8")
    ):
        verb, *words = line.split("#")[0].split()[1:]
        if verb in cli.cli.commands:
            written = {word for word in words if word.startswith("--")}
            assert written <= flags_of(cli.cli.commands[verb]), line


@pytest.mark.parametrize(
    "page", [ROOT / "README.md", ROOT / "docs/command-line.md", *METHODS], ids=str
)
def test_documented_flags_are_there(page):
    known = set().union(*(flags_of(c) for c in cli.cli.commands.values()))
    written = re.findall(r"`(--[a-z][\w.-]+)", page.read_text(encoding="utf-8"))
    assert set(written) <= known
    assert written or page.name != "command-line.md"


def test_every_output_is_documented():
    for name in cli.OUTPUTS:
        assert f"`{name}`" in text_of("docs/command-line.md"), name


def test_the_settings_file_is_understood(tmp_path):
    (content,) = blocks("docs/command-line.md", "json")
    (tmp_path / "settings.json").write_text(content)
    config = cli.run_config(
        {
            "recipe_name": None,
            "budget": None,
            "config_file": str(tmp_path / "settings.json"),
        }
    )
    assert config.masking.spacing_max == 4


# Settings --------------------------------------------------------------------------


def test_the_settings_page_is_made_from_the_fields():
    page = runpy.run_path(str(ROOT / "scripts" / "settings_table.py"))["page"]()
    assert text_of("docs/settings.md") == page.rstrip() + "\n", (
        "run: python scripts/settings_table.py > docs/settings.md"
    )


def fields_of(annotation):
    """Names of all fields of the models in a type."""
    found = set(getattr(annotation, "model_fields", ()))
    return found.union(*(fields_of(inner) for inner in get_args(annotation)))


@each_method
def test_the_parameters_of_a_method_are_there(page):
    text = page.read_text(encoding="utf-8")
    if "\n## Parameters\n" not in text:
        pytest.skip("no table of parameters")
    known = set().union(
        *(fields_of(f.annotation) for f in TrainingConfig.model_fields.values())
    )
    cells = column(page.relative_to(ROOT), "## Parameters", 0)
    names = {name for cell in cells for name in re.findall(r"`(\w+)`", cell)}
    assert names <= known


@each_method
def test_the_code_of_a_method_uses_what_is_there(page):
    for code in blocks(page.relative_to(ROOT), "python"):
        for node in ast.walk(ast.parse(code)):
            if isinstance(node, ast.ImportFrom):
                module = importlib.import_module(node.module)
                assert all(hasattr(module, alias.name) for alias in node.names)


# Choosing a method -----------------------------------------------------------------


def rows_of(*names):
    return {
        re.sub(r"\s+", " ", row)
        for name in names
        for row in re.findall(r"^\|.*\|$", text_of(name), re.MULTILINE)
    }


def test_figures_for_choosing_a_method_are_those_of_the_benchmarks():
    measured = rows_of("docs/benchmarks.md", "docs/methods/context.md")
    part = text_of("docs/choosing-a-method.md").split("\n## What each choice gained\n")[
        1
    ]
    tables = [t.splitlines() for t in re.findall(r"(?:^\|.*\n)+", part, re.MULTILINE)]
    assert len(tables) > 3
    for row in (row for table in tables for row in table[2:]):
        assert re.sub(r"\s+", " ", row) in measured, row


def test_the_chart_is_made_from_its_questions():
    chart = runpy.run_path(str(ROOT / "scripts" / "decision_chart.py"))["chart"]()
    assert text_of("docs/images/decision-chart.svg") == chart, (
        "run: python scripts/decision_chart.py docs/images/decision-chart.svg"
    )


# The window ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("heading", "module", "name", "some"),
    [
        (
            "## Controls",
            "denoise.controls",
            "Controls",
            {"train", "stop", "psf", "estimator"},
        ),
        (
            "## The Noise model dock",
            "noise_model.controls",
            "NoiseModelControls",
            {"calibrate", "save_noise_model", "noise_plot"},
        ),
        (
            "## The Evaluate dock",
            "evaluate.controls",
            "EvaluateControls",
            {"evaluate", "swipe", "line_profile"},
        ),
    ],
)
def test_every_documented_control_is_there(qtbot, heading, module, name, some):
    from qtpy.QtWidgets import QWidget

    home = importlib.import_module(f"napari_selfdenoise.plugin.{module}")
    controls = getattr(home, name)()
    qtbot.addWidget(controls)
    names = [n.strip("`") for n in column("docs/using-the-window.md", heading, 1)]
    assert some < set(names)
    for name in filter(None, names):
        assert controls.findChild(QWidget, name) is not None, name


def wording(node):
    """A text in the code, with … for what is filled in; nothing for other nodes."""
    if isinstance(node, ast.JoinedStr):
        return "".join(wording(part) or "…" for part in node.values)
    is_text = isinstance(node, ast.Constant) and isinstance(node.value, str)
    return node.value if is_text else ""


def test_every_documented_message_can_be_met():
    trees = [ast.parse(p.read_text(encoding="utf-8")) for p in PACKAGE.rglob("*.py")]
    said = {wording(node) for tree in trees for node in ast.walk(tree)}
    for message in column("docs/using-the-window.md", "## Messages", 0):
        assert any(message in text for text in said), message


# The glossary ----------------------------------------------------------------------

GLOSSARY = ROOT / "docs" / "glossary.md"
# The history names what was.
OF_DEVELOPERS = {"CHANGELOG.md"}


def entries():
    """Rows of the glossary: term, meaning, symbol, paper, words it stands for."""
    table = re.findall(r"^\| (.+) \|$", GLOSSARY.read_text("utf-8"), re.MULTILINE)
    rows = [re.split(r"(?<!\\)\|", line.replace("| |", "|  |")) for line in table]
    return [[cell.strip() for cell in row] for row in rows if "---" not in row[0]][1:]


def sentences_of_the_program():
    """Texts in the code that users read: all but docstrings."""
    for path in PACKAGE.rglob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        bare = {id(n.value) for n in ast.walk(tree) if isinstance(n, ast.Expr)}
        yield from (wording(n) for n in ast.walk(tree) if id(n) not in bare)


@functools.cache
def what_users_read():
    """Each page and all sentences of the program, in lower case, by its name."""
    pages = [p for p in PAGES if p.name not in OF_DEVELOPERS and p != GLOSSARY]
    texts = {p.name: " ".join(p.read_text(encoding="utf-8").split()) for p in pages}
    texts["the program"] = "\n".join(sentences_of_the_program())
    return {name: text.lower() for name, text in texts.items()}


def test_the_glossary_is_sorted_and_names_each_term_and_symbol_once():
    terms = [row[0] for row in entries()]
    assert len(terms) > 60
    assert terms == sorted(set(terms), key=str.casefold)
    symbols = [row[2] for row in entries() if row[2]]
    shared = {symbol for symbol in symbols if symbols.count(symbol) > 1}
    assert shared <= {"`f`"}  # the network, whatever it is called


def test_a_term_has_one_meaning_in_one_sentence():
    for term, meaning, *_ in entries():
        assert re.fullmatch(r"[A-Z].*[^.]\.", meaning), term
        assert not re.search(r"[.;] [A-Z]", meaning.replace("et al. ", "")), term


def test_the_terms_of_the_glossary_are_used():
    texts = what_users_read()
    for term, *_ in entries():
        word = re.compile(rf"\b{re.escape(term.lower())}")
        assert any(word.search(text) for text in texts.values()), term


def test_the_symbols_of_the_glossary_are_those_of_the_formulas():
    pages = [GLOSSARY.parent / "noise-and-masking.md", *METHODS]
    code = [part for p in pages for part in p.read_text("utf-8").split("`")[1::2]]
    code += [
        part for p in pages for part in re.findall(r"```\n(.*?)```", text_of(p), re.S)
    ]
    for term, _, symbol, *_ in entries():
        written = symbol.strip("`").replace("\\|", "|")
        found = re.compile(rf"(?<!\w){re.escape(written)}(?!\w)")
        assert not written or any(found.search(part) for part in code), term


def test_the_papers_of_the_glossary_are_listed_below_it():
    listed = re.findall(r"^- ([\w ]+): ", GLOSSARY.read_text("utf-8"), re.MULTILINE)
    assert set(listed) == {row[3] for row in entries() if row[3]}
    assert listed == sorted(listed)


def test_words_that_the_glossary_replaces_are_not_used():
    for term, *_, others in entries():
        for other in filter(None, others.split(", ")):
            word = re.compile(rf"\b{re.escape(other.lower())}")
            for name, text in what_users_read().items():
                assert not word.search(text), f"{name}: {other}, say {term}"


# Sentences -------------------------------------------------------------------------


def test_sentences_are_short():
    """One thought a sentence: what is longer is several, or belongs in the docs."""
    for text in sentences_of_the_program():
        for sentence in re.split(r"(?<=[.!?])\s+(?=[A-Z…])", " ".join(text.split())):
            assert len(sentence.split()) <= 27, sentence


# The code --------------------------------------------------------------------------


def test_every_room_is_in_the_list_of_rooms():
    cells = " ".join(column("docs/architecture.md", "## Rooms", 0))
    listed = re.findall(r"`(\w+)`", cells)
    assert listed == list(dict.fromkeys(listed))
    folders = {p.parent.name for p in PACKAGE.glob("*/__init__.py")}
    files = {p.stem for p in PACKAGE.glob("[!_]*.py")}
    assert set(listed) == folders | files


@pytest.fixture
def example(monkeypatch):
    """Make a module that is an example of CONTRIBUTING after the file it belongs in."""

    def make(number, file):
        module = ModuleType("example")
        monkeypatch.setitem(sys.modules, "example", module)  # pydantic looks there
        code = blocks("CONTRIBUTING.md", "python")[number]
        exec(f"{(PACKAGE / file).read_text(encoding='utf-8')}\n{code}", vars(module))
        return module

    return make


def test_the_example_masking_scheme_is_blind(example):
    scheme = example(0, "parts/masking/schemes.py").LatticeMask(spacing=3)
    luck = torch.Generator().manual_seed(0)
    patches = torch.randn((2, 1, 16, 16), generator=luck)
    mask = scheme.draw(2, 16, 16, luck)
    filled = scheme.apply(patches, mask, luck)
    assert torch.equal(filled != patches, mask.masked)
    other = torch.where(mask.masked, torch.randn(patches.shape), patches)
    assert torch.equal(scheme.apply(other, mask, luck), filled)


def test_the_example_noise_model_learns_its_numbers(example):
    config = example(1, "parts/noise_models/models.py").SpeckleNoise()
    module = config.build(NoiseUnits(offset=100.0, scale=50.0, std_floor=0.01))
    luck = torch.Generator().manual_seed(0)
    signal = 4 * torch.rand(2**16, generator=luck) - 2
    light = signal + 2  # in raw units, from zero on
    std = (0.1**2 + (0.3 * light) ** 2).sqrt()
    observed = signal + std * torch.randn(signal.shape, generator=luck)
    for _ in module.fit(signal, observed, None, luck, steps=400, rate=0.05):
        pass
    assert module.log_constant.exp().item() == pytest.approx(0.1, rel=0.1)
    assert module.log_share.exp().item() == pytest.approx(0.3, rel=0.03)
    mixture = module.residual_mixture(signal)
    assert mixture.expectation().abs().max() == 0
    torch.testing.assert_close(module.std(signal), std, rtol=0.1, atol=0.01)


def test_axes_are_described_as_in_the_readme():
    image = Image(
        np.broadcast_to(np.uint8(0), (12, 512, 512)),
        "TYX",
        (1, 0.1, 0.1),
        ("s", "µm", "µm"),
    )
    assert f'"{image.describe()}."' in " ".join(text_of("README.md").split())
