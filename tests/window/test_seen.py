"""Does the camera stick? A shot with true cameras is judged by mouse: a frame's row, the graph, the overlay film."""

from pathlib import Path
from typing import Any

import av
import numpy as np
from PIL import Image

from tests.blender.filmed import COUNT, SIZE, frames

from . import window as real
from .artist import UNIT, Artist
from .test_by_hand import ROOT, STROKE, filming
from .test_shot import scroll_down

__all__ = ["filming"]  # a fixture

# Heights above the sidebar's bottom, in widgets, where it is scrolled to its end and Mend by Hand is folded: of the
# row of frame 4, and of the button Error Graph.
ROW_OF_4, GRAPH = 18.3, 12.05
GRAPHS = "[a for a in bpy.context.window.screen.areas if a.type == 'GRAPH_EDITOR']"
FILM = "overlay.mp4"
STEP, SIDE = 0.02, 1.6  # of a bird's eye view of the ground: units of a pixel, and half of its width


GROUND = f"""
matrix = {ROOT}.matrix_world
from mathutils import Vector
bpy.ops.threer.ground(picks=[{{"name": "", "co": matrix @ Vector(place)}} for place in {STROKE}])
"""


def test_a_shot_is_judged(filming: Artist) -> None:
    window = filming.window
    window.ask(GROUND)
    scroll_down(filming)
    filming.keep("50 frames")
    left, top, width, height = window.region("UI")
    filming.click(left + 0.12 * width, top + height - ROW_OF_4 * UNIT, "bpy.context.scene.frame_current == 4")
    filming.keep("51 frame 4")
    filming.click(left + 0.45 * width, top + height - GRAPH * UNIT, GRAPHS)
    filming.keep("52 graph")
    filming.publish("52 graph", "error_graph.jpg", (0, 28, 1316, 815), 1030)
    window.ask(f"bpy.ops.threer.overlay_film(filepath='{real.SHARED}/{FILM}')", 600)
    assert window.ask("print(work().error)") == ""
    pictures = read(window.shared / FILM)
    assert len(pictures) == COUNT
    for number, picture in enumerate(pictures, start=1):
        Image.fromarray(picture).save(filming.pictures / f"{filming.name} 53 overlay {number}.png")
    sticks(pictures)


def read(path: Path) -> list[Any]:
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def sticks(pictures: list[Any]) -> None:
    """Asserts that the grid is drawn at the same places of the ground in all frames, seen by the true cameras.

    Seen from above by a camera that is off, the grid would lie elsewhere, by as much as it slides over the plate.
    """
    masks = [from_above(number, picture) for number, picture in enumerate(pictures, start=1)]
    first, last = masks[0], masks[2]  # frame 4 was shaken on purpose
    assert first.mean() > 0.05, "there is no grid"

    def agreement(shift: int) -> float:
        moved = np.roll(last, shift, axis=1)
        return float((first & moved).sum() / (first | moved).sum())

    here = agreement(0)
    print(f"the grid of frames 1 and 3 agrees by {here:.2f}; shifted by 3 pixels by {agreement(3):.2f}")
    assert here > 0.2
    assert here > 4 * max(agreement(3), agreement(-3))


def from_above(number: int, picture: Any) -> Any:
    """Where a frame shows the grid's magenta, on a bird's eye view of the ground (y = 0 of the small world)."""
    along = np.arange(-SIDE, SIDE, STEP)
    x, z = np.meshgrid(along, along)
    ground = np.stack([x, np.zeros_like(x), z], axis=-1).reshape(-1, 3)
    column, row = np.floor(frames()[number].project(ground)).astype(int).T
    inside = (column >= 0) & (column < SIZE[0]) & (row >= 0) & (row < SIZE[1])
    color = picture[row.clip(0, SIZE[1] - 1), column.clip(0, SIZE[0] - 1)].astype(int)
    magenta = (color[:, 0] > color[:, 1] + 60) & (color[:, 2] > color[:, 1] + 40)
    return (inside & magenta).reshape(x.shape)
