"""An artist for each of Debian's suites, in front of a Blender that has just got the zip and five photos."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.sample_photos import SAMPLE

from . import debian
from . import window as real
from .artist import Artist


@pytest.fixture(params=debian.SUITES, ids=lambda suite: suite.name)
def artist(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Artist]:
    """The artist in front of one suite's Blender. THREER_WINDOW_PICTURES and THREER_ZIPS must name folders."""
    if "THREER_WINDOW_PICTURES" not in os.environ:
        pytest.skip("a real window needs root and Debian: `nox -s window`")
    suite = request.param
    (zipped,) = Path(os.environ["THREER_ZIPS"]).glob("*-any.zip")
    (tmp_path / "photos").mkdir()
    for photo in SAMPLE[:5]:
        shutil.copy(photo, tmp_path / "photos")
    with real.Window(debian.ready(suite), tmp_path) as window:
        window.install(zipped)
        window.open()
        artist = Artist(window, f"Blender {suite.blender}")
        assert window.ask("print(bpy.app.version_string)").startswith(suite.blender)
        yield artist
    assert "Traceback" not in (tmp_path / "blender.log").read_text()
