"""[R] The picture that the artist sees while a network looks at many photos: the newest one, and the way so far.

The way is drawn from above in the first camera's frame, with points of each view. Parts of a long capture come in
frames of their own. A photo that two parts have in common brings the later one to the earlier one, roughly; the result
is brought together with more care by `geometry/alignment/chunks.py`.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
from PIL import Image, ImageDraw, ImageOps

from ..geometry.view_prediction import ViewPrediction
from ..model.arrays import Array, FloatArray
from ..model.similarity import IDENTITY, Similarity

SHOW_EVERY = 2.0  # seconds between two previews
SIDE = 256  # pixels of each of the two halves
MARGIN = 16  # pixels around the way
POINTS = 40  # a view's points along each side
MOST_POINTS = 30_000  # where more have come, every second one is forgotten
SPREAD = 0.05  # share of the points that may lie outside, on each side
BACKGROUND, WAY, NEWEST = (29, 29, 29), (255, 160, 40), (255, 255, 255)


class LivePicture:
    """Collects views in the order in which they come, and now and then calls `show` with a picture (H, W, 3) uint8."""

    def __init__(self, show: Callable[[Array], None], clock: Callable[[], float] = time.monotonic) -> None:
        """`clock` returns seconds."""
        self._show, self._clock = show, clock
        self._last_show = -np.inf
        self._part = -1  # number of the part that the newest view belongs to
        self._first_from_part = IDENTITY
        self._poses: dict[int, FloatArray] = {}  # world_from_camera (4, 4) in the first frame, by the photo's index
        self._depths: dict[int, float] = {}  # median depth, in the first frame's unit
        self._positions, self._colors = np.zeros((0, 3)), np.zeros((0, 3), np.uint8)

    def add(self, part: int, index: int, view: ViewPrediction, image: Array) -> None:
        """Adds the view of a photo by its index; `image` (h, w, 3) uint8 shows what the view shows, at any size."""
        rows, columns = (
            axis.ravel()
            for axis in np.meshgrid(*(np.linspace(0, side - 1, POINTS).astype(int) for side in view.depth.shape))
        )
        usable = (view.confidence > 0) & np.isfinite(view.depth) & (view.depth > 0)
        chosen = usable[rows, columns]
        rows, columns = rows[chosen], columns[chosen]
        depth = float(np.median(view.depth[rows, columns])) if len(rows) else 0.0
        if part != self._part:
            self._part, self._first_from_part = part, self._joined(index, view, depth)
        moved = view.transformed(self._first_from_part)
        if index not in self._poses:
            self._poses[index] = moved.world_from_camera
            self._depths[index] = self._first_from_part.scale * depth
            height, width = view.depth.shape
            colors = image[rows * image.shape[0] // height, columns * image.shape[1] // width]
            self._collect(moved.points(rows, columns), colors)
        if self._clock() - self._last_show >= SHOW_EVERY:
            self._show(self.picture(image))
            self._last_show = self._clock()

    def way(self) -> FloatArray:
        """(N, 3) the places of the cameras so far, in the first camera's frame."""
        return np.stack([pose[:3, 3] for pose in self._poses.values()])

    def picture(self, image: Array) -> Array:
        """(SIDE, 2 * SIDE, 3) uint8: the newest photo, and the way from above, whose upper edge is ahead of the first
        camera."""
        canvas = Image.new("RGB", (2 * SIDE, SIDE), BACKGROUND)
        newest = ImageOps.contain(Image.fromarray(image), (SIDE, SIDE))
        canvas.paste(newest, ((SIDE - newest.width) // 2, (SIDE - newest.height) // 2))
        way = self.way()[:, [0, 2]]
        points = self._positions[:, [0, 2]]
        low, high = way.min(axis=0), way.max(axis=0)
        if len(points):
            low = np.minimum(low, np.quantile(points, SPREAD, axis=0))
            high = np.maximum(high, np.quantile(points, 1 - SPREAD, axis=0))
        scale = (SIDE - 2 * MARGIN) / max(float((high - low).max()), 1e-9)

        def pixels(places: FloatArray) -> FloatArray:
            x, ahead = ((places - (low + high) / 2) * scale).T
            return np.stack([1.5 * SIDE + x, SIDE / 2 - ahead], axis=1)

        drawn = np.array(canvas)
        at = np.floor(pixels(points)).astype(int)
        inside = (at[:, 0] >= SIDE) & (at[:, 0] < 2 * SIDE) & (at[:, 1] >= 0) & (at[:, 1] < SIDE)
        drawn[at[inside, 1], at[inside, 0]] = self._colors[inside]
        canvas = Image.fromarray(drawn)
        pen, line = ImageDraw.Draw(canvas), [tuple(point) for point in pixels(way)]
        pen.line(line, fill=WAY, width=2)
        x, y = line[-1]
        pen.ellipse((x - 3, y - 3, x + 3, y + 3), fill=NEWEST)
        return np.array(canvas)

    def _joined(self, index: int, view: ViewPrediction, depth: float) -> Similarity:
        """The first frame from that of a new part, by its first view if an earlier part has that photo too."""
        if index not in self._poses:
            return IDENTITY
        scale = self._depths[index] / depth if depth > 0 and self._depths[index] > 0 else 1.0
        pose, before = view.world_from_camera, self._poses[index]
        rotation = before[:3, :3] @ pose[:3, :3].T
        return Similarity(scale, rotation, before[:3, 3] - scale * rotation @ pose[:3, 3])

    def _collect(self, positions: FloatArray, colors: Array) -> None:
        self._positions = np.concatenate([self._positions, positions])
        self._colors = np.concatenate([self._colors, colors])
        if len(self._positions) > MOST_POINTS:
            self._positions, self._colors = self._positions[::2], self._colors[::2]
