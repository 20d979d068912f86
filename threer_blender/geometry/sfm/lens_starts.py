"""[R] The lenses from which a mapping starts: copies of the database of matches with other cameras."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

from ..colmap import pycolmap
from ..features.database import SEED, Matched

FISHEYE = "OPENCV_FISHEYE"
FISHEYE_FOCAL = 0.4  # times the longer side, where EXIF tells no focal length: 143 degrees over that side


def as_matched(matched: Matched) -> Path:
    """The database of matches itself, with its own lenses."""
    return matched.path


def calibrated(matched: Matched) -> Path:
    """A database with focal lengths from the view graph (Sweeney et al. 2015), where EXIF tells none."""
    return _copy(matched, "calibrated.db", _calibrate)


def one_each(matched: Matched) -> Path:
    """A database in which each photo has a camera of its own."""
    return _copy(matched, "one_each.db", _separate)


def fisheyes(matched: Matched) -> Path:
    """A database in which every lens is a fisheye (Kannala & Brandt 2006), except those of panoramas."""
    return _copy(matched, "fisheyes.db", _widen)


def _copy(matched: Matched, name: str, change: Callable[[Path], None]) -> Path:
    """The copy of the database of this name, made and changed at the first call."""
    path = matched.path.with_name(name)
    if not path.exists():
        shutil.copyfile(matched.path, path)
        change(path)
    return path


def _calibrate(path: Path) -> None:
    """Sets the focal lengths that the view graph determines."""
    options = pycolmap.ViewGraphCalibrationOptions()
    options.random_seed = SEED
    pycolmap.calibrate_view_graph(path, options)


def _separate(path: Path) -> None:
    """Gives each image after the first of a camera a camera and a rig of its own."""
    with pycolmap.Database.open(path) as database:
        unused = 1 + max(camera.camera_id for camera in database.read_all_cameras())
        taken: set[int] = set()
        for image in database.read_all_images():
            if image.camera_id not in taken:
                taken.add(image.camera_id)
                continue
            camera = database.read_camera(image.camera_id)
            camera.camera_id = image.camera_id = unused
            database.write_camera(camera, use_camera_id=True)
            rig = pycolmap.Rig(rig_id=unused)
            rig.add_ref_sensor(camera.sensor_id)
            database.write_rig(rig, use_rig_id=True)
            frame = pycolmap.Frame(frame_id=image.frame_id, rig_id=unused)
            frame.add_data_id(image.data_id)
            database.update_frame(frame)
            database.update_image(image)
            unused += 1


def _widen(path: Path) -> None:
    """Replaces all cameras but panoramas by fisheyes."""
    with pycolmap.Database.open(path) as database:
        for camera in database.read_all_cameras():
            if camera.is_spherical():
                continue
            focal = FISHEYE_FOCAL * max(camera.width, camera.height)
            if camera.has_prior_focal_length:
                focal = camera.mean_focal_length()
            size = camera.width, camera.height
            wide = pycolmap.Camera.create_from_model_name(camera.camera_id, FISHEYE, focal, *size)
            wide.has_prior_focal_length = camera.has_prior_focal_length
            database.update_camera(wide)
