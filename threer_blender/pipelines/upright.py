"""[R] Finds up and the ground of a solved scene: collects the evidence for `geometry.upright`, which decides."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from importlib.util import find_spec

import numpy as np

from ..geometry import upright
from ..geometry.upright import Evidence
from ..model.arrays import Array, FloatArray
from ..model.errors import UserError
from ..model.reconstruction import Camera, Reconstruction, Upright
from ..pictures import gravity, photos

MOST_PHOTOS = 40  # photos whose edges are examined, spread evenly
LONG_SIDE = 800  # pixels of the longer side of the copies in which edges are found
LEAST_EDGE = 25.0  # pixels of these copies: the shortest edge
LUMINANCE = np.array((0.299, 0.587, 0.114), np.float32)
SAMPLED_POINTS = 20_000  # of the cloud, among which the ground is searched

GUESS = "Which way is up is a guess: the photos do not tell. Click three points of the ground with the tool Ground."
Progress = Callable[[int, int], None]


def levelled(reconstruction: Reconstruction, progress: Progress) -> Reconstruction:
    """The reconstruction with `upright` set; its coordinates stay. Where up is only a guess, a note says so.

    `progress(done, total)` may raise.
    """
    if not reconstruction.cameras:
        return reconstruction
    verdict = estimate(reconstruction, progress)
    notes = [*reconstruction.notes, GUESS] if verdict.spread > upright.DOUBTFUL else reconstruction.notes
    return replace(reconstruction, upright=verdict, notes=notes)


def estimate(reconstruction: Reconstruction, progress: Progress = lambda _done, _all: None) -> Upright:
    """The direction of up in the reconstruction's world, its standard deviation, and the height of the ground."""
    cameras = reconstruction.cameras
    prior = upright.horizons(cameras)
    sensors = _sensors(reconstruction)
    rough = next((each for each in sensors if each.spread < prior.spread), prior)
    points, normals = _sample(reconstruction)
    centres = np.array([camera.world_from_camera[:3, 3] for camera in cameras])
    ground = upright.floor(points, normals, centres, rough)
    edges = _edges(reconstruction, progress)
    evidence = [*sensors, upright.verticals(*edges, rough), upright.floor_evidence(ground)]
    verdict = upright.combined(prior, [each for each in evidence if each is not None])
    if ground is not None and upright.angle(ground.normal, verdict.up) > upright.LEVEL:  # a slope, or a wall
        ground = None
    height = None if ground is None else float(ground.centre @ verdict.up)
    return Upright(verdict.up, verdict.spread, height, verdict.agreeing, verdict.disagreeing)


def _sample(reconstruction: Reconstruction) -> tuple[Array, Array]:
    """About SAMPLED_POINTS points (N, 3) of the cloud, trusted ones if there are any, and their normals (N, 3)."""
    cloud = reconstruction.cloud
    if cloud is None:
        return np.empty((0, 3), np.float32), np.empty((0, 3), np.float32)
    trusted = np.flatnonzero(cloud.confidence >= reconstruction.trusted_confidence)
    chosen = trusted if len(trusted) else np.arange(len(cloud))
    chosen = chosen[:: max(1, len(chosen) // SAMPLED_POINTS)]
    return cloud.positions[chosen], cloud.normals[chosen]


def _sensors(reconstruction: Reconstruction) -> list[Evidence]:
    """The evidence in the photos' files: gimbals and GPS."""
    senses = {photo.name: gravity.sensed(photo) for photo in reconstruction.photos}
    with_up = [(camera, up) for camera in reconstruction.cameras if (up := senses[camera.photo].up) is not None]
    ups = np.array([camera.world_from_camera[:3, :3] @ up for camera, up in with_up]).reshape(-1, 3)
    located = [(camera, at) for camera in reconstruction.cameras if (at := senses[camera.photo].place) is not None]
    centres = np.array([camera.world_from_camera[:3, 3] for camera, _ in located]).reshape(-1, 3)
    places = np.array([at for _, at in located]).reshape(-1, 3)
    evidence = (upright.sensors(ups), upright.places(centres, gravity.metres(places) if len(places) else places))
    return [each for each in evidence if each is not None]


def _edges(reconstruction: Reconstruction, progress: Progress) -> tuple[list[FloatArray], list[FloatArray]]:
    """For each of some photos, as `edge_planes` returns them: the planes of its edges, and the edges' lengths."""
    if find_spec("numba") is None:
        return [], []
    cameras = _evenly_chosen(reconstruction.cameras, MOST_PHOTOS)
    by_name = {photo.name: photo for photo in reconstruction.photos}
    planes, lengths = [], []
    for index, camera in enumerate(cameras):
        progress(index, len(cameras))
        try:
            grey = photos.pixels(by_name[camera.photo], LONG_SIDE).astype(np.float32) @ LUMINANCE
        except UserError:  # this photo is gone; the others suffice
            continue
        normals, length = edge_planes(camera, grey)
        planes.append(normals)
        lengths.append(length)
    return planes, lengths


def _evenly_chosen(cameras: Sequence[Camera], most: int) -> list[Camera]:
    return [
        cameras[index] for index in np.unique(np.linspace(0, len(cameras) - 1, min(most, len(cameras))).astype(int))
    ]


def edge_planes(camera: Camera, grey: Array) -> tuple[FloatArray, FloatArray]:
    """The planes through a camera and the straight edges in its picture `grey` (H, W), a copy of the photo of any size.

    Returns their unit normals (N, 3) in the world, and the edges' lengths (N,) over the picture's diagonal.
    """
    from ..geometry.line_segments import line_segments

    height, width = grey.shape
    ends = line_segments(grey, LEAST_EDGE)
    scale = (camera.width / width, camera.height / height)
    rays = camera.rays(ends.reshape(-1, 2, 2) * scale)
    normals = np.cross(rays[:, 0], rays[:, 1]) @ camera.world_from_camera[:3, :3].T
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)
    return normals, np.linalg.norm(ends[:, :2] - ends[:, 2:], axis=1) / np.hypot(height, width)
