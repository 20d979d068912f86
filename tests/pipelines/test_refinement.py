"""Any result's cameras are refined on its photos: from a network's errors to the truth, its points carried along."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from tests.sample_photos import SAMPLE, TRUTH, shrunk, true_camera
from threer_blender import bundle, headless
from threer_blender.cli import command_line
from threer_blender.files.photo_files import find
from threer_blender.geometry import rotations
from threer_blender.geometry.adjustment.tracks import PairMatches
from threer_blender.model.engine import Stage
from threer_blender.model.errors import UserError
from threer_blender.model.reconstruction import Camera, Gaussians, PhotoFromMap, PointCloud, PointMap, Reconstruction
from threer_blender.pictures.photos import pixels, read
from threer_blender.pipelines import refinement

Float = NDArray[np.float64]
FACTOR = 2  # by which the sample photos are shrunk


def silent(stage: Stage, done: float, total: float) -> None:
    pass


def shrunk_camera(name: str) -> Camera:
    """The true camera of a photo of the sample that is shrunk by FACTOR."""
    full = true_camera(name)
    return full.resized(full.width // FACTOR, full.height // FACTOR)


def network_answer(truth: Camera, random: np.random.Generator) -> tuple[Camera, PointMap]:
    """A camera and its pointmap as a feed-forward network might give them.

    The rotation is off by 1 to 2 degrees, the focal length by 3 %, and the depth by 5 %. There is no distortion.
    """
    rotation = random.standard_normal(3)
    rotation *= np.radians(random.uniform(1, 2)) / np.linalg.norm(rotation)
    pose = truth.world_from_camera.copy()
    pose[:3, :3] = pose[:3, :3] @ rotations.from_vectors(rotation[None])[0]
    pose[:3, 3] += 0.01 * random.standard_normal(3)
    factor = np.exp(0.03 * random.standard_normal())
    camera = Camera(
        truth.photo,
        truth.width,
        truth.height,
        truth.fx * factor,
        truth.fy * factor,
        truth.width / 2,
        truth.height / 2,
        pose,
    )
    depth = np.asarray(Image.open(SAMPLE[0].parents[1] / TRUTH[truth.photo]["depth"])) * 0.0005
    depth = depth * np.exp(0.05 * random.standard_normal())
    scale = PhotoFromMap(truth.width / depth.shape[1], truth.height / depth.shape[0], 0, 0)
    empty = PointMap(truth.photo, np.zeros((*depth.shape, 3), np.float32), np.ones_like(depth), depth > 0, scale)
    local = camera.rays(empty.photo_pixels()) * depth[..., None]
    return camera, replace(empty, points=(local @ pose[:3, :3].T + pose[:3, 3]).astype(np.float32))


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Reconstruction:
    """A network's answer about the sample photos, of which one is portrait: cameras, pointmaps, and a cloud.

    The cloud has some of the pointmaps' points.
    """
    folder = tmp_path_factory.mktemp("photos")
    photos = read(find(shrunk(SAMPLE, folder, FACTOR)).files, lambda *_: None).accepted
    random = np.random.default_rng(4)
    answers = [network_answer(shrunk_camera(photo.name), random) for photo in photos]
    some = [pointmap.points[pointmap.mask][::50] for _, pointmap in answers]
    cloud = PointCloud(
        np.concatenate(some),
        np.tile(np.array([0, 0, 1], np.float32), (sum(map(len, some)), 1)),
        np.zeros((sum(map(len, some)), 3), np.uint8),
        np.ones(sum(map(len, some)), np.float32),
        np.repeat(np.arange(len(some)), list(map(len, some))).astype(np.int32),
    )
    cameras, pointmaps = [camera for camera, _ in answers], [pointmap for _, pointmap in answers]
    return Reconstruction("network", "MIT", photos, cameras, pointmaps, cloud, metric=True)


def rotation_errors(actual: list[Camera], truth: list[Camera]) -> Float:
    """Degrees by which the relative rotations of all pairs are off."""
    first, second = np.triu_indices(len(truth), 1)
    ours, true = (np.array([camera.world_from_camera[:3, :3] for camera in side]) for side in (actual, truth))
    our_relative = ours[first].transpose(0, 2, 1) @ ours[second]
    true_relative = true[first].transpose(0, 2, 1) @ true[second]
    errors = our_relative @ true_relative.transpose(0, 2, 1)
    return np.degrees(np.arccos(np.clip((np.trace(errors, axis1=1, axis2=2) - 1) / 2, -1, 1)))


def seams(reconstruction: Reconstruction) -> float:
    """The median relative difference between the depths of a pointmap's points and of the next photo's map there."""
    differences = []
    for pointmap, next_map, camera in zip(
        reconstruction.pointmaps, reconstruction.pointmaps[1:], reconstruction.cameras[1:], strict=False
    ):
        points = pointmap.points[pointmap.mask][::20]
        z = points @ camera.camera_from_world[2, :3] + camera.camera_from_world[2, 3]
        pixels = camera.project(points)
        inside = np.isfinite(pixels).all(axis=1) & (pixels > 1).all(axis=1)
        inside &= (pixels < (camera.width - 1, camera.height - 1)).all(axis=1)
        column, row = (np.where(inside, pixels[:, i] / next_map.photo_from_map[i], 0).astype(int) for i in range(2))
        differences.append(np.abs(next_map.depth(camera)[row, column] / z - 1)[inside])
    return float(np.median(np.concatenate(differences)))


def few(start: Reconstruction, count: int) -> Reconstruction:
    """The result of the first `count` photos alone, without a cloud."""
    first = {name: getattr(start, name)[:count] for name in ("photos", "cameras", "pointmaps")}
    return replace(start, **first, cloud=None)


@pytest.fixture(scope="module")
def better(start: Reconstruction) -> Reconstruction:
    return refinement.refined(start, "shared", pixels, silent)


def test_a_networks_errors_are_undone(start: Reconstruction, better: Reconstruction) -> None:
    truth = [shrunk_camera(camera.photo) for camera in start.cameras]
    assert np.median(rotation_errors(start.cameras, truth)) > 1
    assert rotation_errors(better.cameras, truth).max() < 0.1
    assert max(abs(camera.fx / true.fx - 1) for camera, true in zip(better.cameras, truth, strict=True)) < 0.005


def test_every_photo_says_its_error_before_and_after(start: Reconstruction, better: Reconstruction) -> None:
    assert all(camera.reprojection_error is None for camera in start.cameras)
    for camera in better.cameras:
        assert camera.reprojection_error is not None
        assert camera.error_before is not None
        assert camera.reprojection_error < 1 < camera.error_before


def test_points_stay_on_their_rays_and_meet(start: Reconstruction, better: Reconstruction) -> None:
    for pointmap, camera in zip(better.pointmaps, better.cameras, strict=True):
        errors = camera.project(pointmap.points[pointmap.mask]) - pointmap.photo_pixels()[pointmap.mask]
        assert np.abs(errors).max() < 0.01
    assert seams(start) > 0.03
    assert seams(better) < 0.01
    assert start.cloud is not None
    assert better.cloud is not None
    expected = np.concatenate([pointmap.points[pointmap.mask][::50] for pointmap in better.pointmaps])
    assert np.abs(better.cloud.positions - expected).max() < 1e-3


def test_the_world_keeps_its_size(start: Reconstruction, better: Reconstruction) -> None:
    spans = [
        np.linalg.norm(side.cameras[0].world_from_camera[:3, 3] - side.cameras[-1].world_from_camera[:3, 3])
        for side in (start, better)
    ]
    assert spans[1] == pytest.approx(spans[0], rel=0.06)  # the network's own depths are 5 % off


def test_the_engine_refines_a_classical_result_and_reports_each_photo(
    start: Reconstruction, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Distorted lenses with plates and errors, as the classical engine leaves them; a fourth photo is of noise."""
    shrunk(SAMPLE[:3], tmp_path, FACTOR)
    truth = [shrunk_camera(camera.photo) for camera in few(start, 4).cameras]
    noise = np.random.default_rng(0).integers(0, 255, (truth[3].height, truth[3].width, 3)).astype(np.uint8)
    Image.fromarray(noise).save(tmp_path / truth[3].photo)
    photos = read(find([tmp_path]).files, lambda *_: None).accepted
    solved = [
        replace(
            camera, world_from_camera=rough.world_from_camera, undistorted=f"plates/{index}.jpg", reprojection_error=0.4
        )
        for index, (camera, rough) in enumerate(zip(truth[:3], start.cameras, strict=False))
    ]
    rough = Reconstruction("colmap", "GPL-3.0-or-later", photos, [*solved, truth[3]])
    bundle.write(rough, tmp_path / "rough")
    options = ("--engine", "refine", "--option", f"start={tmp_path / 'rough'}", "--option", "lens=known")
    chosen = [photo.path for photo in photos[::-1]]
    fine = tmp_path / "fine"
    assert command_line.main(["reconstruct", *chosen, *options, "--output", str(fine)]) == 0
    better, output = bundle.read(fine), capfd.readouterr().out
    assert better.engine == "colmap"
    assert [camera.photo for camera in better.cameras] == [camera.photo for camera in rough.cameras]
    assert (
        rotation_errors(better.cameras[:3], truth[:3]).max() < 0.1 < rotation_errors(rough.cameras[:3], truth[:3]).max()
    )
    for camera, true in zip(better.cameras[:3], truth, strict=False):
        assert (camera.fx, camera.distortion) == (true.fx, true.distortion)
        assert (fine / camera.undistorted).is_file()
        assert camera.reprojection_error is not None
        assert camera.error_before is not None
        before, after = f"{camera.error_before:.2f} px before", f"{camera.reprojection_error:.2f} px after"
        assert f"{camera.photo!r}: {before} refinement, {after}" in output
    assert f"{truth[3].photo!r}: layout quality, not refined" in output


@pytest.mark.parametrize(("missing", "sentence"), [("start", "Name the result"), ("photo", "choose it as well")])
def test_the_engine_says_what_it_lacks(start: Reconstruction, tmp_path: Path, missing: str, sentence: str) -> None:
    bundle.write(start, tmp_path / "rough")
    photos = [photo.path for photo in start.photos[1:]]
    options = {} if missing == "start" else {"start": str(tmp_path / "rough")}
    with pytest.raises(UserError, match=sentence):
        headless.reconstruct(photos, tmp_path / "fine", "refine", options)


def test_splats_are_refused(start: Reconstruction) -> None:
    one = np.zeros((1, 3), np.float32)
    splats = Gaussians(one, one, np.zeros((1, 4), np.float32), np.zeros(1, np.float32), np.zeros((1, 1, 3), np.float32))
    with pytest.raises(UserError, match="splats"):
        refinement.refined(replace(start, gaussians=splats), "shared", pixels, silent)


def test_photos_that_share_nothing_stay_as_they_were(start: Reconstruction, tmp_path: Path) -> None:
    """Noise has features, but none that another photo has: the cameras stay, and count as unmeasured."""
    random = np.random.default_rng(0)
    for photo in few(start, 3).photos:
        noise = random.integers(0, 255, (photo.height, photo.width, 3)).astype(np.uint8)
        Image.fromarray(noise).save(tmp_path / photo.name)
    photos = read(find([tmp_path]).files, lambda *_: None).accepted
    rough = replace(few(start, 3), photos=photos)
    same = refinement.refined(rough, "shared", pixels, silent)
    for now, before in zip(same.cameras, rough.cameras, strict=True):
        assert (now.world_from_camera == before.world_from_camera).all()
        assert now.reprojection_error is None


@pytest.mark.parametrize(("degrees", "refused"), [(2.0, False), (60.0, True)])
def test_pairs_are_refused_only_where_cameras_contradict_them_altogether(degrees: float, refused: bool) -> None:
    first, second = (shrunk_camera(path.name) for path in SAMPLE[:2])
    points = np.random.default_rng(1).uniform(-0.3, 0.3, (200, 3))
    pixels_of = [camera.project(points) for camera in (first, second)]
    in_both = np.flatnonzero(np.isfinite(np.concatenate(pixels_of, axis=1)).all(axis=1))
    rotation = np.eye(4)
    rotation[:3, :3] = rotations.from_vectors(np.radians([[degrees, degrees / 2, 0]]))[0]
    rotated = replace(second, world_from_camera=second.world_from_camera @ rotation)
    pair = PairMatches(0, 1, in_both, in_both, 1.0)
    assert refinement.contradicted([first, rotated], pixels_of, pair) == refused
