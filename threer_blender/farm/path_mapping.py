"""[S] Paths of the machine that submits a job, as they are on the machine that runs it.

Open Job Description's file of rules: {"version": "pathmapping-1.0", "path_mapping_rules": [{"source_path_format":
"POSIX" or "WINDOWS", "source_path": …, "destination_path": …}]}.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath, PurePosixPath, PureWindowsPath

from ..files import bounded
from ..model.errors import UserError, quoted

LONGEST = 1 << 20  # bytes of a file of rules
FORMATS: dict[str, type[PurePath]] = {"POSIX": PurePosixPath, "WINDOWS": PureWindowsPath}


@dataclass(frozen=True)
class PathRule:
    """A file below the folder `source` on the machine that submits has the same place below `destination` here."""

    source: PurePath
    destination: Path


def read(path: Path) -> list[PathRule]:
    """The rules in a file. Raises UserError where there is none, or it is not understood."""
    try:
        with bounded.as_refusal(quoted(path)), bounded.as_damage("is no file of path mapping rules"):
            rules = bounded.parsed(bounded.content(path, LONGEST)).get("path_mapping_rules", [])
            return [
                PathRule(FORMATS[rule["source_path_format"]](rule["source_path"]), Path(rule["destination_path"]))
                for rule in rules
            ]
    except FileNotFoundError as error:
        raise UserError(f"There is no file {quoted(path)}: check its name.") from error


def mapped(text: str, rules: Sequence[PathRule]) -> str:
    """A path after the first rule that fits it; unchanged where none does."""
    for rule in rules:
        path = type(rule.source)(text)
        if path.is_relative_to(rule.source):
            return str(rule.destination.joinpath(*path.relative_to(rule.source).parts))
    return text
