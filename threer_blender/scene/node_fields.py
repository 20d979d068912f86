"""[B] Node trees written as formulas, in geometry and in shader nodes: sockets can be added and multiplied."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import bpy

Operand = Any  # Field, float or tuple of three floats
OPERATIONS = ("ADD", "SUBTRACT", "MULTIPLY", "DIVIDE")  # as the nodes call them


def _operation(name: str) -> Callable[[Field, Operand], Any]:
    """A method of Field: the operation with the Field as its left operand."""
    return lambda field, other: field.tree.calculate(name, field, other)


def _reflected(name: str) -> Callable[[Field, Operand], Any]:
    """A method of Field: the operation with the Field as its right operand."""
    return lambda field, other: field.tree.calculate(name, other, field)


class Field:
    """The value of a socket, a number or a vector by the socket's type. Each operation adds a node.

    A vector times a number is scaled. A vector times a vector is multiplied component by component.
    """

    def __init__(self, tree: Formulas, socket: bpy.types.NodeSocket) -> None:
        self.tree, self.socket = tree, socket

    @property
    def is_vector(self) -> bool:
        """Whether it has three components."""
        return bool(self.socket.type == "VECTOR")

    __add__, __sub__, __mul__, __truediv__ = map(_operation, OPERATIONS)
    __radd__, __rsub__, __rmul__, __rtruediv__ = map(_reflected, OPERATIONS)

    def __neg__(self) -> Any:
        return self * -1.0

    def xyz(self) -> list[Field]:
        """The components of a vector."""
        return self.tree.outputs("ShaderNodeSeparateXYZ", self)


class Formulas:
    """A node tree under construction."""

    def __init__(self, tree: bpy.types.NodeTree) -> None:
        self.tree = tree

    def node(self, kind: str, **settings: Any) -> Any:
        """A new node of the type `kind`, with these values of its properties."""
        node = self.tree.nodes.new(kind)
        for name, value in settings.items():
            setattr(node, name, value)
        return node

    def give(self, socket: bpy.types.NodeSocket, value: Any) -> None:
        """Links `value` to an input where it is a Field or a socket; else sets it as the input's default value."""
        if isinstance(value, Field | bpy.types.NodeSocket):
            self.tree.links.new(value.socket if isinstance(value, Field) else value, socket)
        else:
            socket.default_value = value

    def outputs(self, kind: str, *inputs: Any, **settings: Any) -> list[Field]:
        """The visible outputs of a new node. Its visible inputs get `inputs` in their order; None skips one."""
        node = self.node(kind, **settings)
        visible = [socket for socket in node.inputs if socket.enabled]
        for socket, value in zip(visible, inputs, strict=False):
            if value is not None:
                self.give(socket, value)
        return [Field(self, socket) for socket in node.outputs if socket.enabled]

    def value(self, kind: str, *inputs: Any, **settings: Any) -> Any:
        """The first visible output of a new node, for arguments see `outputs`."""
        return self.outputs(kind, *inputs, **settings)[0]

    def calculate(self, operation: str, *operands: Operand) -> Any:
        """The output of a new Math node, or of a Vector Math node where an operand is a vector."""
        vectors = [isinstance(o, tuple) or (isinstance(o, Field) and o.is_vector) for o in operands]
        if not any(vectors):
            return self.value("ShaderNodeMath", *operands, operation=operation)
        if operation == "MULTIPLY" and not all(vectors):
            vector, number = operands if vectors[0] else operands[::-1]
            return self.value("ShaderNodeVectorMath", vector, number, operation="SCALE")
        return self.value("ShaderNodeVectorMath", *operands, operation=operation)

    def dot(self, first: Operand, second: Operand) -> Any:
        """The dot product of two vectors."""
        return self.value("ShaderNodeVectorMath", first, second, operation="DOT_PRODUCT")

    def root(self, value: Operand) -> Any:
        """The square root of a number."""
        return self.calculate("SQRT", value)

    def vector(self, x: Operand, y: Operand, z: Operand) -> Any:
        """A vector of three numbers."""
        return self.value("ShaderNodeCombineXYZ", x, y, z)
