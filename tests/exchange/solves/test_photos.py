"""Photos are known by their names, wherever they are now."""

from pathlib import Path

import pytest

from threer_blender.exchange.solves import photos
from threer_blender.model.errors import UserError


def touch(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")


def test_where_the_solve_says(tmp_path: Path) -> None:
    touch(tmp_path / "images" / "a.jpg", tmp_path / "other" / "a.jpg")
    located = photos.locate(["images/a.jpg"], tmp_path / "transforms.json")
    assert located.files == [tmp_path / "images" / "a.jpg"]


def test_beside_the_folders_that_a_model_stands_in(tmp_path: Path) -> None:
    touch(tmp_path / "images" / "straße 1.jpg")
    (tmp_path / "sparse" / "0").mkdir(parents=True)
    assert photos.locate(["straße 1.jpg"], tmp_path / "sparse" / "0").count == 1


def test_other_paths_and_endings(tmp_path: Path) -> None:
    touch(tmp_path / "a" / "x" / "1.JPG", tmp_path / "b" / "x" / "1.jpg", tmp_path / "c.d.png")
    names = ["C:\\shoot\\b\\x\\1.jpg", "/somewhere/c.d", "gone.jpg"]
    located = photos.locate(names, Path("/nowhere/cameras.xml"), [tmp_path])
    assert located.files == [tmp_path / "b" / "x" / "1.jpg", tmp_path / "c.d.png", None]
    assert located.count == 2


def test_two_of_one_name_are_not_guessed(tmp_path: Path) -> None:
    touch(tmp_path / "a" / "1.jpg", tmp_path / "b" / "1.jpg")
    located = photos.locate(["1.jpg"], Path("/nowhere/x.nvm"), [tmp_path])
    assert located.files == [None]
    assert located.ambiguous == ["1.jpg"]


def test_masks_are_no_photos(tmp_path: Path) -> None:
    touch(tmp_path / "images" / "a.jpg", tmp_path / "masks" / "a.png", tmp_path / "depth" / "a.png")
    assert photos.locate(["a"], tmp_path / "cameras.xml").files == [tmp_path / "images" / "a.jpg"]


def test_a_folder_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no folder"):
        photos.locate([], tmp_path, [tmp_path / "gone"])


def test_names_that_no_file_can_have_are_not_there(tmp_path: Path) -> None:
    touch(tmp_path / "images" / "a.jpg")
    names = ["x" * 300 + ".jpg", "a\0b.jpg", "a.jpg"]
    assert photos.locate(names, tmp_path / "cameras.xml").files == [None, None, tmp_path / "images" / "a.jpg"]


def test_other_computers_are_not_asked_for_photos(tmp_path: Path) -> None:
    touch(tmp_path / "server" / "a.jpg")
    (tmp_path / "solve").mkdir()
    there = (tmp_path / "server" / "a.jpg").as_posix()
    names = [there, f"/{there}", there.replace("/", "\\").replace("\\", "\\\\", 1)]
    located = photos.locate(names, tmp_path / "solve" / "cameras.xml")
    assert located.files == [tmp_path / "server" / "a.jpg", None, None]
