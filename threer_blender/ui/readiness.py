"""[B] The unmet needs of engines and the cost of runs, for drawing: as far as they are known yet, without waiting."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from .. import doctor
from ..model.engine import Engine, Option
from . import work

UNKNOWN = doctor.Readiness((), ())  # compared with `is`: not computed yet


def of(engine: Engine) -> doctor.Readiness:
    """The unmet needs of an engine; until they are known it is UNKNOWN, which is empty."""
    data_folder = work.current().data_folder
    return work.seek(("ready", engine.id), partial(doctor.readiness, engine, data_folder), UNKNOWN)


def described(state: doctor.Readiness) -> tuple[str, str]:
    """A state in words, and the name of the icon before them."""
    if state is UNKNOWN:
        return "looking…", "BLANK1"
    if state.ready:
        return "ready", "CHECKMARK"
    return "to be set up" if state.modules else "weights to be downloaded", "IMPORT"


def offered(engine: Engine) -> list[Option]:
    """The engine's options that can be used here; until these are known, the options that need no modules."""
    unconditional = [option for option in engine.options if not option.requires]
    return work.seek(("offered", engine.id), partial(doctor.offered, engine, work.current().data_folder), unconditional)


def estimate(
    engine: Engine, options: Mapping[str, Any], photos: int, frames: int, pixels: int
) -> doctor.Estimate | None:
    """The expected cost of a run with this number of photos, and of frames of shots with so many pixels each; None
    where it is not known, or not known yet."""
    name = ("estimate", engine.id, tuple(sorted(options.items())), photos, frames, pixels)
    return work.seek(name, partial(doctor.estimate, engine, options, photos, frames, pixels), None)
