"""[B] The sidebar's tab "3R": choose photos, reconstruct, watch the progress, and take the next steps."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import bpy

from .. import headless
from ..jobs import results
from ..jobs.messages import (
    Calibrate,
    Download,
    FitPoints,
    Import,
    MakeMesh,
    MeasurePoints,
    ReconstructionRequest,
    Request,
    SolveAgain,
)
from ..model.engine import Engine, Option
from ..scene.splats.splats import is_splats
from . import (
    choices,
    chosen,
    drawn_masks,
    engines,
    lenses,
    meshes,
    operators,
    photo_list,
    pictures,
    properties,
    proxies,
    readiness,
    references,
    splats,
    summary,
    upkeep,
    views,
    words,
    work,
)
from .queue import Task

PREVIEW_SCALE = 9.0  # height of a preview, in lines of the panel
MOST_NOTES = 4  # notes of a result on the panel; all of them are on its root


class Sidebar:
    """The place of our panels: the sidebar's tab 3R."""

    bl_space_type = "VIEW_3D"
    bl_region_type = "UI"
    bl_category = operators.TAB

    layout: Any


class Folded(Sidebar):
    """A part of the main panel that is closed at first."""

    bl_parent_id = "THREER_PT_main"
    bl_options: ClassVar = {"DEFAULT_CLOSED"}


class THREER_PT_main(Sidebar, bpy.types.Panel):
    """The one screen that most people need."""

    bl_label = "Photos to Scene"

    def draw(self, context: bpy.types.Context) -> None:
        scene, layout, columns = context.scene, self.layout, words.columns(context)
        engine = properties.engine(scene)
        chosen.draw(layout, scene, columns)
        photo_list.draw(layout, context, columns)
        engines.draw_choice(layout, engine)
        _options(layout, context, engine, basic=True)
        _action(layout, scene, engine, columns)
        columns_in_box = columns - words.BORDER
        _tasks(layout, columns_in_box)
        _outcome(layout, columns_in_box)
        for folder in work.current().offered:
            _offer(layout, folder, columns_in_box)
        root = summary.current_root(scene, context.object)
        if root is not None:
            _result(layout, context, root, columns_in_box)
        elif is_splats(context.object):
            _splats(layout, context.object)


def _action(layout: Any, scene: bpy.types.Scene, engine: Engine, columns: int) -> None:
    """Draws the one large button: Reconstruct, or the step that has to come first."""
    state = readiness.of(engine)
    options = properties.option_values(scene, engine, readiness.offered(engine))
    if refusal := choices.refusal(engine, options):
        words.sentence(layout, refusal, columns, "ERROR")
        return
    if not state.ready:
        upkeep.draw_need(layout, engine, state, columns)
        return
    entries = properties.settings(scene).photos
    if len(entries) == 1 and (refusal := headless.single_photo_refusal(engine, [Path(entries[0].path)], options)):
        words.sentence(layout, refusal, columns, "ERROR")
        return
    row = layout.row()
    row.scale_y = 1.6
    busy = bool(work.current().queue.tasks)
    text = "Reconstruct Next" if busy else "Reconstruct"
    row.operator(operators.THREER_OT_reconstruct.bl_idname, text=text, icon="OUTLINER_OB_POINTCLOUD")
    photos, frames = (0, 0) if busy else chosen.size(scene)
    known = photos or frames
    expected = readiness.estimate(engine, options, photos, frames, chosen.largest_frame(scene)) if known else None
    if expected is not None and expected.refusal:
        words.sentence(layout, expected.refusal, columns, "ERROR")
    elif expected is not None:
        text = f"About {words.duration(expected.seconds)}, {expected.memory / 1e9:.1f} GB of memory"
        words.sentence(words.dimmed(layout), text, columns, "NONE")


class THREER_PT_more(Folded, bpy.types.Panel):
    """The settings that most people never touch."""

    bl_label = "More Settings"
    bl_order = 1

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return bool(_offered_options(properties.engine(context.scene), basic=False))

    def draw(self, context: bpy.types.Context) -> None:
        _options(self.layout, context, properties.engine(context.scene), basic=False)
        drawn_masks.draw(self.layout, context.scene, words.columns(context))


def _offered_options(engine: Engine, basic: bool) -> list[Option]:
    """The engine's options that can be used here: the basic ones, or the others."""
    offered = readiness.offered(engine)
    return [option for option in engine.options if option.basic == basic and option in offered]


def _options(layout: Any, context: bpy.types.Context, engine: Engine, basic: bool) -> None:
    """Draws the engine's options from their declaration."""
    column = layout.column()
    column.use_property_split = basic  # labels beside their fields, which leaves little room for long ones
    column.use_property_decorate = False
    offered, values = _offered_options(engine, basic), properties.options_of(context.scene, engine)
    for option in offered:
        if not option.box:
            column.prop(values, option.name)
    references.draw(layout, offered, values, words.columns(context))


def _tasks(layout: Any, columns: int) -> None:
    """Draws the running task and those that wait."""
    cancel = operators.THREER_OT_cancel.bl_idname
    for position, task in enumerate(work.current().queue.tasks):
        if position == 0:
            box = layout.box().column()
            box.label(text=task.progress.stage)
            box.progress(factor=task.progress.fraction, text=_progress_text(task))
            if task.preview is not None:
                box.template_icon(pictures.icon(task.preview), scale=PREVIEW_SCALE)
            if task.silent_seconds is not None:
                words.sentence(box, f"No word from the process for {task.silent_seconds:.0f} s.", columns, "TIME")
            for warning in task.warnings[-1:]:
                words.sentence(
                    box, f"{warning.photo}: {warning.text}" if warning.photo else warning.text, columns, "INFO"
                )
            stop = (
                {"text": "Stop and Keep", "icon": "CHECKMARK"} if task.progress.cancel_delivers else {"icon": "CANCEL"}
            )
            box.operator(cancel, **stop).position = position
        else:
            row = layout.row()
            row.label(text=f"Next: {_title(task.request)}", icon="SORTTIME")
            row.operator(cancel, text="", icon="X").position = position


def _title(request: Request) -> str:
    """The name of a task in the queue."""
    if isinstance(request, ReconstructionRequest):
        return chosen.title(request.photos)
    if isinstance(request, Import):
        return Path(request.solve).name
    if isinstance(request, SolveAgain):
        return "a shot, solved again"
    if isinstance(request, MakeMesh):
        return f"mesh of {Path(request.bundle).name}"
    if isinstance(request, MeasurePoints):
        return "distances of points"
    if isinstance(request, FitPoints):
        return "fit of points"
    if isinstance(request, Calibrate):
        return f"lens grid, {words.count(len(request.photos), 'photo')}"
    return request.weights if isinstance(request, Download) else "the environment"


def _progress_text(task: Task) -> str:
    """The text on the progress bar."""
    percent = f"{task.progress.fraction:.0%}"
    seconds = task.progress.seconds_left
    return percent if seconds is None else f"{percent}, {words.duration(seconds)} left"


def _outcome(layout: Any, columns: int) -> None:
    """Draws the sentence about the last download or set-up, and the last error."""
    current = work.current()
    narrower = columns - words.ICON  # beside the button that dismisses
    if current.success:
        _dismissable(layout.box().row(), current.success, narrower, "CHECKMARK")
    if not current.error:
        return
    box = layout.box().column()
    _dismissable(box.row(), current.error, narrower, "INFO" if current.was_cancelled else "ERROR")
    if current.log is not None:
        box.operator("wm.path_open", text="Open Log", icon="TEXT").filepath = str(current.log)


def _dismissable(row: Any, text: str, columns: int, icon: str) -> None:
    """Draws a message with a button that takes it off the panel."""
    words.sentence(row, text, columns, icon)
    row.operator(operators.THREER_OT_dismiss_message.bl_idname, text="", icon="X", emboss=False)


def _offer(layout: Any, folder: Path, columns: int) -> None:
    """Draws a finished result that is not in any scene yet."""
    box = layout.box().column()
    words.sentence(box, f"A finished reconstruction waits: {results.title(folder)}", columns, "INFO")
    row = box.row(align=True)
    row.operator_context = "EXEC_DEFAULT"
    row.operator(operators.THREER_OT_import_result.bl_idname, text="Import Result").directory = str(folder)
    row.operator(operators.THREER_OT_dismiss_result.bl_idname, text="", icon="X").directory = str(folder)


def _result(layout: Any, context: bpy.types.Context, root: bpy.types.Object, columns: int) -> None:
    """Draws the result, and the next steps."""
    result = summary.summary(root)
    box = layout.box().column()
    row = box.row()
    row.label(text=result.name, icon="CHECKMARK")
    row.operator(operators.THREER_OT_open_result.bl_idname, text="", icon="FILE_FOLDER")
    for shot in result.shots:
        words.sentence(box, f"{shot.name}: {shot.solved}" if shot.solved else shot.name, columns, "NONE")
        if shot.error:
            words.sentence(box, f"Reprojection error {shot.error}", columns, "NONE")
    if result.chosen or not result.shots:
        text = f"{result.registered} of {words.count(result.chosen, 'photo')} registered"
        words.sentence(box, text, columns, "NONE")
    box.label(text=f"{words.count(result.points, 'point')}")
    if result.splats:
        box.label(text=f"{words.count(result.splats, 'splat')}")
    if result.error is not None:
        before = "" if result.error_before is None else f" ({result.error_before:.1f} before refinement)"
        words.sentence(box, f"Reprojection error {result.error:.2f} px{before}", columns, "NONE")
    if result.layout_cameras:
        text = f"{words.count(result.layout_cameras, 'camera')} of layout quality, not refined"
        words.sentence(box, text, columns, "ERROR")
        if not result.splats:
            box.operator(operators.THREER_OT_refine_cameras.bl_idname, icon="CON_CAMERASOLVER")
    look_through = operators.THREER_OT_look_through.bl_idname
    row = box.row(align=True)
    many = result.registered + len(result.shots) > 1
    if many:
        row.operator(look_through, text="", icon="TRIA_LEFT").step = -1
    text = words.fitting("Look Through Camera", "Look Through", columns - 2 * words.ICON * many)
    row.operator(look_through, text=text, icon="CAMERA_DATA").step = 0
    if many:
        row.operator(look_through, text="", icon="TRIA_RIGHT").step = 1
    views.draw(box, context, root, columns)
    _notes(box, result, columns)
    if not operators.colors_match(context):
        text = words.fitting(operators.THREER_OT_match_colors.bl_label, "Match Colors", columns)
        box.operator(operators.THREER_OT_match_colors.bl_idname, text=text, icon="COLOR")
    if result.splats:
        _splat_buttons(box)
    lenses.draw(box, root, columns)
    if result.registered > 1:
        text = words.fitting(operators.THREER_OT_view_per_frame.bl_label, "Photo per Frame", columns)
        box.operator(operators.THREER_OT_view_per_frame.bl_idname, text=text, icon="TIME")
    box.operator(proxies.THREER_OT_proxy_meshes.bl_idname, icon="MESH_GRID")
    meshes.draw(box, root)


def _notes(box: Any, result: summary.Summary, columns: int) -> None:
    """Draws the result's first notes, below the next step: they may be long."""
    for note in result.notes[:MOST_NOTES]:
        words.sentence(box, words.brief(note), columns, "INFO")
    if len(result.notes) > MOST_NOTES:
        text = f"… and {len(result.notes) - MOST_NOTES} more, see {result.name}'s properties"
        words.sentence(box, text, columns, "NONE")


def _splats(layout: Any, obj: bpy.types.Object) -> None:
    """Draws the active object's splats, which came from a file."""
    box = layout.box().column()
    box.label(text=obj.name, icon="CHECKMARK")
    box.label(text=words.count(summary.points(obj), "splat"))
    _splat_buttons(box)


def _splat_buttons(box: Any) -> None:
    box.operator_menu_enum(splats.THREER_OT_set_up_splats.bl_idname, "way", icon="RENDER_STILL")


_classes = (THREER_PT_main, THREER_PT_more)
register, unregister = bpy.utils.register_classes_factory(_classes)
