"""A shot in a real window: a film is dropped, solved, looked at frame by frame, mended by hand and solved again."""

from tests.films import film, panned

from .artist import UNIT, Artist

RECONSTRUCT = 8.6  # where the button stands on the panel, in widgets below the sidebar's top
# Heights above the sidebar's bottom, in widgets, where it is scrolled to its end: of the button Solve Again while the
# box Mend by Hand is open, and of that box's heading while it is closed.
SOLVE_AGAIN, MEND = 5.05, 4.55
FRAMES = 30
FILM = "clip.mp4"
CAMERA = "next(o for o in bpy.data.objects if o.get('threer_frames'))"
ROOT = "next(o for o in bpy.data.objects if o.get('threer_role') == 'root')"
KEYS = f"print(len(part('scene.shot_errors').curve({CAMERA}).keyframe_points))"
BAD = f"print(list({CAMERA}.get('threer_bad', [])))"
NOTES = "print(summary().notes and chr(10).join(summary().notes))"
PLACE = f"print([round(x, 4) for row in {ROOT}.matrix_world for x in row])"
TRACKS = "[o for o in bpy.data.objects if str(o.get('threer_role')).startswith('tracks')]"


def test_a_shot_is_solved_looked_at_and_solved_again(artist: Artist) -> None:
    window = artist.window
    film(panned(FRAMES), window.shared / FILM)
    artist.open_tab()
    window.drop([FILM], at=(500, 400))
    window.key("Return")
    artist.until("len(bpy.context.scene.threer.photos) == 1", 30)
    assert window.ask("print(bpy.context.scene.threer.photos[0].shot)") == f"{FILM}: {FRAMES} frames, 25 fps"
    window.ask("bpy.context.scene.threer.options_colmap.quality = 'preview'")
    artist.press(RECONSTRUCT, "work().queue.tasks")
    artist.until("work().queue.tasks[0].progress.fraction > 0")
    artist.keep("shot 1 working")
    artist.until("not work().queue.tasks and not work().arrived", 600)
    assert window.ask("print(work().error)") == ""
    keys = int(window.ask(KEYS))
    artist.keep("shot 2 solved")
    assert artist.is_true("bpy.data.objects['Cube'].hide_get()")
    window.ask(f"bpy.ops.threer.look_through(); {ROOT}.location.z += 0.25; bpy.ops.ed.undo_push()")
    assert artist.is_true(f"bpy.context.scene.camera == {CAMERA}")
    place = window.ask(PLACE)
    window.ask("bpy.ops.threer.show_tracks()")
    window.ask("bpy.ops.threer.mark_bad_frames(first=10, last=12)")
    assert window.ask(BAD) == "[10, 12]"
    scroll_down(artist)
    left, top, width, height = window.region("UI")
    window.click(left + 0.3 * width, top + height - MEND * UNIT)  # open Mend by Hand
    scroll_down(artist)
    artist.keep("shot 3 mending")
    artist.click(
        left + width / 2, top + height - SOLVE_AGAIN * UNIT, "work().queue.tasks or work().arrived or not summary()"
    )
    artist.until("not work().queue.tasks and not work().arrived", 600)
    assert window.ask("print(work().error)") == ""
    assert int(window.ask(KEYS)) == keys - 3
    assert window.ask(PLACE) == place
    artist.keep("shot 4 solved again")
    assert any("solved again without frames 10-12" in note for note in window.ask(NOTES).splitlines())
    window.ask("bpy.ops.threer.error_graph()")
    artist.keep("shot 5 errors")
    window.hover(600, 300)
    window.key("ctrl+z")  # the second solve is one step
    # The text holds a list for each frame with a camera.
    artist.until(f"int({CAMERA}.get('threer_shot_frames', '').count('[')) >= {FRAMES - 1}", 60)


def scroll_down(artist: Artist) -> None:
    """Moves the sidebar to its end. The pointer stands at its edge, where no list takes the wheel."""
    left, top, width, height = artist.window.region("UI")
    for _ in range(40):
        artist.window.click(left + width - 35, top + height / 2, 5)
