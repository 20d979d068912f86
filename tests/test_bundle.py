"""A bundle is whole or absent, says the same after a round trip, and never surprises its reader."""

import errno
import json
import os
import random
from dataclasses import fields, is_dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

from threer_blender import bundle
from threer_blender.files import array_file, bundle_folder
from threer_blender.files.bundle_folder import Staging
from threer_blender.model import reconstruction as model
from threer_blender.model.errors import UserError
from threer_blender.model.lens import PANORAMA, Distortion


def example(folder: Path) -> model.Reconstruction:
    """A reconstruction that uses nearly every field of the model."""
    rng = np.random.default_rng(3)
    names = ["IMG 1.jpg", "ünï\n'日本'.heic"]
    photos = [
        model.Photo(names[0], str(folder / names[0]), 60, 40, f"{0:064}", 50.5, None),
        model.Photo(names[1], str(folder / names[1]), 60, 40, f"{1:064}", 50.5, 23.2, frame=7),
    ]
    matrix = np.eye(4)
    matrix[:3, :3] = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    matrix[:3, 3] = rng.normal(size=3)
    cameras = [
        model.Camera(
            names[0], 60, 40, 51.0, 52.0, 30.5, 20.25, np.eye(4), Distortion("RADIAL", (-0.1, 0.01)), "plates/0.jpg"
        ),
        model.Camera(names[1], 60, 40, 51.0, 52.0, 30.5, 20.25, matrix, reprojection_error=0.5),
    ]
    pointmaps = [
        model.PointMap(
            name,
            rng.normal(size=(4, 6, 3)).astype(np.float32),
            rng.random((4, 6), np.float32),
            rng.random((4, 6)) > 0.5,
            model.PhotoFromMap(10.0, 10.0, 0.0, 0.5),
            removed,
        )
        for name, removed in zip(names, (rng.integers(0, 5, (4, 6), np.uint8), None), strict=True)
    ]
    count = 11
    cloud = model.PointCloud(
        rng.normal(size=(count, 3)).astype(np.float32),
        rng.normal(size=(count, 3)).astype(np.float32),
        rng.integers(0, 256, (count, 3), np.uint8),
        rng.random(count, np.float32),
        rng.integers(0, 2, count, np.int32),
    )
    splats = model.Gaussians(
        *(rng.random(s, np.float32) for s in ((count, 3), (count, 3), (count, 4), (count,), (count, 9, 3)))
    )
    measures = ("median_error", "p95_error", "worst_error", "inliers", "coverage")
    shot_values: dict[str, Any] = {name: rng.random(9, np.float32) for name in measures}
    rate = Fraction(30000, 1001)
    tracks = model.TrackedPoints(
        np.array([0, 0, 1, 1, 1], np.int32), np.array([2, 3, 6, 7, 8], np.int32), rng.random((5, 2), np.float32),
        np.array([[1, 2, 3], [np.nan] * 3], np.float32), np.array([0.5, np.nan], np.float32),
        np.array([1, 0], np.float32),
    )  # fmt: skip
    shot_values |= {"tracks": tracks, "bad": ((2, 3), (9, 9))}
    shot = model.Shot(
        "clip.mp4", photos[1].path, rate, 9, {7: cameras[1], 8: cameras[0]}, "nodal", "It turns.", **shot_values
    )
    return model.Reconstruction(
        "colmap", "BSD-3-Clause", photos, cameras, pointmaps, cloud, splats, True, "views that agree", 0.25,
        {"quality": "preview"}, {"features": 1.5},
        [model.Unregistered("a.jpg", "Too dark.", "Use a flash.")], ["A note."], [shot],
        model.Upright(np.array((0.0, -0.6, 0.8)), 1.5, -0.25, ("vertical edges",), ("GPS",)),
    )  # fmt: skip


def assert_same(a: Any, b: Any) -> None:
    if is_dataclass(a):
        assert type(a) is type(b)
        for field in fields(a):
            assert_same(getattr(a, field.name), getattr(b, field.name))
    elif isinstance(a, np.ndarray):
        np.testing.assert_array_equal(a, b)
        assert a.dtype == b.dtype
    elif isinstance(a, dict):
        assert a.keys() == b.keys()
        for key in a:
            assert_same(a[key], b[key])
    elif isinstance(a, list):
        assert len(a) == len(b)
        for x, y in zip(a, b, strict=True):
            assert_same(x, y)
    else:
        assert a == b


def test_round_trip(tmp_path: Path) -> None:
    written = example(tmp_path)
    assert_same(bundle.read(bundle.write(written, tmp_path / "result")), written)


def test_arrays_are_standard_safetensors(tmp_path: Path) -> None:
    written = example(tmp_path)
    arrays = load_file(bundle.write(written, tmp_path / "result") / bundle_folder.ARRAYS)
    np.testing.assert_array_equal(arrays["pointmaps/1/points"], written.pointmaps[1].points)
    assert written.cloud is not None
    np.testing.assert_array_equal(arrays["cloud/colors"], written.cloud.colors)
    np.testing.assert_array_equal(arrays["pointmaps/0/mask"], written.pointmaps[0].mask)


def test_plates_move_in_and_earlier_result_is_replaced(tmp_path: Path) -> None:
    folder = tmp_path / "result"
    bundle.write(example(tmp_path), folder)
    plates = tmp_path / "work" / "plates"
    plates.mkdir(parents=True)
    (plates / "0.jpg").write_bytes(b"picture")
    bundle.write(example(tmp_path), folder, plates.parent)
    assert (folder / "plates" / "0.jpg").read_bytes() == b"picture"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["result", "work"]


def test_moved_project_finds_its_photos(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "IMG 1.jpg").write_bytes(b"x")
    bundle.write(example(tmp_path / "a"), tmp_path / "a" / "result")
    (tmp_path / "a").rename(tmp_path / "b")
    assert Path(bundle.read(tmp_path / "b" / "result").photos[0].path) == (tmp_path / "b" / "IMG 1.jpg").resolve()


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EACCES, errno.EIO])
def test_a_failed_write_leaves_the_earlier_result(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    folder = tmp_path / "result"
    bundle.write(example(tmp_path), folder)
    before = (folder / bundle_folder.SCENE).read_bytes()

    def fails(*_: object) -> str:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(array_file, "write", fails)
    with pytest.raises(UserError):
        bundle.write(example(tmp_path), folder)
    assert (folder / bundle_folder.SCENE).read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["result"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a full disk to write to")
def test_a_really_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = array_file.write
    monkeypatch.setattr(array_file, "write", lambda arrays, _: real(arrays, Path("/dev/full")))
    with pytest.raises(UserError, match="full; free some space"):
        bundle.write(example(tmp_path), tmp_path / "result")
    assert list(tmp_path.iterdir()) == []


def test_refuses_to_write_over_something_else(tmp_path: Path) -> None:
    (tmp_path / "holiday.txt").write_text("precious")
    with pytest.raises(UserError, match="holds something else"):
        bundle.write(example(tmp_path), tmp_path)
    with pytest.raises(UserError, match="is a file"):
        bundle.write(example(tmp_path), tmp_path / "holiday.txt")
    assert (tmp_path / "holiday.txt").read_text() == "precious"


def test_newer_version_is_refused(tmp_path: Path) -> None:
    folder = bundle.write(example(tmp_path), tmp_path / "result")
    scene = json.loads((folder / bundle_folder.SCENE).read_text("utf-8"))
    scene["version"] = bundle.VERSION + 1
    (folder / bundle_folder.SCENE).write_text(json.dumps(scene), "utf-8")
    with pytest.raises(UserError, match="update the extension"):
        bundle.read(folder)


def test_not_a_bundle(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="holds no reconstruction"):
        bundle.read(tmp_path)


def test_missing_arrays_and_missing_rights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = bundle.write(example(tmp_path), tmp_path / "result")

    def forbidden(*_: object) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    with monkeypatch.context() as patch:  # no rights keep root from reading
        patch.setattr(array_file, "read", forbidden)
        with pytest.raises(UserError, match=r"may not be read; give yourself the right to read it\.$"):
            bundle.read(folder)
    (folder / bundle_folder.ARRAYS).unlink()
    with pytest.raises(UserError, match=r"damaged \(arrays\.safetensors is missing\)"):
        bundle.read(folder)


@pytest.mark.parametrize("name", [bundle_folder.SCENE, bundle_folder.ARRAYS])
def test_every_truncation_is_one_sentence(tmp_path: Path, name: str) -> None:
    folder = bundle.write(example(tmp_path), tmp_path / "result")
    whole = (folder / name).read_bytes()
    for length in (*range(0, len(whole), max(1, len(whole) // 60)), len(whole) - 1):
        (folder / name).write_bytes(whole[:length])
        with pytest.raises(UserError, match=r"damaged \(.*\); delete it and reconstruct again\.$"):
            bundle.read(folder)


def mutate(value: Any, rng: random.Random) -> Any:
    """The JSON value with one random leaf or branch replaced by junk, or a key removed."""
    junk: Any = rng.choice([None, "x", -1, 1e308, [], {}, True, "../../etc", [[1]], float(2**70)])
    if isinstance(value, dict) and value and rng.random() < 0.9:
        key = rng.choice(list(value))
        if rng.random() < 0.2:
            return {k: v for k, v in value.items() if k != key}
        return {**value, key: mutate(value[key], rng)}
    if isinstance(value, list) and value and rng.random() < 0.9:
        index = rng.randrange(len(value))
        return [*value[:index], mutate(value[index], rng), *value[index + 1 :]]
    return junk


def test_fuzzed_scene_never_raises_anything_else(tmp_path: Path) -> None:
    folder = bundle.write(example(tmp_path), tmp_path / "result")
    scene = json.loads((folder / bundle_folder.SCENE).read_text("utf-8"))
    rng = random.Random(1)
    refused = 0
    for _ in range(1500):
        (folder / bundle_folder.SCENE).write_text(json.dumps(mutate(scene, rng)), "utf-8")
        try:
            bundle.read(folder)
        except UserError:
            refused += 1
    assert refused > 900


def test_flipped_bytes_in_arrays_are_noticed(tmp_path: Path) -> None:
    folder = bundle.write(example(tmp_path), tmp_path / "result")
    whole = (folder / bundle_folder.ARRAYS).read_bytes()
    rng = random.Random(2)
    for _ in range(100):
        offset = rng.randrange(len(whole))
        (folder / bundle_folder.ARRAYS).write_bytes(
            whole[:offset] + bytes([whole[offset] ^ 0x40]) + whole[offset + 1 :]
        )
        with pytest.raises(UserError, match="damaged"):
            bundle.read(folder)


def test_what_is_discarded_never_gets_the_final_name(tmp_path: Path) -> None:
    staging = Staging(tmp_path / "result", "a").make()
    staging.new.mkdir()
    (staging.new / bundle_folder.SCENE).write_text("{}")
    staging.discard()
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(FileNotFoundError):
        staging.put_in_place()
    staging.discard()  # where nothing is being written


@pytest.mark.parametrize("renamed", [False, True], ids=["before the new one has its name", "after"])
def test_a_kill_while_a_result_is_replaced_loses_none(tmp_path: Path, renamed: bool) -> None:
    """The earlier result has stepped aside for the new one when the process dies."""
    folder = bundle.write(example(tmp_path), tmp_path / "result")
    staging = Staging(folder, "a").make()
    bundle.write(replace(example(tmp_path), engine="new"), folder, staging=staging)
    folder.rename(staging.earlier)
    if renamed:
        staging.new.rename(folder)
    Staging(folder, "a").discard()  # by another process
    assert bundle.read(folder).engine == ("new" if renamed else "colmap")
    assert [path.name for path in tmp_path.iterdir()] == ["result"]


@pytest.mark.parametrize(
    ("field", "value"),
    [("frame_rate", "1/0"), ("frame_rate", "1e99999999"), ("frame_rate", ""), ("frame_rate", "-24"),
     ("plate_size", ""), ("plate_size", [640]), ("plate_size", [640, 0]), ("missing", [-1]), ("first_frame", "1"),
     ("plate", "../a.#.jpg"), ("bad", [[2]]), ("bad", [["a", 3]])],
)  # fmt: skip
def test_a_shot_that_no_camera_took_is_refused(tmp_path: Path, field: str, value: object) -> None:
    folder = bundle.write(example(tmp_path), tmp_path / "result")
    scene = json.loads((folder / bundle_folder.SCENE).read_text("utf-8"))
    scene["shots"][0][field] = value
    (folder / bundle_folder.SCENE).write_text(json.dumps(scene), "utf-8")
    with pytest.raises(UserError, match="damaged"):
        bundle.read(folder)


def test_a_panorama_stays_one(tmp_path: Path) -> None:
    result = example(tmp_path)
    result = replace(result, photos=[replace(result.photos[0], panorama=True), *result.photos[1:]])
    result.cameras[0] = replace(result.cameras[0], distortion=Distortion(PANORAMA))
    read = bundle.read(bundle.write(result, tmp_path / "result"))
    assert [photo.panorama for photo in read.photos] == [photo.panorama for photo in result.photos]
    assert read.cameras[0].distortion.is_panorama


def test_a_frame_rate_stays_a_fraction(tmp_path: Path) -> None:
    result = example(tmp_path)
    rate = Fraction(24000, 1001)
    shot = replace(
        result.shots[0], frame_rate=rate, first_frame=0, missing=(3,), plate_size=(320, 240), written_plate="p.#.jpg"
    )
    read = bundle.read(bundle.write(replace(result, shots=[shot]), tmp_path / "result")).shots[0]
    assert read.frame_rate == rate
    assert (read.first_frame, read.missing, read.plate_size, read.written_plate) == (0, (3,), (320, 240), "p.#.jpg")


@pytest.mark.parametrize(
    "wrong",
    [{"point": np.array([0, 0, 2, 2, 2], np.int32)}, {"point": np.array([0, 0, 0, 0, 0], np.int32)},
     {"point": np.array([-1, 0, 0, 1, 1], np.int32)},
     {"frame": np.array([2, 3, 6, 7, 10], np.int32)}, {"pixels": np.full((5, 2), np.nan, np.float32)},
     {"weights": np.array([1, -1], np.float32)}, {"errors": np.zeros(3, np.float32)}],
)  # fmt: skip
def test_tracked_points_that_make_no_sense_are_refused(tmp_path: Path, wrong: dict[str, Any]) -> None:
    result = example(tmp_path)
    tracks = result.shots[0].tracks
    assert tracks is not None
    shot = replace(result.shots[0], tracks=replace(tracks, **wrong))
    folder = bundle.write(replace(result, shots=[shot]), tmp_path / "result")
    with pytest.raises(UserError, match="damaged"):
        bundle.read(folder)


def test_a_description_that_is_too_long_is_refused_unread(tmp_path: Path) -> None:
    folder = bundle.write(example(tmp_path), tmp_path / "result")
    os.truncate(folder / bundle_folder.SCENE, bundle.LARGEST_SCENE + 1)
    with pytest.raises(UserError, match="holds more than"):
        bundle.read(folder)


@pytest.mark.parametrize("code", [errno.EIO, errno.ESTALE, errno.ENOTCONN, errno.ETIMEDOUT])
def test_a_disk_that_fails_is_no_reason_to_delete_a_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    folder = bundle.write(example(tmp_path), tmp_path / "result")

    def fails(*_: object) -> None:
        raise OSError(code, os.strerror(code), str(folder))

    monkeypatch.setattr(array_file, "read", fails)
    with pytest.raises(UserError, match=r"could not be read \(.*\); see that its disk is there") as refused:
        bundle.read(folder)
    assert "delete" not in str(refused.value)


def test_photos_are_read_without_the_arrays(tmp_path: Path) -> None:
    """The window waits for them, so nothing of the size of a result may be read."""
    folder = bundle.write(example(tmp_path), tmp_path / "result")
    photos = bundle.read(folder).photos
    (folder / "arrays.safetensors").write_bytes(b"")
    assert bundle.read_photos(folder) == photos
    with pytest.raises(UserError, match="damaged"):
        bundle.read(folder)
    with pytest.raises(UserError, match="no reconstruction"):
        bundle.read_photos(tmp_path)
