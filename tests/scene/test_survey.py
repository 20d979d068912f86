"""Survey points stand as empties at their coordinates in Blender's scene, and the cameras around them."""

from dataclasses import replace
from pathlib import Path

import bpy
import numpy as np

from tests.blender.world import CAMERAS, reconstruct, write_photos
from threer_blender import bundle
from threer_blender.model.reconstruction import SurveyPoint
from threer_blender.scene import axes, build, survey


def test_empties_stand_at_the_coordinates(tmp_path: Path) -> None:
    photos = write_photos(tmp_path / "shot", CAMERAS[:2])
    points = [
        SurveyPoint("door", (1.0, 2.0, 3.0), True, 0.004, 0.3, 2),
        SurveyPoint("roof", (4.0, 2.0, 8.0), False, 1.5, None, 2),
    ]
    result = replace(reconstruct(photos, CAMERAS[:2], step=8), survey=points, metric=True, z_up=True)
    folder = bundle.write(result, tmp_path / "shot.3r")
    root = build.build(bundle.read(folder), folder)
    empties = {empty.name: empty for empty in survey.of(root)}
    assert np.allclose(empties["door"].matrix_world.translation, (1, 2, 3))
    assert empties["roof"][survey.AGREES] is False
    assert survey.PIXEL_ERROR not in empties["roof"]
    for camera, obj in zip(CAMERAS[:2], build.solved_cameras(root), strict=True):
        assert np.allclose(axes.world_from_camera(obj), camera.world_from_camera, atol=1e-5)
        assert np.allclose(obj.matrix_world.translation, camera.world_from_camera[:3, 3], atol=1e-5)
    moved = replace(result, survey=[replace(points[0], position=(1.0, 2.0, 3.5))])
    again = build.build(bundle.read(bundle.write(moved, tmp_path / "again.3r")), tmp_path / "again.3r")
    assert again == root
    assert np.allclose(empties["door"].matrix_world.translation, (1, 2, 3.5))
    bpy.data.batch_remove([*root.children, root])
