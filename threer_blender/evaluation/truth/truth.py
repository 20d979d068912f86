"""[R] The truth as its readers return it: true cameras, depth and surface. numpy only.

Its conventions are ours (`model/reconstruction.py`), in one world and one unit.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from ...exchange.solves.solve import Lens
from ...model.arrays import Array, BoolArray, FloatArray

METRES = "m"


@dataclass(frozen=True)
class TrueView:
    """The truth of one photo.

    `name` is its file's name, after as many folders as the benchmark has it in; in a video it is empty, and `frame`
    counts the frames from 0. `lens` is None where the benchmark does not tell it. `depth` returns camera z (H, W), in
    the truth's unit, of pixels that cover the photo evenly, 0 or not finite where there is none.
    """

    name: str
    world_from_camera: FloatArray
    lens: Lens | None = None
    depth: Callable[[], FloatArray] | None = None
    frame: int | None = None


@dataclass(frozen=True)
class TrueSurface:
    """Points (N, 3) of a true surface, and its benchmark's rules.

    Of solved points, those count that are `inside`, a function of points (N, 3). `threshold` is the F-score's distance,
    `farthest` the distance from which the means leave points out, and `spacing` the side of the cubes that thin the
    points; None where the benchmark has no such rule.
    """

    points: FloatArray
    inside: Callable[[Array], BoolArray] = lambda points: np.ones(len(points), bool)
    threshold: float | None = None
    farthest: float | None = None
    spacing: float | None = None


@dataclass(frozen=True)
class Truth:
    """The content of a folder of truth.

    `program` names the benchmark. `unit` is that of lengths, empty where it is arbitrary. `surface` returns the true
    surface, where the benchmark has one beside the depth maps. `notes` are sentences for the reader of a report.
    """

    program: str
    views: list[TrueView]
    unit: str = ""
    surface: Callable[[], TrueSurface] | None = None
    notes: list[str] = field(default_factory=list)
