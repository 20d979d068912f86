"""A function takes at most eight arguments, and a file has at most 400 lines. More should be split into named parts."""

import ast
from pathlib import Path

PACKAGE = Path(__file__).parents[2] / "threer_blender"
FILES = sorted(PACKAGE.rglob("*.py"))
MOST_PARAMETERS = 8
MOST_LINES = 400


def too_many(path: Path) -> list[str]:
    """The functions of a file that take more arguments than MOST_PARAMETERS. `self` and `cls` do not count."""
    functions = []
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            names = [each.arg for each in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)]
            if len(names) - (names[:1] in (["self"], ["cls"])) > MOST_PARAMETERS:
                functions.append(f"{getattr(node, 'name', 'lambda')}({', '.join(names)})")
    return functions


def test_a_function_takes_few_arguments() -> None:
    assert {path.relative_to(PACKAGE).as_posix(): too_many(path) for path in FILES if too_many(path)} == {}


def test_files_are_short() -> None:
    lengths = {path.relative_to(PACKAGE).as_posix(): len(path.read_text("utf-8").splitlines()) for path in FILES}
    assert {name: lines for name, lines in lengths.items() if lines > MOST_LINES} == {}
