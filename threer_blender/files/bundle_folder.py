"""[S] The folder of a bundle. It is built beside its final place and put there whole.

`manifest.json` in the folder lists every other file with its size and hash, and the files that the same run wrote
beside the folder, such as a scene or a picture. It also names the run. Only files that it lists, and that did not
change since, are ever removed or replaced.
"""

from __future__ import annotations

import contextlib
import errno
import glob
import hashlib
import itertools
import json
import os
import shutil
import stat
import tempfile
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Self

from ..model.errors import UserError, quoted
from . import bounded, removal, whole_file
from .lock import Held, Lock
from .removal import Entry

SCENE, ARRAYS, MANIFEST = "scene.json", "arrays.safetensors", "manifest.json"  # files in a bundle
PLATES, MASKS = "plates", "masks"  # folders in a bundle
MESH = "mesh.glb"  # the textured mesh in a bundle, which is made later than the rest
EARLIER_MESH = "mesh.glb, earlier"  # no file: the entry of the mesh that stays where a run dies before its own is MESH
FORMAT = "threer_blender bundle, list of files"
PARTIAL = ".partial"  # ending of the name of a Staging folder
GONE = ".gone"  # a second ending, while that folder is removed
PREFIX_LETTERS = 40  # letters of the folder's name that stand in the name of the folder it is built in
LARGEST_MANIFEST = 1 << 26  # bytes
YOUNG = 60.0  # seconds: a folder made more recently may not be locked yet, so it is left alone
TOO_LONG = (errno.ENAMETOOLONG, 206)  # 206: ERROR_FILENAME_EXCED_RANGE of Windows


@dataclass(frozen=True)
class Manifest:
    """The list of files that one `run` wrote, by name: `files` in the bundle's folder, and those `beside` the folder.

    `registered` and `chosen` count photos, `points` the points of the cloud.
    """

    run: str
    files: dict[str, Entry]
    beside: dict[str, Entry] = field(default_factory=dict)
    registered: int = 0
    chosen: int = 0
    points: int = 0


def new_run() -> str:
    """A new name for a run, unlike all others."""
    return os.urandom(8).hex()


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Writes the list of a folder's files into it. Raises OSError."""
    text = json.dumps({"format": FORMAT, **asdict(manifest)}, indent=1)
    whole_file.write_text(folder / MANIFEST, text)


def is_bundle(folder: Path) -> bool:
    """Whether `folder` holds a bundle. A link to a folder does not count."""
    return not folder.is_symlink() and (folder / SCENE).is_file() and read_manifest(folder) is not None


def read_manifest(folder: Path) -> Manifest | None:
    """The manifest in `folder`; None where there is none, or none of ours."""
    try:
        if not 0 < (folder / MANIFEST).stat().st_size <= LARGEST_MANIFEST:
            return None
        values: dict[str, Any] = json.loads((folder / MANIFEST).read_text("utf-8"))
        if values.pop("format") != FORMAT:
            return None
        files, beside = _entries(values["files"]), _entries(values["beside"])
        registered, chosen, points = (int(values[name]) for name in ("registered", "chosen", "points"))
        return Manifest(str(values["run"]), files, beside, registered, chosen, points)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


def _entries(values: Mapping[str, Any]) -> dict[str, Entry]:
    return {str(name): Entry(int(size), str(sha256)) for name, (size, sha256) in values.items()}


def names_beside(folder: Path) -> list[str]:
    """The names of the files that a run wrote beside the bundle `folder`."""
    manifest = read_manifest(folder)
    return [] if manifest is None else list(manifest.beside)


def copy_listed(folder: Path, inner: Sequence[str], target: Path) -> None:
    """Copies the files that a run wrote into the folders `inner` of the bundle `folder` to the same places in `target`.

    Files that are gone are left out. Links are never followed. Raises UserError where the manifest is missing or names
    anything but regular files of the bundle, and OSError.
    """
    manifest = read_manifest(folder)
    if manifest is None:
        if any(os.path.lexists(folder / name) for name in inner):
            raise UserError(f"The result in {quoted(folder)} has no list of its files ({MANIFEST}); reconstruct again.")
        return
    for name in manifest.files:
        if not name.startswith(tuple(f"{each}/" for each in inner)):
            continue
        with bounded.as_refusal(f"The result in {quoted(folder)}"):
            source = bounded.inside(folder, name)
            if not os.path.lexists(source):
                continue
            if not stat.S_ISREG(source.lstat().st_mode):
                raise bounded.Damaged(f"has something else in place of its file {quoted(name)}; do not trust it")
        copied = target / source.relative_to(folder)
        copied.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, copied, follow_symlinks=False)


def foreign(folder: Path) -> Path | None:
    """The first file or folder in `folder` that no bundle wrote; None where a bundle wrote all, or it is empty."""
    manifest = read_manifest(folder)
    if manifest is None:
        return next(iter(sorted(folder.iterdir())), None)
    return removal.foreign(folder, _with_manifest(folder, manifest))


def remove(folder: Path) -> bool:
    """Deletes the files that a bundle wrote into `folder`, then `folder` if it is empty. Returns whether `folder` was
    removed."""
    manifest = read_manifest(folder)
    return (
        removal.remove_empty(folder)
        if manifest is None
        else removal.remove_listed(folder, _with_manifest(folder, manifest))
    )


def _with_manifest(folder: Path, manifest: Manifest) -> dict[str, Entry]:
    """The files of a manifest, and the manifest itself. The mesh is the earlier one where that is still in place."""
    files = {**manifest.files, MANIFEST: removal.entry_of(folder / MANIFEST)}
    earlier = files.pop(EARLIER_MESH, None)
    if earlier is not None and (folder / MESH).is_file() and removal.entry_of(folder / MESH) == earlier:
        files[MESH] = earlier
    return files


# ------------------------------------------------------------------ checking the output before the work begins


def check_output(folder: Path) -> None:
    """Raises UserError where a bundle cannot or must not be written as `folder`. Called before the work begins."""
    try:
        if folder.is_symlink():
            raise UserError(f"{quoted(folder)} is a link; name the folder itself for the result.")
        if folder.exists() and not folder.is_dir():
            raise UserError(f"{quoted(folder)} is a file; choose another name for the result's folder.")
        if folder.is_dir():
            _sweep(folder / MESH)
        if folder.is_dir() and (other := foreign(folder)) is not None:
            raise UserError(
                f"The folder {quoted(folder)} holds something else ({quoted(other.name)}); choose a new or empty one "
                "for the result."
            )
        with contextlib.suppress(FileNotFoundError):
            folder.lstat()  # which says where its path is too long
        nearest = next(parent for parent in folder.parents if parent.exists())
        tempfile.TemporaryDirectory(prefix=".threer_", dir=nearest).cleanup()
    except OSError as error:
        raise output_error(folder, error) from error


def check_inputs(folder: Path, inputs: Iterable[str | Path]) -> None:
    """Raises UserError where a file or folder that a run is to read lies in the `folder` that its result replaces.

    `inputs` may be options of any kind: texts that name nothing in `folder` pass. `folder` itself passes, too: it is
    then an earlier result, which the new one replaces.
    """
    if not folder.is_dir():
        return
    replaced = folder.resolve()
    for each in inputs:
        with contextlib.suppress(OSError, ValueError, RuntimeError):  # no path, or a link that leads in a circle
            path = Path(each)
            if path.is_absolute() and os.path.lexists(path) and replaced in path.resolve().parents:
                raise UserError(
                    f"{quoted(path)} is in the folder {quoted(folder)}, which the result would replace; choose another "
                    "name for the result."
                )


def output_error(folder: Path, error: OSError) -> UserError:
    """The sentence for the user where the system refused to write the result `folder`."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return UserError(f"The disk of {quoted(folder.parent)} is full; free some space and run again.")
    if error.errno in TOO_LONG or getattr(error, "winerror", 0) in TOO_LONG:
        return UserError(f"The path {quoted(folder)} is too long for this system; choose a shorter one for the result.")
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR):
        return UserError(
            f"{quoted(folder.parent)} cannot be written to, or something there is in use; close what uses it, or "
            "choose another place for the result."
        )
    reason = error.strerror or error
    return UserError(f"The result could not be written to {quoted(folder)} ({reason}); choose another place for it.")


# ------------------------------------------------------------------ building aside


class Staging:
    """A temporary folder beside `folder` in which one run builds its bundle, which takes the name `folder` at the end.

    Within it, `new` is the bundle in the making. `earlier` is the bundle that had the name `folder`, moved here while
    the new one takes the name. While the temporary folder is locked, no other run removes it.
    """

    def __init__(self, folder: Path, run: str) -> None:
        self.folder, self.run = folder, run
        self.path = folder.parent / f"{_staging_prefix(folder)}{run}{PARTIAL}"
        self.new, self.earlier = self.path / "new", self.path / "earlier"
        self._lock: Lock | None = None
        self._parents: list[Path] = []  # the parent folders that `make` has made

    def make(self) -> Self:
        """Removes what dead runs left for the same `folder`, then makes and locks this folder. Raises OSError."""
        _sweep(self.folder)
        self._parents = [parent for parent in self.folder.parents if not parent.exists()]
        removal.make(self.path)
        self._lock = Lock(self.path / removal.MARKER)
        return self

    def put_in_place(self) -> Path:
        """Gives the new bundle its name, removes the earlier bundle, and returns the new one's path.

        Where somebody put a file of theirs into the earlier bundle during the run, the earlier bundle keeps its name,
        and the new one gets an unused name. Raises OSError; then the earlier bundle is still in place.
        """
        if not os.path.lexists(self.folder) or (self.folder.is_dir() and removal.remove_empty(self.folder)):
            self.new.rename(self.folder)
            return self.folder
        if self.folder.is_symlink() or not self.folder.is_dir():
            return self.keep()
        self.folder.rename(self.earlier)
        try:
            if foreign(self.earlier) is not None:
                self.earlier.rename(self.folder)
                return self.keep()
            self.new.rename(self.folder)
        except OSError:
            with contextlib.suppress(FileNotFoundError):  # where another thread has discarded this run
                self.earlier.rename(self.folder)
            raise
        remove(self.earlier)
        return self.folder

    def keep(self) -> Path:
        """Gives the new bundle an unused name, and returns its path. Raises OSError."""
        return self.new.rename(unused_name(self.folder))

    def discard(self) -> None:
        """Removes the temporary folder with all that is in it. An earlier bundle that was moved here goes back first.

        The folder is renamed before it is emptied. Else another thread could give the final name to a bundle that is
        half removed.
        """
        self.release()
        for path in (self.path, self._gone):
            if removal.is_ours(path):
                self._discard(self._out_of_the_way(path))
        for parent in self._parents:
            removal.remove_empty(parent)

    @property
    def _gone(self) -> Path:
        """The name of the temporary folder while it is removed."""
        return self.path.with_name(f"{self.path.name}{GONE}")

    def _out_of_the_way(self, path: Path) -> Path:
        """Renames the temporary folder, so that no other thread uses it. Returns where it is."""
        try:
            return path.rename(self._gone)
        except OSError:  # Windows holds on to an open file
            return path

    def _discard(self, path: Path) -> None:
        """Removes the temporary folder, now at `path`; the earlier bundle in it gets its name back."""
        earlier = path / self.earlier.name
        if earlier.is_dir() and (not os.path.lexists(self.folder) or not remove(earlier)):
            earlier.rename(unused_name(self.folder))
        removal.discard(path)

    def release(self) -> None:
        """Unlocks the folder, so that other runs may remove it. The system does so for a process that has died."""
        if self._lock is not None:
            self._lock.release()
            self._lock = None


def _staging_prefix(folder: Path) -> str:
    """The beginning of the names of all Staging folders of `folder`: its name, cut, and a hash of its whole name."""
    name = folder.name
    return f".{name[:PREFIX_LETTERS]}.{hashlib.sha256(os.fsencode(name)).hexdigest()[:8]}."


def unused_name(path: Path, promised: Collection[Path] = ()) -> Path:
    """`path` where that name is unused, else a similar path whose name is. Names in `promised` count as used."""
    others = (path.with_name(f"{path.stem} {number}{path.suffix}") for number in itertools.count(2))
    names = itertools.chain([path], others)
    return next(name for name in names if name not in promised and not os.path.lexists(name))


def _sweep(folder: Path) -> None:
    """Removes the Staging folders that dead runs left beside `folder`."""
    begin = _staging_prefix(folder)
    for path in folder.parent.glob(f"{glob.escape(begin)}*{PARTIAL}*"):
        with contextlib.suppress(Held, OSError):  # its run goes on, or nobody can say
            if removal.is_ours(path) and time.time() - path.stat().st_mtime > YOUNG:
                Lock(path / removal.MARKER).release()
                run = path.name.removeprefix(begin).partition(".")[0]
                Staging(folder, run).discard()


def mesh_staging(folder: Path, run: str) -> Staging:
    """The temporary folder, within the bundle `folder`, in which the run makes the bundle's mesh."""
    return Staging(folder.absolute() / MESH, run)


def put_mesh(made: Path, folder: Path, before: Manifest) -> Path:
    """Gives the file `made`, in its `mesh_staging`, the name MESH in the bundle `folder`, and lists it there.

    An earlier mesh is replaced. `before` is the bundle's manifest when the work began. Raises UserError where another
    result has taken the bundle's place since, or as `check_mesh` does, and OSError.
    """
    manifest, target = read_manifest(folder), folder / MESH
    if manifest is None or manifest.run != before.run:
        raise UserError(f"The result in {quoted(folder)} was replaced in the meantime; make the mesh again.")
    check_mesh(folder, manifest)
    # First into the list: a file that is listed and missing does no harm, and one that is not listed is never replaced.
    files = {**manifest.files, MESH: removal.entry_of(made)}
    files.pop(EARLIER_MESH, None)
    if target.is_file():
        files[EARLIER_MESH] = removal.entry_of(target)
    write_manifest(made.parent, replace(manifest, files=files))  # there, so that a killed run leaves no part of it here
    whole_file.put(made.with_name(MANIFEST), folder / MANIFEST)
    whole_file.put(made, target)
    return target


def check_mesh(folder: Path, manifest: Manifest) -> None:
    """Raises UserError where a file in the bundle `folder` has the name MESH and is not as we wrote it, and OSError."""
    target = folder / MESH
    listed = manifest.files.get(MESH), manifest.files.get(EARLIER_MESH)
    if os.path.lexists(target) and (
        target.is_symlink() or not target.is_file() or removal.entry_of(target) not in listed
    ):
        raise UserError(f"{quoted(target)} is not as it was made here; move it away, then make the mesh again.")


def written_by(folder: Path, run: str) -> Manifest | None:
    """The manifest of `folder` if this run wrote it, else None."""
    manifest = read_manifest(folder)
    return manifest if manifest is not None and manifest.run == run else None
