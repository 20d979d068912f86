"""[S] Image sequences: a shot's frames as numbered files, named by a pattern such as `plate.####.exr`.

A pattern has as many # as the numbers have digits, with leading zeros; longer numbers belong to it, too. It may stand
wherever a path does, for the whole shot. Frames have the files' numbers: file 1001 is frame 1001, and a missing file is
a missing frame. The last # of a name stand for the number; others belong to the name.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

PLATE_SUFFIXES = frozenset({".exr", ".dpx"})  # never photos
SUFFIXES = PLATE_SUFFIXES | {".png", ".tif", ".tiff", ".jpg", ".jpeg"}
FEWEST_NAMED = 3  # pictures named like frames (`name.1001.png`) that are a sequence; fewer are photos
FEWEST_NUMBERED = 8  # pictures with another number (`name_0001.png`) that are a sequence; fewer are photos
LAST = 1_048_574  # Blender's last frame

_NUMBERED = re.compile(r"(?P<head>.*?)(?P<number>\d+)(?P<tail>\.[A-Za-z]+)", re.DOTALL)
_PATTERN = re.compile(r"(?P<head>.*?)(?P<hashes>#+)(?P<tail>\.[A-Za-z]+)", re.DOTALL)
_PRINTF = re.compile(r"%0?([1-9]?)d(?=\.[A-Za-z]+$)")


def is_pattern(path: str | Path) -> bool:
    """Whether a path is the pattern of a sequence. A file that happens to have such a name is none."""
    path = Path(path)
    return _PATTERN.fullmatch(path.name) is not None and path.suffix.lower() in SUFFIXES and not path.is_file()


def from_notation(path: Path) -> Path:
    """The pattern `plate.####.exr` for `plate.%04d.exr`; any other path, and that of a file, as it is."""
    if path.exists():
        return path
    return path.with_name(_PRINTF.sub(lambda match: "#" * int(match[1] or 1), path.name))


def pattern(file: Path) -> Path | None:
    """The pattern of the sequence, however short, that `file` belongs to; None where its name has no number.

    Raises OSError where the folder cannot be read.
    """
    match = _NUMBERED.fullmatch(file.name)
    if match is None or file.suffix.lower() not in SUFFIXES:
        return None
    numbers = _numbers(file.parent, match["head"], match["tail"])
    padded = {len(number) for number in numbers if number.startswith("0") and len(number) > 1}
    width = len(match["number"])
    if width in padded:
        digits = width
    elif shorter := [n for n in padded if n <= width]:  # this file's number has outgrown the zeros: 0999, 1000, 10000
        digits = max(shorter)
    else:  # numbers without leading zeros
        digits = min(map(len, numbers), default=width)
    return file.with_name(match["head"] + "#" * digits + match["tail"])


def is_plate_name(file: Path) -> bool:
    """Whether a file is named like a frame of a shot (`name.1001.ext`), as cameras do not name photos."""
    match = _NUMBERED.fullmatch(file.name)
    return match is not None and match["head"].endswith(".") and len(match["number"]) >= 3


def frames(pattern: Path) -> dict[int, Path]:
    """The files of a sequence by number, in order; none where `pattern` is no pattern.

    Raises OSError where the folder cannot be read.
    """
    match = _PATTERN.fullmatch(pattern.name)
    if match is None:
        return {}
    for digits in range(len(match["hashes"]), 0, -1):  # the first of them may belong to the name: take#0001.exr
        head = match["head"] + "#" * (len(match["hashes"]) - digits)
        names = {
            int(number): pattern.with_name(f"{head}{number}{match['tail']}")
            for number in _numbers(pattern.parent, head, match["tail"])
            if len(number) == digits or (len(number) > digits and not number.startswith("0"))
        }
        if names:
            return {number: names[number] for number in sorted(names) if number <= LAST}
    return {}


def file_name(pattern: str, number: int) -> str:
    """The name of a sequence's file: the `pattern`, whose # all stand for digits, with `number` in their place."""
    digits = pattern.count("#")
    return pattern.replace("#" * digits, f"{number:0{digits}d}")


def missing(numbers: Sequence[int]) -> list[int]:
    """The numbers that are missing between the smallest and the largest."""
    present = set(numbers)
    return [number for number in range(min(present), max(present) + 1) if number not in present] if present else []


def ranges(numbers: Sequence[int]) -> str:
    """Increasing numbers as a person writes them: 1004, 1010–1012."""
    parts: list[list[int]] = []
    for number in numbers:
        if parts and number == parts[-1][-1] + 1:
            parts[-1].append(number)
        else:
            parts.append([number])
    return ", ".join(f"{part[0]}–{part[-1]}" if len(part) > 1 else str(part[0]) for part in parts)


def described(path: Path) -> str:
    """An image sequence in words: name, first and last frame, and number of missing ones; empty for any other path.

    Raises OSError where the folder cannot be read.
    """
    numbers = list(frames(path)) if is_pattern(path) else []
    if not numbers:
        return ""
    holes = len(missing(numbers))
    return f"{path.name}: frames {numbers[0]}–{numbers[-1]}" + (f", {holes} missing" if holes else "")


def exists(path: str | Path) -> bool:
    """Whether there is a file, or a file of the sequence, at `path`."""
    path = Path(path)
    if not is_pattern(path):
        return path.is_file()
    try:
        return bool(frames(path))
    except OSError:
        return False


def size(path: Path) -> int:
    """The bytes of a file, or of all files of a sequence. Raises OSError."""
    return sum(file.stat().st_size for file in (frames(path).values() if is_pattern(path) else [path]))


def _numbers(folder: Path, head: str, tail: str) -> list[str]:
    """The digits between `head` and `tail` in the names of a folder's files. Raises OSError."""
    return [
        name[len(head) : -len(tail)]
        for name in _names(folder, folder.stat().st_mtime_ns)
        if name.startswith(head) and name.endswith(tail) and name[len(head) : -len(tail)].isdecimal()
    ]


@lru_cache(maxsize=4)
def _names(folder: Path, _changed: int) -> tuple[str, ...]:
    """The names in a folder, listed once for each `_changed` time of the folder, not once for each of its frames."""
    return tuple(entry.name for entry in folder.iterdir())
