"""[R] How well the photos determine a lens: the covariance of its focal length and distortion in the bundle adjustment.

It is the inverse of the normal equations' matrix, with poses and points eliminated (Förstner & Wrobel 2016,
Photogrammetric Computer Vision, 4.2).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...model.arrays import FloatArray
from ..colmap import pycolmap

USUAL_DISTORTION = 0.1  # standard deviation of the first distortion parameter over all lenses
CERTAIN_DISTORTION = 0.02  # standard deviation of it up to which the photos determine it
UNCERTAIN_FOCAL = 0.05  # two standard deviations of a focal length, as a share of it, above which a note is given
MEAN_TO_DEVIATION = 0.8  # for normal errors: the standard deviation along an axis over the mean distance in the plane
MOST_PHOTOS = 40  # more photos determine the lens that they share in any case


@dataclass(frozen=True)
class LensDeviations:
    """Standard deviations of a lens: of its focal length, as a share of it, and of its first distortion parameter.

    `distortion` follows from the photos alone; `focal` also from the prior that lenses have USUAL_DISTORTION.
    """

    focal: float
    distortion: float


def lens_deviations(model: pycolmap.Reconstruction) -> dict[int, LensDeviations]:
    """The deviations of the model's SIMPLE_RADIAL cameras, by camera number. Empty where they cannot be computed, or
    more than MOST_PHOTOS photos are registered.

    The errors of the features are assumed to be independent.
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
    """The variance in px² of a feature's error along one axis, from the mean reprojection error. It is corrected for
    the points and the poses of the `photos`, which were fitted to the features."""
    observed = 2 * model.compute_num_observations()
    free = max(1, observed - 3 * model.num_points3D() - 6 * photos)
    return float((MEAN_TO_DEVIATION * model.compute_mean_reprojection_error()) ** 2 * observed / free)


def _deviations(covariance: FloatArray, focal: float) -> LensDeviations:
    """The deviations by the `covariance` (2, 2) of the focal length in pixels and of the distortion."""
    with_prior = np.linalg.inv(np.linalg.inv(covariance) + np.diag([0.0, USUAL_DISTORTION**-2]))
    return LensDeviations(float(np.sqrt(with_prior[0, 0])) / focal, float(np.sqrt(covariance[1, 1])))


def tells_distortion(model: pycolmap.Reconstruction) -> bool:
    """Whether the photos determine the distortion of all their lenses, to CERTAIN_DISTORTION."""
    deviations = lens_deviations(model)
    used = {image.camera_id for image in model.images.values() if image.has_pose}
    return deviations.keys() == used and all(each.distortion < CERTAIN_DISTORTION for each in deviations.values())
