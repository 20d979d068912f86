"""An exact little world and an oracle that answers about it in the networks' own formats, with chosen errors. [S]

The world is a textured room with balls; every ray's depth is analytic. `Oracle` answers pairs as DUSt3R and MASt3R do
(pointmaps in the first camera's frame, confidence, matches) and `feed_forward` answers many photos as VGGT does (poses,
intrinsics and depth in one frame). `Errors` says what the answers get wrong. Everything repeats exactly for a seed.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from threer_blender.geometry.pairs.pairs import Matches, PairPrediction

Float = NDArray[np.float64]

ROOM = np.array([5.0, 2.0, 5.0])  # half sizes: the room spans -size to size, y down
BALLS = ((-1.2, 1.0, 0.3, 1.0), (1.3, 1.3, -0.6, 0.7), (0.2, 1.5, 1.6, 0.5), (-2.6, 0.6, -2.2, 0.8))  # centre, radius


@dataclass(frozen=True)
class View:
    """One picture of the world with its truth.

    `image` (H, W, 3) is uint8. `intrinsics` (3, 3) put the top-left pixel's centre at (0.5, 0.5). `world_from_camera`
    (4, 4) is the camera's pose. `depth` (H, W) is the z of the camera's frame.
    """

    image: NDArray[np.uint8]
    intrinsics: Float
    world_from_camera: Float
    depth: Float

    @property
    def camera_points(self) -> Float:
        """(H, W, 3) the points that the pixels see, in the camera's frame."""
        return pixel_rays(self.intrinsics, self.depth.shape) * self.depth[..., None]

    @property
    def points(self) -> Float:
        """(H, W, 3) the points that the pixels see, in the world."""
        return _moved(self.world_from_camera, self.camera_points)

    @property
    def focal(self) -> float:
        return float(self.intrinsics[0, 0])


@dataclass(frozen=True)
class Errors:
    """The errors of an oracle's answers. By default there are none, but each pair has a unit of its own (`scale`).

    - `noise`: the relative error of points. A part of it is smooth over the picture, as a network's is. It also tilts
      the second camera, by half as many radians on each axis (standard deviation).
    - `outliers`: the share of pixels whose depth is random.
    - `wrong`: the share of unordered pairs that are wrong both ways with high confidence, as by repeated structure.
    - `scale`: the standard deviation of the log of each pair's own unit.
    - `pixels`: the standard deviation of matches, in pixels.
    - `false_matches`: the share of matches that are random.
    """

    noise: float = 0.0
    outliers: float = 0.0
    wrong: float = 0.0
    scale: float = 0.3
    pixels: float = 0.0
    false_matches: float = 0.0
    seed: int = 0


def look_at(centre: Any, target: Any) -> Float:
    """(4, 4) world_from_camera of an upright camera at `centre` that looks at `target`."""
    forward = np.subtract(target, centre).astype(float)
    forward /= np.linalg.norm(forward)
    right = np.cross([0.0, 1.0, 0.0], forward)
    right /= np.linalg.norm(right)
    pose = np.eye(4)
    pose[:3] = np.column_stack([right, np.cross(forward, right), forward, centre])
    return pose


def view(world_from_camera: Float, size: tuple[int, int] = (48, 64), focal: float | None = None) -> View:
    """The picture that a camera takes. `size` is height, width; `focal` in pixels, by default 0.9 of the width."""
    height, width = size
    focal = 0.9 * width if focal is None else focal
    intrinsics = np.array([[focal, 0, width / 2], [0, focal, height / 2], [0, 0, 1.0]])
    rays = pixel_rays(intrinsics, size) @ world_from_camera[:3, :3].T
    centre = world_from_camera[:3, 3]
    with np.errstate(divide="ignore"):
        depth = np.min((np.sign(rays) * ROOM - centre) / np.where(rays == 0, np.nan, rays), axis=-1)
    hit = np.zeros(depth.shape, int)
    for index, (*middle, radius) in enumerate(BALLS, 1):
        to_ball = centre - np.array(middle)
        a, b = (rays**2).sum(-1), rays @ to_ball
        root = b**2 - a * (to_ball @ to_ball - radius**2)
        near = np.where(root > 0, (-b - np.sqrt(np.maximum(root, 0))) / a, np.inf)
        nearer = (near > 0) & (near < depth)
        depth, hit = np.where(nearer, near, depth), np.where(nearer, index, hit)
    return View(_colours(centre + rays * depth[..., None], hit), intrinsics, world_from_camera, depth)


def orbit(
    count: int, size: tuple[int, int] = (48, 64), degrees: float = 360.0, focal: float | None = None
) -> list[View]:
    """`count` pictures from an arc of `degrees` around the middle of the room. The camera goes up and down a little."""
    angles = np.radians(degrees) * np.arange(count) / (count if degrees >= 360 else max(1, count - 1))
    return [
        view(look_at((3.6 * np.sin(a), -0.4 + 0.5 * np.sin(2.3 * i), -3.6 * np.cos(a)), (0, 0.7, 0)), size, focal)
        for i, a in enumerate(angles)
    ]


def walk(count: int, size: tuple[int, int] = (48, 64), focal: float | None = None, laps: float = 1.0) -> list[View]:
    """`count` frames of a video. The camera is carried around the room `laps` times, and looks ahead and outwards."""
    angles = 2 * np.pi * laps * np.arange(count) / count
    frames = []
    for a in angles:
        centre = np.array([2.2 * np.sin(a), 0.3 * np.sin(3 * a), -2.2 * np.cos(a)])
        ahead = centre + (np.cos(a) + 0.9 * np.sin(a), 0.25, np.sin(a) - 0.9 * np.cos(a))
        frames.append(view(look_at(centre, ahead), size, focal))
    return frames


def overlap(first: View, second: View) -> Float:
    """(H, W) bool: the pixels of `second` whose points `first` sees, too."""
    _, visible = project(second.points, first, 0.03)
    return visible


def similarity(views: list[View]) -> NDArray[np.float32]:
    """(N, N) how alike the views are, as a perfect encoder would say: the share of a view's pixels whose points the
    other view sees, too. Of a pair's two shares the smaller one counts."""
    small = [view(one.world_from_camera, (12, 16)) for one in views]
    share = np.array([[overlap(a, b).mean() for b in small] for a in small])
    return np.minimum(share, share.T).astype(np.float32)


@dataclass(frozen=True)
class Oracle:
    """Answers about pairs of `views` as DUSt3R and MASt3R give them. No answer depends on what was asked before."""

    views: list[View]
    errors: Errors = Errors()

    def is_wrong(self, first: int, second: int) -> bool:
        """Whether the answers about this pair, either way round, are made wrong on purpose."""
        return bool(self._random(min(first, second), max(first, second), 1).random() < self.errors.wrong)

    def predict(self, first: int, second: int) -> PairPrediction:
        """The pointmaps (H, W, 3) of both views in the frame of camera `first`, and confidences (H, W) above 1."""
        a, b = self.views[first], self.views[second]
        random = self._random(first, second, 2)
        first_from_second = np.linalg.inv(a.world_from_camera) @ b.world_from_camera
        shared = (overlap(b, a), overlap(a, b))
        lost = min(part.mean() for part in shared) < 0.05
        if self.is_wrong(first, second):
            shared = (np.ones_like(shared[0]), np.ones_like(shared[1]))
            first_from_second = self._wrong_pose(first, second)
        elif lost:
            first_from_second = _pose(rotation_matrix(random.standard_normal(3)), 2 * random.standard_normal(3))
        tilt = _pose(rotation_matrix(0.5 * self.errors.noise * random.standard_normal(3)), np.zeros(3))
        unit = np.exp(self.errors.scale * random.standard_normal())
        points_first, confidence_first = self._answer(a.camera_points, shared[0], random)
        points_second, confidence_second = self._answer(b.camera_points, shared[1], random)
        points_second = _moved(tilt @ first_from_second, points_second)
        if lost and not self.is_wrong(first, second):
            confidence_first, confidence_second = 0.2 * confidence_first, 0.03 * confidence_second
        return PairPrediction(
            first,
            second,
            (points_first * unit).astype(np.float32),
            (points_second * unit).astype(np.float32),
            (1 + confidence_first).astype(np.float32),
            (1 + confidence_second).astype(np.float32),
        )

    def matches(self, first: int, second: int, stride: int = 4) -> Matches:
        """Matches of every `stride`-th pixel of `first` that `second` sees, with the errors asked for."""
        a, b = self.views[first], self.views[second]
        random = self._random(first, second, 3)
        points = a.points[stride // 2 :: stride, stride // 2 :: stride]
        height, width = a.depth.shape
        grid = np.stack(np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5), -1)
        grid = grid[stride // 2 :: stride, stride // 2 :: stride]
        if self.is_wrong(first, second):
            points = _moved(
                b.world_from_camera @ np.linalg.inv(self._wrong_pose(first, second)),
                _moved(np.linalg.inv(a.world_from_camera), points),
            )
        actual, visible = project(points, b, np.inf if self.is_wrong(first, second) else 0.03)
        pixels_first, pixels_second = grid[visible], actual[visible]
        pixels_second = pixels_second + self.errors.pixels * random.standard_normal(pixels_second.shape)
        false = random.random(len(pixels_second)) < self.errors.false_matches
        size = np.array(b.depth.shape[::-1])
        pixels_second = np.where(false[:, None], random.random(pixels_second.shape) * size, pixels_second)
        confidence = np.where(false, 1.0, 4.0) * np.exp(0.3 * random.standard_normal(len(false)))
        return Matches(first, second, pixels_first, pixels_second, confidence)

    def _wrong_pose(self, first: int, second: int) -> Float:
        """A wrong first_from_second that the answer the other way round agrees with."""
        low, high = min(first, second), max(first, second)
        random = self._random(low, high, 4)
        pose = _pose(rotation_matrix(0.7 * random.standard_normal(3)), 1.5 * random.standard_normal(3))
        return pose if first == low else np.linalg.inv(pose)

    def _answer(self, points: Float, shared: Any, random: np.random.Generator) -> tuple[Float, Float]:
        """Camera points (H, W, 3) with the network's errors, and the exponential part of the confidence (H, W)."""
        errors = self.errors
        shape = points.shape[:2]
        smooth = np.stack([_smooth(shape, random) for _ in range(3)], -1)
        grain = random.standard_normal((*shape, 3))
        error = errors.noise * (smooth * (0.4, 0.4, 0.7) + grain * (0.2, 0.2, 0.5))
        depth = points[..., 2:]
        answer = points * (1 + error[..., 2:]) + depth * error * (1, 1, 0)
        wild = random.random(shape) < errors.outliers
        answer = np.where(wild[..., None], answer * np.exp(random.standard_normal((*shape, 1))), answer)
        log_confidence = np.where(shared, 1.5, 0.4) + 0.3 * random.standard_normal(shape)
        doubt = np.abs(error[..., 2]) / max(errors.noise, 1e-9)
        return answer, np.exp(log_confidence - 0.3 * doubt - 1.5 * wild)

    def _random(self, *key: int) -> np.random.Generator:
        return np.random.default_rng([self.errors.seed, *key])


@dataclass(frozen=True)
class FeedForward:
    """The answer about one photo of a feed-forward network that knows the truth.

    `intrinsics` (3, 3), `world_from_camera` (4, 4), `depth` (H, W), `confidence` (H, W) above 1. The world is the frame
    of the first photo that the network was given.
    """

    intrinsics: Float
    world_from_camera: Float
    depth: Float
    confidence: Float


def feed_forward(
    views: list[View],
    rotation: float = 1.5,
    focal: float = 0.03,
    drift: float = 0.02,
    noise: float = 0.02,
    seed: int = 0,
) -> list[FeedForward]:
    """Answers about all `views` at once, in the first's frame and an arbitrary unit.

    Each camera is turned wrongly by about `rotation` degrees. Its focal length is off by about the share `focal`. The
    scale of depths and of the steps between cameras walks at random from view to view: by about the share `drift`, as
    a standard deviation. `noise` is the relative error of depth.
    """
    random = np.random.default_rng([seed, len(views)])
    unit = np.exp(0.3 * random.standard_normal())
    answers: list[FeedForward] = []
    scale, centre, before = unit, np.zeros(3), views[0].world_from_camera
    to_first = np.linalg.inv(before)
    for index, truth in enumerate(views):
        if index:
            scale *= np.exp(drift * random.standard_normal())
        centre = centre + scale * (to_first[:3, :3] @ (truth.world_from_camera - before)[:3, 3])
        before = truth.world_from_camera
        rotated = rotation_matrix(np.radians(rotation) / np.sqrt(3) * random.standard_normal(3) * (index > 0))
        pose = _pose(to_first[:3, :3] @ truth.world_from_camera[:3, :3] @ rotated, centre)
        shape = truth.depth.shape
        error = noise * (0.8 * _smooth(shape, random) + 0.6 * random.standard_normal(shape))
        intrinsics = truth.intrinsics.copy()
        intrinsics[[0, 1], [0, 1]] *= np.exp(focal * random.standard_normal())
        confidence = 1 + np.exp(1.5 - 0.3 * np.abs(error) / max(noise, 1e-9) + 0.3 * random.standard_normal(shape))
        answers.append(FeedForward(intrinsics, pose, truth.depth * scale * (1 + error), confidence))
    return answers


def planar(views: list[View]) -> list[View]:
    """The same cameras before one bare wall at z = 4 in the world. All of them must look that way.

    The pictures stay those of the room.
    """
    flat = []
    for one in views:
        rays = pixel_rays(one.intrinsics, one.depth.shape) @ one.world_from_camera[:3, :3].T
        depth = (4.0 - one.world_from_camera[2, 3]) / rays[..., 2]
        assert (depth > 0).all()
        flat.append(replace(one, depth=depth))
    return flat


def pixel_rays(intrinsics: Float, shape: tuple[int, ...]) -> Float:
    """(H, W, 3) camera rays with z = 1 through the pixels' centres."""
    height, width = shape[:2]
    x, y = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    return np.stack([x, y, np.ones_like(x)], -1) @ np.linalg.inv(intrinsics).T


def _moved(pose: Float, points: Float) -> Float:
    moved: Float = points @ pose[:3, :3].T + pose[:3, 3]
    return moved


def _pose(rotation: Float, translation: Float) -> Float:
    pose = np.eye(4)
    pose[:3, :3], pose[:3, 3] = rotation, translation
    return pose


def rotation_matrix(vector: Float) -> Float:
    """(3, 3) from a rotation vector in radians (Rodrigues)."""
    angle = float(np.linalg.norm(vector))
    if angle < 1e-12:
        return np.eye(3)
    x, y, z = vector / angle
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    turned: Float = np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross
    return turned


def _smooth(shape: tuple[int, ...], random: np.random.Generator) -> Float:
    """(H, W) a smooth random field of standard deviation about 1, bilinear between a grid of 5 x 5 numbers."""
    grid = 1.4 * random.standard_normal((5, 5))
    height, width = shape[:2]
    for axis, size in enumerate((height, width)):
        at = np.linspace(0, 4, size)
        low = np.minimum(at.astype(int), 3)
        part = (at - low).reshape((-1, 1) if axis == 0 else (1, -1))
        grid = np.take(grid, low, axis) * (1 - part) + np.take(grid, low + 1, axis) * part
    return grid


def project(points: Float, by: View, tolerance: float) -> tuple[Float, Any]:
    """The pixels (..., 2) of world points (..., 3) in a view, and a mask (...) of the points that it sees.

    A point is seen where it is inside the picture, and no deeper than the surface there by more than the share
    `tolerance`.
    """
    camera = _moved(np.linalg.inv(by.world_from_camera), points)
    with np.errstate(divide="ignore", invalid="ignore"):
        pixels = (camera @ by.intrinsics.T)[..., :2] / camera[..., 2:]
    height, width = by.depth.shape
    inside = (camera[..., 2] > 0) & (pixels > 0).all(-1) & (pixels < (width, height)).all(-1)
    column, row = (np.where(inside, pixels[..., i], 0).astype(int) for i in (0, 1))
    visible = inside & (camera[..., 2] < by.depth[row, column] * (1 + tolerance))
    return pixels, visible


def _colours(points: Float, hit: NDArray[np.int_]) -> NDArray[np.uint8]:
    """(H, W, 3) the colours of world points (H, W, 3): a checked and clouded texture.

    `hit` (H, W) is the number of the ball that is there, or 0 for the room. Each has a texture of its own.
    """
    phase = hit[..., None] + np.array([0.0, 0.7, 1.9])
    waves = sum(
        np.sin(points @ np.array(direction) * frequency + phase[..., c]) / 3
        for c, (direction, frequency) in enumerate((((1, 0.4, 0.2), 7), ((0.3, 1, 0.5), 11), ((0.2, 0.3, 1), 5)))
    )
    checks = (np.floor(points * 2).sum(-1) % 2)[..., None]
    colour = 120 + 60 * np.sin(2 * waves[..., None] + phase) + 50 * (checks - 0.5)
    return np.clip(colour, 0, 255).astype(np.uint8)
