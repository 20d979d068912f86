"""[B] Cameras of the scene that belong to photos, whoever made them, for a solve that takes them as known."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import bpy

from ..files.scene_camera_files import SceneCamera
from . import identity
from .cameras import PHOTO


def of(scene: bpy.types.Scene, photos: Sequence[Path]) -> list[SceneCamera]:
    """The cameras of `scene` that belong to one of the `photos` each; of several for one photo, the first.

    A camera belongs to a photo by a background image, by the photo that a result of ours recorded on it, or by its
    name.
    """
    cameras: dict[Path, SceneCamera] = {}
    objects = [obj for obj in scene.objects if obj.type == "CAMERA" and obj.data.type == "PERSP"]
    for obj in objects:
        photo = next((photo for photo in photos if _belongs(obj, photo)), None)
        if photo is not None and photo not in cameras:
            cameras[photo] = _camera(obj, photo)
    return list(cameras.values())


def _belongs(obj: bpy.types.Object, photo: Path) -> bool:
    """Whether a camera object belongs to a photo, as `of` says."""
    files = [Path(bpy.path.abspath(each.image.filepath)) for each in obj.data.background_images if each.image]
    names = {obj.name, obj.name.partition(".0")[0], identity.text(obj, PHOTO)}  # also without Blender's .001
    return photo in files or not names.isdisjoint({photo.name, photo.stem})


def _camera(obj: bpy.types.Object, photo: Path) -> SceneCamera:
    data = obj.data
    return SceneCamera(
        str(photo), data.lens, data.sensor_fit, data.sensor_width, data.sensor_height, data.shift_x, data.shift_y,
        [list(row) for row in obj.matrix_world.normalized()],
    )  # fmt: skip
