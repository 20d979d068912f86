"""Files that are longer than their readers read."""

import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from threer_blender.files import bounded
from threer_blender.model.errors import UserError


def check_refused_unread(read: Callable[[Path], Any], path: Path, sentence: str) -> None:
    """Writes JSON that is too long to `path`: `read` must refuse it with this sentence, in little memory."""
    path.write_bytes(b" " * (4 * bounded.LONGEST_JSON))
    tracemalloc.start()
    with pytest.raises(UserError, match=sentence):
        read(path)
    assert tracemalloc.get_traced_memory()[1] < 2 * bounded.LONGEST_JSON
    tracemalloc.stop()
