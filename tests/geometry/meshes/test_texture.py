"""Texels take the colours of the photos that show them: not of what is in front, and with one exposure."""

import numpy as np
import pytest

from tests.blender.world import BALL_CENTRE, pixel_centres, trace
from tests.geometry.meshes.ball import AROUND, depth_views, off, surface
from threer_blender.geometry.meshes import charts, texture
from threer_blender.geometry.meshes.texture import Blend, Picture, Texels
from threer_blender.geometry.meshes.views import PinholeView
from threer_blender.model.arrays import Array, FloatArray
from threer_blender.model.proxy_mesh import Mesh
from threer_blender.model.reconstruction import Camera

RED, GREEN = (200, 60, 60), (60, 180, 60)


@pytest.fixture(scope="module")
def mesh() -> Mesh:
    return surface(depth_views())


@pytest.fixture(scope="module")
def texels(mesh: Mesh) -> Texels:
    return texture.texels(mesh, charts.laid_out(mesh, 0.02, 512))


def is_ball(points: Array) -> Array:
    high: Array = (points[..., 1] < -0.05) & (np.linalg.norm(points - BALL_CENTRE, axis=-1) < 0.8)
    return high


def picture(cam: Camera, gain: float = 1.0) -> Picture:
    """A photo of a red ball on a green floor, with an exposure. It stands for its blurred copy, too."""
    depth, _, points = trace(cam, pixel_centres(cam.width, cam.height))
    with np.errstate(invalid="ignore"):
        image = np.where(is_ball(points)[..., None], RED, GREEN) * gain
    whole = np.where(np.isnan(depth)[..., None], 128, image).astype(np.uint8)
    view = PinholeView(cam.intrinsics, (cam.width, cam.height), cam.camera_from_world)
    return Picture(view, whole, whole, np.ones(depth.shape, bool))


def weights(mesh: Mesh, cam: Camera, of: Texels) -> Array:
    """(N,) how well a camera's photo shows each texel. Photos usually have 50 pixels per world unit."""
    taken = picture(cam)
    return texture.weights_in(taken.view, taken.usable, texture.depth_of(mesh, taken.view), of, 50.0)


def painted(mesh: Mesh, of: Texels, exposures: FloatArray, gains: FloatArray) -> tuple[Array, Array]:
    blend = Blend(len(of.numbers))
    for cam, exposure, gain in zip(AROUND, exposures, gains, strict=True):
        blend.add(picture(cam, exposure), of, weights(mesh, cam, of), np.full(3, gain))
    return blend.colors()


def test_texels_lie_on_the_surface(texels: Texels) -> None:
    assert off(texels.points).max() < 0.06
    assert np.allclose(np.linalg.norm(texels.normals, axis=1), 1, atol=1e-5)


def test_what_is_hidden_is_not_painted(mesh: Mesh, texels: Texels) -> None:
    camera = AROUND[0]
    painted_over = weights(mesh, camera, texels) > 0
    eye = camera.world_from_camera[:3, 3]
    rays = texels.points - eye
    near = ((BALL_CENTRE - eye) * rays).sum(axis=1) / (rays**2).sum(axis=1)
    miss = np.linalg.norm(eye + near[:, None] * rays - BALL_CENTRE, axis=1)
    hidden = (miss < 0.6) & (near < 0.95) & (np.abs(texels.points[:, 1]) < 0.02)  # floor behind the ball
    assert hidden.sum() > 50
    assert not painted_over[hidden].any()
    clear = (np.abs(texels.points[:, 1]) < 0.02) & (miss > 0.9) & (np.linalg.norm(texels.points, axis=1) < 1.5)
    assert painted_over[clear].mean() > 0.9


def test_no_color_bleeds_over(mesh: Mesh, texels: Texels) -> None:
    colors, there = painted(mesh, texels, np.ones(8), np.ones(8))
    assert there.mean() > 0.97
    ball = is_ball(texels.points) & (texels.points[:, 1] < -0.2)
    floor = (np.abs(texels.points[:, 1]) < 0.02) & (np.linalg.norm(texels.points, axis=1) > 0.5)
    assert np.abs(colors[ball & there] - RED).max(axis=1).mean() < 2
    assert np.quantile(np.abs(colors[floor & there] - GREEN).max(axis=1), 0.99) < 8


def test_exposure_is_evened(mesh: Mesh, texels: Texels) -> None:
    exposures = np.array([0.8, 1.2, 1.0, 0.7, 1.1, 0.9, 1.0, 1.2])
    pictures = [picture(cam, exposure) for cam, exposure in zip(AROUND, exposures, strict=True)]
    colors = np.array([texture.colors_in(each.view, each.image, texels.points) for each in pictures])
    gains = texture.gains(colors, np.array([weights(mesh, cam, texels) for cam in AROUND]))
    evened = gains[:, 0] * exposures
    assert evened.std() / evened.mean() < 0.01
    assert gains.mean() == pytest.approx(1.0, abs=0.15)
    even, there = painted(mesh, texels, exposures, gains[:, 0])
    floor = (np.abs(texels.points[:, 1]) < 0.02) & (np.linalg.norm(texels.points, axis=1) > 0.5) & there
    uneven, _ = painted(mesh, texels, exposures, np.ones(8))
    assert even[floor, 1].std() < 0.3 * uneven[floor, 1].std()


def test_exposures_are_evened_around_a_long_ring() -> None:
    """Each point is in three of forty photos; every tenth colour is that of something else."""
    random, photos, count = np.random.default_rng(0), 40, 4000
    exposures = np.exp(random.normal(0, 0.15, (photos, 3)))
    first, number = random.integers(0, photos, count), np.arange(count)
    shows = np.zeros((photos + 1, count), np.float32)  # the last photo shows nothing
    for step in range(3):
        shows[(first + step) % photos, number] = 1
    colors = random.uniform(30, 150, (count, 3)) * np.append(exposures, np.ones((1, 3)), axis=0)[:, None]
    colors *= np.where(random.random((photos + 1, count, 1)) < 0.1, random.uniform(0.4, 2, (photos + 1, count, 1)), 1)
    gains = texture.gains(colors.astype(np.float32), shows)
    evened = np.log(gains[:photos] * exposures)
    assert evened.std(axis=0).max() < 0.03
    assert np.log(exposures).std(axis=0).min() > 0.1
    assert np.exp(np.log(gains).mean(axis=0)) == pytest.approx(1.0)


def test_photos_that_share_no_point_stay_as_they_are() -> None:
    assert (
        texture.gains(np.full((3, 5, 3), 100, np.float32), np.eye(3, 5, dtype=np.float32)).tolist() == [[1.0] * 3] * 3
    )


def test_empty_texels_take_the_colors_around() -> None:
    numbers = np.array([0, 5 * 8 + 5], np.int32)
    image = texture.filled(np.array([[10, 10, 10], [200, 200, 200]], np.float32), numbers, 8)
    assert image[0, 0].tolist() == [10, 10, 10]
    assert image[5, 5].tolist() == [200, 200, 200]
    assert image[1, 1, 0] < 60
    assert image[4, 4, 0] > 150
