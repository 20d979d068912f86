"""[R] Pairs of photos for a pairwise network to compare. numpy only.

A graph is a sorted list of unordered pairs (i, j), i < j, of photo indices. The shapes are those of DUSt3R and
MASt3R-SfM (Duisterhof et al., 3DV 2025, section 4.1); retrieval ranks photos by what their encoder features share.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Container, Iterable, Sequence
from itertools import pairwise

import numpy as np

from ...model.arrays import Float32Array, IntArray
from ...model.reconstruction import Photo

Pairs = list[tuple[int, int]]
Choose = Callable[[Float32Array | None], Pairs]
"""Similarity of the photos (N, N), or None -> the pairs to compare."""

FEW = 12
"""Up to so many photos, all pairs are affordable; beyond, pairs grow with the photos, not with their square."""
KEYFRAMES, NEIGHBOURS = 10, 6
WINDOW = 3
REACH = 5  # of photos in order, each is also compared with those up to 2**(REACH - 1) later, or a long walk drifts
IN_ORDER = 0.9  # share of photos that follow the one before by number; the rest begin another video or film

_DIMENSIONS = 128  # of a local feature after whitening
_SAMPLE = 20000  # local features that whitening and vocabulary are learned from
_WORDS, _FEATURES_PER_WORD = 1024, 8  # the vocabulary's size, smaller where there are few features
_KMEANS_ROUNDS = 8
_SELECTIVITY = 3


def complete(count: int) -> Pairs:
    """Every photo with every other: count (count - 1) / 2 pairs."""
    return [(i, j) for i in range(count) for j in range(i + 1, count)]


def window(count: int, size: int = WINDOW, cyclic: bool = False) -> Pairs:
    """Each photo with the `size` that follow it; `cyclic` where the last photo comes before the first again."""
    return _offsets(count, range(1, size + 1), cyclic)


def log_window(count: int, size: int, cyclic: bool = False) -> Pairs:
    """Each photo with those 1, 2, 4 … 2**(size - 1) later: long reach for few pairs."""
    return _offsets(count, [2**power for power in range(size)], cyclic)


def one_reference(count: int, reference: int = 0) -> Pairs:
    """One photo with every other."""
    return _sorted((reference, other) for other in range(count))


def retrieval(similarity: Float32Array) -> Pairs:
    """KEYFRAMES with each other, each photo with its nearest of them and its NEIGHBOURS most similar photos.

    `similarity` (N, N) is symmetric, at most 1, see `similarity`. The keyframes are spread by farthest-point sampling
    from the photo that is like most others, so the graph is connected and always the same.
    """
    count = len(similarity)
    distance = 1 - similarity.astype(np.float64)
    np.fill_diagonal(distance, 0)
    chosen = [int(distance.sum(1).argmin())]
    while len(chosen) < min(KEYFRAMES, count):
        chosen.append(int(distance[:, chosen].min(1).argmax()))
    pairs = [(a, b) for a in chosen for b in chosen]
    pairs += [(photo, chosen[int(distance[photo, chosen].argmin())]) for photo in range(count)]
    np.fill_diagonal(distance, np.inf)
    nearest = np.argsort(distance, axis=1, kind="stable")[:, : min(NEIGHBOURS, count - 1)]
    pairs += [(photo, int(other)) for photo in range(count) for other in nearest[photo]]
    return _sorted(pairs)


def automatic(count: int, ordered: bool, similarity: Float32Array | None = None) -> Pairs:
    """The graph that number and order of the photos ask for.

    All pairs of up to a dozen photos. Beyond, retrieval where their `similarity` is known, plus a window and a short
    log window over photos that are `ordered` (a video's frames); without similarity a window plus a log window over
    all, whose long reach closes loops.
    """
    if count <= FEW:
        return complete(count)
    if similarity is None:
        return _sorted(window(count) + log_window(count, int(np.log2(count - 1)) + 1))
    pairs = retrieval(similarity)
    return _sorted(pairs + window(count) + log_window(count, REACH)) if ordered else pairs


def by_similarity(count: int, similarity: Float32Array | None) -> Pairs:
    """`retrieval`, or all pairs where no similarity is known."""
    return complete(count) if similarity is None else retrieval(similarity)


GRAPHS: dict[str, Callable[[int, bool, Float32Array | None], Pairs]] = {
    "auto": automatic,
    "all": lambda count, _ordered, _similarity: complete(count),
    "alike": lambda count, _ordered, similarity: by_similarity(count, similarity),
    "next": lambda count, _ordered, _similarity: window(count),
    "ring": lambda count, _ordered, _similarity: window(count, cyclic=True),
    "far": lambda count, _ordered, _similarity: log_window(count, max(1, int(np.log2(max(2, count - 1))) + 1)),
    "first": lambda count, _ordered, _similarity: one_reference(count),
}
"""Name in `engines.options.PAIRS` -> function of the number of photos, whether they are in order, and their similarity
or None."""


def chosen(
    graph: str, photos: Sequence[Photo], similarity: Float32Array | None = None, solved: Container[int] = ()
) -> Pairs:
    """The pairs of the photos in one of the GRAPHS, without those of two photos that are `solved` already."""
    pairs = GRAPHS[graph](len(photos), in_order(photos), similarity)
    return [(i, j) for i, j in pairs if not (i in solved and j in solved)]


def in_order(photos: Sequence[Photo]) -> bool:
    """Whether photos follow one another as a camera's do: the last number of their names counts up, or a video's."""
    names = [re.fullmatch(r"(.*?)(\d+)\D*?(\.\w+)?", photo.name) for photo in photos]
    consecutive = [bool(a and b and a[1] == b[1] and int(a[2]) < int(b[2])) for a, b in pairwise(names)]
    return bool(consecutive) and float(np.mean(consecutive)) >= IN_ORDER


def similarity(features: Sequence[Float32Array]) -> Float32Array:
    """(N, N) similarity of photos from each one's local features (M, D); 1 on the diagonal.

    Whitening, then an aggregated selective match kernel (Tolias et al., "Image search with selective match kernels",
    IJCV 2016), with a vocabulary learned from the photos themselves and residuals kept as they are, not binary: what
    two photos hold of the same word counts by the cube of its cosine. Nothing is random.
    """
    sample = np.concatenate(features)[:: max(1, sum(map(len, features)) // _SAMPLE)].astype(np.float32)
    mean, whitening = _whitening(sample)
    words = _words(_unit((sample - mean) @ whitening))
    photos, assigned, residuals = [], [], []
    for photo, local in enumerate(features):
        held, total = _aggregated(_unit((local.astype(np.float32) - mean) @ whitening), words)
        photos.append(np.full(len(held), photo))
        assigned.append(held)
        residuals.append(total)
    total = np.zeros((len(features), len(features)), np.float32)
    owner, word, residual = np.concatenate(photos), np.concatenate(assigned), np.concatenate(residuals)
    order = np.argsort(word, kind="stable")
    for same in np.split(order, np.flatnonzero(np.diff(word[order])) + 1):
        cosine = np.maximum(residual[same] @ residual[same].T, 0)
        total[np.ix_(owner[same], owner[same])] += cosine**_SELECTIVITY
    size = np.sqrt(np.diag(total))
    return np.minimum(total / np.maximum(size[:, None] * size, 1e-12), 1)


def _offsets(count: int, offsets: Iterable[int], cyclic: bool) -> Pairs:
    pairs = [(i, i + offset) for i in range(count) for offset in offsets if offset < count]
    return _sorted((i, j % count) for i, j in pairs if cyclic or j < count)


def _sorted(pairs: Iterable[tuple[int, int]]) -> Pairs:
    return sorted({(min(pair), max(pair)) for pair in pairs if pair[0] != pair[1]})


def _whitening(sample: Float32Array) -> tuple[Float32Array, Float32Array]:
    """Mean (D,) and matrix (D, K) that transforms features to uncorrelated ones of unit variance, largest K first.

    Directions below a hundredth of the largest's deviation hold noise and are dropped.
    """
    mean = sample.mean(0)
    values, vectors = np.linalg.eigh(np.cov((sample - mean).T.astype(np.float64)))
    order = np.argsort(-values)[:_DIMENSIONS]
    order = order[values[order] > 1e-4 * values.max()]
    matrix: Float32Array = (vectors[:, order] / np.sqrt(values[order])).astype(np.float32)
    return mean, matrix


def _words(sample: Float32Array) -> Float32Array:
    """(W, K) k-means centres of the sample, started from features spread evenly over it."""
    count = max(1, min(_WORDS, len(sample) // _FEATURES_PER_WORD))
    words = sample[np.linspace(0, len(sample) - 1, count).astype(int)]
    for _ in range(_KMEANS_ROUNDS):
        held, total, number = _gathered(_nearest(sample, words), sample)
        words[held] = total / number[:, None]
    return words


def _aggregated(local: Float32Array, words: Float32Array) -> tuple[IntArray, Float32Array]:
    """The words (V,) that features (M, K) fall to, and for each the unit sum (V, K) of their residuals."""
    nearest = _nearest(local, words)
    held, total, _ = _gathered(nearest, local - words[nearest])
    return held, _unit(total)


def _nearest(local: Float32Array, words: Float32Array) -> IntArray:
    nearest: IntArray = (local @ words.T - 0.5 * (words**2).sum(1)).argmax(1)
    return nearest


def _gathered(keys: IntArray, rows: Float32Array) -> tuple[IntArray, Float32Array, IntArray]:
    """The different keys (V,), the sum (V, K) of the rows of each, and their number (V,)."""
    order = np.argsort(keys, kind="stable")
    starts = np.flatnonzero(np.diff(keys[order], prepend=-1))
    return keys[order][starts], np.add.reduceat(rows[order], starts, axis=0), np.diff(starts, append=len(keys))


def _unit(vectors: Float32Array) -> Float32Array:
    unit: Float32Array = vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12)
    return unit
