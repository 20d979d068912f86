"""[R] Videos with the points that were tracked through them, and with what the tracks tell of their cameras."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from ..geometry.shots import solver, tracking
from ..geometry.shots.kinds import Kind
from ..geometry.shots.tracking import ShotTracks
from ..model.errors import UserError
from ..model.lens import KnownLens
from ..model.reconstruction import Photo
from ..pictures import video
from ..pictures.masks import Masks

GREY = np.array([0.299, 0.587, 0.114], np.float32)

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class TrackedVideo:
    """A chosen video with its tracks.

    `photos` are its chosen frames. `known` is what is known of its lens. `kind` is how its camera moves, None where it
    `stands` still or where the tracks do not tell. In the latter case `fault` is the sentence why. `pictures()` gives
    the frames once more that were tracked, without their masks; it is None where the tracks are of an earlier result.
    """

    photos: list[Photo]
    known: KnownLens
    tracks: ShotTracks
    kind: Kind | None
    fault: str
    stands: bool = False
    pictures: Callable[[], Iterator[tracking.Frame]] | None = None


def track(photos: Sequence[Photo], masks: Masks | None, report: Progress) -> dict[str, TrackedVideo]:
    """Tracks points through the videos among the photos. Returns the videos by path.

    Raises UserError where a mask cannot be used, and what `report(done, total)` raises; that counts frames.
    """
    by_path: dict[str, list[Photo]] = defaultdict(list)
    for photo in photos:
        if photo.frame is not None:
            by_path[photo.path].append(photo)
    total = sum(len(video.frame_source(path)) for path in by_path)
    videos, done = {}, 0
    for path, chosen in by_path.items():
        size = chosen[0].width, chosen[0].height
        tracks = tracking.track(_frames(chosen[0], masks, partial(_report_frames, report, done, total)), size)
        done += len(video.frame_source(path))
        tracked = tracked_video(chosen, tracks, partial(report, done, total))
        videos[path] = replace(tracked, pictures=partial(_frames, chosen[0], None, lambda _done: None))
    return videos


def tracked_video(photos: list[Photo], tracks: ShotTracks, check: Callable[[], None]) -> TrackedVideo:
    """The video whose chosen frames are `photos`, with what its tracks tell of its camera.

    `check` is called now and then, and may raise to stop.
    """
    known, stands = known_lens(photos[0]), solver.stands_still(tracks)
    try:
        kind = None if stands else solver.kind_of(tracks, known, check)
    except UserError as error:
        return TrackedVideo(photos, known, tracks, None, str(error))
    return TrackedVideo(photos, known, tracks, kind, "", stands)


def known_lens(photo: Photo) -> KnownLens:
    """The lens of a photo, as the artist or else EXIF tells it."""
    return photo.lens if photo.lens.focal is not None else KnownLens(photo.focal)


def _report_frames(report: Progress, before: int, total: int, count: int) -> None:
    report(before + count, total)


def _frames(photo: Photo, masks: Masks | None, progress: Callable[[int], None]) -> Iterator[tracking.Frame]:
    """The frames of a photo's video that can be decoded."""
    for done, number in enumerate(video.frame_source(photo.path).numbers):
        progress(done)
        try:
            picture = video.pixels(photo.path, number, tracking.LONG_SIDE)
        except (OSError, ValueError):
            continue
        height, width = picture.shape[:2]
        mask = None if masks is None else masks.excluded(photo, number, (width, height))
        yield tracking.Frame(number, np.asarray(picture @ GREY, np.float32), None if mask is None else ~mask)
