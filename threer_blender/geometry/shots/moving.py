"""[R] Stage 3 for a camera that moves: poses of all frames and points, from the frames that an engine solved (keys).

In turn, points are triangulated from posed frames, and frames are posed by the points that they see (Gauss-Newton on
robust reprojection errors), until no more frames can be posed. While a camera only turns, new points have no parallax.
They get the depth of other points in the frame, since any depth serves there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ...model import lens
from ...model.arrays import BoolArray, FloatArray, IntArray
from ...model.engine import Check, unchecked
from ...model.reconstruction import Camera
from .. import rotations
from ..adjustment.shot_problem import LENS_CENTRE, ShotLens, ShotState
from ..adjustment.tracks import Tracks
from ..robust_losses import Cauchy

LEAST_POINTS = 12  # that a frame must see to be posed
SUPPORT = 0.4  # share of them that must agree with the pose
LEAST_PARALLAX = 1.0  # degrees between the rays of a triangulated point, at least
LOSS = 2e-3  # the scale of the robust loss: of the longer side when posing, in radians when triangulating
AGREES = 5e-3  # of the longer side: the largest error of a point that agrees with a pose
ROUNDS = 3  # of reweighting a triangulation
STEPS = 10  # of posing a frame
PASSES = 6  # of posing frames and triangulating points, at most
FAR = 10.0  # median depths: where a point is put whose distance nothing tells


@dataclass
class _Start:
    """The solution so far. `posed` (F,) bool are the frames with known `rotations` (F, 3, 3), camera from world, and
    `centres` (F, 3). `points` (P, 3) are known where they are `triangulated` (P,) bool, or `guessed` (P,) bool at the
    depth of other points."""

    posed: BoolArray
    rotations: FloatArray
    centres: FloatArray
    points: FloatArray
    triangulated: BoolArray
    guessed: BoolArray


def start(
    tracks: Tracks, numbers: IntArray, keys: Mapping[int, Camera], spread: FloatArray, check: Check = unchecked
) -> tuple[ShotState, ShotLens, BoolArray]:
    """The initial state of the frames with these `numbers` (F,), the keys' lens, and (F,) bool: the frames that are
    posed.

    `keys` are cameras by frame number, at least two of them. `spread` (4,) are the standard deviations, as in ShotLens,
    of the focal length, both coordinates of the principal point, and every distortion term. The world is the keys',
    moved and scaled so that their mean centre is the origin, and the median depth is 1. `check()` is called now and
    then and may raise.
    """
    cameras = [keys[int(number)] for number in numbers if int(number) in keys]
    shot_lens, log_zooms = _lens(numbers, keys, cameras, spread)
    rays = camera_rays(tracks, shot_lens, log_zooms)
    known = _Start(
        np.isin(numbers, list(keys)),
        np.tile(np.eye(3), (len(numbers), 1, 1)),
        np.zeros((len(numbers), 3)),
        np.zeros((len(tracks), 3)),
        np.zeros(len(tracks), np.bool_),
        np.zeros(len(tracks), np.bool_),
    )
    for index in np.flatnonzero(known.posed):
        from_world = keys[int(numbers[index])].camera_from_world
        known.rotations[index] = from_world[:3, :3]
        known.centres[index] = -from_world[:3, :3].T @ from_world[:3, 3]
    known.centres -= known.centres[known.posed].mean(axis=0)
    _triangulate(tracks, rays, known)
    depth = _depths(tracks, known)
    median_depth = float(np.median(depth[depth > 0])) if (depth > 0).any() else 1.0
    known.centres /= median_depth
    known.points /= median_depth
    for _ in range(PASSES):
        check()
        before = int(known.posed.sum())
        _pose_frames(tracks, rays, numbers, known, float(shot_lens.focal.mean()), max(shot_lens.size))
        _triangulate(tracks, rays, known)
        if known.posed.all() or (int(known.posed.sum()) == before and known.guessed.any()):
            break
        _guess(tracks, rays, known)
    _guess(tracks, rays, known)
    points = np.concatenate([known.points, np.ones((len(tracks), 1))], axis=1)
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    return ShotState(known.rotations, known.centres, log_zooms, shot_lens.start, points), shot_lens, known.posed


def _lens(
    numbers: IntArray, keys: Mapping[int, Camera], cameras: Sequence[Camera], spread: FloatArray
) -> tuple[ShotLens, FloatArray]:
    """The median of the keys' lenses, and (F,) the logarithm of each frame's focal length over that lens',
    interpolated between the keys."""
    model = max((camera.distortion.model for camera in cameras), key=lambda name: len(lens.MODELS[name]))
    model = "RADIAL" if len(lens.MODELS[model]) < len(lens.MODELS["RADIAL"]) else model
    names = lens.MODELS[model]
    terms = [
        dict(zip(lens.MODELS[camera.distortion.model], camera.distortion.params, strict=True)) for camera in cameras
    ]
    values = [
        [0.0, camera.cx, camera.cy, *(distortion.get(name, 0.0) for name in names)]
        for camera, distortion in zip(cameras, terms, strict=True)
    ]
    focals = np.array([(camera.fx, camera.fy) for camera in cameras])
    focal = np.median(focals, axis=0)
    at_keys = [number for number in numbers if int(number) in keys]
    log_zooms = np.interp(numbers, at_keys, np.log(focals[:, 0] / focal[0]))
    spreads = np.array([*spread[:3], *(len(names) * [spread[3]])])
    size = (cameras[0].width, cameras[0].height)
    return ShotLens(focal, size, model, np.median(np.array(values), axis=0), spreads), log_zooms


def camera_rays(tracks: Tracks, shot_lens: ShotLens, log_zooms: FloatArray) -> FloatArray:
    """(M, 3) the observations' rays in the frames of their cameras, with z = 1; 0 where the lens model has none."""
    centre, focal = shot_lens.start[LENS_CENTRE], shot_lens.focal * np.exp(log_zooms[tracks.camera])[:, None]
    plane = lens.undistort(shot_lens.distortion(shot_lens.start), (tracks.pixels - centre) / focal)
    rays = np.concatenate([plane, np.ones((len(plane), 1))], axis=1)
    rays[~np.isfinite(plane).all(axis=1)] = 0.0
    return rays


def _depths(tracks: Tracks, known: _Start) -> FloatArray:
    """(M,) camera z of the observed points, if they are triangulated and the frame is posed; 0 for the others."""
    local = known.points[tracks.point] - known.centres[tracks.camera]
    depth = (known.rotations[tracks.camera, 2] * local).sum(axis=1)
    return np.where(known.triangulated[tracks.point] & known.posed[tracks.camera], depth, 0.0)


def _triangulate(tracks: Tracks, rays: FloatArray, known: _Start) -> None:
    """Triangulates the points that have parallax from the `rays` (M, 3) of posed frames. The others keep their
    places."""
    mine = np.flatnonzero(known.posed[tracks.camera] & rays.any(axis=1))
    point, count = tracks.point[mine], len(tracks)
    local = rays[mine] / np.linalg.norm(rays[mine], axis=1, keepdims=True)
    world = np.einsum("mji,mj->mi", known.rotations[tracks.camera[mine]], local)
    centres = known.centres[tracks.camera[mine]]
    mean = _sums(point, world, count)
    mean /= np.maximum(np.linalg.norm(mean, axis=1, keepdims=True), 1e-12)
    sine = np.zeros(count)
    np.maximum.at(sine, point, np.linalg.norm(np.cross(world, mean[point]), axis=1))
    points = crossings(point, count, world, centres)
    behind = np.bincount(point[((points[point] - centres) * world).sum(axis=1) <= 0], minlength=count) > 0
    known.triangulated = (2 * np.degrees(np.arcsin(np.clip(sine, 0, 1))) > LEAST_PARALLAX) & ~behind
    known.guessed &= ~known.triangulated
    known.points = np.where(known.triangulated[:, None], points, known.points)


def crossings(point: IntArray, count: int, rays: FloatArray, centres: FloatArray) -> FloatArray:
    """(count, 3) the points nearest to their rays: robust least squares of the distances from the rays, each divided by
    the point's distance from the camera, which makes it an angle.

    Unit `rays` (M, 3) start at `centres` (M, 3); `point` (M,) is the number of the point of each. Parallel rays leave
    their point's distance open: it is put at about FAR.
    """
    across = np.eye(3) - rays[:, :, None] * rays[:, None, :]
    far = _sums(point, centres + FAR * rays, count) / np.maximum(np.bincount(point, minlength=count), 1)[:, None]
    weights = np.ones(len(point))
    for _ in range(ROUNDS):
        matrix = _sums(point, (weights[:, None, None] * across).reshape(-1, 9), count).reshape(-1, 3, 3)
        right_side = _sums(point, weights[:, None] * np.einsum("mij,mj->mi", across, centres), count)
        ridge = 1e-9 * np.trace(matrix, axis1=1, axis2=2)[:, None, None] + 1e-15
        points = np.linalg.solve(matrix + ridge * np.eye(3), right_side[:, :, None] + ridge * far[:, :, None])[:, :, 0]
        towards = points[point] - centres
        length = np.maximum(np.linalg.norm(towards, axis=1), 1e-9)
        off = np.linalg.norm(np.einsum("mij,mj->mi", across, towards), axis=1) / length
        weights = Cauchy(LOSS).weight(off) / length**2
    return points


def _guess(tracks: Tracks, rays: FloatArray, known: _Start) -> None:
    """Places points without parallax at the median depth of the triangulated points in the first posed frame that shows
    them. If it has fewer than LEAST_POINTS of these, the depth of the frame before it serves, or that of all frames."""
    mine = np.flatnonzero(known.posed[tracks.camera] & ~known.triangulated[tracks.point] & rays.any(axis=1))
    _, first = np.unique(tracks.point[mine], return_index=True)
    depth = _depths(tracks, known)
    of_all = float(np.median(depth[depth > 0])) if (depth > 0).any() else 1.0
    by_frame = np.full(len(known.posed), of_all)
    for frame in np.unique(tracks.camera[mine[first]]):
        depths = depth[(tracks.camera == frame) & (depth > 0)]
        by_frame[frame] = np.median(depths) if len(depths) >= LEAST_POINTS else by_frame[max(frame - 1, 0)]
    for observation in mine[first]:
        frame, point = tracks.camera[observation], tracks.point[observation]
        ray_in_world = rays[observation] @ known.rotations[frame]
        known.points[point] = known.centres[frame] + by_frame[frame] * ray_in_world
        known.guessed[point] = True


def _pose_frames(tracks: Tracks, rays: FloatArray, numbers: IntArray, known: _Start, focal: float, longer: int) -> None:
    """Poses the frames that see enough points, in the order of their distance from posed ones. `focal` is the lens'
    focal length and `longer` the picture's longer side, in pixels."""
    by_frame = np.argsort(tracks.camera, kind="stable")
    edges = np.searchsorted(tracks.camera[by_frame], np.arange(len(numbers) + 1))
    distance = np.abs(numbers[:, None] - numbers[known.posed]).min(axis=1)
    for frame in np.argsort(distance, kind="stable"):
        if known.posed[frame]:
            continue
        mine = by_frame[edges[frame] : edges[frame + 1]]
        mine = mine[rays[mine].any(axis=1)]
        usable = mine[known.triangulated[tracks.point[mine]]]
        if len(usable) < LEAST_POINTS:
            usable = mine[(known.triangulated | known.guessed)[tracks.point[mine]]]
        if len(usable) < LEAST_POINTS:
            continue
        rotation, centre = _between(frame, numbers, known)
        points, loss = known.points[tracks.point[usable]], LOSS * longer / focal
        rotation, centre, off = _pose(rotation, centre, points, rays[usable], loss)
        if (off < AGREES * longer / focal).mean() >= SUPPORT:
            known.rotations[frame], known.centres[frame], known.posed[frame] = rotation, centre, True


def _between(frame: int, numbers: IntArray, known: _Start) -> tuple[FloatArray, FloatArray]:
    """The pose of a frame (rotation, centre), interpolated between the last posed frame before it and the first after
    it; that of the nearest posed frame at the ends of the shot."""
    posed = np.flatnonzero(known.posed)
    after = int(np.searchsorted(posed, frame))
    first, last = posed[max(after - 1, 0)], posed[min(after, len(posed) - 1)]
    if first == last:
        return known.rotations[first], known.centres[first]
    share = (numbers[frame] - numbers[first]) / (numbers[last] - numbers[first])
    rotation_vector = rotations.to_vectors(known.rotations[last] @ known.rotations[first].T)
    centre = (1 - share) * known.centres[first] + share * known.centres[last]
    return rotations.from_vectors(share * rotation_vector) @ known.rotations[first], centre


def _pose(
    rotation: FloatArray, centre: FloatArray, points: FloatArray, rays: FloatArray, loss: float
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """The rotation, the centre, and the errors (M,) in normalised coordinates, of a camera that sees `points` (M, 3)
    along `rays` (M, 3), z = 1. The given pose is where the search starts.

    The scale of Cauchy's loss is at least the median error in the first half of the steps, then `loss`.
    """
    observed = rays[:, :2]
    for step in range(STEPS):
        local = (points - centre) @ rotation.T
        depth = np.maximum(local[:, 2], 1e-6)
        plane = local[:, :2] / depth[:, None]
        off = plane - observed
        x, y = plane.T
        inverse, zero = 1 / depth, np.zeros(len(depth))
        # Derivatives of the projection by a rotation r and a translation t of the points: local + r × local + t.
        slope = np.stack(
            [
                np.stack([-x * y, 1 + x * x, -y, inverse, zero, -x * inverse], axis=1),
                np.stack([-1 - y * y, x * y, x, zero, inverse, -y * inverse], axis=1),
            ],
            axis=1,
        )
        error = np.linalg.norm(off, axis=1)
        scale = max(loss, float(np.median(error))) if step < STEPS // 2 else loss
        weight = Cauchy(scale).weight(error) * (local[:, 2] > 1e-6)
        normal = np.einsum("mki,mkj,m->ij", slope, slope, weight)
        normal[np.diag_indices(6)] *= 1 + 1e-6
        change = -np.linalg.lstsq(normal, np.einsum("mki,mk,m->i", slope, off, weight), rcond=None)[0]
        update = rotations.from_vectors(change[:3])
        centre = centre - rotation.T @ update.T @ change[3:]
        rotation = update @ rotation
    local = (points - centre) @ rotation.T
    error = np.linalg.norm(local[:, :2] / np.maximum(local[:, 2:], 1e-6) - observed, axis=1)
    return rotation, centre, np.where(local[:, 2] > 0, error, np.inf)


def _sums(index: IntArray, values: FloatArray, count: int) -> FloatArray:
    """(count, K) sums of `values` (M, K) by `index`."""
    columns = [np.bincount(index, values[:, k], count) for k in range(values.shape[1])]
    return np.stack(columns, axis=1).astype(np.float64)
