"""[R] From similarities between pairs of views to one similarity a view, whatever some of the pairs say. numpy only.

A measurement (i, j) says where view j's points lie in view i's frame: x_i = scale * rotation @ x_j + translation. They
are brought together in three linear steps, each robust: rotations (Chatterjee & Govindu, "Efficient and Robust
Large-Scale Rotation Averaging", ICCV 2013), logarithms of scales, translations. Wrong pairs are told from right ones
before, by the triangles that they close or do not close (Zach et al., "Disambiguating visual relations using loop
constraints", CVPR 2010), so the spanning tree that rotations start from avoids them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float64]
Int = NDArray[np.int64]
Bool = NDArray[np.bool_]

_LOOP_DEGREES, _LOOP_SHARE = 10.0, 0.25  # a triangle closes within this angle; in scale, and in units of depth
_MOST_TRIANGLES = 200_000
_UNLOOPED = 0.05  # trust in a measurement that closes no triangle, where 1 closes all
_ROUNDS = 20
_TYPICAL_DEGREES, _TYPICAL_SHARE = 3.0, 0.05  # errors of good measurements
# A measurement within _SPREAD times the median distance of the solution agrees, but that is at least and at most:
_SPREAD = 5.0
_DEGREES, _SHARE = (5.0, 20.0), (0.1, 0.5)
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
    return Similarities(np.ones(count), np.tile(np.eye(3), (count, 1, 1)), np.zeros((count, 3)))


def joined(first: Similarities, second: Similarities) -> Similarities:
    """Both lists in one."""
    return Similarities(
        np.concatenate([first.scale, second.scale]),
        np.concatenate([first.rotation, second.rotation]),
        np.concatenate([first.translation, second.translation]),
    )


def fit(source: Float, target: Float, weights: Float) -> Similarities:
    """Least-squares similarities (K,) from `source` to `target` (K, M, 3), weighted (K, M) (Umeyama, PAMI 1991)."""
    total = np.maximum(weights.sum(1), 1e-300)[:, None]
    share = (weights / total)[..., None]
    middle_source, middle_target = (share * source).sum(1), (share * target).sum(1)
    a, b = source - middle_source[:, None], target - middle_target[:, None]
    u, s, vt = np.linalg.svd((share * b).transpose(0, 2, 1) @ a)
    sign = np.ones_like(s)
    sign[:, 2] = np.sign(np.linalg.det(u) * np.linalg.det(vt))
    rotation = (u * sign[:, None]) @ vt
    scale = (s * sign).sum(1) / np.maximum((share * a * a).sum((1, 2)), 1e-300)
    scale = np.maximum(scale, 1e-12)
    return Similarities(scale, rotation, middle_target - scale[:, None] * (rotation @ middle_source[..., None])[..., 0])


def fit_robust(source: Float, target: Float, weights: Float, rounds: int = 10) -> Similarities:
    """As `fit`, but minimising the weighted sum of distances instead of their squares (Weiszfeld's reweighting)."""
    found = fit(source, target, weights)
    for _ in range(rounds):
        distance = np.linalg.norm(found.apply(source) - target, axis=-1)
        typical = np.median(distance, axis=1, keepdims=True) + 1e-12
        found = fit(source, target, weights / np.maximum(distance, _NEAREST * typical))
    return found


def angles(rotation: Float) -> Float:
    """Rotation angles (K,) in radians of (K, 3, 3), exact also near 0."""
    sine = np.linalg.norm(_skew_part(rotation), axis=-1)
    return np.arctan2(sine, (np.trace(rotation, axis1=-2, axis2=-1) - 1) / 2)


def rotations(vectors: Float) -> Float:
    """(K, 3, 3) from rotation vectors (K, 3) in radians (Rodrigues)."""
    angle = np.linalg.norm(vectors, axis=-1)[:, None, None]
    cross = np.zeros((len(vectors), 3, 3))
    cross[:, [2, 0, 1], [1, 2, 0]] = vectors
    cross[:, [1, 2, 0], [2, 0, 1]] = -vectors
    small = np.maximum(angle, 1e-12)
    turned: Float = np.eye(3) + np.sin(angle) / small * cross + (1 - np.cos(angle)) / small**2 * cross @ cross
    return turned


def rotation_vectors(rotation: Float) -> Float:
    """The inverse of `rotations`, angles below pi."""
    skew = _skew_part(rotation)
    sine = np.linalg.norm(skew, axis=-1, keepdims=True)
    return skew / np.maximum(sine, 1e-12) * angles(rotation)[:, None]


def components(count: int, pairs: Int) -> Int:
    """(count,) the number of the connected part that each node belongs to, the largest part being 0."""
    label = np.arange(count)
    while True:
        lowest = label.copy()
        np.minimum.at(lowest, pairs[:, 0], label[pairs[:, 1]])
        np.minimum.at(lowest, pairs[:, 1], label[pairs[:, 0]])
        lowest = lowest[lowest]
        if (lowest == label).all():
            break
        label = lowest
    _, number, size = np.unique(label, return_inverse=True, return_counts=True)
    rank = np.empty(len(size), int)
    rank[np.argsort(-size, kind="stable")] = np.arange(len(size))
    found: Int = rank[number]
    return found


def synchronise(count: int, pairs: Int, measured: Similarities, surety: Float) -> Similarities:
    """World from each of `count` views, from measurements `pairs` (K, 2) that join all of them.

    `surety` (K,) > 0 weighs the measurements. Translations are taken in units of the first view of each pair, whose
    points are near 1 deep. The world is the frame of the view that the spanning tree starts from.
    """
    trust = surety * (loop_support(count, pairs, measured) + _UNLOOPED)
    views = _along_tree(count, pairs, measured, trust)
    i, j = pairs.T
    rotation = views.rotation
    typical = np.radians(_TYPICAL_DEGREES)
    for _ in range(_ROUNDS):
        off = rotation_vectors(rotation[i] @ measured.rotation @ rotation[j].transpose(0, 2, 1))
        rotation = rotations(_differences(count, pairs, off, _faded(trust, off, typical))) @ rotation
    trust = _faded(trust, off, typical)
    scale = np.exp(_robust_differences(count, pairs, np.log(measured.scale)[:, None], trust, _TYPICAL_SHARE)[:, 0])
    step = scale[i, None] * (rotation[i] @ measured.translation[..., None])[..., 0]
    translation = _robust_differences(count, pairs, step, trust / scale[i] ** 2, _TYPICAL_SHARE * scale[i])
    return Similarities(scale, rotation, translation)


def agreeing(pairs: Int, measured: Similarities, views: Similarities) -> Bool:
    """(K,) which measurements the solution bears out, in rotation, scale and translation (by units of depth)."""
    i, j = pairs.T
    off = views[i].after(measured).after(views[j].inverse())
    step = views[i].after(measured).translation - views[j].translation
    kept = np.ones(len(pairs), bool)
    for error, (least, most) in (
        (np.degrees(angles(off.rotation)), _DEGREES),
        (np.abs(np.log(off.scale)), _SHARE),
        (np.linalg.norm(step, axis=1) / views.scale[i], _SHARE),
    ):
        # The median of what is kept so far: pairs that are wrong altogether do not widen what is forgiven.
        typical = float(np.median(error[kept])) if kept.any() else 0.0
        kept &= error < np.clip(_SPREAD * typical, least, most)
    return kept


def closed(loop: Similarities) -> Bool:
    """(K,) whether going round a loop ends near where it began."""
    found: Bool = (
        (np.degrees(angles(loop.rotation)) < _LOOP_DEGREES)
        & (np.abs(np.log(loop.scale)) < _LOOP_SHARE)
        & (np.linalg.norm(loop.translation, axis=1) < _LOOP_SHARE)
    )
    return found


def loop_support(count: int, pairs: Int, measured: Similarities) -> Float:
    """(K,) share of the triangles through each measurement that close; 0 where there is none."""
    number = np.full((count, count), -1)
    number[pairs[:, 0], pairs[:, 1]] = np.arange(len(pairs))
    joined = (number >= 0) | (number >= 0).T
    both = joined[pairs[:, 0]] & joined[pairs[:, 1]]
    edge, third = np.nonzero(both & (np.arange(count) > pairs.max(1)[:, None]))
    step = len(edge) // _MOST_TRIANGLES + 1
    edge, third = edge[::step], third[::step]
    i, j = pairs[edge].T
    legs = [(i, j), (j, third), (third, i)]
    moves = [_directed(number, measured, a, b) for a, b in legs]
    loop = moves[0].after(moves[1]).after(moves[2])
    good, total = np.zeros(len(pairs)), np.zeros(len(pairs))
    for a, b in legs:
        used = np.maximum(number[a, b], number[b, a])
        np.add.at(good, used, closed(loop))
        np.add.at(total, used, 1)
    return good / np.maximum(total, 1)


def _directed(number: Int, measured: Similarities, a: Int, b: Int) -> Similarities:
    """Frame a from frame b, whichever way round it was measured; `number` (N, N) finds the measurement, -1 for none."""
    there, back = measured[number[a, b]], measured[number[b, a]].inverse()
    return there.where(number[a, b] >= 0, back)


def _along_tree(count: int, pairs: Int, measured: Similarities, trust: Float) -> Similarities:
    """World from each view along the spanning tree of most trust (Prim), from the view that is trusted most."""
    weight = np.zeros((count, count))
    np.maximum.at(weight, (pairs[:, 0], pairs[:, 1]), trust)
    weight = np.maximum(weight, weight.T)
    number = np.full((count, count), -1)
    number[pairs[:, 0], pairs[:, 1]] = np.arange(len(pairs))
    views = identities(count)
    start = int(weight.sum(0).argmax())
    inside = np.zeros(count, bool)
    inside[start] = True
    parent = np.full(count, start)
    best = weight[start].copy()
    for _ in range(count - 1):
        new = int(np.where(inside, -1, best).argmax())
        old = parent[new : new + 1]
        moved = views[old].after(_directed(number, measured, old, np.array([new])))
        views.scale[new], views.rotation[new], views.translation[new] = (
            moved.scale[0],
            moved.rotation[0],
            moved.translation[0],
        )
        inside[new] = True
        closer = weight[new] > best
        best, parent = np.where(closer, weight[new], best), np.where(closer, new, parent)
    return views


def _faded(trust: Float, error: Float, typical: float | Float) -> Float:
    """Cauchy's weights: `trust` (K,), less where the error (K, D) is more than typical."""
    return trust / (1 + (np.linalg.norm(error, axis=1) / typical) ** 2)


def _robust_differences(count: int, pairs: Int, values: Float, trust: Float, typical: float | Float) -> Float:
    """As `_differences`, while measurements that the rest contradicts fade away."""
    error = np.zeros_like(values)
    for _ in range(_ROUNDS):
        found = _differences(count, pairs, values, _faded(trust, error, typical))
        error = values - (found[pairs[:, 1]] - found[pairs[:, 0]])
    return found


def _differences(count: int, pairs: Int, values: Float, weights: Float) -> Float:
    """x (count, D) with x[j] - x[i] near `values` (K, D) in weighted least squares, and mean 0."""
    i, j = pairs.T
    laplacian = np.zeros((count, count))
    np.add.at(laplacian, (i, i), weights)
    np.add.at(laplacian, (j, j), weights)
    np.subtract.at(laplacian, (i, j), weights)
    np.subtract.at(laplacian, (j, i), weights)
    right = np.zeros((count, values.shape[1]))
    np.add.at(right, j, weights[:, None] * values)
    np.subtract.at(right, i, weights[:, None] * values)
    # The constant that differences leave open takes one more equation: mean 0.
    found: Float = np.linalg.solve(laplacian + weights.mean() / count, right)
    return found


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
