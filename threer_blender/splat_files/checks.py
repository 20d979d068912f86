"""[S] Leaves out the splats that cannot be displayed, and adds a note; selects and joins Gaussians."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import numpy as np

from ..model.arrays import Array
from ..model.errors import UserError, quoted
from ..model.reconstruction import Gaussians
from .reading import SplatFile

LARGEST = 1e6  # standard deviation beyond which a splat is left out: such scales have overflowed


def usable(file: SplatFile, name: str) -> SplatFile:
    """`file` without the splats whose place, size, colour, opacity or rotation makes no sense, and with notes on them.

    Raises UserError, with the file's `name`, where no splat is left, or where all lie at one place.
    """
    gaussians = file.gaussians
    count = len(gaussians)
    if not count:
        raise UserError(f"{quoted(name)} holds no splats.")
    faults = {
        "NaN or infinite values": ~_finite(gaussians),
        "infinite sizes": (gaussians.scales > LARGEST).any(axis=1),
        "no rotation (a quaternion of zeros)": ~gaussians.rotations.any(axis=1),
    }
    bad = np.logical_or.reduce(list(faults.values()))
    reasons = " and ".join(reason for reason, faulty in faults.items() if faulty.any())
    if bad.all():
        raise UserError(f"{quoted(name)} cannot be used: all of its {count:,} splats have {reasons}. Export it again.")
    notes = list(file.notes)
    if bad.any():
        notes.append(f"{int(bad.sum()):,} of {count:,} splats in {quoted(name)} have {reasons}; they were left out.")
        gaussians = only(gaussians, ~bad)
    if file.antialiased:
        notes.append(
            f"{quoted(name)} was trained with antialiasing, which Blender's pictures lack: what is far or thin looks "
            "bolder."
        )
    if len(gaussians) > 1 and not np.ptp(gaussians.means, axis=0).any():
        raise UserError(
            f"All {len(gaussians):,} splats in {quoted(name)} lie at one place: there is nothing to see in it."
        )
    return replace(file, gaussians=gaussians, notes=notes)


def only(gaussians: Gaussians, chosen: Array) -> Gaussians:
    """The Gaussians at which `chosen` (N,) bool is true, or those with the indices `chosen`, in that order."""

    def part(array: Any) -> Any:
        return None if array is None else array[chosen]

    return Gaussians(*(part(getattr(gaussians, field.name)) for field in fields(gaussians)))


def joined(parts: list[Gaussians]) -> Gaussians:
    """The Gaussians of all parts, one part after another, without `confidence` and `photo`.

    Where a part has a lower degree of harmonics than another, the missing coefficients are zero.
    """
    coefficients = max(part.sh.shape[1] for part in parts)
    padded = [np.pad(part.sh, ((0, 0), (0, coefficients - part.sh.shape[1]), (0, 0))) for part in parts]
    means, scales, rotations, opacities = (
        np.concatenate([getattr(part, name) for part in parts])
        for name in ("means", "scales", "rotations", "opacities")
    )
    return Gaussians(means, scales, rotations, opacities, np.concatenate(padded))


def _finite(gaussians: Gaussians) -> Array:
    """(N,) whether all of a splat's numbers are finite. Infinite sizes count as finite: they have overflowed.

    Sums stand in for the numbers: a sum is finite only if all numbers are.
    """
    count = len(gaussians)
    parts = (gaussians.means, gaussians.rotations, gaussians.opacities, gaussians.sh)
    with np.errstate(invalid="ignore", over="ignore"):
        sums = [part.reshape(count, -1).sum(axis=1) for part in parts]
    finite: Array = np.logical_and.reduce([~np.isnan(gaussians.scales).any(axis=1), *map(np.isfinite, sums)])
    return finite
