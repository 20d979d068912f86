"""Panoramas are solved to the cameras that they were made with: from pictures, and from matches, with photos too."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from pathlib import Path

import numpy as np
import pycolmap
import pytest

from tests import painted_room
from tests.geometry.sfm.synthetic_matches import silent
from threer_blender.geometry.features import features, panorama_features
from threer_blender.geometry.features.database import FeatureSettings, Matched, Search, add_image, read_verified
from threer_blender.geometry.sfm import mapping
from threer_blender.model import lens
from threer_blender.model.arrays import Array, FloatArray
from threer_blender.model.errors import UserError
from threer_blender.model.reconstruction import Camera, Photo
from threer_blender.model.similarity import procrustes

WIDTH = 384
SETTINGS = FeatureSettings(long_side=1000, features=900, first_octave=0, affine=False)
YAWS = (0.3, 2.5, -1.4)
PLACES = ((-1.2, 0.1, 0.2), (-0.7, -0.1, -0.3), (-0.2, 0.0, 0.1))


def pose(yaw: float, place: tuple[float, float, float]) -> FloatArray:
    matrix = np.eye(4)
    matrix[:3, :3] = [[np.cos(yaw), 0, np.sin(yaw)], [0, 1, 0], [-np.sin(yaw), 0, np.cos(yaw)]]
    matrix[:3, 3] = place
    return matrix


POSES = [pose(*each) for each in zip(YAWS, PLACES, strict=True)]


def panorama(number: int, width: int) -> Photo:
    return Photo(f"round {number}", "", width, width // 2, "", focal=width / (2 * np.pi), panorama=True)


def camera_of(photo: Photo, matrix: FloatArray) -> Camera:
    """The true camera. Photos have a focal length of 900 pixels, which the solver is not told."""
    centre = photo.width / 2, photo.height / 2
    if photo.panorama:
        assert photo.focal is not None
        whole = lens.Distortion(lens.PANORAMA)
        return Camera(photo.name, photo.width, photo.height, photo.focal, photo.focal, *centre, matrix, whole)
    return Camera(photo.name, photo.width, photo.height, 900, 900, *centre, matrix)


def matches_of(cameras: Sequence[Camera], photos: Sequence[Photo], folder: Path) -> Matched:
    """Matches of 600 points on a room's walls, with a quarter of a pixel of noise."""
    random = np.random.default_rng(0)
    directions = random.normal(size=(600, 3))
    points = directions / np.abs(directions / (painted_room.SIZE / 2)).max(axis=1, keepdims=True)
    pixels = [camera.project(points) + random.normal(0, 0.25, (600, 2)) for camera in cameras]
    with np.errstate(invalid="ignore"):
        visible = [
            ((there > 0) & (there < (camera.width, camera.height))).all(axis=1)
            for there, camera in zip(pixels, cameras, strict=True)
        ]
    path, numbers = folder / "database.db", [np.cumsum(mask) - 1 for mask in visible]
    options = pycolmap.TwoViewGeometryOptions()
    options.ransac.random_seed = 0
    with pycolmap.Database.open(path) as database:
        known: dict[object, int] = {}
        for i, photo in enumerate(photos):
            add_image(database, i, photo, (photo.width, photo.height), known, SETTINGS)
            database.write_keypoints(i + 1, pixels[i][visible[i]].astype(np.float32))
        guesses = {image.image_id - 1: database.read_camera(image.camera_id) for image in database.read_all_images()}
        for i, j in combinations(range(len(photos)), 2):
            both = visible[i] & visible[j]
            matches = np.stack([numbers[i][both], numbers[j][both]], axis=1).astype(np.uint32)
            first, second = pixels[i][visible[i]], pixels[j][visible[j]]
            geometry = pycolmap.estimate_two_view_geometry(guesses[i], first, guesses[j], second, matches, options)
            database.write_matches(i + 1, j + 1, matches)
            database.write_two_view_geometry(i + 1, j + 1, geometry)
    sizes = np.array([(photo.width, photo.height) for photo in photos])
    return read_verified(path, photos, sizes, [np.zeros((mask.sum(), 3), np.uint8) for mask in visible])


def errors(solution: mapping.MappingSolution, true: Sequence[FloatArray]) -> tuple[float, float]:
    """The largest errors of the centres in metres and of the rotations in degrees, once aligned."""
    centres = np.array([camera.world_from_camera[:3, 3] for camera in solution.cameras])
    scale, rotation, translation = procrustes(centres, np.array([m[:3, 3] for m in true]), np.ones(len(true)))
    off = scale * centres @ rotation.T + translation - np.array([m[:3, 3] for m in true])
    cosines = [
        (np.trace((rotation @ camera.world_from_camera[:3, :3]).T @ matrix[:3, :3]) - 1) / 2
        for camera, matrix in zip(solution.cameras, true, strict=True)
    ]
    return float(np.linalg.norm(off, axis=1).max()), float(np.degrees(np.arccos(np.clip(cosines, -1, 1))).max())


@pytest.mark.parametrize("photos", [0, 4])
def test_panoramas_and_photos_are_solved_together(tmp_path: Path, photos: int) -> None:
    true = [*POSES, *(pose(0.1 * i, (-0.9 + 0.3 * i, 0.05 * i, -0.6)) for i in range(photos))]
    chosen = [*(panorama(i, 2048) for i in range(3)), *(Photo(f"flat {i}", "", 1200, 900, "") for i in range(photos))]
    cameras = [camera_of(photo, matrix) for photo, matrix in zip(chosen, true, strict=True)]
    solution = mapping.solve(matches_of(cameras, chosen, tmp_path), silent)
    assert [camera.photo for camera in solution.cameras] == [photo.name for photo in chosen]
    assert solution.reprojection_error < 0.5
    centre, angle = errors(solution, true)
    assert centre < 0.02  # m, in a room of 6
    assert angle < 0.6
    for solved, observed in zip(solution.cameras, solution.observed, strict=True):
        assert solved.distortion.is_panorama == solved.photo.startswith("round")
        assert len(observed) > 40
        assert solved.depths(solution.positions[observed]).min() > 0


@pytest.mark.parametrize("photos", [2, 3])
def test_panoramas_from_one_spot_are_refused(tmp_path: Path, photos: int) -> None:
    chosen = [panorama(i, 2048) for i in range(photos)]
    cameras = [camera_of(photo, pose(0.7 * i, PLACES[0])) for i, photo in enumerate(chosen)]
    with pytest.raises(UserError, match="from one spot"):
        mapping.solve(matches_of(cameras, chosen, tmp_path), silent)


def test_pictures_of_a_room_are_solved(tmp_path: Path) -> None:
    pictures = {f"round {i}": painted_room.panorama(matrix, WIDTH) for i, matrix in enumerate(POSES)}
    chosen = [panorama(i, WIDTH) for i in range(3)]
    matched = features.extract_and_match(
        Search(chosen, lambda each, _side: pictures[each.name], tmp_path, SETTINGS, silent)
    )
    solution = mapping.solve(matched, silent)
    assert len(solution.cameras) == 3
    centre, angle = errors(solution, POSES)
    assert centre < 0.02
    assert angle < 0.6
    assert solution.cameras[0].fx == pytest.approx(WIDTH / (2 * np.pi))


def test_features_lie_all_around_and_none_where_it_is_excluded(tmp_path: Path) -> None:
    options = pycolmap.FeatureExtractionOptions()
    options.use_gpu = False
    options.sift.max_num_features = 3000
    excluded = np.zeros((WIDTH // 2, WIDTH), bool)
    excluded[:, : WIDTH // 4] = True
    picture: Array = painted_room.panorama(POSES[0], WIDTH)
    keypoints, descriptors = panorama_features.find(picture, excluded, tmp_path, options, lambda: None)
    assert len(keypoints) == len(descriptors) > 300
    assert keypoints[:, 0].min() >= WIDTH // 4
    counts, _ = np.histogram(keypoints[:, 0], np.linspace(WIDTH / 4, WIDTH, 4))
    assert counts.min() > 60
    assert list(tmp_path.iterdir()) == []
