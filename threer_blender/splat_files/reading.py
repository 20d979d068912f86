"""[S] The common part of the readers of splat files: arguments, results, errors and encodings."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeVar

import numpy as np

from ..files import bounded
from ..files.bounded import Damaged
from ..model.arrays import Array, FloatArray
from ..model.errors import quoted
from ..model.reconstruction import Gaussians
from ..model.spherical_harmonics import C0, COEFFICIENTS

STORED_COEFFICIENTS = (*COEFFICIENTS, 25)  # of spherical harmonics, by degree, as files may have them
DOWN_IS_Y = (0.0, -1.0, 0.0)  # up in nearly all files
FLAT = 1e-6  # standard deviation across a splat of two dimensions
FAR = 8.0  # times their extent: doubles further from the origin lose to float32 what can be seen

Decoded = TypeVar("Decoded")


class Codecs(NamedTuple):
    """Decoders that the standard library lacks and Blender has.

    `webp`: the bytes of a lossless WebP -> (H, W, 4) uint8, top row first. `zstd`: a frame and the most bytes that it
    may hold -> its content, no longer than that. They may raise what they like: `decoded` calls them.
    """

    webp: Callable[[bytes], Array] | None = None
    zstd: Callable[[bytes, int], bytes] | None = None


NO_CODECS = Codecs()


def decoded(decode: Callable[..., Decoded], *data: Any) -> Decoded:
    """The result of a decoder on `data`; raises Damaged where it fails, whatever its own error is."""
    try:
        return decode(*data)
    except MemoryError:
        raise
    except Exception as error:
        raise Damaged("is damaged; get it again") from error


class Reading(NamedTuple):
    """How to read, see `splat_files.read`."""

    codecs: Codecs
    spz_is_y_up: bool
    repair_splatt3r: bool


@dataclass(frozen=True)
class SplatFile:
    """The splats of a file, and sentences for the artist on what was left out or mended.

    The splats' means count from `origin` (3,), in the file's own axes; it is zero unless doubles of the file lie so far
    from zero that float32 would lose them. `up` is the direction of these axes that points up. `antialiased`: the
    splats were trained to be drawn with mip-splatting's filter in the picture.
    """

    gaussians: Gaussians
    notes: list[str]
    origin: FloatArray = field(default_factory=lambda: np.zeros(3))
    up: tuple[float, float, float] = DOWN_IS_Y
    antialiased: bool = False

    def __iter__(self) -> Iterator[Any]:
        """`gaussians, notes = read(path)` for those who need no more."""
        return iter((self.gaussians, self.notes))


def check_count(count: int, degree: int, size: int) -> None:
    """Raises Damaged where a file of `size` bytes cannot hold so many splats with harmonics of that degree."""
    bounded.check(count * 4 * (11 + 3 * COEFFICIENTS[min(degree, len(COEFFICIENTS) - 1)]), size)


def degree_of(coefficients: int) -> int:
    """The degree of so many coefficients a channel; raises Damaged where there is none."""
    if coefficients not in STORED_COEFFICIENTS:
        known = ", ".join(map(str, STORED_COEFFICIENTS))
        raise Damaged(f"has {coefficients} coefficients of spherical harmonics a channel; {known} belong there")
    return STORED_COEFFICIENTS.index(coefficients)


def notes_on_degree(degree: int, name: str) -> list[str]:
    """A sentence where the harmonics of a file are finer than ours."""
    if degree < len(COEFFICIENTS):
        return []
    highest = len(COEFFICIENTS) - 1
    return [f"{quoted(name)} has spherical harmonics of degree {degree}; those above degree {highest} were left out."]


def relative(means: Array) -> tuple[Array, FloatArray]:
    """`means` (N, 3) as float32, and the origin that they count from: zero, unless they are doubles far from there."""
    origin = np.zeros(3)
    if means.dtype != np.float64:
        return means, origin
    finite = means[np.isfinite(means).all(axis=1)]
    if len(finite):
        centre = np.median(finite, axis=0)
        extent = np.quantile(np.abs(finite - centre), 0.9, axis=0).max()
        if np.abs(centre).max() > FAR * extent:
            origin = centre.astype(np.float32).astype(np.float64)  # which a Blender object's location can be
    return (means - origin).astype(np.float32), origin


def sigmoid(logits: Array) -> Array:
    """Opacities in (0, 1) of logits."""
    opacities: Array = 1 / (1 + np.exp(-np.clip(logits, -60, 60)))
    return opacities


def logit(opacities: Array) -> Array:
    """Logits of opacities; 0 and 1 become the nearest that float32 tells apart from them."""
    inside = np.clip(opacities, 1e-7, 1 - 1e-7)
    logits: Array = np.log(inside / (1 - inside))
    return logits


def constant_from_color(color: Array) -> Array:
    """The constant coefficient of spherical harmonics that shows `color` (display values in [0, 1])."""
    return (color - 0.5) / C0


def constant_only(colors: Array) -> Array:
    """(N, 1, 3) coefficients that show `colors` (N, 3) from every side."""
    return constant_from_color(colors)[:, None]


def smallest_three(largest: Array, others: Array) -> Array:
    """Unit quaternions (N, 4) from the place of the largest component (N,) and the others (N, 3), in their order."""
    places = np.array([[1, 2, 3], [0, 2, 3], [0, 1, 3], [0, 1, 2]])
    quaternions = np.empty((len(largest), 4), np.float32)
    rows = np.arange(len(largest))
    quaternions[rows[:, None], places[largest]] = others
    quaternions[rows, largest] = np.sqrt(np.maximum(1 - (others**2).sum(axis=-1), 0))
    return quaternions


def wxyz(quaternions: Array) -> Array:
    """Quaternions wxyz from xyzw."""
    return np.roll(quaternions, 1, axis=-1)


def gaussians(means: Array, scales: Array, rotations: Array, opacities: Array, sh: Array) -> Gaussians:
    """Gaussians of float32 arrays; the quaternions get unit length, zero ones stay for `checks` to find.

    Harmonics above degree 3 are left out.
    """
    length = np.linalg.norm(rotations, axis=-1, keepdims=True)
    rotations = np.where(length > 0, rotations / length, 0)
    parts = (means, scales, rotations, opacities, sh[:, : COEFFICIENTS[-1]])
    arrays = (np.ascontiguousarray(array, np.float32) for array in parts)
    return Gaussians(*arrays)


def harmonics(constant: Array, rest: Array) -> Array:
    """(N, K, 3) coefficients from the constant (N, 3) and the rest (N, 3 (K - 1)), channel by channel."""
    count = len(rest)
    sh = np.empty((count, 1 + rest.shape[1] // 3, 3), np.float32)
    sh[:, 0] = constant
    part = 4096  # stays in the processor's cache
    for start in range(0, count, part):
        block = rest[start : start + part]
        sh[start : start + part, 1:] = block.reshape(len(block), 3, rest.shape[1] // 3).swapaxes(1, 2)
    return sh
