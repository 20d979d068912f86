"""The order of the rooms: a file imports from its own room and those below it; no two files import each other."""

import ast
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "threer_blender"
FILES = sorted(PACKAGE.rglob("*.py"))
# From the roof down. A name of two parts is a room within a room; a file of the top level is a room of its own.
ROOMS = (
    "addon",
    "ui",
    "__main__",
    "cli",
    "farm",
    "headless",
    "doctor",
    "worker",
    "engines",
    "pipelines",
    "evaluation",
    "geometry/meshes",
    "geometry/splats",
    "geometry/shots",
    "geometry/shot_lens",
    "geometry/grids",
    "geometry/stereo",
    "geometry/sfm",
    "geometry/alignment",
    "geometry/clouds",
    "geometry/adjustment",
    "geometry/features",
    "geometry/pairs",
    "geometry",
    "networks",
    "networks/layers",
    "runtime",
    "scene",
    "jobs",
    "pictures",
    "exchange",
    "splat_files",
    "lenses",
    "reports",
    "host",
    "bundle",
    "files",
    "model",
    "",  # the package itself, which holds the version
)
LARGEST = 0.15  # of all lines may stand in one room outside `geometry/`
LARGEST_PART = 2000  # lines; each room within `geometry/` has fewer


def room(module: Path) -> str:
    """The room of a module's path within the package: its folder, or the file itself at the top level."""
    folder = module.parent.as_posix()
    if folder == ".":
        return module.stem.replace("__init__", "")
    return folder if folder in ROOMS else folder.split("/")[0]


def imports(path: Path) -> Iterator[Path]:
    """The modules of the package that a file imports, as paths within the package."""
    here = path.relative_to(PACKAGE).parent.parts
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if not isinstance(node, ast.ImportFrom) or node.level == 0:
            continue
        base = PACKAGE.joinpath(*here[: len(here) - node.level + 1], *(node.module or "").split("."))
        for alias in node.names:
            candidates = (base / f"{alias.name}.py", base / alias.name / "__init__.py", base.parent / f"{base.name}.py")
            module = next((each for each in candidates if each.exists()), base / "__init__.py")
            yield module.relative_to(PACKAGE)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_imports_run_down(path: Path) -> None:
    here = ROOMS.index(room(path.relative_to(PACKAGE)))
    up = [each.as_posix() for each in imports(path) if ROOMS.index(room(each)) < here]
    assert not up


def test_every_room_is_listed() -> None:
    assert {room(path.relative_to(PACKAGE)) for path in FILES} <= set(ROOMS)


def test_no_circle_of_files() -> None:
    graph = {
        path.relative_to(PACKAGE): {each for each in imports(path) if each.name != "__init__.py"} for path in FILES
    }
    assert list(TopologicalSorter(graph).static_order())


def test_no_room_outgrows_the_house() -> None:
    lines: dict[str, int] = {}
    for path in FILES:
        where = room(path.relative_to(PACKAGE))
        top = where if where.startswith("geometry/") else where.split("/")[0]
        lines[top] = lines.get(top, 0) + len(path.read_text("utf-8").splitlines())
    whole = sum(lines.values())
    parts = {name: count for name, count in lines.items() if name.startswith("geometry/")}
    assert {name: count for name, count in parts.items() if count >= LARGEST_PART} == {}
    assert {name: count for name, count in lines.items() if "geometry" not in name and count > LARGEST * whole} == {}


def test_geometry_and_networks_know_neither_messages_nor_bundles() -> None:
    for path in (*(PACKAGE / "geometry").rglob("*.py"), *(PACKAGE / "networks").rglob("*.py")):
        taken = {room(each) for each in imports(path) if each != Path("files/bounded.py")}
        assert not taken & {"jobs", "bundle", "files", "engines", "runtime", "worker", "pipelines"}, path
