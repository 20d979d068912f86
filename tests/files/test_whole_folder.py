"""A folder is written whole or not at all."""

from pathlib import Path

import pytest

from threer_blender.files import whole_folder
from threer_blender.model.errors import UserError


def test_a_folder_appears_whole(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "pictures"
    with whole_folder.replacing(folder) as new:
        (new.path / "one.txt").write_text("1", "utf-8")
        assert not folder.exists()
    assert (folder / "one.txt").read_text("utf-8") == "1"
    assert new.place == folder
    assert new.sentences("the pictures") == []
    assert [path.name for path in folder.parent.iterdir()] == ["pictures"]


def test_what_fails_leaves_nothing(tmp_path: Path) -> None:
    def fail() -> None:
        with whole_folder.replacing(tmp_path / "new" / "pictures") as new:
            (new.path / "one.txt").write_text("1", "utf-8")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert list(tmp_path.iterdir()) == []


def test_an_earlier_folder_of_ours_is_replaced_and_another_refused(tmp_path: Path) -> None:
    folder = tmp_path / "pictures"
    for text in ("1", "2"):
        with whole_folder.replacing(folder) as new:
            (new.path / f"{text}.txt").write_text(text, "utf-8")
    assert (folder / "2.txt").exists()
    assert not (folder / "1.txt").exists()
    (folder / "mine.txt").write_text("the artist's", "utf-8")
    with pytest.raises(UserError, match="holds something else"), whole_folder.replacing(folder):
        pass
    assert (folder / "mine.txt").exists()


def test_what_is_put_there_meanwhile_stays(tmp_path: Path) -> None:
    folder = tmp_path / "pictures"
    with whole_folder.replacing(folder) as new:
        (new.path / "one.txt").write_text("1", "utf-8")
        folder.mkdir()
        (folder / "mine.txt").write_text("the artist's", "utf-8")
    assert [path.name for path in folder.iterdir()] == ["mine.txt"]
    assert (new.place / "one.txt").exists()
    (sentence,) = new.sentences("the pictures")
    assert "meanwhile" in sentence


def test_a_file_in_the_way_is_refused_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "pictures").write_text("", "utf-8")
    with pytest.raises(UserError, match="is a file"), whole_folder.replacing(tmp_path / "pictures"):
        pass
