"""[S] A mesh with a texture made from photos. Numpy only."""

from __future__ import annotations

from dataclasses import dataclass

from .arrays import Array

LEAST_FACES, MOST_FACES = 100, 5_000_000  # that a mesh can be asked for
LEAST_TEXTURE, MOST_TEXTURE = 64, 16_384  # texels along a side of the texture


@dataclass(frozen=True)
class TexturedMesh:
    """`vertices` (V, 3) float32 in the reconstruction's world, `faces` (F, 3) int32 with the side that was photographed
    in front, `corners` (F, 3, 2) float32 the place of each face's corners on the texture.

    Places on the texture are in [0, 1], from its top left corner: x right, y down. `texture` is a JPEG file.
    """

    vertices: Array
    faces: Array
    corners: Array
    texture: bytes
