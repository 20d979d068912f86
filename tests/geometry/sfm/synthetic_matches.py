"""Photos of points that a camera took, with their matches in a database: a quarter of a pixel of noise, no pictures."""

from pathlib import Path

import numpy as np
import pycolmap

from threer_blender.geometry.features.database import FeatureSettings, Matched, add_image, read_verified
from threer_blender.model.arrays import Array
from threer_blender.model.engine import Stage
from threer_blender.model.reconstruction import Photo

WIDTH, HEIGHT = 1024, 768
DISTANCE = 3.5  # of the cameras from the middle of the scene
FOCAL = 900.0
SETTINGS = FeatureSettings(long_side=WIDTH, features=400)


def silent(stage: Stage, done: float, total: float) -> None:
    """A report that nobody reads."""


def synthetic(
    folder: Path,
    model: str,
    params: list[float],
    zooms: Array,
    extent: tuple[float, float, float],
    count: int = 400,
    seed: int = 0,
) -> tuple[Matched, list[Array]]:
    """Photos that one camera took from an arc, each picture enlarged about its centre, and the true rotations.

    `extent` is half the size of the scene, `count` its points. The database knows nothing of the lens.
    """
    photo_count = len(zooms)
    path, random, centre = folder / "database.db", np.random.default_rng(seed), np.array([WIDTH / 2, HEIGHT / 2])
    photos = [Photo(f"{number}.png", "", WIDTH, HEIGHT, "") for number in range(photo_count)]
    lens = pycolmap.Camera(model=model, width=WIDTH, height=HEIGHT, params=params, camera_id=1)
    points = random.uniform(-1, 1, (count, 3)) * extent
    rotations, pixels = [], []
    for number, zoom in enumerate(zooms):
        angle = np.radians(12 * (number - (photo_count - 1) / 2))
        sine, cosine = np.sin(angle), np.cos(angle)
        rotations.append(np.array([[cosine, 0, sine], [0, 1, 0], [-sine, 0, cosine]]))
        local = points @ rotations[-1].T + (0.3 * np.sin(2.1 * number), 0.3 * np.cos(1.7 * number), DISTANCE)
        distorted = lens.img_from_cam(local)
        pixels.append((distorted - centre) * zoom + centre + random.normal(0, 0.25, distorted.shape))
    with pycolmap.Database.open(path) as database:
        cameras: dict[object, int] = {}
        for index, photo in enumerate(photos):
            add_image(database, index, photo, (WIDTH, HEIGHT), cameras, SETTINGS)
            database.write_keypoints(index + 1, pixels[index].astype(np.float32))
        guessed_lens, every = database.read_camera(1), np.arange(count)
        options = pycolmap.TwoViewGeometryOptions()
        options.ransac.random_seed = 0
        for i in range(photo_count):
            for j in range(i + 1, photo_count):
                inside = every[(_inside(pixels[i]) & _inside(pixels[j]))]
                matches = np.stack([inside, inside], axis=1).astype(np.uint32)
                geometry = pycolmap.estimate_two_view_geometry(
                    guessed_lens, pixels[i], guessed_lens, pixels[j], matches, options
                )
                database.write_matches(i + 1, j + 1, matches)
                database.write_two_view_geometry(i + 1, j + 1, geometry)
    return read_verified(
        path, photos, np.full((photo_count, 2), (WIDTH, HEIGHT)), [np.zeros((count, 3))] * photo_count
    ), rotations


def _inside(pixels: Array) -> Array:
    inside: Array = ((pixels > 0) & (pixels < (WIDTH, HEIGHT))).all(axis=1)
    return inside
