"""Depth maps of the mesh's volume are exact, with lenses that distort too."""

from dataclasses import replace

import numpy as np
import pytest

from tests.geometry.meshes.ball import AROUND, off, pointmap
from threer_blender.geometry.meshes.views import depth_view
from threer_blender.model.lens import NO_DISTORTION, Distortion


@pytest.mark.parametrize("lens", [NO_DISTORTION, Distortion("RADIAL", (-0.1, 0.02))])
def test_depth_is_the_worlds(lens: Distortion) -> None:
    camera = replace(AROUND[1], distortion=lens)
    view = depth_view(pointmap(camera), camera)
    assert (view.depth > 0).sum() > 4000
    error = off(view.points())
    assert np.quantile(error, 0.9) < 0.004
    assert error.max() < 0.1  # where neighbouring pixels are on ball and floor
    # The least cosine between ray and normal is 0.2, and a ray with z = 1 is at most 1.5 long.
    assert ((view.facing > 0.19) & (view.facing <= 1.5)).all()


def test_a_smaller_view_sees_the_same() -> None:
    view = depth_view(pointmap(AROUND[0]), AROUND[0]).view
    half = view.scaled(80)
    assert half.size == (80, 60)
    assert np.allclose(half.intrinsics[:2] * 2, view.intrinsics[:2])
    assert view.scaled(9999).size == view.size
