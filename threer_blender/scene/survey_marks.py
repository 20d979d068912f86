"""[B] Survey points that the artist marks on the plate: an object stands at the point, and remembers its pixels.

The object is an empty, or any other; its origin is the point. In Edit Mode it is the mesh's selected vertex, of which a
new empty is made.
"""

from __future__ import annotations

import json
from typing import Any

import bpy
import numpy as np
from mathutils import Vector

from ..files.survey_files import SurveyMark
from ..model import lens
from ..model.errors import UserError
from ..model.reconstruction import Camera
from . import identity

MARKS = "threer_survey_marks"  # on an object: the photos that show it, and the pixels, as JSON


def pixel(obj: bpy.types.Object, camera: Camera, place: Any) -> tuple[float, float]:
    """The pixel of the distorted photo at which the camera object `obj`, solved as `camera`, shows a place.

    `place` is (3,) in Blender's world. Raises UserError where it is behind the camera or out of the picture.
    """
    x, y, z = obj.matrix_world.normalized().inverted() @ Vector(place)
    if z < 0:
        ideal = np.array([[x / -z, -y / -z]])  # Blender's camera looks along -z with y up, ours along z with y down
        distorted = lens.distort(camera.distortion, ideal)[0]
        u, v = camera.fx * distorted[0] + camera.cx, camera.fy * distorted[1] + camera.cy
        if 0 <= u <= camera.width and 0 <= v <= camera.height:
            return float(u), float(v)
    raise UserError("That place is not in the picture: click on the plate.")


def point(context: bpy.types.Context) -> bpy.types.Object:
    """The object that stands at the survey point.

    It is the active object, or in Edit Mode a new empty at the only selected vertex. Raises UserError where there is
    neither.
    """
    obj = context.object
    if obj is None or obj.type == "CAMERA":
        raise UserError("Select an empty that stands at the survey point first, or a vertex of a scan in Edit Mode.")
    if obj.mode != "EDIT" or obj.type != "MESH":
        return obj
    obj.update_from_editmode()
    chosen = [vertex.co for vertex in obj.data.vertices if vertex.select]
    if len(chosen) != 1:
        raise UserError(f"{len(chosen)} vertices are selected: select the one at the survey point.")
    empty = bpy.data.objects.new("Survey point", None)
    empty.location = obj.matrix_world @ chosen[0]
    empty.empty_display_size = 0.1
    context.scene.collection.objects.link(empty)
    return empty


def of(obj: bpy.types.Object) -> list[SurveyMark]:
    """The marks of an object; empty where it has none."""
    try:
        rows = json.loads(identity.text(obj, MARKS) or "[]")
        return [SurveyMark(_name(obj), str(photo), float(u), float(v)) for photo, u, v in rows]
    except (ValueError, TypeError, RecursionError):
        return []


def add(obj: bpy.types.Object, photo: str, place: tuple[float, float]) -> None:
    """Marks an object in a photo, or in the frame of that number, instead of an earlier mark there.

    `place` is the pixel (u, v) of the distorted photo.
    """
    rows = [[mark.photo, mark.u, mark.v] for mark in of(obj) if mark.photo != photo]
    obj[MARKS] = json.dumps([*rows, [photo, *place]])


def marked(scene: bpy.types.Scene) -> dict[str, tuple[tuple[float, float, float], list[SurveyMark]]]:
    """The marked points of a scene by name: where each stands in Blender's world, and its marks."""
    points = {}
    for obj in scene.objects:
        marks = of(obj)
        if marks:
            x, y, z = obj.matrix_world.translation
            points[_name(obj)] = ((float(x), float(y), float(z)), marks)
    return points


def _name(obj: bpy.types.Object) -> str:
    """The object's name, with _ in place of what separates fields of a list."""
    return "".join("_" if letter in ",;#\"'" or letter.isspace() else letter for letter in obj.name)
