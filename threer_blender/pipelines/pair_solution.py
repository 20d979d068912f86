"""[R] From a pair network's predictions to solved views: of one photo against itself, or of many. numpy only."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np

from ..geometry import similarities
from ..geometry.alignment import global_alignment
from ..geometry.alignment.global_alignment import FOCAL_RATIO, AlignedView, Alignment
from ..geometry.alignment.initial_poses import Unconnected
from ..geometry.clouds import assembly
from ..geometry.focal import focal_from_points
from ..geometry.pairs.pairs import Matches, PairPrediction, PairStore
from ..geometry.similarities import Similarities
from ..model.arrays import AnyFloatArray, Array, BoolArray, FloatArray
from ..model.engine import ReportStage, Stage
from ..model.errors import UserError
from ..model.reconstruction import Photo, PhotoFromMap, Unregistered
from ..model.similarity import Similarity, procrustes

ALIGNING = Stage("aligning", "Bringing the photos together", 0.5)  # weight: seconds per photo
GUESSED = (
    "Nothing shows for certain that {} and {} see the same things: how they stand to each other is the network's "
    "guess. Photos taken between them would help."
)
DISCONNECTED = (
    "It shows nothing for certain that another photo shows.",
    "Add photos taken between it and the others, or take it out of the selection.",
)
UNSURE = 0.2  # share of trusted pixels below which the artist is told about a photo


class NetworkInput(Protocol):
    """A photo as a network gets it, such as `networks.inputs.Input`, whose docstring explains the fields."""

    @property
    def image(self) -> Array: ...
    @property
    def photo_from_map(self) -> PhotoFromMap: ...
    @property
    def excluded(self) -> BoolArray | None: ...


# align(store, number of photos, known focal lengths in map pixels, progress): `global_alignment` or `sparse_alignment`.
Align = Callable[[PairStore, int, Sequence[float | None], Callable[[float], None]], Alignment]


@dataclass(frozen=True)
class PairSolution:
    """The solved `views`, in the order of their photos.

    `frames`: the pair (first, second) of each prediction that was used -> the similarity (4, 4) from its frame to the
    views' world. `unit`: the network's unit in that world's units, as the median over all predictions. `trusted`: the
    confidence from which points are shown; it is the engine's, or lower where that would show almost none.
    """

    views: list[assembly.View]
    frames: Mapping[tuple[int, int], FloatArray]
    unit: float
    trusted: float
    unregistered: list[Unregistered] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def plan(photos: int) -> list[Stage]:
    """The stages of `solve` for so many photos."""
    return [ALIGNING.weighing(ALIGNING.weight * photos)]


def both_orders(pairs: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Each pair in both orders."""
    return [ordered for i, j in pairs for ordered in ((i, j), (j, i))]


def without_masked(prediction: PairPrediction, inputs: Sequence[NetworkInput]) -> PairPrediction:
    """The prediction with a confidence of 0 at masked pixels."""

    def unmasked(confidence: AnyFloatArray, number: int) -> AnyFloatArray:
        mask = inputs[number].excluded
        return confidence if mask is None else np.where(mask, np.zeros_like(confidence), confidence)

    return replace(
        prediction,
        confidence_first=unmasked(prediction.confidence_first, prediction.first),
        confidence_second=unmasked(prediction.confidence_second, prediction.second),
    )


def matches_without_masked(matches: Matches, inputs: Sequence[NetworkInput]) -> Matches:
    """The matches whose pixels are masked in neither photo."""
    clear = np.ones(len(matches.confidence), np.bool_)
    for number, pixels in ((matches.first, matches.pixels_first), (matches.second, matches.pixels_second)):
        mask = inputs[number].excluded
        if mask is not None:
            column, row = (np.clip(pixels[:, axis].astype(int), 0, mask.shape[1 - axis] - 1) for axis in (0, 1))
            clear &= ~mask[row, column]
    parts = matches.pixels_first[clear], matches.pixels_second[clear], matches.confidence[clear]
    return Matches(matches.first, matches.second, *parts)


def solve(
    store: PairStore,
    photos: Sequence[Photo],
    inputs: Sequence[NetworkInput],
    trusted: float,
    report: ReportStage,
    align: Align = global_alignment.align,
) -> PairSolution:
    """Solves the views of one photo, which was predicted against itself, or of all photos that connect, by `align`.

    Where nothing certain connects two photos, they are placed as the network guesses, and a note says so. Raises
    UserError where no two of more than two photos connect, or predictions are not finite.
    """
    report(ALIGNING, 0, 1)
    known = [_map_focal(photo, one) for photo, one in zip(photos, inputs, strict=True)]
    names = [photo.name for photo in photos]
    notes = []
    if len(photos) == 1:
        alignment = single_photo_alignment(store, names, known[0])
    else:
        try:
            alignment = align(store, len(photos), known, lambda share: report(ALIGNING, share, 1))
        except Unconnected:
            if len(photos) > 2:
                raise
            alignment = guessed_alignment(store, names)
            notes = [GUESSED.format(*names)]
    threshold, unsure = _threshold(alignment.views, names, trusted)
    unregistered = [Unregistered(names[i], *DISCONNECTED) for i in alignment.disconnected]
    return PairSolution(
        [_view(photos, inputs, view) for view in alignment.views],
        _frames(store, alignment),
        float(np.median(alignment.pairs.scale)),
        threshold,
        unregistered,
        [*unsure, *notes, *_contradictions(alignment, names, len(store))],
    )


def single_photo_alignment(store: PairStore, names: Sequence[str], focal: float | None) -> Alignment:
    """The view of one photo, whose known focal length is `focal` map pixels, unless the prediction contradicts that.

    A network with a wrong idea of the lens still knows the sizes of things, up to its unit. So x and y stay, and by

        x = z (i - cx) / f

    depth z is scaled as the focal length f is. Raises UserError where the prediction is not finite.
    """
    view = monocular(next(iter(store)), names[0])
    contradicts = focal is not None and abs(math.log(focal / view.focal)) >= math.log(FOCAL_RATIO)
    if focal is not None and not contradicts:
        view = replace(view, focal=focal, depth=(view.depth * (focal / view.focal)).astype(np.float32))
    misjudged = [0] if contradicts else []
    return Alignment([view], similarities.identities(1), np.zeros(1, np.int64), [], [], misjudged)


def guessed_alignment(store: PairStore, names: Sequence[str]) -> Alignment:
    """The views of two photos in the first one's frame, by the predictions of both orders of the pair.

    Each has the depth of its own prediction. Raises UserError where the predictions are not finite.
    """
    numbers, predictions = zip(*sorted(enumerate(store), key=lambda numbered: numbered[1].first), strict=True)
    first, second = (monocular(prediction, name) for prediction, name in zip(predictions, names, strict=True))
    try:
        first_from_second = relative_pose(*predictions).inverse
    except ValueError as error:
        raise _no_answer(" and ".join(names)) from error
    world_from_second = np.eye(4)  # the world is the first camera's frame
    world_from_second[:3, :3], world_from_second[:3, 3] = first_from_second.rotation, first_from_second.translation
    depth = (second.depth * first_from_second.scale).astype(np.float32)
    second = replace(second, world_from_camera=world_from_second, depth=depth)
    frames = Similarity(1.0, np.eye(3), np.zeros(3)), first_from_second
    pairs = Similarities(*(np.array(part) for part in zip(*frames, strict=True)))
    return Alignment([first, second], pairs, np.array(numbers), [], [], [])


def monocular(prediction: PairPrediction, name: str) -> AlignedView:
    """The view of the first photo of a prediction, in its own camera's frame: focal length and depth.

    The depth is the third coordinate of its points in that frame. Raises UserError where the prediction is not finite.
    """
    height, width = prediction.confidence_first.shape
    confidence = np.where(np.isfinite(prediction.confidence_first), prediction.confidence_first, 0)
    try:
        focal = focal_from_points(prediction.points_first, confidence, (width / 2, height / 2))
    except ValueError as error:
        raise _no_answer(name) from error
    depth = prediction.points_first[..., 2].astype(np.float32)
    return AlignedView(prediction.first, np.eye(4), focal, depth, confidence.astype(np.float32))


def _frames(store: PairStore, alignment: Alignment) -> dict[tuple[int, int], FloatArray]:
    """The `frames` of a PairSolution."""
    frames = {}
    for row, index in enumerate(alignment.pair_numbers):
        if index not in alignment.disagreeing:
            frame = np.eye(4)
            frame[:3, :3] = alignment.pairs.scale[row] * alignment.pairs.rotation[row]
            frame[:3, 3] = alignment.pairs.translation[row]
            frames[store.edges[index].first, store.edges[index].second] = frame
    return frames


def _map_focal(photo: Photo, network_input: NetworkInput) -> float | None:
    """The photo's focal length from EXIF, in pixels of the map; None where it is unknown."""
    if photo.focal is None:
        return None
    return photo.focal / math.sqrt(network_input.photo_from_map.scale_x * network_input.photo_from_map.scale_y)


def _view(photos: Sequence[Photo], inputs: Sequence[NetworkInput], solved: AlignedView) -> assembly.View:
    """The solved view, with its camera and errors in the photo's pixels."""
    photo, one = photos[solved.photo], inputs[solved.photo]
    height, width = solved.depth.shape
    camera = assembly.camera(photo, one.photo_from_map, (width, height), solved.focal, solved.world_from_camera)
    if solved.reprojection_error is not None and solved.error_before is not None:
        pixel = math.sqrt(one.photo_from_map.scale_x * one.photo_from_map.scale_y)
        errors = (solved.reprojection_error * pixel, solved.error_before * pixel)
        camera = replace(camera, reprojection_error=errors[0], error_before=errors[1])
    return assembly.View(solved.photo, camera, one.photo_from_map, one.image, solved.depth, solved.confidence)


def _contradictions(alignment: Alignment, names: Sequence[str], count: int) -> list[str]:
    """Sentences on predictions, of `count` in all, and on focal lengths that contradict the solution."""
    notes = []
    if alignment.disagreeing:
        notes.append(
            f"{len(alignment.disagreeing)} of {count} comparisons of two photos contradict the others, or show no "
            "overlap, and were not used."
        )
    refuted = [names[i] for i in alignment.refuted_focals]
    return [
        *notes,
        *(f"The focal length in the EXIF of {name} contradicts its picture, and was not used." for name in refuted),
    ]


def _threshold(solved: Sequence[AlignedView], names: Sequence[str], trusted: float) -> tuple[float, list[str]]:
    """The confidence from which points are shown, and a sentence for each photo with few trusted points.

    Where all photos have few, the half of the points with the higher confidence is shown all the same.
    """
    shares = [float((view.confidence >= trusted).mean()) for view in solved]
    notes = [
        f"The network is sure of only {share:.0%} of {names[view.photo]}: its place and its points may be wrong."
        for view, share in zip(solved, shares, strict=True)
        if share < UNSURE
    ]
    if len(notes) < len(solved):
        return trusted, notes
    confidences = np.concatenate([view.confidence[view.confidence > 0] for view in solved])
    lower = min(trusted, float(np.median(confidences)))
    notes.append(
        f"All its points are unsure: those of confidence {lower:.2f} and more are shown, instead of {trusted}."
    )
    return lower, notes


def _no_answer(names: str) -> UserError:
    return UserError(f"The network has no answer for {names}; try another engine, or another photo of the same scene.")


def relative_pose(forward: PairPrediction, backward: PairPrediction) -> Similarity:
    """The similarity second_from_first between two cameras, from both orders of a pair (DUSt3R, section 3.3).

    The first photo's points X are in the first camera's frame in `forward`, and in the second's in `backward`. With
    their confidences C, Procrustes finds

        R, t, s = argmin  sum_i C_i^{1,1} C_i^{1,2} || s (R X_i^{1,1}) + t - X_i^{1,2} ||²

    The scale is that between the units of the two predictions. Raises ValueError where the points with confidence do
    not determine a rotation.
    """
    weights = forward.confidence_first.astype(np.float64) * backward.confidence_second
    return procrustes(forward.points_first.reshape(-1, 3), backward.points_second.reshape(-1, 3), weights.ravel())
