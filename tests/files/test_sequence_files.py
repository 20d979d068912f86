"""Image sequences by their names: which files are one shot, with which numbers, and what stays a photo."""

from pathlib import Path

import pytest

from threer_blender.files import photo_files, sequence_files
from threer_blender.model.errors import UserError


def files(folder: Path, names: list[str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).write_bytes(b"x")


@pytest.mark.parametrize(
    ("names", "chosen", "pattern", "numbers"),
    [
        (["p.1001.exr", "p.1002.exr", "p.1004.exr"], "p.1002.exr", "p.####.exr", [1001, 1002, 1004]),
        (["p.0009.dpx", "p.0010.dpx", "p.10000.dpx"], "p.10000.dpx", "p.####.dpx", [9, 10, 10000]),
        (["p.8.exr", "p.9.exr", "p.10.exr", "p.11.exr"], "p.10.exr", "p.#.exr", [8, 9, 10, 11]),
        (["p.0000.exr", "p.0001.exr"], "p.0000.exr", "p.####.exr", [0, 1]),
        (["p_v2.1001.exr", "p_v3.1001.exr"], "p_v2.1001.exr", "p_v2.####.exr", [1001]),
        (["sh010.1001.png", "sh010.1002.png", "sh010.1003.png", "sh010.1001.jpg"], "sh010.1003.png", "sh010.####.png",
         [1001, 1002, 1003]),
        (["p.001.exr", "p.0001.exr", "p.0002.exr"], "p.0002.exr", "p.####.exr", [1, 2]),
    ],
)  # fmt: skip
def test_any_frame_stands_for_its_shot(
    tmp_path: Path, names: list[str], chosen: str, pattern: str, numbers: list[int]
) -> None:
    files(tmp_path, names)
    (actual,) = photo_files.find([tmp_path / chosen]).files
    assert actual == tmp_path / pattern
    assert list(sequence_files.frames(actual)) == numbers
    assert sequence_files.frames(actual)[numbers[0]].is_file()
    assert sequence_files.exists(actual)
    assert photo_files.find([actual]).files == [actual]  # it stands for itself in the process that computes


def test_several_frames_are_one_shot_and_a_folder_has_its_shots(tmp_path: Path) -> None:
    files(tmp_path, ["a.1001.exr", "a.1002.exr", "b.0001.png", "b.0002.png", "b.0003.png", "IMG_1.jpg", "IMG_2.jpg"])
    assert photo_files.find([tmp_path / "a.1001.exr", tmp_path / "a.1002.exr"]).files == [tmp_path / "a.####.exr"]
    names = [path.name for path in photo_files.find([tmp_path]).files]
    assert names == ["a.####.exr", "b.####.png", "IMG_1.jpg", "IMG_2.jpg"]


def test_photos_stay_photos(tmp_path: Path) -> None:
    """Photos that a camera numbered, chosen by file or by folder. Two numbered JPEGs are no shot either."""
    names = [f"IMG_{number}.jpg" for number in range(2041, 2052)]
    files(tmp_path / "camera", names)
    assert len(photo_files.find([tmp_path / "camera"]).files) == 11
    assert len(photo_files.find([tmp_path / "camera" / name for name in names[:3]]).files) == 3
    files(tmp_path / "two", ["scan.001.jpg", "scan.002.jpg"])
    assert len(photo_files.find([tmp_path / "two"]).files) == 2


def test_one_numbered_picture_alone_is_a_frame_where_there_are_many(tmp_path: Path) -> None:
    files(tmp_path, [f"render_{number:04d}.png" for number in range(1, 21)])
    assert photo_files.find([tmp_path / "render_0007.png"]).files == [tmp_path / "render_####.png"]
    assert len(photo_files.find([tmp_path]).files) == 20
    files(tmp_path, ["few_1.png", "few_2.png"])
    assert photo_files.find([tmp_path / "few_1.png"]).files == [tmp_path / "few_1.png"]


def test_patterns_are_taken_as_artists_write_them(tmp_path: Path) -> None:
    files(tmp_path, [f"render_{number:04d}.png" for number in (1, 2, 3)])
    assert photo_files.find([tmp_path / "render_%04d.png"]).files == [tmp_path / "render_####.png"]
    with pytest.raises(UserError, match="no file or folder"):
        photo_files.find([tmp_path / "other_####.png"])


@pytest.mark.parametrize(
    "head", ["a#1.", "##.", "take#", "a\nb.", "a*b.", "a[0-9].", "a{1,2}.", "take%d.", "-i ", "http:x."]
)
def test_a_name_may_hold_letters_that_are_patterns_elsewhere(tmp_path: Path, head: str) -> None:
    files(tmp_path, [f"{head}{number}.exr" for number in (1001, 1002, 1004)])
    (pattern,) = photo_files.find([tmp_path / f"{head}1002.exr"]).files
    assert sequence_files.frames(pattern) == {n: tmp_path / f"{head}{n}.exr" for n in (1001, 1002, 1004)}
    assert sequence_files.is_pattern(pattern)
    assert photo_files.find([pattern]).files == [pattern]


@pytest.mark.parametrize("name", ["take%d.mov", "take%04d.png", "%00d.jpg", "%099999999999d.png"])
def test_a_file_that_is_named_like_a_number_is_a_file(tmp_path: Path, name: str) -> None:
    with pytest.raises(UserError, match="no file or folder"):
        photo_files.find([tmp_path / name])
    files(tmp_path, [name])
    assert photo_files.find([tmp_path / name]).files == [tmp_path / name]


def test_a_file_that_is_named_like_a_pattern_is_a_file(tmp_path: Path) -> None:
    files(tmp_path, ["take #.jpg"])
    assert not sequence_files.is_pattern(tmp_path / "take #.jpg")
    assert photo_files.find([tmp_path / "take #.jpg"]).files == [tmp_path / "take #.jpg"]


def test_in_words(tmp_path: Path) -> None:
    files(tmp_path, ["p.1001.exr", "p.1002.exr", "p.1005.exr", "a.jpg"])
    assert sequence_files.described(tmp_path / "p.####.exr") == "p.####.exr: frames 1001–1005, 2 missing"
    assert sequence_files.described(tmp_path / "a.jpg") == ""


def test_holes_as_a_person_writes_them() -> None:
    assert sequence_files.missing([1001, 1002, 1005, 1007]) == [1003, 1004, 1006]
    assert sequence_files.ranges([1003, 1004, 1006]) == "1003–1004, 1006"
    assert sequence_files.missing([]) == []


def test_a_thousand_frames_are_one_shot(tmp_path: Path) -> None:
    files(tmp_path, [f"p.{number:04d}.exr" for number in range(1, 1001)])
    assert photo_files.find([tmp_path]).files == [tmp_path / "p.####.exr"]
    assert sequence_files.size(tmp_path / "p.####.exr") == 1000
