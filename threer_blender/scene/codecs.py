"""[B] Decoders for splat files that Blender has and the standard library lacks."""

from __future__ import annotations

import importlib
import importlib.util
import tempfile
from pathlib import Path

import bpy
import numpy as np

from ..model.arrays import Array
from ..splat_files.reading import Codecs

USUAL_WINDOW = 1 << 27  # bytes; zstd itself accepts no larger one unasked


def available() -> Codecs:
    """The compressions that this Blender can decode: WebP always, and zstd where its Python has the module `zstandard`.

    The builds of blender.org have it.
    """
    return Codecs(webp=decode_webp, zstd=decode_zstd if importlib.util.find_spec("zstandard") else None)


def decode_webp(data: bytes) -> Array:
    """(H, W, 4) uint8: the pixels of a lossless WebP, top row first. Raises ValueError."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "picture.webp"
        path.write_bytes(data)
        try:
            image = bpy.data.images.load(str(path), check_existing=False)
        except RuntimeError as error:
            raise ValueError("a picture cannot be decoded") from error
        try:
            image.colorspace_settings.is_data = True
            image.alpha_mode = "CHANNEL_PACKED"  # the fourth channel holds data, no opacity
            width, height = image.size
            pixels = np.empty(width * height * 4, np.float32)
            image.pixels.foreach_get(pixels)
        finally:
            bpy.data.images.remove(image)
    decoded: Array = np.rint(pixels.reshape(height, width, 4)[::-1] * 255).astype(np.uint8)
    return decoded


def decode_zstd(data: bytes, size: int) -> bytes:
    """The first `size` bytes, at most, of a zstd frame's content, whatever size it claims. Raises ValueError."""
    zstandard = importlib.import_module("zstandard")
    decompressor = zstandard.ZstdDecompressor(max_window_size=max(size, USUAL_WINDOW))
    try:
        return bytes(decompressor.stream_reader(data).read(size))
    except zstandard.ZstdError as error:
        raise ValueError(str(error)) from error
