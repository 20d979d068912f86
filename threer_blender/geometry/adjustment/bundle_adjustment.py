"""[R] Bundle adjustment for every engine: cameras, lenses and points that fit the observations, robustly.

It is our own, and not Ceres through pycolmap, for two reasons. It uses the depths that engines predict, which are right
up to a factor per camera; they place the points that rays alone do not (pure rotation, far things). And it can be
cancelled between steps. `reprojection` has the errors and the descent, `schur` the linear algebra.

The descents go from a wide loss to a narrow one, so that cameras which start a few degrees off converge. Such cameras
triangulate points of little parallax anywhere, or behind themselves. The wide descents leave these points out, and each
starts again from all observations. After them, observations that do not fit are dropped.
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

WIDE = 2.0  # times the median error: the scale of the loss of the wide descents, which come first
WIDE_DESCENTS, WIDE_STEPS = 5, 8  # at most; a wide descent need not converge, since the next one goes on from it
NARROW_STEPS = 30  # of a narrow descent, at most
WIDE_PARALLAX = 1.0  # degrees: the wide descents leave out points of less
OUTLIER = 4.0  # times the scale of the loss: observations with a larger error are dropped
LEAST_SCALE = 1.0  # pixels: the least scale of the loss
NARROW = 1.5  # times the median error: the scale of the narrow loss, where that is more than LEAST_SCALE
LARGEST_SCALE = 0.004  # of the photos' longer side: the narrow loss is no wider, or anything would fit
LEAST_OBSERVATIONS = 12  # that a camera needs to be refined
LEAST_SHARE = 0.3  # of a camera's observations that must remain in the end; with fewer, its matches were wrong


@dataclass(frozen=True)
class Unknowns:
    """The unknowns of a lens: focal length (the ratio of fx to fy stays), principal point, and the terms of the COLMAP
    model `distortion`; "" keeps the distortion that the cameras have."""

    focal: bool = True
    principal_point: bool = False
    distortion: str = ""


NO_UNKNOWNS = Unknowns(focal=False)


@dataclass(frozen=True)
class AdjustmentSettings:
    """The unknowns besides poses and points, and when to stop.

    `lenses` has a number for each camera, counted from 0: cameras with the same number share intrinsics. None gives
    each its own. `unknowns` are those of every lens. A descent ends at a step that lowers the cost by less than the
    share `tolerance`.
    """

    lenses: tuple[int, ...] | None = None
    unknowns: Unknowns = Unknowns()
    tolerance: float = 1e-7


@dataclass(frozen=True)
class Refined:
    """All cameras in their old order and world. Those that could be refined have their `reprojection_error`.

    `tracks` are the observations that were not dropped, and `points` (P, 3) their points in the world. `before` and
    `after` (N,) are the mean reprojection errors of the old and the new cameras in pixels of each photo, each with the
    points that fit those cameras. They are NaN for a photo whose camera stayed as it was.
    """

    cameras: list[Camera]
    points: FloatArray
    tracks: Tracks
    before: FloatArray
    after: FloatArray

    def depth_factor(self, index: int) -> float:
        """The median ratio of solved depth to the depth that came with a camera's observations; 1 without any."""
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
    """Cameras and points that fit the tracks.

    A camera with too few observations that fit stays as it was. The world stays the cameras' own: every connected group
    of photos is aligned with its old poses. Its scale is that of the depths that came with the observations, or without
    any, that of the old poses. `check()` is called between steps and may raise. Raises UserError where some photos have
    a fisheye lens and others have not.
    """
    settings = settings or AdjustmentSettings()
    offered = np.bincount(tracks.camera, minlength=len(cameras))
    tracks = supported(tracks, np.full(len(cameras), LEAST_OBSERVATIONS))
    solved = _lenses(cameras, settings)
    state = _state(cameras, solved, np.empty((0, 3)))
    while len(tracks):
        tracks, state = _descend(cameras, tracks, solved, state, settings, check)
        remaining = supported(tracks, np.maximum(LEAST_OBSERVATIONS, LEAST_SHARE * offered))
        if len(remaining.point) == len(tracks.point):
            break
        tracks = remaining
    return _result(cameras, tracks, solved, state)


def lenses(photos: Sequence[Photo], shared: bool) -> tuple[int, ...]:
    """A number for each photo's lens, counted from 0. Where `shared`, photos of the same size and EXIF focal length
    have the same one."""
    kinds = [(photo.width, photo.height, photo.focal) if shared else index for index, photo in enumerate(photos)]
    numbers = {kind: number for number, kind in enumerate(dict.fromkeys(kinds))}
    return tuple(numbers[kind] for kind in kinds)


def supported(tracks: Tracks, least: Array) -> Tracks:
    """The tracks without the cameras that have fewer than `least` (N,) observations.

    Points that one camera alone still observes go too, so more cameras may fall below: it is repeated until none does.
    """
    while len(tracks):
        counts = np.bincount(tracks.camera, minlength=len(least))
        enough = (counts >= least)[tracks.camera]
        if enough.all():
            break
        tracks = tracks.only(enough)
    return tracks


def _lenses(cameras: Sequence[Camera], settings: AdjustmentSettings) -> Lenses:
    """The lenses that are solved for, all with the model of most terms that any of them needs."""
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
    """(3 + T,) bool: which unknowns of a lens of this model are solved for."""
    terms = lens.MODELS.get(unknowns.distortion, ())
    centre = unknowns.principal_point
    return [unknowns.focal, centre, centre, *(name in terms for name in lens.MODELS[model])]


def _state(cameras: Sequence[Camera], lenses: Lenses, points: FloatArray) -> AdjustmentState:
    """The state with the poses of `cameras`, the lenses at their start, and `points` (P, 3)."""
    from_world = np.array([camera.camera_from_world for camera in cameras])
    return AdjustmentState(from_world[:, :3, :3], from_world[:, :3, 3], np.zeros(len(cameras)), lenses.start, points)


def _cameras(cameras: Sequence[Camera], lenses: Lenses, state: AdjustmentState) -> list[Camera]:
    """The cameras with the poses and lenses of `state`."""
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
    """The observations that fit, and the state after the wide descents and two narrow ones."""
    for _ in range(WIDE_DESCENTS):
        usable, state = _triangulated(cameras, tracks, lenses, state, WIDE_PARALLAX)
        wide = _loss_scale(usable, lenses, state, WIDE)
        options = Options("bundle adjustment, wide loss", WIDE_STEPS, tolerance=settings.tolerance)
        state = Problem(usable, lenses).descend(state, Cauchy(wide), options, check)
        if wide == LEAST_SCALE:
            break
    tracks, state = _triangulated(cameras, tracks, lenses, state)
    for _ in range(2):  # the second time, with the observations that fit the first narrow descent
        largest = LARGEST_SCALE * float(np.median(lenses.sizes))
        loss_scale = min(max(largest, LEAST_SCALE), _loss_scale(tracks, lenses, state, NARROW))
        fits = Problem(tracks, lenses).errors(state) < OUTLIER * loss_scale
        tracks, state = _triangulated(cameras, tracks.only(fits), lenses, state)
        options = Options("bundle adjustment", NARROW_STEPS, tolerance=settings.tolerance)
        state = Problem(tracks, lenses).descend(state, Cauchy(loss_scale), options, check)
    return tracks, state


def _loss_scale(tracks: Tracks, lenses: Lenses, state: AdjustmentState, times: float) -> float:
    """`times` the median error in pixels, at least LEAST_SCALE."""
    errors = Problem(tracks, lenses).errors(state)
    return max(LEAST_SCALE, times * float(np.median(errors[np.isfinite(errors)]))) if len(errors) else LEAST_SCALE


def _triangulated(
    cameras: Sequence[Camera], tracks: Tracks, lenses: Lenses, state: AdjustmentState, least: float = LEAST_PARALLAX
) -> tuple[Tracks, AdjustmentState]:
    """The tracks whose rays meet at `least` degrees or more, or that have a depth; and the state with their points."""
    scaled = replace(tracks, depth=tracks.depth * np.exp(state.log_factors)[tracks.camera])
    points = triangulate(_cameras(cameras, lenses, state), scaled, least)
    determined = np.isfinite(points).all(axis=1)
    return tracks.only(determined[tracks.point]), replace(state, points=points[determined])


def _result(cameras: Sequence[Camera], tracks: Tracks, lenses: Lenses, state: AdjustmentState) -> Refined:
    """The refined cameras, aligned with the old ones, and the errors before and after."""
    solved, points = _cameras(cameras, lenses, state), state.points.copy()
    camera_group, point_group = groups(tracks, len(cameras))
    for group in np.unique(camera_group[tracks.camera]):
        mine = np.flatnonzero(camera_group == group)
        with_depth = mine[np.isin(mine, tracks.camera[np.isfinite(tracks.depth)])]
        scale, rotation, translation = _to_old_world(cameras, solved, mine, state.log_factors[with_depth])
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
    """(N,) each photo's mean reprojection error of `points` (P, 3) in pixels; NaN where a photo has no observations."""
    errors = np.full(len(cameras), np.nan)
    for index in np.unique(tracks.camera):
        mine = tracks.camera == index
        off = np.linalg.norm(cameras[index].project(points[tracks.point[mine]]) - tracks.pixels[mine], axis=1)
        if np.isfinite(off).any():
            errors[index] = np.nanmean(off)
    return errors


def groups(tracks: Tracks, cameras: int) -> tuple[Array, Array]:
    """The group of each of the N `cameras` (N,) and of each point (P,), connected by tracks. A group's number is that
    of its first camera."""
    of_camera = np.arange(cameras)
    while True:
        of_point = np.full(len(tracks), cameras)
        np.minimum.at(of_point, tracks.point, of_camera[tracks.camera])
        spread = of_camera.copy()
        np.minimum.at(spread, tracks.camera, of_point[tracks.point])
        if (spread == of_camera).all():
            return of_camera, of_point
        of_camera = spread


def _to_old_world(
    old: Sequence[Camera], new: Sequence[Camera], mine: Array, log_factors: FloatArray
) -> tuple[float, FloatArray, FloatArray]:
    """Scale, rotation (3, 3) and translation (3,) that take the `new` cameras numbered `mine` to the `old` ones' world.

    The scale is that of the depths that came with the observations: `log_factors` are the logarithms of new over old
    depth. Without these it is that of the distances between cameras.
    """
    old_poses, new_poses = (np.array([cameras[i].world_from_camera for i in mine]) for cameras in (old, new))
    rotation = rotations.nearest(np.einsum("nij,nkj->ik", old_poses[:, :3, :3], new_poses[:, :3, :3]))
    if len(log_factors):
        scale = float(np.exp(-np.median(log_factors)))
    else:
        first, second = np.triu_indices(len(mine), 1)
        centres = (poses[:, :3, 3] for poses in (old_poses, new_poses))
        old_distances, new_distances = (np.linalg.norm(c[first] - c[second], axis=1) for c in centres)
        usable = new_distances > 1e-9 * new_distances.max(initial=1e-30)
        scale = 1.0
        if usable.any() and old_distances[usable].any():
            scale = float(np.median(old_distances[usable] / new_distances[usable]))
    translation = np.median(old_poses[:, :3, 3] - scale * new_poses[:, :3, 3] @ rotation.T, axis=0)
    return scale, rotation, translation


def _transformed(camera: Camera, scale: float, rotation: FloatArray, translation: FloatArray) -> Camera:
    """The camera in a world that is scaled, rotated and translated."""
    pose = np.eye(4)
    pose[:3, :3] = rotation @ camera.world_from_camera[:3, :3]
    pose[:3, 3] = scale * rotation @ camera.world_from_camera[:3, 3] + translation
    return replace(camera, world_from_camera=pose)
