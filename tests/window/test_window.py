"""An artist's first ten minutes, in a real window with a real mouse: `nox -s window`.

Install, choose photos, click Reconstruct, cancel, click again, watch, orbit, look through a camera over its photo.
Pictures of the screen go into the folder that THREER_WINDOW_PICTURES names, to be looked at.
"""

import time
from pathlib import Path
from typing import Any

import numpy as np

from tests.sample_photos import SAMPLE
from threer_blender.model.arrays import Array

from . import window as real
from .artist import REDRAW, Artist

# How far buttons are below the sidebar's top, in heights of a widget.
CHOOSE, RECONSTRUCT, CANCEL, LOOK_THROUGH = 2.2, 7.55, 11.45, 14.75
LIST, THIRD_PHOTO, ITS_CAMERA = 3.4, 7.55, 0.8  # and the place of a photo's camera across the panel's width
NARROW = 184  # pixels of the sidebar

BROWSER = "[a for w in bpy.context.window_manager.windows for a in w.screen.areas if a.type == 'FILE_BROWSER']"
CLOSE_LAST_WINDOW = """
with bpy.context.temp_override(window=bpy.context.window_manager.windows[-1]):
    bpy.ops.wm.window_close()
"""


def test_an_artists_first_minutes(artist: Artist) -> None:
    window = artist.window
    window.ask("bpy.data.objects.remove(bpy.data.objects['Cube'])")
    window.ask("viewport()[1].spaces.active.show_region_ui = False")
    artist.keep("1 empty")

    window.drop([f"photos/{photo.name}" for photo in SAMPLE[:3]], at=(500, 400))
    artist.keep("1 dropped")  # Blender's menu: its own use of pictures, and ours under the pointer
    window.key("Return")
    artist.until("len(bpy.context.scene.threer.photos) == 3", 20)
    artist.until("viewport()[1].spaces.active.show_region_ui", 20)  # opened by the drop, at our tab
    artist.until("viewport()[2]['UI'].active_panel_category == '3R'", 20)

    artist.press(CHOOSE, BROWSER)
    choose_all_photos(artist)
    window.ask("bpy.context.scene.threer.options_colmap.quality = 'preview'")

    artist.press(RECONSTRUCT, "work().queue.tasks")
    artist.until("work().queue.tasks[0].progress.fraction > 0")
    artist.keep("2 working")
    pid = window.ask("print(work().queue.tasks[0].job.pid)")
    artist.press(CANCEL, "not work().queue.tasks")
    assert window.ask("print(work().error)") == "The reconstruction was cancelled."
    assert window.ask(f"import os; print(os.path.exists('/proc/{pid}'))") == "False"
    assert window.ask("print(summary())") == "None"

    artist.press(RECONSTRUCT, "work().queue.tasks")
    window.ask("bpy.context.preferences.view.ui_scale = 2")
    artist.until("work().queue.tasks[0].progress.seconds_left")
    artist.keep("3 working at 2x")
    window.ask("bpy.context.preferences.view.ui_scale = 1")
    artist.until("not work().queue.tasks and not work().arrived")
    assert window.ask("print(work().error)") == ""
    assert window.ask("print(summary().registered, summary().chosen)") == "5 5"
    assert int(window.ask("print(summary().points)")) > 20_000

    steps = (look_at_the_result, blink, unfold_the_list, be_narrow, look_at_the_preferences, undo_and_redo)
    for step in (*steps, quit_while_working):
        step(artist)


def choose_all_photos(artist: Artist) -> None:
    """Goes to the folder in the file browser, selects everything and confirms."""
    window = artist.window
    window.ask(f"{BROWSER}[0].spaces.active.params.directory = b'{real.SHARED}/photos'")
    actual = "w = bpy.context.window_manager.windows[-1]; print(w.x, w.y, w.width, w.height)"
    left, bottom, width, height = map(int, window.ask(actual).split())
    window.hover(left + width / 2, real.SIZE[1] - bottom - height / 2)
    window.key("a")
    artist.keep("1 choosing")
    window.key("Return")
    artist.until(f"not {BROWSER} and len(bpy.context.scene.threer.photos) == 5", 20)


def look_at_the_result(artist: Artist) -> None:
    """Orbits, looks through a camera, and compares what the cloud shows there with the photo."""
    window = artist.window
    assert artist.is_true("viewport()[1].spaces.active.shading.type == 'MATERIAL'")  # as the result arrives
    window.wait(lambda: colorful(artist.keep("4 result")), 400)  # the viewport is grey until shaders are compiled
    before = artist.keep("4 result")
    artist.publish("4 result", "../../tests/window/pictures/panel.jpg", (0, 0, *real.SIZE), 1600)
    artist.orbit()
    after = artist.keep("5 orbited")
    assert np.abs(before - after)[200:800, 100:1000].mean() > 3
    artist.press(LOOK_THROUGH, "viewport()[1].spaces.active.region_3d.view_perspective == 'CAMERA'")
    assert window.ask("print(bpy.context.scene.camera.name)") == SAMPLE[0].name
    cloud = artist.keep("6 through the camera")
    artist.publish("6 through the camera", "../../tests/window/pictures/camera.jpg", (0, 0, *real.SIZE), 1600)
    window.ask("bpy.context.preferences.view.ui_scale = 2")
    artist.keep("7 result at 2x")
    window.ask("bpy.context.preferences.view.ui_scale = 1")
    window.ask("next(o for o in bpy.data.objects if o.get('threer_role') == 'cloud').hide_set(True)")
    plate = artist.keep("8 plate")
    window.ask("next(o for o in bpy.data.objects if o.get('threer_role') == 'cloud').hide_set(False)")
    left, top, right, bottom = map(int, window.ask(FRAME).split())
    line_up(cloud[top:bottom, left:right], plate[top:bottom, left:right])


def blink(artist: Artist) -> None:
    """The key shows the plate before the points and again behind them; other cameras stand aside until the end."""
    window = artist.window
    assert artist.is_true("sum(o.hide_get() for o in bpy.data.objects if o.type == 'CAMERA') == 5")
    window.hover(600, 500)
    for expected in (1.0, 0.0):
        window.key("shift+alt+b")
        artist.until(f"bpy.context.scene.threer.plate_over == {expected}", 20)
    window.ask("bpy.context.scene.threer.plate_over = 0.5")
    artist.keep("8 half plate, half points")
    window.ask("bpy.context.scene.threer.plate_over = 0")


def unfold_the_list(artist: Artist) -> None:
    """Unfolded, the list says of each photo how well its camera fits; a click on the camera looks through it."""
    window = artist.window
    artist.click(*artist.row(LIST, across=0.3), "True")
    artist.keep("8 list")
    artist.publish("8 list", "list.jpg", (1029, 80, 1283, 790))
    third = "bpy.context.scene.camera and bpy.context.scene.camera.name == " + repr(SAMPLE[2].name)
    artist.click(*artist.row(THIRD_PHOTO, across=ITS_CAMERA), third)
    window.ask("viewport()[1].spaces.active.region_3d.view_perspective = 'PERSP'")
    artist.until("not any(o.hide_get() for o in bpy.data.objects if o.type == 'CAMERA')", 20)
    artist.click(*artist.row(LIST, across=0.3), "True")


def be_narrow(artist: Artist) -> None:
    """Pictures of the panel in a sidebar of about 184 pixels, to be looked at: nothing may be cut off."""
    window = artist.window
    left, top, width, height = window.region("UI")
    for inwards in (-3, 0, 3, 6) * 2:  # where Blender's versions take the sidebar's edge; a busy one forgets a drag
        window.ask(REDRAW, 600)
        window.drag((left + inwards, top + height - 60), (left + width - NARROW, top + height - 60), button=1)
        if window.region("UI")[2] < width - 20:
            break
    assert window.region("UI")[2] < width - 20
    artist.keep("8 narrow")


def colorful(picture: Array) -> bool:
    """Whether the viewport shows more than grey things."""
    viewport = picture[150:800, 60:1000]
    return bool(np.ptp(viewport, axis=2).mean() > 5)


FRAME = f"""
from bpy_extras.view3d_utils import location_3d_to_region_2d as project
window, area, regions = viewport()
region, view, camera = regions['WINDOW'], area.spaces.active.region_3d, bpy.context.scene.camera
corners = [camera.matrix_world @ c for c in camera.data.view_frame(scene=bpy.context.scene)]
corners = [project(region, view, c) for c in corners]
xs, ys = [region.x + c.x for c in corners], [{real.SIZE[1]} - region.y - c.y for c in corners]
print(round(min(xs)) + 3, round(min(ys)) + 3, round(max(xs)) - 3, round(max(ys)) - 3)
"""


def line_up(cloud: Any, plate: Any) -> None:
    """Asserts that points show what the photo shows where they cover it, and best where nothing is shifted."""
    assert cloud.shape[0] > 100
    drawn = np.abs(cloud - plate).max(axis=2) > 2  # the rest is the photo in both
    assert drawn.mean() > 0.3, "there are no points over the photo"

    def difference(dx: Any, dy: Any) -> float:
        moved = np.roll(cloud, (dy, dx), axis=(0, 1))
        where = np.roll(drawn, (dy, dx), axis=(0, 1))
        where[:8], where[-8:], where[:, :8], where[:, -8:] = False, False, False, False
        return float(np.abs(moved - plate)[where].mean())

    shifts = {(dx, dy): difference(dx, dy) for dx in range(-8, 9, 2) for dy in range(-8, 9, 2)}
    print(f"points differ from the photo by {shifts[0, 0]:.1f} of 255; shifted by 4 px by {shifts[4, 0]:.1f}")
    best = min(shifts, key=lambda shift: shifts[shift])
    assert max(map(abs, best)) <= 2, best
    assert shifts[0, 0] < 40


def look_at_the_preferences(artist: Artist) -> None:
    window = artist.window
    window.ask("bpy.ops.screen.userpref_show(section='ADDONS'); bpy.ops.preferences.addon_show(module=ADDON)")
    artist.keep("9 preferences")
    window.ask(CLOSE_LAST_WINDOW)


def undo_and_redo(artist: Artist) -> None:
    """The import is one step of Blender's undo."""
    window = artist.window
    window.hover(600, 700)
    for _ in range(8):  # each button pressed since the import is a step, too
        window.key("ctrl+z")
        if window.ask("print(summary())", 300) == "None":
            break
    assert window.ask("print(summary())", 300) == "None"
    assert artist.is_true("viewport()[1].spaces.active.shading.type == 'SOLID'")
    window.key("ctrl+shift+z")
    artist.until("summary() and summary().registered == 5", 60)


def quit_while_working(artist: Artist) -> None:
    """No process outlives Blender's window."""
    window = artist.window
    artist.press(RECONSTRUCT, "work().queue.tasks")
    artist.until("work().queue.tasks[0].progress.fraction > 0")
    worker = Path("/proc") / window.ask("print(work().queue.tasks[0].job.pid)")  # Blender's process ids are ours, too
    assert worker.exists()
    window.say("bpy.ops.wm.quit_blender()")
    assert window.blender.wait(60) == 0
    deadline = time.monotonic() + 5
    while worker.exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not worker.exists()
