"""Results get names of their own, beside the file they were asked for in, and are found again until imported."""

from pathlib import Path

import pytest

from threer_blender import bundle, results
from threer_blender.messages import UserError

PHOTOS = ["/photos/Dom: Köln, 2/a.jpg"]


def finish(folder: Path) -> None:
    folder.mkdir()
    (folder / bundle.SCENE).write_text("{}")


def test_names_are_free_and_usable(tmp_path: Path) -> None:
    folders = [results.new_folder(PHOTOS, "", tmp_path) for _ in range(5)]
    assert len(set(folders)) == 5
    assert all(folder.parent == tmp_path / results.RESULTS for folder in folders)
    assert all("Dom_ Köln_ 2" in folder.name for folder in folders)


def test_of_a_saved_file_beside_it(tmp_path: Path) -> None:
    folder = results.new_folder(PHOTOS, str(tmp_path / "project" / "a.blend"), tmp_path / "home")
    assert folder.parent == tmp_path / "project" / results.BESIDE_BLEND


def test_finished_ones_wait_until_forgotten(tmp_path: Path) -> None:
    running, finished, beside = (
        results.new_folder(PHOTOS, blend, tmp_path / "home") for blend in ("", "", str(tmp_path / "a.blend"))
    )
    assert results.waiting(tmp_path / "home") == []
    finish(finished)
    finish(beside)
    assert set(results.waiting(tmp_path / "home")) == {finished, beside}
    results.forget(finished, tmp_path / "home")
    results.forget(running, tmp_path / "home")
    assert results.waiting(tmp_path / "home") == [beside]
    assert (finished / bundle.SCENE).exists()


def test_a_place_that_cannot_be_written_is_said_at_once(tmp_path: Path) -> None:
    (tmp_path / results.BESIDE_BLEND).write_text("a file")
    with pytest.raises(UserError, match="could not be written"):
        results.new_folder(PHOTOS, str(tmp_path / "a.blend"), tmp_path / "home")
    assert results.waiting(tmp_path / "home") == []
