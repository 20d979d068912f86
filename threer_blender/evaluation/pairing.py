"""[R] Pairs the photos of a result with their true views, and recognises a truth with wrong axes. numpy only."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

import numpy as np

from ..files.photo_files import in_natural_order
from ..model.arrays import FloatArray
from ..model.errors import UserError, quoted
from ..model.reconstruction import Camera, Reconstruction
from . import pose_measures
from .truth.truth import TrueView, Truth

MOST_NAMES = 3  # that a sentence lists
# Axes that a truth may have by mistake: how they change the relative rotations of cameras.
MIRRORINGS = (
    ("is mirrored", np.diag([-1.0, 1, 1])),
    ("is mirrored", np.diag([1.0, -1, 1])),
    ("is mirrored", np.diag([1.0, 1, -1])),
    ("has cameras with other axes, as OpenGL's, y up and z backwards", np.diag([1.0, -1, -1])),
)
INVERTED = "has its poses the wrong way round, world to camera instead of camera to world or the reverse"
CLEARLY_WRONG, CLEARLY_RIGHT = 10.0, 3.0  # degrees: median errors as it stands, and with other axes
FEWEST_AXES = 4  # registered photos from which axes are judged


@dataclass(frozen=True)
class Pair:
    """A photo and its truth. `camera` is None where the photo is unregistered. `path` is its file, "" if unknown."""

    name: str
    camera: Camera | None
    view: TrueView
    path: str = ""


@dataclass(frozen=True)
class Pairing:
    """The photos that have a truth, in natural order of names; `without_truth` names the others, and `not_given` the
    true views of photos that the result was not made from."""

    pairs: list[Pair]
    without_truth: list[str]
    not_given: list[TrueView]


def pair(result: Reconstruction, truth: Truth) -> Pairing:
    """Pairs the photos of a result with true views: by the file's name, and where several have it, by their folders.

    Frames of a video are paired by their number. Raises UserError where nothing fits, where a name fits several views,
    or where the truth has other axes.
    """
    by_frame = {view.frame: view for view in truth.views if view.frame is not None}
    pairing = _by_frame(result, by_frame) if by_frame else _by_name(result, truth.views)
    _check_axes(pairing.pairs)
    return pairing


def _by_frame(result: Reconstruction, views: Mapping[int, TrueView]) -> Pairing:
    if len(result.shots) != 1:
        raise UserError(
            f"The truth is of one video, and this result has {len(result.shots)}; evaluate a result of that video."
        )
    (shot,) = result.shots
    pairs, without = [], []
    for index in range(shot.frame_count):
        number = shot.first_frame + index
        if number in shot.missing:
            continue
        name = f"frame {number}"
        if index in views:
            pairs.append(Pair(name, shot.cameras.get(number), views[index]))
        else:
            without.append(name)
    if not pairs:
        raise UserError("The truth has none of the video's frames; choose the truth of this video.")
    return Pairing(pairs, without, [view for index, view in views.items() if index >= shot.frame_count])


def _by_name(result: Reconstruction, views: Sequence[TrueView]) -> Pairing:
    by_stem: dict[str, list[TrueView]] = defaultdict(list)
    for view in views:
        by_stem[_stem(view.name)].append(view)
    paths = {photo.name: photo.path for photo in result.photos}
    sizes = {photo.name: (photo.width, photo.height) for photo in result.photos}
    names = list(dict.fromkeys([*paths, *(camera.photo for camera in result.cameras)]))
    pairs: list[Pair] = []
    without: list[str] = []
    used: set[str] = set()
    for name in sorted(names, key=in_natural_order):
        best = _best(name, paths.get(name, ""), sizes.get(name), by_stem.get(_stem(name), []))
        if best is None:
            without.append(name)
            continue
        used.add(_stem(best.name))
        pairs.append(Pair(name, result.camera(name), best, paths.get(name, "")))
    if not pairs:
        raise UserError(
            f"The truth is of other photos: it names {_listed([view.name for view in views])}, and the result "
            f"{_listed(names)}; choose the truth of these photos."
        )
    return Pairing(pairs, without, [each for each in views if _stem(each.name) not in used])


def _stem(name: str) -> str:
    return PurePosixPath(name.replace("\\", "/")).stem.lower()


def _best(name: str, path: str, size: tuple[int, int] | None, views: Sequence[TrueView]) -> TrueView | None:
    """The view whose folders agree with the photo's best, and of several such views the one of its size."""
    if len(views) < 2:
        return views[0] if views else None
    where = PurePosixPath((path or name).replace("\\", "/")).parts[-2::-1]
    scores = []
    for view in views:
        folders = PurePosixPath(view.name.replace("\\", "/")).parts[-2::-1]
        agreeing = next(
            (i for i, (a, b) in enumerate(zip(where, folders, strict=False)) if a.lower() != b.lower()),
            min(len(where), len(folders)),
        )
        same_size = view.lens is not None and size == (view.lens.width, view.lens.height)
        scores.append((agreeing, same_size))
    best = [view for view, score in zip(views, scores, strict=True) if score == max(scores)]
    if len(best) > 1 and any(not np.array_equal(best[0].world_from_camera, v.world_from_camera) for v in best[1:]):
        raise UserError(
            f"The truth has {len(best)} photos of the name {quoted(PurePosixPath(name).name)}; keep the photos in the "
            "benchmark's own folders, or choose the truth of one sequence."
        )
    return best[0]


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
    return ", ".join(quoted(name) for name in names[:MOST_NAMES]) + more


def _check_axes(pairs: Sequence[Pair]) -> None:
    """Raises UserError where the relative rotations fit a truth with other axes well, and this one not at all."""
    solved = [pair.camera.world_from_camera for pair in pairs if pair.camera is not None]
    true = [pair.view.world_from_camera for pair in pairs if pair.camera is not None]
    if len(solved) < FEWEST_AXES or _median_error(solved, true) < CLEARLY_WRONG:
        return
    hypotheses = [(words, [_flipped(pose, flip) for pose in true]) for words, flip in MIRRORINGS]
    hypotheses.append((INVERTED, [np.linalg.inv(pose) for pose in true]))
    words, error = min(((words, _median_error(solved, poses)) for words, poses in hypotheses), key=lambda each: each[1])
    if error < CLEARLY_RIGHT:
        raise UserError(f"The truth {words}; export it again with OpenCV's axes, x right, y down and z forward.")


def _flipped(pose: FloatArray, flip: FloatArray) -> FloatArray:
    """A pose whose relative rotations R are `flip` R `flip`."""
    flipped = np.eye(4)
    flipped[:3, :3] = flip @ pose[:3, :3] @ flip
    flipped[:3, 3] = pose[:3, 3]
    return flipped


def _median_error(solved: Sequence[FloatArray], true: Sequence[FloatArray]) -> float:
    return float(np.median(pose_measures.relative_errors(solved, true)[0]))
