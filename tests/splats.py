"""Gaussians for tests: random ones, their covariances and colours, decoders for splat files, where files are."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests import real_data
from threer_blender.model import spherical_harmonics
from threer_blender.model.arrays import Array
from threer_blender.model.reconstruction import Gaussians
from threer_blender.splat_files import Codecs

DATA = real_data.FOLDER / "splats"
SCENE = Path(__file__).parent / "data" / "splats"  # one scene in every format, see its README


def random_gaussians(count: int, degree: int = 3, seed: int = 0) -> Any:
    """Ellipsoids around the origin, all kinds of colours."""
    rng = np.random.default_rng(seed)
    rotations = rng.normal(size=(count, 4))
    arrays = (
        rng.normal(size=(count, 3)) * 0.5,
        np.exp(rng.uniform(np.log(0.015), np.log(0.12), (count, 3))),
        rotations / np.linalg.norm(rotations, axis=1, keepdims=True),
        rng.uniform(0.02, 0.98, count),
        rng.normal(size=(count, (degree + 1) ** 2, 3)) * 0.3,
    )
    return Gaussians(*(array.astype(np.float32) for array in arrays))


def matrices(rotations: Array) -> Any:
    """(N, 3, 3) rotation matrices of unit quaternions wxyz (N, 4)."""
    w, x, y, z = np.asarray(rotations, np.float64).T
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
        [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
        [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
    ]
    return np.moveaxis(np.array(rows), -1, 0)


def covariances(gaussians: Gaussians) -> Any:
    """(N, 3, 3) the covariances of the Gaussians."""
    axes = matrices(gaussians.rotations) * np.asarray(gaussians.scales, np.float64)[:, None]
    return axes @ axes.swapaxes(1, 2)


def colors(sh: Any, directions: Array) -> Any:
    """(N, 3) colours of coefficients (N, K, 3) in unit `directions` (N, 3) from the camera to each Gaussian."""
    x, y, z = directions.T
    functions = spherical_harmonics.basis(x, y, z, spherical_harmonics.degree_of(sh))
    weights = np.stack([np.broadcast_to(function, len(sh)) for function in functions], axis=1)
    return np.maximum(0.5 + (weights[..., None] * sh).sum(axis=1), 0)


def codecs() -> Any:
    """Decoders for tests outside Blender."""
    image = pytest.importorskip("PIL.Image")
    zstandard = pytest.importorskip("zstandard")
    return Codecs(
        webp=lambda data: np.asarray(image.open(io.BytesIO(data)).convert("RGBA")),
        zstd=lambda data, size: zstandard.ZstdDecompressor().stream_reader(data).read(size),
    )


def assert_same(first: Any, second: Any, tolerance: float = 1e-5, opacity_tolerance: float = 0.0) -> None:
    """Two sets hold the same Gaussians in the same order; a quaternion and its negative are the same rotation."""
    dots = np.abs((first.rotations * second.rotations).sum(axis=1))
    np.testing.assert_allclose(first.means, second.means, atol=tolerance)
    np.testing.assert_allclose(first.scales, second.scales, rtol=max(tolerance, 1e-5))
    np.testing.assert_allclose(dots, 1, atol=max(tolerance, 1e-5))
    np.testing.assert_allclose(first.opacities, second.opacities, atol=max(tolerance, opacity_tolerance))
    np.testing.assert_allclose(first.sh, second.sh, atol=tolerance)
