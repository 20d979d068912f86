"""[R] A network's prediction of one of many views: a camera and a depth map in a frame that the views share. numpy."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ..model.arrays import Array, FloatArray
from ..model.similarity import Similarity, procrustes
from .focal import focal_from_points
from .poses import pnp
from .robust_losses import GemanMcClure

ROUNDS = 12  # of reweighting
ALIGNED = 4000  # a similarity is fitted to up to twice as many pairs of points; more add nothing


@dataclass(frozen=True)
class ViewPrediction:
    """`intrinsics` (3, 3) in pixels of the map, the top-left pixel's centre at (0.5, 0.5); `world_from_camera` (4, 4),
    the world being the shared frame; `depth` (H, W) float32 camera z; `confidence` (H, W) float32, 0 where the map
    shows no photo."""

    intrinsics: FloatArray
    world_from_camera: FloatArray
    depth: Array
    confidence: Array

    def transformed(self, new_from_old: Similarity) -> ViewPrediction:
        """The same view in another shared frame: `new_from_old` takes the present one to that."""
        pose = np.eye(4)
        pose[:3, :3] = new_from_old.rotation @ self.world_from_camera[:3, :3]
        pose[:3, 3] = new_from_old.apply(self.world_from_camera[:3, 3])
        return replace(self, world_from_camera=pose, depth=(new_from_old.scale * self.depth).astype(np.float32))

    def points(self, rows: Array, columns: Array) -> FloatArray:
        """(M, 3) the points of the pixels at `rows` and `columns` (M,), in the shared frame."""
        (fx, _, cx), (_, fy, cy), _ = self.intrinsics
        depth = self.depth[rows, columns].astype(np.float64)
        rays = np.stack([(columns + 0.5 - cx) / fx, (rows + 0.5 - cy) / fy, np.ones(len(rows))], axis=1)
        points: FloatArray = depth[:, None] * rays @ self.world_from_camera[:3, :3].T + self.world_from_camera[:3, 3]
        return points


def from_camera(depth: Array, confidence: Array, intrinsics: Array, camera_from_world: Array) -> ViewPrediction:
    """The view with this depth and confidence (H, W), K (3, 3), and camera_from_world [R | t] (3, 4)."""
    pose = np.eye(4)
    pose[:3, :3] = camera_from_world[:, :3].T.astype(np.float64)
    pose[:3, 3] = -pose[:3, :3] @ camera_from_world[:, 3].astype(np.float64)
    return ViewPrediction(intrinsics.astype(np.float64), pose, depth, confidence)


def from_camera_points(points: Array, confidence: Array, world_from_camera: Array) -> ViewPrediction:
    """The view of a pointmap (H, W, 3) in its own camera's frame, with its confidence (H, W) and pose (4, 4).

    The focal length is the pointmap's. Raises ValueError where the pointmap has no usable point.
    """
    intrinsics = _centred(focal_from_points(points, confidence, _centre(confidence)), confidence)
    return ViewPrediction(intrinsics, world_from_camera.astype(np.float64), points[..., 2], confidence)


def from_shared_points(shared: Array, confidence: Array, focal: float) -> ViewPrediction | None:
    """The view of a pointmap (H, W, 3) in the shared frame, with its confidence (H, W) and focal length in pixels.

    PnP on the more confident half of the points gives the camera's pose. None where it fails.
    """
    intrinsics = _centred(focal, confidence)
    usable = np.isfinite(shared).all(axis=-1) & (confidence > 0)
    if not usable.any():
        return None
    confident = usable & (confidence >= np.median(confidence[usable]))
    rows, columns = np.nonzero(confident)
    pixels = np.stack([columns + 0.5, rows + 0.5], axis=1)
    camera = pnp(shared[confident], pixels, intrinsics, (confidence.shape[1], confidence.shape[0]))
    if camera is None:
        return None
    pose = np.linalg.inv(camera.camera_from_world)
    depth = ((shared - pose[:3, 3]) @ pose[:3, 2]).astype(np.float32)
    return ViewPrediction(intrinsics, pose, np.where(usable, depth, 0), np.where(usable, confidence, 0))


def with_focal(view: ViewPrediction, focal: float) -> ViewPrediction:
    """The view with another focal length in pixels, and the pose by PnP that fits its points then.

    The points move a little, across the new camera's axis, onto the rays of their pixels. Where PnP fails, the pose
    stays, and the points move as the rays do.
    """
    rows, columns = np.indices(view.depth.shape).reshape(2, -1)
    points = view.points(rows, columns).reshape(*view.depth.shape, 3)
    usable = (view.depth > 0) & np.isfinite(view.depth)
    solved = from_shared_points(points, np.where(usable, view.confidence, 0), focal)
    return solved if solved is not None else replace(view, intrinsics=_centred(focal, view.confidence))


def _centre(confidence: Array) -> tuple[float, float]:
    """x, y of the middle of a map (H, W), in pixels."""
    return confidence.shape[1] / 2, confidence.shape[0] / 2


def _centred(focal: float, confidence: Array) -> FloatArray:
    """K (3, 3) of a camera with this focal length, whose principal point is the middle of a map (H, W)."""
    x, y = _centre(confidence)
    return np.array([[focal, 0, x], [0, focal, y], [0, 0, 1.0]])


def from_pointmaps(
    camera_points: Array, camera_confidence: Array, shared: Array, shared_confidence: Array
) -> ViewPrediction:
    """The view of one photo from its pointmap in its own camera's frame, `camera_points`, and that in the `shared`
    frame, (H, W, 3) each, with their confidences (H, W).

    The camera's pointmap is the finer of the two: it gives the focal length and the depth. A robust similarity,
    weighted by both confidences, takes it to the shared frame, and PnP on the result gives the camera's pose there.
    Where PnP fails, the pose is that of the similarity. Raises ValueError where a pointmap has no usable point.
    """
    height, width = camera_confidence.shape
    focal = focal_from_points(camera_points, camera_confidence, _centre(camera_confidence))
    intrinsics = _centred(focal, camera_confidence)
    confidence = np.sqrt(camera_confidence.astype(np.float64) * shared_confidence).ravel()
    points, shared_points = camera_points.reshape(-1, 3).astype(np.float64), shared.reshape(-1, 3).astype(np.float64)
    usable = np.isfinite(points).all(axis=1) & np.isfinite(shared_points).all(axis=1) & (points[:, 2] > 0)
    chosen = np.flatnonzero(usable)[:: max(1, int(usable.sum()) // ALIGNED)]
    shared_from_camera = robust_similarity(
        points[chosen], shared_points[chosen], confidence[chosen], points[chosen, 2]
    )[0]
    in_shared = shared_from_camera.apply(points)
    pixels = np.stack(np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5), axis=-1).reshape(-1, 2)
    confident = usable & (confidence >= np.median(confidence[usable]))
    camera = pnp(in_shared[confident], pixels[confident], intrinsics, (width, height))
    if camera is None:  # the similarity's own camera
        pose = np.eye(4)
        pose[:3, :3], pose[:3, 3] = shared_from_camera.rotation, shared_from_camera.translation
    else:
        pose = np.linalg.inv(camera.camera_from_world)
    depth = (in_shared - pose[:3, 3]) @ pose[:3, 2]
    return ViewPrediction(intrinsics, pose, depth.reshape(height, width).astype(np.float32), camera_confidence)


def robust_similarity(source: Array, target: Array, confidence: Array, depth: Array) -> tuple[Similarity, FloatArray]:
    """The similarity from points `source` to `target` (M, 3), most of which agree, and (M,) the remaining distances,
    each over the point's `depth` (M,).

    Iteratively reweighted least squares: the weights are the `confidence` (M,) times those of Geman and McClure's loss
    (1987) of the distance over the depth, at the scale of twice the median. Raises ValueError as `procrustes` does.
    """
    weights = confidence / depth**2
    similarity = procrustes(source, target, weights)
    distance = np.linalg.norm(similarity.apply(source) - target, axis=1) / depth
    for _ in range(ROUNDS):
        loss = GemanMcClure(max(1e-9, 2 * float(np.median(distance))))
        similarity = procrustes(source, target, weights * loss.weight(distance))
        distance = np.linalg.norm(similarity.apply(source) - target, axis=1) / depth
    return similarity, distance
