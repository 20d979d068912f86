"""Parity of the networks that take any number of views: for the same weights and images, the published outputs."""

import gc
from collections.abc import Callable
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="networks need torch")
from tests.networks.parity import CLOSE, Case, cases, difference, log_difference, log_length, network  # noqa: E402
from threer_blender.networks import depth_anything3, vggt_omega, vit  # noqa: E402


def _depth_anything3(net: Any, images: torch.Tensor, _facts: dict) -> dict[str, torch.Tensor]:
    found = net(vit.normalised(images))
    return {
        "depth": found.depth,
        "depth_conf": found.confidence,
        "extrinsics": found.camera_from_world,
        "intrinsics": found.intrinsics,
    }


def _vggt_omega(net: Any, images: torch.Tensor, _facts: dict) -> dict[str, torch.Tensor]:
    found = net(images)
    return {
        "pose_enc": found.pose,
        "depth": found.depth[..., None],
        "depth_conf": found.confidence,
        "camera_and_register_tokens": found.tokens,
    }


# Model -> its network, the names in its checkpoint, and its outputs under the published names, without a batch.
NETWORKS: dict[str, tuple[Callable, Callable, Callable]] = {
    "da3_base": (depth_anything3.DepthAnything3, depth_anything3.rename, _depth_anything3),
    "vggt_omega_1b_512": (vggt_omega.VGGTOmega, vggt_omega.rename, _vggt_omega),
}


@pytest.fixture(scope="module")
def held():
    """Model -> its seeded network; holds one at a time."""
    networks: dict = {}
    yield networks
    networks.clear()


@pytest.mark.parametrize("case", cases(*NETWORKS))
def test_views_network(case: Case, held: dict) -> None:
    build, rename, outputs = NETWORKS[case.facts["model"]]
    model = case.facts["model"], case.facts["seed"]
    if model not in held:
        held.clear()
        gc.collect()
        held[model] = network(case, build, rename)
    with torch.inference_mode():
        found = outputs(held[model], torch.cat(case.images()), case.facts)
    expected = {name: value[0] for name, value in case.expected().items()}
    assert found.keys() == expected.keys()
    for name, theirs in expected.items():
        assert difference(found[name], theirs) < CLOSE, name
        if "points" in name or "pts3d" in name:
            assert difference(log_length(found[name]), log_length(theirs)) < CLOSE, name
        elif name == "depth" or ("conf" in name.split(".")[-1] and name != "conf"):
            assert log_difference(found[name], theirs, 0.0 if name == "depth" else 1.0) < CLOSE, name
