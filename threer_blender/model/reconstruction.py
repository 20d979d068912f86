"""[S] The vocabulary: Photo, Camera, PointMap, PointCloud, Gaussians, Shot, Reconstruction. Numpy and `lens`.

Conventions, stated here once and used everywhere:

* Cameras have OpenCV/COLMAP axes: x right, y down, z forward. `world_from_camera` takes camera points to the world.
* Pixels are those of the original photo as displayed (EXIF-rotated); the centre of the top-left pixel is (0.5, 0.5).
* Lens distortion goes by COLMAP model name and parameters, see `lens`.
* Units are metres where `Reconstruction.metric` is true, else arbitrary with a median depth of MEDIAN_DEPTH.
* Blender's axes (z up) appear nowhere here: they live in `scene/axes.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np

from . import lens
from .arrays import Array, FloatArray

MEDIAN_DEPTH = 5.0  # world units: the median depth of the points, over all cameras, where units are arbitrary


@dataclass(frozen=True)
class Photo:
    """One photo that the artist chose, or one frame of a video, as displayed.

    `name` is the file's name; where two chosen files share it, enough parent folders are put before it to tell them
    apart. `path` is where the file was read. `focal` (pixels) and `sensor_width` (mm along the displayed width)
    come from EXIF, else None. `frame` is the frame's number in the video or image sequence at `path`; None for a photo.
    A `panorama` shows the whole sphere around the camera, as longitude and latitude; its focal length follows from its
    width. `lens` is what the artist has told of the lens before the solve; results do not record it.
    """

    name: str
    path: str
    width: int
    height: int
    sha256: str
    focal: float | None = None
    sensor_width: float | None = None
    frame: int | None = None
    panorama: bool = False
    lens: lens.KnownLens = field(default=lens.UNKNOWN, compare=False)


@dataclass(frozen=True)
class Camera:
    """A solved camera: intrinsics in pixels of the displayed photo, pose as `world_from_camera` (4, 4) float64.

    `undistorted` names the upright copy of the photo, inside the bundle, as an ideal pinhole camera with the same
    intrinsics sees it; it is empty where the photo itself is that picture. `reprojection_error` in pixels is the mean
    over the camera's own observations, or their median for a frame of a shot. It is None where nothing was measured:
    such a camera is of layout quality, good for blocking a scene out, not for matchmove. `error_before` is the same
    before the camera was refined, None where it was not.
    """

    photo: str
    width: int
    height: int
    fx: float
    fy: float
    cx: float
    cy: float
    world_from_camera: FloatArray
    distortion: lens.Distortion = lens.NO_DISTORTION
    undistorted: str = ""
    reprojection_error: float | None = None
    error_before: float | None = None

    @property
    def camera_from_world(self) -> FloatArray:
        """(4, 4) inverse of the rigid `world_from_camera`."""
        rotation, centre = self.world_from_camera[:3, :3], self.world_from_camera[:3, 3]
        inverse = np.eye(4)
        inverse[:3, :3] = rotation.T
        inverse[:3, 3] = -rotation.T @ centre
        return inverse

    @property
    def intrinsics(self) -> FloatArray:
        """K (3, 3): pixels from normalised camera coordinates."""
        return np.array([[self.fx, 0.0, self.cx], [0.0, self.fy, self.cy], [0.0, 0.0, 1.0]])

    def resized(self, width: int, height: int) -> Camera:
        """The camera in pixels of another size of the same picture, whose pixels need not be square."""
        x, y = width / self.width, height / self.height
        return replace(self, width=width, height=height, fx=self.fx * x, fy=self.fy * y, cx=self.cx * x, cy=self.cy * y)

    def depths(self, points: Array) -> FloatArray:
        """(...) camera z of world points (..., 3); for a panorama, which has no forward axis, their distance."""
        local = np.asarray(points, np.float64) @ self.camera_from_world[:3, :3].T + self.camera_from_world[:3, 3]
        depths: FloatArray = np.linalg.norm(local, axis=-1) if self.distortion.is_panorama else local[..., 2]
        return depths

    def project(self, points: Array) -> FloatArray:
        """Pixels (..., 2) of world points (..., 3) in the distorted photo; NaN where the lens cannot see them.

        It cannot see points behind the camera, or beyond the radius where the lens model folds over. A panorama sees
        all points.
        """
        local = np.asarray(points, np.float64) @ self.camera_from_world[:3, :3].T + self.camera_from_world[:3, 3]
        if self.distortion.is_panorama:
            return lens.panorama_angles(local) * (self.fx, self.fy) + (self.cx, self.cy)
        depth = np.where(local[..., 2:] > 0, local[..., 2:], np.nan)
        ideal = local[..., :2] / depth
        ideal = np.where(
            np.linalg.norm(ideal, axis=-1, keepdims=True) < lens.valid_radius(self.distortion), ideal, np.nan
        )
        distorted = lens.distort(self.distortion, ideal)
        pixels: FloatArray = distorted * (self.fx, self.fy) + (self.cx, self.cy)
        return pixels

    def rays(self, pixels: Array) -> FloatArray:
        """Camera-frame rays (..., 3) with z = 1 through pixels (..., 2) of the distorted photo: depth × ray = point.

        NaN at pixels that no ray of the lens model reaches, and that show what is behind a panorama's camera.
        """
        normalised = (np.asarray(pixels, np.float64) - (self.cx, self.cy)) / (self.fx, self.fy)
        plane = lens.undistort(self.distortion, normalised)
        return np.concatenate([plane, np.ones_like(plane[..., :1])], axis=-1)


class PhotoFromMap(NamedTuple):
    """Photo pixel = scale × map pixel + offset, both with the top-left pixel's centre at (0.5, 0.5)."""

    scale_x: float
    scale_y: float
    offset_x: float
    offset_y: float


REMOVED = ("", "edge", "sky", "free-space violation", "merged")
"""The reasons why the cloud has no point for a pixel that the engine trusts. edge: the point lies between two surfaces.
sky: the pixel shows the sky. free-space violation: the point floats in front of surfaces that more confident photos
show. merged: the point of a more confident photo stands for the same surface. Only merged pixels stay in the PointMap's
mask."""


@dataclass(frozen=True)
class PointMap:
    """A dense, pixel-aligned map of world points that belongs to one photo.

    `points` (H, W, 3) float32 world; `confidence` (H, W) float32, higher is more reliable, on the engine's own scale
    (its meaning is `Reconstruction.confidence_meaning`); `mask` (H, W) bool, true where the point is trusted; `removed`
    (H, W) uint8, the index into REMOVED of the reason for each pixel, None where reasons were not recorded. Depth is
    derived (`depth`), not stored.
    """

    photo: str
    points: Array
    confidence: Array
    mask: Array
    photo_from_map: PhotoFromMap
    removed: Array | None = None

    def photo_pixels(self) -> FloatArray:
        """(H, W, 2) the photo pixel at the centre of each map pixel."""
        height, width = self.mask.shape
        x = (np.arange(width) + 0.5) * self.photo_from_map.scale_x + self.photo_from_map.offset_x
        y = (np.arange(height) + 0.5) * self.photo_from_map.scale_y + self.photo_from_map.offset_y
        return np.stack(np.meshgrid(x, y), axis=-1)

    def depth(self, camera: Camera) -> FloatArray:
        """(H, W) camera z of each point in `camera`'s frame."""
        row = camera.camera_from_world[2]
        depth: FloatArray = np.asarray(self.points, np.float64) @ row[:3] + row[3]
        return depth


@dataclass(frozen=True)
class PointCloud:
    """Fused, de-duplicated points in the world frame.

    `positions` (N, 3) float32; `normals` (N, 3) float32 unit, towards the cameras; `colors` (N, 3) uint8 sRGB;
    `confidence` (N,) float32 as in PointMap; `photo` (N,) int32 index into `Reconstruction.photos` of the photo that
    shows the point best.
    """

    positions: Array
    normals: Array
    colors: Array
    confidence: Array
    photo: Array

    def __len__(self) -> int:
        return len(self.positions)


@dataclass(frozen=True)
class Gaussians:
    """3D Gaussians in the world frame.

    `means` (N, 3); `scales` (N, 3) linear standard deviations; `rotations` (N, 4) unit quaternions wxyz; `opacities`
    (N,) in [0, 1]; `sh` (N, K, 3) spherical harmonics, K = (degree + 1)². All float32. Log and logit forms exist only
    in file formats and optimisers. Where it is known, `confidence` (N,) float32 as in PointMap and `photo` (N,) int32,
    the index of the photo that a Gaussian was made from.
    """

    means: Array
    scales: Array
    rotations: Array
    opacities: Array
    sh: Array
    confidence: Array | None = None
    photo: Array | None = None

    def __len__(self) -> int:
        return len(self.means)


MOTIONS = ("free", "nodal", "zoom", "free zoom", "locked off")
"""How a shot's camera moves. free: in any way. nodal: it only rotates. zoom: nodal, and its focal length changes. free
zoom: free, and its focal length changes. locked off: not at all."""


@dataclass(frozen=True)
class TrackedPoints:
    """P points that were tracked through a shot, by M observations, sorted by point.

    Of each observation: `point` (M,) int32, the point's index; `frame` (M,) int32, the frame's number; `pixels` (M, 2)
    float32, where that frame shows the point. Of each point: `positions` (P, 3) float32, the world position that fits
    the solved cameras best; `errors` (P,) float32, the root mean square of its reprojection errors in pixels; both are
    NaN where fewer than two of its frames have a camera. `weights` (P,) float32 are the artist's: 1 is usual, 0 leaves
    a point out.
    """

    point: Array
    frame: Array
    pixels: Array
    positions: Array
    errors: Array
    weights: Array

    def __len__(self) -> int:
        """Number of points P."""
        return len(self.positions)


@dataclass(frozen=True)
class Shot:
    """A video or an image sequence, and the camera that filmed it.

    `cameras` holds the solved cameras by frame number. Numbers count from 1 in a video, and are the files' in a
    sequence. The frames are the `frame_count` numbers from `first_frame` on; `missing` are those without a file.
    `video` is the name with which the names of its frames' photos begin. `path` is the file, or the pattern of the
    sequence (`files.sequence_files`): the plate. Only some frames are photos of the Reconstruction.

    `written_plate` is empty, unless Blender would show other frames of the video than those that were solved. Then it
    is the pattern of an image sequence in the bundle, which holds all frames as they were solved.

    `plate_size` is None where the file's pixels are square. Else it is the width and height in the file's own pixels,
    while `cameras` count in square ones.

    `motion` is one of MOTIONS, empty where it is unknown; `motion_reason` is a sentence with the reason.

    Where points were tracked through the shot, `tracks` holds them, and each frame has its errors: (F,) float32,
    element i for the frame `first_frame` + i, NaN where it has no camera. `median_error`, `p95_error` (95th percentile)
    and `worst_error` are of the reprojection errors of the frame's tracks in pixels. `inliers` counts the tracks that
    agree with the camera. `coverage` is the share of the picture, in [0, 1], that they cover. Where the shot was solved
    again from other tracks, each frame has the spread of these solves, root mean square: `position_spread` as a share
    of the camera's path, `rotation_spread` in degrees, and `focal_spread` as a share of the focal length.

    `bad` are ranges of frames (first, last) that the artist has left out; they have no cameras.
    """

    video: str
    path: str
    frame_rate: Fraction
    frame_count: int
    cameras: dict[int, Camera]
    motion: str = ""
    motion_reason: str = ""
    median_error: Array | None = None
    p95_error: Array | None = None
    worst_error: Array | None = None
    inliers: Array | None = None
    coverage: Array | None = None
    position_spread: Array | None = None
    rotation_spread: Array | None = None
    focal_spread: Array | None = None
    first_frame: int = 1
    missing: tuple[int, ...] = ()
    plate_size: tuple[int, int] | None = None
    written_plate: str = ""
    tracks: TrackedPoints | None = None
    bad: tuple[tuple[int, int], ...] = ()

    @property
    def last_frame(self) -> int:
        """The number of the last frame."""
        return self.first_frame + self.frame_count - 1

    def plate_camera(self, number: int) -> Camera:
        """The camera of a frame in the plate's own pixels: fx ≠ fy where they are not square."""
        camera = self.cameras[number]
        return camera if self.plate_size is None else camera.resized(*self.plate_size)


@dataclass(frozen=True)
class SurveyPoint:
    """A surveyed point: its `name`, and its measured `position` in the world, whose coordinates are the survey's.

    `mark_count` is the number of photos in which it is marked. `error` is the distance in world units from `position`
    to the point that these photos determine, None where they determine none. `pixel_error` is the mean distance between
    `position` and the marks in these photos, in pixels, None without photos. The point `agrees` where the world was
    fitted to it; else it contradicts the other points, or photos do not determine it.
    """

    name: str
    position: tuple[float, float, float]
    agrees: bool
    error: float | None
    pixel_error: float | None
    mark_count: int


@dataclass(frozen=True)
class Unregistered:
    """A photo without a camera: why, and what the artist can do about it. Whole sentences."""

    photo: str
    reason: str
    advice: str


@dataclass(frozen=True)
class Upright:
    """The direction of up: `up` (3,) unit vector in the world, and its standard deviation `spread` in degrees.

    `ground` is the height of the ground plane along `up`, in world units; None where no ground was detected.
    `agreeing` names the kinds of evidence for this direction, the most exact first, and `disagreeing` those against it.
    """

    up: FloatArray
    spread: float
    ground: float | None = None
    agreeing: tuple[str, ...] = ()
    disagreeing: tuple[str, ...] = ()


@dataclass(frozen=True)
class Reconstruction:
    """The result of an engine: everything that was solved, in one world frame.

    `photos` holds every photo that could be read, in the artist's order. `unregistered` names the photos without a
    camera, and the chosen files that are no usable photo. The engine trusts points whose confidence is at least
    `trusted_confidence`. `options` are those of the engine, `timings` seconds by part of the run, and `notes` sentences
    for the artist. Where `z_up`, the world is that of Blender's scene: a survey's, or that of the scene's own cameras.
    `upright` is None where nobody looked for up, as in the first bundles.
    """

    engine: str
    licence: str
    photos: list[Photo]
    cameras: list[Camera]
    pointmaps: list[PointMap] = field(default_factory=list)
    cloud: PointCloud | None = None
    gaussians: Gaussians | None = None
    metric: bool = False
    confidence_meaning: str = ""
    trusted_confidence: float = 0.0
    options: Mapping[str, Any] = field(default_factory=dict)
    timings: Mapping[str, float] = field(default_factory=dict)
    unregistered: list[Unregistered] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    shots: list[Shot] = field(default_factory=list)
    upright: Upright | None = None
    survey: list[SurveyPoint] = field(default_factory=list)
    z_up: bool = False

    def camera(self, photo: str) -> Camera | None:
        """The camera of the photo of that name, or None where it is unregistered."""
        return next((camera for camera in self.cameras if camera.photo == photo), None)
