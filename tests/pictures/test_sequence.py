"""Image sequences: numbers, holes, sizes and light, from files that FFmpeg, Pillow and this test wrote."""

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from threer_blender.files import exr_file
from threer_blender.files.photo_files import find
from threer_blender.model.arrays import Array
from threer_blender.pictures import photos, plate_files, video
from threer_blender.pictures.decoding import Unusable

HEIGHT, WIDTH = 72, 96


def linear(shift: int = 0) -> Array:
    """(H, W, 3) float32: light up to four times white, with texture."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    texture = 0.5 + 0.5 * np.sin((x + shift) / 3)[..., None] * np.cos(y / 4)[..., None]
    return (texture * (1.0, 0.5, 4.0)).astype(np.float32)


def srgb(light: Array) -> Array:
    light = light.clip(0, 1)
    return 255 * np.where(light <= 0.0031308, 12.92 * light, 1.055 * light.clip(1e-9) ** (1 / 2.4) - 0.055)


def write_dpx(path: Path, values: Array, pixel_format: str, transfer: int) -> None:
    """Writes `values` (H, W, 3) in [0, 1] by FFmpeg, and the number of the transfer function into the header."""
    with av.open(str(path), "w", format="image2", options={"update": "1"}) as container:
        stream = container.add_stream("dpx", rate=24)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, pixel_format
        frame = av.VideoFrame.from_ndarray(np.rint(values * 65535).astype(np.uint16), format="rgb48le")
        container.mux(stream.encode(frame.reformat(format=pixel_format)))
        container.mux(stream.encode())
    data = bytearray(path.read_bytes())
    data[801] = transfer
    path.write_bytes(data)


def read(path: Path) -> tuple[photos.Photos, list[str]]:
    sentences: list[str] = []
    return photos.read(find([path]).files, lambda text, _: sentences.append(text)), sentences


def test_numbers_and_holes_are_the_files(tmp_path: Path) -> None:
    for number in (1001, 1002, 1003, 1006, 1007, 1009):
        exr_file.write(tmp_path / f"plate.{number}.exr", linear(3 * number))
    source = video.frame_source(str(tmp_path / "plate.####.exr"))
    assert list(source.numbers) == [1001, 1002, 1003, 1006, 1007, 1009]
    assert source.size == source.plate_size == (WIDTH, HEIGHT)
    for number in source.numbers:
        assert np.abs(source.picture(number) - srgb(linear(3 * number))).max() <= 1
    with pytest.raises(ValueError, match="1004 is missing"):
        source.picture(1004)
    chosen, sentences = read(tmp_path / "plate.1006.exr")
    assert {photo.frame for photo in chosen.accepted} <= set(source.numbers)
    assert chosen.accepted[0].name == "plate.####.exr 1001"
    assert np.array_equal(photos.pixels(chosen.accepted[0]), source.picture(1001))
    assert "1004–1005, 1008" in sentences[0]
    assert "24 are assumed" in sentences[1]


def test_half_floats_are_read_to_the_bit(tmp_path: Path) -> None:
    light = linear().astype(np.float16)
    with av.open(str(tmp_path / "a.1.exr"), "w", format="image2", options={"update": "1"}) as container:
        stream = container.add_stream("exr", rate=24, options={"format": "half"})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "gbrpf32le"
        container.mux(stream.encode(av.VideoFrame.from_ndarray(light.astype(np.float32), format="gbrpf32le")))
        container.mux(stream.encode())
    assert np.array_equal(plate_files.light(tmp_path / "a.1.exr"), light.astype(np.float32))


@pytest.mark.parametrize("pixel_format", ["gbrp10be", "gbrp12be", "rgb48be", "rgb24", "gbrp10le"])
def test_dpx_of_any_depth(tmp_path: Path, pixel_format: str) -> None:
    values = (linear() / 4).astype(np.float64)
    for number in (1, 2, 3):
        write_dpx(tmp_path / f"scan.{number:07d}.dpx", values, pixel_format, transfer=6)
    source = video.frame_source(str(tmp_path / "scan.#######.dpx"))
    assert list(source.numbers) == [1, 2, 3]
    assert np.abs(source.picture(2) - 255 * values).max() <= 1.1  # rounded twice
    assert source.frame_rate in (None, Fraction(24))


def test_logarithmic_dpx_is_shown_as_it_looked(tmp_path: Path) -> None:
    """Kodak's anchors: code 95 is black, 685 is white, 470 the grey card of 18 %."""
    codes = np.full((HEIGHT, WIDTH, 3), 95 / 1023)
    codes[:, WIDTH // 3 :] = 470 / 1023
    codes[:, 2 * WIDTH // 3 :] = 685 / 1023
    write_dpx(tmp_path / "scan.0001.dpx", codes, "gbrp10be", transfer=1)
    displayed = video.frame_source(str(tmp_path / "scan.####.dpx")).picture(1)
    assert displayed[0, 0, 0] == 0
    assert displayed[0, WIDTH // 2, 0] == pytest.approx(srgb(np.array(0.18)), abs=2)
    assert displayed[0, -1, 0] == 255


@pytest.mark.parametrize("suffix", ["png", "tif", "jpg"])
def test_pictures_with_eight_bits(tmp_path: Path, suffix: str) -> None:
    picture = np.rint(srgb(linear())).astype(np.uint8)
    for number in range(1, 5):
        Image.fromarray(picture).save(tmp_path / f"plate.{number:03d}.{suffix}", quality=98)
    source = video.frame_source(str(tmp_path / f"plate.###.{suffix}"))
    assert len(source) == 4
    assert np.abs(source.picture(3).astype(int) - picture).mean() < (2 if suffix == "jpg" else 1e-9)


def test_an_anamorphic_plate_is_shown_unsqueezed(tmp_path: Path) -> None:
    for number in (1, 2, 3):
        exr_file.write(tmp_path / f"squeezed.{number:04d}.exr", linear(), pixel_aspect=2.0)
    source = video.frame_source(str(tmp_path / "squeezed.####.exr"))
    assert source.plate_size == (WIDTH, HEIGHT)
    assert source.size == (2 * WIDTH, HEIGHT)
    assert source.picture(1).shape == (HEIGHT, 2 * WIDTH, 3)
    assert np.abs(source.picture(1)[:, 0::2].astype(int) - srgb(linear())).mean() < 6


def write_exr(path: Path, values: Array) -> None:
    exr_file.write(path, values)


def write_jpeg(path: Path, values: Array) -> None:
    Image.fromarray(np.rint(srgb(values)).astype(np.uint8)).save(path)


@pytest.mark.parametrize(
    ("suffix", "write", "remaining"), [("exr", write_exr, slice(200)), ("jpg", write_jpeg, slice(-200))]
)
def test_a_damaged_frame_is_passed_over(
    tmp_path: Path, suffix: str, write: Callable[[Path, Array], None], remaining: slice
) -> None:
    for number in range(1001, 1013):
        write(tmp_path / f"plate.{number}.{suffix}", linear(4 * number))
    damaged = tmp_path / f"plate.1004.{suffix}"
    damaged.write_bytes(damaged.read_bytes()[remaining])
    chosen, _ = read(tmp_path / f"plate.1001.{suffix}")
    frames = [photo.frame for photo in chosen.accepted]
    assert frames
    assert 1004 not in frames


def test_a_plate_that_changes_size_is_refused_with_the_frame(tmp_path: Path) -> None:
    for number in range(1, 11):
        side = HEIGHT if number < 7 else HEIGHT + 2
        Image.fromarray(np.zeros((side, WIDTH, 3), np.uint8)).save(tmp_path / f"plate.{number:04d}.png")
    source = video.frame_source(str(tmp_path / "plate.####.png"))
    with pytest.raises(Unusable, match="Frame 7 has 96 × 74 pixels, and frame 1 has 96 × 72"):
        source.picture(7)
    chosen, sentences = read(tmp_path / "plate.0001.png")
    assert not chosen.accepted
    assert "Frame 7 has" in sentences[0]


def test_a_movies_rate_is_a_fraction_and_its_pixels_its_own(tmp_path: Path) -> None:
    path = tmp_path / "film.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=Fraction(24000, 1001))
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.codec_context.sample_aspect_ratio = Fraction(2)
        for number in range(20):
            picture = np.rint(srgb(linear(number))).astype(np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    source = video.frame_source(str(path))
    assert source.frame_rate == Fraction(24000, 1001)
    assert source.plate_size == (WIDTH, HEIGHT)
    assert source.size == (2 * WIDTH, HEIGHT)
    assert list(source.numbers) == list(range(1, 21))
