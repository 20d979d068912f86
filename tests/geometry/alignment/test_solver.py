"""The alignment's solver: its objective never rises, and its matrix is the same in both forms. [R]"""

import numpy as np

from threer_blender.geometry import rotations
from threer_blender.geometry.alignment import solver
from threer_blender.geometry.similarities import identities

RANDOM = np.random.default_rng(0)


def test_solver_matrix_is_the_same_multiplied_out_or_not() -> None:
    random = np.random.default_rng(0)
    diagonal, cross = random.standard_normal((4, 7, 7)), random.standard_normal((3, 7, 7))
    sparse = solver.Sparse(diagonal + diagonal.transpose(0, 2, 1), cross, random.standard_normal((9, 28)))
    vector = random.standard_normal(28)
    np.testing.assert_allclose(solver.Dense.of(sparse) @ vector, sparse @ vector)


def small_problem() -> tuple[list[solver.Samples], solver.AlignmentState]:
    """The samples of two views of the same 40 points, and a start that is off. One pair predicts the points exactly.

    The predicted points are in the first view's frame. The true focal length is 60 pixels.
    """
    points = RANDOM.uniform(-1, 1, (40, 3)) + (0, 0, 5)
    rotation = rotations.from_vectors(np.array([0.0, 0.2, 0.0]))
    centre = np.array([0.8, 0.1, 0.2])
    local = [points, (points - centre) @ rotation]
    samples = [
        solver.Samples(60 * ours[:, :2] / ours[:, 2:], np.array([0]), points[None], np.ones((1, 40))) for ours in local
    ]
    off = rotations.from_vectors(0.02 * RANDOM.standard_normal((2, 3)))
    start = solver.AlignmentState(
        off @ np.stack([np.eye(3), rotation]),
        np.stack([np.zeros(3), centre]) + 0.05 * RANDOM.standard_normal((2, 3)),
        np.array([63.0, 57.0]),
        [ours[:, 2] * 1.03 for ours in local],
        identities(1),
    )
    return samples, start


def test_exact_predictions_are_met_from_a_start_that_is_off() -> None:
    samples, start = small_problem()
    before = solver.objective(samples, start)
    solved = solver.minimise(samples, start, np.zeros((2, 8), bool), 60)
    assert solver.objective(samples, solved) < 0.02 * before
    np.testing.assert_allclose(solved.focal, 60, rtol=0.02)
    np.testing.assert_allclose(np.log(solved.pairs.scale).mean(), 0, atol=1e-6)


def test_held_unknowns_stay() -> None:
    samples, start = small_problem()
    held = np.zeros((2, 8), bool)
    held[0] = True
    held[1, solver.FOCAL] = True
    solved = solver.minimise(samples, start, held, 10)
    np.testing.assert_array_equal(solved.rotation[0], start.rotation[0])
    np.testing.assert_array_equal(solved.centre[0], start.centre[0])
    np.testing.assert_array_equal(solved.depth[0], start.depth[0])
    np.testing.assert_array_equal(solved.focal, start.focal)
