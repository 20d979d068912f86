"""Every benchmark and every maker of test data explains itself; what benchmarks run in processes of their own is whole.

Nothing is measured or made here.
"""

import ast
import builtins
import importlib
import inspect
import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

pytest.importorskip("bpy", reason="bpy is not installed: pip install bpy")
pytest.importorskip("torch", reason="benchmarks run networks")

HERE = Path(__file__).parent
NAMES = sorted(path.stem for path in HERE.glob("[!_]*.py") if not path.stem.startswith("test_"))
BENCHMARKS = [f"tests.benchmarks.{name}" for name in NAMES]
MAKERS = [f"tests.data.{path.stem}" for path in sorted(HERE.with_name("data").glob("make_*.py"))]
CALL = re.compile(r"^ *end\(", re.MULTILINE)
GIVEN = {"json", "resource", "sys", "time", "end", "__name__"}  # what `_measure.measured` puts before a script


@pytest.mark.parametrize("name", [*BENCHMARKS, *MAKERS, "tests.fuzz.run", "tests.fuzz.table"])
def test_its_command_line_explains_it(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    module = importlib.import_module(name)
    assert re.search(r"chosen\(|parse_args\(", inspect.getsource(module)), "it would not ask and begin to work"
    monkeypatch.setattr(sys, "argv", [name, "--help"])
    with pytest.raises(SystemExit) as ended:
        module.main()
    assert ended.value.code == 0
    assert capsys.readouterr().out.startswith("usage: ")


def scripts(module: ModuleType) -> list[str]:
    """The programs that a benchmark has in strings: they call `end`."""
    return [text for text in vars(module).values() if isinstance(text, str) and CALL.search(text)]


def unknown(script: str) -> list[str]:
    """Names that a script uses and has not, and attributes that what it imports lacks."""
    tree, scope = ast.parse(script), dict[str, Any]()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            exec(compile(ast.Module([node], []), "script", "exec"), scope)
    names = [node for node in ast.walk(tree) if isinstance(node, ast.Name)]
    defined = {node.id for node in names if isinstance(node.ctx, ast.Store)} | GIVEN
    defined |= {
        node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.ExceptHandler) and node.name
    }
    defined |= {node.arg for node in ast.walk(tree) if isinstance(node, ast.arg)}
    missing = [node.id for node in names if node.id not in defined | scope.keys() | vars(builtins).keys()]
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id not in defined:
            owner = scope.get(node.value.id)
            if (inspect.ismodule(owner) or inspect.isclass(owner)) and not hasattr(owner, node.attr):
                missing.append(f"{node.value.id}.{node.attr}")
    return missing


@pytest.mark.parametrize("name", BENCHMARKS)
def test_its_scripts_name_only_what_there_is(name: str) -> None:
    for script in scripts(importlib.import_module(name)):
        assert unknown(script) == []


def test_scripts_are_noticed_with_what_they_lack() -> None:
    """Else the test before would hold for nothing."""
    benchmark = importlib.import_module("tests.benchmarks.growth")
    assert len(scripts(benchmark)) == 2
    assert unknown("from threer_blender import headless\nheadless.rekonstruct(fotos)\nend()") == [
        "fotos",
        "headless.rekonstruct",
    ]
