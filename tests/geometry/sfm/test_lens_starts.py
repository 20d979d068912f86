"""Lenses that differ from photo to photo, and fisheyes: solved as such where the matches ask for it, and told.

The photos are synthetic: points, cameras and their matches, with a quarter of a pixel of noise.
"""

from pathlib import Path

import numpy as np
import pycolmap
import pytest

from threer_blender.geometry.features.database import FeatureSettings, Matched, add_image, verified
from threer_blender.geometry.sfm import lens_starts
from threer_blender.geometry.sfm.mapping import MappingSolution, solve
from threer_blender.model.arrays import Array
from threer_blender.model.engine import Stage
from threer_blender.model.reconstruction import Photo

WIDTH, HEIGHT, PHOTOS, POINTS, DISTANCE = 1024, 768, 6, 400, 3.5
FOCAL = 900.0
SETTINGS = FeatureSettings(long_side=WIDTH, features=POINTS)
FISHEYE = [360.0, 360.0, WIDTH / 2, HEIGHT / 2, -0.02, 0.003, 0.0, 0.0]  # 163 degrees over the width


def silent(stage: Stage, done: float, total: float) -> None:
    """A report that nobody reads."""


def synthetic(
    folder: Path, model: str, params: list[float], zooms: Array, extent: tuple[float, float, float]
) -> tuple[Matched, list[Array]]:
    """Photos that one camera took from an arc, each picture enlarged about its centre, and the true rotations.

    `extent` is half the size of the scene.
    The database knows nothing of the lens.
    """
    path, random, centre = folder / "database.db", np.random.default_rng(0), np.array([WIDTH / 2, HEIGHT / 2])
    photos = [Photo(f"{number}.png", "", WIDTH, HEIGHT, "") for number in range(PHOTOS)]
    lens = pycolmap.Camera(model=model, width=WIDTH, height=HEIGHT, params=params, camera_id=1)
    points = random.uniform(-1, 1, (POINTS, 3)) * extent
    rotations, pixels = [], []
    for number, zoom in enumerate(zooms):
        angle = np.radians(12 * (number - (PHOTOS - 1) / 2))
        sine, cosine = np.sin(angle), np.cos(angle)
        rotations.append(np.array([[cosine, 0, sine], [0, 1, 0], [-sine, 0, cosine]]))
        local = points @ rotations[-1].T + (0.3 * np.sin(2.1 * number), 0.3 * np.cos(1.7 * number), DISTANCE)
        distorted = lens.img_from_cam(local)
        pixels.append((distorted - centre) * zoom + centre + random.normal(0, 0.25, distorted.shape))
    with pycolmap.Database.open(path) as database:
        cameras: dict[object, int] = {}
        for index, photo in enumerate(photos):
            add_image(database, index, photo, (WIDTH, HEIGHT), cameras, SETTINGS)
            database.write_keypoints(index + 1, pixels[index].astype(np.float32))
        guess, every = database.read_camera(1), np.arange(POINTS)
        options = pycolmap.TwoViewGeometryOptions()
        options.ransac.random_seed = 0
        for i in range(PHOTOS):
            for j in range(i + 1, PHOTOS):
                inside = every[(_inside(pixels[i]) & _inside(pixels[j]))]
                matches = np.stack([inside, inside], axis=1).astype(np.uint32)
                geometry = pycolmap.estimate_two_view_geometry(guess, pixels[i], guess, pixels[j], matches, options)
                database.write_matches(i + 1, j + 1, matches)
                database.write_two_view_geometry(i + 1, j + 1, geometry)
    return verified(path, photos, np.full((PHOTOS, 2), (WIDTH, HEIGHT)), [np.zeros((POINTS, 3))] * PHOTOS), rotations


def _inside(pixels: Array) -> Array:
    inside: Array = ((pixels > 0) & (pixels < (WIDTH, HEIGHT))).all(axis=1)
    return inside


def worst_rotation(solution: MappingSolution, truth: list[Array]) -> float:
    """Degrees, over all pairs of photos."""
    solved = [camera.camera_from_world[:3, :3] for camera in solution.cameras]
    worst = 0.0
    for i in range(PHOTOS):
        for j in range(i):
            off = (solved[i] @ solved[j].T).T @ (truth[i] @ truth[j].T)
            worst = max(worst, float(np.degrees(np.arccos(np.clip((np.trace(off) - 1) / 2, -1, 1)))))
    return worst


def test_photos_of_a_zoom_are_given_a_lens_each(tmp_path: Path) -> None:
    zooms = np.array([1.0, 1.5, 1.0, 1.25, 1.8, 1.1])
    matched, truth = synthetic(tmp_path, "SIMPLE_RADIAL", [FOCAL, WIDTH / 2, HEIGHT / 2, 0.0], zooms, (1.5, 1.5, 1.5))
    solution = solve(matched, silent)
    assert len(solution.cameras) == PHOTOS
    assert [camera.fx for camera in solution.cameras] == pytest.approx(list(FOCAL * zooms), rel=0.02)
    assert worst_rotation(solution, truth) < 0.5
    assert any("a lens of its own" in note for note in solution.notes)


def test_photos_of_one_lens_share_it(tmp_path: Path) -> None:
    matched, truth = synthetic(
        tmp_path, "SIMPLE_RADIAL", [FOCAL, WIDTH / 2, HEIGHT / 2, -0.05], np.ones(PHOTOS), (1.5, 1.5, 1.5)
    )
    solution = solve(matched, silent)
    assert len({camera.fx for camera in solution.cameras}) == 1
    assert solution.cameras[0].fx == pytest.approx(FOCAL, rel=0.01)
    assert worst_rotation(solution, truth) < 0.2
    assert solution.notes == []


def test_a_fisheye_is_solved_as_one(tmp_path: Path) -> None:
    matched, truth = synthetic(tmp_path, "OPENCV_FISHEYE", FISHEYE, np.ones(PHOTOS), (5, 4, 2))
    solution = solve(matched, silent)
    assert len(solution.cameras) == PHOTOS
    for camera in solution.cameras:
        assert camera.distortion.model == "OPENCV_FISHEYE"
        assert camera.fx == pytest.approx(FISHEYE[0], rel=0.02)
    assert worst_rotation(solution, truth) < 0.5
    assert any("fisheye" in note for note in solution.notes)


def test_a_camera_each_keeps_the_matches(tmp_path: Path) -> None:
    matched, _ = synthetic(
        tmp_path, "SIMPLE_RADIAL", [FOCAL, WIDTH / 2, HEIGHT / 2, 0.0], np.ones(PHOTOS), (1.5, 1.5, 1.5)
    )
    with pycolmap.Database.open(lens_starts.one_each(matched)) as database:
        images = database.read_all_images()
        assert len({image.camera_id for image in images}) == database.num_cameras() == PHOTOS
        assert len(database.read_two_view_geometries()[0]) == len(matched.pairs)
