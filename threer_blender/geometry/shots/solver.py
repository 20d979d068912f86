"""[R] The camera of every frame of a shot, in five stages: track, choose the kind, initialise, adjust, measure.

1. `tracking` follows points through all frames.
2. `kinds` tells from the tracks whether the camera moves, and whether it zooms.
3. `rotating` finds the initial state of a camera that only turns; `moving` finds that of one that moves, from the
   frames that an engine solved.
4. `adjustment` fits all frames, the lens and the points to the tracks. Where the camera only turns for a while
   (`stretches`), it is held at one place. `rolling_shutter` corrects for rows that are read one after the other.
5. `adjustment.frame_errors` measures how well each frame fits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from ...model import lens
from ...model.arrays import BoolArray, FloatArray, IntArray
from ...model.engine import Check, unchecked
from ...model.errors import UserError
from ...model.lens import UNKNOWN, KnownLens
from ...model.reconstruction import MEDIAN_DEPTH, Camera
from .. import rotations
from ..adjustment.frame_errors import FrameErrors, measure
from ..adjustment.shot_adjustment import Adjusted, adjust, split_long
from ..adjustment.shot_problem import Anchors, Freedom, ShotState
from ..adjustment.tracks import Tracks
from ..shot_lens import known_lens, open_focal, principal_point
from . import kinds, moving, refinement, rolling_shutter, rotating, stretches
from .tracking import Frame, ShotTracks

LEAST_TRACKS = 30  # of a shot that can be solved
LEAST_FRAMES = 6  # of each part that a cut separates
BRIDGED = 0.02  # of the usual number of tracks from frame to frame: so few lead over a cut, by chance
KEYS_SPREAD = 0.3  # standard deviation of the logarithm of a focal length that an engine solved
# Standard deviations of an engine's cameras where the focal length does not change: rotations in radians, centres in
# median depths (`moving.start` scales the world so that this depth is 1), the logarithm of the focal length, each
# distortion term.
ROTATION_SPREAD, POSITION_SPREAD, LENS_SPREAD, TERM_SPREAD = 0.003, 0.005, 0.01, 0.02
FARTHEST = 1e4  # units of the keys' world: the distance of its origin at which points at infinity are put

BLANK = "Nothing in the shot can be followed from frame to frame: it is blank, blurred, masked or too short."
GUESSED = " Nothing tells its focal length, which is a guess; enter the focal length where it is known."


@dataclass(frozen=True)
class ShotSolution:
    """The solved cameras of a shot.

    `cameras` are by frame number, their photo's name empty. `points` (P, 3) are in the world; for a camera that does
    not move they lie on a dome around it. `motion` is one of `model.reconstruction.MOTIONS`, and `reason` a sentence or
    more that tell why. `errors` are those of the frames. `first_frame` (P,) is the number of the first frame that shows
    a point, and `first_pixel` (P, 2) its place there. `tracks` are the shot's, where they were refined with their new
    pixels. `read_out` is the share of a frame's time in which its rows are
    read, given or estimated; 0 without a rolling shutter. `spread` is by frame number, where the shot was solved again
    from other tracks: by how much place (a share of the path), rotation (degrees) and focal length (a share) differ.
    """

    cameras: dict[int, Camera]
    points: FloatArray
    motion: str
    reason: str
    errors: FrameErrors
    first_frame: IntArray
    first_pixel: FloatArray
    tracks: Tracks
    read_out: float = 0.0
    spread: Mapping[int, tuple[float, float, float]] = field(default_factory=dict)


def stands_still(shot: ShotTracks) -> bool:
    """Whether the camera stands still, even if things move in front of it."""
    return len(shot.tracks) >= LEAST_TRACKS and kinds.is_still(shot.tracks, len(shot.numbers), shot.size)


def kind_of(shot: ShotTracks, known: KnownLens, check: Check = unchecked) -> kinds.Kind:
    """Stage 2: the kind of a shot whose camera does not stand still. `known` is what EXIF or the artist says of the
    lens.

    `check()` is called now and then and may raise. Raises UserError where the shot has too few tracks.
    """
    if len(shot.numbers) < 2 or len(shot.tracks) < LEAST_TRACKS:
        raise UserError(BLANK)
    start_lens = known_lens.first_lens(shot.size, known)
    return kinds.choose(split_long(shot.tracks), shot.numbers, start_lens, known.focal is not None, check)


def cuts(shot: ShotTracks) -> list[int]:
    """The numbers of the frames after a cut: hardly any track leads to them from the frames before. Parts of less than
    LEAST_FRAMES are not reported."""
    frames, tracks = len(shot.numbers), shot.tracks
    begun_less_ended = np.zeros(frames + 1, np.int64)
    begins = np.searchsorted(tracks.point, np.arange(len(tracks)))
    ends = np.searchsorted(tracks.point, np.arange(len(tracks)), side="right") - 1
    np.add.at(begun_less_ended, tracks.camera[begins] + 1, 1)
    np.add.at(begun_less_ended, tracks.camera[ends] + 1, -1)
    bridging = np.cumsum(begun_less_ended)[1:frames]  # tracks that lead to each frame but the first
    after_gap = np.flatnonzero(bridging <= BRIDGED * np.median(bridging)) + 1 if frames > 1 else np.zeros(0, np.int64)
    numbers, last = [], 0
    for index in after_gap:
        if index - last >= LEAST_FRAMES and frames - index >= LEAST_FRAMES:
            numbers.append(int(shot.numbers[index]))
        last = int(index)
    return numbers


def solve_standing(shot: ShotTracks, known: KnownLens) -> ShotSolution:
    """The solution of a camera that stands still: one pose, at the origin, for all frames. `known` is as for `kind_of`.

    Raises UserError where there is a cut in the shot.
    """
    _refuse_cuts(shot)
    frames, tracks, shot_lens = len(shot.numbers), shot.tracks, known_lens.first_lens(shot.size, known)
    places = kinds.median_places(tracks)
    errors = np.linalg.norm(tracks.pixels - places[tracks.point], axis=1)
    inliers = errors < kinds.STILL * max(shot.size)
    inliers &= (np.bincount(tracks.point, ~inliers, len(tracks)) == 0)[tracks.point]
    points = np.zeros((len(tracks), 4))
    distortion = shot_lens.distortion(shot_lens.start)
    points[:, :2] = lens.undistort(distortion, (places - shot_lens.start[1:3]) / shot_lens.focal)
    points[:, 2] = 1.0
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    state = ShotState(
        np.tile(np.eye(3), (frames, 1, 1)), np.zeros((frames, 3)), np.zeros(frames), shot_lens.start, points
    )
    standing, state = in_observations(tracks, state, inliers)
    adjusted = Adjusted(state, shot_lens, standing, inliers, errors[inliers])
    reason = (
        f"The camera stands still: {len(standing) / len(tracks):.0%} of the points stay where they are, to "
        f"{float(np.median(adjusted.errors)):.2f} px.{GUESSED if known.focal is None else ''}"
    )
    return _solution(shot, adjusted, MEDIAN_DEPTH * state.points[:, :3], "locked off", reason)


def _refuse_cuts(shot: ShotTracks) -> None:
    """Raises UserError where there is a cut in the shot."""
    for number in cuts(shot):
        raise UserError(
            f"Nothing leads from frame {number - 1} to frame {number}: there is a cut; solve the parts before and "
            "after it as shots of their own."
        )


def solve_turning(
    shot: ShotTracks, kind: kinds.Kind, known: KnownLens, read_out: float = 0.0, check: Check = unchecked
) -> ShotSolution:
    """Stages 3 to 5 of a camera that only turns, at the origin, and zooms where `kind` says so.

    `known` and `check` are as for `kind_of`. `read_out` is the time that a rolling shutter takes from the first row to
    the last, as a share of a frame's time; where it is 0, it is estimated.

    Raises UserError where there is a cut in the shot.
    """
    _refuse_cuts(shot)
    frames, tracks = len(shot.numbers), split_long(shot.tracks)
    shot_lens = known_lens.first_lens(shot.size, known)
    focal = kind.turning.lens.focal * np.exp(kind.turning.state.lens[0] + np.median(kind.turning.state.log_zooms))
    if known.holds_focal:
        focal = shot_lens.focal
    elif not kind.focal_observable:
        focal = shot_lens.focal
        spread = shot_lens.spread.copy()
        spread[0] = 0.0
        shot_lens = replace(shot_lens, spread=spread)
    zooms = kind.turning_zooms and not known.holds_focal
    state, shot_lens = rotating.start(tracks, frames, replace(shot_lens, focal=focal), zooms, True, check)
    freedom, shutter = kinds.turning_freedom(shot.numbers, zooms), ""
    if not read_out:
        read_out, shutter = rolling_shutter.estimated(tracks, shot.numbers, shot_lens, freedom, state, check)
    adjusted = rolling_shutter.adjust(tracks, shot.numbers, shot_lens, freedom, state, read_out, check)
    points = MEDIAN_DEPTH * adjusted.state.points[:, :3]
    reason = kind.reason + (shutter if read_out else rolling_shutter.possible_effect(adjusted, shot.numbers))
    reason += known_lens.preference(adjusted, frames, freedom, known, check)
    return _solution(shot, adjusted, points, "zoom" if zooms else "nodal", reason, read_out)


def solve_moving(
    shot: ShotTracks,
    keys: Mapping[int, Camera],
    reason: str,
    lens_known: bool = False,
    read_out: float = 0.0,
    check: Check = unchecked,
    known: KnownLens = UNKNOWN,
    pictures: Callable[[], Iterable[Frame]] | None = None,
) -> ShotSolution:
    """Stages 3 to 5 of a camera that moves, from the cameras `keys` of some frames, by frame number; the world is
    theirs.

    Some of the frames are adjusted with and without a zoom, to decide whether the camera zooms. With `lens_known`, the
    lens stays as the keys have it. `known` and `check` are as for `kind_of`, `read_out` as for `solve_turning`. The
    solution's reason begins with the sentence `reason`. Where the `pictures` are given, as they were to
    `tracking.track`, and the camera does not zoom, its tracks are refined (`refinement`), and all frames are adjusted
    once more. Tracks of a zoom are not, since what it leaves open would bend the patches.
    """
    frames, tracks = len(shot.numbers), split_long(shot.tracks)
    longer = max(shot.size)
    spread = np.array([KEYS_SPREAD, *2 * [known_lens.CENTRE_SPREAD * longer], known_lens.DISTORTION_SPREAD])
    spread = known_lens.held_spread(spread, known) * float(not lens_known)
    keys = known_lens.with_lens(keys, known)
    state, shot_lens, posed = moving.start(tracks, shot.numbers, keys, spread, check)
    tracks, state = in_frames(tracks, state, posed)
    without_rolling, shutter = tracks, ""  # as a camera without a rolling shutter would see the tracks
    if not read_out:
        probed = Freedom(translates=True, zooms=not lens_known)
        read_out, shutter = rolling_shutter.estimated(tracks, shot.numbers, shot_lens, probed, state, check)
    if read_out:  # or the effect of the rows would be taken for a zoom
        fixed, freedom = replace(state, log_zooms=np.zeros(frames)), kinds.moving_freedom(shot.numbers, zooms=False)
        adjusted = rolling_shutter.adjust(tracks, shot.numbers, shot_lens, freedom, fixed, read_out, check)
        tracks, without_rolling, state = tracks.only(adjusted.inliers), adjusted.tracks, adjusted.state
    lens_known = lens_known or known.holds_focal
    zooms, sentence = kinds.choose_zoom(without_rolling, shot.numbers, shot_lens, state, lens_known, check)
    freedom = kinds.moving_freedom(shot.numbers, zooms)
    if not zooms and not read_out:
        # Then the engine's cameras are believed: they know of places to which the camera comes back.
        keyed = np.flatnonzero(np.isin(shot.numbers, list(keys)))
        anchors = Anchors(keyed, state.rotations[keyed], state.centres[keyed], ROTATION_SPREAD, POSITION_SPREAD)
        freedom = replace(freedom, anchors=anchors)
        spread = shot_lens.spread
        tight = np.minimum(spread, [LENS_SPREAD, *spread[1:3], *len(spread[3:]) * [TERM_SPREAD]])
        shot_lens = replace(shot_lens, spread=tight)
    if not zooms:
        state = replace(state, log_zooms=np.zeros(frames))
    adjusted = rolling_shutter.adjust(tracks, shot.numbers, shot_lens, freedom, state, read_out, check)
    if zooms:
        best = open_focal.searched(adjusted, frames, freedom, check)
        if best is not adjusted:
            tracks = tracks.only(adjusted.inliers)
            adjusted = rolling_shutter.adjust(tracks, shot.numbers, shot_lens, freedom, best.state, read_out, check)
        sentence += open_focal.sentence(open_focal.deviation(adjusted, frames, freedom))
    else:
        in_the_middle = known.centre is None and principal_point.may_be_the_middle(adjusted, frames, freedom)
        if pictures is not None:
            before = tracks
            tracks = refinement.refined(before, shot.numbers, shot_lens, adjusted.state, pictures(), check)
            shot = replace(shot, tracks=shot.tracks.with_new_pixels(before, tracks))
            state = replace(adjusted.state, points=state.points)
        if in_the_middle:
            shot_lens, state = principal_point.held_in_the_middle(shot_lens, state)
            sentence += principal_point.SENTENCE
        if in_the_middle or pictures is not None:
            adjusted = rolling_shutter.adjust(tracks, shot.numbers, shot_lens, freedom, state, read_out, check)
    turning = stretches.turning_stretches(adjusted, shot.numbers)
    if turning:
        held = replace(freedom, priors=freedom.priors.joined(stretches.holding(turning)))
        adjusted = adjust(adjusted.tracks, frames, shot_lens, held, adjusted.state, check)
        centres = stretches.at_one_place(adjusted.state.centres, turning)
        adjusted = replace(adjusted, state=replace(adjusted.state, centres=centres))
        parts = ", ".join(f"{shot.numbers[first]} to {shot.numbers[last]}" for first, last in turning)
        sentence += f" It only turns, or rests, in the frames {parts}."
    sentence += shutter if read_out else rolling_shutter.possible_effect(adjusted, shot.numbers)
    sentence += known_lens.preference(adjusted, frames, replace(freedom, anchors=None), known, check)
    adjusted = in_world_of(adjusted, shot.numbers, keys)
    state = adjusted.state
    points = state.points[:, :3] / np.maximum(state.points[:, 3:], 1 / FARTHEST)
    return _solution(shot, adjusted, points, "free zoom" if zooms else "free", f"{reason} {sentence}", read_out)


def rotated_into(solution: ShotSolution, keys: Mapping[int, Camera]) -> ShotSolution:
    """The `solution` of a camera that only turns, in the world of `keys`: rotated to agree with them, and placed at the
    median of their centres."""
    common = [number for number in solution.cameras if number in keys]
    there = np.array([keys[number].world_from_camera for number in common])
    here = np.array([solution.cameras[number].world_from_camera for number in common])
    world = np.eye(4)
    world[:3, :3] = rotations.nearest(np.einsum("nij,nkj->ik", there[:, :3, :3], here[:, :3, :3]))
    world[:3, 3] = np.median(there[:, :3, 3], axis=0)
    cameras = {
        number: replace(camera, world_from_camera=world @ camera.world_from_camera)
        for number, camera in solution.cameras.items()
    }
    return replace(solution, cameras=cameras, points=solution.points @ world[:3, :3].T + world[:3, 3])


def in_world_of(adjusted: Adjusted, numbers: IntArray, keys: Mapping[int, Camera]) -> Adjusted:
    """The adjusted state in the world of `keys`: rotated, scaled and translated so that its cameras are near theirs.
    `numbers` (F,) are those of its frames."""
    state = adjusted.state
    observed = np.bincount(adjusted.tracks.camera, minlength=len(numbers)) > 0
    common = [index for index, number in enumerate(numbers) if int(number) in keys and observed[index]]
    there = np.array([keys[int(numbers[index])].world_from_camera for index in common])
    rotation = rotations.nearest(np.einsum("nij,njk->ik", there[:, :3, :3], state.rotations[common]))
    here = state.centres[common] @ rotation.T
    size_there, size_here = (np.linalg.norm(c - np.median(c, axis=0), axis=1).sum() for c in (there[:, :3, 3], here))
    scale = float(size_there / max(size_here, 1e-12))
    shift = np.median(there[:, :3, 3] - scale * here, axis=0)
    points = state.points.copy()
    points[:, :3] = scale * points[:, :3] @ rotation.T + points[:, 3:] * shift
    moved = replace(
        state,
        rotations=state.rotations @ rotation.T,
        centres=scale * state.centres @ rotation.T + shift,
        points=points,
    )
    return replace(adjusted, state=moved)


def in_frames(tracks: Tracks, state: ShotState, frames: BoolArray) -> tuple[Tracks, ShotState]:
    """The part of the tracks and of the state's points that lies in the chosen `frames` (F,) bool. Frames keep their
    numbers."""
    chosen = frames[tracks.camera]
    return in_observations(tracks, state, chosen & (np.bincount(tracks.point, chosen, len(tracks)) >= 2)[tracks.point])


def in_observations(tracks: Tracks, state: ShotState, chosen: BoolArray) -> tuple[Tracks, ShotState]:
    """The `chosen` (M,) bool observations, and the state without the points that have none."""
    return tracks.only(chosen), replace(state, points=state.points[np.unique(tracks.point[chosen])])


def _solution(
    shot: ShotTracks, adjusted: Adjusted, points: FloatArray, motion: str, reason: str, read_out: float = 0.0
) -> ShotSolution:
    """Stage 5: the solution with the errors of its frames. Frames with too few tracks get no camera."""
    tracks, frames = adjusted.tracks, len(shot.numbers)
    errors = measure(tracks, adjusted.errors, frames, shot.size)
    cameras = {
        int(shot.numbers[frame]): camera(adjusted, frame, shot.size, float(errors.median[frame]))
        for frame in range(frames)
        if np.isfinite(errors.median[frame])
    }
    first = np.searchsorted(tracks.point, np.arange(len(tracks)))
    return ShotSolution(
        cameras, points, motion, reason, errors, shot.numbers[tracks.camera[first]], tracks.pixels[first],
        shot.tracks, read_out,
    )  # fmt: skip


def camera(adjusted: Adjusted, frame: int, size: tuple[int, int], error: float) -> Camera:
    """The Camera of the frame with the index `frame`, in pixels of a picture of this `size` (width, height). `error` is
    its reprojection error in pixels."""
    state, shot_lens = adjusted.state, adjusted.lens
    fx, fy = shot_lens.focal * np.exp(state.lens[0] + state.log_zooms[frame])
    distortion = shot_lens.distortion(state.lens)
    world_from_camera = np.eye(4)
    world_from_camera[:3, :3] = state.rotations[frame].T
    world_from_camera[:3, 3] = state.centres[frame]
    cx, cy = state.lens[1:3]
    return Camera(
        "", *size, float(fx), float(fy), float(cx), float(cy), world_from_camera,
        lens.NO_DISTORTION if distortion.is_identity else distortion, reprojection_error=error,
    )  # fmt: skip
