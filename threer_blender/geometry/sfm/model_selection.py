"""[R] Model selection: scores models by the verified matches of all pairs, and recognises input that cannot be solved.

A model explains a match that obeys the epipolar geometry of its two cameras, with the point in front of both. The
reprojection error of the model's own points does not suffice: it is small in folded models too, in which parts of the
scene lie over each other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from ...model import lens
from ...model.arrays import Array, FloatArray
from ...model.errors import UserError
from .. import rotations
from ..colmap import pycolmap
from ..features import cycles
from ..features.database import Matched
from . import plausibility

# Thresholds for a pair, a photo and a model to be believed. Pixels are those of the copies (long side about 1600).
PAIR_MATCHES = 15  # verified matches that make a pair: COLMAP's own threshold
EXPLAINED_ERROR = 4.0  # px, Sampson; the error at which pairs are verified
SCORE_ERROR = 2.0  # px; a match with this error scores 0, one without error scores 1
PHOTO_SUPPORT = 0.5  # share of a photo's matches with the model's other photos that must be explained
PHOTO_POINTS = 12  # points that a registered photo must see, unless it matches two or more registered photos
MODEL_POINTS = 30  # points that a model must have
PARALLAX = 1.0  # degrees between two rays: below, they count as parallel; the median of a model's points must reach it
NO_PARALLAX = "no parallax"
CYCLES_AGREE = 0.5  # share of the matches around triangles that must agree; without repetition, 0.99 and more do
FEW_EXPLAINED = 0.25  # share of its photos' matches that a model of few photos must explain; wrong ones reach 0.15
CONTRADICTED = "matches that contradict each other"
WIDEST = 100.0  # degrees between two rays to a point, at most: no surface shows the same details to wider ones
WIDEST_OF_TWO = 60.0  # the same in a model of two photos, in the median: SIFT's affine features match no further
TOO_WIDE = "two photos that stand too far apart to match"
LARGEST_RESIDUAL = 1e4  # px: the residual of a pair whose points are behind its cameras
TIE = 0.005  # of score: a smaller difference does not count

# Thresholds for a set of photos to be hopeless. Measured: 20 % or more of a static camera's matches stay within 1.5 px,
# and none of a moving one's. For a camera that only turns, the singular values of `is_rotation` differ by up to 2 %,
# for a hand-held one by 3 % and more.
UNMOVED = 1.5  # px: a match that moves less stays where it is in the picture
UNMOVED_MATCHES = 0.1  # share of such matches above which the camera did not move between two photos
# Share of such matches that move by less than half of UNMOVED, above which they stay. The matches of a static camera
# move by their error of 0.3 px alone, and 0.95 and more of them stay; around a point at which a moving camera looks, in
# a small picture, all distances are as frequent, and 0.2 to 0.73 were measured.
UNMOVED_EXACTLY = 0.85
ROTATION_STEP = 0.025  # of the distance to the scene: a camera that moves less counts as rotated only
ANY_FOCAL = (0.3, 15.0)  # range of the focal length over the long side, where nothing tells it
ROTATION_FOCALS = 200  # focal lengths in that range that are tried
KNOWN_FOCAL = 0.05  # share by which a focal length in EXIF may be wrong
HOPELESS_PAIRS = 0.5  # share of unmoved or rotated pairs above which the set is hopeless
HOMOGRAPHY_KINDS = tuple(
    int(kind)
    for kind in (
        pycolmap.TwoViewGeometryConfiguration.PLANAR,
        pycolmap.TwoViewGeometryConfiguration.PANORAMIC,
        pycolmap.TwoViewGeometryConfiguration.PLANAR_OR_PANORAMIC,
    )
)


Model: TypeAlias = pycolmap.Reconstruction


@dataclass(frozen=True)
class Pair:
    """Two `photos`, by their indices, and the pixels of their verified matches in the copies, `first` and `second`
    (K, 2).

    `unmoved`: many of their matches, verified or not, stay where they are in the picture. `rotated_only`: a camera that
    only rotated or zoomed explains the matches.
    """

    photos: tuple[int, int]
    first: FloatArray
    second: FloatArray
    unmoved: bool
    rotated_only: bool


@dataclass(frozen=True)
class ScoredModel:
    """A model, the name of the candidate that made it, and its score.

    `registered` are the indices of the photos whose cameras are believable. `score` in [0, 1] is the mean over all
    photos of how well the model explains a photo's verified matches; unregistered photos count as 0. `residual` is the
    error in pixels of the copies of the worst pairs (95th percentile of their medians), large where the model is
    folded. `fault` says in a few words why the model as a whole is not believable, or is empty. `doubt` is a sentence
    for the artist why it may be wrong all the same, or is empty.
    """

    candidate: str
    model: Model
    registered: frozenset[int]
    score: float
    residual: float
    fault: str
    doubt: str = ""


def read_pairs(matched: Matched) -> list[Pair]:
    """The verified matches of all pairs that have PAIR_MATCHES or more."""
    pairs = []
    with pycolmap.Database.open(matched.path) as database:
        points = [database.read_keypoints(i + 1)[:, :2].astype(np.float64) for i in range(len(matched.photos))]
        for i, j in matched.pairs[matched.inliers >= PAIR_MATCHES].tolist():
            geometry, raw = database.read_two_view_geometry(i + 1, j + 1), database.read_matches(i + 1, j + 1)
            distance = np.linalg.norm(points[i][raw[:, 0]] - points[j][raw[:, 1]], axis=1)
            unmoved = tuple(matched.sizes[i]) == tuple(matched.sizes[j]) and stays(distance)
            rotated_only = geometry.config in HOMOGRAPHY_KINDS and is_rotation(
                geometry.H, matched.sizes[[i, j]], [_known_focal(matched, photo) for photo in (i, j)]
            )
            matches = geometry.inlier_matches
            pairs.append(Pair((i, j), points[i][matches[:, 0]], points[j][matches[:, 1]], unmoved, rotated_only))
    return pairs


def stays(distances: FloatArray) -> bool:
    """Whether the camera did not move between two photos whose matches move by these `distances` (K,) in px."""
    still = distances[distances < UNMOVED]
    many = len(still) > UNMOVED_MATCHES * len(distances)
    return many and bool(np.mean(still < UNMOVED / 2) > UNMOVED_EXACTLY)


def _known_focal(matched: Matched, index: int) -> float | None:
    """The focal length of a photo over its longer side, if EXIF or the artist tells it."""
    photo = matched.photos[index]
    return None if photo.focal is None else photo.focal / max(photo.width, photo.height)


def is_rotation(homography: FloatArray, sizes: Array, known_focals: Sequence[float | None]) -> bool:
    """Whether `homography` (3, 3), in pixels, is K' R K⁻¹ for a rotation R and K, K' of some focal lengths.

    `sizes` (2, 2) are the pictures' widths and heights. `known_focals` are focal lengths over the longer side, believed
    up to KNOWN_FOCAL, or None. A wall that is seen from two places has a homography too: K' (R + t nᵀ / d) K⁻¹. The
    singular values of its middle part differ by about the step t over the distance d.
    """
    centred = [np.array([[1, 0, width / 2], [0, 1, height / 2], [0, 0, 1]]) for width, height in sizes]
    first_range, second_range = (_focal_range(known) for known in known_focals)
    first_focals = np.geomspace(*first_range, ROTATION_FOCALS) * sizes[0].max()
    homography = np.linalg.inv(centred[1]) @ homography @ centred[0]
    scaled = homography * np.stack([first_focals, first_focals, np.ones_like(first_focals)], axis=1)[:, None]
    lengths = np.linalg.norm(scaled, axis=2)  # of the rows; a rotation has equal ones
    second_focals = np.sqrt((lengths[:, 0] ** 2 + lengths[:, 1] ** 2) / 2) / np.maximum(lengths[:, 2], 1e-12)
    low, high = np.array(second_range) * sizes[1].max()
    scaled[:, :2] /= np.clip(second_focals, low, high)[:, None, None]
    singular = np.linalg.svd(scaled, compute_uv=False)
    return bool((singular[:, 0] / np.maximum(singular[:, 2], 1e-12)).min() < 1 + ROTATION_STEP)


def _focal_range(known: float | None) -> tuple[float, float]:
    """The smallest and largest focal length over the longer side that a photo may have; `known` is the one in EXIF."""
    return ANY_FOCAL if known is None else (known * (1 - KNOWN_FOCAL), known * (1 + KNOWN_FOCAL))


# ----------------------------------------------------------------------------------------------- input without hope
def refuse_hopeless(pairs: Sequence[Pair]) -> None:
    """Raises UserError where the matches alone show that there is nothing to solve."""
    if not pairs:
        raise UserError(
            "No two photos show enough of the same details; take photos that overlap by more than half, "
            "in steps of at most 25 degrees, in focus and of textured surfaces."
        )
    if np.mean([pair.unmoved for pair in pairs]) > HOPELESS_PAIRS:
        raise UserError(
            "The photos show much at the same place of the picture: the camera stood still, or the photos are copies "
            "of each other, or the camera moved on to where a pattern looks the same; move the camera sideways between "
            "the shots, keep the scene still and show things that are there once only, or put something plain behind "
            "what turns on a turntable."
        )
    if np.mean([pair.unmoved or pair.rotated_only for pair in pairs]) > HOPELESS_PAIRS:
        raise UserError(
            "The photos were taken from one spot: the camera only turned or zoomed; or all that matches is one flat "
            "thing, such as a page: nothing tells depth; move the camera sideways between the shots, by a tenth of the "
            "distance to the scene or more, and show things that stand before each other."
        )


def why_nothing(matched: Matched, pairs: Sequence[Pair], scored_models: Sequence[ScoredModel]) -> str:
    """The sentence that tells the artist why no believable model could be made of photos that match."""
    flat = np.isin(matched.kinds[matched.inliers >= PAIR_MATCHES], HOMOGRAPHY_KINDS)
    if flat.mean() > 0.5 or any(scored.fault == NO_PARALLAX for scored in scored_models):
        return (
            "The photos were taken from one spot, or show a single flat wall: nothing in them tells depth; "
            "move the camera sideways between the shots, by a tenth of the distance to the scene or more."
        )
    if any(scored.fault == TOO_WIDE for scored in scored_models):
        return (
            f"The photos match only if two stand more than {WIDEST_OF_TWO:.0f} degrees apart, so they show things that "
            "look alike, such as two sides of a box; add photos from between them, in steps of at most 25 degrees."
        )
    if any(scored.fault == CONTRADICTED for scored in scored_models):
        return (
            "The photos resemble each other, but their matches contradict each other, as those of a repeating pattern "
            "do; take photos that also show something that is there once only, in steps of at most 25 degrees."
        )
    if any(photo.lens.held for photo in matched.photos):
        return (
            "The photos match, but not with the lens that is held: check its focal length and the sensor's width, or "
            "take the known lens as a start only."
        )
    if any(scored.fault in plausibility.LENS_FAULTS for scored in scored_models):
        return (
            "The photos match, but only with a lens that nobody would believe, so their cameras would be wrong: enter "
            "the focal length where it is known, and move the camera sideways between the shots instead of zooming."
        )
    return (
        f"{len(pairs)} pairs of photos match, but no arrangement of cameras explains the matches; take photos that "
        "overlap by more than half, in steps of at most 25 degrees, of a scene that keeps still."
    )


# ----------------------------------------------------------------------------------------------- scores
def score_model(candidate: str, model: Model, matched: Matched, pairs: Sequence[Pair]) -> ScoredModel:
    """The model with its registered photos, its score on the verified matches of all `pairs`, and its fault.

    Photos whose matches with the other registered ones are not explained are removed one by one, the worst first.
    """
    points = {image.image_id - 1: image.num_points3D for image in model.images.values() if image.has_pose}
    registered = {index for index, number in points.items() if number > 0}
    errors = {pair.photos: epipolar_errors(model, pair) for pair in pairs if registered.issuperset(pair.photos)}
    while registered:
        inside = {photos: errors_of_pair for photos, errors_of_pair in errors.items() if registered.issuperset(photos)}
        support = {index: _support(index, points[index], inside) for index in registered}
        worst = min(sorted(support), key=support.__getitem__)
        if support[worst] >= PHOTO_SUPPORT:
            break
        registered.remove(worst)
    inside = {photos: errors_of_pair for photos, errors_of_pair in errors.items() if registered.issuperset(photos)}
    matches, total = np.zeros(len(matched.photos)), np.zeros(len(matched.photos))
    for pair in pairs:
        matches[list(pair.photos)] += len(pair.first)
        if pair.photos in inside:
            total[list(pair.photos)] += np.maximum(0, 1 - (inside[pair.photos] / SCORE_ERROR) ** 2).sum()
    shares = total / np.maximum(matches, 1)
    explained = float(shares[sorted(registered)].mean()) if registered else 0.0
    medians = [min(float(np.median(errors_of_pair)), LARGEST_RESIDUAL) for errors_of_pair in inside.values()]
    residual = float(np.percentile(medians, 95)) if medians else np.inf
    fault = _fault(model, registered, matched, explained)
    return ScoredModel(candidate, model, frozenset(registered), float(shares.mean()), residual, fault)


def _support(index: int, points: int, errors: Mapping[tuple[int, int], Array]) -> float:
    """The share of a photo's matches with the other registered photos that the model explains.

    It is 0 where no other photo has PAIR_MATCHES explained matches with it, or only one has and the photo sees fewer
    than PHOTO_POINTS `points`. `errors` are those of the pairs of registered photos.
    """
    mine = [errors_of_pair < EXPLAINED_ERROR for photos, errors_of_pair in errors.items() if index in photos]
    partners = sum(int(explained.sum()) >= PAIR_MATCHES for explained in mine)
    if partners == 0 or (points < PHOTO_POINTS and partners < 2):
        return 0.0
    return float(np.mean(np.concatenate(mine)))


def epipolar_errors(model: Model, pair: Pair) -> FloatArray:
    """(K,) how far each match is from the epipolar geometry of the two cameras, in pixels of the copies.

    This is Sampson's error (Hartley & Zisserman, Multiple View Geometry, 2nd edition, equation 11.9). It is infinite
    where the point would be behind a camera, or the rays to it differ by more than WIDEST.
    """
    first, second = (model.image(i + 1) for i in pair.photos)
    cameras = model.camera(first.camera_id), model.camera(second.camera_id)
    rays_first, rays_second = rays(cameras[0], pair.first), rays(cameras[1], pair.second)
    second_from_first = second.cam_from_world() * first.cam_from_world().inverse()
    rotation, translation = second_from_first.rotation.matrix(), second_from_first.translation
    length = np.linalg.norm(translation)
    if length == 0:
        return np.full(len(rays_first), np.inf)
    essential = rotations.cross_matrices(translation / length) @ rotation
    line_second, line_first = rays_first @ essential.T, rays_second @ essential
    slope = _slope(cameras[1], line_second, rays_second) + _slope(cameras[0], line_first, rays_first)
    focal = np.sqrt(plausibility.pixels_per_radian(cameras[0]) * plausibility.pixels_per_radian(cameras[1]))
    error = focal * np.abs((rays_second * line_second).sum(1)) / np.sqrt(np.maximum(slope, 1e-20))
    rotated = rays_first @ rotation.T
    lengths = np.linalg.norm(rotated, axis=1) * np.linalg.norm(rays_second, axis=1)
    cosine = (rotated * rays_second).sum(1) / lengths
    visible = _in_front(rotated, rays_second, translation) & (cosine > np.cos(np.radians(WIDEST)))
    return np.where(visible, error, np.inf)


def rays(camera: pycolmap.Camera, points: FloatArray) -> FloatArray:
    """(K, 3) rays in the camera's frame through pixels `points` (K, 2): of length 1 in a panorama, with z = 1 else."""
    if camera.is_spherical():
        size = np.array([camera.width, camera.height])
        return lens.panorama_directions((points / size - 0.5) * (2 * np.pi, np.pi))
    return np.column_stack([camera.cam_from_img(points), np.ones(len(points))])


def _slope(camera: pycolmap.Camera, lines: FloatArray, rays: FloatArray) -> FloatArray:
    """(K,) the squared gradient of the epipolar error by the ray: within the plane z = 1, or on the sphere of a
    panorama."""
    gradient = lines - (lines * rays).sum(1, keepdims=True) * rays if camera.is_spherical() else lines[:, :2]
    square: FloatArray = (gradient**2).sum(1)
    return square


def _in_front(first: FloatArray, second: FloatArray, translation: FloatArray) -> Array:
    """(K,) bool: a and b in a · `first` + `translation` = b · `second` are positive, or the rays are almost
    parallel."""
    ff, ss, fs = (first**2).sum(1), (second**2).sum(1), (first * second).sum(1)
    ft, st = first @ translation, second @ translation
    determinant = ff * ss - fs**2
    depth_first, depth_second = fs * st - ss * ft, ff * st - fs * ft  # times the determinant, which is positive
    parallel = determinant < np.sin(np.radians(PARALLAX)) ** 2 * ff * ss
    front: Array = parallel | ((depth_first > 0) & (depth_second > 0))
    return front


def _fault(model: Model, registered: set[int], matched: Matched, explained: float) -> str:
    """Why the model is not believable, in a few words; empty where it is.

    `explained` is how well the model explains the matches of its registered photos, with any photos, from 0 to 1.
    """
    if len(registered) < 2 or model.num_points3D() < MODEL_POINTS:
        return "too few points"
    if model.compute_mean_reprojection_error() > plausibility.LARGEST_ERROR:
        return "large reprojection error"
    if (parallax := _parallax(model)) < PARALLAX:
        return NO_PARALLAX
    if len(registered) == 2 and parallax > WIDEST_OF_TWO:
        return TOO_WIDE
    in_three_photos = sum(point.track.length() >= 3 for point in model.points3D.values())
    enough = in_three_photos >= plausibility.ENOUGH_POINTS
    faults = (
        plausibility.lens_fault(model.camera(model.image(index + 1).camera_id), matched.photos[index], enough)
        for index in sorted(registered)
    )
    if _is_contradicted(registered, matched, explained):
        return CONTRADICTED
    return next((fault for fault in faults if fault), "")


def _is_contradicted(registered: set[int], matched: Matched, explained: float) -> bool:
    """Whether the matches around triangles contradict each other.

    A model of few of the matched photos is also contradicted where hardly any matches agree around triangles, or it
    explains little of its photos' matches.
    """
    agreeing, comparable, triangles = cycles.agreement(matched, registered, PAIR_MATCHES)
    linked = np.unique(matched.pairs[matched.inliers >= PAIR_MATCHES])
    few = len(registered) < plausibility.FEW_REGISTERED * len(linked)
    if few and triangles and (agreeing < PAIR_MATCHES or explained < FEW_EXPLAINED):
        return True
    return comparable >= PAIR_MATCHES and agreeing < CYCLES_AGREE * comparable


def _parallax(model: Model) -> float:
    """Degrees: the median over the model's points of the widest angle between two rays to a point."""
    centres = {image.image_id: image.projection_center() for image in model.images.values() if image.has_pose}
    points = list(model.points3D.values())
    widest = []
    for point in points[:: max(1, len(points) // 1000)]:
        rays = np.array([centres[element.image_id] for element in point.track.elements]) - point.xyz
        rays /= np.linalg.norm(rays, axis=1, keepdims=True)
        widest.append(np.degrees(np.arccos(np.clip((rays @ rays.T).min(), -1, 1))))
    return float(np.median(widest))


def choose(scored_models: Sequence[ScoredModel]) -> ScoredModel | None:
    """The believable model with the highest score; of nearly equal ones the first, since candidates are sorted by
    exactness. None where no model is believable."""
    believable = [scored for scored in scored_models if not scored.fault]
    top = max((scored.score for scored in believable), default=0.0)
    return next((scored for scored in believable if scored.score >= top - TIE), None)


def agree(best: ScoredModel, scored_models: Sequence[ScoredModel], photos: int) -> bool:
    """Whether another candidate made nearly the same model of so many `photos` as the best one.

    It registers as many photos, to one in ten, and explains the matches of those that it registers equally well. Two
    mappers that work differently do not fold a scene over in the same way.
    """
    share = best.score / len(best.registered)
    return any(
        other.candidate != best.candidate
        and not other.fault
        and abs(len(other.registered) - len(best.registered)) <= 0.1 * photos
        and photos * abs(other.score / len(other.registered) - share) <= TIE
        for other in scored_models
    )
