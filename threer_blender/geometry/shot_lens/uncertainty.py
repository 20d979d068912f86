"""[R] How exactly the tracks of a shot tell its lens: the covariance of the lens' unknowns in an adjustment."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ...model.arrays import FloatArray
from ..adjustment import banded
from ..adjustment.shot_adjustment import NARROW, Adjusted
from ..adjustment.shot_problem import ShotProblem, ShotState

SIGMA = 0.85  # times the median length of errors in two coordinates: the standard deviation of a coordinate, if normal


def noise_of(adjusted: Adjusted) -> float:
    """The standard deviation of a coordinate of the adjusted tracks, in pixels."""
    return SIGMA * float(np.median(adjusted.errors))


def loss_scale_of(adjusted: Adjusted) -> float:
    """The scale of the robust loss with which an adjustment ends, in pixels."""
    return NARROW * float(np.median(adjusted.errors))


def covariances(
    problem: ShotProblem, state: ShotState, loss_scale: float, unknowns: Sequence[int]
) -> tuple[FloatArray, FloatArray]:
    """(K, K) twice: the covariance of K of the lens' `unknowns`, all else being free, if each observation has an error
    of its own; and if errors of a track go together.

    A track slips as a whole, so in the second one each track counts as one observation (the variance of clustered data:
    Liang & Zeger, "Longitudinal Data Analysis Using Generalized Linear Models", 1986). `state` is a minimum of the
    problem's cost.
    """
    system, tracks = problem.linear(state, loss_scale), problem.tracks
    rows = system.rows
    columns, by_track = [], []
    for unknown in unknowns:
        gradient = np.zeros(len(state.lens))
        gradient[unknown] = -1.0  # its solution is the unknown's column of the inverse of the normal matrix
        of_one = replace(
            system,
            rows=rows._replace(residuals=np.zeros_like(rows.residuals)),
            prior_residuals=np.zeros_like(system.prior_residuals),
            lens_gradient=gradient,
        )
        of_frames, of_lens, of_points = banded.solve(of_one, 0.0)
        by_frames = of_frames.reshape(problem.frames, -1)[tracks.camera]
        changes = np.einsum("mrk,mk->mr", rows.outer, by_frames) + rows.lens @ of_lens
        changes += np.einsum("mrk,mk->mr", rows.inner, of_points[tracks.point])
        columns.append(of_lens[list(unknowns)])
        # What each track adds to the unknown's step: its part of the gradient times that column.
        by_track.append(np.bincount(tracks.point, (rows.residuals * changes).sum(axis=1), len(tracks)))
    influence = np.asarray(np.stack(by_track), np.float64)
    independent: FloatArray = problem.noise**2 * np.stack(columns)
    clustered: FloatArray = influence @ influence.T
    return independent, clustered
