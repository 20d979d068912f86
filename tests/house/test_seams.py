"""Tests use public names alone, of the package and of each other: a private name may change at any time."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
FILES = sorted(path for path in TESTS.rglob("*.py") if "threer_blender" not in path.relative_to(TESTS).parts)
PACKAGES = ("threer_blender", "tests")
PATCHING = {"setattr", "delattr", "getattr"}


def is_private(name: str) -> bool:
    """Fields that `namedtuple` gives are public, whatever they are called."""
    return name.startswith("_") and not name.startswith("__") and name not in ("_fields", "_replace", "_asdict")


def imported(tree: ast.AST) -> Iterator[tuple[str, str]]:
    """The imports of a file from the package or the tests: each whole dotted name, and its name in the file."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in PACKAGES:
            yield from ((f"{node.module}.{alias.name}", alias.asname or alias.name) for alias in node.names)
        if isinstance(node, ast.Import):
            modules = (alias for alias in node.names if alias.name.split(".")[0] in PACKAGES)
            yield from ((alias.name, alias.asname or alias.name.split(".")[0]) for alias in modules)


def belongs(node: ast.expr, names: set[str]) -> bool:
    """Whether an expression is one of `names`, a part of one, or `part("…")`: a module of the installed extension."""
    while isinstance(node, ast.Attribute):
        node = node.value
    if isinstance(node, ast.Call):
        return isinstance(node.func, ast.Name) and node.func.id in ("part", "import_module")
    return isinstance(node, ast.Name) and node.id in names


def private_names(text: str, folder: str = "") -> Iterator[str]:
    """The private names of others that a file uses, but for modules of its own `folder` ("tests.benchmarks")."""
    tree = ast.parse(text)
    pairs = list(imported(tree))
    for dotted, _ in pairs:
        module, _, last = dotted.rpartition(".")
        if is_private(last) and module != folder:
            yield dotted
    names = {name for _, name in pairs}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and is_private(node.attr) and belongs(node.value, names):
            yield ast.unparse(node)
        if isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] in PATCHING and len(node.args) > 1:
            where, name = node.args[:2]
            if isinstance(name, ast.Constant) and isinstance(name.value, str) and belongs(where, names):
                yield from [f"{ast.unparse(where)}.{name.value}"] if is_private(name.value) else []


def test_no_test_touches_a_private_name() -> None:
    touched = {}
    for path in FILES:
        name = path.relative_to(TESTS).as_posix()
        folder = ".".join(path.relative_to(TESTS.parent).parent.parts)
        touched[name] = list(private_names(path.read_text("utf-8"), folder))
    assert {path: names for path, names in touched.items() if names} == {}


@pytest.mark.parametrize(
    "text",
    [
        "from threer_blender.host.hardware import _nvidia",
        "from threer_blender.host import hardware\nhardware._nvidia()",
        "from threer_blender.host import hardware as cards\nmonkeypatch.setattr(cards, '_nvidia', None)",
        "part('ui.work')._start()",
        "from tests import oracle\noracle._rays()",
        "from tests.benchmarks import _measure",
    ],
)
def test_a_private_name_is_noticed(text: str) -> None:
    assert len(list(private_names(text))) == 1
