"""[R] COLMAP's database of features and matches: settings, records and contents; pycolmap's calls, made interruptible.

Photo i is image i + 1 of the database. All lengths are in pixels of the photos' copies, see `features`.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterable, Sequence, Set
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import numpy as np

from ...model import lens
from ...model.arrays import Array, BoolArray, FloatArray
from ...model.engine import Check, ReportStage
from ...model.reconstruction import Photo
from ..colmap import pycolmap

# pixels(photo, long_side) -> (H, W, 3) uint8 sRGB, upright, the longer side at most long_side.
Pixels = Callable[[Photo, int], Array]
# excluded(photo, (width, height)) -> (H, W) where no feature may lie, or None.
Excluded = Callable[[Photo, tuple[int, int]], BoolArray | None]


def nothing_excluded(_photo: Photo, _size: tuple[int, int]) -> None:
    """Excludes nothing."""


Result = TypeVar("Result")

SEED = 0  # of all random choices, so that the same photos give the same result
POLL = 0.1  # seconds between two checks for cancelling
FULL_BROWN = "FULL_OPENCV"  # COLMAP's only model with Brown's k3; its other terms stay 0
GUESSED_FOCAL = 1.2  # times the longer side, where EXIF knows none: a start for the solver, as in COLMAP


@dataclass(frozen=True)
class FeatureSettings:
    """The effort of the search for features, and the pairs to match.

    The photos' copies have a longer side of at most `long_side` pixels, and at most `features` features. A
    `first_octave` of -1 doubles the copy first, which finds two to four times the features in four times the time;
    where all copies searched at a time are smaller than `features.SMALL_COPY`, they are doubled in any case. `affine`
    shapes (Mikolajczyk & Schmid 2004) match across larger changes of viewpoint, but a little less exactly. With
    `shared_intrinsics`, photos of the same size and known lens share a camera. Up to `exhaustive` photos, each is
    matched with each; beyond that, every photo with its `neighbours` most similar ones and the next few in order.
    """

    long_side: int
    features: int
    first_octave: int = -1
    affine: bool = True
    shared_intrinsics: bool = True
    exhaustive: int = 60
    neighbours: int = 30


@dataclass(frozen=True)
class Matched:
    """The photos' features and verified matches. Photo i is image i + 1 of the database `path`.

    `sizes` (N, 2) are width and height of the copies, `colors[i]` (K, 3) uint8 sRGB the colours of photo i's keypoints.
    `pairs` (M, 2) are photo indices, `inliers` (M,) the number of each pair's verified matches, and `kinds` (M,) its
    pycolmap.TwoViewGeometryConfiguration. `pictures[i]` (h, w) is photo i as small as `appearance` compares it; empty
    where no pictures are at hand.
    """

    path: Path
    photos: Sequence[Photo]
    sizes: Array
    colors: Sequence[Array]
    pairs: Array
    inliers: Array
    kinds: Array
    pictures: Sequence[Array] = ()

    @property
    def features(self) -> Array:
        """(N,) number of features of each photo."""
        return np.array([len(colors) for colors in self.colors])


@dataclass(frozen=True)
class Search:
    """A search for features and matches in `photos`, with these `settings`.

    `pixels` decodes a photo. No feature is taken where the photos are `excluded`. The database is written to `folder`,
    and so are the copies while they are searched. `report` receives the progress and may raise.
    """

    photos: Sequence[Photo]
    pixels: Pixels
    folder: Path
    settings: FeatureSettings
    report: ReportStage
    excluded: Excluded = nothing_excluded


def interruptible(call: Callable[[pycolmap.CancellationToken], Result], check: Check) -> Result:
    """The result of `call(token)`, which runs in a thread. Meanwhile `check()` is called ten times a second; if it
    raises, the token is cancelled, and the exception is raised once the call has ended.

    pycolmap's long calls release Python's lock, so this and other threads keep running.
    """
    token = pycolmap.CancellationToken()
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(call, token)
        try:
            while not wait([future], POLL).done:
                check()
        except BaseException:
            token.cancel()
            raise
        return future.result()


def read_verified(path: Path, photos: Sequence[Photo], sizes: Array, colors: Sequence[Array]) -> Matched:
    """The contents of the database `path`, whose pairs are matched and verified."""
    with pycolmap.Database.open(path) as database:
        ids, geometries = database.read_two_view_geometries()
    images = np.array([pycolmap.pair_id_to_image_pair(i) for i in ids], np.int64).reshape(-1, 2)
    inliers = np.array([len(geometry.inlier_matches) for geometry in geometries], np.int64)
    kinds = np.array([geometry.config for geometry in geometries], np.int64)
    return Matched(path, photos, sizes, colors, images - 1, inliers, kinds)


def without_pairs(matched: Matched, pairs: Set[tuple[int, int]]) -> Matched:
    """The matches without those of some `pairs` of photos, in a database of its own, in a folder beside the other."""
    folder = Path(tempfile.mkdtemp(dir=matched.path.parent))
    path = Path(shutil.copyfile(matched.path, folder / matched.path.name))
    with pycolmap.Database.open(path) as database:
        for i, j in pairs:
            database.delete_matches(i + 1, j + 1)
            database.delete_two_view_geometry(i + 1, j + 1)
    rest = np.array([tuple(pair) not in pairs for pair in matched.pairs.tolist()], bool)
    return replace(
        matched, path=path, pairs=matched.pairs[rest], inliers=matched.inliers[rest], kinds=matched.kinds[rest]
    )


def with_explained(
    matched: Matched,
    folder: Path,
    cameras: Iterable[pycolmap.Camera],
    pairs: Iterable[tuple[int, int]],
    explains: Callable[[tuple[int, int], FloatArray, FloatArray], BoolArray],
) -> Matched:
    """The matches with more verified ones of some `pairs`, and with the lenses of `cameras`, in a database in `folder`.

    Those are added for which `explains(pair, first, second)` is true, by their pixels (K, 2) in both copies. `inliers`
    still counts the others alone.
    """
    path = Path(shutil.copyfile(matched.path, folder / matched.path.name))
    with pycolmap.Database.open(path) as database:
        for camera in cameras:
            database.update_camera(camera)
        for i, j in pairs:
            raw, geometry = database.read_matches(i + 1, j + 1), database.read_two_view_geometry(i + 1, j + 1)
            first, second = (
                database.read_keypoints(photo + 1)[raw[:, side], :2].astype(np.float64)
                for side, photo in enumerate((i, j))
            )
            more = raw[explains((i, j), first, second)]
            geometry.inlier_matches = np.unique(np.concatenate([geometry.inlier_matches, more]), axis=0)
            database.update_two_view_geometry(i + 1, j + 1, geometry)
    return replace(matched, path=path)


def copy_name(index: int) -> str:
    """The name of photo `index` inside the database and of its grey copy on disk."""
    return f"{index:05d}.pgm"


def camera_of(photo: Photo, size: tuple[int, int], number: int) -> pycolmap.Camera:
    """pycolmap's camera `number` for a photo whose copy has this `size`, with what EXIF or the artist says of its
    lens."""
    width, height = size
    if photo.panorama:
        panorama = pycolmap.Camera.create_from_model_name(number, lens.PANORAMA, 1, width, height)
        panorama.has_prior_focal_length = True
        return panorama
    focal = GUESSED_FOCAL * max(width, height) if photo.focal is None else photo.focal * width / photo.width
    distortion, centre = photo.lens.distortion, photo.lens.centre
    model, terms = ("SIMPLE_RADIAL", (0.0,)) if distortion is None else _model(distortion)
    camera = pycolmap.Camera.create_from_model_name(number, model, focal, width, height)
    camera.has_prior_focal_length = photo.focal is not None
    if len(camera.focal_length_idxs()) == 2:
        camera.focal_length_y *= photo.lens.aspect
    if centre is not None:
        camera.principal_point_x = centre[0] * width / photo.width
        camera.principal_point_y = centre[1] * height / photo.height
    params = list(camera.params)
    for index, value in zip(camera.extra_params_idxs(), terms, strict=True):
        params[index] = value
    camera.params = params
    return camera


def _model(distortion: lens.Distortion) -> tuple[str, tuple[float, ...]]:
    """COLMAP's name and parameters for a distortion. BROWN with k4 = 0 is a case of its FULL_OPENCV; COLMAP has no
    model for other k4."""
    if distortion.model != "BROWN":
        return distortion.model, distortion.params
    k1, k2, k3, k4, p1, p2 = distortion.params
    assert k4 == 0, "COLMAP has no such lens"
    return FULL_BROWN, (k1, k2, p1, p2, k3, 0.0, 0.0, 0.0)


def distortion_of(camera: pycolmap.Camera) -> lens.Distortion:
    """The camera's lens model and its parameters, without focal length and centre."""
    if camera.is_spherical():
        return lens.Distortion(lens.PANORAMA)
    terms = tuple(float(camera.params[i]) for i in camera.extra_params_idxs())
    if camera.model_name == FULL_BROWN:
        k1, k2, p1, p2, k3 = terms[:5]
        return lens.Distortion("BROWN", (k1, k2, k3, 0.0, p1, p2))
    return lens.Distortion(camera.model_name, terms)


def write_grey(file: Path, picture: Array) -> None:
    """Writes a picture (H, W, 3) or (H, W) uint8 as a grey PGM file."""
    grey = picture if picture.ndim == 2 else np.rint(picture @ np.array([0.299, 0.587, 0.114])).astype(np.uint8)
    file.write_bytes(f"P5\n{grey.shape[1]} {grey.shape[0]}\n255\n".encode() + grey.tobytes())


def add_image(
    database: pycolmap.Database,
    index: int,
    photo: Photo,
    size: tuple[int, int],
    cameras: dict[object, int],
    settings: FeatureSettings,
) -> None:
    """Writes the image and frame of photo `index`, whose copy has this `size`. Unless an earlier photo has the same
    camera, writes its camera and rig too, and adds its number to `cameras`.

    pycolmap's `extract_features` would write them, but its threads number them in a different order each time.
    """
    kind = (photo.width, photo.height, photo.focal, photo.panorama, photo.lens) if settings.shared_intrinsics else index
    if kind not in cameras:
        cameras[kind] = len(cameras) + 1
        camera = camera_of(photo, size, cameras[kind])
        database.write_camera(camera, use_camera_id=True)
        rig = pycolmap.Rig(rig_id=cameras[kind])
        rig.add_ref_sensor(camera.sensor_id)
        database.write_rig(rig, use_rig_id=True)
    image = pycolmap.Image(name=copy_name(index), camera_id=cameras[kind], image_id=index + 1)
    image.frame_id = index + 1
    frame = pycolmap.Frame(frame_id=index + 1, rig_id=cameras[kind])
    frame.add_data_id(image.data_id)
    database.write_frame(frame, use_frame_id=True)
    database.write_image(image, use_image_id=True)
