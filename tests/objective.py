"""DUSt3R's own measure of a global alignment, for tests and benchmarks: every pixel of every pair."""

import numpy as np

from threer_blender.geometry.alignment.global_alignment import Alignment
from threer_blender.geometry.pairs.pairs import PairStore


def objective(store: PairStore, alignment: Alignment) -> float:
    """DUSt3R's loss of a solution over every pixel of the pairs that it holds (equation 5, as its code weighs it).

    Logarithm of confidence times the distance between a photo's point and a pair's: the mean over the pixels of all
    first sides plus that over all second sides.
    """
    views = {view.photo: view.points().reshape(-1, 3) for view in alignment.views}
    total, area = [0.0, 0.0], [0, 0]
    for number, index in enumerate(alignment.pair_numbers):
        edge = store.edges[index]
        for side, photo in enumerate((edge.first, edge.second)):
            prediction = store.read(int(index), side)
            moved = alignment.pairs[number : number + 1].apply(prediction.points.reshape(1, -1, 3).astype(np.float64))[
                0
            ]
            distance = np.linalg.norm(moved - views[photo], axis=-1)
            total[side] += float(np.nansum(np.log(prediction.confidence.ravel()) * distance))
            area[side] += prediction.confidence.size
    return total[0] / area[0] + total[1] / area[1]
