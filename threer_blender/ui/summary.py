"""[B] Summary of a reconstruction for the panel. It is read from the scene, so it is right after undo and load."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import bpy

from ..files import bundle_folder
from ..model.errors import UserError, quoted
from ..reports.shot_page import ERROR, SOLVED
from ..scene import build, cameras, identity, shot_errors
from . import work

LONGEST = 20_000  # letters of the notes that are looked at


@dataclass(frozen=True)
class FilmedShot:
    """A shot's name; in words how many of its frames have a camera, and its median error; empty where unknown."""

    name: str
    solved: str
    error: str


@dataclass(frozen=True)
class Summary:
    """A reconstruction in few words.

    `shots` are those that were filmed. `registered` of the `chosen` photos have cameras; frames of shots do not count.
    `points` and `splats` are counts. `error` is the mean reprojection error of the cameras in pixels, None where none
    was measured. `error_before` is that of the refined cameras before refinement, None where none was refined.
    `layout_cameras` counts the cameras whose error nobody measured. `notes` are sentences.
    """

    name: str
    shots: list[FilmedShot]
    registered: int
    chosen: int
    points: int
    splats: int
    error: float | None
    error_before: float | None
    layout_cameras: int
    notes: list[str]


def current_root(scene: bpy.types.Scene, active: bpy.types.Object | None) -> bpy.types.Object | None:
    """The root of the reconstruction that the artist works with: the active object's, else the scene's latest."""
    name = ("root", scene.session_uid, None if active is None else active.session_uid)
    root_name = work.current().scene_facts.get(name, lambda: _root_name(scene, active))
    return scene.objects.get(root_name) if root_name else None


def _root_name(scene: bpy.types.Scene, active: bpy.types.Object | None) -> str:
    """The name of the current root; "" where there is none. No two objects of a .blend share a name."""
    while active is not None:
        if identity.text(active, identity.ROLE) == identity.ROOT:
            return str(active.name)
        active = active.parent
    roots = [obj for obj in scene.objects if identity.text(obj, identity.ROLE) == identity.ROOT]
    latest = max(roots, key=lambda root: root.session_uid, default=None)
    return "" if latest is None else str(latest.name)


def summary(root: bpy.types.Object) -> Summary:
    """The summary of the objects under `root`."""
    return work.current().scene_facts.get(("summary", root.session_uid), lambda: _summary(root))


def _summary(root: bpy.types.Object) -> Summary:
    solved = build.photo_cameras(root)
    shots = [_filmed(camera) for camera in build.filming_cameras(root)]
    errors, before = (
        [value for camera in solved if (value := identity.number(camera, name)) is not None]
        for name in (cameras.ERROR, cameras.ERROR_BEFORE)
    )

    def points_of(role: str) -> int:
        return sum(points(child) for child in root.children if identity.text(child, identity.ROLE) == role)

    chosen = identity.number(root, build.CHOSEN)  # None in files of earlier versions
    return Summary(
        name=root.name,
        shots=shots,
        registered=len(solved),
        chosen=len(solved) if chosen is None else int(chosen),
        points=points_of(identity.CLOUD),
        splats=points_of(identity.SPLATS),
        error=sum(errors) / len(errors) if errors else None,
        error_before=sum(before) / len(before) if before else None,
        layout_cameras=len(solved) - len(errors),
        notes=identity.text(root, build.NOTES)[:LONGEST].splitlines(),
    )


@dataclass(frozen=True)
class PhotoState:
    """A photo in a result: the name of its camera object, "" without one; the camera's mean reprojection error in
    pixels, None where nobody measured it; and why there is no camera, in sentences."""

    camera: str = ""
    error: float | None = None
    reason: str = ""


def photo_states(root: bpy.types.Object) -> dict[str, PhotoState]:
    """Name of a photo or shot, as the result calls it -> its state, for all that the result under `root` tells of."""
    return work.current().scene_facts.get(("photos", root.session_uid), lambda: _photo_states(root))


def _photo_states(root: bpy.types.Object) -> dict[str, PhotoState]:
    without = {name: PhotoState(reason=reason) for name, reason in build.unregistered(root).items()}
    photos = {
        identity.text(camera, cameras.PHOTO): PhotoState(str(camera.name), identity.number(camera, cameras.ERROR))
        for camera in build.photo_cameras(root)
    }
    shots = {  # whose error is that of the current frame
        identity.text(each.clip, cameras.PHOTO): PhotoState(str(camera.name))
        for camera in build.filming_cameras(root)
        for each in camera.data.background_images
        if each.clip is not None
    }
    return without | photos | shots


def _filmed(camera: bpy.types.Object) -> FilmedShot:
    """The shot that a camera filmed."""
    facts = dict(shot_errors.overall(camera))
    return FilmedShot(str(camera.name), facts.get(SOLVED, ""), facts.get(ERROR, ""))


def filming_cameras(root: bpy.types.Object) -> list[bpy.types.Object]:
    """The moving cameras of shots under `root`."""
    names = work.current().scene_facts.get(
        ("filming", root.session_uid), lambda: [camera.name for camera in build.filming_cameras(root)]
    )
    return [camera for name in names if (camera := bpy.data.objects.get(name)) is not None]


def points(obj: bpy.types.Object) -> int:
    """How many points an object holds; 0 where it holds none."""
    attributes = getattr(obj.data, "attributes", None)
    positions = attributes.get("position") if attributes is not None else None
    return 0 if positions is None else len(positions.data)


def bundle(root: bpy.types.Object) -> Path:
    """The folder of the result that stands under `root`. Raises UserError where there is no result in that folder."""
    path = identity.text(root, build.BUNDLE)
    folder = Path(bpy.path.abspath(path)) if path else None
    if folder is None or not bundle_folder.is_bundle(folder):
        raise UserError(f"The result of {quoted(root.name)} is not where it was; import it from where it is now.")
    return folder
