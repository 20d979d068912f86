"""Scene Ready: what it says is what it does, nothing of the artist's goes, and a test object's shadow falls right."""

from pathlib import Path
from typing import Any

import bpy
import numpy as np
import pytest
from mathutils import Vector

from tests.blender.world import CAMERAS
from threer_blender.model.errors import UserError
from threer_blender.model.reconstruction import Reconstruction
from threer_blender.scene import build, cameras, identity, ready

PLATE = (0.2, 0.5, 0.8, 1.0)


def comp_shot(_camera: Any) -> None:
    """Stands in for the compositing of a shot; the results of these tests have none."""
    raise AssertionError("there is no shot")


@pytest.fixture
def root(reconstruction: Reconstruction, tmp_path: Path) -> Any:
    return build.build(reconstruction, tmp_path)


def compositor(scene: Any) -> Any:
    return scene.compositing_node_group if hasattr(scene, "compositing_node_group") else scene.node_tree


def of_role(role: str) -> Any:
    return [obj for obj in bpy.context.scene.objects if obj.get(identity.ROLE) == role]


def test_what_is_replaced_is_named(root: Any) -> None:
    scene = bpy.context.scene
    mine = bpy.data.objects.new("My Camera", bpy.data.cameras.new("My Camera"))
    scene.collection.objects.link(mine)
    scene.camera = mine
    scene.render.resolution_x, scene.render.resolution_y = 1111, 999
    scene.view_settings.view_transform = "AgX"
    steps = ready.plan(scene, root)
    replaced = " ".join(step.replaces for step in steps)
    for name in ("My Camera", "1111 × 999", "AgX", "EEVEE"):
        assert name in replaced
    assert "BLENDER_" not in replaced
    assert scene.camera == mine  # a plan changes nothing
    ready.set_up(scene, root, comp_shot)
    assert mine.name in bpy.data.objects
    assert [step for step in ready.plan(scene, root) if step.replaces] == []
    assert scene.cycles.samples == ready.SAMPLES
    scene.cycles.samples = 500  # of the artist, who renders with Cycles now
    ready.set_up(scene, root, comp_shot)
    assert scene.cycles.samples == 500


def test_a_camera_that_says_nothing_of_its_solve_is_named(root: Any) -> None:
    camera = ready.camera_of(bpy.context.scene, root)
    camera[cameras.WIDTH] = "wide"
    with pytest.raises(UserError, match=camera.name):
        ready.plan(bpy.context.scene, root)


def test_everything_is_there_and_twice_is_as_once(root: Any) -> None:
    scene = bpy.context.scene
    for _ in range(2):
        ready.set_up(scene, root, comp_shot)
        (ground,), (light,) = of_role(identity.GROUND), of_role(identity.SUN)
        assert scene.camera in build.solved_cameras(root)
        assert (scene.render.resolution_x, scene.render.resolution_y) == (320, 240)
        assert scene.render.film_transparent
        assert scene.render.engine == "CYCLES"
        assert ground.is_shadow_catcher
        assert ground.location.z == 0
        assert light.data.type == "SUN"
        (cloud,) = of_role(identity.CLOUD)
        assert cloud.hide_render
        assert not cloud.hide_viewport
        over = [node for node in compositor(scene).nodes if node.bl_idname == "CompositorNodeAlphaOver"]
        assert len(over) == 1
    bpy.context.view_layer.update()
    direction = light.matrix_world.to_3x3() @ Vector((0, 0, 1))
    assert np.allclose(direction, ready.sun_of(root).direction, atol=1e-4)


def test_another_solve_leaves_ground_and_sun(root: Any, reconstruction: Reconstruction, tmp_path: Path) -> None:
    ready.set_up(bpy.context.scene, root, comp_shot)
    build.build(reconstruction, tmp_path)
    assert len(of_role(identity.GROUND)) == len(of_role(identity.SUN)) == 1


def test_rays_go_through_the_pixels_that_the_camera_sees(root: Any) -> None:
    for obj, solved in zip(build.solved_cameras(root), CAMERAS, strict=True):
        places = np.array([(0.1, 0.2), (0.9, 0.3), (0.5, 0.95)])
        rays = cameras.rays(obj, places) * (1, -1, -1)
        expected = solved.rays(places * (solved.width, solved.height))
        assert np.allclose(rays, expected / np.linalg.norm(expected, axis=1, keepdims=True), atol=1e-5)


def test_a_test_object_casts_its_shadow_on_the_plate(root: Any) -> None:
    """Rendered by Cycles: the comp is the plate, darker where the ground lies in the object's shadow."""
    scene = bpy.context.scene
    ready.set_up(scene, root, comp_shot)
    plate = bpy.data.images.new("grey", 320, 240)
    plate.generated_color = (0.5, 0.5, 0.5, 1.0)
    next(node for node in compositor(scene).nodes if node.bl_idname == "CompositorNodeImage").image = plate
    for obj in scene.objects:  # Blender's first cube and light
        obj.hide_render = obj.hide_render or obj.name in ("Cube", "Light")
    (light,) = of_role(identity.SUN)
    light.rotation_euler = Vector((0.5, 0.0, 1.0)).to_track_quat("Z", "Y").to_euler()
    scene.world.node_tree.nodes["Background"].inputs[1].default_value = 0.0
    middle = Vector((*of_role(identity.GROUND)[0].location.xy, 0.0))
    size = ready.ground_side(root) / 60
    bpy.ops.mesh.primitive_cube_add(size=2 * size, location=middle + Vector((0, 0, 3 * size)))
    scene.cycles.samples, scene.cycles.use_denoising, scene.cycles.device = 8, False, "CPU"
    scene.render.filepath = str(Path(bpy.app.tempdir) / "comp.png")
    bpy.ops.render.render(write_still=True)
    image = bpy.data.images.load(scene.render.filepath)
    picture = np.array(image.pixels, np.float32).reshape(240, 320, 4)

    def at(point: Vector) -> Any:
        depsgraph = bpy.context.evaluated_depsgraph_get()
        view = scene.camera.calc_matrix_camera(depsgraph, x=320, y=240) @ scene.camera.matrix_world.inverted()
        clip = view @ point.to_4d()
        return picture[int((clip.y / clip.w + 1) / 2 * 240), int((clip.x / clip.w + 1) / 2 * 320), 0]

    shadow = middle - Vector((1.5 * size, 0, 0))
    assert at(shadow) < 0.6 * at(middle + Vector((3 * size, 0, 0)))
    assert at(middle + Vector((3 * size, 0, 0))) == pytest.approx(0.5, abs=0.03)
