"""Tracks that drift, registered in exact pictures of a painted wall."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tests import oracle
from tests.geometry import painted
from threer_blender.geometry.adjustment.shot_problem import ShotLens, ShotState
from threer_blender.geometry.adjustment.tracks import Tracks
from threer_blender.geometry.shots import refinement, solver
from threer_blender.geometry.shots.tracking import Frame, ShotTracks
from threer_blender.model.arrays import Array
from threer_blender.model.lens import Distortion
from threer_blender.model.reconstruction import Camera

WIDTH, HEIGHT, FOCAL, FRAMES = 160, 120, 300.0, 12
NUMBERS = np.arange(1001, 1001 + FRAMES)
DISTORTION = Distortion("RADIAL", (-0.1, 0.01))
PER_UNIT = 60.0  # pixels of the painting in a unit of the wall, which is the plane z = 6 + x / 2
DRIFT = 0.4  # px that tracks drift to the right over the shot


def cameras() -> list[Camera]:
    """The cameras of a walk along the wall."""
    poses = [oracle.look_at((-1 + 0.18 * i, 0.06 * np.sin(i), 0.1 * i), (0.2, 0.0, 6.0)) for i in range(FRAMES)]
    return [Camera("", WIDTH, HEIGHT, FOCAL, FOCAL, WIDTH / 2, HEIGHT / 2, pose, DISTORTION) for pose in poses]


def on_the_wall(camera: Camera, pixels: Array) -> Array:
    """(..., 3) the points of the wall at `pixels` (..., 2)."""
    pose = camera.world_from_camera
    rays, normal = camera.rays(pixels) @ pose[:3, :3].T, np.array([-0.5, 0.0, 1.0])
    distance = (6 - pose[:3, 3] @ normal) / (rays @ normal)
    points: Array = pose[:3, 3] + distance[..., None] * rays
    return points


@pytest.fixture(scope="module")
def shot() -> Any:
    """The cameras' pictures; the true tracks of the points that the middle frame shows on a grid; the lens and state
    of the cameras."""
    all_cameras = cameras()
    grid = np.stack(np.meshgrid(np.arange(WIDTH) + 0.5, np.arange(HEIGHT) + 0.5), axis=-1)
    pictures = [
        Frame(int(number), painted.value(PER_UNIT * on_the_wall(camera, grid)[..., :2]).astype(np.float32))
        for number, camera in zip(NUMBERS, all_cameras, strict=True)
    ]
    x, y = np.meshgrid(np.arange(35, WIDTH - 30, 15.0), np.arange(30, HEIGHT - 25, 15.0))
    points = on_the_wall(all_cameras[FRAMES // 2], np.stack([x, y], axis=-1).reshape(-1, 2))
    pixels = np.stack([camera.project(points) for camera in all_cameras], axis=1)
    point, frame = (index.ravel() for index in np.indices(pixels.shape[:2]))
    tracks = Tracks(point, frame, pixels.reshape(-1, 2), np.full(len(point), np.nan))
    lens = ShotLens(
        np.full(2, FOCAL), (WIDTH, HEIGHT), "RADIAL", np.array([0, WIDTH / 2, HEIGHT / 2, -0.1, 0.01]), np.zeros(5)
    )
    poses = np.array([camera.world_from_camera for camera in all_cameras])
    homogeneous = np.concatenate([points, np.ones((len(points), 1))], axis=1)
    state = ShotState(poses[:, :3, :3].transpose(0, 2, 1), poses[:, :3, 3], np.zeros(FRAMES), lens.start, homogeneous)
    return pictures, tracks, lens, state


def drifted(tracks: Tracks) -> Tracks:
    return replace(tracks, pixels=tracks.pixels + np.outer(tracks.camera / FRAMES - 0.5, [DRIFT, 0.0]))


def drift(tracks: Tracks, true: Tracks) -> Array:
    """(P,) pixels by which the last observation of each point is off more than the first one."""
    off = (tracks.pixels - true.pixels).reshape(len(tracks), -1, 2)
    distance: Array = np.linalg.norm(off[:, -2] - off[:, 1], axis=1)
    return distance


def test_tracks_drift_no_more(shot: Any) -> None:
    pictures, true, lens, state = shot
    before = drifted(true)
    after = refinement.refined(before, NUMBERS, lens, state, pictures)
    assert np.median(drift(before, true)) > 0.25
    assert np.percentile(drift(after, true), 90) < 0.03


def test_pixels_are_those_of_frames_that_are_larger_than_their_pictures(shot: Any) -> None:
    pictures, true, lens, state = shot
    values = lens.start * np.array([1, 2, 2, 1, 1])
    large = replace(lens, size=(2 * WIDTH, 2 * HEIGHT), focal=2 * lens.focal, start=values)
    before = drifted(true)
    doubled = replace(before, pixels=2 * before.pixels)
    after = refinement.refined(doubled, NUMBERS, large, replace(state, lens=values), pictures)
    assert np.allclose(after.pixels / 2, refinement.refined(before, NUMBERS, lens, state, pictures).pixels, atol=0.01)


def test_what_does_not_fit_or_has_no_picture_stays(shot: Any) -> None:
    pictures, true, lens, state = shot
    before = drifted(true)
    broken = [frame._replace(grey=np.zeros_like(frame.grey)) if i == 3 else frame for i, frame in enumerate(pictures)]
    del broken[8]
    after = refinement.refined(before, NUMBERS, lens, state, broken)
    unchanged = (after.pixels == before.pixels).all(axis=1)
    assert unchanged[np.isin(before.camera, (3, 8))].all()
    assert not unchanged[before.camera == 6].any()
    assert np.percentile(drift(after, true), 90) < 0.03


def test_no_tracks_are_no_trouble(shot: Any) -> None:
    pictures, true, lens, state = shot
    none = true.only(np.zeros(len(true.point), np.bool_))
    assert not len(refinement.refined(none, NUMBERS, lens, state, pictures))


def test_a_solution_has_the_refined_tracks_and_keeps_them(shot: Any) -> None:
    pictures, true, _, _ = shot
    before = ShotTracks(NUMBERS, drifted(true), (WIDTH, HEIGHT))
    keys = {int(NUMBERS[index]): cameras()[index] for index in (0, 4, 8, 11)}
    solution = solver.solve_moving(before, keys, "", lens_known=True, pictures=lambda: pictures)
    assert np.percentile(drift(solution.tracks, true), 90) < 0.03
    assert (solution.tracks.point == true.point).all()
    assert np.nanmedian(solution.errors.median) < 0.02
