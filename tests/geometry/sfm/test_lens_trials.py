"""Trials of other lenses: a model improves with the lens that took its photos, and the model itself stays as it is."""

import numpy as np
import pycolmap
import pytest

from tests.geometry.sfm.synthetic_models import five_photos
from threer_blender.geometry.sfm import lens_trials

ZOOMS = {1: 1.0, 2: 1.1, 3: 1.0, 4: 0.9, 5: 1.05}


def error(reconstruction: pycolmap.Reconstruction) -> float:
    reconstruction.update_point_3d_errors()
    return float(reconstruction.compute_mean_reprojection_error())


def test_photos_of_a_zoom_get_their_focal_lengths() -> None:
    zoomed = five_photos(100)
    (camera,) = zoomed.cameras.values()
    centre = np.array([camera.principal_point_x, camera.principal_point_y])
    for image in zoomed.images.values():
        for point in image.points2D:
            point.xy = centre + ZOOMS[image.image_id] * (point.xy - centre)
    before, focal = error(zoomed), camera.mean_focal_length()
    trial = lens_trials.tried(zoomed, lens_trials.one_each)
    assert error(trial) < 0.1 * before
    focals = np.array([trial.camera(number).mean_focal_length() for number in sorted(ZOOMS)])
    assert focals / focals[0] == pytest.approx([ZOOMS[number] for number in sorted(ZOOMS)], rel=0.01)
    assert [each.mean_focal_length() for each in zoomed.cameras.values()] == [focal]


def test_a_fisheye_begins_as_the_ordinary_lens_that_it_replaces() -> None:
    ordinary = pycolmap.Camera.create_from_model_name(1, "SIMPLE_RADIAL", 900.0, 1024, 768)
    ordinary.params = [900.0, 512.0, 384.0, -0.1]
    wide = lens_trials.fisheye(ordinary, 1)
    rays = np.array([[0.05, 0.0], [0.0, 0.1], [0.15, -0.1]])  # up to ten degrees off the axis
    local = np.column_stack([rays, np.ones(3)])
    assert wide.model_name == "OPENCV_FISHEYE"
    assert wide.img_from_cam(local) == pytest.approx(ordinary.img_from_cam(local), abs=0.1)


def test_a_panorama_stays_one() -> None:
    panorama = pycolmap.Camera.create_from_model_name(1, "EQUIRECTANGULAR", 1, 1024, 512)
    assert lens_trials.fisheye(panorama, 1).is_spherical()
