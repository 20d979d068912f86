"""[B] The modifier that shows splats: as quads for the scene's camera, or as points for other views.

The projection of a Gaussian is that of Zwicker et al. 2001, "EWA volume splatting", as in 3DGS: the covariance goes
through the projection's derivative at the mean, gets 0.3 square pixels of low-pass, and is cut off where the opacity
falls below 1/255. Each Gaussian becomes a quad in the plane through its mean that is parallel to the picture, along the
axes of its ellipse. So the material needs only the place within the quad (`scene/splats/look.py`), and a quad covers
little more than what is visible of its Gaussian.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import bpy

from ...model import spherical_harmonics
from ...model.splat_rendering import ALPHA_LEAST, LOW_PASS
from ..look import shared_modifier
from ..node_fields import Field, Formulas
from . import view_values

NODES_VERSION = 1  # raise it when the nodes below change, so that old files keep their look
# The attributes of splats, as Blender 5.3 names them.
SCALE, ROTATION, BASE, HARMONICS = "scale", "rotation", "radiance:base", "radiance:sh_{}"
COUNT_HARMONICS = (spherical_harmonics.MAX_DEGREE + 1) ** 2 - 1
# Attributes that the materials read: a colour with opacity, and the place in the quad, 1 at the cut-off.
COLOR, PLACE = "splat_color", "splat_place"
MATRIX = "splat_matrix"  # of a quad, used within the tree alone

# Of the view's size, from its middle. Gaussians with a mean further out get the derivative at this place, as in 3DGS.
FURTHEST = 0.65

# Inputs of the modifier.
OPACITY, SIZE, DEGREE, VIEWPORT_POINTS = "Opacity Threshold", "Scale", "SH Degree", "Points in Viewport"
POINT_SIZE, CROP, CROP_BOX = "Point Size", "Crop", "Crop Box"
MATERIAL, POINT_MATERIAL = "Material", "Point Material"


def node_group(from_mesh: bool) -> bpy.types.NodeTree:
    """The modifier's node group, which all splats in the .blend share."""
    kind = f"splats from {'mesh' if from_mesh else 'points'} {NODES_VERSION}"
    return shared_modifier("3R Splats", kind, partial(_fill, from_mesh))


def _fill(from_mesh: bool, tree: bpy.types.NodeTree) -> None:
    _interface(tree.interface)
    _Splats(tree).build(from_mesh)
    _arrange(tree)


def _interface(interface: Any) -> None:
    """Adds the inputs and the output of the modifier to the `interface` of a new node group."""
    interface.new_socket("Geometry", in_out="OUTPUT", socket_type="NodeSocketGeometry")

    def add(name: str, kind: str, description: str = "", **values: Any) -> None:
        socket = interface.new_socket(name, in_out="INPUT", socket_type=f"NodeSocket{kind}")
        socket.description = description
        for key, value in values.items():
            setattr(socket, key, value)

    unit = {"min_value": 0.0, "max_value": 1.0}
    add("Geometry", "Geometry")
    add(OPACITY, "Float", "Splats that are less opaque than this are hidden", default_value=0.0, **unit)
    add(SIZE, "Float", "Size of the splats; 1 is as they were made", default_value=1.0, min_value=0.0, max_value=10.0)
    degree = spherical_harmonics.MAX_DEGREE
    text = "Up to which degree colors change with the direction; 0 shows one color from everywhere"
    add(DEGREE, "Int", text, default_value=degree, min_value=0, max_value=degree)
    text = (
        "Show points in viewports, right from every side and fast. Off: splats as the scene's camera sees them, "
        "right only through it"
    )
    add(VIEWPORT_POINTS, "Bool", text, default_value=True)
    add(POINT_SIZE, "Float", "Size of these points", default_value=1.0, min_value=0.0, max_value=10.0)
    add(CROP, "Bool", "Hide splats outside of the crop box", default_value=False)
    add(CROP_BOX, "Object", "An object, like an empty cube, whose cube from -1 to 1 keeps its splats")
    add(MATERIAL, "Material", f"Material of the splats; it finds their colors in the attribute '{COLOR}'")
    add(POINT_MATERIAL, "Material", "Material of the points")


class _Splats(Formulas):
    """The parts of the node tree. Its fields have a value for each splat."""

    def __init__(self, tree: bpy.types.NodeTree) -> None:
        super().__init__(tree)
        given = self.node("NodeGroupInput")
        self.given = {socket.name: socket for socket in given.outputs}
        base = self.attribute(BASE, "FLOAT_COLOR")
        red, green, blue, self.opacity = self.outputs("FunctionNodeSeparateColor", base)
        self.base = self.vector(red, green, blue)
        self.position = self.value("GeometryNodeInputPosition")
        self.scale = self.attribute(SCALE, "FLOAT_VECTOR") * self.number(SIZE)

    def build(self, from_mesh: bool) -> None:
        """Makes all nodes from the group's input to its output."""
        result = self.node("NodeGroupOutput")
        points = self.given["Geometry"]
        if from_mesh:
            points = self.value("GeometryNodeMeshToPoints", points)
        visible = self.delete(points, self.hidden())
        as_points = self.value("GeometryNodeIsViewport")
        as_points = self.value("FunctionNodeBooleanMath", as_points, self.given[VIEWPORT_POINTS], operation="AND")
        drawn = self.value(
            "GeometryNodeSwitch", as_points, self.quads(visible), self.points(visible), input_type="GEOMETRY"
        )
        self.give(result.inputs["Geometry"], drawn)

    def number(self, name: str) -> Field:
        """An input of the group."""
        return Field(self, self.given[name])

    def attribute(self, name: str, kind: str) -> Any:
        """A named attribute."""
        return self.value("GeometryNodeInputNamedAttribute", name, data_type=kind)

    def store(self, geometry: Any, name: str, value: Any, kind: str) -> Any:
        """`geometry` with another named point attribute."""
        return self.value(
            "GeometryNodeStoreNamedAttribute", geometry, None, name, value, data_type=kind, domain="POINT"
        )

    def delete(self, geometry: Any, selection: Any) -> Any:
        """`geometry` without the selected points."""
        return self.value("GeometryNodeDeleteGeometry", geometry, selection, domain="POINT")

    def compare(self, first: Any, operation: str, second: Any) -> Any:
        """A Boolean of two numbers."""
        return self.value("FunctionNodeCompare", first, second, operation=operation, data_type="FLOAT")

    def hidden(self) -> Any:
        """A selection: splats outside of the crop box, or fainter than the threshold or than 1/255."""
        box = self.outputs("GeometryNodeObjectInfo", self.given[CROP_BOX], transform_space="RELATIVE")[0]
        inside = self.value("FunctionNodeTransformPoint", self.position, self.value("FunctionNodeInvertMatrix", box))
        furthest = self.value("ShaderNodeVectorMath", inside, operation="ABSOLUTE")
        x, y, z = furthest.xyz()
        furthest = self.calculate("MAXIMUM", self.calculate("MAXIMUM", x, y), z)
        outside = self.compare(furthest, "GREATER_THAN", 1.0)
        outside = self.value("FunctionNodeBooleanMath", outside, self.given[CROP], operation="AND")
        least = self.calculate("MAXIMUM", self.number(OPACITY), ALPHA_LEAST)
        faint = self.compare(self.opacity, "LESS_THAN", least)
        return self.value("FunctionNodeBooleanMath", outside, faint, operation="OR")

    def color(self, direction: Field) -> Any:
        """The display colour of a splat seen along `direction`, a unit vector from the camera in the object's axes."""
        x, y, z = direction.xyz()
        functions = spherical_harmonics.basis(x, y, z, spherical_harmonics.MAX_DEGREE)
        color = self.base * functions[0] + (0.5, 0.5, 0.5)
        degrees = [self.compare(self.number(DEGREE), "GREATER_EQUAL", float(d)) for d in range(4)]
        for index, function in enumerate(functions[1:]):
            used = degrees[int((index + 1) ** 0.5)]
            weight = self.calculate("MULTIPLY", function, used)
            color = color + self.attribute(HARMONICS.format(index), "FLOAT_VECTOR") * weight
        return self.calculate("MAXIMUM", color, (0.0, 0.0, 0.0))

    def colored(self, geometry: Any, color: Any, opacity: Any) -> Any:
        """`geometry` with the attribute COLOR, which the materials read."""
        rgba = self.value("FunctionNodeCombineColor", *color.xyz(), opacity)
        return self.store(geometry, COLOR, rgba, "FLOAT_COLOR")

    def stripped(self, geometry: Any, *names: str) -> Any:
        """`geometry` without these attributes."""
        for name in names:
            remove = self.node("GeometryNodeRemoveAttribute")  # its inputs' order differs between Blenders
            self.give(remove.inputs["Geometry"], geometry)
            self.give(remove.inputs["Name"], name)
            geometry = remove.outputs["Geometry"]
        return geometry

    def points(self, points: Any) -> Any:
        """Opaque points with the mean of their splats' scales as radius, in the colour without direction."""
        x, y, z = self.scale.xyz()
        radius = (x + y + z) * (1 / 3) * self.number(POINT_SIZE)
        color = self.calculate("MAXIMUM", self.base * spherical_harmonics.C0 + (0.5, 0.5, 0.5), (0.0, 0.0, 0.0))
        points = self.value("GeometryNodeSetPointRadius", self.colored(points, color, 1.0), None, radius)
        return self.value("GeometryNodeSetMaterial", points, None, self.given[POINT_MATERIAL])

    def quads(self, points: Any) -> Any:
        """Quads for the scene's camera, the furthest first, since EEVEE blends the faces of a mesh in their order."""
        camera = self.value("GeometryNodeInputActiveCamera")
        object_from_camera, centre, *_ = self.outputs("GeometryNodeObjectInfo", camera, transform_space="RELATIVE")
        world_scale = self.outputs("GeometryNodeObjectInfo", camera, transform_space="ORIGINAL")[3]
        view = view_values.fields(self)
        camera_from_object = self.value("FunctionNodeInvertMatrix", object_from_camera)
        mean = self.value("FunctionNodeTransformPoint", self.position, camera_from_object)
        depth = -mean.xyz()[2]
        camera_unit = world_scale.xyz()[2]  # Blender's cameras see as if they were not scaled

        points = self.delete(points, self.compare(depth * camera_unit, "LESS_EQUAL", view["Near"]))
        direction = self.value("ShaderNodeVectorMath", self.position - centre, operation="NORMALIZE")
        points = self.colored(points, self.color(direction), self.opacity)
        quad = self.quad(mean, depth, camera_unit, object_from_camera, view)
        points = self.store(points, MATRIX, quad, "FLOAT4X4")
        harmonics = [HARMONICS.format(index) for index in range(COUNT_HARMONICS)]
        points = self.stripped(points, SCALE, ROTATION, BASE, *harmonics)
        points = self.value("GeometryNodeSortElements", points, None, None, -depth, domain="POINT")
        square = self.value("GeometryNodeMeshGrid", 2.0, 2.0, 2, 2)  # sides of 2, corners at ±1
        square = self.store(square, PLACE, self.position, "FLOAT_VECTOR")  # here, the position of each corner
        quads = self.value("GeometryNodeInstanceOnPoints", points, None, square)
        quads = self.value("GeometryNodeSetInstanceTransform", quads, None, self.attribute(MATRIX, "FLOAT4X4"))
        mesh = self.value("GeometryNodeRealizeInstances", self.stripped(quads, MATRIX))
        return self.value("GeometryNodeSetMaterial", mesh, None, self.given[MATERIAL])

    def quad(
        self, mean: Field, depth: Field, camera_unit: Field, object_from_camera: Field, view: dict[str, Field]
    ) -> Any:
        """The matrix of a splat's quad, whose corners are at ±1. Its columns are the axes of the ellipse and the mean.

        `mean` is in the camera's axes, and `depth` is its depth there. `camera_unit` is the length in Blender's world
        of one unit of these axes. `view` is from `view_values`.
        """
        x, y, _ = mean.xyz()
        flat = view["Orthographic"]  # 1 or 0
        magnification = (1.0 - flat) / depth + flat * camera_unit  # of lengths at the splat, in the picture at depth 1
        slant_x = self.within(x / depth, view["Middle X"], view["Width"]) * (1.0 - flat)
        slant_y = self.within(y / depth, view["Middle Y"], view["Height"]) * (1.0 - flat)
        # The rows of the projection's derivative, times the square root of the covariance. Rows change axes by the
        # inverse transposed, which differs from the matrix itself where the object is scaled.
        rotation = self.value("FunctionNodeTransposeMatrix", self.value("FunctionNodeInvertMatrix", object_from_camera))
        first = self.times_covariance_root(self.vector(1.0, 0.0, slant_x) * magnification, rotation)
        second = self.times_covariance_root(self.vector(0.0, 1.0, slant_y) * magnification, rotation)
        blur = view["Width"] * view["Height"] / view["Pixels"] * LOW_PASS
        xx, xy, yy = self.dot(first, first) + blur, self.dot(first, second), self.dot(second, second) + blur
        # det (A Aᵀ + b I) without cancellation: det A Aᵀ is (a₁ × a₂)², and xx and yy have b in them already.
        crossed = self.value("ShaderNodeVectorMath", first, second, operation="CROSS_PRODUCT")
        determinant = self.dot(crossed, crossed) + blur * (xx + yy) - blur * blur
        half = (xx - yy) * 0.5
        long = (xx + yy) * 0.5 + self.root(half * half + xy * xy)
        short = determinant / long
        angle = self.calculate("ARCTAN2", xy, half) * 0.5
        cosine, sine = self.calculate("COSINE", angle), self.calculate("SINE", angle)
        # The r at which opacity · exp(-r² / 2) falls below 1/255, then in lengths at the splat.
        log_contrast = self.calculate("LOGARITHM", self.opacity * (1 / ALPHA_LEAST), 2.718281828459045)
        cut = self.root(log_contrast * 2.0) / magnification
        columns = [
            self.vector(cosine, sine, 0.0) * (self.root(long) * cut),
            self.vector(-sine, cosine, 0.0) * (self.root(short) * cut),
            self.vector(0.0, 0.0, self.root(short) * cut),  # moves no corner: the quad is flat
        ]
        columns = [self.value("FunctionNodeTransformDirection", column, object_from_camera) for column in columns]
        numbers: list[Any] = []
        for column, last in zip([*columns, self.position], (0.0, 0.0, 0.0, 1.0), strict=True):
            numbers += [*column.xyz(), last]
        return self.value("FunctionNodeCombineMatrix", *numbers)

    def within(self, slope: Field, middle: Field, size: Field) -> Any:
        """`slope`, clamped to FURTHEST times the view's `size` from its `middle`."""
        least, most = middle - size * FURTHEST, middle + size * FURTHEST
        return self.calculate("MINIMUM", self.calculate("MAXIMUM", slope, least), most)

    def times_covariance_root(self, row: Field, rotation: Field) -> Any:
        """A row vector in the camera's axes, times the square root of a splat's covariance: in the splat's own axes.

        `rotation` takes the camera's axes to the object's.
        """
        local = self.value("FunctionNodeTransformDirection", row, rotation)
        back = self.value("FunctionNodeInvertRotation", self.attribute(ROTATION, "QUATERNION"))
        return self.value("FunctionNodeRotateVector", local, back) * self.scale


def _arrange(tree: bpy.types.NodeTree) -> None:
    """Puts the nodes into columns, each node right of those that it needs, for those who open the editor."""
    needs: dict[str, list[str]] = {node.name: [] for node in tree.nodes}
    for link in tree.links:
        needs[link.to_node.name].append(link.from_node.name)
    columns: dict[str, int] = {}
    heights: dict[int, int] = {}

    def column(name: str) -> int:
        if name not in columns:
            columns[name] = 1 + max((column(other) for other in needs[name]), default=-1)
        return columns[name]

    for node in tree.nodes:
        number = column(node.name)
        node.location = (220 * number, -60 * heights.get(number, 0))
        heights[number] = heights.get(number, 0) + 1
