"""[B] The buttons that mask points and splats: crop box, lasso, a photo's points, visible points, floaters, decimation.

None deletes anything. Each is one step of undo.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import bpy
import numpy as np

from ..model import point_sets
from ..model.arrays import Array, BoolArray
from ..model.errors import UserError
from ..scene import build, cameras, crop, identity, masks, picture_points
from ..scene.masks import DECIMATION, FLOATERS, PHOTOS, SELECTION
from ..scene.splats import splats
from . import distances, summary, work
from .buttons import HIDDEN, Button

NEIGHBOUR_DISTANCE = "neighbour_distance"  # attribute of the points: mean distance to their nearest neighbours
NEIGHBOURS = "threer_neighbours"  # on an object: to how many
USUAL_STEPS = 3.0  # times the points' median radius: the usual side of a decimation's cubes


class OfPoints(Button):
    """A button about the points of the result that the panel shows, or of the active object's splats."""

    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if context.mode == "OBJECT" and targets(context):
            return True
        cls.poll_message_set("This needs points or splats, in Object Mode")
        return False

    def say_hidden(self, objects: Sequence[bpy.types.Object], layer: str) -> None:
        """Reports how many points a layer hides."""
        hidden = sum(masks.counts(obj).get(layer, 0) for obj in objects)
        whole = sum(summary.points(obj) for obj in objects)
        self.report({"INFO"}, f"{hidden:,} of {whole:,} points are masked")
        work.current().scene_facts.forget()


def targets(context: bpy.types.Context) -> list[bpy.types.Object]:
    """The objects whose points are masked, looked for once for each change of the scene."""
    root, active = summary.current_root(context.scene, context.object), context.object
    key = ("mask targets", *(None if each is None else each.session_uid for each in (root, active)))
    names = work.current().scene_facts.get(key, lambda: [str(obj.name) for obj in masks.targets(root, active)])
    return [obj for name in names if (obj := bpy.data.objects.get(name)) is not None]


def _camera(context: bpy.types.Context) -> bpy.types.Object:
    """The selected solved camera, else the scene's. Raises UserError where neither is one of ours."""
    for obj in (context.object, context.scene.camera):
        if obj is not None and obj.type == "CAMERA" and cameras.PHOTO in obj:
            return obj
    raise UserError("Select a solved camera, or look through one, and press this again.")


class THREER_OT_crop_box(OfPoints, bpy.types.Operator):
    """Hide the points outside of a box, which you move, rotate and scale. Delete the box's modifier to end it"""

    bl_idname = "threer.crop_box"
    bl_label = "Crop Box"

    outside: bpy.props.BoolProperty(name="Keep Outside", description="Hide the points in the box instead")

    def run(self, context: bpy.types.Context) -> None:
        objects = targets(context)
        root = summary.current_root(context.scene, context.object)
        root = root if objects[0].parent == root else None
        visible = [picture_points.positions(obj)[~masks.masked(obj)] for obj in objects]
        places = np.concatenate(visible)
        if not len(places):
            raise UserError("All points are masked: show some of them first.")
        box = crop.new_box(root, objects[0], places)
        meshes = [] if root is None else [c for c in root.children if identity.text(c, identity.ROLE) == identity.MESH]
        for obj in [*objects, *meshes]:
            crop.add(obj, box, self.outside)
        for obj in context.selected_objects:
            obj.select_set(False)
        box.select_set(True)
        context.view_layer.objects.active = box
        work.current().scene_facts.forget()


class THREER_OT_mask_selected(OfPoints, bpy.types.Operator):
    """Mask the points that are selected in Edit Mode; leave Edit Mode first"""

    bl_idname = "threer.mask_selected"
    bl_label = "Mask Selected"

    def run(self, context: bpy.types.Context) -> None:
        objects = targets(context)
        selected = {obj: _selected(obj) for obj in objects}
        flags = np.concatenate(list(selected.values()))
        if not flags.any() or flags.all():  # all are, before the first Edit Mode
            raise UserError("No points are selected, or all: select some in Edit Mode, and leave it.")
        for obj, chosen in selected.items():
            masks.write(obj, SELECTION, masks.read(obj.data, SELECTION) | chosen)
        self.say_hidden(objects, SELECTION)


def _selected(obj: bpy.types.Object) -> BoolArray:
    """(N,) the points of an object that are selected in its Edit Mode."""
    chosen = np.zeros(summary.points(obj), bool)
    name = ".select_vert" if obj.type == "MESH" else ".selection"
    attribute = obj.data.attributes.get(name)
    if attribute is not None and attribute.data_type == "BOOLEAN" and len(attribute.data) == len(chosen):
        attribute.data.foreach_get("value", chosen)
    return chosen


ISOLATE_BY = (
    ("PHOTO", "Points of This Photo", "Points that were made from the camera's photo"),
    ("VISIBLE", "Seen from This Camera", "Points in the camera's picture that are not behind others"),
)


class THREER_OT_isolate(OfPoints, bpy.types.Operator):
    """Hide all points but those of one photo, or those that a camera sees: of the selected camera, else the scene's"""

    bl_idname = "threer.isolate"
    bl_label = "Isolate"

    by: bpy.props.EnumProperty(name="By", items=ISOLATE_BY)

    @classmethod
    def description(cls, _context: bpy.types.Context, properties: Any) -> str:
        begin = "Hide all points but those "
        end = " of the selected camera, else of the scene's"
        return begin + ("that are seen from the place" if properties.by == "VISIBLE" else "of the photo") + end

    def run(self, context: bpy.types.Context) -> None:
        objects, camera = targets(context), _camera(context)
        if self.by == "VISIBLE":
            places = [picture_points.positions(obj) for obj in objects]
            counted = [~(masks.masked(obj) & ~masks.read(obj.data, PHOTOS)) for obj in objects]
            step = partial(_visible, picture_points.view(camera), places, counted)
            if work.compute(step, partial(_write, _uids(objects), PHOTOS), sum(map(len, places)), self.bl_label):
                self.say_hidden(objects, PHOTOS)
            return
        index = identity.number(camera, build.INDEX)
        owners = [_ints(obj, "photo") for obj in objects]
        if index is None or not any((owner == index).any() for owner in owners):
            raise UserError(f"No points are known to come from {camera.name}; choose Seen from This Camera.")
        _write(_uids(objects), PHOTOS, [owner != int(index) for owner in owners])
        self.say_hidden(objects, PHOTOS)


def _visible(
    camera: picture_points.PictureView, places: Sequence[Array], counted: Sequence[BoolArray]
) -> list[BoolArray]:
    """Masks of the points of each object that a camera does not see."""
    visible = picture_points.visible(camera, np.concatenate(places), np.concatenate(counted))
    return np.split(~visible, np.cumsum([len(each) for each in places])[:-1])


def _uids(objects: Sequence[bpy.types.Object]) -> list[int]:
    """The numbers by which objects are the same after undo."""
    return [obj.session_uid for obj in objects]


def _with_points(uid: int, count: int) -> bpy.types.Object:
    """The object with a number, which must still have so many points. Raises UserError."""
    obj = next((each for each in bpy.data.objects if each.session_uid == uid), None)
    if obj is None or summary.points(obj) != count:
        raise UserError("The points have changed meanwhile: press the button again.")
    return obj


def _write(uids: Sequence[int], layer: str, hidden: Sequence[BoolArray]) -> None:
    """Sets a layer of each object."""
    for obj, mask in [(_with_points(uid, len(mask)), mask) for uid, mask in zip(uids, hidden, strict=True)]:
        masks.write(obj, layer, mask)
    work.current().scene_facts.forget()


def _ints(obj: bpy.types.Object, name: str) -> Array:
    """(N,) an attribute of whole numbers; -1 where there is none."""
    values = np.full(summary.points(obj), -1, np.int32)
    attribute = obj.data.attributes.get(name)
    if attribute is not None and attribute.data_type == "INT" and len(attribute.data) == len(values):
        attribute.data.foreach_get("value", values)
    return values


def _floats(obj: bpy.types.Object, name: str) -> Array | None:
    """(N,) an attribute of numbers; None where there is none."""
    attribute = obj.data.attributes.get(name)
    if attribute is None or attribute.data_type != "FLOAT" or len(attribute.data) != summary.points(obj):
        return None
    values = np.empty(len(attribute.data), np.float32)
    attribute.data.foreach_get("value", values)
    return values


class THREER_OT_floaters(OfPoints, bpy.types.Operator):
    """Find points and splats that are far from their neighbours, and show them in red. Apply hides them"""

    bl_idname = "threer.floaters"
    bl_label = "Find Floaters"

    strength: bpy.props.FloatProperty(
        name="Keep Within",
        description="Standard deviations: points that are farther from their neighbours are floaters",
        default=4.0,
        min=0.5,
        max=20.0,
    )
    neighbours: bpy.props.IntProperty(
        name="Neighbours", description="So many nearest points count", default=8, min=1, max=64
    )

    def run(self, context: bpy.types.Context) -> None:
        for obj in targets(context):
            known = _floats(obj, NEIGHBOUR_DISTANCE)
            if known is not None and identity.number(obj, NEIGHBOURS) == self.neighbours:
                _preview(obj.session_uid, self.strength, known)
                continue
            places = picture_points.local(obj.data)
            take: Callable[[Array], None] = partial(_take, obj.session_uid, self.strength, self.neighbours)
            distances.measure(places, None, self.neighbours, take, "Find Floaters")
        if bpy.app.background or all(FLOATERS in masks.counts(obj) for obj in targets(context)):
            self.say_hidden(targets(context), FLOATERS)


def _take(uid: int, strength: float, neighbours: int, measured: Array) -> None:
    """Stores measured distances, so that another strength needs no measurement, and previews the floaters."""
    obj = _preview(uid, strength, measured)
    attribute = obj.data.attributes.get(NEIGHBOUR_DISTANCE)
    attribute = attribute or obj.data.attributes.new(NEIGHBOUR_DISTANCE, "FLOAT", "POINT")
    attribute.data.foreach_set("value", measured)
    obj[NEIGHBOURS] = neighbours


def _preview(uid: int, strength: float, measured: Array) -> bpy.types.Object:
    """Shows the floaters of an object in red."""
    obj = _with_points(uid, len(measured))
    spacing = None if splats.is_splats(obj) else _floats(obj, "radius")
    spacing = None if spacing is None or not (spacing > 0).all() else spacing
    masks.write(obj, FLOATERS, point_sets.floaters(measured, spacing, strength), preview=True)
    work.current().scene_facts.forget()
    return obj


class THREER_OT_floaters_apply(OfPoints, bpy.types.Operator):
    """Hide the floaters that are shown in red, or show them as they were"""

    bl_idname = "threer.floaters_apply"
    bl_label = "Apply"

    hide: bpy.props.BoolProperty(name="Hide", default=True, options=HIDDEN)

    def run(self, context: bpy.types.Context) -> None:
        objects = [obj for obj in targets(context) if FLOATERS in masks.counts(obj)]
        if not objects:
            raise UserError("No floaters are marked: press Find Floaters first.")
        for obj in objects:
            if self.hide:
                masks.write(obj, FLOATERS, masks.read(obj.data, FLOATERS))
            else:
                masks.clear(obj, FLOATERS)
        self.say_hidden(objects, FLOATERS)


class THREER_OT_decimate(OfPoints, bpy.types.Operator):
    """Keep one point in each cube of space, the most confident one, and mask the others"""

    bl_idname = "threer.decimate"
    bl_label = "Decimate"

    side: bpy.props.FloatProperty(
        name="Cube", description="Side of the cubes; 0 is a few points' distance", default=0.0, min=0.0, unit="LENGTH"
    )

    def run(self, context: bpy.types.Context) -> None:
        objects = targets(context)
        arguments = []
        for obj in objects:
            places = picture_points.positions(obj)
            counted = np.flatnonzero(~(masks.masked(obj) & ~masks.read(obj.data, DECIMATION)))
            arguments.append((places, counted, self.side or _usual_side(obj, places), _floats(obj, "confidence")))
        count = sum(len(each[0]) for each in arguments)
        take = partial(_write, _uids(objects), DECIMATION)
        if work.compute(partial(_decimated, arguments), take, count, self.bl_label):
            self.say_hidden(objects, DECIMATION)


def _usual_side(obj: bpy.types.Object, places: Array) -> float:
    """A side of cubes, in Blender's units, that leaves about every tenth point of a surface."""
    radius = _floats(obj, "radius")
    scale = float(obj.matrix_world.median_scale)
    if radius is not None and len(radius) and np.median(radius) > 0:
        return USUAL_STEPS * float(np.median(radius)) * scale
    return float(np.linalg.norm(np.ptp(places, axis=0))) / 300 if len(places) else 1.0


def _decimated(arguments: Sequence[tuple[Array, Array, float, Array | None]]) -> list[BoolArray]:
    """The points of each object that decimation hides."""
    hidden = []
    for places, counted, side, confidence in arguments:
        mask = np.zeros(len(places), bool)
        trust = None if confidence is None else confidence[counted]
        mask[counted] = ~point_sets.one_a_cube(places[counted], side, trust)
        hidden.append(mask)
    return hidden


class THREER_OT_show_points(OfPoints, bpy.types.Operator):
    """Show masked points again. Crop boxes stay in the scene"""

    bl_idname = "threer.show_points"
    bl_label = "Show All"

    layer: bpy.props.EnumProperty(
        name="Masks",
        items=[("ALL", "All", "All masks, and what crop boxes hide"), *((name, name, "") for name in masks.LAYERS)],
    )

    def run(self, context: bpy.types.Context) -> None:
        root = summary.current_root(context.scene, context.object)
        others = [] if root is None else [c for c in root.children if identity.text(c, identity.ROLE) == identity.MESH]
        for obj in [*targets(context), *others]:
            masks.clear(obj, *(masks.LAYERS if self.layer == "ALL" else (self.layer,)))
            if self.layer == "ALL":
                crop.remove(obj)
        work.current().scene_facts.forget()


register, unregister = bpy.utils.register_classes_factory(
    (
        THREER_OT_crop_box,
        THREER_OT_mask_selected,
        THREER_OT_isolate,
        THREER_OT_floaters,
        THREER_OT_floaters_apply,
        THREER_OT_decimate,
        THREER_OT_show_points,
    )
)
