"""[S] What can be run: Engine, Option, Weights, and the engines found in `engines/*.py`. Stdlib only, never torch.

An engine file declares `ENGINE` at its top with nothing heavy imported and defines

    def reconstruct(photos, options, report) -> Reconstruction

whose body imports what it needs. The declaration is all that the panel, the command line and the registry test read.
"""

from __future__ import annotations

import importlib
import math
import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from .messages import UserError


@dataclass(frozen=True)
class Option:
    """One setting of an engine. `choices` (value -> label) makes it a menu; else the default's type is its type.

    `basic` options stand on the panel, the rest folds away. `requires` are modules without which the option is not
    offered at all.
    """

    name: str
    default: str | int | float | bool
    label: str
    tooltip: str
    choices: Mapping[str, str] | None = None
    minimum: float | None = None
    maximum: float | None = None
    basic: bool = False
    requires: tuple[str, ...] = ()

    def checked(self, value: Any) -> str | int | float | bool:
        """`value` as this option's type. Raises UserError where it is none of the allowed values."""
        if self.choices is not None:
            if value not in self.choices:
                raise UserError(f"{self.label}: choose one of {', '.join(self.choices)}, not {value!r}.")
            return str(value)
        kind = type(self.default)
        try:
            if kind is bool:
                return {"true": True, "1": True, "false": False, "0": False}[str(value).lower()]
            typed = kind(value)
        except (KeyError, TypeError, ValueError):
            raise UserError(
                f"{self.label}: {value!r} is not a value for it; its default is {self.default!r}."
            ) from None
        low = -math.inf if self.minimum is None else self.minimum
        high = math.inf if self.maximum is None else self.maximum
        if isinstance(typed, int | float) and not (math.isfinite(typed) and low <= typed <= high):
            raise UserError(f"{self.label}: {value} is not a number from {low} to {high}.")
        return typed


# What engines offer whose cameras come from a network: `geometry/refinement.py` does it.
REFINE = Option(
    "refine",
    "off",
    "Refine cameras",
    "Correct the cameras by details matched between the photos, as matchmove needs; takes seconds per photo.",
    choices={
        "off": "Off (layout quality)",
        "shared": "One lens",
        "per-photo": "Each photo its own lens",
        "known": "Keep the lenses",
    },
    requires=("pycolmap",),
)


@dataclass(frozen=True)
class Weights:
    """One checkpoint file: its official address, what proves it whole, and on what terms it may be used.

    `name` is its file name in the store, the same for every engine that shares it. `size` is in bytes, 0 where it is
    not known; `sha256` is "" where none is known: then the first download's is kept and later ones must equal it.
    The terms at `terms_url` are accepted once for all files of a `family`. `gated` files need the user's own token.
    """

    name: str
    url: str
    size: int
    sha256: str
    family: str
    licence: str
    terms_url: str
    gated: bool = False


@dataclass(frozen=True)
class Engine:
    """What an engine declares about itself. `requires` are the modules that its runtime must have."""

    id: str
    label: str
    summary: str
    licence: str
    commercial: bool
    produces: frozenset[str]
    requires: tuple[str, ...]
    options: tuple[Option, ...] = ()
    weights: tuple[Weights, ...] = ()

    def needed(self, options: Mapping[str, Any]) -> tuple[str, ...]:
        """The modules that a run with these options needs."""
        chosen = (option for option in self.options if options.get(option.name, option.default) != option.default)
        return tuple(dict.fromkeys((*self.requires, *(name for option in chosen for name in option.requires))))

    def checked_options(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """All options by name: `values` checked, the rest at its default. Raises UserError."""
        known = {option.name: option for option in self.options}
        for name in values:
            if name not in known:
                raise UserError(f"{self.label} has no option {name!r}; it has {', '.join(known) or 'none'}.")
        return {name: option.checked(values.get(name, option.default)) for name, option in known.items()}


def _modules() -> dict[str, ModuleType]:
    from . import engines

    found = {}
    for module in pkgutil.iter_modules(engines.__path__):
        loaded = importlib.import_module(f"{engines.__name__}.{module.name}")
        found[loaded.ENGINE.id] = loaded
    return found


def engines() -> dict[str, Engine]:
    """Every engine by id, in order of id."""
    return {name: module.ENGINE for name, module in sorted(_modules().items())}


def engine(engine_id: str) -> Engine:
    """The engine of that id. Raises UserError where there is none."""
    known = engines()
    if engine_id not in known:
        raise UserError(f"There is no engine {engine_id!r}; choose one of {', '.join(known)}.")
    return known[engine_id]


def weights(name: str) -> Weights:
    """The weights of that name. Raises UserError where no engine uses such."""
    known = {declared.name: declared for engine in engines().values() for declared in engine.weights}
    if name not in known:
        raise UserError(f"There are no weights {name!r}; choose one of {', '.join(known) or 'none'}.")
    return known[name]


def run(engine_id: str) -> Callable[..., Any]:
    """The `reconstruct` function of an engine."""
    function: Callable[..., Any] = _modules()[engine(engine_id).id].reconstruct
    return function
