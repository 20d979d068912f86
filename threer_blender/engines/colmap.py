"""[R] The classical engine, which is the default and is embedded in the extension.

SIFT, mapping and bundle adjustment are pycolmap's: Schönberger & Frahm, "Structure-from-Motion Revisited" (2016), and
for global mapping Pan et al., "GLOMAP" (2024). Dense stereo is ours: `geometry/stereo/dense.py`.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..model.engine import GROUPS, Cost, Engine, Option, Report, ReportStage, Stage
from ..model.errors import UserError
from ..model.reconstruction import Photo, PointMap, Reconstruction
from .options import AGAINST, KNOWN_LENS, LENS, MATCHING, PHOTOGRAMMETRY, SHOT, SURVEY_IS, quality_option

if TYPE_CHECKING:
    from ..geometry.features import database
    from ..geometry.sfm import mapping

SUMMARY = "Photogrammetry from overlapping photos; runs everywhere and needs no download."
LICENCE = "BSD-3-Clause (COLMAP), GPL-3.0-or-later (dense stereo)"
ONE_PHOTO = (
    "One photo tells no depth: choose two or more, taken from different places, or an engine that makes do with one, "
    "such as Depth Anything 3."
)
OPTIONS = (
    quality_option(
        "standard",
        "How finely to look: a preview takes seconds per photo, high takes minutes for more detail.",
        {"preview": "Preview", "standard": "Standard", "high": "High"},
    ),
    Option(
        "points",
        True,
        "Dense points",
        "Also compute a dense point cloud; without it the cameras arrive sooner, with few points.",
    ),
    LENS,
    *KNOWN_LENS,
    SURVEY_IS,
    AGAINST,
    MATCHING,
    *SHOT,
)
ENGINE = Engine(
    id="colmap",
    label="Classical",
    summary=SUMMARY,
    licence=LICENCE,
    commercial=True,
    requires=PHOTOGRAMMETRY,
    options=OPTIONS,
    needs_parallax=True,
    # Measured on 10 to 49 photos (docs/benchmarks.md, "Growth"); high quality on 10.
    costs={
        "preview": Cost(memory=0.3e9, memory_per_photo=6e6, seconds=5.0, seconds_per_photo=1.2),
        "standard": Cost(memory=0.55e9, memory_per_photo=11e6, seconds=5.0, seconds_per_photo=5.0),
        "high": Cost(memory=0.6e9, memory_per_photo=20e6, seconds=5.0, seconds_per_photo=12.0),
    },
    can_start_splats=True,
    panoramas=True,
    one_photo=ONE_PHOTO,
    group=GROUPS[0],
)

CONFIDENCE = (
    "0 to 1: the share of other photos that confirm the depth by a round trip within 1.5 px and 1.5 %, weighed by how "
    "well the pictures match there; 0 where no other photo confirms it"
)
# Quality -> seconds per photo on two cores: for its features, and for its depth.
SECONDS = {"preview": (0.4, 0.6), "standard": (0.6, 4.5), "high": (1.3, 10.0)}
PAIR_FACTOR = 0.05  # seconds to match a pair, over the seconds for a photo's features
TOLERATED = 0.1  # share of photos without a camera above which a second, finer pass is made
SOLVING_SECONDS = 0.2  # per photo, to solve its camera
FINER_FACTOR = 3.0  # seconds of a finer pass, over those of a coarse pass
# Seconds for a photo's learned features, and to match a pair by them. A pair takes half a second, but only about half
# of the pairs are matched: those with unregistered photos, or with photos that these match.
LEARNED_SECONDS = (0.5, 0.25)


def reconstruct(photos: Sequence[Photo], options: Mapping[str, Any], report: Report) -> Reconstruction:
    """Cameras, pointmaps and a fused cloud of two or more overlapping photos.

    With the option `against`, new photos are solved in the world of a reference. Raises UserError where the photos
    cannot be solved: they are too few, do not overlap, or have one viewpoint.
    """
    from ..geometry.stereo import dense
    from ..pictures import masks
    from ..pipelines import dense_points
    from ..runtime.report import Watch

    if len(photos) < 2 and not options.get("against"):
        raise UserError(ONE_PHOTO)
    watch = Watch()
    earlier = None
    if folder := options.get("against"):
        from ..pipelines import against

        earlier = against.read_reference(str(folder), photos)
        photos = earlier.photos
        first = matching_passes(photos, options)[0]
        report.plan([*first.plan(len(photos)), *_dense_plan(photos, options)])
        solution = against.solve(earlier, first.match, report)
    else:
        solution = solve_cameras(photos, options, report, _dense_plan(photos, options))
    watch.lap("cameras")
    pointmaps: list[PointMap] = []
    cloud = dense_points.sparse_cloud(solution, photos)
    if options["points"]:
        excluded = masks.excluder(options)
        pointmaps, cloud = dense_points.pointmaps_and_cloud(photos, solution, options["quality"], excluded, report)
        watch.lap("dense")
    return Reconstruction(
        engine=ENGINE.id,
        licence=ENGINE.licence,
        photos=list(photos),
        cameras=solution.cameras,
        pointmaps=pointmaps,
        cloud=cloud,
        confidence_meaning=CONFIDENCE if options["points"] else "1 for every point: two or more photos agree on it",
        trusted_confidence=dense.TRUSTED if options["points"] else 0.0,
        timings=watch.laps,
        unregistered=solution.unregistered,
        notes=solution.notes,
        metric=earlier is not None and earlier.metric,
        z_up=earlier is not None and earlier.z_up,
    )


@dataclass(frozen=True, eq=False)
class MatchingPass:
    """One pass of matching the photos.

    `match(folder, matches of the pass before, indices of unregistered photos, report)` returns the matches of this
    pass, which it stores in `folder`. `seconds` are those for a photo's features and for matching a pair. The pass is
    made where a larger share of the photos than `tolerated` has no camera yet. `suffix` is appended to the labels of
    its stages, to distinguish them from those of other passes.
    """

    match: Callable[[Path, database.Matched | None, Iterable[int], ReportStage], database.Matched]
    settings: database.FeatureSettings
    seconds: tuple[float, float]
    tolerated: float = 0.0
    suffix: str = ""

    def plan(self, count: int) -> list[Stage]:
        """The stages of this pass over `count` photos."""
        from ..geometry.features import features, pair_selection
        from ..geometry.sfm import mapping

        for_features, for_pair = self.seconds
        stages = [
            features.FEATURES.weighing(for_features * count),
            features.MATCHES.weighing(for_pair * pair_selection.pair_count(count, self.settings)),
            mapping.MAPPING.weighing(SOLVING_SECONDS * count),
        ]
        return list(map(self.stage, stages))

    def stage(self, stage: Stage) -> Stage:
        """The stage as one of this pass, with its label."""
        return replace(stage, label=stage.label + self.suffix)

    def reported(self, report: ReportStage) -> ReportStage:
        """A report for this pass, which calls `report` with the stages of this pass."""
        return lambda stage, done, total: report(self.stage(stage), done, total)


def solve_cameras(
    photos: Sequence[Photo], options: Mapping[str, Any], report: Report, later: Sequence[Stage]
) -> mapping.MappingSolution:
    """The cameras and sparse points of the best pass. Passes are made until few enough photos are unregistered.

    `later` are the stages after these, for the plan. Raises UserError where no pass yields a plausible model, and
    `report`'s errors.
    """
    from ..geometry.sfm import mapping
    from ..pipelines import survey_marks

    held = survey_marks.held_survey(options, photos)
    passes = matching_passes(photos, options)
    best: mapping.MappingSolution | None = None
    failures: list[UserError] = []
    matched: database.Matched | None = None
    unregistered: Iterable[int] = range(len(photos))
    taken: list[MatchingPass] = []
    with tempfile.TemporaryDirectory() as folder:
        for number, matching_pass in enumerate(passes):
            if best is not None and len(best.unregistered) <= matching_pass.tolerated * len(photos):
                continue
            taken.append(matching_pass)
            # Passes that tolerate unregistered photos may not be needed, so they are planned only once they begin.
            planned = [each.plan(len(photos)) for each in passes if each in taken or not each.tolerated]
            report.plan([stage for plan in [*planned, later] for stage in plan])
            pass_report, pass_folder = matching_pass.reported(report), Path(folder, str(number))
            pass_folder.mkdir()
            matched = matching_pass.match(pass_folder, matched, unregistered, pass_report)
            try:
                solution = mapping.solve(matched, pass_report, held)
            except UserError as error:
                failures.append(error)
                continue
            if best is None or len(solution.cameras) > len(best.cameras):
                best = solution
                names = {entry.photo for entry in best.unregistered}
                unregistered = {index for index, photo in enumerate(photos) if photo.name in names}
    if best is None:
        raise failures[-1]
    return best


def matching_passes(photos: Sequence[Photo], options: Mapping[str, Any]) -> Sequence[MatchingPass]:
    """The passes of matching, in the order in which they are tried."""
    from ..geometry.features import features
    from ..pictures import masks

    quality = options["quality"]
    excluded = masks.excluder(options)
    for_features, _ = SECONDS[quality]
    seconds = for_features, PAIR_FACTOR * for_features
    coarse = replace(features.QUALITIES[quality], shared_intrinsics=options["intrinsics"] == "shared")
    passes = [MatchingPass(partial(_sift, photos, excluded, coarse), coarse, seconds)]
    finer = features.finer(coarse, photos)
    if finer is not None:
        longer = FINER_FACTOR * seconds[0], FINER_FACTOR * seconds[1]
        passes.append(
            MatchingPass(partial(_sift, photos, excluded, finer), finer, longer, TOLERATED, " again, more finely")
        )
    if options["matching"] == "learned":
        from ..geometry.features import learned_features

        learned = learned_features.QUALITIES[quality]
        passes.append(
            MatchingPass(partial(_joined, excluded, learned), learned, LEARNED_SECONDS, suffix=" again, with networks")
        )
    return passes


def _sift(
    photos: Sequence[Photo],
    excluded: database.Excluded,
    settings: database.FeatureSettings,
    folder: Path,
    _before: database.Matched | None,
    _unregistered: Iterable[int],
    report: ReportStage,
) -> database.Matched:
    """`match` of a MatchingPass, from `folder` on: SIFT features of all photos, and their matches."""
    from ..geometry.features import features
    from ..geometry.features.database import Search
    from ..pictures.photos import pixels

    return features.extract_and_match(Search(photos, pixels, folder, settings, report, excluded))


def _joined(
    excluded: database.Excluded,
    settings: database.FeatureSettings,
    folder: Path,
    before: database.Matched | None,
    unregistered: Iterable[int],
    report: ReportStage,
) -> database.Matched:
    """`match` of a MatchingPass, from `folder` on: the matches `before`, and learned matches joined to them."""
    from ..geometry.features import learned_features
    from ..geometry.features.database import Search
    from ..pictures.photos import pixels

    assert before is not None
    search = Search(before.photos, pixels, folder, settings, report, excluded)
    return learned_features.joined(before, unregistered, search)


def _dense_plan(photos: Sequence[Photo], options: Mapping[str, Any]) -> list[Stage]:
    """The stages after the cameras are solved; none where no dense points are wanted."""
    from ..pipelines import dense_points

    _, seconds = SECONDS[options["quality"]]
    return dense_points.plan(photos, seconds) if options["points"] else []
