"""[R] Solves a shot of a result again from the tracks that the result holds, without what the artist left out."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from .. import bundle
from ..files import bundle_folder
from ..files.bundle_folder import Staging
from ..jobs.messages import Done, SolveAgain
from ..lenses import known
from ..model.arrays import Array
from ..model.engine import Stage
from ..model.errors import UserError, quoted
from ..model.reconstruction import PointCloud, Reconstruction, Shot, TrackedPoints
from ..runtime.report import MessageReport
from . import plates, shots, tracked_points, tracked_videos

ADJUSTING = Stage("adjusting", "Adjusting all frames", 1.0)
PLATES, SAVING = Stage("plates", "Undistorting the photos", 0.3), Stage("saving", "Saving", 0.1)
MOST_ERROR = 4.0  # times the median error: tracks with a larger error become no points of the cloud
HEAVIEST = 100.0  # the largest weight of a track
NO_TRACKS = (
    "The result in {} keeps no tracks of this shot: it was made by an earlier version, or nothing could be followed; "
    "reconstruct it once more first."
)


def run(request: SolveAgain, report: MessageReport) -> Done:
    """Writes the whole result anew with the shot's new camera.

    Raises UserError where the result has no such shot or no tracks of it, a weight or a range of frames is wrong, or
    too little is left to solve; and what `report` raises.
    """
    output, folder = Path(request.output).absolute(), Path(request.bundle).absolute()
    bundle_folder.check_output(output)
    before = bundle.read(folder)
    if not 0 <= request.shot < len(before.shots):
        raise UserError(f"The result in {quoted(folder)} has {len(before.shots)} shots, and none of that number.")
    shot = before.shots[request.shot]
    if shot.tracks is None:
        raise UserError(NO_TRACKS.format(quoted(folder)))
    report.plan([ADJUSTING, PLATES, SAVING])
    tracks = replace(shot.tracks, weights=_weights(shot.tracks, request.weights))
    marked = replace(shot, tracks=tracks, bad=_ranges(request.bad, shot))
    pictures = Path(tempfile.mkdtemp())
    after = solved_again(before, request.shot, marked, report)
    after = _with_pictures(after, before, folder, pictures, report)
    report(SAVING, 0, 1)
    staging = Staging(output, request.run) if request.leave_staged else None
    return Done(
        bundle=str(bundle.write(after, output, pictures, request.run, staging)),
        registered=len(after.cameras),
        chosen=len(after.cameras) + len(after.unregistered),
        points=0 if after.cloud is None else len(after.cloud),
    )


def solved_again(before: Reconstruction, number: int, marked: Shot, report: MessageReport) -> Reconstruction:
    """The result with one shot solved again. `number` is the shot's index among the result's shots.

    `marked` is that shot with the artist's weights of tracks and ranges of bad frames. The world stays that of the
    photos' cameras. Raises UserError where too little is left to solve.
    """
    assert marked.tracks is not None
    photos = [photo for photo in before.photos if photo.path == marked.path and photo.frame is not None]
    good = [photo for photo in photos if not tracked_points.is_bad(marked, np.array([photo.frame]))[0]]
    if sum(before.camera(photo.name) is not None for photo in good) < 2:
        raise UserError("Fewer than two solved frames are left; mark fewer frames as bad.")
    tracks = tracked_points.usable(marked)
    photos = known.applied(good, before.options).photos
    tracked = tracked_videos.tracked_video(photos, tracks, partial(report, ADJUSTING, 0, 1))
    if tracked.fault:
        raise UserError(tracked.fault)
    (solved,) = shots.solve(
        before, {marked.path: tracked}, before.options, report.warn, lambda done, total: report(ADJUSTING, done, total)
    )
    measured = tracked_points.measured(marked.tracks, solved.cameras)
    solved = replace(solved, tracks=measured, bad=marked.bad, written_plate=marked.written_plate)
    earlier = before.shots[number]
    notes = [note for note in before.notes if not note.startswith(_note_beginning(marked))]
    after = replace(
        before,
        shots=[solved if index == number else each for index, each in enumerate(before.shots)],
        notes=[*notes, _sentence(earlier, solved)],
    )
    return _from_tracks_alone(after, solved) if _is_from_tracks_alone(before, earlier) else after


def _weights(tracks: TrackedPoints, changed: Mapping[str, float]) -> Array:
    """(P,) float32 the weights of the tracks after the changes, which are by number.

    Raises UserError where there is no such track or a weight is out of range.
    """
    weights: Array = np.array(tracks.weights, np.float32)
    for name, weight in changed.items():
        if not name.isdecimal() or len(name) > 9 or int(name) >= len(weights):
            raise UserError(f"The shot has no track {quoted(name[:40])}; its tracks are 0 to {len(weights) - 1}.")
        if not 0 <= weight <= HEAVIEST:
            raise UserError(f"The weight of track {name} is {weight:g}; give one from 0 to {HEAVIEST:g}.")
        weights[int(name)] = weight
    return weights


def _ranges(bad: Sequence[Sequence[int]], shot: Shot) -> tuple[tuple[int, int], ...]:
    """The ranges (first, last), sorted. Raises UserError where one is no range or lies outside of the shot."""
    for entry in bad:
        if len(entry) != 2 or not shot.first_frame <= entry[0] <= entry[1] <= shot.last_frame:
            named = "-".join(map(str, entry[:2]))
            raise UserError(
                f"{named} is no range of the shot's frames, which are {shot.first_frame} to {shot.last_frame}."
            )
    return tuple(sorted((first, last) for first, last in bad))


def _note_beginning(shot: Shot) -> str:
    """The beginning of the note about a second solve, by which an earlier note is found."""
    return f"{shot.video}: solved again"


def _sentence(before: Shot, after: Shot) -> str:
    """The note about a second solve: the tracks and frames that were left out, and the errors before and after."""
    assert after.tracks is not None
    count, weighed = int((after.tracks.weights == 0).sum()), int((~np.isin(after.tracks.weights, (0, 1))).sum())
    parts = [f"without {count} of {len(after.tracks)} tracks"] if count else []
    parts += [f"{weighed} tracks weighed"] if weighed else []
    parts += [f"without frames {', '.join(f'{first}-{last}' for first, last in after.bad)}"] if after.bad else []
    errors = ", ".join(
        f"{label} {value(before):.2f} → {value(after):.2f} px"
        for label, value in (("median error", _median), ("worst frame", _worst))
    )
    return f"{_note_beginning(after)} {', '.join(parts)}: {errors}.".replace("again :", "again:")


def _median(shot: Shot) -> float:
    """The median over the frames of their median errors in pixels; NaN where they are unknown."""
    return float("nan") if shot.median_error is None else float(np.nanmedian(shot.median_error))


def _worst(shot: Shot) -> float:
    """The largest median error of a frame in pixels; NaN where it is unknown."""
    return float("nan") if shot.median_error is None else float(np.nanmax(shot.median_error))


# ----------------------------------------------------------------------------------------------- tracks alone
def _is_from_tracks_alone(result: Reconstruction, shot: Shot) -> bool:
    """Whether the shot was solved without an engine: the cameras of its photos are the shot's own."""
    photos = {photo.name: photo for photo in result.photos}
    pairs = [
        (camera, shot.cameras.get(frame))
        for camera in result.cameras
        if photos[camera.photo].path == shot.path and (frame := photos[camera.photo].frame) is not None
    ]
    return all(
        shot_camera is not None and np.array_equal(camera.world_from_camera, shot_camera.world_from_camera)
        for camera, shot_camera in pairs
    )


def _from_tracks_alone(result: Reconstruction, shot: Shot) -> Reconstruction:
    """The result with the photos' cameras and the points taken from the shot, as if no engine had solved it."""
    frames = {photo.name: photo.frame for photo in result.photos if photo.path == shot.path}
    cameras = [
        replace(shot.cameras[number], photo=camera.photo)
        if (number := frames.get(camera.photo)) in shot.cameras
        else camera
        for camera in result.cameras
    ]
    return replace(result, cameras=cameras, cloud=_cloud(result, shot))


def _cloud(result: Reconstruction, shot: Shot) -> PointCloud:
    """The points of the tracks that agree with the cameras, in the colours of the plate, facing their first cameras."""
    tracks = shot.tracks
    assert tracks is not None
    with np.errstate(invalid="ignore"):
        agree = (tracks.weights > 0) & (tracks.errors <= MOST_ERROR * np.nanmedian(tracks.errors))
    first = np.searchsorted(tracks.point, np.arange(len(tracks)))[agree]
    frames, positions = tracks.frame[first], tracks.positions[agree]
    some = next(iter(shot.cameras.values()))
    centres = [shot.cameras.get(int(number), some).world_from_camera[:3, 3] for number in frames]
    towards = np.array(centres).reshape(-1, 3) - positions
    filmed = [(index, photo.frame) for index, photo in enumerate(result.photos) if photo.path == shot.path]
    indices, numbers = (np.array(column) for column in zip(*filmed, strict=True))
    return PointCloud(
        positions=positions,
        normals=(towards / np.maximum(np.linalg.norm(towards, axis=1, keepdims=True), 1e-12)).astype(np.float32),
        colors=shots.colors(shot.path, frames, tracks.pixels[first]),
        confidence=np.ones(len(positions), np.float32),
        photo=indices[np.abs(frames[:, None] - numbers).argmin(axis=1)].astype(np.int32),
    )


# ----------------------------------------------------------------------------------------------- pictures
def _with_pictures(
    after: Reconstruction, before: Reconstruction, folder: Path, pictures: Path, report: MessageReport
) -> Reconstruction:
    """The result with its plates and masks in `pictures`: copies from `folder`, the earlier bundle, or new plates."""
    bundle_folder.copy_listed(folder, (bundle_folder.PLATES, bundle_folder.MASKS), pictures)
    if all(new is old for new, old in zip(after.cameras, before.cameras, strict=True)):
        return after
    cameras = [replace(camera, undistorted="") for camera in after.cameras]
    made = plates.write_all(replace(after, cameras=cameras), pictures / bundle_folder.PLATES, partial(report, PLATES))
    return replace(after, cameras=made)
