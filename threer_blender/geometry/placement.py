"""[R] Where photos stand by their pairwise predictions, before anything is refined; and which do not connect. numpy.

Each prediction is fitted to its photos' own pointmaps, which makes it a similarity between two photos' own frames;
`synchronisation` brings those together and shows which pairs are wrong.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..messages import UserError
from . import synchronisation
from .alignment_samples import Sampled
from .synchronisation import Similarities

Float = NDArray[np.float64]
Int = NDArray[np.int64]
Bool = NDArray[np.bool_]

_LEAST_SURE = 0.08  # share of sure pixels, in both photos, below which a pair does not overlap
_LEAST_AGREEING = 0.25  # share of a photo's overlapping pairs that a solution must bear out
_ENOUGH_SPARE, _LEAST_CLOSING = 3, 0.1  # where so many pairs close loops, this share of them must do so well
_DOUBT = 0.1  # surety of a pair whose two predictions contradict each other


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
    fitted = synchronisation.identities(count)
    to = synchronisation.fit_robust(source[usable], target[usable], weights[usable])
    fitted.scale[usable], fitted.rotation[usable] = to.scale / units[usable], to.rotation
    fitted.translation[usable] = to.translation / units[usable, None]
    return Measured(ends, fitted, units, seen.mean_weight.prod(1), usable)


def place(count: int, measured: Measured) -> tuple[Bool, Similarities]:
    """Which photos connect, and world from each photo's own frame (an identity where it does not)."""
    pairs, moves, surety = _both_ways(measured)
    placed = np.ones(count, bool)
    trusted = np.ones(len(pairs), bool)
    while True:
        kept = trusted & placed[pairs].all(1)
        placed = placed & (synchronisation.components(count, pairs[kept]) == 0)
        if placed.sum() < 2:
            raise UserError(
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
        if spare >= _ENOUGH_SPARE and agreeing.sum() - (len(solved) - 1) < _LEAST_CLOSING * spare:
            raise UserError(
                "What the pairs of these photos say contradicts itself; take photos that overlap by more than half, "
                "of things that do not look alike from different places."
            )
        per_view = [np.bincount(some.ravel(), minlength=len(solved)) for some in (local[agreeing], local)]
        borne_out = per_view[0] >= _LEAST_AGREEING * per_view[1]
        joined = synchronisation.components(len(solved), local[agreeing]) == 0
        if (borne_out & joined).all():
            break
        placed[np.flatnonzero(placed)[~(borne_out & joined)]] = False
    views = synchronisation.identities(count)
    views.scale[placed], views.rotation[placed], views.translation[placed] = (
        solved.scale,
        solved.rotation,
        solved.translation,
    )
    return placed, views


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
    half = synchronisation.rotations(0.5 * synchronisation.rotation_vectors(a.rotation.transpose(0, 2, 1) @ b.rotation))
    mean = Similarities(np.sqrt(a.scale * b.scale), a.rotation @ half, 0.5 * (a.translation + b.translation))
    return ends[first], mean.where(alike, a), surety[first] * np.where(alike, 1.0, _DOUBT)
