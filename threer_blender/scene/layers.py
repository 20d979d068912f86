"""[B] Solved animation beside the artist's: a second solve replaces its own action, and no other.

The solved keys are in an action of ours, which is marked. An artist may push it down to an NLA strip and animate over
it. Then the new keys go into that strip, and the artist's action stays the active one.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import bpy

from .changes import Changes

SOLVED = "threer_solved"  # on an action: it holds solved keys
# With other settings Blender alters the values that are keyed.
BLENDING = {"action_blend_type": "REPLACE", "action_influence": 1.0}


@contextmanager
def renewed(changes: Changes, owner: bpy.types.ID) -> Iterator[None]:
    """Within, keys that are inserted on `owner` go into a new action, which then takes the place of our earlier one."""
    data = owner.animation_data
    active = None if data is None else data.action
    strips = _strips(owner)
    if data is not None:
        before = {name: getattr(data, name) for name in BLENDING}
        changes.set(data, action=None)
        changes.set(data, **BLENDING)
    yield
    made = None if owner.animation_data is None else owner.animation_data.action
    if made is not None:
        made[SOLVED] = True
    if data is None:
        return
    changes.set(data, **before)
    artist_animates = active is not None and not active.get(SOLVED)
    for strip in strips if made is not None else []:
        _renew(changes, strip, made)
    if strips:
        changes.set(data, action=active if artist_animates else None)
    elif active is not None:
        _replaced(changes, active, made)


def action(owner: bpy.types.ID) -> tuple[Any, Any]:
    """The action with the solved keys, the active one or that of a strip, and its slot; (None, None) without one."""
    data = owner.animation_data
    if data is None:
        return None, None
    strips = _strips(owner)
    if strips and (data.action is None or not data.action.get(SOLVED)):
        return strips[0].action, getattr(strips[0], "action_slot", None)
    return data.action, getattr(data, "action_slot", None)


def _strips(owner: bpy.types.ID) -> list[bpy.types.NlaStrip]:
    """The NLA strips that play an action of ours."""
    data = owner.animation_data
    tracks = [] if data is None else data.nla_tracks
    return [strip for track in tracks for strip in track.strips if strip.action and strip.action.get(SOLVED)]


def _replaced(changes: Changes, old: bpy.types.Action, made: bpy.types.Action | None) -> None:
    """Releases the action `old`, whose place and name the action `made` takes. An action of the artist's stays."""
    if not old.get(SOLVED):
        changes.set(old, use_fake_user=True)
        return
    name = old.name
    changes.release(old)
    if made is not None:
        changes.set(old, name=f"{name} before")
        made.name = name


def _renew(changes: Changes, strip: bpy.types.NlaStrip, made: bpy.types.Action) -> None:
    """Has a strip play the new action `made`. Where the strip had the length of its action, it gets the new length."""
    old = strip.action
    whole = (strip.frame_start, strip.frame_end) == (strip.action_frame_start, strip.action_frame_end)
    _replaced(changes, old, made)
    changes.set(strip, action=made)
    if hasattr(strip, "action_slot") and len(made.slots):
        strip.action_slot = made.slots[0]
    first, last = made.frame_range
    changes.set(strip, action_frame_start=first, action_frame_end=last)
    if whole:
        changes.set(strip, frame_start=first, frame_end=last)
