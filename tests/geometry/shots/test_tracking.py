"""Points followed through pictures that are moved by known amounts."""

from typing import Any

import numpy as np
import pytest

from threer_blender.geometry.shots import tracking
from threer_blender.geometry.shots.tracking import Frame, ShotTracks
from threer_blender.model.arrays import Array

WIDTH, HEIGHT = 240, 160
STEP = (3.4, -1.3)  # pixels per frame


def texture() -> Any:
    """(600, 600) a cloud with detail at all scales down to two pixels."""
    random = np.random.default_rng(0)
    spectrum = np.fft.rfft2(random.standard_normal((600, 600)))
    frequency = np.hypot(np.fft.fftfreq(600)[:, None], np.fft.rfftfreq(600)[None])
    cloud = np.fft.irfft2(spectrum * np.exp(-((frequency / 0.2) ** 2)) / (frequency + 0.02))
    return 128 + 40 * cloud / cloud.std()


@pytest.fixture(scope="module")
def filmed() -> Any:
    """Ten frames: the texture, moved by STEP each."""
    return moved_texture(STEP)


def moved_texture(step: tuple[float, float]) -> Any:
    """Ten frames: the texture, moved by `step` (x, y) pixels each, exactly, in the Fourier domain."""
    spectrum = np.fft.rfft2(texture())
    u, v = np.fft.rfftfreq(600)[None], np.fft.fftfreq(600)[:, None]
    frames = []
    for index in range(10):
        moved = np.fft.irfft2(spectrum * np.exp(-2j * np.pi * index * (u * step[0] + v * step[1])))
        frames.append(moved[200 : 200 + HEIGHT, 200 : 200 + WIDTH].astype(np.float32))
    return frames


def track(pictures: Any, mask: Any = None) -> Any:
    """The tracks of these pictures as frames 1, 2 …, which are as large as filmed."""
    return tracking.track([Frame(i + 1, picture, mask) for i, picture in enumerate(pictures)], (WIDTH, HEIGHT))


def drift(shot: ShotTracks) -> Array:
    """(M,) pixels by which observations are off from where their point's first one says."""
    tracks = shot.tracks
    first = np.searchsorted(tracks.point, np.arange(len(tracks)))[tracks.point]
    steps = (shot.numbers[tracks.camera] - shot.numbers[tracks.camera[first]])[:, None] * np.array(STEP)
    return np.linalg.norm(tracks.pixels - tracks.pixels[first] - steps, axis=1)


def test_points_are_followed_to_a_twentieth_of_a_pixel(filmed: Any) -> None:
    shot = track(filmed)
    assert len(shot.tracks) > 100
    assert np.bincount(shot.tracks.camera).min() > 80
    assert np.percentile(drift(shot), 95) < 0.05
    assert np.median(np.bincount(shot.tracks.point)) >= 8


def test_a_black_frame_and_a_flash_are_passed_over(filmed: Any) -> None:
    broken = list(filmed)
    broken[4], broken[5] = np.zeros_like(broken[4]), np.full_like(broken[5], 255)
    shot = track(broken)
    tracks = shot.tracks
    assert not np.isin(tracks.camera, (4, 5)).any()
    before, after = (np.unique(tracks.point[chosen]) for chosen in (tracks.camera < 4, tracks.camera > 5))
    assert len(np.intersect1d(before, after)) > 50
    assert np.percentile(drift(shot), 95) < 0.05


def test_a_fast_move_goes_on_behind_black_frames() -> None:
    """Where points are looked for after the black frames, and in the frame after that, follows from their speed."""
    broken = moved_texture((9.0, -4.0))
    for index in (4, 5, 6):
        broken[index] = np.zeros_like(broken[index])
    tracks = track(broken).tracks
    before = np.unique(tracks.point[tracks.camera < 4])
    for index in (7, 8):
        assert len(np.intersect1d(before, tracks.point[tracks.camera == index])) > 150


def test_repeated_frames_break_no_track(filmed: Any) -> None:
    once, twice = track(filmed).tracks, track([picture for picture in filmed for _ in range(2)]).tracks
    assert np.median(np.bincount(twice.point)) >= 2 * np.median(np.bincount(once.point)) - 2
    pairs = np.flatnonzero((np.diff(twice.point) == 0) & (twice.camera[:-1] % 2 == 0))
    assert np.percentile(np.linalg.norm(twice.pixels[pairs + 1] - twice.pixels[pairs], axis=1), 95) < 0.02


def test_no_track_leads_over_a_cut(filmed: Any) -> None:
    other = [picture[::-1, ::-1].copy() for picture in filmed]
    tracks = track(filmed[:5] + other[5:]).tracks
    before, after = (np.unique(tracks.point[chosen]) for chosen in (tracks.camera < 5, tracks.camera >= 5))
    assert len(np.intersect1d(before, after)) <= 2


def test_masked_pixels_have_no_points(filmed: Any) -> None:
    mask = np.ones((HEIGHT, WIDTH), bool)
    mask[:, :120] = False
    assert track(filmed, mask).tracks.pixels[:, 0].min() >= 119


def test_pixels_are_those_of_the_frames_as_filmed(filmed: Any) -> None:
    small = track(filmed)
    large = tracking.track([Frame(i + 1, picture) for i, picture in enumerate(filmed)], (2 * WIDTH, 2 * HEIGHT))
    assert np.allclose(large.tracks.pixels, 2 * small.tracks.pixels)
