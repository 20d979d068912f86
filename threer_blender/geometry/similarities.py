"""[R] Similarities (rotation, scale, translation): fitted to points, applied, composed; many at once, or one. numpy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from ..model.arrays import Array, BoolArray, FloatArray
from .robust_losses import Power

_NEAREST = 1e-3  # of the median distance: nearer points get no more weight than at this distance


@dataclass(frozen=True)
class Similarities:
    """K similarities y = scale * rotation @ x + translation, of shapes (K,), (K, 3, 3), (K, 3)."""

    scale: FloatArray
    rotation: FloatArray
    translation: FloatArray

    def __len__(self) -> int:
        return len(self.scale)

    def __getitem__(self, index: Any) -> Similarities:
        return Similarities(self.scale[index], self.rotation[index], self.translation[index])

    def apply(self, points: FloatArray) -> FloatArray:
        """(K, M, 3): the k-th similarity applied to the k-th M points of `points` (K, M, 3)."""
        transformed: FloatArray = self.scale[:, None, None] * (points @ self.rotation.transpose(0, 2, 1))
        return transformed + self.translation[:, None]

    def where(self, condition: BoolArray, other: Similarities) -> Similarities:
        """(K,) these similarities where `condition` (K,) holds, `other` elsewhere."""
        return Similarities(
            np.where(condition, self.scale, other.scale),
            np.where(condition[:, None, None], self.rotation, other.rotation),
            np.where(condition[:, None], self.translation, other.translation),
        )

    def scaled(self, factor: float) -> Similarities:
        """The similarities into a target world that is `factor` times as large."""
        return Similarities(factor * self.scale, self.rotation, factor * self.translation)

    def inverse(self) -> Similarities:
        """The inverse similarities."""
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
    """`count` similarities that change nothing."""
    return Similarities(np.ones(count), np.tile(np.eye(3), (count, 1, 1)), np.zeros((count, 3)))


def joined(first: Similarities, second: Similarities) -> Similarities:
    """The similarities of `first`, then those of `second`."""
    return Similarities(
        np.concatenate([first.scale, second.scale]),
        np.concatenate([first.rotation, second.rotation]),
        np.concatenate([first.translation, second.translation]),
    )


def fit(source: FloatArray, target: FloatArray, weights: FloatArray, log_scale_weight: float = 0.0) -> Similarities:
    """The similarities (K,) from points `source` to points `target` (K, M, 3) that minimise, with `weights` w (K, M),

        ½ sum_i w_i || s R x_i + t - y_i ||² - log_scale_weight · log s

    (Umeyama, PAMI 1991). A positive `log_scale_weight` draws the scale upwards.
    """
    return _umeyama(source, target, weights, log_scale_weight)[0]


def _umeyama(
    source: FloatArray, target: FloatArray, weights: FloatArray, log_scale_weight: float
) -> tuple[Similarities, FloatArray]:
    """The similarities (K,) of `fit`, and the covariances' singular values (K, 3), largest first."""
    total = np.maximum(weights.sum(1), 1e-300)[:, None]
    share = (weights / total)[..., None]
    mean_source, mean_target = (share * source).sum(1), (share * target).sum(1)
    a, b = source - mean_source[:, None], target - mean_target[:, None]
    u, singular, vt = np.linalg.svd((share * b).transpose(0, 2, 1) @ a)
    sign = np.ones_like(singular)
    sign[:, 2] = np.sign(np.linalg.det(u) * np.linalg.det(vt))
    rotation = (u * sign[:, None]) @ vt
    along, spread = (singular * sign).sum(1), np.maximum((share * a * a).sum((1, 2)), 1e-300)
    root = np.sqrt(along**2 + 4 * spread * log_scale_weight / total[:, 0])
    scale = np.maximum((along + root) / (2 * spread), 1e-12)
    translation = mean_target - scale[:, None] * (rotation @ mean_source[..., None])[..., 0]
    return Similarities(scale, rotation, translation), singular


def fit_robust(
    source: FloatArray, target: FloatArray, weights: FloatArray, rounds: int = 10, log_scale_weight: float = 0.0
) -> Similarities:
    """As `fit`, but minimises the weighted sum of distances instead of half their squares, by `rounds` of Weiszfeld's
    reweighting."""
    fitted = fit(source, target, weights)
    for _ in range(rounds):
        distance = np.linalg.norm(fitted.apply(source) - target, axis=-1)
        typical = np.median(distance, axis=1, keepdims=True) + 1e-12
        fitted = fit(source, target, weights * Power(1, _NEAREST * typical).weight(distance), log_scale_weight)
    return fitted


class Similarity(NamedTuple):
    """One similarity y = `scale` × `rotation` (3, 3) x + `translation` (3,)."""

    scale: float
    rotation: FloatArray
    translation: FloatArray

    def apply(self, points: Array) -> FloatArray:
        """(..., 3): the similarity applied to `points` (..., 3)."""
        transformed: FloatArray = self.scale * np.asarray(points, np.float64) @ self.rotation.T + self.translation
        return transformed

    @property
    def inverse(self) -> Similarity:
        """The inverse similarity."""
        back = self.rotation.T
        return Similarity(1 / self.scale, back, -back @ self.translation / self.scale)

    def after(self, first: Similarity) -> Similarity:
        """The similarity that applies `first`, then this one."""
        return Similarity(self.scale * first.scale, self.rotation @ first.rotation, self.apply(first.translation))


IDENTITY = Similarity(1.0, np.eye(3), np.zeros(3))


def procrustes(source: Array, target: Array, weights: Array) -> Similarity:
    """The similarity from points `source` (N, 3) to points `target` (N, 3) in least squares with `weights` w (N,):

        argmin  sum_i w_i || s R x_i + t - y_i ||²,      R^T R = 1, det R = 1

    Points that are not finite on either side, or have no weight, are ignored. Raises ValueError where the rest does
    not determine a rotation: fewer than three points, or all on a line.
    """
    source, target = np.asarray(source, np.float64), np.asarray(target, np.float64)
    usable = np.isfinite(source).all(axis=1) & np.isfinite(target).all(axis=1) & (weights > 0)
    if usable.sum() < 3:
        raise ValueError("fewer than three points to align")
    weights = np.asarray(weights, np.float64)[usable]
    fitted, singular = _umeyama(source[usable][None], target[usable][None], weights[None], 0.0)
    if singular[0, 1] <= 1e-9 * singular[0, 0]:
        raise ValueError("the points to align lie on a line")
    return Similarity(float(fitted.scale[0]), fitted.rotation[0], fitted.translation[0])
