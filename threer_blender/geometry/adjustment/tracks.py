"""[R] Tracks: observations of the same point in several photos, linked from matches of pairs; triangulation.

Linking is union-find over the matches, strongest pairs first. A link that would give a track two places in one photo is
refused (as in Moulon & Monasse, "Unordered feature tracking made fast and easy", 2012, who drop the whole track).
Triangulation minimises the distances between point and rays, each divided by the point's depth, in closed form.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from ...model.arrays import Array, FloatArray
from ...model.reconstruction import Camera
from ..kernels import compiled
from .schur import inverted

LEAST_PARALLAX = 0.5  # degrees; below it, and without a depth, a point is not determined
DEPTH_ERROR = 0.2  # relative standard deviation of a depth that came with an observation
ROUNDS = 4  # of triangulation, each weighted by the depths of the one before


class PairMatches(NamedTuple):
    """Matches between the photos with the indices `first` and `second`.

    Match m joins keypoint `keypoints_first[m]` of the one to keypoint `keypoints_second[m]` of the other, (M,) indices.
    `strength` is higher for more reliable pairs; they are linked first.
    """

    first: int
    second: int
    keypoints_first: Array
    keypoints_second: Array
    strength: float


@dataclass(frozen=True)
class Tracks:
    """M observations of P points, sorted by point.

    `point` (M,) int64 is the number of the point, 0 … P-1; `camera` (M,) int64 an index into the list of cameras;
    `pixels` (M, 2) are pixels of the photo. `depth` (M,) is the camera z that another source (a network's pointmap)
    gives the observation, up to one factor per camera; NaN where there is none. `weight` (M,) is how much each
    observation counts, 1 being usual; None where all count alike.
    """

    point: Array
    camera: Array
    pixels: FloatArray
    depth: FloatArray
    weight: FloatArray | None = None

    def __len__(self) -> int:
        """Number of points P."""
        return int(self.point[-1]) + 1 if len(self.point) else 0

    def only(self, chosen: Array) -> Tracks:
        """The `chosen` (M,) bool observations whose point has at least two of them; points are renumbered."""
        counts = np.bincount(self.point[chosen], minlength=len(self))
        chosen = chosen & (counts[self.point] >= 2)
        point = np.unique(self.point[chosen], return_inverse=True)[1].reshape(-1)
        weight = None if self.weight is None else self.weight[chosen]
        return Tracks(point, self.camera[chosen], self.pixels[chosen], self.depth[chosen], weight)

    def with_new_pixels(self, old: Tracks, new: Tracks) -> Tracks:
        """The tracks, with the pixels of `new` for the observations that are among the `old` ones.

        `old` and `new` have the same observations in the same order. Their points may be parts of those of these
        tracks.
        """
        keys = zip(old.camera.tolist(), *old.pixels.T.tolist(), strict=True)
        new_pixels = dict(zip(keys, new.pixels.tolist(), strict=True))
        observations = zip(self.camera.tolist(), *self.pixels.T.tolist(), strict=True)
        pixels = [new_pixels.get(observation, list(observation[1:])) for observation in observations]
        return replace(self, pixels=np.array(pixels).reshape(-1, 2))


def link(pixels: Sequence[FloatArray], pairs: Iterable[PairMatches]) -> Tracks:
    """Tracks along the matches of `pairs`; `pixels[i]` (K_i, 2) are the keypoints of photo i, in pixels of the
    photo."""
    offsets = np.concatenate([[0], np.cumsum([len(keypoints) for keypoints in pixels])]).astype(np.int64)
    edges = [
        np.stack([offsets[pair.first] + pair.keypoints_first, offsets[pair.second] + pair.keypoints_second], axis=1)
        for pair in sorted(pairs, key=lambda pair: -pair.strength)
    ]
    photo = np.repeat(np.arange(len(pixels)), np.diff(offsets))
    joined = np.concatenate([np.empty((0, 2)), *edges]).astype(np.int64)
    root = _unite(joined, photo)
    size = np.bincount(root, minlength=len(root))
    nodes = np.flatnonzero(size[root] >= 2)
    nodes = nodes[np.argsort(root[nodes], kind="stable")]
    point = np.unique(root[nodes], return_inverse=True)[1].reshape(-1)
    track_pixels = np.concatenate([np.empty((0, 2)), *pixels])[nodes]
    return Tracks(point, photo[nodes], track_pixels, np.full(len(nodes), np.nan))


@compiled()
def _unite(edges: Array, photo: Array) -> Array:
    """(K,) the keypoint that represents each keypoint's track, for matches `edges` (E, 2) and the `photo` (K,) of each.

    No track has two keypoints of one photo. A track is a linked list: it begins at its root and ends at `last[root]`.
    """
    count = len(photo)
    root, next_node, last = np.arange(count), np.full(count, -1), np.arange(count)
    size = np.ones(count, np.int64)
    for edge in range(len(edges)):
        a, b = root[edges[edge, 0]], root[edges[edge, 1]]
        if a == b:
            continue
        if size[a] < size[b]:
            a, b = b, a
        clash = False
        i = b
        while i >= 0 and not clash:
            j = a
            while j >= 0 and not clash:
                clash = photo[i] == photo[j]
                j = next_node[j]
            i = next_node[i]
        if clash:
            continue
        i = b
        while i >= 0:
            root[i] = a
            i = next_node[i]
        next_node[last[a]] = b
        last[a] = last[b]
        size[a] += size[b]
    return root


def world_rays(cameras: Sequence[Camera], tracks: Tracks) -> tuple[FloatArray, FloatArray]:
    """Camera centres (M, 3) and unit rays (M, 3) of all observations, in the world. A ray is NaN where the lens model
    has none for the pixel."""
    centres, rays = np.empty((len(tracks.point), 3)), np.empty((len(tracks.point), 3))
    for index, camera in enumerate(cameras):
        mine = tracks.camera == index
        rays[mine] = camera.rays(tracks.pixels[mine]) @ camera.world_from_camera[:3, :3].T
        centres[mine] = camera.world_from_camera[:3, 3]
    return centres, rays / np.linalg.norm(rays, axis=1, keepdims=True)


def parallax(cameras: Sequence[Camera], tracks: Tracks) -> FloatArray:
    """(P,) degrees: about the widest angle between two rays of each point, namely twice the largest angle between a ray
    and their mean."""
    _, rays = world_rays(cameras, tracks)
    rays = np.nan_to_num(rays)
    mean = _sum(rays, tracks)
    mean /= np.maximum(np.linalg.norm(mean, axis=1, keepdims=True), 1e-12)
    off = np.linalg.norm(np.cross(rays, mean[tracks.point]), axis=1)
    widest = np.zeros(len(tracks))
    np.maximum.at(widest, tracks.point, off)
    return 2 * np.degrees(np.arcsin(widest.clip(0, 1)))


def triangulate(cameras: Sequence[Camera], tracks: Tracks, least: float = LEAST_PARALLAX) -> FloatArray:
    """Points (P, 3) in the world; NaN where a point is behind a camera, or where its rays meet at less than `least`
    degrees and none of them has a depth.

    Minimises Σ (distance to ray / depth)² + Σ ((depth - `tracks.depth`) / (DEPTH_ERROR · depth))² / f², with the
    divisors from the round before and f the focal length. So one pixel off the ray costs as much as a depth that is off
    by DEPTH_ERROR, and depths decide only where the rays are nearly parallel.
    """
    centres, rays = world_rays(cameras, tracks)
    visible = np.isfinite(rays).all(axis=1)
    rays = np.where(visible[:, None], rays, 0.0)
    cosine = _forward_cosine(cameras, tracks, rays)
    focal = np.array([camera.fx for camera in cameras])[tracks.camera]
    known = np.isfinite(tracks.depth) & visible
    along = np.where(known, tracks.depth, 1.0) / np.maximum(cosine, 1e-3)  # distance, not z
    start = np.searchsorted(tracks.point, np.arange(len(tracks) + 1))
    points = _meeting(start, centres, rays, visible, known, along, 1 / (DEPTH_ERROR * focal) ** 2)
    determined = parallax(cameras, tracks) >= least
    determined |= np.bincount(tracks.point[known], minlength=len(tracks)) > 0
    behind = ((points[tracks.point] - centres) * rays).sum(axis=1) <= 0
    determined &= np.bincount(tracks.point[behind], minlength=len(tracks)) == 0
    return np.where(determined[:, None], points, np.nan)


@compiled()
def _meeting(
    start: Array, centres: Array, rays: Array, visible: Array, known: Array, along: Array, forward_weight: Array
) -> Array:
    """(P, 3) the minimum of `triangulate`'s sum. Point p has the observations from `start[p]` up to `start[p + 1]`.

    `along` (M,) is the known distance along a ray, and `forward_weight` (M,) the weight of an error along the ray
    relative to one across it.
    """
    points = np.zeros((len(start) - 1, 3))
    for point in range(len(points)):
        for round_number in range(ROUNDS):
            matrix, right = np.zeros((3, 3)), np.zeros(3)
            for m in range(start[point], start[point + 1]):
                if round_number:
                    distance = np.sqrt(((points[point] - centres[m]) ** 2).sum())
                else:
                    distance = along[m] if known[m] else 1.0
                weight = 1 / max(distance, 1e-9) ** 2
                across, forward = weight if visible[m] else 0.0, weight * forward_weight[m] if known[m] else 0.0
                centre_along_ray = (rays[m] * centres[m]).sum()
                for i in range(3):
                    along_ray = (forward - across) * centre_along_ray + forward * along[m]
                    right[i] += across * centres[m, i] + along_ray * rays[m, i]
                    matrix[i, i] += across
                    for j in range(3):
                        matrix[i, j] += (forward - across) * rays[m, i] * rays[m, j]
            ridge = 1e-12 * (matrix[0, 0] + matrix[1, 1] + matrix[2, 2]) + 1e-30
            for i in range(3):
                matrix[i, i] += ridge
            inverse = inverted(matrix)
            for i in range(3):
                points[point, i] = inverse[i, 0] * right[0] + inverse[i, 1] * right[1] + inverse[i, 2] * right[2]
    return points


def _forward_cosine(cameras: Sequence[Camera], tracks: Tracks, rays: FloatArray) -> FloatArray:
    """(M,) cosine between each ray and its camera's viewing direction."""
    forward = np.array([camera.world_from_camera[:3, 2] for camera in cameras])
    return (rays * forward[tracks.camera]).sum(axis=1)


def _sum(values: FloatArray, tracks: Tracks) -> FloatArray:
    """(P, K) sums of `values` (M, K) over each point's observations."""
    columns = [np.bincount(tracks.point, values[:, k], len(tracks)) for k in range(values.shape[1])]
    return np.stack(columns, axis=1).astype(np.float64)  # of nothing, bincount makes integers
