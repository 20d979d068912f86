"""Alembic, USD and FBX, read back by Blender's importers, by OpenUSD and by Alembic's own library."""

from pathlib import Path

import bpy
import numpy as np
import pytest

from tests.exchange import example
from threer_blender.exchange import content
from threer_blender.exchange.content import Z_UP, Choice
from threer_blender.model.directions import OPENCV_FROM_OPENGL
from threer_blender.model.errors import UserError
from threer_blender.model.reconstruction import Camera, Reconstruction
from threer_blender.scene import cameras, interchange

# The file of the shot, and those of the photos by their size. The first size has pixels that are not square.
FILES = ("camera0001_stra_e_von_3_exr", "cameras_640x480_1.020833", "cameras_480x640")


def expected(result: Reconstruction) -> dict[str, dict[int, Camera]]:
    """The cameras of each file by their frames."""
    photos = {1: result.cameras[0]}, {1: result.cameras[1]}
    return dict(zip(FILES, (result.shots[0].cameras, *photos), strict=True))


def bring_in(path: Path) -> bpy.types.Object:
    """The camera of a file, in an empty scene of the file's rate."""
    bpy.ops.wm.read_homefile(use_empty=True)
    bpy.context.scene.render.fps = 25 if FILES[0] in path.name else 24
    if path.suffix == ".abc":
        bpy.ops.wm.alembic_import(filepath=str(path), as_background_job=False)
    elif path.suffix == ".fbx":
        bpy.ops.import_scene.fbx(filepath=str(path), anim_offset=0.0)
    else:
        bpy.ops.wm.usd_import(filepath=str(path))
    (obj,) = [obj for obj in bpy.context.scene.objects if obj.type == "CAMERA"]
    return obj


@pytest.mark.parametrize("form", interchange.FORMATS)
def test_blender_reads_the_same_cameras(form: str, tmp_path: Path) -> None:
    result = example.result(tmp_path)
    interchange.write(result, form, tmp_path / "out")
    upright, _ = content.in_world(result, Z_UP, 1.0)
    for name, frames in expected(upright).items():
        (path,) = (tmp_path / "out").glob(f"{name}.*")
        obj = bring_in(path)
        for number, camera in frames.items():
            bpy.context.scene.frame_set(number)
            bpy.context.view_layer.update()
            evaluated = obj.evaluated_get(bpy.context.evaluated_depsgraph_get())
            pose = np.array(evaluated.matrix_world.normalized()) @ OPENCV_FROM_OPENGL
            assert np.allclose(pose, camera.world_from_camera, atol=1e-6)
            optics, data = cameras.optics(camera, None), evaluated.data
            assert (data.shift_x, data.shift_y) == pytest.approx((optics["shift_x"], optics["shift_y"]), abs=1e-6)
            if form != "alembic":  # Blender's importer of Alembic does not animate the focal length
                ratio = optics["lens"] / optics["sensor_width"]
                assert data.lens / data.sensor_width == pytest.approx(ratio, rel=1e-6)


def test_openusd_projects_as_we_do_and_finds_no_fault(tmp_path: Path) -> None:
    pytest.importorskip("pxr")
    from pxr import Usd, UsdGeom, UsdValidation

    result = example.result(tmp_path)
    interchange.write(result, "usd", tmp_path / "out")
    for name, frames in expected(result).items():
        stage = Usd.Stage.Open(str(tmp_path / "out" / f"{name}.usdc"))
        assert UsdGeom.GetStageUpAxis(stage) == "Y"
        (prim,) = [prim for prim in stage.Traverse() if prim.IsA(UsdGeom.Camera)]
        for number, camera in frames.items():
            lens = UsdGeom.Camera(prim).GetCamera(Usd.TimeCode(number))
            pose, width = np.array(lens.transform).T, lens.horizontalAperture
            window = -lens.horizontalApertureOffset / width, -lens.verticalApertureOffset / width
            example.assert_same_camera(camera, pose[:3, 3], pose[:3, :3], lens.focalLength / width, window)
    stage = Usd.Stage.Open(str(tmp_path / "out" / "points.usdc"))
    assert result.cloud is not None
    assert len(stage.GetPrimAtPath("/root/points/points").GetAttribute("primvars:color").Get()) == len(result.cloud)
    validators = UsdValidation.ValidationRegistry().GetOrLoadAllValidators()
    for path in (tmp_path / "out").glob("*.usdc"):
        faults = UsdValidation.ValidationContext(validators).Validate(Usd.Stage.Open(str(path)))
        assert [fault.GetMessage() for fault in faults] == []


def test_alembics_library_sees_zoom_and_film_offset(tmp_path: Path) -> None:
    alembic = pytest.importorskip("alembic3d")
    result = example.result(tmp_path)
    interchange.write(result, "alembic", tmp_path / "out")
    top = alembic.Abc.IArchive(str(tmp_path / "out" / f"{FILES[0]}.abc")).getTop()
    transform = alembic.AbcGeom.IXform(top, top.getChild(0).getName())
    lens = alembic.AbcGeom.ICamera(transform, transform.getChild(0).getName()).getSchema()
    for number, camera in result.shots[0].cameras.items():
        time = alembic.Abc.ISampleSelector(number / 25)
        matrix = transform.getSchema().getValue(time).getMatrix()
        pose = np.array([[matrix[row][column] for column in range(4)] for row in range(4)]).T
        sample = lens.getValue(time)
        width = sample.getHorizontalAperture() * 10
        window = -sample.getHorizontalFilmOffset() * 10 / width, -sample.getVerticalFilmOffset() * 10 / width
        example.assert_same_camera(camera, pose[:3, 3], pose[:3, :3], sample.getFocalLength() / width, window)


def test_points_are_there_and_the_file_is_as_before(tmp_path: Path) -> None:
    result = example.result(tmp_path)
    before = [len(block) for block in (bpy.data.scenes, bpy.data.objects, bpy.data.meshes, bpy.data.actions)]
    scene = bpy.context.scene
    interchange.write(result, "usd", tmp_path / "out")
    assert bpy.context.scene == scene
    assert [len(b) for b in (bpy.data.scenes, bpy.data.objects, bpy.data.meshes, bpy.data.actions)] == before
    bpy.ops.wm.read_homefile(use_empty=True)
    bpy.ops.wm.usd_import(filepath=str(tmp_path / "out" / "points.usdc"))
    (mesh,) = [obj for obj in bpy.context.scene.objects if obj.type == "MESH"]
    positions = np.array([mesh.matrix_world @ vertex.co for vertex in mesh.data.vertices])
    upright, _ = content.in_world(result, Z_UP, 1.0)
    assert upright.cloud is not None
    assert np.allclose(positions, upright.cloud.positions, atol=1e-6)


def test_a_first_frame_and_a_world_that_the_format_lacks(tmp_path: Path) -> None:
    result = example.result(tmp_path)
    interchange.write(result, "fbx", tmp_path / "out", Choice(first_frame=10))
    obj = bring_in(tmp_path / "out" / f"{FILES[0]}.fbx")
    bpy.context.scene.frame_set(13)
    (last,) = [camera for number, camera in result.shots[0].cameras.items() if number == 1004]
    x, y, z = last.world_from_camera[:3, 3]
    assert np.allclose(obj.matrix_world.translation, (x, z, -y), atol=1e-6)
    with pytest.raises(UserError, match="no world with z-up"):
        interchange.write(result, "alembic", tmp_path / "other", Choice(axes=Z_UP))
