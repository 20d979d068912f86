"""Splats on a layer of their own: the composite shows them as they were made, and CG in front as it is lit."""

from pathlib import Path
from typing import Any

import bpy
import numpy as np
import pytest

from tests.reference_rasteriser import psnr, render
from tests.scene.splats.test_splats import CAMERA, look_through, place, rendered
from tests.splats import random_gaussians
from threer_blender.model.errors import UserError
from threer_blender.scene.splats import layers, splats


def display(linear: Any) -> Any:
    """sRGB values of linear ones (IEC 61966-2-1)."""
    linear = np.clip(linear, 0, 1)
    return np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)


def opaque_wall() -> Any:
    """Splats that leave no gaps: many, large, opaque ones."""
    gaussians = random_gaussians(1500)
    gaussians.scales[:] = gaussians.scales * 3
    gaussians.opacities[:] = 0.9
    return gaussians


def test_composite(tmp_path: Path) -> None:
    gaussians = opaque_wall()
    obj = place(gaussians)
    scene = look_through(CAMERA)
    bpy.ops.mesh.primitive_cube_add(size=0.1, location=(CAMERA.world_from_camera @ (-0.3, 0, 1.2, 1))[:3])
    cube = bpy.context.object
    glow = bpy.data.materials.new("glow")
    glow.use_nodes = True
    glow.node_tree.nodes.clear()
    emission = glow.node_tree.nodes.new("ShaderNodeEmission")
    emission.inputs["Color"].default_value = (0.2, 0.4, 0.1, 1)
    output = glow.node_tree.nodes.new("ShaderNodeOutputMaterial")
    glow.node_tree.links.new(emission.outputs[0], output.inputs["Surface"])
    cube.data.materials.append(glow)
    layers.use_separate_layer(scene)
    assert [c.name for c in obj.users_collection] == [layers.LAYER]
    picture = display(rendered(tmp_path / "a.exr"))
    expected = render(gaussians, CAMERA)
    x, y = (CAMERA.project((CAMERA.world_from_camera @ (-0.3, 0, 1.2, 1))[:3])).astype(int)
    assert picture[y, x] == pytest.approx(display(np.array((0.2, 0.4, 0.1))), abs=1e-3)
    outside_cube = np.ones(expected.shape[:2], bool)
    outside_cube[y - 12 : y + 13, x - 12 : x + 13] = False
    middle = np.zeros_like(outside_cube)
    middle[20:60, 30:90] = True  # where nothing shines through
    assert psnr(picture[outside_cube & middle], expected[outside_cube & middle]) > 50


def test_again_is_the_same_and_an_artists_compositor_stays() -> None:
    scene = bpy.context.scene
    with pytest.raises(UserError, match="no splats in this scene"):
        layers.use_separate_layer(scene)
    place(random_gaussians(3))
    layers.use_separate_layer(scene)
    layers.use_separate_layer(scene)
    assert len(scene.view_layers) == 2
    children = {
        layer.name: [child.name for child in layer.layer_collection.children if not child.exclude]
        for layer in scene.view_layers
    }
    assert children == {"ViewLayer": ["Collection"], layers.LAYER: [layers.LAYER]}
    bpy.ops.wm.read_factory_settings()
    scene = bpy.context.scene
    place(random_gaussians(3))
    if hasattr(scene, "compositing_node_group"):
        scene.compositing_node_group = bpy.data.node_groups.new("mine", "CompositorNodeTree")
    else:
        scene.use_nodes = True
    before = [c.name for c in bpy.data.objects["splats"].users_collection]
    with pytest.raises(UserError, match="compositor is in use"):
        layers.use_separate_layer(scene)
    assert len(scene.view_layers) == 1
    assert [c.name for c in bpy.data.objects["splats"].users_collection] == before
    assert splats.is_splats(bpy.data.objects["splats"])


def test_objects_that_every_layer_shows() -> None:
    place(random_gaussians(3))
    scene = bpy.context.scene
    bpy.data.collections["Collection"].objects.unlink(bpy.data.objects["Cube"])
    scene.collection.objects.link(bpy.data.objects["Cube"])
    with pytest.raises(UserError, match="Move 'Cube' from the Scene Collection"):
        layers.use_separate_layer(scene)
