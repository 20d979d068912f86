"""[B] The rendered shots' world: the sample photos' still life as triangles, and a walker through it.

World: metres, z up, as in sample_scene.py. Paint follows texture coordinates that are fixed to each object, so that no
patch of the picture repeats and none swims.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import bpy
import numpy as np
import numpy.typing as npt

from tests.data import sample_paint, sample_scene
from tests.data.sample_shapes import add, pebble

Array = npt.NDArray[Any]

LONGEST_EDGE = 0.1  # m of a triangle: a lens bends it by less than the renderer's margin


@dataclass(frozen=True)
class Paint:
    """Mottled `colors` (4, linear), features about 1 / `scale` m wide, texture coordinates stretched by `stretch`."""

    colors: tuple[tuple[float, float, float], ...]
    scale: float
    stretch: tuple[float, float, float] = (1.0, 1.0, 1.0)


PAINTS: dict[str, Paint] = {
    "quilt": Paint(tuple(sample_paint.QUILT[i] for i in (0, 4, 1, 3)), 16.0),
    "oak": Paint(tuple(sample_paint.OAK), 40.0, (0.12, 1.0, 1.0)),
    "earth": Paint(tuple(sample_paint.GROUND), 9.0),
    "wall": Paint(tuple(sample_paint.STONE), 13.0),
    "cover 0": Paint(((0.05, 0.11, 0.20), (0.05, 0.11, 0.20), (0.62, 0.44, 0.22), (0.66, 0.42, 0.12)), 24.0),
    "cover 1": Paint(((0.11, 0.05, 0.06), (0.45, 0.08, 0.06), (0.45, 0.08, 0.06), (0.70, 0.56, 0.28)), 31.0),
    "cover 2": Paint(((0.10, 0.24, 0.20), (0.10, 0.24, 0.20), (0.60, 0.47, 0.20), (0.58, 0.18, 0.08)), 28.0),
    "paper": Paint((*sample_paint.PAGES, sample_paint.PAGES[-1]), 60.0, (0.2, 0.2, 6.0)),
    "pomegranate": Paint(tuple(sample_paint.POMEGRANATE), 34.0),
    "glaze": Paint(tuple(sample_paint.GLAZE[:4]), 22.0),
    "leaf": Paint(tuple(sample_paint.LEAF), 24.0),
    "clay": Paint(tuple(sample_paint.TERRACOTTA), 21.0),
    "boulder": Paint(tuple(sample_paint.BOULDER), 17.0),
    "orange": Paint((*sample_paint.CITRUS, sample_paint.CITRUS[-1]), 26.0),
    "autumn leaf": Paint(tuple(sample_paint.AUTUMN), 24.0),
    "pebble": Paint(tuple(sample_paint.STONE), 45.0),
    "skin": Paint(((0.30, 0.14, 0.09), (0.42, 0.22, 0.14), (0.52, 0.30, 0.20), (0.20, 0.10, 0.07)), 30.0),
    "coat": Paint(((0.02, 0.05, 0.16), (0.10, 0.16, 0.34), (0.50, 0.12, 0.08), (0.68, 0.60, 0.44)), 26.0),
    "trousers": Paint(((0.05, 0.05, 0.06), (0.16, 0.15, 0.15), (0.30, 0.27, 0.22), (0.10, 0.12, 0.16)), 38.0),
}
PAINT_NAMES = list(PAINTS)


@dataclass(frozen=True)
class Mesh:
    """Triangles: `vertices`, `normals`, `texture` (V, 3) float64, `tone` (V,); `corners` (T, 3), `paint` (T,) int32."""

    vertices: Array
    normals: Array
    texture: Array
    tone: Array
    corners: Array
    paint: Array


def together(meshes: list[Mesh]) -> Mesh:
    """One mesh of many."""
    starts = np.cumsum([0, *(len(mesh.vertices) for mesh in meshes)])
    stacked = {
        name: np.concatenate([getattr(mesh, name) for mesh in meshes])
        for name in ("vertices", "normals", "texture", "tone", "paint")
    }
    corners = np.concatenate([mesh.corners + start for mesh, start in zip(meshes, starts[:-1], strict=True)])
    return Mesh(corners=corners.astype(np.int32), **stacked)


def _split(vertices: Array, others: list[Array], corners: Array) -> tuple[Array, list[Array], Array]:
    """Triangles halved across their longest edge until none is longer than LONGEST_EDGE; `others` follow."""
    while True:
        edges = np.linalg.norm(vertices[corners] - vertices[np.roll(corners, -1, axis=1)], axis=2)
        long = edges.max(axis=1) > LONGEST_EDGE
        if not long.any():
            return vertices, others, corners
        first = edges[long].argmax(axis=1)
        a, b, c = (corners[long][np.arange(long.sum()), (first + i) % 3] for i in range(3))
        middle = len(vertices) + np.arange(long.sum())
        vertices = np.concatenate([vertices, (vertices[a] + vertices[b]) / 2])
        others = [np.concatenate([values, (values[a] + values[b]) / 2]) for values in others]
        halves = [np.stack([a, middle, c], axis=1), np.stack([middle, b, c], axis=1)]
        corners = np.concatenate([corners[~long], *halves])


def _mesh(item: bpy.types.Object) -> Mesh:
    """A Blender object's triangles in the world; where it is not smooth, each face has corners of its own."""
    data = item.data
    data.calc_loop_triangles()
    corners = np.empty(len(data.loop_triangles) * 3, np.int32)
    data.loop_triangles.foreach_get("vertices", corners)
    local, normals = (np.empty(len(data.vertices) * 3, np.float32) for _ in range(2))
    data.vertices.foreach_get("co", local)
    data.vertices.foreach_get("normal", normals)
    tone = np.zeros(len(data.vertices), np.float32)
    if "tone" in data.attributes:
        data.attributes["tone"].data.foreach_get("value", tone)
    corners, local, normals = corners.reshape(-1, 3), local.reshape(-1, 3).astype(float), normals.reshape(-1, 3)
    if not data.polygons[0].use_smooth:
        local, tone = local[corners].reshape(-1, 3), tone[corners].ravel()
        across = np.cross(local[1::3] - local[::3], local[2::3] - local[::3])
        normals = np.repeat(across / np.maximum(np.linalg.norm(across, axis=1, keepdims=True), 1e-15), 3, axis=0)
        corners = np.arange(len(local)).reshape(-1, 3)
    local, (normals, tone), corners = _split(local, [normals.astype(float), tone.astype(float)], corners)
    matrix = np.array(item.matrix_basis)
    paint = PAINT_NAMES.index(data.materials[0].name)
    texture = local * PAINTS[PAINT_NAMES[paint]].stretch + 37.0 * tone[:, None]
    return Mesh(
        local @ matrix[:3, :3].T + matrix[:3, 3],
        normals @ matrix[:3, :3].T,
        texture,
        tone,
        corners.astype(np.int32),
        np.full(len(corners), paint, np.int32),
    )


def still_life() -> Mesh:
    """Everything that stands still. Takes some twenty seconds."""
    scene = sample_scene.build()
    return _visible(together([_mesh(item) for item in scene.objects if item.type == "MESH"]))


def _visible(mesh: Mesh) -> Mesh:
    """`mesh` without the triangles that no camera above the cloth can see: the wall's back, the deck's underside."""
    a, b, c = (mesh.vertices[mesh.corners[:, i]] for i in range(3))
    normals, middles = mesh.normals[mesh.corners].mean(axis=1), (a + b + c) / 3
    outward = (normals[:, :2] * middles[:, :2]).sum(axis=1) / np.linalg.norm(middles[:, :2], axis=1)
    wall, deck = (mesh.paint == PAINT_NAMES.index(name) for name in ("wall", "oak"))
    visible = ~((wall & (outward > 0.3)) | (deck & (normals[:, 2] < -0.1)))
    return replace(mesh, corners=mesh.corners[visible], paint=mesh.paint[visible])


@dataclass(frozen=True)
class Limb:
    """A part of the walker: a lump of `size` (half-axes, m) around `centre`, which swings about the y axis.

    It turns about `joint` by `swing` degrees at the height of a step, in the rhythm of `phase` (turns), and hangs on
    `parent`, whose movement it follows.
    """

    name: str
    size: tuple[float, float, float]
    centre: tuple[float, float, float]
    paint: str
    joint: tuple[float, float, float] = (0, 0, 0)
    swing: float = 0.0
    phase: float = 0.0
    bend: float = 0.0  # degrees, always
    parent: str = ""


# The walker goes along +x; 0.62 m tall, as the still life is about a third of a garden's size.
LIMBS = (
    Limb("torso", (0.050, 0.075, 0.115), (0, 0, 0.40), "coat"),
    Limb("head", (0.040, 0.034, 0.046), (0.008, 0, 0.565), "skin"),
    Limb("left thigh", (0.034, 0.034, 0.085), (0, 0.038, 0.23), "trousers", (0, 0.038, 0.30), 26.0),
    Limb("right thigh", (0.034, 0.034, 0.085), (0, -0.038, 0.23), "trousers", (0, -0.038, 0.30), 26.0, 0.5),
    Limb(
        "left calf", (0.027, 0.027, 0.085), (0, 0.038, 0.09), "trousers", (0, 0.038, 0.16), 16.0, 0.2, 18, "left thigh"
    ),
    Limb(
        "right calf",
        (0.027, 0.027, 0.085),
        (0, -0.038, 0.09),
        "trousers",
        (0, -0.038, 0.16),
        16.0,
        0.7,
        18,
        "right thigh",
    ),
    Limb("left arm", (0.022, 0.022, 0.10), (0, 0.092, 0.39), "coat", (0, 0.092, 0.48), 30.0, 0.5),
    Limb("right arm", (0.022, 0.022, 0.10), (0, -0.092, 0.39), "coat", (0, -0.092, 0.48), 30.0),
)
STRIDE = 0.36  # m of two steps


def walker_parts() -> dict[str, Mesh]:
    """The walker's limbs by name, standing upright at the origin."""
    parts = {}
    for number, limb in enumerate(LIMBS):
        lump = pebble(limb.size, 2.3, 5, 0.07 * min(limb.size), 22.0, 3.0 * number)
        item = add(limb.name, lump, bpy.data.materials.new(limb.name), limb.centre)
        item.data.materials[0] = bpy.data.materials.get(limb.paint) or bpy.data.materials.new(limb.paint)
        parts[limb.name] = _mesh(item)
    return parts


def walker_at(parts: dict[str, Mesh], x: float, y: float, scale: float) -> Mesh:
    """The walker at (x, y) on the ground, in the step that belongs to x."""
    moved: dict[str, Array] = {}
    meshes = []
    for limb in LIMBS:
        angle = np.radians(limb.swing * np.sin(2 * np.pi * (x / (STRIDE * scale) + limb.phase)) + limb.bend)
        swing = np.eye(4)
        swing[:3, :3] = [[np.cos(angle), 0, np.sin(angle)], [0, 1, 0], [-np.sin(angle), 0, np.cos(angle)]]
        swing[:3, 3] = limb.joint - swing[:3, :3] @ np.array(limb.joint)
        matrix = moved[limb.parent] @ swing if limb.parent else swing
        moved[limb.name] = matrix
        part = parts[limb.name]
        vertices = (part.vertices @ matrix[:3, :3].T + matrix[:3, 3]) * scale + (x, y, 0)
        meshes.append(
            Mesh(vertices, part.normals @ matrix[:3, :3].T, part.texture, part.tone, part.corners, part.paint)
        )
    return together(meshes)
