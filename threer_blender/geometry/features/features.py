"""[R] Features of the photos, which pairs to match, matches and their verification, by pycolmap into its database.

pycolmap never opens the artist's files (EXIF rotation, HEIC, odd names, 200 megapixels): it reads upright grey copies
of at most `Settings.long_side` pixels that are written, read and deleted a few at a time. All of the sparse stage works
in pixels of those copies; `mapping` scales to the photo in the end.

SIFT: Lowe 2004, as RootSIFT (Arandjelović & Zisserman 2012). Verification: Schönberger & Frahm 2016 (COLMAP), 4.1.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from functools import partial
from itertools import combinations
from pathlib import Path
from typing import TypeVar

import numpy as np
import pycolmap

from ...model.engine import ReportStage, Stage
from ...model.reconstruction import Array, Photo

# pixels(photo, long_side) -> (H, W, 3) uint8 sRGB, upright, the longer side at most long_side.
Pixels = Callable[[Photo, int], Array]
Result = TypeVar("Result")

FEATURES, MATCHES = Stage("features", "Finding features"), Stage("matches", "Matching photos")
SEED = 0  # every random choice starts here: the same photos give the same result
POLL = 0.1  # seconds between two looks at whether the user has cancelled
SMALL_COPY = 800  # pixels of the longer side; the few features of a smaller copy that is not doubled may mislead
SMALLEST_SIDE = 32  # pixels; SIFT finds nothing in less
GUESSED_FOCAL = 1.2  # times the longer side, where EXIF knows none: a start for the solver, as in COLMAP
MEMORY = 2.5e9  # bytes that the pyramids of photos searched together may take
PYRAMID_BYTES = {-1: 280, 0: 110}  # by first octave: what SIFT takes per pixel of a copy, measured
TILE = 4  # photos; a tile of 4 × 4 pairs is matched at a time
COARSEST = 400  # features that tell which photos look alike
NEXT_BY_NAME = 4  # photos that follow by name are matched in any case
RATIO = 0.8  # Lowe's


@dataclass(frozen=True)
class Settings:
    """How carefully to look.

    `long_side` pixels of the copies; `features` at most per photo; `first_octave` -1 doubles the copy first (copies
    smaller than SMALL_COPY are always doubled), which finds two to four times the features in four times the time;
    `affine` shapes (Mikolajczyk & Schmid 2004) match across larger changes of view for a little exactness; up to
    `exhaustive` photos each is matched with each, beyond that every photo with its `neighbours` most similar ones and
    the next few by name.
    """

    long_side: int
    features: int
    first_octave: int = -1
    affine: bool = True
    shared_intrinsics: bool = True
    exhaustive: int = 60
    neighbours: int = 30


QUALITIES = {
    "preview": Settings(long_side=1000, features=4096, first_octave=0),
    "standard": Settings(long_side=1600, features=8192),
    "high": Settings(long_side=2400, features=12000),
}


def finer(settings: Settings, photos: Sequence[Photo]) -> Settings | None:
    """The same with all copies doubled, or None where they already are."""
    single = settings.first_octave > -1 and any(max(photo.width, photo.height) >= SMALL_COPY for photo in photos)
    return replace(settings, first_octave=-1) if single else None


@dataclass(frozen=True)
class Matched:
    """The photos' features and verified matches. Photo i is image i + 1 of the database `path`.

    `sizes` (N, 2) width and height of the copies; `colors[i]` (K, 3) uint8 sRGB of the photo's keypoints; `pairs`
    (M, 2) photo indices and `inliers` (M,) their verified matches, `kinds` (M,) pycolmap.TwoViewGeometryConfiguration.
    """

    path: Path
    photos: Sequence[Photo]
    sizes: Array
    colors: Sequence[Array]
    pairs: Array
    inliers: Array
    kinds: Array

    @property
    def features(self) -> Array:
        """(N,) number of features of each photo."""
        return np.array([len(colors) for colors in self.colors])


def interruptible(call: Callable[[pycolmap.CancellationToken], Result], check: Callable[[], None]) -> Result:
    """`call(token)` in a thread, `check()` ten times a second meanwhile; what that raises cancels the token.

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


def extract_and_match(
    photos: Sequence[Photo], pixels: Pixels, folder: Path, settings: Settings, report: ReportStage
) -> Matched:
    """Features, matches and two-view geometry of all photos, in `folder`/database.db. Raises what `report` raises."""
    path = folder / "database.db"
    sizes, colors = extract(photos, pixels, path, settings, report)
    pairs = choose_pairs(len(photos), settings, lambda: coarsest_descriptors(path, len(photos)))
    _match(path, pairs, report)
    with pycolmap.Database.open(path) as database:
        database.clear_descriptors()
    return verified(path, photos, sizes, colors)


def verified(path: Path, photos: Sequence[Photo], sizes: Array, colors: Sequence[Array]) -> Matched:
    """What stands in the database once its pairs are matched and verified."""
    with pycolmap.Database.open(path) as database:
        ids, geometries = database.read_two_view_geometries()
    images = np.array([pycolmap.pair_id_to_image_pair(i) for i in ids], np.int64).reshape(-1, 2)
    inliers = np.array([len(geometry.inlier_matches) for geometry in geometries], np.int64)
    kinds = np.array([geometry.config for geometry in geometries], np.int64)
    return Matched(path, photos, sizes, colors, images - 1, inliers, kinds)


def copy_name(index: int) -> str:
    """The name of photo `index` inside the database and of its grey copy on disk."""
    return f"{index:05d}.pgm"


def threads(settings: Settings) -> int:
    """How many photos to search at a time: as many as the processor and MEMORY allow."""
    pyramid = PYRAMID_BYTES[settings.first_octave] * settings.long_side**2 * 3 / 4
    return max(1, min(os.cpu_count() or 1, int(MEMORY / pyramid)))


def extract(
    photos: Sequence[Photo], pixels: Pixels, path: Path, settings: Settings, report: ReportStage
) -> tuple[Array, list[Array]]:
    """Fills a new database's cameras, images, keypoints and descriptors; returns the copies' sizes and the keypoints'
    colours."""
    options = pycolmap.FeatureExtractionOptions()
    options.use_gpu = False
    options.num_threads = threads(settings)
    options.sift.max_num_features = settings.features
    options.sift.estimate_affine_shape = settings.affine
    cameras: dict[object, int] = {}
    sizes: list[tuple[int, int]] = []
    colors: list[Array] = []
    for start in range(0, len(photos), options.num_threads):
        report(FEATURES, start, len(photos))
        chunk = photos[start : start + options.num_threads]
        with ThreadPoolExecutor(len(chunk)) as pool:
            pictures = list(pool.map(pixels, chunk, [settings.long_side] * len(chunk)))
        with pycolmap.Database.open(path) as database:
            for index, picture in enumerate(pictures, start):
                add_image(database, index, photos[index], (picture.shape[1], picture.shape[0]), cameras, settings)
        small = max(max(picture.shape) for picture in pictures) < SMALL_COPY
        options.sift.first_octave = -1 if small else settings.first_octave
        _find_features(path, start, pictures, options, partial(report, FEATURES, start, len(photos)))
        with pycolmap.Database.open(path) as database:
            colors += [_keypoint_colors(database, index, picture) for index, picture in enumerate(pictures, start)]
        sizes += [(picture.shape[1], picture.shape[0]) for picture in pictures]
    report(FEATURES, len(photos), len(photos))
    return np.array(sizes), colors


def add_image(
    database: pycolmap.Database,
    index: int,
    photo: Photo,
    size: tuple[int, int],
    cameras: dict[object, int],
    settings: Settings,
) -> None:
    """Image, frame and, where no earlier photo has the same one, camera and rig of a photo; `size` of its copy.

    Written here and not by `extract_features`, whose threads would number them in a different order each time.
    """
    width, height = size
    same = (photo.width, photo.height, photo.focal) if settings.shared_intrinsics else index
    if same not in cameras:
        cameras[same] = len(cameras) + 1
        focal = GUESSED_FOCAL * max(width, height) if photo.focal is None else photo.focal * width / photo.width
        camera = pycolmap.Camera.create_from_model_name(cameras[same], "SIMPLE_RADIAL", focal, width, height)
        camera.has_prior_focal_length = photo.focal is not None
        database.write_camera(camera, use_camera_id=True)
        rig = pycolmap.Rig(rig_id=cameras[same])
        rig.add_ref_sensor(camera.sensor_id)
        database.write_rig(rig, use_rig_id=True)
    image = pycolmap.Image(name=copy_name(index), camera_id=cameras[same], image_id=index + 1)
    image.frame_id = index + 1
    frame = pycolmap.Frame(frame_id=index + 1, rig_id=cameras[same])
    frame.add_data_id(image.data_id)
    database.write_frame(frame, use_frame_id=True)
    database.write_image(image, use_image_id=True)


def _find_features(
    path: Path,
    start: int,
    pictures: Sequence[Array],
    options: pycolmap.FeatureExtractionOptions,
    check: Callable[[], None],
) -> None:
    """Keypoints and descriptors of photos `start`, `start` + 1, …, whose copies stand on disk only meanwhile."""
    large = [i for i, picture in enumerate(pictures, start) if min(picture.shape[:2]) >= SMALLEST_SIDE]
    for index in large:
        grey = np.rint(pictures[index - start] @ np.array([0.299, 0.587, 0.114])).astype(np.uint8)
        header = f"P5\n{grey.shape[1]} {grey.shape[0]}\n255\n".encode()
        (path.parent / copy_name(index)).write_bytes(header + grey.tobytes())

    def extract(token: pycolmap.CancellationToken) -> None:
        names = [copy_name(index) for index in large]
        pycolmap.extract_features(
            path, path.parent, image_names=names, extraction_options=options, cancellation_token=token
        )

    if large:
        interruptible(extract, check)
    for index in large:
        (path.parent / copy_name(index)).unlink()


def _keypoint_colors(database: pycolmap.Database, index: int, picture: Array) -> Array:
    """(K, 3) uint8 sRGB of the picture at its keypoints; a picture without any gets an empty entry of features."""
    if not database.exists_keypoints(index + 1):
        database.write_keypoints(index + 1, np.empty((0, 2), np.float32))
        empty = np.empty((0, 128), np.uint8)
        database.write_descriptors(index + 1, pycolmap.FeatureDescriptors(pycolmap.FeatureExtractorType.SIFT, empty))
    return colors_at(picture, database.read_keypoints(index + 1))


def colors_at(picture: Array, keypoints: Array) -> Array:
    """(K, 3) uint8 sRGB of the picture at `keypoints` (K, 2 or more), x and y first."""
    columns, rows = keypoints[:, :2].astype(int).T
    height, width = picture.shape[:2]
    colors: Array = picture[rows.clip(0, height - 1), columns.clip(0, width - 1)]
    return colors


def choose_pairs(count: int, settings: Settings, descriptors: Callable[[], Array]) -> list[tuple[int, int]]:
    """Pairs (i < j) of photo indices worth matching: all, or for many photos those that look alike.

    `descriptors()`, asked for many photos only, are (N, K, D) of a few features of each, of length 1 or zero.
    """
    if count <= settings.exhaustive:
        return list(combinations(range(count), 2))
    pairs = {(i, i + step) for step in range(1, NEXT_BY_NAME + 1) for i in range(count - step)}
    alike = similarity(descriptors())
    for i, others in enumerate(np.argsort(-alike, axis=1, kind="stable")[:, : settings.neighbours]):
        pairs |= {(min(i, int(j)), max(i, int(j))) for j in others if j != i and alike[i, j] > 0}
    return sorted(pairs)


def pair_count(count: int, settings: Settings) -> int:
    """At most how many pairs `choose_pairs` gives."""
    every = count * (count - 1) // 2
    return every if count <= settings.exhaustive else min(every, count * (settings.neighbours + NEXT_BY_NAME))


def coarsest_descriptors(path: Path, count: int) -> Array:
    """(N, COARSEST, 128) of the photos' coarsest features, zero where a photo has fewer."""
    descriptors = np.zeros((count, COARSEST, 128), np.float32)
    with pycolmap.Database.open(path) as database:
        for index in range(count):
            keypoints = database.read_keypoints(index + 1)
            if len(keypoints) == 0:
                continue
            area = np.abs(keypoints[:, 2] * keypoints[:, 5] - keypoints[:, 3] * keypoints[:, 4])
            coarsest = np.argsort(-area, kind="stable")[:COARSEST]
            chosen = database.read_descriptors(index + 1).data[coarsest].astype(np.float32)
            descriptors[index, : len(chosen)] = chosen / np.linalg.norm(chosen, axis=1, keepdims=True)
    return descriptors


def similarity(descriptors: Array) -> Array:
    """(N, N) how many of the descriptors (N, K, D) of two photos match, about a millisecond per pair.

    Quadratic like matching all, but a hundredth of its cost, and bounded in memory: two photos at a time.
    """
    count = len(descriptors)
    alike = np.zeros((count, count))
    for i in range(count - 1):
        for j in range(i + 1, count):
            alike[i, j] = alike[j, i] = _matches(descriptors[i] @ descriptors[j].T)
    return alike


def _matches(cosines: Array) -> int:
    """How many mutual nearest neighbours pass Lowe's ratio test in a (K, K) table of descriptor cosines."""
    if cosines.shape[1] < 2:
        return 0
    best = cosines.argmax(1)
    rows = np.arange(len(cosines))
    mutual = cosines.argmax(0)[best] == rows
    first = cosines[rows, best]
    second = np.partition(cosines, -2, axis=1)[:, -2]
    passes = np.arccos(first.clip(-1, 1)) < RATIO * np.arccos(second.clip(-1, 1))
    return int((mutual & passes & (first > 0)).sum())


def _match(path: Path, pairs: Sequence[tuple[int, int]], report: ReportStage) -> None:
    """Matches and verifies the pairs, a tile of nearby photos at a time so that few descriptors are in memory."""
    matching = pycolmap.FeatureMatchingOptions()
    matching.use_gpu = False
    verification = pycolmap.TwoViewGeometryOptions()
    verification.ransac.random_seed = SEED
    tiles: dict[tuple[int, int], list[tuple[int, int]]] = {}
    for i, j in pairs:
        tiles.setdefault((i // TILE, j // TILE), []).append((i, j))
    listing = path.with_name("pairs.txt")
    pairing = pycolmap.ImportedPairingOptions()
    pairing.match_list_path = listing
    done = 0
    for tile in tiles.values():
        listing.write_text("".join(f"{copy_name(i)} {copy_name(j)}\n" for i, j in tile))
        interruptible(
            lambda token: pycolmap.match_image_pairs(
                path,
                matching_options=matching,
                pairing_options=pairing,
                verification_options=verification,
                cancellation_token=token,
            ),
            partial(report, MATCHES, done, len(pairs)),
        )
        done += len(tile)
    listing.unlink(missing_ok=True)
    report(MATCHES, len(pairs), len(pairs))
