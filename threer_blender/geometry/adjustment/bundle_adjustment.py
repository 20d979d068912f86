"""[R] Bundle adjustment for every engine: cameras, lenses and points that fit the observations, robustly.

It is our own and not Ceres through pycolmap because it knows what engines bring: depths along the rays, right up to a
factor per camera, which hold the points that rays alone do not place (pure rotation, far things), and because it can be
cancelled between steps. `reprojection` has the errors and the descent, `schur` the linear algebra.

The descents go from a wide loss to a narrow one, so that cameras a few degrees off find their way. Such cameras put
points of little parallax anywhere, or behind themselves: the wide descents pass over those, and each begins with all
observations anew. After them, observations that do not fit are dropped.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ...model import lens
from ...model.arrays import Array, FloatArray
from ...model.engine import Check, unchecked
from ...model.errors import UserError
from ...model.reconstruction import Camera, Photo
from .. import rotations
from ..levenberg_marquardt import Options
from ..robust_losses import Cauchy
from .reprojection import CENTRE, AdjustmentState, Lenses, Problem, lenses_of
from .tracks import LEAST_PARALLAX, Tracks, triangulate

WIDE = 2.0  # times the median error: the loss of the first descents
WIDE_DESCENTS, WIDE_STEPS, STEPS = 5, 8, 30  # a descent need not arrive where the next one goes on
WIDE_PARALLAX = 1.0  # degrees: the first descents leave out points of less
OUTLIER = 4.0  # times the loss: what is farther off in the end is dropped
LOSS = 1.0  # pixels of error up to which an observation counts in full
SPREAD = 1.5  # times the median error: the last loss, where that is more than LOSS
LARGEST_LOSS = 0.004  # of the photos' longer side: the last loss is no wider, or anything would fit
LEAST_OBSERVATIONS = 12  # of a camera
LEAST_SHARE = 0.3  # of a camera's observations that stand in the end; else they were not its own


@dataclass(frozen=True)
class Unknowns:
    """The unknowns of a lens: focal length (fx to fy stays), principal point, and the terms of the COLMAP model
    `distortion`; "" keeps the distortion that the cameras have."""

    focal: bool = True
    principal_point: bool = False
    distortion: str = ""


KNOWN = Unknowns(focal=False)


@dataclass(frozen=True)
class AdjustmentSettings:
    """The unknowns beside poses and points, and when to stop.

    `lenses`: one number from 0 a camera; cameras with the same number share intrinsics, None gives each its own.
    `unknowns` of each lens. `tolerance`: relative fall of the cost in a step that ends a descent.
    """

    lenses: tuple[int, ...] | None = None
    unknowns: Unknowns = Unknowns()
    tolerance: float = 1e-7


@dataclass(frozen=True)
class Refined:
    """The same cameras in the same world; those that could be refined have their `reprojection_error`.

    `tracks` are the observations that stand and `points` (P, 3) theirs. `before` and `after` (N,): mean distance in
    pixels between a photo's observations and its points, each time with the points that are best for those cameras;
    NaN for a photo whose camera stayed as it was.
    """

    cameras: list[Camera]
    points: FloatArray
    tracks: Tracks
    before: FloatArray
    after: FloatArray

    def depth_factor(self, index: int) -> float:
        """The factor for the depths that came with a camera's observations: the median over them."""
        mine = (self.tracks.camera == index) & np.isfinite(self.tracks.depth)
        if not mine.any():
            return 1.0
        row = self.cameras[index].camera_from_world[2]
        depth = self.points[self.tracks.point[mine]] @ row[:3] + row[3]
        return float(np.median(depth / self.tracks.depth[mine]))


def refine(
    cameras: Sequence[Camera],
    tracks: Tracks,
    settings: AdjustmentSettings | None = None,
    check: Check = unchecked,
) -> Refined:
    """Cameras and points that meet the tracks.

    A camera without enough observations that fit stays as it was. The world stays the cameras' own: every group of
    photos that hangs together is laid back onto where it was, its scale as well. `check()` is called between steps and
    may raise.
    """
    settings = settings or AdjustmentSettings()
    offered = np.bincount(tracks.camera, minlength=len(cameras))
    tracks = supported(tracks, np.full(len(cameras), LEAST_OBSERVATIONS))
    solved = _lenses(cameras, settings)
    state = _state(cameras, solved, np.empty((0, 3)))
    while len(tracks):
        tracks, state = _descend(cameras, tracks, solved, state, settings, check)
        standing = supported(tracks, np.maximum(LEAST_OBSERVATIONS, LEAST_SHARE * offered))
        if len(standing.point) == len(tracks.point):
            break
        tracks = standing
    return _result(cameras, tracks, solved, state)


def lenses(photos: Sequence[Photo], shared: bool) -> tuple[int, ...]:
    """A number for each photo's lens: where `shared`, the same for photos of the same size and EXIF focal length."""
    kinds = [(photo.width, photo.height, photo.focal) if shared else index for index, photo in enumerate(photos)]
    numbers = {kind: number for number, kind in enumerate(dict.fromkeys(kinds))}
    return tuple(numbers[kind] for kind in kinds)


def supported(tracks: Tracks, least: Array) -> Tracks:
    """The tracks without the cameras that have fewer than `least` (N,) observations in them, however often it takes."""
    while len(tracks):
        counts = np.bincount(tracks.camera, minlength=len(least))
        enough = (counts >= least)[tracks.camera]
        if enough.all():
            break
        tracks = tracks.only(enough)
    return tracks


def _lenses(cameras: Sequence[Camera], settings: AdjustmentSettings) -> Lenses:
    """The lenses that are solved for, all of the richest model that any of them needs."""
    models = {camera.distortion.model for camera in cameras}
    models |= {settings.unknowns.distortion} - {""}
    fisheye = "OPENCV_FISHEYE"
    if {camera.distortion.model for camera in cameras} == {fisheye}:
        models = {fisheye}
    elif fisheye in models:
        raise UserError("Some of the photos have a fisheye lens and some have not; refine the two kinds on their own.")
    model = max(models, key=lambda model: len(lens.MODELS[model]))
    of = np.array(range(len(cameras)) if settings.lenses is None else settings.lenses)
    free = _free(settings.unknowns, model)
    return lenses_of(cameras, of, model, np.tile(free, (of.max(initial=0) + 1, 1)))


def _free(unknowns: Unknowns, model: str) -> list[bool]:
    """(3 + T) bool: the unknowns of a lens of this model that are solved for."""
    terms = lens.MODELS.get(unknowns.distortion, ())
    centre = unknowns.principal_point
    return [unknowns.focal, centre, centre, *(name in terms for name in lens.MODELS[model])]


def _state(cameras: Sequence[Camera], lenses: Lenses, points: FloatArray) -> AdjustmentState:
    from_world = np.array([camera.camera_from_world for camera in cameras])
    return AdjustmentState(from_world[:, :3, :3], from_world[:, :3, 3], np.zeros(len(cameras)), lenses.start, points)


def _cameras(cameras: Sequence[Camera], lenses: Lenses, state: AdjustmentState) -> list[Camera]:
    """The cameras as `state` has them."""
    solved = []
    for index, camera in enumerate(cameras):
        values = state.lenses[lenses.of[index]]
        fx, fy = lenses.focals[lenses.of[index]] * np.exp(values[0])
        world_from_camera = np.eye(4)
        world_from_camera[:3, :3] = state.rotations[index].T
        world_from_camera[:3, 3] = -state.rotations[index].T @ state.translations[index]
        distortion = lenses.distortion(values)
        solved.append(
            replace(
                camera,
                fx=float(fx),
                fy=float(fy),
                cx=float(values[CENTRE][0]),
                cy=float(values[CENTRE][1]),
                distortion=lens.NO_DISTORTION if distortion.is_identity else distortion,
                world_from_camera=world_from_camera,
            )
        )
    return solved


def _descend(
    cameras: Sequence[Camera],
    tracks: Tracks,
    lenses: Lenses,
    state: AdjustmentState,
    settings: AdjustmentSettings,
    check: Check,
) -> tuple[Tracks, AdjustmentState]:
    """The state after wide descents and a narrow one, and the observations that fit it."""
    for _ in range(WIDE_DESCENTS):
        usable, state = _triangulated(cameras, tracks, lenses, state, WIDE_PARALLAX)
        wide = _loss(usable, lenses, state, WIDE)
        options = Options("bundle adjustment, wide loss", WIDE_STEPS, settings.tolerance)
        state = Problem(usable, lenses).descend(state, Cauchy(wide), options, check)
        if wide == LOSS:
            break
    tracks, state = _triangulated(cameras, tracks, lenses, state)
    for _ in range(2):  # what fits the wide descents, then what fits the narrow one
        widest = LARGEST_LOSS * float(np.median(lenses.sizes))
        loss = min(max(widest, LOSS), _loss(tracks, lenses, state, SPREAD))
        fits = Problem(tracks, lenses).errors(state) < OUTLIER * loss
        tracks, state = _triangulated(cameras, tracks.only(fits), lenses, state)
        options = Options("bundle adjustment", STEPS, settings.tolerance)
        state = Problem(tracks, lenses).descend(state, Cauchy(loss), options, check)
    return tracks, state


def _loss(tracks: Tracks, lenses: Lenses, state: AdjustmentState, times: float) -> float:
    errors = Problem(tracks, lenses).errors(state)
    return max(LOSS, times * float(np.median(errors[np.isfinite(errors)]))) if len(errors) else LOSS


def _triangulated(
    cameras: Sequence[Camera], tracks: Tracks, lenses: Lenses, state: AdjustmentState, least: float = LEAST_PARALLAX
) -> tuple[Tracks, AdjustmentState]:
    """The state with its points where the rays of its cameras meet, and the tracks without those that meet nowhere."""
    known = replace(tracks, depth=tracks.depth * np.exp(state.factors)[tracks.camera])
    points = triangulate(_cameras(cameras, lenses, state), known, least)
    there = np.isfinite(points).all(axis=1)
    return tracks.only(there[tracks.point]), replace(state, points=points[there])


def _result(cameras: Sequence[Camera], tracks: Tracks, lenses: Lenses, state: AdjustmentState) -> Refined:
    """The refined cameras, laid back onto where they were, with their errors before and after."""
    solved, points = _cameras(cameras, lenses, state), state.points.copy()
    camera_group, point_group = groups(tracks, len(cameras))
    for group in np.unique(camera_group[tracks.camera]):
        mine = np.flatnonzero(camera_group == group)
        with_depth = mine[np.isin(mine, tracks.camera[np.isfinite(tracks.depth)])]
        scale, rotation, translation = _back(cameras, solved, mine, state.factors[with_depth])
        for index in mine:
            solved[index] = _transformed(solved[index], scale, rotation, translation)
        points[point_group == group] = scale * points[point_group == group] @ rotation.T + translation
    before = photo_errors(cameras, tracks, triangulate(cameras, tracks))
    after = photo_errors(solved, tracks, points)
    refined = [
        replace(new, reprojection_error=float(error)) if np.isfinite(error) else old
        for old, new, error in zip(cameras, solved, after, strict=True)
    ]
    return Refined(refined, points, tracks, before, after)


def photo_errors(cameras: Sequence[Camera], tracks: Tracks, points: FloatArray) -> FloatArray:
    """(N,) mean pixels between each photo's observations and `points` (P, 3); NaN where a photo has none."""
    errors = np.full(len(cameras), np.nan)
    for index in np.unique(tracks.camera):
        mine = tracks.camera == index
        off = np.linalg.norm(cameras[index].project(points[tracks.point[mine]]) - tracks.pixels[mine], axis=1)
        if np.isfinite(off).any():
            errors[index] = np.nanmean(off)
    return errors


def groups(tracks: Tracks, cameras: int) -> tuple[Array, Array]:
    """The connected group of each camera (N,) and point (P,), through tracks: the number of its first camera."""
    of_camera = np.arange(cameras)
    while True:
        of_point = np.full(len(tracks), cameras)
        np.minimum.at(of_point, tracks.point, of_camera[tracks.camera])
        spread = of_camera.copy()
        np.minimum.at(spread, tracks.camera, of_point[tracks.point])
        if (spread == of_camera).all():
            return of_camera, of_point
        of_camera = spread


def _back(
    old: Sequence[Camera], new: Sequence[Camera], mine: Array, factors: FloatArray
) -> tuple[float, FloatArray, FloatArray]:
    """Scale, rotation (3, 3) and translation (3,) that take the `new` cameras `mine` back to the `old` ones' world.

    The scale is that of the depths that came with the observations (`factors`, logarithms of new over known), else
    that of the distances between cameras.
    """
    old_poses, new_poses = (np.array([cameras[i].world_from_camera for i in mine]) for cameras in (old, new))
    rotation = rotations.nearest(np.einsum("nij,nkj->ik", old_poses[:, :3, :3], new_poses[:, :3, :3]))
    if len(factors):
        scale = float(np.exp(-np.median(factors)))
    else:
        first, second = np.triu_indices(len(mine), 1)
        old_distances, new_distances = (
            np.linalg.norm(p[first, :3, 3] - p[second, :3, 3], axis=1) for p in (old_poses, new_poses)
        )
        usable = new_distances > 1e-9 * new_distances.max(initial=1e-30)
        scale = (
            float(np.median(old_distances[usable] / new_distances[usable]))
            if usable.any() and old_distances[usable].any()
            else 1.0
        )
    translation = np.median(old_poses[:, :3, 3] - scale * new_poses[:, :3, 3] @ rotation.T, axis=0)
    return scale, rotation, translation


def _transformed(camera: Camera, scale: float, rotation: FloatArray, translation: FloatArray) -> Camera:
    """The camera in a world that is scaled, rotated and translated."""
    pose = np.eye(4)
    pose[:3, :3] = rotation @ camera.world_from_camera[:3, :3]
    pose[:3, 3] = scale * rotation @ camera.world_from_camera[:3, 3] + translation
    return replace(camera, world_from_camera=pose)
