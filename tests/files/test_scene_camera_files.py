"""Files of a scene's cameras: read back as they were written. Anything else is refused in a sentence."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.long_files import check_refused_unread
from threer_blender.files import scene_camera_files
from threer_blender.files.scene_camera_files import SceneCamera
from threer_blender.model.errors import UserError

CAMERA = SceneCamera("/shot/a.jpg", 35.0, "AUTO", 36.0, 24.0, 0.0, 0.0, np.eye(4).tolist())


def test_cameras_are_read_back(tmp_path: Path) -> None:
    cameras = [CAMERA, replace(CAMERA, photo="b.jpg", sensor_fit="VERTICAL", shift_y=-0.2)]
    scene_camera_files.write(tmp_path / "cameras.json", cameras)
    assert scene_camera_files.read(tmp_path / "cameras.json") == cameras


def test_a_camera_looks_along_minus_z_with_y_up() -> None:
    camera = CAMERA.camera("a.jpg", 400, 300)
    ahead, above = camera.project(np.array([[0.0, 0.0, -5.0], [0.0, 1.0, -5.0]]))
    assert ahead == pytest.approx((200, 150))
    assert above[1] < 150
    portrait = CAMERA.camera("a.jpg", 300, 400)
    assert portrait.fx == pytest.approx(35 / 36 * 400)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        '{"cameras": [3]}',
        '{"cameras": [{"photo": "a.jpg", "lens": 0}]}',
        '{"cameras": [{"photo": "a", "lens": 35, "sensor_fit": "AUTO", "sensor_width": 36, "sensor_height": 24, '
        '"shift_x": 0, "shift_y": 0, "matrix_world": [[0, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]}]}',
    ],
)
def test_what_is_no_file_of_cameras_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "cameras.json").write_text(text)
    with pytest.raises(UserError, match="is no file of cameras that can be read"):
        scene_camera_files.read(tmp_path / "cameras.json")


def test_a_file_that_is_too_long_is_refused_unread(tmp_path: Path) -> None:
    sentence = "is no file of cameras that can be read"
    check_refused_unread(scene_camera_files.read, tmp_path / "cameras.json", sentence)
