"""A shot in a real window: a film is dropped, solved, looked at frame by frame, mended by hand and solved again."""

from tests.films import film, panned

from .artist import Artist

RECONSTRUCT = 6.35  # where the button stands on the panel, in widgets below the sidebar's top
FRAMES = 30
FILM = "clip.mp4"
CAMERA = "next(o for o in bpy.data.objects if o.get('threer_frames'))"
KEYS = f"print(len(part('scene.shot_errors').curve({CAMERA}).keyframe_points))"
BAD = f"print(list({CAMERA}.get('threer_bad', [])))"
NOTES = "print(summary().notes and chr(10).join(summary().notes))"


def test_a_shot_is_solved_looked_at_and_solved_again(artist: Artist) -> None:
    window = artist.window
    film(panned(FRAMES), window.shared / FILM)
    artist.open_tab()
    window.drop([FILM], at=(500, 400))
    window.key("Return")
    artist.until("len(bpy.context.scene.threer.photos) == 1", 30)
    window.ask("bpy.context.scene.threer.options_colmap.quality = 'preview'")
    artist.press(RECONSTRUCT, "work().queue.tasks")
    artist.until("work().queue.tasks[0].progress.fraction > 0")
    artist.keep("shot 1 working")
    artist.until("not work().queue.tasks and not work().arrived", 600)
    assert window.ask("print(work().error)") == ""
    window.ask(f"bpy.context.view_layer.objects.active = {CAMERA}")
    keys = int(window.ask(KEYS))
    artist.keep("shot 2 solved")
    scroll_down(artist)
    artist.keep("shot 3 errors")
    window.ask("bpy.ops.threer.look_through()")
    window.ask("bpy.ops.threer.show_tracks()")
    window.ask("bpy.ops.threer.mark_bad_frames(first=10, last=12)")
    artist.keep("shot 4 mending")
    assert window.ask(BAD) == "[10, 12]"
    window.ask("bpy.ops.threer.solve_again()")
    artist.until("work().queue.tasks or work().arrived", 60)
    artist.until("not work().queue.tasks and not work().arrived", 600)
    assert window.ask("print(work().error)") == ""
    assert int(window.ask(KEYS)) == keys - 3
    artist.keep("shot 5 solved again")
    assert any("solved again without frames 10-12" in note for note in window.ask(NOTES).splitlines())
    window.hover(600, 700)
    window.key("ctrl+z")  # the second solve is one step
    artist.until(f"int({CAMERA}.get('threer_shot_frames', '').count('[')) >= {FRAMES - 1}", 60)


def scroll_down(artist: Artist) -> None:
    """Moves the sidebar to its end."""
    left, top, width, height = artist.window.region("UI")
    for _ in range(30):
        artist.window.click(left + width / 2, top + height / 2, 5)
