"""Bundle adjustment returns cameras to the truth from the errors of feed-forward networks, whatever shares a lens."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from tests import oracle
from threer_blender.geometry import rotations
from threer_blender.geometry.adjustment.bundle_adjustment import (
    NO_UNKNOWNS,
    AdjustmentSettings,
    Refined,
    Unknowns,
    refine,
)
from threer_blender.geometry.adjustment.tracks import Tracks, triangulate
from threer_blender.model import lens
from threer_blender.model.errors import Cancelled
from threer_blender.model.reconstruction import Camera

Float = NDArray[np.float64]
SIZE, FOCAL = (640, 480), 560.0
FISHEYE = lens.Distortion("OPENCV_FISHEYE", (0.03, -0.01, 0.004, -0.001))
BARREL = lens.Distortion("RADIAL", (-0.12, 0.03))


def arc(count: int, distortion: lens.Distortion = lens.NO_DISTORTION, degrees: float = 120) -> list[Camera]:
    """Cameras around the origin at a distance of 4, a little up and down."""
    poses = [
        oracle.look_at(np.array([4 * np.sin(a), -0.6 + 0.4 * np.sin(2 * i), -4 * np.cos(a)]), np.zeros(3))
        for i, a in enumerate(np.radians(np.linspace(-degrees / 2, degrees / 2, count)))
    ]
    return [Camera(f"{i}", *SIZE, FOCAL, FOCAL, 320, 240, pose, distortion) for i, pose in enumerate(poses)]


def observe(cameras: Sequence[Camera], points: Float, share: float = 0.4, noise: float = 0.3, seed: int = 0) -> Tracks:
    """The cameras' observations of the points, a `share` of them, `noise` pixels off; depths are exact."""
    random = np.random.default_rng(seed)
    collected = []
    for index, camera in enumerate(cameras):
        pixels = camera.project(points)
        with np.errstate(invalid="ignore"):
            inside = ((pixels > 0) & (pixels < SIZE)).all(axis=1) & (random.random(len(points)) < share)
        depth = points @ camera.camera_from_world[2, :3] + camera.camera_from_world[2, 3]
        noisy = pixels + random.normal(0, noise, pixels.shape)
        collected += [(point, index, *noisy[point], depth[point]) for point in np.flatnonzero(inside)]
    table = np.array(sorted(collected))
    tracks = Tracks(table[:, 0].astype(int), table[:, 1].astype(int), table[:, 2:4], table[:, 4])
    return tracks.only(np.ones(len(table), bool))  # leaves out points that fewer than two cameras observe


def without_depth(tracks: Tracks) -> Tracks:
    return replace(tracks, depth=np.full(len(tracks.depth), np.nan))


def disturbed(
    cameras: Sequence[Camera], degrees: float = 2.0, focal: float = 0.03, place: float = 0.03
) -> list[Camera]:
    """The cameras as a feed-forward network gives them, without distortion, but for fisheye lenses.

    They are rotated by half of `degrees` to all of it. The standard deviations are `focal` in the logarithm of the
    focal length, and `place` in the centres, as a share of their distance from the scene.
    """
    random = np.random.default_rng(1)
    off = []
    for camera in cameras:
        pose = camera.world_from_camera.copy()
        rotation = random.standard_normal(3)
        rotation *= np.radians(random.uniform(degrees / 2, degrees)) / np.linalg.norm(rotation)
        pose[:3, :3] = pose[:3, :3] @ rotations.from_vectors(rotation[None])[0]
        pose[:3, 3] += random.standard_normal(3) * place * 4 / np.sqrt(3)
        factor = np.exp(focal * random.standard_normal())
        distortion = camera.distortion if camera.distortion.model == "OPENCV_FISHEYE" else lens.NO_DISTORTION
        fx, fy = camera.fx * factor, camera.fy * factor
        off.append(replace(camera, fx=fx, fy=fy, world_from_camera=pose, distortion=distortion))
    return off


def rotation_errors(cameras: Sequence[Camera], truth: Sequence[Camera]) -> Float:
    """Degrees by which the relative rotations of all pairs are off."""
    first, second = np.triu_indices(len(truth), 1)
    actual, true = (np.array([camera.world_from_camera[:3, :3] for camera in side]) for side in (cameras, truth))
    between = [r[first].transpose(0, 2, 1) @ r[second] for r in (actual, true)]
    difference = between[0] @ between[1].transpose(0, 2, 1)
    # The sine and the cosine of each angle, from the antisymmetric part of the rotation and from its trace.
    skew = np.linalg.norm(difference - difference.transpose(0, 2, 1), axis=(1, 2)) / np.sqrt(8)
    return np.degrees(np.arctan2(skew, (np.trace(difference, axis1=1, axis2=2) - 1) / 2))


def focal_errors(refined: Refined) -> Float:
    return np.abs(np.array([camera.fx for camera in refined.cameras]) / FOCAL - 1)


SHARED = AdjustmentSettings(lenses=(0,) * 10)
POINTS = np.random.default_rng(5).uniform(-1, 1, (1500, 3)) * (1.3, 0.9, 1.1)


@pytest.mark.parametrize(
    ("distortion", "settings"),
    [
        (lens.NO_DISTORTION, SHARED),
        (lens.NO_DISTORTION, AdjustmentSettings(lenses=(0, 1) * 5)),
        (lens.NO_DISTORTION, AdjustmentSettings()),
        (BARREL, AdjustmentSettings(lenses=(0,) * 10, unknowns=Unknowns(distortion="RADIAL"))),
        (FISHEYE, SHARED),
    ],
    ids=["one lens", "two lenses", "own lenses", "distortion", "fisheye"],
)
def test_network_errors_are_undone(distortion: lens.Distortion, settings: AdjustmentSettings) -> None:
    truth = arc(10, distortion)
    refined = refine(disturbed(truth), without_depth(observe(truth, POINTS)), settings)
    assert rotation_errors(refined.cameras, truth).max() < 0.1
    assert focal_errors(refined).max() < 0.005
    assert (refined.before > 5).all()
    assert (refined.after < 0.5).all()
    places = np.stack(np.meshgrid(np.linspace(-0.5, 0.5, 9), np.linspace(-0.4, 0.4, 9)), axis=-1)
    for camera in refined.cameras:
        distorted, true = (lens.distort(each, places) for each in (camera.distortion, distortion))
        assert np.abs(distorted - true).max() * FOCAL < 0.5


def test_known_intrinsics_stay() -> None:
    truth = arc(6)
    refined = refine(disturbed(truth, focal=0), observe(truth, POINTS), AdjustmentSettings(unknowns=NO_UNKNOWNS))
    assert [camera.fx for camera in refined.cameras] == [FOCAL] * 6
    assert rotation_errors(refined.cameras, truth).max() < 0.1


def test_the_world_keeps_its_place_and_size() -> None:
    truth = arc(8)
    for tracks in (observe(truth, POINTS), without_depth(observe(truth, POINTS))):
        refined = refine(disturbed(truth), tracks, AdjustmentSettings(lenses=(0,) * 8))
        centres, true = (np.array([c.world_from_camera[:3, 3] for c in side]) for side in (refined.cameras, truth))
        assert np.linalg.norm(centres - true, axis=1).max() < 0.03 * 4
        spans = [np.linalg.norm(c[0] - c[-1]) for c in (centres, true)]
        assert spans[0] == pytest.approx(spans[1], rel=0.03)


def test_far_points_that_rough_cameras_lose_come_back() -> None:
    """Cameras 2 degrees off put points of 1 degree of parallax behind themselves."""
    truth = arc(10, degrees=40)
    far = np.random.default_rng(8).uniform(-1, 1, (1500, 3)) * (30, 20, 5) + (0, 0, 80)
    tracks = without_depth(observe(truth, np.concatenate([POINTS[:400], far]), share=0.25))
    refined = refine(disturbed(truth), tracks, SHARED)
    triangulated = np.isfinite(triangulate(truth, tracks)).all(axis=1).sum()
    assert len(refined.tracks) > 0.99 * triangulated
    assert rotation_errors(refined.cameras, truth).max() < 0.15
    assert focal_errors(refined).max() < 0.005


def test_wrong_observations_are_dropped_and_their_camera_is_not_believed() -> None:
    truth = arc(8)
    tracks = without_depth(observe(truth, POINTS))
    random = np.random.default_rng(2)
    wild = (random.random(len(tracks.point)) < 0.1) | (tracks.camera == 3)
    pixels = np.where(wild[:, None], random.random((len(wild), 2)) * SIZE, tracks.pixels)
    start = disturbed(truth)
    refined = refine(start, replace(tracks, pixels=pixels), AdjustmentSettings(lenses=(0,) * 8))
    assert refined.cameras[3] is start[3]
    assert np.isnan(refined.after[3])
    good = [i for i in range(8) if i != 3]
    assert rotation_errors([refined.cameras[i] for i in good], [truth[i] for i in good]).max() < 0.1


def test_a_thing_that_stands_twice_is_not_taken_for_one() -> None:
    """In the last two photos, a third of the matches are on a twin of the thing that the other photos show."""
    truth = arc(10)
    tracks = without_depth(observe(truth, POINTS))
    twins = (triangulate(truth, tracks) + (0.5, 0.2, 0.1))[tracks.point]
    wrong = (tracks.camera >= 8) & (tracks.point % 3 == 0)
    twin_pixels = np.array([truth[camera].project(twin) for camera, twin in zip(tracks.camera, twins, strict=True)])
    refined = refine(
        disturbed(truth), replace(tracks, pixels=np.where(wrong[:, None], twin_pixels, tracks.pixels)), SHARED
    )
    assert rotation_errors(refined.cameras, truth).max() < 0.1
    assert all(camera.reprojection_error is not None for camera in refined.cameras)


def test_nothing_to_go_by_leaves_everything() -> None:
    truth = arc(4)
    random = np.random.default_rng(3)
    tracks = without_depth(observe(truth, POINTS))
    nonsense = replace(tracks, pixels=random.random(tracks.pixels.shape) * SIZE)
    for given in (nonsense, tracks.only(np.zeros(len(tracks.point), bool))):
        refined = refine(truth, given)
        assert all(new is old for new, old in zip(refined.cameras, truth, strict=True))


def test_two_photos() -> None:
    truth = arc(2, degrees=25)
    refined = refine(
        disturbed(truth, focal=0), observe(truth, POINTS, share=0.9), AdjustmentSettings(unknowns=NO_UNKNOWNS)
    )
    assert rotation_errors(refined.cameras, truth).max() < 0.1


def test_the_same_photo_twice() -> None:
    truth = arc(10)
    truth[9] = replace(truth[2], photo="9")
    refined = refine(disturbed(truth), without_depth(observe(truth, POINTS)), SHARED)
    assert rotation_errors(refined.cameras, truth).max() < 0.1
    offset = refined.cameras[9].world_from_camera[:3, 3] - refined.cameras[2].world_from_camera[:3, 3]
    assert np.linalg.norm(offset) < 0.01


@pytest.mark.parametrize("wrong", [0.5, 2.0])
def test_a_focal_length_wrong_by_two(wrong: float) -> None:
    truth = arc(10)
    start = [replace(camera, fx=wrong * FOCAL, fy=wrong * FOCAL) for camera in disturbed(truth)]
    refined = refine(start, without_depth(observe(truth, POINTS)), SHARED)
    assert focal_errors(refined).max() < 0.005
    assert rotation_errors(refined.cameras, truth).max() < 0.1


def test_a_camera_that_only_turns_keeps_the_depths_it_came_with() -> None:
    poses = [
        oracle.look_at(np.zeros(3), np.array([np.sin(a), 0.05 * i, np.cos(a)])) for i, a in enumerate((-0.2, 0.0, 0.2))
    ]
    truth = [Camera(f"{i}", *SIZE, FOCAL, FOCAL, 320, 240, pose) for i, pose in enumerate(poses)]
    room = np.random.default_rng(6).uniform(-1, 1, (3000, 3)) * (3, 2, 1) + (0, 0, 6)
    tracks = observe(truth, room, share=0.8)
    refined = refine(disturbed(truth, focal=0, place=0), tracks, AdjustmentSettings(unknowns=NO_UNKNOWNS))
    assert rotation_errors(refined.cameras, truth).max() < 0.1
    assert np.linalg.norm([camera.world_from_camera[:3, 3] for camera in refined.cameras], axis=1).max() < 0.3
    unplaced = refine(
        disturbed(truth, focal=0, place=0), without_depth(tracks), AdjustmentSettings(unknowns=NO_UNKNOWNS)
    )
    assert all(camera.reprojection_error is None for camera in unplaced.cameras)


def test_a_flat_wall() -> None:
    truth = arc(8, degrees=80)
    wall = POINTS * (1.5, 1, 0)
    refined = refine(disturbed(truth), observe(truth, wall, share=0.8), AdjustmentSettings(lenses=(0,) * 8))
    assert rotation_errors(refined.cameras, truth).max() < 0.2


def test_groups_that_share_nothing_both_stay_where_they_were() -> None:
    truth = arc(10)
    tracks = without_depth(observe(truth, POINTS))
    left = (tracks.camera < 5) & (tracks.point % 2 == 0)
    right = (tracks.camera >= 5) & (tracks.point % 2 == 1)
    refined = refine(disturbed(truth), tracks.only(left | right), SHARED)
    assert rotation_errors(refined.cameras[:5], truth[:5]).max() < 0.15
    assert rotation_errors(refined.cameras[5:], truth[5:]).max() < 0.15
    assert rotation_errors(refined.cameras, truth).max() < 2.5  # as far apart as the start leaves them


def test_cancelled_between_steps() -> None:
    def check() -> None:
        raise Cancelled

    truth = arc(3, degrees=30)
    with pytest.raises(Cancelled):
        refine(disturbed(truth), observe(truth, POINTS), check=check)
