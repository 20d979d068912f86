"""[R] Pairs of photos for a pairwise network to compare. numpy only.

A graph is a sorted list of unordered pairs (i, j), i < j, of photo indices. The kinds of graphs are those of DUSt3R and
MASt3R-SfM (Duisterhof et al., 3DV 2025, section 4.1); retrieval ranks photos by the similarity of their encoder
features.
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
"""Up to this number N of photos, all pairs are compared. Beyond, the number of pairs grows like N where the photos'
similarity is known, and like N log N where it is not."""
ANCHORS, NEIGHBOURS = 10, 6  # of `retrieval`
WINDOW = 3  # photos that follow in order, with which each is compared
REACH = 5  # each ordered photo is also compared with ones up to 2**(REACH - 1) later, or a long sequence drifts
IN_ORDER = 0.9  # share of photos that follow the one before by number; the others may begin another video

_DIMENSIONS = 128  # of a local feature after whitening
_SAMPLE = 20000  # whitening and vocabulary are learned from up to twice as many local features
_WORDS, _FEATURES_PER_WORD = 1024, 8  # the vocabulary's size, smaller where there are fewer features per word
_KMEANS_ROUNDS = 8
_SELECTIVITY = 3  # the power of a cosine in the similarity


def complete(count: int) -> Pairs:
    """Every photo with every other: count (count - 1) / 2 pairs."""
    return [(i, j) for i in range(count) for j in range(i + 1, count)]


def window(count: int, size: int = WINDOW, cyclic: bool = False) -> Pairs:
    """Each of `count` photos with the `size` that follow it; where `cyclic`, the first photo follows the last."""
    return _offsets(count, range(1, size + 1), cyclic)


def log_window(count: int, size: int, cyclic: bool = False) -> Pairs:
    """Each of `count` photos with those 1, 2, 4 … 2**(size - 1) later: long reach with few pairs."""
    return _offsets(count, [2**power for power in range(size)], cyclic)


def one_reference(count: int, reference: int = 0) -> Pairs:
    """The photo `reference` with every other."""
    return _sorted((reference, other) for other in range(count))


def retrieval(similarity: Float32Array) -> Pairs:
    """ANCHORS photos with each other, and each photo with its most similar anchor and its NEIGHBOURS most similar
    photos.

    `similarity` (N, N) is symmetric and at most 1, see `similarity`. The anchors are chosen by farthest-point
    sampling, from the photo that is most similar to all others. So the graph is connected, and the same each time.
    """
    count = len(similarity)
    distance = 1 - similarity.astype(np.float64)
    np.fill_diagonal(distance, 0)
    anchors = [int(distance.sum(1).argmin())]
    while len(anchors) < min(ANCHORS, count):
        anchors.append(int(distance[:, anchors].min(1).argmax()))
    pairs = [(a, b) for a in anchors for b in anchors]
    pairs += [(photo, anchors[int(distance[photo, anchors].argmin())]) for photo in range(count)]
    np.fill_diagonal(distance, np.inf)
    nearest = np.argsort(distance, axis=1, kind="stable")[:, : min(NEIGHBOURS, count - 1)]
    pairs += [(photo, int(other)) for photo in range(count) for other in nearest[photo]]
    return _sorted(pairs)


def automatic(count: int, ordered: bool, similarity: Float32Array | None = None) -> Pairs:
    """A graph that suits the number and order of the photos.

    Up to FEW photos, all pairs. Beyond, where their `similarity` is known, retrieval, plus a window and a short log
    window if the photos are `ordered` (a video's frames). Without similarity, a window plus a log window over all,
    whose long reach closes loops.
    """
    if count <= FEW:
        return complete(count)
    if similarity is None:
        return _sorted(window(count) + log_window(count, int(np.log2(count - 1)) + 1))
    pairs = retrieval(similarity)
    return _sorted(pairs + window(count) + log_window(count, REACH)) if ordered else pairs


def by_similarity(count: int, similarity: Float32Array | None) -> Pairs:
    """The graph of `retrieval`; all pairs where no similarity is known."""
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
    """The pairs of the photos in the graph of this name in GRAPHS, without those of two photos that are `solved`
    already."""
    pairs = GRAPHS[graph](len(photos), in_order(photos), similarity)
    return [(i, j) for i, j in pairs if not (i in solved and j in solved)]


def in_order(photos: Sequence[Photo]) -> bool:
    """Whether the photos are in the order in which they were taken: the last number in their names counts up."""
    names = [re.fullmatch(r"(.*?)(\d+)\D*?(\.\w+)?", photo.name) for photo in photos]
    consecutive = [bool(a and b and a[1] == b[1] and int(a[2]) < int(b[2])) for a, b in pairwise(names)]
    return bool(consecutive) and float(np.mean(consecutive)) >= IN_ORDER


def similarity(features: Sequence[Float32Array]) -> Float32Array:
    """(N, N) similarity of photos in [0, 1], from the local `features` (M, D) of each; 1 on the diagonal.

    Features are whitened and compared by an aggregated selective match kernel (Tolias et al., "Image search with
    selective match kernels", IJCV 2016). The vocabulary is learned from the photos themselves, and residuals are not
    made binary. For each word that two photos share, the cosine of their residuals counts to the power _SELECTIVITY.
    Nothing is random.
    """
    sample = np.concatenate(features)[:: max(1, sum(map(len, features)) // _SAMPLE)].astype(np.float32)
    mean, whitening = _whitening(sample)
    words = _words(_unit((sample - mean) @ whitening))
    photos, assigned, residuals = [], [], []
    for photo, local in enumerate(features):
        photo_words, sums = _aggregated(_unit((local.astype(np.float32) - mean) @ whitening), words)
        photos.append(np.full(len(photo_words), photo))
        assigned.append(photo_words)
        residuals.append(sums)
    total = np.zeros((len(features), len(features)), np.float32)
    owner, word, residual = np.concatenate(photos), np.concatenate(assigned), np.concatenate(residuals)
    order = np.argsort(word, kind="stable")
    for same in np.split(order, np.flatnonzero(np.diff(word[order])) + 1):
        cosine = np.maximum(residual[same] @ residual[same].T, 0)
        total[np.ix_(owner[same], owner[same])] += cosine**_SELECTIVITY
    size = np.sqrt(np.diag(total))
    return np.minimum(total / np.maximum(size[:, None] * size, 1e-12), 1)


def _offsets(count: int, offsets: Iterable[int], cyclic: bool) -> Pairs:
    """Each photo with those that follow it by the `offsets`."""
    pairs = [(i, i + offset) for i in range(count) for offset in offsets if offset < count]
    return _sorted((i, j % count) for i, j in pairs if cyclic or j < count)


def _sorted(pairs: Iterable[tuple[int, int]]) -> Pairs:
    """The graph of any pairs: each once, the smaller index first, sorted."""
    return sorted({(min(pair), max(pair)) for pair in pairs if pair[0] != pair[1]})


def _whitening(sample: Float32Array) -> tuple[Float32Array, Float32Array]:
    """The mean (D,) of features, and the matrix (D, K) that maps features less their mean to K uncorrelated numbers of
    unit variance, the direction of the largest variance first.

    Directions whose standard deviation is below a hundredth of the largest one's contain noise and are dropped.
    """
    mean = sample.mean(0)
    values, vectors = np.linalg.eigh(np.cov((sample - mean).T.astype(np.float64)))
    order = np.argsort(-values)[:_DIMENSIONS]
    order = order[values[order] > 1e-4 * values.max()]
    matrix: Float32Array = (vectors[:, order] / np.sqrt(values[order])).astype(np.float32)
    return mean, matrix


def _words(sample: Float32Array) -> Float32Array:
    """(W, K) the words: k-means centres of the sample (M, K), which start at features spread evenly over it."""
    count = max(1, min(_WORDS, len(sample) // _FEATURES_PER_WORD))
    words = sample[np.linspace(0, len(sample) - 1, count).astype(int)]
    for _ in range(_KMEANS_ROUNDS):
        used, total, number = _gathered(_nearest(sample, words), sample)
        words[used] = total / number[:, None]
    return words


def _aggregated(local: Float32Array, words: Float32Array) -> tuple[IntArray, Float32Array]:
    """The words (V,) to which the features `local` (M, K) are nearest, and for each the normalised sum (V, K) of their
    residuals from it."""
    nearest = _nearest(local, words)
    used, total, _ = _gathered(nearest, local - words[nearest])
    return used, _unit(total)


def _nearest(local: Float32Array, words: Float32Array) -> IntArray:
    """(M,) the index of the word (W, K) nearest to each of the features `local` (M, K), in Euclidean distance."""
    nearest: IntArray = (local @ words.T - 0.5 * (words**2).sum(1)).argmax(1)
    return nearest


def _gathered(keys: IntArray, rows: Float32Array) -> tuple[IntArray, Float32Array, IntArray]:
    """The distinct `keys` (V,), the sum (V, K) of the `rows` of each, and their number (V,)."""
    order = np.argsort(keys, kind="stable")
    starts = np.flatnonzero(np.diff(keys[order], prepend=-1))
    return keys[order][starts], np.add.reduceat(rows[order], starts, axis=0), np.diff(starts, append=len(keys))


def _unit(vectors: Float32Array) -> Float32Array:
    unit: Float32Array = vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12)
    return unit
