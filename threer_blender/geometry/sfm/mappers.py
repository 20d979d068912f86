"""[R] Ways to make models from verified matches: pycolmap's mappers, their options, and when each is tried.

Incremental mapping: Schönberger & Frahm 2016 (COLMAP). Global mapping: Pan et al. 2024 (GLOMAP).
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from ..colmap import pycolmap
from ..features.database import SEED, Matched, interruptible
from . import known_lenses, lens_starts, lens_trials, plausibility
from .model_selection import PHOTO_POINTS, Model, ScoredModel

LARGE_RESIDUAL = 1.0  # px: above it, other candidates are tried even if all photos are registered
NARROW = 0.6  # focal length over the longer side, above which no lens is a fisheye
MOST_REGISTERED = 0.8  # share of the photos; a model of more registers most of them
LENS_GAIN = 0.02  # of score, see Candidate; on photos that share a lens, a lens for each gains up to 0.005
GLOBAL_ADJUSTMENT_RATIO = 1.2  # factor by which photos or points grow from one global adjustment to the next
REFINEMENTS = 2  # at most, of a global adjustment with the wrong matches taken out
TOLERANCE = 1e-5  # share by which an iteration must lower the squared errors
FEW_PHOTOS = 4  # up to this number, lens distortion is not solved for

Token: TypeAlias = pycolmap.CancellationToken


@dataclass(frozen=True)
class Candidate:
    """One way to solve. `run(database, matched, token, progress)` returns its models and calls `progress()` for each
    photo.

    `wanted(best, matched)` says whether it is worth its time, given the best model so far. `database(matched)` is the
    database with the lenses that it starts from. A candidate whose lenses have more freedom must exceed the score of
    the best model so far by `gain`; the sentence `note` then tells the artist about it. `relensed` gives these lenses
    to a finished model, to see whether they can gain that much. A candidate that is `needless_where_agreed` is not run
    where two others agree (`model_selection.agree`).
    """

    name: str
    run: Callable[[Path, Matched, Token, Callable[[], None]], list[Model]]
    wanted: Callable[[ScoredModel | None, Matched], bool]
    database: Callable[[Matched], Path] = lens_starts.as_matched
    gain: float = 0.0
    note: str = ""
    relensed: lens_trials.Relensed | None = None
    needless_where_agreed: bool = False


def run(candidate: Candidate, matched: Matched, progress: Callable[[float], None]) -> list[Model]:
    """The candidate's models. `progress(registered)`, with the number of photos so far, is called often and may
    raise."""
    registered = 0

    def one_more() -> None:
        nonlocal registered
        registered = min(registered + 1, len(matched.photos))

    def call(token: Token) -> list[Model]:
        pycolmap.set_random_seed(SEED)
        return candidate.run(candidate.database(matched), matched, token, one_more)

    return interruptible(call, lambda: progress(registered))


def _strict(path: Path, matched: Matched, token: Token, progress: Callable[[], None]) -> list[Model]:
    """Incremental mapping at COLMAP's own thresholds."""
    return _incremental(path, incremental_options(matched), token, progress)


def _relaxed(path: Path, matched: Matched, token: Token, progress: Callable[[], None]) -> list[Model]:
    """Incremental mapping that starts from small angles and keeps points which only two photos see."""
    return _incremental(path, _relaxed_options(matched), token, progress)


def _relaxed_options(matched: Matched) -> pycolmap.IncrementalPipelineOptions:
    """Thresholds below COLMAP's own: angles in degrees, numbers and shares of inliers."""
    options = incremental_options(matched)
    options.triangulation.ignore_two_view_tracks = False
    options.triangulation.min_angle = 0.7
    options.mapper.filter_min_tri_angle = 0.7
    options.mapper.init_min_tri_angle = 2.0
    options.mapper.init_min_num_inliers = 30
    options.mapper.init_max_forward_motion = 0.99
    options.mapper.abs_pose_min_num_inliers = 15
    options.mapper.abs_pose_min_inlier_ratio = 0.15
    return options


def incremental_options(matched: Matched) -> pycolmap.IncrementalPipelineOptions:
    """COLMAP's own thresholds for incremental mapping, set so that the same photos give the same models."""
    options = pycolmap.IncrementalPipelineOptions()
    options.random_seed = SEED
    options.num_threads = 1  # with more, sums are added in varying order, and the result differs from run to run
    options.min_model_size = 2
    options.extract_colors = False
    # Fewer and shorter global adjustments than COLMAP's own: one more follows in the end, over all points, and the
    # cameras after it come out the same.
    options.ba_global_frames_ratio = options.ba_global_points_ratio = GLOBAL_ADJUSTMENT_RATIO
    options.ba_global_max_refinements = REFINEMENTS
    options.ba_global_function_tolerance = TOLERANCE
    free = known_lenses.freedom(matched.photos)
    if not free.focal:
        options.ba_refine_focal_length = options.mapper.abs_pose_refine_focal_length = False
    # With few photos, wrong distortion would make up for errors of the focal length and the poses.
    if len(matched.photos) <= FEW_PHOTOS or not free.distortion:
        options.ba_refine_extra_params = options.mapper.abs_pose_refine_extra_params = False
    return options


def _incremental(
    path: Path,
    options: pycolmap.IncrementalPipelineOptions,
    token: Token,
    progress: Callable[[], None],
    start: str = "",
) -> list[Model]:
    """New models, or one that continues the model in the folder `start`."""
    models = pycolmap.incremental_mapping(
        path,
        path.parent,
        path.parent,
        options,
        input_path=start,
        initial_image_pair_callback=progress,
        next_image_callback=progress,
        cancellation_token=token,
    )
    return list(models.values())


def _global(path: Path, matched: Matched, token: Token, progress: Callable[[], None]) -> list[Model]:
    """Global mapping. GLOMAP takes no token, so an exception in its callback, called a few times per second, ends
    it."""
    options = pycolmap.GlobalPipelineOptions()
    options.random_seed = SEED
    options.num_threads = 1
    options.min_model_size = 2
    free = known_lenses.freedom(matched.photos)
    options.mapper.bundle_adjustment.refine_focal_length = free.focal
    if len(matched.photos) <= FEW_PHOTOS or not free.distortion:
        options.mapper.bundle_adjustment.refine_extra_params = False

    def step() -> None:
        if token.is_cancelled:
            raise InterruptedError
        progress()

    manager = pycolmap.ReconstructionManager()
    with pycolmap.Database.open(path) as database:
        pipeline = pycolmap.GlobalPipeline(options, database, manager)
        pipeline.add_callback(pycolmap.GlobalPipelineCallback.MODEL_UPDATE_CALLBACK.value, step)
        pipeline.run()
    return [manager.get(i) for i in range(manager.size())]


def fill_in(model: Model, matched: Matched) -> None:
    """Adds the points that only two photos see, which strict mapping drops, in place. The cameras stay as they are."""
    options = incremental_options(matched)
    options.triangulation.ignore_two_view_tracks = False
    folder = matched.path.parent
    pycolmap.triangulate_points(model, matched.path, folder, folder, clear_points=False, options=options)


def continuing(model: Model) -> Candidate:
    """Relaxed mapping that continues `model`: PHOTO_POINTS points suffice to register a photo."""

    def run(path: Path, matched: Matched, token: Token, progress: Callable[[], None]) -> list[Model]:
        options = _relaxed_options(matched)
        options.multiple_models = False
        options.mapper.abs_pose_min_num_inliers = PHOTO_POINTS
        with tempfile.TemporaryDirectory(dir=path.parent) as start:
            model.write(start)
            return _incremental(path, options, token, progress, start)

    return Candidate("going on", run, _always)


def against(model: Model, held: set[int], new: Matched) -> Candidate:
    """Relaxed mapping that registers the photos of `new` in `model`. The poses of the model stay, and so do the lenses
    of the cameras with the numbers `held`."""

    def run(path: Path, _matched: Matched, token: Token, progress: Callable[[], None]) -> list[Model]:
        options = _relaxed_options(new)
        options.multiple_models = False
        options.fix_existing_frames = True
        options.constant_cameras = held
        with tempfile.TemporaryDirectory(dir=path.parent) as start:
            model.write(start)
            return _incremental(path, options, token, progress, start)

    return Candidate("against", run, _always)


def _always(_best: ScoredModel | None, _matched: Matched) -> bool:
    return True


def _unless_good(best: ScoredModel | None, matched: Matched) -> bool:
    """Wanted where there is no believable model yet, photos are unregistered, or the model may be folded."""
    return best is None or len(best.registered) < len(matched.photos) or best.residual > LARGE_RESIDUAL


def _if_poor(best: ScoredModel | None, matched: Matched) -> bool:
    """Wanted where a focal length is unknown, and a fifth of the photos or more are still unregistered."""
    unknown = any(photo.focal is None for photo in matched.photos)
    return unknown and (best is None or len(best.registered) <= MOST_REGISTERED * len(matched.photos))


def _if_lenses_differ(best: ScoredModel | None, matched: Matched) -> bool:
    """Wanted where photos share a lens, but the error is too large for that. Frames of a film do share one."""
    if best is None or len(best.model.cameras) == len(matched.photos) or _is_film(matched) or _is_known(matched):
        return False
    known = all(photo.focal is not None for photo in matched.photos)
    limit = plausibility.DOUBTFUL_ERROR_OF_KNOWN_LENSES if known else plausibility.DOUBTFUL_ERROR
    return bool(best.model.compute_mean_reprojection_error() > limit)


def _if_fisheye(best: ScoredModel | None, matched: Matched) -> bool:
    """Wanted where no photo is known to be narrow, and there is no believable model, a large error, or much
    distortion."""
    if _is_known(matched):
        return False
    if any(photo.focal and photo.focal > NARROW * max(photo.width, photo.height) for photo in matched.photos):
        return False
    if best is None:
        return True
    doubtful = best.model.compute_mean_reprojection_error() > plausibility.DOUBTFUL_ERROR
    if doubtful and not _is_film(matched):
        return True
    return any(plausibility.is_strongly_distorted(camera) for camera in best.model.cameras.values())


def _is_known(matched: Matched) -> bool:
    """Whether the artist holds the distortion or the focal length of a lens."""
    free = known_lenses.freedom(matched.photos)
    return not (free.focal and free.distortion)


def _is_film(matched: Matched) -> bool:
    """Whether all photos are frames of films, in which blur makes errors large, whatever the lens."""
    return all(photo.frame is not None for photo in matched.photos)


CANDIDATES = (
    Candidate("incremental", _strict, _always),
    Candidate("global", _global, _unless_good),
    Candidate("incremental, relaxed", _relaxed, _unless_good, needless_where_agreed=True),
    Candidate("incremental, relaxed, calibrated", _relaxed, _if_poor, lens_starts.calibrated),
    Candidate("global, calibrated", _global, _if_poor, lens_starts.calibrated),
    Candidate(
        "incremental, a lens each",
        _strict,
        _if_lenses_differ,
        lens_starts.one_each,
        LENS_GAIN,
        "Each photo was given a lens of its own: one lens for all explains the matches worse.",
        lens_trials.one_each,
    ),
    Candidate(
        "global, fisheye",  # incremental mapping finds no pair to begin with
        _global,
        _if_fisheye,
        lens_starts.fisheyes,
        LENS_GAIN,
        "The lens was solved as a fisheye: an ordinary lens explains the matches worse.",
        lens_trials.fisheye,
    ),
)
