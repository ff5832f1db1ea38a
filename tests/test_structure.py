"""The house: which room may import which, and that none of it grows out of hand."""

import ast
import importlib
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import napari_selfdenoise

PACKAGE = Path(napari_selfdenoise.__file__).parent
NAME = "napari_selfdenoise"

# A floor imports from those before it; rooms of one floor know nothing of each other.
FLOORS = [
    {"errors", "version", "long_work"},
    {"images"},
    {"defects", "parts", "compute"},
    {"config", "noise", "context"},
    {"model", "evaluation", "pairing"},
    {"training"},
    {"prediction"},
    {"run_time", "report", "batch"},
    {"diagnosis", "export"},
    {"__init__", "former"},  # the public names, and import paths of before
    {"demo"},
    {"cli", "plugin"},
    {"__main__"},
]
FLOOR = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}

# Their files are rooms of their own, named after what they hold.
ROOMS_OF_ROOMS = {"parts", "plugin", "cli"}

# What is too long or too large today, by name, with its lines or methods. An entry that
# is no longer needed fails the test, as one that has grown does.
LONG_FUNCTIONS = {}
LARGE_CLASSES = {}

TREES = {
    ".".join(path.relative_to(PACKAGE).with_suffix("").parts): ast.parse(
        path.read_text(encoding="utf-8")
    )
    for path in sorted(PACKAGE.rglob("*.py"))
}
PACKAGES = sorted(n.removesuffix(".__init__") for n in TREES if n.endswith(".__init__"))


def room(module):
    return module.partition(".")[0]


def imports_of(name):
    """What a module imports of this package, wherever in the file it says so."""
    for node in ast.walk(TREES[name]):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name} imports relatively"
            if room(node.module or "") == NAME:
                yield from (target(node.module, alias.name) for alias in node.names)
        elif isinstance(node, ast.Import):
            names = [a.name for a in node.names if room(a.name) == NAME]
            yield from (target(*full.rpartition(".")[::2]) for full in names)


def target(package, name):
    """The module of this package that an import reads, without the package's name."""
    inner = package.removeprefix(NAME).removeprefix(".")
    full = f"{inner}.{name}".removeprefix(".")
    return next((m for m in (full, f"{full}.__init__") if m in TREES), home(inner))


def home(module):
    return module if module in TREES else f"{module}.__init__".removeprefix(".")


def arrows():
    return [(name, used) for name in TREES for used in set(imports_of(name)) - {name}]


def test_few_modules_lie_in_the_root():
    assert len([name for name in TREES if "." not in name]) <= 6


def test_every_room_has_a_floor():
    assert {room(name) for name in TREES} == set(FLOOR)


def test_imports_point_to_lower_floors():
    between = [(a, b) for a, b in arrows() if room(a) != room(b)]
    assert len(between) > 100
    upward = [(a, b) for a, b in between if FLOOR[room(a)] <= FLOOR[room(b)]]
    assert not upward


def test_nobody_reaches_past_a_room_into_its_files():
    past = [
        (name, used)
        for name, used in arrows()
        if room(name) != room(used)
        and "." in used
        and not used.endswith("__init__")
        and room(used) not in ROOMS_OF_ROOMS
    ]
    assert not past


def test_no_imports_go_round_in_circles():
    graph = {name: set() for name in TREES}
    for name, used in arrows():
        graph[name].add(used)
    TopologicalSorter(graph).prepare()  # raises CycleError


@pytest.mark.parametrize("package", PACKAGES)
def test_every_room_says_what_it_is_for(package):
    assert ast.get_docstring(TREES[f"{package}.__init__"])


@pytest.mark.parametrize(
    ("before", "name"),
    [
        ("io", "series_names"),
        ("camera_correction", "corrected"),
        ("calibration", "calibrate"),
        ("noise_models", "HistogramNoise"),
        ("noise_models.noise_file", "save_noise_model"),
        ("evaluation", "evaluate"),
    ],
)
def test_import_paths_of_earlier_documentation_still_lead_there(before, name):
    module = importlib.import_module(f"{NAME}.{before}")
    assert getattr(module, name).__module__.startswith(NAME)


def functions():
    for module, tree in TREES.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                doc = ast.get_docstring(node) is not None
                text = node.body[0].end_lineno - node.body[0].lineno + 1 if doc else 0
                lines = node.end_lineno - node.lineno + 1 - text
                yield f"{module}.{node.name}", lines


def test_functions_fit_on_a_screen():
    assert {name: lines for name, lines in functions() if lines > 40} == LONG_FUNCTIONS


def test_no_class_of_the_core_does_everything():
    large = {}
    for module, tree in TREES.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef) and room(module) != "plugin":
                methods = sum(isinstance(n, ast.FunctionDef) for n in node.body)
                lines = node.end_lineno - node.lineno + 1
                if lines > 250 or methods > 20:
                    large[f"{module}.{node.name}"] = (lines, methods)
    assert large == LARGE_CLASSES
