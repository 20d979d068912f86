"""Splats whose object's transform is applied are the same splats in the world."""

from pathlib import Path

import bpy
import numpy as np
import pytest
from mathutils import Matrix

from tests.splats import random_gaussians
from threer_blender.model.errors import UserError
from threer_blender.model.gaussian_transform import transformed
from threer_blender.scene import points
from threer_blender.scene.splats import applying, files, splats


def new() -> bpy.types.Object:
    bpy.ops.wm.read_factory_settings(use_empty=True)
    as_mesh = not points.has_point_clouds()
    obj = splats.new_object("s", splats.new_geometry("s", random_gaussians(40), as_mesh=as_mesh))
    bpy.context.scene.collection.objects.link(obj)
    obj.matrix_world = Matrix.LocRotScale((1, 2, 3), Matrix.Rotation(0.7, 3, (1, 2, -1)).to_quaternion(), (2, 2, 2))
    return obj


def test_the_splats_stay_where_they_are() -> None:
    obj = new()
    child = bpy.data.objects.new("child", None)
    bpy.context.scene.collection.objects.link(child)
    child.parent, child.location = obj, (1, 0, 0)
    bpy.context.view_layer.update()
    place, before = child.matrix_world.copy(), transformed(splats.read(obj.data), np.array(obj.matrix_world))
    applying.apply_transform(obj)
    bpy.context.view_layer.update()
    assert np.allclose(obj.matrix_world, np.eye(4))
    assert np.allclose(child.matrix_world, place, atol=1e-5)
    after = splats.read(obj.data)
    for name in ("means", "scales", "opacities", "sh"):
        assert np.allclose(getattr(after, name), getattr(before, name), atol=1e-5), name
    assert np.allclose(np.abs((after.rotations * before.rotations).sum(axis=1)), 1, atol=1e-5)


def test_the_exported_file_is_the_same(tmp_path: Path) -> None:
    obj = new()
    bpy.context.view_layer.update()
    files.export_file(obj, tmp_path / "before.ply")
    applying.apply_transform(obj)
    bpy.context.view_layer.update()
    files.export_file(obj, tmp_path / "after.ply")
    read = [files.import_file(tmp_path / name, bpy.context.scene)[0] for name in ("before.ply", "after.ply")]
    bpy.context.view_layer.update()
    before, after = (transformed(splats.read(each.data), np.array(each.matrix_world)) for each in read)
    assert np.allclose(before.means, after.means, atol=1e-4)
    assert np.allclose(before.sh, after.sh, atol=1e-4)


def test_what_cannot_be_applied() -> None:
    obj = new()
    obj.scale = (1, 2, 1)
    with pytest.raises(UserError, match="alike on all axes"):
        applying.apply_transform(obj)
    twin = obj.copy()
    with pytest.raises(UserError, match="shares its splats"):
        applying.apply_transform(twin)
    with pytest.raises(UserError, match="holds no splats"):
        applying.apply_transform(bpy.data.objects.new("empty", None))
