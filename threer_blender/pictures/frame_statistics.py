"""[R] Statistics of the frames of a shot: the sharpness of each, where the view changes, and which frames repeat."""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field

import av
import numpy as np

from ..model.arrays import Array

STEP = 0.04  # of the picture's longer side: a frame that has moved more than this begins a new view
THUMBNAIL_SIDE = 256  # pixels of the longer side of the copies by which frames are compared
BLOCK = 64  # pixels of a side of the blocks whose movement is measured
TEXTURE = 3.0  # grey levels: the least standard deviation of a block whose movement can be measured
NEIGHBOURS = 12  # frames on each side by which the usual difference between frames is measured
REPEATED = 0.15  # of the usual difference: a frame that differs less from the one before repeats it
MOVING = 0.5  # grey levels: where the usual difference is less, the camera rests, and no frame counts as repeated


@dataclass
class FrameStatistics:
    """The frames of a shot, in order: their `numbers`, their `sharpness`, and their `changes` from the frame before.

    Sharpness is the mean square of the thumbnail's Laplacian. A change is the mean absolute difference of two
    thumbnails in grey levels; the first frame's is 0. `views` are the indices of the frames that begin a view.
    """

    numbers: list[int] = field(default_factory=list)
    sharpness: list[float] = field(default_factory=list)
    changes: list[float] = field(default_factory=list)
    views: list[int] = field(default_factory=list)
    _view: Array | None = None  # the thumbnail of the frame that began the current view
    _before: Array | None = None  # the thumbnail of the last frame that was added

    def add(self, number: int, thumbnail: Array) -> None:
        """Adds the next frame; `thumbnail` is its small copy from the function `thumbnail`."""
        if self._view is None or movement(self._view, thumbnail) > STEP * THUMBNAIL_SIDE:
            self._view = thumbnail
            self.views.append(len(self.numbers))
        self.numbers.append(number)
        self.sharpness.append(_sharpness(thumbnail))
        self.changes.append(0.0 if self._before is None else float(np.abs(thumbnail - self._before).mean()))
        self._before = thumbnail

    def repeats(self) -> list[int]:
        """The numbers of the frames that repeat the one before, as in pulldown, while frames around them differ."""
        changes = np.array(self.changes, np.float32)
        padded = np.pad(changes, NEIGHBOURS, mode="reflect" if len(changes) > NEIGHBOURS else "edge")
        windows = np.lib.stride_tricks.sliding_window_view(padded, 2 * NEIGHBOURS + 1)
        usual = np.percentile(windows, 75, axis=1)
        repeated = (changes < REPEATED * usual) & (usual > MOVING)
        repeated[0] = False
        return [self.numbers[index] for index in np.flatnonzero(repeated)]


def thumbnail(frame: av.VideoFrame) -> Array:
    """(h, w) float32: a copy of the frame in grey levels, whose longer side is THUMBNAIL_SIDE pixels."""
    scale = THUMBNAIL_SIDE / max(frame.width, frame.height)
    size = {"width": max(BLOCK, round(frame.width * scale)), "height": max(BLOCK, round(frame.height * scale))}
    return frame.reformat(format="gray8", **size).to_ndarray().astype(np.float32)


def digest(thumbnail: Array) -> int:
    """A checksum (CRC-32) of a frame's `thumbnail`, by which the frame is recognised."""
    return zlib.crc32(thumbnail.tobytes())


def _sharpness(grey: Array) -> float:
    """The mean square of the Laplacian. It falls with motion blur and with defocus."""
    laplacian = 4 * grey[1:-1, 1:-1] - grey[:-2, 1:-1] - grey[2:, 1:-1] - grey[1:-1, :-2] - grey[1:-1, 2:]
    return float((laplacian**2).mean())


def movement(first: Array, second: Array) -> float:
    """Pixels by which a picture moved between two thumbnails (h, w), by phase correlation (Kuglin & Hines 1975).

    The result is the median over all blocks, which ignores things that move in front of a still camera.
    """
    window = np.outer(np.hanning(BLOCK), np.hanning(BLOCK))
    a, b = (_blocks(picture) for picture in (first, second))
    textured = a.std(axis=(1, 2)) > TEXTURE
    if not textured.any():
        return 0.0
    spectra = [np.fft.rfft2((x[textured] - x[textured].mean(axis=(1, 2), keepdims=True)) * window) for x in (a, b)]
    cross = spectra[1] * spectra[0].conj()  # the cross-power spectrum: its inverse transform peaks at the shift
    peaks = np.fft.irfft2(cross / np.maximum(np.abs(cross), 1e-9), s=(BLOCK, BLOCK)).reshape(len(cross), -1).argmax(1)
    shifts = np.stack(np.unravel_index(peaks, (BLOCK, BLOCK)), axis=1)
    shifts = (shifts + BLOCK // 2) % BLOCK - BLOCK // 2  # indices beyond half a block are negative shifts
    return float(np.median(np.linalg.norm(shifts, axis=1)))


def _blocks(picture: Array) -> Array:
    """(N, BLOCK, BLOCK): the picture's whole tiles; remainders at the right and below are dropped."""
    rows, columns = (side // BLOCK for side in picture.shape)
    tiles: Array = picture[: rows * BLOCK, : columns * BLOCK].reshape(rows, BLOCK, columns, BLOCK).swapaxes(1, 2)
    return tiles.reshape(-1, BLOCK, BLOCK)
