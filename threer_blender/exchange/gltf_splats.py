"""[S] Splats as binary glTF 2.0 with the extension KHR_gaussian_splatting (Khronos, release candidate of 2026).

The extension adds attributes to points. Its harmonics are those of 3DGS, as ours are. Scales and opacities are plain
numbers, where 3DGS stores logarithms and logits. Rotations are quaternions xyzw. Programs that do not know the
extension show points with the colour in COLOR_0.
"""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np

from ..model.arrays import Array
from ..model.errors import UserError
from ..model.reconstruction import Gaussians
from ..model.spherical_harmonics import C0, degree_of
from .content import Content

SPLATS = "splats.glb"
EXTENSION = "KHR_gaussian_splatting"
FLOAT, ARRAY_BUFFER, POINTS = 5126, 34962, 0  # glTF's numbers of a type, a buffer's target and a mode
# Numbers of a row -> glTF's name.
KINDS = {1: "SCALAR", 3: "VEC3", 4: "VEC4"}
HIGHEST_DEGREE = 3  # of the extension's harmonics
LARGEST = 2**32 - 1  # bytes of a binary glTF


def write(content: Content, folder: Path) -> list[str]:
    """Writes the splats into `folder`. Raises UserError where there are none, or more than a file holds."""
    gaussians = content.gaussians
    if gaussians is None or not len(gaussians):
        raise UserError("This result has no splats to export.")
    arrays = {name: np.ascontiguousarray(values, "<f4") for name, values in _attributes(gaussians).items()}
    size = sum(values.nbytes for values in arrays.values())
    text = json.dumps(_scene(arrays), separators=(",", ":")).encode("ascii")
    text += b" " * (-len(text) % 4)
    total = 12 + 8 + len(text) + 8 + size  # the file's header, then two chunks with a header each
    if total > LARGEST:
        raise UserError("These splats are more than a binary glTF holds, which is 4 GB; write them as PLY or SPZ.")
    with (folder / SPLATS).open("wb") as file:
        file.write(struct.pack("<4sII", b"glTF", 2, total))
        file.write(struct.pack("<I4s", len(text), b"JSON") + text)
        file.write(struct.pack("<I4s", size, b"BIN\0"))
        for values in arrays.values():
            file.write(values.data)
    return []


def _attributes(gaussians: Gaussians) -> dict[str, Array]:
    """The attributes (N, 1 to 4) by their names in the file."""
    srgb = np.clip(gaussians.sh[:, 0] * C0 + 0.5, 0, 1)
    linear = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)  # IEC 61966-2-1, as glTF wants
    attributes = {
        "POSITION": gaussians.means,
        "COLOR_0": np.concatenate([linear, gaussians.opacities[:, None]], axis=1),
        f"{EXTENSION}:ROTATION": np.roll(gaussians.rotations, -1, axis=1),
        f"{EXTENSION}:SCALE": gaussians.scales,
        f"{EXTENSION}:OPACITY": gaussians.opacities[:, None],
    }
    highest = min(degree_of(gaussians.sh), HIGHEST_DEGREE)
    for degree in range(highest + 1):
        for number in range(2 * degree + 1):
            attributes[f"{EXTENSION}:SH_DEGREE_{degree}_COEF_{number}"] = gaussians.sh[:, degree**2 + number]
    return attributes


def _scene(arrays: dict[str, Array]) -> dict[str, Any]:
    """The JSON of a glTF file whose buffer holds these arrays one after the other."""
    views: list[dict[str, Any]] = []
    accessors: list[dict[str, Any]] = []
    offset = 0
    for name, values in arrays.items():
        views.append({"buffer": 0, "byteOffset": offset, "byteLength": values.nbytes, "target": ARRAY_BUFFER})
        kind = KINDS[values.shape[1]]
        accessor = {"bufferView": len(accessors), "componentType": FLOAT, "count": len(values), "type": kind}
        if name == "POSITION":
            accessor |= {"min": values.min(axis=0).tolist(), "max": values.max(axis=0).tolist()}
        accessors.append(accessor)
        offset += values.nbytes
    primitive = {
        "attributes": {name: index for index, name in enumerate(arrays)},
        "mode": POINTS,
        "extensions": {EXTENSION: {"kernel": "ellipse", "colorSpace": "srgb_rec709_display"}},
    }
    return {
        "asset": {"version": "2.0", "generator": "threer_blender"},
        "extensionsUsed": [EXTENSION],
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"mesh": 0, "name": "splats"}],
        "meshes": [{"primitives": [primitive]}],
        "buffers": [{"byteLength": offset}],
        "bufferViews": views,
        "accessors": accessors,
    }
