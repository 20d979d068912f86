"""[R] Trials of other lenses: a finished model is adjusted with them, in a small part of the time of a new mapping."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from ..colmap import pycolmap
from .lens_starts import FISHEYE
from .model_adjustment import LensFreedom, adjust, posed_images

ROUNDS = 10  # of the adjustment; the errors hardly change after three

# relensed(camera, image number) -> the camera of this image in the trial
Relensed: TypeAlias = Callable[[pycolmap.Camera, int], pycolmap.Camera]


def tried(model: pycolmap.Reconstruction, relensed: Relensed) -> pycolmap.Reconstruction:
    """The model's photos and points, adjusted with other cameras. The model itself stays as it is."""
    trial = pycolmap.Reconstruction()
    for image in model.images.values():
        if not image.has_pose:
            continue
        camera = relensed(model.camera(image.camera_id), image.image_id)
        if not trial.exists_camera(camera.camera_id):
            trial.add_camera_with_trivial_rig(camera)
        copy = pycolmap.Image(name=image.name, camera_id=camera.camera_id, image_id=image.image_id)
        copy.points2D = [pycolmap.Point2D(point.xy) for point in image.points2D]
        trial.add_image_with_trivial_frame(copy, image.cam_from_world())
    for point in model.points3D.values():
        trial.add_point3D(point.xyz, point.track, point.color)
    config = posed_images(trial)
    config.fix_gauge(pycolmap.BundleAdjustmentGauge.TWO_CAMS_FROM_WORLD)
    adjust(trial, config, LensFreedom(focal=True, centre=False, distortion=True), ROUNDS)
    return trial


def one_each(camera: pycolmap.Camera, image: int) -> pycolmap.Camera:
    """A camera of its own for each image."""
    copy = pycolmap.Camera(camera.todict())
    copy.camera_id = image
    return copy


def fisheye(camera: pycolmap.Camera, _image: int) -> pycolmap.Camera:
    """The fisheye (Kannala & Brandt 2006) that is most like an ordinary lens; the camera itself if it is a panorama's.

    In focal lengths, an ordinary lens shows the angle a at tan a + k1 tan³ a, which is a + (1/3 + k1) a³ + …
    """
    if camera.is_spherical():
        return pycolmap.Camera(camera.todict())
    size, focal = (camera.width, camera.height), camera.mean_focal_length()
    wide = pycolmap.Camera.create_from_model_name(camera.camera_id, FISHEYE, focal, *size)
    wide.has_prior_focal_length = camera.has_prior_focal_length
    terms, params = camera.extra_params_idxs(), list(wide.params)
    params[wide.extra_params_idxs()[0]] = 1 / 3 + (camera.params[terms[0]] if terms else 0.0)
    wide.params = params
    return wide
