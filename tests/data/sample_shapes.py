"""[B] Shapes for the sample photos' still life: pebbles, pots, boxes and leaves from numbers. Imports bpy and numpy.

All relief is in the vertices (no modifier, no displacement), so that a ray cast finds the surface that a render shows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import bmesh
import bpy
import numpy as np
import numpy.typing as npt
from mathutils import Vector, noise

Array = npt.NDArray[Any]
Triple = Sequence[float] | Array  # x, y, z


@dataclass(frozen=True)
class Shape:
    """A polygon mesh: `vertices` (N, 3) metres; `faces` of vertex indices; `tone` (N,) in [0, 1]; `uv` (N, 2)."""

    vertices: Array
    faces: list[tuple[int, ...]]
    tone: Array | None = None
    uv: Array | None = None


def joined(shapes: Sequence[Shape], tones: Array) -> Shape:
    """One mesh of many parts; part i carries `tones[i]` on all of its vertices."""
    starts = np.cumsum([0, *(len(shape.vertices) for shape in shapes)])
    faces = [
        tuple(int(start) + v for v in face)
        for shape, start in zip(shapes, starts[:-1], strict=True)
        for face in shape.faces
    ]
    tone = np.concatenate([np.full(len(shape.vertices), value) for shape, value in zip(shapes, tones, strict=True)])
    uvs = [shape.uv for shape in shapes if shape.uv is not None]
    vertices = np.concatenate([shape.vertices for shape in shapes])
    return Shape(vertices, faces, tone, np.concatenate(uvs) if uvs else None)


def add(
    name: str,
    shape: Shape,
    material: bpy.types.Material,
    at: Triple = (0, 0, 0),
    yaw: float = 0.0,
    smooth: bool = True,
) -> bpy.types.Object:
    """Put a shape into the scene at `at`, turned by `yaw` degrees about z."""
    mesh = bpy.data.meshes.new(name)
    mesh.from_pydata(shape.vertices, [], shape.faces)
    mesh.materials.append(material)
    mesh.polygons.foreach_set("use_smooth", np.full(len(mesh.polygons), smooth))
    if shape.tone is not None:
        mesh.attributes.new("tone", "FLOAT", "POINT").data.foreach_set("value", shape.tone.astype(np.float32))
    if shape.uv is not None:
        corners = np.empty(len(mesh.loops), np.int32)
        mesh.loops.foreach_get("vertex_index", corners)
        mesh.uv_layers.new(name="UVMap").data.foreach_set("uv", shape.uv[corners].astype(np.float32).ravel())
    item = bpy.data.objects.new(name, mesh)
    item.location = at
    item.rotation_euler.z = np.radians(yaw)
    bpy.context.scene.collection.objects.link(item)
    return item


def bumps(vertices: Array, scale: float, octaves: int = 4, offset: float = 0.0) -> Array:
    """(N,) smooth noise in about [-1, 1] at `vertices` × `scale`."""
    shift = Vector((offset, -offset, 2 * offset))
    return np.array([noise.fractal(Vector(v) * scale + shift, 1.0, 2.0, octaves) for v in vertices])


def grid(u: Array, v: Array, closed: bool = False) -> list[tuple[int, ...]]:
    """Quads of a len(u) × len(v) lattice of vertices (v runs fastest); `closed` joins the last v to the first."""
    rows, columns = len(u), len(v)
    last = columns if closed else columns - 1
    corners = ((0, 0), (0, 1), (1, 1), (1, 0))
    return [
        tuple((i + di) * columns + (j + dj) % columns for di, dj in corners)
        for i in range(rows - 1)
        for j in range(last)
    ]


def pebble(size: Triple, exponent: float, detail: int, relief: float, scale: float, offset: float) -> Shape:
    """A lump: superellipsoid |x|^e + |y|^e + |z|^e = 1 of half-axes `size`, with noise of `relief` metres."""
    ball = bmesh.new()
    bmesh.ops.create_icosphere(ball, subdivisions=detail, radius=1.0)
    sphere = np.array([v.co for v in ball.verts])
    faces = [tuple(v.index for v in face.verts) for face in ball.faces]
    ball.free()
    body = sphere / (np.abs(sphere) ** exponent).sum(axis=1, keepdims=True) ** (1 / exponent)
    vertices = body * size
    return Shape(vertices + sphere * (relief * bumps(vertices, scale, 5, offset))[:, None], faces)


def turned(profile: Sequence[tuple[float, float]], segments: int = 128, rings: int = 90) -> Shape:
    """A pot from the potter's wheel: `profile` of (radius, height) points in metres, smoothed into `rings` rings."""
    knots = np.array(profile)
    along = np.linspace(0, 1, rings)
    at = np.linspace(0, 1, len(knots))
    curve = np.stack([np.interp(along, at, knots[:, axis]) for axis in range(2)], axis=1)
    for _ in range(6):
        curve[1:-1] = (curve[:-2] + 2 * curve[1:-1] + curve[2:]) / 4
    angle = np.linspace(0, 2 * np.pi, segments, endpoint=False)
    circle = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    flat = curve[:, None, :1] * circle[None]
    height = np.broadcast_to(curve[:, None, 1:], (*flat.shape[:2], 1))
    return Shape(np.concatenate([flat, height], axis=2).reshape(-1, 3), grid(along, angle, closed=True))


def box(size: Triple, centre: Triple = (0, 0, 0), bevel: float = 0.002) -> Shape:
    """A box with slightly bevelled edges."""
    block = bmesh.new()
    bmesh.ops.create_cube(block, size=1.0)
    bmesh.ops.scale(block, vec=size, verts=block.verts)
    bmesh.ops.bevel(block, geom=list(block.edges), offset=bevel, segments=2, affect="EDGES", profile=0.5)
    block.verts.index_update()
    vertices = np.array([v.co for v in block.verts]) + centre
    faces = [tuple(v.index for v in face.verts) for face in block.faces]
    block.free()
    return Shape(vertices, faces)


def blade(start: Array, heading: float, rise: float, length: float, width: float, droop: float) -> tuple[Shape, Shape]:
    """A broad leaf and its stalk, from `start` (3,) towards `heading`, rising at `rise`, drooping (degrees)."""
    u, v = np.linspace(0, 1, 40), np.linspace(-1, 1, 17)
    out = np.array([np.cos(np.radians(heading)), np.sin(np.radians(heading)), 0.0])
    side, up = np.array([-out[1], out[0], 0.0]), np.array([0.0, 0.0, 1.0])
    pitch = np.radians(rise) - np.radians(droop) * np.linspace(0, 1, 80) ** 1.4
    steps = (np.cos(pitch)[:, None] * out + np.sin(pitch)[:, None] * up) * (2 * length / 80)
    spine = start + np.cumsum(steps, axis=0)
    stalk, rib = spine[:40], spine[40:]
    normal = -np.sin(pitch[40:])[:, None] * out + np.cos(pitch[40:])[:, None] * up
    half = width * np.sin(np.pi * u**0.75) ** 0.8 * (1 - 0.25 * u)
    lift = 0.28 * np.abs(v)[None] * half[:, None] + 0.012 * np.sin(9 * u[:, None] + 3 * v[None]) * np.abs(v)[None]
    surface = rib[:, None] + (half[:, None] * v[None])[..., None] * side + lift[..., None] * normal[:, None]
    uv = np.stack(np.meshgrid(u, v, indexing="ij"), axis=-1).reshape(-1, 2)
    angle = np.linspace(0, 2 * np.pi, 8, endpoint=False)
    ring = (np.cos(angle)[:, None] * side + np.sin(angle)[:, None] * up) * 0.0035
    tube = (stalk[:, None] + ring[None]).reshape(-1, 3)
    return (
        Shape(surface.reshape(-1, 3), grid(u, v), uv=uv),
        Shape(tube, grid(stalk, angle, closed=True), uv=np.tile([0.5, 0.4], (len(tube), 1))),
    )
