"""[R] Whether lenses and models are plausible: limits, faults that refuse a model, and warnings about one.

Pixels are those of the copies, see `features`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from ...model import lens
from ...model.arrays import FloatArray
from ...model.reconstruction import Photo
from ..colmap import pycolmap
from ..features.database import distortion_of

# Range of the field of view over the longer side, in degrees, of a lens that is no fisheye, where EXIF tells no focal
# length.
FIELD_OF_VIEW = (2.0, 120.0)
# Range of the focal length over the longer side of most cameras. Others are believed if ENOUGH_POINTS points are each
# seen in three or more photos.
USUAL_FOCAL = (0.4, 2.5)
ENOUGH_POINTS = 500
FOCAL_FROM_PRIOR = 1.6  # largest factor between the solved focal length and the one in EXIF
# Share by which a lens moves a corner of the picture outwards. Zoom lenses reach 0.03, wrong solves 0.09 and more.
UNUSUAL_PINCUSHION, ABSURD_PINCUSHION = 0.06, 0.3
# Mean reprojection errors of a model, px. Most have 0.2 to 0.8.
UNUSUAL_ERROR, LARGEST_ERROR = 1.25, 2.5
USUAL_ERROR = 0.5
# The error above which other lenses are tried: where EXIF lacks the focal length of a photo, and where it has all.
DOUBTFUL_ERROR, DOUBTFUL_ERROR_OF_KNOWN_LENSES = 0.6, 1.0
STRONG_DISTORTION = 0.2  # share by which a lens moves a corner inwards; an ordinary one moves it less, a fisheye more
FEW_REGISTERED = 0.5  # share of the photos; a model with fewer carries a warning
FEW_PHOTOS = 4  # up to this number, the warning is left out: the unregistered photos are named anyway

FISHEYES = frozenset({"OPENCV_FISHEYE"})
FISHEYE_VIEW = (40.0, 200.0)  # degrees over the longer side that a fisheye has

FAR_FROM_PRIOR = "focal length far from the photo's own"
NO_SUCH_VIEW = "field of view that no lens has"
UNUSUAL_LENS = "unusual focal length"
NO_SUCH_DISTORTION = "distortion that no lens has"
LENS_FAULTS = frozenset({FAR_FROM_PRIOR, NO_SUCH_VIEW, UNUSUAL_LENS, NO_SUCH_DISTORTION})


# ----------------------------------------------------------------------------------------------- faults
def lens_fault(camera: pycolmap.Camera, photo: Photo, enough_points: bool) -> str:
    """Why the solved lens of a camera is not believable, in a few words; empty where it is.

    `enough_points` says that the model has ENOUGH_POINTS points in three or more photos, so that an unusual focal
    length may be right.
    """
    if camera.is_spherical() or (photo.lens.holds_focal and photo.lens.holds_distortion):  # nothing is solved for
        return ""
    longer, focal = max(camera.width, camera.height), camera.mean_focal_length()
    if photo.focal is not None:
        factor = focal / (photo.focal * camera.width / photo.width)
        if not 1 / FOCAL_FROM_PRIOR < factor < FOCAL_FROM_PRIOR:
            return FAR_FROM_PRIOR
    elif camera.model_name in FISHEYES:
        if not FISHEYE_VIEW[0] < np.degrees(longer / focal) < FISHEYE_VIEW[1]:
            return NO_SUCH_VIEW
    else:
        if not FIELD_OF_VIEW[0] < _field_of_view(camera) < FIELD_OF_VIEW[1]:
            return NO_SUCH_VIEW
        if not USUAL_FOCAL[0] < focal / longer < USUAL_FOCAL[1] and not enough_points:
            return UNUSUAL_LENS
    if _fold(camera) < _inner_radius(camera) or _pincushion(camera) > ABSURD_PINCUSHION:
        return NO_SUCH_DISTORTION
    return ""


def pixels_per_radian(camera: pycolmap.Camera) -> float:
    """At the centre of the picture: the focal length, or the scale of a panorama."""
    return float(camera.width / (2 * np.pi) if camera.is_spherical() else camera.mean_focal_length())


def _field_of_view(camera: pycolmap.Camera) -> float:
    """The field of view over the longer side in degrees, without distortion."""
    return float(2 * np.degrees(np.arctan(max(camera.width, camera.height) / 2 / camera.mean_focal_length())))


def _fold(camera: pycolmap.Camera) -> float:
    """The radius in the picture, in focal lengths, beyond which the lens model is not valid."""
    model = distortion_of(camera)
    radius = lens.valid_radius(model)
    return float(lens.distort(model, np.array([radius, 0.0]))[0]) if np.isfinite(radius) else np.inf


def _inner_radius(camera: pycolmap.Camera) -> float:
    """The radius of the largest circle that fits in the picture, in focal lengths."""
    return float(min(camera.width, camera.height) / 2 / camera.mean_focal_length())


def _outer_radius(camera: pycolmap.Camera) -> float:
    """The distance of the farthest corner from the principal point, in focal lengths."""
    return float(np.linalg.norm(_corners(camera), axis=1).max())


def _corners(camera: pycolmap.Camera) -> FloatArray:
    """(4, 2) x and y of the corners from the principal point, in focal lengths."""
    corners = np.array([(x, y) for x in (0, camera.width) for y in (0, camera.height)], np.float64)
    centre = (camera.principal_point_x, camera.principal_point_y)
    return (corners - centre) / (camera.focal_length_x, camera.focal_length_y)


def is_strongly_distorted(camera: pycolmap.Camera) -> bool:
    """Whether a lens that is no fisheye is distorted like one, or its model is not valid at the corners."""
    if camera.model_name in FISHEYES or camera.is_spherical():
        return False
    return _pincushion(camera) < -STRONG_DISTORTION or _fold(camera) < _outer_radius(camera)


def _pincushion(camera: pycolmap.Camera) -> float:
    """The largest share by which the lens moves a corner outwards; negative where it moves all inwards."""
    if camera.model_name in FISHEYES:
        return 0.0
    distorted = _corners(camera)
    ideal = lens.undistort(distortion_of(camera), distorted)
    moved = np.linalg.norm(distorted, axis=1) / np.linalg.norm(ideal, axis=1) - 1
    return float(np.nanmax(moved)) if np.isfinite(moved).any() else 0.0


# ----------------------------------------------------------------------------------------------- warnings
def warnings(cameras: Mapping[str, pycolmap.Camera], error: float, count: int) -> list[str]:
    """Sentences about the doubtful parts of a solution, the worst first.

    `cameras` are those of the registered photos by name, `error` is their mean reprojection error in px, and `count`
    the number of all photos.
    """
    sentences = []
    if count > FEW_PHOTOS and len(cameras) < FEW_REGISTERED * count:
        sentences.append(
            f"Only {len(cameras)} of {count} photos have cameras. So few may be arranged wrongly: look through them "
            "before you build on them, and add photos between the others."
        )
    if error > UNUSUAL_ERROR:
        sentences.append(
            f"The reprojection error is {error / USUAL_ERROR:.0f} times the usual: the cameras are not exact. The lens "
            "may have changed between the photos, or things moved."
        )
    cameras = {name: camera for name, camera in cameras.items() if not camera.is_spherical()}
    folded = [name for name, camera in cameras.items() if _fold(camera) < _outer_radius(camera)]
    if folded:
        sentences.append(
            f"The solved lens does not reach the corners of {names(folded)}: these stay black where the distortion "
            "is removed, and nothing there is measured."
        )
    strong = [name for name, camera in cameras.items() if _pincushion(camera) > UNUSUAL_PINCUSHION]
    if strong:
        sentences.append(
            f"The solved lens of {names(strong)} is distorted as hardly any lens is: its focal length may be wrong. "
            "Enter the focal length where it is known, or give each photo its own lens where you zoomed."
        )
    return sentences


def names(photos: Iterable[str]) -> str:
    """The photos' names inside a sentence, at most three of them."""
    listed: Sequence[str] = list(photos)
    return ", ".join(listed) if len(listed) <= 3 else f"{', '.join(listed[:2])} and {len(listed) - 2} more"
