"""[R] Shots: the camera of each frame of the chosen videos and sequences, from the points tracked through them.

Tracks come first (`tracked_videos`), since they tell how a camera moves. A camera that moves is solved from the frames
that the engine solved. A camera that only rotates (nodal) or stands still (locked off) is solved from the tracks alone,
where the engine needs a change of viewpoint.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import partial
from typing import Any

import numpy as np

from ..files.sequence_files import missing
from ..geometry.shot_lens.known_lens import departure
from ..geometry.shots import bootstrapping, solver
from ..geometry.shots.solver import ShotSolution
from ..model.arrays import Array, FloatArray
from ..model.engine import Engine
from ..model.errors import UserError
from ..model.lens import KnownLens
from ..model.reconstruction import MEDIAN_DEPTH, Camera, Photo, PointCloud, Reconstruction, Shot
from ..pictures import video
from ..pipelines import repeats, shot_spread
from . import tracked_points
from .tracked_videos import Progress, TrackedVideo

TRACKS_ALONE_ERROR = 1.5e-3  # of the longer side: the largest median error that a solve from tracks alone may have

ON_DOME = "1 for every point: its direction is known, its distance is not"  # a confidence's meaning
DOME = " Its points lie on a dome, for directions only."


# ----------------------------------------------------------------------------------------------- without an engine
@dataclass(frozen=True)
class ShotTask:
    """The photos to be solved, the videos among them by path, and the engine with its options."""

    engine: Engine
    photos: Sequence[Photo]
    videos: Mapping[str, TrackedVideo]
    options: Mapping[str, Any]
    report: Progress

    @property
    def only_video(self) -> TrackedVideo | None:
        """The one video that all photos are frames of; None where there is no such video."""
        only = next(iter(self.videos.values())) if len(self.videos) == 1 else None
        return None if only is None or len(only.photos) < len(self.photos) else only


def without_translation(task: ShotTask) -> Reconstruction | None:
    """The reconstruction of a single video whose camera only rotates or stands still, from its tracks alone.

    None where there are other photos, the camera moves, or the engine needs no change of viewpoint. Raises UserError
    where a cut parts the shot, and what `report` raises.
    """
    only = task.only_video
    if only is None or not task.engine.needs_parallax:
        return None
    if only.stands:
        return _of_solution(task.engine, only, solver.solve_standing(only.tracks, only.known), ON_DOME, DOME)
    if only.kind is None or only.kind.translates:
        return None
    return _turning(task.engine, only, task.options, task.report)


def from_tracks_alone(task: ShotTask, error: UserError) -> Reconstruction:
    """The reconstruction of a single video from its tracks alone, after the engine has failed with `error`.

    It is that of a camera that only rotates where this explains the tracks well, else that of a camera that moves.
    Raises `error` where neither explains them, or where there are other photos.
    """
    only = task.only_video
    if only is None or only.kind is None:
        raise error
    median_error = float(np.median(only.kind.turning.errors))
    if median_error > TRACKS_ALONE_ERROR * max(only.tracks.size):
        solution = _from_tracks(only, task.options, partial(task.report, 0, 1)) if only.kind.translates else None
        if solution is None:
            raise error
        return _of_solution(task.engine, only, solution, "1 for every point: it was tracked through the shot", "")
    reason = f"Its move is too small to tell depth; a camera that only turns leaves a median of {median_error:.2f} px."
    turning = replace(only, kind=replace(only.kind, reason=reason))
    return _turning(task.engine, turning, task.options, task.report)


def _from_tracks(tracked: TrackedVideo, options: Mapping[str, Any], check: Callable[[], None]) -> ShotSolution | None:
    """The solution of a camera that moves, from its tracks alone.

    None where it has less than half of the frames' cameras, or a large error.
    """
    assert tracked.kind is not None
    keys = bootstrapping.keys(tracked.tracks, tracked.known.focal, check)
    if len(keys) < 2:
        return None
    read_out, reason = _read_out(tracked, options), tracked.kind.reason
    solution = solver.solve_moving(
        tracked.tracks, keys, reason, False, read_out, check, tracked.known, tracked.pictures
    )
    error = float(np.nanmedian(solution.errors.median))
    if error > TRACKS_ALONE_ERROR * max(tracked.tracks.size) or 2 * len(solution.cameras) < len(tracked.tracks.numbers):
        return None
    return _centred(solution)


def _centred(solution: ShotSolution) -> ShotSolution:
    """The solution with its points around the origin, at a median distance of MEDIAN_DEPTH from the cameras."""
    centres = np.array([camera.world_from_camera[:3, 3] for camera in solution.cameras.values()])
    middle = np.median(solution.points, axis=0)
    scale = MEDIAN_DEPTH / float(np.median(np.linalg.norm(solution.points - np.median(centres, axis=0), axis=1)))
    cameras = {}
    for number, camera in solution.cameras.items():
        world_from_camera = camera.world_from_camera.copy()
        world_from_camera[:3, 3] = scale * (world_from_camera[:3, 3] - middle)
        cameras[number] = replace(camera, world_from_camera=world_from_camera)
    return replace(solution, cameras=cameras, points=scale * (solution.points - middle))


def _turning(engine: Engine, tracked: TrackedVideo, options: Mapping[str, Any], report: Progress) -> Reconstruction:
    """The reconstruction of a video whose camera only rotates."""
    assert tracked.kind is not None
    read_out = _read_out(tracked, options)
    kind, known, check = tracked.kind, tracked.known, partial(report, 0, 1)
    solution = shot_spread.with_spread(
        tracked.tracks,
        int(options.get("seeds", 0)),
        lambda tracks: solver.solve_turning(tracks, kind, known, read_out, check),
    )
    assert solution is not None
    return _of_solution(engine, tracked, solution, ON_DOME, DOME)


def _of_solution(
    engine: Engine, tracked: TrackedVideo, solution: ShotSolution, meaning: str, remark: str
) -> Reconstruction:
    """The reconstruction that consists of a shot's solution alone.

    `meaning` is the meaning of the points' confidence. `remark` ends the note on how the camera moves.
    """
    photos = tracked.photos
    shot = _shot(tracked, solution)
    lens_remark = "" if "zoom" in solution.motion else departure(photos[0].lens, solution.cameras)
    return Reconstruction(
        engine=engine.id,
        licence=engine.licence,
        photos=photos,
        cameras=[
            replace(solution.cameras[photo.frame], photo=photo.name)
            for photo in photos
            if photo.frame in solution.cameras
        ],
        cloud=_cloud(solution, photos),
        confidence_meaning=meaning,
        notes=[f"{shot.video}: {solution.reason}{remark}{lens_remark}"],
        shots=[shot],
    )


def _cloud(solution: ShotSolution, photos: Sequence[Photo]) -> PointCloud:
    """The points of a solution, facing the cameras that saw them first, in the colours of the plate.

    Each belongs to the photo whose frame is nearest to its first frame.
    """
    points = solution.points
    numbers = np.array([photo.frame for photo in photos])
    some = next(iter(solution.cameras.values()))  # for points whose first frame has no camera
    first = [solution.cameras.get(int(number), some).world_from_camera[:3, 3] for number in solution.first_frame]
    towards = np.array(first) - points
    return PointCloud(
        positions=points.astype(np.float32),
        normals=(towards / np.maximum(np.linalg.norm(towards, axis=1, keepdims=True), 1e-12)).astype(np.float32),
        colors=colors(photos[0].path, solution.first_frame, solution.first_pixel),
        confidence=np.ones(len(points), np.float32),
        photo=np.abs(solution.first_frame[:, None] - numbers).argmin(axis=1).astype(np.int32),
    )


def colors(path: str, frames: Array, pixels: FloatArray) -> Array:
    """(P, 3) uint8 sRGB: the colours of the pixels (P, 2) in the frames (P,) of the video at `path`."""
    chosen = np.zeros((len(frames), 3), np.uint8)
    for number in np.unique(frames):
        in_frame = frames == number
        picture = video.pixels(path, int(number), None)
        column, row = np.clip(pixels[in_frame].astype(int), 0, np.array(picture.shape[1::-1]) - 1).T
        chosen[in_frame] = picture[row, column]
    return chosen


# ----------------------------------------------------------------------------------------------- after an engine
def solve(
    reconstruction: Reconstruction,
    videos: Mapping[str, TrackedVideo],
    options: Mapping[str, Any],
    warn: Callable[[str], None],
    report: Progress,
) -> list[Shot]:
    """A Shot for each video of which the engine solved two or more frames, in the engine's world.

    `videos` are by path. `warn` gets sentences about frames that have no cameras. Raises what `report` raises.
    """
    shots = []
    for done, tracked in enumerate(videos.values()):
        report(done, len(videos))
        cameras = [reconstruction.camera(photo.name) for photo in tracked.photos]
        keys = {
            photo.frame: camera
            for photo, camera in zip(tracked.photos, cameras, strict=True)
            if photo.frame is not None and camera is not None
        }
        if len(keys) < 2:
            continue
        solution = _solution(tracked, keys, options, partial(report, done, len(videos)))
        if solution is None:
            warn(f"{_name(tracked)}: {tracked.fault} Only the frames that were chosen have cameras.")
            shots.append(_bare_shot(tracked, keys))
            continue
        for number in solver.cuts(tracked.tracks):
            if not _on_one_side(solution, number):
                continue
            cut = f"nothing leads from frame {number - 1} to frame {number}, as at a cut"
            warn(f"{_name(tracked)}: {cut}, and only one side has cameras; solve the other as a shot of its own.")
        shots.append(_shot(tracked, solution))
    return shots


def _solution(
    tracked: TrackedVideo, keys: Mapping[int, Camera], options: Mapping[str, Any], check: Callable[[], None]
) -> ShotSolution | None:
    """The solution in the world of the engine's cameras `keys` (by frame number), with its spread where asked for.

    None where the tracks do not tell how the camera moves.
    """
    return shot_spread.with_spread(
        tracked.tracks,
        int(options.get("seeds", 0)),
        lambda tracks: _solve_once(replace(tracked, tracks=tracks), keys, options, check),
    )


def _solve_once(
    tracked: TrackedVideo, keys: Mapping[int, Camera], options: Mapping[str, Any], check: Callable[[], None]
) -> ShotSolution | None:
    """The solution in the world of the engine's cameras `keys`; None where the tracks do not tell how it moves."""
    kind = tracked.kind
    if tracked.stands:
        focal = float(np.median([camera.fx for camera in keys.values()]))
        return solver.rotated_into(solver.solve_standing(tracked.tracks, KnownLens(focal)), keys)
    if kind is None:
        return None
    read_out = _read_out(tracked, options)
    if kind.translates:
        lens_known = "known" in (options.get("lens"), options.get("refine"))
        return solver.solve_moving(
            tracked.tracks, keys, kind.reason, lens_known, read_out, check, tracked.known, tracked.pictures
        )
    return solver.rotated_into(solver.solve_turning(tracked.tracks, kind, tracked.known, read_out, check), keys)


def _read_out(tracked: TrackedVideo, options: Mapping[str, Any]) -> float:
    """The time from the sensor's first row to its last, as a share of the time between two frames; 0 is unknown."""
    rate = video.frame_source(tracked.photos[0].path).frame_rate or video.USUAL_RATE
    return float(options.get("read_out", 0.0)) / 1000 * float(rate)


def _on_one_side(solution: ShotSolution, number: int) -> bool:
    """Whether all frames with cameras lie on one side of a cut before the frame `number`."""
    before = sum(solved < number for solved in solution.cameras)
    return before in (0, len(solution.cameras))


def _name(tracked: TrackedVideo) -> str:
    return tracked.photos[0].name.rpartition(" ")[0]


def _shot(tracked: TrackedVideo, solution: ShotSolution) -> Shot:
    shot = _bare_shot(tracked, solution.cameras)
    errors = {
        field: _by_number(getattr(solution.errors, field), tracked.tracks.numbers - shot.first_frame, shot.frame_count)
        for field in ("median", "p95", "worst", "inliers", "coverage")
    }
    shot = shot_spread.applied(shot, solution.spread)
    return replace(
        shot,
        tracks=tracked_points.all_of(replace(tracked.tracks, tracks=solution.tracks), solution.cameras),
        motion=solution.motion,
        motion_reason=solution.reason
        + _read_out_sentence(solution.read_out, shot.frame_rate)
        + repeats.sentence(tracked.tracks),
        median_error=errors["median"],
        p95_error=errors["p95"],
        worst_error=errors["worst"],
        inliers=errors["inliers"],
        coverage=errors["coverage"],
    )


def _read_out_sentence(share: float, frame_rate: Fraction) -> str:
    """A sentence on the read-out time, given as a `share` of the time between two frames; "" for 0."""
    return f" Its read-out time is {1000 * share / float(frame_rate):.1f} ms." if share else ""


def _bare_shot(tracked: TrackedVideo, cameras: Mapping[int, Camera]) -> Shot:
    """The Shot of a video with these cameras (by frame number), without tracks and errors."""
    photo, name = tracked.photos[0], _name(tracked)
    source = video.frame_source(photo.path)
    first, last = source.numbers[0], source.numbers[-1]
    return Shot(
        name,
        photo.path,
        source.frame_rate or video.USUAL_RATE,
        last - first + 1,
        {number: replace(camera, photo=video.frame_name(name, number)) for number, camera in cameras.items()},
        first_frame=first,
        missing=tuple(missing(source.numbers)),
        plate_size=None if source.plate_size == source.size else source.plate_size,
    )


def _by_number(values: Array, indices: Array, count: int) -> Array:
    """(count,) float32 with the `values` at their `indices`, NaN elsewhere."""
    out = np.full(count, np.nan, np.float32)
    out[indices] = values
    return out
