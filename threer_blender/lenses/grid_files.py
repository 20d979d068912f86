"""[S] Writes the lens files of lens grids, whole, and replaces no files but those of earlier lens grids."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..files import bounded, checked, whole_file
from ..files.bundle_folder import output_error
from ..model.errors import UserError, quoted
from .export import CONVENTION

GRID = "grid"  # the key that each lens from a lens grid has in a lens file


def check_output(path: Path) -> None:
    """Raises UserError where the name is taken, unless by an earlier lens file of lens grids."""
    if os.path.lexists(path) and not _is_ours(path):
        raise UserError(f"{quoted(path)} is no lens file of lens grids; choose another name.")


def write(path: Path, lenses: Sequence[dict[str, Any]]) -> None:
    """Writes a lens file of the entries `lenses`, each with the key GRID. Raises UserError as `check_output` does, and
    where the file cannot be written."""
    check_output(path)
    text = json.dumps({"convention": CONVENTION, "lenses": lenses}, indent=1, ensure_ascii=False)
    try:
        whole_file.write_text(path, text)
    except OSError as error:
        raise output_error(path, error) from error


def _is_ours(path: Path) -> bool:
    """Whether a file was written by `write`."""
    if path.is_symlink():
        return False
    try:
        with bounded.open_regular(path) as file:
            values = bounded.parsed(file.read(bounded.LONGEST_JSON + 1))
        lenses = checked.typed(values["lenses"], list)
        return bool(lenses) and all(GRID in checked.typed(each, dict) for each in lenses)
    except (OSError, *bounded.FAULTS):
        return False
