"""A first result is selected; the view itself is looked at in `window/`."""

from pathlib import Path

import bpy
import pytest

from tests.blender.extension import roots
from threer_blender import bundle
from threer_blender.model.reconstruction import Reconstruction

pytest_plugins = ["tests.blender.extension"]


@pytest.mark.usefixtures("addon")
def test_a_first_result_is_selected_and_a_later_one_leaves_the_selection(
    reconstruction: Reconstruction, tmp_path: Path
) -> None:
    result = bundle.write(reconstruction, tmp_path / "result")
    bpy.ops.threer.import_result(directory=str(result))
    (root,) = roots()
    assert bpy.context.view_layer.objects.active == root
    assert bpy.context.selected_objects == [root]
    light = bpy.data.objects["Light"]
    root.select_set(False)
    light.select_set(True)
    bpy.context.view_layer.objects.active = light
    bpy.ops.threer.import_result(directory=str(result))
    assert bpy.context.selected_objects == [light]
    assert bpy.context.view_layer.objects.active == light
