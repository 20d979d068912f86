"""[R] What an engine asks for its weights: `locate`. They are there before a run; nothing is downloaded here."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from .. import store
from ..catalog import Weights
from ..messages import UserError

_given: dict[str, Path] = {}


def use(files: Mapping[str, str]) -> None:
    """The user's own files, by the name of the weights that they stand in for. Once, before an engine runs."""
    _given.update({name: Path(path) for name, path in files.items()})


def locate(weights: Weights) -> Path:
    """The local file of these weights: the one that the user named, else one of the right size and hash.

    Raises UserError that says how to get it where there is none. A file that the user named is taken as it is: its
    layout is checked when it is loaded.
    """
    if weights.name in _given:
        return _given[weights.name]
    held = store.default()
    path = held.find(weights)
    if path is None:
        raise UserError(
            f"The weights {weights.name} are not on this computer; press Download Weights in the panel, or run "
            f"`python -m threer_blender weights download {weights.name}`."
        )
    held.verify(weights, path)
    return path
