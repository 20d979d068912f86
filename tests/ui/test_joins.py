"""The join of two results that was clicked roughly is refined by the points of the surfaces that both show."""

from typing import Any

import bpy
import numpy as np
import pytest

from tests.blender.extension import part
from tests.ui.test_several import FLOOR, both, picks, places  # noqa: F401

pytest_plugins = ["tests.blender.extension"]


@pytest.mark.usefixtures("checkouts_kernels")
def test_the_points_refine_a_join_that_was_clicked_roughly(both: Any) -> None:  # noqa: F811
    reference, result = both
    local = part("scene.picture_points").local(part("scene.several").cloud(reference).data)
    chosen = [int(np.linalg.norm(local - point, axis=1).argmin()) for point in FLOOR]
    corners = places(reference)[chosen]
    normal = np.cross(corners[1] - corners[0], corners[2] - corners[0])
    normal /= np.linalg.norm(normal)
    rough = corners + np.array([[0.06], [-0.05], [0.06]]) * normal
    left = []
    for refined in (False, True):
        pairs = np.stack([rough, places(result)[chosen]], axis=1).reshape(-1, 3)
        bpy.ops.threer.merge_points(reference=reference.name, result=result.name, picks=picks(pairs), refine=refined)
        bpy.context.view_layer.update()
        left.append(np.median(np.abs((places(result) - places(reference)) @ normal)))
    assert left[1] < 0.4 * left[0]
    assert "The join was refined by" in result["threer_compared"]
