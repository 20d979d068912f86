"""The reduced equations have the solution of the whole system."""

import numpy as np

from threer_blender.geometry.adjustment import schur


def test_blocks_of_points_are_inverted() -> None:
    """The blocks are well and badly conditioned, as near and far points make them."""
    rng = np.random.default_rng(0)
    for ratio in (1.0, 1e-2, 1e-4):
        root = rng.standard_normal((3, 3)) * (1.0, 1.0, ratio)
        block = root @ root.T
        np.testing.assert_allclose(schur.inverted(block) @ block, np.eye(3), atol=1e-14 / ratio**2)


def test_steps_are_those_of_the_whole_damped_system() -> None:
    random = np.random.default_rng(1)
    observations, reduced, points = 14, 6, 4
    point = np.sort(np.r_[np.repeat(np.arange(points), 3), [0, 2]])
    columns = np.stack([random.choice(reduced, 3, replace=False) for _ in range(observations)])
    outer, inner = random.standard_normal((observations, 2, 3)), random.standard_normal((observations, 2, 3))
    residuals = random.standard_normal((observations, 2))
    prior, gradient, damping = random.random(reduced), random.standard_normal(reduced), 0.1
    jacobian = np.zeros((observations, 2, reduced + 3 * points))
    for m in range(observations):
        jacobian[m][:, columns[m]] += outer[m]
        jacobian[m][:, reduced + 3 * point[m] : reduced + 3 * point[m] + 3] = inner[m]
    jacobian = jacobian.reshape(-1, jacobian.shape[2])
    normal = jacobian.T @ jacobian
    normal[:reduced, :reduced] += np.diag(prior)
    right = jacobian.T @ residuals.ravel() + np.r_[gradient, np.zeros(3 * points)]
    whole = -np.linalg.solve(normal + damping * np.diag(np.diag(normal)), right)
    start = np.searchsorted(point, np.arange(points + 1))
    linear = schur.Linear(residuals, columns, outer, inner, start)
    steps, point_steps = schur.solve(linear, prior, gradient, damping)
    np.testing.assert_allclose(steps, whole[:reduced], rtol=1e-7, atol=1e-9)
    np.testing.assert_allclose(point_steps.ravel(), whole[reduced:], rtol=1e-7, atol=1e-9)
