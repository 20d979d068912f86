"""[R] Plain functions on arrays; they return arrays and views, never messages or bundles."""

import importlib
from types import ModuleType

# Names that outside tools import from here -> where the modules stand.
PUBLIC = {"correspondences": "pairs.correspondences", "global_alignment": "alignment.global_alignment"}


def __getattr__(name: str) -> ModuleType:
    if name not in PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return importlib.import_module(f".{PUBLIC[name]}", __name__)
