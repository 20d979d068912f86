"""A textured mesh from a result's depth and photos: in the photos' colours, within its budgets, whole or not at all."""

import io
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests import kernels
from tests.blender.world import BALL_CENTRE, CAMERAS, ball_color, floor_color, reconstruct, write_photos
from tests.geometry.meshes.ball import off
from threer_blender import bundle, headless
from threer_blender.files import bundle_folder, digest, mesh_file
from threer_blender.geometry.meshes.charts import face_normals
from threer_blender.jobs.messages import Failed, MakeMesh, Message, Progress
from threer_blender.model.engine import Stage
from threer_blender.model.errors import Cancelled, UserError
from threer_blender.model.proxy_mesh import Mesh
from threer_blender.model.reconstruction import Photo, PointCloud, Reconstruction, Upright
from threer_blender.model.textured_mesh import TexturedMesh
from threer_blender.pipelines.meshing import MeshSettings, textured_mesh
from threer_blender.runtime.report import MessageReport
from threer_blender.worker import meshing

SETTINGS = MeshSettings(faces=8000, texture=1024)
FEW = 3  # photos
ROOT = Path(__file__).parents[2]


def hide_nothing(_photo: object, _size: object) -> None:
    return None


def silent(stage: Stage, done: float, total: float) -> None: ...


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> list[Photo]:
    photos = write_photos(tmp_path_factory.mktemp("meshed") / "shot", CAMERAS)
    return [replace(photo, sha256=digest.sha256(Path(photo.path))) for photo in photos]


@pytest.fixture(scope="module")
def known(photos: list[Photo]) -> Reconstruction:
    """A result without any error, with its photos."""
    return reconstruct(photos, CAMERAS, step=3)


@pytest.fixture(scope="module")
def coarse(photos: list[Photo]) -> Reconstruction:
    """The same of fewer photos and pixels: quick, where any mesh will do."""
    return reconstruct(photos[:FEW], CAMERAS[:FEW], step=5)


@pytest.fixture(scope="module")
def mesh(known: Reconstruction) -> TexturedMesh:
    return textured_mesh(known, SETTINGS, hide_nothing, silent)


def colors_at(mesh: TexturedMesh, faces: Sequence[int]) -> np.ndarray:  # type: ignore[type-arg]
    """(N, 3) the texture in the middle of faces, in [0, 1]."""
    with Image.open(io.BytesIO(mesh.texture)) as image:
        texture = np.asarray(image) / 255
    place = mesh.corners[faces].mean(axis=1) * texture.shape[0]
    return texture[place[:, 1].astype(int), place[:, 0].astype(int)]


def test_the_mesh_is_the_world_in_its_colors(mesh: TexturedMesh) -> None:
    assert 4000 < len(mesh.faces) <= SETTINGS.faces
    assert np.median(off(mesh.vertices)) < 0.01
    assert mesh.corners.min() >= 0
    assert mesh.corners.max() <= 1
    middles = mesh.vertices[mesh.faces].mean(axis=1)
    from_ball = np.linalg.norm(middles - BALL_CENTRE, axis=1)
    upper = np.flatnonzero((from_ball < 0.75) & (middles[:, 1] < -0.5))
    bands = np.abs((middles[upper, 1] + 2) * 8 % 1 - 0.5) < 0.25  # not at the edge of a stripe
    error = np.abs(colors_at(mesh, upper[bands]) - ball_color(middles[upper[bands]]))
    assert np.median(error) < 0.05
    floor = np.flatnonzero((np.linalg.norm(middles, axis=1) < 1.5) & (middles[:, 1] > -0.01) & (from_ball > 1))
    inside = (np.abs(middles[floor][:, [0, 2]] * 2 % 1 - 0.5) < 0.3).all(axis=1)
    error = np.abs(colors_at(mesh, floor[inside]) - floor_color(middles[floor[inside]]))
    assert np.median(error) < 0.05


def of_points(result: Reconstruction) -> Reconstruction:
    """The same result as points alone, as another program's."""
    there = [(each.points[each.mask], result.camera(each.photo)) for each in result.pointmaps]
    points = np.concatenate([points for points, _ in there])
    towards = np.concatenate([camera.world_from_camera[:3, 3] - points for points, camera in there if camera])
    count = len(points)
    cloud = PointCloud(
        points, (towards / np.linalg.norm(towards, axis=1, keepdims=True)).astype(np.float32),
        np.tile(np.array([[200, 40, 90]], np.uint8), (count, 1)), np.ones(count, np.float32),
        np.zeros(count, np.int32),
    )  # fmt: skip
    return replace(result, pointmaps=[], cloud=cloud)


def test_points_alone_become_a_mesh_in_the_colors_of_the_photos(known: Reconstruction) -> None:
    mesh = textured_mesh(of_points(known), SETTINGS, hide_nothing, silent)
    assert 4000 < len(mesh.faces) <= SETTINGS.faces
    middles = mesh.vertices[mesh.faces].mean(axis=1)
    areas = np.linalg.norm(face_normals(Mesh(mesh.vertices, mesh.faces)), axis=1)
    assert areas[off(middles) < 0.02].sum() > 0.97 * areas.sum()
    floor = np.flatnonzero(
        (np.linalg.norm(middles, axis=1) < 1.5)
        & (np.abs(middles[:, 1]) < 0.02)
        & (np.linalg.norm(middles - BALL_CENTRE, axis=1) > 1)
    )
    inside = (np.abs(middles[floor][:, [0, 2]] * 2 % 1 - 0.5) < 0.3).all(axis=1)
    error = np.abs(colors_at(mesh, floor[inside]) - floor_color(middles[floor[inside]]))
    assert np.median(error) < 0.06


def test_points_without_photos_give_their_own_color(coarse: Reconstruction) -> None:
    result = of_points(coarse)
    gone = [replace(photo, path=f"{photo.path}.gone") for photo in result.photos]
    mesh = textured_mesh(replace(result, photos=gone), MeshSettings(2000, 256), hide_nothing, silent)
    assert np.abs(colors_at(mesh, range(len(mesh.faces))) * 255 - (200, 40, 90)).max() < 8


def test_without_depth_and_points_there_is_no_mesh(coarse: Reconstruction) -> None:
    with pytest.raises(UserError, match="no depth maps and no points to make a mesh of"):
        textured_mesh(replace(coarse, pointmaps=[], cloud=None), SETTINGS, hide_nothing, silent)
    few = replace(of_points(coarse), pointmaps=[])
    assert few.cloud is not None
    lone = replace(few.cloud, **{name: getattr(few.cloud, name)[:9] for name in
                                 ("positions", "normals", "colors", "confidence", "photo")})  # fmt: skip
    with pytest.raises(UserError, match="too few or lie too far apart"):
        textured_mesh(replace(few, cloud=lone), SETTINGS, hide_nothing, silent)


def test_a_photo_that_shows_nothing_of_the_mesh_does_no_harm(coarse: Reconstruction) -> None:
    last = coarse.cameras[-1]
    away = replace(last, world_from_camera=last.world_from_camera @ np.diag([-1.0, 1.0, -1.0, 1.0]))
    maps = [each for each in coarse.pointmaps if each.photo != last.photo]
    result = replace(coarse, cameras=[*coarse.cameras[:-1], away], pointmaps=maps)
    mesh = textured_mesh(result, MeshSettings(2000, 256), hide_nothing, silent)
    assert np.isfinite(mesh.corners).all()
    with Image.open(io.BytesIO(mesh.texture)) as image:
        assert np.asarray(image, float).std() > 10


def test_masked_pixels_are_not_painted(coarse: Reconstruction) -> None:
    def all_but_first(photo: object, size: tuple[int, int]) -> np.ndarray | None:  # type: ignore[type-arg]
        return None if photo == coarse.photos[0] else np.ones((size[1], size[0]), bool)

    with Image.open(io.BytesIO(textured_mesh(coarse, MeshSettings(2000, 256), all_but_first, silent).texture)) as image:
        painted = np.asarray(image, float)
    assert painted.std() > 10
    with pytest.raises(UserError, match="No photo shows the surface"):
        textured_mesh(coarse, MeshSettings(2000, 256), lambda _photo, size: np.ones((size[1], size[0]), bool), silent)


# ------------------------------------------------------------------ the worker


@pytest.fixture
def folder(coarse: Reconstruction, tmp_path: Path) -> Path:
    up = np.array((0.0, -1.0, 0.0))
    return bundle.write(replace(coarse, upright=Upright(up, 1.0)), tmp_path / "result")


def make(folder: Path, report: MessageReport | None = None, faces: int = 3000, texture: int = 256) -> str:
    request = MakeMesh(str(folder), faces, texture)
    return meshing.run(request, report or MessageReport(lambda _message: None)).text


def test_the_mesh_is_put_into_the_result(folder: Path) -> None:
    heard: list[Message] = []
    text = make(folder, MessageReport(heard.append))
    mesh = mesh_file.read(folder / bundle_folder.MESH)
    assert f"{len(mesh.faces):,} faces" in text
    assert len(mesh.faces) <= 3000
    stages = {message.stage for message in heard if isinstance(message, Progress)}
    assert {"Making the surface", "Painting from photos", "Saving"} <= stages
    make(folder, faces=1000)  # replaces it
    assert len(mesh_file.read(folder / bundle_folder.MESH).faces) <= 1000
    assert bundle_folder.foreign(folder) is None  # listed, so the result can still be replaced as a whole
    assert {path.name for path in folder.iterdir()} == {"scene.json", "arrays.safetensors", "manifest.json", "mesh.glb"}


class CancelsAt(MessageReport):
    """Cancels the work at the beginning of a stage."""

    def __init__(self, stage: str) -> None:
        def hear(message: Message) -> None:
            if self._is_at(message, stage):
                self.cancel()

        super().__init__(hear)

    @staticmethod
    def _is_at(message: Message, stage: str) -> bool:
        return isinstance(message, Progress) and message.stage == stage


@pytest.mark.parametrize("stage", ["Making the surface", "Evening the exposure", "Saving"])
def test_a_cancelled_mesh_leaves_nothing(folder: Path, stage: str) -> None:
    before = {path: path.read_bytes() for path in folder.rglob("*")}
    with pytest.raises(Cancelled):
        make(folder, CancelsAt(stage))
    assert {path: path.read_bytes() for path in folder.rglob("*")} == before


def test_files_of_others_stay(folder: Path) -> None:
    (folder / bundle_folder.MESH).write_bytes(b"mine")
    with pytest.raises(UserError, match="not as it was made here"):
        make(folder)
    assert (folder / bundle_folder.MESH).read_bytes() == b"mine"


def test_budgets_out_of_range(folder: Path) -> None:
    with pytest.raises(UserError, match="99 faces is out of range"):
        make(folder, faces=99)
    with pytest.raises(UserError, match="32,768 texels is out of range"):
        make(folder, texture=32_768)


def test_from_python_in_a_process_of_its_own(folder: Path, tmp_path: Path) -> None:
    mesh = headless.mesh(folder, 2000, 256, data_folder=kernels.share(tmp_path / "data"))
    assert 1000 < len(mesh.faces) <= 2000
    with pytest.raises(UserError, match="holds no result"):
        headless.mesh(tmp_path)


def assert_whole(folder: Path) -> None:
    """The result holds its own files alone, and another mesh can be made."""
    bundle_folder.check_output(folder)
    assert {path.name for path in folder.iterdir()} == {"scene.json", "arrays.safetensors", "manifest.json", "mesh.glb"}
    make(folder, faces=500, texture=64)


def test_a_killed_worker_leaves_the_result_whole(folder: Path, tmp_path: Path) -> None:
    make(folder, faces=500, texture=64)
    earlier = (folder / bundle_folder.MESH).read_bytes()
    job = headless.begin(headless.mesh_request(folder, 2000, 256), kernels.share(tmp_path / "data"))
    while not any(isinstance(message, Progress) and message.stage == "Saving" for message in job.wait(60)):
        assert job.ended is None, job.ended
    os.kill(job.pid, signal.SIGKILL)
    while job.ended is None:
        job.wait(60)
    if (folder / bundle_folder.MESH).read_bytes() == earlier:
        assert isinstance(job.ended, Failed)
        assert "SIGKILL" in job.ended.text
    else:  # it was quicker
        assert len(mesh_file.read(folder / bundle_folder.MESH).faces) > 500
    assert_whole(folder)


SMALL_FILES = """
import resource, signal, sys
from threer_blender.jobs.messages import MakeMesh
from threer_blender.runtime.report import MessageReport
from threer_blender.worker import meshing
def limit(message):
    if getattr(message, "stage", "") == "Saving":
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
meshing.run(MakeMesh(sys.argv[1], 2000, 256), MessageReport(limit))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no signal ends a process there that writes too much")
def test_a_worker_that_dies_in_the_middle_of_the_file(folder: Path) -> None:
    make(folder, faces=500, texture=64)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    command = [sys.executable, "-c", SMALL_FILES, str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, check=False)
    assert done.returncode == -signal.SIGXFSZ
    (staging,) = folder.glob(".*")  # nobody was there to remove it
    assert (staging / "new").stat().st_size == 20_000
    os.utime(staging, (time.time() - 3600,) * 2)  # a new one would be left alone, as its run may go on
    assert {path.name: path.read_bytes() for path in folder.iterdir() if path != staging} == before
    assert_whole(folder)


def test_other_programs_see_it_upright(coarse: Reconstruction) -> None:
    for result in (coarse, replace(coarse, upright=Upright(np.array((0.0, -1.0, 0.0)), 1.0))):
        assert meshing.y_up_from_world(result)[:3, :3] @ (0, -1, 0) == pytest.approx((0, 1, 0))
    matrix = meshing.y_up_from_world(replace(coarse, z_up=True))
    assert matrix[:3, :3] @ (0, 0, 1) == pytest.approx((0, 1, 0))
    assert np.linalg.det(matrix) == pytest.approx(1)
