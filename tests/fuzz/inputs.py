"""Kinds of inputs: valid examples, how they are packed and read. A new kind is a row of KINDS in `kinds`."""

import random
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from tests.fuzz import mutations
from tests.fuzz.mutations import Mutation

Parts = Mapping[str, bytes]


class Kind(NamedTuple):
    """A kind of input.

    `examples` gives valid ones, each as named parts. `write` puts parts into a folder, packed or not, and returns the
    path that `read` is given; `read` may raise one of `errors`, and nothing else. `packed`: whether the written file
    itself is damaged, too, not only its parts.
    """

    name: str
    examples: Callable[[], Sequence[Parts]]
    write: Callable[[Parts, Path], Path]
    read: Callable[[Path], Any]
    errors: tuple[type[Exception], ...]
    packed: bool = True


class Case(NamedTuple):
    """An example, the part that is damaged (empty: the written file), and how."""

    example: int
    part: str
    damage: Sequence[Mutation]


def drawn(kind: Kind, examples: Sequence[Parts], seed: int) -> Case:
    """The case of seed `seed`: always the same."""
    rng = random.Random(f"{kind.name} {seed}")
    example = rng.randrange(len(examples))
    part = "" if kind.packed and rng.random() < 0.4 else rng.choice(sorted(examples[example]))
    return Case(example, part, mutations.drawn(rng))


def written(kind: Kind, examples: Sequence[Parts], case: Case, folder: Path) -> Path:
    """The path of the damaged input, written to `folder`."""
    parts = dict(examples[case.example])
    if case.part:
        parts[case.part] = mutations.applied(parts[case.part], case.damage)
    path = kind.write(parts, folder)
    if not case.part:
        path.write_bytes(mutations.applied(path.read_bytes(), case.damage))
    return path


def single(suffix: str) -> Callable[[Parts, Path], Path]:
    """A Kind.write that writes the only part as a file whose name ends in `suffix`."""

    def write(parts: Parts, folder: Path) -> Path:
        path = folder / f"input{suffix}"
        path.write_bytes(*parts.values())
        return path

    return write
