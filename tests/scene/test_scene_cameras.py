"""Cameras that stand in a scene are those that a solve takes for known, whoever put them there."""

from pathlib import Path

import bpy
import numpy as np
import pytest
from mathutils import Matrix

from tests.blender.world import CAMERAS, write_photos
from threer_blender.scene import axes, cameras, scene_cameras


def test_cameras_with_names_or_backgrounds_of_photos_are_known(tmp_path: Path) -> None:
    square = [camera for camera in CAMERAS if camera.fx == camera.fy][:2]
    photos = write_photos(tmp_path / "shot", square)
    scene = bpy.data.scenes.new("known")
    for number, camera in enumerate(square):
        data = bpy.data.cameras.new("any")
        obj = bpy.data.objects.new(camera.photo if number == 0 else "Camera", data)
        scene.collection.objects.link(obj)
        obj.matrix_world = axes.camera_matrix(camera) @ Matrix.Scale(2.0, 4)
        for name, value in cameras.optics(camera, None).items():
            setattr(data, name, value)
        if number == 1:
            data.background_images.new().image = bpy.data.images.load(photos[number].path)
    scene.collection.objects.link(bpy.data.objects.new("stranger", bpy.data.cameras.new("stranger")))
    scene.view_layers[0].update()
    known = scene_cameras.of(scene, [Path(photo.path) for photo in photos])
    assert [each.photo for each in known] == [photo.path for photo in photos]
    for each, camera in zip(known, square, strict=True):
        actual = each.camera(camera.photo, camera.width, camera.height)
        assert (actual.fx, actual.cx, actual.cy) == pytest.approx((camera.fx, camera.cx, camera.cy), rel=1e-5)
        assert np.allclose(actual.world_from_camera, camera.world_from_camera, atol=1e-5)
    bpy.data.scenes.remove(scene)
