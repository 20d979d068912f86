"""Cameras step aside for the one that is looked through, and come back."""

from pathlib import Path

import bpy
import pytest

from tests.blender.extension import ADDON, part, roots
from threer_blender import bundle
from threer_blender.model.reconstruction import Reconstruction

pytest_plugins = ["tests.blender.extension"]


@pytest.mark.usefixtures("addon")
def test_other_cameras_step_aside_and_come_back(reconstruction: Reconstruction, tmp_path: Path) -> None:
    bpy.ops.threer.import_result(directory=str(bundle.write(reconstruction, tmp_path / "result")))
    (root,) = roots()
    solved = part("scene.build").solved_cameras(root)
    aside, scene, layer = part("ui.aside"), bpy.context.scene, bpy.context.view_layer
    solved[2].hide_set(True)  # by the artist
    startup = bpy.data.objects["Camera"]
    aside.hide_others(scene, layer, solved[0])
    assert not solved[0].hide_get()
    assert all(each.hide_get() for each in (startup, *solved[1:]))
    aside.hide_others(scene, layer, solved[1])
    assert solved[0].hide_get()
    assert not solved[1].hide_get()
    for window in bpy.context.window_manager.windows:
        for area in window.screen.areas:
            if area.type == "VIEW_3D":
                area.spaces.active.region_3d.view_perspective = "PERSP"
    assert aside.come_back() is None
    assert not any(each.hide_get() for each in (startup, *solved[:2], *solved[3:]))
    assert solved[2].hide_get()  # as the artist left it
    assert not any(aside.MARK in each for each in (startup, *solved))


@pytest.mark.usefixtures("addon")
def test_they_come_back_in_every_layer_and_when_the_addon_goes(reconstruction: Reconstruction, tmp_path: Path) -> None:
    bpy.ops.threer.import_result(directory=str(bundle.write(reconstruction, tmp_path / "result")))
    (root,) = roots()
    solved = part("scene.build").solved_cameras(root)
    aside, scene = part("ui.aside"), bpy.context.scene
    layers = [bpy.context.view_layer, scene.view_layers.new("second")]
    for layer in layers:
        aside.hide_others(scene, layer, solved[0])
    assert all(solved[1].hide_get(view_layer=layer) for layer in layers)
    bpy.ops.preferences.addon_disable(module=ADDON)
    assert not any(solved[1].hide_get(view_layer=layer) for layer in layers)
