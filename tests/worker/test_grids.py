"""Photos of checkerboards become a lens file that a solve can use. Photos without corners are refused in a sentence."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.geometry.grids.rendered import BARREL, CENTRE, FOCAL, HEIGHT, POSES, WIDTH, photo, pose
from threer_blender.jobs.messages import Calibrate, Message, Notice
from threer_blender.lenses import known
from threer_blender.model.errors import UserError
from threer_blender.model.reconstruction import Photo
from threer_blender.runtime.report import MessageReport
from threer_blender.worker import grids


def test_photos_of_two_settings_give_two_lenses(tmp_path: Path) -> None:
    heard: list[Message] = []
    for name, enlarged in (("wide", 1.0), ("long", 1.25)):
        (tmp_path / name).mkdir()
        for number, view in enumerate(POSES[1:]):
            picture = Image.fromarray(photo(pose(*view)))
            if enlarged > 1:
                left, top = ((1 - 1 / enlarged) * side / 2 for side in (WIDTH, HEIGHT))
                box = (left, top, WIDTH - left, HEIGHT - top)
                picture = picture.resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC, box=box)
            picture.save(tmp_path / name / f"{number}.png")
    Image.fromarray(np.full((HEIGHT, WIDTH, 3), 90, np.uint8)).save(tmp_path / "wide" / "blank.png")
    request = Calibrate([str(tmp_path / "wide"), str(tmp_path / "long")], str(tmp_path / "lens.json"))
    finished = grids.run(request, MessageReport(heard.append))
    assert "wide: focal length" in finished.text
    assert [each.photo for each in heard if isinstance(each, Notice)] == ["blank.png"]
    wide, narrow = known.read(tmp_path / "lens.json")
    assert wide.camera.fx == pytest.approx(FOCAL, rel=0.005)
    assert (wide.camera.cx, wide.camera.cy) == pytest.approx(CENTRE, abs=1.5)
    assert wide.camera.distortion.params[0] == pytest.approx(BARREL.params[0], abs=0.03)
    assert narrow.camera.fx == pytest.approx(1.25 * FOCAL, rel=0.005)
    entry = json.loads((tmp_path / "lens.json").read_text())["lenses"][0]["grid"]
    assert entry["rms_px"] < 0.1
    shot = Photo("plate 1001", "", 2 * WIDTH, 2 * HEIGHT, "", frame=1001)
    options = {"lens_file": str(tmp_path / "lens.json"), "known_lens": "held", "focal_pixels": 2.5 * FOCAL}
    assert known.applied([shot], options).photos[0].lens.focal == pytest.approx(2.5 * FOCAL, rel=0.005)


def test_photos_without_corners_are_refused(tmp_path: Path) -> None:
    Image.fromarray(np.full((HEIGHT, WIDTH, 3), 90, np.uint8)).save(tmp_path / "blank.png")
    with pytest.raises(UserError, match="None of the photos shows the corners of a checkerboard or a grid of dots"):
        grids.run(Calibrate([str(tmp_path)], str(tmp_path / "lens.json")), MessageReport(lambda _message: None))
    assert not (tmp_path / "lens.json").exists()


def test_a_photo_is_not_replaced(tmp_path: Path) -> None:
    """Neither one that was there, nor one that comes while the lens is solved."""
    for number, view in enumerate(POSES[1:]):
        Image.fromarray(photo(pose(*view))).save(tmp_path / f"{number}.png")
    files, later = [str(file) for file in sorted(tmp_path.iterdir())], tmp_path / "later.png"
    content = Path(files[0]).read_bytes()
    heard: list[Message] = []
    with pytest.raises(UserError, match="is no lens file of lens grids; choose another name"):
        grids.run(Calibrate(files, files[0]), MessageReport(heard.append))
    assert not heard
    assert Path(files[0]).read_bytes() == content

    def put_there(_message: Message) -> None:
        later.write_bytes(content)

    with pytest.raises(UserError, match="is no lens file of lens grids; choose another name"):
        grids.run(Calibrate(files, str(later)), MessageReport(put_there))
    assert later.read_bytes() == content
