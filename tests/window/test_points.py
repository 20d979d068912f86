"""Crop box, lasso and comparison with a real mouse: what they hide and say, and pictures of each for the documents."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from threer_blender import bundle
from threer_blender.model.reconstruction_transform import transformed

from . import window as real
from .artist import Artist
from .test_alignment import INVOKE, ROOT, VIEWPORT, solved

CLOUD = f"next(o for o in {ROOT}.children if o.get('threer_role') == 'cloud')"
VIEW = f"""
window, area, regions = viewport()
space = area.spaces.active
space.shading.type = "MATERIAL"
region_3d = space.region_3d
region_3d.view_perspective = "PERSP"
import numpy as np
cloud = next(o for o in bpy.data.objects if o.get('threer_role') == 'cloud')
shape = getattr(cloud.data, "points", None) or cloud.data.vertices
places = np.array([cloud.matrix_world @ p.co for p in list(shape)[::50]])
low, high = np.percentile(places, (10, 90), axis=0)
region_3d.view_location = (low + high) / 2
region_3d.view_distance = 2.2 * (high - low).max()
from mathutils import Euler
region_3d.view_rotation = Euler((1.0, 0, 0.6)).to_quaternion()
for o in bpy.context.scene.objects:
    if o.type == "CAMERA":
        o.hide_set(True)
bpy.context.view_layer.objects.active = {ROOT}
"""
MASKED = f"sum(a.value for a in {CLOUD}.data.attributes['masked_selection'].data)"


def test_crop_lasso_and_comparison(artist: Artist) -> None:
    window = artist.window
    window.ask("bpy.data.objects.remove(bpy.data.objects['Cube'])")
    first = solved(window.shared / "photos")
    bundle.write(first, window.shared / "result")
    assert first.cloud is not None
    raised = first.cloud.positions.copy()
    raised[:, 2] += 0.05 * np.maximum(raised[:, 0], 0)
    moved = first.cameras[1].world_from_camera.copy()
    moved[:3, 3] += 0.03
    cameras = [first.cameras[0], replace(first.cameras[1], world_from_camera=moved), *first.cameras[2:]]
    second = replace(first, cloud=replace(first.cloud, positions=raised), cameras=cameras)
    bundle.write(transformed(second, np.diag([1.5, 1.5, 1.5, 1.0])), window.shared / "other")
    window.ask(f"bpy.ops.threer.import_result(directory='{real.SHARED}/result')")
    artist.open_tab()
    window.ask(VIEW)

    window.ask("bpy.ops.threer.crop_box()")
    window.ask("box = bpy.context.object if bpy.context.object.get('threer_role') == 'crop' else "
               "next(o for o in bpy.data.objects if o.get('threer_role') == 'crop'); box.scale *= 0.6")  # fmt: skip
    artist.keep("31 crop")
    artist.publish("31 crop", "crop.jpg", VIEWPORT)
    window.ask("bpy.data.objects.remove(next(o for o in bpy.data.objects if o.get('threer_role') == 'crop'))")
    window.ask(VIEW)

    window.hover(600, 500)
    window.ask(INVOKE.format("lasso"))
    corners = [(560, 330), (760, 360), (780, 520), (600, 560), (480, 440)]
    window.drag(corners[0], *corners[1:], button=1, before_release=lambda: artist.keep("32 lasso"))
    artist.until(f"{MASKED} > 100", 60)
    artist.publish("32 lasso", "lasso.jpg", VIEWPORT)
    artist.keep("33 masked")
    window.ask("bpy.ops.threer.show_points(layer='Selection')")

    window.ask(f"bpy.ops.threer.import_result(directory='{real.SHARED}/other', beside=True)")
    window.ask("bpy.ops.threer.compare()")
    artist.until("any('difference' in o.data.attributes for o in bpy.data.objects if o.get('threer_role') == 'cloud')")
    window.ask(f"{ROOT}.hide_set(True); {CLOUD}.hide_set(True)")
    window.ask(VIEW)
    artist.keep("34 compared")
    artist.publish("34 compared", "compare.jpg", VIEWPORT)
