"""Masks beside a plate: stills, sequences, folders, transparency; what does not fit is refused in a sentence."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import ExifTags, Image

from threer_blender import headless
from threer_blender.files import exr_file
from threer_blender.model.arrays import Array
from threer_blender.model.errors import UserError
from threer_blender.model.reconstruction import Photo
from threer_blender.pictures import masks

SIZE = (40, 20)
PHOTO = Photo("a.jpg", "a.jpg", *SIZE, "")
LEFT = np.zeros((20, 40), np.bool_)
LEFT[:, :10] = True


def save(path: Path, white: Array) -> Path:
    Image.fromarray(np.where(white, 255, 0).astype(np.uint8)).save(path)
    return path


def options(path: Path, masked: str = "white", margin: int = 0) -> dict[str, object]:
    return {"masks": str(path), "masked": masked, "mask_margin": margin}


def excluded(given: dict[str, object], frame: int | None = None, size: tuple[int, int] = SIZE) -> Array:
    """The mask (H, W) of the photo or the frame by these options."""
    all_masks = masks.from_options(given, [] if frame is None else [frame])
    assert all_masks is not None
    mask = all_masks.excluded(PHOTO, frame, size)
    assert mask is not None
    return mask


def test_a_still_masks_every_frame(tmp_path: Path) -> None:
    still = save(tmp_path / "mask.png", LEFT)
    np.testing.assert_array_equal(excluded(options(still), 7), LEFT)
    np.testing.assert_array_equal(excluded(options(still, "black"), 7), ~LEFT)
    np.testing.assert_array_equal(excluded(options(tmp_path), None), LEFT)
    np.testing.assert_array_equal(excluded(options(still), None, (20, 10)), LEFT[::2, ::2])


def test_masks_grow_by_their_margin(tmp_path: Path) -> None:
    mask = excluded(options(save(tmp_path / "mask.png", LEFT), margin=3), None)
    assert mask[:, :13].all()
    assert not mask[:, 13:].any()


def test_masks_of_a_plate_whose_pixels_are_not_square(tmp_path: Path) -> None:
    """They may have the size of the file, as those drawn on it in Blender, or of the displayed picture."""
    for number in (1, 2):
        exr_file.write(tmp_path / f"plate.{number}.exr", np.zeros((40, 40, 3), np.float32), pixel_aspect=2.0)
    photo = Photo("plate.#.exr 1", str(tmp_path / "plate.#.exr"), 80, 40, "", frame=1)
    column = np.arange(80) < 20
    for name, across in (("own", 40), ("displayed", 80)):
        white = np.tile(column[:: 80 // across], (40, 1))
        white[:30] = False
        (tmp_path / name).mkdir()
        read = masks.from_options(options(save(tmp_path / name / "mask.png", white), margin=4), [1, 2])
        assert read is not None
        out = read.excluded(photo, 1, (80, 40))
        assert out is not None
        np.testing.assert_array_equal(out, (np.arange(80) < 24) & (np.arange(40)[:, None] >= 26))
    tall = masks.from_options(options(save(tmp_path / "tall.png", np.ones((40, 20), np.bool_))), [1])
    assert tall is not None
    with pytest.raises(UserError, match="make masks in the plate's size"):
        tall.excluded(photo, 1)


def test_a_mask_that_says_how_it_lies_is_set_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 3
    Image.fromarray(np.where(LEFT[:, ::-1], 255, 0).astype(np.uint8)).save(tmp_path / "mask.jpg", exif=exif)
    np.testing.assert_array_equal(excluded(options(tmp_path / "mask.jpg"), None), LEFT)


def test_transparency_is_excluded(tmp_path: Path) -> None:
    picture = np.full((20, 40, 4), 200, np.uint8)
    picture[:, :, 3] = np.where(LEFT, 0, 255)
    Image.fromarray(picture).save(tmp_path / "plate.png")
    np.testing.assert_array_equal(excluded(options(tmp_path / "plate.png"), None), LEFT)


def test_a_sequence_masks_the_frames_of_its_numbers(tmp_path: Path) -> None:
    for number in (1001, 1002, 1004):
        save(tmp_path / f"matte.{number}.png", LEFT if number == 1002 else ~LEFT)
    for given in (tmp_path, tmp_path / "matte.1001.png", tmp_path / "matte.####.png", tmp_path / "matte.%04d.png"):
        np.testing.assert_array_equal(excluded(options(given), 1002), LEFT)
        np.testing.assert_array_equal(excluded(options(given), 1004), ~LEFT)
    all_masks = masks.from_options(options(tmp_path), [1002, 1003])
    assert all_masks is not None
    assert all_masks.excluded(PHOTO, 1003, SIZE) is None


def test_a_folder_masks_photos_by_name(tmp_path: Path) -> None:
    save(tmp_path / "a.png", LEFT)
    save(tmp_path / "b.png", ~LEFT)
    np.testing.assert_array_equal(excluded(options(tmp_path), None), LEFT)


def test_no_masks_are_no_masks() -> None:
    assert masks.from_options({"masks": ""}, [1]) is None
    assert masks.from_options({}, [1]) is None


def test_masks_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no masks in"):
        excluded(options(tmp_path), 1)
    other = save(tmp_path / "tall.png", LEFT.T)
    with pytest.raises(UserError, match=r"20 × 40 pixels, and .a\.jpg. has 40 × 20"):
        excluded(options(other), 1)
    other.unlink()
    for number in (1001, 1002):
        save(tmp_path / f"matte.{number}.png", LEFT)
    with pytest.raises(UserError, match="frames are 1, masks 1001–1002"):
        excluded(options(tmp_path), 1)
    (tmp_path / "broken.png").write_bytes(b"no picture")
    with pytest.raises(UserError, match="cannot be read"):
        excluded(options(tmp_path / "broken.png"), 1)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no named pipes in folders")
def test_a_mask_that_is_a_pipe_is_refused_at_once(tmp_path: Path) -> None:
    for number in (1, 2):
        os.mkfifo(tmp_path / f"mask.{number}.png")
    for path in (tmp_path, tmp_path / "mask.1.png"):
        with pytest.raises(UserError, match="is no regular file"):
            excluded(options(path), 1)


BROKEN = (
    b"",
    b"no picture",
    b"\x89PNG\r\n\x1a\n" + bytes(40),
    b"II*\0\xff\xff\xff\xff",
    b"BM" + bytes(60),
    b"RIFF\0\0\0\0WEBP",
)


@pytest.mark.parametrize("content", BROKEN)
@pytest.mark.parametrize("suffix", [".png", ".tif", ".exr"])
def test_a_mask_that_is_no_picture_is_one_sentence(tmp_path: Path, content: bytes, suffix: str) -> None:
    file = tmp_path / f"broken{suffix}"
    file.write_bytes(content)
    with pytest.raises(UserError, match="cannot be read") as refused:
        excluded(options(file), 1)
    assert "object at" not in str(refused.value)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no pipes and devices in folders")
@pytest.mark.parametrize("suffix", [".png", ".exr"])
@pytest.mark.parametrize("make", [os.mkfifo, lambda path: path.symlink_to("/dev/zero")])
def test_a_mask_that_is_no_file_is_not_waited_for(tmp_path: Path, suffix: str, make: Callable[[Path], None]) -> None:
    make(tmp_path / f"mask{suffix}")
    with pytest.raises(UserError):
        excluded(options(tmp_path / f"mask{suffix}"), 1)


def test_a_mask_that_is_gone_is_one_sentence() -> None:
    with pytest.raises(UserError, match=r"cannot be read: [^\\:]*\.$"):
        masks.Masks(Path(r"C:\masks\gone.png"), {}, {}, False, 0).excluded(PHOTO, 1)


def test_a_relative_path_is_that_of_whoever_asks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    save(Path("mask.png"), LEFT)
    request = headless.reconstruction_request(["a.jpg"], "out", "colmap", {"masks": "mask.png"})
    monkeypatch.chdir(Path(tmp_path.anchor))
    np.testing.assert_array_equal(excluded({**request.options, "mask_margin": 0}), LEFT)
    assert headless.reconstruction_request(["a.jpg"], tmp_path / "out", "colmap").options["masks"] == ""
