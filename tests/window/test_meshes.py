"""A textured mesh in a real window: its dialog, its progress, and the mesh in the scene."""

from dataclasses import replace
from pathlib import Path

from tests.blender.world import CAMERAS, reconstruct, write_photos
from threer_blender import bundle
from threer_blender.files import digest

from . import window as real
from .artist import Artist
from .test_shot import scroll_down

MESH = "[o for o in bpy.data.objects if o.get('threer_role') == 'mesh']"
MAKE = """
window, area, regions = viewport()
with bpy.context.temp_override(window=window, area=area, region=regions["WINDOW"]):
    bpy.ops.threer.make_mesh("INVOKE_DEFAULT")
"""
SHOW_ALONE = f"""
viewport()[1].spaces.active.shading.type = "MATERIAL"
for obj in bpy.data.objects:
    obj.hide_set(obj not in {MESH})
"""


def test_a_mesh_is_made_and_seen(artist: Artist) -> None:
    window = artist.window
    window.ask("bpy.data.objects.remove(bpy.data.objects['Cube'])")
    photos = write_photos(window.shared / "world", CAMERAS)
    photos = [
        replace(photo, path=f"{real.SHARED}/world/{photo.name}", sha256=digest.sha256(Path(photo.path)))
        for photo in photos
    ]
    bundle.write(reconstruct(photos, CAMERAS, step=2), window.shared / "result")
    window.ask(f"bpy.ops.threer.import_result(directory='{real.SHARED}/result')")
    artist.open_tab()
    scroll_down(artist)
    artist.keep("mesh 1 button")

    window.hover(500, 300)
    window.ask(MAKE)
    artist.keep("mesh 2 dialog")
    assert not artist.is_true(MESH)
    window.key("Return")
    artist.until("work().queue.tasks", 60)
    artist.keep("mesh 3 working")
    artist.until("not work().queue.tasks and not work().arrived", 600)
    assert window.ask("print(work().error)") == ""
    artist.until(MESH, 60)
    window.ask(SHOW_ALONE)
    scroll_down(artist)
    artist.keep("mesh 4 made")
    assert (window.shared / "result" / "mesh.glb").is_file()
