"""[R] The state of one run in this process: the user's own weights, and whether the graphics card is used."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class Context:
    """The state of one run.

    `weights` holds the user's own files by the name of the weights that they replace. `card_too_small` is set once the
    graphics card's memory has run out; from then on the processor does the work.
    """

    weights: Mapping[str, Path] = field(default_factory=dict)
    card_too_small: bool = False


_contexts = [Context()]


def current() -> Context:
    """The context of the current run."""
    return _contexts[-1]


@contextmanager
def entered(context: Context) -> Iterator[Context]:
    """Makes `context` the current one for the length of a `with`, in all threads."""
    _contexts.append(context)
    try:
        yield context
    finally:
        _contexts.remove(context)
