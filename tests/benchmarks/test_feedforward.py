"""The straightforward way to run a network, beside which ours is measured, computes the same."""

import pytest

pytest.importorskip("torch", reason="networks need torch")
import torch

from tests.benchmarks import feedforward
from threer_blender.networks import depth_anything3, vggt
from threer_blender.networks.layers import dense_head
from threer_blender.networks.layers.sizes import DenseHeadSize, TransformerSize

SMALL = DenseHeadSize((0, 1, 2, 3), (8, 8, 8, 8), 8)
NETWORKS = {
    "Depth Anything 3": lambda: depth_anything3.DepthAnything3(
        depth_anything3.DepthAnything3Config(TransformerSize(32, 4, 2), 2, SMALL)
    ),
    "VGGT": lambda: vggt.VGGT(vggt.VGGTConfig(TransformerSize(64, 4, 2), SMALL)),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_the_straightforward_way_computes_the_same(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dense_head, "VIEWS_AT_ONCE", dense_head.VIEWS_AT_ONCE)  # is put back
    torch.manual_seed(0)
    network = feedforward.filled(NETWORKS[name])
    images = torch.rand(3, 3, 28, 42)
    with torch.inference_mode():
        ours = network(images).depth
        feedforward.straightforward(network, feedforward.PUBLISHED[name][1])
        theirs = network(images).depth
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=0)
