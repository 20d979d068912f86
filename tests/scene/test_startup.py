"""A first result in a new file: the startup cube makes room, and colours are the pictures'."""

from collections.abc import Callable
from pathlib import Path

import bpy
import pytest

from threer_blender.model.reconstruction import Reconstruction
from threer_blender.scene import build, startup


def test_a_new_files_cube_makes_room(reconstruction: Reconstruction, tmp_path: Path) -> None:
    root = build.build(reconstruction, tmp_path)
    cube = bpy.data.objects["Cube"]
    assert cube.hide_get()
    assert cube.hide_render
    assert bpy.context.scene.view_settings.view_transform == "Standard"
    assert root[build.NOTES].splitlines()[-1] == startup.HIDDEN


def test_an_artists_scene_stays_as_it_is(reconstruction: Reconstruction, tmp_path: Path) -> None:
    cube, view = bpy.data.objects["Cube"], bpy.context.scene.view_settings
    cube.location.x = 1.0
    root = build.build(reconstruction, tmp_path)
    assert not cube.hide_get()
    assert not cube.hide_render
    assert view.view_transform == "AgX"
    assert startup.HIDDEN not in root[build.NOTES]


def test_an_artists_view_transform_stays(reconstruction: Reconstruction, tmp_path: Path) -> None:
    view = bpy.context.scene.view_settings
    view.view_transform = "Filmic"
    build.build(reconstruction, tmp_path)
    assert view.view_transform == "Filmic"


def other_world(scene: bpy.types.Scene) -> None:
    scene.world = bpy.data.worlds.new("Sky")


def cube() -> bpy.types.Object:
    return bpy.data.objects["Cube"]


WORK: dict[str, Callable[[bpy.types.Scene], object]] = {
    "render engine": lambda scene: setattr(scene.render, "engine", "BLENDER_WORKBENCH"),
    "output path": lambda scene: setattr(scene.render, "filepath", "//renders/shot_"),
    "view transform": lambda scene: setattr(scene.view_settings, "view_transform", "Filmic"),
    "contrast": lambda scene: setattr(scene.view_settings, "look", "AgX - Punchy"),
    "second scene": lambda _: bpy.data.scenes.new("Second"),
    "second view layer": lambda scene: scene.view_layers.new("Foreground"),
    "no world": lambda scene: setattr(scene, "world", None),
    "another world": other_world,
    "brighter world": lambda scene: setattr(
        scene.world.node_tree.nodes["Background"].inputs["Strength"], "default_value", 2.0
    ),
    "gravity": lambda scene: setattr(scene, "gravity", (0, 0, -1.6)),
    "simplify": lambda scene: setattr(scene.render, "use_simplify", True),
    "locked object": lambda _: setattr(cube(), "lock_location", (True, False, False)),
    "object that cannot be selected": lambda _: setattr(cube(), "hide_select", True),
    "shown as wire": lambda _: setattr(cube(), "display_type", "WIRE"),
    "hidden in the view": lambda _: cube().hide_set(True),
    "excluded collection": lambda scene: setattr(
        scene.view_layers[0].layer_collection.children["Collection"], "exclude", True
    ),
    "hidden collection": lambda _: setattr(bpy.data.collections["Collection"], "hide_render", True),
    "mesh attribute": lambda _: cube().data.attributes.new("weight", "FLOAT", "POINT"),
    "vertex group": lambda _: cube().vertex_groups.new(name="arm"),
    "colors": lambda _: cube().data.color_attributes.new("paint", "BYTE_COLOR", "CORNER"),
    "smooth faces": lambda _: setattr(cube().data.polygons[0], "use_smooth", True),
    "loose material": lambda _: bpy.data.materials.new("Brick"),
    "loose image": lambda _: bpy.data.images.new("Paint", 4, 4),
    "loose text": lambda _: bpy.data.texts.new("notes"),
    "loose nodes": lambda _: bpy.data.node_groups.new("Scatter", "GeometryNodeTree"),
    "loose mesh": lambda _: bpy.data.meshes.new("Chair"),
}


@pytest.mark.parametrize("is_empty_file", [False, True])
def test_a_new_file_is_untouched(is_empty_file: bool) -> None:
    bpy.ops.wm.read_factory_settings(use_empty=is_empty_file)
    assert startup.is_empty(bpy.context.scene)


def test_a_new_file_of_windows_is_untouched() -> None:
    bpy.context.scene.render.filepath = "/tmp\\"
    assert startup.is_empty(bpy.context.scene)


@pytest.mark.parametrize("work", WORK)
def test_a_file_that_was_worked_on_keeps_its_settings(
    reconstruction: Reconstruction, tmp_path: Path, work: str
) -> None:
    scene = bpy.context.scene
    WORK[work](scene)
    assert not startup.is_empty(scene)
    before = (scene.camera, scene.frame_end, scene.render.resolution_x, scene.view_settings.view_transform)
    root = build.build(reconstruction, tmp_path)
    assert (scene.camera, scene.frame_end, scene.render.resolution_x, scene.view_settings.view_transform) == before
    assert not cube().hide_render
    assert startup.HIDDEN not in root[build.NOTES]
