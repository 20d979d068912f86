"""Depth maps into one cloud in which a surface seen by several views appears once. [R] numpy and numba only.

The idea of Merrell et al., "Real-Time Visibility-Based Fusion of Depth Maps" (ICCV 2007): views vote for and against a
depth. Each trusted pixel visits all other views. Where the round trip agrees, the two pixels show the same surface:
their depths are averaged by confidence, and the pixel that sees it coarser is dropped. Where another view trusts a
surface clearly behind, it has seen through the point, which is a vote against it.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from . import dense, stereo
from .stereo import Float32, Float64, Int32

_SEEN_THROUGH = 0.97
"""A view whose surface lies beyond the point's depth by more than this ratio has seen through it."""

_compile: dict[str, Any] = {"cache": True, "fastmath": True, "nogil": True, "error_model": "numpy"}


@dataclass(frozen=True)
class Cloud:
    """Points of a surface."""

    positions: Float32  # (N, 3) world
    normals: Float32  # (N, 3) world, unit, towards the camera that sees the point best
    colors: NDArray[np.uint8]  # (N, 3) of that camera's picture
    confidence: Float32  # (N,) of that camera's depth
    view: Int32  # (N,) index of that camera


@numba.njit(**_compile)
def _visit(
    first_row: int, last_row: int, planes: Float32, confidence: Float32, normals: Float32, focal: float,
    other_planes: Float32, other_confidence: Float32, other_normals: Float32, other_focal: float, other_is_earlier: bool,
    forward: Float64, backward: Float64, least: float, most_pixels: float, most_relative: float,
    weight: Float32, rho_sum: Float32, normal_sum: Float32, votes: NDArray[np.int16], owner: NDArray[np.bool_],
) -> None:  # fmt: skip
    """Let one other view confirm, contradict or take over the trusted pixels of a view."""
    height, width = other_confidence.shape
    for y in range(first_row, last_row):
        for x in range(planes.shape[1]):
            if confidence[y, x] < least:
                continue
            rho = planes[y, x, 0]
            error, back, ratio = stereo.round_trip(x, y, rho, forward, backward, other_planes, height, width)
            if error >= stereo.NOT_SEEN:
                continue
            z = forward[6] * x + forward[7] * y + forward[8] + rho * forward[11]
            u = (forward[0] * x + forward[1] * y + forward[2] + rho * forward[9]) / z
            v = (forward[3] * x + forward[4] * y + forward[5] + rho * forward[10]) / z
            iu = min(int(u + 0.5), width - 1)
            iv = min(int(v + 0.5), height - 1)
            trust = other_confidence[iv, iu]
            if trust < least:
                continue
            if error < most_pixels and abs(rho / back - 1) < most_relative:
                votes[y, x] += 1
                weight[y, x] += trust
                rho_sum[y, x] += trust * back
                for i in range(3):
                    normal_sum[y, x, i] += trust * other_normals[iv, iu, i]
                # Size of a pixel on the surface, in octaves, from stored depths: both views decide from equal numbers.
                mine = math.floor(math.log2(1 / (rho * focal)))
                theirs = math.floor(math.log2(1 / (other_planes[iv, iu, 0] * other_focal)))
                if theirs < mine or (theirs == mine and other_is_earlier):
                    owner[y, x] = False
            elif ratio < _SEEN_THROUGH:
                votes[y, x] -= 1


def fuse(
    views: Sequence[dense.View],
    depth_maps: Sequence[dense.DepthMap],
    min_agreeing: int = 1,
    least_confidence: float = dense.TRUSTED,
) -> Cloud:
    """The cloud of all pixels of at least that confidence which at least ``min_agreeing`` other views confirmed.

    A pixel stays if it sees its surface as finely as any view does (ties go to the earlier view) and at least as many
    views confirm as contradict it. Time grows with the square of the views, memory with the views.
    """
    planes = [dense.planes_of(view, found) for view, found in zip(views, depth_maps, strict=True)]
    normals = [
        np.ascontiguousarray(found.normal @ view.world_from_camera[:3, :3].T.astype(np.float32))
        for view, found in zip(views, depth_maps, strict=True)
    ]
    trusted = [
        np.where(found.agreeing >= min_agreeing, found.confidence, 0).astype(np.float32) for found in depth_maps
    ]
    parts = []
    with dense.Workers() as workers:
        for i, view in enumerate(views):
            confidence = trusted[i]
            weight = confidence.copy()
            rho_sum = confidence * planes[i][..., 0]
            normal_sum = normals[i] * confidence[..., None]
            votes = np.zeros(confidence.shape, np.int16)
            owner = confidence >= least_confidence
            for j, other in enumerate(views):
                if j == i:
                    continue
                workers.run(
                    _visit, 0, confidence.shape[0], planes[i], confidence, normals[i], float(view.intrinsics[0, 0]),
                    planes[j], trusted[j], normals[j], float(other.intrinsics[0, 0]), j < i,
                    dense.transfer(view, other), dense.transfer(other, view), least_confidence,
                    dense.ROUND_TRIP_PIXELS, dense.ROUND_TRIP_DEPTH, weight, rho_sum, normal_sum, votes, owner,
                )  # fmt: skip
            kept = owner & (votes >= 0)
            parts.append(_points(i, view, kept, rho_sum[kept] / weight[kept], normal_sum[kept], confidence[kept]))
    return Cloud(*(np.concatenate(arrays) for arrays in zip(*parts, strict=True)))


def _points(
    index: int, view: dense.View, kept: NDArray[np.bool_], rho: Float32, normals: Float32, confidence: Float32
) -> tuple[Float32, Float32, NDArray[np.uint8], Float32, Int32]:
    """The kept pixels of one view at the given inverse depths, in the order of Cloud's fields."""
    y, x = np.nonzero(kept)
    pixels = np.stack([x + 0.5, y + 0.5, np.ones(len(x))])
    camera = (np.linalg.inv(view.intrinsics) @ pixels) / rho
    positions = view.world_from_camera[:3, :3] @ camera + view.centre[:, None]
    length = np.linalg.norm(normals, axis=1, keepdims=True)
    return (
        positions.T.astype(np.float32),
        (normals / np.maximum(length, np.float32(1e-12))).astype(np.float32),
        view.image[kept],
        confidence,
        np.full(len(x), index, np.int32),
    )
