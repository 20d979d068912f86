"""MASt3R-SfM's sparse alignment as released, in our own words: 300 Adam steps in space, 300 in the pictures.

The comparison for `sparse_alignment`. Facts after naver/mast3r f5209af, cloud_opt/sparse_ga: canonical pointmaps are
means weighed by confidence - 0.999, their depth is optimised on one anchor of each 8 × 8 cell and the cell's other
pixels keep their ratio to it; focal lengths by Weiszfeld; cameras hang in a maximum spanning tree of match scores,
rotated about the middle of what they see (focal length over its start times median depth); losses are
(|r| + o)^g - o^g with o = (1 / g)^(1 / (g - 1)), g = 1.5 in space and 0.5 in pictures; Adam with betas 0.9 and 0.9,
rates 0.07 and 0.01 falling to 0 as a cosine; the first stage moves poses and scales, the second focal lengths,
principal points and depths as well. The smallest scale is 1. Maps have one size.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from tests.benchmarks._released_alignment import matrices
from threer_blender.geometry.alignment.global_alignment import AlignedView, Alignment
from threer_blender.geometry.focal import focal_from_points
from threer_blender.geometry.pairs.pairs import Matches, PairStore
from threer_blender.geometry.similarities import identities
from threer_blender.model.arrays import Array

STEPS = 300  # of each stage
RATES, POWERS = (0.07, 0.01), (1.5, 0.5)  # of Adam, and of the loss: in the first and in the second stage
CELL = 8  # pixels of the side of a cell with one anchor


def align(store: PairStore, count: int, matches: Sequence[Matches]) -> Alignment:
    """The alignment of `count` photos by both stages."""
    torch.set_num_threads(1)  # threads that wait for each other on a busy machine would count as work
    maps, focals = _canonical(store, count)
    height, width = maps.shape[1:]
    rows, columns = (np.arange(CELL // 2, side, CELL) for side in (height, width))
    anchors = maps[:, rows][:, :, columns].reshape(count, -1)
    middle = np.median(anchors, axis=1)
    ends = np.array([(m.first, m.second) for m in matches])
    order, parents = _tree(count, ends, np.array([m.confidence.sum() for m in matches]))
    pixels = [np.concatenate([getattr(m, side) for m in matches]) for side in ("pixels_first", "pixels_second")]
    photos = [np.repeat(ends[:, side], [len(m.confidence) for m in matches]) for side in range(2)]
    sides = [_Side(*side, maps, anchors, len(columns)) for side in zip(photos, pixels, strict=True)]
    confidence = torch.tensor(np.concatenate([m.confidence for m in matches]), dtype=torch.float32)
    free = {
        "rotation": torch.tensor([[0.0, 0, 0, 1]] * count),
        "translation": torch.zeros(count, 3),
        "log_scale": torch.zeros(count),
        "focal": torch.tensor(np.log(focals), dtype=torch.float32),
        "centre": torch.tensor([[width / 2, height / 2]] * count),
        "depth": torch.tensor(np.log(anchors / middle[:, None]), dtype=torch.float32),
    }
    scene = _Scene(free, torch.tensor(middle).float(), torch.tensor(focals).float(), order, parents)

    def in_space() -> Tensor:
        one, two = (side.world(scene) for side in sides)
        return (confidence * _loss((one - two).norm(dim=-1), POWERS[0])).sum() / confidence.sum()

    def in_pictures() -> Tensor:
        total = torch.zeros(())
        for here, there in (sides, sides[::-1]):
            off = (there.project(scene, here.world(scene)) - there.pixels).norm(dim=-1)
            total = total + (confidence * _loss(off, POWERS[1])).sum() / confidence.sum()
        return total

    _descend(free, ("rotation", "translation", "log_scale"), RATES[0], in_space)
    _descend(free, tuple(free), RATES[1], in_pictures)
    return _as_alignment(scene, maps, anchors, middle)


class _Scene:
    """Poses, focal lengths and depths from the free parameters."""

    def __init__(
        self, free: dict[str, Tensor], middle: Tensor, focals: Tensor, order: list[int], parents: list[int]
    ) -> None:
        self.free, self.middle, self.focals, self.order, self.parents = free, middle, focals, order, parents

    def cameras(self) -> tuple[Tensor, Tensor, Tensor]:
        """Rotations (N, 3, 3) and centres (N, 3) of the cameras, world from camera, and the factors (N,) of their
        depths."""
        size = self.free["log_scale"].exp()
        focal = self.free["focal"].exp()
        local = matrices(self.free["rotation"])
        rotations: list[Tensor] = [torch.empty(0)] * len(size)
        places: list[Tensor] = [torch.empty(0)] * len(size)
        for photo in self.order:
            parent = self.parents[photo]
            if parent < 0:
                rotations[photo], places[photo] = local[photo], self.free["translation"][photo]
            else:
                rotations[photo] = rotations[parent] @ local[photo]
                places[photo] = rotations[parent] @ self.free["translation"][photo] + places[parent]
        rotation, place = torch.stack(rotations), torch.stack(places)
        unit = 1 / size.min()
        deep = size * self.middle * focal / self.focals
        return rotation, unit * (place - rotation[:, :, 2] * deep[:, None]), unit * size * self.middle


class _Side:
    """One side of all matches: photo and pixel, its anchor, and the depth there over the anchor's."""

    def __init__(self, photo: Array, pixels: Array, maps: Array, anchors: Array, columns: int) -> None:
        height, width = maps.shape[1:]
        column, row = (np.floor(pixels[:, i]).astype(int).clip(0, (width, height)[i] - 1) for i in range(2))
        anchor = np.minimum(row // CELL, (height - CELL // 2 - 1) // CELL) * columns
        anchor += np.minimum(column // CELL, columns - 1)
        self.photo, self.anchor = torch.tensor(photo), torch.tensor(anchor)
        self.ratio = torch.tensor(maps[photo, row, column] / anchors[photo, anchor]).float()
        self.pixels = torch.tensor(pixels).float()

    def world(self, scene: _Scene) -> Tensor:
        """(M, 3) the matches' points."""
        rotation, place, factor = scene.cameras()
        depth = factor[self.photo] * scene.free["depth"].exp()[self.photo, self.anchor] * self.ratio
        slope = (self.pixels - scene.free["centre"][self.photo]) / scene.free["focal"].exp()[self.photo, None]
        rays = torch.cat([slope, torch.ones_like(slope[:, :1])], -1)
        return (rotation[self.photo] @ (depth[:, None] * rays)[..., None])[..., 0] + place[self.photo]

    def project(self, scene: _Scene, points: Tensor) -> Tensor:
        """(M, 2) where this side's photos see world points."""
        rotation, place, _ = scene.cameras()
        local = (rotation[self.photo].transpose(1, 2) @ (points - place[self.photo])[..., None])[..., 0]
        plane = local[:, :2] / local[:, 2:].clip(min=0.1)
        return plane * scene.free["focal"].exp()[self.photo, None] + scene.free["centre"][self.photo]


def _loss(distance: Tensor, power: float) -> Tensor:
    shift = (1 / power) ** (1 / (power - 1))
    return (distance + shift) ** power - shift**power


def _descend(free: dict[str, Tensor], names: Sequence[str], rate: float, loss: Callable[[], Tensor]) -> None:
    for name, value in free.items():
        value.requires_grad_(name in names)
    adam = torch.optim.Adam([free[name] for name in names], lr=rate, betas=(0.9, 0.9))
    for step in range(STEPS):
        for group in adam.param_groups:
            group["lr"] = rate * (1 + math.cos(math.pi * step / STEPS)) / 2
        adam.zero_grad()
        loss().backward()
        adam.step()


def _canonical(store: PairStore, count: int) -> tuple[Array, Array]:
    """Canonical depths (N, H, W) and focal lengths (N,)."""
    depths, focals = [], []
    for photo in range(count):
        predictions = [store.read(index, 0) for index, side in store.sides(photo) if side == 0]
        weights = np.stack([one.confidence - 0.999 for one in predictions])
        points = (np.stack([one.points for one in predictions]) * weights[..., None]).sum(0) / weights.sum(0)[..., None]
        height, width = points.shape[:2]
        focals.append(focal_from_points(points, weights.sum(0), (width / 2, height / 2)))
        depths.append(np.maximum(points[..., 2], 1e-3))
    return np.stack(depths), np.array(focals)


def _tree(count: int, ends: Array, score: Array) -> tuple[list[int], list[int]]:
    """The maximum spanning tree's photos from its middle outwards, and each one's parent, -1 for the first."""
    label = np.arange(count)
    neighbours: dict[int, set[int]] = {photo: set() for photo in range(count)}
    for index in np.argsort(-score):
        a, b = ends[index]
        if label[a] != label[b]:
            label[label == label[b]] = label[a]
            neighbours[a].add(b)
            neighbours[b].add(a)

    def reach(start: int) -> tuple[list[int], list[int], list[int]]:
        order, parents, depth = [start], [-1] * count, [0] * count
        for photo in order:
            for other in sorted(neighbours[photo]):
                if other != parents[photo]:
                    parents[other], depth[other] = photo, depth[photo] + 1
                    order.append(other)
        return order, parents, depth

    root = min(range(count), key=lambda photo: max(reach(photo)[2]))
    return reach(root)[:2]


def _as_alignment(scene: _Scene, maps: Array, anchors: Array, middle: Array) -> Alignment:
    with torch.no_grad():
        rotation, place, factor = (part.double().numpy() for part in scene.cameras())
        focal = scene.free["focal"].exp().double().numpy()
        grown = scene.free["depth"].exp().double().numpy() * middle[:, None] / anchors
    views = []
    for photo, depth in enumerate(maps):
        pose = np.eye(4)
        pose[:3, :3], pose[:3, 3] = rotation[photo], place[photo]
        scaled = depth * factor[photo] / middle[photo] * np.median(grown[photo])
        views.append(AlignedView(photo, pose, float(focal[photo]), scaled.astype(np.float32), np.ones_like(depth)))
    return Alignment(views, identities(0), np.arange(0), [], [], [])
