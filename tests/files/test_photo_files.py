"""A chosen folder gives the photos in all folders in it, and every skipped file by name."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from threer_blender.files import bundle_folder, photo_files, removal
from threer_blender.model.errors import UserError


def put(folder: Path, *names: str) -> None:
    for name in names:
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(name.encode())


def names_in(folder: Path) -> list[str]:
    return [file.relative_to(folder).as_posix() for file in photo_files.find([folder]).files]


def test_folders_in_folders_are_searched_in_natural_order(tmp_path: Path) -> None:
    put(tmp_path, "day 10/a.jpg", "day 2/IMG_10.jpg", "day 2/IMG_9.jpg", "z.jpg", "day 2/close/b.png", ".trash/c.jpg")
    assert names_in(tmp_path) == ["z.jpg", "day 2/IMG_9.jpg", "day 2/IMG_10.jpg", "day 2/close/b.png", "day 10/a.jpg"]


def test_everything_that_is_left_out_of_a_folder_is_named(tmp_path: Path) -> None:
    put(tmp_path, "a.jpg", "b.jpg", "notes.txt", "deep/b.psd", "._a.jpg", "a.mov", "b.NEF", "c.nef")
    files, skipped = photo_files.find([tmp_path])
    assert [file.name for file in files] == ["a.jpg", "b.jpg", "c.nef"]
    sentence = photo_files.skipped_sentence(skipped)
    assert sentence.startswith("Left out of the folder, 5 files: ")
    for name, reason in (
        ("notes.txt", "no photo"),
        ("b.psd", "no photo"),
        ("._a.jpg", "hidden"),
        ("a.mov", "video"),
        ("b.NEF", "raw, of a photo beside it"),
    ):
        part = next(part for part in sentence.split("; ") if f"'{name}'" in part)
        assert reason in part


def test_masks_beside_photos_are_no_photos(tmp_path: Path) -> None:
    put(tmp_path, "a.jpg", "Masks/a.png")
    files, skipped = photo_files.find([tmp_path])
    assert [file.name for file in files] == ["a.jpg"]
    assert "'a.png' (in a folder of masks)" in photo_files.skipped_sentence(skipped)
    assert names_in(tmp_path / "Masks") == ["a.png"]


def test_many_left_out_are_counted_and_some_named(tmp_path: Path) -> None:
    put(tmp_path, "a.jpg", *(f"{number}.xmp" for number in range(40)))
    sentence = photo_files.skipped_sentence(photo_files.find([tmp_path]).skipped)
    assert "40 files" in sentence
    assert "'9.xmp' and 30 more" in sentence


def test_a_folder_of_photos_alone_leaves_out_nothing(tmp_path: Path) -> None:
    put(tmp_path, "a.jpg", "b.AVIF", "c.cr3")
    assert photo_files.find([tmp_path]).skipped == {}
    assert photo_files.skipped_sentence({}) == ""


def test_a_folder_without_photos_names_what_it_holds(tmp_path: Path) -> None:
    put(tmp_path, "a.mp4", "b.txt")
    with pytest.raises(UserError, match=r"There is no photo in the folder .*'a\.mp4'.*'b\.txt'"):
        photo_files.find([tmp_path])


def a_result(folder: Path, beside: tuple[str, ...] = ()) -> None:
    """Writes a result with its manifest, which also lists the files `beside` the folder as the result's."""
    put(folder, "scene.json", "arrays.safetensors", "plates/0000_a.jpg")
    entries = {name: removal.entry_of(folder.parent / name) for name in beside}
    files = {
        name: removal.entry_of(folder / name) for name in ("scene.json", "arrays.safetensors", "plates/0000_a.jpg")
    }
    bundle_folder.write_manifest(folder, bundle_folder.Manifest("run", files, entries))


def test_our_own_results_are_no_photos(tmp_path: Path) -> None:
    put(tmp_path, "a.jpg", "shot.png")
    a_result(tmp_path / "3R results" / "first")
    a_result(tmp_path / "second", beside=("shot.png",))
    put(tmp_path / "without a list", "scene.json", "arrays.safetensors", "plates/0000_a.jpg")
    put(tmp_path / "plates", "01_plate.1001.exr")
    bundle_folder.write_manifest(tmp_path / "plates", bundle_folder.Manifest("run", {}))
    removal.make(tmp_path / "ours")
    put(tmp_path / "ours", "c.jpg")
    assert names_in(tmp_path) == ["a.jpg"]
    with pytest.raises(UserError, match="result of this extension"):
        photo_files.find([tmp_path / "second"])


@pytest.mark.skipif(os.name == "nt", reason="links need rights on Windows")
def test_links_that_lead_in_circles_end(tmp_path: Path) -> None:
    put(tmp_path, "photos/a.jpg", "elsewhere/b.jpg")
    (tmp_path / "photos" / "again").symlink_to(tmp_path / "photos")
    (tmp_path / "photos" / "linked").symlink_to(tmp_path / "elsewhere")
    assert names_in(tmp_path / "photos") == ["a.jpg", "linked/b.jpg"]


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="whoever may do everything reads it")
def test_a_folder_that_may_not_be_read_is_named(tmp_path: Path) -> None:
    put(tmp_path, "a.jpg", "closed/b.jpg")
    (tmp_path / "closed").chmod(0)
    try:
        skipped = photo_files.find([tmp_path]).skipped
    finally:
        (tmp_path / "closed").chmod(0o700)
    assert "'closed' (cannot be read" in photo_files.skipped_sentence(skipped)
