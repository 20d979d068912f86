"""[R] InstantSplat: makes Gaussian splats from another engine's pointmaps, and optimises them with its cameras.

Fan et al., "InstantSplat: Sparse-view Gaussian Splatting in Seconds" (2024). `geometry/splats/start.py` and
`geometry/splats/training.py` name the differences.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..model.arrays import Array, BoolArray, FloatArray
from ..model.engine import GROUPS, Cost, Engine, Option, Report, Stage
from ..model.errors import UserError
from ..model.reconstruction import Camera, Photo, Reconstruction
from . import colmap, registry
from .options import MASKS, quality_option

if TYPE_CHECKING:
    from ..geometry.features.database import Excluded
    from ..geometry.splats.training import Training, View


class SplatQuality(NamedTuple):
    """The settings of training: `long_side` of its pictures in pixels, `iterations`, and `degree` of the harmonics."""

    long_side: int
    iterations: int
    degree: int


def _label(engine: Engine) -> str:
    return engine.label if engine.commercial else f"{engine.label}, not for commercial use"


QUALITIES = {
    "draft": SplatQuality(256, 300, 1),
    "standard": SplatQuality(512, 1000, 1),
    "high": SplatQuality(1024, 3000, 2),
}
# Id of the engine to start from -> quality -> the options of that engine.
START_OPTIONS = {
    colmap.ENGINE.id: {
        "draft": {"quality": "standard"},
        "standard": {"quality": "standard"},
        "high": {"quality": "high"},
    }
}
# Quality -> the cost of training, without that of the start engine.
TRAINING_COSTS = {
    "draft": Cost(memory=0.7e9, memory_per_photo=20e6, seconds=25.0, seconds_per_photo=4.0),
    "standard": Cost(memory=0.8e9, memory_per_photo=80e6, seconds=100.0, seconds_per_photo=35.0),
    "high": Cost(memory=1.0e9, memory_per_photo=200e6, seconds=600.0, seconds_per_photo=360.0),
}


def _cost_of_run(quality: str) -> Cost:
    """The cost of a whole run that starts from the classical engine. Training takes more memory than its start."""
    start = colmap.ENGINE.costs[START_OPTIONS[colmap.ENGINE.id][quality]["quality"]]
    training = TRAINING_COSTS[quality]
    return replace(
        training,
        seconds=start.seconds + training.seconds,
        seconds_per_photo=start.seconds_per_photo + training.seconds_per_photo,
    )


START_ENGINES = [engine for engine in registry.all_except(__name__) if engine.can_start_splats]
ENGINE = Engine(
    id="instantsplat",
    label="InstantSplat",
    summary="Gaussian splats from a few photos: how the scene looks, from new viewpoints too.",
    licence="GPL-3.0-or-later, and that of the engine it starts from",
    commercial=True,
    produces=frozenset({"cameras", "pointmaps", "cloud", "gaussians"}),
    requires=tuple(dict.fromkeys(("torch", *(name for start in START_ENGINES for name in start.requires)))),
    options=(
        quality_option(
            "draft",
            "How long to improve the splats, and how finely: a draft takes minutes on any machine, the others want a "
            "graphics card or patience.",
            {"draft": "Draft", "standard": "Standard", "high": "High"},
        ),
        Option(
            "start",
            colmap.ENGINE.id,
            "Start from",
            "The engine that first finds cameras and depth.",
            choices={engine.id: _label(engine) for engine in START_ENGINES},
            non_commercial=frozenset(engine.id for engine in START_ENGINES if not engine.commercial),
        ),
        *MASKS,
    ),
    group=GROUPS[-1],
    costs={quality: _cost_of_run(quality) for quality in QUALITIES},
)
STARTING, SPLATTING = Stage("starting", "Making splats"), Stage("splatting", "Improving the splats")
SHOW_EVERY = 2.0  # seconds between two previews
HOLD_OUT_FROM = 8  # from so many photos on, one is held out to judge the splats by


def reconstruct(photos: Sequence[Photo], options: Mapping[str, Any], report: Report) -> Reconstruction:
    """Splats, and the start engine's result with its cameras refined.

    Once training has begun, a cancel ends it early and returns the splats so far. Raises UserError as the start engine
    does, and where its result has no depth to make splats from.
    """
    from ..pictures import masks

    quality = options["quality"]
    training = TRAINING_COSTS[quality].seconds_of(len(photos))
    later = [STARTING.weighing(0.3 * len(photos)), SPLATTING.weighing(training)]
    start = registry.engine(options["start"])
    mask_options = {option.name: options[option.name] for option in MASKS}
    start_options = start.checked_options({**START_OPTIONS.get(start.id, {}).get(quality, {}), **mask_options})
    start_result = registry.reconstruct_of(start.id)(photos, start_options, _StartReport(report, later))
    return splatted(start_result, quality, report, masks.excluder(options))


class _StartReport:
    """The report for the start engine, whose stages are the beginning of our plan."""

    def __init__(self, report: Report, later: Sequence[Stage]) -> None:
        self._report, self._later = report, later
        self.finishing = report.finishing

    def plan(self, stages: Iterable[Stage]) -> None:
        self._report.plan([*stages, *self._later])

    def __call__(self, stage: Stage, done: float, total: float) -> None:
        self._report(stage, done, total)

    def warn(self, text: str, photo: str = "") -> None:
        self._report.warn(text, photo)

    def keep(self) -> None:
        """Does nothing: a result of the start engine is not yet our result."""

    def preview(self, picture: Array) -> None:
        self._report.preview(picture)


def splatted(
    start_result: Reconstruction, quality: str, report: Report, excluded: Excluded = lambda _photo, _size: None
) -> Reconstruction:
    """An engine's result `start_result` with Gaussians, and refined cameras; its points are moved with their cameras.

    No splats are made from `excluded` pixels, and training ignores them. Raises UserError where the result has no depth
    to make splats from.
    """
    from ..geometry.splats import rasteriser, start
    from ..geometry.splats.training import TrainingSettings, improve
    from ..runtime import device
    from ..runtime.report import Watch

    long_side, iterations, degree = QUALITIES[quality]
    watch = Watch()
    maps = {pointmap.photo: pointmap for pointmap in start_result.pointmaps}
    cameras = [camera for camera in start_result.cameras if camera.photo in maps]
    held_out = _spare(cameras) if len(cameras) >= HOLD_OUT_FROM else None
    photos = {photo.name: photo for photo in start_result.photos}
    views, observed = [], []
    for number, camera in enumerate(cameras):
        report(STARTING, number, len(cameras))
        view, picture, masked = _masked_view(camera, photos[camera.photo], long_side, excluded)
        views.append(view)
        if number != held_out and not (masked is not None and masked.all()):
            spacing = max(camera.width, camera.height) / long_side  # pixels of the photo between two splats
            trusted = start_result.trusted_confidence
            observed.append(start.thinned_map(camera, maps[camera.photo], picture, trusted, spacing, masked))
    initial = start.gaussians(observed) if observed else ()
    if not initial:
        raise UserError(
            "There is no depth to make splats of; take photos that overlap more, or start from another engine."
        )
    torch_device = rasteriser.working_device(device.choose().torch, report.warn)
    show = _Show(report, iterations, views[0])
    result = improve(initial, views, TrainingSettings(iterations, degree), torch_device, show, held_out)
    watch.lap("splats")
    judged = []
    if held_out is not None:
        photo = cameras[held_out].photo
        judged = [f"The splats match {photo}, a photo that they were not made from, to {result.quality:.1f} dB."]
    return replace(
        _moved(start_result, {camera.photo: pose for camera, pose in zip(cameras, result.poses, strict=True)}),
        engine=ENGINE.id,
        licence=f"{start_result.licence}; splats: GPL-3.0-or-later",
        gaussians=result.gaussians,
        timings={**start_result.timings, **watch.laps},
        notes=[*start_result.notes, *judged],
    )


class _Show:
    """The callback of training: reports progress, shows a preview now and then, and returns whether to end early."""

    def __init__(self, report: Report, iterations: int, view: View) -> None:
        self._report, self._iterations, self._view = report, iterations, view
        self._previewed = 0.0  # time of the last preview
        report.keep()

    def __call__(self, training: Training, done: int) -> bool:
        self._report(SPLATTING, done, self._iterations)
        if time.monotonic() - self._previewed > SHOW_EVERY:
            picture = training.picture(self._view)
            self._report.preview((255 * picture + 0.5).astype(np.uint8))
            self._previewed = time.monotonic()
        return self._report.finishing.is_set()


def training_view(camera: Camera, photo: Photo, long_side: int) -> tuple[View, Array]:
    """The ideal pinhole view of a photo for training, and the photo (H, W, 3) uint8 at about twice the view's size.

    `long_side` is that of the view in pixels. Raises UserError where the photo is gone.
    """
    from ..geometry import pointmaps, remap
    from ..geometry.splats.training import View
    from ..pictures.photos import pixels

    intrinsics, size = pointmaps.ideal_picture(camera, long_side)
    picture = pixels(photo, 2 * long_side)
    # Pixels whose surroundings, too, lie inside the photo.
    inside = remap.ideal_picture_of(np.full_like(picture, 255), camera, intrinsics, size).min(-1) == 255
    view = View(
        picture=(remap.ideal_picture_of(picture, camera, intrinsics, size) / 255).astype(np.float32),
        mask=inside,
        intrinsics=np.array([intrinsics[0, 0], intrinsics[1, 1], intrinsics[0, 2], intrinsics[1, 2]]),
        camera_from_world=camera.camera_from_world,
    )
    return view, picture


def _masked_view(
    camera: Camera, photo: Photo, long_side: int, excluded: Excluded
) -> tuple[View, Array, BoolArray | None]:
    """The `training_view` without masked pixels, its photo, and the photo's mask (H, W), None where it has none."""
    from ..geometry import remap

    view, picture = training_view(camera, photo, long_side)
    height, width = picture.shape[:2]
    photo_mask = excluded(photo, (width, height))
    if photo_mask is None:
        return view, picture, None
    fx, fy, cx, cy = view.intrinsics
    intrinsics = np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1]])
    white = np.repeat(255 * photo_mask[..., None].astype(np.uint8), 3, axis=-1)
    masked = remap.ideal_picture_of(white, camera, intrinsics, (view.mask.shape[1], view.mask.shape[0]))[..., 0] > 0
    return replace(view, mask=view.mask & ~masked), picture, photo_mask


def _spare(cameras: Sequence[Camera]) -> int:
    """The index of the camera that the others can best replace: its two nearest neighbours are the nearest."""
    centres = np.stack([camera.world_from_camera[:3, 3] for camera in cameras])
    distances = np.linalg.norm(centres[:, None] - centres, axis=-1)
    return int(np.sort(distances, axis=1)[:, 1:3].sum(1).argmin())


def _moved(start_result: Reconstruction, poses: Mapping[str, FloatArray]) -> Reconstruction:
    """The result with cameras at `poses` (photo name -> camera_from_world), and each camera's points moved with it."""
    motions = {}  # photo name -> (4, 4) the motion of its points in the world
    cameras = []
    for camera in start_result.cameras:
        is_refined = camera.photo in poses
        world_from_camera = np.linalg.inv(poses[camera.photo]) if is_refined else camera.world_from_camera
        motions[camera.photo] = world_from_camera @ camera.camera_from_world
        cameras.append(replace(camera, world_from_camera=world_from_camera))
    pointmaps = [replace(m, points=_transformed(m.points, motions[m.photo])) for m in start_result.pointmaps]
    cloud = start_result.cloud
    if cloud is not None:
        positions, normals = np.array(cloud.positions), np.array(cloud.normals)
        for number, photo in enumerate(start_result.photos):
            if photo.name in motions:
                of_photo, motion = cloud.photo == number, motions[photo.name]
                positions[of_photo] = _transformed(positions[of_photo], motion)
                normals[of_photo] = normals[of_photo] @ motion[:3, :3].T
        cloud = replace(cloud, positions=positions, normals=normals)
    return replace(start_result, cameras=cameras, pointmaps=pointmaps, cloud=cloud)


def _transformed(points: Array, motion: FloatArray) -> Array:
    moved: Array = points @ motion[:3, :3].T + motion[:3, 3]
    return moved.astype(np.float32)
