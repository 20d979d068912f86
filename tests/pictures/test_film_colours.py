"""Colours of films: their matrix and range, declared or by size, and HDR as an ordinary display shows it."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest

from tests.pictures.test_kinds import hdr_codes
from threer_blender.model.arrays import Array
from threer_blender.pictures import film, light

COLOURS = np.array([[200, 60, 40], [40, 160, 60], [50, 60, 190], [128, 128, 128], [235, 235, 235], [200, 150, 120]])
WEIGHTS = {1: (0.2126, 0.0722), 5: (0.299, 0.114), 6: (0.299, 0.114), 9: (0.2627, 0.0593)}  # of red and blue


def components(rgb: Array, matrix: int, full: bool, bits: int = 8) -> Array:
    """(…, 3) integer Y'CbCr of R'G'B' from 0 to 1 (ITU-T H.273, equations 23 to 40)."""
    red, blue = WEIGHTS[matrix]
    y = rgb @ [red, 1 - red - blue, blue]
    cb, cr = (rgb[..., 2] - y) / (2 - 2 * blue), (rgb[..., 0] - y) / (2 - 2 * red)
    scale = (1 << bits) - 1 if full else 219 << (bits - 8)
    spread = scale if full else 224 << (bits - 8)
    black = 0 if full else 16 << (bits - 8)
    codes = [black + scale * y, (1 << (bits - 1)) + spread * cb, (1 << (bits - 1)) + spread * cr]
    return np.rint(np.stack(codes, axis=-1)).astype(int)


def frame_of(codes: Array, size: tuple[int, int], kind: str) -> av.VideoFrame:
    """A frame whose columns have these colours, in a format without chroma subsampling."""
    columns = np.repeat(codes, -(-size[0] // len(codes)), axis=0)[: size[0]]
    planes = np.broadcast_to(columns.T[:, None, :], (3, size[1], size[0]))
    frame = av.VideoFrame(*size, kind)
    for plane, values in zip(frame.planes, planes, strict=True):
        wide = np.zeros((size[1], plane.line_size // (2 if "10" in kind else 1)), "<u2" if "10" in kind else "u1")
        wide[:, : size[0]] = values
        plane.update(wide.tobytes())
    return frame


def displayed(frame: av.VideoFrame) -> Array:
    """The colours of the columns, at their middles."""
    step = frame.width / len(COLOURS)
    return film.rgb(frame)[2, [int((i + 0.5) * step) for i in range(len(COLOURS))]].astype(int)


@pytest.mark.parametrize(("size", "matrix"), [((720, 576), 6), ((640, 480), 6), ((1280, 720), 1), ((1920, 800), 1)])
@pytest.mark.parametrize(("kind", "full"), [("yuv444p", False), ("yuvj444p", True), ("yuv444p10le", False)])
def test_an_untagged_film_has_the_matrix_of_its_size(size: tuple[int, int], matrix: int, kind: str, full: bool) -> None:
    codes = components(COLOURS / 255, matrix, full, 10 if "10" in kind else 8)
    assert np.abs(displayed(frame_of(codes, size, kind)) - COLOURS).max() <= 3


@pytest.mark.parametrize("size", [(640, 360), (1280, 720)])
@pytest.mark.parametrize("matrix", [1, 5, 6, 9])
@pytest.mark.parametrize("full", [False, True])
def test_what_a_film_says_of_its_matrix_and_range_counts(size: tuple[int, int], matrix: int, full: bool) -> None:
    frame = frame_of(components(COLOURS / 255, matrix, full), size, "yuv444p")
    frame.colorspace, frame.color_range = matrix, 2 if full else 1
    assert np.abs(displayed(frame) - COLOURS).max() <= 3


@pytest.mark.parametrize("transfer", [light.PQ, light.HLG])
def test_hdr_looks_as_its_chart(tmp_path: Path, transfer: int) -> None:
    """Through a file, from the formulas of BT.2100 on; the chart's white is a page's, 203 cd/m²."""
    codes = components(hdr_codes(COLOURS.astype(np.uint8), transfer), 9, False, 10)
    path = tmp_path / "hdr.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx265", rate=24)
        stream.width, stream.height, stream.pix_fmt = 192, 64, "yuv444p10le"
        stream.options = {"x265-params": f"lossless=1:log-level=0:colorprim=9:transfer={transfer}:colormatrix=9"}
        for number in range(3):
            frame = frame_of(codes, (192, 64), "yuv444p10le")
            frame.pts = number
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    hdr_film = film.Film(path)
    assert (hdr_film.transfer, hdr_film.primaries) == (transfer, 9)
    actual = hdr_film.picture(2)[32, 16::32].astype(int)
    assert np.abs(actual - COLOURS).max() <= 4


def test_lights_brighter_than_a_page_keep_their_order() -> None:
    nits = np.array([203, 400, 1000, 4000]) / 10_000
    power = nits**0.1593017578125
    codes = ((0.8359375 + 18.8515625 * power) / (1 + 18.6875 * power)) ** 78.84375
    grey = np.repeat(np.rint(codes * 65535).astype(np.uint16)[:, None], 3, axis=1)
    levels = light.to_srgb(grey, light.PQ, 9)[:, 1].astype(int)
    assert levels[0] >= 245
    assert np.all(np.diff(levels) > 0)
