"""[S] Two solves of the same photos: the similarity between their worlds, and how their cameras differ. Numpy only.

Some cameras may disagree, since either solve may be wrong about them. The similarity is that of the majority.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import NamedTuple

import numpy as np

from .arrays import BoolArray, FloatArray
from .errors import UserError
from .reconstruction import Reconstruction
from .similarity import Similarity, procrustes

ALIKE = np.radians(0.5)  # rotations that differ by less count as equal
ON_A_LINE = 0.02  # of the cameras' extent along a line: cameras that are no wider across it stand on the line
ONE_PLACE = 1e-4  # of a world unit: cameras nearer to each other stand in one place
MOST_PAIRS = 500  # of cameras, each of which proposes a similarity
ROUNDS = 10  # of reweighting
SIGMA_OF_MEDIAN = 1.4826  # the standard deviation of a normal distribution, in median absolute deviations
OUTLIER = 4.685  # standard deviations at which a camera no longer counts (Tukey's biweight, 95 % efficiency)
ROUNDING = 1e-9  # of the cameras' extent: positions that differ by less agree
SEED = 0


@dataclass(frozen=True)
class SharedAlignment:
    """`target_from_source` (4, 4), a similarity. `agrees` (N,) are the cameras that it was fitted to.

    `open_sentence` tells the artist what the shared cameras do not determine, such as the scale where all are in one
    place, or determine by their directions alone. It is "" where their positions determine everything.
    """

    target_from_source: FloatArray
    agrees: BoolArray
    open_sentence: str = ""


class CameraDifference(NamedTuple):
    """How a camera of one solve differs from that of another, once both worlds are aligned.

    `position` is a share of the scene's size, see `scene_size`, `degrees` the angle between the rotations, and `focal`
    the relative difference of the focal lengths; NaN where one of them is not known.
    """

    photo: str
    position: float
    degrees: float
    focal: float


class SolvedCamera(NamedTuple):
    """A photo's name, its camera's `world_from_camera` (4, 4), and its focal length as a share of the width."""

    photo: str
    world_from_camera: FloatArray
    focal: float


def align(source: FloatArray, target: FloatArray) -> SharedAlignment:
    """The similarity that brings the camera poses `source` (N, 4, 4) onto `target`, N > 0. A minority may disagree.

    Pairs of cameras propose similarities, of which the one with the least median residual is refined by reweighted
    least squares. Where the cameras stand on a line, their directions tell the rotation about it. Where there is one
    camera, or all are in one place, the scale is 1.
    """
    candidates = target[:, :3, :3] @ source[:, :3, :3].transpose(0, 2, 1)  # the rotation by each camera alone
    extent = _extent(target[:, :3, 3])
    fitted = _proposed(source, target, candidates, extent)
    weights = np.ones(len(source))
    if fitted is None:
        rotation = _medoid(candidates)
        translation = np.median(target[:, :3, 3] - source[:, :3, 3] @ rotation.T, axis=0)
        fitted = Similarity(1.0, rotation, translation)
        weights = (_angles(candidates, rotation) <= _bound(_angles(candidates, rotation), ALIKE)).astype(float)
        return SharedAlignment(fitted.matrix, weights > 0, _sentence(len(source), one_place=True))
    for _ in range(ROUNDS):
        weights = _weights(source, target, candidates, fitted, extent)
        fitted = _refined(source, target, weights, fitted)
    agrees = weights > 0
    line = _on_a_line(target[agrees, :3, 3])
    return SharedAlignment(fitted.matrix, agrees, _sentence(int(agrees.sum()), on_line=line))


def _sentence(count: int, one_place: bool = False, on_line: bool = False) -> str:
    """A sentence on what so many agreeing cameras leave open."""
    if count == 1:
        return "One photo is shared: its camera tells position and rotation, and the scale is open."
    if one_place:
        return "The shared cameras stand in one place: the scale is open."
    if count == 2:
        return "Two cameras agree: the scale comes from one distance, the rotation from their directions."
    return "The shared cameras stand on a line: the rotation about it comes from their directions." if on_line else ""


def _extent(centres: FloatArray) -> float:
    """The diagonal of the box around the centres (N, 3)."""
    return float(np.linalg.norm(np.ptp(centres, axis=0)))


def _angles(candidates: FloatArray, rotation: FloatArray) -> FloatArray:
    """(N,) radians between the rotations `candidates` (N, 3, 3) and `rotation`."""
    cosine = (np.einsum("nij,ij->n", candidates, rotation) - 1) / 2
    angles: FloatArray = np.arccos(cosine.clip(-1, 1))
    return angles


def _medoid(candidates: FloatArray) -> FloatArray:
    """(3, 3) that of the rotations with which the others agree best."""
    agreement = np.einsum("aij,bij->ab", candidates, candidates)  # 1 + 2 times the cosine of the angle between two
    best: FloatArray = candidates[np.arccos(((agreement - 1) / 2).clip(-1, 1)).sum(1).argmin()]
    return best


def _bound(residuals: FloatArray, least: float) -> float:
    """The residual above which a camera is an outlier."""
    return max(OUTLIER * SIGMA_OF_MEDIAN * float(np.median(residuals)), least)


def _proposed(source: FloatArray, target: FloatArray, candidates: FloatArray, extent: float) -> Similarity | None:
    """The best similarity that a pair of cameras proposes; None where no two are in different places.

    A pair proposes the rotation of its first camera, the scale by its distance, and the translation of the first.
    """
    count = len(source)
    pairs = np.array(list(combinations(range(count), 2)) if count < 33 else _random_pairs(count), np.int64).reshape(
        -1, 2
    )
    pairs = np.concatenate([pairs, pairs[:, ::-1]])
    before, after = (
        np.linalg.norm(poses[pairs[:, 0], :3, 3] - poses[pairs[:, 1], :3, 3], axis=1) for poses in (source, target)
    )
    distant = (before > ONE_PLACE) & (after > ONE_PLACE)
    best, least = None, np.inf
    for (first, _), scale in zip(pairs[distant], after[distant] / before[distant], strict=True):
        rotation = candidates[first]
        translation = target[first, :3, 3] - scale * rotation @ source[first, :3, 3]
        proposal = Similarity(float(scale), rotation, translation)
        distances = np.linalg.norm(proposal.apply(source[:, :3, 3]) - target[:, :3, 3], axis=1)
        score = float(np.median(distances / extent + _angles(candidates, rotation)))
        if score < least:
            best, least = proposal, score
    return best


def _random_pairs(count: int) -> list[tuple[int, int]]:
    rng = np.random.default_rng(SEED)
    first = rng.integers(0, count, MOST_PAIRS)
    second = (first + rng.integers(1, count, MOST_PAIRS)) % count
    return list(zip(first.tolist(), second.tolist(), strict=True))


def _weights(
    source: FloatArray, target: FloatArray, candidates: FloatArray, fitted: Similarity, extent: float
) -> FloatArray:
    """(N,) Tukey's biweight of each camera's position, 0 too where its direction is an outlier."""
    distances = np.linalg.norm(fitted.apply(source[:, :3, 3]) - target[:, :3, 3], axis=1)
    angles = _angles(candidates, fitted.rotation)
    bound = _bound(distances, ROUNDING * extent)
    weights: FloatArray = np.maximum(0, 1 - (distances / bound) ** 2) ** 2 * (angles <= _bound(angles, ALIKE))
    return weights if weights.any() else np.ones(len(source))


def _refined(source: FloatArray, target: FloatArray, weights: FloatArray, fitted: Similarity) -> Similarity:
    """The similarity in least squares of the positions; of positions and directions where these stand on a line."""
    agrees = weights > 0
    points, wanted = source[agrees, :3, 3], target[agrees, :3, 3]
    weights = weights[agrees]
    if len(points) >= 3 and not _on_a_line(wanted):
        return procrustes(points, wanted, weights)
    # Ends of the cameras' axes count like positions. They are as long as the cameras' line.
    length = _extent(wanted)
    axes = source[agrees, :3, :3].transpose(0, 2, 1) * (length / fitted.scale)
    wanted_axes = target[agrees, :3, :3].transpose(0, 2, 1) * length
    ends, wanted_ends = points[:, None] + axes, wanted[:, None] + wanted_axes
    source_points = np.concatenate([points[:, None], ends], axis=1).reshape(-1, 3)
    target_points = np.concatenate([wanted[:, None], wanted_ends], axis=1).reshape(-1, 3)
    return procrustes(source_points, target_points, np.repeat(weights, 4))


def _on_a_line(centres: FloatArray) -> bool:
    """Whether fewer than three centres (N, 3) are there, or all lie on a line."""
    if len(centres) < 3:
        return True
    extents = np.linalg.svd(centres - centres.mean(0), compute_uv=False)
    return bool(extents[1] <= ON_A_LINE * extents[0])


def scene_size(centres: FloatArray) -> float:
    """The diagonal of the box around camera centres (N, 3), the unit of differences; 1 where all are in one place."""
    extent = _extent(centres)
    return extent if extent > ONE_PLACE else 1.0


def differences(
    source: Sequence[SolvedCamera], target: Sequence[SolvedCamera], target_from_source: FloatArray
) -> list[CameraDifference]:
    """How cameras of `source` differ from those of `target` in the same order, the worst first."""
    size = scene_size(np.array([camera.world_from_camera[:3, 3] for camera in target]))
    scale = float(np.cbrt(np.linalg.det(target_from_source[:3, :3])))
    rows = []
    for ours, theirs in zip(source, target, strict=True):
        pose = target_from_source @ ours.world_from_camera
        rotation = pose[:3, :3].T @ theirs.world_from_camera[:3, :3] / scale
        cosine = np.clip((np.trace(rotation) - 1) / 2, -1, 1)
        sine = np.linalg.norm(rotation - rotation.T) / np.sqrt(8)  # exact where the angle is small
        distance = float(np.linalg.norm(pose[:3, 3] - theirs.world_from_camera[:3, 3]))
        angle = float(np.degrees(np.arctan2(sine, cosine)))
        rows.append(CameraDifference(ours.photo, distance / size, angle, ours.focal / theirs.focal - 1))
    return sorted(rows, key=lambda row: (-round(row.position, 6), -row.degrees))  # later digits are noise


@dataclass(frozen=True)
class SolveComparison:
    """The `alignment` of one solve onto another over the cameras they share, and the `cameras`, the worst first.

    `alone` are how many cameras only the compared solve has, and how many only the reference has.
    """

    alignment: SharedAlignment
    cameras: list[CameraDifference]
    alone: tuple[int, int] = (0, 0)

    def sentences(self) -> list[str]:
        """Sentences for the artist: how many cameras agree, the typical and the worst difference, what is open."""
        position, degrees = (
            np.median([getattr(each, name) for each in self.cameras]) for name in ("position", "degrees")
        )
        worst = self.cameras[0]
        count, agreeing = len(self.cameras), int(self.alignment.agrees.sum())
        shared = "One camera is shared." if count == 1 else f"{agreeing} of {count} shared cameras agree."
        return [
            shared,
            f"Half of them differ by less than {position:.2%} of the cameras' extent and {degrees:.2f}°; the worst is "
            f"{worst.photo}: {worst.position:.2%}, {worst.degrees:.2f}°.",
            *filter(None, [self.alignment.open_sentence]),
        ]

    def table(self) -> str:
        """The differences as text, a line for each camera, columns divided by tabs."""
        lines = ["photo\tposition %\tdegrees\tfocal %"]
        lines += [f"{c.photo}\t{100 * c.position:.3f}\t{c.degrees:.3f}\t{100 * c.focal:+.2f}" for c in self.cameras]
        return "\n".join(lines) + "\n"


def compare(source: Mapping[str, SolvedCamera], target: Mapping[str, SolvedCamera]) -> SolveComparison:
    """Compares the cameras of two solves. Both map a photo's content, as a text, to its camera.

    Raises UserError where no photo has a camera in both.
    """
    shared = [key for key in source if key in target]
    if not shared:
        raise UserError("No photo has a camera in both results: choose two results that share photos.")
    ours, theirs = [source[key] for key in shared], [target[key] for key in shared]
    poses = (np.array([camera.world_from_camera for camera in cameras], np.float64) for cameras in (ours, theirs))
    alignment = align(*poses)
    rows = differences(ours, theirs, alignment.target_from_source)
    return SolveComparison(alignment, rows, (len(source) - len(shared), len(target) - len(shared)))


def cameras_by_content(reconstruction: Reconstruction) -> dict[str, SolvedCamera]:
    """A photo's sha256, numbered where several photos have the same, -> its solved camera."""
    counts: dict[str, int] = {}
    by_name = {camera.photo: camera for camera in reconstruction.cameras}
    cameras = {}
    for photo in reconstruction.photos:
        counts[photo.sha256] = counts.get(photo.sha256, 0) + 1
        camera = by_name.get(photo.name)
        if camera is not None:
            key = f"{photo.sha256} {counts[photo.sha256]}"
            cameras[key] = SolvedCamera(photo.name, camera.world_from_camera, camera.fx / camera.width)
    return cameras
