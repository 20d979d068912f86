"""[B] The user's settings in Blender's preferences: the weights' folder, the token, the filter of licences."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import bpy

from ..model.engine import Engine
from . import work

WEIGHTS = "THREER_WEIGHTS"  # the variable that `store.default` reads; the worker inherits it


def current() -> Any:
    """The add-on's preferences."""
    return bpy.context.preferences.addons[work.current().addon_id].preferences


def allows(engine: Engine) -> bool:
    """Whether the filter Commercial Use Only lets this engine through."""
    return bool(engine.commercial or not current().commercial_only)


def refusal(engine: Engine, options: Mapping[str, Any]) -> str:
    """The sentence why the filter Commercial Use Only refuses a run with these options; "" where it allows the run."""
    if not allows(engine):
        return f"{engine.label} may not be used commercially; choose another engine."
    option = engine.forbids(options) if current().commercial_only else None
    if option is None:
        return ""
    chosen = (option.choices or {})[str(options[option.name])]
    return f"{engine.label} may not be used commercially with {option.label}: {chosen}; choose another {option.label}."


def use_weights_folder(preferences: Any, _context: Any = None) -> None:
    """Makes the folder in the preferences the weights store; without one, the folder that the environment named."""
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
    """Called when the add-on is disabled: restores the variable."""
    folder = work.current().weights_folder
    if folder is None:
        os.environ.pop(WEIGHTS, None)
    else:
        os.environ[WEIGHTS] = folder
