"""Films of 960×540 pixels of a camera that moves to and fro in a painted room, for the benchmark of long shots."""

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import av
import numpy as np
from PIL import Image

from threer_blender.geometry import kernels
from threer_blender.model.arrays import Array, FloatArray

SIZE = (960, 540)
FOCAL = 850.0  # px
ROOM = np.array([6.0, 3.2, 5.0])  # metres; its middle is the world's origin, y is down
CUPBOARD = np.array([[0.6, 0.4, 1.0], [1.5, 1.6, 1.9]])  # opposite corners
TEXEL = 0.004  # metres
TEXELS = 2048  # of a side of the texture, which repeats


def write(counts: Sequence[int], folder: Path) -> None:
    """Writes a film N.mp4 of the first N frames of the same move for each of the `counts`."""
    texture = _texture()
    with ExitStack() as stack:
        films = {}
        for count in counts:
            container = stack.enter_context(av.open(str(folder / f"{count}.mp4"), "w"))
            stream = container.add_stream("libx264", rate=24, options={"crf": "16", "preset": "veryfast"})
            (stream.width, stream.height), stream.pix_fmt = SIZE, "yuv420p"
            films[count] = container, stream
        for number in range(max(counts)):
            picture = _picture(texture, number)
            for count, (container, stream) in films.items():
                if number < count:
                    container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="gray")))
        for container, stream in films.values():
            container.mux(stream.encode())


def _pose(number: int) -> tuple[FloatArray, FloatArray]:
    """The rotation (3, 3) world from camera and the centre of a frame's camera; about 4 pixels a frame, at most 9."""
    centre = np.array([1.5 * np.sin(0.04 * number), 0.3 * np.sin(0.14 * number), -1 + 0.6 * np.sin(0.026 * number)])
    forwards = np.array([0.8 * np.sin(0.034 * number), 0.1, 2.5]) - centre
    forwards /= np.linalg.norm(forwards)
    right = np.cross([0.0, 1.0, 0.0], forwards)
    right /= np.linalg.norm(right)
    return np.stack([right, np.cross(forwards, right), forwards], axis=1), centre


def _texture() -> Array:
    """(TEXELS, TEXELS) float32 grey levels: blots of four sizes."""
    random, levels = np.random.default_rng(0), np.full((TEXELS, TEXELS), 128, np.float32)
    for cells in (16, 48, 128, 384):
        noise = Image.fromarray(random.uniform(-1, 1, (cells, cells)).astype(np.float32))
        levels += 45 * np.asarray(noise.resize((TEXELS, TEXELS), Image.Resampling.BICUBIC))
    return levels.clip(0, 255)


def _picture(texture: Array, number: int) -> Array:
    """(H, W) uint8 picture of the room at a frame."""
    rotation, centre = _pose(number)
    picture = np.empty(SIZE[::-1], np.uint8)
    _render(texture, rotation, centre, picture)
    return picture


@kernels.compiled()
def _sampled(texture: Array, x: float, y: float) -> int:
    """The texture at x and y in texels, between its texels by bilinear interpolation."""
    left, top = int(np.floor(x)), int(np.floor(y))
    right_share, lower_share = x - left, y - top
    left, right, top, bottom = left % TEXELS, (left + 1) % TEXELS, top % TEXELS, (top + 1) % TEXELS
    upper = texture[top, left] * (1 - right_share) + texture[top, right] * right_share
    lower = texture[bottom, left] * (1 - right_share) + texture[bottom, right] * right_share
    return int(upper * (1 - lower_share) + lower * lower_share + 0.5)


@kernels.compiled()
def _render(texture: Array, rotation: FloatArray, centre: FloatArray, picture: Array) -> None:
    """Fills the `picture` (H, W) that a camera at `centre` (3,) takes, with the rotation (3, 3) world from camera."""
    height, width = picture.shape
    for row in range(height):
        for column in range(width):
            x, y = column + 0.5 - width / 2, row + 0.5 - height / 2
            ray = rotation[:, 0] * x + rotation[:, 1] * y + rotation[:, 2] * FOCAL
            wall, wall_axis, entry, entry_axis, leaving = np.inf, 0, -np.inf, 0, np.inf
            for axis in range(3):
                slope = ray[axis] if abs(ray[axis]) > 1e-9 else 1e-9
                side = ROOM[axis] / 2 if slope > 0 else -ROOM[axis] / 2
                if (side - centre[axis]) / slope < wall:
                    wall, wall_axis = (side - centre[axis]) / slope, axis
                first, second = (CUPBOARD[0, axis] - centre[axis]) / slope, (CUPBOARD[1, axis] - centre[axis]) / slope
                if min(first, second) > entry:
                    entry, entry_axis = min(first, second), axis
                leaving = min(leaving, max(first, second))
            in_front = 0 < entry < leaving
            length, axis = (entry, entry_axis) if in_front else (wall, wall_axis)
            place = centre + ray * length
            shift = 600 * axis + (300 if in_front else 0) + (150 if ray[axis] > 0 else 0)
            across, down = place[2] if axis == 0 else place[0], place[2] if axis == 1 else place[1]
            picture[row, column] = _sampled(texture, across / TEXEL + shift, down / TEXEL + shift)
