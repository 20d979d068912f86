"""[S] Reads a JPEG's markers: the size of its picture, the end of its data, and whether scans are missing.

ITU-T T.81, annex B.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

START, END, SCAN = 0xD8, 0xD9, 0xDA  # markers: of the start and end of a picture, and of the start of a scan
BASELINE, EXTENDED, PROGRESSIVE = 0xC0, 0xC1, 0xC2  # the kinds of frames that Pillow decodes; others are rare
MOST_SEGMENTS = 300


class Segment(NamedTuple):
    """A marker, and the offsets of the start and end of its segment. A scan's segment ends before its coded pixels."""

    marker: int
    start: int
    end: int


class Ending(NamedTuple):
    """The end of a JPEG: the `position` at which its coded pixels end.

    `marked`: an end marker follows them. `complete`: no scan is missing.
    """

    position: int
    marked: bool
    complete: bool


def segments(data: bytes, start: int = 0) -> Iterator[Segment]:
    """Yields the segments of the JPEG that begins at `start`, up to its end, or to bytes that are no segment."""
    position = start + 2
    for _ in range(MOST_SEGMENTS):
        if position + 4 > len(data) or data[position] != 0xFF:
            return
        marker = data[position + 1]
        if marker in (0xFF, END):  # padding
            if marker == END:
                return
            position += 1
            continue
        end = position + 2 + int.from_bytes(data[position + 2 : position + 4])
        yield Segment(marker, position + 4, end)
        position = codes_end(data, end) if marker == SCAN else end


def codes_end(data: bytes, start: int) -> int:
    """The end of the entropy-coded data that begins at `start`: the next marker but restarts, or the end of `data`."""
    position = start
    while (position := data.find(b"\xff", position)) >= 0 and position + 1 < len(data):
        if data[position + 1] != 0 and not 0xD0 <= data[position + 1] <= 0xD7:
            return position
        position += 2
    return len(data)


def size(data: bytes, start: int) -> tuple[int, int] | None:
    """Width and height of the JPEG that begins at `start`; None where there is no JPEG that can be decoded."""
    for segment in segments(data, start):
        if segment.marker in (BASELINE, EXTENDED, PROGRESSIVE) and segment.end <= len(data):
            height, width = (int.from_bytes(data[segment.start + i : segment.start + i + 2]) for i in (1, 3))
            return (width, height) if width and height else None
        if segment.marker == SCAN or not 0xC0 <= segment.marker <= 0xFE:
            return None
    return None


def ending(data: bytes) -> Ending | None:
    """The ending of the JPEG at the beginning of `data`; None where it has no scan."""
    position = 0
    missing = set[tuple[int, int]]()  # (component, coefficient) whose lowest bit no scan of a progressive JPEG had yet
    for segment in segments(data):
        body = data[segment.start : segment.end]
        if segment.marker == PROGRESSIVE:
            missing = {(component, k) for component in body[6::3] for k in range(64)}
        if segment.marker == SCAN and len(body) >= 6 and len(body) == 2 * body[0] + 4:
            first, last, lowest_bit = body[-3], body[-2], body[-1] & 15
            if lowest_bit == 0:
                missing -= {(component, k) for component in body[1:-3:2] for k in range(first, last + 1)}
            position = codes_end(data, segment.end)
    if not position:
        return None
    # A file that was allocated but not fully written ends in zeros, which are valid coded pixels.
    marked = data[position : position + 2] == bytes((0xFF, END))
    return Ending(position if marked else len(data[:position].rstrip(b"\0")), marked, not missing)
