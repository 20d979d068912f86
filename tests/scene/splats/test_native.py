"""Our splats become Blender 5.3's own, and come back. Earlier versions get a stand-in for 5.3's PointCloud.type."""

from collections.abc import Iterator
from typing import Any

import bpy
import numpy as np
import pytest
from mathutils import Euler

from tests.splats import assert_same, random_gaussians
from threer_blender.model.errors import UserError
from threer_blender.model.reconstruction import Gaussians
from threer_blender.scene.splats import native, splats


@pytest.fixture
def blender_5_3(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """PointClouds with a type; where Blender's Python cannot size a PointCloud yet, meshes are converted to it."""
    if native.available():
        yield
        return
    kinds = [("POINTS", "Points", ""), ("GAUSSIAN_SPLAT", "3D Gaussian Splats", "")]
    bpy.types.PointCloud.type = bpy.props.EnumProperty(items=kinds)
    if "resize" not in bpy.types.PointCloud.bl_rna.functions:
        monkeypatch.setattr(splats, "new_geometry", converted)
    yield
    del bpy.types.PointCloud.type


new_geometry = splats.new_geometry


def converted(name: str, gaussians: Gaussians, as_mesh: Any) -> Any:
    geometry = new_geometry(name, gaussians, True)
    if as_mesh:
        return geometry
    obj = bpy.data.objects.new(name, geometry)
    bpy.context.scene.collection.objects.link(obj)
    bpy.ops.object.select_all(action="DESELECT")
    obj.select_set(True)
    bpy.context.view_layer.objects.active = obj
    bpy.ops.object.convert(target="POINTCLOUD")
    points = obj.data
    bpy.data.objects.remove(obj)
    return points


def place(gaussians: Gaussians, as_mesh: Any) -> Any:
    obj = splats.new_object("splats", splats.new_geometry("splats", gaussians, as_mesh))
    bpy.context.scene.collection.objects.link(obj)
    return obj


@pytest.mark.usefixtures("blender_5_3")
@pytest.mark.parametrize("as_mesh", [True, False], ids=["from a mesh", "from a point cloud"])
def test_there_and_back(as_mesh: bool) -> None:
    gaussians = random_gaussians(200)
    ours = place(gaussians, as_mesh)
    root = bpy.data.objects.new("root", None)
    bpy.context.scene.collection.objects.link(root)
    ours.parent, ours.rotation_euler, ours["threer_role"] = root, Euler((1, 2, 3)), "splats"
    root.location = (1, 2, 3)
    bpy.context.view_layer.update()
    matrix_before = np.array(ours.matrix_world)
    converted = native.to_native(ours)
    bpy.context.view_layer.update()
    assert native.is_native(converted)
    assert converted.type == "POINTCLOUD"
    assert converted.name == "splats"
    assert converted["threer_role"] == "splats"
    assert converted.parent == root
    assert np.array(converted.matrix_world) == pytest.approx(matrix_before, abs=1e-6)
    assert not converted.modifiers
    assert_same(splats.read(converted.data), gaussians, 0)
    documented = {"position", "scale", "rotation", "radiance:base", *(f"radiance:sh_{i}" for i in range(15))}
    assert documented <= {name for name, _ in converted.data.attributes.items()}
    kinds = {name: attribute.data_type for name, attribute in converted.data.attributes.items()}
    assert kinds["radiance:base"] == ("FLOAT4" if splats.has_float4() else "FLOAT_COLOR")
    assert kinds["rotation"] == "QUATERNION"
    assert {kinds[name] for name in documented - {"radiance:base", "rotation"}} == {"FLOAT_VECTOR"}
    back = native.to_nodes(converted)
    assert not native.is_native(back)
    assert [m.name for m in back.modifiers] == [splats.MODIFIER]
    assert_same(splats.read(back.data), gaussians, 0)
    native.to_nodes(back)
    assert len(back.modifiers) == 1


@pytest.mark.skipif(native.available(), reason="this Blender has splats of its own")
def test_without_native_splats() -> None:
    with pytest.raises(UserError, match=r"from version 5\.3 on"):
        native.to_native(place(random_gaussians(3), as_mesh=True))


@pytest.mark.usefixtures("blender_5_3")
def test_what_holds_no_splats() -> None:
    with pytest.raises(UserError, match="'Cube' holds no splats"):
        native.to_native(bpy.data.objects["Cube"])
