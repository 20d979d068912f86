"""Pictures behind cameras: the artist's, or files in the result's folder. A path that leads out of it is refused."""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest

from tests.blender.world import camera
from threer_blender.files import bundle_pictures
from threer_blender.model.errors import UserError
from threer_blender.model.reconstruction import Photo, Shot

CAMERA = camera("a.jpg", 32, 24, 30)
PHOTO = Photo("a.jpg", "/photos/a.jpg", 32, 24, sha256=f"{1:064x}")
SHOT = Shot("clip.mp4", "/films/clip.mp4", Fraction(24), 3, {1: CAMERA})
ELSEWHERE = ["../private.png", "/etc/private.png", "//server/private.png", "\\\\server\\private.png", "C:\\private.png"]


def test_the_files_of_the_artist(tmp_path: Path) -> None:
    assert bundle_pictures.picture_of(CAMERA, PHOTO, tmp_path) == Path(PHOTO.path)
    assert bundle_pictures.plate_of(SHOT, tmp_path) == Path(SHOT.path)


@pytest.mark.parametrize("name", ["plates/a.png", "plates/a.####.png"])
def test_the_files_of_the_result(tmp_path: Path, name: str) -> None:
    (tmp_path / "plates").mkdir()
    for number in (1, 2, 3):
        (tmp_path / "plates" / f"a.{number:04d}.png").touch()
    assert bundle_pictures.picture_of(replace(CAMERA, undistorted=name), PHOTO, tmp_path) == tmp_path / name
    assert bundle_pictures.plate_of(replace(SHOT, written_plate=name), tmp_path) == tmp_path / name


@pytest.mark.parametrize("name", ELSEWHERE)
def test_files_elsewhere(tmp_path: Path, name: str) -> None:
    with pytest.raises(UserError, match="outside of its folder"):
        bundle_pictures.picture_of(replace(CAMERA, undistorted=name), PHOTO, tmp_path)
    with pytest.raises(UserError, match="outside of its folder"):
        bundle_pictures.plate_of(replace(SHOT, written_plate=name), tmp_path)


@pytest.mark.parametrize("linked", ["plates", "plates/a.0001.png", "plates/a.0003.png"])
def test_links(tmp_path: Path, linked: str) -> None:
    """The folder, the first frame or another frame is a link."""
    private, folder = tmp_path / "private", tmp_path / "result"
    for place in (private, folder / "plates"):
        place.mkdir(parents=True)
        for number in (1, 2, 3):
            (place / f"a.{number:04d}.png").touch()
    link = folder / linked
    target = private / link.name if link.is_file() else private
    link.rename(tmp_path / "moved")
    try:
        link.symlink_to(target)
    except OSError:
        pytest.skip("on Windows, links need a privilege")
    with pytest.raises(UserError, match="outside of its folder"):
        bundle_pictures.plate_of(replace(SHOT, written_plate="plates/a.####.png"), folder)
