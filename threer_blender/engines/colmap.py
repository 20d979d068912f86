"""[R] The classical engine, the embedded default: SIFT, mapping and bundle adjustment by pycolmap, our dense stereo.

COLMAP: Schönberger & Frahm, "Structure-from-Motion Revisited" (2016). Global mapping: Pan et al., GLOMAP (2024). Dense
stereo: `geometry/dense.py`.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..catalog import MATCHING, Cost, Engine, Option
from ..messages import UserError
from ..reconstruction import Array, Camera, Photo, PointCloud, PointMap, Reconstruction

if TYPE_CHECKING:
    from ..geometry import dense, features, mapping
    from ..runtime.report import Report

    # look(folder, matches of the look before, photos left out so far): the matches of another one, in `folder`.
    Look = Callable[[Path, features.Matched | None, Iterable[int]], features.Matched]

ENGINE = Engine(
    id="colmap",
    label="Classical",
    summary="Photogrammetry from overlapping photos; runs everywhere and needs no download.",
    licence="BSD-3-Clause (COLMAP), GPL-3.0-or-later (dense stereo)",
    commercial=True,
    produces=frozenset({"cameras", "pointmaps", "cloud"}),
    requires=("pycolmap", "numba", "PIL", "pillow_heif"),
    options=(
        Option(
            "quality",
            "standard",
            "Quality",
            "How finely to look: a preview takes seconds per photo, high takes minutes for more detail.",
            choices={"preview": "Preview", "standard": "Standard", "high": "High"},
            basic=True,
            lightest_first=True,
        ),
        Option(
            "points",
            True,
            "Dense points",
            "Also compute a dense point cloud; without it the cameras arrive sooner, with few points.",
        ),
        Option(
            "intrinsics",
            "shared",
            "Lens",
            "Whether photos of the same size and EXIF focal length were taken with one lens setting.",
            choices={"shared": "One lens", "per-photo": "Each photo its own"},
        ),
        Option(
            "focal",
            0.0,
            "Focal length (35 mm equivalent)",
            "The focal length in millimetres of a full-frame camera, where photos do not say it; 0 means unknown.",
            minimum=0.0,
            maximum=2000.0,
        ),
        MATCHING,
    ),
    # Measured on 10 to 49 photos (README, "Growth"); high quality on 10.
    costs={
        "preview": Cost(0.3e9, 6e6, 5.0, 1.2),
        "standard": Cost(0.55e9, 11e6, 5.0, 5.0),
        "high": Cost(0.6e9, 20e6, 5.0, 12.0),
    },
)

CONFIDENCE = (
    "0 to 1: the share of other photos that confirm the depth by a round trip within 1.5 px and 1.5 %, weighed by how "
    "well the pictures match there; 0 where no other photo confirms it"
)
ONE_PHOTO = (
    "One photo tells no depth: choose two or more, taken from different places, or an engine that makes do with one, "
    "such as Depth Anything 3."
)
UNDISTORTING, DENSE, FUSING = "Preparing the photos", "Computing depth", "Fusing points"
# Quality -> seconds a photo takes on two cores to find its features and to see its depth.
SECONDS = {"preview": (0.7, 1.0), "standard": (2.0, 5.0), "high": (4.0, 12.0)}
LEFT_OUT = 0.1  # share of the photos without a camera that makes a second, finer look worth its time
LEARNED_PAIR = 1.0  # seconds to match a pair by learned features


def reconstruct(photos: Sequence[Photo], options: Mapping[str, Any], report: Report) -> Reconstruction:
    """Cameras, pointmaps and a fused cloud of overlapping photos; two are the fewest.

    Raises UserError where the photos cannot be solved: too few, no overlap, no change of viewpoint.
    """
    from ..geometry import dense
    from ..runtime.report import Watch

    if len(photos) < 2:
        raise UserError(ONE_PHOTO)
    report.plan(_plan(len(photos), options))
    watch = Watch()
    solution = solve_cameras(photos, options, report)
    watch.lap("cameras")
    pointmaps: list[PointMap] = []
    cloud = _sparse_cloud(solution, photos)
    if options["points"]:
        pointmaps, cloud = _dense(photos, solution, options["quality"], report)
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
        left_out=solution.left_out,
        notes=solution.notes,
    )


def solve_cameras(photos: Sequence[Photo], options: Mapping[str, Any], report: features.Report) -> mapping.Solution:
    """The cameras and sparse points; where a look leaves out too many photos, the next one is taken.

    Raises UserError where no look finds anything believable, and what `report` raises.
    """
    from ..geometry import mapping

    known = [_with_focal(photo, options["focal"]) for photo in photos]
    best: mapping.Solution | None = None
    failures: list[UserError] = []
    matched: features.Matched | None = None
    left_out: Iterable[int] = range(len(known))
    with tempfile.TemporaryDirectory() as folder:
        for number, (tolerated, look) in enumerate(_looks(known, options, report)):
            if best is not None and len(best.left_out) <= tolerated * len(known):
                continue
            place = Path(folder, str(number))
            place.mkdir()
            matched = look(place, matched, left_out)
            try:
                found = mapping.solve(matched, report)
            except UserError as error:
                failures.append(error)
                continue
            if best is None or len(found.cameras) > len(best.cameras):
                best = found
                names = {entry.photo for entry in best.left_out}
                left_out = {index for index, photo in enumerate(known) if photo.name in names}
    if best is None:
        raise failures[-1]
    return best


def _looks(
    photos: Sequence[Photo], options: Mapping[str, Any], report: features.Report
) -> Sequence[tuple[float, Look]]:
    """Ways to match the photos, each with the share of them that may stay without a camera before it is taken."""
    from ..geometry import features
    from ..runtime.photos import pixels

    def sift(settings: features.Settings) -> Look:
        return lambda folder, *_before: features.extract_and_match(photos, pixels, folder, settings, report)

    def learned(folder: Path, sift: features.Matched | None, left_out: Iterable[int]) -> features.Matched:
        from ..geometry import learned_features

        assert sift is not None
        settings = learned_features.QUALITIES[options["quality"]]
        return learned_features.joined(sift, left_out, pixels, folder, settings, report)

    settings = replace(features.QUALITIES[options["quality"]], shared_intrinsics=options["intrinsics"] == "shared")
    finer = features.finer(settings, photos)
    looks = [(1.0, sift(settings))]
    if finer is not None:
        looks.append((LEFT_OUT, sift(finer)))
    if options["matching"] == "learned":
        looks.append((0.0, learned))
    return looks


def _plan(count: int, options: Mapping[str, Any]) -> dict[str, float]:
    """Expected seconds of each stage on two cores: only their ratios matter."""
    from ..geometry import features, mapping

    finding, seeing = SECONDS[options["quality"]]
    pairs = min(count * (count - 1) / 2, 40 * count)
    matching = pairs * LEARNED_PAIR if options["matching"] == "learned" else 0.15 * finding * pairs
    plan = {features.FEATURES: finding * count, features.MATCHES: matching, mapping.MAPPING: 1.5 * count}
    if options["points"]:
        plan |= {UNDISTORTING: 0.2 * count, DENSE: seeing * count, FUSING: 0.05 * seeing * count}
    return plan


def _with_focal(photo: Photo, full_frame: float) -> Photo:
    """The photo with the focal length that the artist named, in mm of a 36 mm wide frame, where EXIF knows none."""
    if photo.focal is not None or not full_frame:
        return photo
    return replace(photo, focal=full_frame / 36 * max(photo.width, photo.height))


def _sparse_cloud(solution: mapping.Solution, photos: Sequence[Photo]) -> PointCloud:
    """The points of the cameras' own solution, each given to the first camera that sees it."""
    seen_by = np.full(len(solution.positions), -1, np.int32)
    towards = np.zeros_like(solution.positions)
    numbers = {photo.name: index for index, photo in enumerate(photos)}
    for camera, observed in reversed(list(zip(solution.cameras, solution.observed, strict=True))):
        seen_by[observed] = numbers[camera.photo]
        towards[observed] = camera.world_from_camera[:3, 3] - solution.positions[observed]
    seen = seen_by >= 0
    length = np.linalg.norm(towards[seen], axis=1, keepdims=True)
    return PointCloud(
        positions=solution.positions[seen].astype(np.float32),
        normals=(towards[seen] / np.maximum(length, 1e-12)).astype(np.float32),
        colors=solution.colors[seen],
        confidence=np.ones(int(seen.sum()), np.float32),
        photo=seen_by[seen],
    )


def _dense(
    photos: Sequence[Photo], solution: mapping.Solution, quality: str, report: Report
) -> tuple[list[PointMap], PointCloud]:
    """Depth of every solved photo as PointMaps in the photos' own pixels, and the fused cloud."""
    from ..geometry import dense, fusion, pointmaps

    settings = {"preview": dense.PREVIEW, "standard": dense.STANDARD, "high": dense.HIGH}[quality]
    numbers = {photo.name: index for index, photo in enumerate(photos)}
    views = []
    for done, (camera, observed) in enumerate(zip(solution.cameras, solution.observed, strict=True)):
        report(UNDISTORTING, done, len(solution.cameras))
        photo = photos[numbers[camera.photo]]
        views.append(_view(camera, photo, solution.positions[observed], observed, settings.long_side))
    depths = dense.estimate_depths(views, settings, lambda done, total: report(DENSE, done, total))
    fused = fusion.fuse(views, depths, lambda done, total: report(FUSING, done, total))
    maps = [
        pointmaps.from_ideal(
            camera, view.intrinsics, found.depth, found.normal, found.confidence, settings.long_side, dense.TRUSTED
        )
        for camera, view, found in zip(solution.cameras, views, depths, strict=True)
    ]
    seen_by = np.array([numbers[camera.photo] for camera in solution.cameras], np.int32)
    cloud = PointCloud(fused.positions, fused.normals, fused.colors, fused.confidence, seen_by[fused.view])
    return maps, cloud


def _view(camera: Camera, photo: Photo, points: Array, ids: Array, long_side: int) -> dense.View:
    """The ideal pinhole picture of a photo, small enough for dense stereo, with the sparse points that it sees."""
    from ..geometry import dense, pointmaps, remap
    from ..runtime.photos import pixels

    intrinsics, size = pointmaps.ideal_picture(camera, long_side)
    # Twice the size that is needed: enough for exact resampling, and JPEG decodes it much faster than all.
    picture = pixels(photo, 2 * long_side)
    x, y = picture.shape[1] / camera.width, picture.shape[0] / camera.height
    lens = (camera.fx * x, camera.fy * y, camera.cx * x, camera.cy * y, camera.distortion)
    image = remap.undistorted(picture, *lens, intrinsics, size)
    return dense.View(image, intrinsics, camera.world_from_camera, points, ids)
