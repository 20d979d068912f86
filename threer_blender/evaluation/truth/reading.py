"""[R] Opens the truth of any benchmark. The files in a folder tell which one it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ...exchange.solves import reading
from ...files import bounded
from ...model.errors import UserError, quoted
from . import annotated, listed, scanned, sequences
from .truth import METRES, TrueView, Truth

DAMAGED = "is cut off or damaged; get it again"


@dataclass(frozen=True)
class TruthFormat:
    """The truth of a benchmark: whether a folder `matches`, and the function that reads it."""

    matches: Callable[[Path], bool]
    read: Callable[[Path], Truth]


FORMATS = (
    TruthFormat(listed.is_cameras, listed.read_cameras),
    TruthFormat(listed.is_rendered, listed.read_rendered),
    TruthFormat(sequences.is_tum, sequences.read_tum),
    TruthFormat(sequences.is_seven_scenes, sequences.read_seven_scenes),
    TruthFormat(sequences.is_kitti, sequences.read_kitti),
    TruthFormat(sequences.is_scannet, sequences.read_scannet),
    TruthFormat(scanned.is_eth3d, scanned.read_eth3d),
    TruthFormat(scanned.is_tanks, scanned.read_tanks),
    TruthFormat(annotated.is_sintel, annotated.read_sintel),
    TruthFormat(annotated.is_co3d, annotated.read_co3d),
    TruthFormat(scanned.is_dtu, scanned.read_dtu),
)
LISTED = (
    "cameras.json, TUM RGB-D, 7-Scenes, KITTI odometry, ScanNet, ETH3D, Tanks and Temples, MPI Sintel, CO3D, DTU, and "
    f"the solves of {reading.LISTED}"
)


def read(folder: Path) -> Truth:
    """The truth in a folder: that of a benchmark, or else the solve of another program, taken for true.

    Raises UserError where there is no truth, or where it is damaged or names no camera.
    """
    if not folder.exists():
        raise UserError(f"There is no folder {quoted(folder)}: check its name, or choose the folder of the truth.")
    known = next((each for each in FORMATS if folder.is_dir() and each.matches(folder)), None)
    if known is None:
        return _solve(folder)
    with bounded.as_refusal(f"The truth in {quoted(folder)}"), bounded.as_damage(DAMAGED):
        truth = known.read(folder)
    if not truth.views:
        raise UserError(f"The truth in {quoted(folder)} names no camera; choose another folder.")
    return truth


def _solve(path: Path) -> Truth:
    try:
        solve = reading.read(path)
    except UserError as error:
        if isinstance(error.__cause__, reading.Unknown):
            raise UserError(f"{quoted(path)} holds no truth that can be read; known are {LISTED}.") from error
        raise
    if not solve.views:
        raise UserError(f"{quoted(path)} holds no cameras that could be the truth; known are {LISTED}.")
    views = [TrueView(view.name, view.world_from_camera, view.lens) for view in solve.views]
    note = f"The truth is a solve of {solve.program}: no judge of an engine that works alike."
    return Truth(solve.program, views, METRES if solve.metric else "", notes=[note])
