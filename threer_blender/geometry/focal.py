"""[R] The focal length that a pointmap implies. numpy only."""

from __future__ import annotations

import numpy as np

from ..model.arrays import Array

ITERATIONS = 100  # at most; it converges in far fewer
CONVERGED = 1e-9  # relative change of the focal length


def focal_from_points(points: Array, confidence: Array, principal_point: tuple[float, float]) -> float:
    """The focal length in pixels with which a pinhole camera projects its own pointmap best (DUSt3R, section 3.3):

        f* = argmin_f  sum_ij C_ij || (i', j') - f (X_ij0, X_ij1) / X_ij2 ||,

    where (i', j') is a pixel relative to the principal point. `points` X (H, W, 3) are in the camera's frame,
    `confidence` C is (H, W), and `principal_point` is x, y in pixels, the top-left pixel's centre being (0.5, 0.5).

    Weiszfeld's algorithm minimises the sum: least squares, repeated, with each pixel weighted by the inverse of its
    error. Points that are not finite, not in front of the camera, or without confidence are ignored. Raises ValueError
    where no point is left, all are on the camera's axis, or the pointmap is mirrored.
    """
    height, width = confidence.shape
    x, y = np.arange(width) + 0.5 - principal_point[0], np.arange(height) + 0.5 - principal_point[1]
    pixels = np.stack(np.meshgrid(x, y), axis=-1)
    points = np.asarray(points, np.float64)
    usable = np.isfinite(points).all(axis=-1) & (points[..., 2] > 0) & (confidence > 0)
    if not usable.any():
        raise ValueError("no point lies before the camera")
    pixels, points, weights = pixels[usable], points[usable], np.asarray(confidence, np.float64)[usable]
    slopes = points[:, :2] / points[:, 2:]
    pixels_by_slopes, slopes_by_slopes = (pixels * slopes).sum(axis=1), (slopes * slopes).sum(axis=1)
    if not slopes_by_slopes.any():
        raise ValueError("all points lie on the camera's axis")
    focal = float((weights * pixels_by_slopes).sum() / (weights * slopes_by_slopes).sum())
    for _ in range(ITERATIONS):
        off = pixels - focal * slopes
        irls_weights = weights / np.maximum(np.hypot(off[:, 0], off[:, 1]), 1e-8)
        before, focal = focal, float((irls_weights * pixels_by_slopes).sum() / (irls_weights * slopes_by_slopes).sum())
        if abs(focal - before) < CONVERGED * abs(focal):
            break
    if focal <= 0:
        raise ValueError("no camera sees these points where they are")
    return focal
