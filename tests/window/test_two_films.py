"""Two films and photos of one place in one world: chosen together, solved, and looked at through each camera.

The films pan on the spot where two of the sample's photos were taken, so their true places are known.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from tests.films import film
from tests.sample_photos import SAMPLE, true_camera
from tests.turned import turned

from . import window as real
from .artist import Artist

FRAMES, DEGREES = 16, 10.0
FILMED = {"left.mp4": SAMPLE[1], "right.mp4": SAMPLE[3]}  # the films, and where they were taken
RECONSTRUCT = 9.6  # widgets below the sidebar's top, below the two shots and the list
PLACES = """
import json
root = next(o for o in bpy.data.objects if o.get('threer_role') == 'root')
places = {}
for obj in root.children:
    if obj.type == 'CAMERA' and 'threer_frame' not in obj:
        rows = []
        for number in ([1, 8, 16] if 'threer_frames' in obj else [1]):
            bpy.context.scene.frame_set(number)
            rows.append(list(obj.matrix_world.translation))
        places[obj.name] = rows
print(json.dumps(places))
"""


def test_two_films_and_photos_get_one_world(artist: Artist) -> None:
    window = artist.window
    for name, photo in FILMED.items():
        film(list(turned(photo, FRAMES, DEGREES)), window.shared / name)
    artist.open_tab()
    window.drop(list(FILMED), at=(500, 400))
    window.key("Return")
    artist.until("len(bpy.context.scene.threer.photos) == 2", 30)
    names = [{"name": path.name} for path in sorted((window.shared / "photos").iterdir())]
    window.ask(f"bpy.ops.threer.choose_photos(directory='{real.SHARED}/photos', files={names}, adds=True)")
    window.ask("bpy.context.scene.threer.options_colmap.quality = 'preview'")
    artist.keep("60 chosen")
    artist.press(RECONSTRUCT, "work().queue.tasks")
    artist.until("not work().queue.tasks and not work().arrived", 900)
    assert window.ask("print(work().error)") == ""
    artist.keep("61 solved")
    assert window.ask("print(summary().registered, [shot.name for shot in summary().shots])") == f"5 {list(FILMED)}"
    places = json.loads(window.ask(PLACES))
    off = distances({name: np.array(rows) for name, rows in places.items()})
    print({name: round(value, 4) for name, value in off.items()})
    assert all(value < 0.03 for value in off.values())  # m; the photos are about half a metre from each other
    for name in FILMED:
        window.ask(f"bpy.ops.threer.look_through(camera={name!r}); bpy.context.scene.frame_set(8)")
        window.ask("viewport()[1].spaces.active.region_3d.view_perspective = 'CAMERA'")
        artist.keep(f"62 through {name}")


def distances(places: dict[str, Any]) -> dict[str, float]:
    """How far each film's camera is from where it was, in metres, once the photos' cameras lie on their true places."""
    photos = [name for name in places if name not in FILMED]
    ours = np.array([places[name][0] for name in photos])
    true = np.array([true_camera(name).world_from_camera[:3, 3] for name in photos])
    middle, true_middle = ours.mean(axis=0), true.mean(axis=0)
    left, sizes, right = np.linalg.svd((true - true_middle).T @ (ours - middle))
    signs = np.array((1, 1, np.sign(np.linalg.det(left @ right))))
    rotation = left * signs @ right
    scale = (sizes * signs).sum() / ((ours - middle) ** 2).sum()
    at = {name: scale * (places[name] - middle) @ rotation.T + true_middle for name in FILMED}
    return {
        name: float(np.linalg.norm(at[name] - true_camera(photo.name).world_from_camera[:3, 3], axis=1).max())
        for name, photo in FILMED.items()
    }
