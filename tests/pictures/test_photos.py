"""Reading photos: which files are accepted, which are refused, and how."""

from __future__ import annotations

import io
import os
import re
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from tests.pictures.saved import Warned, read_one, save, scene, tags
from threer_blender.files import exr_file, photo_files
from threer_blender.model.arrays import Array
from threer_blender.model.errors import UserError
from threer_blender.pictures import decoding, photos

REPOSITORY = Path(__file__).resolve().parents[2]


def rejected(path: Path) -> str:
    """The reason and the advice that an artist reads of a file. Fails where the file is not skipped."""
    warned = Warned()
    result = photos.read([path], warned)
    assert not result.accepted
    (unregistered,) = result.unregistered
    assert [photo for _, photo in warned.sentences] == [unregistered.photo]
    assert unregistered.reason.endswith(".")
    assert unregistered.advice.endswith(".")
    return unregistered.reason + " " + unregistered.advice


# What is chosen


def test_find_sorts_folders_naturally_and_keeps_the_given_order(tmp_path: Path) -> None:
    folder = tmp_path / "shoot"
    folder.mkdir()
    for name in ("IMG_10.jpg", "IMG_9.JPG", "img_1.png", "notes.txt", "._IMG_9.JPG"):
        (folder / name).write_bytes(b"")
    last, first = tmp_path / "z.jpg", tmp_path / "a.heic"
    last.write_bytes(b"")
    first.write_bytes(b"")
    actual = photo_files.find([last, str(folder), first, last, folder / "IMG_10.jpg"]).files
    assert [file.name for file in actual] == ["z.jpg", "img_1.png", "IMG_9.JPG", "IMG_10.jpg", "a.heic"]
    assert all(file.is_absolute() for file in actual)


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
    (actual,) = photo_files.find([folder]).files
    photo = read_one(actual)
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
    assert [(entry.photo, "first.jpg" in entry.reason) for entry in result.unregistered] == [("copy.jpg", True)]
    assert warned.sentences[0][1] == "copy.jpg"


@pytest.mark.parametrize("kind", ["jpg", "progressive.jpg", "png", "tif", "heic", "webp", "bmp"])
@pytest.mark.parametrize("share", [0.98, 0.6, 0.1, 0.0])
def test_a_truncated_picture_is_left_out(tmp_path: Path, kind: str, share: float) -> None:
    noise = np.clip(scene(300, 200) + np.random.default_rng(0).normal(0, 15, (200, 300, 3)), 0, 255).astype(np.uint8)
    options = {"progressive": True} if kind.startswith("progressive") else {}
    path = save(tmp_path / f"cut.{kind}", noise, **options)
    assert read_one(path)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    assert "damaged" in rejected(path) or "cut short" in rejected(path)


def test_text_named_as_a_photo_is_left_out(tmp_path: Path) -> None:
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
    fractions: list[float] = []

    def stop(fraction: float) -> None:
        fractions.append(fraction)
        if fraction > 0.5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        photos.read(paths, Warned(), stop)
    assert fractions == [0, 1 / 3, 2 / 3]


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_damaged_photos_are_read_or_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, data: st.DataObject
) -> None:
    """Whatever bytes change, `read` returns, and what it accepts gives pixels of the size that it said."""
    monkeypatch.setattr(decoding, "MOST_PIXELS", 1_000_000)  # A changed header may ask for gigabytes.
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
    assert len(result.accepted) + len(result.unregistered) == 1
    for photo in result.accepted:
        assert photos.pixels(photo).shape == (photo.height, photo.width, 3)


HUGE = r"""
import re, sys
from PIL import Image
from threer_blender.pictures import decoding, photos
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


# What is read although something is missing, or is inside


JPEGS: list[dict[str, Any]] = [
    {},
    {"progressive": True},
    {"subsampling": 2},
    {"optimize": True},
    {"restart_marker_rows": 2},
]


@pytest.mark.parametrize("options", JPEGS)
@pytest.mark.parametrize("end", [b"", b"\xff", bytes(5000)])
def test_a_jpeg_without_its_end_marker_is_read(tmp_path: Path, options: dict[str, Any], end: bytes) -> None:
    path = save(tmp_path / "card.jpg", scene(), **options)
    pixels = photos.pixels(read_one(path))
    path.write_bytes(path.read_bytes()[:-2] + end)
    warned = Warned()
    (photo,) = photos.read([path], warned).accepted
    assert "end of the file is missing" in warned.sentences[0][0]
    assert np.array_equal(photos.pixels(photo), pixels)


ENDS = [b"", b"\xff\xd9", bytes(5000)]
CUT = [
    (options, end) for options in JPEGS for end in ENDS if not (options.get("progressive") and end == b"\xff\xd9")
]  # a progressive picture with an end marker is only blurred


@pytest.mark.parametrize(("options", "end"), CUT)
@pytest.mark.parametrize("share", [0.5, 0.8, 0.97])
def test_a_jpeg_that_ends_too_early_is_left_out(
    tmp_path: Path, options: dict[str, Any], end: bytes, share: float
) -> None:
    """Somebody may have added an end marker, or the file may have been allocated and not written to its end."""
    noise = np.random.default_rng(0).integers(0, 255, (96, 160, 3)).astype(np.uint8)
    path = save(tmp_path / "card.jpg", noise, **options)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)] + end)
    assert "cut short" in rejected(path)


def test_a_grey_corner_is_nothing_missing(tmp_path: Path) -> None:
    picture = scene()
    picture[-40:, -40:] = 128
    assert read_one(save(tmp_path / "grey.jpg", picture))


def test_jpeg_xl_is_named(tmp_path: Path) -> None:
    for index, start in enumerate((b"\xff\x0a", b"\0\0\0\x0cJXL \r\n\x87\n")):
        path = tmp_path / f"{index}.jxl"
        path.write_bytes(start + bytes(100))
        assert "JPEG XL" in rejected(path)


def jpeg_data(picture: Array, **options: Any) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "JPEG", **({"quality": 95} | options))
    return buffer.getvalue()


def raw_file(path: Path, previews: list[bytes], orientation: int = 1, magic: bytes = b"II*\0") -> Path:
    """Writes a raw file as cameras make it: a directory with the tags, previews somewhere, and the sensor's values."""
    sensor = np.random.default_rng(1).integers(0, 256, 200_000).astype(np.uint8).tobytes()
    tiff = tags(Orientation=orientation, FocalLength=35.0, FocalLengthIn35mmFilm=50).tobytes().removeprefix(b"Exif\0\0")
    assert tiff[:4] == b"MM\0*"
    if magic[:2] == b"II":
        magic = b"MM\0*"
    path.write_bytes(magic + tiff[4:] + sensor + b"".join(data + sensor[:999] for data in previews) + sensor)
    return path


@pytest.mark.parametrize("name", ["a.dng", "a.CR2", "a.nef", "a.ARW", "a.orf", "a.rw2", "a.pef", "a.srw"])
def test_a_raw_file_gives_its_largest_preview(tmp_path: Path, name: str) -> None:
    full, small = scene(960, 640, 1), scene(160, 120, 2)
    magic = b"MMRO" if name == "a.orf" else b"MM\0*"
    path = raw_file(tmp_path / name, [jpeg_data(small), jpeg_data(full), jpeg_data(scene(320, 240))], 6, magic)
    warned = Warned()
    (photo,) = photos.read([path], warned).accepted
    assert (photo.width, photo.height) == (640, 960)
    assert photo.focal == pytest.approx(50 * np.hypot(960, 640) / np.hypot(36, 24))
    assert np.abs(photos.pixels(photo).astype(int) - np.rot90(full, -1)).mean() < 4
    assert "640 × 960" in warned.sentences[0][0]
    assert not photos.blender_shows(photo)


def test_canons_and_fujis_raw_files(tmp_path: Path) -> None:
    full = scene(960, 640, 3)
    exif = tags(Orientation=8).tobytes().removeprefix(b"Exif\0\0")
    boxes = b"\0\0\0\x18ftypcrx " + bytes(12) + b"\0\0\0\x80CMT1" + exif + bytes(64)
    canon, fuji = tmp_path / "a.cr3", tmp_path / "a.raf"
    canon.write_bytes(boxes + jpeg_data(full) + bytes(1000))
    fuji.write_bytes(b"FUJIFILMCCD-RAW " + bytes(84) + jpeg_data(full, exif=tags(Orientation=8)) + bytes(1000))
    for path in (canon, fuji):
        (photo,) = photos.read([path], Warned()).accepted
        assert np.abs(photos.pixels(photo).astype(int) - np.rot90(full)).mean() < 4


def test_raw_files_without_a_useful_preview_are_named(tmp_path: Path) -> None:
    assert "raw file" in rejected(raw_file(tmp_path / "none.dng", []))
    assert "raw file" in rejected(raw_file(tmp_path / "thumbnail.dng", [jpeg_data(scene())]))
    tiles = [jpeg_data(scene(700, 400, seed)) for seed in range(4)]
    assert "raw file" in rejected(raw_file(tmp_path / "tiles.dng", tiles))


def test_a_photo_replaced_by_one_of_the_same_size_is_noticed(tmp_path: Path) -> None:
    path = save(tmp_path / "a.png", scene(seed=1))
    photo = read_one(path)
    save(path, scene(seed=2))
    for use in (photos.pixels, photos.blender_shows):
        with pytest.raises(UserError, match=r"a\.png changed"):
            use(photo)


NO_FILES = ("a.jpg", "a.png", "a.tif", "a.dng", "a.exr", "a.dpx", "a.mp4", "a.mov", "a.gif", "a.avi")


@pytest.mark.skipif(os.name == "nt", reason="Windows has no pipes and devices in folders")
@pytest.mark.parametrize("name", NO_FILES)
@pytest.mark.parametrize("make", [os.mkfifo, lambda path: path.symlink_to("/dev/zero"), Path.mkdir])
def test_what_is_no_file_is_left_out_and_not_waited_for(
    tmp_path: Path, name: str, make: Callable[[Path], None]
) -> None:
    """A pipe would be waited for, a device read without end."""
    make(tmp_path / name)
    assert re.search("no regular file|cannot be read", rejected(tmp_path / name))


@pytest.mark.skipif(os.name == "nt", reason="Windows has no pipes in folders")
@pytest.mark.parametrize("suffix", [".png", ".exr"])
def test_a_pipe_in_a_sequence_is_a_missing_frame(tmp_path: Path, suffix: str) -> None:
    for number in range(1001, 1006):
        if suffix == ".exr":
            exr_file.write(tmp_path / f"p.{number}.exr", np.full((64, 64, 3), number % 5 / 5, np.float32))
        else:
            Image.new("RGB", (64, 64), (number % 200, 9, 9)).save(tmp_path / f"p.{number}.png")
    (tmp_path / f"p.1003{suffix}").unlink()
    os.mkfifo(tmp_path / f"p.1003{suffix}")
    read = photos.read([tmp_path / f"p.####{suffix}"], Warned())
    assert {photo.frame for photo in read.accepted} == {1001, 1002, 1004, 1005}


def test_a_tiff_of_an_unusual_kind_is_named(tmp_path: Path) -> None:
    path = tmp_path / "lab.tif"
    tifffile.imwrite(path, np.zeros((80, 80, 3), np.int16), photometric="cielab")
    assert "TIFF file of a kind" in rejected(path)
    tifffile.imwrite(path, np.zeros((80, 80, 3), np.uint16), photometric="rgb")
    data = bytearray(path.read_bytes())
    offset = data.index(struct.pack("<HHI", 259, 3, 1)) + 8
    data[offset : offset + 2] = struct.pack("<H", 50002)  # JPEG XL
    path.write_bytes(data)
    assert "compression 50002" in rejected(path)


@pytest.mark.parametrize("kind", ["png", "bmp", "tif", "webp", "heic", "avif", "jpg"])
def test_bytes_after_the_end_of_a_file_change_nothing(tmp_path: Path, kind: str) -> None:
    path = save(tmp_path / f"a.{kind}", scene())
    pixels = photos.pixels(read_one(path))
    path.write_bytes(path.read_bytes() + bytes(5000))
    assert np.array_equal(photos.pixels(read_one(path)), pixels)
