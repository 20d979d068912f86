"""[B] Masks of points and splats: attributes and a modifier that hide points, and never delete any.

Each reason to hide a point is a layer of its own: a boolean attribute, and a switch of the modifier. `crop` is live.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace
from typing import Any, TypeVar

import bpy
import numpy as np

from ..model import point_sets
from ..model.arrays import Array, BoolArray
from ..model.errors import UserError
from ..model.reconstruction import Gaussians, PointCloud, Reconstruction
from . import crop, identity, look, picture_points, points, world
from .node_fields import Field, Formulas
from .splats import splats

MODIFIER = "3R Mask"
KIND = "mask 1"  # raise it when the nodes change, see `look.shared`
SELECTION, PHOTOS, FLOATERS, DECIMATION = "Selection", "Photos", "Floaters", "Decimation"
LAYERS = (SELECTION, PHOTOS, FLOATERS, DECIMATION)  # switches of the modifier
CARRIED = (SELECTION, FLOATERS)  # layers that other points can take over by their places
PREVIEW = "Preview"  # switch of the modifier: floaters are red instead of hidden
RED = (0.8, 0.0, 0.02, 1.0)
BOOLEAN = points.Kind("BOOLEAN", "value", np.bool_)
CARRIED_RADII = 4.0  # times the median radius of the points: within such a cube, other points take over the mask
LARGER = (1, 2, 4, 8, 16, 32)  # times such a cube, from which a vertex of a mesh takes over the mask
CUBES = 400  # along the longest side, where points have no radius
Points = TypeVar("Points", PointCloud, Gaussians)


def attribute(layer: str) -> str:
    """The name of a layer's attribute."""
    return f"masked_{layer.lower()}"


def targets(root: bpy.types.Object | None, active: bpy.types.Object | None) -> list[bpy.types.Object]:
    """The objects whose points the tools mask: cloud and splats of a result, else the active object's splats."""
    if active is not None and splats.is_splats(active) and (root is None or active.parent != root):
        return [active]
    children = [] if root is None else root.children
    return [child for child in children if identity.text(child, identity.ROLE) in (identity.CLOUD, identity.SPLATS)]


def of(obj: bpy.types.Object) -> bpy.types.Modifier | None:
    """The modifier that hides masked points; None without one."""
    ours = (m for m in obj.modifiers if m.type == "NODES" and m.node_group)
    return next((m for m in ours if m.node_group.get(look.VERSION) == KIND), None)


def write(obj: bpy.types.Object, layer: str, masked: BoolArray, preview: bool = False) -> None:
    """Sets a layer: the points that it hides (N,). With `preview`, floaters are red instead."""
    points.write_attribute(obj.data, attribute(layer), BOOLEAN, masked)
    modifier = _modifier(obj)
    points.set_input(modifier, layer, True)
    if layer == FLOATERS:
        points.set_input(modifier, PREVIEW, preview)
    obj.data.update_tag()


def _modifier(obj: bpy.types.Object) -> bpy.types.Modifier:
    """The modifier that hides masked points, before all others; made where it is missing."""
    modifier = of(obj)
    if modifier is None:
        modifier = obj.modifiers.new(MODIFIER, "NODES")
        modifier.node_group = look.shared_modifier(MODIFIER, KIND, _fill)
        for layer in LAYERS:
            points.set_input(modifier, layer, True)
        obj.modifiers.move(len(obj.modifiers) - 1, 0)
    modifier.show_viewport = modifier.show_render = True
    return modifier


def read(data: Any, layer: str) -> BoolArray:
    """(N,) the points that a layer hides; all false where there is no such layer."""
    stored = data.attributes.get(attribute(layer))
    count = len(data.attributes["position"].data)
    masked = np.zeros(count, bool)
    if stored is not None and stored.data_type == BOOLEAN.name and len(stored.data) == count:
        stored.data.foreach_get("value", masked)
    return masked


def clear(obj: bpy.types.Object, *layers: str) -> None:
    """Takes layers away, and the modifier with the last of them."""
    for layer in layers:
        stored = obj.data.attributes.get(attribute(layer))
        if stored is not None:
            obj.data.attributes.remove(stored)
    modifier = of(obj)
    if modifier is not None and not any(attribute(layer) in obj.data.attributes for layer in LAYERS):
        obj.modifiers.remove(modifier)
    obj.data.update_tag()


def masked(obj: bpy.types.Object, layers: Sequence[str] = LAYERS) -> BoolArray:
    """(N,) the points that these layers and crop boxes hide, as their modifiers are set for the viewport."""
    hidden = np.zeros(len(obj.data.attributes["position"].data), bool)
    modifier = of(obj)
    if modifier is not None and modifier.show_viewport:
        for layer in layers:
            is_preview = layer == FLOATERS and points.input_value(modifier, PREVIEW)
            if points.input_value(modifier, layer) and not is_preview:
                hidden |= read(obj.data, layer)
    boxes = crop.active(obj)
    if boxes:
        places = picture_points.positions(obj)
        for box in boxes:
            hidden |= crop.cuts(box, obj, places)
    return hidden


def around_surfaces(root: bpy.types.Object) -> Array | None:
    """(N, 4) float32 the points of a result in its bundle's world, and 1 for those that are hidden, 0 for the others.

    Only masks that count for other points too, and crop boxes. None where they hide nothing.
    """
    rows = []
    for child in targets(root, None):
        places = world.points_in_bundle(root, picture_points.local(child.data))
        rows.append(np.concatenate([places, masked(child, CARRIED)[:, None]], axis=1).astype(np.float32))
    together = np.concatenate(rows) if rows else np.zeros((0, 4), np.float32)
    return together if together[:, 3].any() else None


def counts(obj: bpy.types.Object) -> dict[str, int]:
    """Layer -> how many points it hides, for the layers that are there."""
    return {layer: int(read(obj.data, layer).sum()) for layer in LAYERS if attribute(layer) in obj.data.attributes}


def applied(root: bpy.types.Object, reconstruction: Reconstruction) -> tuple[Reconstruction, list[str]]:
    """The result without the points and splats that are masked under its root, and sentences about it."""
    sentences = []
    changed: dict[str, Any] = {}
    for child in targets(root, None):
        name = "cloud" if identity.text(child, identity.ROLE) == identity.CLOUD else "gaussians"
        held = getattr(reconstruction, name)
        hidden = masked(child)
        if held is None or not hidden.any():
            continue
        if len(held) != len(hidden):
            sentences.append(f"The masks of {child.name} do not count, since its points were edited")
            continue
        changed[name] = chosen(held, ~hidden)
        sentences.append(f"without {hidden.sum():,} masked {'points' if name == 'cloud' else 'splats'}")
    return replace(reconstruction, **changed), sentences


def chosen(held: Points, mask: BoolArray) -> Points:
    """Those of the points or Gaussians for which `mask` (N,) is true."""
    arrays: dict[str, Any] = {field.name: getattr(held, field.name) for field in fields(held)}
    some: dict[str, Any] = {name: None if array is None else array[mask] for name, array in arrays.items()}
    return replace(held, **some)


def unmasked_splats(obj: bpy.types.Object) -> Gaussians:
    """The splats of an object that are not masked, in its own coordinates. Raises UserError where all are."""
    held, hidden = splats.read(obj.data), masked(obj)
    if len(hidden) and hidden.all():
        raise UserError(f"All splats of {obj.name} are masked: show some of them.")
    return chosen(held, ~hidden) if hidden.any() else held


def carry(old: Any, new: Any) -> None:
    """Copies the layers of a geometry to another one, which takes its place.

    Where the points are the same, all layers are. Else a new point is masked as most old points of its neighbourhood
    are, and the layers that are about single points or photos end.
    """
    layers = [layer for layer in LAYERS if attribute(layer) in old.attributes]
    if not layers:
        return
    before, after = picture_points.local(old), picture_points.local(new)
    if before.shape == after.shape and np.array_equal(before, after):
        for layer in layers:
            points.write_attribute(new, attribute(layer), BOOLEAN, read(old, layer))
        return
    neighbourhoods = _Neighbourhoods(before, after, _side(old, before))
    for layer in layers:
        if layer in CARRIED:
            points.write_attribute(new, attribute(layer), BOOLEAN, neighbourhoods.majority(read(old, layer)))


def onto(mesh: bpy.types.Object, obj: bpy.types.Object) -> None:
    """Masks the vertices of a mesh under the same root where most points of `obj` are masked; crop boxes cut it too."""
    for box in crop.boxes(obj):
        if box not in crop.boxes(mesh):
            crop.add(mesh, box, crop.keeps_outside(obj, box))
    layers = [layer for layer in CARRIED if attribute(layer) in obj.data.attributes]
    if not layers:
        return
    before, vertices = picture_points.local(obj.data), picture_points.local(mesh.data)
    side = _side(obj.data, before)
    hidden = {layer: np.zeros(len(vertices), bool) for layer in layers}
    rest = np.arange(len(vertices))  # vertices without points in their cube, which go by a larger one
    for factor in LARGER:
        neighbourhoods = _Neighbourhoods(before, vertices[rest], factor * side)
        for layer in layers:
            hidden[layer][rest] = neighbourhoods.majority(read(obj.data, layer))
        rest = rest[~neighbourhoods.is_old]
    for layer in layers:
        write(mesh, layer, hidden[layer])


def _side(data: Any, places: Array) -> float:
    """The side of the cubes within which points of another geometry take over masks."""
    radius = data.attributes.get("radius")
    if radius is not None and len(radius.data):
        values = np.empty(len(radius.data), np.float32)
        radius.data.foreach_get("value", values)
        if (side := CARRIED_RADII * float(np.median(values))) > 0:
            return side
    return max(float(np.ptp(places, axis=0).max(initial=0.0)) / CUBES, 1e-9) if len(places) else 1.0


class _Neighbourhoods:
    """Cubes in which old and new points are. `is_old` (M,) are the new points whose cube holds old ones."""

    def __init__(self, old: Array, new: Array, side: float) -> None:
        self._cubes, self._index = np.unique(point_sets.cubes(old, side), return_inverse=True)
        cubes = point_sets.cubes(new, side)
        self._nearest = np.searchsorted(self._cubes, cubes).clip(0, max(0, len(self._cubes) - 1))
        self.is_old = self._cubes[self._nearest] == cubes if len(self._cubes) else np.zeros(len(new), bool)

    def majority(self, mask: BoolArray) -> BoolArray:
        """(M,) for each new point, whether `mask` (N,) is true for most old points of its cube."""
        share = np.bincount(self._index.ravel(), mask, len(self._cubes)) / np.bincount(self._index.ravel())
        if not len(share):
            return self.is_old
        most: BoolArray = self.is_old & (share[self._nearest] > 0.5)
        return most


def _fill(tree: bpy.types.NodeTree) -> None:
    interface: Any = tree.interface
    interface.new_socket("Geometry", in_out="INPUT", socket_type="NodeSocketGeometry")
    for layer in LAYERS:
        switch = interface.new_socket(layer, in_out="INPUT", socket_type="NodeSocketBool")
        switch.default_value, switch.description = True, f"Hide the points that are masked as {layer.lower()}"
    preview = interface.new_socket(PREVIEW, in_out="INPUT", socket_type="NodeSocketBool")
    preview.description = "Show floaters in red instead of hiding them"
    interface.new_socket("Geometry", in_out="OUTPUT", socket_type="NodeSocketGeometry")
    formulas = Formulas(tree)
    given, result = formulas.node("NodeGroupInput"), formulas.node("NodeGroupOutput")

    def logic(operation: str, *inputs: Any) -> Field:
        return formulas.value("FunctionNodeBooleanMath", *inputs, operation=operation)  # type: ignore[no-any-return]

    def hidden(layer: str) -> Field:
        stored = formulas.value("GeometryNodeInputNamedAttribute", attribute(layer), data_type="BOOLEAN")
        return logic("AND", stored, given.outputs[layer])

    floaters = hidden(FLOATERS)
    deleted = logic("AND", floaters, logic("NOT", given.outputs[PREVIEW]))
    for layer in LAYERS:
        if layer != FLOATERS:
            deleted = logic("OR", deleted, hidden(layer))
    delete = formulas.node("GeometryNodeDeleteGeometry")
    formulas.give(delete.inputs["Geometry"], given.outputs["Geometry"])
    formulas.give(delete.inputs["Selection"], deleted)
    store = formulas.node("GeometryNodeStoreNamedAttribute", data_type="FLOAT_COLOR")
    formulas.give(store.inputs["Geometry"], delete.outputs["Geometry"])
    formulas.give(store.inputs["Selection"], logic("AND", floaters, given.outputs[PREVIEW]))
    formulas.give(store.inputs["Name"], "color")
    formulas.give(store.inputs["Value"], RED)
    recolor = formulas.node("GeometryNodeSwitch", input_type="GEOMETRY")  # splats have no such attribute
    formulas.give(recolor.inputs["Switch"], given.outputs[PREVIEW])
    formulas.give(recolor.inputs["False"], delete.outputs["Geometry"])
    formulas.give(recolor.inputs["True"], store.outputs["Geometry"])
    formulas.give(result.inputs["Geometry"], recolor.outputs["Output"])
    for column, node in enumerate(tree.nodes):
        node.location = (200 * column, 0)
