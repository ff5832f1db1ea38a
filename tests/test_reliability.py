"""Each fault on the page about reliability has the test that it names."""

import ast
import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
PAGE = TESTS.parent / "docs" / "reliability.md"
TEXT = PAGE.read_text(encoding="utf-8")
NAMED = sorted(set(re.findall(r"`(test_\w+\.py)::(test_\w+)`", TEXT)))


def rows():
    """Cells of all rows about faults."""
    faults = TEXT.split("\n## Endurance\n")[0]
    lines = re.findall(r"^\| (.+) \|$", faults, re.MULTILINE)
    return [line.split(" | ") for line in lines if not line.startswith("fault |")]


@pytest.mark.parametrize(("file", "name"), NAMED, ids="::".join)
def test_each_test_that_is_named_is_there(file, name):
    (path,) = TESTS.rglob(file)
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert name in {n.name for n in tree.body if isinstance(n, ast.FunctionDef)}


def test_each_fault_names_a_test():
    assert len(rows()) > 30
    for row in rows():
        assert len(row) == 4, row
        assert "::test_" in row[-1], row[0]


def test_its_sentences_are_short():
    prose = [line for line in TEXT.splitlines() if not line.startswith(("|", "#", "`"))]
    paragraphs = "\n".join(prose).split("\n\n")
    cells = [cell for row in rows() for cell in row[:-1]]
    for text in [*paragraphs, *cells]:
        for sentence in re.split(r"(?<=[.!?:;])\s+", " ".join(text.split())):
            assert len(sentence.split()) <= 27, sentence
