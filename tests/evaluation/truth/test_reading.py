"""Each benchmark's truth, written by its published conventions from cameras that are known, reads as these cameras."""

from __future__ import annotations

import gzip
import json
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests import oracle
from tests.evaluation import world
from tests.oracle import View
from threer_blender.evaluation.truth import depth_files, reading
from threer_blender.evaluation.truth.scanned import decomposed, in_polygon
from threer_blender.evaluation.truth.truth import Truth
from threer_blender.files.bounded import Damaged
from threer_blender.geometry import rotations
from threer_blender.model.arrays import Array, FloatArray
from threer_blender.model.errors import UserError
from threer_blender.model.quaternions import wxyz_from_matrix

HEIGHT, WIDTH = 12, 16
VIEWS = oracle.orbit(4, (HEIGHT, WIDTH), degrees=150)
Write = Callable[[Path], Path]  # writes truth into a folder and returns the folder to read


def rows(matrix: Array) -> str:
    return "\n".join(" ".join(repr(float(value)) for value in row) for row in matrix) + "\n"


def extrinsics(view: View) -> FloatArray:
    inverse: FloatArray = np.linalg.inv(view.world_from_camera)
    return inverse


def k_from_zero(view: View) -> FloatArray:
    """K where the first pixel's centre is at (0, 0)."""
    k = view.intrinsics.copy()
    k[:2, 2] -= 0.5
    return k


def png(path: Path, depth: Array, unit: float) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.round(depth / unit).astype(np.uint16)).save(path)


def cameras_json(folder: Path) -> Path:
    frames = []
    for number, view in enumerate(VIEWS):
        png(folder / f"depth/{number}.png", view.depth, 0.0005)
        frame = {"file": f"images/{number}.jpg", "w": WIDTH, "h": HEIGHT, "dist": [0, 0, 0, 0, 0]}
        frame |= {"K": k_from_zero(view).tolist(), "w2c": extrinsics(view).tolist(), "depth": f"depth/{number}.png"}
        frames.append(frame)
    document = {"metric": True, "unit": "m", "depth_scale": 0.0005, "frames": frames}
    (folder / "cameras.json").write_text(json.dumps(document))
    return folder


def tum(folder: Path) -> Path:
    photos, depths, poses = ["# color images"], ["# depth maps"], ["# ground truth"]
    for number, view in enumerate(VIEWS):
        time = 1305031102.1 + number / 30
        photos.append(f"{time:.6f} rgb/{time:.6f}.png")
        depths.append(f"{time + 0.01:.6f} depth/{time + 0.01:.6f}.png")
        png(folder / f"depth/{time + 0.01:.6f}.png", view.depth, 1 / 5000)
        w, x, y, z = wxyz_from_matrix(view.world_from_camera[:3, :3])
        position = " ".join(map(repr, view.world_from_camera[:3, 3].tolist()))
        poses.append(f"{time - 0.004:.4f} {position} {x} {y} {z} {w}")
    poses.append("1305031200.0 0 0 0 0 0 0 1")
    photos.append("1305031300.0 rgb/1305031300.0.png")  # without a pose
    for name, lines in (("rgb", photos), ("depth", depths), ("groundtruth", poses)):
        (folder / f"{name}.txt").write_text("\n".join(lines) + "\n")
    return folder


def seven_scenes(folder: Path) -> Path:
    for number, view in enumerate(VIEWS):
        (folder / f"frame-{number:06d}.pose.txt").write_text(rows(view.world_from_camera))
        png(folder / f"frame-{number:06d}.depth.png", view.depth, 0.001)
    return folder


def kitti(folder: Path) -> Path:
    """VIEWS are camera 2's (`second`). It stands 0.06 m beside camera 0 (`first`), whose poses the file has."""
    sequence = folder / "sequences" / "07"
    (sequence / "image_2").mkdir(parents=True)
    (folder / "poses").mkdir()
    k = k_from_zero(VIEWS[0])
    offset = np.array([0.06, -0.01, 0.002])
    projections = [np.column_stack([k, k @ (offset if camera == 2 else np.zeros(3))]) for camera in range(4)]
    lines = [f"P{n}: {' '.join(map(repr, matrix.ravel().tolist()))}" for n, matrix in enumerate(projections)]
    (sequence / "calib.txt").write_text("\n".join(lines) + "\n")
    second_from_first = np.eye(4)
    second_from_first[:3, 3] = offset
    poses = [(view.world_from_camera @ second_from_first)[:3].reshape(1, 12) for view in VIEWS]
    (folder / "poses" / "07.txt").write_text("".join(map(rows, poses)))
    return sequence


def scannet(folder: Path) -> Path:
    for number, view in enumerate(VIEWS):
        (folder / "pose").mkdir(exist_ok=True)
        (folder / "pose" / f"{number}.txt").write_text(rows(view.world_from_camera))
        png(folder / "depth" / f"{number}.png", view.depth, 0.001)
    (folder / "pose" / "4.txt").write_text(rows(np.full((4, 4), -np.inf)))  # lost
    (folder / "intrinsic").mkdir()
    k = np.eye(4)
    k[:3, :3] = k_from_zero(VIEWS[0])
    (folder / "intrinsic" / "intrinsic_color.txt").write_text(rows(k))
    return folder


def eth3d(folder: Path) -> Path:
    model = folder / "dslr_calibration_jpg"
    model.mkdir()
    k, images = VIEWS[0].intrinsics, ""
    cameras = f"0 PINHOLE {WIDTH} {HEIGHT} {k[0, 0]} {k[1, 1]} {k[0, 2]} {k[1, 2]}\n"
    depths = folder / "ground_truth_depth" / "dslr_images"
    depths.mkdir(parents=True)
    for number, view in enumerate(VIEWS):
        matrix = extrinsics(view)
        numbers = [*wxyz_from_matrix(matrix[:3, :3]), *matrix[:3, 3]]
        images += f"{number} {' '.join(repr(float(v)) for v in numbers)} 0 dslr_images/{number}.JPG\n\n"
        (depths / f"{number}.JPG").write_bytes(view.depth.astype("<f4").tobytes())
    (model / "cameras.txt").write_text(cameras)
    (model / "images.txt").write_text(images)
    scans = folder / "dslr_scan_eval"
    scans.mkdir()
    write_ply(scans / "scan1.ply", np.eye(3))
    moved = "1 0 0 5\n0 1 0 0\n0 0 1 0\n0 0 0 1"
    (scans / "scan_alignment.mlp").write_text(
        "<!DOCTYPE MeshLabDocument>\n<MeshLabProject><MeshGroup>"
        f'<MLMesh label="scan1" filename="scan1.ply"><MLMatrix44>{moved}</MLMatrix44></MLMesh>'
        "</MeshGroup></MeshLabProject>"
    )
    return folder


def write_ply(path: Path, points: Array) -> None:
    head = f"ply\nformat ascii 1.0\nelement vertex {len(points)}\n"
    head += "".join(f"property float {axis}\n" for axis in "xyz") + "end_header\n"
    path.write_text(head + rows(points))


def dtu(folder: Path) -> Path:
    """Projection matrices whose first pixel's centre is at (1, 1), in any scale and sign."""
    for number, view in enumerate(VIEWS, 1):
        k = view.intrinsics.copy()
        k[:2, 2] += 0.5
        (folder / f"pos_{number:03d}.txt").write_text(rows(-3.5 * k @ extrinsics(view)[:3]))
    write_ply(folder / "stl001_total.ply", np.eye(3))
    return folder


def mvsnet(folder: Path) -> Path:
    (folder / "cams").mkdir()
    for number, view in enumerate(VIEWS):
        text = f"extrinsic\n{rows(extrinsics(view))}\nintrinsic\n{rows(k_from_zero(view))}\n425.0 2.5\n"
        (folder / "cams" / f"{number:08d}_cam.txt").write_text(text)
    return folder


TANKS_ALIGNMENT = np.eye(4)
TANKS_ALIGNMENT[:3, :3] = 2.5 * rotations.from_vectors(np.array([0.3, 0.2, -0.9]))
TANKS_ALIGNMENT[:3, 3] = (1, -2, 3)


def tanks(folder: Path) -> Path:
    """COLMAP's cameras are in another world, of which _trans.txt is the similarity to the scan's."""
    back = np.linalg.inv(TANKS_ALIGNMENT)
    log = ""
    for number, view in enumerate(VIEWS):
        pose = back @ view.world_from_camera
        pose[:3, :3] /= np.cbrt(np.linalg.det(pose[:3, :3]))
        log += f"{number} {number} 0\n{rows(pose)}"
    (folder / "Barn_COLMAP_SfM.log").write_text(log)
    (folder / "Barn_trans.txt").write_text(rows(TANKS_ALIGNMENT))
    write_ply(folder / "Barn.ply", np.array([(0.2, 0.2, 0.5), (5, 0.2, 0.5), (0.2, 0.2, 9)]))
    polygon = [[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]]
    crop = {"orthogonal_axis": "Z", "axis_min": 0, "axis_max": 1, "bounding_polygon": polygon}
    (folder / "Barn.json").write_text(json.dumps(crop))
    return folder


def sintel(folder: Path) -> Path:
    sequence, depths = folder / "camdata_left" / "alley_1", folder / "depth" / "alley_1"
    sequence.mkdir(parents=True)
    depths.mkdir(parents=True)
    for number, view in enumerate(VIEWS, 1):
        numbers = [*k_from_zero(view).ravel(), *extrinsics(view)[:3].ravel()]
        (sequence / f"frame_{number:04d}.cam").write_bytes(struct.pack("<f21d", 202021.25, *numbers))
        head = struct.pack("<fii", 202021.25, WIDTH, HEIGHT)
        (depths / f"frame_{number:04d}.dpt").write_bytes(head + view.depth.astype("<f4").tobytes())
    return sequence


def co3d(folder: Path) -> Path:
    """PyTorch3D's cameras: x to the left, y up, row vectors, and lenses in halves of the shorter side."""
    sequence = folder / "apple" / "110_1_2"
    (sequence / "images").mkdir(parents=True)
    (sequence / "depths").mkdir()
    entries = []
    flip = np.diag([-1.0, -1.0, 1.0])
    for number, view in enumerate(VIEWS, 1):
        matrix, k, half = extrinsics(view), view.intrinsics, min(WIDTH, HEIGHT) / 2
        path = f"apple/110_1_2/depths/frame{number:06d}.jpg.geometric.png"
        bits = (view.depth / 2).astype(np.float16).view(np.uint16)
        Image.fromarray(bits).save(folder / path)
        viewpoint = {
            "R": (flip @ matrix[:3, :3]).T.tolist(),
            "T": (flip @ matrix[:3, 3]).tolist(),
            "focal_length": [k[0, 0] / half, k[1, 1] / half],
            "principal_point": [(WIDTH / 2 - k[0, 2]) / half, (HEIGHT / 2 - k[1, 2]) / half],
            "intrinsics_format": "ndc_isotropic",
        }
        image = {"path": f"apple/110_1_2/images/frame{number:06d}.jpg", "size": [HEIGHT, WIDTH]}
        depth = {"path": path, "scale_adjustment": 2.0}
        entries.append({"sequence_name": "110_1_2", "image": image, "depth": depth, "viewpoint": viewpoint})
        entries.append({**entries[-1], "sequence_name": "another"})
    (folder / "apple" / "frame_annotations.jgz").write_bytes(gzip.compress(json.dumps(entries).encode()))
    return sequence


# Name -> its writer, the first photo's name, and the step of its depth, None where it has no depth.
BENCHMARKS: dict[str, tuple[Write, str, float | None]] = {
    "cameras.json": (cameras_json, "images/0.jpg", 0.0005),
    "truth.json": (lambda folder: world.write_truth(folder, VIEWS), "img_000.png", world.UNIT),
    "TUM RGB-D": (tum, "rgb/1305031102.100000.png", 1 / 5000),
    "7-Scenes": (seven_scenes, "frame-000000.color.png", 0.001),
    "KITTI odometry": (kitti, "image_2/000000.png", None),
    "ScanNet": (scannet, "color/0.jpg", 0.001),
    "ETH3D": (eth3d, "dslr_images/0.JPG", 1e-5),
    "DTU": (dtu, "rect_001_0_r5000.png", None),
    "DTU, MVSNet's": (mvsnet, "00000000.jpg", None),
    "Tanks and Temples": (tanks, "000001.jpg", None),
    "MPI Sintel": (sintel, "frame_0001.png", 1e-5),
    "CO3D": (co3d, "apple/110_1_2/images/frame000001.jpg", 0.01),
}
WITHOUT_LENS = ("TUM RGB-D", "7-Scenes", "Tanks and Temples")  # or with the benchmark's nominal one


@pytest.fixture(params=BENCHMARKS)
def benchmark(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, Truth]:
    """A benchmark's name, and its truth as it is read."""
    name: str = request.param
    folder = tmp_path / "truth"
    folder.mkdir()
    return name, reading.read(BENCHMARKS[name][0](folder))


def test_poses_and_names(benchmark: tuple[str, Truth]) -> None:
    name, truth = benchmark
    assert truth.program == name.partition(",")[0]
    assert truth.views[0].name == BENCHMARKS[name][1]
    poses: dict[str, FloatArray] = {}
    for view in truth.views:  # DTU has several photos of a view
        poses.setdefault(np.round(view.world_from_camera, 5).tobytes().hex(), view.world_from_camera)
    assert len(poses) == len(VIEWS)
    for actual, expected in zip(poses.values(), VIEWS, strict=True):
        np.testing.assert_allclose(actual, expected.world_from_camera, atol=1e-6)


def test_lenses(benchmark: tuple[str, Truth]) -> None:
    name, truth = benchmark
    for view in truth.views if name not in WITHOUT_LENS else []:
        assert view.lens is not None
        k = VIEWS[0].intrinsics
        expected = (k[0, 0], k[1, 1], k[0, 2], k[1, 2])
        assert view.lens.intrinsics(WIDTH, HEIGHT) == pytest.approx(expected, abs=1e-6)


def test_depth(benchmark: tuple[str, Truth]) -> None:
    name, truth = benchmark
    step = BENCHMARKS[name][2]
    for view, expected in zip(truth.views, VIEWS, strict=False):
        if step is None:
            assert view.depth is None
        else:
            assert view.depth is not None
            np.testing.assert_allclose(view.depth(), expected.depth, atol=step)


def test_scans(tmp_path: Path) -> None:
    """Each scan stands in the world of the cameras, with its benchmark's rules."""
    surfaces = {}
    for name in ("ETH3D", "DTU", "Tanks and Temples"):
        folder = tmp_path / name
        folder.mkdir()
        truth = reading.read(BENCHMARKS[name][0](folder))
        assert truth.surface is not None
        surfaces[name] = truth.surface()
    np.testing.assert_allclose(surfaces["ETH3D"].points, np.eye(3) + (5, 0, 0))
    assert (surfaces["DTU"].farthest, surfaces["DTU"].spacing) == (20, 0.2)
    np.testing.assert_allclose(surfaces["Tanks and Temples"].points, [(0.2, 0.2, 0.5)], atol=1e-6)
    assert surfaces["Tanks and Temples"].threshold == 0.01


def test_known_lenses_of_tum(tmp_path: Path) -> None:
    folder = tmp_path / "rgbd_dataset_freiburg2_xyz"
    folder.mkdir()
    lens = reading.read(tum(folder)).views[0].lens
    assert lens is not None
    assert lens.intrinsics(640, 480) == pytest.approx((520.9, 521.0, 325.6, 250.2))


def test_the_parts_of_a_projection() -> None:
    k, matrix = decomposed(-2 * VIEWS[1].intrinsics @ extrinsics(VIEWS[1])[:3])
    np.testing.assert_allclose(k, VIEWS[1].intrinsics, atol=1e-9)
    np.testing.assert_allclose(matrix, extrinsics(VIEWS[1])[:3], atol=1e-9)


def test_a_polygon() -> None:
    corners = np.array([(0, 0), (4, 0), (4, 4), (2, 1), (0, 4)], float)  # with a notch from above
    points = np.array([(1, 1), (2, 0.5), (2, 3), (5, 1), (3.5, 2)], float)
    assert in_polygon(points, corners).tolist() == [True, True, False, False, True]


DESCRIPTIONS = (".json", ".txt", ".cam", ".log", ".jgz")  # the endings of files that hold no pictures


@pytest.mark.parametrize("name", BENCHMARKS)
def test_damaged_truth_is_one_sentence(name: str, tmp_path: Path) -> None:
    folder = BENCHMARKS[name][0](tmp_path)
    for path in [path for path in tmp_path.rglob("*") if path.suffix in DESCRIPTIONS]:
        path.write_bytes(path.read_bytes()[:20] + b"\xff\x00")
    with pytest.raises(UserError, match=r"\.$"):
        reading.read(folder)


def test_small_files_that_unpack_to_much_are_refused(tmp_path: Path) -> None:
    folder = co3d(tmp_path)
    (folder.parent / "frame_annotations.jgz").write_bytes(gzip.compress(b"[" + bytes(40 << 20) + b"]"))
    with pytest.raises(UserError, match="is cut off or damaged"):
        reading.read(folder)
    Image.fromarray(np.ones((5000, 5000), np.uint16)).save(tmp_path / "large.png")
    with pytest.raises(Damaged, match="claims to hold"):
        depth_files.sixteen_bits(tmp_path / "large.png")


def test_a_folder_without_truth(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="holds no truth that can be read; known are"):
        reading.read(tmp_path)
    with pytest.raises(UserError, match="There is no folder"):
        reading.read(tmp_path / "gone")


@pytest.mark.parametrize("data", [b"no picture", b"\x89PNG\r\n\x1a\n"])
def test_a_depth_map_that_is_no_png_is_damaged(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "depth.png").write_bytes(data)
    with pytest.raises(Damaged, match="is cut off or no PNG"):
        depth_files.sixteen_bits(tmp_path / "depth.png")
