"""[R] Similarities, many at once: fitted to points, applied, chained; and their rotations as vectors. numpy only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float64]
Bool = NDArray[np.bool_]

_NEAREST = 1e-3  # of the median distance: nearer points pull no harder, so that weights stay finite


@dataclass(frozen=True)
class Similarities:
    """K similarities y = scale * rotation @ x + translation, of shapes (K,), (K, 3, 3), (K, 3)."""

    scale: Float
    rotation: Float
    translation: Float

    def __len__(self) -> int:
        return len(self.scale)

    def __getitem__(self, index: Any) -> Similarities:
        return Similarities(self.scale[index], self.rotation[index], self.translation[index])

    def apply(self, points: Float) -> Float:
        """Points (K, M, 3), each row of M by its own similarity."""
        moved: Float = self.scale[:, None, None] * (points @ self.rotation.transpose(0, 2, 1))
        return moved + self.translation[:, None]

    def where(self, condition: Bool, other: Similarities) -> Similarities:
        """These where the condition (K,) holds, else `other`."""
        return Similarities(
            np.where(condition, self.scale, other.scale),
            np.where(condition[:, None, None], self.rotation, other.rotation),
            np.where(condition[:, None], self.translation, other.translation),
        )

    def grown(self, factor: float) -> Similarities:
        """These, in a target that is `factor` times as large."""
        return Similarities(factor * self.scale, self.rotation, factor * self.translation)

    def inverse(self) -> Similarities:
        """The ways back."""
        back = self.rotation.transpose(0, 2, 1)
        return Similarities(1 / self.scale, back, -(back @ self.translation[..., None])[..., 0] / self.scale[:, None])

    def after(self, first: Similarities) -> Similarities:
        """The similarities that apply `first`, then these."""
        return Similarities(
            self.scale * first.scale,
            self.rotation @ first.rotation,
            self.scale[:, None] * (self.rotation @ first.translation[..., None])[..., 0] + self.translation,
        )


def identities(count: int) -> Similarities:
    """So many that change nothing."""
    return Similarities(np.ones(count), np.tile(np.eye(3), (count, 1, 1)), np.zeros((count, 3)))


def joined(first: Similarities, second: Similarities) -> Similarities:
    """Both lists in one."""
    return Similarities(
        np.concatenate([first.scale, second.scale]),
        np.concatenate([first.rotation, second.rotation]),
        np.concatenate([first.translation, second.translation]),
    )


def fit(source: Float, target: Float, weights: Float, growth: float = 0.0) -> Similarities:
    """Least-squares similarities (K,) from `source` to `target` (K, M, 3), weighted (K, M) (Umeyama, PAMI 1991).

    Half the weighted sum of squares, less `growth` times the logarithm of the scale, is least.
    """
    total = np.maximum(weights.sum(1), 1e-300)[:, None]
    share = (weights / total)[..., None]
    middle_source, middle_target = (share * source).sum(1), (share * target).sum(1)
    a, b = source - middle_source[:, None], target - middle_target[:, None]
    u, s, vt = np.linalg.svd((share * b).transpose(0, 2, 1) @ a)
    sign = np.ones_like(s)
    sign[:, 2] = np.sign(np.linalg.det(u) * np.linalg.det(vt))
    rotation = (u * sign[:, None]) @ vt
    along, spread = (s * sign).sum(1), np.maximum((share * a * a).sum((1, 2)), 1e-300)
    scale = np.maximum((along + np.sqrt(along**2 + 4 * spread * growth / total[:, 0])) / (2 * spread), 1e-12)
    return Similarities(scale, rotation, middle_target - scale[:, None] * (rotation @ middle_source[..., None])[..., 0])


def fit_robust(source: Float, target: Float, weights: Float, rounds: int = 10, growth: float = 0.0) -> Similarities:
    """As `fit`, but the weighted sum of distances, not of half their squares, is least (Weiszfeld's reweighting)."""
    found = fit(source, target, weights)
    for _ in range(rounds):
        distance = np.linalg.norm(found.apply(source) - target, axis=-1)
        typical = np.median(distance, axis=1, keepdims=True) + 1e-12
        found = fit(source, target, weights / np.maximum(distance, _NEAREST * typical), growth)
    return found


def angles(rotation: Float) -> Float:
    """Rotation angles (K,) in radians of (K, 3, 3), exact also near 0."""
    sine = np.linalg.norm(_skew_part(rotation), axis=-1)
    return np.arctan2(sine, (np.trace(rotation, axis1=-2, axis2=-1) - 1) / 2)


def rotations(vectors: Float) -> Float:
    """(K, 3, 3) from rotation vectors (K, 3) in radians (Rodrigues)."""
    angle = np.linalg.norm(vectors, axis=-1)[:, None, None]
    cross = crossing(vectors)
    small = np.maximum(angle, 1e-12)
    turned: Float = np.eye(3) + np.sin(angle) / small * cross + (1 - np.cos(angle)) / small**2 * cross @ cross
    return turned


def crossing(vectors: Float) -> Float:
    """(..., 3, 3) the matrix that takes the cross product with (..., 3) from the left."""
    matrix = np.zeros((*vectors.shape, 3))
    matrix[..., [2, 0, 1], [1, 2, 0]] = vectors
    matrix[..., [1, 2, 0], [2, 0, 1]] = -vectors
    return matrix


def rotation_vectors(rotation: Float) -> Float:
    """The inverse of `rotations`, angles below pi."""
    skew = _skew_part(rotation)
    sine = np.linalg.norm(skew, axis=-1, keepdims=True)
    return skew / np.maximum(sine, 1e-12) * angles(rotation)[:, None]


def _skew_part(rotation: Float) -> Float:
    """(K, 3) the sine of the angle times the axis."""
    return 0.5 * np.stack(
        [
            rotation[:, 2, 1] - rotation[:, 1, 2],
            rotation[:, 0, 2] - rotation[:, 2, 0],
            rotation[:, 1, 0] - rotation[:, 0, 1],
        ],
        axis=1,
    )
