"""[R] Lenses that the artist knows: which parameters the solver may change, and where the photos contradict them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...model.reconstruction import Photo
from ..colmap import pycolmap
from . import uncertainty
from .model_adjustment import LensFreedom, adjust, posed_images

# The artist is told of a better focal length if it differs by the first share, and lowers the error by the second.
WRONG_FOCAL, WRONG_ERROR = 0.01, 0.05
FAR_FROM_START = 0.03  # share; the artist is told where the solved focal length differs more from the one at the start
ROUNDS = 30  # of the adjustment that looks for a better lens, at most


def freedom(photos: Sequence[Photo]) -> LensFreedom:
    """The parameters that the solver may change: those that no photo's lens holds."""
    return LensFreedom(
        focal=not any(photo.lens.holds_focal for photo in photos),
        centre=not any(photo.lens.holds_centre for photo in photos),
        distortion=not any(photo.lens.holds_distortion for photo in photos),
    )


def remarks(model: pycolmap.Reconstruction, photos: Sequence[Photo], scale: float) -> list[str]:
    """Sentences for the artist about known lenses that do not fit the registered photos.

    `scale` is the number of a photo's pixels per pixel of its copy.
    """
    free = freedom(photos)
    known = [photo.lens for photo in photos if photo.lens.focal is not None]
    if not known:
        return []
    if free.focal:
        return _far_from_start(model, photos)
    before = model.compute_mean_reprojection_error()
    preferred = _released(model, free)
    after = preferred.compute_mean_reprojection_error()
    change = _change(model, preferred)
    if abs(change) < WRONG_FOCAL or after > (1 - WRONG_ERROR) * before:
        return []
    return [
        f"{_named(known[0].name)} is held, but the photos prefer a focal length that is {_percent(change)}: then the "
        f"reprojection error falls from {before * scale:.2f} to {after * scale:.2f} px. Check the focal length and the "
        "sensor's width, or take it as a start only."
    ]


def _named(name: str) -> str:
    """The subject of a sentence about a known lens with this name, which may be empty."""
    return name or "The known focal length"


def _percent(change: float) -> str:
    """A change of a focal length, a share, as in "1.5% longer"."""
    return f"{abs(change):.1%} {'longer' if change > 0 else 'shorter'}"


def _far_from_start(model: pycolmap.Reconstruction, photos: Sequence[Photo]) -> list[str]:
    """Sentences about solved focal lengths that differ from those at the start; one for each lens."""
    sentences = {}
    for image in model.images.values():
        photo, camera = photos[image.image_id - 1], model.camera(image.camera_id)
        if not image.has_pose or photo.lens.focal is None:
            continue
        change = camera.mean_focal_length() / (photo.lens.focal * camera.width / photo.width) - 1
        if abs(change) > FAR_FROM_START:
            sentences[photo.lens] = (
                f"{_named(photo.lens.name)} was the start; the solved focal length is {_percent(change)}."
            )
    return list(sentences.values())


def _released(model: pycolmap.Reconstruction, free: LensFreedom) -> pycolmap.Reconstruction:
    """The model adjusted with free focal lengths, and free distortion where the photos determine it."""
    released = pycolmap.Reconstruction(model)
    config = posed_images(released)
    config.fix_gauge(pycolmap.BundleAdjustmentGauge.TWO_CAMS_FROM_WORLD)
    free_distortion = free.distortion and uncertainty.tells_distortion(released)
    adjust(released, config, LensFreedom(focal=True, centre=False, distortion=free_distortion), ROUNDS)
    released.update_point_3d_errors()
    return released


def _change(before: pycolmap.Reconstruction, after: pycolmap.Reconstruction) -> float:
    """The share by which the focal lengths grew, the median over the photos."""
    ratios = [
        after.camera(image.camera_id).mean_focal_length() / before.camera(image.camera_id).mean_focal_length()
        for image in before.images.values()
        if image.has_pose and not before.camera(image.camera_id).is_spherical()
    ]
    return float(np.median(ratios)) - 1
