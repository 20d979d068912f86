"""A first result in a new file: the startup cube makes room, and colours are the pictures'."""

from pathlib import Path

import bpy

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
    assert view.view_transform == startup.USUAL
    assert startup.HIDDEN not in root[build.NOTES]


def test_an_artists_view_transform_stays(reconstruction: Reconstruction, tmp_path: Path) -> None:
    view = bpy.context.scene.view_settings
    view.view_transform = "Filmic"
    build.build(reconstruction, tmp_path)
    assert view.view_transform == "Filmic"
