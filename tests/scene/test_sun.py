"""The light's direction, from lit surfaces and from the sky. Where nothing tells it, there is none."""

from typing import Any

import numpy as np
import pytest

from threer_blender.scene import sun


def unit(vectors: Any) -> Any:
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


def degrees(a: Any, b: Any) -> Any:
    return np.degrees(np.arccos(np.clip(a @ b, -1, 1)))


LIGHT = unit(np.array((0.6, -0.3, 0.7)))


def lit(normals: Any, seed: int = 0) -> Any:
    """sRGB of surfaces in the sun and some light from all sides, whose own colours vary."""
    albedo = np.random.default_rng(seed).uniform(0.2, 0.8, (len(normals), 1)) * (0.9, 1.0, 0.8)
    light = 0.2 + 0.8 * np.maximum(0, normals @ LIGHT)[:, None]
    return np.rint(255 * (albedo * light) ** (1 / 2.2)).astype(np.uint8)


def test_lit_surfaces_of_all_sides() -> None:
    normals = unit(np.random.default_rng(1).normal(size=(5000, 3)))
    floor = np.tile((0.0, 0.0, 1.0), (20_000, 1))  # much larger than all else
    everything = np.concatenate([normals[normals[:, 2] > -0.2], floor])
    light = sun.of_surfaces(everything, lit(everything))
    assert light is not None
    assert degrees(light.direction, LIGHT) < 12
    assert "points" in light.by


def test_even_light_and_a_floor_alone_tell_nothing() -> None:
    normals = unit(np.random.default_rng(1).normal(size=(5000, 3)))
    assert sun.of_surfaces(normals, np.full((5000, 3), 120, np.uint8)) is None
    floor = np.tile((0.0, 0.0, 1.0), (500, 1))
    assert sun.of_surfaces(floor, lit(floor)) is None
    assert sun.of_surfaces(normals[:10], lit(normals[:10])) is None


def test_light_from_below_is_no_sun() -> None:
    normals = unit(np.random.default_rng(1).normal(size=(5000, 3)))
    below = lit(normals)
    assert sun.of_surfaces(normals * (1, 1, -1), below) is None


def test_the_sun_in_the_sky_and_not_a_white_wall() -> None:
    directions = unit(np.random.default_rng(2).normal(size=(20_000, 3)))
    colors = np.full((20_000, 3), 0.6)
    colors[degrees(directions, LIGHT) < 8] = 1.0
    colors[degrees(directions, unit(np.array((-1.0, 0.2, -0.1)))) < 20] = 1.0  # lower than the horizon
    light = sun.of_sky(directions, colors)
    assert light is not None
    assert degrees(light.direction, LIGHT) < 2
    assert sun.of_sky(directions, np.full((20_000, 3), 0.6)) is None
    assert sun.of_sky(directions[:0], colors[:0]) is None


def test_a_guess_is_called_one() -> None:
    assert "guess" in sun.from_above().by
    assert np.linalg.norm(sun.from_above().direction) == pytest.approx(1)
