"""Damage to bytes, described by values, so that it can be drawn at random, shrunk and repeated."""

import random
import re
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

EDGES = (
    0,
    1,
    0x7F,
    0x80,
    0xFF,
    0x7FFF,
    0xFFFF,
    0x7FFFFFFF,
    0x80000000,
    0xFFFFFFFF,
    1 << 40,
    (1 << 63) - 1,
    (1 << 64) - 1,
)
NUMBERS = (
    b"0",
    b"-1",
    b"1e308",
    b"nan",
    b"4294967296",
    b"999999999999",
    b"9" * 5000,
    b"[]",
    b"null",
    b'"x"',
    b"../../x",
)


class Mutation(NamedTuple):
    """Damage of the kind `name`, at the fraction `where` of the length. Each kind reads `value` in its own way."""

    name: str
    where: float
    value: int


def _flip(data: bytearray, at: int, value: int) -> None:
    data[at] ^= 1 << value % 8


def _byte(data: bytearray, at: int, value: int) -> None:
    data[at] = value % 256


def _edge(data: bytearray, at: int, value: int) -> None:
    """Writes an integer at the edge of its type, in either byte order."""
    width = (1, 2, 4, 8)[value % 4]
    edge = EDGES[value // 4 % len(EDGES)] % (1 << 8 * width)
    data[at : at + width] = edge.to_bytes(width, "little" if value % 3 else "big")


def _cut(data: bytearray, at: int, _value: int) -> None:
    del data[at:]


def _drop(data: bytearray, at: int, value: int) -> None:
    del data[at : at + 1 + value % 64]


def _double(data: bytearray, at: int, value: int) -> None:
    data[at:at] = data[at : at + 1 + value % 256]


def _noise(data: bytearray, at: int, value: int) -> None:
    data[at:at] = random.Random(value).randbytes(1 + value % 40)


def _number(data: bytearray, at: int, value: int) -> None:
    """Replaces a number that is written as text by another one, or by something that is no number."""
    numbers = list(re.finditer(rb"-?\d+(\.\d+)?(e-?\d+)?", bytes(data[: 1 << 16])))
    if numbers:
        number = numbers[int(at / len(data) * len(numbers))]
        data[number.start() : number.end()] = NUMBERS[value % len(NUMBERS)]


def _far(data: bytearray, at: int, value: int) -> None:
    """Copies bytes from one place to another."""
    start = value % len(data)
    length = 1 + value // 7 % 32
    data[at : at + length] = data[start : start + length]


KINDS: Mapping[str, Callable[[bytearray, int, int], None]] = {
    "flip": _flip, "byte": _byte, "edge": _edge, "cut": _cut, "drop": _drop, "double": _double, "noise": _noise,
    "number": _number, "far": _far,
}  # fmt: skip


def drawn(rng: random.Random) -> list[Mutation]:
    """A few mutations, most of them near the beginning, where headers are."""
    return [
        Mutation(rng.choice(list(KINDS)), rng.random() ** rng.choice((1, 3, 6)), rng.randrange(1 << 64))
        for _ in range(rng.choice((1, 1, 1, 2, 3, 8)))
    ]


def applied(data: bytes, mutations: Sequence[Mutation]) -> bytes:
    """`data` after all mutations."""
    changed = bytearray(data)
    for name, where, value in mutations:
        if not changed:
            break
        KINDS[name](changed, min(int(where * len(changed)), len(changed) - 1), value)
    return bytes(changed)
