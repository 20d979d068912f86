"""[B] The length of a film as Blender reads it: its frames, their rate and their size."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import bpy


class Length(NamedTuple):
    """Frames of a film, frames a second, and pixels of a frame."""

    frames: int
    rate: float
    pixels: int

    def __str__(self) -> str:
        """In words: 100 frames, 23.976 fps."""
        return f"{self.frames:,} {'frame' if self.frames == 1 else 'frames'}, {self.rate:.5g} fps"


def length(path: Path) -> Length | None:
    """The length of the film at `path`; None where Blender cannot read it. The worker counts again, exactly."""
    try:
        clip = bpy.data.movieclips.load(str(path))
    except RuntimeError:
        return None
    try:
        readable = min(clip.size) > 0 and clip.frame_duration > 0
        across, down = clip.size
        return Length(int(clip.frame_duration), float(clip.fps), across * down) if readable else None
    finally:
        bpy.data.movieclips.remove(clip)
