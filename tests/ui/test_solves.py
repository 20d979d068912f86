"""File > Import brings the solve of another program into the scene, photos and all."""

from pathlib import Path

import bpy
import numpy as np
import pytest
from PIL import Image

from tests.exchange.solves import scene
from threer_blender.scene import axes, build
from threer_blender.ui import solves, work


@pytest.fixture
def shoot(tmp_path: Path) -> Path:
    """A Metashape project whose photos, but one, were put elsewhere."""
    for number, name in enumerate(scene.NAMES[:3]):
        path = tmp_path / "elsewhere" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(number).integers(0, 255, (scene.HEIGHT, scene.WIDTH, 3), np.uint8)
        Image.fromarray(pixels).save(path)
    (tmp_path / "project").mkdir()
    return scene.write("Metashape", tmp_path / "project")


def test_a_metashape_project(shoot: Path, tmp_path: Path) -> None:
    bpy.utils.register_class(solves.THREER_OT_import_solve)
    work.begin(tmp_path / "home", "threer_blender")
    try:
        arguments = {"filepath": str(shoot), "photos": str(tmp_path / "elsewhere")}
        assert bpy.ops.threer.import_solve(**arguments) == {"FINISHED"}
        with pytest.raises(RuntimeError, match="There is no file or folder"):
            bpy.ops.threer.import_solve(filepath=str(shoot.with_name("gone.xml")))
    finally:
        work.end()
        bpy.utils.unregister_class(solves.THREER_OT_import_solve)
    (root,) = [obj for obj in bpy.data.objects if obj.get("threer_role") == "root"]
    cameras = build.solved_cameras(root)
    assert [Path(camera.name).stem for camera in cameras] == [Path(name).stem for name in scene.NAMES]
    for camera, truth in zip(cameras, scene.truth("Metashape"), strict=True):
        assert np.allclose(axes.world_from_camera(camera), truth.world_from_camera, atol=1e-5)
    has_picture = [bool(camera.data.background_images) for camera in cameras]
    assert has_picture == [True, True, True, False]  # a photo that is not there is named
    assert "straße 3" in root[build.NOTES]
    assert "not aligned" in root[build.NOTES]
