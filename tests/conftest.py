"""Real photos are used where they are (see real_data.py); numpy's BLAS has one thread."""

import os
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from tests import real_data

# Before numpy loads. With two threads, OpenBLAS wakes and awaits the second for every inverse of a 4 × 4 matrix: twelve
# times the work, and much more beside another program. Numba, PyTorch and COLMAP have threads of their own.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
STATUS = pytest.StashKey[int]()  # the exit status of the session


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "real_data: needs the sets of real photos that THREER_DATA names")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not real_data.FOLDER.is_dir():
        absent = [item for item in items if item.get_closest_marker("real_data")]
        items[:] = [item for item in items if item not in absent]
        config.hook.pytest_deselected(items=absent)


@pytest.hookimpl(trylast=True)
def pytest_unconfigure(config: pytest.Config) -> None:
    """Ends the process without C++'s exit handlers where Blender was imported: they can wait for ever for a thread."""
    if "bpy" in sys.modules:
        status = config.stash.get(STATUS, pytest.ExitCode.INTERNAL_ERROR)
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(int(status))


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    session.config.stash[STATUS] = exitstatus


@pytest.fixture(scope="session")
def numbered_film(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """A film of `numbered_films.KINDS` or CLOCKS by its name, written once."""

    @cache
    def written(name: str) -> Path:
        from tests.numbered_films import CLOCKS, KINDS, write

        kind = {**KINDS, **CLOCKS}[name]
        return write(kind, tmp_path_factory.mktemp("films") / f"film{kind.suffix}")

    return written
