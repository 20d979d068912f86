"""Fast reciprocal matching returns reciprocal pairs alone: some of them, or all where it starts from all pixels."""

import numpy as np
import pytest

pytest.importorskip("torch", reason="descriptors are torch's")
import torch

from threer_blender.geometry.pairs import reciprocal_matching


def descriptors(height: int, width: int, seed: int) -> torch.Tensor:
    noise = torch.randn(height, width, 24, generator=torch.Generator().manual_seed(seed))
    return torch.nn.functional.normalize(noise, dim=-1)


@pytest.mark.parametrize(("queries", "candidates"), [(1, 1), (300, 5000), (777, 2048), (10, 2049)])
@pytest.mark.parametrize("alike", [0.0, 5.0])
def test_nearest_is_the_largest_product(
    queries: int, candidates: int, alike: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Block by block, as on a graphics card, whether neighbours are alike or not."""
    first = descriptors(1, queries, 1)[0]
    second = descriptors(1, candidates, 2) + alike * torch.linspace(-1, 1, candidates)[:, None]
    second = torch.nn.functional.normalize(second, dim=-1)
    expected = (first @ second[0].T).argmax(dim=1)
    monkeypatch.setattr(reciprocal_matching, "BLOCK", (100, 512))
    assert torch.equal(reciprocal_matching.nearest(second[0], first), expected)


def test_all_pairs_are_reciprocal_and_none_is_missed_from_all_starts() -> None:
    first, second = descriptors(30, 44, 1), descriptors(40, 28, 2)
    products = first.flatten(0, 1) @ second.flatten(0, 1).T
    forward, backward = products.argmax(dim=1), products.argmax(dim=0)
    mutual = torch.nonzero(backward[forward] == torch.arange(len(forward)))[:, 0]
    expected = {(int(i), int(forward[i])) for i in mutual}
    dense = {tuple(pair) for pair in reciprocal_matching.reciprocal(first, second, spacing=1).tolist()}
    assert dense == expected
    sparse = {tuple(pair) for pair in reciprocal_matching.reciprocal(first, second, spacing=8).tolist()}
    assert sparse <= expected
    assert len(sparse) > 20


def test_matches_are_those_of_a_moved_picture() -> None:
    """The second photo shows the first moved by (5, 3): what both show is found, at pixels' centres."""
    whole = descriptors(60, 80, 3)
    confidence = torch.rand(48, 64, generator=torch.Generator().manual_seed(0)) + 1
    first, second = whole[:48, :64], whole[3:51, 5:69]
    actual = reciprocal_matching.match(2, 7, (first, second), (confidence, 4 * confidence), spacing=4)
    moved = actual.pixels_first - actual.pixels_second
    true = (moved == (5, 3)).all(axis=1)
    assert true.sum() > 150
    assert (~true).sum() < 0.2 * true.sum()  # unrelated noise at the borders meets, too
    column, row = (actual.pixels_first - 0.5).astype(int).T
    other_column, other_row = (actual.pixels_second - 0.5).astype(int).T
    np.testing.assert_allclose(
        actual.confidence, np.sqrt(confidence[row, column] * 4 * confidence[other_row, other_column]), rtol=1e-6
    )
    assert (actual.first, actual.second) == (2, 7)
