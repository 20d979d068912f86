"""[B] Where new objects stand in the outliner: in the root's collection; cameras below it, key frames hidden."""

from __future__ import annotations

from collections.abc import Mapping

import bpy

from . import cameras
from .identity import CAMERAS, CLOUD, COLLECTION, KEY_FRAMES, ROLE, ROOT, SPLATS


def link(scene: bpy.types.Scene, root: bpy.types.Object, new: Mapping[str, bpy.types.Object]) -> None:
    """Links new objects (by role) into the root's collection, cameras and key frames into collections within that."""
    ours = next(iter(root.users_collection), None)
    if ours is None:
        ours = _new_collection(root.name, COLLECTION)
    for role, obj in new.items():
        if role in (ROOT, CLOUD, SPLATS) or role.startswith(("tracks ", "survey ")):
            ours.objects.link(obj)
        elif cameras.FRAME in obj:
            _below(ours, f"{root.name} key frames", KEY_FRAMES).objects.link(obj)
        else:
            _below(ours, f"{root.name} cameras", CAMERAS).objects.link(obj)
    if ROOT in new:
        scene.collection.children.link(ours)
        _hide_key_frames(scene, ours)


def _below(ours: bpy.types.Collection, name: str, role: str) -> bpy.types.Collection:
    """The collection of this role in the root's collection; made where it is missing."""
    collection = next((child for child in ours.children if child.get(ROLE) == role), None)
    if collection is None:
        collection = _new_collection(name, role)
        ours.children.link(collection)
    return collection


def _hide_key_frames(scene: bpy.types.Scene, ours: bpy.types.Collection) -> None:
    """Closes the eye of the cameras that stand still on a shot's way: they would cross the view through its camera."""
    for layer in scene.view_layers:
        there = layer.layer_collection.children.get(ours.name)
        for child in there.children if there is not None else ():
            if child.collection.get(ROLE) == KEY_FRAMES:
                child.hide_viewport = True


def _new_collection(name: str, role: str) -> bpy.types.Collection:
    collection = bpy.data.collections.new(name)
    collection[ROLE] = role
    return collection
