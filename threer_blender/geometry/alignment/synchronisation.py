"""[R] From similarities between pairs of views to one similarity per view, robust to wrong pairs. numpy only.

A measurement (i, j) takes view j's points to view i's frame: x_i = scale * rotation @ x_j + translation. Views are
solved in three steps of robust linear least squares: rotations (Chatterjee & Govindu, "Efficient and Robust Large-Scale
Rotation Averaging", ICCV 2013), logarithms of scales, translations. Wrong pairs are recognised before, by the triangles
that they do not close (Zach et al., "Disambiguating visual relations using loop constraints", CVPR 2010), so the
spanning tree that the rotations start from avoids them.
"""

from __future__ import annotations

import numpy as np

from ...model.arrays import BoolArray, FloatArray, IntArray
from .. import rotations
from ..robust_losses import Cauchy
from ..similarities import Similarities, identities

_LOOP_DEGREES = 10.0  # largest error of rotation of a triangle that closes
_LOOP_SHARE = 0.25  # its largest error of the logarithm of scale, and of translation in units of depth
_MOST_TRIANGLES = 200_000  # that are checked
_UNLOOPED = 0.05  # added to the share of a measurement's triangles that close, so that one with none keeps some trust
_ROUNDS = 20  # of reweighting
# Errors of good measurements, the scales of the robust losses: of rotation; of log scale, and translation over depth.
_TYPICAL_DEGREES, _TYPICAL_SHARE = 3.0, 0.05
_TOLERANCE = 5.0  # times the median error: a measurement with a smaller error agrees, within the limits below
_DEGREES = (5.0, 20.0)  # the least and the largest tolerance of rotation
_SHARE = (0.1, 0.5)  # the least and the largest tolerance of log scale, and of translation in units of depth


def components(count: int, pairs: IntArray) -> IntArray:
    """(count,) the number of each node's connected part, in the graph of the edges `pairs` (K, 2). The largest part has
    the number 0."""
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
    part: IntArray = rank[number]
    return part


def synchronise(count: int, pairs: IntArray, measured: Similarities, confidence: FloatArray) -> Similarities:
    """World from each of `count` views, from the similarities `measured` (K,) of `pairs` (K, 2), which connect all
    views.

    `confidence` (K,) > 0 weights the measurements. Errors of translation are taken in the unit of the pair's first
    view, in which its points have a depth of about 1. The world has about the axes of the view that the spanning tree
    starts from; its origin is the mean of the views' origins, and the mean logarithm of their scales is 0.
    """
    trust = confidence * (loop_support(count, pairs, measured) + _UNLOOPED)
    views = _along_tree(count, pairs, measured, trust)
    i, j = pairs.T
    rotation = views.rotation
    typical = np.radians(_TYPICAL_DEGREES)
    for _ in range(_ROUNDS):
        off = rotations.to_vectors(rotation[i] @ measured.rotation @ rotation[j].transpose(0, 2, 1))
        rotation = rotations.from_vectors(_differences(count, pairs, off, _faded(trust, off, typical))) @ rotation
    trust = _faded(trust, off, typical)
    scale = np.exp(_robust_differences(count, pairs, np.log(measured.scale)[:, None], trust, _TYPICAL_SHARE)[:, 0])
    step = scale[i, None] * (rotation[i] @ measured.translation[..., None])[..., 0]
    translation = _robust_differences(count, pairs, step, trust / scale[i] ** 2, _TYPICAL_SHARE * scale[i])
    return Similarities(scale, rotation, translation)


def agreeing(pairs: IntArray, measured: Similarities, views: Similarities, lenient: bool = False) -> BoolArray:
    """(K,) bool: the measurements that agree with the solution in rotation, scale, and translation in units of depth.

    The tolerance follows from the median error, within limits; `lenient` takes the upper limits.
    """
    i, j = pairs.T
    off = views[i].after(measured).after(views[j].inverse())
    step = views[i].after(measured).translation - views[j].translation
    agrees = np.ones(len(pairs), bool)
    for error, (least, most) in (
        (np.degrees(rotations.angles(off.rotation)), _DEGREES),
        (np.abs(np.log(off.scale)), _SHARE),
        (np.linalg.norm(step, axis=1) / views.scale[i], _SHARE),
    ):
        # The median of those that agree so far, so that pairs which are wrong altogether do not widen the tolerance.
        typical = float(np.median(error[agrees])) if agrees.any() else 0.0
        agrees &= error < (most if lenient else np.clip(_TOLERANCE * typical, least, most))
    return agrees


def closed(loop: Similarities) -> BoolArray:
    """(K,) bool: whether the similarity around a loop is near the identity."""
    closes: BoolArray = (
        (np.degrees(rotations.angles(loop.rotation)) < _LOOP_DEGREES)
        & (np.abs(np.log(loop.scale)) < _LOOP_SHARE)
        & (np.linalg.norm(loop.translation, axis=1) < _LOOP_SHARE)
    )
    return closes


def loop_support(count: int, pairs: IntArray, measured: Similarities) -> FloatArray:
    """(K,) of the triangles of measurements that contain each one, the share that closes; 0 where there is none."""
    number = np.full((count, count), -1)
    number[pairs[:, 0], pairs[:, 1]] = np.arange(len(pairs))
    joined = (number >= 0) | (number >= 0).T
    both = joined[pairs[:, 0]] & joined[pairs[:, 1]]
    edge, third = np.nonzero(both & (np.arange(count) > pairs.max(1)[:, None]))
    step = len(edge) // _MOST_TRIANGLES + 1
    edge, third = edge[::step], third[::step]
    i, j = pairs[edge].T
    legs = [(i, j), (j, third), (third, i)]
    steps = [_directed(number, measured, a, b) for a, b in legs]
    loop = steps[0].after(steps[1]).after(steps[2])
    good, total = np.zeros(len(pairs)), np.zeros(len(pairs))
    for a, b in legs:
        used = np.maximum(number[a, b], number[b, a])
        np.add.at(good, used, closed(loop))
        np.add.at(total, used, 1)
    return good / np.maximum(total, 1)


def _directed(number: IntArray, measured: Similarities, a: IntArray, b: IntArray) -> Similarities:
    """Frame a from frame b, whichever way round it was measured. `number` (N, N) is the number of the measurement of a
    pair, -1 where there is none."""
    there, back = measured[number[a, b]], measured[number[b, a]].inverse()
    return there.where(number[a, b] >= 0, back)


def _along_tree(count: int, pairs: IntArray, measured: Similarities, trust: FloatArray) -> Similarities:
    """World from each view, along the maximum spanning tree by `trust` (K,) (Prim), from the view of most trust."""
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
        reached = views[old].after(_directed(number, measured, old, np.array([new])))
        views.scale[new], views.rotation[new], views.translation[new] = (
            reached.scale[0],
            reached.rotation[0],
            reached.translation[0],
        )
        inside[new] = True
        closer = weight[new] > best
        best, parent = np.where(closer, weight[new], best), np.where(closer, new, parent)
    return views


def _faded(trust: FloatArray, error: FloatArray, typical: float | FloatArray) -> FloatArray:
    """(K,) `trust` times Cauchy's weight of the `error` (K, D) at the scale `typical`."""
    return trust * Cauchy(typical).weight(np.linalg.norm(error, axis=1))


def _robust_differences(
    count: int, pairs: IntArray, values: FloatArray, trust: FloatArray, typical: float | FloatArray
) -> FloatArray:
    """As `_differences`, with Cauchy's weights at the scale `typical`, so that measurements which the rest contradicts
    count little."""
    error = np.zeros_like(values)
    for _ in range(_ROUNDS):
        solution = _differences(count, pairs, values, _faded(trust, error, typical))
        error = values - (solution[pairs[:, 1]] - solution[pairs[:, 0]])
    return solution


def _differences(count: int, pairs: IntArray, values: FloatArray, weights: FloatArray) -> FloatArray:
    """x (count, D) of mean 0 for which x[j] - x[i] is nearest to `values` (K, D) in weighted least squares."""
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
    solution: FloatArray = np.linalg.solve(laplacian + weights.mean() / count, right)
    return solution
