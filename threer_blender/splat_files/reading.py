"""[S] The common part of the readers of splat files: their arguments and results, checks and encodings."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeVar

import numpy as np

from ..files import bounded
from ..files.bounded import Damaged
from ..model.arrays import Array, FloatArray
from ..model.directions import UP_IS_MINUS_Y
from ..model.errors import quoted
from ..model.reconstruction import Gaussians
from ..model.spherical_harmonics import C0, COEFFICIENTS, MAX_DEGREE

STORED_COEFFICIENTS = (*COEFFICIENTS, 25)  # degree -> coefficients of spherical harmonics that a file may have
FLAT_THICKNESS = 1e-6  # the third standard deviation of a splat whose file gives it only two
FAR = 8.0  # times the splats' extent: further from zero, float32 would round positions visibly

Decoded = TypeVar("Decoded")


class Codecs(NamedTuple):
    """Decoders that the standard library lacks and Blender has.

    `webp(data)` takes a lossless WebP to (H, W, 4) uint8, top row first. `zstd(frame, most)` takes a zstd frame to its
    content, which is at most `most` bytes long. They may raise any error: they are called through `decoded`.
    """

    webp: Callable[[bytes], Array] | None = None
    zstd: Callable[[bytes, int], bytes] | None = None


NO_CODECS = Codecs()


def decoded(decode: Callable[..., Decoded], *data: Any) -> Decoded:
    """The result of `decode(*data)`. Raises MemoryError, and Damaged instead of any other error."""
    try:
        return decode(*data)
    except MemoryError:
        raise
    except Exception as error:
        raise Damaged("is damaged; get it again") from error


class Reading(NamedTuple):
    """The arguments of a reader; `splat_files.read` explains them."""

    codecs: Codecs
    spz_is_y_up: bool
    repair_splatt3r: bool


@dataclass(frozen=True)
class SplatFile:
    """The splats of a file, and notes: sentences for the artist about splats that were left out or mended.

    Means are relative to `origin` (3,), in the file's axes. It is zero unless the file has double precision and places
    so far from zero that float32 would round them visibly. `up` is the direction, in the file's axes, that points up.
    `antialiased`: the splats were trained for drawing with mip-splatting's 2D filter.
    """

    gaussians: Gaussians
    notes: list[str]
    origin: FloatArray = field(default_factory=lambda: np.zeros(3))
    up: tuple[float, float, float] = UP_IS_MINUS_Y
    antialiased: bool = False

    def __iter__(self) -> Iterator[Any]:
        """Allows `gaussians, notes = read(path)`."""
        return iter((self.gaussians, self.notes))


def check_count(count: int, degree: int, size: int) -> None:
    """Raises Damaged where `count` splats with harmonics of `degree` are too many for a file of `size` bytes."""
    harmonics = 3 * COEFFICIENTS[min(degree, MAX_DEGREE)]
    floats = 3 + 3 + 4 + 1 + harmonics  # of each splat: mean, scales, rotation, opacity, harmonics
    bounded.check(count * floats * 4, size)


def stored_degree(coefficients: int) -> int:
    """The degree of spherical harmonics with so many coefficients per channel. Raises Damaged for other numbers."""
    if coefficients not in STORED_COEFFICIENTS:
        known = ", ".join(map(str, STORED_COEFFICIENTS))
        raise Damaged(f"has {coefficients} coefficients of spherical harmonics a channel; {known} belong there")
    return STORED_COEFFICIENTS.index(coefficients)


def notes_on_degree(degree: int, name: str) -> list[str]:
    """A sentence where a file's harmonics have a higher degree than MAX_DEGREE; `name` is the file's."""
    if degree <= MAX_DEGREE:
        return []
    return [
        f"{quoted(name)} has spherical harmonics of degree {degree}; those above degree {MAX_DEGREE} were left out."
    ]


def relative(means: Array) -> tuple[Array, FloatArray]:
    """`means` (N, 3) as float32, relative to an origin, and that origin (3,).

    The origin is zero, unless the means are doubles and far from zero compared with their extent (FAR).
    """
    origin = np.zeros(3)
    if means.dtype != np.float64:
        return means, origin
    finite = means[np.isfinite(means).all(axis=1)]
    if len(finite):
        centre = np.median(finite, axis=0)
        extent = np.quantile(np.abs(finite - centre), 0.9, axis=0).max()
        if np.abs(centre).max() > FAR * extent:
            origin = centre.astype(np.float32).astype(np.float64)  # exact in float32, as a Blender object's location is
    return (means - origin).astype(np.float32), origin


def sigmoid(logits: Array) -> Array:
    """Opacities in (0, 1) from logits."""
    opacities: Array = 1 / (1 + np.exp(-np.clip(logits, -60, 60)))
    return opacities


def logit(opacities: Array) -> Array:
    """Logits from opacities, which are clipped to [1e-7, 1 - 1e-7] first."""
    inside = np.clip(opacities, 1e-7, 1 - 1e-7)
    logits: Array = np.log(inside / (1 - inside))
    return logits


def constant_from_color(color: Array) -> Array:
    """The constant coefficients of spherical harmonics that show `color`, sRGB values in [0, 1]."""
    return (color - 0.5) / C0


def constant_only(colors: Array) -> Array:
    """(N, 1, 3) coefficients that show `colors` (N, 3), sRGB in [0, 1], from every direction."""
    return constant_from_color(colors)[:, None]


def smallest_three(largest: Array, others: Array) -> Array:
    """Unit quaternions (N, 4) from the index of the `largest` component (N,), and the other three (N, 3) in order."""
    columns = np.array([[1, 2, 3], [0, 2, 3], [0, 1, 3], [0, 1, 2]])
    quaternions = np.empty((len(largest), 4), np.float32)
    rows = np.arange(len(largest))
    quaternions[rows[:, None], columns[largest]] = others
    quaternions[rows, largest] = np.sqrt(np.maximum(1 - (others**2).sum(axis=-1), 0))
    return quaternions


def wxyz(quaternions: Array) -> Array:
    """Quaternions wxyz (N, 4) from xyzw (N, 4)."""
    return np.roll(quaternions, 1, axis=-1)


def gaussians(means: Array, scales: Array, rotations: Array, opacities: Array, sh: Array) -> Gaussians:
    """Gaussians of these arrays, as float32, with unit quaternions. Harmonics above degree 3 are left out.

    Quaternions of zero stay as they are; `checks` removes their splats.
    """
    length = np.linalg.norm(rotations, axis=-1, keepdims=True)
    rotations = np.where(length > 0, rotations / length, 0)
    parts = (means, scales, rotations, opacities, sh[:, : COEFFICIENTS[-1]])
    arrays = (np.ascontiguousarray(array, np.float32) for array in parts)
    return Gaussians(*arrays)


def harmonics(constant: Array, rest: Array) -> Array:
    """(N, K, 3) coefficients from the `constant` (N, 3) and the `rest` (N, 3 (K - 1)), one channel after another."""
    count = len(rest)
    sh = np.empty((count, 1 + rest.shape[1] // 3, 3), np.float32)
    sh[:, 0] = constant
    rows = 4096  # at a time, so few that they stay in the processor's cache
    for start in range(0, count, rows):
        block = rest[start : start + rows]
        sh[start : start + rows, 1:] = block.reshape(len(block), 3, rest.shape[1] // 3).swapaxes(1, 2)
    return sh
