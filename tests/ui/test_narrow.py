"""In a sidebar of 184 pixels no button's text is cut off."""

from pathlib import Path
from types import ModuleType

import bpy

from tests.blender.drawn import cut
from tests.blender.world import CAMERAS, reconstruct, write_photos
from threer_blender import bundle

pytest_plugins = ["tests.blender.extension"]
NARROW = 184  # pixels: about the width of a sidebar that the artist has made narrow
PANELS = [
    ("ui.panel", "THREER_PT_main"),
    ("ui.panel", "THREER_PT_more"),
    ("ui.alignment", "THREER_PT_alignment"),
    ("ui.points_panel", "THREER_PT_points"),
    ("ui.several", "THREER_PT_several"),
]


def test_no_button_is_cut_off(addon: ModuleType, tmp_path: Path) -> None:  # noqa: ARG001
    photos = write_photos(tmp_path / "shot", CAMERAS)
    folder = bundle.write(reconstruct(photos, CAMERAS, step=16), tmp_path / "walk")
    bpy.ops.threer.import_result(directory=str(folder))
    bpy.ops.threer.import_result(directory=str(folder), beside=True)
    lines = {panel: cut(module, panel, NARROW) for module, panel in PANELS}
    assert {panel: texts for panel, texts in lines.items() if texts} == {}
