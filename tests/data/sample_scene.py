"""[B] The still life of the sample photos, modelled from numbers alone. Imports bpy, bmesh, mathutils and numpy.

World: metres, z up, the cloth's middle at the origin, the photographer on the side of negative y. All relief is in the
meshes (no modifier, no displacement), so that a ray cast finds exactly the surface that the render shows. Paint follows
object coordinates, so nothing needs an unwrapped texture and no patch repeats.
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
Color = tuple[float, float, float]

SEED = 7
CLOTH_SIZE = (1.16, 0.84)  # m
CLOTH_REST = 0.006  # m, height of the cloth where something stands on it
WALL_RADIUS, WALL_HEIGHT, WALL_HALF_ANGLE = 1.38, 0.86, 104.0  # m, m, degrees
PLANK_WIDTH, PLANK_GAP, DECK_HALF = 0.118, 0.005, 1.75  # m

# Linear colours, dark to light where they are ramps.
QUILT = [(0.42, 0.09, 0.05), (0.62, 0.36, 0.08), (0.05, 0.20, 0.22), (0.70, 0.60, 0.43), (0.08, 0.11, 0.25),
         (0.58, 0.22, 0.12), (0.22, 0.30, 0.14), (0.66, 0.48, 0.26)]  # fmt: skip
OAK = [(0.13, 0.08, 0.045), (0.27, 0.18, 0.11), (0.44, 0.32, 0.21), (0.58, 0.46, 0.33)]
STONE = [(0.21, 0.155, 0.105), (0.38, 0.30, 0.21), (0.56, 0.46, 0.335), (0.70, 0.60, 0.46)]
BOULDER = [(0.16, 0.155, 0.15), (0.28, 0.27, 0.26), (0.42, 0.40, 0.37), (0.58, 0.55, 0.50)]
LICHEN: Color = (0.42, 0.40, 0.12)
LICHEN_PALE: Color = (0.46, 0.47, 0.36)
GROUND = [(0.07, 0.055, 0.035), (0.13, 0.11, 0.06), (0.20, 0.19, 0.09), (0.33, 0.29, 0.19)]
TERRACOTTA = [(0.28, 0.085, 0.04), (0.44, 0.15, 0.075), (0.56, 0.23, 0.12), (0.68, 0.42, 0.28)]
GLAZE = [(0.03, 0.07, 0.17), (0.05, 0.16, 0.30), (0.16, 0.34, 0.42), (0.62, 0.60, 0.50), (0.72, 0.68, 0.58)]
LEAF = [(0.035, 0.085, 0.022), (0.07, 0.16, 0.035), (0.13, 0.25, 0.055), (0.24, 0.36, 0.10)]
VEIN: Color = (0.38, 0.46, 0.17)
AUTUMN = [(0.20, 0.07, 0.02), (0.40, 0.15, 0.03), (0.56, 0.29, 0.06), (0.46, 0.38, 0.12)]
AUTUMN_VEIN: Color = (0.62, 0.46, 0.22)
CITRUS = [(0.60, 0.20, 0.02), (0.74, 0.32, 0.03), (0.80, 0.42, 0.06)]
POMEGRANATE = [(0.24, 0.03, 0.03), (0.42, 0.06, 0.045), (0.60, 0.20, 0.08), (0.66, 0.38, 0.16)]
PAGES = [(0.46, 0.38, 0.26), (0.62, 0.54, 0.40), (0.74, 0.67, 0.53)]


# ---------------------------------------------------------------------------------------------------- paint


class Paint:
    """A matte material under construction: each method adds a node and returns its output socket."""

    def __init__(self, name: str) -> None:
        self.material = bpy.data.materials.new(name)
        self.material.use_nodes = True
        self.nodes = self.material.node_tree.nodes
        self.surface = self.nodes["Principled BSDF"]
        self.surface.inputs["Specular IOR Level"].default_value = 0.18
        self.surface.inputs["Roughness"].default_value = 0.75

    def link(self, source: Any, target: Any) -> None:
        self.material.node_tree.links.new(source, target)

    def place(self, scale: Sequence[float] = (1, 1, 1)) -> Any:
        """Object coordinates in metres, stretched by `scale` and moved apart by the mesh's own `tone`."""
        coordinates = self.nodes.new("ShaderNodeTexCoord").outputs["Object"]
        return self.vector("MULTIPLY_ADD", coordinates, scale, self.vector("SCALE", self.tone(), scale=37.0))

    def tone(self) -> Any:
        """The mesh's per-vertex `tone`: a random number in [0, 1] for each of its parts; 0 where it has none."""
        node = self.nodes.new("ShaderNodeAttribute")
        node.attribute_name = "tone"
        return node.outputs["Fac"]

    def vector(self, operation: str, a: Any, b: Any = None, c: Any = None, scale: float | None = None) -> Any:
        node = self.nodes.new("ShaderNodeVectorMath")
        node.operation = operation
        if scale is not None:
            node.inputs["Scale"].default_value = scale
        self._feed(node.inputs, (a, b, c))
        return node.outputs[0]

    def math(self, operation: str, a: Any, b: Any = None, c: Any = None) -> Any:
        node = self.nodes.new("ShaderNodeMath")
        node.operation = operation
        self._feed(node.inputs, (a, b, c))
        return node.outputs[0]

    def _feed(self, inputs: Any, values: Sequence[Any]) -> None:
        for socket, value in zip(inputs, values, strict=False):
            if isinstance(value, bpy.types.NodeSocket):
                self.link(value, socket)
            elif value is not None:
                socket.default_value = value

    def noise(self, where: Any, scale: float, detail: float = 4.0, distortion: float = 0.0) -> Any:
        node = self.nodes.new("ShaderNodeTexNoise")
        self._feed([node.inputs[name] for name in ("Vector", "Scale", "Detail", "Distortion")],
                   (where, scale, detail, distortion))  # fmt: skip
        return node.outputs[0]

    def voronoi(self, where: Any, scale: float, feature: str = "F1", output: str = "Distance") -> Any:
        node = self.nodes.new("ShaderNodeTexVoronoi")
        node.feature = feature
        self._feed([node.inputs["Vector"], node.inputs["Scale"]], (where, scale))
        return node.outputs[output]

    def ramp(self, factor: Any, colors: Sequence[Color], low: float = 0.3, high: float = 0.7, steps: bool = False) -> Any:
        """`colors` spread evenly over `factor` from `low` to `high`, blended or in hard steps."""
        node = self.nodes.new("ShaderNodeValToRGB")
        node.color_ramp.interpolation = "CONSTANT" if steps else "LINEAR"
        elements = node.color_ramp.elements
        while len(elements) < len(colors):
            elements.new(0.5)
        count = len(colors) if steps else len(colors) - 1
        for index, color in enumerate(colors):
            elements[index].position = low + (high - low) * index / count
            elements[index].color = (*color, 1.0)
        self.link(factor, node.inputs[0])
        return node.outputs[0]

    def mask(self, factor: Any, low: float, high: float) -> Any:
        """0 below `low`, 1 above `high`, linear between (`low` > `high` turns it round)."""
        node = self.nodes.new("ShaderNodeMapRange")
        self._feed(node.inputs, (factor, low, high, 0.0, 1.0))
        return node.outputs[0]

    def mix(self, factor: Any, a: Any, b: Any, blend: str = "MIX") -> Any:
        node = self.nodes.new("ShaderNodeMix")
        node.data_type, node.blend_type = "RGBA", blend
        opaque = [(*value, 1.0) if isinstance(value, tuple) and len(value) == 3 else value for value in (a, b)]
        self._feed([node.inputs[0], node.inputs[6], node.inputs[7]], (factor, *opaque))
        return node.outputs[2]

    def shade(self, color: Any, factor: Any, darkest: float = 0.55) -> Any:
        """`color` times a grey that goes from `darkest` to 1 with `factor`."""
        grey = (darkest,) * 3
        return self.mix(1.0, color, self.ramp(factor, [grey, (1.0, 1.0, 1.0)], 0.25, 0.75), "MULTIPLY")

    def finish(self, color: Any, height: Any = None, depth: float = 0.002) -> bpy.types.Material:
        """Connect the colour and, as shading only, a bump of `depth` metres; returns the material."""
        self.link(color, self.surface.inputs["Base Color"])
        if height is not None:
            bump = self.nodes.new("ShaderNodeBump")
            bump.inputs["Distance"].default_value = depth
            self.link(height, bump.inputs["Height"])
            self.link(bump.outputs[0], self.surface.inputs["Normal"])
        return self.material


def mottle(paint: Paint, where: Any, colors: Sequence[Color], scale: float, speckle: float = 0.5) -> Any:
    """A mottled, speckled blend of `colors`, for stone, clay, fruit and earth; its features are ~1 / `scale` m wide."""
    blotches = paint.noise(where, scale, 5.0, 0.4)
    toned = paint.math("ADD", blotches, paint.math("MULTIPLY_ADD", paint.tone(), 0.24, -0.12))
    color = paint.ramp(toned, colors, 0.32, 0.68)
    color = paint.shade(color, paint.noise(where, scale * 9, 3.0), 1.0 - speckle)
    spots = paint.mask(paint.voronoi(where, scale * 6), 0.12, 0.3)
    return paint.shade(color, spots, 1.0 - speckle * 0.8)


def quilt() -> bpy.types.Material:
    """Patchwork: crooked patches of dyed cloth, each with its own print, sewn with pale thread."""
    paint = Paint("quilt")
    where = paint.place()
    wobble = paint.vector("SCALE", paint.noise(where, 9.0, 2.0), scale=0.05)
    crooked = paint.vector("ADD", where, wobble)
    patch = paint.voronoi(crooked, 8.5, output="Color")
    color = paint.ramp(patch, QUILT, 0.05, 0.95, steps=True)
    print_a = paint.mask(paint.voronoi(crooked, 62.0), 0.34, 0.28)
    print_b = paint.mask(paint.noise(crooked, 70.0, 1.0, 2.5), 0.47, 0.53)
    flowered = paint.math("MULTIPLY", print_a, paint.mask(paint.math("FRACT", paint.math("MULTIPLY", patch, 7.3)), 0.45, 0.5))
    marbled = paint.math("MULTIPLY", print_b, paint.mask(paint.math("FRACT", paint.math("MULTIPLY", patch, 3.7)), 0.55, 0.6))
    color = paint.mix(flowered, color, (0.74, 0.66, 0.48))
    color = paint.mix(paint.math("MULTIPLY", marbled, 0.55), color, (0.10, 0.09, 0.12))
    color = paint.shade(color, paint.noise(where, 26.0, 5.0), 0.55)
    color = paint.shade(color, paint.noise(where, 170.0, 2.0), 0.6)
    weave = paint.noise(paint.vector("MULTIPLY", where, (1.0, 0.25, 1.0)), 900.0, 1.0)
    seam = paint.mask(paint.voronoi(crooked, 8.5, "DISTANCE_TO_EDGE"), 0.012, 0.022)
    color = paint.mix(seam, (0.66, 0.60, 0.47), paint.shade(color, weave, 0.72))
    return paint.finish(color, weave, 0.0006)


def oak() -> bpy.types.Material:
    """Weathered planks: grain drawn along x, knots, and stains that cross the planks."""
    paint = Paint("oak")
    where = paint.place((0.09, 1.0, 1.0))
    grain = paint.noise(where, 42.0, 6.0, 1.2)
    toned = paint.math("ADD", grain, paint.math("MULTIPLY_ADD", paint.tone(), 0.3, -0.15))
    color = paint.ramp(toned, OAK, 0.3, 0.7)
    color = paint.shade(color, paint.noise(paint.place((0.05, 1.0, 1.0)), 210.0, 3.0), 0.5)
    knots = paint.mask(paint.voronoi(paint.place((0.45, 1.0, 1.0)), 4.2), 0.05, 0.12)
    color = paint.shade(color, knots, 0.45)
    color = paint.shade(color, paint.noise(paint.place((0.22, 1.0, 1.0)), 260.0, 2.0), 0.45)
    color = paint.shade(color, paint.noise(paint.place(), 11.0, 6.0), 0.5)
    return paint.finish(color, grain, 0.003)


def stone(name: str, colors: Sequence[Color], scale: float, lichen: float = 0.6) -> bpy.types.Material:
    """Mottled stone with crusts of lichen."""
    paint = Paint(name)
    where = paint.place()
    color = mottle(paint, where, colors, scale, 0.6)
    crust = paint.math("MULTIPLY", paint.mask(paint.noise(where, scale * 0.8, 6.0), 0.56, 0.60), lichen)
    color = paint.mix(crust, color, paint.shade(LICHEN_PALE if lichen > 0.7 else LICHEN, paint.noise(where, scale * 12, 2.0)))
    return paint.finish(color, paint.noise(where, scale * 5, 6.0), 0.006)


def plain(name: str, colors: Sequence[Color], scale: float, speckle: float, depth: float) -> bpy.types.Material:
    """Just mottled, with a fine bump."""
    paint = Paint(name)
    where = paint.place()
    return paint.finish(mottle(paint, where, colors, scale, speckle), paint.noise(where, scale * 8, 3.0), depth)


def glaze() -> bpy.types.Material:
    """A hand-painted pot: running blue glazes in bands over cream, with brushed blossoms."""
    paint = Paint("glaze")
    where = paint.place()
    height = paint.nodes.new("ShaderNodeSeparateXYZ")
    paint.link(paint.vector("ADD", where, paint.vector("SCALE", paint.noise(where, 16.0, 3.0), scale=0.12)), height.inputs[0])
    bands = paint.math("FRACT", paint.math("MULTIPLY", height.outputs[2], 3.1))
    color = paint.ramp(bands, [GLAZE[4], GLAZE[3], GLAZE[1], GLAZE[0], GLAZE[2], GLAZE[4]], 0.0, 1.0)
    blossom = paint.mask(paint.voronoi(where, 24.0), 0.40, 0.34)
    color = paint.mix(paint.math("MULTIPLY", blossom, 0.85), color, paint.ramp(paint.voronoi(where, 24.0, output="Color"),
                      [(0.60, 0.24, 0.08), (0.66, 0.52, 0.22), (0.06, 0.14, 0.28)], 0.0, 1.0, steps=True))  # fmt: skip
    color = paint.shade(color, paint.noise(where, 60.0, 5.0, 0.8), 0.5)
    color = paint.shade(color, paint.mask(paint.voronoi(where, 190.0), 0.15, 0.3), 0.6)
    color = paint.shade(color, paint.mask(paint.voronoi(where, 55.0, "DISTANCE_TO_EDGE"), 0.02, 0.06), 0.5)
    paint.surface.inputs["Roughness"].default_value = 0.6
    return paint.finish(color)


def leaf(name: str, colors: Sequence[Color], vein: Color) -> bpy.types.Material:
    """Leaves by their UV: u along the midrib in [0, 1], v across in [-1, 1]."""
    paint = Paint(name)
    where = paint.place()
    uv = paint.nodes.new("ShaderNodeSeparateXYZ")
    paint.link(paint.nodes.new("ShaderNodeTexCoord").outputs["UV"], uv.inputs[0])
    across = paint.math("ABSOLUTE", uv.outputs[1])
    blotch = paint.math("MULTIPLY_ADD", paint.tone(), 0.2, paint.noise(where, 24.0, 5.0, 0.6))
    color = paint.ramp(blotch, colors, 0.35, 0.85)
    slanted = paint.math("MULTIPLY_ADD", across, -0.16, uv.outputs[0])
    wander = paint.math("MULTIPLY_ADD", paint.noise(where, 12.0, 2.0), 0.05, slanted)
    side = paint.math("PINGPONG", paint.math("MULTIPLY", wander, 11.0), 0.5)
    color = paint.mix(paint.math("MULTIPLY", paint.mask(side, 0.07, 0.02), 0.75), color, vein)
    color = paint.mix(paint.math("MULTIPLY", paint.mask(across, 0.055, 0.02), 0.9), color, vein)
    color = paint.mix(paint.mask(paint.voronoi(where, 70.0), 0.22, 0.16), color, (0.30, 0.27, 0.07))
    color = paint.shade(color, paint.noise(where, 130.0, 3.0), 0.55)
    paint.surface.inputs["Roughness"].default_value = 0.6
    return paint.finish(color)


def cover(name: str, ground: Color, ink: Color, gold: Color, scale: float) -> bpy.types.Material:
    """A marbled book cover: combed ink over a coloured ground, with gold flecks and worn cloth."""
    paint = Paint(name)
    where = paint.place()
    comb = paint.noise(where, scale, 3.0, 3.5)
    color = paint.mix(paint.mask(comb, 0.44, 0.50), ground, ink)
    color = paint.mix(paint.mask(paint.math("ABSOLUTE", paint.math("SUBTRACT", comb, 0.56)), 0.016, 0.008), color, gold)
    color = paint.mix(paint.mask(paint.voronoi(where, scale * 3.2), 0.2, 0.15), color, gold)
    color = paint.shade(color, paint.noise(where, 55.0, 5.0), 0.5)
    return paint.finish(color, paint.noise(where, 600.0, 1.0), 0.0004)


def paper() -> bpy.types.Material:
    """The edges of a book's pages: fine irregular layers."""
    paint = Paint("paper")
    layers = paint.noise(paint.place((0.06, 0.06, 1.0)), 420.0, 3.0)
    color = paint.ramp(layers, PAGES, 0.35, 0.65)
    return paint.finish(paint.shade(color, paint.noise(paint.place(), 40.0, 4.0), 0.55))


# ---------------------------------------------------------------------------------------------------- shapes


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
    faces = [tuple(int(start) + v for v in face) for shape, start in zip(shapes, starts, strict=False) for face in shape.faces]
    tone = np.concatenate([np.full(len(shape.vertices), value) for shape, value in zip(shapes, tones, strict=True)])
    uvs = [shape.uv for shape in shapes if shape.uv is not None]
    return Shape(np.concatenate([shape.vertices for shape in shapes]), faces, tone, np.concatenate(uvs) if uvs else None)


def add(name: str, shape: Shape, material: bpy.types.Material, at: Sequence[float] = (0, 0, 0), turn: float = 0.0,
        smooth: bool = True) -> bpy.types.Object:  # fmt: skip
    """Put a shape into the scene at `at`, turned by `turn` degrees about z."""
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
    item.rotation_euler.z = np.radians(turn)
    bpy.context.scene.collection.objects.link(item)
    return item


def bumps(vertices: Array, scale: float, octaves: int = 4, offset: float = 0.0) -> Array:
    """(N,) smooth noise in about [-1, 1] at `vertices` × `scale`."""
    return np.array([noise.fractal(Vector(v) * scale + Vector((offset, -offset, 2 * offset)), 1.0, 2.0, octaves) for v in vertices])


def grid(u: Array, v: Array, closed: bool = False) -> list[tuple[int, ...]]:
    """Quads of a len(u) × len(v) lattice of vertices (v runs fastest); `closed` joins the last v to the first."""
    rows, columns = len(u), len(v)
    last = columns if closed else columns - 1
    return [(i * columns + j, i * columns + (j + 1) % columns, (i + 1) * columns + (j + 1) % columns, (i + 1) * columns + j)
            for i in range(rows - 1) for j in range(last)]  # fmt: skip


def pebble(size: Sequence[float], exponent: float, detail: int, relief: float, scale: float, offset: float) -> Shape:
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


def box(size: Sequence[float], centre: Sequence[float] = (0, 0, 0), bevel: float = 0.002) -> Shape:
    """A box with slightly bevelled edges."""
    block = bmesh.new()
    bmesh.ops.create_cube(block, size=1.0)
    bmesh.ops.scale(block, vec=size, verts=block.verts)
    bmesh.ops.bevel(block, geom=list(block.edges), offset=bevel, segments=2, affect="EDGES", profile=0.5)
    block.verts.index_update()
    shape = Shape(np.array([v.co for v in block.verts]) + centre, [tuple(v.index for v in f.verts) for f in block.faces])
    block.free()
    return shape


def blade(start: Array, heading: float, rise: float, length: float, width: float, droop: float) -> tuple[Shape, Shape]:
    """A broad leaf and its stalk, from `start` (3,) towards `heading` degrees, rising at `rise` degrees and drooping."""
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
    return (Shape(surface.reshape(-1, 3), grid(u, v), uv=uv),
            Shape(tube, grid(stalk, angle, closed=True), uv=np.tile([0.5, 0.4], (len(tube), 1))))  # fmt: skip


# ---------------------------------------------------------------------------------------------------- the still life


def lay_cloth() -> None:
    """The quilt: folds that grow towards its hem, flat where things stand."""
    x, y = (np.linspace(-size / 2, size / 2, int(size * 260)) for size in CLOTH_SIZE)
    plane = np.stack(np.meshgrid(x, y, indexing="ij"), axis=-1).reshape(-1, 2)
    flat = np.concatenate([plane, np.zeros((len(plane), 1))], axis=1)
    outward = np.clip(np.hypot(plane[:, 0] / 0.58, plane[:, 1] / 0.42) - 0.62, 0, 1) ** 1.2
    folds = np.abs(bumps(flat, 5.0, 3, 3.1)) * 0.075 * outward
    hem = np.stack([bumps(flat, 3.0, 2, offset) for offset in (11.0, 23.0)], axis=1) * 0.03
    flat[:, :2] = (plane + hem * outward[:, None]) @ np.array([[0.995, 0.1], [-0.1, 0.995]])
    flat[:, 2] = CLOTH_REST + folds + 0.0015 * bumps(flat, 20.0, 2)
    add("cloth", Shape(flat, grid(x, y)), quilt())


def lay_deck(random: np.random.Generator) -> None:
    """Oak planks along x, and the earth around them."""
    planks = []
    for y in np.arange(-DECK_HALF, DECK_HALF, PLANK_WIDTH + PLANK_GAP):
        cuts = np.sort(random.uniform(-DECK_HALF, DECK_HALF, 2))
        ends = [-DECK_HALF, *cuts, DECK_HALF]
        planks += [box((b - a - PLANK_GAP, PLANK_WIDTH, 0.03), ((a + b) / 2, y, -0.016 + random.uniform(-0.002, 0.001)), 0.003)
                   for a, b in zip(ends, ends[1:], strict=False) if b - a > 0.1]  # fmt: skip
    add("deck", joined(planks, random.uniform(size=len(planks))), oak(), smooth=False)
    side = np.linspace(-6, 6, 240)
    earth = np.stack(np.meshgrid(side, side, [0.0], indexing="ij"), axis=-1).reshape(-1, 3)
    earth[:, 2] = -0.06 + 0.03 * bumps(earth, 2.0, 5)
    add("earth", Shape(earth, grid(side, side)), plain("earth", GROUND, 9.0, 0.6, 0.01))


def build_wall(random: np.random.Generator) -> None:
    """A curved dry-stone wall behind the still life, in courses of stones of uneven size."""
    stones, height = [], -0.05
    while height < WALL_HEIGHT:
        course = random.uniform(0.085, 0.15)
        angle, end = random.uniform(-1, 1, 2) + (-WALL_HALF_ANGLE, WALL_HALF_ANGLE)
        while angle < end - 2:
            span = min(np.degrees(course * random.uniform(1.1, 2.6) / WALL_RADIUS), end - angle)
            length = np.radians(span) * WALL_RADIUS
            size = np.array([length / 2 + 0.004, random.uniform(0.08, 0.11), course / 2 + 0.004])
            stone_shape = pebble(size, random.uniform(4.0, 6.5), 4, 0.022, 9.0, random.uniform(0, 90))
            middle = np.radians(90 - angle - span / 2)
            along, outward = np.array([np.sin(middle), -np.cos(middle), 0]), np.array([np.cos(middle), np.sin(middle), 0])
            radius = WALL_RADIUS + random.uniform(-0.012, 0.025)
            turned_vertices = stone_shape.vertices @ np.stack([along, outward, [0, 0, 1]]) + outward * radius
            lifted = turned_vertices + (0, 0, height + course / 2)
            stones.append(Shape(lifted, stone_shape.faces))
            angle += span
        height += course
    add("wall", joined(stones, random.uniform(size=len(stones))), stone("wall", STONE, 13.0, 0.75))


def stack_books() -> None:
    """Three marbled books, each turned a little, with a pomegranate on top."""
    books = [((0.30, 0.215, 0.052), 12.0, (0.62, 0.44, 0.22), (0.05, 0.11, 0.20), (0.66, 0.42, 0.12), 24.0),
             ((0.262, 0.19, 0.043), -9.0, (0.45, 0.08, 0.06), (0.11, 0.05, 0.06), (0.70, 0.56, 0.28), 31.0),
             ((0.222, 0.156, 0.036), 27.0, (0.60, 0.47, 0.20), (0.10, 0.24, 0.20), (0.58, 0.18, 0.08), 28.0)]  # fmt: skip
    leaves, foot = paper(), CLOTH_REST
    for number, ((length, depth, thick), turn, ground, ink, gold, scale) in enumerate(books):
        board = 0.004
        boards = [box((length, depth, board), (0, 0, z), 0.0012) for z in (board / 2, thick - board / 2)]
        spine = box((board, depth, thick), (-length / 2 + board / 2, 0, thick / 2), 0.0015)
        binding = joined([*boards, spine], np.full(3, 0.13 * number))
        place = (0.245 + 0.012 * number, 0.085 - 0.008 * number, foot)
        add(f"book {number}", binding, cover(f"cover {number}", ground, ink, gold, scale), place, turn, smooth=False)
        pages = box((length - 0.014, depth - 0.014, thick - 2 * board), (0.002, 0, thick / 2), 0.001)
        add(f"pages {number}", joined([pages], np.array([0.3 * number])), leaves, place, turn, smooth=False)
        foot += thick
    fruit = pebble((0.046, 0.046, 0.043), 2.2, 5, 0.004, 22.0, 4.0)
    top = np.exp(-(np.hypot(fruit.vertices[:, 0], fruit.vertices[:, 1]) / 0.011) ** 2) * (fruit.vertices[:, 2] > 0)
    fruit.vertices[:, 2] += 0.014 * top
    add("pomegranate", fruit, plain("pomegranate", POMEGRANATE, 34.0, 0.45, 0.001), (0.285, 0.075, foot + 0.04))


def set_pots(random: np.random.Generator) -> None:
    """The glazed vase with its broad leaves, and a weathered clay pot."""
    vase = [(0.0, 0.0), (0.055, 0.0), (0.066, 0.012), (0.098, 0.09), (0.108, 0.15), (0.092, 0.215), (0.058, 0.262),
            (0.046, 0.29), (0.054, 0.318), (0.062, 0.326), (0.056, 0.322), (0.040, 0.29), (0.03, 0.25), (0.0, 0.24)]  # fmt: skip
    stand = np.array([-0.14, 0.13, CLOTH_REST])
    add("vase", turned(vase), glaze(), stand)
    blades = []
    for index in range(11):
        heading = 137.5 * index + random.uniform(-15, 15)
        start = stand + (0.018 * np.cos(np.radians(heading)), 0.018 * np.sin(np.radians(heading)), 0.27)
        rise = 84 - 3.6 * index + random.uniform(-4, 4)
        blades += blade(start, heading, rise, random.uniform(0.13, 0.19), random.uniform(0.036, 0.05), random.uniform(70, 105))
    add("leaves", joined(blades, np.repeat(random.uniform(size=len(blades) // 2), 2)), leaf("leaf", LEAF, VEIN))
    pot = [(0.0, 0.0), (0.05, 0.0), (0.054, 0.004), (0.066, 0.075), (0.069, 0.082), (0.077, 0.084), (0.080, 0.112),
           (0.074, 0.114), (0.066, 0.112), (0.062, 0.09), (0.0, 0.086)]  # fmt: skip
    add("clay pot", turned(pot), stone("clay", TERRACOTTA, 21.0, 0.55), (-0.385, -0.06, CLOTH_REST + 0.002))


def scatter_fruit_and_rocks() -> None:
    """The foreground: a boulder, a cobble, and oranges."""
    boulder = stone("boulder", BOULDER, 17.0, 0.8)
    rock = pebble((0.105, 0.078, 0.066), 2.6, 6, 0.034, 7.0, 31.0)
    add("boulder", rock, boulder, (0.13, -0.2, 0.062), 20)
    add("cobble", pebble((0.046, 0.036, 0.028), 2.4, 5, 0.012, 14.0, 8.0), boulder, (0.285, -0.2, 0.034), -30)
    orange = plain("orange", CITRUS, 26.0, 0.4, 0.0012)
    for index, (x, y, radius) in enumerate([(-0.16, -0.13, 0.041), (-0.075, -0.185, 0.038), (-0.2, -0.215, 0.036)]):
        ball = pebble((radius, radius, radius * 0.95), 2.1, 5, 0.0022, 30.0, 5.0 * index)
        add(f"orange {index}", joined([ball], np.array([0.37 * index])), orange, (x, y, CLOTH_REST + radius * 0.94), 70 * index)


def strew(random: np.random.Generator) -> None:
    """Fallen leaves and pebbles on the deck around the cloth."""
    blades, pebbles = [], []
    while len(pebbles) < 70:
        x, y = random.uniform(-1.2, 1.2, 2)
        if np.hypot(x, y) > 1.15 or (abs(x) < 0.66 and abs(y) < 0.5):
            continue
        if random.uniform() < 0.4:
            heading, length, width = random.uniform(0, 360), random.uniform(0.045, 0.075), random.uniform(0.016, 0.026)
            blades += blade(np.array([x, y, 0.006]), heading, random.uniform(2, 9), length, width, random.uniform(4, 14))
        size = random.uniform(0.007, 0.021) * np.array([1.0, random.uniform(0.6, 0.95), random.uniform(0.45, 0.7)])
        lump = pebble(size, 2.3, 3, 0.25 * float(size[2]), 60.0, random.uniform(0, 90))
        offset = random.uniform(-0.09, 0.09, 2)
        pebbles.append(Shape(lump.vertices + (x + offset[0], y + offset[1], size[2] * 0.8), lump.faces))
    tones = np.repeat(random.uniform(size=len(blades) // 2), 2)
    add("fallen leaves", joined(blades, tones), leaf("autumn leaf", AUTUMN, AUTUMN_VEIN))
    add("pebbles", joined(pebbles, random.uniform(size=len(pebbles))), stone("pebble", STONE, 45.0, 0.3))


def light() -> None:
    """A late-morning sun from the left of the photographer, under a soft, slightly blue sky."""
    sun = bpy.data.lights.new("sun", "SUN")
    sun.energy, sun.angle, sun.color = 4.9, np.radians(6.0), (1.0, 0.89, 0.73)
    lamp = bpy.data.objects.new("sun", sun)
    lamp.rotation_euler = (np.radians(42), 0, np.radians(-38))
    bpy.context.scene.collection.objects.link(lamp)
    world = bpy.data.worlds.new("sky")
    world.use_nodes = True
    world.node_tree.nodes["Background"].inputs["Color"].default_value = (0.70, 0.80, 0.98, 1.0)
    world.node_tree.nodes["Background"].inputs["Strength"].default_value = 1.0
    bpy.context.scene.world = world


def build() -> bpy.types.Scene:
    """Empty Blender's file, model and light the still life; returns the scene (no camera yet)."""
    bpy.ops.wm.read_factory_settings(use_empty=True)
    random = np.random.default_rng(SEED)
    lay_cloth()
    lay_deck(random)
    build_wall(random)
    stack_books()
    set_pots(random)
    scatter_fruit_and_rocks()
    strew(random)
    light()
    return bpy.context.scene
