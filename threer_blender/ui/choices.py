"""[B] The user's settings in Blender's preferences: the weights' folder, the token, the filter of licences."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import bpy

from ..model.engine import Engine
from . import work

WEIGHTS = "THREER_WEIGHTS"  # the variable that `store.default` reads; what Blender starts has it from here


def current() -> Any:
    """The add-on's preferences."""
    return bpy.context.preferences.addons[work.current().addon_id].preferences


def allows(engine: Engine) -> bool:
    """Whether the filter lets this engine through."""
    return bool(engine.commercial or not current().commercial_only)


def refusal(engine: Engine, options: Mapping[str, Any]) -> str:
    """Why the filter lets no run with these options through, as a sentence; "" where it does."""
    if not allows(engine):
        return f"{engine.label} may not be used commercially; choose another engine."
    option = engine.forbids(options) if current().commercial_only else None
    if option is None:
        return ""
    chosen = (option.choices or {})[str(options[option.name])]
    return f"{engine.label} may not be used commercially with {option.label}: {chosen}; choose another {option.label}."


def use_weights_folder(preferences: Any, _context: Any = None) -> None:
    """Makes the folder that is set the weights store, or the one that it would be without."""
    folder = bpy.path.abspath(preferences.weights_folder) or work.current().weights_folder
    if folder:
        os.environ[WEIGHTS] = folder
    else:
        os.environ.pop(WEIGHTS, None)


def begin() -> None:
    """Called when the add-on is enabled, once Blender knows its preferences."""
    work.current().weights_folder = os.environ.get(WEIGHTS)
    if work.current().addon_id in bpy.context.preferences.addons:
        use_weights_folder(current())


def end() -> None:
    """Called when the add-on is disabled: the variable is as it was."""
    folder = work.current().weights_folder
    if folder is None:
        os.environ.pop(WEIGHTS, None)
    else:
        os.environ[WEIGHTS] = folder
