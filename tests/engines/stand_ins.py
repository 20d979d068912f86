"""Stand-ins for networks on many photos: they answer from a known world, each in its network's output format."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from tests import oracle
from threer_blender.model.arrays import Array
from threer_blender.networks import (
    cut3r,
    depth_anything3,
    dust3r,
    fast3r,
    map_anything,
    must3r,
    pi3,
    spann3r,
    spatial_memory,
    vggt,
    vggt_omega,
)

FOCAL = 520.0  # pixels of the photos


@dataclass(frozen=True)
class World:
    """Views of one room. Photo i is of one colour, whose red is i: by that, a stand-in knows which view it is given."""

    views: list[oracle.View]
    paths: list[Path]

    def views_of(self, images: torch.Tensor) -> list[oracle.View]:
        """The views that pictures (N, 3, H, W) in [0, 1] show in their middles."""
        middles = images[:, 0, images.shape[2] // 2, images.shape[3] // 2]
        return [self.views[round(float(red) * 255)] for red in middles]


def world(folder: Path, sizes: Sequence[tuple[int, int]], degrees: float = 50.0) -> World:
    """One photo for each of `sizes`, height and width, from an arc around the room."""
    poses = [view.world_from_camera for view in oracle.orbit(len(sizes), (2, 2), degrees)]
    views = [oracle.view(pose, size, FOCAL) for pose, size in zip(poses, sizes, strict=True)]
    paths = [folder / f"{number:03}.png" for number in range(len(views))]
    for number, (path, size) in enumerate(zip(paths, sizes, strict=True)):
        Image.new("RGB", size[::-1], (number, 128, 128)).save(path)
    return World(views, paths)


@dataclass(frozen=True)
class Answer:
    """The truth of one view in a network's pixels, in the frame of the first view and another unit."""

    depth: torch.Tensor
    focal: tuple[float, float]
    camera_from_world: Array


UNIT = 0.37  # the networks' units in one unit of the world


def answers(views: list[oracle.View], scales: Callable[..., Any], height: int, width: int) -> list[Answer]:
    """The truth of each view in a network's pictures, which show the middles of the photos.

    `scales(w, h)` gives network pixels per photo pixel along x and y.
    """
    collected = []
    for view in views:
        tall, wide = view.depth.shape
        scale = scales(wide, tall)
        x = (np.arange(width) + 0.5 - width / 2) / scale[0] + wide / 2
        y = (np.arange(height) + 0.5 - height / 2) / scale[1] + tall / 2
        rows, columns = (np.clip(at.astype(int), 0, side - 1) for at, side in ((y, tall), (x, wide)))
        depth = UNIT * view.depth[np.ix_(rows, columns)]
        camera_from_first = np.linalg.inv(view.world_from_camera) @ views[0].world_from_camera
        camera_from_first[:3, 3] *= UNIT
        focal = (view.focal * scale[0], view.focal * scale[1])
        collected.append(Answer(torch.tensor(depth, dtype=torch.float32), focal, camera_from_first))
    return collected


class StandIn(torch.nn.Module):
    """A network whose answers to pictures are the truth of a known world; `asked` counts the pictures of each call."""

    def __init__(self, answer: Callable[[Any], Any]) -> None:
        super().__init__()
        self.answer = answer
        self.asked: list[int] = []

    def forward(self, images: Any) -> Any:
        self.asked.append(len(images))
        return self.answer(images)


def confidence_of(actual: list[Answer]) -> torch.Tensor:
    """Confidences, which are low in the top rows."""
    confidence = torch.full((len(actual), *actual[0].depth.shape), 5.0)
    confidence[:, : len(actual[0].depth) // 5] = 1.01
    return confidence


def in_unit_range(images: torch.Tensor) -> torch.Tensor:
    """Pictures in [0, 1] of those with ImageNet's mean and deviation taken out."""
    deviation, mean = (torch.tensor(row)[:, None, None] for row in ((0.229, 0.224, 0.225), (0.485, 0.456, 0.406)))
    return images * deviation + mean


def depth_anything3_stand_in(known: World) -> StandIn:
    def answer(images: torch.Tensor) -> depth_anything3.Prediction:
        height, width = images.shape[2:]

        def scales(wide: int, tall: int) -> tuple[float, float]:
            longer = max(wide, tall)
            return round(wide * 504 / longer / 14) * 14 / wide, round(tall * 504 / longer / 14) * 14 / tall

        answered = answers(known.views_of(in_unit_range(images)), scales, height, width)
        lenses = [[[one.focal[0], 0, width / 2], [0, one.focal[1], height / 2], [0, 0, 1]] for one in answered]
        poses = torch.tensor(np.stack([one.camera_from_world[:3] for one in answered]), dtype=torch.float32)
        return depth_anything3.Prediction(
            torch.stack([one.depth for one in answered]), confidence_of(answered), poses, torch.tensor(lenses)
        )

    return StandIn(answer)


def map_anything_stand_in(known: World) -> StandIn:
    """The lowest rows are nonsense, and masked out."""

    def answer(images: torch.Tensor) -> map_anything.Prediction:
        height, width = images.shape[2:]
        answered = answers(
            known.views_of(in_unit_range(images)),
            lambda wide, tall: (max(width / wide, height / tall),) * 2,
            height,
            width,
        )
        x, y = np.meshgrid(np.arange(width) + 0.5 - width / 2, np.arange(height) + 0.5 - height / 2)
        rays = torch.tensor(
            np.stack([np.stack([x / f, y / g, np.ones_like(x)], -1) for f, g in (a.focal for a in answered)])
        )
        length = rays.norm(dim=-1)
        distance = torch.stack([one.depth for one in answered]) * length
        distance[:, -height // 10 :] *= 7
        clear = torch.ones_like(distance)
        clear[:, -height // 10 :] = -1
        poses = torch.tensor(np.stack([one.camera_from_world[:3] for one in answered]))
        parts = (rays / length[..., None], distance, confidence_of(answered), clear, poses, torch.tensor(1.0))
        return map_anything.Prediction(*(part.float() for part in parts))

    return StandIn(answer)


def quaternion(rotation: Array) -> tuple[float, float, float, float]:
    """w, x, y, z of a rotation (3, 3) of less than 180 degrees."""
    w = np.sqrt(1 + np.trace(rotation)) / 2
    x, y, z = rotation[2, 1] - rotation[1, 2], rotation[0, 2] - rotation[2, 0], rotation[1, 0] - rotation[0, 1]
    return w, x / (4 * w), y / (4 * w), z / (4 * w)


def pose_encodings(answered: list[Answer], height: int, width: int) -> torch.Tensor:
    """(N, 9): translation, quaternion xyzw, vertical and horizontal field of view."""
    rows = []
    for one in answered:
        w, x, y, z = quaternion(one.camera_from_world[:3, :3])
        fields = 2 * np.arctan(height / 2 / one.focal[1]), 2 * np.arctan(width / 2 / one.focal[0])
        rows.append([*one.camera_from_world[:3, 3], x, y, z, w, *fields])
    return torch.tensor(np.array(rows), dtype=torch.float32)


def vggt_scales(wide: int, tall: int) -> tuple[float, float]:
    return 518 / wide, round(tall * 518 / wide / 14) * 14 / tall


def vggt_stand_in(known: World) -> StandIn:
    def answer(images: torch.Tensor) -> vggt.Prediction:
        answered = answers(known.views_of(images), vggt_scales, *images.shape[2:])
        depth = torch.stack([one.depth for one in answered])
        return vggt.Prediction(
            pose_encodings(answered, *images.shape[2:]), depth, confidence_of(answered), None, None, None
        )

    return StandIn(answer)


def vggt_omega_stand_in(known: World) -> StandIn:
    def scales(wide: int, tall: int) -> tuple[float, float]:
        wide_cut, tall_cut = min(wide, 2 * tall), min(tall, 2 * wide)
        columns = np.sqrt(32**2 * wide_cut / tall_cut)
        return round(columns) * 16 / wide_cut, round(32**2 / columns) * 16 / tall_cut

    def answer(images: torch.Tensor) -> vggt_omega.Prediction:
        answered = answers(known.views_of(images), scales, *images.shape[2:])
        depth = torch.stack([one.depth for one in answered])
        return vggt_omega.Prediction(pose_encodings(answered, *images.shape[2:]), depth, confidence_of(answered), depth)

    return StandIn(answer)


def fast3r_stand_in(known: World) -> StandIn:
    """Each photo's local pointmap has a unit of its own. The shared pointmaps are noisy, and wrong in a corner."""

    def answer(images: list[torch.Tensor]) -> list[fast3r.Prediction]:
        views = [known.views_of((image[None] + 1) / 2)[0] for image in images]
        predictions = []
        for number, (view, image) in enumerate(zip(views, images, strict=True)):
            height, width = image.shape[1:]
            one = answers([view], lambda wide, tall: (512 / max(wide, tall),) * 2, height, width)[0]
            x, y = (
                (np.arange(width) + 0.5 - width / 2) / one.focal[0],
                (np.arange(height) + 0.5 - height / 2) / one.focal[1],
            )
            local = np.stack([*np.meshgrid(x, y), np.ones((height, width))], -1) * one.depth.numpy()[..., None]
            first_from_camera = np.linalg.inv(views[0].world_from_camera) @ view.world_from_camera
            shared = local @ first_from_camera[:3, :3].T + UNIT * first_from_camera[:3, 3]
            shared += 0.01 * UNIT * np.random.default_rng(number).standard_normal(shared.shape)
            shared[: height // 4, : width // 4] += 0.5
            maps = (shared, local * (1 + 0.3 * number))
            predictions.append(
                fast3r.Prediction(*(dust3r.Pointmap(torch.tensor(m)[None].float(), confidence_of([one])) for m in maps))
            )
        return predictions

    return StandIn(answer)


def camera_points(one: Answer) -> torch.Tensor:
    """(H, W, 3) the points of an answer, in its camera's frame."""
    height, width = one.depth.shape
    x = (torch.arange(width) + 0.5 - width / 2) / one.focal[0]
    y = (torch.arange(height) + 0.5 - height / 2) / one.focal[1]
    slopes = torch.stack(torch.meshgrid(x, y, indexing="xy"), dim=-1)
    return torch.cat([slopes, torch.ones(height, width, 1)], dim=-1).float() * one.depth[..., None]


def pi3_stand_in(known: World) -> StandIn:
    """The world is no camera's frame."""

    def answer(images: torch.Tensor) -> pi3.Prediction:
        height, width = images.shape[2:]
        answered = answers(
            known.views_of(images), lambda wide, tall: (max(width / wide, height / tall),) * 2, height, width
        )
        world_from_first = oracle.look_at((3.0, -2.0, 1.0), (0.5, 0.2, 0.1))
        poses = [world_from_first @ np.linalg.inv(one.camera_from_world) for one in answered]
        return pi3.Prediction(
            torch.stack([camera_points(one) for one in answered]),
            (confidence_of(answered) - 1).log(),
            torch.tensor(np.array(poses), dtype=torch.float32),
        )

    return StandIn(answer)


class OnlineTruth:
    """The truth of the pictures (n, 3, H, W) in [-1, 1] that an online network gets one after the other.

    The first picture's camera is the world.
    """

    def __init__(self, known: World) -> None:
        self.known = known
        self.first: list[oracle.View] = []
        self.asked: list[int] = []

    def answers(self, images: torch.Tensor) -> list[Answer]:
        self.asked.append(len(images))
        views = self.known.views_of((images + 1) / 2)
        self.first = self.first or views[:1]
        height, width = images.shape[2:]
        scale = lambda wide, tall: (max(width / wide, height / tall),) * 2  # noqa: E731
        return answers(self.first + views, scale, height, width)[1:]


class CUT3RStandIn(StandIn):
    """CUT3R's answers. A new state forgets the world's frame. Colours and the world's points are not asked for."""

    def __init__(self, known: World) -> None:
        super().__init__(lambda _images: None)
        self.truth = OnlineTruth(known)

    def initial(self) -> cut3r.CUT3RState:
        self.truth.first = []
        return cut3r.CUT3RState(torch.zeros(1, 1, 1), torch.zeros(1, 1, 1), fresh=True)

    def step(self, state: cut3r.CUT3RState, image: torch.Tensor) -> tuple[cut3r.Prediction, cut3r.CUT3RState]:
        (one,) = self.truth.answers(image)
        pose = np.linalg.inv(one.camera_from_world)
        w, x, y, z = quaternion(pose[:3, :3])
        local = dust3r.Pointmap(camera_points(one)[None], confidence_of([one]))
        encoded = torch.tensor([[*pose[:3, 3], w, x, y, z]], dtype=torch.float32)
        return cut3r.Prediction(encoded, local, None, None), state._replace(fresh=False)


class MUSt3RStandIn(StandIn):
    """MUSt3R's answers. Its memory's labels count the frames; `stored` holds that number before each call."""

    def __init__(self, known: World) -> None:
        super().__init__(lambda _images: None)
        self.truth = OnlineTruth(known)
        self.stored: list[int] = []

    def empty(self) -> must3r.MUSt3RMemory:
        self.truth.first = []
        return must3r.MUSt3RMemory([], torch.zeros(0))

    def encode(self, images: torch.Tensor) -> dust3r.Encoded:
        return dust3r.Encoded(images, (1, 1))

    def forward(self, encoded: Any, memory: Any) -> Any:  # type: ignore[override]
        answered = self.truth.answers(encoded.tokens)
        local = torch.stack([camera_points(one) for one in answered])
        poses = [torch.tensor(np.linalg.inv(one.camera_from_world), dtype=torch.float32) for one in answered]
        shared = torch.stack([points @ pose[:3, :3].T + pose[:3, 3] for points, pose in zip(local, poses, strict=True)])
        confidence = confidence_of(answered)
        prediction = must3r.Prediction(dust3r.Pointmap(shared, confidence), dust3r.Pointmap(local, confidence))
        self.stored.append(len(memory.labels))
        return prediction, must3r.MUSt3RMemory([], torch.zeros(len(memory.labels) + len(local)))


class Spann3RStandIn(StandIn):
    """Spann3R's answers, each of which comes with the next picture. The memory stays empty."""

    def __init__(self, known: World) -> None:
        super().__init__(lambda _images: None)
        self.truth = OnlineTruth(known)

    def start(self, image: torch.Tensor) -> spann3r.Spann3RState:
        self.truth.first = []
        return spann3r.Spann3RState(spatial_memory.empty(1, 1, image), dust3r.Encoded(image, (1, 1)))

    def step(self, state: spann3r.Spann3RState, image: torch.Tensor) -> tuple[dust3r.Pointmap, spann3r.Spann3RState]:
        return self.last(state), state._replace(encoded=dust3r.Encoded(image, (1, 1)))

    def last(self, state: spann3r.Spann3RState) -> dust3r.Pointmap:
        (one,) = self.truth.answers(state.encoded.tokens)
        pose = torch.tensor(np.linalg.inv(one.camera_from_world), dtype=torch.float32)
        points = camera_points(one) @ pose[:3, :3].T + pose[:3, 3]
        return dust3r.Pointmap(points[None], confidence_of([one]))


ENGINES: dict[str, Callable[[World], StandIn]] = {
    "depth_anything3": depth_anything3_stand_in,
    "vggt": vggt_stand_in,
    "vggt_commercial": vggt_stand_in,
    "vggt_omega": vggt_omega_stand_in,
    "fast3r": fast3r_stand_in,
    "map_anything": map_anything_stand_in,
    "pi3": pi3_stand_in,
    "cut3r": CUT3RStandIn,
    "must3r": MUSt3RStandIn,
    "spann3r": Spann3RStandIn,
}
