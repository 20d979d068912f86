"""[R] The uncertainty of a solved shot: it is solved again from random halves of its tracks, and the cameras compared.

The differences show the effect of random errors. An error that all tracks share, such as that of a wrong lens model,
does not show.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..geometry import rotations, similarities
from ..geometry.shots.solver import ShotSolution
from ..geometry.shots.tracking import ShotTracks
from ..model.arrays import FloatArray, IntArray
from ..model.reconstruction import Camera, Shot

HALF = 0.5  # probability that a track is chosen


@dataclass(frozen=True)
class Spread:
    """Root mean square differences of the other solutions from the first, for each of F frames.

    `numbers` (F,) are the frames' numbers. `position` (F,) is relative to the length of the camera's path, and 0 for a
    camera that does not move. `rotation` (F,) is in degrees. `focal` (F,) is relative to the focal length.
    """

    numbers: IntArray
    position: FloatArray
    rotation: FloatArray
    focal: FloatArray

    def by_frame(self) -> dict[int, tuple[float, float, float]]:
        """Frame number -> position, rotation, focal."""
        rows = zip(self.numbers.tolist(), self.position, self.rotation, self.focal, strict=True)
        return {number: (float(position), float(rotation), float(focal)) for number, position, rotation, focal in rows}

    def __str__(self) -> str:
        """A sentence for the artist."""
        worst = int(self.numbers[int(np.argmax(self.position if self.position.any() else self.rotation))])
        place = f"{_rms(self.position):.3%} of its path, " if self.position.any() else ""
        return (
            f"Solved again from random halves of the tracks, the camera differs by {place}{_rms(self.rotation):.3f}° "
            f"and {_rms(self.focal):.2%} of its focal length, most in frame {worst}."
        )


def with_spread(
    shot: ShotTracks, seeds: int, solve: Callable[[ShotTracks], ShotSolution | None]
) -> ShotSolution | None:
    """The solution of the shot by `solve`; None where there is none.

    Where `seeds` is above 0, the shot is solved so many times again, and the solution's reason also states the spread,
    unless no frame has a camera in all solutions.
    """
    first = solve(shot)
    if first is None or not seeds:
        return first
    others = [each for seed in range(seeds) if (each := solve(random_half(shot, seed + 1))) is not None]
    if not others or not set(first.cameras).intersection(*(other.cameras for other in others)):
        return first
    differences = spread(first, others)
    return replace(first, reason=f"{first.reason} {differences}", spread=differences.by_frame())


def applied(shot: Shot, spread: Mapping[int, tuple[float, float, float]]) -> Shot:
    """The shot with a ShotSolution's spread as its arrays, NaN where a frame has none; as it is where that is empty."""
    if not spread:
        return shot
    values = np.full((3, shot.frame_count), np.nan, np.float32)
    for number, of_frame in spread.items():
        values[:, number - shot.first_frame] = of_frame
    return replace(shot, position_spread=values[0], rotation_spread=values[1], focal_spread=values[2])


def random_half(shot: ShotTracks, seed: int) -> ShotTracks:
    """The shot with a random half of its tracks, chosen by `seed`."""
    chosen = np.random.default_rng(seed).random(len(shot.tracks)) < HALF
    return replace(shot, tracks=shot.tracks.only(chosen[shot.tracks.point]))


def spread(first: ShotSolution, others: Sequence[ShotSolution]) -> Spread:
    """The differences of the other solutions' cameras from the first's, after aligning their worlds to the first."""
    numbers = [n for n in first.cameras if all(n in other.cameras for other in others)]
    cameras = [first.cameras[n] for n in numbers]
    differences = np.array([_differences(cameras, [other.cameras[n] for n in numbers]) for other in others])
    position, rotation, focal = np.sqrt((differences**2).mean(axis=0))
    return Spread(np.array(numbers), position, rotation, focal)


def _differences(first: Sequence[Camera], other: Sequence[Camera]) -> FloatArray:
    """(3, F) the differences of positions, rotations and focal lengths between two solutions' cameras, as in Spread.

    The world of `other` is aligned to that of `first`: rotations by one rotation, positions by one similarity.
    """
    a, b = (np.array([camera.world_from_camera for camera in cameras]) for cameras in (first, other))
    rotation = rotations.nearest(np.einsum("nij,nkj->ik", a[:, :3, :3], b[:, :3, :3]))
    angles = np.degrees(
        np.linalg.norm(rotations.to_vectors(a[:, :3, :3].transpose(0, 2, 1) @ rotation @ b[:, :3, :3]), axis=1)
    )
    path = float(np.linalg.norm(np.diff(a[:, :3, 3], axis=0), axis=1).sum())
    distances = np.zeros(len(first))
    if path > 0:
        first_from_other = similarities.fit(b[None, :, :3, 3], a[None, :, :3, 3], np.ones((1, len(first))))
        distances = np.linalg.norm(first_from_other.apply(b[None, :, :3, 3])[0] - a[:, :3, 3], axis=1) / path
    focal = np.array([two.fx / one.fx - 1 for one, two in zip(first, other, strict=True)])
    return np.stack([distances, angles, focal])


def _rms(values: FloatArray) -> float:
    return float(np.sqrt((values**2).mean()))
