"""[R] Pictures with cameras as dense stereo needs them: choice of sources, and the kernels' arguments. numpy.

In the kernels, pixel centres are at integers, and a surface is given by its plane: the inverse depth and its slopes
along x and y.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ...model.arrays import Float32Array, FloatArray, Int32Array, IntArray, UInt8Array
from .patches import PADDING

_BEST_ANGLE = 10.0
"""Degrees between two rays at which depth is accurate, and pictures are still alike enough to be matched."""


@dataclass(frozen=True)
class View:
    """One undistorted pinhole picture with its camera."""

    image: UInt8Array  # (H, W, 3)
    intrinsics: FloatArray  # (3, 3) in this picture's pixels; the centre of the top-left pixel is (0.5, 0.5)
    world_from_camera: FloatArray  # (4, 4) OpenCV axes
    sparse_points: FloatArray  # (M, 3) world points that this view sees; may be empty
    sparse_ids: IntArray  # (M,) numbers of the points; a point has the same in all views

    @property
    def centre(self) -> FloatArray:
        """(3,) the camera's position."""
        return self.world_from_camera[:3, 3]


@dataclass(frozen=True)
class DepthMap:
    """Depth, normals and confidence of one view, at the size of its picture."""

    depth: Float32Array  # (H, W) camera z in world units; 0 = none
    normal: Float32Array  # (H, W, 3) unit, camera frame, towards the camera
    confidence: Float32Array  # (H, W) in [0, 1]: chance that the depth is right to a pixel; 0 = no view is consistent
    agreeing: UInt8Array  # (H, W) number of views consistent with the depth


def select_sources(views: Sequence[View], count: int) -> list[list[int]]:
    """For each view the indices of at most `count` others to compare it with, the best first.

    The best are those that share many sparse points at angles of about _BEST_ANGLE. Then follow the nearest cameras.
    Cameras at the same place are left out, so a list may be empty.
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
    """The number of shared points, each weighted by how near the angle between its rays is to _BEST_ANGLE; 0 for fewer
    than five points."""
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
    """A view and its S sources as arrays for the kernels."""

    rgb: Float32Array  # (H, W, 3) in [0, 1]
    grey: Float32Array  # (H, W)
    intrinsics: FloatArray  # (3, 3)
    stack: Float32Array  # (S, H' + 2 PADDING, W' + 2 PADDING) grey sources with a replicated border
    sizes: Int32Array  # (S, 2) height, width of the sources
    forward: FloatArray  # (S, 12) transfers from the view to the sources, see `transfer`
    backward: FloatArray  # (S, 12) transfers from the sources to the view
    nearest: float  # largest inverse depth to search
    farthest: float  # smallest inverse depth to search
    parallax: float  # pixels by which one unit of inverse depth moves a point in the sources

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width of the view's picture."""
        return self.grey.shape[0], self.grey.shape[1]


def compare(view: View, sources: Sequence[View], bounds: tuple[float, float]) -> Comparison:
    """The view and its sources, whose inverse depths are searched within `bounds`, see `bounds_of`."""
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
    """(H, W) the Rec. 601 luma of a picture (H, W, 3), in [0, 1]."""
    return np.ascontiguousarray(image @ (np.array([0.299, 0.587, 0.114], np.float32) / np.float32(255)))


def centred(intrinsics: FloatArray) -> FloatArray:
    """K (3, 3) for pixel centres at integers, from one for the top-left centre at (0.5, 0.5)."""
    return intrinsics - np.array([[0, 0, 0.5], [0, 0, 0.5], [0, 0, 0]])


def sizes_of(views: Sequence[View]) -> Int32Array:
    """(V, 2) the height and width of each view's picture."""
    return np.array([view.image.shape[:2] for view in views], np.int32)


def transfer(a: View, b: View) -> FloatArray:
    """(12,) the numbers of A (row by row) and b that take a pixel p and its inverse depth rho in view `a` to the
    homogeneous pixel A p + rho b in view `b`."""
    b_from_a = np.linalg.inv(b.world_from_camera) @ a.world_from_camera
    intrinsics = centred(b.intrinsics)
    matrix = intrinsics @ b_from_a[:3, :3] @ np.linalg.inv(centred(a.intrinsics))
    return np.concatenate([matrix.ravel(), intrinsics @ b_from_a[:3, 3]])


def stacked(pictures: Sequence[Float32Array], padding: int) -> Float32Array:
    """S pictures of any sizes (H, W, …) in one array (S, H', W', …), each in the top left corner, with a replicated
    border of `padding` pixels."""
    height = max(picture.shape[0] for picture in pictures) + 2 * padding
    width = max(picture.shape[1] for picture in pictures) + 2 * padding
    stack = np.zeros((len(pictures), height, width, *pictures[0].shape[2:]), np.float32)
    for slot, picture in zip(stack, pictures, strict=True):
        padded = np.pad(picture, padding, mode="edge") if padding else picture
        slot[: padded.shape[0], : padded.shape[1]] = padded
    return stack


def parallax_of(forward: FloatArray, shape: tuple[int, int], rho: float) -> float:
    """The number of pixels by which a point moves in the sources per unit of inverse depth, at the inverse depth `rho`:
    the median over the sources and a coarse grid in the view's picture of `shape` (height, width)."""
    height, width = shape
    x, y = np.meshgrid(np.linspace(0, width - 1, 5), np.linspace(0, height - 1, 5))
    pixels = np.stack([x.ravel(), y.ravel(), np.ones(x.size)])
    motions = []
    for row in forward:
        matrix, shift = row[:9].reshape(3, 3), row[9:]
        homogeneous = matrix @ pixels + rho * shift[:, None]
        homogeneous = homogeneous[:, homogeneous[2] > 1e-9]
        place, z, direction = homogeneous[:2], homogeneous[2], shift[:, None]
        motion = (direction[:2] * z - place * direction[2]) / z**2  # the derivative of place / z by rho
        motions.append(np.linalg.norm(motion, axis=0))
    median = float(np.median(np.concatenate(motions))) if any(len(m) for m in motions) else 0.0
    return max(median, 1e-12)


def bounds_of(view: View, views: Sequence[View], sources: Sequence[View]) -> tuple[float, float]:
    """The inverse depths (nearest, farthest) between which to search, from the sparse points that the view sees.

    If these are too few, it takes the points of all `views` that lie in its picture. If those are too few as well, the
    bounds are the inverse depths that move a pixel in the sources by four tenths of the picture's width and by half a
    pixel.
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
    """(N,) camera z of those of the world `points` (M, 3) that lie in the view's picture."""
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
    """(H, W, 3) unit normals towards the camera of `planes` (H, W, 3), K `intrinsics` (3, 3) being `centred`.

    rho(p) = m . K^-1 p is the plane m . X = 1, so m = K^T (gradient of rho).
    """
    height, width = planes.shape[:2]
    x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    constant = planes[..., 0] - planes[..., 1] * x - planes[..., 2] * y
    gradient = np.stack([planes[..., 1], planes[..., 2], constant], axis=-1)
    normal = -gradient @ intrinsics.astype(np.float32)
    length = np.linalg.norm(normal, axis=-1, keepdims=True)
    return (normal / np.maximum(length, np.float32(1e-30))).astype(np.float32)


def planes_of(view: View, depth_map: DepthMap) -> Float32Array:
    """(H, W, 3) the planes, in the form of `patchmatch`, that have the depths and normals of a depth map."""
    height, width = depth_map.depth.shape
    intrinsics = centred(view.intrinsics)
    x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    gradient = depth_map.normal @ np.linalg.inv(intrinsics).astype(np.float32)
    known = depth_map.depth > 0
    rho = np.where(known, 1 / np.where(known, depth_map.depth, 1), 0).astype(np.float32)
    scale = gradient[..., 0] * x + gradient[..., 1] * y + gradient[..., 2]
    scale = np.where(known, rho / np.where(known, scale, 1), 0)
    return np.stack([rho, gradient[..., 0] * scale, gradient[..., 1] * scale], axis=-1).astype(np.float32)
