"""Photos get their own truth, and a truth that does not fit is refused with one sentence."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from tests.evaluation import world
from tests.evaluation.world import NAMES, VIEWS
from threer_blender.evaluation import pairing
from threer_blender.evaluation.truth.truth import TrueView, Truth
from threer_blender.model.arrays import FloatArray
from threer_blender.model.errors import UserError
from threer_blender.model.reconstruction import Reconstruction, Shot


@pytest.fixture(scope="module")
def exact(tmp_path_factory: pytest.TempPathFactory) -> Reconstruction:
    return world.result(tmp_path_factory.mktemp("photos"))


def truth(names: list[str], change: FloatArray | None = None, inverted: bool = False) -> Truth:
    """The truth of VIEWS under these names; `change` (3, 3) mirrors the world and the cameras' axes."""
    views = []
    for name, view in zip(names, VIEWS, strict=False):
        pose = view.world_from_camera.copy()
        if change is not None:
            pose[:3, :3], pose[:3, 3] = change @ pose[:3, :3] @ change, change @ pose[:3, 3]
        views.append(TrueView(name, np.linalg.inv(pose) if inverted else pose))
    return Truth("test", views)


def test_names_count_and_folders_decide(exact: Reconstruction) -> None:
    """Endings may differ; of two photos of one name, the one in the photo's folder is its truth."""
    folder = Path(exact.photos[0].path).parent.name
    right = truth([f"{folder}/{Path(name).stem}.JPG" for name in NAMES])
    wrong = truth([f"elsewhere/{name}" for name in NAMES[::-1]])
    paired = pairing.pair(exact, Truth("test", [*wrong.views, *right.views]))
    assert [pair.name for pair in paired.pairs] == NAMES
    assert [pair.view for pair in paired.pairs] == right.views


def test_photos_without_truth_and_truth_without_photos(exact: Reconstruction) -> None:
    paired = pairing.pair(exact, truth([*NAMES[:4], "other_1.png", "other_2.png"]))
    assert [pair.name for pair in paired.pairs] == NAMES[:4]
    assert paired.without_truth == NAMES[4:]
    assert [view.name for view in paired.not_given] == ["other_1.png", "other_2.png"]


def test_another_scene(exact: Reconstruction) -> None:
    with pytest.raises(UserError, match=r"is of other photos: it names 'a\.png', 'b\.png'"):
        pairing.pair(exact, truth(["a.png", "b.png"]))


def test_two_truths_of_one_name(exact: Reconstruction) -> None:
    twice = [*truth([f"one/{name}" for name in NAMES]).views, *truth([f"two/{name}" for name in NAMES[::-1]]).views]
    with pytest.raises(UserError, match=r"has 2 photos of the name 'img_000\.png'"):
        pairing.pair(exact, Truth("test", twice))


@pytest.mark.parametrize("axis", range(3))
def test_a_mirrored_truth(exact: Reconstruction, axis: int) -> None:
    mirror = np.eye(3)
    mirror[axis, axis] = -1
    with pytest.raises(UserError, match="The truth is mirrored"):
        pairing.pair(exact, truth(NAMES, mirror))


def test_a_truth_with_the_poses_the_wrong_way_round(exact: Reconstruction) -> None:
    with pytest.raises(UserError, match="poses the wrong way round"):
        pairing.pair(exact, truth(NAMES, inverted=True))


def test_a_wrong_solve_is_no_fault_of_the_truth(exact: Reconstruction) -> None:
    shuffled = [
        replace(camera, world_from_camera=other.world_from_camera)
        for camera, other in zip(exact.cameras, exact.cameras[3:] + exact.cameras[:3], strict=True)
    ]
    assert len(pairing.pair(replace(exact, cameras=shuffled), truth(NAMES)).pairs) == len(NAMES)


def test_frames_of_a_video_go_by_their_number(exact: Reconstruction) -> None:
    """The truth counts from 0, the shot from its first frame, which is 1001 here. A frame without a camera counts."""
    numbers = range(1001, 1001 + len(NAMES))
    cameras = dict(zip(numbers, exact.cameras, strict=True))
    del cameras[1003]
    shot = Shot("walk.mp4", "", Fraction(24), len(NAMES) + 1, cameras, first_frame=1001, missing=(1005,))
    views = [replace(view, name="", frame=number) for number, view in enumerate(truth(NAMES).views)]
    paired = pairing.pair(replace(exact, shots=[shot]), Truth("test", views))
    assert [pair.name for pair in paired.pairs] == [f"frame {number}" for number in numbers if number != 1005]
    assert [pair.camera is None for pair in paired.pairs] == [False, False, True, False, False]
    assert paired.pairs[1].camera is exact.cameras[1]
    np.testing.assert_array_equal(paired.pairs[1].view.world_from_camera, VIEWS[1].world_from_camera)
    assert paired.without_truth == ["frame 1007"]


def test_a_video_of_another_kind(exact: Reconstruction) -> None:
    views = [replace(view, name="", frame=number) for number, view in enumerate(truth(NAMES).views)]
    with pytest.raises(UserError, match="is of one video, and this result has 0"):
        pairing.pair(exact, Truth("test", views))
