"""Stretches in which a moving camera only turns: they are noticed even where the lens cannot be undone everywhere."""

import numpy as np

from threer_blender.geometry import rotations
from threer_blender.geometry.adjustment.shot_adjustment import Adjusted
from threer_blender.geometry.adjustment.shot_problem import ShotLens, ShotState
from threer_blender.geometry.adjustment.tracks import Tracks
from threer_blender.geometry.shots.stretches import turning_stretches
from threer_blender.model import lens
from threer_blender.model.arrays import FloatArray

FRAMES, POINTS, FOCAL, SIZE = 20, 60, 800.0, (960, 540)
LENS = ShotLens(np.array([FOCAL, FOCAL]), SIZE, "RADIAL", np.array([0.0, 480.0, 270.0, -0.5, 0.0]), np.zeros(5))


def turning(corner: bool) -> Adjusted:
    """A camera that turns by half a degree a frame; with `corner`, a track lies where no ideal point is shown."""
    from_world = rotations.from_vectors(np.radians(0.5) * np.arange(FRAMES)[:, None] * [0.0, 1.0, 0.0])
    rays = np.random.default_rng(0).uniform([-0.25, -0.2, 1.0], [0.35, 0.2, 1.0], (POINTS, 3))
    local = np.einsum("fij,pj->pfi", from_world, rays)
    distorted = lens.distort(LENS.distortion(LENS.start), local[..., :2] / local[..., 2:])
    pixels: FloatArray = distorted * FOCAL + LENS.start[1:3]
    if corner:
        pixels[-1] = 950.0, 530.0
    point, frame = np.repeat(np.arange(POINTS), FRAMES), np.tile(np.arange(FRAMES), POINTS)
    tracks = Tracks(point, frame, pixels.reshape(-1, 2), np.full(len(point), np.nan))
    directions = np.concatenate([rays, np.zeros((POINTS, 1))], axis=1)
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    state = ShotState(from_world, np.zeros((FRAMES, 3)), np.zeros(FRAMES), LENS.start, directions)
    return Adjusted(state, LENS, tracks, np.ones(len(point), np.bool_), np.full(len(point), 0.05))


def test_a_turn_is_noticed() -> None:
    assert turning_stretches(turning(corner=False), np.arange(FRAMES)) == [(0, FRAMES - 1)]


def test_a_track_beyond_the_lens_does_not_hide_a_turn() -> None:
    assert turning_stretches(turning(corner=True), np.arange(FRAMES)) == [(0, FRAMES - 1)]
