"""The plate against the points, and sizes and thresholds on the panel, in one view and in all."""

from pathlib import Path
from types import SimpleNamespace

import bpy
import pytest

from tests.blender.drawn import Drawn
from tests.blender.extension import part, roots
from threer_blender import bundle
from threer_blender.model.reconstruction import Reconstruction
from threer_blender.scene import look, points

pytest_plugins = ["tests.blender.extension"]


@pytest.mark.usefixtures("addon")
def test_one_slider_fades_and_a_key_blinks(reconstruction: Reconstruction, tmp_path: Path) -> None:
    settings = bpy.context.scene.threer
    folder = bundle.write(reconstruction, tmp_path / "result")
    bpy.ops.threer.import_result(directory=str(folder))
    bpy.context.scene.camera = None
    assert settings.plate_over == 0
    with pytest.raises(RuntimeError, match="press Look Through Camera first"):
        bpy.ops.threer.blink()
    bpy.ops.threer.look_through()
    background = bpy.context.scene.camera.data.background_images[0]
    assert (background.display_depth, background.alpha) == ("BACK", 1.0)
    settings.plate_over = 0.25
    assert (background.display_depth, background.alpha) == ("FRONT", 0.25)
    assert settings.plate_over == 0.25
    bpy.ops.threer.blink()
    assert (background.display_depth, background.alpha) == ("BACK", 1.0)
    bpy.ops.threer.blink()
    assert (background.display_depth, background.alpha) == ("FRONT", 1.0)


@pytest.mark.usefixtures("addon")
def test_sizes_and_thresholds_are_on_the_panel(reconstruction: Reconstruction, tmp_path: Path) -> None:
    folder = bundle.write(reconstruction, tmp_path / "result")
    bpy.ops.threer.import_result(directory=str(folder))
    (root,) = roots()
    (cloud,) = [child for child in root.children if child.get("threer_role") == "cloud"]
    (modifier,) = cloud.modifiers
    drawn = Drawn()
    part("ui.views").draw(drawn, SimpleNamespace(space_data=None, scene=bpy.context.scene), root, 30)
    assert len(drawn.texts) == 2  # what Blender calls them differs between its versions
    points.set_input(modifier, look.THRESHOLD, 0.3)
    assert points.input_value(modifier, look.THRESHOLD) == pytest.approx(0.3)
    cloud.hide_viewport = True
    drawn = Drawn()
    part("ui.views").draw(drawn, SimpleNamespace(space_data=None, scene=bpy.context.scene), root, 30)
    assert drawn.texts == []
