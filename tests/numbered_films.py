"""Little films of many kinds whose frames carry their number, painted as a bar code that survives compression."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

WIDTH, HEIGHT = 128, 96
BITS = 8
COUNT = 48
RATE = Fraction(24)


def picture(number: int, width: int = WIDTH, height: int = HEIGHT) -> np.ndarray:
    """(H, W, 3) uint8: texture that moves to the left above, and below the number in black and white blocks."""
    texture = np.random.default_rng(0).integers(40, 216, (height // 8, 3 * width // 8, 3))
    large = np.kron(texture, np.ones((8, 8, 1), int))[:, number : number + width]
    out = np.full((height, width, 3), 128, np.uint8)
    out[: height // 2] = large[: height // 2]
    for bit in range(BITS):
        left, right = bit * width // BITS, (bit + 1) * width // BITS
        out[height // 2 :, left:right] = 255 if number >> bit & 1 else 0
    return out


def number_of(shown: np.ndarray) -> int:
    """The number that a picture (H, W, 3), 0 to 255, carries; -1 where it carries none."""
    height, width = shown.shape[:2]
    band = shown[int(height * 0.65) : int(height * 0.85)].reshape(-1, width, 3)
    number = 0
    for bit in range(BITS):
        middle, quarter = (2 * bit + 1) * width // (2 * BITS), width // (4 * BITS)
        level = band[:, middle - quarter : middle + quarter].mean()
        if 90 < level < 165:
            return -1
        number |= (level > 128) << bit
    return number


@dataclass(frozen=True)
class Kind:
    """How a film is encoded: `stamp` gives the time of its i-th frame in units of 1 / `clock` seconds."""

    suffix: str
    codec: str
    pixels: str = "yuv420p"
    rate: Fraction = RATE
    options: dict[str, str] = field(default_factory=dict)
    container: dict[str, str] = field(default_factory=dict)
    size: tuple[int, int] = (WIDTH, HEIGHT)
    clock: int | None = None
    stamp: Callable[[int], int] | None = None
    numbers: Sequence[int] = tuple(range(1, COUNT + 1))
    after: Callable[[bytes], bytes] | None = None
    format: str | None = None


def write(kind: Kind, path: Path) -> Path:
    """Writes the film as `path`, which has the kind's suffix."""
    with av.open(str(path), "w", format=kind.format, options=kind.container, container_options=kind.container) as out:
        stream = out.add_stream(kind.codec, rate=kind.rate, options=kind.options)
        stream.width, stream.height = kind.size
        stream.pix_fmt = kind.pixels
        if kind.clock is not None:
            stream.codec_context.time_base = Fraction(1, kind.clock)
        for index, number in enumerate(kind.numbers):
            frame = av.VideoFrame.from_ndarray(picture(number, *kind.size), format="rgb24")
            if kind.stamp is not None:
                frame.pts, frame.time_base = kind.stamp(index), Fraction(1, kind.clock)
            out.mux(stream.encode(frame))
        out.mux(stream.encode())
    if kind.after is not None:
        path.write_bytes(kind.after(path.read_bytes()))
    return path
