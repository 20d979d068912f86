"""Charts lie on the texture without overlaps, in their true shape."""

import numpy as np
import pytest

from tests.geometry.meshes.ball import depth_views, surface
from threer_blender.geometry.meshes import charts, texture
from threer_blender.geometry.meshes.simplification import simplified, without_small_parts
from threer_blender.model.proxy_mesh import Mesh


@pytest.fixture(scope="module")
def mesh() -> Mesh:
    return without_small_parts(simplified(surface(depth_views()), 3000))


def areas(corners: np.ndarray) -> np.ndarray:  # type: ignore[type-arg]
    b, c = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    return (b[:, 0] * c[:, 1] - b[:, 1] * c[:, 0]) / 2


def test_no_texel_belongs_to_two_faces(mesh: Mesh) -> None:
    layout = charts.laid_out(mesh, 0.004, 2048)
    assert layout.corners.min() >= 0
    assert layout.corners.max() <= layout.side
    covered = len(texture.texels(mesh, layout).numbers)
    assert covered == pytest.approx(np.abs(areas(layout.corners)).sum(), rel=0.01)
    assert covered > 0.4 * layout.side**2


def test_charts_are_seen_from_the_front_and_hardly_stretched(mesh: Mesh) -> None:
    layout = charts.laid_out(mesh, 0.004, 2048)
    flat = areas(layout.corners) * layout.texel**2
    true = np.linalg.norm(charts.face_normals(mesh), axis=1) / 2
    assert (flat < 0).all() or (flat > 0).all()  # no chart is mirrored
    assert np.abs(flat).sum() > 0.85 * true.sum()
    assert layout.chart.max() < 100


def test_the_texture_is_never_larger_than_asked(mesh: Mesh) -> None:
    layout = charts.laid_out(mesh, 1e-5, 256)
    assert layout.side == 256
    assert layout.texel > 1e-5


def test_neighbours_share_edges() -> None:
    faces = np.array([[0, 1, 2], [2, 1, 3], [5, 6, 7]])
    assert charts.neighbours(faces).tolist() == [[-1, 1, -1], [0, -1, -1], [-1, -1, -1]]
