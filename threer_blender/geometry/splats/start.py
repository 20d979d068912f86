"""[R] The Gaussians that a splat optimisation starts from: one flat disc for a pixel of a pointmap. Imports numpy only.

Fan et al., "InstantSplat" (2024), section 3.2: Gaussians at confident pixels, each surface once. Here a point counts as
visible in another photo where its depth in that photo's camera, without any normalisation, agrees with that photo's
pointmap.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ...model.arrays import Array, BoolArray, FloatArray
from ...model.reconstruction import Camera, PhotoFromMap, PointMap
from . import depth_completion

SAME_DEPTH = 0.02  # share of the depth within which two photos see the same surface
THROUGH = 0.04  # share of the depth by which a guessed point must be nearer than a trusted surface to contradict it
NEAR_GUESS = 0.15  # as SAME_DEPTH, for a point whose depth is guessed
MARGIN = 0.15  # of the long side: how far surfaces are continued beyond a photo's edges
GUESS = 2  # where the depth is guessed, every GUESS-th pixel of a row and column gets a disc
COARSE = 3  # the same beyond the photo's edges
JUMP = 0.1  # share of the depth: neighbouring pixels whose depths differ more are not on one surface
SLANT = 0.25  # cosine between ray and normal; discs on surfaces that are more slanted are not lengthened further
COVER = 0.6  # a disc's standard deviation over the distance of pixels: a sheet of such Gaussians has no gaps
FLAT = 0.2  # a disc's thickness over its width
OPACITY_TRUSTED, OPACITY_GUESSED = 0.8, 0.4


@dataclass(frozen=True)
class Start:
    """N Gaussians: `means` (N, 3) in the world; `scales` (N, 3) linear, in world units, the third along the normal;
    `rotations` (N, 3, 3) whose columns are the axes; `opacities` (N,) and `colours` (N, 3) in [0, 1]; `confidence` (N,)
    of the means, in [0, 1]; `pixel_sizes` (N,) the width in world units of the map pixels that a disc stands for."""

    means: FloatArray
    scales: FloatArray
    rotations: FloatArray
    opacities: FloatArray
    colours: FloatArray
    confidence: FloatArray
    pixel_sizes: FloatArray

    def __len__(self) -> int:
        return len(self.means)


@dataclass(frozen=True)
class ThinnedMap:
    """A photo's pointmap, thinned to the pixels that splats are made from, with a margin around it. Arrays are
    (h, w, …)."""

    camera: Camera
    photo_from_map: PhotoFromMap
    points: FloatArray
    depth: FloatArray  # 0 where there is no point
    confidence: FloatArray  # in [0, 1]; 0.5 and more where the engine trusts the point
    colours: FloatArray
    margin: int  # pixels of the map around the photo, of which nothing is known

    @property
    def inside(self) -> Array:
        """(h, w) bool: pixels inside the photo."""
        m = self.margin
        inside = np.zeros(self.depth.shape, bool)
        inside[m : len(inside) - m, m : inside.shape[1] - m] = True
        return inside


def thinned_map(
    camera: Camera, pointmap: PointMap, picture: Array, trusted: float, spacing: float, masked: BoolArray | None = None
) -> ThinnedMap:
    """The pointmap with a point about every `spacing` photo pixels. `picture` (H, W, 3) uint8 is the photo at any size.
    Where `masked` (H, W) bool is true, there are no points, not even guessed ones.

    Confidence is normalised: 0.5 at the engine's own threshold `trusted`, towards 1 above it. Pixels whose points the
    engine does not trust, and those in the MARGIN beyond the photo's edges, get points at completed depths.
    """
    full = pointmap.photo_from_map
    step = max(1, round(spacing / full.scale_x))
    rows, columns = (np.arange(step // 2, side, step) for side in pointmap.mask.shape)
    chosen = np.ix_(rows, columns)
    points = np.asarray(pointmap.points[chosen], np.float64)
    depth = points @ camera.camera_from_world[2, :3] + camera.camera_from_world[2, 3]
    known = np.isfinite(points).all(-1) & (depth > 1e-6)
    confidence = np.maximum(np.nan_to_num(pointmap.confidence[chosen]), 0)
    confidence = confidence / (confidence + max(trusted, 1e-9))
    confidence = np.where(pointmap.mask[chosen], np.maximum(confidence, 0.5), np.minimum(confidence, 0.49))
    confidence = np.where(known, confidence, 0.0)

    margin = round(MARGIN * max(confidence.shape))
    border = ((margin, margin), (margin, margin))
    # Pixel number `margin`, the first one of the photo itself, has its centre where the first chosen pixel has it.
    thinned = PhotoFromMap(
        full.scale_x * step,
        full.scale_y * step,
        full.offset_x + full.scale_x * (step // 2 + 0.5 - (0.5 + margin) * step),
        full.offset_y + full.scale_y * (step // 2 + 0.5 - (0.5 + margin) * step),
    )
    height, width = confidence.shape[0] + 2 * margin, confidence.shape[1] + 2 * margin
    pixels = np.stack(np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5), -1) * thinned[:2] + thinned[2:]
    picture_pixels = np.clip(
        pixels * (picture.shape[1] / camera.width, picture.shape[0] / camera.height), 0, None
    ).astype(int)
    index = tuple(np.minimum(picture_pixels[..., axis], picture.shape[1 - axis] - 1) for axis in (1, 0))
    colours = picture[index] / 255.0

    confidence = np.pad(confidence, border)
    clear = np.ones(confidence.shape, np.bool_) if masked is None else ~masked[index]
    confidence *= clear
    inverse = np.pad(np.where(known, 1 / np.where(known, depth, 1), 0), border)
    reliable = confidence >= 0.5
    # Depths that the engine does not trust mislead more than they help, so they are used only without others.
    believed = reliable if reliable.any() else inverse > 0
    guessed = 1 / depth_completion.completed(inverse, np.where(believed, confidence**2, 0), colours)
    rays = camera.rays(pixels)
    usable = np.isfinite(rays).all(-1) & clear
    local = np.where(usable[..., None], rays, 0) * guessed[..., None]
    world = local @ camera.world_from_camera[:3, :3].T + camera.world_from_camera[:3, 3]
    return ThinnedMap(
        camera=camera,
        photo_from_map=thinned,
        points=np.where(reliable[..., None], np.pad(points, (*border, (0, 0))), world),
        depth=np.where(reliable, np.pad(depth, border), np.where(usable, guessed, 0)),
        confidence=confidence,
        colours=colours,
        margin=margin,
    )


def gaussians(photos: Sequence[ThinnedMap]) -> Start:
    """A disc for each pixel whose surface no more confident photo shows. Guessed points in the free space of another
    photo get none."""
    order = sorted(range(len(photos)), key=lambda i: -float(photos[i].confidence.mean()))
    parts: list[Start] = []
    for rank, i in enumerate(order):
        photo = photos[i]
        reliable = photo.confidence >= 0.5
        duplicate, contradicted = np.zeros(photo.depth.shape, bool), np.zeros(photo.depth.shape, bool)
        for j, other in enumerate(photos):
            if j == i:
                continue
            point_depth, depth, confidence = _sampled(other, photo.points)
            gap = point_depth / np.where(depth > 0, depth, np.inf) - 1  # negative in front of the other's surface
            # A trusted surface that several photos show is taken from the first of them. A guess gives way to a point
            # near it: to a trusted point of any photo, or to a point of an earlier photo. But to an earlier photo's
            # points of confidence 0, whose depths may all be wrong, only guesses beyond this photo's edges give way.
            earlier = (j in order[:rank]) & ((confidence > 0) | ~photo.inside)
            same_surface = earlier & (np.abs(gap) < SAME_DEPTH)
            near_point = (earlier | (confidence >= 0.5)) & (np.abs(gap) < NEAR_GUESS)
            duplicate |= (depth > 0) & np.where(reliable, same_surface, near_point)
            # A guess in front of the other photo's trusted surface is a free-space violation.
            contradicted |= (confidence >= 0.5) & ~reliable & (gap < -THROUGH)
        parts.append(_discs(photo, (photo.depth > 0) & ~duplicate & ~contradicted))
    return Start(*(np.concatenate([getattr(part, name) for part in parts]) for name in Start.__dataclass_fields__))


def _sampled(other: ThinnedMap, points: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """(…) the depth of `points` (…, 3) in the other photo's camera, and the depth and confidence of its own points at
    the pixels where they appear, 0 where it has none."""
    pose = other.camera.camera_from_world
    point_depth = points @ pose[2, :3] + pose[2, 3]
    scale, offset = other.photo_from_map[:2], other.photo_from_map[2:]
    map_pixels = (other.camera.project(points) - offset) / scale
    height, width = other.depth.shape
    with np.errstate(invalid="ignore"):
        inside = (map_pixels >= 0).all(-1) & (map_pixels < (width, height)).all(-1)
    column, row = (np.where(inside, map_pixels[..., axis], 0).astype(int) for axis in (0, 1))
    depth, confidence = (np.where(inside, each[row, column], 0) for each in (other.depth, other.confidence))
    return point_depth, depth, confidence


def _discs(photo: ThinnedMap, chosen: Array) -> Start:
    """A disc on the surface at each `chosen` (h, w) pixel: as wide as what the pixel covers, longer along the slope.

    Guessed pixels get fewer and larger discs, one for GUESS × GUESS of them, or COARSE × COARSE beyond the photo's
    edges.
    """
    spacing = np.where(photo.inside, np.where(photo.confidence >= 0.5, 1, GUESS), COARSE)
    rows, columns = np.indices(spacing.shape)
    chosen = chosen & (rows % spacing == 0) & (columns % spacing == 0)
    normals = _normals(photo)[chosen]
    means = photo.points[chosen]
    rays = means - photo.camera.world_from_camera[:3, 3]
    rays /= np.linalg.norm(rays, axis=1, keepdims=True)
    facing = np.abs((normals * rays).sum(1))
    # The first axis points up the slope, where a pixel covers 1 / cosine as much.
    uphill = rays - (rays * normals).sum(1, keepdims=True) * normals
    head_on = np.linalg.norm(uphill, axis=1) < 1e-3
    uphill[head_on] = np.cross(normals[head_on], photo.camera.world_from_camera[:3, 1])
    uphill /= np.linalg.norm(uphill, axis=1, keepdims=True)
    pixel_sizes = (
        photo.depth[chosen]
        * spacing[chosen]
        * photo.photo_from_map.scale_x
        / (0.5 * (photo.camera.fx + photo.camera.fy))
    )
    across = COVER * pixel_sizes
    confidence = photo.confidence[chosen]
    return Start(
        means=means,
        scales=np.stack([across / np.maximum(facing, SLANT), across, FLAT * across], 1),
        rotations=np.stack([uphill, np.cross(normals, uphill), normals], -1),
        opacities=np.where(confidence >= 0.5, OPACITY_TRUSTED, OPACITY_GUESSED),
        colours=photo.colours[chosen],
        confidence=confidence,
        pixel_sizes=pixel_sizes,
    )


def _normals(photo: ThinnedMap) -> FloatArray:
    """(h, w, 3) unit normals from neighbours on the same surface; along the ray where there are none along an axis."""
    normals = np.cross(_slope(photo, axis=1), _slope(photo, axis=0))
    rays = photo.points - photo.camera.world_from_camera[:3, 3]
    length = np.linalg.norm(normals, axis=-1, keepdims=True)
    fallback = rays / np.maximum(np.linalg.norm(rays, axis=-1, keepdims=True), 1e-12)
    return np.where(length > 1e-30, normals / np.maximum(length, 1e-30), fallback)


def _slope(photo: ThinnedMap, axis: int) -> FloatArray:
    """(h, w, 3) the step to the next pixel on the surface along an axis of the map, the mean of both sides; 0 where
    neither neighbour is on the surface."""
    ahead, behind = np.roll(photo.points, -1, axis), np.roll(photo.points, 1, axis)
    total, count = np.zeros_like(photo.points), np.zeros(photo.depth.shape)
    for sign, neighbour in ((1, ahead), (-1, behind)):
        depth, confidence = np.roll(photo.depth, -sign, axis), np.roll(photo.confidence, -sign, axis)
        same_kind = (confidence >= 0.5) == (photo.confidence >= 0.5)  # a guess does not determine the slope beside it
        joined = same_kind & (depth > 0) & (photo.depth > 0) & (np.abs(depth - photo.depth) < JUMP * photo.depth)
        edge = [slice(None), slice(None)]
        edge[axis] = slice(-1, None) if sign > 0 else slice(0, 1)
        joined[tuple(edge)] = False
        total += np.where(joined[..., None], sign * (neighbour - photo.points), 0)
        count += joined
    return total / np.maximum(count, 1)[..., None]
