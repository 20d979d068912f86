"""[R] Finds an engine's weights: the user's own file, or the store's."""

from __future__ import annotations

from pathlib import Path

from ..host import store
from ..model.engine import Weights
from ..model.errors import UserError
from . import context


def locate(weights: Weights) -> Path:
    """The local file of these weights: the user's own, for this run or for all, else one of the right size and hash.

    Raises UserError that says how to get it where there is none. A file of the user's own is taken as it is: its layout
    is checked when it is loaded.
    """
    given = context.current().weights
    if weights.name in given:
        return given[weights.name]
    weights_store = store.default()
    path = weights_store.find(weights)
    if path is None:
        raise UserError(
            f"The weights {weights.name} are not on this computer; press Download Weights in the panel, or run "
            f"`python -m threer_blender weights download {weights.name}`."
        )
    weights_store.verify(weights, path)
    return path


def note_opened(weights: Weights, path: Path) -> None:
    """Notes that the file at `path` opened as exactly the network of these weights."""
    store.default().note_opened(weights, path)
