"""[R] Fast reciprocal matching of MASt3R's descriptors. torch, on whatever device the descriptors are.

Leroy, Cabon, Revaud, "Grounding Image Matching in 3D with MASt3R" (ECCV 2024), section 3.3.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from .correspondences import map_pixels
from .descriptor_search import Tiles
from .pairs import Matches

SPACING = 8  # pixels between the starts of the search
ROUNDS = 10  # of going there and back, at most; nearly all searches have settled by then
BLOCK = (8192, 16384)  # queries and candidates that a graphics card compares at a time


def match(
    first: int,
    second: int,
    descriptors: tuple[Tensor, Tensor],
    confidence: tuple[Tensor, Tensor],
    spacing: int = SPACING,
) -> Matches:
    """Matches of the photos with the indices `first` and `second`, from the unit `descriptors` (H, W, D) of each and
    the `confidence` (H, W) of each descriptor. The searches start `spacing` pixels apart. A match's confidence is the
    geometric mean of its two pixels'."""
    pairs = reciprocal(*descriptors, spacing)
    both_confidence = confidence[0].flatten()[pairs[:, 0]] * confidence[1].flatten()[pairs[:, 1]]
    indices = pairs.cpu().numpy()
    return Matches(
        first,
        second,
        map_pixels(indices[:, 0], confidence[0].shape[1]),
        map_pixels(indices[:, 1], confidence[1].shape[1]),
        both_confidence.sqrt().cpu().numpy(),
    )


def reciprocal(first: Tensor, second: Tensor, spacing: int = SPACING) -> Tensor:
    """(M, 2) pixels of two maps of unit descriptors (H, W, D), numbered along the rows, that are each other's nearest.

    From a grid of starts in one map, the search goes to the nearest descriptor in the other map and back, until it
    returns to the pixel that it left. Starts are taken in both maps. That finds only a part of all mutual pairs, well
    spread, and the more reliable ones: those to which many neighbours lead. A pixel's nearest is computed once.
    """
    there, back = _remembered(first, second), _remembered(second, first)
    one = _settled(_starts(first, spacing), there, back)
    two = _settled(_starts(second, spacing), back, there).flip(1)
    return torch.cat([one, two]).unique(dim=0)


def _starts(descriptors: Tensor, spacing: int) -> Tensor:
    """(S,) pixels of the map (H, W, D), numbered along the rows, on a grid of this `spacing`."""
    height, width = descriptors.shape[:2]
    rows, columns = (torch.arange(spacing // 2, side, spacing, device=descriptors.device) for side in (height, width))
    return (rows[:, None] * width + columns).flatten()


def _settled(starts: Tensor, there: Callable[[Tensor], Tensor], back: Callable[[Tensor], Tensor]) -> Tensor:
    """(M, 2) the mutual pairs at which the searches from `starts` settle."""
    at_rest = []
    for _ in range(ROUNDS):
        others = there(starts)
        returned = back(others)
        rest = returned == starts
        at_rest.append(torch.stack([starts, others], dim=1)[rest])
        starts = returned[~rest].unique()
    return torch.cat(at_rest)


def _remembered(queries: Tensor, candidates: Tensor) -> Callable[[Tensor], Tensor]:
    """The function from pixels of the map `queries` (H, W, D) to their nearest pixels in the map `candidates`. It
    remembers its results."""
    descriptors = queries.flatten(0, 1)
    known = torch.full(descriptors.shape[:1], -1, device=queries.device)
    search = _tiled(candidates) if candidates.device.type == "cpu" else partial(nearest, candidates.flatten(0, 1))

    def nearest_of(indices: Tensor) -> Tensor:
        new = indices[known[indices] < 0].unique()
        known[new] = search(descriptors[new])
        return known[indices]

    return nearest_of


def _tiled(candidates: Tensor) -> Callable[[Tensor], Tensor]:
    """The function from queries (N, D) to their nearest pixels in `candidates` (H, W, D), on a CPU."""
    tiles = Tiles(candidates.float().numpy())
    return lambda queries: torch.from_numpy(tiles.nearest(queries.float().numpy()))


def nearest(candidates: Tensor, queries: Tensor) -> Tensor:
    """(N,) the index of the candidate (M, D) that has the largest dot product with each query (N, D), block by
    block."""
    rows, columns = BLOCK
    blocks = []
    for part in queries.split(rows):
        tops = [(part @ block.T).max(dim=1) for block in candidates.split(columns)]
        best = torch.stack([values for values, _ in tops]).argmax(dim=0)
        within = torch.stack([indices for _, indices in tops])[best, torch.arange(len(part), device=best.device)]
        blocks.append(best * columns + within)
    return torch.cat(blocks) if blocks else torch.empty(0, dtype=torch.long, device=queries.device)
