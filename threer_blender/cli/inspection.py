"""[S] Pictures that show which points of each photo the cleaning removed, and why. Stdlib and numpy."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np

from ..files import whole_folder
from ..model.arrays import Array, UInt8Array
from ..model.errors import UserError, quoted
from ..model.reconstruction import REMOVED, Camera, PointMap, Reconstruction

COLOURS = {  # of the pixels whose points were removed, by the reason
    "edge": (230, 60, 50),
    "sky": (70, 120, 240),
    "free-space violation": (240, 200, 40),
    "merged": (60, 160, 90),
}
KEY = "red edge, blue sky, yellow free-space violation, green merged, black not trusted, grey kept (lighter: nearer)"


def write(reconstruction: Reconstruction, folder: Path) -> list[str]:
    """Writes `folder/NUMBER.png` for each PointMap that records what was removed from it, in the PointMaps' order.

    Returns a sentence for each picture, with the shares of its pixels. Raises UserError where nothing was recorded, or
    where the folder holds files that are not ours or cannot be written.
    """
    recorded = [(pointmap, pointmap.removed) for pointmap in reconstruction.pointmaps if pointmap.removed is not None]
    if not recorded:
        raise UserError(
            "This result does not say what was removed from its points: the engines that guess depth record it."
        )
    lines = []
    with whole_folder.replacing(folder) as new:
        for number, (pointmap, removed) in enumerate(recorded):
            camera = reconstruction.camera(pointmap.photo)
            assert camera is not None
            write_png(new.path / f"{number}.png", picture(pointmap, removed, camera))
            shares = np.bincount(removed.ravel(), minlength=len(REMOVED)) / removed.size
            parts = [f"{reason} {share:.1%}" for reason, share in zip(REMOVED[1:], shares[1:], strict=True)]
            lines.append(f"{number}.png: {quoted(pointmap.photo)}: {', '.join(parts)}")
    return [*lines, *new.sentences("the pictures")]


def picture(pointmap: PointMap, removed: Array, camera: Camera) -> UInt8Array:
    """(H, W, 3) sRGB: the pixels of a PointMap; removed ones in the colour of their reason, the rest as KEY says.

    `removed` (H, W) are indices into REMOVED, 0 where nothing was removed.
    """
    depth = pointmap.depth(camera)
    middle = float(np.median(depth[pointmap.mask])) if pointmap.mask.any() else 1.0
    grey = np.where(pointmap.mask, 40 + 200 / (1 + depth / middle), 0)  # 40 far away, 140 at the median depth
    palette = np.array([(0, 0, 0), *(COLOURS[reason] for reason in REMOVED[1:])], np.uint8)
    coloured: UInt8Array = np.where((removed > 0)[..., None], palette[removed], grey.astype(np.uint8)[..., None])
    return coloured


def write_png(path: Path, pixels: UInt8Array) -> None:
    """Writes `pixels` (H, W, 3) as PNG (the W3C's specification, 5 and 11.2): one chunk, no filter."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    height, width, _ = pixels.shape
    rows = np.concatenate([np.zeros((height, 1), np.uint8), pixels.reshape(height, -1)], axis=1)
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)  # 8 bits a channel, RGB, not interlaced
    chunks = (chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(rows.tobytes())), chunk(b"IEND", b""))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(chunks))
