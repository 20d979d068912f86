"""[S] What the readers of splat files share: what they are told, what they return, how they fail, and encodings."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from ..model.reconstruction import Array, Gaussians
from ..model.spherical_harmonics import C0

COEFFICIENTS = (1, 4, 9, 16)  # of spherical harmonics, by degree


class Damaged(Exception):
    """What is wrong with a file, as the rest of a sentence that starts with its name."""


class Codecs(NamedTuple):
    """Decoders that the standard library lacks and Blender has.

    `webp`: the bytes of a lossless WebP -> (H, W, 4) uint8, top row first. `zstd`: a frame and its size -> its content.
    """

    webp: Callable[[bytes], Array] | None = None
    zstd: Callable[[bytes, int], bytes] | None = None


NO_CODECS = Codecs()


class Reading(NamedTuple):
    """How to read, see `splat_files.read`."""

    codecs: Codecs
    spz_is_y_up: bool
    repair_splatt3r: bool


class SplatFile(NamedTuple):
    """The splats of a file, and sentences for the artist on what was left out or mended."""

    gaussians: Gaussians
    notes: list[str]


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
    """Gaussians of float32 arrays; the quaternions get unit length, zero ones stay for `checks` to find."""
    length = np.linalg.norm(rotations, axis=-1, keepdims=True)
    with np.errstate(divide="ignore", invalid="ignore"):
        rotations = np.where(length > 0, rotations / length, 0)
    arrays = (np.ascontiguousarray(array, np.float32) for array in (means, scales, rotations, opacities, sh))
    return Gaussians(*arrays)


def exponential(logarithms: Array) -> Array:
    """Linear scales; those that overflow become infinite."""
    with np.errstate(over="ignore"):
        return np.exp(logarithms)


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
