"""[R] Lens calibration from photos of flat grids: focal length, centre and distortion, by least squares. numpy only.

Here the corners of a board are those of a checkerboard, or the centres of a grid of dots.

The start is that of Zhang, "A Flexible New Technique for Camera Calibration" (2000). Then the lens and the poses of all
boards are adjusted at once, and corners that do not fit are left out. Of several lens models, the simplest one is
chosen that explains the corners about as well as the best.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from ...model import lens
from ...model.arrays import Array, BoolArray, FloatArray
from ...model.engine import Check, unchecked
from ...model.lens import Distortion
from .. import rotations
from ..levenberg_marquardt import Options, levenberg_marquardt
from ..robust_losses import Cauchy
from .boards import Board

MODELS = ("SIMPLE_RADIAL", "RADIAL", "OPENCV", "BROWN", "OPENCV_FISHEYE")  # the simplest first
STARTS = (0.5, 0.9, 1.6, 3.0)  # times the longer side: focal lengths that are tried besides Zhang's
TRIALS = (10, 40)  # of the descents from the different starts, and of the ones that follow from the best
# Standard deviations of the priors:
FOCAL_SPREAD = 1.0  # of the logarithm of an unknown focal length
KNOWN_SPREAD = 0.05  # of the logarithm of a known focal length
CENTRE_SPREAD = 0.05  # of the centre, over the longer side
TERM_SPREAD = 1.0  # of a distortion term
FIXED = {"BROWN": ("k4",)}  # terms that stay 0: so high a power fits the places of the corners instead of the lens
NEARLY_LEAST = 1.03  # times the least error: the simplest model with no more than that is chosen
START_SCALE = 0.01  # of the longer side: the scale of the robust loss in the descents from the different starts
CHOICE_SCALE = 0.002  # of the longer side: the scale of the loss by whose cost the best start is chosen
LOSS_SCALE = 2.0  # times the median error: the scale of the robust loss after that
OUTLIER = 5.0  # times the median error: corners with a larger error are left out
NOISE = 0.02  # px: the least standard deviation of a corner
NEAREST = 1e-6  # depth, in squares of the board; nearer corners count as behind the camera
POOR_BOARD = 4.0  # times the median error: a board whose own median is larger is left out as a whole


@dataclass(frozen=True)
class Calibration:
    """The lens of pictures of this `size` (width, height): `focal` length and `centre` in pixels, and its `distortion`.

    `focal_deviation` is the standard deviation of the focal length as a share of it. `rms` is the root mean square
    error in pixels of the corners that fit, and `errors` (B,) that of each board's corners, NaN for a board that was
    left out. `corners` is the number of corners that fit, of `all_corners`.
    """

    size: tuple[int, int]
    focal: float
    centre: tuple[float, float]
    distortion: Distortion
    focal_deviation: float
    rms: float
    errors: FloatArray
    corners: int
    all_corners: int


@dataclass(frozen=True)
class _GridState:
    """`values` (3 + T,) of the lens: the logarithm of the focal length, the centre in pixels, the distortion terms; and
    `rotations` (B, 3, 3) and `translations` (B, 3), camera from board."""

    values: FloatArray
    rotations: FloatArray
    translations: FloatArray


@dataclass(frozen=True)
class _BoardCorners:
    """All boards' corners: their place on the board's `plane` (N, 2) in squares, their `pixels` (N, 2), and the number
    of the `board` (N,) that each belongs to."""

    plane: FloatArray
    pixels: FloatArray
    board: Array

    def only(self, chosen: BoolArray) -> _BoardCorners:
        return _BoardCorners(self.plane[chosen], self.pixels[chosen], self.board[chosen])


def calibrate(
    boards: Sequence[Board],
    size: tuple[int, int],
    known_focal: float | None = None,
    model: str = "",
    check: Check = unchecked,
) -> Calibration:
    """The lens by which all the `boards` were photographed, one or more, in pictures of this `size` (width, height).

    `known_focal` is the focal length in pixels that EXIF tells; the result may depart from it a little. Without a
    `model`, all MODELS are tried, and the simplest that is nearly the best is taken. `check()` is called between models
    and may raise.
    """
    corners = _BoardCorners(
        np.concatenate([board.cells - board.cells.mean(axis=0) for board in boards]),
        np.concatenate([board.pixels for board in boards]),
        np.repeat(np.arange(len(boards)), [len(board.cells) for board in boards]),
    )
    results = []
    for name in (model,) if model else MODELS:
        check()
        results.append(_solved(corners, len(boards), size, known_focal, name))
    least = min(each.rms for each in results)
    return next(each for each in results if each.rms <= NEARLY_LEAST * least)


def _solved(
    corners: _BoardCorners, boards: int, size: tuple[int, int], known_focal: float | None, model: str
) -> Calibration:
    """The calibration with this lens model: the best of several starts, adjusted to the corners that fit."""
    longer, terms = max(size), len(lens.MODELS[model])
    starts = [known_focal] if known_focal else [*_zhang(corners, boards, size), *(share * longer for share in STARTS)]
    best: tuple[float, _GridProblem, _GridState] | None = None
    for focal in starts:
        term_spread = [TERM_SPREAD * (name not in FIXED.get(model, ())) for name in lens.MODELS[model]]
        spread = [KNOWN_SPREAD if known_focal else FOCAL_SPREAD, *2 * [CENTRE_SPREAD * longer], *term_spread]
        values = np.array([np.log(focal), size[0] / 2, size[1] / 2, *terms * [0.0]])
        problem = _GridProblem(corners, boards, model, values, np.array(spread))
        state = problem.descend(problem.start(), START_SCALE * longer, TRIALS[0])
        cost = problem.cost(state, CHOICE_SCALE * longer)
        if best is None or cost < best[0]:
            best = cost, problem, state
    assert best is not None
    _, problem, state = best
    inliers = np.ones(len(corners.board), np.bool_)
    for _ in range(3):
        noise = max(NOISE, float(np.median(problem.errors(state))))
        state = problem.descend(state, LOSS_SCALE * noise, TRIALS[1])
        errors = replace(problem, corners=corners).errors(state)
        noise = max(NOISE, float(np.median(errors[inliers])))
        board_medians = np.array([_median(errors[corners.board == board]) for board in range(boards)])
        inliers = (errors < OUTLIER * noise) & (board_medians < POOR_BOARD * noise)[corners.board]
        problem = replace(problem, corners=corners.only(inliers))
    errors = problem.errors(state)
    rms = float(np.sqrt((errors**2).mean()))
    of_boards = [errors[problem.corners.board == board] for board in range(boards)]
    by_board = np.array([float(np.sqrt((each**2).mean())) if len(each) else np.nan for each in of_boards])
    return Calibration(
        size,
        float(np.exp(state.values[0])),
        (float(state.values[1]), float(state.values[2])),
        Distortion(model, tuple(map(float, state.values[3:]))),
        problem.focal_deviation(state, max(NOISE, rms)),
        rms,
        by_board,
        int(inliers.sum()),
        len(inliers),
    )


def _median(values: FloatArray) -> float:
    """The median; infinite without any values."""
    return float(np.median(values)) if len(values) else np.inf


def _zhang(corners: _BoardCorners, boards: int, size: tuple[int, int]) -> list[float]:
    """The median of the focal lengths in pixels that the boards' homographies imply; empty where they imply none."""
    centred, focals = corners.pixels - np.array(size) / 2, []
    for board in range(boards):
        mine = corners.board == board
        first, second = homography(corners.plane[mine], centred[mine]).T[:2]
        # The columns are K times two perpendicular vectors of one length. So a and b become perpendicular once their
        # first two components are divided by the focal length.
        for a, b in ((first, second), (first + second, first - second)):
            across, along = a[0] * b[0] + a[1] * b[1], a[2] * b[2]
            if across * along < 0:
                focals.append(np.sqrt(-across / along))
    plausible = [focal for focal in focals if 0.2 * max(size) < focal < 20 * max(size)]
    return [float(np.median(plausible))] if plausible else []


def homography(plane: FloatArray, target: FloatArray) -> FloatArray:
    """(3, 3) the homography from `plane` (N, 2) to `target` (N, 2), by the direct linear transformation. N is at least
    4."""
    scaled = []
    for points in (plane, target):
        middle = points.mean(axis=0)
        size = float(np.sqrt(((points - middle) ** 2).sum(axis=1).mean() / 2)) or 1.0
        scaled.append((middle, size, (points - middle) / size))
    (from_middle, from_size, x), (to_middle, to_size, y) = scaled
    ones, zeros = np.ones((len(x), 1)), np.zeros((len(x), 3))
    xs = np.concatenate([x, ones], axis=1)
    rows = np.concatenate([np.hstack([xs, zeros, -y[:, :1] * xs]), np.hstack([zeros, xs, -y[:, 1:] * xs])])
    matrix = np.linalg.svd(rows, full_matrices=False)[2][-1].reshape(3, 3)
    target_from_y = np.array([[to_size, 0, to_middle[0]], [0, to_size, to_middle[1]], [0, 0, 1]])
    x_from_plane = np.array([[1, 0, -from_middle[0]], [0, 1, -from_middle[1]], [0, 0, from_size]]) / from_size
    target_from_plane: FloatArray = target_from_y @ matrix @ x_from_plane
    return target_from_plane


@dataclass(frozen=True)
class _GridProblem:
    """The reprojection errors of the boards' corners. `first` (3 + T,) are the lens' values at the start, `spread`
    (3 + T,) the standard deviations of their priors, 0 for a value that is held."""

    corners: _BoardCorners
    boards: int
    model: str
    first: FloatArray
    spread: FloatArray

    def start(self) -> _GridState:
        """The state with the first lens and the poses that the boards' homographies imply for it."""
        focal, centre = float(np.exp(self.first[0])), self.first[1:3]
        rotation, translation = np.tile(np.eye(3), (self.boards, 1, 1)), np.zeros((self.boards, 3))
        for board in range(self.boards):
            mine = self.corners.board == board
            matrix = homography(self.corners.plane[mine], (self.corners.pixels[mine] - centre) / focal)
            matrix *= np.sign(matrix[2, 2]) / np.sqrt(np.linalg.norm(matrix[:, 0]) * np.linalg.norm(matrix[:, 1]))
            first, second, translation[board] = matrix.T
            rotation[board] = rotations.nearest(np.column_stack([first, second, np.cross(first, second)]))
        return _GridState(self.first, rotation, translation)

    def errors(self, state: _GridState) -> FloatArray:
        """(N,) reprojection errors in pixels; infinite where the lens does not see the corner."""
        off = self._residuals(state)
        return np.where(np.isfinite(off).all(axis=1), np.hypot(off[:, 0], off[:, 1]), np.inf)

    def _local(self, state: _GridState) -> FloatArray:
        """(N, 3) the corners in the camera's frame."""
        plane, board = self.corners.plane, self.corners.board
        rotation = state.rotations[board]
        return rotation[:, :, 0] * plane[:, :1] + rotation[:, :, 1] * plane[:, 1:] + state.translations[board]

    def _ideal(self, state: _GridState) -> FloatArray:
        """(N, 2) the corners' undistorted normalised coordinates; NaN where the lens does not see them."""
        local = self._local(state)
        depth = np.where(local[:, 2:] > NEAREST, local[:, 2:], np.nan)
        ideal: FloatArray = local[:, :2] / depth
        inside = np.linalg.norm(ideal, axis=1, keepdims=True) < lens.valid_radius(self._distortion(state.values))
        return np.where(inside, ideal, np.nan)

    def _distortion(self, values: FloatArray) -> Distortion:
        return Distortion(self.model, tuple(map(float, values[3:])))

    def _residuals(self, state: _GridState) -> FloatArray:
        """(N, 2) projected less observed corners in pixels; NaN where the lens does not see them."""
        distorted = lens.distort(self._distortion(state.values), self._ideal(state))
        off: FloatArray = distorted * np.exp(state.values[0]) + state.values[1:3] - self.corners.pixels
        return off

    def cost(self, state: _GridState, loss_scale: float) -> float:
        """The sum of the robust losses, at the scale `loss_scale` in pixels, and half the squares of the priors, in
        pixels². An error of more than 100 times the scale, or an infinite one, costs as much as that."""
        errors = np.minimum(self.errors(state), 100 * loss_scale)
        return float(Cauchy(loss_scale).cost(errors).sum() + 0.5 * (self._prior(state.values) ** 2).sum())

    def _prior(self, values: FloatArray) -> FloatArray:
        """(3 + T,) the priors' residuals in pixels: a deviation by the spread costs as much as one corner's NOISE."""
        free = self.spread > 0
        prior: FloatArray = NOISE * (values - self.first) / np.where(free, self.spread, 1.0)
        return np.where(free, prior, 0.0)

    def descend(self, state: _GridState, loss_scale: float, trials: int) -> _GridState:
        """A local minimum of `cost`, from `state`, after at most `trials` steps."""
        options = Options("lens grids", trials)

        def linearise(state: _GridState) -> Callable[[float], _GridState]:
            normal, gradient = self._normal(state, loss_scale)

            def stepped(damping: float) -> _GridState:
                damped = normal + damping * np.diag(np.maximum(np.diag(normal), 1e-12))
                return self._stepped(state, -np.linalg.solve(damped, gradient))

            return stepped

        return levenberg_marquardt(state, lambda state: self.cost(state, loss_scale), linearise, options)[0]

    def _stepped(self, state: _GridState, step: FloatArray) -> _GridState:
        """The state after the `step` (U,) of the lens' values and of 6 pose parameters per board."""
        count = len(self.first)
        poses = step[count:].reshape(-1, 6)
        return _GridState(
            state.values + step[:count],
            rotations.from_vectors(poses[:, :3]) @ state.rotations,
            state.translations + poses[:, 3:],
        )

    def _normal(self, state: _GridState, loss_scale: float) -> tuple[FloatArray, FloatArray]:
        """The normal equations' matrix (U, U) and the gradient (U,): first the lens, then 6 unknowns per board."""
        count = len(self.first)
        by_lens, by_pose, off = self._derivatives(state)
        finite = np.isfinite(off).all(axis=1) & np.isfinite(by_pose).all(axis=(1, 2))
        weight = np.where(finite, Cauchy(loss_scale).weight(np.linalg.norm(np.nan_to_num(off), axis=1)), 0.0)
        by_lens, by_pose = (np.where(finite[:, None, None], each, 0.0) for each in (by_lens, by_pose))
        off = np.where(finite[:, None], off, 0.0)
        size = count + 6 * self.boards
        normal, gradient = np.zeros((size, size)), np.zeros(size)
        free = self.spread > 0
        by_value = NOISE / np.where(free, self.spread, 1.0)  # the derivative of a prior's residual, see `_prior`
        by_lens = by_lens * free
        normal[:count, :count] = np.einsum("nki,nkj,n->ij", by_lens, by_lens, weight)
        normal[np.arange(count), np.arange(count)] += np.where(free, by_value**2, 1.0)
        gradient[:count] = np.einsum("nki,nk,n->i", by_lens, off, weight)
        gradient[:count] += by_value * self._prior(state.values)
        for board in range(self.boards):
            mine = self.corners.board == board
            here = slice(count + 6 * board, count + 6 * board + 6)
            normal[here, here] = np.einsum("nki,nkj,n->ij", by_pose[mine], by_pose[mine], weight[mine])
            normal[here, here] += 1e-12 * np.eye(6)
            mixed = np.einsum("nki,nkj,n->ij", by_lens[mine], by_pose[mine], weight[mine])
            normal[:count, here], normal[here, :count] = mixed, mixed.T
            gradient[here] = np.einsum("nki,nk,n->i", by_pose[mine], off[mine], weight[mine])
        return normal, gradient

    def _derivatives(self, state: _GridState) -> tuple[FloatArray, FloatArray, FloatArray]:
        """The derivatives of the pixels by the lens' values (N, 2, 3 + T) and by the board's pose (N, 2, 6), and the
        residuals (N, 2)."""
        local, ideal = self._local(state), self._ideal(state)
        focal, distortion = np.exp(state.values[0]), self._distortion(state.values)
        distorted = lens.distort(distortion, ideal)
        by_lens = np.zeros((len(ideal), 2, len(self.first)))
        by_lens[:, :, 0] = distorted * focal
        by_lens[:, (0, 1), (1, 2)] = 1.0
        by_lens[:, :, 3:] = focal * lens.jacobian_by_terms(distortion, ideal)
        by_ideal = focal * lens.jacobian(partial(lens.distort, distortion), ideal)
        x, y = ideal.T
        inverse = 1 / np.maximum(local[:, 2], NEAREST)
        zero = np.zeros(len(x))
        by_local = np.stack(
            [np.stack([inverse, zero, -x * inverse], axis=1), np.stack([zero, inverse, -y * inverse], axis=1)], axis=1
        )
        by_local = np.einsum("nij,njk->nik", by_ideal, by_local)
        arm = local - state.translations[self.corners.board]
        by_rotation = -np.einsum("nij,njk->nik", by_local, rotations.cross_matrices(arm))
        off = distorted * focal + state.values[1:3] - self.corners.pixels
        return by_lens, np.concatenate([by_rotation, by_local], axis=2), off

    def focal_deviation(self, state: _GridState, noise: float) -> float:
        """The standard deviation of the focal length's logarithm, by the inverse of the normal matrix. `noise` is the
        root mean square error in pixels."""
        normal, _ = self._normal(state, 1e6)  # a scale at which every corner that the lens sees has the weight 1
        return float(noise / np.sqrt(2) * np.sqrt(max(np.linalg.inv(normal)[0, 0], 0.0)))
