"""[S] Writes a reconstruction as a .blend with its bundle beside it: both appear, or neither does."""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TextIO, TypeVar

from .. import bundle, headless
from ..files import bundle_folder, point_file, removal, whole_file
from ..files.bundle_folder import Staging, output_error
from ..files.removal import Entry
from ..jobs.messages import Bundled, Done, Message, Notice, Progress
from ..model.errors import UserError, quoted
from ..model.reconstruction import Reconstruction

Described = TypeVar("Described")


@dataclass(frozen=True)
class SceneFiles:
    """The files to write: a .blend, and a picture where one is asked for.

    Where `overwrite` is true, they may replace files that somebody else made or changed.
    """

    blend: Path
    picture: Path | None
    overwrite: bool

    def check(self, folder: Path) -> None:
        """Raises UserError where a file is in the way that was not written together with the bundle at `folder`."""
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
    files: SceneFiles,
    data_folder: Path,
    say: Callable[[Message], None],
    describe: Callable[[Reconstruction], Described],
) -> Described:
    """Does the request, builds the scene, and puts scene and bundle in place. Returns what `describe` returns.

    `describe` gets the reconstruction, and `say` gets all messages. Raises as `headless.reconstruct` does, and raises
    UserError where a file cannot be written; then earlier files stay as they were.
    """
    folder = Path(request.output)
    files.check(folder)
    staging = Staging(folder, request.run)
    try:
        staging.make()
        # The worker leaves the bundle in the staging folder. It is put in place below, together with the scene.
        done = headless.finish(headless.begin(replace(request, leave_staged=True), data_folder), say)
        assert isinstance(done, Done)
        described = _build_scene(staging, files, say, describe)
        _put_in_place(staging, files)
    except OSError as error:
        raise output_error(folder, error) from error
    finally:
        staging.discard()
    return described


def write_scene(folder: Path, files: SceneFiles, say: Callable[[Message], None]) -> None:
    """Builds the scene of the result in the bundle `folder`, which stays as it is, and puts the files in place.

    An earlier scene that the bundle does not list, or that was changed since, stays as a backup. Raises UserError where
    there is no result, or a file cannot be written; then earlier files stay as they were.
    """
    from ..scene import files as scene_files
    from ..scene import picture as pictures

    files.check(folder)
    reconstruction = bundle.read(folder)
    try:
        with contextlib.ExitStack() as in_place:
            picture = in_place.enter_context(whole_file.replacing(files.picture)) if files.picture else None
            blend = in_place.enter_context(whole_file.replacing(files.blend))
            say(Progress("Building the scene", 1.0))
            root = scene_files.save_new(reconstruction, folder, blend, (folder, files.blend))
            if picture is not None:
                say(Progress("Rendering the picture", 1.0))
                pictures.write(root, picture)
            if files.blend.exists() and not _is_listed(files.blend, folder, _listed_beside(folder)):
                shutil.copyfile(files.blend, _backup(files.blend))
        made = [path for path in (files.blend, files.picture) if path is not None]
        _list_more(folder, {path: removal.entry_of(path) for path in made})
    except OSError as error:
        raise output_error(files.blend.parent, error) from error


def unmasked(reconstruction: Reconstruction, folder: Path, blend: Path) -> tuple[Reconstruction, list[str]]:
    """The result of the bundle `folder` without the points that are masked in its scene, the file `blend`, and
    sentences about it. Raises UserError where the file holds no scene of it."""
    from ..scene import masks, stored_masks

    with protected_stdout():
        return masks.applied(stored_masks.root_in(blend, folder), reconstruction)


@contextlib.contextmanager
def masked_points(folder: Path, blend: Path) -> Iterator[str]:
    """A file of the points of the bundle `folder` that are masked in its scene `blend`, as `MakeMesh` takes it; ""
    where none are. It goes afterwards. Raises UserError where the file holds no scene of the result."""
    from ..scene import masks, stored_masks

    with protected_stdout():
        masked = masks.around_surfaces(stored_masks.root_in(blend, folder))
    if masked is None:
        yield ""
        return
    with tempfile.TemporaryDirectory() as temporary:
        point_file.write(masked, Path(temporary, "masked"))
        yield str(Path(temporary, "masked"))


def _list_more(folder: Path, beside: Mapping[Path, Entry]) -> None:
    """Adds files beside the bundle `folder` to those in its manifest."""
    manifest = bundle_folder.read_manifest(folder)
    assert manifest is not None
    names = {_listed_name(path, folder): entry for path, entry in beside.items()}
    bundle_folder.write_manifest(folder, replace(manifest, beside={**manifest.beside, **names}))


def _build_scene(
    staging: Staging,
    files: SceneFiles,
    say: Callable[[Message], None],
    describe: Callable[[Reconstruction], Described],
) -> Described:
    """Builds the scene of a staged bundle and saves it beside the bundle. Where this fails, the bundle is kept."""
    from ..scene import files as scene_files
    from ..scene import picture as pictures

    try:
        reconstruction = bundle.read(staging.new)
        described = describe(reconstruction)
        say(Progress("Building the scene", 1.0))
        blend, picture = _staged(staging)
        root = scene_files.save_new(reconstruction, staging.new, blend, (staging.folder, files.blend))
        if files.picture is not None:
            say(Progress("Rendering the picture", 1.0))
            pictures.write(root, picture)
    except Exception:
        place = staging.keep() if os.path.lexists(staging.folder) else staging.put_in_place()
        say(Notice(f"No scene was written; the reconstruction itself is complete in {quoted(place)}."))
        raise
    return described


def _staged(staging: Staging) -> tuple[Path, Path]:
    """The paths of the scene and of the picture before they are put in place."""
    return staging.path / "scene.blend", staging.path / "picture.png"


def _put_in_place(staging: Staging, files: SceneFiles) -> None:
    """Moves scene, bundle and picture to their final paths. Where the bundle cannot be moved, the scene goes back.

    An earlier scene that its bundle does not list, or that was changed since, stays as a backup; else it is dropped.
    """
    blend, picture = _staged(staging)
    made = {files.blend: blend} | ({files.picture: picture} if files.picture else {})
    listed = _listed_beside(staging.folder)  # by the earlier bundle
    earlier = staging.path / "earlier.blend"
    _list_beside(staging, {path: removal.entry_of(file) for path, file in made.items()})
    with contextlib.ExitStack() as undo:
        if files.blend.exists():
            files.blend.rename(earlier)
            undo.callback(earlier.rename, files.blend)
        blend.rename(files.blend)
        undo.callback(files.blend.rename, blend)
        place = staging.put_in_place()
        if place != staging.folder:
            raise UserError(
                f"Something else was put into {quoted(staging.folder)} meanwhile, so the scene was not written; the "
                f"reconstruction is in {quoted(place)}."
            )
        undo.pop_all()
    if earlier.exists() and not _is_listed(earlier, staging.folder, listed, files.blend):
        earlier.rename(_backup(files.blend))
    if files.picture is not None:
        with whole_file.replacing(files.picture) as new:
            shutil.copyfile(picture, new)


def _list_beside(staging: Staging, beside: Mapping[Path, Entry]) -> None:
    """Lists the files beside the bundle in the staged bundle's manifest."""
    manifest = bundle_folder.read_manifest(staging.new)
    assert manifest is not None
    names = {_listed_name(path, staging.folder): entry for path, entry in beside.items()}
    bundle_folder.write_manifest(staging.new, replace(manifest, beside=names))


def _listed_beside(folder: Path) -> dict[str, Entry]:
    """The files that were written beside the bundle at `folder`, by name, as its manifest lists them."""
    manifest = bundle_folder.read_manifest(folder)
    return {} if manifest is None else manifest.beside


def _is_listed(path: Path, folder: Path, listed: Mapping[str, Entry], named: Path | None = None) -> bool:
    """Whether a file is unchanged since it was written with the bundle `folder`.

    `named` is the path under which it was written, where it has been renamed since.
    """
    entry = listed.get(_listed_name(named or path, folder))
    return entry is not None and removal.entry_of(path) == entry


def _listed_name(path: Path, folder: Path) -> str:
    """The name by which the bundle `folder` lists a file beside it: relative, so that both can be moved together."""
    try:
        return Path(os.path.relpath(path, folder.parent)).as_posix()
    except ValueError:  # another drive on Windows
        return path.as_posix()


def _backup(blend: Path) -> Path:
    """The first free name for a backup as Blender names them: .blend1, .blend2 …"""
    names = (blend.with_name(f"{blend.name}{number}") for number in itertools.count(1))
    return next(name for name in names if not os.path.lexists(name))


@contextlib.contextmanager
def protected_stdout() -> Iterator[TextIO]:
    """Within, only writing to the yielded stream reaches stdout. Output of Blender itself is dropped."""
    sys.stdout.flush()
    with (
        os.fdopen(os.dup(1), "w", encoding="utf-8", errors="surrogateescape") as out,  # paths need not be UTF-8
        Path(os.devnull).open("w", encoding="utf-8") as nowhere,
        contextlib.redirect_stdout(nowhere),
    ):
        os.dup2(nowhere.fileno(), 1)
        try:
            yield out
        finally:
            out.flush()
            os.dup2(out.fileno(), 1)
