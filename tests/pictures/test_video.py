"""Reading videos: which frames are chosen, that each is the frame it says it is, and bad files."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from threer_blender.files.photo_files import find
from threer_blender.model.arrays import Array
from threer_blender.model.errors import UserError
from threer_blender.model.reconstruction import Photo
from threer_blender.pictures import frame_statistics, photos, video
from threer_blender.pictures.film import Film

av = pytest.importorskip("av")

WIDTH, HEIGHT = 320, 192


def panorama() -> Array:
    """(192, 960, 3) uint8 picture with detail at two scales."""
    random = np.random.default_rng(0)
    coarse = np.kron(random.integers(0, 160, (24, 120, 3)), np.ones((8, 8, 1)))
    return (coarse + random.integers(0, 60, coarse.shape)).astype(np.uint8)


def film(path: Path, offsets: list[int]) -> list[Array]:
    """Writes a film that pans over the panorama: each frame begins at its offset in pixels. Returns the pictures."""
    wide = panorama()
    pictures = [np.ascontiguousarray(wide[:HEIGHT, offset : offset + WIDTH]) for offset in offsets]
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"crf": "12", "g": "10", "bf": "2"})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for picture in pictures:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    return pictures


def read(path: Path) -> photos.Photos:
    return photos.read(find([path]).files, lambda _text, _photo: None)


def blurred(picture: Array) -> Array:
    return np.mean([np.roll(picture.astype(float), shift, axis=1) for shift in range(-6, 7)], axis=0)


def test_frames_are_those_that_they_say_in_any_order(tmp_path: Path) -> None:
    pictures = film(tmp_path / "pan.mp4", [7 * i for i in range(40)])
    source = Film(tmp_path / "pan.mp4")
    assert len(source) == 40
    assert source.frame_rate == 25
    for number in (1, 2, 17, 18, 35, 3, 40, 11, 10, 12):
        difference = [np.abs(source.picture(number).astype(float) - picture).mean() for picture in pictures]
        assert int(np.argmin(difference)) + 1 == number
        assert min(difference) < 20  # colour is stored at half the resolution; other frames differ by 50


def test_a_rest_gives_few_frames_and_a_fast_pan_many(tmp_path: Path) -> None:
    offsets = [*[0] * 60, *range(0, 600, 6), *[594] * 60]
    film(tmp_path / "rest and pan.mp4", offsets)
    accepted = read(tmp_path / "rest and pan.mp4").accepted
    frames = [photo.frame for photo in accepted if photo.frame is not None]
    moving = [frame for frame in frames if 60 <= frame <= 161]
    assert 30 <= len(accepted) <= video.MOST_FRAMES
    assert len(accepted) - len(moving) <= 2
    steps = np.diff([offsets[frame - 1] for frame in moving])
    assert steps.max() <= 3 * frame_statistics.STEP * WIDTH


def test_blurred_frames_are_passed_over(tmp_path: Path) -> None:
    offsets = list(range(0, 600, 4))
    wide = panorama()
    smeared = blurred(wide)
    with av.open(str(tmp_path / "shaky.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"crf": "12"})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for number, offset in enumerate(offsets, start=1):
            source = wide if number % 3 == 0 else smeared
            picture = np.ascontiguousarray(source[:HEIGHT, offset : offset + WIDTH]).astype(np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    accepted = read(tmp_path / "shaky.mp4").accepted
    assert np.mean([photo.frame is not None and photo.frame % 3 == 0 for photo in accepted]) > 0.8


def test_frames_are_photos(tmp_path: Path) -> None:
    film(tmp_path / "pan.mp4", [8 * i for i in range(40)])
    accepted = read(tmp_path / "pan.mp4").accepted
    first = accepted[0]
    assert isinstance(first, Photo)
    assert first.name == f"pan.mp4 {first.frame:04d}"
    assert (first.width, first.height) == (WIDTH, HEIGHT)
    assert len({photo.sha256 for photo in accepted}) == len(accepted)
    assert photos.pixels(first, 160).shape == (96, 160, 3)
    assert not photos.blender_shows(first)


def test_a_phone_held_upright(tmp_path: Path) -> None:
    """The turn that a player must make stands in the track's matrix (ISO 14496-12, tkhd)."""
    pictures = film(tmp_path / "lying.mp4", [8 * i for i in range(12)])
    content = bytearray((tmp_path / "lying.mp4").read_bytes())
    matrix = content.index(b"tkhd") + 4 + 40
    clockwise = [0, 0x10000, 0, -0x10000, 0, 0, 0, 0, 0x40000000]
    content[matrix : matrix + 36] = b"".join(value.to_bytes(4, "big", signed=True) for value in clockwise)
    (tmp_path / "upright.mp4").write_bytes(content)
    source = Film(tmp_path / "upright.mp4")
    assert source.size == (HEIGHT, WIDTH)
    assert np.abs(source.picture(5).astype(float) - np.rot90(pictures[4], -1)).mean() < 20


@pytest.mark.parametrize("damage", ["text", "half", "nothing", "sound"])
def test_what_is_no_video_is_left_out_with_a_sentence(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "clip.mp4"
    film(path, [0, 8, 16])
    if damage == "sound":
        with av.open(str(path), "w") as container:
            stream = container.add_stream("aac", rate=44100)
            silence = av.AudioFrame.from_ndarray(np.zeros((1, 44100), np.float32), format="fltp", layout="mono")
            silence.rate = 44100
            container.mux(stream.encode(silence))
            container.mux(stream.encode())
    else:
        path.write_bytes({"text": b"a letter to a friend", "half": path.read_bytes()[:900], "nothing": b""}[damage])
    actual = read(path)
    assert actual.accepted == []
    (unregistered,) = actual.unregistered
    assert unregistered.photo == "clip.mp4"
    assert "video" in unregistered.reason
    assert unregistered.advice.endswith(".")


def test_without_av_the_reason_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    film(tmp_path / "clip.mp4", [0, 8])
    monkeypatch.setattr(photos, "find_spec", lambda _name: None)
    (unregistered,) = read(tmp_path / "clip.mp4").unregistered
    assert "av" in unregistered.reason


def test_photos_need_no_av(tmp_path: Path) -> None:
    """The test runs in a Python of its own that cannot import av."""
    Image.fromarray(panorama()).save(tmp_path / "a.jpg")
    program = """import sys; sys.modules['av'] = None
from threer_blender.pictures import photos
(photo,) = photos.read([sys.argv[1]], print).accepted
assert photos.pixels(photo).any()
"""
    command = [sys.executable, "-c", program, str(tmp_path / "a.jpg")]
    assert subprocess.run(command, cwd=Path(__file__).resolve().parents[2]).returncode == 0


def test_a_video_that_vanishes_ends_in_a_sentence(tmp_path: Path) -> None:
    film(tmp_path / "clip.mp4", [8 * i for i in range(12)])
    (photo, *_) = read(tmp_path / "clip.mp4").accepted
    (tmp_path / "clip.mp4").unlink()
    video.frame_source.cache_clear()
    with pytest.raises(UserError, match="vanished"):
        photos.pixels(photo)


@pytest.mark.parametrize("reopened", [False, True])
def test_a_video_that_is_replaced_ends_in_a_sentence(tmp_path: Path, reopened: bool) -> None:
    film(tmp_path / "clip.mp4", [8 * i for i in range(12)])
    (photo, *_) = read(tmp_path / "clip.mp4").accepted
    film(tmp_path / "clip.mp4", [4 * i for i in range(12)])
    if reopened:
        video.frame_source.cache_clear()
    with pytest.raises(UserError, match="changed"):
        photos.pixels(photo)


def test_movement_is_that_of_most_of_the_picture() -> None:
    wide = panorama().mean(-1)
    still, moved = wide[:192, 100:356].copy(), wide[:192, 107:363].copy()
    assert frame_statistics.movement(still, moved) == 7
    passing = still.copy()
    passing[:, :64] = moved[:, :64]  # someone walks by
    assert frame_statistics.movement(still, passing) == 0
