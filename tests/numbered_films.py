"""Little films of many kinds whose frames carry their number, painted as a bar code that survives compression."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cache
from pathlib import Path

import av
import numpy as np

from threer_blender.model.arrays import Array

WIDTH, HEIGHT = 128, 96
BITS = 8
COUNT = 30
RATE = Fraction(24)


@cache
def _texture(width: int, height: int) -> Array:
    levels = np.random.default_rng(0).integers(40, 216, (height // 8, width // 8 + (2 << BITS) // 8, 3))
    return np.kron(levels, np.ones((8, 8, 1), int)).astype(np.uint8)


def picture(number: int, width: int = WIDTH, height: int = HEIGHT) -> Array:
    """(H, W, 3) uint8: the upper half is a texture that moves to the left, the lower half shows the number as black and
    white blocks."""
    out = np.zeros((height, width, 3), np.uint8)
    out[: height // 2] = _texture(width, height)[: height // 2, 2 * number : 2 * number + width]
    for bit in range(BITS):
        if number >> bit & 1:
            out[height // 2 :, bit * width // BITS : (bit + 1) * width // BITS] = 255
    return out


def number_of(displayed: Array) -> int:
    """The number that a picture (H, W, 3), 0 to 255, carries; -1 where it carries none."""
    height, width = displayed.shape[:2]
    band = displayed[int(height * 0.65) : int(height * 0.85)]
    number = 0
    for bit in range(BITS):
        middle, quarter = (2 * bit + 1) * width // (2 * BITS), width // (4 * BITS)
        level = band[:, middle - quarter : middle + quarter].mean()
        if 90 < level < 165:
            return -1
        number |= int(level > 128) << bit
    return number


@dataclass(frozen=True)
class Kind:
    """A kind of film: how it is encoded, and what it must be read as.

    `numbers` are those that its frames carry, `displayed` those of the frames that a player shows. `stamp` gives the
    time of a frame by its index, in units of 1 / `clock` seconds; `after` changes the finished file. `alike` is whether
    Blender's clip shows it as it is.
    """

    suffix: str
    codec: str
    pixel_format: str = "yuv420p"
    rate: Fraction = RATE
    options: dict[str, str] = field(default_factory=dict)
    container: dict[str, str] = field(default_factory=dict)
    size: tuple[int, int] = (WIDTH, HEIGHT)
    clock: int = 0
    stamp: Callable[[int], int] | None = None
    numbers: Sequence[int] = tuple(range(1, COUNT + 1))
    displayed: Sequence[int] = tuple(range(1, COUNT + 1))
    after: Callable[[bytes], bytes] | None = None
    format: str | None = None
    alike: bool = True


def write(kind: Kind, path: Path) -> Path:
    """Writes the film as `path`."""
    with av.open(str(path), "w", format=kind.format, options=kind.container) as out:
        stream = out.add_stream(kind.codec, rate=kind.rate, options=kind.options)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height = kind.size
        stream.pix_fmt = kind.pixel_format
        if kind.clock:
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


def jittered(index: int) -> int:
    """The time of a frame in 1/600 s, as a phone notes it: a little early or late, and two frames are left out."""
    return 20 * index + [0, 1, -1, 2, 0, -2][index % 6] + 20 * (index >= 11) + 20 * (index >= 20)


def without_first_packets(data: bytes) -> bytes:
    """A transport stream that begins in the middle of a group of pictures, as a recording of a broadcast does."""
    cut = len(data) // 6 // 188 * 188
    return data[:376] + data[cut:]  # its tables first


def without_index(data: bytes) -> bytes:
    """An AVI whose program ended before it wrote the index."""
    return data[: data.rindex(b"idx1")]


def turned(film: Path, matrix: tuple[int, int, int, int], path: Path) -> Path:
    """Writes an MP4 whose track is displayed by a, b, c, d (ISO 14496-12, tkhd), and returns its path."""
    data = film.read_bytes()
    a, b, c, d = (0x10000 * value for value in matrix)
    offset = data.index(b"tkhd") + 4 + 40
    values = (a, b, 0, c, d, 0, 0, 0, 0x40000000)
    fixed = b"".join(value.to_bytes(4, "big", signed=True) for value in values)
    path.write_bytes(data[:offset] + fixed + data[offset + 36 :])
    return path


def stopped_clock(data: bytes) -> bytes:
    """A QuickTime file in which every frame lasts no time at all (ISO 14496-12, stts)."""
    offset = data.index(b"stts") + 8
    count = int.from_bytes(data[offset : offset + 4], "big")
    out = bytearray(data)
    for entry in range(count):
        out[offset + 4 + 8 * entry + 4 : offset + 4 + 8 * entry + 8] = bytes(4)
    return bytes(out)


MATRICES = [(1, 0, 0, 1), (-1, 0, 0, 1), (1, 0, 0, -1), (-1, 0, 0, -1), (0, 1, 1, 0), (0, 1, -1, 0), (0, -1, 1, 0),
            (0, -1, -1, 0)]  # fmt: skip


def any_clock(seed: int) -> Kind:
    """A film of some container and rate, whose clock is coarse or fine, early or late, jitters or skips frames."""
    draw = random.Random(seed)
    suffix, codec = draw.choice([(".mp4", "libx264"), (".mov", "mpeg4"), (".mkv", "libx264"), (".mkv", "mpeg4")])
    clock = draw.choice([240, 600, 1000, 24000, 30000, 90000])
    rate = draw.choice([Fraction(24), Fraction(25), Fraction(24000, 1001), Fraction(30000, 1001), Fraction(60)])
    jitter, late, dropped = draw.choice([0, 0, 0.02, 0.3]), draw.choice([0, 0.5, 0.99]), draw.choice([0, 0, 0.1])
    stamps: list[int] = []
    frame, start = 0, draw.choice([0, 0, 7, clock // 7])
    for _ in range(16):
        stamp = start + int((frame + draw.uniform(0, jitter)) * clock / rate + late)
        stamps.append(max(stamp, stamps[-1] + 1) if stamps else stamp)
        frame += 1 + (draw.random() < dropped)
    options = {"bf": draw.choice(["0", "2"]), "g": "6"} if codec == "libx264" else {"g": "6"}
    numbers = range(1, 17)
    return Kind(suffix, codec, "yuv420p", rate, options, {}, (64, 48), clock, stamps.__getitem__, numbers, numbers)


_B = {"bf": "3", "g": "8"}  # with B-frames
_MPEG_B = {"bf": "2", "g": "8"}  # the same for codecs that allow two in a row
CLOCKS = {f"clock {seed}": any_clock(seed) for seed in range(20)}
KINDS = {
    "mp4 h264": Kind(".mp4", "libx264", options=_B),
    "mp4 23.976": Kind(".mp4", "libx264", options=_B, rate=Fraction(24000, 1001)),
    "mov open groups": Kind(".mov", "libx264", options={**_B, "x264-params": "open-gop=1"}),
    "mp4 hevc": Kind(".mp4", "libx265", options={"x265-params": "log-level=none:pools=1"}),
    "mp4 late start": Kind(".mp4", "libx264", clock=24, stamp=lambda index: index + 5),
    "mp4 edit list": Kind(".mp4", "libx264", clock=24, stamp=lambda index: index - 5, displayed=range(6, COUNT + 1)),
    "mp4 phone": Kind(".mp4", "libx264", clock=600, stamp=jittered, alike=False),
    "mov stopped clock": Kind(".mov", "mjpeg", "yuvj420p", after=stopped_clock, alike=False),
    "mov prores": Kind(".mov", "prores_ks", "yuv422p10le"),
    "mov prores alpha": Kind(".mov", "prores_ks", "yuva444p10le"),
    "mov alpha": Kind(".mov", "qtrle", "argb"),
    "mov dnxhd": Kind(".mov", "dnxhd", "yuv422p", options={"profile": "dnxhr_sq"}, size=(256, 128)),
    "mp4 10 bit": Kind(".mp4", "libx264", "yuv420p10le", options=_B),
    "mkv h264": Kind(".mkv", "libx264", options=_B, rate=Fraction(30000, 1001)),
    "mkv ffv1": Kind(".mkv", "ffv1"),
    "mkv late start": Kind(".mkv", "libx264", clock=24, stamp=lambda index: index + 5, alike=False),
    "mkv negative": Kind(
        *(".mkv", "libx264"),
        container={"avoid_negative_ts": "disabled"},
        clock=24,
        stamp=lambda index: index - 5,
        alike=False,
    ),
    "webm vp8": Kind(".webm", "libvpx", options={"auto-alt-ref": "1", "lag-in-frames": "16", "cpu-used": "5"}),
    "webm vp9": Kind(".webm", "libvpx-vp9", options={"deadline": "realtime", "cpu-used": "8"}),
    "avi mpeg4": Kind(".avi", "mpeg4", options={"g": "8"}),
    "avi mpeg4 B": Kind(".avi", "mpeg4", options=_MPEG_B, alike=False),
    "avi h264 B": Kind(".avi", "libx264", options=_B, alike=False),
    "avi mjpeg": Kind(".avi", "mjpeg", "yuvj420p"),
    "avi without index": Kind(".avi", "mpeg4", options={"g": "8"}, after=without_index, alike=False),
    "ts h264": Kind(".ts", "libx264", options=_B, alike=False),
    "mts mpeg2": Kind(".mts", "mpeg2video", options=_MPEG_B, format="mpegts", alike=False),
    "m2ts cut": Kind(
        *(".m2ts", "mpeg2video"),
        options={"g": "6", "mpegts_m2ts_mode": "0"},
        format="mpegts",
        after=without_first_packets,
        displayed=(),
        alike=False,
    ),
    "mpg mpeg2": Kind(".mpg", "mpeg2video", options=_MPEG_B, alike=False),
    "3gp": Kind(".3gp", "mpeg4"),
    "insv": Kind(".insv", "libx264", options=_B, format="mp4"),
    "wmv": Kind(".wmv", "wmv2", alike=False),
    "flv": Kind(".flv", "flv", alike=False),
    "mxf": Kind(".mxf", "mpeg2video", rate=Fraction(25), alike=False),
    "gif": Kind(".gif", "gif", "rgb8", rate=Fraction(25), alike=False),
    "ogv": Kind(".ogv", "libvpx", options={"deadline": "realtime", "cpu-used": "8"}, format="ogg", alike=False),
}
_OPEN = {"x265-params": "log-level=none:pools=1:open-gop=1:keyint=6:bframes=3"}
# Kinds that are read; how Blender's clip shows them is not looked at.
OTHERS = {
    "mp4 av1": Kind(
        ".mp4", "libsvtav1", options={"preset": "12", "svtav1-params": "hierarchical-levels=3"}, size=(128, 64)
    ),
    "mp4 fragmented": Kind(".mp4", "libx264", options=_B, container={"movflags": "frag_every_frame+empty_moov"}),
    "ts wrapped clock": Kind(
        ".ts", "libx264", options=_B, clock=90000, stamp=lambda place: 2**33 - 45000 + 3750 * place
    ),
    "mp4 fields": Kind(".mp4", "libx264", options={"flags": "+ildct+ilme", "x264-params": "tff=1"}),
    "mkv hevc open groups": Kind(".mkv", "libx265", options=_OPEN),
    "mp4 fine clock": Kind(".mp4", "libx264", options=_B, container={"video_track_timescale": "2000000000"}),
    "mkv live": Kind(".mkv", "libx264", options=_B, container={"live": "1"}),
    "dv": Kind(".dv", "dvvideo", rate=Fraction(25), size=(720, 576)),
    "mp4 1 a second": Kind(".mp4", "libx264", options=_B, rate=Fraction(1)),
    "mp4 1000 a second": Kind(".mp4", "libx264", options=_B, rate=Fraction(1000)),
    "avi huffyuv": Kind(".avi", "huffyuv", "rgb24"),
    "mov cineform": Kind(".mov", "cfhd", "yuv422p10le", size=(128, 64)),
    "mov png": Kind(".mov", "png", "rgb24"),
    "mkv vp9 hidden frames": Kind(
        ".mkv", "libvpx-vp9", options={"deadline": "good", "cpu-used": "5", "auto-alt-ref": "1", "lag-in-frames": "16"}
    ),
    "ivf": Kind(".ivf", "libvpx-vp9", options={"deadline": "realtime", "cpu-used": "8"}),
    "raw h264": Kind(".h264", "libx264", options=_B, format="h264"),
}
