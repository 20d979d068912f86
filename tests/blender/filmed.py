"""A shot of the small world: a video of a few frames, rendered by its own true cameras, with errors for each frame."""

from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.blender.world import camera, looking_at, reconstruct, trace
from threer_blender.model.reconstruction import Photo, Shot
from threer_blender.scene import layers

SIZE = (320, 240)
COUNT = 6


def frames() -> Any:
    """The camera of each frame by its number. The camera moves to the side."""
    return {
        number: camera(f"clip.mp4 {number:04d}", *SIZE, 300, pose=looking_at((1.2 - number / 4, -1.5, -4.0)))
        for number in range(1, COUNT + 1)
    }


def write_film(path: Path) -> Any:
    """Writes the video to `path`, almost without loss. Returns the path."""
    av = pytest.importorskip("av")
    path.parent.mkdir(parents=True, exist_ok=True)
    x, y = np.meshgrid(np.arange(SIZE[0]) + 0.5, np.arange(SIZE[1]) + 0.5)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=24, options={"qp": "4"})
        stream.width, stream.height, stream.pix_fmt = *SIZE, "yuv420p"
        for each in frames().values():
            _, color, _ = trace(each, np.stack([x, y], axis=-1))
            picture = np.rint(255 * np.clip(color, 0, 1)).astype(np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    return path


def filmed(folder: Path, **values: Any) -> Any:
    """A reconstruction of the video, in which frame 4 has a larger error than the others and frame 5 has few tracks.

    `values` replace fields of the shot.
    """
    path = write_film(folder / "filmed" / "clip.mp4")
    solved = frames()
    photos = [Photo(solved[n].photo, str(path), *SIZE, sha256=f"{n:064x}", frame=n) for n in (1, COUNT)]
    errors = {
        "median_error": np.array([0.2, 0.21, 0.19, 0.9, 0.2, 0.22], np.float32),
        "p95_error": np.full(COUNT, 0.7, np.float32),
        "worst_error": np.full(COUNT, 1.9, np.float32),
        "inliers": np.array([300, 310, 305, 290, 12, 300], np.float32),
        "coverage": np.full(COUNT, 0.6, np.float32),
    }
    shot = Shot("clip.mp4", str(path), Fraction(24), COUNT, solved, "free", "Points shift.", **{**errors, **values})
    return reconstruct(photos, [solved[1], solved[COUNT]], step=4, shots=[shot])


def curves(camera_object: Any) -> Any:
    """The F-curves of a camera's solved action."""
    action, slot = layers.action(camera_object)
    if hasattr(action, "fcurves"):
        return list(action.fcurves)
    from bpy_extras import anim_utils  # Blender 5: F-curves are a slot's

    return list(anim_utils.action_get_channelbag_for_slot(action, slot).fcurves)
