"""[B] The chosen photos and shots, on the panel and in words: how many, which shots, how many frames."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import bpy

from ..files import photo_files, sequence_files
from ..model import shot_cost
from . import operators, properties, words

MOST_SHOTS = 4  # that are named on the panel


def is_shot(path: str | Path) -> bool:
    """Whether a chosen path is a video or an image sequence, by its name."""
    return Path(path).suffix.lower() in photo_files.VIDEO_SUFFIXES or sequence_files.is_pattern(path)


def title(paths: Sequence[str]) -> str:
    """A choice in a few words: the name of a single shot, else how many photos and shots it has."""
    if len(paths) == 1 and is_shot(paths[0]):
        return Path(paths[0]).name
    return counted([is_shot(path) for path in paths])


def counted(are_shots: Sequence[bool]) -> str:
    """How many photos and shots a choice has, in words. `are_shots` says of each whether it is a shot."""
    kinds = {"photo": are_shots.count(False), "shot": are_shots.count(True)}
    return ", ".join(words.count(number, kind) for kind, number in kinds.items() if number)


def size(scene: bpy.types.Scene) -> tuple[int, int]:
    """How many photos are chosen, and how many frames the chosen shots have."""
    photos = properties.settings(scene).photos
    shots = [photo for photo in photos if photo.shot]
    return len(photos) - len(shots), sum(photo.frames for photo in shots)


def largest_frame(scene: bpy.types.Scene) -> int:
    """The pixels of the chosen shots' largest frame; those of a usual one where no size is known yet."""
    return max((photo.pixels for photo in properties.settings(scene).photos), default=0) or shot_cost.USUAL_PIXELS


def draw(layout: Any, scene: bpy.types.Scene, columns: int) -> None:
    """Draws the choice, and the buttons to choose."""
    photos = properties.settings(scene).photos
    choose = operators.THREER_OT_choose_photos.bl_idname
    if not photos:
        text = words.fitting("Choose Photos or Video…", "Photos or Video…", columns)
        layout.operator(choose, text=text, icon="FILE_IMAGE")
        words.quiet(layout, "Or drop them onto the viewport")
        return
    megabytes = [0.0] * len(photos)
    photos.foreach_get("megabytes", megabytes)
    shots = [photo.shot for photo in photos]
    row = layout.row(align=True)
    text = f"{counted([bool(shot) for shot in shots])}, {words.size(sum(megabytes) * 1e6)}"
    row.operator(choose, text=text, icon="FILE_MOVIE" if all(shots) else "FILE_IMAGE")
    row.operator(operators.THREER_OT_clear_photos.bl_idname, text="", icon="X")
    named = list(filter(None, shots))
    for text in named[:MOST_SHOTS]:
        words.sentence(words.dimmed(layout), text, columns, "NONE")
    if len(named) > MOST_SHOTS:
        words.quiet(layout, f"… and {words.count(len(named) - MOST_SHOTS, 'shot')} more")
