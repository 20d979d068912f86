"""DUSt3R's global alignment as released, in our own words: a spanning tree, then 300 Adam steps over every pixel.

The comparison for `global_alignment`. Facts after naver/dust3r 4c24a6e, cloud_opt: parameters are quaternions,
translations as signed logarithms, logarithms of depths, scales and focal lengths (times 20); the loss weighs distances
by the logarithm of confidence; the mean log scale of pairs stays log 0.5; Adam with betas 0.9 and 0.9, rate 0.01
falling to 1e-6 as a cosine. Its tree takes each photo's focal length from another edge's pointmap (issue 164 there);
here it is that of the right edge.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch

from threer_blender.geometry import rotations
from threer_blender.geometry.alignment.global_alignment import AlignedView, Alignment
from threer_blender.geometry.focal import focal_from_points
from threer_blender.geometry.pairs.pairs import PairStore
from threer_blender.geometry.poses import pnp
from threer_blender.geometry.similarities import Similarities
from threer_blender.model.arrays import Array
from threer_blender.model.similarity import Similarity, procrustes

STEPS, RATE, LAST_RATE = 300, 0.01, 1e-6
CONFIDENT = 3.0  # the confidence that its PnP asks for


def align(store: PairStore, count: int, steps: int = STEPS) -> Alignment:
    """The alignment of `count` photos whose maps have one size."""
    predictions = list(store)
    ends = np.array([(p.first, p.second) for p in predictions])
    points = torch.tensor(np.stack([(p.points_first, p.points_second) for p in predictions])).flatten(2, 3)
    confidence = torch.tensor(np.stack([(p.confidence_first, p.confidence_second) for p in predictions]))
    height, width = confidence.shape[2:]
    weight = confidence.flatten(2).log()
    usable = torch.isfinite(points).all(-1) & torch.isfinite(weight)
    points, weight = torch.where(usable[..., None], points, 0.0), torch.where(usable, weight, 0.0)
    torch.set_num_threads(1)  # threads that wait for each other on a busy machine would count as work
    poses, focals, depths, pairs = _tree(ends, predictions, count)
    pixels = np.stack(np.meshgrid(np.arange(width) + 0.5 - width / 2, np.arange(height) + 0.5 - height / 2), -1)
    grid = torch.tensor(pixels.reshape(-1, 2), dtype=torch.float32)
    parameters = {
        "rotation": _quaternions(poses[:, :3, :3]),
        "translation": _signed_log(poses[:, :3, 3]),
        "focal": 20 * np.log(focals),
        "depth": np.log(depths.reshape(count, -1)),
        "pair_rotation": _quaternions(pairs.rotation),
        "pair_translation": _signed_log(pairs.translation / pairs.scale[:, None]),
        "pair_scale": np.log(pairs.scale),
    }
    free = {name: torch.tensor(value, dtype=torch.float32, requires_grad=True) for name, value in parameters.items()}
    adam = torch.optim.Adam(list(free.values()), lr=RATE, betas=(0.9, 0.9))
    first, second = torch.tensor(ends.T)
    for step in range(steps):
        for group in adam.param_groups:
            group["lr"] = LAST_RATE + (RATE - LAST_RATE) * (1 + math.cos(math.pi * step / steps)) / 2
        adam.zero_grad()
        local = _local_points(free, grid)
        moved = _moved(free, points)
        distance = torch.stack([local[first], local[second]], 1) - moved
        loss = 2 * (weight * distance.norm(dim=-1)).mean()
        loss.backward()
        adam.step()
    return _as_alignment(free, confidence, ends, (height, width))


def _local_points(free: dict[str, torch.Tensor], grid: torch.Tensor) -> torch.Tensor:
    """(N, H W, 3) points of the photos' pixels in the world."""
    slopes = grid / torch.exp(free["focal"] / 20)[:, None, None]
    rays = torch.cat([slopes, torch.ones_like(slopes[..., :1])], -1)
    camera = torch.exp(free["depth"])[..., None] * rays
    place = torch.sign(free["translation"]) * torch.expm1(free["translation"].abs())
    return camera @ matrices(free["rotation"]).transpose(1, 2) + place[:, None]


def _moved(free: dict[str, torch.Tensor], points: torch.Tensor) -> torch.Tensor:
    """(E, 2, H W, 3) the pairs' points in the world."""
    scale = torch.exp(free["pair_scale"] - free["pair_scale"].mean() + math.log(0.5))[:, None, None]
    place = torch.sign(free["pair_translation"]) * torch.expm1(free["pair_translation"].abs())
    rotation = (scale * matrices(free["pair_rotation"])).transpose(1, 2)
    return points @ rotation[:, None] + (scale[:, 0] * place)[:, None, None]


def _as_alignment(
    free: dict[str, torch.Tensor], confidence: torch.Tensor, ends: Array, size: tuple[int, int]
) -> Alignment:
    parameters = {name: value.detach().double().numpy() for name, value in free.items()}
    rotation = matrices(free["rotation"].detach().double()).numpy()
    scale = 0.5 * np.exp(parameters["pair_scale"] - parameters["pair_scale"].mean())
    views = []
    for photo in range(len(rotation)):
        pose = np.eye(4)
        pose[:3, :3] = rotation[photo]
        pose[:3, 3] = np.sign(parameters["translation"][photo]) * np.expm1(np.abs(parameters["translation"][photo]))
        best = confidence[torch.tensor(ends == photo)].nan_to_num(0).amax(0).numpy()
        depth = np.exp(parameters["depth"][photo]).reshape(size).astype(np.float32)
        views.append(AlignedView(photo, pose, float(np.exp(parameters["focal"][photo] / 20)), depth, best))
    place = np.sign(parameters["pair_translation"]) * np.expm1(np.abs(parameters["pair_translation"]))
    pair_rotations = matrices(free["pair_rotation"].detach().double()).numpy()
    pairs = Similarities(scale, pair_rotations, scale[:, None] * place)
    return Alignment(views, pairs, np.arange(len(ends)), [], [], [])


def _tree(ends: Array, predictions: list[Any], count: int) -> tuple[Array, Array, Array, Similarities]:
    """World from cameras (N, 4, 4), focals, depths (N, H, W) and world from pairs.

    They are chained along the spanning tree of highest confidence.
    """
    score = np.array([np.nanmean(p.confidence_first) * np.nanmean(p.confidence_second) for p in predictions])
    label, tree = np.arange(count), []
    for index in np.argsort(-score):  # Kruskal
        a, b = label[ends[index]]
        if a != b:
            label[label == b] = a
            tree.append(index)
    height, width = predictions[0].confidence_first.shape
    middle = (width / 2, height / 2)
    focals, poses = np.full(count, np.nan), np.full((count, 4, 4), np.nan)
    i, j = ends[tree[0]]
    world = {i: predictions[tree[0]].points_first, j: predictions[tree[0]].points_second}
    poses[i] = np.eye(4)
    focals[i] = focal_from_points(predictions[tree[0]].points_first, predictions[tree[0]].confidence_first, middle)
    left = tree[1:]
    while left:
        index = next(k for k in left if (ends[k][0] in world) != (ends[k][1] in world))
        left.remove(index)
        (i, j), one = ends[index], predictions[index]
        if i in world:
            moved = _fit(one.points_first, world[i], one.confidence_first)
            world[j] = moved.apply(one.points_second)
        else:
            moved = _fit(one.points_second, world[j], one.confidence_second)
            world[i] = moved.apply(one.points_first)
            poses[i] = np.eye(4)
            poses[i, :3, :3], poses[i, :3, 3] = moved.rotation, moved.translation
        if np.isnan(focals[i]):
            focals[i] = focal_from_points(one.points_first, one.confidence_first, middle)
    pixels = np.stack(np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5), -1).reshape(-1, 2)
    for photo in range(count):
        mine = [k for k in range(len(ends)) if ends[k][0] == photo]
        if np.isnan(focals[photo]):
            best = max(mine, key=lambda k: score[k])
            focals[photo] = focal_from_points(
                predictions[best].points_first, predictions[best].confidence_first, middle
            )
        if np.isnan(poses[photo]).any():
            confidence = np.max([predictions[k].confidence_first for k in mine], 0).ravel() > CONFIDENT
            intrinsics = np.array([[focals[photo], 0, middle[0]], [0, focals[photo], middle[1]], [0, 0, 1]])
            solution = pnp(world[photo].reshape(-1, 3)[confidence], pixels[confidence], intrinsics, (width, height))
            poses[photo] = np.eye(4) if solution is None else np.linalg.inv(solution.camera_from_world)
    fits = [_fit(p.points_first, world[a], p.confidence_first) for (a, _), p in zip(ends, predictions, strict=True)]
    pairs = Similarities(*(np.array([getattr(f, part) for f in fits]) for part in ("scale", "rotation", "translation")))
    unit = 0.5 / np.exp(np.log(pairs.scale).mean())
    poses[:, :3, 3] *= unit
    depths = np.empty((count, height, width))
    for photo in range(count):
        row = np.linalg.inv(poses[photo])[2]
        depths[photo] = np.nan_to_num(unit * world[photo] @ row[:3] + row[3], nan=1.0)
    pairs = Similarities(unit * pairs.scale, pairs.rotation, unit * pairs.translation)
    return poses, focals, np.maximum(depths, 1e-6), pairs


def _fit(source: Array, target: Array, weights: Array) -> Similarity:
    return procrustes(source.reshape(-1, 3), target.reshape(-1, 3), weights.ravel())


def _signed_log(values: Array) -> Array:
    return np.sign(values) * np.log1p(np.abs(values))


def _quaternions(rotation: Array) -> Array:
    """(K, 4) xyzw."""
    vectors = rotations.to_vectors(rotation)
    angle = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.concatenate([vectors * np.sinc(angle / 2 / np.pi) / 2, np.cos(angle / 2)], 1)


def matrices(quaternions: torch.Tensor) -> torch.Tensor:
    """(K, 3, 3) of xyzw, which need not have unit length."""
    x, y, z, w = torch.nn.functional.normalize(quaternions, dim=-1).unbind(-1)
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
    ]
    return torch.stack([torch.stack(row, -1) for row in rows], -2)
