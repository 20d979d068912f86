"""Photos are known by their names, wherever they are now."""

import os
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


LEADING_OUT = [
    "{there}",
    "/{there}",
    "//{there}",
    "../server/a.jpg",
    "images/../../server/a.jpg",
    "..\\server\\a.jpg",
    "\\\\server\\share\\a.jpg",
    "//server/share/a.jpg",
    "\\\\?\\UNC\\server\\share\\a.jpg",
    "C:\\server\\a.jpg",
    "C:a.jpg",
    "file://{there}",
    "linked/a.jpg",
]


@pytest.mark.parametrize("name", LEADING_OUT)
def test_no_name_leads_out_of_the_folder(tmp_path: Path, name: str) -> None:
    """Neither to another folder nor to another computer; a photo of that name in the solve's folder is its photo.

    To `locate`, "C:a.jpg" is the whole name of a file, not a.jpg on drive C. So the second half of the test, which
    writes a file a.jpg, asks for "a.jpg" in that case.
    """
    elsewhere, solve = tmp_path / "server" / "a.jpg", tmp_path / "solve"
    touch(elsewhere)
    solve.mkdir()
    try:
        (solve / "linked").symlink_to(elsewhere.parent)
    except OSError:
        pytest.skip("links take a right on Windows")
    stated = name.format(there=elsewhere.as_posix())
    assert photos.locate([stated], solve / "cameras.xml").files == [None]
    touch(solve / "photos" / Path(stated.replace("\\", "/")).name.removeprefix("C:"))
    (photo,) = photos.locate([stated.replace("C:a", "a")], solve / "cameras.xml").files
    assert photo is not None
    assert photo.is_relative_to(solve / "photos")


@pytest.mark.parametrize("name", ["../images/a.jpg", "../../images/a.jpg", "/old/disk/images/a.jpg", "images/a.jpg"])
def test_folders_beside_the_solve_are_searched_by_name(tmp_path: Path, name: str) -> None:
    touch(tmp_path / "images" / "a.jpg", tmp_path / "images_2" / "a.jpg")
    (tmp_path / "sparse" / "0").mkdir(parents=True)
    assert photos.locate([name], tmp_path / "sparse" / "0").files == [tmp_path / "images" / "a.jpg"]


@pytest.mark.skipif(os.name == "nt", reason="a name of Windows cannot hold a backslash")
@pytest.mark.parametrize("with_folder", [False, True])
def test_a_backslash_in_a_name_is_part_of_it_where_such_a_file_exists(tmp_path: Path, with_folder: bool) -> None:
    """Only where there is none it divides folders, as in solves that were made on Windows."""
    literal, divided = tmp_path / "images" / "take\\1.jpg", tmp_path / "images" / "take" / "1.jpg"
    touch(literal, divided)
    folders = [tmp_path / "images"] if with_folder else []
    located = photos.locate(["images/take\\1.jpg", "take\\1.jpg"], tmp_path / "transforms.json", folders)
    assert located.files == [literal, literal]
    literal.unlink()
    assert photos.locate(["images\\take\\1.jpg"], tmp_path / "transforms.json", folders).files == [divided]
