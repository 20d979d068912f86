"""[B] The add-on: its id, register and unregister."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import bpy

from . import ui
from .cli import command_line

# The name of the extension's package, bl_ext.<repository>.threer_blender, in which this package of the same name lies.
# Outside of an extension: this package's own name.
ADDON_ID = __package__.rpartition(".")[0] or __package__
COMMAND = "threer_blender"

_registered: list[object] = []


def data_folder() -> Path:
    """The folder that Blender gives this extension to write to."""
    return Path(bpy.utils.extension_path_user(ADDON_ID, create=True))


def run_command(arguments: Sequence[str]) -> int:
    """`blender -b --command threer_blender VERB …`: the verbs of `python -m threer_blender`, inside Blender."""
    return command_line.main(arguments, data_folder())


def register() -> None:
    """Called by Blender when the extension is enabled."""
    _registered.append(bpy.utils.register_cli_command(COMMAND, run_command))
    ui.register(data_folder(), ADDON_ID)


def unregister() -> None:
    """Called by Blender when the extension is disabled."""
    ui.unregister()
    while _registered:
        bpy.utils.unregister_cli_command(_registered.pop())
