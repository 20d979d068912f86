"""[B] The common part of all buttons: how they show errors, when they can be pressed, how they ask for files."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import bpy

from ..model.errors import UserError, system_refusal
from . import summary, work

HIDDEN = {"HIDDEN", "SKIP_SAVE"}

Draw = Callable[[Any, bpy.types.Context], None]  # draws an entry of a menu, given the menu and the context


class Button:
    """An operator whose `run` may raise UserError: the error becomes a report, and stays on the panel."""

    report: Any  # Blender's
    poll_message_set: Any  # Blender's

    def execute(self, context: bpy.types.Context) -> set[str]:
        return self.attempt(self.run, context)

    def attempt(self, step: Callable[[bpy.types.Context], None], context: bpy.types.Context) -> set[str]:
        """Runs a step. Returns {"FINISHED"}, or {"CANCELLED"} where an error of the user or the system was reported."""
        try:
            step(context)
        except (UserError, OSError) as error:
            work.current().error = str(error) if isinstance(error, UserError) else system_refusal(error)
            work.current().was_cancelled = False
            self.report({"ERROR"}, work.current().error)
            return {"CANCELLED"}
        finally:
            work.current().known.forget()  # a click may have changed what there is
        return {"FINISHED"}

    def run(self, context: bpy.types.Context) -> None:
        raise NotImplementedError


class WhereResult:
    """A button or a panel that is there only where the panel shows a result."""

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return summary.current_root(context.scene, context.object) is not None


class OfResult(WhereResult, Button):
    """A button about the result that the panel shows."""

    @staticmethod
    def root(context: bpy.types.Context) -> bpy.types.Object:
        """The root of that result."""
        root = summary.current_root(context.scene, context.object)
        assert root is not None  # as poll says
        return root


class WhenIdle(Button):
    """A button that cannot be pressed while something runs."""

    @classmethod
    def poll(cls, _context: bpy.types.Context) -> bool:
        if not work.current().queue.tasks:
            return True
        cls.poll_message_set("Wait until what runs has ended, or cancel it")
        return False


class Asks(Button):
    """A button that opens Blender's file browser, and runs when the user has chosen there."""

    def invoke(self, context: bpy.types.Context, _event: bpy.types.Event) -> set[str]:
        context.window_manager.fileselect_add(self)
        return {"RUNNING_MODAL"}


class AsksForFolder(Asks):
    """A button that runs with the `folder` that the user chooses."""

    directory: bpy.props.StringProperty(subtype="DIR_PATH", options={"SKIP_SAVE"})
    filter_folder: bpy.props.BoolProperty(default=True, options=HIDDEN)

    @property
    def folder(self) -> Path:
        return Path(self.directory)


class AsksForFiles(Asks):
    """A button that runs with the files that the user chooses, or with those dropped onto a viewport."""

    directory: bpy.props.StringProperty(subtype="DIR_PATH", options=HIDDEN)
    files: bpy.props.CollectionProperty(type=bpy.types.OperatorFileListElement, options=HIDDEN)

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        return self.execute(context) if self.files else super().invoke(context, event)

    @property
    def paths(self) -> list[Path]:
        """The chosen files; none where the user only opened a folder."""
        return [Path(self.directory) / entry.name for entry in self.files if entry.name]


class Drop:
    """A file handler for files that are dropped onto a 3D viewport."""

    @classmethod
    def poll_drop(cls, context: bpy.types.Context) -> bool:
        return context.area is not None and context.area.type == "VIEW_3D"


def entry(button: Any, text: str) -> Draw:
    """The function that draws a menu's entry for `button`, the class of an operator."""

    def draw(menu: Any, _context: bpy.types.Context) -> None:
        menu.layout.operator(button.bl_idname, text=text)

    return draw


def registration(classes: Sequence[type], menus: Mapping[str, Draw]) -> tuple[Callable[[], None], Callable[[], None]]:
    """The functions `register` and `unregister` for the classes and the menu entries.

    `menus` maps the name of a menu in `bpy.types` to the function that draws an entry at its end.
    """
    register_classes, unregister_classes = bpy.utils.register_classes_factory(classes)

    def register() -> None:
        register_classes()
        for menu, draw in menus.items():
            getattr(bpy.types, menu).append(draw)

    def unregister() -> None:
        for menu, draw in menus.items():
            getattr(bpy.types, menu).remove(draw)
        unregister_classes()

    return register, unregister
