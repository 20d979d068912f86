"""The start of an optimisation: guesses continue known depth, surfaces are there once, discs lie on them."""

import numpy as np
import pytest

from threer_blender.geometry.splats import start
from threer_blender.model.reconstruction import Camera, PhotoFromMap, PointMap

WIDTH, HEIGHT = 80, 60


def camera(name: str, x: float = 0.0, rotation: float = 0.0) -> Camera:
    pose = np.eye(4)
    pose[:3, :3] = [[np.cos(rotation), 0, np.sin(rotation)], [0, 1, 0], [-np.sin(rotation), 0, np.cos(rotation)]]
    pose[0, 3] = x
    return Camera(name, WIDTH, HEIGHT, 70.0, 70.0, 40.0, 30.0, pose)


def of_plane(camera: Camera, normal: tuple[float, float, float] = (0, 0, 1), distance: float = 4.0) -> PointMap:
    """The pointmap of the plane normal · X = distance in the world. All of its pixels are trusted."""
    pixels = np.stack(np.meshgrid(np.arange(WIDTH) + 0.5, np.arange(HEIGHT) + 0.5), -1)
    pose = camera.world_from_camera
    rays = camera.rays(pixels) @ pose[:3, :3].T
    depth = (distance - pose[:3, 3] @ normal) / (rays @ np.array(normal, float))
    points = (pose[:3, 3] + depth[..., None] * rays).astype(np.float32)
    confidence = np.ones((HEIGHT, WIDTH), np.float32)
    return PointMap(camera.photo, points, confidence, confidence > 0, PhotoFromMap(1, 1, 0, 0))


def thinned_map(pointmap: PointMap, by: Camera, spacing: float = 1.0) -> start.ThinnedMap:
    """The map thinned, with a photo whose red and green tell the column and the row."""
    y, x = np.indices((HEIGHT, WIDTH))
    picture = np.stack([3 * x, 4 * y, 128 + 0 * x], -1).astype(np.uint8)
    return start.thinned_map(by, pointmap, picture, 0.5, spacing)


def without(pointmap: PointMap, hole: tuple[slice, slice]) -> PointMap:
    """The map with untrusted, wrong points in its `hole` (rows, columns)."""
    confidence = pointmap.confidence.copy()
    confidence[hole] = 0
    points = pointmap.points.copy()
    points[hole] *= 1.7
    return PointMap(pointmap.photo, points, confidence, confidence > 0, pointmap.photo_from_map)


def test_discs_lie_on_the_surface_as_large_as_pixels() -> None:
    normal = np.array([0.6, 0.0, 0.8])
    view = camera("a")
    splats = start.gaussians([thinned_map(of_plane(view, tuple(normal)), view)])
    inside = splats.confidence > 0.5
    assert inside.sum() == WIDTH * HEIGHT
    assert np.abs(splats.means[inside] @ normal - 4).max() < 1e-4
    assert (np.abs(splats.means @ normal - 4) < 0.05 * splats.means[:, 2]).all()  # continued beyond the photo's edges
    assert np.abs(np.abs(splats.rotations[inside][:, :, 2] @ normal) - 1).max() < 1e-3
    assert np.abs(np.linalg.det(splats.rotations) - 1).max() < 1e-6
    footprint = (splats.means[inside, 2]) / 70
    assert splats.pixel_sizes[inside] == pytest.approx(footprint, rel=1e-3)
    assert splats.scales[inside, 1] == pytest.approx(start.COVER * footprint, rel=1e-3)
    # Along the slope, a pixel covers more of the surface: its width over the cosine between ray and normal.
    middle = np.abs(splats.means[inside][:, :2]).max(1) < 0.05
    assert (splats.scales[inside] / splats.scales[inside][:, 1:2])[middle, 0] == pytest.approx(1 / 0.8, rel=0.03)


def test_a_surface_that_two_photos_show_is_kept_once() -> None:
    views = [camera("a"), camera("b", x=0.3)]
    alone, both = (
        start.gaussians([thinned_map(of_plane(view), view) for view in chosen]) for chosen in (views[:1], views)
    )
    # The second camera stands 0.3 aside. At a distance of 4 and a focal length of 70 pixels, that is 5.25 columns.
    assert (both.confidence > 0.5).sum() - (alone.confidence > 0.5).sum() == pytest.approx(5.25 * HEIGHT, abs=HEIGHT)
    assert np.abs(both.means[:, 2] - 4).max() < 1e-3


def test_a_surface_that_two_photos_show_from_afar_is_compared_by_its_own_depth() -> None:
    """The same points have other depths from the side. Only their depth in the other camera tells that they agree."""
    views = [camera("a"), camera("b", x=-2.5, rotation=0.5)]
    both = start.gaussians([thinned_map(of_plane(view), view) for view in views])
    trusted_points = both.means[both.confidence > 0.5]
    assert len(trusted_points) > WIDTH * HEIGHT
    in_first = views[0].project(trusted_points[WIDTH * HEIGHT :])
    assert not ((in_first > 1).all(-1) & (in_first < (WIDTH - 1, HEIGHT - 1)).all(-1)).any()


def test_what_a_photo_is_not_sure_of_is_guessed_from_around_it() -> None:
    view = camera("a")
    splats = start.gaussians([thinned_map(without(of_plane(view), np.s_[20:40, 30:60]), view)])
    guessed = splats.confidence < 0.5
    inside = (view.project(splats.means) > 0).all(-1) & (view.project(splats.means) < (WIDTH, HEIGHT)).all(-1)
    assert (guessed & inside).sum() == 20 * 30 / start.GUESS**2
    assert np.abs(splats.means[:, 2] - 4).max() < 0.15


def test_what_another_photo_looks_through_is_dropped() -> None:
    """Photo b guesses a near surface where photo a shows the wall behind with confidence."""
    views = [camera("a"), camera("b", x=0.2)]
    far, near = of_plane(views[0]), of_plane(views[1], distance=2.0)
    near = PointMap("b", near.points, np.full_like(near.confidence, 0.01), near.mask & False, near.photo_from_map)
    splats = start.gaussians([thinned_map(far, views[0]), thinned_map(near, views[1])])
    pixels = views[0].project(splats.means[splats.means[:, 2] < 3])
    assert not ((pixels > 1).all(-1) & (pixels < (WIDTH - 1, HEIGHT - 1)).all(-1)).any()


def test_a_thinned_map_finds_the_same_pixels() -> None:
    view = camera("a")
    thinned = thinned_map(of_plane(view), view, spacing=3.0)
    m = thinned.margin
    place = (view.project(thinned.points) - thinned.photo_from_map[2:]) / thinned.photo_from_map[:2]
    y, x = np.indices(thinned.depth.shape) + 0.5
    assert np.abs(place - np.stack([x, y], -1)).max() < 1e-3
    assert thinned.confidence[m:-m, m:-m].min() >= 0.5
    colour = thinned.colours[m:-m, m:-m, 0] * 255 / 3
    assert colour == pytest.approx(np.floor(view.project(thinned.points[m:-m, m:-m])[..., 0]), abs=1e-3)


def test_masked_pixels_make_no_splats() -> None:
    view, mask = camera("a"), np.zeros((HEIGHT, WIDTH), np.bool_)
    mask[:, :30] = True
    picture = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    masked = start.thinned_map(view, of_plane(view), picture, 0.5, 1.0, mask)
    splats = start.gaussians([masked])
    assert view.project(splats.means)[:, 0].min() > 30  # not even guesses, and none beyond the masked edge
    assert (splats.confidence > 0.5).sum() == (WIDTH - 30) * HEIGHT
