"""Draws the rooms of the code and their imports: `python docs/draw_house.py` writes docs/pictures/house.svg.

A room is a folder of the package that holds modules, or a module at the package's top. A room stands above all rooms
that it imports. Lines that other lines imply are left out, and so are lines to a room that most others import. Standard
library only.
"""

from __future__ import annotations

import ast
import textwrap
from collections import Counter, defaultdict
from collections.abc import Mapping, Set
from dataclasses import dataclass, replace
from graphlib import CycleError, TopologicalSorter
from html import escape
from pathlib import Path

DOCS = Path(__file__).resolve().parent
PACKAGE = DOCS.parent / "threer_blender"
PICTURE = DOCS / "pictures" / "house.svg"
COMMAND_LINE = {"__main__"}  # modules at the top that only start another room

KINDS = {
    "S": ("#e8eef7", "standard library and numpy: loaded in both processes"),
    "B": ("#f9e5cf", "Blender's process: may import bpy, never PyTorch"),
    "R": ("#dff0dc", "the worker's process: may import PyTorch, never bpy"),
}
WIDTH, HEIGHT, GAP_X, GAP_Y, MARGIN = 212, 84, 18, 46, 24  # pixels: a room, between rooms, around them
COMMON = 0.5  # a room that more than this share of the rooms imports gets no lines, which would say nothing
LETTERS = 36  # that fit on a line of a room


@dataclass(frozen=True)
class Room:
    """One room: its kind (a key of KINDS), what it is for, and the rooms that it imports."""

    kind: str
    purpose: str
    imports: frozenset[str]


def rooms(package: Path = PACKAGE) -> dict[str, Room]:
    """Path below the package -> room. The path of a folder ends in a slash."""
    members: dict[str, list[Path]] = defaultdict(list)
    for path in sorted(package.rglob("*.py")):
        room = room_of(path, package)
        if room is not None:
            members[room].append(path)
    known = {path: room for room, paths in members.items() for path in paths}
    house = {}
    for room, paths in members.items():
        first = package / room / "__init__.py" if room.endswith("/") else paths[0]
        docstring = ast.get_docstring(ast.parse(first.read_text("utf-8"))) or ""
        kind, _, purpose = docstring.partition("] ")
        imports = {known[target] for path in paths for target in imported(path, package) if target in known}
        house[room] = Room(kind.strip("["), _sentence(purpose), frozenset(imports - {room}))
    return joined(house)


def joined(house: Mapping[str, Room]) -> dict[str, Room]:
    """The rooms, with a folder merged into its parent folder where the two import each other."""
    outer = {}
    for name in house:
        parent = f"{name.rstrip('/').rpartition('/')[0]}/"
        mutual = parent in house and parent in house[name].imports and name in house[parent].imports
        outer[name] = parent if mutual else name
    imports: dict[str, set[str]] = defaultdict(set)
    for name, room in house.items():
        imports[outer[name]] |= {outer[below] for below in room.imports} - {outer[name]}
    return {name: replace(house[name], imports=frozenset(below)) for name, below in imports.items()}


def _sentence(docstring: str) -> str:
    """The first sentence of a docstring, on one line."""
    return f"{' '.join(docstring.split()).replace('`', '').partition('. ')[0].rstrip('.')}."


def room_of(path: Path, package: Path) -> str | None:
    """The path of a module's room; None for a module that only starts another room."""
    folder = path.parent.relative_to(package)
    if folder != Path():
        return f"{folder.as_posix()}/"
    return None if path.stem in {"__init__", *COMMAND_LINE} else path.name


def imported(path: Path, package: Path) -> set[Path]:
    """The modules of the package that a module imports, at its top or inside functions."""
    here = (package.name, *path.relative_to(package).with_suffix("").parts)
    files = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if not isinstance(node, ast.ImportFrom):
            continue
        base = here[: len(here) - node.level] if node.level else ()
        module = (*base, *(node.module.split(".") if node.module else ()))
        for alias in node.names:
            for names in ((*module, alias.name), module):
                target = package.parent.joinpath(*names)
                file = target.with_suffix(".py") if target.with_suffix(".py").is_file() else target / "__init__.py"
                if names[0] == package.name and file.is_file():
                    files.add(file)
                    break
    return files


def floors(house: Mapping[str, Room]) -> dict[str, int]:
    """The floor of each room, 0 at the bottom: each as high as the rooms that import it allow.

    Raises ValueError where rooms import each other.
    """
    floor: dict[str, int] = {}
    for room in _upwards(house):
        floor[room] = 1 + max((floor[below] for below in house[room].imports), default=-1)
    for room in reversed(_upwards(house)):
        above = [floor[other] for other in house if room in house[other].imports]
        floor[room] = min(above, default=floor[room] + 1) - 1
    return floor


def _upwards(house: Mapping[str, Room]) -> list[str]:
    """The rooms, each after those that it imports."""
    try:
        return list(TopologicalSorter({room: sorted(house[room].imports) for room in sorted(house)}).static_order())
    except CycleError as error:
        raise ValueError(f"rooms import each other: {', '.join(error.args[1])}") from error


def lines(house: Mapping[str, Room]) -> set[tuple[str, str]]:
    """Pairs of a room and one that it imports, without those that a longer way implies or that end in a COMMON room."""
    reach: dict[str, Set[str]] = {}

    def reachable(room: str) -> Set[str]:
        if room not in reach:
            direct = house[room].imports
            reach[room] = direct.union(*(reachable(below) for below in direct))
        return reach[room]

    importers = Counter(below for entry in house.values() for below in entry.imports)
    common = {room for room, count in importers.items() if count > COMMON * len(house)}
    return {
        (room, below)
        for room, entry in house.items()
        for below in entry.imports
        if below not in common and not any(below in reachable(other) for other in entry.imports - {below})
    }


def draw(house: Mapping[str, Room]) -> str:
    """The picture as SVG text."""
    floor, drawn = floors(house), lines(house)
    stories: dict[int, list[str]] = defaultdict(list)
    for room in sorted(house):
        stories[floor[room]].append(room)
    widest = max(map(len, stories.values()))
    width = 2 * MARGIN + widest * (WIDTH + GAP_X) - GAP_X
    top, height = 3 * MARGIN, 3 * MARGIN + len(stories) * (HEIGHT + GAP_Y)
    place: dict[str, tuple[float, float]] = {}
    for number, names in sorted(stories.items()):
        left = (width - len(names) * (WIDTH + GAP_X) + GAP_X) / 2
        for column, room in enumerate(_ordered(names, place, drawn)):
            place[room] = (left + column * (WIDTH + GAP_X), top + (len(stories) - 1 - number) * (HEIGHT + GAP_Y))
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif">',
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
        *_legend(),
        *(_line(place[room], place[below]) for room, below in sorted(drawn)),
        *(_box(room, house[room], place[room]) for room in sorted(house)),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _ordered(names: list[str], place: Mapping[str, tuple[float, float]], drawn: Set[tuple[str, str]]) -> list[str]:
    """The rooms of a floor from left to right: each near the middle of the rooms below that it imports."""

    def middle(room: str) -> float:
        below = [place[other][0] for name, other in drawn if name == room]
        return sum(below) / len(below) if below else 0.0

    return sorted(names, key=lambda room: (middle(room), room))


def _legend() -> list[str]:
    parts, left = [], MARGIN
    for kind, (colour, text) in KINDS.items():
        parts.append(f'<rect x="{left}" y="18" width="16" height="16" rx="3" fill="{colour}" stroke="#667788"/>')
        parts.append(f'<text x="{left + 24}" y="31" font-size="13" fill="#223344">[{kind}] {text}</text>')
        left += 60 + 7 * len(text)
    return parts


def _line(start: tuple[float, float], end: tuple[float, float]) -> str:
    x1, y1, x2, y2 = start[0] + WIDTH / 2, start[1] + HEIGHT, end[0] + WIDTH / 2, end[1]
    bend = min(GAP_Y, y2 - y1)
    way = f"M{x1:.0f} {y1:.0f} C{x1:.0f} {y1 + bend:.0f} {x2:.0f} {y2 - bend:.0f} {x2:.0f} {y2:.0f}"
    return f'<path d="{way}" fill="none" stroke="#9aa7b5" stroke-width="1.4"/>'


def _box(name: str, room: Room, at: tuple[float, float]) -> str:
    x, y = at
    written = textwrap.wrap(room.purpose, LETTERS, max_lines=3, placeholder=" …")
    texts = "".join(
        f'<text x="{x + 10:.0f}" y="{y + 39 + 15 * number:.0f}" font-size="11.5" fill="#445566">{escape(line)}</text>'
        for number, line in enumerate(written)
    )
    return (
        f'<rect x="{x:.0f}" y="{y:.0f}" width="{WIDTH}" height="{HEIGHT}" rx="7" fill="{KINDS[room.kind][0]}" '
        f'stroke="#667788"/><text x="{x + 10:.0f}" y="{y + 21:.0f}" font-size="14" font-weight="bold" '
        f'fill="#223344">{escape(name)}</text>{texts}'
    )


if __name__ == "__main__":
    PICTURE.parent.mkdir(exist_ok=True)
    PICTURE.write_text(draw(rooms()), "utf-8")
