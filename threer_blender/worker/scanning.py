"""[R] Fits a result that stands in survey coordinates to a scan of the same place, which has these coordinates, too."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ..exchange.solves import reading
from ..geometry.clouds import scan_registration
from ..geometry.survey import SurveyFit
from ..model.arrays import Array, FloatArray
from ..model.errors import UserError, quoted
from ..model.reconstruction import Reconstruction

LEAST_SHARE = 0.2  # of the solve's points near the scan: with fewer it shows another place
LEAST_ACCURACY = 1e-3  # of the scan's longest side: survey points may agree better than that by chance
MOST_MOVED = 4.0  # times the accuracy of the survey points: a scan that moves them farther contradicts them
MOST_SCALE = 0.03  # share by which the scale may change: more is a surface that slides, as along a single wall


def check(options: Mapping[str, Any]) -> None:
    """Called before anything is solved. Raises UserError where there is a scan but no survey points to place it by."""
    if options.get("scan") and not (options.get("survey") and options.get("survey_pixels")):
        raise UserError(
            "A scan needs three or more points that you pick both in it and in the photos: give the survey lists, with "
            "the scan's coordinates, too."
        )


def refined(
    reconstruction: Reconstruction, options: Mapping[str, Any], fitted: SurveyFit, offset: FloatArray
) -> tuple[SurveyFit, list[str]]:
    """The fit `fitted` to the survey, refined by the scan that the options name, and sentences about the scan.

    Without a scan, or where the scan cannot be used, the fit is returned unchanged. `offset` (3,) is subtracted from
    the scan's coordinates. Raises UserError where the scan cannot be read.
    """
    path = str(options.get("scan", ""))
    if not path:
        return fitted, []
    scan = reading.read(Path(path)).points
    points = _points(reconstruction)
    if scan is None or not len(scan):
        raise UserError(f"{quoted(Path(path))} holds no points; choose a PLY, LAS, LAZ or E57 file.")
    name = quoted(Path(path).name)
    in_survey = scan.positions - offset
    rms = float(np.sqrt(np.mean(fitted.residuals[fitted.agrees] ** 2)))
    accuracy = max(rms, LEAST_ACCURACY * float(np.ptp(in_survey, axis=0).max()))
    fit = scan_registration.fit(points, in_survey, fitted.matrix, accuracy) if len(points) else None
    if fit is None or fit.share < LEAST_SHARE:
        return fitted, [f"The solve does not lie near the scan {name}, which was not used: check the survey points."]
    scale_change = float(np.cbrt(np.linalg.det(fit.matrix[:3, :3]) / np.linalg.det(fitted.matrix[:3, :3]))) - 1
    if abs(scale_change) > MOST_SCALE or fit.after > fit.before:
        return fitted, [
            f"The scan {name} was not used: what both show does not tell the scale ({scale_change:+.1%} from the "
            "survey points); add surfaces that face each other."
        ]
    new_from_old = fit.matrix @ np.linalg.inv(fitted.matrix)  # survey coordinates by the scan from those without it
    triangulated = fitted.triangulated @ new_from_old[:3, :3].T + new_from_old[:3, 3]
    moved = float(np.nanmedian(np.linalg.norm(triangulated - fitted.triangulated, axis=1)[fitted.agrees]))
    if moved > MOST_MOVED * accuracy:
        return fitted, [
            f"The scan {name} was not used: it would move the survey points by {moved:.4g} units, and they agree to "
            f"{rms:.4g}. Check the points, or whether the scan is of the same place."
        ]
    return replace(fitted, matrix=fit.matrix, triangulated=triangulated), [
        f"The solve is fitted to the scan {name}: {fit.share:.0%} of its points lie near it, at a median distance of "
        f"{fit.after:.4g} units ({fit.before:.4g} by the survey points alone); the scale changed by "
        f"{scale_change:+.2%}, survey points moved by {moved:.4g} units."
    ]


def _points(reconstruction: Reconstruction) -> Array:
    """(N, 3) the trusted points of the result; those that were tracked where it has no others."""
    cloud = reconstruction.cloud
    if cloud is not None and len(cloud):
        return cloud.positions[cloud.confidence >= reconstruction.trusted_confidence]
    tracked = [shot.tracks.positions for shot in reconstruction.shots if shot.tracks is not None]
    positions = np.concatenate([np.zeros((0, 3), np.float32), *tracked])
    finite: Array = positions[np.isfinite(positions).all(axis=1)]
    return finite
