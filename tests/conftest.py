"""Real photos are used where they are (see real_data.py); numpy's BLAS has one thread; kernels are compiled once."""

import os
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from tests import kernels, real_data

# Before numpy loads. With two threads, OpenBLAS wakes and awaits the second for every inverse of a 4 × 4 matrix: twelve
# times the work, and much more beside another program. Numba, PyTorch and COLMAP have threads of their own.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ["NUMBA_CACHE_DIR"] = str(kernels.FOLDER)  # before numba loads
# Begun first, so that no process is left alone with one in the end: `nox -s tests` keeps this order.
SLOWEST = (
    "networks/test_parity_views.py",
    "networks/test_parity.py",
    "worker/test_bad_input.py",
    "ui/test_faults.py",
    "geometry/sfm/test_mapping.py",
    "engines/test_pair_engines.py",
    "engines/test_instantsplat.py",
    "cli/test_command_line.py",
    "pipelines/test_refinement.py",
)
STATUS = pytest.StashKey[int]()  # the exit status of the session


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "real_data: needs the sets of real photos that THREER_DATA names")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    rank = {Path(__file__).parent / name: number for number, name in enumerate(SLOWEST)}
    items.sort(key=lambda item: rank.get(item.path, len(rank)))
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
    """A film of `numbered_films.KINDS`, CLOCKS or OTHERS by its name, written once."""

    @cache
    def written(name: str) -> Path:
        from tests.numbered_films import CLOCKS, KINDS, OTHERS, write

        kind = {**KINDS, **CLOCKS, **OTHERS}[name]
        return write(kind, tmp_path_factory.mktemp("films") / f"film{kind.suffix}")

    return written
