"""[R] How well the photos determine a lens: the covariance of its focal length and distortion in the bundle adjustment.

Förstner & Wrobel 2016, Photogrammetric Computer Vision, 4.2: the inverse of the normal equations, the poses and points
eliminated.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...model.arrays import FloatArray
from ..colmap import pycolmap

USUAL_DISTORTION = 0.1  # standard deviation of the first distortion parameter over lenses
CERTAIN_DISTORTION = 0.02  # standard deviation up to which photos determine it
UNCERTAIN_FOCAL = 0.05  # two standard deviations of a focal length, as a share of it, from which this is worth saying
MEAN_TO_DEVIATION = 0.8  # a mean distance in the plane -> the standard deviation along one axis, of normal errors
MOST_PHOTOS = 40  # more of them determine the lens that they share


@dataclass(frozen=True)
class LensDeviations:
    """Standard deviations of a lens: of its focal length, as a share of it, and of its first distortion parameter.

    `distortion` is by the photos alone; `focal` also by the knowledge that lenses have USUAL_DISTORTION.
    """

    focal: float
    distortion: float


def lens_deviations(model: pycolmap.Reconstruction) -> dict[int, LensDeviations]:
    """By the numbers of the model's SIMPLE_RADIAL cameras; empty where they cannot be computed, or there are more than
    MOST_PHOTOS.

    The errors of the features are taken as independent.
    """
    registered = [image for image in model.images.values() if image.has_pose]
    simple = {image.camera_id for image in registered if model.camera(image.camera_id).model_name == "SIMPLE_RADIAL"}
    if len(registered) > MOST_PHOTOS or not simple:
        return {}
    config = pycolmap.BundleAdjustmentConfig()
    for image in registered:
        config.add_image(image.image_id)
    config.fix_gauge(pycolmap.BundleAdjustmentGauge.TWO_CAMS_FROM_WORLD)
    problem = pycolmap.create_default_ceres_bundle_adjuster(pycolmap.BundleAdjustmentOptions(), config, model)
    covariances = pycolmap.estimate_ba_covariance(pycolmap.BACovarianceOptions(), model, problem)
    if covariances is None:
        return {}
    variance = _error_variance(model, len(registered))
    by_camera = {number: covariances.get_other_params_cov(model.camera(number).params) for number in sorted(simple)}
    return {
        number: _deviations(covariance * variance, model.camera(number).mean_focal_length())
        for number, covariance in by_camera.items()
        if covariance is not None and np.linalg.matrix_rank(covariance) == 2
    }


def _error_variance(model: pycolmap.Reconstruction, photos: int) -> float:
    """px²: of a feature's error along one axis; the points and poses that were fitted to them made them smaller."""
    observed = 2 * model.compute_num_observations()
    free = max(1, observed - 3 * model.num_points3D() - 6 * photos)
    return float((MEAN_TO_DEVIATION * model.compute_mean_reprojection_error()) ** 2 * observed / free)


def _deviations(covariance: FloatArray, focal: float) -> LensDeviations:
    """`covariance` (2, 2) of the focal length in pixels and of the distortion."""
    with_prior = np.linalg.inv(np.linalg.inv(covariance) + np.diag([0.0, USUAL_DISTORTION**-2]))
    return LensDeviations(float(np.sqrt(with_prior[0, 0])) / focal, float(np.sqrt(covariance[1, 1])))


def tells_distortion(model: pycolmap.Reconstruction) -> bool:
    """Whether the photos determine the distortion of all their lenses."""
    deviations = lens_deviations(model)
    used = {image.camera_id for image in model.images.values() if image.has_pose}
    return deviations.keys() == used and all(each.distortion < CERTAIN_DISTORTION for each in deviations.values())
