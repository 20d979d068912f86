"""[R] Many similarities (rotation, scale, translation) at once: fitted to points, applied, composed. numpy only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..model.arrays import BoolArray, FloatArray
from ..model.similarity import umeyama
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
    return Similarities(*umeyama(source, target, weights, log_scale_weight)[:3])


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
