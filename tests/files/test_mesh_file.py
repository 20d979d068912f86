"""A textured mesh comes back as it was written, other programs' rules are kept, and damage is one sentence."""

import io
import json
import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from threer_blender.files import mesh_file
from threer_blender.model.errors import UserError
from threer_blender.model.textured_mesh import TexturedMesh


@pytest.fixture
def mesh() -> TexturedMesh:
    rng = np.random.default_rng(0)
    stream = io.BytesIO()
    Image.fromarray(rng.integers(0, 255, (16, 16, 3), np.uint8)).save(stream, "JPEG")
    faces = np.array([[0, 1, 2], [2, 1, 3], [3, 4, 5]], np.int32)
    return TexturedMesh(
        rng.normal(size=(6, 3)).astype(np.float32), faces, rng.random((3, 3, 2), np.float32), stream.getvalue()
    )


def test_it_comes_back(mesh: TexturedMesh, tmp_path: Path) -> None:
    path = tmp_path / "mesh.glb"
    mesh_file.write(mesh, path, np.eye(4))
    again = mesh_file.read(path)
    assert len(again.vertices) == 6  # corners with several places on the texture are one vertex again
    assert np.array_equal(again.vertices[again.faces], mesh.vertices[mesh.faces])
    assert np.array_equal(again.corners, mesh.corners)
    assert again.texture == mesh.texture


def test_the_file_is_binary_gltf(mesh: TexturedMesh, tmp_path: Path) -> None:
    path = tmp_path / "mesh.glb"
    matrix = np.diag((1.0, -1.0, -1.0, 1.0))
    mesh_file.write(mesh, path, matrix)
    data = path.read_bytes()
    magic, version, total, length = struct.unpack_from("<4sIII", data)
    assert (magic, version, total) == (b"glTF", 2, len(data))
    scene = json.loads(data[20 : 20 + length])
    assert scene["nodes"][0]["matrix"] == matrix.ravel().tolist()
    assert scene["buffers"][0]["byteLength"] + 28 + length == total
    for view in scene["bufferViews"]:
        assert view["byteOffset"] % 4 == 0
        assert view["byteOffset"] + view["byteLength"] <= scene["buffers"][0]["byteLength"]
    image = scene["bufferViews"][scene["images"][0]["bufferView"]]
    start = 28 + length + image["byteOffset"]
    assert data[start : start + image["byteLength"]] == mesh.texture


def outcome(path: Path) -> str:
    """The outcome of reading a file: a mesh that can be used, or a sentence."""
    try:
        mesh = mesh_file.read(path)
    except UserError:
        return "refused"
    return "read" if mesh.faces.max() < len(mesh.vertices) else "unusable"


def test_damage_is_one_sentence(mesh: TexturedMesh, tmp_path: Path) -> None:
    path = tmp_path / "mesh.glb"
    mesh_file.write(mesh, path, np.eye(4))
    whole = path.read_bytes()
    rng = np.random.default_rng(1)
    outcomes = set()
    for _ in range(300):
        damaged = bytearray(whole[: rng.integers(0, len(whole) + 1)] if rng.random() < 0.3 else whole)
        for place in rng.integers(0, max(1, min(len(damaged), 1600)), 3):
            damaged[place : place + 1] = rng.bytes(1) if len(damaged) else b""
        path.write_bytes(damaged)
        outcomes.add(outcome(path))
    assert outcomes == {"refused", "read"}
    with pytest.raises(UserError, match="cannot be read"):
        mesh_file.read(tmp_path / "none.glb")
