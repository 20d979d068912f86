"""The button that shows the errors as a curve; the editor itself is looked at in `window/`."""

from pathlib import Path

import bpy
import pytest

from tests.blender.extension import part, roots
from tests.blender.filmed import filmed
from threer_blender import bundle

pytest_plugins = ["tests.blender.extension"]


@pytest.mark.usefixtures("addon")
def test_the_curve_shown_is_that_of_the_selected_camera(tmp_path: Path) -> None:
    bpy.ops.threer.import_result(directory=str(bundle.write(filmed(tmp_path), tmp_path / "result")))
    (root,) = roots()
    (camera,) = part("scene.build").filming_cameras(root)
    bpy.ops.threer.error_graph()
    assert bpy.context.selected_objects == [camera]
    assert bpy.context.view_layer.objects.active == camera
    camera.animation_data_clear()
    with pytest.raises(RuntimeError, match="no measured errors"):
        bpy.ops.threer.error_graph()
