"""[S] Named arrays <-> one file in the safetensors format, without its library. Stdlib and numpy.

The format: https://github.com/huggingface/safetensors, "Format". Files are read as memory maps, so Blender's process
needs numpy alone.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..model.arrays import Array
from .bounded import Damaged, as_damage, parsed

DTYPES = {
    "F64": "<f8", "F32": "<f4", "F16": "<f2", "I64": "<i8", "I32": "<i4", "I16": "<i2", "U8": "|u1", "BOOL": "|b1",
}  # fmt: skip


def write(arrays: Mapping[str, Array], path: Path) -> str:
    """Writes named arrays to the file `path` and returns its sha256. Raises OSError.

    Arrays with wide types come first, so that every array is aligned.
    """
    names = {np.dtype(text): name for name, text in DTYPES.items()}
    ordered = sorted(arrays.items(), key=lambda item: -item[1].itemsize)
    header: dict[str, Any] = {}
    offset = 0
    for name, array in ordered:
        end = offset + array.nbytes
        header[name] = {"dtype": names[array.dtype], "shape": list(array.shape), "data_offsets": [offset, end]}
        offset = end
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    chunks: list[bytes | memoryview] = [len(text).to_bytes(8, "little"), text]
    chunks += [array.reshape(-1).view(np.uint8).data for _, array in ordered]
    digest = hashlib.sha256()
    with path.open("wb") as file:
        for chunk in chunks:
            file.write(chunk)
            digest.update(chunk)
    return digest.hexdigest()


def read(path: Path, checksum: str) -> dict[str, Array]:
    """The arrays in the file by name, read-only. `checksum` is the sha256 that the file must have.

    Raises Damaged where it has another one or its header makes no sense, and OSError.
    """
    if path.stat().st_size < 8:
        raise Damaged("is cut off")
    data = np.memmap(path, np.uint8, "r")
    if hashlib.sha256(data.data).hexdigest() != checksum:
        raise Damaged("is not the file that was written")
    start = 8 + int.from_bytes(data[:8].tobytes(), "little")
    with as_damage("has a header that cannot be understood"):
        header = parsed(data[8:start].tobytes())
        return {name: _array(data[start:], **entry) for name, entry in header.items() if name != "__metadata__"}


def _array(content: Array, dtype: str, shape: list[int], data_offsets: list[int]) -> Array:
    """A view of the file's `content`. Each side is bounded by the file's size, even where an array has no elements."""
    (begin, end), kind = data_offsets, np.dtype(DTYPES[dtype])
    if not 0 <= begin <= end <= len(content) or not all(0 <= side <= len(content) for side in shape):
        raise ValueError("an array lies outside of the file")
    return content[begin:end].view(kind).reshape(shape)
