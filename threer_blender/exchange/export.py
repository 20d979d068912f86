"""[S] Writes a result for other programs: a folder with cameras, points and, for some, pictures without distortion."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ..files import whole_folder
from ..model.errors import UserError
from ..model.reconstruction import Reconstruction
from . import (
    after_effects,
    colmap,
    content,
    gltf_splats,
    maya,
    nuke_camera,
    pictures,
    point_writers,
    transforms,
    usd_splats,
)
from .content import Y_DOWN, Y_UP, Z_UP, Choice, Content


@dataclass(frozen=True)
class Format:
    """A format. `label` is its name on the panel, and `readers` says which programs read it.

    `write(content, folder)` writes its files and returns sentences about what they do not hold. `axes` and `scale` (the
    units of the file for one unit of the solve) are those that the readers expect. `alone` is "points" or "splats"
    where the format holds these instead of cameras. `pictures` is true where it has pictures.
    """

    label: str
    readers: str
    write: Callable[[Content, Path], list[str]]
    axes: str = Y_DOWN
    scale: float = 1.0
    alone: str = ""
    pictures: bool = False


FORMATS = {
    "colmap": Format("COLMAP model", "COLMAP, and what trains splats from its models", colmap.write, pictures=True),
    "transforms": Format(
        "transforms.json", "Nerfstudio, and what trains splats from its files", transforms.write, Z_UP, pictures=True
    ),
    "nuke": Format("Nuke cameras", "Nuke: a script with cameras, and .chan files", nuke_camera.write, Y_UP),
    "maya": Format("Maya scene", "Maya: cameras and locators, as ASCII", maya.write, Y_UP, 100.0),
    "after-effects": Format("After Effects script", "After Effects", after_effects.write, Y_DOWN, 1000.0),
    "ply": Format("PLY", "nearly all programs that show points", point_writers.ply, Z_UP, alone="points"),
    "gltf-splats": Format("glTF", "viewers that know KHR_gaussian_splatting", gltf_splats.write, Y_UP, alone="splats"),
    "usd-splats": Format("USD", "Blender 5.3, Houdini, Omniverse and more", usd_splats.write, Y_UP, alone="splats"),
    "las": Format("LAS", "programs for scans and maps", point_writers.las, Z_UP, alone="points"),
}


@dataclass(frozen=True)
class InBlender:
    """A format that Blender itself writes (`scene/interchange.py`). The fields are as in Format."""

    label: str
    readers: str


IN_BLENDER = {
    "alembic": InBlender("Alembic", "nearly all programs that know scenes"),
    "usd": InBlender("USD", "Houdini, Maya, Omniverse and more"),
    "fbx": InBlender("FBX", "game engines, Maya, 3ds Max"),
}
BY_FORMAT = Choice()  # everything as is usual for the format


def write(
    reconstruction: Reconstruction, bundle_folder: Path, format_id: str, folder: Path, choice: Choice = BY_FORMAT
) -> list[str]:
    """Writes `folder`, whole or not at all, and returns sentences about what is in it.

    `bundle_folder` is where the result's undistorted plates are. `format_id` is a key of FORMATS. Raises UserError
    where the format or a choice is unknown, there is nothing to write, a picture is gone, or the folder holds files
    that no export made, or cannot be written.
    """
    if format_id not in FORMATS:
        raise UserError(f"There is no format {format_id}; there are {', '.join(FORMATS)}.")
    chosen = FORMATS[format_id]
    panoramas = sum(camera.distortion.is_panorama for camera in reconstruction.cameras)
    if not chosen.alone and len(reconstruction.cameras) == panoramas:
        reason = "has panoramas alone, which these programs cannot use" if panoramas else "has no cameras to export"
        raise UserError(f"This result {reason}.")
    moved, file_from_ours = content.in_world(reconstruction, choice.axes or chosen.axes, choice.scale or chosen.scale)
    views = pictures.views(moved, bundle_folder) if chosen.pictures else []
    handed = content.content(moved, views, file_from_ours, choice)
    with whole_folder.replacing(folder) as new:
        sentences = chosen.write(handed, new.path)
        uncopied = pictures.copy(views, new.path) if views else ""
    counts = {"points": len(moved.cloud or ()), "splats": len(moved.gaussians or ())}
    cameras = len(views) if chosen.pictures else len(handed.tracks)
    cameras_and_points = f"{cameras} cameras and {counts['points']:,} points"
    holds = f"{counts[chosen.alone]:,} {chosen.alone}" if chosen.alone else cameras_and_points
    written = f"{holds} as {chosen.label} in {new.place}"
    counted = f"{panoramas} {'panorama was' if panoramas == 1 else 'panoramas were'}"
    skipped = f"{counted} left out: these programs take photos alone." if panoramas and not chosen.alone else ""
    return [written, *sentences, *filter(None, (uncopied, skipped)), *new.sentences("the files")]
