"""[R] The lens that photos of flat grids tell: focal length, centre and distortion, by least squares. numpy only.

Start: Zhang, "A Flexible New Technique for Camera Calibration" (2000). Then all lenses, poses and corners at once, with
corners that do not fit left out. Of several lens models the simplest one is chosen that explains the corners as well.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

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
STARTS = (0.5, 0.9, 1.6, 3.0)  # times the longer side: focal lengths that are tried beside Zhang's
TRIALS = (10, 40)  # of descents that are compared, and of the last one
FOCAL_SPREAD, KNOWN_SPREAD, CENTRE_SPREAD = 1.0, 0.05, 0.05  # of the logarithm; of the longer side
TERM_SPREAD = 1.0
FIXED = {"BROWN": ("k4",)}  # terms that stay 0: so high a power only tells the lens where corners are
NEARLY_LEAST = 1.03  # times the least error: a simpler lens model with that much is taken
LOSS, OUTLIER = 2.0, 5.0  # times the median error: where the loss bends, and what is left out
NOISE = 0.02  # px, the least that a corner's error is taken for
STEP = 1e-6
NEAREST = 1e-6  # depth
POOR_BOARD = 4.0  # times the usual error: a board that is left out as a whole


@dataclass(frozen=True)
class Calibration:
    """The lens of a picture of `size` (width, height), in its pixels; `focal_deviation` is a share of the focal length.

    `rms` px of the corners that fit, `errors` (B,) px the root mean square of each board's, NaN where a board was left
    out; `corners` how many fit, of `all_corners`.
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
    """`values` (3 + T,): logarithm of the focal length, centre, distortion terms; `poses` board to camera."""

    values: FloatArray
    rotations: FloatArray
    translations: FloatArray


@dataclass(frozen=True)
class _BoardCorners:
    """All boards' corners: `plane` (N, 2) on the board, `pixels` (N, 2), and the `board` (N,) that each belongs to."""

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
    """The lens that took all of the boards; there must be one or more. `known_focal` in pixels is what EXIF says.

    Without a `model`, the one that the corners ask for. `check()` may raise.
    """
    every = _BoardCorners(
        np.concatenate([board.cells - board.cells.mean(axis=0) for board in boards]),
        np.concatenate([board.pixels for board in boards]),
        np.repeat(np.arange(len(boards)), [len(board.cells) for board in boards]),
    )
    results = []
    for name in (model,) if model else MODELS:
        check()
        results.append(_solved(every, len(boards), size, known_focal, name))
    least = min(each.rms for each in results)
    return next(each for each in results if each.rms <= NEARLY_LEAST * least)


def _solved(
    every: _BoardCorners, boards: int, size: tuple[int, int], known_focal: float | None, model: str
) -> Calibration:
    longer, terms = max(size), len(lens.MODELS[model])
    starts = [known_focal] if known_focal else [*_zhang(every, boards, size), *(share * longer for share in STARTS)]
    best: tuple[float, _GridProblem, _GridState] | None = None
    for focal in starts:
        term_spread = [TERM_SPREAD * (name not in FIXED.get(model, ())) for name in lens.MODELS[model]]
        spread = [KNOWN_SPREAD if known_focal else FOCAL_SPREAD, *2 * [CENTRE_SPREAD * longer], *term_spread]
        values = np.array([np.log(focal), size[0] / 2, size[1] / 2, *terms * [0.0]])
        problem = _GridProblem(every, boards, model, values, np.array(spread))
        state = problem.descend(problem.start(), 0.01 * longer, TRIALS[0])
        cost = problem.cost(state, 0.002 * longer)
        if best is None or cost < best[0]:
            best = cost, problem, state
    assert best is not None
    _, problem, state = best
    inliers = np.ones(len(every.board), np.bool_)
    for _ in range(3):
        noise = max(NOISE, float(np.median(problem.errors(state))))
        state = problem.descend(state, LOSS * noise, TRIALS[1])
        errors = replace(problem, corners=every).errors(state)
        noise = max(NOISE, float(np.median(errors[inliers])))
        usual = np.array([_median(errors[every.board == board]) for board in range(boards)])
        inliers = (errors < OUTLIER * noise) & (usual < POOR_BOARD * noise)[every.board]
        problem = replace(problem, corners=every.only(inliers))
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
    return float(np.median(values)) if len(values) else np.inf


def _zhang(every: _BoardCorners, boards: int, size: tuple[int, int]) -> list[float]:
    """Focal lengths that the boards' homographies ask for: their median, none where nothing tells."""
    centred, shares = every.pixels - np.array(size) / 2, []
    for board in range(boards):
        mine = every.board == board
        first, second = homography(every.plane[mine], centred[mine]).T[:2]
        # Both columns are as long after the lens is taken out, and at right angles.
        for a, b in ((first, second), (first + second, first - second)):
            across, along = a[0] * b[0] + a[1] * b[1], a[2] * b[2]
            if across * along < 0:
                shares.append(np.sqrt(-across / along))
    plausible = [share for share in shares if 0.2 * max(size) < share < 20 * max(size)]
    return [float(np.median(plausible))] if plausible else []


def homography(plane: FloatArray, target: FloatArray) -> FloatArray:
    """(3, 3) that takes points (N, 2) of a plane to others, by the direct linear transformation; four are the least."""
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
    undo = np.array([[to_size, 0, to_middle[0]], [0, to_size, to_middle[1]], [0, 0, 1]])
    do = np.array([[1, 0, -from_middle[0]], [0, 1, -from_middle[1]], [0, 0, from_size]]) / from_size
    whole: FloatArray = undo @ matrix @ do
    return whole


@dataclass(frozen=True)
class _GridProblem:
    """The reprojection of the boards' corners. `first` (3 + T,) is where the lens starts, `spread` how well it is
    believed."""

    corners: _BoardCorners
    boards: int
    model: str
    first: FloatArray
    spread: FloatArray

    def start(self) -> _GridState:
        """The poses that homographies tell with the first lens."""
        focal, centre = float(np.exp(self.first[0])), self.first[1:3]
        turned, shifted = np.tile(np.eye(3), (self.boards, 1, 1)), np.zeros((self.boards, 3))
        for board in range(self.boards):
            mine = self.corners.board == board
            matrix = homography(self.corners.plane[mine], (self.corners.pixels[mine] - centre) / focal)
            matrix *= np.sign(matrix[2, 2]) / np.sqrt(np.linalg.norm(matrix[:, 0]) * np.linalg.norm(matrix[:, 1]))
            first, second, shift = matrix.T
            turned[board] = rotations.nearest(np.column_stack([first, second, np.cross(first, second)]))
            shifted[board] = shift
        return _GridState(self.first, turned, shifted)

    def errors(self, state: _GridState) -> FloatArray:
        """(N,) px; infinite where the lens sees nothing."""
        off = self._residuals(state)
        return np.where(np.isfinite(off).all(axis=1), np.hypot(off[:, 0], off[:, 1]), np.inf)

    def _local(self, state: _GridState) -> FloatArray:
        plane, board = self.corners.plane, self.corners.board
        turned = state.rotations[board]
        return turned[:, :, 0] * plane[:, :1] + turned[:, :, 1] * plane[:, 1:] + state.translations[board]

    def _ideal(self, state: _GridState) -> FloatArray:
        local = self._local(state)
        depth = np.where(local[:, 2:] > NEAREST, local[:, 2:], np.nan)
        ideal: FloatArray = local[:, :2] / depth
        inside = np.linalg.norm(ideal, axis=1, keepdims=True) < lens.valid_radius(self._distortion(state.values))
        return np.where(inside, ideal, np.nan)

    def _distortion(self, values: FloatArray) -> Distortion:
        return Distortion(self.model, tuple(map(float, values[3:])))

    def _residuals(self, state: _GridState) -> FloatArray:
        distorted = lens.distort(self._distortion(state.values), self._ideal(state))
        off: FloatArray = distorted * np.exp(state.values[0]) + state.values[1:3] - self.corners.pixels
        return off

    def cost(self, state: _GridState, loss: float) -> float:
        """Half the robust sum of squares, px², and of the priors."""
        errors = np.minimum(self.errors(state), 100 * loss)
        return float(Cauchy(loss).cost(errors).sum() + 0.5 * (self._prior(state.values) ** 2).sum())

    def _prior(self, values: FloatArray) -> FloatArray:
        """In pixels of noise: priors weigh as one corner does."""
        free = self.spread > 0
        prior: FloatArray = NOISE * (values - self.first) / np.where(free, self.spread, 1.0)
        return np.where(free, prior, 0.0)

    def descend(self, state: _GridState, loss: float, trials: int) -> _GridState:
        options = Options("lens grids", trials)

        def linearise(state: _GridState) -> Callable[[float], _GridState]:
            normal, gradient = self._normal(state, loss)

            def stepped(damping: float) -> _GridState:
                damped = normal + damping * np.diag(np.maximum(np.diag(normal), 1e-12))
                return self._stepped(state, -np.linalg.solve(damped, gradient))

            return stepped

        return levenberg_marquardt(state, lambda state: self.cost(state, loss), linearise, options)[0]

    def _stepped(self, state: _GridState, step: FloatArray) -> _GridState:
        count = len(self.first)
        poses = step[count:].reshape(-1, 6)
        return _GridState(
            state.values + step[:count],
            rotations.from_vectors(poses[:, :3]) @ state.rotations,
            state.translations + poses[:, 3:],
        )

    def _normal(self, state: _GridState, loss: float) -> tuple[FloatArray, FloatArray]:
        """The normal equations' matrix and the gradient."""
        count = len(self.first)
        of_lens, of_pose, off = self._derivatives(state)
        finite = np.isfinite(off).all(axis=1) & np.isfinite(of_pose).all(axis=(1, 2))
        weight = np.where(finite, Cauchy(loss).weight(np.linalg.norm(np.nan_to_num(off), axis=1)), 0.0)
        of_lens, of_pose, off = (
            np.where(finite.reshape(-1, *(1,) * (a.ndim - 1)), a, 0.0) for a in (of_lens, of_pose, off)
        )
        size = count + 6 * self.boards
        normal, gradient = np.zeros((size, size)), np.zeros(size)
        free = self.spread > 0
        believed = NOISE / np.where(free, self.spread, 1.0)
        of_lens = of_lens * free
        normal[:count, :count] = np.einsum("nki,nkj,n->ij", of_lens, of_lens, weight)
        normal[np.arange(count), np.arange(count)] += np.where(free, believed**2, 1.0)
        gradient[:count] = np.einsum("nki,nk,n->i", of_lens, off, weight)
        gradient[:count] += believed * self._prior(state.values)
        for board in range(self.boards):
            mine = self.corners.board == board
            here = slice(count + 6 * board, count + 6 * board + 6)
            normal[here, here] = np.einsum("nki,nkj,n->ij", of_pose[mine], of_pose[mine], weight[mine])
            normal[here, here] += 1e-12 * np.eye(6)
            mixed = np.einsum("nki,nkj,n->ij", of_lens[mine], of_pose[mine], weight[mine])
            normal[:count, here], normal[here, :count] = mixed, mixed.T
            gradient[here] = np.einsum("nki,nk,n->i", of_pose[mine], off[mine], weight[mine])
        return normal, gradient

    def _derivatives(self, state: _GridState) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Of the pixels by the lens' unknowns (N, 2, 3 + T) and by the pose (N, 2, 6), and the offsets (N, 2)."""
        local, ideal = self._local(state), self._ideal(state)
        focal, distortion = np.exp(state.values[0]), self._distortion(state.values)
        distorted = lens.distort(distortion, ideal)
        of_lens = np.zeros((len(ideal), 2, len(self.first)))
        of_lens[:, :, 0] = distorted * focal
        of_lens[:, (0, 1), (1, 2)] = 1.0
        for term in range(3, len(self.first)):
            step = STEP * np.eye(len(self.first))[term]
            more, less = (lens.distort(self._distortion(state.values + change), ideal) for change in (step, -step))
            of_lens[:, :, term] = (more - less) / (2 * STEP) * focal
        by_ideal = focal * lens.jacobian(lambda points: lens.distort(distortion, points), ideal)
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
        return of_lens, np.concatenate([by_rotation, by_local], axis=2), off

    def focal_deviation(self, state: _GridState, noise: float) -> float:
        """The standard deviation of the logarithm of the focal length, by the inverse of the normal equations."""
        normal, _ = self._normal(state, 1e6)
        return float(noise / np.sqrt(2) * np.sqrt(max(np.linalg.inv(normal)[0, 0], 0.0)))
