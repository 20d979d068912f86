"""[B] Recognises our Blender data by custom properties, never by names: artists rename, and Blender truncates."""

from __future__ import annotations

import hashlib
import math
from collections import Counter, defaultdict

import bpy

from ..model.reconstruction import Photo, Reconstruction

SOLVE = "threer_solve"  # on our objects: the id of the photos that they were solved from, see `solve_id`
ROLE = "threer_role"  # on our objects and collections: their part in the result, such as ROOT
ANTIALIASED = "threer_antialiased"  # on objects of imported splats that were trained with mip-splatting's filter
ROOT, CLOUD, SPLATS, PROXY, COLLECTION, CAMERAS = "root", "cloud", "splats", "proxy", "collection", "cameras"
MESH = "mesh"  # role of the textured mesh
KEY_FRAMES = "key frames"  # role of the collection of cameras that are frames of a shot
GROUND, SUN = "ground", "sun"  # roles that Scene Ready gives to a plane that catches shadows, and to its light


def text(owner: bpy.types.ID, key: str) -> str:
    """A custom property that should be text; "" where it is not. The .blend may be anybody's."""
    value = owner.get(key)
    return value if isinstance(value, str) else ""


def number(owner: bpy.types.ID, key: str) -> float | None:
    """A custom property that should be a finite number; None where it is not."""
    value = owner.get(key)
    is_number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return float(value) if is_number else None


def flag(owner: bpy.types.ID, key: str) -> bool:
    """A custom property that should be true or false; False where it is anything else."""
    return owner.get(key) is True


def solve_id(reconstruction: Reconstruction) -> str:
    """An id of the reconstruction's photos by their content, in any order, whatever the engine and its options."""
    hashes = sorted(photo.sha256 for photo in reconstruction.photos)
    return hashlib.sha256("\n".join(hashes).encode()).hexdigest()


def beside(scene: bpy.types.Scene, solve: str) -> str:
    """An id for one more result of the photos with the id `solve`, which no result in `scene` has."""
    used = {text(obj, SOLVE) for obj in scene.objects}
    number = 2
    while f"{solve} {number}" in used:
        number += 1
    return f"{solve} {number}"


def camera_roles(photos: list[Photo]) -> dict[str, str]:
    """Name of a photo -> role of its camera, which depends on the photo's content. Copies of one file are numbered."""
    counts: Counter[str] = Counter()
    roles = {}
    for photo in photos:
        counts[photo.sha256] += 1
        roles[photo.name] = f"camera {photo.sha256} {counts[photo.sha256]}"
    return roles


def largest_solve_within(scene: bpy.types.Scene, photos: list[Photo]) -> str:
    """The id of the largest solve in `scene` whose photos are all among `photos`; "" where there is none.

    Results that were put beside another one (`beside`) do not count.
    """
    roles, cameras = set(camera_roles(photos).values()), defaultdict(set)
    for candidate in scene.objects:
        if text(candidate, ROLE).startswith("camera "):
            cameras[text(candidate, SOLVE)].add(text(candidate, ROLE))
    fitting = {solve: len(mine) for solve, mine in cameras.items() if solve and " " not in solve and mine <= roles}
    return max(fitting, key=lambda solve: fitting[solve], default="")


def find(scene: bpy.types.Scene, solve: str) -> dict[str, bpy.types.Object]:
    """Role -> object, for the objects in `scene` that belong to the solve with the id `solve`.

    Duplicates by the artist have the same properties as their originals. The first one, which is the original, counts.
    """
    objects: dict[str, bpy.types.Object] = {}
    for candidate in scene.objects:
        if text(candidate, SOLVE) == solve and text(candidate, ROLE):
            objects.setdefault(text(candidate, ROLE), candidate)
    return objects
