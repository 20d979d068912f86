"""Results get names of their own, beside the file they were asked for in, and are found again until imported."""

from pathlib import Path

import pytest

from threer_blender.files import bundle_folder
from threer_blender.jobs import results
from threer_blender.model.errors import UserError


@pytest.fixture
def photos(tmp_path: Path) -> list[str]:
    return [str(tmp_path / "Dom, Köln #2" / "a.jpg")]


def finish(folder: Path) -> None:
    folder.mkdir()
    (folder / bundle_folder.SCENE).write_text("{}")


def test_results_of_an_unsaved_file_lie_beside_the_photos_under_free_names(tmp_path: Path, photos: list[str]) -> None:
    folders = [results.new_folder(photos, "", tmp_path / "home") for _ in range(5)]
    assert len(set(folders)) == 5
    assert all(folder.parent == Path(photos[0]).parent / results.FOLDER for folder in folders)
    assert all("Dom_ Köln _2" in folder.name for folder in folders)


def test_results_of_a_saved_file_lie_beside_it(tmp_path: Path, photos: list[str]) -> None:
    folder = results.new_folder(photos, str(tmp_path / "project" / "a.blend"), tmp_path / "home")
    assert folder.parent == tmp_path / "project" / results.FOLDER


def test_finished_results_wait_until_forgotten(tmp_path: Path, photos: list[str]) -> None:
    running, finished, beside = (
        results.new_folder(photos, blend, tmp_path / "home") for blend in ("", "", str(tmp_path / "a.blend"))
    )
    assert results.waiting(tmp_path / "home") == []
    finish(finished)
    finish(beside)
    assert set(results.waiting(tmp_path / "home")) == {finished, beside}
    results.forget(finished, tmp_path / "home")
    results.forget(running, tmp_path / "home")
    assert results.waiting(tmp_path / "home") == [beside]
    assert (finished / bundle_folder.SCENE).exists()


def test_a_result_that_will_never_come_leaves_no_folder(tmp_path: Path, photos: list[str]) -> None:
    """The folder of all results goes with the last of them, and stays as long as there is another one."""
    first, second = (results.new_folder(photos, "", tmp_path / "home") for _ in range(2))
    finish(first)
    results.forget(second, tmp_path / "home")
    assert first.is_dir()
    (first / bundle_folder.SCENE).unlink()
    first.rmdir()
    results.forget(first, tmp_path / "home")
    assert list(Path(photos[0]).parent.iterdir()) == []


def test_a_place_that_cannot_be_written_is_said_at_once(tmp_path: Path, photos: list[str]) -> None:
    (tmp_path / results.FOLDER).write_text("a file")
    with pytest.raises(UserError, match="could not be written"):
        results.new_folder(photos, str(tmp_path / "a.blend"), tmp_path / "home")
    assert results.waiting(tmp_path / "home") == []
    (tmp_path / "photos").write_text("a file, too")
    with pytest.raises(UserError, match=r"cannot be written to.* Or save this file in Blender"):
        results.new_folder([str(tmp_path / "photos" / "a.jpg")], "", tmp_path / "home")


def test_a_result_is_called_by_its_subject(tmp_path: Path, photos: list[str]) -> None:
    title = results.title(results.new_folder(photos, "", tmp_path / "home"))
    assert title.startswith("Dom_ Köln _2, begun at ")
    assert results.title(Path("renamed by the artist")) == "renamed by the artist"
