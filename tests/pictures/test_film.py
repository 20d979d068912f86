"""Films of many kinds: frame k is the k-th picture that a player shows, whatever the container's clock says."""

import random
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from av.stream import Disposition

from tests.numbered_films import (
    CLOCKS,
    COUNT,
    HEIGHT,
    KINDS,
    MATRICES,
    OTHERS,
    WIDTH,
    Kind,
    jittered,
    number_of,
    picture,
    turned,
    write,
)
from threer_blender.model.arrays import Array
from threer_blender.pictures import photos, video
from threer_blender.pictures.film import Film

Written = Callable[[str], Path]


@pytest.mark.parametrize("name", KINDS)
def test_frames_are_in_the_order_of_showing(numbered_film: Written, name: str) -> None:
    film = Film(numbered_film(name))
    displayed = [number_of(film.picture(number)) for number in film.numbers]
    assert film.numbers == list(range(1, len(film) + 1))
    if KINDS[name].displayed:
        assert displayed == list(KINDS[name].displayed)
    else:  # how much of it is left depends on the encoder
        assert len(displayed) >= 12
        assert set(np.diff(displayed)) == {1}


@pytest.mark.parametrize("name", OTHERS)
def test_frames_of_other_kinds_are_in_their_order_too(numbered_film: Written, name: str) -> None:
    film, kind = Film(numbered_film(name)), OTHERS[name]
    assert film.frame_rate == kind.rate
    assert [number_of(film.picture(number)) for number in film.numbers] == list(kind.displayed)
    assert [number_of(film.picture(number)) for number in film.numbers[::-1]] == list(kind.displayed)[::-1]


@pytest.mark.parametrize("name", CLOCKS)
def test_no_clock_changes_the_order(numbered_film: Written, name: str) -> None:
    film = Film(numbered_film(name))
    assert [number_of(film.picture(number)) for number in film.numbers] == list(CLOCKS[name].displayed)
    assert not any("ends early" in remark for remark in video.remarks(film.path))


EVEN = [name for name in KINDS if name not in ("mp4 phone", "mov stopped clock")]


@pytest.mark.parametrize("name", EVEN)
def test_rates_are_exact(numbered_film: Written, name: str) -> None:
    assert Film(numbered_film(name)).frame_rate == KINDS[name].rate


def test_a_rate_that_varies_is_the_mean(numbered_film: Written) -> None:
    times = [jittered(index) / 600 for index in range(COUNT)]
    rate = Film(numbered_film("mp4 phone")).frame_rate
    assert rate is not None
    assert float(rate) == pytest.approx((COUNT - 1) / (times[-1] - times[0]), rel=2e-3)


@pytest.mark.parametrize("name", KINDS)
def test_frames_are_the_same_in_any_order(numbered_film: Written, name: str) -> None:
    film = Film(numbered_film(name))
    first = number_of(film.picture(1))
    for number in random.Random(name).sample(film.numbers, 12):
        assert number_of(film.picture(number)) == first + number - 1


def displayed(stored: Array, matrix: tuple[int, int, int, int]) -> Array:
    """The picture (H, W, 3) after every pixel (x, y) went to (a x + c y, b x + d y)."""
    a, b, c, d = matrix
    y, x = np.indices(stored.shape[:2])
    right, down = a * x + c * y, b * x + d * y
    right, down = right - right.min(), down - down.min()
    out = np.empty((down.max() + 1, right.max() + 1, 3), stored.dtype)
    out[down, right] = stored
    return out


@pytest.mark.parametrize("matrix", MATRICES)
def test_turned_and_mirrored_films_are_upright(
    numbered_film: Written, matrix: tuple[int, int, int, int], tmp_path: Path
) -> None:
    film = Film(turned(numbered_film("mp4 h264"), matrix, tmp_path / "turned.mp4"))
    truth = displayed(picture(7), matrix)
    assert film.size == truth.shape[1::-1]
    assert np.abs(film.picture(7).astype(float) - truth).mean() < 12


def read(path: Path) -> tuple[photos.Photos, list[str]]:
    sentences: list[str] = []
    return photos.read([path], lambda text, _: sentences.append(text)), sentences


INDEX_FIRST = Kind(".mp4", "libx264", options={"g": "8"}, container={"movflags": "faststart"})


@pytest.mark.parametrize(
    ("name", "announces"), [("mkv h264", True), ("avi mjpeg", True), ("ts h264", False), ("mp4 first", True)]
)
def test_of_a_truncated_film_the_frames_that_are_there_are_used(
    numbered_film: Written, name: str, announces: bool, tmp_path: Path
) -> None:
    whole = numbered_film(name) if name in KINDS else write(INDEX_FIRST, tmp_path / "whole.mp4")
    path = tmp_path / f"cut{whole.suffix}"
    path.write_bytes(whole.read_bytes()[: whole.stat().st_size * 6 // 10])
    actual, sentences = read(path)
    film = Film(path)
    assert actual.accepted
    assert 8 <= len(film) < COUNT
    assert [number_of(film.picture(number)) for number in film.numbers[:-1]] == film.numbers[:-1]
    assert any("ends early" in sentence for sentence in sentences) == announces


def test_a_frame_that_cannot_be_decoded_leaves_a_hole(numbered_film: Written, tmp_path: Path) -> None:
    data = bytearray(numbered_film("avi mjpeg").read_bytes())
    starts = [offset for offset in range(data.index(b"movi"), len(data)) if data[offset : offset + 4] == b"00dc"]
    for number in (5, 6, 17):
        begin, end = starts[number - 1] + 8, starts[number]
        data[begin : end - 4] = bytes(end - 4 - begin)
    path = tmp_path / "holes.avi"
    path.write_bytes(data)
    _, sentences = read(path)
    film = Film(path)
    assert film.numbers == [n for n in range(1, COUNT + 1) if n not in (5, 6, 17)]
    assert all(number_of(film.picture(number)) == number for number in film.numbers)
    assert "These frames cannot be decoded: 5–6, 17. The others keep their numbers." in sentences


def with_fields(path: Path, later: int) -> Path:
    """A film of 12 interlaced frames. Frame k has picture 2 k in the upper field and 2 k + `later` in the lower one."""
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=25, options={"x264-params": "tff=1", "qp": "4"})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for number in range(1, 13):
            both = picture(2 * number)
            both[1::2] = picture(2 * number + later)[1::2]
            out.mux(stream.encode(av.VideoFrame.from_ndarray(both, format="rgb24")))
        out.mux(stream.encode())
    return path


@pytest.mark.parametrize("later", [0, 1], ids=["only so called", "interlaced"])
def test_of_an_interlaced_film_the_upper_field_is_used(later: int, tmp_path: Path) -> None:
    path = with_fields(tmp_path / "fields.mkv", later)
    _, sentences = read(path)
    film = Film(path)
    assert [number_of(film.picture(number)) for number in film.numbers] == [2 * number for number in film.numbers]
    rows = slice(0, HEIGHT // 2, 1 + later)  # the lower field's are made up
    assert np.abs(film.picture(4)[rows].astype(float) - picture(8)[rows]).mean() < 20
    assert any("interlaced" in sentence for sentence in sentences) == bool(later)


@pytest.mark.parametrize(("aspect", "width"), [(Fraction(2), 2 * WIDTH), (Fraction(30), WIDTH)])
def test_pixels_are_made_square_unless_no_camera_has_such(aspect: Fraction, width: int, tmp_path: Path) -> None:
    path = tmp_path / "wide.mp4"
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.codec_context.sample_aspect_ratio = aspect
        out.mux(stream.encode(av.VideoFrame.from_ndarray(picture(1), format="rgb24")))
        out.mux(stream.encode())
    assert Film(path).picture(1).shape == (HEIGHT, width, 3)


def with_cover(path: Path, cover: tuple[int, int], film: bool) -> Path:
    """An MP4 with a cover picture, a second of silence and perhaps a film."""
    with av.open(str(path), "w") as out:
        streams = [out.add_stream("png", rate=1)]
        streams[0].width, streams[0].height, streams[0].pix_fmt = *cover, "rgb24"
        streams[0].disposition = Disposition.attached_pic
        if film:
            streams.append(out.add_stream("libx264", rate=24))
            streams[1].width, streams[1].height, streams[1].pix_fmt = WIDTH, HEIGHT, "yuv420p"
        sound = out.add_stream("aac", rate=44100)
        silence = av.AudioFrame.from_ndarray(np.zeros((1, 44100), np.float32), format="fltp", layout="mono")
        silence.rate = 44100
        out.mux(streams[0].encode(av.VideoFrame.from_ndarray(picture(99, *cover), format="rgb24")))
        out.mux(streams[0].encode())
        for number in range(1, COUNT + 1) if film else ():
            out.mux(streams[1].encode(av.VideoFrame.from_ndarray(picture(number), format="rgb24")))
        out.mux([*(streams[1].encode() if film else []), *sound.encode(silence), *sound.encode()])
    return path


def test_a_cover_is_no_film(tmp_path: Path) -> None:
    film = Film(with_cover(tmp_path / "film.mp4", (640, 480), film=True))
    assert film.size == (WIDTH, HEIGHT)
    assert [number_of(film.picture(number)) for number in film.numbers] == list(range(1, COUNT + 1))
    actual, _ = read(with_cover(tmp_path / "song.mp4", (640, 480), film=False))
    assert [entry.reason for entry in actual.unregistered] == ["There is no film in this video, only sound or a cover."]


def test_of_several_films_in_a_file_the_largest_is_used(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "two.mkv"), "w") as out:
        streams = [out.add_stream("libx264", rate=24) for _ in range(2)]
        for stream, (width, height) in zip(streams, ((WIDTH // 2, HEIGHT // 2), (WIDTH, HEIGHT)), strict=True):
            stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for number in range(1, 11):
            for stream, visible in zip(streams, (77, number), strict=True):
                frame = picture(visible, stream.width, stream.height)
                out.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        for stream in streams:
            out.mux(stream.encode())
    film = Film(tmp_path / "two.mkv")
    assert [number_of(film.picture(number)) for number in film.numbers] == list(range(1, 11))


def test_a_film_that_changes_its_size_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "sizes.ts"
    parts = [
        write(Kind(".ts", "mpeg2video", size=size), tmp_path / f"part{size[0]}.ts").read_bytes()
        for size in ((WIDTH, HEIGHT), (2 * WIDTH, 2 * HEIGHT))
    ]
    path.write_bytes(b"".join(parts))
    actual, _ = read(path)
    assert ["256 × 192 pixels, and frame 1 has 128 × 96" in entry.reason for entry in actual.unregistered] == [True]


def test_damaged_videos_are_left_out_by_name_and_the_rest_is_used(numbered_film: Written, tmp_path: Path) -> None:
    whole = numbered_film("mp4 h264").read_bytes()
    (tmp_path / "no index.mp4").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "noise.mov").write_bytes(np.random.default_rng(0).bytes(5000))
    (tmp_path / "list.mp4").write_text("#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\ngood.ts\n#EXT-X-ENDLIST\n")
    (tmp_path / "good.ts").write_bytes(numbered_film("ts h264").read_bytes())
    names = ["no index.mp4", "noise.mov", "good.ts", "list.mp4"]
    sentences: list[tuple[str, str]] = []
    actual = photos.read([tmp_path / name for name in names], lambda text, name: sentences.append((name, text)))
    assert [entry.photo for entry in actual.unregistered] == ["no index.mp4", "noise.mov", "list.mp4"]
    assert {name for name, _ in sentences} == {"no index.mp4", "noise.mov", "list.mp4"}
    assert {photo.name.split()[0] for photo in actual.accepted} == {"good.ts"}


@pytest.mark.parametrize(
    ("every", "words"), [(5, "6 of its 30 frames repeat the one before"), (0, "")], ids=["pulldown", "none"]
)
def test_repeated_frames_are_told(every: int, words: str, tmp_path: Path) -> None:
    numbers = [n - (n // every if every else 0) for n in range(1, COUNT + 1)]
    path = write(Kind(".mp4", "libx264", numbers=numbers, options={"crf": "23", "bf": "2"}), tmp_path / "film.mp4")
    _, sentences = read(path)
    assert [words in sentence for sentence in sentences] == [True] * bool(words)
