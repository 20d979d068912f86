"""[R] Pictures with cameras as dense stereo takes them: choice of sources, and the kernels' arguments. numpy.

The kernels want pixel centres at integers and a surface as its plane: inverse depth and its slopes along x and y.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ...model.arrays import Float32Array, FloatArray, Int32Array, IntArray, UInt8Array
from .patches import PADDING

_BEST_ANGLE = 10.0
"""Degrees of triangulation at which depth is both exact and still matched."""


@dataclass(frozen=True)
class View:
    """One undistorted pinhole picture with its camera."""

    image: UInt8Array  # (H, W, 3)
    intrinsics: FloatArray  # (3, 3) in this picture's pixels; the centre of the top-left pixel is (0.5, 0.5)
    world_from_camera: FloatArray  # (4, 4) OpenCV axes
    sparse_points: FloatArray  # (M, 3) world points that this view sees; may be empty
    sparse_ids: IntArray  # (M,) names of the points, shared between views

    @property
    def centre(self) -> FloatArray:
        """(3,) the camera's position."""
        return self.world_from_camera[:3, 3]


@dataclass(frozen=True)
class DepthMap:
    """Depth, normals and confidence of one view, at the size of its picture."""

    depth: Float32Array  # (H, W) camera z in world units; 0 = none
    normal: Float32Array  # (H, W, 3) unit, camera frame, towards the camera
    confidence: (
        Float32Array  # (H, W) in [0, 1]: chance that not all consistent views are wrong; 0 = no view is consistent
    )
    agreeing: UInt8Array  # (H, W) number of views consistent with the depth


def select_sources(views: Sequence[View], count: int) -> list[list[int]]:
    """For each view the indices of at most ``count`` others to compare it with, best first.

    Best are views that share many points at about 10 degrees of triangulation; where too few points are shared, the
    nearest cameras follow.
    """
    total = len(views)
    score = np.zeros((total, total))
    for i in range(total):
        for j in range(i + 1, total):
            score[i, j] = score[j, i] = _shared_view(views[i], views[j])
    centres = np.stack([view.centre for view in views])
    distance = np.linalg.norm(centres[:, None] - centres[None], axis=2)
    chosen = []
    for i in range(total):
        order = np.lexsort((distance[i], -score[i]))
        # A camera at the same place sees no parallax.
        elsewhere = [int(j) for j in order if j != i and distance[i, j] > 1e-9 * max(distance.max(), 1e-300)]
        chosen.append(elsewhere[:count])
    return chosen


def _shared_view(a: View, b: View) -> float:
    """Shared points, each weighed by how near its triangulation angle is to the best one; 0 below five points."""
    _, ia, _ = np.intersect1d(a.sparse_ids, b.sparse_ids, return_indices=True)
    if len(ia) < 5:
        return 0.0
    points = a.sparse_points[ia]
    to_a, to_b = points - a.centre, points - b.centre
    cosine = (to_a * to_b).sum(1) / (np.linalg.norm(to_a, axis=1) * np.linalg.norm(to_b, axis=1) + 1e-300)
    off = np.degrees(np.arccos(np.clip(cosine, -1, 1))) - _BEST_ANGLE
    return float(np.exp(-0.5 * (off / np.where(off < 0, 5.0, 15.0)) ** 2).sum())


@dataclass(frozen=True)
class Comparison:
    """A view with its sources as arrays for the kernels, several sources stacked."""

    rgb: Float32Array  # (H, W, 3) in [0, 1]
    grey: Float32Array  # (H, W)
    intrinsics: FloatArray  # (3, 3)
    stack: Float32Array  # (S, ...) grey sources with a border
    sizes: Int32Array  # (S, 2) height, width of the sources
    forward: FloatArray  # (S, 12) from the view to the sources
    backward: FloatArray  # (S, 12) from the sources to the view
    nearest: float  # inverse depth
    farthest: float  # inverse depth
    parallax: float  # pixels per unit of inverse depth

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width of the view's picture."""
        return self.grey.shape[0], self.grey.shape[1]


def compare(view: View, sources: Sequence[View], bounds: tuple[float, float]) -> Comparison:
    """The view beside its sources, to be searched within `bounds`, see `bounds_of`."""
    forward = np.stack([transfer(view, source) for source in sources])
    nearest, farthest = bounds
    return Comparison(
        rgb=view.image.astype(np.float32) / np.float32(255),
        grey=_grey(view.image),
        intrinsics=centred(view.intrinsics),
        stack=stacked([_grey(source.image) for source in sources], PADDING),
        sizes=sizes_of(sources),
        forward=forward,
        backward=np.stack([transfer(source, view) for source in sources]),
        nearest=nearest,
        farthest=farthest,
        parallax=parallax_of(forward, (view.image.shape[0], view.image.shape[1]), 0.5 * (nearest + farthest)),
    )


def _grey(image: UInt8Array) -> Float32Array:
    """Rec. 601 luma in [0, 1]."""
    return np.ascontiguousarray(image @ (np.array([0.299, 0.587, 0.114], np.float32) / np.float32(255)))


def centred(intrinsics: FloatArray) -> FloatArray:
    """K for pixel centres at integers."""
    return intrinsics - np.array([[0, 0, 0.5], [0, 0, 0.5], [0, 0, 0]])


def sizes_of(views: Sequence[View]) -> Int32Array:
    """(V, 2) height and width of their pictures."""
    return np.array([view.image.shape[:2] for view in views], np.int32)


def transfer(a: View, b: View) -> FloatArray:
    """The 12 numbers A (row by row) and b that send a pixel and inverse depth of view ``a`` to view ``b``."""
    b_from_a = np.linalg.inv(b.world_from_camera) @ a.world_from_camera
    intrinsics = centred(b.intrinsics)
    matrix = intrinsics @ b_from_a[:3, :3] @ np.linalg.inv(centred(a.intrinsics))
    return np.concatenate([matrix.ravel(), intrinsics @ b_from_a[:3, 3]])


def stacked(pictures: Sequence[Float32Array], padding: int) -> Float32Array:
    """Pictures of any sizes in one array, top left, each with a replicated border."""
    height = max(picture.shape[0] for picture in pictures) + 2 * padding
    width = max(picture.shape[1] for picture in pictures) + 2 * padding
    stack = np.zeros((len(pictures), height, width, *pictures[0].shape[2:]), np.float32)
    for slot, picture in zip(stack, pictures, strict=True):
        padded = np.pad(picture, padding, mode="edge") if padding else picture
        slot[: padded.shape[0], : padded.shape[1]] = padded
    return stack


def parallax_of(forward: FloatArray, shape: tuple[int, int], rho: float) -> float:
    """Pixels that a point moves in the sources per unit of inverse depth: the median over sources and a coarse grid."""
    height, width = shape
    x, y = np.meshgrid(np.linspace(0, width - 1, 5), np.linspace(0, height - 1, 5))
    pixels = np.stack([x.ravel(), y.ravel(), np.ones(x.size)])
    motions = []
    for row in forward:
        matrix, shift = row[:9].reshape(3, 3), row[9:]
        at = matrix @ pixels + rho * shift[:, None]
        in_front = at[2] > 1e-9
        at, direction = at[:, in_front], shift[:, None]
        motion = (direction[:2] * at[2] - at[:2] * direction[2]) / at[2] ** 2
        motions.append(np.linalg.norm(motion, axis=0))
    median = float(np.median(np.concatenate(motions))) if any(len(m) for m in motions) else 0.0
    return max(median, 1e-12)


def bounds_of(view: View, views: Sequence[View], sources: Sequence[View]) -> tuple[float, float]:
    """(nearest, farthest) inverse depth to search, from the sparse points that the view sees.

    Without points of its own it takes those of the others that fall into its picture, without any the depths that
    move a pixel between half a pixel and four tenths of the picture.
    """
    depth = _depths_in_view(view, view.sparse_points)
    if len(depth) < 8:
        depth = _depths_in_view(view, np.concatenate([other.sparse_points for other in views]))
    if len(depth) < 8:
        forward = np.stack([transfer(view, source) for source in sources])
        height, width = view.image.shape[:2]
        per_pixel = 1 / parallax_of(forward, (height, width), 0.0)
        return 0.4 * width * per_pixel, 0.5 * per_pixel
    near, far = np.percentile(depth, [1, 99])
    return 1 / (0.75 * float(near)), 1 / (1.35 * float(far))


def _depths_in_view(view: View, points: FloatArray) -> FloatArray:
    camera_from_world = np.linalg.inv(view.world_from_camera)
    camera = points.reshape(-1, 3) @ camera_from_world[:3, :3].T + camera_from_world[:3, 3]
    camera = camera[camera[:, 2] > 1e-9]
    pixel = camera @ view.intrinsics.T
    height, width = view.image.shape[:2]
    u, v = pixel[:, 0] / camera[:, 2], pixel[:, 1] / camera[:, 2]
    inside = (u >= 0) & (v >= 0) & (u <= width) & (v <= height)
    depth: FloatArray = camera[inside, 2]
    return depth


def normals_of(planes: Float32Array, intrinsics: FloatArray) -> Float32Array:
    """Unit normals towards the camera: rho(p) = m . K^-1 p is the plane m . X = 1, so m = K^T (gradient of rho)."""
    height, width = planes.shape[:2]
    x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    constant = planes[..., 0] - planes[..., 1] * x - planes[..., 2] * y
    gradient = np.stack([planes[..., 1], planes[..., 2], constant], axis=-1)
    normal = -gradient @ intrinsics.astype(np.float32)
    length = np.linalg.norm(normal, axis=-1, keepdims=True)
    return (normal / np.maximum(length, np.float32(1e-30))).astype(np.float32)


def planes_of(view: View, depth_map: DepthMap) -> Float32Array:
    """The planes (H, W, 3) in the form of `patchmatch` that a depth map's depths and normals stand for."""
    height, width = depth_map.depth.shape
    intrinsics = centred(view.intrinsics)
    x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    gradient = depth_map.normal @ np.linalg.inv(intrinsics).astype(np.float32)
    known = depth_map.depth > 0
    rho = np.where(known, 1 / np.where(known, depth_map.depth, 1), 0).astype(np.float32)
    scale = gradient[..., 0] * x + gradient[..., 1] * y + gradient[..., 2]
    scale = np.where(known, rho / np.where(known, scale, 1), 0)
    return np.stack([rho, gradient[..., 0] * scale, gradient[..., 1] * scale], axis=-1).astype(np.float32)
