"""Picked pairs give the similarity, and are refused where they cannot."""

import numpy as np
import pytest

from threer_blender.geometry import rotations
from threer_blender.model import picked_pairs
from threer_blender.model.arrays import Array
from threer_blender.model.errors import UserError
from threer_blender.model.similarity import Similarity

TRUE = Similarity(2.5, rotations.from_vectors(np.array((0.3, -1.2, 0.4))), np.array([1.0, -2, 3]))
CORNERS = np.array([(0.0, 0, 0), (2, 0, 0), (0, 1, 0)])
SOLID = np.append(CORNERS, [(0.3, 0.4, 1.5)], axis=0)
EYES = np.array([(0.0, 0, 4), (1, 1, 3), (-1, 2, 5)])  # of cameras that see the corners from above


def fitted(source: Array, target: Array) -> picked_pairs.PickedFit:
    return picked_pairs.fit(source, target, EYES, TRUE.apply(EYES))


@pytest.mark.parametrize("points", [CORNERS, SOLID])
def test_exact_picks_give_the_similarity(points: Array) -> None:
    actual = fitted(points, TRUE.apply(points))
    assert np.abs(actual.target_from_source.matrix - TRUE.matrix).max() < 1e-9
    assert actual.residual < 1e-9


def test_the_residual_is_a_share_of_the_extent() -> None:
    target = TRUE.apply(SOLID)
    spread = np.sqrt(((target - target.mean(0)) ** 2).sum(1).mean())
    target[0] += 0.05 * spread
    assert 0.01 < fitted(SOLID, target).residual < 0.08


def test_picks_that_cannot_be_are_refused() -> None:
    with pytest.raises(UserError, match="at least 3 pairs"):
        fitted(CORNERS[:2], CORNERS[:2])
    with pytest.raises(UserError, match="one line"):
        fitted(np.outer(np.arange(4), (1.0, 2, 3)), SOLID)
    with pytest.raises(UserError, match="mirrored"):
        fitted(SOLID * (1, 1, -1), TRUE.apply(SOLID))
    with pytest.raises(UserError, match="mirrored"):  # the plane would be seen from below
        fitted(CORNERS * (1, -1, 1), TRUE.apply(CORNERS))
    with pytest.raises(UserError, match="do not fit"):
        fitted(SOLID, TRUE.apply(SOLID[[2, 3, 1, 0]]))
