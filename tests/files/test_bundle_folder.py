"""Where a result may be written, what it may replace there, and what two runs at once do to each other."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.test_bundle import example
from threer_blender import bundle
from threer_blender.files import bundle_folder, removal
from threer_blender.files.bundle_folder import Staging
from threer_blender.model.errors import UserError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An earlier result with a plate."""
    plates = tmp_path / "work" / "plates"
    plates.mkdir(parents=True)
    (plates / "0.jpg").write_bytes(b"picture")
    return bundle.write(example(tmp_path), tmp_path / "result", plates.parent)


def everything(folder: Path) -> dict[str, bytes | str]:
    """Everything in a folder, by name: the content of files, where links lead."""
    collected: dict[str, bytes | str] = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        collected[name] = (
            str(path.readlink()) if path.is_symlink() else path.read_bytes() if path.is_file() else "folder"
        )
    return collected


def add(name: str, content: bytes = b"precious") -> Callable[[Path], None]:
    def touch(folder: Path) -> None:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)

    touch.__name__ = f"add {name!r}"
    return touch


def paint_over_a_plate(folder: Path) -> None:
    (folder / "plates" / "0.jpg").write_bytes(b"PICTURE")


def without_a_list(folder: Path) -> None:
    (folder / bundle_folder.MANIFEST).unlink()


def with_another_list(folder: Path) -> None:
    values = json.loads((folder / bundle_folder.MANIFEST).read_text())
    (folder / bundle_folder.MANIFEST).write_text(json.dumps({**values, "format": "other"}))


def with_a_damaged_list(folder: Path) -> None:
    (folder / bundle_folder.MANIFEST).write_text('{"format": [], "files": 7')


def edited_scene(folder: Path) -> None:
    scene = folder / bundle_folder.SCENE
    scene.write_text(scene.read_text() + "\n")


def only_a_scene(folder: Path) -> None:
    """The folder of a game engine's or a web page's project, which may have such a file."""
    shutil.rmtree(folder)
    folder.mkdir()
    (folder / bundle_folder.SCENE).write_text("{}")
    (folder / "IMG_1.jpg").write_bytes(b"precious")


def linked_plate(folder: Path) -> None:
    (folder / "plates" / "0.jpg").rename(folder.with_name("0.jpg"))
    (folder / "plates" / "0.jpg").symlink_to(folder.with_name("0.jpg"))


def linked_plates(folder: Path) -> None:
    (folder / "plates").rename(folder.with_name("plates"))
    (folder / "plates").symlink_to(folder.with_name("plates"))


def itself_a_link(folder: Path) -> None:
    folder.rename(folder.with_name("real"))
    folder.symlink_to(folder.with_name("real"))


def a_dangling_link(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.symlink_to(folder.with_name("nothing"))


def a_file(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.write_text("precious")


THEIRS = [
    add("IMG_1.jpg"),
    add("shot.blend"),
    add(".DS_Store"),
    add("Thumbs.db"),
    add("plates/1.jpg"),
    add("plates/deeper/2.jpg"),
    add("scene.json.bak"),
    add("SCENE.JSON"),
    add("manifest.json "),
    add("ünï 日本.txt"),
    add("notes/todo.txt"),
    lambda folder: (folder / "my empty folder").mkdir(),
    paint_over_a_plate,
    without_a_list,
    with_another_list,
    with_a_damaged_list,
    edited_scene,
    only_a_scene,
    linked_plate,
    linked_plates,
    itself_a_link,
    a_dangling_link,
    a_file,
]


@pytest.mark.parametrize("touch", THEIRS, ids=lambda touch: touch.__name__)
def test_what_a_bundle_did_not_write_is_never_replaced(
    tmp_path: Path, folder: Path, touch: Callable[[Path], None]
) -> None:
    touch(folder)
    before = everything(tmp_path)
    with pytest.raises(UserError) as refused:
        bundle.write(replace(example(tmp_path), engine="new"), folder)
    assert str(refused.value).endswith(".")
    assert str(folder) in str(refused.value)
    assert everything(tmp_path) == before


@pytest.mark.parametrize("touch", [add("IMG_1.jpg"), paint_over_a_plate, itself_a_link, a_file])
def test_what_arrives_during_the_run_stays_and_so_does_the_result(
    tmp_path: Path, folder: Path, touch: Callable[[Path], None]
) -> None:
    staging = Staging(folder, "a").make()
    bundle.write(replace(example(tmp_path), engine="new"), folder, staging=staging)
    touch(folder)
    before = everything(folder) if folder.is_dir() else {}
    place = staging.put_in_place()
    staging.discard()
    assert place == folder.with_name("result 2")
    assert bundle.read(place).engine == "new"
    assert not before or everything(folder) == before
    assert not list(tmp_path.glob(".*"))


def test_what_a_run_reads_is_not_in_what_it_replaces(tmp_path: Path, folder: Path) -> None:
    """Neither its photos nor what its options name; by whatever way they lead there."""
    (tmp_path / "link").symlink_to(folder)
    plate = folder / "plates" / "0.jpg"
    for path in (plate, plate.parent, tmp_path / "link" / "plates" / "0.jpg", folder / "plates" / ".." / "plates"):
        with pytest.raises(UserError, match="which the result would replace"):
            bundle_folder.check_inputs(folder, [tmp_path / "photo.jpg", str(path)])
    elsewhere = ("", "high", "plates/0.jpg", str(folder), str(tmp_path), f"{folder}/gone.jpg", "\0", "x" * 5000)
    bundle_folder.check_inputs(folder, elsewhere)
    bundle_folder.check_inputs(tmp_path / "new", [plate])


@pytest.mark.parametrize("name", ["home", "photos", "photos/..", "home/disk", "photos/result/plates"])
def test_a_folder_of_the_artists_is_never_the_result(tmp_path: Path, folder: Path, name: str) -> None:
    for inner in ("home/.config", "home/disk/films", "photos/IMG_1"):
        (tmp_path / inner).mkdir(parents=True)
    shutil.copytree(folder, tmp_path / "photos" / "result")
    before = everything(tmp_path)
    with pytest.raises(UserError, match="holds something else"):
        bundle.write(example(tmp_path), tmp_path / name)
    assert everything(tmp_path) == before


@pytest.mark.skipif(os.name == "nt", reason="links take a right on Windows")
def test_hard_links_keep_what_they_name(tmp_path: Path, folder: Path) -> None:
    """The artist's other name of a plate, and a file of the artist's under a plate's name."""
    (tmp_path / "mine.jpg").hardlink_to(folder / "plates" / "0.jpg")
    bundle.write(replace(example(tmp_path), engine="new"), folder)
    assert (tmp_path / "mine.jpg").read_bytes() == b"picture"
    (tmp_path / "precious.json").write_text("precious")
    (folder / bundle_folder.SCENE).unlink()
    (folder / bundle_folder.SCENE).hardlink_to(tmp_path / "precious.json")
    with pytest.raises(UserError, match="holds something else"):
        bundle.write(example(tmp_path), folder)
    assert (tmp_path / "precious.json").read_text() == "precious"


def test_what_a_bundle_wrote_is_replaced_and_an_empty_folder_taken(tmp_path: Path, folder: Path) -> None:
    (folder / "plates" / "0.jpg").unlink()  # a file that is missing cannot be lost
    (tmp_path / "empty").mkdir()
    for place in (folder, tmp_path / "empty"):
        assert bundle.write(replace(example(tmp_path), engine="new"), place) == place
        assert bundle.read(place).engine == "new"
        assert bundle_folder.foreign(place) is None
    assert sorted(path.name for path in tmp_path.iterdir()) == ["empty", "result", "work"]


def test_a_second_run_never_touches_the_first_ones(tmp_path: Path, folder: Path) -> None:
    first, second = Staging(folder, "a").make(), Staging(folder, "b").make()
    os.utime(first.path, (time.time() - 3600,) * 2)  # a long run
    for staging, engine in ((first, "first"), (second, "second")):
        bundle.write(replace(example(tmp_path), engine=engine), folder, staging=staging)
    third = Staging(folder, "c").make()
    third.discard()
    assert first.put_in_place() == folder
    first.discard()
    assert bundle.read(folder).engine == "first"
    assert second.put_in_place() == folder
    second.discard()
    assert bundle.read(folder).engine == "second"
    assert not list(tmp_path.glob(".*"))


def test_what_dead_runs_left_goes_and_gives_back_what_it_held(tmp_path: Path, folder: Path) -> None:
    dead = Staging(folder, "a").make()
    folder.rename(dead.earlier)
    dead.release()  # as the system does for a process that has died
    other = Staging(folder.with_name("result of another name"), "b").make()
    other.release()
    mine = tmp_path / f"{dead.path.name.removesuffix('a.partial')}c.partial"  # looks like ours, and has no marker
    mine.mkdir()
    for path in (dead.path, other.path, mine):
        os.utime(path, (time.time() - 3600,) * 2)
    Staging(folder, "d").make().discard()
    assert bundle.read(folder).engine == "colmap"
    assert sorted(path.name for path in tmp_path.glob(".*")) == sorted([mine.name, other.path.name])


def put_mesh(folder: Path, content: bytes) -> None:
    manifest = bundle_folder.read_manifest(folder)
    assert manifest is not None
    staging = bundle_folder.mesh_staging(folder, "a").make()
    staging.new.write_bytes(content)
    bundle_folder.put_mesh(staging.new, folder, manifest)
    staging.discard()


def test_a_mesh_whose_successor_died_on_the_threshold_is_still_ours(folder: Path) -> None:
    put_mesh(folder, b"first")
    put_mesh(folder, b"second")
    assert bundle_folder.foreign(folder) is None
    (folder / bundle_folder.MESH).write_bytes(b"first")  # as a run leaves it that dies when it has listed its mesh
    assert bundle_folder.foreign(folder) is None
    put_mesh(folder, b"third")
    assert (folder / bundle_folder.MESH).read_bytes() == b"third"
    assert bundle_folder.foreign(folder) is None
    (folder / bundle_folder.MESH).write_bytes(b"second")  # which only an earlier list names
    assert bundle_folder.foreign(folder) == folder / bundle_folder.MESH
    (folder / bundle_folder.MESH).unlink()
    assert bundle_folder.remove(folder)


def test_what_a_dead_run_left_of_a_mesh_is_not_in_the_way_of_a_new_result(folder: Path) -> None:
    dead = bundle_folder.mesh_staging(folder, "a").make()
    dead.new.write_bytes(b"half of a me")
    with pytest.raises(UserError, match="holds something else"):  # it may still live
        bundle_folder.check_output(folder)
    dead.release()  # as the system does for a process that has died
    os.utime(dead.path, (time.time() - 3600,) * 2)
    bundle_folder.check_output(folder)
    assert not dead.path.exists()


def test_the_run_that_wrote_a_result_is_known(tmp_path: Path) -> None:
    folder = bundle.write(example(tmp_path), tmp_path / "result", run="mine")
    written = bundle_folder.written_by(folder, "mine")
    assert written is not None
    assert (written.registered, written.chosen, written.points) == (2, 3, 11)
    assert bundle_folder.written_by(folder, "another") is None
    assert set(written.files) == {bundle_folder.SCENE, bundle_folder.ARRAYS}
    assert written.files[bundle_folder.SCENE] == removal.entry_of(folder / bundle_folder.SCENE)


@pytest.mark.parametrize("length", [200, 240, 255, 256, 1000, 5000])
def test_a_name_that_is_too_long_is_one_sentence(tmp_path: Path, length: int) -> None:
    folder = tmp_path / ("n" * length)
    if length <= 255:
        assert bundle.write(example(tmp_path), folder) == folder
        return
    with pytest.raises(UserError, match=r"too long for this system; choose a shorter one for the result\.$"):
        bundle.write(example(tmp_path), folder)
    assert list(tmp_path.iterdir()) == []


def test_listed_files_are_copied_and_nothing_else(folder: Path, tmp_path: Path) -> None:
    (folder / "plates" / "theirs.jpg").write_bytes(b"of somebody else")
    bundle_folder.copy_listed(folder, ("plates", "masks"), tmp_path / "copy")
    assert everything(tmp_path / "copy") == {"plates": "folder", "plates/0.jpg": b"picture"}


def plate_leads_elsewhere(plate: Path) -> None:
    plate.symlink_to("/etc/hostname")


def plate_is_a_link(plate: Path) -> None:
    plate.symlink_to("../scene.json")


def plate_is_a_pipe(plate: Path) -> None:
    os.mkfifo(plate)


def plates_lead_elsewhere(plate: Path) -> None:
    plate.parent.rename(plate.parent.parent.parent / "home")
    plate.parent.symlink_to("../home")
    plate.write_bytes(b"private")


def plates_lead_to_themselves(plate: Path) -> None:
    plate.parent.rmdir()
    plate.parent.symlink_to(plate.parent)


@pytest.mark.skipif(os.name == "nt", reason="links take a right on Windows, and there are no pipes in folders")
@pytest.mark.parametrize(
    "change",
    [plate_leads_elsewhere, plate_is_a_link, plate_is_a_pipe, plates_lead_elsewhere, plates_lead_to_themselves],
)
def test_what_takes_the_place_of_a_listed_file_is_not_copied(
    change: Callable[[Path], None], folder: Path, tmp_path: Path
) -> None:
    (folder / "plates" / "0.jpg").unlink()
    change(folder / "plates" / "0.jpg")
    with pytest.raises(UserError, match="do not trust it"):
        bundle_folder.copy_listed(folder, ("plates", "masks"), tmp_path / "copy")
    assert not (tmp_path / "copy").exists()


def test_without_a_list_nothing_is_copied(folder: Path, tmp_path: Path) -> None:
    without_a_list(folder)
    with pytest.raises(UserError, match="has no list of its files"):
        bundle_folder.copy_listed(folder, ("plates", "masks"), tmp_path / "copy")
