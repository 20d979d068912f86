"""[B] The matte paints of the sample photos' still life, as Blender materials. Imports bpy only.

Paint follows object coordinates, so nothing needs an unwrapped texture and no patch repeats. A mesh whose parts carry a
`tone` (see sample_shapes.py) shows each part in its own shade and with its own piece of the pattern.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import bpy

Color = tuple[float, float, float]

# Linear colours, dark to light where they are ramps.
QUILT = [
    (0.42, 0.09, 0.05),
    (0.62, 0.36, 0.08),
    (0.05, 0.20, 0.22),
    (0.70, 0.60, 0.43),
    (0.08, 0.11, 0.25),
    (0.58, 0.22, 0.12),
    (0.22, 0.30, 0.14),
    (0.66, 0.48, 0.26),
]
OAK = [(0.13, 0.08, 0.045), (0.27, 0.18, 0.11), (0.44, 0.32, 0.21), (0.58, 0.46, 0.33)]
STONE = [(0.21, 0.155, 0.105), (0.38, 0.30, 0.21), (0.56, 0.46, 0.335), (0.70, 0.60, 0.46)]
BOULDER = [(0.16, 0.155, 0.15), (0.28, 0.27, 0.26), (0.42, 0.40, 0.37), (0.58, 0.55, 0.50)]
LICHEN: Color = (0.42, 0.40, 0.12)
LICHEN_PALE: Color = (0.46, 0.47, 0.36)
GROUND = [(0.07, 0.055, 0.035), (0.13, 0.11, 0.06), (0.20, 0.19, 0.09), (0.33, 0.29, 0.19)]
TERRACOTTA = [(0.28, 0.085, 0.04), (0.44, 0.15, 0.075), (0.56, 0.23, 0.12), (0.68, 0.42, 0.28)]
GLAZE = [(0.03, 0.07, 0.17), (0.05, 0.16, 0.30), (0.16, 0.34, 0.42), (0.62, 0.60, 0.50), (0.72, 0.68, 0.58)]
PETALS = [(0.60, 0.24, 0.08), (0.66, 0.52, 0.22), (0.06, 0.14, 0.28)]
LEAF = [(0.035, 0.085, 0.022), (0.07, 0.16, 0.035), (0.13, 0.25, 0.055), (0.24, 0.36, 0.10)]
VEIN: Color = (0.38, 0.46, 0.17)
AUTUMN = [(0.20, 0.07, 0.02), (0.40, 0.15, 0.03), (0.56, 0.29, 0.06), (0.46, 0.38, 0.12)]
AUTUMN_VEIN: Color = (0.62, 0.46, 0.22)
CITRUS = [(0.60, 0.20, 0.02), (0.74, 0.32, 0.03), (0.80, 0.42, 0.06)]
POMEGRANATE = [(0.24, 0.03, 0.03), (0.42, 0.06, 0.045), (0.60, 0.20, 0.08), (0.66, 0.38, 0.16)]
PAGES = [(0.46, 0.38, 0.26), (0.62, 0.54, 0.40), (0.74, 0.67, 0.53)]


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
        self._feed(
            [node.inputs[name] for name in ("Vector", "Scale", "Detail", "Distortion")],
            (where, scale, detail, distortion),
        )
        return node.outputs[0]

    def voronoi(self, where: Any, scale: float, feature: str = "F1", output: str = "Distance") -> Any:
        node = self.nodes.new("ShaderNodeTexVoronoi")
        node.feature = feature
        self._feed([node.inputs["Vector"], node.inputs["Scale"]], (where, scale))
        return node.outputs[output]

    def ramp(
        self, factor: Any, colors: Sequence[Color], low: float = 0.3, high: float = 0.7, steps: bool = False
    ) -> Any:
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
    lot_a, lot_b = (paint.math("FRACT", paint.math("MULTIPLY", patch, factor)) for factor in (7.3, 3.7))
    flowered = paint.math("MULTIPLY", print_a, paint.mask(lot_a, 0.45, 0.5))
    marbled = paint.math("MULTIPLY", print_b, paint.mask(lot_b, 0.55, 0.6))
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


def stone(name: str, colors: Sequence[Color], scale: float, lichen: float, tint: Color) -> bpy.types.Material:
    """Mottled stone with crusts of `tint`ed lichen, which hide it by the share `lichen`."""
    paint = Paint(name)
    where = paint.place()
    color = mottle(paint, where, colors, scale, 0.6)
    crust = paint.math("MULTIPLY", paint.mask(paint.noise(where, scale * 0.8, 6.0), 0.56, 0.60), lichen)
    color = paint.mix(crust, color, paint.shade(tint, paint.noise(where, scale * 12, 2.0)))
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
    drip = paint.vector("SCALE", paint.noise(where, 16.0, 3.0), scale=0.12)
    paint.link(paint.vector("ADD", where, drip), height.inputs[0])
    bands = paint.math("FRACT", paint.math("MULTIPLY", height.outputs[2], 3.1))
    color = paint.ramp(bands, [GLAZE[4], GLAZE[3], GLAZE[1], GLAZE[0], GLAZE[2], GLAZE[4]], 0.0, 1.0)
    blossom = paint.mask(paint.voronoi(where, 24.0), 0.40, 0.34)
    petals = paint.ramp(paint.voronoi(where, 24.0, output="Color"), PETALS, 0.0, 1.0, steps=True)
    color = paint.mix(paint.math("MULTIPLY", blossom, 0.85), color, petals)
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
