"""Nothing is deleted that cannot be proved to be ours."""

from __future__ import annotations

import ast
import contextlib
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from threer_blender.files import removal, whole_file
from threer_blender.files.lock import Held, Lock
from threer_blender.model.errors import UserError

PACKAGE = Path(__file__).parents[2] / "threer_blender"


def theirs(folder: Path) -> Path:
    folder.mkdir(parents=True)
    (folder / "photo.jpg").write_bytes(b"precious")
    return folder


def linked(folder: Path) -> Path:
    """A link to somebody's folder that holds our marker, too."""
    removal.mark(theirs(folder.with_name("theirs")))
    folder.symlink_to(folder.with_name("theirs"))
    return folder


def marked_by_a_folder(folder: Path) -> Path:
    (theirs(folder) / removal.MARKER).mkdir()
    return folder


def marked_by_other_words(folder: Path) -> Path:
    (theirs(folder) / removal.MARKER).write_text("a note of mine")
    return folder


def marked_by_noise(folder: Path) -> Path:
    (theirs(folder) / removal.MARKER).write_bytes(bytes(range(256)))
    return folder


def marked_by_a_link(folder: Path) -> Path:
    removal.mark(theirs(folder.with_name("ours")))
    (theirs(folder) / removal.MARKER).symlink_to(folder.with_name("ours") / removal.MARKER)
    return folder


def marked_below(folder: Path) -> Path:
    removal.make(theirs(folder) / "sub")
    return folder


@pytest.mark.parametrize(
    "make",
    [theirs, linked, marked_by_a_folder, marked_by_other_words, marked_by_noise, marked_by_a_link, marked_below],
)
@pytest.mark.parametrize("verb", [removal.remove, removal.discard])
def test_a_folder_without_our_marker_stays(
    tmp_path: Path, make: Callable[[Path], Path], verb: Callable[[Path], None]
) -> None:
    folder = make(tmp_path / "environment")
    before = sorted(path.relative_to(tmp_path) for path in tmp_path.rglob("*"))
    refusal = pytest.raises(UserError, match=r"was not made by this extension and stays; delete it yourself\.$")
    with refusal if verb is removal.remove else contextlib.nullcontext():
        verb(folder)
    assert sorted(path.relative_to(tmp_path) for path in tmp_path.rglob("*")) == before


def test_a_folder_of_ours_goes_and_what_its_links_lead_to_stays(tmp_path: Path) -> None:
    precious = theirs(tmp_path / "precious")
    for verb in (removal.remove, removal.discard):
        ours = removal.claim(tmp_path / "ours")
        (ours / "deep" / "deeper").mkdir(parents=True)
        (ours / "deep" / "file").write_text("x")
        (ours / "link").symlink_to(precious)
        (ours / "deep" / "link").symlink_to(precious / "photo.jpg")
        verb(ours)
        assert not ours.exists()
    assert (precious / "photo.jpg").read_bytes() == b"precious"
    removal.remove(tmp_path / "ours")  # where there is none


def test_what_a_kill_interrupted_is_still_ours(tmp_path: Path) -> None:
    """The marker is the last to go."""
    ours = removal.claim(tmp_path / "ours")
    (ours / "file").write_text("x")
    closed = ours / "closed"
    closed.mkdir()
    (closed / "file").write_text("x")
    closed.chmod(0o500)
    removal.discard(ours)
    assert removal.is_ours(ours) or not ours.exists()  # root may delete anything
    if ours.exists():
        closed.chmod(0o700)
    removal.remove(ours)
    assert not ours.exists()


def test_somebody_elses_folder_is_never_made_ours(tmp_path: Path) -> None:
    folder = theirs(tmp_path / "python")
    with pytest.raises(UserError, match="was not made by this extension"):
        removal.claim(folder)
    (tmp_path / "link").symlink_to(tmp_path)
    with pytest.raises(UserError, match="was not made by this extension"):
        removal.claim(tmp_path / "link")
    assert list(folder.iterdir()) == [folder / "photo.jpg"]


def changed(folder: Path) -> None:
    (folder / "a.txt").write_text("other")


def same_size(folder: Path) -> None:
    (folder / "a.txt").write_text("ANOTHER"[: len("content")])


def added(folder: Path) -> None:
    (folder / "b.txt").write_text("precious")


def added_deep(folder: Path) -> None:
    (folder / "sub" / "b.txt").write_text("precious")


def added_folder(folder: Path) -> None:
    (folder / "mine").mkdir()


def linked_file(folder: Path) -> None:
    copy = folder.with_name("elsewhere.txt")
    (folder / "a.txt").rename(copy)
    (folder / "a.txt").symlink_to(copy)


def linked_folder(folder: Path) -> None:
    (folder / "sub").rename(folder.with_name("elsewhere"))
    (folder / "sub").symlink_to(folder.with_name("elsewhere"))


def file_for_folder(folder: Path) -> None:
    (folder / "sub" / "c.txt").unlink()
    (folder / "sub").rmdir()
    (folder / "sub").write_text("precious")


@pytest.mark.parametrize(
    "touch", [changed, same_size, added, added_deep, added_folder, linked_file, linked_folder, file_for_folder]
)
def test_what_is_not_as_it_was_listed_stays(tmp_path: Path, touch: Callable[[Path], None]) -> None:
    folder = tmp_path / "bundle"
    (folder / "sub").mkdir(parents=True)
    (folder / "a.txt").write_text("content")
    (folder / "sub" / "c.txt").write_text("content")
    files = removal.listed(folder)
    assert removal.foreign(folder, files) is None
    touch(folder)
    theirs = removal.foreign(folder, files)
    assert theirs is not None
    assert not removal.remove_listed(folder, files)
    assert os.path.lexists(theirs)


def test_a_list_never_leads_out_of_its_folder(tmp_path: Path) -> None:
    """A stranger's bundle might try to delete files elsewhere."""
    precious = theirs(tmp_path / "precious") / "photo.jpg"
    entry = removal.entry_of(precious)
    folder = tmp_path / "bundle"
    folder.mkdir()
    names = ("../precious/photo.jpg", str(precious), "sub/../../precious/photo.jpg", "./../precious/photo.jpg", "", ".")
    assert removal.remove_listed(folder, dict.fromkeys(names, entry))
    assert precious.exists()


def test_one_module_deletes_and_one_renames_over() -> None:
    """Every other file of the product asks them; folders made by `tempfile` for one block are its own."""
    allowed = {"files/removal.py", "files/whole_file.py"}
    verbs = {"rmtree", "unlink", "rmdir", "remove_tree", "removedirs", "move"}
    deletes: dict[str, list[str]] = {}
    for path in PACKAGE.rglob("*.py"):
        name = path.relative_to(PACKAGE).as_posix()
        if name.startswith("geometry/"):  # it works in its callers' temporary folders alone
            continue
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
                continue
            verb, owner = node.func.attr, ast.unparse(node.func.value)
            replaces = verb == "replace" and len(node.args) == 1 and not node.keywords  # str.replace takes two
            if owner.endswith((".objects", ".modifiers")):  # Blender's collections, which hold no files
                continue
            if verb in verbs or replaces or (verb == "remove" and owner == "os"):
                deletes.setdefault(name, []).append(f"{node.lineno} {owner}.{verb}")
    assert deletes.keys() == allowed, deletes


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path: Path) -> None:
    file = tmp_path / "file.txt"
    whole_file.write_text(file, "first")
    with contextlib.suppress(ZeroDivisionError), whole_file.replacing(file) as unfinished:
        unfinished.write_text("half")
        raise ZeroDivisionError
    assert file.read_text() == "first"
    whole_file.write_text(file, "second")
    assert file.read_text() == "second"
    assert list(tmp_path.iterdir()) == [file]
    long = tmp_path / ("n" * 251 + ".txt")
    whole_file.write_text(long, "a name as long as any")
    assert long.read_text() == "a name as long as any"


def test_a_lock_is_held_once(tmp_path: Path) -> None:
    with Lock(tmp_path / "lock"), pytest.raises(Held):
        Lock(tmp_path / "lock")
    Lock(tmp_path / "lock").release()
