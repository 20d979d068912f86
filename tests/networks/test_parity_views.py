"""Parity of the networks that take any number of views: for the same weights and images, the published outputs."""

from collections.abc import Callable
from typing import Any

import pytest

pytest.importorskip("torch", reason="networks need torch")
import torch

from tests.networks.parity import CLOSE, Case, Networks, cases, difference, is_points, log_difference, log_length
from threer_blender.networks import depth_anything3, fast3r, map_anything, vggt, vggt_omega
from threer_blender.networks.layers import vit
from threer_blender.networks.layers.pose_encoding import inverted


def _depth_anything3(net: Any, images: torch.Tensor, _facts: dict[str, Any]) -> dict[str, torch.Tensor]:
    found = net(vit.normalised(images))
    return {
        "depth": found.depth,
        "depth_conf": found.confidence,
        "extrinsics": found.camera_from_world,
        "intrinsics": found.intrinsics,
    }


def _vggt(net: Any, images: torch.Tensor, facts: dict[str, Any]) -> dict[str, torch.Tensor]:
    given: list[tuple[Any, ...]] = []
    hook = net.track_head.tracker.register_forward_pre_hook(lambda _module, inputs: given.append(inputs))
    found = net(images, torch.tensor(facts["query_points"]), with_points=True)
    hook.remove()
    features, queries = given[0]
    noise = 1 + 1e-6 * torch.randn(features.shape, generator=torch.Generator().manual_seed(0))
    other = net.track_head.tracker(features * noise, queries)
    ROUNDING.update(
        track=difference(2 * other.pixels, found.tracks.pixels),
        vis=difference(other.visibility, found.tracks.visibility),
        conf=difference(other.confidence, found.tracks.confidence),
    )
    return {
        "pose_enc": found.pose,
        "depth": found.depth[..., None],
        "depth_conf": found.depth_confidence,
        "world_points": found.points,
        "world_points_conf": found.points_confidence,
        "track": found.tracks.pixels,
        "vis": found.tracks.visibility,
        "conf": found.tracks.confidence,
    }


def _vggt_omega(net: Any, images: torch.Tensor, _facts: dict[str, Any]) -> dict[str, torch.Tensor]:
    found = net(images)
    return {
        "pose_enc": found.pose,
        "depth": found.depth[..., None],
        "depth_conf": found.confidence,
        "camera_and_register_tokens": found.tokens,
    }


def _fast3r(net: Any, images: torch.Tensor, facts: dict[str, Any]) -> dict[str, torch.Tensor]:
    found = {}
    for number, (shared, own) in enumerate(net(2 * images - 1, facts["image_ids"])):
        found[f"view{number}.pts3d_in_other_view"] = shared.points[0]
        found[f"view{number}.conf"] = shared.confidence[0]
        found[f"view{number}.pts3d_local"] = own.points[0]
        found[f"view{number}.conf_local"] = own.confidence[0]
    return found


def _map_anything(net: Any, images: torch.Tensor, _facts: dict[str, Any]) -> dict[str, torch.Tensor]:
    found = net(vit.normalised(images))
    poses = inverted(found.camera_from_world)
    points = (found.rays * found.distance[..., None]) @ poses[:, None, :, :3].mT + poses[:, None, None, :, 3]
    return {
        "camera_poses": poses,
        "metric_scaling_factor": found.unit,
        "ray_directions": found.rays,
        "depth_along_ray": found.distance,
        "conf": found.confidence,
        "non_ambiguous_mask_logits": found.clear,
        "pts3d": points,
    }


# What rounding does to an output where that is more than CLOSE. Between its rounds the seeded tracker turns places into
# sines of up to 1000 times their pixels, so that a millionth in its features moves its confidences by hundredths.
ROUNDING: dict[str, float] = {}

# Model -> its network, the names in its checkpoint, and its outputs under the published names, without a batch.
NETWORKS: dict[str, tuple[Callable[..., Any], Callable[..., Any], Callable[..., Any]]] = {
    "da3_base": (depth_anything3.DepthAnything3, depth_anything3.rename, _depth_anything3),
    "vggt_1b": (vggt.VGGT, vggt.rename, _vggt),
    "vggt_omega_1b_512": (vggt_omega.VGGTOmega, vggt_omega.rename, _vggt_omega),
    "map_anything_apache": (map_anything.MapAnything, map_anything.rename, _map_anything),
    "fast3r_512": (fast3r.Fast3R, fast3r.rename, _fast3r),
}


@pytest.fixture(scope="module")
def networks() -> Networks:
    return Networks()


@pytest.mark.parametrize("case", cases(*NETWORKS))
def test_views_network(case: Case, networks: Networks) -> None:
    build, rename, outputs = NETWORKS[case.facts["model"]]
    network = networks.get(case, build, rename)
    ROUNDING.clear()
    with torch.inference_mode():
        found = outputs(network, torch.cat(case.images()), case.facts)
    expected = case.expected()
    assert found.keys() == expected.keys()
    for name, theirs in expected.items():
        ours = theirs.of(found[name])
        assert difference(ours, theirs.values) < max(CLOSE, 5 * ROUNDING.get(name, 0)), name
        if is_points(name):
            assert difference(log_length(ours), log_length(theirs.values)) < CLOSE, name
        elif name == "depth" or ("conf" in name.split(".")[-1] and name != "conf"):
            assert log_difference(ours, theirs.values, 0.0 if name == "depth" else 1.0) < CLOSE, name
