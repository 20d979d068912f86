"""The engine: splats of the sample photos draw a photo they were not made from; ending early keeps what there is."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("torch", reason="splats are tested where torch is installed")
import torch

from tests import sample_photos
from threer_blender import bundle, headless
from threer_blender.engines import instantsplat, registry
from threer_blender.geometry.splats import training
from threer_blender.geometry.splats.rasteriser import Splats
from threer_blender.jobs.messages import Done, Message, Preview, Progress
from threer_blender.model.arrays import BoolArray
from threer_blender.model.errors import Cancelled, UserError
from threer_blender.model.lens import Distortion
from threer_blender.model.reconstruction import Camera, Photo, PhotoFromMap, PointCloud, PointMap, Reconstruction
from threer_blender.pictures import photos as photo_files
from threer_blender.runtime.report import MessageReport

SAMPLE = Path(__file__).parents[1] / "data" / "sample"
TRUTH = {record["photo"]: record for record in json.loads((SAMPLE / "truth.json").read_text())["cameras"]}
NAMES = ["IMG_2041.jpg", "IMG_2043.jpg", "IMG_2042.jpg"]  # the third lies between the others
TINY = instantsplat.SplatQuality(long_side=144, iterations=40, degree=0)


def camera_of(name: str) -> Camera:
    record = TRUTH[name]
    lens = Distortion(record["distortion"]["model"], tuple(record["distortion"]["params"]))
    numbers = {key: record[key] for key in ("photo", "width", "height", "fx", "fy", "cx", "cy")}
    return Camera(**numbers, world_from_camera=np.array(record["world_from_camera"]), distortion=lens)


def true_result(names: list[str]) -> Reconstruction:
    """The result of a perfect engine on some sample photos: true cameras, lens and depth."""
    photos = photo_files.read([SAMPLE / "photos" / name for name in names], lambda *_: None).accepted
    cameras = [camera_of(name) for name in names]
    maps = []
    for camera in cameras:
        depth = np.asarray(Image.open(SAMPLE / TRUTH[camera.photo]["depth"])).astype(np.float64) * 0.0005
        height, width = depth.shape
        scale = PhotoFromMap(camera.width / width, camera.height / height, 0, 0)
        pixels = np.stack(np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5), -1) * scale[:2]
        points = (camera.rays(pixels) * depth[..., None]) @ camera.world_from_camera[:3, :3].T
        points = (points + camera.world_from_camera[:3, 3]).astype(np.float32)
        has_depth = depth > 0
        maps.append(PointMap(camera.photo, points, has_depth.astype(np.float32), has_depth, scale))
    few = maps[0].points[50:60, 50:60].reshape(-1, 3)
    up, grey = np.tile(np.array([0, 0, 1], np.float32), (100, 1)), np.full((100, 3), 128, np.uint8)
    cloud = PointCloud(few, up, grey, np.ones(100, np.float32), np.zeros(100, np.int32))
    return Reconstruction("true", "none", photos, cameras, maps, cloud, trusted_confidence=0.5)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(instantsplat.QUALITIES, "draft", TINY)


@pytest.fixture(scope="module")
def splatted() -> tuple[Reconstruction, list[Message]]:
    sent: list[Message] = []
    report = MessageReport(sent.append)
    report.plan([instantsplat.STARTING.weighing(1), instantsplat.SPLATTING.weighing(9)])
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(instantsplat.QUALITIES, "draft", TINY)
        return instantsplat.splatted(true_result(NAMES[:2]), "draft", report), sent


def test_a_photo_that_they_were_not_made_from_is_drawn(splatted: tuple[Reconstruction, list[Message]]) -> None:
    actual = splatted[0]
    assert actual.gaussians is not None
    photo = photo_files.read([SAMPLE / "photos" / NAMES[2]], lambda *_: None).accepted[0]
    view, _ = instantsplat.training_view(camera_of(NAMES[2]), photo, 144)
    g = actual.gaussians
    splats = Splats(*(torch.from_numpy(array) for array in (g.means, g.scales, g.rotations, g.opacities, g.sh)))
    pose = torch.as_tensor(view.camera_from_world, dtype=torch.float32)
    drawn = training.draw(splats, view, pose).clamp(0, 1).numpy()
    assert training.decibels(drawn, view) > 22
    assert training.decibels(np.broadcast_to(view.picture[view.mask].mean(0), drawn.shape), view) < 18


def test_cameras_stay_where_they_were_right(splatted: tuple[Reconstruction, list[Message]]) -> None:
    for camera in splatted[0].cameras:
        true = camera_of(camera.photo)
        points = true_result([camera.photo]).pointmaps[0].points[::20, ::20].reshape(-1, 3)
        errors = np.linalg.norm(camera.project(points) - true.project(points), axis=-1)
        assert np.nanmedian(errors) < 0.5 * camera.width / 144  # half a pixel of a picture for training
        assert camera.distortion == true.distortion


def test_what_a_photo_saw_moves_along_with_its_camera(splatted: tuple[Reconstruction, list[Message]]) -> None:
    actual, before = splatted[0], true_result(NAMES[:2])
    for camera, pointmap, old_camera, old in zip(
        actual.cameras, actual.pointmaps, before.cameras, before.pointmaps, strict=True
    ):
        assert not np.array_equal(camera.world_from_camera, old_camera.world_from_camera)
        known = old.mask[::20, ::20]
        points, moved = old.points[::20, ::20][known], pointmap.points[::20, ::20][known]
        assert camera.project(moved) == pytest.approx(old_camera.project(points), abs=0.02)
    assert actual.cloud is not None
    assert before.cloud is not None
    same = actual.cameras[0].project(actual.cloud.positions), before.cameras[0].project(before.cloud.positions)
    assert same[0] == pytest.approx(same[1], abs=0.02)


def test_a_bundle_keeps_the_splats(splatted: tuple[Reconstruction, list[Message]], tmp_path: Path) -> None:
    read = bundle.read(bundle.write(splatted[0], tmp_path / "result"))
    assert read.gaussians is not None
    assert splatted[0].gaussians is not None
    assert np.array_equal(read.gaussians.means, splatted[0].gaussians.means)


def test_previews_show_the_splats_grow(splatted: tuple[Reconstruction, list[Message]]) -> None:
    sent = splatted[1]
    assert any(isinstance(message, Preview) for message in sent)
    last = next(message for message in reversed(sent) if isinstance(message, Progress))
    assert last.stage == instantsplat.SPLATTING.label
    assert last.cancel_delivers


@pytest.mark.usefixtures("small")
def test_a_cancel_keeps_the_splats_so_far() -> None:
    sent: list[Message] = []

    def hear(message: Message) -> None:
        sent.append(message)
        if isinstance(message, Preview):
            assert not report.cancel()

    report = MessageReport(hear)
    report.plan([instantsplat.STARTING.weighing(1), instantsplat.SPLATTING.weighing(9)])
    actual = instantsplat.splatted(true_result(NAMES[:2]), "draft", report)
    assert actual.gaussians is not None
    assert not any(
        message.stage == instantsplat.SPLATTING.label and message.fraction > 0.5
        for message in sent[:-1]
        if isinstance(message, Progress)
    )
    before = MessageReport(lambda _: None)
    before.plan([instantsplat.STARTING.weighing(1), instantsplat.SPLATTING.weighing(9)])
    assert before.cancel()
    with pytest.raises(Cancelled):
        instantsplat.splatted(true_result(NAMES[:2]), "draft", before)


@pytest.mark.usefixtures("small")
def test_a_masked_photo_makes_no_splats(splatted: tuple[Reconstruction, list[Message]]) -> None:
    """Where one photo is masked altogether, splats are where the other one sees, or just beside that."""

    def excluded(photo: Photo, size: tuple[int, int]) -> BoolArray:
        return np.full(size[::-1], photo.name == NAMES[1])

    def share_in_view_of_first(result: Reconstruction) -> float:
        camera, gaussians = camera_of(NAMES[0]), result.gaussians
        assert gaussians is not None
        pixels, beside = np.nan_to_num(camera.project(gaussians.means), nan=-1e6), 0.2 * camera.width
        inside = (pixels > -beside) & (pixels < np.array([camera.width, camera.height]) + beside)
        return float(inside.all(axis=1).mean())

    report = MessageReport(lambda _message: None)
    report.plan([instantsplat.STARTING.weighing(1), instantsplat.SPLATTING.weighing(9)])
    masked = instantsplat.splatted(true_result(NAMES[:2]), "draft", report, excluded)
    assert share_in_view_of_first(masked) > 0.99 > share_in_view_of_first(splatted[0])


def test_without_depth_it_says_what_to_do() -> None:
    report = MessageReport(lambda _: None)
    report.plan([instantsplat.STARTING.weighing(1), instantsplat.SPLATTING.weighing(9)])
    empty = replace(true_result(NAMES[:1]), pointmaps=[])
    with pytest.raises(UserError, match="take photos that overlap more, or start from another engine"):
        instantsplat.splatted(empty, "draft", report)


def test_every_start_is_an_engine_that_gives_pointmaps_and_says_its_terms() -> None:
    option = next(option for option in instantsplat.ENGINE.options if option.name == "start")
    assert option.choices is not None
    for name, label in option.choices.items():
        engine = registry.engine(name)
        assert "pointmaps" in engine.produces
        assert engine.commercial or "not for commercial use" in label
        assert engine.commercial == (instantsplat.ENGINE.forbids({"start": name}) is None)
        assert set(engine.requires) <= set(instantsplat.ENGINE.requires)
    for start, by_quality in instantsplat.START_OPTIONS.items():
        assert set(by_quality) == set(instantsplat.QUALITIES)
        for values in by_quality.values():
            registry.engine(start).checked_options(values)


def test_cancelling_the_process_delivers_what_there_is(tmp_path: Path) -> None:
    """The whole way: photos, classical engine, splats; a click on the button as soon as it says that it keeps."""
    photos = sample_photos.shrunk(sample_photos.SAMPLE[:3], tmp_path)
    job = headless.begin(headless.reconstruction_request(photos, tmp_path / "result", instantsplat.ENGINE.id))
    try:
        while not any(isinstance(message, Progress) and message.cancel_delivers for message in job.wait(60)):
            assert job.ended is None, job.log.read_text()
        job.cancel()
        while job.ended is None:
            job.wait(60)
    finally:
        job.close()
    assert isinstance(job.ended, Done), job.ended
    actual = bundle.read(tmp_path / "result")
    assert len(actual.cameras) == 3
    assert actual.gaussians is not None
    assert len(actual.gaussians) > 5_000
    assert np.isfinite(actual.gaussians.means).all()
    assert actual.gaussians.scales.min() > 0
