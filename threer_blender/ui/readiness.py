"""[B] How far engines are from running, and what runs would cost, for drawing: as far as known, without any wait."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from .. import doctor
from ..model.engine import Engine, Option
from . import work

UNKNOWN = doctor.Readiness((), ())  # by identity: nobody has looked yet


def of(engine: Engine) -> doctor.Readiness:
    """The unmet needs of an engine; UNKNOWN, which lacks nothing, until they are known."""
    data_folder = work.current().data_folder
    return work.seek(("ready", engine.id), partial(doctor.readiness, engine, data_folder), UNKNOWN)


def described(state: doctor.Readiness) -> tuple[str, str]:
    """A state in words, and the icon before it."""
    if state is UNKNOWN:
        return "looking…", "BLANK1"
    if state.ready:
        return "ready", "CHECKMARK"
    return "to be set up" if state.modules else "weights to be downloaded", "IMPORT"


def offered(engine: Engine) -> list[Option]:
    """The engine's options that can be had here; those without conditions, until that is known."""
    unconditional = [option for option in engine.options if not option.requires]
    return work.seek(("offered", engine.id), partial(doctor.offered, engine, work.current().data_folder), unconditional)


def estimate(engine: Engine, options: Mapping[str, Any], photos: int) -> doctor.Estimate | None:
    """The expected cost of so many photos; None where the engine declares none, and until it is known."""
    name = ("estimate", engine.id, tuple(sorted(options.items())), photos)
    return work.seek(name, partial(doctor.estimate, engine, options, photos), None)
