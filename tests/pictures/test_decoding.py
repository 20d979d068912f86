"""A photo's pixels are those of a viewer: upright, in their profile's colours, of whatever depth and size."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
import pillow_heif
import pytest
from PIL import Image, ImageCms, TiffImagePlugin

from tests.pictures.saved import Warned, difference, read_one, save, scene, tags
from threer_blender.model.arrays import Array
from threer_blender.pictures import decoding, photos


@pytest.mark.parametrize("kind", ["jpg", "png", "tif", "webp", "avif"])  # HEIC: test_heic_is_turned_once
@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation_comes_out_upright(tmp_path: Path, kind: str, orientation: int) -> None:
    upright = scene()
    # How each orientation stores an upright picture: the inverse of EXIF's table (EXIF 2.32, 4.6.4, tag 274).
    stored = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.swapaxes(0, 1),
        6: np.rot90(upright, 1),
        7: upright[::-1, ::-1].swapaxes(0, 1),
        8: np.rot90(upright, -1),
    }[orientation]
    options: dict[str, dict[str, Any]] = {"webp": {"lossless": True}, "avif": {"quality": 95}}
    path = save(
        tmp_path / f"turned.{kind}",
        np.ascontiguousarray(stored),
        exif=tags(Orientation=orientation),
        **options.get(kind, {}),
    )
    photo = read_one(path)
    assert (photo.width, photo.height) == (160, 96)
    assert difference(photos.pixels(photo), upright) < (5 if kind == "avif" else 1.5)
    assert photos.pixels(photo, 80).shape == (48, 80, 3)
    assert photos.blender_shows(photo) == (orientation == 1 and kind != "avif")


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_heic_is_turned_once(tmp_path: Path, orientation: int) -> None:
    upright = scene()
    quarters = {1: 0, 3: 2, 6: 1, 8: -1}[orientation]
    stored = np.ascontiguousarray(np.rot90(upright, quarters))
    path = save(tmp_path / "turned.heic", stored, exif=tags(Orientation=orientation).tobytes(), quality=95)
    photo = read_one(path)
    assert (photo.width, photo.height) == (160, 96)
    assert difference(photos.pixels(photo), upright) < 4
    assert not photos.blender_shows(photo)


def test_an_embedded_thumbnail_is_never_taken_for_the_photo(tmp_path: Path) -> None:
    """As phones write HEIC: with a small picture beside the large one, coded by itself."""
    heif = pillow_heif.from_pillow(Image.fromarray(scene(600, 400)))
    path = tmp_path / "phone.heic"
    heif.save(path, quality=95, thumbnails=[128])
    with Image.open(path) as image:
        assert image.info["thumbnails"], "the file holds no thumbnail, so this test shows nothing"
    photo = read_one(path)
    whole = Image.fromarray(photos.pixels(photo))
    shrunk = whole.resize((60, 40), Image.Resampling.LANCZOS, reducing_gap=3.0)
    assert difference(photos.pixels(photo, 60), np.asarray(shrunk)) == 0


@pytest.mark.parametrize("kind", ["jpg", "png"])
@pytest.mark.parametrize("long_side", [3000, 777, 400, 150])
def test_shrinking_keeps_geometry(tmp_path: Path, kind: str, long_side: int) -> None:
    """A ramp's value at a small pixel's centre is that of the photo at the pixel where `photos.pixels` says it lies."""
    width, height = 1501, 1003
    x, y = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    ramps = np.stack([x / width * 200 + 20, y / height * 200 + 20, 0 * x + 128], axis=-1)
    photo = read_one(save(tmp_path / f"ramp.{kind}", ramps.round().astype(np.uint8)))
    small = photos.pixels(photo, long_side)
    h, w = small.shape[:2]
    assert max(w, h) == min(long_side, width)
    assert (w, h) == decoding.shrunk(width, height, long_side)
    actual_x = (small[5:-5, 5:-5, 0].astype(float).mean(axis=0) - 20) / 200 * width
    actual_y = (small[5:-5, 5:-5, 1].astype(float).mean(axis=1) - 20) / 200 * height
    expected_x = (np.arange(w) + 0.5)[5:-5] * width / w
    expected_y = (np.arange(h) + 0.5)[5:-5] * height / h
    # Mean over the ramp: a shift of the whole picture; rounding to 8 bits averages out.
    assert abs((actual_x - expected_x).mean()) < 0.25
    assert abs((actual_y - expected_y).mean()) < 0.25
    assert np.polyfit(expected_x, actual_x, 1)[0] == pytest.approx(1, abs=2e-3)
    assert np.polyfit(expected_y, actual_y, 1)[0] == pytest.approx(1, abs=2e-3)


def gradient16() -> Array:
    return np.linspace(0, 65535, 128 * 96).reshape(96, 128).astype(np.uint16)


@pytest.mark.parametrize("big", [False, True])
@pytest.mark.parametrize("thumbnails", [(True, False), (False, True), (True, True, False)])
def test_the_largest_picture_of_a_tiff_counts(tmp_path: Path, thumbnails: tuple[bool, ...], big: bool) -> None:
    whole = Image.fromarray(scene())
    first, *others = [whole.resize((80, 48)) if small else whole for small in thumbnails]
    first.save(tmp_path / "pages.tif", save_all=True, append_images=others, big_tiff=big)
    photo = read_one(tmp_path / "pages.tif")
    assert (photo.width, photo.height) == whole.size
    assert difference(photos.pixels(photo), scene()) == 0
    assert photos.blender_shows(photo) == (not thumbnails[0])


def test_a_thumbnail_may_hold_the_photo(tmp_path: Path) -> None:
    """As cameras write it: the photo's place stands among the tags of its thumbnail."""
    whole, thumbnail = save(tmp_path / "whole.tif", scene()), save(tmp_path / "small.tif", scene()[::2, ::2])
    data = bytearray(thumbnail.read_bytes())
    data += bytes(-len(data) % 2)
    (start,) = struct.unpack_from("<I", data, 4)
    (count,) = struct.unpack_from("<H", data, start)
    entries = data[start + 2 : start + 2 + 12 * count]
    photo_data, shift = whole.read_bytes(), len(data) + 2 + 12 * (count + 1) + 4
    moved, place = shifted_tiff(photo_data, shift)
    data[4:8] = struct.pack("<I", len(data))
    within = struct.pack("<HHII", 330, 4, 1, place)
    data += struct.pack("<H", count + 1) + entries + within + bytes(4) + moved
    (tmp_path / "both.tif").write_bytes(data)
    photo = read_one(tmp_path / "both.tif")
    assert difference(photos.pixels(photo), scene()) == 0


def shifted_tiff(data: bytes, shift: int) -> tuple[bytes, int]:
    """The content of a little-endian TIFF for a file in which it begins at `shift`, and the place of its tags there."""
    moved = bytearray(data)
    (start,) = struct.unpack_from("<I", data, 4)
    (count,) = struct.unpack_from("<H", data, start)
    lengths = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8}
    for entry in range(start + 2, start + 2 + 12 * count, 12):
        tag, kind, number, value = struct.unpack_from("<HHII", data, entry)
        if lengths[kind] * number > 4 or tag == 273:  # 273: the places of the pixels
            struct.pack_into("<I", moved, entry + 8, value + shift)
            if tag == 273 and number > 1:
                places = struct.unpack_from(f"<{number}I", data, value)
                struct.pack_into(f"<{number}I", moved, value, *(place + shift for place in places))
    return bytes(moved), start + shift


@pytest.mark.parametrize("kind", ["png", "tif"])
def test_16_bit_grey_is_scaled_not_clipped(tmp_path: Path, kind: str) -> None:
    photo = read_one(save(tmp_path / f"grey.{kind}", Image.fromarray(gradient16())))
    expected = np.repeat((gradient16() / 257)[..., None], 3, axis=-1)
    assert np.abs(photos.pixels(photo) - expected).max() <= 1


def raw_tiff(path: Path, picture: Array, prefix: bytes) -> Path:
    """An uncompressed 16-bit TIFF in either byte order, which Pillow itself does not write."""
    order = {b"II": "<", b"MM": ">"}[prefix[:2]]
    height, width, channels = picture.shape
    data = picture.astype(f"{order}u2").tobytes()
    ifd = TiffImagePlugin.ImageFileDirectory_v2(prefix + b"\0\0\0\0")
    ifd.update({256: width, 257: height, 258: (16,) * channels, 259: 1, 262: 2 if channels == 3 else 1})
    ifd.update({273: 0, 277: channels, 278: height, 279: len(data)})
    path.write_bytes(prefix + struct.pack(f"{order}I", 8) + ifd.tobytes(8) + data)
    return path


@pytest.mark.parametrize("prefix", [b"II\x2a\x00", b"MM\x00\x2a"])
def test_16_bit_grey_tiff_in_both_byte_orders(tmp_path: Path, prefix: bytes) -> None:
    expected = np.repeat((gradient16() / 257)[..., None], 3, axis=-1)
    photo = read_one(raw_tiff(tmp_path / "grey.tif", gradient16()[..., None], prefix))
    assert np.abs(photos.pixels(photo) - expected).max() <= 1


@pytest.mark.parametrize("prefix", [b"II\x2a\x00", b"MM\x00\x2a"])
def test_16_bit_colour_tiff(tmp_path: Path, prefix: bytes) -> None:
    picture = scene()
    photo = read_one(raw_tiff(tmp_path / "deep.tif", picture.astype(np.uint16) * 257, prefix))
    assert difference(photos.pixels(photo), picture) == 0


def test_grey_palette_and_print_colours_become_rgb(tmp_path: Path) -> None:
    picture = Image.fromarray(scene())
    grey = photos.pixels(read_one(save(tmp_path / "grey.jpg", picture.convert("L"))))
    assert difference(grey, np.repeat(np.asarray(picture.convert("L"))[..., None], 3, axis=-1)) < 1
    palette = photos.pixels(read_one(save(tmp_path / "palette.png", picture.quantize(64))))
    assert difference(palette, np.asarray(picture)) < 8
    bilevel = photos.pixels(read_one(save(tmp_path / "bilevel.png", picture.convert("1"))))
    assert set(np.unique(bilevel)) == {0, 255}
    for kind in ("jpg", "tif"):
        cmyk = read_one(save(tmp_path / f"cmyk.{kind}", picture.convert("CMYK")))
        assert difference(photos.pixels(cmyk), np.asarray(picture)) < 2
        assert not photos.blender_shows(cmyk)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_transparency_lies_on_black(tmp_path: Path, mode: str) -> None:
    picture = Image.new("RGBA", (100, 80), (200, 200, 200, 255))
    picture.paste((255, 255, 255, 0), (0, 0, 50, 80))
    photo = read_one(save(tmp_path / "cut out.png", picture.convert(mode)))
    for long_side in (None, 50):
        out = photos.pixels(photo, long_side).astype(int)
        middle = out.shape[1] // 2
        assert out[:, : middle - 4].max() <= 2
        assert np.abs(out[:, middle + 4 :] - 200).max() <= 2


def exchanging_profile() -> bytes:
    """An RGB profile that is not sRGB: Pillow's sRGB with its red and green primaries exchanged."""
    data = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    count = struct.unpack(">I", data[128:132])[0]
    entries = {bytes(data[132 + 12 * i : 136 + 12 * i]): 132 + 12 * i for i in range(count)}
    red, green = entries[b"rXYZ"], entries[b"gXYZ"]
    data[red + 4 : red + 12], data[green + 4 : green + 12] = data[green + 4 : green + 12], data[red + 4 : red + 12]
    offset, size = struct.unpack(">II", data[entries[b"desc"] + 4 : entries[b"desc"] + 12])
    text = data[offset : offset + size]
    data[offset : offset + size] = text.replace("sRGB".encode("utf-16-be"), "xRGB".encode("utf-16-be"))
    return bytes(data)


@pytest.mark.parametrize("kind", ["jpg", "png", "tif", "heic"])
def test_embedded_profiles_are_followed(tmp_path: Path, kind: str) -> None:
    """With red and green exchanged by the profile, the picture comes out with red and green exchanged."""
    profile = exchanging_profile()
    quality = {"quality": 97} if kind == "heic" else {}
    photo = read_one(save(tmp_path / f"wide.{kind}", scene(), icc_profile=profile, **quality))
    assert difference(photos.pixels(photo), scene()[..., [1, 0, 2]]) < 4


def test_a_broken_profile_is_said_and_ignored(tmp_path: Path) -> None:
    path = save(tmp_path / "odd.png", scene(), icc_profile=b"no profile at all" * 20)
    warned = Warned()
    (photo,) = photos.read([path], warned).accepted
    assert "profile" in warned.sentences[0][0]
    assert difference(photos.pixels(photo), scene()) == 0
