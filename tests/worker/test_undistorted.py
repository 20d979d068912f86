"""Plates without distortion: what an ideal camera with overscan sees, in linear light."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from tests.blender.world import reconstruct
from tests.lensed import centres
from threer_blender import bundle
from threer_blender.files import exr_file
from threer_blender.jobs.messages import Undistort
from threer_blender.lenses.overscan import overscan, without_distortion
from threer_blender.model.arrays import Array
from threer_blender.model.engine import Stage
from threer_blender.model.errors import UserError
from threer_blender.model.lens import Distortion
from threer_blender.model.reconstruction import Camera, Photo, Shot
from threer_blender.pictures import plate_files
from threer_blender.runtime.report import MessageReport
from threer_blender.worker import undistorted

WIDTH, HEIGHT = 200, 120
LENS = Distortion("DIVISION", (-0.15,))
PATTERN = "plate.####.exr"


class Silent(MessageReport):
    """Sends no message, and keeps the last progress."""

    def __init__(self) -> None:
        super().__init__(lambda _message: None)

    def __call__(self, stage: Stage, done: float, total: float) -> None:
        super().__call__(stage, done, total)
        self.last = stage, done, total


def light(rays: Array, number: int) -> Array:
    """(..., 3) light of a smooth world, a function of directions; brighter than white, too."""
    u, v = rays[..., 0], rays[..., 1]
    waves = [np.sin(9 * u + number), np.cos(7 * v), np.sin(5 * u - 6 * v)]
    return (2 + 1.5 * np.stack(waves, axis=-1)).astype(np.float32)


@pytest.fixture
def filmed(tmp_path: Path) -> Path:
    """The bundle of a shot of two frames, 1001 and 1003."""
    (tmp_path / "plate").mkdir()
    cameras = {n: Camera(f"{PATTERN} {n}", WIDTH, HEIGHT, 180, 180, 103, 58, np.eye(4), LENS) for n in (1001, 1003)}
    for number, camera in cameras.items():
        rays = camera.rays(centres(WIDTH, HEIGHT))
        exr_file.write(tmp_path / "plate" / PATTERN.replace("####", str(number)), light(rays, number))
    path = str(tmp_path / "plate" / PATTERN)
    photo = Photo(f"{PATTERN} 1001", path, WIDTH, HEIGHT, "0" * 64, frame=1001)
    shot = Shot(PATTERN, path, Fraction(24), 3, cameras, first_frame=1001, missing=(1002,))
    return bundle.write(reconstruct([photo], [cameras[1001]], step=8, shots=[shot]), tmp_path / "result")


def test_every_frame_is_what_an_ideal_camera_sees(filmed: Path, tmp_path: Path) -> None:
    report = Silent()
    finished = undistorted.run(Undistort(str(filmed), str(tmp_path / "out")), report)
    assert "2 frames" in finished.text
    assert report.last[1:] == (2, 2)
    names = sorted(path.name for path in (tmp_path / "out").glob("*.exr"))
    assert names == ["01_plate.1001.exr", "01_plate.1003.exr"]
    (shot,) = bundle.read(filmed).shots
    added = overscan(list(shot.cameras.values()))
    for number, camera in shot.cameras.items():
        ideal = without_distortion(camera, added)
        expected = light(ideal.rays(centres(ideal.width, ideal.height)), number)
        pixels = plate_files.light(tmp_path / "out" / f"01_plate.{number}.exr")
        assert pixels.shape == expected.shape
        plate = camera.project(ideal.rays(centres(ideal.width, ideal.height)))
        inside = (plate > 2).all(axis=-1) & (plate < (WIDTH - 2, HEIGHT - 2)).all(axis=-1)
        assert np.abs(pixels - expected)[inside].max() < 0.01
        assert inside.mean() > 0.6
        outside = (plate < -1).any(axis=-1) | (plate > (WIDTH + 1, HEIGHT + 1)).any(axis=-1)
        assert (pixels[outside] == 0).all()


def test_a_plate_that_is_gone_leaves_nothing_behind(filmed: Path, tmp_path: Path) -> None:
    (tmp_path / "plate" / "plate.1003.exr").unlink()
    with pytest.raises(UserError, match="1003"):
        undistorted.run(Undistort(str(filmed), str(tmp_path / "out")), Silent())
    assert not (tmp_path / "out").exists()
