"""Photos at the door: which files are taken, what is read from them, and that their pixels are those of a viewer."""

from __future__ import annotations

import io
import os
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pillow_heif
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import ExifTags, Image, ImageCms, TiffImagePlugin

from threer_blender import photo_files
from threer_blender.messages import UserError
from threer_blender.runtime import photos

REPOSITORY = Path(__file__).resolve().parents[2]


class Warned:
    """Collects what the artist is told."""

    def __init__(self) -> None:
        self.sentences: list[tuple[str, str]] = []

    def __call__(self, text: str, photo: str) -> None:
        self.sentences.append((text, photo))


def scene(width: int = 160, height: int = 96, seed: int = 0) -> np.ndarray:
    """A smooth colour picture without any symmetry, whose top-left quarter alone is bright red."""
    y, x = np.mgrid[:height, :width]
    phase = np.random.default_rng(seed).uniform(0, 6, 3)
    waves = [90 + 60 * np.sin(x / width * 7 + p) * np.cos(y / height * 5 + 2 * p) for p in phase]
    picture = np.stack(waves, axis=-1)
    picture[: height // 2, : width // 2, 0] = 250
    return picture.round().astype(np.uint8)


def tags(**values: object) -> Image.Exif:
    """EXIF with the given tags, those of the camera in their own directory."""
    exif = Image.Exif()
    camera = {getattr(ExifTags.Base, name): value for name, value in values.items() if name != "Orientation"}
    if "Orientation" in values:
        exif[ExifTags.Base.Orientation] = values["Orientation"]
    if camera:
        exif[ExifTags.IFD.Exif] = camera
    # Through bytes, since Pillow's TIFF writer takes the camera's directory only from a parsed EXIF.
    parsed = Image.Exif()
    parsed.load(exif.tobytes())
    return parsed


def save(path: Path, picture: np.ndarray | Image.Image, **options: object) -> Path:
    image = picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
    if path.suffix in (".jpg", ".JPG"):
        options = {"quality": 97, "subsampling": 0, **options}
    image.save(path, **options)
    return path


def read_one(path: Path) -> photos.Photo:
    warned = Warned()
    result = photos.read([path], warned)
    assert not result.left_out
    assert not warned.sentences
    return result.accepted[0]


def rejected(path: Path) -> str:
    """What the artist is told of a file that is left out."""
    warned = Warned()
    result = photos.read([path], warned)
    assert not result.accepted
    (left_out,) = result.left_out
    assert [photo for _, photo in warned.sentences] == [left_out.photo]
    assert left_out.reason.endswith(".")
    assert left_out.advice.endswith(".")
    return left_out.reason + " " + left_out.advice


def difference(a: np.ndarray, b: np.ndarray) -> float:
    assert a.shape == b.shape
    return float(np.abs(a.astype(int) - b.astype(int)).mean())


# What is chosen


def test_find_sorts_folders_naturally_and_keeps_the_given_order(tmp_path: Path) -> None:
    folder = tmp_path / "shoot"
    folder.mkdir()
    for name in ("IMG_10.jpg", "IMG_9.JPG", "img_1.png", "notes.txt", "._IMG_9.JPG"):
        (folder / name).write_bytes(b"")
    (folder / "deeper").mkdir()
    (folder / "deeper" / "IMG_3.jpg").write_bytes(b"")
    last, first = tmp_path / "z.jpg", tmp_path / "a.heic"
    last.write_bytes(b"")
    first.write_bytes(b"")
    found = photo_files.find([last, str(folder), first, last, folder / "IMG_10.jpg"])
    assert [file.name for file in found] == ["z.jpg", "img_1.png", "IMG_9.JPG", "IMG_10.jpg", "a.heic"]
    assert all(file.is_absolute() for file in found)


@pytest.mark.parametrize(
    ("chosen", "sentence"),
    [
        ([], "choose at least two photos"),
        (["absent.jpg"], "no file or folder"),
        (["text"], "no photo in the folder"),
        (["text/a.txt", "text/b.md"], "None of the chosen files is a photo"),
    ],
)
def test_find_says_what_to_do(tmp_path: Path, chosen: list[str], sentence: str) -> None:
    (tmp_path / "text").mkdir()
    (tmp_path / "text" / "a.txt").write_text("a")
    (tmp_path / "text" / "b.md").write_text("b")
    with pytest.raises(UserError, match=sentence) as error:
        photo_files.find([tmp_path / name for name in chosen])
    assert "\n" not in str(error.value)
    assert str(error.value).endswith(".")


def test_photos_of_one_name_are_told_apart_by_their_folders(tmp_path: Path) -> None:
    paths = []
    for seed, parts in enumerate(("x/a", "y/a", "x/b")):
        folder = tmp_path / parts
        folder.mkdir(parents=True)
        paths.append(save(folder / "IMG_1.jpg", scene(seed=seed)))
    paths.append(save(tmp_path / "x" / "IMG_2.jpg", scene(seed=9)))
    accepted = photos.read(paths, Warned()).accepted
    assert [photo.name for photo in accepted] == ["x/a/IMG_1.jpg", "y/a/IMG_1.jpg", "x/b/IMG_1.jpg", "IMG_2.jpg"]
    paths = [paths[0], paths[2]]
    accepted = photos.read(paths, Warned()).accepted
    assert [photo.name for photo in accepted] == ["a/IMG_1.jpg", "b/IMG_1.jpg"]


NAMES = ["two words.jpg", 'it\'s "quoted".jpg', "写真 фото é.jpg", "new\nline.jpg", "%s {0} $HOME;.jpg", "-n.jpg"]


@pytest.mark.skipif(os.name == "nt", reason="Windows allows no such names")
@pytest.mark.parametrize("name", NAMES)
def test_any_name_works(tmp_path: Path, name: str) -> None:
    folder = tmp_path / ("in " + name.removesuffix(".jpg"))
    folder.mkdir()
    path = save(folder / name, scene())
    (found,) = photo_files.find([folder])
    photo = read_one(found)
    assert photo.name == name
    assert Path(photo.path) == path
    assert photos.pixels(photo).shape == (96, 160, 3)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux allows bytes that are no letters in a name")
def test_a_name_that_is_no_text_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"latin \xe9.jpg")
    save(path, scene())
    assert "Rename it" in rejected(path)


# What is refused, and how


def test_identical_files_count_once(tmp_path: Path) -> None:
    first = save(tmp_path / "first.jpg", scene())
    copy = tmp_path / "copy.jpg"
    copy.write_bytes(first.read_bytes())
    warned = Warned()
    result = photos.read([first, copy], warned)
    assert [photo.name for photo in result.accepted] == ["first.jpg"]
    assert [(left.photo, "first.jpg" in left.reason) for left in result.left_out] == [("copy.jpg", True)]
    assert warned.sentences[0][1] == "copy.jpg"


@pytest.mark.parametrize("kind", ["jpg", "progressive.jpg", "png", "tif", "heic", "webp", "bmp"])
@pytest.mark.parametrize("kept", [0.98, 0.6, 0.1, 0.0])
def test_a_truncated_picture_is_left_out(tmp_path: Path, kind: str, kept: float) -> None:
    noise = np.clip(scene(300, 200) + np.random.default_rng(0).normal(0, 15, (200, 300, 3)), 0, 255).astype(np.uint8)
    options = {"progressive": True} if kind.startswith("progressive") else {}
    path = save(tmp_path / f"cut.{kind}", noise, **options)
    assert read_one(path)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * kept)])
    assert "damaged" in rejected(path)


def test_text_in_a_photos_clothes_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "letter.jpg"
    path.write_text("Dear artist, this is no picture. " * 100)
    assert "not the picture its name says" in rejected(path)


def test_a_foreign_file_among_photos_is_named(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("notes")
    assert "not a photo" in rejected(path)


@pytest.mark.parametrize("size", [(1, 1), (63, 500), (500, 63)])
def test_a_tiny_picture_is_left_out(tmp_path: Path, size: tuple[int, int]) -> None:
    assert f"{size[0]} × {size[1]} pixels" in rejected(save(tmp_path / "tiny.png", Image.new("RGB", size)))


def test_float_pictures_are_left_out(tmp_path: Path) -> None:
    assert "8-bit" in rejected(save(tmp_path / "depth.tif", Image.new("F", (100, 100), 2.5)))


def test_a_gigapixel_header_is_refused_before_its_pixels_are_decoded(tmp_path: Path) -> None:
    path = save(tmp_path / "bomb.bmp", Image.new("L", (64, 64)))
    data = bytearray(path.read_bytes())
    data[18:26] = struct.pack("<ii", 60_000, 60_000)
    path.write_bytes(data)
    assert "3600 million pixels" in rejected(path)


def test_a_file_that_goes_missing_or_changes_is_named(tmp_path: Path) -> None:
    path = save(tmp_path / "gone.jpg", scene())
    photo = read_one(path)
    path.unlink()
    with pytest.raises(UserError, match=r"gone\.jpg"):
        photos.pixels(photo)
    assert "gone" in rejected(path)
    save(path, scene(200, 100))
    with pytest.raises(UserError, match=r"gone\.jpg"):
        photos.pixels(photo)
    path.write_text("no picture")
    with pytest.raises(UserError, match=r"gone\.jpg"):
        photos.pixels(photo, 100)


def test_progress_can_stop_the_reading(tmp_path: Path) -> None:
    paths = [save(tmp_path / f"{i}.jpg", scene(seed=i)) for i in range(3)]
    told: list[float] = []

    def stop(fraction: float) -> None:
        told.append(fraction)
        if fraction > 0.5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        photos.read(paths, Warned(), stop)
    assert told == [0, 1 / 3, 2 / 3]


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_no_damage_escapes_the_door(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, data: st.DataObject) -> None:
    """Whatever bytes change, `read` returns, and what it accepts gives pixels of the size that it said."""
    monkeypatch.setattr(photos, "MOST_PIXELS", 1_000_000)  # A changed header may ask for gigabytes.
    kind = data.draw(st.sampled_from(["jpg", "png", "tif", "webp", "heic"]))
    buffer = io.BytesIO()
    formats = {"jpg": "JPEG", "tif": "TIFF", "heic": "HEIF"}
    exif = tags(Orientation=6, FocalLength=4.0, FocalPlaneXResolution=900.0)
    Image.fromarray(scene(80, 70)).save(buffer, formats.get(kind, kind.upper()), exif=exif)
    changed = bytearray(buffer.getvalue())
    for _ in range(data.draw(st.integers(1, 4))):
        # Half of the hits go where the headers are.
        end = data.draw(st.sampled_from([min(400, len(changed)), len(changed)])) - 1
        changed[data.draw(st.integers(0, end))] = data.draw(st.integers(0, 255))
    path = tmp_path / f"fuzzed.{kind}"
    path.write_bytes(changed)
    result = photos.read([path], Warned())
    assert len(result.accepted) + len(result.left_out) == 1
    for photo in result.accepted:
        assert photos.pixels(photo).shape == (photo.height, photo.width, 3)


HUGE = r"""
import re, sys
from PIL import Image
from threer_blender.runtime import photos
(photo,) = photos.read([sys.argv[1]], print).accepted
assert (photo.width, photo.height) == (16000, 12500), photo
assert photos.pixels(photo, 1600).shape == (1250, 1600, 3)
# Not getrusage, whose peak includes that of the parent before exec.
print(int(re.search(r"VmHWM:\s+(\d+) kB", open("/proc/self/status").read())[1]) // 1024)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="measures memory as Linux does")
def test_a_200_megapixel_jpeg_works_in_little_memory(tmp_path: Path) -> None:
    path = save(tmp_path / "huge.jpg", Image.new("L", (16000, 12500), 99), quality=50)
    command = [sys.executable, "-c", HUGE, str(path)]
    result = subprocess.run(command, capture_output=True, text=True, check=True, cwd=REPOSITORY)
    assert int(result.stdout) < 300  # MiB; the picture itself takes 600.


# What the pixels are


@pytest.mark.parametrize("kind", ["jpg", "png", "tif", "webp"])
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
    lossless = {"lossless": True} if kind == "webp" else {}
    path = save(
        tmp_path / f"turned.{kind}", np.ascontiguousarray(stored), exif=tags(Orientation=orientation), **lossless
    )
    photo = read_one(path)
    assert (photo.width, photo.height) == (160, 96)
    assert difference(photos.pixels(photo), upright) < 1.5
    assert photos.pixels(photo, 80).shape == (48, 80, 3)
    assert photos.blender_shows(photo) == (orientation == 1)


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_heic_is_turned_once(tmp_path: Path, orientation: int) -> None:
    upright = scene()
    turns = {1: 0, 3: 2, 6: 1, 8: -1}[orientation]
    stored = np.ascontiguousarray(np.rot90(upright, turns))
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
    """A ramp's value at a small pixel's centre is that of the photo at the pixel where the docstring says it lies."""
    width, height = 1501, 1003
    x, y = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    ramps = np.stack([x / width * 200 + 20, y / height * 200 + 20, 0 * x + 128], axis=-1)
    photo = read_one(save(tmp_path / f"ramp.{kind}", ramps.round().astype(np.uint8)))
    small = photos.pixels(photo, long_side)
    h, w = small.shape[:2]
    assert max(w, h) == min(long_side, width)
    assert (w, h) == photos.shrunk(width, height, long_side)
    found_x = (small[5:-5, 5:-5, 0].astype(float).mean(axis=0) - 20) / 200 * width
    found_y = (small[5:-5, 5:-5, 1].astype(float).mean(axis=1) - 20) / 200 * height
    said_x = (np.arange(w) + 0.5)[5:-5] * width / w
    said_y = (np.arange(h) + 0.5)[5:-5] * height / h
    # Mean over the ramp: a shift of the whole picture; rounding to 8 bits averages out.
    assert abs((found_x - said_x).mean()) < 0.25
    assert abs((found_y - said_y).mean()) < 0.25
    assert np.polyfit(said_x, found_x, 1)[0] == pytest.approx(1, abs=2e-3)
    assert np.polyfit(said_y, found_y, 1)[0] == pytest.approx(1, abs=2e-3)


def gradient16() -> np.ndarray:
    return np.linspace(0, 65535, 128 * 96).reshape(96, 128).astype(np.uint16)


@pytest.mark.parametrize("kind", ["png", "tif"])
def test_16_bit_grey_is_scaled_not_clipped(tmp_path: Path, kind: str) -> None:
    photo = read_one(save(tmp_path / f"grey.{kind}", Image.fromarray(gradient16())))
    expected = np.repeat((gradient16() / 257)[..., None], 3, axis=-1)
    assert np.abs(photos.pixels(photo) - expected).max() <= 1


def raw_tiff(path: Path, picture: np.ndarray, prefix: bytes) -> Path:
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


# What EXIF says of the lens


def test_focal_from_the_35_mm_equivalent(tmp_path: Path) -> None:
    """A 3:2 full-frame photo with a 50 mm lens: 36 mm across the width, whichever way the camera was held."""
    exif = {"FocalLength": 50.0, "FocalLengthIn35mmFilm": 50}
    flat = read_one(save(tmp_path / "flat.jpg", scene(360, 240), exif=tags(**exif)))
    assert flat.focal == pytest.approx(500)
    assert flat.sensor_width == pytest.approx(36)
    tall = read_one(save(tmp_path / "tall.jpg", scene(360, 240), exif=tags(Orientation=6, **exif)))
    assert (tall.width, tall.height) == (240, 360)
    assert tall.focal == pytest.approx(500)
    assert tall.sensor_width == pytest.approx(24)


def test_focal_of_a_phone_goes_by_the_diagonal(tmp_path: Path) -> None:
    """4:3 sensor of 5.6 × 4.2 mm (diagonal 7.0) behind 4.2 mm: sold as 26 mm."""
    phone = save(tmp_path / "phone.jpg", scene(400, 300), exif=tags(FocalLength=4.2, FocalLengthIn35mmFilm=26))
    photo = read_one(phone)
    assert photo.focal == pytest.approx(4.2 / 5.6 * 400, rel=0.01)
    assert photo.sensor_width == pytest.approx(5.6, rel=0.01)


@pytest.mark.parametrize(("unit", "per_mm"), [(2, 25.4), (3, 10), (4, 1), (5, 0.001)])
@pytest.mark.parametrize("orientation", [1, 8])
def test_focal_from_the_focal_plane(tmp_path: Path, unit: int, per_mm: float, orientation: int) -> None:
    """A 22.3 mm wide sensor of 4752 pixels, its picture shrunk to 360, behind a 35 mm lens."""
    exif = tags(
        Orientation=orientation,
        FocalLength=35.0,
        FocalPlaneXResolution=TiffImagePlugin.IFDRational(round(4752 / 22.3 * per_mm * 10**6), 10**6),
        FocalPlaneResolutionUnit=unit,
        ExifImageWidth=4752,
        ExifImageHeight=3168,
    )
    photo = read_one(save(tmp_path / "slr.jpg", scene(360, 240), exif=exif))
    assert photo.focal == pytest.approx(360 * 35 / 22.3, rel=1e-3)
    assert photo.sensor_width == pytest.approx(22.3 if orientation == 1 else 22.3 / 1.5, rel=1e-3)


@pytest.mark.parametrize(
    "exif",
    [
        {},
        {"FocalLength": 50.0},
        {"FocalLength": 0.0, "FocalLengthIn35mmFilm": 0},
        {"FocalLengthIn35mmFilm": 60000},
        {"FocalLength": 4.0, "FocalPlaneXResolution": TiffImagePlugin.IFDRational(0, 0)},
    ],
)
def test_no_focal_is_better_than_a_wrong_one(tmp_path: Path, exif: dict[str, object]) -> None:
    photo = read_one(save(tmp_path / "plain.jpg", scene(), exif=tags(**exif)))
    assert photo.focal is None
    assert photo.sensor_width is None
