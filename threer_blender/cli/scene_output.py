"""[S] Writes a reconstruction as a .blend with its bundle: both get their names, or neither does."""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TextIO, TypeVar

from .. import bundle, headless
from ..files import bundle_folder, removal, whole_file
from ..files.bundle_folder import Staging, output_error
from ..files.removal import Entry
from ..jobs.messages import Bundled, Done, Message, Notice, Progress
from ..model.errors import UserError, quoted
from ..model.reconstruction import Reconstruction

Described = TypeVar("Described")


@dataclass(frozen=True)
class Scene:
    """The files to write: a .blend and perhaps a picture. `overwrite`: files that others made or changed may be
    replaced."""

    blend: Path
    picture: Path | None
    overwrite: bool

    def check(self, folder: Path) -> None:
        """Raises UserError where a file stands in the way that the bundle `folder` does not list as written with it."""
        listed = _listed_beside(folder)
        for path in filter(None, (self.blend, self.picture)):
            if path.is_symlink() or path.is_dir():
                raise UserError(f"{quoted(path)} is a link or a folder; choose another name.")
            if path.exists() and not (self.overwrite or _is_listed(path, folder, listed)):
                raise UserError(
                    f"{quoted(path)} was not written by an earlier run, or has changed since; say --overwrite to "
                    "replace it, or choose another name."
                )


def write(
    request: Bundled,
    scene: Scene,
    data_folder: Path,
    say: Callable[[Message], None],
    describe: Callable[[Reconstruction], Described],
) -> Described:
    """Does what is requested, builds the scene of it and puts all in place. Returns what `describe` says of the result.

    Raises as `headless.reconstruct` does, and UserError where a file cannot be written; what stood there stays then.
    """
    folder = Path(request.output)
    scene.check(folder)
    staging = Staging(folder, request.run)
    try:
        staging.make()
        done = headless.finish(headless.begin(replace(request, held=True), data_folder), say)
        assert isinstance(done, Done)
        described = _in_scene(staging, scene, say, describe)
        _put_in_place(staging, scene)
    except OSError as error:
        raise output_error(folder, error) from error
    finally:
        staging.discard()
    return described


def _in_scene(
    staging: Staging,
    scene: Scene,
    say: Callable[[Message], None],
    describe: Callable[[Reconstruction], Described],
) -> Described:
    """Builds the scene of a staged bundle and saves it beside that. The bundle is kept where this goes wrong."""
    from ..scene import files
    from ..scene import picture as pictures

    try:
        reconstruction = bundle.read(staging.new)
        described = describe(reconstruction)
        say(Progress("Building the scene", 1.0))
        blend, picture = _staged(staging)
        root = files.save_new(reconstruction, staging.new, blend, (staging.folder, scene.blend))
        if scene.picture is not None:
            say(Progress("Rendering the picture", 1.0))
            pictures.write(root, picture)
    except Exception:
        place = staging.keep() if os.path.lexists(staging.folder) else staging.put_in_place()
        say(Notice(f"No scene was written; the reconstruction itself is complete in {quoted(place)}."))
        raise
    return described


def _staged(staging: Staging) -> tuple[Path, Path]:
    """The scene and the picture before they have their names."""
    return staging.path / "scene.blend", staging.path / "picture.png"


def _put_in_place(staging: Staging, scene: Scene) -> None:
    """Gives scene and bundle their names; where the second cannot have its own, the first is taken back."""
    blend, picture = _staged(staging)
    made = {scene.blend: blend} | ({scene.picture: picture} if scene.picture else {})
    listed = _listed_beside(staging.folder)
    earlier = staging.path / "earlier.blend"
    _note(staging, {path: removal.entry_of(file) for path, file in made.items()})
    with contextlib.ExitStack() as undo:
        if scene.blend.exists():
            scene.blend.rename(earlier)
            undo.callback(earlier.rename, scene.blend)
        blend.rename(scene.blend)
        undo.callback(scene.blend.rename, blend)
        place = staging.put_in_place()
        if place != staging.folder:
            raise UserError(
                f"Something else was put into {quoted(staging.folder)} meanwhile, so the scene was not written; the "
                f"reconstruction is in {quoted(place)}."
            )
        undo.pop_all()
    if earlier.exists() and not _is_listed(earlier, staging.folder, listed, scene.blend):
        earlier.rename(_backup(scene.blend))
    if scene.picture is not None:
        with whole_file.replacing(scene.picture) as beside:
            shutil.copyfile(picture, beside)


def _note(staging: Staging, beside: Mapping[Path, Entry]) -> None:
    """Lists in the staged bundle what is written beside it."""
    manifest = bundle_folder.read_manifest(staging.new)
    assert manifest is not None
    names = {_name(path, staging.folder): entry for path, entry in beside.items()}
    bundle_folder.write_manifest(staging.new, replace(manifest, beside=names))


def _listed_beside(folder: Path) -> dict[str, Entry]:
    """The files that were written with the bundle that stands at `folder`, by name."""
    manifest = bundle_folder.read_manifest(folder)
    return {} if manifest is None else manifest.beside


def _is_listed(path: Path, folder: Path, listed: Mapping[str, Entry], named: Path | None = None) -> bool:
    """Whether a file is as it was written with the bundle `folder`; `named` is its name where it has another now."""
    entry = listed.get(_name(named or path, folder))
    return entry is not None and removal.entry_of(path) == entry


def _name(path: Path, folder: Path) -> str:
    """How the bundle `folder` lists a file beside it, so that both can move."""
    try:
        return Path(os.path.relpath(path, folder.parent)).as_posix()
    except ValueError:  # another drive on Windows
        return path.as_posix()


def _backup(blend: Path) -> Path:
    """The first free name of Blender's for an earlier file: .blend1, .blend2 …"""
    names = (blend.with_name(f"{blend.name}{number}") for number in itertools.count(1))
    return next(name for name in names if not os.path.lexists(name))


@contextlib.contextmanager
def protected_stdout() -> Iterator[TextIO]:
    """Stdout for our words alone: what Blender prints there of its own accord goes nowhere meanwhile."""
    sys.stdout.flush()
    with (
        os.fdopen(os.dup(1), "w", encoding="utf-8") as out,
        Path(os.devnull).open("w", encoding="utf-8") as nowhere,
        contextlib.redirect_stdout(nowhere),
    ):
        os.dup2(nowhere.fileno(), 1)
        try:
            yield out
        finally:
            out.flush()
            os.dup2(out.fileno(), 1)
