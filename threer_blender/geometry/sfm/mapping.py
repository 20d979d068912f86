"""[R] Cameras and sparse points from verified matches: candidate mappings by pycolmap, and the choice among them.

No single mapper registers everything. Strict incremental mapping (Schönberger & Frahm 2016, COLMAP's defaults) is the
most exact. Relaxed incremental mapping and global mapping (Pan et al. 2024, GLOMAP) register photos that it drops. Each
of them sometimes folds a scene over. So several are tried, and all are scored on the same data, which none of them
selected: the verified matches of all pairs (`model_selection`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ...model import lens
from ...model.arrays import Array, FloatArray
from ...model.engine import ReportStage, Stage
from ...model.errors import UserError
from ...model.reconstruction import MEDIAN_DEPTH, Camera, Unregistered
from ..colmap import pycolmap
from ..features.database import Matched, distortion_of
from . import known_lenses, mappers, model_search, plausibility, surveyed, uncertainty
from .model_adjustment import LensFreedom, adjust, posed_images
from .model_selection import (
    PAIR_MATCHES,
    TIE,
    Model,
    Pair,
    ScoredModel,
    read_pairs,
    refuse_hopeless,
    score_model,
    why_nothing,
)
from .surveyed import HeldSurvey

MAPPING = Stage("mapping", "Solving cameras")

FEW_FEATURES = 100  # a photo with fewer shows too little detail
LENS_PHOTOS = 10  # photos of one camera, from which on its principal point and second distortion term are solved
KEYPOINT_ERROR = 0.25  # px of the copies: the scale of the robust loss; median errors on real photos are 0.1 to 0.4
ADJUSTMENT_ITERATIONS = 30  # at most; each takes some milliseconds, in which the solver holds Python's lock


@dataclass(frozen=True)
class MappingSolution:
    """The registered photos' `cameras` in pixels of the photos, and the sparse points of one world.

    `positions` (P, 3) float64 and `colors` (P, 3) uint8 sRGB are the points'; `observed[i]` are the indices of the
    points that `cameras[i]` sees. The world is pycolmap's, moved so that the points' median is the origin, and scaled
    so that the median depth over all observations is MEDIAN_DEPTH; it is not metric. A solution to survey marks or a
    reference stays in their world instead.

    `reprojection_error` is the mean over all observations, in pixels of the photos. `other_models` are groups of names
    of photos that were solved together, but apart from this solution. `candidate` is the name of the mapper that made
    it, and `notes` are sentences for the artist.
    """

    cameras: list[Camera]
    positions: FloatArray
    colors: Array
    observed: list[Array]
    unregistered: list[Unregistered]
    other_models: list[list[str]]
    reprojection_error: float
    candidate: str
    notes: list[str]


def solve(matched: Matched, report: ReportStage, held: HeldSurvey | None = None) -> MappingSolution:
    """The best model of the photos. With `held`, it is adjusted to the survey points and in survey coordinates.

    Raises UserError where the photos are hopeless, no model is believable, or the survey does not fit. Raises what
    `report` raises.
    """
    pairs = read_pairs(matched)
    refuse_hopeless(pairs)
    planned = len(mappers.CANDIDATES) * len(matched.photos)
    best, scored_models = model_search.best_model(matched, pairs, lambda done: report(MAPPING, done, planned))
    if best is None:
        raise UserError(why_nothing(matched, pairs, scored_models))

    def go_on(_registered: float) -> None:
        report(MAPPING, planned, planned)

    best, scored_models, used = model_search.separated(best, scored_models, matched, go_on)
    (candidate,) = (each for each in mappers.CANDIDATES if each.name == best.candidate)
    pairs = read_pairs(used)
    with_lenses = replace(used, path=candidate.database(used))
    best = continued(best, with_lenses, pairs, go_on)
    mappers.fill_in(best.model, with_lenses)
    report(MAPPING, planned, planned)
    best = _adjusted(best, with_lenses, pairs)
    best = replace(best, doubt=model_search.doubt(best, matched, used))
    report(MAPPING, planned, planned)
    if held is not None:
        cameras = {camera.photo: camera for camera in solution(best, [best], matched, note="", as_is=True).cameras}
        best = replace(best, model=surveyed.adjusted_to(best.model, matched, held, cameras))
    return solution(best, scored_models, matched, candidate.note, as_is=held is not None)


# ----------------------------------------------------------------------------------------------- the best model
def continued(
    best: ScoredModel, matched: Matched, pairs: Sequence[Pair], progress: Callable[[float], None]
) -> ScoredModel:
    """The model with more of the photos, if relaxed mapping, which continues from it, registers some believably.

    A few matches suffice to register a photo in a finished model, while they would mislead a new one.
    """
    if best.registered.issuperset(index for pair in pairs for index in pair.photos):
        return best
    model = pycolmap.Reconstruction(best.model)
    for image in list(model.images.values()):
        if image.has_pose and image.image_id - 1 not in best.registered:
            model.deregister_frame(image.frame_id)
    for larger in mappers.run(mappers.continuing(model), matched, progress):
        more = score_model(best.candidate, larger, matched, pairs)
        if not more.fault and more.registered > best.registered and more.score >= best.score - TIE:
            return more
    return best


def _adjusted(best: ScoredModel, matched: Matched, pairs: Sequence[Pair]) -> ScoredModel:
    """The model after one more bundle adjustment over all its points, robust to wrong matches.

    The mappers' own adjustments square every error within some pixels, which biases the focal length where few photos
    determine it. Cauchy's loss at the size of a keypoint's error leads to nearly the same cameras from each mapper's
    model, closer to the true ones. With few photos, the mappers also hold the distortion. It is solved here where the
    photos determine it; otherwise the focal length compensates for it (13 % for k1 = -0.1).

    Where enough photos share a camera, its principal point and its second distortion term are solved too. A lens is
    seldom centred to better than 1 %, which rotates every camera by half a degree. A few photos cannot distinguish that
    from a rotation: on sets with true cameras, solving it halved the rotation error with ten or more photos, and made
    it worse with seven. If the model explains less after the adjustment, it stays as it was.
    """
    model = pycolmap.Reconstruction(best.model)
    shared = Counter(image.camera_id for image in model.images.values() if image.has_pose)
    shared_cameras = [model.camera(number) for number, photos in shared.items() if photos >= LENS_PHOTOS]
    free = known_lenses.freedom(matched.photos)
    for camera in shared_cameras if free.distortion else ():
        if camera.model == pycolmap.CameraModelId.SIMPLE_RADIAL:
            camera.params, camera.model = [*camera.params, 0.0], pycolmap.CameraModelId.RADIAL
    config = posed_images(model)
    config.fix_gauge(pycolmap.BundleAdjustmentGauge.TWO_CAMS_FROM_WORLD)
    free_distortion = free.distortion
    if free_distortion and len(matched.photos) <= mappers.FEW_PHOTOS:
        free_distortion = uncertainty.tells_distortion(model)
    centre = free.centre and bool(shared_cameras)
    adjust(
        model,
        config,
        LensFreedom(focal=free.focal, centre=centre, distortion=free_distortion),
        ADJUSTMENT_ITERATIONS,
        KEYPOINT_ERROR,
    )
    adjusted = score_model(best.candidate, model, matched, pairs)
    worse = adjusted.fault or adjusted.score < best.score - TIE or not adjusted.registered >= best.registered
    return best if worse else adjusted


# ----------------------------------------------------------------------------------------------- the solution
def solution(
    best: ScoredModel, scored_models: Sequence[ScoredModel], matched: Matched, note: str, as_is: bool = False
) -> MappingSolution:
    """The best model as a solution. `scored_models` are all models, for the groups of photos that other models
    registered; `note` is the candidate's.

    With `as_is`, the world stays the model's.
    """
    model = best.model
    indices = [i for i in sorted(best.registered) if model.image(i + 1).num_points3D > 0]
    ids, positions, colors = _points(model, indices, matched)
    row_of = {point: number for number, point in enumerate(ids)}
    observed, depths = [], []
    for index in indices:
        image = model.image(index + 1)
        rows = [row_of[p.point3D_id] for p in image.get_observation_points2D() if p.point3D_id in row_of]
        observed.append(np.unique(np.array(rows, np.int64)))
        depths.append(_depths(model, image, positions[observed[-1]]))
    scale, centre = MEDIAN_DEPTH / float(np.median(np.concatenate(depths))), np.median(positions, axis=0)
    if as_is:
        scale, centre = 1.0, np.zeros(3)
    cameras = [_camera(model, index, matched, centre, scale) for index in indices]
    weights = [len(rows) for rows in observed]
    error = float(np.average([camera.reprojection_error or 0.0 for camera in cameras], weights=weights))
    others = _other_models(best, scored_models)
    return MappingSolution(
        cameras,
        (positions - centre) * scale,
        colors,
        observed,
        [_unregistered(i, best, matched, others) for i in range(len(matched.photos)) if i not in indices],
        [[matched.photos[i].name for i in group] for group in others],
        error,
        best.candidate,
        [*_notes(best, matched), *([note] if note else [])],
    )


def _depths(model: Model, image: pycolmap.Image, positions: FloatArray) -> FloatArray:
    """(P,) camera z of points (P, 3) in the world; for a panorama, their distance."""
    camera_from_world = image.cam_from_world().matrix()
    local = positions @ camera_from_world[:, :3].T + camera_from_world[:, 3]
    spherical = model.camera(image.camera_id).is_spherical()
    depths: FloatArray = np.linalg.norm(local, axis=1) if spherical else local[:, 2]
    return depths


def _points(model: Model, indices: Iterable[int], matched: Matched) -> tuple[list[int], FloatArray, Array]:
    """Ids, positions (P, 3) and colours (P, 3) uint8 of the points that two or more of the photos `indices` see."""
    image_ids = {index + 1 for index in indices}
    ids, positions, colors = [], [], []
    for point_id, point in model.points3D.items():
        elements = [element for element in point.track.elements if element.image_id in image_ids]
        if len(elements) >= 2:
            ids.append(point_id)
            positions.append(point.xyz)
            colors.append(np.mean([matched.colors[e.image_id - 1][e.point2D_idx] for e in elements], axis=0))
    return ids, np.array(positions), np.rint(colors).astype(np.uint8)


def _camera(model: Model, index: int, matched: Matched, centre: FloatArray, scale: float) -> Camera:
    """The photo's camera, in pixels of the photo instead of the copy, and in the solution's world."""
    photo, image = matched.photos[index], model.image(index + 1)
    solved = model.camera(image.camera_id)
    x, y = photo.width / solved.width, photo.height / solved.height
    world_from_camera = np.eye(4)
    world_from_camera[:3] = image.cam_from_world().inverse().matrix()
    world_from_camera[:3, 3] = (world_from_camera[:3, 3] - centre) * scale
    distortion = distortion_of(solved)
    return Camera(
        photo.name,
        photo.width,
        photo.height,
        *_intrinsics(solved, x, y),
        world_from_camera,
        lens.NO_DISTORTION if distortion.is_identity else distortion,
        reprojection_error=_reprojection_error(model, image, np.array([x, y])),
    )


def _intrinsics(solved: pycolmap.Camera, x: float, y: float) -> tuple[float, float, float, float]:
    """fx, fy, cx and cy in a picture that is `x` times as wide and `y` times as high; for a panorama, fx and fy are
    pixels per radian."""
    if solved.is_spherical():
        width, height = solved.width * x, solved.height * y
        return width / (2 * np.pi), height / np.pi, width / 2, height / 2
    focal = solved.focal_length_x * x, solved.focal_length_y * y
    return *focal, solved.principal_point_x * x, solved.principal_point_y * y


def _reprojection_error(model: Model, image: pycolmap.Image, photo_from_copy: FloatArray) -> float:
    """Mean distance, in pixels of the photo, between an image's observations and its projected points."""
    observations = image.get_observation_points2D()
    local = np.array([model.point3D(p.point3D_id).xyz for p in observations]) @ image.cam_from_world().matrix()[:, :3].T
    camera = model.camera(image.camera_id)
    projected = camera.img_from_cam(local + image.cam_from_world().translation)
    off = projected - np.array([p.xy for p in observations])
    if camera.is_spherical():  # its left edge continues at its right one
        off[:, 0] -= camera.width * np.rint(off[:, 0] / camera.width)
    off *= photo_from_copy
    return float(np.nanmean(np.linalg.norm(off, axis=1)))


def _other_models(best: ScoredModel, scored_models: Sequence[ScoredModel]) -> list[list[int]]:
    """Groups of two or more photos that another believable model registers, and that are not in the best one."""
    taken, groups = set(best.registered), []
    for scored in sorted((v for v in scored_models if not v.fault), key=lambda v: v.score, reverse=True):
        group = sorted(scored.registered - taken)
        if len(group) >= 2:
            groups.append(group)
            taken.update(group)
    return groups


def _unregistered(index: int, best: ScoredModel, matched: Matched, others: Sequence[Sequence[int]]) -> Unregistered:
    """The reason why a photo has no camera, and advice."""
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
    elif best.registered.isdisjoint(partners):
        reason = f"It overlaps only with {_names(partners, matched)}, left out as well."
        advice = "Add photos that lead from these views to the others."
    else:
        reason = f"It resembles {_names(partners, matched)}, but no camera position explains the resemblance."
        advice = "Add photos from beside this view; repeating patterns, reflections and moving things mislead."
    return Unregistered(matched.photos[index].name, reason, advice)


def _names(indices: Iterable[int], matched: Matched) -> str:
    """The photos' names inside a sentence."""
    return plausibility.names(matched.photos[i].name for i in sorted(indices))


def _notes(best: ScoredModel, matched: Matched) -> list[str]:
    """Notes for the artist about the solution, warnings first."""
    cameras = {matched.photos[i].name: best.model.camera(best.model.image(i + 1).camera_id) for i in best.registered}
    notes = [best.doubt] if best.doubt else []
    notes += plausibility.warnings(cameras, best.model.compute_mean_reprojection_error(), len(matched.photos))
    first = matched.photos[min(best.registered)]
    scale = first.width / float(matched.sizes[min(best.registered)][0])
    notes += known_lenses.remarks(best.model, matched.photos, scale)
    unknown = [i for i in sorted(best.registered) if not matched.photos[i].focal]
    if len(best.registered) == 2 and len(unknown) == 2:
        notes.append("Two photos alone do not tell their focal length well: enter it where it is known.")
        return notes
    deviations = uncertainty.lens_deviations(best.model) if unknown else {}
    shares = [deviations[number].focal for i in unknown if (number := best.model.image(i + 1).camera_id) in deviations]
    if shares and 2 * max(shares) > uncertainty.UNCERTAIN_FOCAL:
        notes.append(
            f"The photos leave the focal length open by ± {200 * max(shares):.0f} %: enter it where it is known, or "
            "add photos from other directions."
        )
    return notes
