"""[R] From what a pair network said of photos to solved views: one against itself, or many together. numpy only."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np

from ..messages import UserError
from ..reconstruction import Array, FloatArray, LeftOut, Photo, PhotoFromMap
from . import assembly, global_alignment
from .focal import focal_from_points
from .global_alignment import AlignedView, Alignment
from .pairs import PairPrediction, PairStore

ALIGNING = "Bringing the photos together"
UNSURE = 0.2  # share of trusted pixels below which the artist is told


class Seen(Protocol):
    """What a network saw of a photo: `networks.inputs.Input`."""

    @property
    def image(self) -> Array: ...
    @property
    def photo_from_map(self) -> PhotoFromMap: ...


# align(store, number of photos, known focal lengths in map pixels, progress): `global_alignment` or `sparse_alignment`.
Align = Callable[[PairStore, int, Sequence[float | None], Callable[[float], None]], Alignment]


@dataclass(frozen=True)
class Solution:
    """`views` in order of their photos. `frames`: the (first, second) of a prediction that was used -> the similarity
    (4, 4) from its frame to the views' world. `unit`: the network's own in theirs, the median of all predictions."""

    views: list[assembly.View]
    frames: Mapping[tuple[int, int], FloatArray]
    unit: float
    left_out: list[LeftOut] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def both_orders(pairs: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Each pair, and the same pair the other way round."""
    return [ordered for i, j in pairs for ordered in ((i, j), (j, i))]


def solve(
    store: PairStore,
    photos: Sequence[Photo],
    seen: Sequence[Seen],
    trusted: float,
    report: Callable[[str, float, float], None],
    align: Align = global_alignment.align,
) -> Solution:
    """The views of one photo that was predicted against itself, or of all photos whose predictions agree, by `align`.

    Raises UserError where no two photos connect, or where the predictions hold no numbers.
    """
    report(ALIGNING, 0, 1)
    known = [_map_focal(photo, one) for photo, one in zip(photos, seen, strict=True)]
    if len(photos) == 1:
        solved = [monocular(next(iter(store)), photos[0].name)]
        view = _view(photos, seen, solved[0])
        return Solution([view], {(0, 0): np.eye(4)}, 1.0, [], _unsure(photos, solved, trusted))
    found = align(store, len(photos), known, lambda share: report(ALIGNING, share, 1))
    notes = _unsure(photos, found.views, trusted)
    if found.disagreeing:
        notes.append(
            f"{len(found.disagreeing)} of {len(store)} comparisons of two photos contradict the others, or show no "
            "overlap, and were not used."
        )
    notes += [
        f"The focal length in the EXIF of {photos[i].name} contradicts its picture, and was not used."
        for i in found.misjudged
    ]
    left_out = [
        LeftOut(
            photos[i].name,
            "It shows nothing for certain that another photo shows.",
            "Add photos taken between it and the others, or take it out of the selection.",
        )
        for i in found.apart
    ]
    unit = float(np.median(found.pairs.scale))
    views = [_view(photos, seen, view) for view in found.views]
    return Solution(views, _frames(store, found), unit, left_out, notes)


def monocular(prediction: PairPrediction, name: str) -> AlignedView:
    """A photo's focal length and depth from the prediction of the photo against itself; its camera is the world.

    The depth is the third coordinate of X^{1,1}. Raises UserError where the prediction holds no numbers.
    """
    height, width = prediction.confidence_first.shape
    confidence = np.where(np.isfinite(prediction.confidence_first), prediction.confidence_first, 0)
    try:
        focal = focal_from_points(prediction.points_first, confidence, (width / 2, height / 2))
    except ValueError as error:
        raise UserError(
            f"The network has no answer for {name}; try another engine, or another photo of the same scene."
        ) from error
    depth = prediction.points_first[..., 2].astype(np.float32)
    return AlignedView(prediction.first, np.eye(4), focal, depth, confidence.astype(np.float32))


def _frames(store: PairStore, found: Alignment) -> dict[tuple[int, int], FloatArray]:
    frames = {}
    for row, index in enumerate(found.pair_numbers):
        if index not in found.disagreeing:
            frame = np.eye(4)
            frame[:3, :3] = found.pairs.scale[row] * found.pairs.rotation[row]
            frame[:3, 3] = found.pairs.translation[row]
            frames[store.edges[index].first, store.edges[index].second] = frame
    return frames


def _map_focal(photo: Photo, seen: Seen) -> float | None:
    """The focal length that EXIF knows, in pixels of the map."""
    return None if photo.focal is None else photo.focal / math.sqrt(seen.photo_from_map[0] * seen.photo_from_map[1])


def _view(photos: Sequence[Photo], seen: Sequence[Seen], solved: AlignedView) -> assembly.View:
    photo, one = photos[solved.photo], seen[solved.photo]
    height, width = solved.depth.shape
    camera = assembly.camera(photo, one.photo_from_map, (width, height), solved.focal, solved.world_from_camera)
    if solved.reprojection_error is not None and solved.error_before is not None:
        pixel = math.sqrt(one.photo_from_map.scale_x * one.photo_from_map.scale_y)
        errors = (solved.reprojection_error * pixel, solved.error_before * pixel)
        camera = replace(camera, reprojection_error=errors[0], error_before=errors[1])
    return assembly.View(solved.photo, camera, one.photo_from_map, one.image, solved.depth, solved.confidence)


def _unsure(photos: Sequence[Photo], solved: Sequence[AlignedView], trusted: float) -> list[str]:
    """A sentence for each photo of which the network is sure of little."""
    shares = [(photos[view.photo].name, float((view.confidence >= trusted).mean())) for view in solved]
    return [
        f"The network is sure of only {share:.0%} of {name}: its place and its points may be wrong."
        for name, share in shares
        if share < UNSURE
    ]
