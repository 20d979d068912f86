"""The sparse stage: cameras against truth, and input that must be refused with a sentence."""

from __future__ import annotations

import json
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pycolmap
import pytest
from PIL import Image

from tests import real_data
from tests.films import static_camera
from threer_blender.engines import colmap
from threer_blender.files.photo_files import find
from threer_blender.geometry.features.database import FeatureSettings, Matched, Search
from threer_blender.geometry.features.features import FEATURES, MATCHES, extract_and_match
from threer_blender.geometry.sfm import mappers, mapping
from threer_blender.geometry.sfm.mapping import MAPPING, MappingSolution, solve
from threer_blender.geometry.sfm.model_selection import read_pairs, score_model
from threer_blender.jobs.messages import Message, Progress
from threer_blender.model.arrays import Array
from threer_blender.model.engine import ReportStage, Stage
from threer_blender.model.errors import Cancelled, UserError
from threer_blender.model.reconstruction import MEDIAN_DEPTH, Camera, Photo, Unregistered
from threer_blender.pictures import photos as photo_reader
from threer_blender.runtime.report import MessageReport

ROOT = Path(__file__).resolve().parents[3]
SAMPLE = ROOT / "tests" / "data" / "sample"
SMALL = FeatureSettings(long_side=800, features=3000)
TINY = FeatureSettings(long_side=480, features=1500)
LATER = Stage("later", "Later")


def silent(stage: Stage, done: float, total: float) -> None:
    """A report that nobody reads."""


def read(folder: Path) -> list[Photo]:
    """The photos in a folder."""
    return photo_reader.read(find([folder]).files, lambda _text, _photo: None).accepted


def written(pictures: dict[str, Array], folder: Path) -> list[Photo]:
    """Pictures (H, W, 3) by their names as photos without EXIF."""
    for name, picture in pictures.items():
        Image.fromarray(picture).save(folder / name)
    return read(folder)


def sparse(photos: list[Photo], folder: Path, settings: FeatureSettings = SMALL) -> MappingSolution:
    """The solution of photo files: features and matches, then mapping."""
    return solve(extract_and_match(Search(photos, photo_reader.pixels, folder, settings, silent)), silent)


def sparse_pictures(pictures: list[Array], folder: Path) -> MappingSolution:
    """The solution of pictures (H, W, 3) uint8 that stand in no file."""
    photos = [Photo(f"{i}.png", str(i), p.shape[1], p.shape[0], "") for i, p in enumerate(pictures)]
    settings = replace(TINY, long_side=800)
    matched = extract_and_match(
        Search(photos, lambda photo, _side: pictures[int(photo.path)], folder, settings, silent)
    )
    return solve(matched, silent)


def degrees_between(cameras: list[Camera], truth: dict[str, Array]) -> tuple[Array, Array]:
    """The errors in degrees of each pair's relative rotation (N,), and of the direction of its baseline (N,).

    N is the number of pairs of cameras. `truth` is world_from_camera (4, 4) by photo.
    """
    rotation, direction = [], []
    for i, first in enumerate(cameras):
        for second in cameras[i + 1 :]:
            solved = first.camera_from_world @ second.world_from_camera
            true = np.linalg.inv(truth[first.photo]) @ truth[second.photo]
            cosine = (np.trace(solved[:3, :3].T @ true[:3, :3]) - 1) / 2
            rotation.append(np.degrees(np.arccos(np.clip(cosine, -1, 1))))
            a, b = solved[:3, 3], true[:3, 3]
            direction.append(np.degrees(np.arccos(np.clip(a @ b / np.linalg.norm(a) / np.linalg.norm(b), -1, 1))))
    return np.array(rotation), np.array(direction)


def true_poses(name: str) -> dict[str, Array]:
    """world_from_camera (4, 4) by photo of a set of real photos."""
    frames = json.loads((real_data.FOLDER / name / "cameras.json").read_text())["frames"]
    return {Path(frame["file"]).name: np.linalg.inv(frame["w2c"]) for frame in frames}


# ----------------------------------------------------------------------------------------------- against truth
@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> MappingSolution:
    """Seven of the sample's photos, one of them a portrait one."""
    photos = read(SAMPLE / "photos")[3:10]
    return sparse(photos, tmp_path_factory.mktemp("sample"), replace(SMALL, long_side=640))


@pytest.fixture(scope="module")
def seven_photos(tmp_path_factory: pytest.TempPathFactory) -> list[Photo]:
    """Seven of the sample's photos, half as large and without EXIF."""
    pictures = {photo.name: photo_reader.pixels(photo, 648) for photo in read(SAMPLE / "photos")[:7]}
    return written(pictures, tmp_path_factory.mktemp("seven"))


@pytest.fixture(scope="module")
def mirrored_photos(tmp_path_factory: pytest.TempPathFactory) -> list[Photo]:
    """Four photos of another scene: the sample's last ones in a mirror, where no detail looks as it did."""
    pictures = {
        f"other {photo.name}": photo_reader.pixels(photo, 648)[:, ::-1] for photo in read(SAMPLE / "photos")[7:]
    }
    return written(pictures, tmp_path_factory.mktemp("mirrored"))


@pytest.fixture(scope="module")
def matched(seven_photos: list[Photo], tmp_path_factory: pytest.TempPathFactory) -> Matched:
    return extract_and_match(
        Search(seven_photos, photo_reader.pixels, tmp_path_factory.mktemp("matched"), TINY, silent)
    )


@pytest.fixture(scope="module")
def sample_truth() -> dict[str, Any]:
    return {camera["photo"]: camera for camera in json.loads((SAMPLE / "truth.json").read_text())["cameras"]}


def test_sample_cameras_are_where_they_were(sample: MappingSolution, sample_truth: dict[str, Any]) -> None:
    assert len(sample.cameras) == 7
    poses = {name: np.array(camera["world_from_camera"]) for name, camera in sample_truth.items()}
    rotation, direction = degrees_between(sample.cameras, poses)
    assert np.median(rotation) < 0.5
    assert rotation.max() < 1.5
    assert np.median(direction) < 1.0


def test_sample_lens_is_the_true_one(sample: MappingSolution, sample_truth: dict[str, Any]) -> None:
    for camera in sample.cameras:
        true = sample_truth[camera.photo]
        assert (camera.width, camera.height) == (true["width"], true["height"])
        assert camera.fx == pytest.approx(true["fx"], rel=0.02)
        assert camera.fy == pytest.approx(true["fy"], rel=0.02)


def test_observed_points_project_to_the_photo(sample: MappingSolution) -> None:
    for camera, observed in zip(sample.cameras, sample.observed, strict=True):
        pixels = camera.project(sample.positions[observed])
        assert np.all(pixels > 0)
        assert np.all(pixels < (camera.width, camera.height))
        assert camera.reprojection_error is not None
        assert 0 < camera.reprojection_error < 2


def test_world_has_a_sane_size(sample: MappingSolution) -> None:
    depths = [
        (sample.positions[observed] @ camera.camera_from_world[2, :3] + camera.camera_from_world[2, 3])
        for camera, observed in zip(sample.cameras, sample.observed, strict=True)
    ]
    assert np.median(np.concatenate(depths)) == pytest.approx(MEDIAN_DEPTH)
    assert np.allclose(np.median(sample.positions, axis=0), 0, atol=1e-9)


def test_same_photos_give_the_same_cameras(matched: Matched, tmp_path: Path) -> None:
    again = extract_and_match(Search(matched.photos, photo_reader.pixels, tmp_path, TINY, silent))
    assert np.array_equal(again.inliers, matched.inliers)
    for first, second in zip(solve(matched, silent).cameras, solve(again, silent).cameras, strict=True):
        assert first == replace(second, world_from_camera=first.world_from_camera)
        assert np.array_equal(first.world_from_camera, second.world_from_camera)


def test_cameras_from_photos_without_exif(matched: Matched, sample_truth: dict[str, Any]) -> None:
    solution = solve(matched, silent)
    assert len(solution.cameras) == 7
    poses = {name: np.array(camera["world_from_camera"]) for name, camera in sample_truth.items()}
    rotation, direction = degrees_between(solution.cameras, poses)
    assert np.median(rotation) < 1.0
    assert np.median(direction) < 2.5
    assert solution.cameras[0].fx == pytest.approx(sample_truth["IMG_2041.jpg"]["fx"] / 2, rel=0.05)


def test_a_photo_that_a_model_lacks_is_registered(matched: Matched) -> None:
    """One photo taken out of a model comes back, to where it was."""
    pairs = read_pairs(matched)
    (model,) = mappers.run(mappers.CANDIDATES[0], matched, lambda _: None)
    whole = score_model("whole", model, matched, pairs)
    smaller = pycolmap.Reconstruction(model)
    smaller.deregister_frame(smaller.image(3).frame_id)
    actual = mapping.continued(score_model("smaller", smaller, matched, pairs), matched, pairs, lambda _: None)
    assert actual.registered == whole.registered == frozenset(range(7))
    before, after = (m.image(3).cam_from_world() * m.image(1).cam_from_world().inverse() for m in (model, actual.model))
    assert np.degrees((before.rotation * after.rotation.inverse()).angle()) < 0.2


def test_photos_that_cannot_be_registered_stay_out(matched: Matched) -> None:
    """Where the other photos' matches lead astray, the model stays as it was."""
    pairs = read_pairs(matched)
    (model,) = mappers.run(mappers.CANDIDATES[0], matched, lambda _: None)
    model.deregister_frame(model.image(3).frame_id)
    smaller = score_model("smaller", model, matched, pairs)
    generator = np.random.default_rng(0)
    astray = [replace(pair, second=generator.permutation(pair.second)) if 2 in pair.photos else pair for pair in pairs]
    assert mapping.continued(smaller, matched, astray, lambda _: None) is smaller


@pytest.mark.real_data
def test_two_photos_are_enough(tmp_path: Path) -> None:
    solution = sparse(read(real_data.FOLDER / "middlebury2014_motorcycle" / "images"), tmp_path)
    assert len(solution.cameras) == 2
    rotation, direction = degrees_between(solution.cameras, true_poses("middlebury2014_motorcycle"))
    assert rotation.max() < 0.5
    assert direction.max() < 2.0
    assert any("focal length" in note for note in solution.notes)


@pytest.mark.real_data
def test_telephoto_is_found_without_exif(tmp_path: Path) -> None:
    """A field of view of 5.5 degrees, far outside what photos usually have."""
    solution = sparse(read(real_data.FOLDER / "vesta_dawn" / "images"), tmp_path)
    assert len(solution.cameras) == 4
    assert solution.cameras[0].fx == pytest.approx(10715, rel=0.05)


@pytest.mark.real_data
def test_a_coarse_pass_that_leaves_photos_unregistered_is_followed_by_a_finer_one() -> None:
    """Doubled copies register at least twelve of these thirteen photos, single ones ten. Progress never goes back."""
    photos = read(real_data.FOLDER / "alicevision_buddha" / "images")
    sent: list[Message] = []
    options = colmap.ENGINE.checked_options({"quality": "preview"})
    solution = colmap.solve_cameras(photos, options, MessageReport(sent.append), [LATER.weighing(10.0)])
    assert len(solution.cameras) >= 12
    reported = [message for message in sent if isinstance(message, Progress)]
    assert list(dict.fromkeys(message.stage for message in reported)) == [
        stage.label + again for again in ("", " again, more finely") for stage in (FEATURES, MATCHES, MAPPING)
    ]
    fractions = [message.fraction for message in reported]
    assert fractions == sorted(fractions)
    assert 0.5 < fractions[-1] < 1.0
    rotation, _ = degrees_between(solution.cameras, true_poses("alicevision_buddha"))
    assert rotation.max() < 3.0


@pytest.mark.parametrize("unregistered", [(5, 3, 1), (5, 0), (1, 1), (0,)])
def test_passes_have_stages_of_their_own(unregistered: tuple[int, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    """Stand-ins make passes over ten photos. Each takes as long as planned, and leaves so many photos unregistered."""
    clock, sent, actual = 0.0, list[Message](), iter(unregistered)
    photos = [Photo(str(number), "", 9, 9, "") for number in range(10)]

    def take(stages: tuple[Stage, ...], report: ReportStage) -> None:
        nonlocal clock
        for stage in stages:
            for step in range(2):
                report(stage, step, 2)
                clock += seconds[stage.id] / 2

    nothing = Matched(
        Path("nowhere.db"), photos, np.full((10, 2), 9), [np.zeros((0, 3))] * 10,
        np.zeros((0, 2), int), np.zeros(0, int), np.zeros(0, int),
    )  # fmt: skip

    def match(_folder: Path, _before: object, _left: object, report: ReportStage) -> Matched:
        take((FEATURES, MATCHES), report)
        return nothing

    def solved(_matched: object, report: ReportStage, _marks: object) -> MappingSolution:
        take((MAPPING,), report)
        lost = [Unregistered(photo.name, "", "") for photo in photos[: next(actual)]]
        registered = [Camera(photo.name, 9, 9, 9, 9, 4.5, 4.5, np.eye(4)) for photo in photos[len(lost) :]]
        return MappingSolution(registered, np.empty((0, 3)), np.empty((0, 3)), [], lost, [], 0.0, "", [])

    kinds = ((0.0, ""), (0.1, ", finer"), (0.0, ", learned"))  # a pass runs where a larger share is unregistered
    passes = [colmap.MatchingPass(match, TINY, (1.0, 1.0), tolerated, again) for tolerated, again in kinds]
    seconds = {stage.id: stage.weight for stage in passes[0].plan(len(photos))}
    whole = sum(seconds.values())
    monkeypatch.setattr(colmap, "matching_passes", lambda *_: passes)
    monkeypatch.setattr(mapping, "solve", solved)
    report = MessageReport(sent.append, clock=lambda: clock)
    colmap.solve_cameras(photos, {"focal": 0.0}, report, [LATER.weighing(whole)])
    report(LATER, 0, 1)
    reported = [message for message in sent if isinstance(message, Progress)]
    # the finer pass runs where more than its tolerated tenth of the ten photos is unregistered
    taken = ["", ", finer", ", learned"] if unregistered[0] > 1 else ["", ", learned"]
    expected = [stage.label + again for again in taken[: len(unregistered)] for stage in (FEATURES, MATCHES, MAPPING)]
    assert list(dict.fromkeys(message.stage for message in reported)) == [*expected, LATER.label]
    fractions = [message.fraction for message in reported]
    assert fractions == sorted(fractions)
    planned = 3 if unregistered[0] > 1 else 2  # passes before "later", each as long as it is
    assert fractions[-1] == pytest.approx(planned / (planned + 1), abs=1e-3)
    if len(unregistered) == planned:  # nothing was skipped, so the time left was true
        assert reported[-1].seconds_left == pytest.approx(whole, rel=0.01)


def test_each_photo_may_have_its_own_lens(seven_photos: list[Photo], tmp_path: Path) -> None:
    solution = sparse(seven_photos, tmp_path, replace(TINY, shared_intrinsics=False))
    assert len({camera.fx for camera in solution.cameras}) == len(solution.cameras) == 7


# ----------------------------------------------------------------------------------------------- left out, refused
def test_photo_of_something_else_is_named(
    seven_photos: list[Photo], mirrored_photos: list[Photo], tmp_path: Path
) -> None:
    stranger, grey = mirrored_photos[0], replace(seven_photos[0], name="grey.png", path="grey")

    def pixels(photo: Photo, side: int) -> Array:
        return np.full((450, 800, 3), 128, np.uint8) if photo.path == "grey" else photo_reader.pixels(photo, side)

    solution = solve(extract_and_match(Search([*seven_photos, stranger, grey], pixels, tmp_path, TINY, silent)), silent)
    assert len(solution.cameras) == 7
    unregistered = {photo.photo: photo for photo in solution.unregistered}
    assert set(unregistered) == {stranger.name, "grey.png"}
    assert "another photo" in unregistered[stranger.name].reason
    assert "detail" in unregistered["grey.png"].reason


def test_two_scenes_give_the_larger_and_name_the_other(
    seven_photos: list[Photo], mirrored_photos: list[Photo], tmp_path: Path
) -> None:
    solution = sparse([*mirrored_photos, *seven_photos], tmp_path, TINY)
    assert {camera.photo for camera in solution.cameras} == {photo.name for photo in seven_photos}
    assert [set(group) for group in solution.other_models] == [{photo.name for photo in mirrored_photos}]
    assert all("solved together with" in photo.reason for photo in solution.unregistered)


def views_from_one_spot(picture: Array, degrees: list[float], zooms: list[float], focal: float) -> list[Array]:
    """Pictures (600, 800, 3) of a camera that only turns about its centre and zooms, before a wide picture (H, W, 3).

    `focal` is in pixels, of both the wide picture and a view without zoom.
    """
    height, width = picture.shape[:2]
    y, x = np.mgrid[0:600, 0:800]
    views = []
    for angle, zoom in zip(np.radians(degrees), zooms, strict=True):
        rays = np.stack([(x - 399.5) / focal / zoom, (y - 299.5) / focal / zoom, np.ones(x.shape)], axis=-1)
        rotation = np.array([[np.cos(angle), 0, np.sin(angle)], [0, 1, 0], [-np.sin(angle), 0, np.cos(angle)]])
        rotated = rays @ rotation.T
        u = (rotated[..., 0] / rotated[..., 2] * focal + width / 2).clip(0, width - 1.001)
        v = (rotated[..., 1] / rotated[..., 2] * focal + height / 2).clip(0, height - 1.001)
        i, j = u.astype(int), v.astype(int)
        a, b = (u - i)[..., None], (v - j)[..., None]
        upper = picture[j, i] * (1 - a) + picture[j, i + 1] * a
        lower = picture[j + 1, i] * (1 - a) + picture[j + 1, i + 1] * a
        views.append(np.rint(upper * (1 - b) + lower * b).astype(np.uint8))
    return views


@pytest.mark.parametrize(
    ("degrees", "zooms"),
    [([-10.0, 10.0], [1.0, 1.0]), ([-10.0, -3.0, 4.0, 10.0], [1.0] * 4), ([0.0, 3.0, -2.0], [1.0, 1.4, 2.0])],
    ids=["two", "turning", "zooming"],
)
def test_turning_and_zooming_on_the_spot_are_refused(degrees: list[float], zooms: list[float], tmp_path: Path) -> None:
    """Zoomed photos would make a fine model of a flat wall that the camera walks up to."""
    wide = photo_reader.pixels(read(SAMPLE / "photos")[0], 1296)
    with pytest.raises(UserError, match="one spot: the camera only turned or zoomed"):
        sparse_pictures(views_from_one_spot(wide, degrees, zooms, focal=1000), tmp_path)


@pytest.mark.parametrize("turning", [False, True], ids=["across", "turning"])
def test_static_camera_is_refused(turning: bool, tmp_path: Path) -> None:
    """A thing moves across a still background, or turns before it. The thing alone would make a fine model."""
    with pytest.raises(UserError, match="stood still"):
        sparse_pictures(static_camera(turning, 5), tmp_path)


def test_identical_pictures_are_refused(tmp_path: Path) -> None:
    picture = photo_reader.pixels(read(SAMPLE / "photos")[0], 800)
    with pytest.raises(UserError, match="copies of each other"):
        sparse_pictures([picture, picture, picture], tmp_path)


def test_photos_without_overlap_are_refused(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    coarse = generator.integers(0, 255, (3, 60, 80, 3)).astype(np.uint8)
    with pytest.raises(UserError, match="overlap"):
        sparse_pictures([np.kron(c, np.ones((10, 10, 1), np.uint8)) for c in coarse], tmp_path)


# ----------------------------------------------------------------------------------------------- cancelling
@pytest.mark.parametrize("stage", [FEATURES, MATCHES, MAPPING])
def test_cancel_ends_every_stage(stage: Stage, seven_photos: list[Photo], tmp_path: Path) -> None:
    calls: list[Stage] = []

    ends_at = stage

    def report(stage: Stage, done: float, total: float) -> None:  # noqa: ARG001 (names of ReportStage)
        calls.append(stage)
        if stage == ends_at:
            raise Cancelled

    with pytest.raises(Cancelled):
        solve(extract_and_match(Search(seven_photos, photo_reader.pixels, tmp_path, TINY, report)), report)
    assert calls[-1] == stage
    assert calls.count(stage) == 1
    assert [thread for thread in threading.enumerate() if "ThreadPool" in thread.name] == []


# ----------------------------------------------------------------------------------------------- pairs
def test_many_photos_are_matched_with_those_alike(
    seven_photos: list[Photo], mirrored_photos: list[Photo], tmp_path: Path
) -> None:
    """The photos are of two scenes. The few pairs that are tried stay within a scene."""
    settings = replace(TINY, exhaustive=4, neighbours=4)
    tried = extract_and_match(
        Search([*seven_photos, *mirrored_photos], photo_reader.pixels, tmp_path, settings, silent)
    )
    scene = tried.pairs >= len(seven_photos)
    assert np.all(scene[:, 0] == scene[:, 1])
    assert len(tried.pairs) >= 18
