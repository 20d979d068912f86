"""[B] Tells which Blender data is ours by custom properties, never by names: artists rename, Blender truncates."""

from __future__ import annotations

import hashlib
import math
from collections import Counter, defaultdict

import bpy

from ..model.reconstruction import Photo, Reconstruction

SOLVE = "threer_solve"  # on our objects: which choice of photos they were solved from
ROLE = "threer_role"  # on our objects and collections: what they are within it
ANTIALIASED = "threer_antialiased"  # on objects of imported splats that were trained with mip-splatting's filter
ROOT, CLOUD, SPLATS, PROXY, COLLECTION, CAMERAS = "root", "cloud", "splats", "proxy", "collection", "cameras"
GROUND, SUN = "ground", "sun"  # of a scene that was made ready: a plane that catches shadows, and its light


def text(owner: bpy.types.ID, key: str) -> str:
    """A custom property that should be text; "" where it is none. Anybody may have written the file it came with."""
    value = owner.get(key)
    return value if isinstance(value, str) else ""


def number(owner: bpy.types.ID, key: str) -> float | None:
    """A custom property that should be a number; None where it is none."""
    value = owner.get(key)
    is_number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return float(value) if is_number else None


def flag(owner: bpy.types.ID, key: str) -> bool:
    """A custom property that should be true or false; False where it is neither."""
    return owner.get(key) is True


def solve_id(reconstruction: Reconstruction) -> str:
    """The same for the same photos (by content, in any order), whatever the engine and its options."""
    hashes = sorted(photo.sha256 for photo in reconstruction.photos)
    return hashlib.sha256("\n".join(hashes).encode()).hexdigest()


def camera_roles(photos: list[Photo]) -> dict[str, str]:
    """Photo name -> role of its camera, by the photo's content; copies of one file are numbered."""
    counts: Counter[str] = Counter()
    roles = {}
    for photo in photos:
        counts[photo.sha256] += 1
        roles[photo.name] = f"camera {photo.sha256} {counts[photo.sha256]}"
    return roles


def smaller_solve(scene: bpy.types.Scene, photos: list[Photo]) -> str:
    """The largest solve in `scene` whose cameras are all of these photos, which are more; "" where there is none."""
    roles, cameras = set(camera_roles(photos).values()), defaultdict(set)
    for candidate in scene.objects:
        if text(candidate, ROLE).startswith("camera "):
            cameras[text(candidate, SOLVE)].add(text(candidate, ROLE))
    fitting = {solve: len(mine) for solve, mine in cameras.items() if solve and mine <= roles}
    return max(fitting, key=lambda solve: fitting[solve], default="")


def find(scene: bpy.types.Scene, solve: str) -> dict[str, bpy.types.Object]:
    """Role -> object, for the objects in `scene` that belong to a solve.

    An artist's duplicates carry the same properties as their originals; the first, which is the original, wins.
    """
    objects: dict[str, bpy.types.Object] = {}
    for candidate in scene.objects:
        if text(candidate, SOLVE) == solve and text(candidate, ROLE):
            objects.setdefault(text(candidate, ROLE), candidate)
    return objects
