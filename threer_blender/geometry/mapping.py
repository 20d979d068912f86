"""[R] Cameras and sparse points from verified matches: candidate mappings by pycolmap, and the choice among them.

No single mapper registers everything: strict incremental mapping (Schönberger & Frahm 2016, COLMAP's defaults) is the
most exact, the relaxed one and global mapping (Pan et al. 2024, GLOMAP) place photos that it drops, and each of them
sometimes folds a scene over. So several are tried, and all are judged by the same data, which none of them chose: the
verified matches of all pairs. A match is explained by a model where it obeys the epipolar geometry of the model's two
cameras, with the point in front of both.
"""

from __future__ import annotations

import shutil
import zlib  # noqa: F401  # before pycolmap, see features
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeAlias

import numpy as np
import pycolmap

from .. import lens
from ..messages import UserError
from ..reconstruction import Array, Camera, FloatArray, LeftOut
from .features import SEED, Matched, Report, interruptible

MAPPING = "Solving cameras"

# What makes a pair, a photo and a model believable. Pixels are those of the copies (about 1600 to the long side).
PAIR_MATCHES = 15  # verified matches that make a pair: COLMAP's own threshold
EXPLAINED_ERROR = 4.0  # px, Sampson; the error at which pairs are verified
MERIT_ERROR = 2.0  # px; a match this far from the model has no merit, one without error has 1
PHOTO_SUPPORT = 0.5  # of a photo's matches with the model's other photos are explained
PHOTO_POINTS = 12  # points that a placed photo must see, unless it matches two or more placed photos
MODEL_POINTS = 30  # points that a model must have
PARALLAX = 1.0  # degrees; median over the points of the widest angle between two rays
NO_PARALLAX = "no parallax"
LARGEST_ERROR = 2.5  # px, mean reprojection error
FOCAL_RANGE = (0.4, 2.5)  # focal length over the long side that cameras usually have
FOCAL_FROM_PRIOR = 1.6  # factor by which the solved focal length may differ from the one in EXIF
SURE_POINTS = 500  # points seen by three photos or more that make an unusual focal length believable

# What makes a set of photos hopeless. Measured: of a static camera's matches 20 % or more stay within 1.5 px, of a
# moving one's none; for a turning camera the singular values differ by up to 2 %, for one in a hand by 3 % and more.
STILL = 1.5  # px; a match that moves less stays where it is in the picture
STILL_MATCHES = 0.1  # share of such matches that tells of a camera that did not move between two photos
TURN_STEP = 0.025  # of the distance; a camera that moves less only turned
TURN_FOCALS = (0.3, 15.0, 200)  # focal lengths over the long side that are tried: from, to, how many
HOPELESS_PAIRS = 0.5  # share of such pairs that makes the set hopeless
HOMOGRAPHY_KINDS = tuple(
    int(kind)
    for kind in (
        pycolmap.TwoViewGeometryConfiguration.PLANAR,
        pycolmap.TwoViewGeometryConfiguration.PANORAMIC,
        pycolmap.TwoViewGeometryConfiguration.PLANAR_OR_PANORAMIC,
    )
)

TIE = 0.005  # of score
STRAINED = 1.0  # px; the strain above which other candidates are tried even where all photos are placed
FEW_PHOTOS = 4  # with so few, lens distortion is not solved for
FEW_FEATURES = 100
LENS_PHOTOS = 10  # photos of one camera from which its principal point and second distortion term are solved
LENS_ITERATIONS = 30  # at most; the solver holds Python's lock meanwhile, some milliseconds each
DEPTH = 5.0  # units: the median depth of the points over the cameras, in the solution's world

Token: TypeAlias = pycolmap.CancellationToken
Model: TypeAlias = pycolmap.Reconstruction


@dataclass(frozen=True)
class Candidate:
    """One way to solve: `run(database, photos, token, progress)` returns its models and calls `progress()` per photo.

    `wanted(best, matched)` tells whether it is worth its time, given the best verdict so far. `calibrated`: focal
    lengths are first estimated from the view graph (Sweeney et al. 2015), where EXIF knows none. `complete`: its
    models hold the points that only two photos see.
    """

    name: str
    run: Callable[[Path, int, Token, Callable[[], None]], list[Model]]
    wanted: Callable[[Verdict | None, Matched], bool]
    calibrated: bool = False
    complete: bool = False


@dataclass(frozen=True)
class Verdict:
    """A model and how well it stands.

    `placed` are the photos (indices) whose cameras are believable. `score` in [0, 1] is the mean over all photos of
    how much of a photo's verified matches the model explains and how well; photos that it leaves out count as 0.
    `strain` is the pixels of error in the worst pairs: large where the model is folded. `fault` says in a few words
    why the model as a whole is not believable, or nothing.
    """

    candidate: Candidate
    model: Model
    placed: frozenset[int]
    score: float
    strain: float
    fault: str


@dataclass(frozen=True)
class Solution:
    """Cameras in pixels of the photos, and the sparse points of one world.

    `positions` (P, 3) float64 and `colors` (P, 3) uint8 sRGB; `observed[i]` are the points, as indices, that
    `cameras[i]` sees. The world is as pycolmap leaves it, moved so that the points' median is the origin and scaled so
    that the median depth over all observations is DEPTH; it is not metric. `reprojection_error` is the mean in pixels
    of the photos. `other_models` are the names of photos that hang together, but not with the solution.
    """

    cameras: list[Camera]
    positions: FloatArray
    colors: Array
    observed: list[Array]
    left_out: list[LeftOut]
    other_models: list[list[str]]
    reprojection_error: float
    candidate: str
    notes: list[str]


@dataclass(frozen=True)
class Pair:
    """Two photos and their verified matches: `first`, `second` (K, 2) pixels in the copies.

    `still`: many of their matches, verified or not, stay where they are in the picture. `turned`: a camera that only
    turned, whatever its focal length, explains them.
    """

    photos: tuple[int, int]
    first: FloatArray
    second: FloatArray
    still: bool
    turned: bool


def solve(matched: Matched, report: Report) -> Solution:
    """The best model of the photos. Raises UserError where none is believable, and what `report` raises."""
    pairs = read_pairs(matched)
    _refuse_hopeless(pairs)
    verdicts: list[Verdict] = []
    best: Verdict | None = None
    count, planned = len(matched.photos), len(CANDIDATES) * len(matched.photos)
    for number, candidate in enumerate(CANDIDATES):
        if candidate.wanted(best, matched):
            models = _run(candidate, matched, partial(_progress, report, number * count, planned))
            verdicts += [judge(candidate, model, matched, pairs) for model in models]
            best = choose(verdicts)
    if best is None:
        raise UserError(_why_nothing(matched, pairs, verdicts))
    report(MAPPING, planned, planned)
    if not best.candidate.complete:
        _fill_in(best.model, matched)
    report(MAPPING, planned, planned)
    best = _with_lenses(best, matched, pairs)
    report(MAPPING, planned, planned)
    return _solution(best, verdicts, matched)


def _progress(report: Report, before: float, planned: float, placed: float) -> None:
    report(MAPPING, before + placed, planned)


def choose(verdicts: Sequence[Verdict]) -> Verdict | None:
    """The believable model with the highest score; of nearly equal ones the first, whose candidate is more exact."""
    believable = [verdict for verdict in verdicts if not verdict.fault]
    top = max((verdict.score for verdict in believable), default=0.0)
    return next((verdict for verdict in believable if verdict.score >= top - TIE), None)


def read_pairs(matched: Matched) -> list[Pair]:
    """The verified matches of all pairs that have enough of them."""
    pairs = []
    with pycolmap.Database.open(matched.path) as database:
        points = [database.read_keypoints(i + 1)[:, :2].astype(np.float64) for i in range(len(matched.photos))]
        for i, j in matched.pairs[matched.inliers >= PAIR_MATCHES].tolist():
            geometry, every = database.read_two_view_geometry(i + 1, j + 1), database.read_matches(i + 1, j + 1)
            moved = np.linalg.norm(points[i][every[:, 0]] - points[j][every[:, 1]], axis=1)
            still = tuple(matched.sizes[i]) == tuple(matched.sizes[j]) and np.mean(moved < STILL) > STILL_MATCHES
            turned = geometry.config in HOMOGRAPHY_KINDS and _is_turn(geometry.H, matched.sizes[i], matched.sizes[j])
            matches = geometry.inlier_matches
            pairs.append(Pair((i, j), points[i][matches[:, 0]], points[j][matches[:, 1]], bool(still), turned))
    return pairs


def _is_turn(homography: FloatArray, first_size: Array, second_size: Array) -> bool:
    """Whether `homography` (3, 3), in pixels, is K R K⁻¹ for a rotation R and a K of some focal length.

    A wall seen from two places has a homography as well: K (R + t nᵀ / d) K⁻¹, whose middle part has singular values
    that differ by about the step t over the distance d.
    """
    focals = np.geomspace(*TURN_FOCALS)[:, None]
    first, second = (np.zeros((len(focals), 3, 3)) for _ in range(2))
    for matrix, size in ((first, first_size), (second, second_size)):
        matrix[:, (0, 1), (0, 1)] = focals * size.max()
        matrix[:, :2, 2] = size / 2
        matrix[:, 2, 2] = 1
    singular = np.linalg.svd(np.linalg.inv(second) @ homography @ first, compute_uv=False)
    return bool((singular[:, 0] / np.maximum(singular[:, 2], 1e-12)).min() < 1 + TURN_STEP)


# ----------------------------------------------------------------------------------------------- input without hope
def _refuse_hopeless(pairs: Sequence[Pair]) -> None:
    """Raises UserError where the matches alone show that there is nothing to solve."""
    if not pairs:
        raise UserError(
            "No two photos show enough of the same details; take photos that overlap by more than half, "
            "in steps of at most 25 degrees, in focus and of textured surfaces."
        )
    if np.mean([pair.still for pair in pairs]) > HOPELESS_PAIRS:
        raise UserError(
            "The photos were taken from one spot: the camera stood still, whatever moved in front of it, or the photos "
            "are copies of each other; move the camera sideways between the shots and keep the scene still."
        )
    if np.mean([pair.still or pair.turned for pair in pairs]) > HOPELESS_PAIRS:
        raise UserError(
            "The photos were taken from one spot: the camera only turned, and nothing tells depth; "
            "move it sideways between the shots, by a tenth of the distance to the scene or more."
        )


def _why_nothing(matched: Matched, pairs: Sequence[Pair], verdicts: Sequence[Verdict]) -> str:
    """The sentence for photos that match, but of which no believable model could be made."""
    flat = np.isin(matched.kinds[matched.inliers >= PAIR_MATCHES], HOMOGRAPHY_KINDS)
    if flat.mean() > 0.5 or any(verdict.fault == NO_PARALLAX for verdict in verdicts):
        return (
            "The photos were taken from one spot, or show a single flat wall: nothing in them tells depth; "
            "move the camera sideways between the shots, by a tenth of the distance to the scene or more."
        )
    return (
        f"{len(pairs)} pairs of photos match, but no arrangement of cameras explains the matches; take photos that "
        "overlap by more than half, in steps of at most 25 degrees, of a scene that keeps still."
    )


# ----------------------------------------------------------------------------------------------- candidates
def _run(candidate: Candidate, matched: Matched, progress: Callable[[float], None]) -> list[Model]:
    """The candidate's models; `progress(photos placed so far)` is called often and may raise."""
    placed = 0

    def one_more() -> None:
        nonlocal placed
        placed = min(placed + 1, len(matched.photos))

    def call(token: Token) -> list[Model]:
        pycolmap.set_random_seed(SEED)
        path = _calibrated(matched.path) if candidate.calibrated else matched.path
        return candidate.run(path, len(matched.photos), token, one_more)

    return interruptible(call, lambda: progress(placed))


def _calibrated(path: Path) -> Path:
    """A copy of the database with focal lengths from the view graph."""
    copy = path.with_name("calibrated.db")
    if not copy.exists():
        shutil.copyfile(path, copy)
        options = pycolmap.ViewGraphCalibrationOptions()
        options.random_seed = SEED
        pycolmap.calibrate_view_graph(copy, options)
    return copy


def _strict(path: Path, count: int, token: Token, progress: Callable[[], None]) -> list[Model]:
    """Incremental mapping at COLMAP's own thresholds."""
    return _incremental(path, _incremental_options(count), token, progress)


def _relaxed(path: Path, count: int, token: Token, progress: Callable[[], None]) -> list[Model]:
    """Incremental mapping that starts from small angles and keeps points which only two photos see."""
    options = _incremental_options(count)
    options.triangulation.ignore_two_view_tracks = False
    options.triangulation.min_angle = 0.7
    options.mapper.filter_min_tri_angle = 0.7
    options.mapper.init_min_tri_angle = 2.0
    options.mapper.init_min_num_inliers = 30
    options.mapper.init_max_forward_motion = 0.99
    options.mapper.abs_pose_min_num_inliers = 15
    options.mapper.abs_pose_min_inlier_ratio = 0.15
    return _incremental(path, options, token, progress)


def _incremental_options(count: int) -> pycolmap.IncrementalPipelineOptions:
    options = pycolmap.IncrementalPipelineOptions()
    options.random_seed = SEED
    options.num_threads = 1  # more of them add in another order, and the result would differ from run to run
    options.min_model_size = 2
    options.extract_colors = False
    if count <= FEW_PHOTOS:  # distortion would explain what the focal length and the poses must
        options.ba_refine_extra_params = False
        options.mapper.abs_pose_refine_extra_params = False
    return options


def _incremental(
    path: Path, options: pycolmap.IncrementalPipelineOptions, token: Token, progress: Callable[[], None]
) -> list[Model]:
    models = pycolmap.incremental_mapping(
        path,
        path.parent,
        path.parent,
        options,
        initial_image_pair_callback=progress,
        next_image_callback=progress,
        cancellation_token=token,
    )
    return list(models.values())


def _global(path: Path, count: int, token: Token, progress: Callable[[], None]) -> list[Model]:
    """Global mapping. It knows no token: an exception in its callback ends it, a few times per second of work."""
    options = pycolmap.GlobalPipelineOptions()
    options.random_seed = SEED
    options.num_threads = 1
    options.min_model_size = 2
    if count <= FEW_PHOTOS:
        options.mapper.bundle_adjustment.refine_extra_params = False

    def step() -> None:
        if token.is_cancelled:
            raise InterruptedError
        progress()

    manager = pycolmap.ReconstructionManager()
    with pycolmap.Database.open(path) as database:
        pipeline = pycolmap.GlobalPipeline(options, database, manager)
        pipeline.add_callback(pycolmap.GlobalPipelineCallback.MODEL_UPDATE_CALLBACK.value, step)
        pipeline.run()
    return [manager.get(i) for i in range(manager.size())]


def _always(_best: Verdict | None, _matched: Matched) -> bool:
    return True


def _unless_good(best: Verdict | None, matched: Matched) -> bool:
    """Nothing believable yet, photos left out, or a model that may be folded."""
    return best is None or len(best.placed) < len(matched.photos) or best.strain > STRAINED


def _if_poor(best: Verdict | None, matched: Matched) -> bool:
    """A focal length is unknown, and a fifth of the photos or more are still left out."""
    unknown = any(photo.focal is None for photo in matched.photos)
    return unknown and (best is None or len(best.placed) <= 0.8 * len(matched.photos))


CANDIDATES = (
    Candidate("incremental", _strict, _always),
    Candidate("incremental, relaxed", _relaxed, _unless_good, complete=True),
    Candidate("global", _global, _unless_good),
    Candidate("incremental, relaxed, calibrated", _relaxed, _if_poor, calibrated=True, complete=True),
    Candidate("global, calibrated", _global, _if_poor, calibrated=True),
)


def _with_lenses(best: Verdict, matched: Matched, pairs: Sequence[Pair]) -> Verdict:
    """The model with principal point and a second distortion term for cameras that enough photos share.

    A lens is seldom centred to better than 1 %, which turns every camera by half a degree. A few photos cannot tell
    that from a turn; on the sets with true cameras ten or more halved the rotation error, seven made it worse. Where
    the model then explains less than before, it stays as it was.
    """
    shared = Counter(image.camera_id for image in best.model.images.values() if image.has_pose)
    sure = {camera for camera, photos in shared.items() if photos >= LENS_PHOTOS}
    if not sure:
        return best
    model = pycolmap.Reconstruction(best.model)
    config = pycolmap.BundleAdjustmentConfig()
    for image in model.images.values():
        if image.has_pose:
            config.add_image(image.image_id)
    for number in shared:
        camera = model.camera(number)
        if number not in sure:
            config.set_constant_cam_intrinsics(number)
        elif camera.model == pycolmap.CameraModelId.SIMPLE_RADIAL:
            camera.params, camera.model = [*camera.params, 0.0], pycolmap.CameraModelId.RADIAL
    config.fix_gauge(pycolmap.BundleAdjustmentGauge.TWO_CAMS_FROM_WORLD)
    options = pycolmap.BundleAdjustmentOptions()
    options.refine_principal_point = True
    options.print_summary = False
    options.ceres.loss_function_type = pycolmap.LossFunctionType.SOFT_L1
    options.ceres.solver_options.num_threads = 1
    options.ceres.solver_options.max_num_iterations = LENS_ITERATIONS
    pycolmap.create_default_bundle_adjuster(options, config, model).solve()
    refined = judge(best.candidate, model, matched, pairs)
    worse = refined.fault or refined.score < best.score or not refined.placed >= best.placed
    return best if worse else refined


def _fill_in(model: Model, matched: Matched) -> None:
    """Adds the points that only two photos see, which the exact candidates leave out; the cameras stay as they are."""
    options = _incremental_options(len(matched.photos))
    options.triangulation.ignore_two_view_tracks = False
    folder = matched.path.parent
    pycolmap.triangulate_points(model, matched.path, folder, folder, clear_points=False, options=options)


# ----------------------------------------------------------------------------------------------- judgement
def judge(candidate: Candidate, model: Model, matched: Matched, pairs: Sequence[Pair]) -> Verdict:
    """Which photos of a model stand, how well it explains the verified matches, and what is wrong with it."""
    points = {image.image_id - 1: image.num_points3D for image in model.images.values() if image.has_pose}
    placed = {index for index, number in points.items() if number > 0}
    errors = {pair.photos: _errors(model, pair) for pair in pairs if placed.issuperset(pair.photos)}
    while placed:
        inside = {photos: found for photos, found in errors.items() if placed.issuperset(photos)}
        support = {index: _support(index, points[index], inside) for index in placed}
        worst = min(sorted(support), key=support.__getitem__)
        if support[worst] >= PHOTO_SUPPORT:
            break
        placed.remove(worst)
    inside = {photos: found for photos, found in errors.items() if placed.issuperset(photos)}
    matches, merit = np.zeros(len(matched.photos)), np.zeros(len(matched.photos))
    for pair in pairs:
        matches[list(pair.photos)] += len(pair.first)
        if pair.photos in inside:
            merit[list(pair.photos)] += np.maximum(0, 1 - (inside[pair.photos] / MERIT_ERROR) ** 2).sum()
    score = float((merit / np.maximum(matches, 1)).mean())
    strain = float(np.percentile([np.median(found) for found in inside.values()], 95)) if inside else np.inf
    return Verdict(candidate, model, frozenset(placed), score, strain, _fault(model, placed, matched))


def _support(index: int, points: int, errors: Mapping[tuple[int, int], Array]) -> float:
    """The share of a photo's matches with the other placed photos that the model explains.

    0 where the photo hangs by a thread: by few points, and by matches with one other photo only.
    """
    mine = [found < EXPLAINED_ERROR for photos, found in errors.items() if index in photos]
    partners = sum(int(explained.sum()) >= PAIR_MATCHES for explained in mine)
    if partners == 0 or (points < PHOTO_POINTS and partners < 2):
        return 0.0
    return float(np.mean(np.concatenate(mine)))


def _errors(model: Model, pair: Pair) -> FloatArray:
    """(K,) px: how far each match is from the epipolar geometry of the two cameras; infinite behind one of them.

    Sampson's error: Hartley & Zisserman, Multiple View Geometry, 2nd edition, equation 11.9.
    """
    first, second = (model.image(i + 1) for i in pair.photos)
    cameras = model.camera(first.camera_id), model.camera(second.camera_id)
    x, y = (
        np.column_stack([camera.cam_from_img(points), np.ones(len(points))])
        for camera, points in zip(cameras, (pair.first, pair.second), strict=True)
    )
    second_from_first = second.cam_from_world() * first.cam_from_world().inverse()
    rotation, translation = second_from_first.rotation.matrix(), second_from_first.translation
    length = np.linalg.norm(translation)
    if length == 0:
        return np.full(len(x), np.inf)
    essential = np.cross(np.eye(3), translation / length) @ rotation
    line_second, line_first = x @ essential.T, y @ essential
    slope = (line_second[:, :2] ** 2).sum(1) + (line_first[:, :2] ** 2).sum(1)
    focal = np.sqrt(cameras[0].mean_focal_length() * cameras[1].mean_focal_length())
    error = focal * np.abs((y * line_second).sum(1)) / np.sqrt(np.maximum(slope, 1e-20))
    return np.where(_in_front(x @ rotation.T, y, translation), error, np.inf)


def _in_front(first: FloatArray, second: FloatArray, translation: FloatArray) -> Array:
    """(K,) bool: a, b of a · `first` + `translation` = b · `second` are positive, or the rays almost parallel."""
    ff, ss, fs = (first**2).sum(1), (second**2).sum(1), (first * second).sum(1)
    ft, st = first @ translation, second @ translation
    determinant = ff * ss - fs**2
    depth_first, depth_second = fs * st - ss * ft, ff * st - fs * ft  # times the determinant, which is positive
    parallel = determinant < np.sin(np.radians(PARALLAX)) ** 2 * ff * ss
    front: Array = parallel | ((depth_first > 0) & (depth_second > 0))
    return front


def _fault(model: Model, placed: set[int], matched: Matched) -> str:
    """Why no artist should see this model, in a few words; empty where it is believable."""
    if len(placed) < 2 or model.num_points3D() < MODEL_POINTS:
        return "too few points"
    if model.compute_mean_reprojection_error() > LARGEST_ERROR:
        return "large reprojection error"
    if _parallax(model) < PARALLAX:
        return NO_PARALLAX
    sure = sum(point.track.length() >= 3 for point in model.points3D.values()) >= SURE_POINTS
    for index in placed:
        camera = model.camera(model.image(index + 1).camera_id)
        focal, photo = camera.mean_focal_length(), matched.photos[index]
        if photo.focal is not None:
            factor = focal / (photo.focal * camera.width / photo.width)
            if not 1 / FOCAL_FROM_PRIOR < factor < FOCAL_FROM_PRIOR:
                return "focal length far from the photo's own"
        elif not FOCAL_RANGE[0] < focal / max(camera.width, camera.height) < FOCAL_RANGE[1] and not sure:
            return "unusual focal length"
    return ""


def _parallax(model: Model) -> float:
    """Degrees: the median over the points of the widest angle between two of their rays."""
    centres = {image.image_id: image.projection_center() for image in model.images.values() if image.has_pose}
    points = list(model.points3D.values())
    widest = []
    for point in points[:: max(1, len(points) // 1000)]:
        rays = np.array([centres[element.image_id] for element in point.track.elements]) - point.xyz
        rays /= np.linalg.norm(rays, axis=1, keepdims=True)
        widest.append(np.degrees(np.arccos(np.clip((rays @ rays.T).min(), -1, 1))))
    return float(np.median(widest))


# ----------------------------------------------------------------------------------------------- the solution
def _solution(best: Verdict, verdicts: Sequence[Verdict], matched: Matched) -> Solution:
    model = best.model
    indices = [i for i in sorted(best.placed) if model.image(i + 1).num_points3D > 0]
    ids, positions, colors = _points(model, indices, matched)
    row = {point: number for number, point in enumerate(ids)}
    observed, depths = [], []
    for index in indices:
        image = model.image(index + 1)
        seen = [row[p.point3D_id] for p in image.get_observation_points2D() if p.point3D_id in row]
        observed.append(np.unique(np.array(seen, np.int64)))
        z = image.cam_from_world().matrix()[2]
        depths.append(positions[observed[-1]] @ z[:3] + z[3])
    scale, centre = DEPTH / float(np.median(np.concatenate(depths))), np.median(positions, axis=0)
    cameras = [_camera(model, index, matched, centre, scale) for index in indices]
    weights = [len(seen) for seen in observed]
    error = float(np.average([camera.reprojection_error or 0.0 for camera in cameras], weights=weights))
    others = _other_models(best, verdicts)
    return Solution(
        cameras,
        (positions - centre) * scale,
        colors,
        observed,
        [_left_out(i, best, matched, others) for i in range(len(matched.photos)) if i not in indices],
        [[matched.photos[i].name for i in group] for group in others],
        error,
        best.candidate.name,
        _notes(best, matched),
    )


def _points(model: Model, indices: Iterable[int], matched: Matched) -> tuple[list[int], FloatArray, Array]:
    """Ids, positions (P, 3) and colours (P, 3) of the points that two or more of the photos see."""
    kept = {index + 1 for index in indices}
    ids, positions, colors = [], [], []
    for point_id, point in model.points3D.items():
        seen = [element for element in point.track.elements if element.image_id in kept]
        if len(seen) >= 2:
            ids.append(point_id)
            positions.append(point.xyz)
            colors.append(np.mean([matched.colors[e.image_id - 1][e.point2D_idx] for e in seen], axis=0))
    return ids, np.array(positions), np.rint(colors).astype(np.uint8)


def _camera(model: Model, index: int, matched: Matched, centre: FloatArray, scale: float) -> Camera:
    """The photo's camera, from pixels of the copy to pixels of the photo and into the solution's world."""
    photo, image = matched.photos[index], model.image(index + 1)
    solved = model.camera(image.camera_id)
    x, y = photo.width / solved.width, photo.height / solved.height
    world_from_camera = np.eye(4)
    world_from_camera[:3] = image.cam_from_world().inverse().matrix()
    world_from_camera[:3, 3] = (world_from_camera[:3, 3] - centre) * scale
    extra = tuple(float(solved.params[i]) for i in solved.extra_params_idxs())
    return Camera(
        photo.name,
        photo.width,
        photo.height,
        solved.focal_length_x * x,
        solved.focal_length_y * y,
        solved.principal_point_x * x,
        solved.principal_point_y * y,
        world_from_camera,
        lens.Distortion(solved.model_name, extra) if any(extra) else lens.NO_DISTORTION,
        reprojection_error=_reprojection_error(model, image, np.array([x, y])),
    )


def _reprojection_error(model: Model, image: pycolmap.Image, photo_from_copy: FloatArray) -> float:
    """Mean distance, in pixels of the photo, between an image's observations and its projected points."""
    seen = image.get_observation_points2D()
    local = np.array([model.point3D(p.point3D_id).xyz for p in seen]) @ image.cam_from_world().matrix()[:, :3].T
    projected = model.camera(image.camera_id).img_from_cam(local + image.cam_from_world().translation)
    off = (projected - np.array([p.xy for p in seen])) * photo_from_copy
    return float(np.nanmean(np.linalg.norm(off, axis=1)))


def _other_models(best: Verdict, verdicts: Sequence[Verdict]) -> list[list[int]]:
    """Groups of two or more photos that a believable model places, but not together with the best one's."""
    taken, groups = set(best.placed), []
    for verdict in sorted((v for v in verdicts if not v.fault), key=lambda v: v.score, reverse=True):
        group = sorted(verdict.placed - taken)
        if len(group) >= 2:
            groups.append(group)
            taken.update(group)
    return groups


def _left_out(index: int, best: Verdict, matched: Matched, others: Sequence[Sequence[int]]) -> LeftOut:
    """Why a photo has no camera, and what would help."""
    features = int(matched.features[index])
    enough = matched.pairs[matched.inliers >= PAIR_MATCHES]
    partners = sorted(set(enough[(enough == index).any(axis=1)].ravel().tolist()) - {index})
    group = next((group for group in others if index in group), None)
    if features < FEW_FEATURES:
        reason = (
            f"Too little detail was found in it ({features} features): it is blurred, dark or shows plain surfaces."
        )
        advice = "Take it again, in focus and in more light, with something textured in view."
    elif not partners:
        reason = "It shows too little that another photo shows as well."
        advice = "Add photos between this view and the others, in steps of at most 25 degrees."
    elif group is not None:
        reason = (
            f"It was solved together with {_names(set(group) - {index}, matched)}, but apart from the other photos."
        )
        advice = "Add photos that lead from these views to the others, or solve these on their own."
    elif best.placed.isdisjoint(partners):
        reason = f"It overlaps only with {_names(partners, matched)}, left out as well."
        advice = "Add photos that lead from these views to the others."
    else:
        reason = f"It resembles {_names(partners, matched)}, but no camera position explains the resemblance."
        advice = "Add photos from beside this view; repeating patterns, reflections and moving things mislead."
    return LeftOut(matched.photos[index].name, reason, advice)


def _names(indices: Iterable[int], matched: Matched) -> str:
    """The photos' names inside a sentence, at most three of them."""
    names = [matched.photos[i].name for i in sorted(indices)]
    return ", ".join(names) if len(names) <= 3 else f"{', '.join(names[:2])} and {len(names) - 2} more"


def _notes(best: Verdict, matched: Matched) -> list[str]:
    """What the artist should know about a solution that stands."""
    if len(best.placed) == 2 and not any(matched.photos[i].focal for i in best.placed):
        return ["Two photos alone do not tell their focal length well: enter it where it is known."]
    return []
