"""[B] A shot's errors in Blender: an animated property of its camera, and timeline markers at the frames to look at.

The error is keyed at every frame that has one. So the Graph Editor draws it beside the timeline, the panel lists its
keys, and both survive undo and saving. The rest of the report is on the camera as custom properties.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import bpy
import numpy as np

from ..model.reconstruction import PointCloud, Shot
from ..reports import smoothing
from ..reports.shot_page import facts, spread_text
from ..reports.shot_report import report
from . import cameras, identity, layers, shots
from .changes import Changes
from .identity import ROLE, SOLVE

# On a shot's camera, as JSON: facts on the whole shot, reasons to look at frames, and the FrameDetails of all frames.
FACTS, SUSPICIOUS, DETAILS = "threer_shot_facts", "threer_suspicious", "threer_shot_frames"
MARKER = "threer_marker"  # on our timeline markers: the shot that they belong to
DATA_PATH = f'["{cameras.ERROR}"]'


@dataclass(frozen=True)
class FrameDetails:
    """Measurements of a frame.

    `tracks` is the number of tracks that agree with the camera, and `coverage` the share of the picture that they
    cover. `spread` says in words how far solves from other tracks differ; it is "" where the shot was solved once.
    """

    tracks: int
    coverage: float
    spread: str = ""


def show(changes: Changes, camera: bpy.types.Object, shot: Shot, cloud: PointCloud | None) -> None:
    """Puts a shot's errors on its `camera`: keys in its animation, which must be new, and custom properties."""
    measurements = report(shot, cloud)
    measured = np.stack([measurements.values[name] for name in ("median_error", "inliers", "coverage")], axis=1)
    by_frame = {
        int(n): row for n, row in zip(measurements.numbers, measured.tolist(), strict=True) if np.isfinite(row).all()
    }
    details = {
        number: (int(tracks), round(coverage, 3), spread_text(measurements, number - shot.first_frame))
        for number, (_, tracks, coverage) in by_frame.items()
    }
    changes.mark(
        camera,
        **{
            FACTS: json.dumps([fact for fact in (*facts(measurements), *_smoothing(camera, shot, cloud)) if fact[1]]),
            SUSPICIOUS: json.dumps({number: "; ".join(reasons) for number, reasons in measurements.suspicious.items()}),
            DETAILS: json.dumps(details),
        },
    )
    for number, (error, *_) in by_frame.items():
        camera[cameras.ERROR] = error
        camera.keyframe_insert(DATA_PATH, frame=number)


def _smoothing(camera: bpy.types.Object, shot: Shot, cloud: PointCloud | None) -> list[tuple[str, str]]:
    """The label and the cost of a camera that the artist smoothed; empty for one that stands as it was solved."""
    width = shots.smoothing_width(camera)
    if not width:
        return []
    return [("Smoothed", f"over {width:g} frames: {smoothing.cost(shot, shots.smoothed(camera, shot), cloud)}")]


def overall(camera: bpy.types.Object) -> list[tuple[str, str]]:
    """Labels and texts about the whole shot for the panel; empty where nothing was measured."""
    return [(entry[0], entry[1]) for entry in _parsed(identity.text(camera, FACTS), list) if _is_fact(entry)]


def suspicious(camera: bpy.types.Object) -> dict[int, str]:
    """Number of a frame to look at -> the reasons."""
    reasons = _parsed(identity.text(camera, SUSPICIOUS), dict)
    return {int(number): str(text) for number, text in reasons.items() if _is_frame(number)}


def details(camera: bpy.types.Object, frame: int) -> FrameDetails | None:
    """The measurements of a frame; None where there are none."""
    entry = _parsed(identity.text(camera, DETAILS), dict).get(str(frame))
    if not isinstance(entry, list) or not 2 <= len(entry) <= 3:
        return None
    if not all(isinstance(value, int | float) for value in entry[:2]) or not isinstance(entry[-1], int | float | str):
        return None
    return FrameDetails(entry[0], entry[1], str(entry[2]) if len(entry) == 3 else "")


@lru_cache(16)
def _parsed(text: str, kind: type[Any]) -> Any:
    """The content of a JSON text, an empty `kind` where it is anything else. Cached, since every row of a list asks."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return kind()
    return value if isinstance(value, kind) else kind()


def _is_fact(entry: Any) -> bool:
    return isinstance(entry, list) and len(entry) == 2 and all(isinstance(text, str) for text in entry)


def _is_frame(number: str) -> bool:
    return number.removeprefix("-").isdecimal() and len(number) < 10


def curve(camera: bpy.types.Object) -> Any | None:
    """The F-curve of the errors, with a key at each measured frame; None where there is none."""
    action, slot = layers.action(camera)
    if action is None:
        return None
    if hasattr(action, "fcurves"):
        return action.fcurves.find(DATA_PATH)
    from bpy_extras import anim_utils  # Blender 5: F-curves are a slot's

    bag = anim_utils.action_get_channelbag_for_slot(action, slot)
    return None if bag is None else bag.fcurves.find(DATA_PATH)


def _identity(camera: bpy.types.Object) -> str:
    """The text that recognises the timeline markers of a camera's shot."""
    return f"{camera[SOLVE]} {camera[ROLE]}"


def set_smoothing(camera: bpy.types.Object, shot: Shot, cloud: PointCloud | None, width: float) -> None:
    """Keys a shot's camera anew, smoothed over `width` frames; 0 brings the solved one back. Later solves keep it."""
    with Changes() as changes:
        changes.mark(camera, **{shots.SMOOTHING: width or None})
        with layers.renewed(changes, camera):
            shots.key_poses(camera, shots.smoothed(camera, shot))
            show(changes, camera, shot, cloud)


def mark_timeline(scene: bpy.types.Scene, camera: bpy.types.Object) -> int:
    """Puts timeline markers at a shot's frames to look at, in place of our earlier ones. Returns their number."""
    clear_timeline(scene, camera)
    reasons = suspicious(camera)
    for number, text in reasons.items():
        scene.timeline_markers.new(text, frame=number)[MARKER] = _identity(camera)
    return len(reasons)


def clear_timeline(scene: bpy.types.Scene, camera: bpy.types.Object) -> None:
    """Removes our timeline markers of a shot. The artist's stay."""
    for marker in [marker for marker in scene.timeline_markers if marker.get(MARKER) == _identity(camera)]:
        scene.timeline_markers.remove(marker)
