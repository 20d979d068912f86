"""[S] Splats as USD text (.usda) with the type ParticleField3DGaussianSplat, which OpenUSD has since 26.03.

Source: OpenUSD's user guide to the schemas of UsdVol. Scales and opacities are plain numbers, quaternions are wxyz, and
the harmonics are those of 3DGS, all of a splat one after the other.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ..model.arrays import Array, FloatArray
from ..model.errors import UserError
from ..model.reconstruction import Gaussians
from ..model.spherical_harmonics import degree_of
from .content import AXES, Y_DOWN, Z_UP, Content

SPLATS = "splats.usda"
ROWS = 4096  # splats that are made into text at once
REACH = 3.0  # standard deviations of a splat that count as its extent
UPSIDE_DOWN = "USD has no world with y down: the file says that y is up, so splats hang upside down in it."


def write(content: Content, folder: Path) -> list[str]:
    """Writes the splats into `folder`. Raises UserError where there are none."""
    gaussians = content.gaussians
    if gaussians is None or not len(gaussians):
        raise UserError("This result has no splats to export.")
    with (folder / SPLATS).open("w", encoding="ascii", newline="\n") as file:
        file.write(_head(content.file_from_ours))
        for line in _attributes(gaussians):
            file.write(line)
        file.write("}\n")
    return [UPSIDE_DOWN] if _has_axes(content.file_from_ours, Y_DOWN) else []


def _has_axes(file_from_ours: FloatArray, axes: str) -> bool:
    """Whether the file's world has these axes, whatever its scale is."""
    rotation = file_from_ours[:3, :3] / np.cbrt(np.linalg.det(file_from_ours[:3, :3]))
    return bool(np.allclose(rotation, AXES[axes], atol=1e-6))


def _head(file_from_ours: FloatArray) -> str:
    """The beginning of the file, up to the splats' attributes."""
    up = "Z" if _has_axes(file_from_ours, Z_UP) else "Y"
    return (
        f'#usda 1.0\n(\n    defaultPrim = "splats"\n    metersPerUnit = 1\n    upAxis = "{up}"\n)\n\n'
        'def ParticleField3DGaussianSplat "splats"\n{\n'
    )


def _attributes(gaussians: Gaussians) -> Iterator[str]:
    """The text of the attributes, in parts."""
    reach = REACH * gaussians.scales.max(axis=1, keepdims=True)
    extent = np.array([(gaussians.means - reach).min(axis=0), (gaussians.means + reach).max(axis=0)])
    yield from _array("float3[] extent", extent)
    yield from _array("point3f[] positions", gaussians.means)
    yield from _array("quatf[] orientations", gaussians.rotations)
    yield from _array("float3[] scales", gaussians.scales)
    yield from _array("float[] opacities", gaussians.opacities[:, None])
    yield f"    uniform int radiance:sphericalHarmonicsDegree = {degree_of(gaussians.sh)}\n"
    yield from _array("float3[] radiance:sphericalHarmonicsCoefficients", gaussians.sh.reshape(-1, 3))


def _array(declaration: str, values: Array) -> Iterator[str]:
    """The text of an attribute with `values` (N, 1 to 4), in parts. Nine digits keep every float32."""
    width = values.shape[1]
    numbers = ", ".join(["%.9g"] * width)
    row = f"({numbers})" if width > 1 else numbers
    yield f"    {declaration} = ["
    for start in range(0, len(values), ROWS):
        part = values[start : start + ROWS]
        yield (", " if start else "") + ", ".join([row] * len(part)) % tuple(part.ravel().tolist())
    yield "]\n"
