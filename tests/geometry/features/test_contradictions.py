"""Two photos that show different things at one place contradict each other; a repeating pattern excuses wrong
matches."""

from itertools import combinations
from pathlib import Path

import numpy as np
import pycolmap
import pytest

from tests.geometry.sfm.like_houses import PHOTOS, houses
from threer_blender.geometry.features.contradictions import contradicted, unexcused
from threer_blender.geometry.features.database import Matched
from threer_blender.geometry.sfm import mappers
from threer_blender.geometry.sfm.model_selection import Model

ALL = frozenset(range(2 * PHOTOS))
PAIRS = list(combinations(sorted(ALL), 2))
ACROSS = {(i, j) for i, j in PAIRS if i < PHOTOS <= j}


def strict_model(matched: Matched) -> Model:
    """The model of all photos by COLMAP's own mapping."""
    (model,) = mappers.run(mappers.CANDIDATES[0], matched, lambda _: None)
    assert model.num_reg_images() == len(ALL)
    return model


def test_like_houses_on_different_ground_contradict_each_other(tmp_path: Path) -> None:
    """All photos seem to show one house, and every match is explained."""
    matched, _ = houses(tmp_path)
    shares = contradicted(strict_model(matched), ALL, matched, PAIRS)
    assert {pair for pair, share in shares.items() if share > 0.2} == ACROSS
    assert all(share == 0 for pair, share in shares.items() if pair not in ACROSS)


@pytest.mark.parametrize("matched_ground", [True, False])
def test_what_one_house_shows_is_not_contradicted(tmp_path: Path, matched_ground: bool) -> None:
    """Features that are there, and were not matched, contradict nothing."""
    matched, _ = houses(tmp_path, same_ground=True, matched_ground=matched_ground)
    assert set(contradicted(strict_model(matched), ALL, matched, PAIRS).values()) == {0.0}


def test_features_without_descriptors_tell_nothing(tmp_path: Path) -> None:
    matched, _ = houses(tmp_path)
    model = strict_model(matched)
    with pycolmap.Database.open(matched.path) as database:
        database.clear_descriptors()
    assert contradicted(model, ALL, matched, PAIRS) == {}


def test_a_match_is_excused_where_the_feature_is_at_its_place_too(tmp_path: Path) -> None:
    """None of the matches is explained. At each place there is such a feature, too; or, at last, another."""
    matched, _ = houses(tmp_path, same_ground=True)
    model = strict_model(matched)
    moved = {
        (i, j): np.ones(count, bool) for (i, j), count in zip(matched.pairs.tolist(), matched.inliers, strict=True)
    }
    assert unexcused(model, ALL, matched, moved) < 0.01
    with pycolmap.Database.open(matched.path) as database:
        mixed = [np.random.default_rng(i).permutation(database.read_descriptors(i + 1).data) for i in sorted(ALL)]
        database.clear_descriptors()
        for i, data in enumerate(mixed):
            sift = pycolmap.FeatureDescriptors(pycolmap.FeatureExtractorType.SIFT, data)
            database.write_descriptors(i + 1, sift)
    assert unexcused(model, ALL, matched, moved) > 0.5
