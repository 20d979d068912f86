"""[R] Whether photos show what their cameras say: textured parts of one that a neighbour must show, and does not.

Where a model was made of things that look alike, its matches may agree with it. But around them are parts of a picture
that match nowhere: all depths are tried for a patch, as in a plane sweep (Collins 1996), and the neighbour shows
nothing like it at any. In a right model that is rare, since neighbours look from almost the same direction.

The pictures are small ones, and px are theirs, with pixel centres at integers; `copies` are those of the features.
Photo i is image i + 1 of the model.
"""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from PIL import Image

from ...model.arrays import Array, BoolArray, Float32Array, FloatArray
from ..colmap import pycolmap
from ..kernels import compiled, in_bands

SIDE = 320  # px of the longer side of the pictures
HALF = 4  # px from the middle of a patch to its side
STEP = 6  # px between two patches
BLOCK = 5  # patches along the side of a block, of which nearly all must be missing: single ones are by chance
TEXTURED = 0.5  # share of a block's patches that must be textured for it to count
ALL = 0.8  # share of the patches of a block, or of the depths of a patch, that counts as all
CONTRAST = 60.0  # variance of the grey values of 0 to 255 from which on a patch is textured
ALIKE = 0.65  # normalised cross-correlation of two patches of the same thing, at least; by chance, most reach 0.5
# Degrees between the rays of two photos to the points that one of them observes, in the median, up to which each shows
# the patches of the other. At twice as many, planes that face neither are seen too differently.
ANGLE = 13.0
WITNESS_ANGLE = 25.0  # the same for a third photo, which shows at least some of the patches
WITNESSED = 0.8  # correlation from which on a third photo shows a patch: one that is alike by chance hardly reaches it
WITNESSED_BLOCK = 3  # patches along the side of a block of such, of which at least WITNESSED_PATCHES must be shown so
WITNESSED_PATCHES = 4
OVERLAP = 0.3  # share of a photo's points that its neighbour must show
NEIGHBOURS = 4  # of a photo, the nearest by that angle, which are compared with it
MOST_PHOTOS = 30  # whose neighbours are compared with them; each pair takes some hundredths of a second
DEPTHS = 64  # that are tried for a patch
NEARER, FARTHER = 1.5, 4.0  # than the observed points: factors between which depths are tried
LEAST_POINTS = 5  # that a photo must observe
LEAST_BLOCKS = 36  # that must be compared between two photos
LEAST_WITNESSED = 50  # patches that a third photo must show


@dataclass(frozen=True)
class _View:
    """A registered photo: its `picture` (h, w) float32, camera and image; `scale` px per pixel of the copy, and
    `points` (P, 3), the positions of the points that it observes in front of it."""

    picture: Float32Array
    camera: pycolmap.Camera
    image: pycolmap.Image
    scale: float
    points: FloatArray

    @property
    def camera_from_world(self) -> FloatArray:
        """(4, 4)."""
        matrix: FloatArray = np.vstack([self.image.cam_from_world().matrix(), (0.0, 0.0, 0.0, 1.0)])
        return matrix

    def project(self, positions: FloatArray) -> FloatArray:
        """(N, 2) px of positions (N, 3) in the camera's frame; NaN behind it."""
        pixels = np.asarray(self.camera.img_from_cam(positions)) * self.scale - 0.5
        pixels[positions[:, 2] <= 0] = np.nan
        return pixels


def small_picture(picture: Array) -> Array:
    """The grey picture (h, w) uint8 of a copy (H, W, 3), its longer side at most SIDE px."""
    grey = Image.fromarray(picture).convert("L")
    factor = min(1.0, SIDE / max(grey.size))
    size = max(1, round(grey.width * factor)), max(1, round(grey.height * factor))
    return np.asarray(grey.resize(size, Image.Resampling.BOX))


def compared(
    model: pycolmap.Reconstruction, registered: Set[int], pictures: Sequence[Array]
) -> tuple[dict[tuple[int, int], float], dict[tuple[int, int], float]]:
    """For pairs (i, j) of neighbouring registered photos: the share of i's textured blocks that j shows nowhere; and
    the same share of the blocks that a third photo shows, which looks at them from farther aside than j does.

    `pictures` are those of `small_picture`. Pairs of which too little can be compared are left out.
    """
    missing: dict[tuple[int, int], float] = {}
    witnessed: dict[tuple[int, int], float] = {}
    if not pictures:
        return missing, witnessed
    views = {index: view for index in sorted(registered) if (view := _view(model, index, pictures[index])) is not None}
    chosen = list(views)
    for i in chosen[:: 1 + len(chosen) // (MOST_PHOTOS + 1)]:
        angles = _neighbours(i, views)
        searches = {j: _search(views[i], views[j]) for j in angles}
        for j, (visible, best) in searches.items():
            if angles[j] > ANGLE:
                continue
            _add(missing, (i, j), visible, visible & (best < ALIKE), (BLOCK, int(TEXTURED * BLOCK**2), LEAST_BLOCKS))
            present = visible & np.any([searches[k][1] > WITNESSED for k in angles if angles[k] > angles[j]], axis=0)
            if present.sum() >= LEAST_WITNESSED:
                _add(witnessed, (i, j), present, present & (best < ALIKE), (WITNESSED_BLOCK, WITNESSED_PATCHES, 1))
    return missing, witnessed


def _add(
    shares: dict[tuple[int, int], float],
    pair: tuple[int, int],
    patches: BoolArray,
    lost: BoolArray,
    sizes: tuple[int, int, int],
) -> None:
    """Adds the pair's share of the blocks of `patches` (h, w) that are `lost` to the `shares`. `sizes` are the patches
    along the side of a block, those that it must have, and the blocks that must be there."""
    side, least, blocks = sizes
    if min(patches.shape) < side:
        return
    counts, missed = (sliding_window_view(which, (side, side)).sum(axis=(2, 3)) for which in (patches, lost))
    enough = counts >= least
    if enough.sum() >= blocks:
        shares[pair] = float((missed >= ALL * counts)[enough].mean())


def _view(model: pycolmap.Reconstruction, index: int, picture: Array) -> _View | None:
    """The view of a registered photo; None of a panorama, or where it observes too few points in front of it."""
    image = model.image(index + 1)
    camera = model.camera(image.camera_id)
    points = np.array([model.point3D(point.point3D_id).xyz for point in image.get_observation_points2D()]).reshape(
        -1, 3
    )
    matrix = image.cam_from_world().matrix()
    points = points[points @ matrix[2, :3] + matrix[2, 3] > 0]
    if camera.is_spherical() or len(points) < LEAST_POINTS:
        return None
    return _View(picture.astype(np.float32), camera, image, picture.shape[1] / camera.width, points)


def _neighbours(index: int, views: dict[int, _View]) -> dict[int, float]:
    """The photos that look at the points of photo `index` from almost the same direction, the nearest first, with the
    angles in degrees."""
    view = views[index]
    rays = view.points - view.image.projection_center()
    rays /= np.linalg.norm(rays, axis=1, keepdims=True)
    angles = {}
    for other, neighbour in views.items():
        if other == index:
            continue
        others = view.points - neighbour.image.projection_center()
        others /= np.linalg.norm(others, axis=1, keepdims=True)
        angle = float(np.degrees(np.arccos(np.clip(np.median((rays * others).sum(1)), -1, 1))))
        if angle < WITNESS_ANGLE and _inside(neighbour, view.points).mean() > OVERLAP:
            angles[other] = angle
    return {other: angles[other] for other in sorted(angles, key=angles.__getitem__)[:NEIGHBOURS]}


def _inside(view: _View, positions: FloatArray) -> BoolArray:
    """(N,) whether the view shows the places of `positions` (N, 3) in the world."""
    matrix = view.camera_from_world
    pixels = view.project(positions @ matrix[:3, :3].T + matrix[:3, 3])
    with np.errstate(invalid="ignore"):
        inside: BoolArray = ((pixels > 0) & (pixels < np.array(view.picture.shape)[::-1] - 1)).all(1)
    return inside


def _search(first: _View, second: _View) -> tuple[BoolArray, Float32Array]:
    """For each patch of `first` (h, w): whether it is textured and `second` must show it; and its highest correlation
    with what `second` shows at any depth, -1 where it was not compared."""
    windows = sliding_window_view(first.picture, (2 * HALF + 1, 2 * HALF + 1))[::STEP, ::STEP]
    rows, columns = np.nonzero(windows.var(axis=(2, 3)) > CONTRAST)
    visible, highest = np.zeros(windows.shape[:2], bool), np.full(windows.shape[:2], -1.0, np.float32)
    if len(rows):
        middles = np.stack([columns, rows], axis=1) * STEP + HALF
        best, visible_share = np.full(len(rows), -1.0, np.float32), np.zeros(len(rows), np.float32)
        places = _places(first, second, middles)
        in_bands(_compare, 0, len(rows), first.picture, second.picture, middles, places, best, visible_share)
        visible[rows, columns], highest[rows, columns] = visible_share > ALL, best
    return visible, highest


def _places(first: _View, second: _View, middles: Array) -> Float32Array:
    """(P, DEPTHS, 6): the place x, y in `second` of the patches of `first` with these `middles` (P, 2), at each depth,
    and its derivatives by the pixel to the right and by the one below. NaN where it is behind the camera."""
    second_from_first = second.camera_from_world @ np.linalg.inv(first.camera_from_world)
    matrix = first.camera_from_world
    depths = first.points @ matrix[2, :3] + matrix[2, 3]
    near, far = np.percentile(depths, [2, 98])
    inverse = np.linspace(NEARER / near, 1 / (FARTHER * far), DEPTHS)
    corners = []
    for offset in ((0, 0), (HALF, 0), (0, HALF)):
        pixels = (middles + np.array(offset) + 0.5) / first.scale
        rays = np.append(np.asarray(first.camera.cam_from_img(pixels)), np.ones((len(pixels), 1)), axis=1)
        # A position times its inverse depth: the same place, and infinity is no exception.
        positions = (rays @ second_from_first[:3, :3].T)[:, None] + inverse[:, None] * second_from_first[:3, 3]
        corners.append(second.project(positions.reshape(-1, 3)).reshape(len(middles), DEPTHS, 2))
    place, right, below = corners
    return np.concatenate([place, (right - place) / HALF, (below - place) / HALF], axis=2).astype(np.float32)


@compiled()
def _compare(
    first_patch: int, last_patch: int, picture: Float32Array, other: Float32Array, middles: Array,
    places: Float32Array, best: Float32Array, visible_share: Float32Array,
) -> None:  # fmt: skip
    """Fills `best` (P,), each patch's highest correlation over the depths, and `visible_share` (P,), the share of the
    depths at which `other` shows all of the patch."""
    height, width = other.shape
    size = (2 * HALF + 1) ** 2
    patch = np.empty(size, np.float32)
    for number in range(first_patch, last_patch):
        x, y = middles[number]
        count = 0
        for down in range(-HALF, HALF + 1):
            for right in range(-HALF, HALF + 1):
                patch[count] = picture[y + down, x + right]
                count += 1
        patch -= patch.mean()
        length = np.sqrt((patch * patch).sum())
        inside = 0
        for depth in range(places.shape[1]):
            u, v, u_right, v_right, u_down, v_down = places[number, depth]
            reach_u, reach_v = HALF * (abs(u_right) + abs(u_down)), HALF * (abs(v_right) + abs(v_down))
            # NaN is on no side of anything, so a place behind the camera is not inside.
            if not (u - reach_u >= 0 and v - reach_v >= 0 and u + reach_u < width - 1 and v + reach_v < height - 1):
                continue
            inside += 1
            total = square = product = 0.0
            count = 0
            for down in range(-HALF, HALF + 1):
                for right in range(-HALF, HALF + 1):
                    column, row = u + right * u_right + down * u_down, v + right * v_right + down * v_down
                    left, top = int(column), int(row)
                    a, b = column - left, row - top
                    upper = other[top, left] * (1 - a) + other[top, left + 1] * a
                    lower = other[top + 1, left] * (1 - a) + other[top + 1, left + 1] * a
                    value = upper * (1 - b) + lower * b
                    total += value
                    square += value * value
                    product += value * patch[count]
                    count += 1
            spread = np.sqrt(max(square - total * total / size, float(size)))
            best[number] = max(best[number], product / (spread * length))
        visible_share[number] = inside / places.shape[1]
