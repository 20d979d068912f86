"""Where objects stand in the outliner: a shot's camera among the cameras, its key frames elsewhere and hidden."""

from pathlib import Path

import bpy

from tests.blender.filmed import filmed
from threer_blender.scene import build


def test_key_frames_are_hidden_and_by_themselves(tmp_path: Path) -> None:
    root = build.build(filmed(tmp_path), tmp_path)
    (ours,) = root.users_collection
    (camera,) = build.filming_cameras(root)
    below = {child.name: set(child.objects) for child in ours.children}
    assert below == {"3R clip cameras": {camera}, "3R clip key frames": set(build.solved_cameras(root))}
    assert camera.visible_get()
    assert not any(each.visible_get() for each in build.solved_cameras(root))
    assert build.photo_cameras(root) == []


def test_a_second_solve_hides_nothing_that_the_artist_opened(tmp_path: Path) -> None:
    root = build.build(filmed(tmp_path), tmp_path)
    layer = bpy.context.view_layer.layer_collection.children["3R clip"].children["3R clip key frames"]
    layer.hide_viewport = False
    assert build.build(filmed(tmp_path), tmp_path) == root
    assert not layer.hide_viewport
