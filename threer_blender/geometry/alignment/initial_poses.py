"""[R] The photos' initial poses by their pairwise predictions, and the photos that do not connect. numpy.

Each photo has a frame of its own: its camera's, in the unit that makes the median depth 1. A prediction of a pair,
fitted to the pointmaps of its two photos in their own frames, gives a similarity between these frames.
`synchronisation` combines the similarities to one per photo and finds the wrong pairs.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from ...model.arrays import BoolArray, FloatArray, IntArray
from ...model.errors import UserError
from .. import rotations, similarities
from ..similarities import Similarities
from . import synchronisation
from .samples import Sampled

_LEAST_CONFIDENT = 0.08  # share of confident pixels, in both photos, below which a pair does not overlap
_LEAST_AGREEING = 0.25  # share of a photo's overlapping pairs that must agree with a solution, or it is unregistered
_LEAST_CLOSING = 0.2  # share of the spare pairs that must agree with a solution, or the pairs contradict each other
_ENOUGH_SPARE = 3  # spare pairs, those beyond a tree; with fewer, only gross errors count as contradictions
_DOUBT = 0.1  # factor of a pair's confidence where its two predictions contradict each other


class Unconnected(UserError):
    """No photos can be brought into one world: no confident prediction connects two, or all contradict each other."""


@dataclass(frozen=True)
class Measured:
    """E predictions as measurements between their photos' own frames.

    `ends` (E, 2) are the two photos; `first_from_second` (E,) the similarities between their own frames; `units` (E,)
    the length of the first photo's own unit in the prediction's unit; `confidence` (E,); `usable` (E,) bool says
    whether the photos overlap.
    """

    ends: IntArray
    first_from_second: Similarities
    units: FloatArray
    confidence: FloatArray
    usable: BoolArray


def measure(sampled: Sampled, camera_points: list[FloatArray]) -> Measured:
    """Fits each prediction to both photos' `camera_points` (S, 3), a photo's sampled points in its own frame."""
    count = len(sampled.edges)
    size = max((len(points) for points in camera_points), default=0)
    source, target, weights = np.zeros((count, size, 3)), np.zeros((count, size, 3)), np.zeros((count, size))
    units = np.ones(count)
    for photo, sides in enumerate(sampled.sides):
        for row, (index, side) in enumerate(sides):
            predicted, weight = sampled.points[photo][row], sampled.weights[photo][row]
            if side:
                source[index, : len(predicted)], target[index, : len(predicted)] = camera_points[photo], predicted
                weights[index, : len(predicted)] = weight
            elif (weight > 0).any():
                length = np.linalg.norm(camera_points[photo][weight > 0], axis=-1)
                units[index] = np.median(np.linalg.norm(predicted[weight > 0], axis=-1) / np.maximum(length, 1e-9))
    ends = np.array([(edge.first, edge.second) for edge in sampled.edges]).reshape(-1, 2)
    known = np.array([points.any() for points in camera_points])
    usable = (sampled.confident_share.min(1) >= _LEAST_CONFIDENT) & known[ends].all(1) & (ends[:, 0] != ends[:, 1])
    first_from_second = similarities.identities(count)
    fitted = similarities.fit_robust(source[usable], target[usable], weights[usable])  # prediction from second
    first_from_second.scale[usable], first_from_second.rotation[usable] = fitted.scale / units[usable], fitted.rotation
    first_from_second.translation[usable] = fitted.translation / units[usable, None]
    return Measured(ends, first_from_second, units, sampled.mean_weight.prod(1), usable)


@dataclass(frozen=True)
class Anchors:
    """`photos` (M,) that are registered already, and `world` (M,) from their own frames."""

    photos: IntArray
    world: Similarities


UNANCHORED = Anchors(np.zeros(0, np.int64), similarities.identities(0))


def estimate(count: int, measured: Measured, anchors: Anchors = UNANCHORED) -> tuple[BoolArray, Similarities]:
    """The registered ones of `count` photos, (count,) bool, and world from each one's own frame (the identity for the
    others).

    With `anchors`, the photos that connect to them are registered, in the anchors' world; without, the largest
    connected part. Photos that too few of their pairs agree with are removed, and the rest is solved again. Raises
    Unconnected where no photos connect, or the pairs contradict each other.
    """
    pairs, relative, confidence = _both_ways(measured)
    anchored = np.zeros(count, bool)
    anchored[anchors.photos] = True
    pairs, relative, confidence = _with_anchors(pairs, relative, confidence, anchors)
    registered, trusted = np.ones(count, bool), np.ones(len(pairs), bool)
    while True:
        registered = registered & _connected_part(count, pairs[trusted & registered[pairs].all(1)], anchored)
        if registered.sum() < 2 and anchored.any():
            return registered, similarities.identities(count)
        if registered.sum() < 2:
            raise Unconnected(
                "No two of these photos show enough of the same things; take photos that overlap by more than half."
            )
        between_registered = registered[pairs].all(1)
        number = np.cumsum(registered) - 1
        local_pairs, local_relative = number[pairs[between_registered]], relative[between_registered]
        solved = synchronisation.synchronise(
            int(registered.sum()), local_pairs, local_relative, confidence[between_registered]
        )
        agreeing = synchronisation.agreeing(local_pairs, local_relative, solved)
        trusted = np.zeros(len(pairs), bool)
        trusted[between_registered] = agreeing
        spare = len(local_pairs) - (len(solved) - 1)  # pairs beyond a spanning tree, with which any solution agrees
        closing = synchronisation.agreeing(local_pairs, local_relative, solved, lenient=spare < _ENOUGH_SPARE)
        if closing.sum() - (len(solved) - 1) < _LEAST_CLOSING * spare:
            raise Unconnected(
                "What the pairs of these photos say contradicts itself; take photos that overlap by more than half, "
                "of things that do not look alike from different places."
            )
        supporting, total = (
            np.bincount(ends.ravel(), minlength=len(solved)) for ends in (local_pairs[agreeing], local_pairs)
        )
        supported = supporting >= _LEAST_AGREEING * total
        connected = _connected_part(len(solved), local_pairs[agreeing], anchored[registered])
        remaining = anchored[registered] | (supported & connected)
        if remaining.all():
            break
        registered[np.flatnonzero(registered)[~remaining]] = False
    if anchored.any():
        solved = _in_anchors_world(anchors, solved, number)
    views = similarities.identities(count)
    views.scale[registered], views.rotation[registered], views.translation[registered] = (
        solved.scale,
        solved.rotation,
        solved.translation,
    )
    return registered, views


def _connected_part(count: int, pairs: IntArray, anchored: BoolArray) -> BoolArray:
    """(count,) bool: the connected part of the graph that contains the first anchor; without anchors, the largest."""
    part = synchronisation.components(count, pairs)
    number = part[anchored][0] if anchored.any() else 0
    inside: BoolArray = part == number
    return inside


def _with_anchors(
    pairs: IntArray, relative: Similarities, confidence: FloatArray, anchors: Anchors
) -> tuple[IntArray, Similarities, FloatArray]:
    """The measurements that involve a new photo, and exact ones between anchors: between each and the next, and between
    those that are paired with the same new photo."""
    at = {int(photo): index for index, photo in enumerate(anchors.photos)}
    joined = set(pairwise(sorted(at)))
    known = np.isin(pairs, anchors.photos)
    for new in np.unique(pairs[~known]):
        near = sorted(int(photo) for photo in pairs[(pairs == new).any(1)].ravel() if int(photo) in at)
        joined |= {(a, b) for a in near for b in near if a < b}
    exact = np.array(sorted(joined), int).reshape(-1, 2)
    first, second = (anchors.world[[at[int(photo)] for photo in side]] for side in exact.T)
    new_pairs = ~known.all(1)
    return (
        np.concatenate([pairs[new_pairs], exact]),
        similarities.joined(relative[new_pairs], first.inverse().after(second)),
        np.concatenate([confidence[new_pairs], np.full(len(exact), confidence.max(initial=1.0))]),
    )


def _in_anchors_world(anchors: Anchors, solved: Similarities, number: IntArray) -> Similarities:
    """The solution in the anchors' world: the similarity that fits the origins and unit axes of the anchors' own
    frames."""
    arms = np.concatenate([np.zeros((1, 3)), np.eye(3)])
    ours, theirs = (
        frames.apply(np.tile(arms, (len(frames), 1, 1))) for frames in (solved[number[anchors.photos]], anchors.world)
    )
    flat = ours.reshape(1, -1, 3), theirs.reshape(1, -1, 3)
    anchors_from_solved = similarities.fit(*flat, np.ones(flat[0].shape[:2]))
    return anchors_from_solved[np.zeros(len(solved), int)].after(solved)


def _both_ways(measured: Measured) -> tuple[IntArray, Similarities, FloatArray]:
    """One measurement for each unordered pair of photos, from its one or two predictions: the pairs (K, 2), first <
    second, the similarities (K,), and their confidence (K,).

    Two predictions that agree are averaged. Of two that do not, the more confident one is taken, with the share _DOUBT
    of its confidence.
    """
    usable = np.flatnonzero(measured.usable)
    ends, relative, confidence = measured.ends[usable], measured.first_from_second[usable], measured.confidence[usable]
    swapped = ends[:, 0] > ends[:, 1]
    relative = relative.inverse().where(swapped, relative)
    ends = np.sort(ends, axis=1)
    order = np.lexsort((-confidence, ends[:, 1], ends[:, 0]))  # the more confident of two comes first
    ends, relative, confidence = ends[order], relative[order], confidence[order]
    new = np.ones(len(ends), bool)
    new[1:] = (np.diff(ends, axis=0) != 0).any(1)
    first = np.flatnonzero(new)
    second = np.minimum(first + 1, len(ends) - 1)
    twice = ~new[second]
    a, b = relative[first], relative[np.where(twice, second, first)]
    consistent = synchronisation.closed(a.after(b.inverse()))
    half = rotations.from_vectors(0.5 * rotations.to_vectors(a.rotation.transpose(0, 2, 1) @ b.rotation))
    mean = Similarities(np.sqrt(a.scale * b.scale), a.rotation @ half, 0.5 * (a.translation + b.translation))
    return ends[first], mean.where(consistent, a), confidence[first] * np.where(consistent, 1.0, _DOUBT)
