"""[B] The buttons that fetch and delete what engines need: the private environment and the weights."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import bpy

from .. import doctor
from ..cli import upkeep
from ..engines import registry
from ..host import environment, store
from ..jobs.messages import Download, Request, SetUp
from ..model.engine import Engine, Weights
from ..model.errors import UserError
from . import choices, words, work
from .buttons import HIDDEN, Asks, WhenIdle

DIALOG = 420  # width in pixels, at Blender's interface scale 1
DIALOG_COLUMNS = 60  # letters on its lines
ALLOW_ONLINE = "extensions.userpref_allow_online"  # a button of Blender's own


class _Upkeep(WhenIdle):
    bl_options = {"INTERNAL"}


def _fetch(requests: list[Request]) -> None:
    """Puts requests that need the internet into the queue. Raises UserError where Blender may not use it."""
    if not bpy.app.online_access:
        raise UserError("Blender may not use the internet now: allow it in Preferences > System > Network.")
    tasks = [work.add(request) for request in requests]
    if bpy.app.background:  # where timers never run
        for task in tasks:
            work.finish(task)


class THREER_OT_set_up(_Upkeep, bpy.types.Operator):
    """Download what engines need into a folder of its own, with a Python of its own: 0.2 to 3 GB, as this \
computer's graphics card asks for. Blender stays as it is. A set-up that broke off goes on"""

    bl_idname = "threer.set_up"
    bl_label = "Set Up"

    engine: bpy.props.StringProperty(options=HIDDEN)

    def run(self, _context: bpy.types.Context) -> None:
        _fetch([SetUp(upkeep.modules_of(self.engine))])


class THREER_OT_remove_environment(_Upkeep, bpy.types.Operator):
    """Delete the private environment. Engines that need it can be set up again"""

    bl_idname = "threer.remove_environment"
    bl_label = "Remove"

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> Any:
        return context.window_manager.invoke_confirm(self, event)

    def run(self, _context: bpy.types.Context) -> None:
        environment.remove(work.current().data_folder)


class THREER_OT_download_weights(_Upkeep, bpy.types.Operator):
    """Download this engine's weights, after you have read the terms of their use"""

    bl_idname = "threer.download_weights"
    bl_label = "Download Weights"

    engine: bpy.props.StringProperty(options=HIDDEN)
    accept: bpy.props.BoolProperty(name="I have read these terms and accept them", options={"SKIP_SAVE"})

    @property
    def _wanted(self) -> list[Weights]:
        """The engine's weights that are not on this computer yet."""
        return list(doctor.readiness(registry.engine(self.engine), work.current().data_folder).weights)

    @property
    def _terms(self) -> list[Weights]:
        """One of the wanted weights for each family whose terms have not been accepted yet."""
        weights_store = store.default(work.current().data_folder)
        return list(
            {weights.family: weights for weights in self._wanted if not weights_store.is_accepted(weights)}.values()
        )

    def invoke(self, context: bpy.types.Context, _event: bpy.types.Event) -> Any:
        if not self._terms:
            return self.execute(context)
        return context.window_manager.invoke_props_dialog(self, width=DIALOG, confirm_text="Download")

    def draw(self, _context: bpy.types.Context) -> None:
        column = self.layout.column()
        commercial = registry.engine(self.engine).commercial
        for weights in self._terms:
            use = "Commercial use is allowed" if commercial else "No commercial use"
            words.sentence(column, f"{weights.family}: {weights.licence}. {use}.", DIALOG_COLUMNS, "INFO")
            column.operator("wm.url_open", text="Read the Terms", icon="URL").url = weights.terms_url
        column.prop(self, "accept")

    def run(self, _context: bpy.types.Context) -> None:
        weights_store = store.default(work.current().data_folder)
        token = choices.current().token
        for weights in self._terms:
            if not self.accept:
                raise UserError(f"Accept the terms of {weights.family} to download its weights.")
            weights_store.accept(weights)
        for weights in self._wanted:
            if weights.gated and not (token or store.token()):
                raise UserError(
                    f"{weights.name} needs your own token: ask for access at {weights.terms_url}, then enter the token "
                    "in this extension's preferences."
                )
        _fetch([Download(weights.name, token if weights.gated else "") for weights in self._wanted])


class THREER_OT_use_weights(Asks, _Upkeep, bpy.types.Operator):
    """Use a weights file of your own instead of a download: .safetensors, or PyTorch's .pth, .pt and .ckpt"""

    bl_idname = "threer.use_weights"
    bl_label = "Use My File"

    name: bpy.props.StringProperty(options=HIDDEN)
    filepath: bpy.props.StringProperty(subtype="FILE_PATH", options=HIDDEN)
    filter_glob: bpy.props.StringProperty(default="*.safetensors;*.pth;*.pt;*.ckpt", options=HIDDEN)
    filter_folder: bpy.props.BoolProperty(default=True, options=HIDDEN)

    def run(self, _context: bpy.types.Context) -> None:
        store.default(work.current().data_folder).use(registry.weights(self.name), Path(self.filepath))


class THREER_OT_delete_weights(_Upkeep, bpy.types.Operator):
    """Delete this file, which can be downloaded again. A file of your own is not deleted, only no longer used"""

    bl_idname = "threer.delete_weights"
    bl_label = "Delete"

    name: bpy.props.StringProperty(options=HIDDEN)

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> Any:
        return context.window_manager.invoke_confirm(self, event)

    def run(self, _context: bpy.types.Context) -> None:
        store.default(work.current().data_folder).delete(registry.weights(self.name))


class THREER_OT_forget_hash(_Upkeep, bpy.types.Operator):
    """Forget this file's hash. Nobody has published one, so the hash of the first file that worked was kept"""

    bl_idname = "threer.forget_hash"
    bl_label = "Forget Hash"

    name: bpy.props.StringProperty(options=HIDDEN)

    def run(self, _context: bpy.types.Context) -> None:
        store.default(work.current().data_folder).forget_pinned(registry.weights(self.name))


def draw_need(layout: Any, engine: Engine, state: doctor.Readiness, width: int) -> None:
    """Draws the first unmet need of an engine, with the button that meets it."""
    if state.modules:
        lacking = ", ".join(state.modules)
        text = f"{engine.label} needs {lacking} first. Set Up puts it into a folder of its own."
        words.sentence(layout, text, width, "INFO")
        _large(layout).operator(THREER_OT_set_up.bl_idname, icon="IMPORT").engine = engine.id
    elif state.weights:
        if state.weights[0].by_hand:
            text = f"{engine.label}'s weights are not here yet. Download them in your browser, then use your file."
            words.sentence(layout, text, width, "INFO")
            _large(layout).operator("wm.url_open", text="Open Their Page", icon="URL").url = state.weights[0].url
        else:
            total = sum(weights.size for weights in state.weights)
            text = f"{engine.label} works with weights of {words.size(total)} that are not on this computer yet."
            words.sentence(layout, text if total else f"{engine.label}'s weights are not here yet.", width, "INFO")
            _large(layout).operator(THREER_OT_download_weights.bl_idname, icon="IMPORT").engine = engine.id
        for weights in state.weights:
            several = f" for {weights.name}" if len(state.weights) > 1 else ""
            button = layout.operator(THREER_OT_use_weights.bl_idname, text=f"Use My File{several}…", icon="FILE_FOLDER")
            button.name = weights.name
    if (state.modules or state.weights) and not (bpy.app.online_access or bpy.app.online_access_override):
        layout.operator(ALLOW_ONLINE, text="Allow Online Access", icon="INTERNET")


def _large(layout: Any) -> Any:
    """A row with large buttons."""
    row = layout.row()
    row.scale_y = 1.6
    return row


class WeightsRow(NamedTuple):
    """A line about weights: the user's own file that stands in for them, if any, and the bytes that they take on disk.

    `is_pinned`: no hash is published, so the hash of the first file that worked was kept.
    """

    weights: Weights
    user_file: Path | None
    size: int
    is_pinned: bool


def draw_weights(layout: Any, data_folder: Path) -> None:
    """Draws a line for each of the weights in the store and for each file of the user's own, with their buttons."""
    nothing: list[WeightsRow] = []
    for weights, user_file, size, is_pinned in work.seek("stored weights", partial(_stored, data_folder), nothing):
        row = layout.row()
        row.label(text=f"{weights.name}: {user_file or words.size(size)}, {weights.licence}")
        text = "Forget" if user_file else "Delete"
        row.operator(THREER_OT_delete_weights.bl_idname, text=text).name = weights.name
        if is_pinned:
            row.operator(THREER_OT_forget_hash.bl_idname).name = weights.name


def _stored(data_folder: Path) -> list[WeightsRow]:
    """The rows of all weights that are in the store or that a file of the user's own stands in for."""
    weights_store = store.default(data_folder)
    known = dict.fromkeys(weights for engine in registry.engines().values() for weights in engine.weights)
    rows = (
        WeightsRow(
            weights,
            weights_store.user_file(weights),
            weights_store.bytes_held(weights),
            not weights.sha256 and bool(weights_store.pinned(weights)),
        )
        for weights in known
    )
    return [row for row in rows if row.user_file or row.size]


_classes = (
    THREER_OT_set_up,
    THREER_OT_remove_environment,
    THREER_OT_download_weights,
    THREER_OT_use_weights,
    THREER_OT_delete_weights,
    THREER_OT_forget_hash,
)
register, unregister = bpy.utils.register_classes_factory(_classes)
