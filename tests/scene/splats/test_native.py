"""Our splats become Blender 5.3's own, and come back. Earlier versions get a stand-in for 5.3's PointCloud.type."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import bpy
import numpy as np
import pytest
from mathutils import Euler

from tests.exchange import example
from tests.reference_rasteriser import psnr, render
from tests.scene.splats.test_splats import CAMERA, look_through, rendered
from tests.splats import assert_same, random_gaussians
from threer_blender import splat_files
from threer_blender.exchange import export, usd_splats
from threer_blender.exchange.content import AXES, Choice
from threer_blender.model.errors import UserError
from threer_blender.model.gaussian_transform import transformed
from threer_blender.model.reconstruction import Gaussians
from threer_blender.scene import masks, points
from threer_blender.scene.splats import files, native, nodes, splats


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
    points.set_input(ours.modifiers[0], nodes.OPACITY, 0.25)
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
    (modifier,) = converted.modifiers
    assert (modifier.show_viewport, modifier.show_render) == (False, True)
    assert points.input_value(modifier, nodes.OPACITY) == 0.25
    assert_same(splats.read(converted.data), gaussians, 0)
    documented = {"position", "scale", "rotation", "radiance:base", *(f"radiance:sh_{i}" for i in range(15))}
    assert documented <= {name for name, _ in converted.data.attributes.items()}
    kinds = {name: attribute.data_type for name, attribute in converted.data.attributes.items()}
    assert kinds["radiance:base"] == ("FLOAT4" if splats.has_float4() else "FLOAT_COLOR")
    assert kinds["rotation"] == "QUATERNION"
    assert {kinds[name] for name in documented - {"radiance:base", "rotation"}} == {"FLOAT_VECTOR"}
    back = native.to_nodes(converted)
    assert not native.is_native(back)
    assert [(m.name, m.show_viewport, m.show_render) for m in back.modifiers] == [(splats.MODIFIER, True, True)]
    assert_same(splats.read(back.data), gaussians, 0)
    native.to_nodes(back)
    assert len(back.modifiers) == 1
    everywhere = native.to_native(back, renders=True)
    assert native.is_native_in_renders(everywhere)
    assert not everywhere.modifiers
    assert len(native.to_native(everywhere).modifiers) == 1


@pytest.mark.skipif(not native.available(), reason="Blender has splats of its own from 5.3 on")
def test_the_viewport_is_blenders_and_the_render_ours(tmp_path: Path) -> None:
    gaussians = random_gaussians(1500)
    obj = native.to_native(place(gaussians, as_mesh=False))
    look_through(CAMERA)
    visible = obj.evaluated_get(bpy.context.evaluated_depsgraph_get()).data
    assert (visible.type, len(visible.points)) == (native.NATIVE, 1500)
    assert psnr(rendered(tmp_path / "picture.exr"), render(gaussians, CAMERA)) > 60


@pytest.mark.skipif(not native.available(), reason="Blender has splats of its own from 5.3 on")
def test_masked_splats_stay_masked() -> None:
    ours = place(random_gaussians(100), as_mesh=True)
    masks.write(ours, masks.SELECTION, np.arange(100) < 30)
    converted = native.to_native(ours)
    assert masks.read(converted.data, masks.SELECTION).sum() == 30
    visible = converted.evaluated_get(bpy.context.evaluated_depsgraph_get()).data
    assert (visible.type, len(visible.points)) == (native.NATIVE, 70)


@pytest.mark.skipif(native.available(), reason="this Blender has splats of its own")
def test_without_native_splats() -> None:
    with pytest.raises(UserError, match=r"from version 5\.3 on"):
        native.to_native(place(random_gaussians(3), as_mesh=True))


@pytest.mark.usefixtures("blender_5_3")
def test_what_holds_no_splats() -> None:
    with pytest.raises(UserError, match="'Cube' holds no splats"):
        native.to_native(bpy.data.objects["Cube"])


@pytest.mark.skipif(not native.available(), reason="Blender has splats of its own from 5.3 on")
def test_blender_reads_our_splats_from_usd(tmp_path: Path) -> None:
    gaussians = random_gaussians(50)
    result = replace(example.result(tmp_path), gaussians=gaussians)
    export.write(result, tmp_path, "usd-splats", tmp_path / "out", Choice("z-up"))
    before = set(bpy.data.objects)
    bpy.ops.wm.usd_import(filepath=str(tmp_path / "out" / usd_splats.SPLATS))
    (obj,) = [obj for obj in set(bpy.data.objects) - before if splats.is_splats(obj)]
    assert native.is_native(obj)
    z_up = np.eye(4)
    z_up[:3, :3] = AXES["z-up"]
    assert_same(splats.read(obj.data), transformed(gaussians, z_up), 1e-6)


@pytest.mark.skipif(not native.available(), reason="Blender has splats of its own from 5.3 on")
def test_imported_splats_are_native_in_the_viewport_alone(tmp_path: Path) -> None:
    splat_files.write(random_gaussians(30), tmp_path / "s.ply")
    obj, _ = files.import_file(tmp_path / "s.ply", bpy.context.scene)
    assert native.is_native(obj)
    assert not native.is_native_in_renders(obj)
