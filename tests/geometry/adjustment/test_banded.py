"""The banded elimination, against all normal equations solved at once."""

import numpy as np

from threer_blender.geometry.adjustment import banded
from threer_blender.geometry.adjustment.banded import Layout, Priors, Rows, System


def test_steps_are_those_of_the_dense_equations() -> None:
    random = np.random.default_rng(0)
    frames, width, lens, damping = 40, 4, 2, 1e-3
    spans = [(begin, begin + int(random.integers(2, 12))) for begin in range(0, 34, 2)]
    # The frames that observe each point: a span of frames without one, the second of four or more, the first of fewer.
    observing = [np.delete(np.arange(a, min(b, frames)), 0 if b - a < 4 else 1) for a, b in spans]
    camera, counts = np.concatenate(observing), [len(each) for each in observing]
    start = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    point = np.repeat(np.arange(len(spans)), counts)
    total = len(camera)
    rows = Rows(
        random.normal(size=(total, 2)),
        random.normal(size=(total, 2, width)),
        random.normal(size=(total, 2, lens)),
        random.normal(size=(total, 2, 3)),
    )
    layout = Layout.of(camera, start, frames, width)
    assert layout.blocks == 3  # 40 frames in the smallest chunks, of 16: no point spans more
    slots = np.array([[width * f + 3, width * (f + 1) + 3, width * (f + 2) + 3] for f in range(frames - 2)])
    priors = Priors(slots, np.tile([1.0, -2.0, 1.0], (len(slots), 1)))
    prior_residuals = random.normal(size=len(slots))
    prior, gradient = np.array([0.5, 2.0]), random.normal(size=lens)
    held = np.zeros(frames * width, bool)
    system = System(layout, rows, priors, prior_residuals, held, prior, gradient)
    of_frames, of_lens, of_points = banded.solve(system, damping)

    unknowns = frames * width + lens + 3 * len(spans)
    jacobian, residuals = np.zeros((2 * total + len(slots), unknowns)), np.zeros(2 * total + len(slots))
    for m in range(total):
        at = slice(2 * m, 2 * m + 2)
        jacobian[at, width * camera[m] : width * camera[m] + width] = rows.outer[m]
        jacobian[at, frames * width : frames * width + lens] = rows.lens[m]
        first = frames * width + lens + 3 * point[m]
        jacobian[at, first : first + 3] = rows.inner[m]
        residuals[at] = rows.residuals[m]
    for r in range(len(slots)):
        jacobian[2 * total + r, slots[r]] = priors.factors[r]
        residuals[2 * total + r] = prior_residuals[r]
    normal, right = jacobian.T @ jacobian, jacobian.T @ residuals
    at_lens = np.arange(frames * width, frames * width + lens)
    normal[at_lens, at_lens] += prior
    right[at_lens] += gradient
    normal[np.diag_indices(unknowns)] *= 1 + damping
    expected = np.linalg.lstsq(normal, -right, rcond=None)[0]
    assert np.allclose(of_frames, expected[: frames * width], atol=1e-6)
    assert np.allclose(of_lens, expected[at_lens], atol=1e-6)
    assert np.allclose(of_points.ravel(), expected[frames * width + lens :], atol=1e-6)
