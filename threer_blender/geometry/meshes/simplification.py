"""[R] Meshes with fewer faces: without small loose parts, and within a budget. pycolmap, numba and numpy."""

from __future__ import annotations

import tempfile
from itertools import pairwise
from pathlib import Path

import numpy as np

from ...model.arrays import Array, IntArray
from ...model.proxy_mesh import Mesh
from ..colmap import pycolmap
from ..kernels import compiled

SMALLEST = 100  # faces of a loose part; smaller ones are noise
SMALLEST_SHARE = 2e-3  # of all faces
PINHOLE = 16  # edges around a hole, up to which it is closed
HEAD = (
    "ply\nformat binary_little_endian 1.0\nelement vertex {}\nproperty float x\nproperty float y\nproperty float z\n"
    "element face {}\nproperty list uchar int vertex_indices\nend_header\n"
)
CORNERS = np.dtype([("count", "u1"), ("corners", "<i4", 3)])


def used(vertices: Array, faces: Array) -> Mesh:
    """The mesh of `faces` (F, 3), without vertices (V, 3) that no face uses."""
    there = np.zeros(len(vertices), bool)
    there[faces] = True
    number = np.cumsum(there) - 1
    return Mesh(vertices[there].astype(np.float32), number[faces].astype(np.int32))


def without_small_parts(mesh: Mesh) -> Mesh:
    """The mesh without loose parts of fewer faces than SMALLEST, or than SMALLEST_SHARE of all."""
    if not len(mesh.faces):
        return mesh
    part = _parts(np.ascontiguousarray(mesh.faces, np.int32), len(mesh.vertices))[mesh.faces[:, 0]]
    counts = np.bincount(part)
    large = counts >= max(SMALLEST, SMALLEST_SHARE * len(mesh.faces))
    return used(mesh.vertices, mesh.faces[large[part]])


@compiled()
def _parts(faces: Array, count: int) -> IntArray:
    """(V,) for each vertex, the first vertex of its loose part."""
    first = np.arange(count)
    for f in range(len(faces)):
        a = faces[f, 0]
        while first[a] != a:
            first[a] = first[first[a]]
            a = first[a]
        for k in range(1, 3):
            b = faces[f, k]
            while first[b] != b:
                first[b] = first[first[b]]
                b = first[b]
            if b < a:
                first[a] = b
                a = b
            else:
                first[b] = a
    for v in range(count):
        first[v] = first[first[v]]
    return first


def without_pinholes(mesh: Mesh) -> Mesh:
    """The mesh with each hole of at most PINHOLE edges closed by a fan about its middle.

    Such holes are noise of the volume. Larger ones are places that no photo shows.
    """
    corners = mesh.faces.astype(np.int64)
    starts, ends = corners.ravel(), np.roll(corners, -1, axis=1).ravel()
    open_edges = ~np.isin(ends << 32 | starts, starts << 32 | ends)
    after = dict(zip(ends[open_edges].tolist(), starts[open_edges].tolist(), strict=True))  # around each hole
    places, faces = [mesh.vertices], [mesh.faces]
    count = len(mesh.vertices)
    while after:
        loop = [next(iter(after))]
        while loop[-1] in after:
            loop.append(after.pop(loop[-1]))
        ring = loop[:-1]
        if loop[0] != loop[-1] or not 3 <= len(ring) <= PINHOLE or len(set(ring)) < len(ring):
            continue
        places.append(mesh.vertices[ring].mean(axis=0, keepdims=True))
        faces.append(np.array([[a, b, count] for a, b in pairwise(loop)], np.int32))
        count += 1
    return Mesh(np.concatenate(places).astype(np.float32), np.concatenate(faces).astype(np.int32))


def simplified(mesh: Mesh, budget: int) -> Mesh:
    """The mesh with at most about `budget` faces, by quadric edge collapse (pycolmap's)."""
    if len(mesh.faces) <= budget:
        return mesh
    with tempfile.TemporaryDirectory() as folder:
        before, after = Path(folder) / "before.ply", Path(folder) / "after.ply"
        _write(mesh, before)
        options = pycolmap.MeshSimplificationOptions()
        options.target_face_ratio = budget / len(mesh.faces)
        pycolmap.simplify_mesh(before, after, options)
        return _read(after)


def proper(mesh: Mesh) -> Mesh:
    """The mesh with one vertex for each place, and without faces that have no area or are there twice."""
    places = np.ascontiguousarray(mesh.vertices, np.float32)
    _, first, number = np.unique(places.view(np.dtype((np.void, 12))).ravel(), return_index=True, return_inverse=True)
    vertices, faces = places[first], number.ravel()[mesh.faces]
    a, b, c = (vertices[faces[:, k]].astype(np.float64) for k in range(3))
    faces = faces[np.linalg.norm(np.cross(b - a, c - a), axis=1) > 0]
    _, once = np.unique(np.sort(faces, axis=1), axis=0, return_index=True)
    return used(vertices, faces[np.sort(once)])


def _write(mesh: Mesh, path: Path) -> None:
    rows = np.empty(len(mesh.faces), CORNERS)
    rows["count"], rows["corners"] = 3, mesh.faces
    with path.open("wb") as file:
        file.write(HEAD.format(len(mesh.vertices), len(mesh.faces)).encode("ascii"))
        file.write(np.ascontiguousarray(mesh.vertices, "<f4").tobytes())
        file.write(rows.tobytes())


def _read(path: Path) -> Mesh:
    """A mesh that pycolmap wrote: binary, its vertices with float coordinates first."""
    head, _, body = path.read_bytes().partition(b"end_header\n")
    lines = head.decode("ascii").splitlines()
    counts = {line.split()[1]: int(line.split()[2]) for line in lines if line.startswith("element")}
    of_vertex = lines[: next(i for i, line in enumerate(lines) if line.startswith("element face"))]
    sizes = {"float": "<f4", "uchar": "u1", "double": "<f8", "int": "<i4"}
    fields = [(line.split()[2], sizes[line.split()[1]]) for line in of_vertex if line.startswith("property")]
    vertex = np.dtype(fields)
    vertices = np.frombuffer(body, vertex, counts["vertex"])
    faces = np.frombuffer(body, CORNERS, counts["face"], offset=vertices.nbytes)
    places = np.stack([vertices[axis] for axis in "xyz"], axis=-1).astype(np.float32)
    return Mesh(places, faces["corners"].astype(np.int32))
