"""An exact little world, ray-cast: a textured floor, wall, ball and slanted board, with their true depth. [S]"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float64]


@dataclass(frozen=True)
class TrueView:
    """One picture of the world with its camera and truth."""

    image: NDArray[np.uint8]  # (H, W, 3)
    intrinsics: Float  # (3, 3), centre of the top-left pixel at (0.5, 0.5)
    world_from_camera: Float  # (4, 4)
    depth: Float  # (H, W) camera z
    normal: Float  # (H, W, 3) world, towards the camera
    edge: NDArray[np.bool_]  # (H, W) the pixel straddles two surfaces


def true_views(count: int, width: int, height: int, step_degrees: float, noise: float = 2.0) -> list[TrueView]:
    """`count` pictures from an arc around the world, `step_degrees` apart. `noise` is in grey levels."""
    angles = np.radians(step_degrees) * (np.arange(count) - (count - 1) / 2)
    return [_true_view(angle, i, width, height, noise) for i, angle in enumerate(angles)]


def sparse_points(views: list[TrueView], count: int, seed: int = 0) -> list[tuple[Float, NDArray[np.int64]]]:
    """The points (N, 3) of the world that each view sees, and their ids (N,), with noise as small as a mapper's.

    Each view contributes `count` points, of which the others see some.
    """
    random = np.random.default_rng(seed)
    points = []
    for view in views:
        height, width = view.depth.shape
        x, y = random.integers(0, width, count), random.integers(0, height, count)
        rays = np.stack([x + 0.5, y + 0.5, np.ones(count)]).T @ np.linalg.inv(view.intrinsics).T
        local = rays * (view.depth[y, x] * (1 + 0.001 * random.standard_normal(count)))[:, None]
        points.append(local @ view.world_from_camera[:3, :3].T + view.world_from_camera[:3, 3])
    world = np.concatenate(points)
    sparse = []
    for view in views:
        camera_from_world = np.linalg.inv(view.world_from_camera)
        local = world @ camera_from_world[:3, :3].T + camera_from_world[:3, 3]
        pixel = local @ view.intrinsics.T
        x, y = (np.floor(pixel[:, i] / pixel[:, 2]).astype(int) for i in (0, 1))
        height, width = view.depth.shape
        inside = (x >= 0) & (y >= 0) & (x < width) & (y < height) & (local[:, 2] > 0)
        visible_depth = view.depth[np.where(inside, y, 0), np.where(inside, x, 0)]
        ids = np.flatnonzero(inside & (np.abs(local[:, 2] / visible_depth - 1) < 0.01))
        sparse.append((world[ids], ids))
    return sparse


def _true_view(angle: float, seed: int, width: int, height: int, noise: float) -> TrueView:
    centre = np.array([4 * np.sin(angle), -1.2 + 0.2 * np.sin(2.1 * seed), -4 * np.cos(angle)])
    forward = np.array([0, -0.4, 0.3]) - centre
    forward /= np.linalg.norm(forward)
    right = np.cross([0, 1, 0], forward)
    right /= np.linalg.norm(right)
    pose = np.eye(4)
    pose[:3] = np.column_stack([right, np.cross(forward, right), forward, centre])
    focal = 0.94 * width
    intrinsics = np.array([[focal, 0, width / 2 + 3], [0, focal, height / 2 - 2], [0, 0, 1]])
    colour, _, _ = _cast(intrinsics, pose, width, height, 2)
    colour = colour.reshape(height, 2, width, 2, 3).mean((1, 3))
    _, depth, normal = _cast(intrinsics, pose, width, height, 1)
    grain = np.random.default_rng(seed).normal(0, noise, colour.shape)
    image = np.clip(colour * (1 + 0.05 * np.sin(seed)) + grain, 0, 255).astype(np.uint8)
    _, fine, _ = _cast(intrinsics, pose, width, height, 3)
    block = fine.reshape(height, 3, width, 3)
    edge = block.max((1, 3)) > 1.05 * block.min((1, 3))
    return TrueView(image, intrinsics, pose, depth, normal, edge)


def _cast(intrinsics: Float, pose: Float, width: int, height: int, samples: int) -> tuple[Float, Float, Float]:
    """Colour (H, W, 3), depth (H, W) and normal in the world (H, W, 3) of every ray.

    A pixel has `samples` × `samples` rays: H and W are the picture's height and width times `samples`.
    """
    x = (np.arange(width * samples) + 0.5) / samples
    y = (np.arange(height * samples) + 0.5) / samples
    pixels = np.stack([*np.meshgrid(x, y), np.ones((len(y), len(x)))], axis=-1)
    rays = pixels @ np.linalg.inv(intrinsics).T @ pose[:3, :3].T  # the ray's parameter is the camera's z
    centre = pose[:3, 3]
    depth = np.full(rays.shape[:2], np.inf)
    colour = np.zeros_like(rays)
    normal = np.zeros_like(rays)

    def put(t: Float, hit: NDArray[np.bool_], facing: Float, u: Float, v: Float, texture: int) -> None:
        nearer = hit & (t > 0) & (t < depth)
        depth[nearer] = t[nearer]
        normal[nearer] = np.broadcast_to(facing, rays.shape)[nearer]
        colour[nearer] = _texture(texture, u[nearer], v[nearer])

    with np.errstate(divide="ignore", invalid="ignore"):
        for origin, axis_u, axis_v, half_u, half_v, texture in PLANES:
            facing = np.cross(axis_u, axis_v)
            t = ((origin - centre) @ facing) / (rays @ facing)
            point = np.nan_to_num(centre + rays * t[..., None], posinf=0, neginf=0) - origin
            u, v = point @ axis_u, point @ axis_v
            hit = (np.abs(u) < half_u) & (np.abs(v) < half_v)
            put(t, hit, facing * -np.sign(facing @ (origin - centre)), u, v, texture)
        from_ball = centre - BALL
        a, b = (rays**2).sum(-1), rays @ from_ball
        # The ray meets the ball where a t² + 2 b t + c = 0; it does where the discriminant is positive.
        discriminant = b**2 - a * (from_ball @ from_ball - BALL_RADIUS**2)
        t = (-b - np.sqrt(np.maximum(discriminant, 0))) / a
        facing = (centre + rays * t[..., None] - BALL) / BALL_RADIUS
        longitude = np.arctan2(facing[..., 0], -facing[..., 2])
        put(t, discriminant > 0, facing, longitude, 2 * facing[..., 1], 3)
    return colour, depth, normal


def _vector(*values: float) -> Float:
    return np.array(values, float)


_S = np.sqrt(0.5)
BALL, BALL_RADIUS = _vector(-0.7, 0.0, 0.0), 0.6
PLANES = (  # origin, two unit axes, half sizes, texture
    (_vector(0, 0.6, 0), _vector(1, 0, 0), _vector(0, 0, 1), 50, 50, 0),
    (_vector(0, 0, 2.5), _vector(1, 0, 0), _vector(0, 1, 0), 50, 50, 1),
    (_vector(0.8, 0.0, -0.2), _vector(_S, 0, _S), _vector(0, 1, 0), 0.5, 0.6, 2),
)


def _noise(seed: int) -> Float:
    """(256, 256, 3) a repeating cloudy texture from 5 to 250, with detail at every scale down to the pixel."""
    random = np.random.default_rng(seed)
    total = np.zeros((256, 256, 3))
    for octave in range(2, 9):
        cells = 2**octave
        grid = random.random((cells, cells, 3)) - 0.5
        at = np.arange(256) * cells / 256
        low, part = at.astype(int), (at % 1)[:, None]
        rows = grid[low] * (1 - part[..., None]) + grid[(low + 1) % cells] * part[..., None]
        total += (rows[:, low] * (1 - part) + rows[:, (low + 1) % cells] * part) * 2 ** (-0.5 * octave)
    total = total.mean(-1, keepdims=True) + 0.3 * total
    return np.clip(128 + 50 * total / total.std(), 5, 250)


_TEXTURES = [_noise(seed) for seed in range(4)]


def _texture(index: int, u: Float, v: Float) -> Float:
    """(N, 3) the colours of a texture at places `u` and `v` (N,), where a unit has 100 texels."""
    image = _TEXTURES[index]
    x, y = u * 100, v * 100
    x0, y0 = np.floor(x).astype(int), np.floor(y).astype(int)
    fx, fy = (x - x0)[..., None], (y - y0)[..., None]
    top = image[y0 % 256, x0 % 256] * (1 - fx) + image[y0 % 256, (x0 + 1) % 256] * fx
    bottom = image[(y0 + 1) % 256, x0 % 256] * (1 - fx) + image[(y0 + 1) % 256, (x0 + 1) % 256] * fx
    mixed: Float = top * (1 - fy) + bottom * fy
    return mixed
