"""[B] Field of view and pixels of the scene's camera, as values that drivers set: node trees cannot ask for them.

The drivers read the scene that is being evaluated, so one tree serves all scenes. They are simple expressions, which
Blender evaluates even where scripts may not run. Such expressions have at most 255 characters.
"""

from __future__ import annotations

from typing import Any

from ..node_fields import Field, Formulas

# Variables of the expressions below -> their data paths in the scene.
VARIABLES = {
    "ortho": "camera.data.type",
    "lens": "camera.data.lens",
    "span": "camera.data.ortho_scale",
    "wide": "camera.data.sensor_width",
    "high": "camera.data.sensor_height",
    "fit": "camera.data.sensor_fit",
    "x": "render.resolution_x",
    "y": "render.resolution_y",
    "ax": "render.pixel_aspect_x",
    "ay": "render.pixel_aspect_y",
    "part": "render.resolution_percentage",
    "sx": "camera.data.shift_x",
    "sy": "camera.data.shift_y",
    "near": "camera.data.clip_start",
}
# Numbers of Blender's enumerations: camera types PERSP 0, ORTHO 1; sensor fits AUTO 0, HORIZONTAL 1, VERTICAL 2.
ACROSS = "(fit == 1 or (fit == 0 and x * ax >= y * ay))"  # the sensor's size lies along the picture's width
SIZE = "(span if ortho == 1 else (high if fit == 2 else wide) / lens)"  # the view's size along that side, at depth 1
WIDTH = f"({SIZE} if {ACROSS} else {SIZE} * x * ax / (y * ay))"
HEIGHT = f"({SIZE} * y * ay / (x * ax) if {ACROSS} else {SIZE})"
EXPRESSIONS = {
    "Width": WIDTH,
    "Height": HEIGHT,
    "Middle X": f"sx * {SIZE}",
    "Middle Y": f"sy * {SIZE}",
    "Pixels": "x * y * part * part / 10000",
    "Orthographic": "ortho == 1",
    "Near": "near",
}


def fields(formulas: Formulas) -> dict[str, Field]:
    """The value of each of EXPRESSIONS, by name.

    These are the view's width, height and middle at depth 1, the number of its pixels, whether it is orthographic
    (0 or 1), and the distance of its near clipping plane.
    """
    fields = {}
    for name, expression in EXPRESSIONS.items():
        node = formulas.node("ShaderNodeValue", name=name, label=name)
        _drive(node.outputs[0], expression)
        fields[name] = Field(formulas, node.outputs[0])
    return fields


def _drive(socket: Any, expression: str) -> None:
    """Gives a socket's value a driver with this expression of VARIABLES."""
    driver = socket.driver_add("default_value").driver
    driver.type = "SCRIPTED"
    for name, path in VARIABLES.items():
        variable = driver.variables.new()
        variable.name = name
        variable.type = "CONTEXT_PROP"
        variable.targets[0].context_property = "ACTIVE_SCENE"
        variable.targets[0].data_path = path
    driver.expression = expression
