"""Photos of two houses that look alike, each on ground of its own: features, descriptors and matches, no pictures.

The houses stand far apart. Three photos are taken of each, from the same places before it. Whatever is matched of both
houses makes one of them.
"""

from collections.abc import Sequence
from itertools import combinations
from pathlib import Path

import numpy as np
import pycolmap

from threer_blender.geometry.features.database import FeatureSettings, Matched, add_image, read_verified
from threer_blender.model.arrays import Array, FloatArray
from threer_blender.model.reconstruction import Photo

WIDTH, HEIGHT, FOCAL = 800, 600, 700.0
SETTINGS = FeatureSettings(long_side=WIDTH, features=400)
PHOTOS = 3  # of each house
HOUSE, GROUND, FEW_GROUND = 150, 90, 30  # features of each
DISTANCE = 40.0  # between the houses


def houses(
    folder: Path,
    same_ground: bool = False,
    matched_ground: bool = True,
    flat: bool = False,
    zooms: Sequence[float] | None = None,
) -> tuple[Matched, list[FloatArray]]:
    """The verified matches of six photos, three of each house, and their true camera_from_world (4, 4).

    Like features of both houses are matched. With `same_ground`, all six photos show one house; then no feature of its
    ground is matched between the first three and the others, unless `matched_ground`. A house that is `flat` is a
    front alone, and verified matches are of nothing else. `zooms` enlarge each picture about its centre;
    then nothing tells the focal lengths.
    """
    random = np.random.default_rng(0)
    house = random.uniform((-1.5, -1.2, -0.6), (1.5, 0.6, 0.6), (HOUSE, 3))
    ground = GROUND
    if flat:
        house[:, 2], ground = 0.0, FEW_GROUND
    grounds = [random.uniform((-1.8, 0.8, -0.8), (1.8, 1.6, -0.6), (ground, 3)) for _ in range(2)]
    descriptors = random.integers(0, 256, (HOUSE + 2 * ground, 128)) * (random.random((HOUSE + 2 * ground, 128)) < 0.3)
    poses, positions, kinds = [], [], []
    for number in range(2 * PHOTOS):
        side = 0 if same_ground else number // PHOTOS
        angle = np.radians(6 * (number % PHOTOS - 1) + 2 * (number // PHOTOS))
        pose = np.eye(4)
        pose[0, [0, 2]], pose[2, [0, 2]] = (np.cos(angle), np.sin(angle)), (-np.sin(angle), np.cos(angle))
        pose[:3, 3] = 0.2 * np.sin(number), 0.1, 5.0
        local = np.concatenate([house, grounds[side]]) @ pose[:3, :3].T + pose[:3, 3]
        zoom = 1.0 if zooms is None else zooms[number]
        positions.append(local[:, :2] / local[:, 2:] * FOCAL * zoom + (WIDTH / 2, HEIGHT / 2))
        kinds.append(np.append(np.arange(HOUSE), HOUSE + side * ground + np.arange(ground)))
        pose[:3, 3] -= pose[:3, :3] @ (DISTANCE * side, 0, 0)
        poses.append(pose)
    pixels = [place + random.normal(0, 0.25, place.shape) for place in positions]
    focal = FOCAL if zooms is None else None
    return _written(folder, pixels, kinds, descriptors, matched_ground, flat, focal), poses


def _written(
    folder: Path,
    pixels: list[FloatArray],
    kinds: list[Array],
    descriptors: Array,
    matched_ground: bool,
    flat: bool,
    focal: float | None,
) -> Matched:
    """The features of all photos in a database, and the matches of those that are of one kind."""
    photos = [Photo(f"{number}.png", "", WIDTH, HEIGHT, "", focal=focal) for number in range(len(pixels))]
    path, options = folder / "database.db", pycolmap.TwoViewGeometryOptions()
    options.ransac.random_seed = 0
    with pycolmap.Database.open(path) as database:
        cameras: dict[object, int] = {}
        for index, photo in enumerate(photos):
            add_image(database, index, photo, (WIDTH, HEIGHT), cameras, SETTINGS)
            database.write_keypoints(index + 1, pixels[index].astype(np.float32))
            data = descriptors[kinds[index]].astype(np.uint8)
            sift = pycolmap.FeatureDescriptors(pycolmap.FeatureExtractorType.SIFT, data)
            database.write_descriptors(index + 1, sift)
        lens = database.read_camera(1)
        for i, j in combinations(range(len(photos)), 2):
            same = np.flatnonzero(kinds[i] == kinds[j])
            if not matched_ground and i < PHOTOS <= j:
                same = same[same < HOUSE]
            matches = np.stack([same, same], axis=1).astype(np.uint32)
            verified = matches[same < HOUSE] if flat else matches
            geometry = pycolmap.estimate_two_view_geometry(lens, pixels[i], lens, pixels[j], verified, options)
            database.write_matches(i + 1, j + 1, matches)
            database.write_two_view_geometry(i + 1, j + 1, geometry)
    colors = [np.zeros((len(there), 3), np.uint8) for there in pixels]
    return read_verified(path, photos, np.full((len(photos), 2), (WIDTH, HEIGHT)), colors)
