"""[S] The engines in this folder. Each module but those in SHARED is one. Stdlib only, never torch.

An engine's module declares `ENGINE` and defines

    def reconstruct(photos, options, report) -> Reconstruction

The module imports quickly: the function's body imports heavy modules. The panel and the command line read only the
declaration. Declarations look alike since they state the same kinds of facts; common code of engines is in `pipelines`.
"""

from __future__ import annotations

import importlib
import pkgutil
from functools import lru_cache
from types import ModuleType

from .. import engines as package
from ..model.engine import Engine, Reconstruct, Weights
from ..model.errors import UserError, quoted

SHARED = {
    "feed_forward",
    "options",
    "photo_pairs",
    "published_weights",
    "registry",
}  # modules of this folder that are no engines


def _names() -> list[str]:
    """The full names of the engines' modules, sorted."""
    names = (f"{package.__name__}.{module.name}" for module in pkgutil.iter_modules(package.__path__))
    return [name for name in names if name.rpartition(".")[2] not in SHARED]


@lru_cache(1)
def _modules() -> dict[str, ModuleType]:
    """The engines' modules by the engines' ids."""
    modules = map(importlib.import_module, _names())
    return {module.ENGINE.id: module for module in modules}


def all_except(module: str) -> list[Engine]:
    """All engines except the one that the module named `module` declares, in order of their modules' names.

    For the declaration of an engine that starts from others: it can call this while it is imported itself.
    """
    return [importlib.import_module(name).ENGINE for name in _names() if name != module]


def engines() -> dict[str, Engine]:
    """All engines by id, in order of id."""
    return {name: module.ENGINE for name, module in sorted(_modules().items())}


def engine(engine_id: str) -> Engine:
    """The engine with this id. Raises UserError where there is none."""
    known = engines()
    if engine_id not in known:
        raise UserError(f"There is no engine {quoted(engine_id)}; choose one of {', '.join(known)}.")
    return known[engine_id]


def weights(name: str) -> Weights:
    """The weights of this name. Raises UserError where no engine uses such weights."""
    known = {declared.name: declared for engine in engines().values() for declared in engine.weights}
    if name not in known:
        raise UserError(f"There are no weights {quoted(name)}; choose one of {', '.join(known) or 'none'}.")
    return known[name]


def reconstruct_of(engine_id: str) -> Reconstruct:
    """The `reconstruct` function of the engine with this id. Raises UserError where there is none."""
    function: Reconstruct = _modules()[engine(engine_id).id].reconstruct
    return function
