"""[S] The cameras of a result as tracks: a shot's with a camera for each frame, a photo's with one. No distortion."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np

from ..lenses.film_back import FilmBack
from ..model.arrays import FloatArray
from ..model.lens import NO_DISTORTION
from ..model.reconstruction import Camera, Reconstruction

STILL_RATE = Fraction(24)  # frames a second, where there are only photos
EVEN = ("XYZ", "YZX", "ZXY")  # the orders of axes that are even permutations: a sign in `angles` depends on it


@dataclass(frozen=True)
class Track:
    """A camera for each frame, by frame number in ascending order. A photo's track has one frame.

    `name` is the photo's or the shot's. `sensor_width` is in mm along the picture's width, None where it is unknown.
    """

    name: str
    cameras: dict[int, Camera]
    frame_rate: Fraction = STILL_RATE
    sensor_width: float | None = None

    @property
    def first(self) -> Camera:
        """The camera of the first frame. All frames have its size."""
        return next(iter(self.cameras.values()))

    def film_back(self, number: int) -> FilmBack:
        """The film back at a frame. It is equally wide at all frames, so that a zoom changes the focal length."""
        return FilmBack.of(self.cameras[number], self.sensor_width or FilmBack.of(self.first).width)


def tracks(reconstruction: Reconstruction, first_frame: int | None = None) -> list[Track]:
    """The tracks of all shots, then those of the photos that are no frames of a shot, without panoramas.

    With `first_frame`, all begin at that frame.
    """
    filmed = []
    for shot in reconstruction.shots:
        offset = 0 if first_frame is None else first_frame - shot.first_frame
        photo = next(photo for photo in reconstruction.photos if photo.path == shot.path)
        cameras = {number + offset: _ideal(shot.plate_camera(number)) for number in sorted(shot.cameras)}
        filmed.append(Track(shot.video, cameras, shot.frame_rate, photo.sensor_width))
    shot_paths = {shot.path for shot in reconstruction.shots}
    stills = []
    for photo in reconstruction.photos:
        camera = reconstruction.camera(photo.name)
        if camera is not None and photo.path not in shot_paths and not camera.distortion.is_panorama:
            stills.append(Track(photo.name, {first_frame or 1: _ideal(camera)}, sensor_width=photo.sensor_width))
    return [*filmed, *stills]


def _ideal(camera: Camera) -> Camera:
    """The camera without distortion."""
    return replace(camera, distortion=NO_DISTORTION)


def identifier(number: int, name: str) -> str:
    """A name that every program accepts: ASCII letters, digits and underscores, with the place in the list, from 1."""
    return f"camera{number:04d}_{re.sub(r'[^A-Za-z0-9]+', '_', name).strip('_')[:40]}"


def angles(rotations: FloatArray, order: str) -> FloatArray:
    """(N, 3) Euler angles in degrees of rotations (N, 3, 3), in the order of `order`, the outermost axis first.

    "YXZ" stands for R = Ry Rx Rz. Neighbouring angles never differ by more than 180 degrees.
    """
    # With R = Ri(outer) Rj(middle) Rk(inner), R[i, k] is sin(middle), or -sin(middle) where the order is not even.
    i, j, k = ("XYZ".index(axis) for axis in order)
    sign = 1.0 if order in EVEN else -1.0
    sine = np.clip(sign * rotations[:, i, k], -1, 1)
    locked = np.abs(sine) > 1 - 1e-12  # gimbal lock, where the outer and the inner axis agree: the outer gets the angle
    outer = np.arctan2(-sign * rotations[:, j, k], rotations[:, k, k])
    inner = np.arctan2(-sign * rotations[:, i, j], rotations[:, i, i])
    outer = np.where(locked, np.arctan2(sign * rotations[:, k, j], rotations[:, j, j]), outer)
    inner = np.where(locked, 0.0, inner)
    degrees: FloatArray = np.degrees(np.unwrap(np.stack([outer, np.arcsin(sine), inner], axis=1), axis=0))
    return degrees
