"""New photos in the world of an earlier result, whose cameras stay; refused where they do not fit each other."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.runtime import synthetic
from threer_blender import bundle
from threer_blender.engines import colmap
from threer_blender.files import scene_camera_files
from threer_blender.files.scene_camera_files import SceneCamera
from threer_blender.model.arrays import Array
from threer_blender.model.errors import UserError
from threer_blender.model.reconstruction import Camera, Photo, Reconstruction
from threer_blender.pictures import photos as photo_reader
from threer_blender.pipelines import against
from threer_blender.runtime.report import MessageReport

WIDTH, HEIGHT = 360, 270
COUNT, NEW = 5, (1, 3)
SCALE = 2.5  # metres for a unit of the synthetic world
SHIFT = np.array([10.0, -20.0, 5.0])  # metres


def moved(world_from_camera: Array) -> Array:
    """The pose of a camera of the synthetic world in the world of the reference."""
    reference_from_camera = world_from_camera.copy()
    reference_from_camera[:3, 3] = SCALE * world_from_camera[:3, 3] + SHIFT
    return reference_from_camera


@pytest.fixture(scope="module")
def true_views() -> list[synthetic.TrueView]:
    return synthetic.true_views(COUNT, WIDTH, HEIGHT, 7)


@pytest.fixture(scope="module")
def photos(true_views: list[synthetic.TrueView], tmp_path_factory: pytest.TempPathFactory) -> list[Photo]:
    folder = tmp_path_factory.mktemp("photos")
    for number, true_view in enumerate(true_views):
        Image.fromarray(true_view.image).save(folder / f"{number}.png")
    return photo_reader.read(sorted(folder.iterdir()), lambda _text, _photo: None).accepted


def camera(photo: Photo, true_view: synthetic.TrueView) -> Camera:
    k = true_view.intrinsics
    return Camera(photo.name, WIDTH, HEIGHT, k[0, 0], k[1, 1], k[0, 2], k[1, 2], moved(true_view.world_from_camera))


@pytest.fixture(scope="module")
def earlier(
    photos: list[Photo], true_views: list[synthetic.TrueView], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The true cameras of the photos that are not new, in metres."""
    old = [number for number in range(COUNT) if number not in NEW]
    cameras = [camera(photos[number], true_views[number]) for number in old]
    result = Reconstruction("colmap", "GPL", [photos[number] for number in old], cameras, metric=True)
    return Path(bundle.write(result, tmp_path_factory.mktemp("earlier") / "set"))


def solved(photos: list[Photo], folder: Path) -> Reconstruction:
    options = colmap.ENGINE.checked_options({"against": str(folder), "points": False, "quality": "preview"})
    return colmap.reconstruct(photos, options, MessageReport(lambda _message: None))


def test_new_photos_are_where_they_were(
    photos: list[Photo], true_views: list[synthetic.TrueView], earlier: Path
) -> None:
    result = solved([photos[number] for number in NEW], earlier)
    assert result.metric
    assert len(result.cameras) == COUNT
    reference: dict[str, Any] = {each.photo: each for each in bundle.read(earlier).cameras}
    for number, photo in enumerate(photos):
        actual, true = result.camera(photo.name), moved(true_views[number].world_from_camera)
        assert actual is not None
        if number not in NEW:
            assert np.array_equal(actual.world_from_camera, reference[photo.name].world_from_camera)
            continue
        # The cameras stand on an arc with a radius of 4 units.
        assert np.linalg.norm(actual.world_from_camera[:3, 3] - true[:3, 3]) < 0.005 * 4 * SCALE
        cosine = (np.trace(actual.world_from_camera[:3, :3].T @ true[:3, :3]) - 1) / 2
        assert np.degrees(np.arccos(min(1, cosine))) < 0.2
        assert actual.fx == pytest.approx(true_views[number].intrinsics[0, 0], rel=0.01)
    assert result.notes[0] == "2 of 2 new photos were solved against the 3 cameras of set, which stayed."


def test_a_reference_that_does_not_fit_its_photos_is_refused(
    photos: list[Photo], earlier: Path, tmp_path: Path
) -> None:
    result = bundle.read(earlier)
    random = np.random.default_rng(0)
    cameras = []
    for each in result.cameras:
        pose = each.world_from_camera.copy()
        pose[:3, 3] += random.normal(0, 3, 3)
        cameras.append(replace(each, world_from_camera=pose))
    wrong = Path(bundle.write(replace(result, cameras=cameras), tmp_path / "wrong"))
    with pytest.raises(UserError, match="The reference does not fit its own photos"):
        solved([photos[NEW[0]]], wrong)


def test_photos_of_another_place_are_refused(earlier: Path, tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (HEIGHT // 4, WIDTH // 4, 3), np.uint8)
    Image.fromarray(noise).resize((WIDTH, HEIGHT)).save(tmp_path / "elsewhere.png")
    (photo,) = photo_reader.read([tmp_path / "elsewhere.png"], lambda _text, _photo: None).accepted
    with pytest.raises(UserError, match="None of the new photos could be solved against the reference"):
        solved([photo], earlier)


def test_what_cannot_be_a_reference_is_refused(photos: list[Photo], earlier: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="choose new ones"):
        against.read_reference(str(earlier), [photos[0]])
    with pytest.raises(UserError, match="rename the new one"):
        against.read_reference(str(earlier), [replace(photos[0], sha256="1" * 64)])
    one = replace(bundle.read(earlier), cameras=bundle.read(earlier).cameras[:1])
    folder = bundle.write(one, tmp_path / "one")
    with pytest.raises(UserError, match="fewer than two cameras"):
        against.read_reference(str(folder), [photos[NEW[0]]])
    with pytest.raises(UserError):
        against.read_reference(str(tmp_path / "missing"), [photos[NEW[0]]])


def test_cameras_of_a_blender_scene_are_a_reference(photos: list[Photo], tmp_path: Path) -> None:
    matrix = np.eye(4).tolist()
    known = [
        SceneCamera(photo, 35.0, fit, 36.0, 24.0, 0.1, -0.05, matrix)
        for photo, fit in ((photos[0].path, "AUTO"), (photos[2].name, "VERTICAL"), ("elsewhere.png", "AUTO"))
    ]
    scene_camera_files.write(tmp_path / "cameras.json", known)
    reference = against.read_reference(str(tmp_path / "cameras.json"), photos)
    assert [photo.name for photo in reference.photos[:2]] == [photos[0].name, photos[2].name]
    assert len(reference.photos) == COUNT
    assert reference.z_up
    first = reference.cameras[0]
    assert first.fx == pytest.approx(35 / 36 * WIDTH)
    assert reference.cameras[1].fx == pytest.approx(35 / 24 * HEIGHT)
    assert (first.cx, first.cy) == pytest.approx((0.4 * WIDTH, HEIGHT / 2 - 0.05 * WIDTH))
    assert all(photo.lens.held for photo in reference.photos[:2])


def test_one_camera_of_a_scene_is_not_that_of_every_frame(photos: list[Photo], tmp_path: Path) -> None:
    film = [replace(photo, path="/take.mov", frame=number) for number, photo in enumerate(photos[3:], 1)]
    matrix = np.eye(4).tolist()
    files = [photos[0].path, photos[1].path, "/take.mov"]
    known = [SceneCamera(file, 35.0, "AUTO", 36.0, 24.0, 0.0, 0.0, matrix) for file in files]
    scene_camera_files.write(tmp_path / "cameras.json", known)
    reference = against.read_reference(str(tmp_path / "cameras.json"), [*photos[:3], *film])
    assert [reference.photos[number].path for number in reference.cameras] == files[:2]
