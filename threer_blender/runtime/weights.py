"""[R] Finds an engine's weights: the user's own file, or the store's."""

from __future__ import annotations

from pathlib import Path

from ..host import store
from ..model.engine import Weights
from ..model.errors import UserError
from . import context


def locate(weights: Weights) -> Path:
    """The local file of these weights: the user's own, for this run or for all runs, else one with the right hash.

    The user's own file is not hashed; its layout is checked when it is loaded. Raises UserError where there is no file,
    or its hash is wrong.
    """
    given = context.current().weights
    if weights.name in given:
        return given[weights.name]
    weights_store = store.default()
    path = weights_store.find(weights)
    if path is None and weights.by_hand:
        raise UserError(
            f"The weights {weights.name} are not on this computer; download them from {weights.url}, then press Use My "
            "File in the panel, or name the file by --weights."
        )
    if path is None:
        raise UserError(
            f"The weights {weights.name} are not on this computer; press Download Weights in the panel, or run "
            f"`python -m threer_blender weights download {weights.name}`."
        )
    weights_store.verify(weights, path)
    return path


def note_fits_network(weights: Weights, path: Path) -> None:
    """Notes that the file at `path` was loaded and holds exactly the network that these weights are of."""
    store.default().note_fits_network(weights, path)
