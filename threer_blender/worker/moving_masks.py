"""[R] Masks of what moves in solved shots, written as pictures that an artist can look at and mend."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from ..files import bundle_folder
from ..geometry.shots import moving_objects
from ..lenses import export
from ..model.reconstruction import Shot
from .tracked_videos import Progress, TrackedVideo

SHOT_SHARE = 0.2  # of a shot's frames: proven tracks must show something that moves in more of them


def write(videos: Mapping[str, TrackedVideo], shots: Sequence[Shot], folder: Path, report: Progress) -> list[str]:
    """Writes masks of the shots in which something moves into `folder`: a picture for each frame, white where it moves.

    `videos` holds the tracked videos by path. Returns a sentence about each of these shots. Raises UserError where the
    masks cannot be written, and what `report(done, total)` raises.
    """
    sentences = []
    for index, shot in enumerate(shots):
        tracked, stem = videos[shot.path].tracks, export.stem(index, shot.video)
        tracks, cameras = tracked.tracks, [shot.cameras.get(int(number)) for number in tracked.numbers]
        independent, proven = (by_track[tracks.point] for by_track in moving_objects.moving_tracks(tracks, cameras))
        areas = []  # of each frame, (H, W) bool: where something moves
        certain = 0  # frames in which proven tracks show that
        for frame in range(len(cameras)):
            report(index, len(shots))
            in_frame = tracks.camera == frame
            areas.append(moving_objects.area(tracks.pixels[in_frame], independent[in_frame], tracked.size))
            certain += bool(moving_objects.area(tracks.pixels[in_frame], proven[in_frame], tracked.size).any())
        if certain < SHOT_SHARE * len(cameras):
            continue
        try:
            folder.mkdir(parents=True, exist_ok=True)
            for number, area in zip(tracked.numbers, areas, strict=True):
                picture = Image.fromarray(255 * area.astype(np.uint8)).resize(tracked.size, Image.Resampling.NEAREST)
                picture.save(folder / f"{stem}.{number:04d}.png")
        except OSError as error:
            raise bundle_folder.output_error(folder, error) from error
        sentences.append(
            f"{shot.video}: something moves of its own, in {np.mean(areas):.0%} of the picture; the masks "
            f"{bundle_folder.MASKS}/{stem}.####.png in the result's folder show what."
        )
    return sentences
