"""[R] SIFT features of panoramas: those of their pinhole views, in the panorama's own pixels. pycolmap.

Features of the panorama itself would be distorted. COLMAP still solves a panorama as one camera, of its model
EQUIRECTANGULAR, which has the same rays as a rig of the views.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np

from ...model import lens
from ...model.arrays import Array, BoolArray
from ...model.engine import Check
from .. import panoramas
from ..colmap import pycolmap
from .database import copy_name, interruptible, write_grey

PHOTO_OVER_VIEW = 3  # a view gets at most a third of the features of a photo


def find(
    picture: Array,
    excluded: BoolArray | None,
    folder: Path,
    options: pycolmap.FeatureExtractionOptions,
    check: Check,
) -> tuple[Array, Array]:
    """Keypoints (K, 4 or 6) of the panorama `picture` (H, W, 3), x and y in its pixels first, and descriptors (K, 128)
    uint8.

    Only their places are in pixels of the panorama; their shapes stay those in the views. None lies where `excluded`
    (H, W) is true. The views are written to `folder` and removed again. `check()` is called now and then and may raise.
    """
    height, width = picture.shape[:2]
    keypoints, descriptors = [], []
    with tempfile.TemporaryDirectory(dir=folder) as name:
        views = Path(name)
        for view in range(len(panoramas.VIEWS)):
            check()
            write_grey(views / copy_name(view), panoramas.cut(picture, view))
        for view, (points, described) in enumerate(_extracted(views, options, check)):
            in_panorama = panoramas.from_view(view, points[:, :2], width, height)
            angles = (in_panorama - (width / 2, height / 2)) / (panoramas.focal(width), height / np.pi)
            mine = panoramas.nearest_view(lens.panorama_directions(angles)) == view
            points[:, :2] = in_panorama
            keypoints.append(points[mine])
            descriptors.append(described[mine])
    all_keypoints, all_descriptors = np.concatenate(keypoints), np.concatenate(descriptors)
    if excluded is not None:
        columns, rows = all_keypoints[:, :2].astype(int).T
        free = ~excluded[rows.clip(0, height - 1), columns.clip(0, width - 1)]
        all_keypoints, all_descriptors = all_keypoints[free], all_descriptors[free]
    return all_keypoints, all_descriptors


def _extracted(views: Path, options: pycolmap.FeatureExtractionOptions, check: Check) -> list[tuple[Array, Array]]:
    """Keypoints and descriptors of each view, from its picture in the folder `views`."""
    path, most = views / "views.db", options.sift.max_num_features
    names = [copy_name(view) for view in range(len(panoramas.VIEWS))]
    options.sift.max_num_features = most // PHOTO_OVER_VIEW
    with pycolmap.Database.open(path):
        pass
    interruptible(
        lambda token: pycolmap.extract_features(
            path, views, image_names=names, extraction_options=options, cancellation_token=token
        ),
        check,
    )
    options.sift.max_num_features = most
    with pycolmap.Database.open(path) as database:
        numbers = {image.name: image.image_id for image in database.read_all_images()}
        return [
            (database.read_keypoints(n), database.read_descriptors(n).data) for n in map(numbers.__getitem__, names)
        ]
