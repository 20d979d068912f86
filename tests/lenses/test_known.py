"""The artist's knowledge of a lens, from numbers and from files, in pixels of the photo."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from tests.long_files import check_refused_unread
from threer_blender.lenses import export, known
from threer_blender.model.errors import UserError
from threer_blender.model.lens import Distortion, KnownLens
from threer_blender.model.reconstruction import Photo

from .test_export import LENS, camera, result

PHOTO = Photo("a.jpg", "/a.jpg", 1280, 720, "0" * 64)


def lens_of(photo: Photo, **options: object) -> KnownLens:
    (changed,) = known.applied([photo], options).photos
    assert changed.focal == changed.lens.focal
    return changed.lens


@pytest.fixture
def file(tmp_path: Path) -> str:
    """A lens.json with one lens of 128 × 72 pixels and 100 px of focal length."""
    export.write(result(tmp_path), tmp_path / "lenses")
    return str(tmp_path / "lenses" / "lens.json")


def test_millimetres_are_of_the_sensor_and_else_of_full_frame() -> None:
    assert lens_of(PHOTO, focal=25.0).focal == pytest.approx(25 / 36 * 1280)
    assert lens_of(PHOTO, focal=25.0, sensor=24.9).focal == pytest.approx(25 / 24.9 * 1280)
    assert lens_of(replace(PHOTO, width=720, height=1280), focal=25.0).focal == pytest.approx(25 / 36 * 1280)
    assert lens_of(PHOTO, focal_pixels=1111.0).focal == 1111.0
    with pytest.raises(UserError, match="given twice"):
        lens_of(PHOTO, focal=25.0, focal_pixels=1111.0)


def test_what_is_held_counts_for_more_than_exif() -> None:
    tagged = replace(PHOTO, focal=900.0)
    (not_held,) = known.applied([tagged], {"focal": 36.0}).photos
    assert (not_held.focal, not_held.lens) == (900.0, KnownLens())
    assert lens_of(tagged, focal=36.0, known_lens="held").focal == 1280


def test_a_lens_that_was_exported_is_read_back(file: str) -> None:
    lens = lens_of(PHOTO, lens_file=file, known_lens="held")
    assert lens.held
    assert lens.focal == pytest.approx(1000)
    assert lens.centre == pytest.approx((650, 350))
    assert lens.distortion == LENS


def test_a_lens_that_solvers_do_not_know_is_fitted(tmp_path: Path) -> None:
    brown = Distortion("BROWN", (-0.25, 0.08, -0.02, 0.0, 1e-3, -5e-4))
    cameras = [replace(camera("a.jpg"), distortion=brown)]
    export.write(replace(result(tmp_path), cameras=cameras), tmp_path / "lenses")
    file = str(tmp_path / "lenses" / "lens.json")
    assert lens_of(PHOTO, lens_file=file, known_lens="held").distortion == brown
    fitted = known.applied([PHOTO], {"lens_file": file})
    assert fitted.photos[0].lens.distortion is not None
    assert fitted.photos[0].lens.distortion.model == "OPENCV"


def test_of_several_lenses_the_focal_length_chooses(tmp_path: Path) -> None:
    cameras = [camera("a.jpg", 100), camera("b.jpg", 140)]
    export.write(replace(result(tmp_path), cameras=cameras), tmp_path / "lenses")
    file = str(tmp_path / "lenses" / "lens.json")
    assert lens_of(PHOTO, lens_file=file, focal_pixels=1380.0).focal == pytest.approx(1400)
    assert lens_of(replace(PHOTO, focal=1050.0), lens_file=file).focal == pytest.approx(1000)
    with pytest.raises(UserError, match="enter the focal length, which chooses"):
        lens_of(PHOTO, lens_file=file)
    with pytest.raises(UserError, match="No lens of the file has the focal length of 1600 px"):
        lens_of(PHOTO, lens_file=file, focal_pixels=1600.0)


def test_between_two_focal_lengths_the_lens_is_interpolated(tmp_path: Path) -> None:
    cameras = [camera("a.jpg", 100), replace(camera("b.jpg", 144), distortion=Distortion("OPENCV", (-0.1, 0.0, 0, 0)))]
    export.write(replace(result(tmp_path), cameras=cameras), tmp_path / "lenses")
    file = str(tmp_path / "lenses" / "lens.json")
    lens = lens_of(PHOTO, lens_file=file, focal_pixels=1200.0, known_lens="held")
    assert lens.focal == pytest.approx(1200)
    assert lens.distortion is not None
    # Halfway, since 1200 px are the geometric mean of the two focal lengths.
    assert lens.distortion.params[:2] == pytest.approx((-0.15, 0.015))
    assert lens.name == "The lens between a.jpg and b.jpg"


def test_a_lens_for_another_format_is_refused(file: str) -> None:
    with pytest.raises(UserError, match="is for pictures of 128 × 72"):
        lens_of(replace(PHOTO, width=960), lens_file=file)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"lenses": [{"name": 3}]}', '{"lenses": [1e999]}'])
def test_what_is_no_lens_file_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "lens.json").write_text(text)
    with pytest.raises(UserError, match="is no lens file that can be read"):
        lens_of(PHOTO, lens_file=str(tmp_path / "lens.json"))
    with pytest.raises(UserError, match="is no lens file that can be read"):
        lens_of(PHOTO, lens_file=str(tmp_path / "missing.json"))


def test_a_lens_file_without_end_is_refused_unread(tmp_path: Path) -> None:
    check_refused_unread(known.read, tmp_path / "lens.json", "is no lens file that can be read")


@pytest.mark.parametrize("focal", [1e-300, 1e300])
def test_a_focal_length_that_no_lens_has_is_refused(focal: float, file: str) -> None:
    values = json.loads(Path(file).read_text())
    values["lenses"][0]["camera"]["fx"] = focal
    Path(file).write_text(json.dumps(values))
    with pytest.raises(UserError, match="is no lens file that can be read"):
        known.read(Path(file))
