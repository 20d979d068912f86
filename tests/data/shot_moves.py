"""[S] The rendered shots, declared: how each camera moves, with which lens, and what is hard about it. numpy only.

A pose and a focal length are functions of time in frames from the first one, so that a rolling shutter can ask for
any moment. All randomness is seeded sums of sines.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
CameraPath = Callable[[float], Array]
"""world_from_camera (4, 4), OpenCV axes, at a time in frames."""

FRAME_RATE = 24
TARGET = (0.0, 0.05, 0.14)  # m: the middle of the still life


@dataclass(frozen=True)
class Shot:
    """One shot. `kind` is the right answer: free, nodal, zoom (nodal, the focal length changes) or free zoom.

    `focal(time)` is fy in pixels; fx is fy / `pixel_aspect`. A `first` number makes it an image sequence that begins
    with that number, else it is a movie. `missing` are left out of the sequence, counted from 0. `walker` says where
    the walker is, (x, y), and `read_out` how long the shutter takes to roll down, in seconds.
    """

    name: str
    kind: str
    frames: int
    path: CameraPath
    focal: Callable[[float], float]
    width: int = 640
    height: int = 360
    pixel_aspect: float = 1.0
    centre: tuple[float, float] = (0.0, 0.0)  # pixels, from the plate's middle
    k1: float = 0.0
    k2: float = 0.0
    first: int | None = None
    missing: frozenset[int] = frozenset()
    walker: Callable[[float], tuple[float, float]] | None = None
    read_out: float = 0.0


def look_at(centre: Array, target: Array, roll: float = 0.0) -> Array:
    """world_from_camera of a camera at `centre` that looks at `target`, rolled clockwise by `roll` degrees."""
    forward = np.asarray(target, float) - centre
    forward /= np.linalg.norm(forward)
    right = np.cross(forward, (0.0, 0.0, 1.0))
    right /= np.linalg.norm(right)
    down = np.cross(forward, right)
    cos, sin = np.cos(np.radians(roll)), np.sin(np.radians(roll))
    pose = np.eye(4)
    pose[:3, :3] = np.stack([cos * right + sin * down, cos * down - sin * right, forward], axis=1)
    pose[:3, 3] = centre
    return pose


def shake(seed: int, size: float, low: float, high: float, axes: int = 3) -> Callable[[float], Array]:
    """A hand's unrest: (axes,) values of about `size`, from sines of `low` to `high` Hz, weaker the faster they are."""
    random = np.random.default_rng(seed)
    rates = np.geomspace(low, high, 9)
    phases = random.uniform(0, 2 * np.pi, (9, axes))
    weights = size * (low / rates[:, None]) ** 0.7 * random.uniform(0.5, 1.0, (9, axes))
    return lambda time: (weights * np.sin(2 * np.pi * rates[:, None] * time / FRAME_RATE + phases)).sum(axis=0)


def eased(share: float) -> float:
    """0 to 1 with a soft start and end."""
    return share * share * (3 - 2 * share)


def between(first: float, last: float, frames: int) -> Callable[[float], float]:
    """A value that goes from `first` to `last` over the shot, and starts and ends softly."""
    return lambda time: first + (last - first) * eased(min(max(time / (frames - 1), 0.0), 1.0))


def constant(value: float) -> Callable[[float], float]:
    return lambda _: value


def walked(frames: int, start: tuple[float, float], end: tuple[float, float], seed: int) -> CameraPath:
    """On foot from `start` to `end` (m), eyes on the still life, bobbing with every step."""
    # Shake of the centre (m), of the point that the camera looks at (m), and of the roll (degrees).
    hand, eyes, roll = (
        shake(seed, 0.003, 0.7, 5.0),
        shake(seed + 1, 0.012, 0.3, 3.0),
        shake(seed + 2, 0.35, 0.4, 4.0, 1),
    )

    def path(time: float) -> Array:
        share = time / (frames - 1)
        x, y = (a + (b - a) * share for a, b in zip(start, end, strict=True))
        bob = 0.009 * np.sin(2 * np.pi * 1.9 * time / FRAME_RATE)
        sway = 0.006 * np.sin(2 * np.pi * 0.95 * time / FRAME_RATE)
        centre = np.array([x + sway, y - 0.16 * np.sin(np.pi * share), 0.58 + bob]) + hand(time)
        return look_at(centre, TARGET + eyes(time), float(roll(time)[0]))

    return path


def orbited(frames: int, first: float, last: float, distance: float, height: float, seed: int) -> CameraPath:
    """Around the still life from azimuth `first` to `last` (degrees), on smooth rails."""
    angle, drift = between(first, last, frames), shake(seed, 0.004, 0.15, 0.6)

    def path(time: float) -> Array:
        azimuth = np.radians(angle(time))
        centre = np.array([distance * np.sin(azimuth), -distance * np.cos(azimuth), height]) + drift(time)
        return look_at(centre, np.array(TARGET))

    return path


def hand_held(frames: int, seed: int) -> CameraPath:
    """A step aside and forward, with the full unrest of a hand."""
    hand, eyes, roll = shake(seed, 0.006, 0.5, 8.0), shake(seed + 1, 0.02, 0.5, 9.0), shake(seed + 2, 0.8, 0.5, 7.0, 1)

    def path(time: float) -> Array:
        share = eased(time / (frames - 1))
        centre = np.array([-0.25 + 0.42 * share, -1.2 + 0.14 * share, 0.55 + 0.05 * share]) + hand(time)
        return look_at(centre, TARGET + eyes(time), float(roll(time)[0]))

    return path


def panned(frames: int, pan: float, tilt: float, height: float = 0.55) -> CameraPath:
    """On a tripod: `pan` degrees from side to side, and `tilt` down and up; the nodal point stands still."""
    centre = np.array([0.1, -0.85, height])

    def path(time: float) -> Array:
        share = eased(time / (frames - 1))
        azimuth = np.radians(pan * (share - 0.5))
        elevation = np.radians(-14 + tilt * np.sin(2 * np.pi * share))
        level = np.cos(elevation)
        return look_at(centre, centre + (level * np.sin(azimuth), level * np.cos(azimuth), np.sin(elevation)))

    return path


DOLLY_FIRST, DOLLY_LAST = 0.85, 1.9  # m from the target


def dollied(frames: int) -> CameraPath:
    """Straight back on rails, and a little to the side."""
    distance = between(DOLLY_FIRST, DOLLY_LAST, frames)

    def path(time: float) -> Array:
        away = distance(time)
        centre = np.array([0.14 * (away - DOLLY_FIRST), 0.05 - away * np.cos(0.4), 0.14 + away * np.sin(0.4)])
        return look_at(centre, np.array(TARGET))

    return path


def dolly_focal(first: float, frames: int) -> Callable[[float], float]:
    """Keeps the target's size while the camera of `dollied` moves away."""
    distance = between(DOLLY_FIRST, DOLLY_LAST, frames)
    return lambda time: first * distance(time) / DOLLY_FIRST


def strolling(frames: int) -> Callable[[float], tuple[float, float]]:
    """The walker crosses the picture close to the camera."""
    return lambda time: (-0.34 + 0.68 * time / (frames - 1), -0.74)


WALK = walked(100, (-0.75, -1.15), (0.65, -0.85), 11)
ACROSS = orbited(72, -16.0, 16.0, 1.25, 0.50, 61)
HOLES = frozenset({7, 20, 33, 34, 35, 52, 61, 72})

SHOTS = (
    Shot("walk", "free", 100, WALK, constant(560.0), centre=(3.1, -2.2)),
    Shot("orbit", "free", 72, orbited(72, -50.0, 50.0, 1.15, 0.62, 21), constant(600.0)),
    Shot("hand_held", "free", 80, hand_held(80, 31), constant(580.0), centre=(-2.4, 1.7), k1=-0.03),
    Shot("nodal", "nodal", 80, panned(80, 64.0, 9.0), constant(600.0)),
    Shot("zoom", "zoom", 80, panned(80, 26.0, 5.0), between(480.0, 900.0, 80)),
    Shot("dolly_zoom", "free zoom", 64, dollied(64), dolly_focal(420.0, 64)),
    Shot("wide", "free", 72, walked(72, (-0.7, -1.0), (0.6, -0.75), 41), constant(430.0), k1=-0.25, k2=0.05),
    Shot(
        "anamorphic", "free", 64, orbited(64, -30.0, 36.0, 1.1, 0.55, 51), constant(900.0), height=540, pixel_aspect=2.0
    ),
    Shot("walker", "free", 72, ACROSS, constant(560.0), walker=strolling(72)),
    Shot("no_walker", "free", 72, ACROSS, constant(560.0)),
    Shot("holes", "free", 80, walked(80, (0.7, -1.05), (-0.7, -0.9), 71), constant(560.0), first=1001, missing=HOLES),
    Shot("rolling_shutter", "free", 72, hand_held(72, 81), constant(580.0), read_out=0.020),
)
