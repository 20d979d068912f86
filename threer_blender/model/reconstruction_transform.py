"""[S] A Reconstruction under a similarity. Numpy only."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from . import gaussian_transform
from .arrays import Array, FloatArray
from .errors import UserError
from .reconstruction import Camera, PointCloud, Reconstruction, SurveyPoint, TrackedPoints, Upright


def transformed(reconstruction: Reconstruction, matrix: FloatArray) -> Reconstruction:
    """`reconstruction` in another world: all of its places and poses under the similarity `matrix` (4, 4).

    Each camera sees each point at the same pixel as before. Raises UserError where the matrix is no similarity, or
    mirrors: cameras cannot be mirrored.
    """
    rotation, scale = gaussian_transform.similarity(matrix)
    if np.linalg.det(rotation) < 0:
        raise UserError("Cameras cannot be mirrored: make the object's scale positive.")
    cloud, gaussians = reconstruction.cloud, reconstruction.gaussians

    def camera(solved: Camera) -> Camera:
        pose = matrix @ solved.world_from_camera
        pose[:3, :3] /= scale
        return replace(solved, world_from_camera=pose)

    return replace(
        reconstruction,
        cameras=[camera(solved) for solved in reconstruction.cameras],
        shots=[
            replace(
                shot,
                cameras={number: camera(solved) for number, solved in shot.cameras.items()},
                tracks=_moved_tracks(shot.tracks, matrix),
            )
            for shot in reconstruction.shots
        ],
        pointmaps=[replace(pointmap, points=_moved(pointmap.points, matrix)) for pointmap in reconstruction.pointmaps],
        cloud=None if cloud is None else _moved_cloud(cloud, matrix, rotation),
        survey=[_moved_survey_point(point, matrix) for point in reconstruction.survey],
        gaussians=None if gaussians is None else gaussian_transform.transformed(gaussians, matrix),
        upright=None if reconstruction.upright is None else _moved_upright(reconstruction.upright, matrix, rotation),
    )


def _moved_upright(upright: Upright, matrix: FloatArray, rotation: FloatArray) -> Upright:
    up: FloatArray = rotation @ upright.up
    ground = (
        None if upright.ground is None else float(up @ (matrix[:3, :3] @ upright.up * upright.ground + matrix[:3, 3]))
    )
    return replace(upright, up=up, ground=ground)


def _moved_cloud(cloud: PointCloud, matrix: FloatArray, rotation: FloatArray) -> PointCloud:
    normals = cloud.normals @ rotation.T.astype(np.float32)
    return replace(cloud, positions=_moved(cloud.positions, matrix), normals=normals)


def _moved_tracks(tracks: TrackedPoints | None, matrix: FloatArray) -> TrackedPoints | None:
    return None if tracks is None else replace(tracks, positions=_moved(tracks.positions, matrix))


def _moved_survey_point(point: SurveyPoint, matrix: FloatArray) -> SurveyPoint:
    x, y, z = (matrix[:3, :3] @ point.position + matrix[:3, 3]).tolist()
    scale = float(np.cbrt(np.linalg.det(matrix[:3, :3])))
    return replace(point, position=(x, y, z), error=None if point.error is None else scale * point.error)


def _moved(points: Array, matrix: FloatArray) -> Array:
    """Points (…, 3) float32 under `matrix`."""
    moved: Array = points @ matrix[:3, :3].T.astype(np.float32) + matrix[:3, 3].astype(np.float32)
    return moved
