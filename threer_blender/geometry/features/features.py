"""[R] Features of the photos, matches and their verification, by pycolmap into its database.

pycolmap never opens the artist's files, for which it is not made (EXIF rotation, HEIC, odd names, 200 megapixels). It
reads upright grey copies of at most `FeatureSettings.long_side` pixels, which are written, read and deleted a few at a
time. Features and mapping work in pixels of these copies; `mapping` converts to pixels of the photos in the end.

SIFT: Lowe 2004, as RootSIFT (Arandjelović & Zisserman 2012). Verification: Schönberger & Frahm 2016 (COLMAP), 4.1.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from ...model.arrays import Array, BoolArray
from ...model.engine import Check, ReportStage, Stage
from ...model.reconstruction import Photo
from .. import panoramas
from ..colmap import pycolmap
from ..pairs.appearance import small_picture
from . import panorama_features
from .database import (
    SEED,
    FeatureSettings,
    Matched,
    Search,
    add_image,
    copy_name,
    interruptible,
    read_verified,
    write_grey,
)
from .pair_selection import choose_pairs, coarsest_descriptors

FEATURES, MATCHES = Stage("features", "Finding features"), Stage("matches", "Matching photos")
# Pixels of the longer side. Where all copies searched at a time are smaller, they are doubled: they have few features.
SMALL_COPY = 800
SMALLEST_SIDE = 32  # pixels of the shorter side; SIFT finds nothing in smaller copies
MEMORY = 2.5e9  # bytes that the pyramids of photos searched at the same time may take
PYRAMID_BYTES = {-1: 280, 0: 110}  # by first octave: bytes that SIFT takes per pixel of a copy, as measured
MASKS = "masks"  # the folder of masks beside the copies
TILE = 16  # photos; a tile of 16 × 16 pairs is matched at a time; pycolmap indexes a photo's features anew in each tile


QUALITIES = {
    "preview": FeatureSettings(long_side=1000, features=4096, first_octave=0),
    "standard": FeatureSettings(long_side=1600, features=8192),
    "high": FeatureSettings(long_side=2400, features=12000),
}


def finer(settings: FeatureSettings, photos: Sequence[Photo]) -> FeatureSettings | None:
    """The same settings with all copies doubled, or None where the photos' copies already are."""
    single = settings.first_octave > -1 and any(max(photo.width, photo.height) >= SMALL_COPY for photo in photos)
    return replace(settings, first_octave=-1) if single else None


def extract_and_match(search: Search) -> Matched:
    """Features, matches and two-view geometry of all photos, in the folder's database.db. Raises what `search.report`
    raises."""
    photos, path = search.photos, search.folder / "database.db"
    sizes, colors, pictures = extract(search, path)
    pairs = choose_pairs(len(photos), search.settings, lambda: coarsest_descriptors(path, len(photos)))
    _match(path, pairs, search.report)
    return replace(read_verified(path, photos, sizes, colors), pictures=pictures)


def threads(settings: FeatureSettings) -> int:
    """The number of photos searched at a time: as many as the processor and MEMORY allow."""
    pyramid = PYRAMID_BYTES[settings.first_octave] * settings.long_side**2 * 3 / 4  # for a copy of 4:3
    return max(1, min(os.cpu_count() or 1, int(MEMORY / pyramid)))


def extract(search: Search, path: Path) -> tuple[Array, list[Array], list[Array]]:
    """Fills a new database's cameras, images, keypoints and descriptors; returns the copies' sizes (N, 2), and for each
    photo the colours (K, 3) uint8 sRGB of its keypoints and its `small_picture`. Raises what `search.report` raises."""
    photos, settings, report = search.photos, search.settings, search.report
    options = pycolmap.FeatureExtractionOptions()
    options.use_gpu = False
    options.num_threads = threads(settings)
    options.sift.max_num_features = settings.features
    options.sift.estimate_affine_shape = settings.affine
    cameras: dict[object, int] = {}
    sizes: list[tuple[int, int]] = []
    colors: list[Array] = []
    small_pictures: list[Array] = []
    for start in range(0, len(photos), options.num_threads):
        report(FEATURES, start, len(photos))
        chunk = photos[start : start + options.num_threads]
        with ThreadPoolExecutor(len(chunk)) as pool:
            pictures = list(pool.map(search.pixels, chunk, [_copy_side(photo, settings) for photo in chunk]))
        with pycolmap.Database.open(path) as database:
            for index, picture in enumerate(pictures, start):
                add_image(database, index, photos[index], (picture.shape[1], picture.shape[0]), cameras, settings)
        small = max(map(_searched_side, chunk, pictures)) < SMALL_COPY
        options.sift.first_octave = -1 if small else settings.first_octave
        masks = [
            search.excluded(photo, (picture.shape[1], picture.shape[0]))
            for photo, picture in zip(chunk, pictures, strict=True)
        ]
        check = partial(report, FEATURES, start, len(photos))
        flat = [index for index, photo in enumerate(chunk) if not photo.panorama]
        _find_features(path, {start + i: (pictures[i], masks[i]) for i in flat}, options, check)
        for index in sorted(set(range(len(chunk))) - set(flat)):
            _find_panorama(path, start + index, pictures[index], masks[index], options, check)
        with pycolmap.Database.open(path) as database:
            colors += [_keypoint_colors(database, index, picture) for index, picture in enumerate(pictures, start)]
        sizes += [(picture.shape[1], picture.shape[0]) for picture in pictures]
        small_pictures += [small_picture(picture) for picture in pictures]
    report(FEATURES, len(photos), len(photos))
    return np.array(sizes), colors, small_pictures


def _copy_side(photo: Photo, settings: FeatureSettings) -> int:
    """The longer side of a photo's copy; the views of a panorama are as large as the copies of photos."""
    return panoramas.width_for(settings.long_side) if photo.panorama else settings.long_side


def _searched_side(photo: Photo, picture: Array) -> int:
    """The longer side of what is searched for features: the copy, or the views of a panorama."""
    return panoramas.view_picture(picture.shape[1])[1][0] if photo.panorama else max(picture.shape)


def _find_features(
    path: Path,
    pictures: Mapping[int, tuple[Array, BoolArray | None]],
    options: pycolmap.FeatureExtractionOptions,
    check: Check,
) -> None:
    """Writes keypoints and descriptors of the `pictures`, each with its mask, by photo number. Their files are on disk
    only meanwhile."""
    large = {index: pair for index, pair in pictures.items() if min(pair[0].shape[:2]) >= SMALLEST_SIDE}
    reader = pycolmap.ImageReaderOptions()
    for index, (picture, mask) in large.items():
        write_grey(path.parent / copy_name(index), picture)
        if mask is not None:
            reader.mask_path = path.parent / MASKS
            reader.mask_path.mkdir(exist_ok=True)
            write_grey(_mask(path.parent, index), np.where(mask, 0, 255).astype(np.uint8))

    def run_pycolmap(token: pycolmap.CancellationToken) -> None:
        names = [copy_name(index) for index in large]
        pycolmap.extract_features(
            path,
            path.parent,
            image_names=names,
            reader_options=reader,
            extraction_options=options,
            cancellation_token=token,
        )

    if large:
        interruptible(run_pycolmap, check)
    for index in large:
        (path.parent / copy_name(index)).unlink()
        _mask(path.parent, index).unlink(missing_ok=True)


def _find_panorama(
    path: Path,
    index: int,
    picture: Array,
    excluded: BoolArray | None,
    options: pycolmap.FeatureExtractionOptions,
    check: Check,
) -> None:
    """Writes the keypoints and descriptors of a panorama."""
    keypoints, data = panorama_features.find(picture, excluded, path.parent, options, check)
    with pycolmap.Database.open(path) as database:
        database.write_keypoints(index + 1, keypoints)
        database.write_descriptors(index + 1, pycolmap.FeatureDescriptors(pycolmap.FeatureExtractorType.SIFT, data))


def _mask(folder: Path, index: int) -> Path:
    """The file in which pycolmap looks for the mask of a photo's copy. It recognises the format by the content, not by
    the name's ending."""
    return folder / MASKS / f"{copy_name(index)}.png"


def _keypoint_colors(database: pycolmap.Database, index: int, picture: Array) -> Array:
    """(K, 3) uint8 sRGB of the picture at its keypoints. Writes an empty list of features for a picture that has
    none."""
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


def _match(path: Path, pairs: Sequence[tuple[int, int]], report: ReportStage) -> None:
    """Matches and verifies the pairs, a tile of TILE × TILE photos at a time, so that few descriptors are in memory."""
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
