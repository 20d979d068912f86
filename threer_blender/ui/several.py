"""[B] The panel and the buttons for several results in one scene: import beside, compare, merge."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import bpy
import numpy as np

from ..model import picked_pairs
from ..model.arrays import Array, FloatArray
from ..model.errors import UserError
from ..scene import heat_map, identity, picking, picture_points, several
from ..scene import root as roots
from . import distances, evaluating, joins, operators, summary, words, work
from .buttons import Button, OfResult, WhereResult
from .panel import Folded
from .picks import Picker, Picks

RED_AT = 95.0  # percent of the points are nearer than where the heat map is red
_choices: list[tuple[str, str, str]] = []  # Blender needs these texts to stay alive


def _names(_operator: Any, context: bpy.types.Context | None) -> list[tuple[str, str, str]]:
    """The results in the scene, as the choices of an enumeration."""
    scene = bpy.context.scene if context is None else context.scene
    _choices[:] = [(root.name, root.name, "") for root in several.results(scene)]
    return _choices


class _OfTwo(Button):
    """A button about two results: the `reference` stays, the `result` is compared with it or brought onto it."""

    properties: Any
    reference: bpy.props.EnumProperty(name="Reference", description="This result stays where it is", items=_names)
    result: bpy.props.EnumProperty(name="Result", description="This one is brought onto the reference", items=_names)

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if len(_result_names(context.scene)) > 1:
            return True
        cls.poll_message_set("This needs two results in the scene: Import Beside puts a second one there")
        return False

    def pair(self, context: bpy.types.Context) -> tuple[bpy.types.Object, bpy.types.Object]:
        """The result and the reference: as chosen, else the panel's result and the oldest other one."""
        there = several.results(context.scene)
        by_name = {root.name: root for root in there}
        result = by_name.get(self.result) if self.properties.is_property_set("result") else None
        reference = by_name.get(self.reference) if self.properties.is_property_set("reference") else None
        if result is None:
            current = summary.current_root(context.scene, context.object)
            result = current if current not in (None, reference, there[0]) else there[-1]
            result = result if result != reference else next(root for root in there if root != reference)
        reference = reference or next(root for root in there if root != result)
        return result, reference

    @staticmethod
    def present(context: bpy.types.Context, root: bpy.types.Object) -> None:
        """Has the panel show a result."""
        context.view_layer.objects.active = root
        work.current().scene_facts.forget()

    def choose(self, context: bpy.types.Context) -> None:
        """Sets both names, for a dialog."""
        result, reference = self.pair(context)
        self.result, self.reference = result.name, reference.name

    def invoke(self, context: bpy.types.Context, _event: Any) -> set[str]:
        self.choose(context)
        return set(context.window_manager.invoke_props_dialog(self))


class THREER_OT_compare(_OfTwo, bpy.types.Operator):
    """Bring a result onto another by the cameras of the photos that both have, and show how the two differ"""

    bl_idname = "threer.compare"
    bl_label = "Compare"
    bl_options = {"REGISTER", "UNDO"}

    colors: bpy.props.BoolProperty(
        name="Heat Map",
        description="Color the points by their distance to the reference. Their own colors stay",
        default=True,
    )

    def run(self, context: bpy.types.Context) -> None:
        root, reference = self.pair(context)
        comparison = several.compare(root, reference)
        several.bring(root, comparison.alignment.target_from_source)
        several.note(root, reference, comparison)
        self.present(context, root)
        self.report({"INFO"}, " ".join(comparison.sentences()))
        if self.colors:
            sentence = _begin_heat_map(root, reference)
            if sentence:
                self.report({"WARNING"}, sentence)


def _begin_heat_map(root: bpy.types.Object, reference: bpy.types.Object) -> str:
    """Has the distances to the reference measured and shown as colours. Returns a sentence where that cannot be."""
    cloud, targets = several.cloud(root), picking.visible_points(reference)
    if cloud is None or not len(targets):
        return "There is no heat map: it needs points in both results."
    uid, name = cloud.session_uid, cloud.name
    points = picture_points.positions(cloud)

    def show(measured: Array) -> None:
        obj = next((each for each in bpy.data.objects if each.session_uid == uid), None)
        if obj is None or len(picture_points.local(obj.data)) != len(measured):
            raise UserError(f"The points of {name} have changed meanwhile: compare once more.")
        finite = measured[np.isfinite(measured)]
        heat_map.show(obj, measured, max(1e-6, float(np.percentile(finite, RED_AT)) if len(finite) else 1.0))

    distances.measure(points, targets, 1, show, "Heat Map")
    return ""


class THREER_OT_clear_comparison(OfResult, bpy.types.Operator):
    """Take the heat map and the table of a comparison away. The result stays where it is"""

    bl_idname = "threer.clear_comparison"
    bl_label = "Clear Comparison"
    bl_options = {"UNDO"}

    def run(self, context: bpy.types.Context) -> None:
        root = self.root(context)
        for key in (several.COMPARED, several.WORST):
            if key in root:
                del root[key]
        cloud = several.cloud(root)
        if cloud is not None:
            heat_map.remove(cloud)


class THREER_OT_merge(_OfTwo, bpy.types.Operator):
    """Bring a result onto another by the photos that both have. From then on both follow the reference's alignment"""

    bl_idname = "threer.merge"
    bl_label = "Merge by Photos"
    bl_options = {"REGISTER", "UNDO"}

    refine: bpy.props.BoolProperty(
        name="Refine by Points", description="Fit the surfaces that both results show to each other", default=True
    )

    def run(self, context: bpy.types.Context) -> None:
        root, reference = self.pair(context)
        comparison = several.compare(root, reference)
        several.check_merge(root, reference)
        several.bring(root, comparison.alignment.target_from_source)
        several.merge(root, reference)
        several.note(root, reference, comparison)
        self.present(context, root)
        self.report({"INFO"}, " ".join(comparison.sentences()))
        if self.refine:
            joins.refine(root, reference)


class _Pairs(Picks):
    """Clicks in turn: a point of the reference, then the same point of the result."""

    def __init__(self, reference: str, result: str) -> None:
        super().__init__("Merge by Points", "", 2 * picked_pairs.LEAST, more=True)
        self.names = reference, result

    @property
    def is_complete(self) -> bool:
        """Whether there are enough points, and as many of either result."""
        return super().is_complete and len(self.points) % 2 == 0

    def drag(self, *_arguments: Any) -> None:
        """A brush would pick points of one result alone."""

    def hint(self) -> str:
        """The text for the header: which point to click next."""
        pair, second = divmod(len(self.points), 2)
        which = f"the same point of {self.names[1]}" if second else f"a point of {self.names[0]}"
        keys = ["Shift: more pairs", "Enter: done", "Backspace: take back", "Esc: cancel"]
        return "   |   ".join([f"{self.label}: pair {pair + 1}: click {which}", *keys, *filter(None, [self.note])])


class THREER_OT_merge_points(_OfTwo, Picker, bpy.types.Operator):
    """Click three or more pairs of points, in the reference and then in the result: the result comes onto the other"""

    bl_idname = "threer.merge_points"
    bl_label = "Merge by Points"

    refine: bpy.props.BoolProperty(
        name="Refine by Points", description="Fit the surfaces that both results show to each other", default=True
    )
    _both: tuple[Array, Array]

    def invoke(self, context: bpy.types.Context, event: Any) -> set[str]:
        self.choose(context)
        result, reference = self.pair(context)
        self._both = picking.visible_points(reference), picking.visible_points(result)
        return Picker.invoke(self, context, event)

    def to_click(self) -> Picks:
        return _Pairs(self.reference, self.result)

    def candidates(self) -> Array:
        """(N, 3) the points of the reference for the first click of a pair, else those of the result."""
        return self._both[len(self._clicks.points) % 2]

    def run(self, context: bpy.types.Context) -> None:
        root, reference = self.pair(context)
        points = self.picked(2 * picked_pairs.LEAST)
        if len(points) % 2:
            raise UserError(picked_pairs.FEW)
        fitted = picked_pairs.fit(points[1::2], points[::2], _eyes(root), _eyes(reference))
        several.check_merge(root, reference)
        several.bring(root, fitted.target_from_source.matrix)
        several.merge(root, reference)
        root[several.COMPARED] = f"Merged with {reference.name} by {len(points) // 2} pairs of points."
        self.present(context, root)
        self.report(
            {"INFO"}, f"{root.name} stands on {reference.name}; {fitted.residual:.1%} of the picks' extent is left"
        )
        if self.refine:
            joins.refine(root, reference)


def _eyes(root: bpy.types.Object) -> FloatArray:
    """(N, 3) the centres of a result's cameras; none where it has none any more."""
    return np.array([camera.matrix_world.translation for camera in roots.cameras(root)], np.float64).reshape(-1, 3)


def _result_names(scene: bpy.types.Scene) -> list[str]:
    """The names of the results in the scene, computed once for each change of it."""
    name = ("results", scene.session_uid)
    return work.current().scene_facts.get(name, lambda: [str(root.name) for root in several.results(scene)])


def _rows(root: bpy.types.Object) -> Iterator[str]:
    """The lines of the panel about the cameras that differ most."""
    for line in identity.text(root, several.WORST)[:2000].splitlines()[: several.MOST_WORST]:
        columns = line.split("\t")
        if len(columns) == 4:
            yield f"{columns[0][:40]}: {columns[1]} %, {columns[2]}°, focal {columns[3]} %"


class THREER_PT_several(WhereResult, Folded, bpy.types.Panel):
    """Compares and merges results, and compares one with the truth."""

    bl_label = "Several Results"
    bl_order = 3

    def draw(self, context: bpy.types.Context) -> None:
        layout, columns = self.layout, words.columns(context)
        layout.operator(operators.THREER_OT_import_result.bl_idname, text="Import Beside…", icon="ADD").beside = True
        text = words.fitting(evaluating.THREER_OT_evaluate.bl_label, "Evaluate…", columns)
        layout.operator(evaluating.THREER_OT_evaluate.bl_idname, text=text, icon="CHECKMARK")
        if len(_result_names(context.scene)) < 2:
            words.quiet(layout, "Two results can be compared")
            return
        layout.operator(THREER_OT_compare.bl_idname, icon="MOD_VERTEX_WEIGHT")
        labels = THREER_OT_merge.bl_label, THREER_OT_merge_points.bl_label
        row = words.side_by_side(layout, labels, columns)
        row.operator(THREER_OT_merge.bl_idname, icon="IMAGE_DATA")
        row.operator(THREER_OT_merge_points.bl_idname, icon="SNAP_VERTEX")
        root = summary.current_root(context.scene, context.object)
        text = "" if root is None else identity.text(root, several.COMPARED)[:2000]
        if root is None or not text:
            return
        box = layout.box().column()
        for sentence in text.splitlines():
            words.sentence(box, sentence, columns - words.BORDER, "NONE")
        for row_text in _rows(root):
            words.sentence(words.dimmed(box), row_text, columns - words.BORDER, "NONE")
        cloud = several.cloud(root)
        colored = None if cloud is None else heat_map.of(cloud)
        if colored is not None:
            box.prop(colored, "show_viewport", text="Heat Map", icon="COLOR")
        box.operator(THREER_OT_clear_comparison.bl_idname, icon="X")


register, unregister = bpy.utils.register_classes_factory(
    (THREER_OT_compare, THREER_OT_clear_comparison, THREER_OT_merge, THREER_OT_merge_points, THREER_PT_several)
)
