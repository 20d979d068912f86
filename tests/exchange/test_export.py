"""Other programs read an export as we do: pycolmap reads the model back; transforms.json projects points as we do."""

import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from threer_blender.exchange import export, point_writers
from threer_blender.geometry import rotations
from threer_blender.model.errors import UserError
from threer_blender.model.lens import Distortion
from threer_blender.model.reconstruction import Camera, Photo, PointCloud, Reconstruction

NAMES = ("a/küche 1.jpg", "b/küche 1.jpg", "film.mp4 0012")


@pytest.fixture
def bundle_folder(tmp_path: Path) -> Path:
    folder = tmp_path / "bundle"
    (folder / "plates").mkdir(parents=True)
    Image.new("RGB", (64, 48), (10, 20, 30)).save(folder / "plates" / "0.png")
    Image.new("RGB", (64, 48), (40, 50, 60)).save(tmp_path / "küche 1.jpg")
    return folder


@pytest.fixture
def result(tmp_path: Path, bundle_folder: Path) -> Reconstruction:  # noqa: ARG001
    random = np.random.default_rng(0)
    photos = [Photo(name, str(tmp_path / "küche 1.jpg"), 64, 48, "0" * 64) for name in NAMES[:2]]
    photos += [Photo("none.jpg", str(tmp_path / "none.jpg"), 64, 48, "0" * 64)]
    photos += [Photo(NAMES[2], str(tmp_path / "film.mp4"), 64, 48, "0" * 64, frame=12)]
    cameras = []
    for number, name in enumerate(NAMES):
        world_from_camera = np.eye(4)
        world_from_camera[:3, :3] = rotations.from_vectors(random.normal(size=3))
        world_from_camera[:3, 3] = random.normal(size=3)
        cameras.append(Camera(name, 64, 48, 50 + number, 52.5, 31.25, 23.5, world_from_camera))
    cameras[0] = replace(cameras[0], undistorted="plates/0.png", distortion=Distortion("SIMPLE_RADIAL", (-0.1,)))
    count = 20
    cloud = PointCloud(
        random.normal(size=(count, 3)).astype(np.float32),
        np.tile(np.array([0, -1, 0], np.float32), (count, 1)),
        random.integers(0, 256, (count, 3)).astype(np.uint8),
        np.ones(count, np.float32),
        np.zeros(count, np.int32),
    )
    return Reconstruction("test", "GPL", photos, cameras, cloud=cloud)


def test_panoramas_are_left_out(tmp_path: Path, bundle_folder: Path, result: Reconstruction) -> None:
    first = replace(result.photos[0], panorama=True)
    cameras = [replace(result.cameras[0], distortion=Distortion("EQUIRECTANGULAR")), *result.cameras[1:]]
    result = replace(result, photos=[first, *result.photos[1:]], cameras=cameras)
    sentences = export.write(result, bundle_folder, "colmap", tmp_path / "out")
    assert sentences[0].startswith("2 cameras")
    assert any("1 panorama" in sentence for sentence in sentences)
    alone = replace(result, photos=[first], cameras=cameras[:1])
    with pytest.raises(UserError, match="panoramas alone"):
        export.write(alone, bundle_folder, "colmap", tmp_path / "none")


def test_colmap_reads_the_model(tmp_path: Path, bundle_folder: Path, result: Reconstruction) -> None:
    pycolmap = pytest.importorskip("pycolmap")
    sentences = export.write(result, bundle_folder, "colmap", tmp_path / "out")
    model = pycolmap.Reconstruction(str(tmp_path / "out" / "sparse" / "0"))
    images = sorted(model.images.values(), key=lambda image: image.name)
    assert len(images) == len(result.cameras)
    for image, ours in zip(images, result.cameras, strict=True):
        theirs = image.cam_from_world().inverse()
        assert np.allclose(theirs.translation, ours.world_from_camera[:3, 3], atol=1e-9)
        assert np.allclose(theirs.rotation.matrix(), ours.world_from_camera[:3, :3], atol=1e-9)
        camera = model.cameras[image.camera_id]
        assert camera.model.name == "PINHOLE"
        assert np.allclose(camera.params, (ours.fx, ours.fy, ours.cx, ours.cy), atol=1e-9)
    assert result.cloud is not None
    points = sorted(model.points3D.items())
    assert np.allclose([point.xyz for _, point in points], result.cloud.positions, atol=1e-6)
    assert np.array_equal([point.color for _, point in points], result.cloud.colors)
    copied = sorted(path.name for path in (tmp_path / "out" / "images").iterdir())
    assert copied == [image.name for image in images[:2]]
    with Image.open(tmp_path / "out" / "images" / copied[0]) as plate:
        assert plate.getpixel((5, 5)) == (10, 20, 30)  # the undistorted one
    assert not any(" " in image.name for image in images)
    assert "1 of 3 pictures are frames of a film" in " ".join(sentences)


def test_transforms_project_points_as_we_do(tmp_path: Path, bundle_folder: Path, result: Reconstruction) -> None:
    export.write(result, bundle_folder, "transforms", tmp_path / "out")
    index = json.loads((tmp_path / "out" / "transforms.json").read_text("utf-8"))
    head, _, body = (tmp_path / "out" / index["ply_file_path"]).read_bytes().partition(b"end_header\n")
    assert f"element vertex {len(body) // point_writers.VERTEX.itemsize}\n".encode() in head
    written = np.frombuffer(body, point_writers.VERTEX)["position"].astype(float)
    assert result.cloud is not None
    for frame, ours in zip(index["frames"], result.cameras, strict=True):
        local = (written - np.array(frame["transform_matrix"])[:3, 3]) @ np.array(frame["transform_matrix"])[:3, :3]
        ahead = -local[:, 2] > 0.1  # OpenGL's cameras look along -z, with y up
        x = frame["cx"] + frame["fl_x"] * local[:, 0] / -local[:, 2]
        y = frame["cy"] - frame["fl_y"] * local[:, 1] / -local[:, 2]
        ideal = replace(ours, distortion=Distortion("PINHOLE"))
        assert ahead.any()
        assert np.allclose(np.stack([x, y], 1)[ahead], ideal.project(result.cloud.positions)[ahead], atol=1e-3)
    undone = np.linalg.inv(np.vstack([index["applied_transform"], [0, 0, 0, 1]]))
    assert np.allclose(written @ undone[:3, :3].T, result.cloud.positions, atol=1e-6)


def test_a_picture_that_is_gone_is_named_and_nothing_is_written(
    tmp_path: Path, bundle_folder: Path, result: Reconstruction
) -> None:
    (tmp_path / "küche 1.jpg").unlink()
    with pytest.raises(UserError, match="not there any more"):
        export.write(result, bundle_folder, "colmap", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_result_without_cameras_is_refused(tmp_path: Path, bundle_folder: Path, result: Reconstruction) -> None:
    with pytest.raises(UserError, match="no cameras"):
        export.write(replace(result, cameras=[]), bundle_folder, "transforms", tmp_path / "out")


def test_an_unknown_format_is_refused(tmp_path: Path, bundle_folder: Path, result: Reconstruction) -> None:
    with pytest.raises(UserError, match=r"there are colmap, transforms"):
        export.write(result, bundle_folder, "fbx", tmp_path / "out")


@pytest.mark.skipif(os.name == "nt", reason="links take a right on Windows")
def test_a_plate_that_leads_out_of_the_result_is_not_copied(
    tmp_path: Path, bundle_folder: Path, result: Reconstruction
) -> None:
    (bundle_folder / "plates" / "0.png").unlink()
    (bundle_folder / "plates" / "0.png").symlink_to(tmp_path / "küche 1.jpg")
    with pytest.raises(UserError, match="names a file outside of its folder"):
        export.write(result, bundle_folder, "colmap", tmp_path / "out")
