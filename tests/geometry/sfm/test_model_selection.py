"""Input without hope is recognised from matches alone, and the best believable model is chosen."""

from dataclasses import replace

import numpy as np
import pycolmap
import pytest

from threer_blender.geometry.sfm.model_selection import (
    TIE,
    Pair,
    ScoredModel,
    agree,
    choose,
    epipolar_errors,
    is_rotation,
    refuse_hopeless,
    stays,
)
from threer_blender.model.arrays import FloatArray
from threer_blender.model.errors import UserError


def pair(unmoved: bool = False, rotated_only: bool = False) -> Pair:
    """A pair of twenty matches, all in the corner of both photos."""
    return Pair((0, 1), np.zeros((20, 2)), np.zeros((20, 2)), unmoved, rotated_only)


def scored(name: str, score: float, fault: str = "") -> ScoredModel:
    """The score of a model that there is not."""
    return ScoredModel(name, None, frozenset({0, 1}), score, 0.5, fault)


@pytest.mark.parametrize(
    ("pairs", "sentence"),
    [
        ([], "overlap"),
        ([pair(unmoved=True)] * 3 + [pair()], "stood still"),
        ([pair(rotated_only=True)] * 3 + [pair()], "only turned"),
    ],
)
def test_matches_without_hope_are_refused_with_a_sentence(pairs: list[Pair], sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        refuse_hopeless(pairs)


def test_a_few_hopeless_pairs_are_no_reason_to_refuse() -> None:
    refuse_hopeless([pair(), pair(), pair(unmoved=True)])


def moved_by(background: int, radius: float) -> FloatArray:
    """How far matches move (K,) in px: `background` ones by a keypoint's error alone, and 400 ones the farther, the
    farther they are from a point; those in the corners by 1.4 `radius`."""
    random = np.random.default_rng(0)
    still = np.linalg.norm(random.normal(0, 0.3, (background, 2)), axis=1)
    around = np.linalg.norm(random.uniform(-radius, radius, (400, 2)), axis=1)
    return np.concatenate([still, around])


@pytest.mark.parametrize("background", [100, 2000])
def test_a_background_that_stays_shows_a_static_camera(background: int) -> None:
    assert stays(moved_by(background, 60.0))


@pytest.mark.parametrize("radius", [3.0, 6.0, 60.0])
def test_a_small_picture_around_the_point_that_a_camera_looks_at_is_no_static_one(radius: float) -> None:
    """Up to half of its matches move by less than 1.5 px."""
    assert not stays(moved_by(0, radius))


def test_the_highest_score_without_a_fault_is_chosen() -> None:
    best = choose([scored("a", 0.5), scored("b", 0.9, "no parallax"), scored("c", 0.7)])
    assert best is not None
    assert best.candidate == "c"
    assert choose([scored("a", 0.5, "too few points")]) is None


def test_of_nearly_equal_scores_the_first_is_chosen() -> None:
    best = choose([scored("exact", 0.7), scored("relaxed", 0.7 + TIE / 2)])
    assert best is not None
    assert best.candidate == "exact"


def test_two_mappers_agree_where_they_explain_the_photos_of_both_equally() -> None:
    """A photo more raises the score, since unregistered ones count as 0, but not what is explained of each photo."""
    small, large = frozenset(range(18)), frozenset(range(19))
    best = ScoredModel("global", None, large, 0.76, 0.5, "")
    same = ScoredModel("incremental", None, small, 0.72, 0.5, "")
    assert agree(best, [best, same], 20)
    assert not agree(best, [best], 20)
    assert not agree(best, [best, replace(same, candidate="global")], 20)
    assert not agree(best, [best, replace(same, fault="no parallax")], 20)
    assert not agree(best, [best, replace(same, score=0.70)], 20)
    assert not agree(best, [best, ScoredModel("incremental", None, frozenset(range(12)), 0.48, 0.5, "")], 20)


SIZES = np.array([(800, 600), (800, 600)])


def calibration(focal: float) -> FloatArray:
    """K (3, 3) of a camera with a picture of SIZES."""
    return np.array([[focal, 0, 400], [0, focal, 300], [0, 0, 1.0]])


def rotation(degrees: float) -> FloatArray:
    """(3, 3) the rotation about y by so many degrees."""
    sine, cosine = np.sin(np.radians(degrees)), np.cos(np.radians(degrees))
    return np.array([[cosine, 0, sine], [0, 1, 0], [-sine, 0, cosine]])


@pytest.mark.parametrize("second", [1000.0, 1210.0, 2345.0, 400.0])
@pytest.mark.parametrize("degrees", [0, 12])
def test_a_camera_that_turns_and_zooms_is_known_by_its_homography(second: float, degrees: float) -> None:
    homography = calibration(second) @ rotation(degrees) @ np.linalg.inv(calibration(1000))
    assert is_rotation(homography, SIZES, [None, None])
    assert is_rotation(homography, SIZES, [1.03 * 1000 / 800, 0.97 * second / 800])


@pytest.mark.parametrize("known", [True, False])
def test_a_slanted_wall_from_two_places_is_no_rotation(known: bool) -> None:
    """A wall at 45 degrees, 1 away; the camera moves by 0.4 along it."""
    homography: FloatArray
    normal, step = rotation(45) @ (0, 0, 1), rotation(45) @ (0.4, 0, 0)
    motion = rotation(5) + np.outer(step, normal)
    homography = calibration(1000) @ motion @ np.linalg.inv(calibration(1000))
    assert not is_rotation(homography, SIZES, [1.25, 1.25] if known else [None, None])


def test_exif_tells_a_step_forward_from_a_zoom() -> None:
    """Towards a wall straight ahead, by a fifth of its distance: without EXIF it may as well be a zoom."""
    homography = calibration(1000) @ np.diag([1, 1, 0.8]) @ np.linalg.inv(calibration(1000))
    assert not is_rotation(homography, SIZES, [1.25, 1.25])
    assert is_rotation(homography, SIZES, [None, None])


def two_cameras(degrees: float) -> tuple[pycolmap.Reconstruction, Pair]:
    """Two cameras, each 2 away from some points, which see them from directions `degrees` apart; and the pixels."""
    points = np.random.default_rng(0).uniform(-0.3, 0.3, (40, 3))
    model = pycolmap.Reconstruction()
    camera = pycolmap.Camera.create_from_model_name(1, "SIMPLE_RADIAL", 800, 800, 600)
    model.add_camera_with_trivial_rig(camera)
    pixels = []
    for number, angle in enumerate((0, degrees), 1):
        camera_from_world = pycolmap.Rigid3d(pycolmap.Rotation3d(rotation(angle)), np.array([0, 0.02 * number, 2.0]))
        image = pycolmap.Image(name=str(number), camera_id=1, image_id=number)
        model.add_image_with_trivial_frame(image, camera_from_world)
        pixels.append(camera.img_from_cam(camera_from_world * points))
    return model, Pair((0, 1), pixels[0], pixels[1], unmoved=False, rotated_only=False)


@pytest.mark.parametrize("degrees", [5, 60, 75])
def test_details_that_both_photos_show_are_explained(degrees: float) -> None:
    assert epipolar_errors(*two_cameras(degrees)).max() < 1e-6


@pytest.mark.parametrize("degrees", [120, 177])
def test_details_seen_from_opposite_sides_explain_nothing(degrees: float) -> None:
    assert np.isinf(epipolar_errors(*two_cameras(degrees))).mean() > 0.9
