"""Two solves of the same photos are aligned by their cameras, though some of these are wrong; and compared."""

import numpy as np
import pytest

from tests.oracle import look_at
from threer_blender.geometry import rotations
from threer_blender.model import shared_cameras
from threer_blender.model.arrays import Array
from threer_blender.model.errors import UserError
from threer_blender.model.shared_cameras import SolvedCamera
from threer_blender.model.similarity import Similarity

TRUE = Similarity(0.4, rotations.from_vectors(np.array((0.3, 1.7, -0.5))), np.array((5.0, -3, 1)))


def poses(eyes: Array) -> Array:
    return np.array([look_at(eye, (0.1, 0.2, -0.3)) for eye in eyes])


def under(matrix: Array, solved: Array) -> Array:
    moved: Array = matrix @ solved
    moved[:, :3, :3] /= np.cbrt(np.linalg.det(matrix[:3, :3]))
    return moved


def cameras(solved: Array, focal: float = 0.9) -> dict[str, SolvedCamera]:
    return {f"content {n}": SolvedCamera(f"photo {n}", pose, focal) for n, pose in enumerate(solved)}


@pytest.mark.parametrize("count", [10, 60])
@pytest.mark.parametrize("wrong", ["positions", "poses"])
def test_a_third_of_wrong_cameras_does_no_harm_at_all(count: int, wrong: str) -> None:
    rng = np.random.default_rng(count)
    solved = poses(rng.uniform(-4, 4, (count, 3)))
    target = under(TRUE.matrix, solved)
    outliers = rng.choice(count, 3 * count // 10, replace=False)
    others = poses(rng.uniform(-4, 4, (count, 3)))
    target[outliers, :3, 3] = others[outliers, :3, 3]
    if wrong == "poses":
        target[outliers] = others[outliers]
    actual = shared_cameras.align(solved, target)
    assert np.abs(actual.target_from_source - TRUE.matrix).max() < 1e-9
    assert set(np.flatnonzero(~actual.agrees)) == set(outliers)
    assert actual.open_sentence == ""


def test_noise_is_averaged() -> None:
    rng = np.random.default_rng(1)
    solved = poses(rng.uniform(-4, 4, (40, 3)))
    target = under(TRUE.matrix, solved)
    target[:, :3, 3] += rng.normal(0, 0.01, (40, 3))
    target[:10] = poses(rng.uniform(-4, 4, (10, 3)))
    actual = shared_cameras.align(solved, target).target_from_source
    probe = np.append(rng.uniform(-4, 4, (100, 3)), np.ones((100, 1)), axis=1)
    assert np.abs(probe @ (actual - TRUE.matrix).T).max() < 0.02  # each camera alone would be wrong by as much


@pytest.mark.parametrize("count", [2, 3, 9])
def test_cameras_on_a_line_tell_the_rotation_by_their_directions(count: int) -> None:
    solved = poses(np.outer(np.linspace(1, 3, count), (1.0, 0.2, -0.4)))
    actual = shared_cameras.align(solved, under(TRUE.matrix, solved))
    assert np.abs(actual.target_from_source - TRUE.matrix).max() < 1e-9
    assert "directions" in actual.open_sentence


@pytest.mark.parametrize("count", [1, 4])
def test_cameras_in_one_place_leave_the_scale_open(count: int) -> None:
    solved = poses(np.tile((1.0, 2.0, 3.0), (count, 1)))
    target = under(TRUE.matrix, solved)
    actual = shared_cameras.align(solved, target)
    assert np.abs(actual.target_from_source @ solved - target).max() < 1e-9
    assert "scale is open" in actual.open_sentence


def test_differences_name_the_worst_camera_first() -> None:
    rng = np.random.default_rng(2)
    solved = poses(rng.uniform(-4, 4, (12, 3)))
    target = under(TRUE.matrix, solved)
    size = np.linalg.norm(np.ptp(target[:, :3, 3], axis=0))
    target[7, :3, 3] += (0, 0.003 * size, 0)
    target[5, :3, :3] @= rotations.from_vectors(np.radians((0.0, 2.0, 0.0)))
    comparison = shared_cameras.compare(cameras(solved, 0.99), cameras(target, 0.9))
    worst, second = comparison.cameras[:2]
    assert (worst.photo, second.photo) == ("photo 7", "photo 5")
    assert worst.position == pytest.approx(0.003, rel=1e-6)
    assert (worst.degrees, second.degrees) == pytest.approx((0, 2.0), abs=1e-6)
    assert second.position == pytest.approx(0, abs=1e-9)
    assert worst.focal == pytest.approx(0.1)
    assert comparison.table().splitlines()[1].split("\t") == ["photo 7", "0.300", "0.000", "+10.00"]


def test_photos_of_one_result_alone_are_counted() -> None:
    solved = poses(np.random.default_rng(3).uniform(-4, 4, (6, 3)))
    both = cameras(solved)
    first = {key: both[key] for key in list(both)[:5]}
    second = {key: both[key] for key in list(both)[2:]}
    assert shared_cameras.compare(first, second).alone == (2, 1)
    with pytest.raises(UserError, match="share photos"):
        shared_cameras.compare(dict(list(both.items())[:2]), dict(list(both.items())[2:]))
