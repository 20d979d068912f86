"""[R] `locate`, by which an engine gets its weights, and `download`, which puts them into the store when asked to."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ..engines import registry
from ..host import store
from ..jobs.messages import Download, Finished
from ..model.engine import Weights
from ..model.errors import UserError
from ..worker import download as downloads
from .report import Report

_given: dict[str, Path] = {}


def use(files: Mapping[str, str]) -> None:
    """The user's own files, by the name of the weights that they stand in for. Once, before an engine runs."""
    _given.update({name: Path(path) for name, path in files.items()})


def locate(weights: Weights) -> Path:
    """The local file of these weights: the user's own, for this run or for all, else one of the right size and hash.

    Raises UserError that says how to get it where there is none. A file of the user's own is taken as it is: its layout
    is checked when it is loaded.
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


def download(asked: Download, report: Report) -> Finished:
    """Fetches the asked weights into the store, once their terms have been accepted. Raises UserError."""
    weights = registry.weights(asked.weights)
    held = store.default()
    if not held.is_accepted(weights):
        raise UserError(f"Accept the terms of {weights.family} first: {weights.licence}, see {weights.terms_url}.")
    stage = f"Downloading {weights.name}"
    report.plan({stage: 1.0})
    expected = weights.sha256 or held.pinned(weights)
    token = (asked.token or store.token()) if weights.gated else ""
    file = downloads.File(weights.url, weights.size, expected, token, weights.terms_url if weights.gated else "")
    sha256 = downloads.fetch(file, held.path(weights), lambda done, total: report(stage, done, total or done + 1))
    held.verify(weights, held.path(weights), sha256)
    if expected:
        return Finished(f"{weights.name} is complete and is the published file.")
    return Finished(f"{weights.name} is complete. Nobody has published its hash; from now on it must be {sha256}.")
