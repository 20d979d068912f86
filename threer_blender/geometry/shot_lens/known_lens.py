"""[R] An artist's knowledge of a shot's lens: the lens to start from, the held values, and where the tracks contradict
them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from ...model import lens
from ...model.arrays import FloatArray
from ...model.engine import Check, unchecked
from ...model.lens import Distortion, KnownLens
from ...model.reconstruction import Camera
from ..adjustment.shot_adjustment import Adjusted, adjust
from ..adjustment.shot_problem import Freedom, ShotLens
from ..features.database import GUESSED_FOCAL

# Standard deviations: the logarithm of an unknown focal length, the centre over the longer side, distortion terms.
FOCAL_SPREAD, CENTRE_SPREAD, DISTORTION_SPREAD = 1.0, 0.005, 0.1
KNOWN_SPREAD = 0.05  # of the logarithm of a focal length that EXIF or the artist tells
TERM_SPREAD = 0.02  # of each distortion term that the artist tells
# The artist is told of a better focal length if it differs by the first share, and lowers the error by the second.
WRONG_FOCAL, WRONG_ERROR = 0.01, 0.05
FAR_FROM_START = 0.03  # share; the artist is told where the solved focal length differs more from the one at the start


def first_lens(size: tuple[int, int], known: KnownLens) -> ShotLens:
    """The lens of a shot from which solving starts, with its priors. `size` is the width and height of its frames in
    pixels."""
    longer = max(size)
    focal = GUESSED_FOCAL * longer if known.focal is None else known.focal
    distortion = known.distortion or Distortion("RADIAL", (0.0, 0.0))
    if distortion.model == "SIMPLE_RADIAL" and not known.held:  # only the start: the tracks may ask for a second term
        distortion = Distortion("RADIAL", (*distortion.params, 0.0))
    term_spread = DISTORTION_SPREAD if known.distortion is None else TERM_SPREAD
    spread = [
        FOCAL_SPREAD if known.focal is None else KNOWN_SPREAD * (not known.holds_focal),
        *2 * [CENTRE_SPREAD * longer * (not known.holds_centre)],
        *len(distortion.params) * [term_spread * (not known.holds_distortion)],
    ]
    centre = known.centre or (size[0] / 2, size[1] / 2)
    start = np.array([0.0, *centre, *distortion.params])  # 0: the logarithm of the focal length's factor
    return ShotLens(np.array([focal, focal]), size, distortion.model, start, np.array(spread))


def held_spread(spread: FloatArray, known: KnownLens) -> FloatArray:
    """`spread` with 0 for the values that are held.

    It is (4,): the standard deviations of the focal length's logarithm, the centre's x and y, and each distortion term.
    """
    stays = [known.holds_focal, known.holds_centre, known.holds_centre, known.holds_distortion]
    return np.where(stays, 0.0, spread)


def with_lens(keys: Mapping[int, Camera], known: KnownLens) -> dict[int, Camera]:
    """The cameras `keys`, by frame number, with the held values of the known lens."""
    held = dict(keys)
    for number, camera in keys.items():
        focal = (known.focal, known.focal) if known.holds_focal and known.focal else (camera.fx, camera.fy)
        centre = known.centre if known.holds_centre and known.centre else (camera.cx, camera.cy)
        distortion = known.distortion if known.holds_distortion and known.distortion else camera.distortion
        held[number] = replace(
            camera, fx=focal[0], fy=focal[1], cx=centre[0], cy=centre[1], distortion=distortion or lens.NO_DISTORTION
        )
    return held


def departure(known: KnownLens, cameras: Mapping[int, Camera]) -> str:
    """A sentence where the solved focal length is far from the artist's, which was the start; empty else."""
    if known.focal is None or known.holds_focal:
        return ""
    solved = float(np.median([camera.fx for camera in cameras.values()]))
    if abs(solved / known.focal - 1) <= FAR_FROM_START:
        return ""
    return f" The known focal length of {known.focal:.0f} px was the start; the solved one is {solved:.0f} px."


def preference(adjusted: Adjusted, frames: int, freedom: Freedom, known: KnownLens, check: Check = unchecked) -> str:
    """A sentence where the tracks prefer another focal length than the one that is held; else empty.

    The solved shot `adjusted`, of so many `frames`, is adjusted again with a free focal length. `check()` may raise.
    """
    if not known.holds_focal:
        return ""
    spread = adjusted.lens.spread.copy()
    spread[0] = FOCAL_SPREAD
    freed = adjust(adjusted.tracks, frames, replace(adjusted.lens, spread=spread), freedom, adjusted.state, check)
    before, after = (float(np.median(each.errors)) for each in (adjusted, freed))
    change = float(np.exp(freed.state.lens[0] - adjusted.state.lens[0])) - 1
    if abs(change) < WRONG_FOCAL or after > (1 - WRONG_ERROR) * before:
        return ""
    return (
        f" {known.name or 'The known focal length'} is held, but the tracks prefer one that is {abs(change):.1%} "
        f"{'longer' if change > 0 else 'shorter'}: with it the median error falls from {before:.2f} to {after:.2f} px."
    )
