"""[S] One similarity (rotation, scale, translation): fitted to points, applied, composed. Numpy only."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .arrays import Array, FloatArray


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
    def matrix(self) -> FloatArray:
        """(4, 4) the similarity as a matrix."""
        matrix = np.eye(4)
        matrix[:3, :3], matrix[:3, 3] = self.scale * self.rotation, self.translation
        return matrix

    @property
    def inverse(self) -> Similarity:
        """The inverse similarity."""
        back = self.rotation.T
        return Similarity(1 / self.scale, back, -back @ self.translation / self.scale)

    def after(self, first: Similarity) -> Similarity:
        """The similarity that applies `first`, then this one."""
        return Similarity(self.scale * first.scale, self.rotation @ first.rotation, self.apply(first.translation))


IDENTITY = Similarity(1.0, np.eye(3), np.zeros(3))


class Fitted(NamedTuple):
    """K similarities of shapes (K,), (K, 3, 3), (K, 3), and the covariances' singular values (K, 3), largest first."""

    scale: FloatArray
    rotation: FloatArray
    translation: FloatArray
    singular: FloatArray


def umeyama(source: FloatArray, target: FloatArray, weights: FloatArray, log_scale_weight: float = 0.0) -> Fitted:
    """The similarities (K,) from points `source` to points `target` (K, M, 3) that minimise, with `weights` w (K, M),

        ½ sum_i w_i || s R x_i + t - y_i ||² - log_scale_weight · log s

    (Umeyama, PAMI 1991). A positive `log_scale_weight` draws the scale upwards.
    """
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
    return Fitted(scale, rotation, translation, singular)


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
    fitted = umeyama(source[usable][None], target[usable][None], weights[None])
    if fitted.singular[0, 1] <= 1e-9 * fitted.singular[0, 0]:
        raise ValueError("the points to align lie on a line")
    return Similarity(float(fitted.scale[0]), fitted.rotation[0], fitted.translation[0])
