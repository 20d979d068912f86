"""[R] Where photos stand by their pairwise predictions, before anything is refined; and which do not connect. numpy.

Each prediction is fitted to its photos' own pointmaps, which makes it a similarity between two photos' own frames;
`synchronisation` brings those together and shows which pairs are wrong.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from ...model.errors import UserError
from .. import similarities
from ..similarities import Similarities
from . import synchronisation
from .samples import Sampled

Float = NDArray[np.float64]
Int = NDArray[np.int64]
Bool = NDArray[np.bool_]

_LEAST_SURE = 0.08  # share of sure pixels, in both photos, below which a pair does not overlap
_LEAST_AGREEING = 0.25  # share of a photo's overlapping pairs that a solution must bear out
_LEAST_CLOSING = 0.2  # share of the pairs that close loops which must do so; a tree with a wrong pair is no answer
_ENOUGH_SPARE = 3  # so many pairs that close loops tell how well they may; fewer refuse photos only by gross errors
_DOUBT = 0.1  # surety of a pair whose two predictions contradict each other


class Unconnected(UserError):
    """Nothing that the network says for certain brings two photos together."""


@dataclass(frozen=True)
class Measured:
    """What the predictions (E,) say of their photos' own frames: `ends` (E, 2) photos, `moves` first from second frame,
    `units` (E,) the prediction's unit in the first photo's own, `surety` (E,); `usable` (E,) where photos overlap."""

    ends: Int
    moves: Similarities
    units: Float
    surety: Float
    usable: Bool


def measure(seen: Sampled, own: list[Float]) -> Measured:
    """Fits each prediction to its photos' own points, on both sides."""
    count = len(seen.edges)
    size = max((len(points) for points in own), default=0)
    source, target, weights = np.zeros((count, size, 3)), np.zeros((count, size, 3)), np.zeros((count, size))
    units = np.ones(count)
    for photo, sides in enumerate(seen.sides):
        for row, (index, side) in enumerate(sides):
            said, weight = seen.points[photo][row], seen.weights[photo][row]
            if side:
                source[index, : len(said)], target[index, : len(said)] = own[photo], said
                weights[index, : len(said)] = weight
            elif (weight > 0).any():
                length = np.linalg.norm(own[photo][weight > 0], axis=-1)
                units[index] = np.median(np.linalg.norm(said[weight > 0], axis=-1) / np.maximum(length, 1e-9))
    ends = np.array([(edge.first, edge.second) for edge in seen.edges]).reshape(-1, 2)
    known = np.array([points.any() for points in own])
    usable = (seen.sure.min(1) >= _LEAST_SURE) & known[ends].all(1) & (ends[:, 0] != ends[:, 1])
    fitted = similarities.identities(count)
    to = similarities.fit_robust(source[usable], target[usable], weights[usable])
    fitted.scale[usable], fitted.rotation[usable] = to.scale / units[usable], to.rotation
    fitted.translation[usable] = to.translation / units[usable, None]
    return Measured(ends, fitted, units, seen.mean_weight.prod(1), usable)


@dataclass(frozen=True)
class Anchors:
    """Photos (M,) that have their place already: `world` (M,) from their own frames."""

    photos: Int
    world: Similarities


UNANCHORED = Anchors(np.zeros(0, np.int64), similarities.identities(0))


def place(count: int, measured: Measured, anchors: Anchors = UNANCHORED) -> tuple[Bool, Similarities]:
    """Which photos connect, and world from each photo's own frame (an identity where it does not).

    What connects to the `anchors`, in their world; without any, the largest connected part. Raises Unconnected where no
    photos connect, or all pairs contradict each other.
    """
    pairs, moves, surety = _both_ways(measured)
    anchored = np.zeros(count, bool)
    anchored[anchors.photos] = True
    pairs, moves, surety = _with_anchors(pairs, moves, surety, anchors)
    placed, trusted = np.ones(count, bool), np.ones(len(pairs), bool)
    while True:
        placed = placed & _home(count, pairs[trusted & placed[pairs].all(1)], anchored)
        if placed.sum() < 2 and anchored.any():
            return placed, similarities.identities(count)
        if placed.sum() < 2:
            raise Unconnected(
                "No two of these photos show enough of the same things; take photos that overlap by more than half."
            )
        kept = placed[pairs].all(1)
        number = np.cumsum(placed) - 1
        local, inner = number[pairs[kept]], moves[kept]
        solved = synchronisation.synchronise(int(placed.sum()), local, inner, surety[kept])
        agreeing = synchronisation.agreeing(local, inner, solved)
        trusted = np.zeros(len(pairs), bool)
        trusted[kept] = agreeing
        spare = len(local) - (len(solved) - 1)  # pairs beyond a tree, which any pairs agree on
        closing = synchronisation.agreeing(local, inner, solved, forgiving=spare < _ENOUGH_SPARE)
        if closing.sum() - (len(solved) - 1) < _LEAST_CLOSING * spare:
            raise Unconnected(
                "What the pairs of these photos say contradicts itself; take photos that overlap by more than half, "
                "of things that do not look alike from different places."
            )
        per_view = [np.bincount(some.ravel(), minlength=len(solved)) for some in (local[agreeing], local)]
        borne_out = per_view[0] >= _LEAST_AGREEING * per_view[1]
        fine = anchored[placed] | (borne_out & _home(len(solved), local[agreeing], anchored[placed]))
        if fine.all():
            break
        placed[np.flatnonzero(placed)[~fine]] = False
    if anchored.any():
        solved = _moved_to(anchors, solved, number)
    views = similarities.identities(count)
    views.scale[placed], views.rotation[placed], views.translation[placed] = (
        solved.scale,
        solved.rotation,
        solved.translation,
    )
    return placed, views


def _home(count: int, pairs: Int, anchored: Bool) -> Bool:
    """(count,) the part of the graph that holds the anchors, or without any the largest."""
    part = synchronisation.components(count, pairs)
    home = part[anchored][0] if anchored.any() else 0
    found: Bool = part == home
    return found


def _with_anchors(pairs: Int, moves: Similarities, surety: Float, anchors: Anchors) -> tuple[Int, Similarities, Float]:
    """The measurements and exact ones between anchors: of each with the next, and of those that share a new photo."""
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
        similarities.joined(moves[new_pairs], first.inverse().after(second)),
        np.concatenate([surety[new_pairs], np.full(len(exact), surety.max(initial=1.0))]),
    )


def _moved_to(anchors: Anchors, solved: Similarities, number: Int) -> Similarities:
    """The solution in the anchors' world, by their centres and a unit along each of their axes."""
    arms = np.concatenate([np.zeros((1, 3)), np.eye(3)])
    ours, theirs = (
        some.apply(np.tile(arms, (len(some), 1, 1))) for some in (solved[number[anchors.photos]], anchors.world)
    )
    flat = ours.reshape(1, -1, 3), theirs.reshape(1, -1, 3)
    move = similarities.fit(*flat, np.ones(flat[0].shape[:2]))
    return move[np.zeros(len(solved), int)].after(solved)


def _both_ways(measured: Measured) -> tuple[Int, Similarities, Float]:
    """One measurement for each unordered pair (K, 2), first < second, from its one or two predictions; its surety (K,).

    Two that agree are averaged. Of two that do not, the surer one stays, hardly trusted.
    """
    usable = np.flatnonzero(measured.usable)
    ends, moves, surety = measured.ends[usable], measured.moves[usable], measured.surety[usable]
    swapped = ends[:, 0] > ends[:, 1]
    moves = moves.inverse().where(swapped, moves)
    ends = np.sort(ends, axis=1)
    order = np.lexsort((-surety, ends[:, 1], ends[:, 0]))  # the surer of two comes first
    ends, moves, surety = ends[order], moves[order], surety[order]
    new = np.ones(len(ends), bool)
    new[1:] = (np.diff(ends, axis=0) != 0).any(1)
    first = np.flatnonzero(new)
    second = np.minimum(first + 1, len(ends) - 1)
    twice = ~new[second]
    a, b = moves[first], moves[np.where(twice, second, first)]
    alike = synchronisation.closed(a.after(b.inverse()))
    half = similarities.rotations(0.5 * similarities.rotation_vectors(a.rotation.transpose(0, 2, 1) @ b.rotation))
    mean = Similarities(np.sqrt(a.scale * b.scale), a.rotation @ half, 0.5 * (a.translation + b.translation))
    return ends[first], mean.where(alike, a), surety[first] * np.where(alike, 1.0, _DOUBT)
