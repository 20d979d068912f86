"""Results come out in survey coordinates; points that contradict the others are named; too few are refused."""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from threer_blender import bundle
from threer_blender.files import exr_file
from threer_blender.geometry import rotations
from threer_blender.model.arrays import Array
from threer_blender.model.errors import UserError
from threer_blender.model.lens import Distortion
from threer_blender.model.reconstruction import Camera, Photo, PointCloud, Reconstruction, Shot
from threer_blender.model.reconstruction_transform import transformed
from threer_blender.pictures import video
from threer_blender.pipelines import survey_marks
from threer_blender.worker import surveying

POINTS = {
    "door": (0.0, 0.0, 0.0), "window": (2.0, 0.1, 1.5), "roof": (1.0, 1.0, 3.0), "nail": (-1.0, 2.0, 0.2),
    "curb": (3.0, -1.0, 0.1), "lamp": (-2.0, 0.5, 2.2),
}  # fmt: skip
LENS = Distortion("RADIAL", (-0.1, 0.02))


def pose(number: int) -> Array:
    """World from camera, z up."""
    centre = np.array([-6.0 + 3 * number, -9.0, 1.7])
    forward = np.array([0.5, 0.5, 1.0]) - centre
    forward /= np.linalg.norm(forward)
    right = np.cross(forward, [0.0, 0.0, 1.0])
    right /= np.linalg.norm(right)
    world_from_camera = np.eye(4)
    world_from_camera[:3] = np.column_stack([right, np.cross(forward, right), forward, centre])
    return world_from_camera


def true(names: list[str]) -> list[Camera]:
    return [Camera(name, 640, 480, 600, 600, 322, 238, pose(i), LENS) for i, name in enumerate(names)]


NAMES = [f"IMG_{number}.jpg" for number in range(4)]
SOLVE_FROM_SURVEY = np.eye(4)
SOLVE_FROM_SURVEY[:3, :3] = 0.31 * rotations.from_vectors(np.array([[1.2, -0.4, 0.7]]))[0]
SOLVE_FROM_SURVEY[:3, 3] = (5.0, -2.0, 1.0)


def solve(cameras: list[Camera], shots: list[Shot] | None = None) -> Reconstruction:
    """The truth in a world of its own."""
    photos = [Photo(camera.photo, f"/{camera.photo}", 640, 480, f"{i:064d}") for i, camera in enumerate(cameras)]
    positions = np.array(list(POINTS.values()), np.float32)
    none, colors = np.zeros_like(positions), np.zeros((6, 3), np.uint8)
    cloud = PointCloud(positions, none, colors, np.ones(6, np.float32), np.zeros(6, np.int32))
    whole = Reconstruction("colmap", "GPL", photos, cameras, cloud=cloud, shots=shots or [])
    return transformed(whole, SOLVE_FROM_SURVEY)


def lists(
    folder: Path, cameras: dict[str, Camera], points: dict[str, tuple[float, float, float]], noise: float = 0.0
) -> dict[str, str]:
    """The options that name both lists; pixels are of the true points."""
    random = np.random.default_rng(0)
    (folder / "points.csv").write_text("".join(f"{name},{x},{y},{z}\n" for name, (x, y, z) in points.items()))
    rows = []
    for name, position in POINTS.items():
        for photo, camera in cameras.items():
            u, v = camera.project(np.array(position)) + noise * random.standard_normal(2)
            if name in points and 0 < u < 640 and 0 < v < 480:
                rows.append(f"{name},{photo},{u},{v}\n")
    (folder / "marks.csv").write_text("".join(rows))
    return {"survey": str(folder / "points.csv"), "survey_pixels": str(folder / "marks.csv")}


@pytest.fixture
def photos() -> dict[str, Camera]:
    return {camera.photo: camera for camera in true(NAMES)}


def test_a_solve_comes_out_in_survey_coordinates(photos: dict[str, Camera], tmp_path: Path) -> None:
    result = surveying.applied(solve(list(photos.values())), lists(tmp_path, photos, POINTS, noise=0.3))
    assert result.metric
    for camera, expected in zip(result.cameras, photos.values(), strict=True):
        assert np.abs(camera.world_from_camera - expected.world_from_camera).max() < 0.02
    assert result.cloud is not None
    assert np.abs(result.cloud.positions - list(POINTS.values())).max() < 0.01
    assert [point.name for point in result.survey] == list(POINTS)
    assert all(point.agrees and point.error is not None and point.error < 0.02 for point in result.survey)
    assert all(point.pixel_error is not None and point.pixel_error < 1 for point in result.survey)
    assert result.notes[0].startswith("The solve is in survey coordinates by 6 points, marked")
    again = bundle.read(bundle.write(result, tmp_path / "result"))
    assert again.survey == result.survey


def test_a_shot_is_surveyed_by_its_frames(tmp_path: Path) -> None:
    names = [f"walk.mov {number:04d}" for number in range(1, 5)]
    cameras = dict(enumerate(true(names), 1))
    shot = Shot("walk.mov", "/walk.mov", Fraction(24), 4, cameras)
    options = lists(tmp_path, {f"{number:04d}": camera for number, camera in cameras.items()}, POINTS)
    result = surveying.applied(solve([cameras[1], cameras[4]], [shot]), options)
    for number, camera in result.shots[0].cameras.items():
        assert np.abs(camera.world_from_camera - cameras[number].world_from_camera).max() < 1e-4


def test_points_that_contradict_the_others_are_named(photos: dict[str, Camera], tmp_path: Path) -> None:
    wrong = {**POINTS, "roof": (1.0, 1.0, 4.0)}
    result = surveying.applied(solve(list(photos.values())), lists(tmp_path, photos, wrong))
    assert [point.name for point in result.survey if not point.agrees] == ["roof"]
    assert "contradict the others and were not used: 'roof' by 1 units" in result.notes[1]
    assert np.abs(result.cameras[0].world_from_camera - pose(0)).max() < 1e-4


def test_points_that_all_contradict_each_other_are_refused(photos: dict[str, Camera], tmp_path: Path) -> None:
    random = np.random.default_rng(1)
    mixed = {name: tuple(map(float, random.uniform(-3, 3, 3))) for name in POINTS}
    with pytest.raises(UserError, match="contradict each other"):
        surveying.applied(solve(list(photos.values())), lists(tmp_path, photos, mixed))  # type: ignore[arg-type]


def test_too_few_points_and_points_on_a_line_are_refused(photos: dict[str, Camera], tmp_path: Path) -> None:
    two = {name: POINTS[name] for name in ("door", "roof")}
    with pytest.raises(UserError, match="2 of the survey points can be used, and three are the fewest"):
        surveying.applied(solve(list(photos.values())), lists(tmp_path, photos, two))
    one = {photo: photos[photo] for photo in NAMES[:1]}
    with pytest.raises(UserError, match="None of the survey points can be used"):
        surveying.applied(solve(list(photos.values())), lists(tmp_path, one, POINTS))
    line = {"door": (0.0, 0.0, 0.0), "window": (1.0, 0.0, 0.0), "roof": (2.0, 0.001, 0.0)}
    with pytest.raises(UserError, match="lie on a line"):
        surveying.applied(solve(list(photos.values())), lists(tmp_path, photos, line))


def test_what_names_do_not_say_is_refused(photos: dict[str, Camera], tmp_path: Path) -> None:
    options = lists(tmp_path, photos, POINTS)
    with pytest.raises(UserError, match="two lists"):
        surveying.applied(solve(list(photos.values())), {**options, "survey": ""})
    (tmp_path / "marks.csv").write_text("door,IMG_9.jpg,1,2\n")
    with pytest.raises(UserError, match=r"None of the survey marks is in a chosen photo, such as 'IMG_9\.jpg'"):
        surveying.check(options, solve(list(photos.values())).photos)
    (tmp_path / "marks.csv").write_text("gate,IMG_1.jpg,1,2\n")
    with pytest.raises(UserError, match="No survey point is called 'gate'"):
        surveying.applied(solve(list(photos.values())), options)
    surveying.check({}, [])
    plain = solve(list(photos.values()))
    assert surveying.applied(plain, {}) is plain


def test_points_to_hold_are_those_of_the_lists(photos: dict[str, Camera], tmp_path: Path) -> None:
    far = {name: (x + 412_345.0, y, z) for name, (x, y, z) in POINTS.items()}
    options = lists(tmp_path, photos, far)
    result = solve(list(photos.values()))
    assert survey_marks.held_survey(options, result.photos) is None
    marks = survey_marks.held_survey({**options, "survey_is": "held"}, result.photos[1:])
    assert marks is not None
    assert np.allclose(marks.points[0], (345, 0, 0))
    for mark in marks.marks:
        expected = photos[NAMES[mark.photo + 1]].project(marks.points[mark.point] - (345, 0, 0))
        assert mark.pixel == pytest.approx(expected, abs=1e-6)


def test_marks_of_a_photo_that_is_not_there_go_to_no_other(photos: dict[str, Camera], tmp_path: Path) -> None:
    options = {**lists(tmp_path, photos, POINTS), "survey_is": "held"}
    text = Path(options["survey_pixels"]).read_text()
    for name in ("0", "0000"):
        Path(options["survey_pixels"]).write_text(text.replace(f",{NAMES[0]},", f",{name},"))
        marks = survey_marks.held_survey(options, solve(list(photos.values())).photos)
        assert marks is not None
        assert 0 not in {mark.photo for mark in marks.marks}
        assert 1 in {mark.photo for mark in marks.marks}


def test_coordinates_far_from_the_origin_are_moved(photos: dict[str, Camera], tmp_path: Path) -> None:
    far = {name: (x + 412_345.0, y + 5_312_345.0, z) for name, (x, y, z) in POINTS.items()}
    result = surveying.applied(solve(list(photos.values())), lists(tmp_path, photos, far))
    assert "(412000, 5.312e+06, 0) was taken from all coordinates" in result.notes[-1]
    expected = pose(2)[:3, 3] + (345, 345, 0)
    assert np.abs(result.cameras[2].world_from_camera[:3, 3] - expected).max() < 1e-3
    assert replace(result.survey[0], error=None, pixel_error=None).position == pytest.approx((345, 345, 0))


def test_marks_on_a_plate_whose_pixels_are_not_square(tmp_path: Path) -> None:
    """Marks count in the file's own pixels, and a solve's cameras in square ones."""
    for number in range(1, 5):
        exr_file.write(tmp_path / f"plate.{number}.exr", np.zeros((48, 32, 3), np.float32), pixel_aspect=2.0)
    plate = str(tmp_path / "plate.#.exr")
    photos = [Photo(video.frame_name("plate.#.exr", 1 + i), plate, 64, 48, "", frame=1 + i) for i in range(4)]
    cameras = [Camera(photo.name, 64, 48, 60, 60, 32, 24, pose(i), LENS) for i, photo in enumerate(photos)]
    squeezed = [replace(camera, width=32, fx=30, cx=16) for camera in cameras]
    options = {
        **lists(tmp_path, {str(1 + i): camera for i, camera in enumerate(squeezed)}, POINTS),
        "survey_is": "held",
    }
    marks = survey_marks.held_survey(options, photos)
    assert marks is not None
    assert len({mark.photo for mark in marks.marks}) == 4
    for mark in marks.marks:
        assert mark.pixel == pytest.approx(cameras[mark.photo].project(marks.points[mark.point]), abs=1e-6)
    by_name = dict(zip([photo.name for photo in photos], squeezed, strict=True))
    result = replace(solve(cameras), photos=photos)
    after = surveying.applied(result, lists(tmp_path, by_name, POINTS))  # without a shot that says the plate's size
    assert all(point.agrees and (point.pixel_error or 0.0) < 1e-3 for point in after.survey)
