"""[R] A survey of the frames of a shot: the sharpness of each, where the view changes, and which repeat."""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field

import av
import numpy as np

from ..model.arrays import Array

STEP = 0.04  # of the picture's longer side: a frame that has moved further begins a new view
GLANCE = 256  # pixels of the longer side of the copies by which frames are compared
BLOCK = 64  # pixels of a side of the blocks whose movement is measured
TEXTURE = 3.0  # grey levels: the least standard deviation of a block whose movement can be measured
NEIGHBOURS = 12  # frames on each side by which the usual difference between frames is measured
REPEATED = 0.15  # of the usual difference: a frame that differs less from the one before repeats it
MOVING = 0.5  # grey levels: where the usual difference is less, the camera rests, and no frame counts as repeated


@dataclass
class Survey:
    """The frames of a shot, in order: their `numbers`, their `sharpness`, and their `change` from the one before.

    A change is the mean absolute difference in grey levels. `views` are the indices of the frames that begin a view.
    """

    numbers: list[int] = field(default_factory=list)
    sharpness: list[float] = field(default_factory=list)
    change: list[float] = field(default_factory=list)
    views: list[int] = field(default_factory=list)
    _view: Array | None = None
    _before: Array | None = None

    def add(self, number: int, glance: Array) -> None:
        """Adds the next frame; `glance` is its small copy from the function `glance`."""
        if self._view is None or movement(self._view, glance) > STEP * GLANCE:
            self._view = glance
            self.views.append(len(self.numbers))
        self.numbers.append(number)
        self.sharpness.append(_sharpness(glance))
        self.change.append(0.0 if self._before is None else float(np.abs(glance - self._before).mean()))
        self._before = glance

    def repeats(self) -> list[int]:
        """The numbers of the frames that repeat the one before, as in pulldown, while frames around them differ."""
        change = np.array(self.change, np.float32)
        around = np.pad(change, NEIGHBOURS, mode="reflect" if len(change) > NEIGHBOURS else "edge")
        windows = np.lib.stride_tricks.sliding_window_view(around, 2 * NEIGHBOURS + 1)
        usual = np.percentile(windows, 75, axis=1)
        repeated = (change < REPEATED * usual) & (usual > MOVING)
        repeated[0] = False
        return [self.numbers[index] for index in np.flatnonzero(repeated)]


def glance(frame: av.VideoFrame) -> Array:
    """(h, w) float32: a copy of the frame in grey levels, whose longer side is GLANCE pixels."""
    scale = GLANCE / max(frame.width, frame.height)
    size = {"width": max(BLOCK, round(frame.width * scale)), "height": max(BLOCK, round(frame.height * scale))}
    return frame.reformat(format="gray8", **size).to_ndarray().astype(np.float32)


def digest(glance: Array) -> int:
    """A checksum of a frame's `glance`, by which the frame is recognised."""
    return zlib.crc32(glance.tobytes())


def _sharpness(grey: Array) -> float:
    """The mean square of the Laplacian. It falls with motion blur and with defocus."""
    laplacian = 4 * grey[1:-1, 1:-1] - grey[:-2, 1:-1] - grey[2:, 1:-1] - grey[1:-1, :-2] - grey[1:-1, 2:]
    return float((laplacian**2).mean())


def movement(first: Array, second: Array) -> float:
    """Pixels by which most of a picture moved between two glances (h, w), by phase correlation (Kuglin & Hines 1975).

    It is the median over blocks, which ignores things that move in front of a still camera.
    """
    window = np.outer(np.hanning(BLOCK), np.hanning(BLOCK))
    a, b = (_blocks(picture) for picture in (first, second))
    textured = a.std(axis=(1, 2)) > TEXTURE
    if not textured.any():
        return 0.0
    spectra = [np.fft.rfft2((x[textured] - x[textured].mean(axis=(1, 2), keepdims=True)) * window) for x in (a, b)]
    cross = spectra[1] * spectra[0].conj()
    peaks = np.fft.irfft2(cross / np.maximum(np.abs(cross), 1e-9), s=(BLOCK, BLOCK)).reshape(len(cross), -1).argmax(1)
    shifts = np.stack(np.unravel_index(peaks, (BLOCK, BLOCK)), axis=1)
    shifts = (shifts + BLOCK // 2) % BLOCK - BLOCK // 2
    return float(np.median(np.linalg.norm(shifts, axis=1)))


def _blocks(picture: Array) -> Array:
    """(N, BLOCK, BLOCK): the picture's whole tiles; remainders at the right and below are dropped."""
    rows, columns = (side // BLOCK for side in picture.shape)
    tiles: Array = picture[: rows * BLOCK, : columns * BLOCK].reshape(rows, BLOCK, columns, BLOCK).swapaxes(1, 2)
    return tiles.reshape(-1, BLOCK, BLOCK)
