"""[R] The pinhole views of a panorama, as dense stereo needs them. numpy."""

from __future__ import annotations

import numpy as np

from ...model.arrays import Array
from ...model.reconstruction import Camera
from .. import panoramas
from .views import View


def cut(camera: Camera, picture: Array, points: Array, ids: Array) -> list[View]:
    """The views of the panorama `picture` (H, W, 3) uint8 of `camera`. Each has those of the world `points` (M, 3),
    with their `ids` (M,), that lie in its picture."""
    intrinsics, size = panoramas.view_picture(picture.shape[1])
    views = []
    for number, rotation in enumerate(panoramas.VIEWS):
        world_from_view = camera.world_from_camera.copy()
        world_from_view[:3, :3] = camera.world_from_camera[:3, :3] @ rotation
        local = (points - world_from_view[:3, 3]) @ world_from_view[:3, :3]
        reach = local[:, 2] * (size[0] / 2 / intrinsics[0, 0])
        inside = (np.abs(local[:, :2]) < reach[:, None]).all(axis=1)
        views.append(View(panoramas.cut(picture, number), intrinsics, world_from_view, points[inside], ids[inside]))
    return views


def view_of(camera: Camera, view: View, picture: Array) -> Array:
    """(h, w, 3) uint8: another panorama `picture` (H, W, 3) uint8 of the same `camera`, a mask for example, as `view`
    sees it."""
    rotation = camera.world_from_camera[:3, :3].T @ view.world_from_camera[:3, :3]
    height, width = view.image.shape[:2]
    return panoramas.view_of(picture, rotation, view.intrinsics, (width, height))
