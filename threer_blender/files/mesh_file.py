"""[S] A textured mesh as one file, binary glTF 2.0, which other programs read too. Stdlib and numpy.

We read back only files that we wrote: their parts have fixed places.
"""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np

from ..model.arrays import Array, FloatArray
from ..model.errors import UserError, quoted
from ..model.textured_mesh import TexturedMesh
from . import bounded

GENERATOR = "threer_blender mesh 1"
LARGEST = 2**32 - 1  # bytes of a binary glTF
LONGEST_TEXT = 1 << 16  # bytes of the JSON part
HEADER, CHUNK = struct.Struct("<4sII"), struct.Struct("<I4s")
JSON_CHUNK, BINARY_CHUNK = b"JSON", b"BIN\0"
FLOAT, UNSIGNED, VERTEX_BUFFER, INDEX_BUFFER = 5126, 5125, 34962, 34963  # glTF's numbers of types and buffers' targets
AGAIN = "is damaged; make the mesh again"


def write(mesh: TexturedMesh, path: Path, y_up_from_world: FloatArray) -> None:
    """Writes the mesh to the new file `path`. `y_up_from_world` (4, 4) is for other programs, which have y up.

    Raises OSError.
    """
    points, places, indices = _split(mesh)
    views = [
        np.ascontiguousarray(points, "<f4").tobytes(),
        np.ascontiguousarray(places, "<f4").tobytes(),
        np.ascontiguousarray(indices, "<u4").tobytes(),
        mesh.texture + b"\0" * (-len(mesh.texture) % 4),
    ]
    scene = _scene(points, len(indices), [len(view) for view in views], len(mesh.texture), y_up_from_world)
    text = json.dumps(scene, separators=(",", ":")).encode("ascii")
    text += b" " * (-len(text) % 4)
    size = sum(map(len, views))
    with path.open("wb") as file:
        file.write(HEADER.pack(b"glTF", 2, HEADER.size + 2 * CHUNK.size + len(text) + size))
        file.write(CHUNK.pack(len(text), JSON_CHUNK) + text)
        file.write(CHUNK.pack(size, BINARY_CHUNK))
        for view in views:
            file.write(view)


def _split(mesh: TexturedMesh) -> tuple[Array, Array, Array]:
    """Points (N, 3) that have one place (N, 2) on the texture each, and the faces' corners (3F,) among them."""
    rows = np.concatenate([mesh.vertices[mesh.faces], mesh.corners], axis=-1).reshape(-1, 5).astype(np.float32)
    packed = np.ascontiguousarray(rows).view(np.dtype((np.void, rows.dtype.itemsize * 5))).ravel()
    _, first, indices = np.unique(packed, return_index=True, return_inverse=True)
    return rows[first, :3], rows[first, 3:], indices.ravel()


def _scene(points: Array, corners: int, sizes: list[int], texture: int, matrix: FloatArray) -> dict[str, Any]:
    """The JSON part. The buffer's parts have `sizes` bytes, the last of them `texture` without its padding."""
    starts = np.cumsum([0, *sizes]).tolist()
    lengths = [*sizes[:3], texture]
    targets: list[dict[str, int]] = [{"target": VERTEX_BUFFER}, {"target": VERTEX_BUFFER}, {"target": INDEX_BUFFER}, {}]
    count = len(points)
    return {
        "asset": {"version": "2.0", "generator": GENERATOR},
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"mesh": 0, "name": "mesh", "matrix": matrix.T.ravel().tolist()}],
        "meshes": [{"primitives": [{"attributes": {"POSITION": 0, "TEXCOORD_0": 1}, "indices": 2, "material": 0}]}],
        "materials": [
            {
                "name": "photos",
                "pbrMetallicRoughness": {
                    "baseColorTexture": {"index": 0},
                    "metallicFactor": 0.0,
                    "roughnessFactor": 1.0,
                },
            }
        ],
        "textures": [{"source": 0, "sampler": 0}],
        # Linear, from mipmaps where the texture is small in the picture; no repetition beyond its edges.
        "samplers": [{"magFilter": 9729, "minFilter": 9987, "wrapS": 33071, "wrapT": 33071}],
        "images": [{"bufferView": 3, "mimeType": "image/jpeg"}],
        "accessors": [
            {
                "bufferView": 0,
                "componentType": FLOAT,
                "count": count,
                "type": "VEC3",
                "min": points.min(axis=0).tolist(),
                "max": points.max(axis=0).tolist(),
            },
            {"bufferView": 1, "componentType": FLOAT, "count": count, "type": "VEC2"},
            {"bufferView": 2, "componentType": UNSIGNED, "count": corners, "type": "SCALAR"},
        ],
        "bufferViews": [
            {"buffer": 0, "byteOffset": start, "byteLength": length, **target}
            for start, length, target in zip(starts, lengths, targets, strict=False)
        ],
        "buffers": [{"byteLength": starts[-1]}],
    }


def read(path: Path) -> TexturedMesh:
    """The mesh in a file that `write` wrote, in the reconstruction's world. Raises UserError where it is damaged, or
    none of ours."""
    try:
        with bounded.as_refusal(f"The mesh {quoted(path)}"), bounded.as_damage(AGAIN):
            return _mesh(bounded.content(path, LARGEST))
    except OSError as error:
        raise UserError(f"The mesh {quoted(path)} cannot be read; see that its disk is there.") from error


def _mesh(data: bytes) -> TexturedMesh:
    magic, version, total = HEADER.unpack_from(data)
    length, kind = CHUNK.unpack_from(data, HEADER.size)
    if (magic, version, kind) != (b"glTF", 2, JSON_CHUNK) or total != len(data) or length > LONGEST_TEXT:
        raise bounded.Damaged(AGAIN)
    start = HEADER.size + CHUNK.size
    scene = json.loads(data[start : start + length])
    if scene["asset"]["generator"] != GENERATOR:
        raise bounded.Damaged("is none of ours; open it by File > Import > glTF")
    size, kind = CHUNK.unpack_from(data, start + length)
    body = data[start + length + CHUNK.size :]
    if kind != BINARY_CHUNK or size != len(body):
        raise bounded.Damaged(AGAIN)
    parts = [body[view["byteOffset"] :][: view["byteLength"]] for view in scene["bufferViews"]]
    points = np.frombuffer(parts[0], "<f4").reshape(-1, 3)
    places = np.frombuffer(parts[1], "<f4").reshape(-1, 2)
    indices = np.frombuffer(parts[2], "<u4").reshape(-1, 3)
    if len(places) != len(points) or not len(indices) or indices.max() >= len(points):
        raise bounded.Damaged(AGAIN)
    if not (np.isfinite(points).all() and np.isfinite(places).all()):
        raise bounded.Damaged(AGAIN)
    return TexturedMesh(*_joined(points, indices), corners=places[indices], texture=parts[3])


def _joined(points: Array, indices: Array) -> tuple[Array, Array]:
    """The vertices (V, 3) and faces (F, 3) after points at the same place have become one vertex."""
    packed = np.ascontiguousarray(points).view(np.dtype((np.void, 12))).ravel()
    _, first, number = np.unique(packed, return_index=True, return_inverse=True)
    return points[first].astype(np.float32), number.ravel()[indices].astype(np.int32)
