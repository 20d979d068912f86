"""The solve of every program says the same of one scene, whose truth is known; COLMAP's files are by COLMAP itself."""

import json
from pathlib import Path

import numpy as np
import pytest

from tests.exchange.solves import scene
from threer_blender.exchange.solves import open3d, reading, registration
from threer_blender.exchange.solves.registration import Pictured
from threer_blender.exchange.solves.solve import Solve
from threer_blender.model.errors import UserError
from threer_blender.model.lens import Distortion
from threer_blender.model.reconstruction import Camera, Photo, Reconstruction


def registered(solve: Solve) -> Reconstruction:
    """The reconstruction of a solve whose photos are all there."""
    photos = [Photo(view.name, view.name, scene.WIDTH, scene.HEIGHT, str(i)) for i, view in enumerate(solve.views)]
    pictured = [Pictured(view, photo) for view, photo in zip(solve.views, photos, strict=True)]
    return registration.reconstruction(solve, pictured, [])


@pytest.mark.parametrize("program", scene.WRITERS)
def test_cameras_see_every_point_where_the_program_saw_it(program: str, tmp_path: Path) -> None:
    solve = reading.read(scene.write(program, tmp_path))
    assert solve.program == program
    result = registered(solve)
    assert len(result.cameras) == len(scene.NAMES)
    for ours, theirs in zip(result.cameras, scene.truth(program), strict=True):
        assert Path(theirs.photo).stem in ours.photo
        assert np.allclose(ours.world_from_camera, theirs.world_from_camera, atol=1e-12)
        assert np.allclose(ours.project(scene.points()), theirs.project(scene.points()), atol=1e-9)


@pytest.mark.parametrize("program", [name for name, writer in scene.WRITERS.items() if writer.has_points])
def test_points_have_their_place_colour_and_photo(program: str, tmp_path: Path) -> None:
    cloud = registered(reading.read(scene.write(program, tmp_path))).cloud
    assert cloud is not None
    assert np.allclose(cloud.positions, scene.points(), atol=1e-6)
    if program != "OpenMVG":  # whose file has no colours
        assert np.array_equal(cloud.colors, scene.colors())
    if program in ("Bundler", "NVM", "OpenMVG", "Meshroom"):  # whose files say who saw a point: all but the first
        assert (cloud.photo == 1).all()
        assert (cloud.confidence == len(scene.NAMES) - 1).all()


def test_names_are_the_programs_with_spaces_and_letters(tmp_path: Path) -> None:
    assert [view.name for view in reading.read(scene.write("NVM", tmp_path)).views] == scene.NAMES
    assert [view.name for view in reading.read(scene.write("Bundler", tmp_path)).views] == scene.NAMES


@pytest.mark.parametrize("binary", [True, False])
def test_colmap_with_rigs(binary: bool, tmp_path: Path) -> None:
    pycolmap = pytest.importorskip("pycolmap")
    options = pycolmap.SyntheticDatasetOptions()
    options.num_rigs, options.num_cameras_per_rig, options.num_frames_per_rig, options.num_points3D = 2, 2, 2, 30
    theirs = pycolmap.synthesize_dataset(options)
    noise = pycolmap.SyntheticNoiseOptions()
    noise.point2D_stddev = 0.5
    pycolmap.synthesize_noise(noise, theirs)
    folder = tmp_path / "sparse" / "0"
    folder.mkdir(parents=True)
    (theirs.write_binary if binary else theirs.write_text)(str(folder))
    solve = reading.read(tmp_path)
    images = {image.name: image for image in theirs.images.values()}
    assert sorted(images) == [view.name for view in solve.views]
    result = registration.reconstruction(solve, [Pictured(view) for view in solve.views], [])
    assert result.cloud is not None
    points = np.array([point.xyz for _, point in sorted(theirs.points3D.items())])
    assert np.allclose(np.sort(result.cloud.positions, axis=0), np.sort(points, axis=0), atol=1e-5)
    for camera in result.cameras:
        image = images[camera.photo]
        measured = [each for each in image.points2D if each.has_point3D()]
        offsets = [image.project_point(theirs.points3D[each.point3D_id].xyz) - each.xy for each in measured]
        assert camera.reprojection_error is not None
        assert camera.reprojection_error == pytest.approx(np.linalg.norm(offsets, axis=1).mean())
        assert camera.reprojection_error > 0.1
        assert np.allclose(camera.world_from_camera[:3], image.cam_from_world().inverse().matrix(), atol=1e-12)
        expected = [image.project_point(point) for point in points]
        visible = np.array([point is not None for point in expected])
        pixels = np.array([point for point in expected if point is not None])
        assert np.allclose(camera.project(points)[visible], pixels, atol=1e-6)


def test_a_component_of_metashape_without_a_transform_stands_where_its_chunk_does(tmp_path: Path) -> None:
    path = scene.metashape(scene.cameras(scene.BROWN), tmp_path)
    expected = [view.world_from_camera for view in reading.read(path).views]
    text = path.read_text("utf-8")
    transform = text[text.index("<transform><rotation>") : text.index("</transform></component>") + len("</transform>")]
    text = text.replace(transform, "").replace("<cameras next_id", f"{transform}<cameras next_id")
    path.write_text(text, "utf-8")
    solve = reading.read(path)
    assert solve.metric
    assert np.allclose([view.world_from_camera for view in solve.views], expected, atol=1e-12)


def test_metashapes_skew_is_fitted_and_its_b1_is_a_focal_length(tmp_path: Path) -> None:
    cameras = scene.cameras(scene.BROWN, scene.OFF_CENTRE)
    solve = reading.read(scene.metashape(cameras, tmp_path, "<b1>2.5</b1><b2>0.05</b2>"))
    result = registered(solve)
    assert result.cameras[0].fx == pytest.approx(scene.FOCAL + 2.5)
    assert "Metashape's with b2 was fitted" in " ".join(result.notes)
    # u = … + x' b1 + y' b2, by Metashape's manual
    camera = cameras[1]
    distorted = (camera.project(scene.points()) - scene.OFF_CENTRE) / scene.FOCAL
    expected = camera.project(scene.points())
    expected[:, 0] += 2.5 * distorted[:, 0] + 0.05 * distorted[:, 1]
    assert np.abs(result.cameras[1].project(scene.points()) - expected).max() < 0.03


def test_nvm_undistorts_where_ours_distorts(tmp_path: Path) -> None:
    path = scene.write("NVM", tmp_path)
    radial = 0.15
    lines = path.read_text("utf-8").splitlines()
    lines[3:7] = [f"{line.removesuffix(' 0 0')} {radial} 0" for line in lines[3:7]]
    path.write_text("\n".join(lines), "utf-8")
    camera = registered(reading.read(path)).cameras[0]
    measured = np.array([[100.0, 80], [500, 400], [320, 300]])
    m = (measured - (scene.WIDTH / 2, scene.HEIGHT / 2)) / scene.FOCAL
    ideal = m * (1 + radial * (m**2).sum(axis=1, keepdims=True))
    assert np.abs(camera.rays(measured)[:, :2] - ideal).max() * scene.FOCAL < 0.01


def test_an_angle_stands_for_a_focal_length(tmp_path: Path) -> None:
    frame = {"file_path": "./train/r_0", "transform_matrix": np.eye(4).tolist()}
    (tmp_path / "transforms_train.json").write_text(json.dumps({"camera_angle_x": 1.0, "frames": [frame]}))
    solve = reading.read(tmp_path)
    photo = Photo("r_0.png", "r_0.png", 300, 400, "0")
    camera = registration.reconstruction(solve, [Pictured(solve.views[0], photo)], []).cameras[0]
    assert (camera.fx, camera.cx, camera.cy) == pytest.approx((150 / np.tan(0.5), 150, 200))


def test_an_angle_with_a_size_leaves_the_principal_point_where_the_file_has_it(tmp_path: Path) -> None:
    frame = {"file_path": "r_0.png", "transform_matrix": np.eye(4).tolist()}
    index = {"camera_angle_x": 1.0, "w": 600, "h": 400, "cx": 310.0, "cy": 190.0, "frames": [frame]}
    (tmp_path / "transforms.json").write_text(json.dumps(index))
    lens = reading.read(tmp_path).views[0].lens
    focal = 300 / np.tan(0.5)
    assert lens.intrinsics(600, 400) == pytest.approx((focal, focal, 310, 190))
    assert lens.intrinsics(300, 200) == pytest.approx((focal / 2, focal / 2, 155, 95))


def test_bundlers_points_without_a_track_or_a_place(tmp_path: Path) -> None:
    path = scene.write("Bundler", tmp_path)
    lines = path.read_text("utf-8").splitlines()
    begin = 2 + 5 * len(scene.NAMES)  # each point has three lines: place, colour, track
    lines[begin] = "nan nan nan"
    lines[begin + 5] = "0"
    path.write_text("\n".join(lines), "utf-8")
    solve = reading.read(path)
    assert solve.points is not None
    assert len(solve.points) == len(solve.points.view) == len(scene.points()) - 1
    assert solve.points.view.tolist() == [-1] + [1] * (len(scene.points()) - 2)


def test_names_in_bundlers_lists_may_lack_a_focal_length_and_hold_many_spaces(tmp_path: Path) -> None:
    path = scene.write("Bundler", tmp_path)
    names = [f"photo {number} 7.jpg" for number in range(len(scene.NAMES) - 1)] + ["wide" + " " * 1_000_000 + "gap.jpg"]
    (tmp_path / "list.txt").write_text("\n".join(names), "utf-8")
    solve = reading.read(path)  # a search that backtracks would take hours
    assert sorted([*(view.name for view in solve.views), *solve.unregistered]) == sorted(names)


def test_a_long_number_is_no_trajectory() -> None:
    assert open3d.LOG.match(b"0 0 1\n" + b"1" * 60_000) is None
    assert open3d.LOG.match(b"0 0 1" + b"\n" * 60_000 + b"x") is None


PHONE = {"fx": 700.0, "fy": 700.0, "cx": 500.0, "cy": 380.0, "width": 1024, "height": 768}


def test_phones_have_opengl_axes(tmp_path: Path) -> None:
    folder = tmp_path / "keyframes" / "corrected_cameras"
    folder.mkdir(parents=True)
    matrix = np.eye(4)
    matrix[:3, 3] = 1, 2, 3
    entries = {f"t_{row}{column}": matrix[row, column] for row in range(3) for column in range(4)}
    (folder / "123.json").write_text(json.dumps(PHONE | entries))
    record = {"w": 1024, "h": 768, "K": [700, 0, 0, 0, 700, 0, 500, 380, 1], "poses": [[0, 0, 0, 1, 1, 2, 3]]}
    (tmp_path / "record").mkdir()
    (tmp_path / "record" / "metadata.json").write_text(json.dumps(record))
    for solve in (reading.read(tmp_path), reading.read(tmp_path / "record")):
        assert solve.metric
        ahead = solve.views[0].world_from_camera @ (0, 0, 1, 1)
        assert np.allclose(ahead, (1, 2, 2, 1))  # ARKit's cameras look along -z
        assert solve.views[0].lens.intrinsics(512, 384) == pytest.approx((350, 350, 250, 190))


def test_a_folder_with_two_candidates_asks_which(tmp_path: Path) -> None:
    for name in "ab":
        (tmp_path / f"{name}.nvm").write_text("NVM_V3\n")
    with pytest.raises(UserError, match="choose the one"):
        reading.read(tmp_path)


def mirrored(camera: Camera) -> Camera:
    pose = camera.world_from_camera.copy()
    pose[:3, 2] *= -1
    return Camera(camera.photo, camera.width, camera.height, camera.fx, camera.fy, camera.cx, camera.cy, pose)


def test_mirrored_cameras_are_noticed(tmp_path: Path) -> None:
    cameras = [mirrored(camera) for camera in scene.cameras(Distortion("PINHOLE"))]
    with pytest.raises(UserError, match="left-handed"):
        reading.read(scene.nerfstudio(cameras, tmp_path))


def test_points_behind_their_cameras_are_noticed(tmp_path: Path) -> None:
    path = scene.write("OpenMVG", tmp_path)
    data = json.loads(path.read_text("utf-8"))
    for entry in data["structure"]:
        entry["value"]["X"][2] -= 20
    path.write_text(json.dumps(data))
    with pytest.raises(UserError, match="100% of its points behind the cameras"):
        reading.read(path)


@pytest.mark.parametrize("program", scene.WRITERS)
def test_every_cut_of_a_file_is_one_sentence(program: str, tmp_path: Path) -> None:
    path = scene.write(program, tmp_path)
    data = path.read_bytes()
    sentences = []
    for share in (0, 0.02, 0.1, 0.3, 0.5, 0.7, 0.9):
        path.write_bytes(data[: int(share * len(data))])
        try:
            reading.read(path)  # a table that is cut between two rows is a shorter table
        except UserError as error:
            sentences.append(str(error))
    assert len(sentences) >= 4
    assert all(path.name in text and ". " not in text for text in sentences)


@pytest.mark.parametrize("content", [b"", b"hello", b"{}", b"[]", b"<a/>", b'{"frames": 3}', bytes(2000)])
def test_what_is_no_solve_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "x.json").write_bytes(content)
    with pytest.raises(UserError):
        reading.read(tmp_path / "x.json")


def test_entities_are_not_expanded(tmp_path: Path) -> None:
    path = tmp_path / "cameras.xml"
    path.write_text('<!DOCTYPE x [<!ENTITY a "b">]><document><chunk>&a;</chunk></document>')
    with pytest.raises(UserError, match="entities"):
        reading.read(path)


def test_alembic_and_e57_say_what_to_do(tmp_path: Path) -> None:
    for head, advice in ((b"Ogawa\xff\0", "File > Import > Alembic"), (b"ASTM-E57", "cut off")):
        (tmp_path / "x").write_bytes(head + bytes(100))
        with pytest.raises(UserError, match=advice):
            reading.read(tmp_path / "x")


@pytest.mark.parametrize("counts", [f"1\n0\n{10**12}", f"{10**12}\n{10**12}\n0"])
def test_a_baf_that_claims_more_than_it_holds(counts: str, tmp_path: Path) -> None:
    (tmp_path / "a.baf").write_text(f"{counts}\n100 50 50\n")
    with pytest.raises(UserError, match="claims to hold 32,000,000,000,000 bytes, which its"):
        reading.read(tmp_path / "a.baf")


def test_a_colmap_model_without_points(tmp_path: Path) -> None:
    pycolmap = pytest.importorskip("pycolmap")
    pycolmap.synthesize_dataset(pycolmap.SyntheticDatasetOptions()).write_binary(str(tmp_path))
    (tmp_path / "points3D.bin").write_bytes(bytes(8))
    solve = reading.read(tmp_path)
    assert solve.views
    assert solve.points is None
