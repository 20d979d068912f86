"""Parity of the networks that take any number of views: for the same weights and images, the published outputs."""

from collections.abc import Callable
from typing import Any

import pytest

pytest.importorskip("torch", reason="networks need torch")
import torch

from tests.networks.parity import CLOSE, Case, Networks, cases, difference, is_points, log_difference, log_length
from threer_blender.networks import depth_anything3, fast3r, map_anything, pi3, vggt, vggt_omega
from threer_blender.networks.layers import vit
from threer_blender.networks.layers.pose_encoding import inverted


def _depth_anything3(net: Any, images: torch.Tensor, _facts: dict[str, Any]) -> dict[str, torch.Tensor]:
    actual = net(vit.normalised(images))
    return {
        "depth": actual.depth,
        "depth_conf": actual.confidence,
        "extrinsics": actual.camera_from_world,
        "intrinsics": actual.intrinsics,
    }


def _vggt(net: Any, images: torch.Tensor, facts: dict[str, Any]) -> dict[str, torch.Tensor]:
    given: list[tuple[Any, ...]] = []
    hook = net.track_head.tracker.register_forward_pre_hook(lambda _module, inputs: given.append(inputs))
    actual = net(images, torch.tensor(facts["query_points"]), with_points=True)
    hook.remove()
    features, queries = given[0]
    noise = 1 + 1e-6 * torch.randn(features.shape, generator=torch.Generator().manual_seed(0))
    other = net.track_head.tracker(features * noise, queries)
    ROUNDING.update(
        track=difference(2 * other.pixels, actual.tracks.pixels),  # the tracker works at half the picture's size
        vis=difference(other.visibility, actual.tracks.visibility),
        conf=difference(other.confidence, actual.tracks.confidence),
    )
    return {
        "pose_enc": actual.pose,
        "depth": actual.depth[..., None],
        "depth_conf": actual.depth_confidence,
        "world_points": actual.points,
        "world_points_conf": actual.points_confidence,
        "track": actual.tracks.pixels,
        "vis": actual.tracks.visibility,
        "conf": actual.tracks.confidence,
    }


def _vggt_omega(net: Any, images: torch.Tensor, _facts: dict[str, Any]) -> dict[str, torch.Tensor]:
    actual = net(images)
    return {
        "pose_enc": actual.pose,
        "depth": actual.depth[..., None],
        "depth_conf": actual.confidence,
        "camera_and_register_tokens": actual.tokens,
    }


def _fast3r(net: Any, images: torch.Tensor, facts: dict[str, Any]) -> dict[str, torch.Tensor]:
    collected = {}
    for number, (shared, local) in enumerate(net(2 * images - 1, facts["image_ids"])):
        collected[f"view{number}.pts3d_in_other_view"] = shared.points[0]
        collected[f"view{number}.conf"] = shared.confidence[0]
        collected[f"view{number}.pts3d_local"] = local.points[0]
        collected[f"view{number}.conf_local"] = local.confidence[0]
    return collected


def _map_anything(net: Any, images: torch.Tensor, _facts: dict[str, Any]) -> dict[str, torch.Tensor]:
    actual = net(vit.normalised(images))
    poses = inverted(actual.camera_from_world)
    points = (actual.rays * actual.distance[..., None]) @ poses[:, None, :, :3].mT + poses[:, None, None, :, 3]
    return {
        "camera_poses": poses,
        "metric_scaling_factor": actual.unit,
        "ray_directions": actual.rays,
        "depth_along_ray": actual.distance,
        "conf": actual.confidence,
        "non_ambiguous_mask_logits": actual.clear,
        "pts3d": points,
    }


def _pi3(net: Any, images: torch.Tensor, _facts: dict[str, Any]) -> dict[str, torch.Tensor]:
    actual = net(images)
    return {
        "local_points": actual.points,
        "conf": actual.confidence[..., None],
        "camera_poses": actual.world_from_camera,
    }


# How much rounding may change an output, by name, where that is more than CLOSE. Between its rounds the seeded tracker
# turns places into sines of up to 1000 times their pixels. A millionth in its features then moves its confidences by
# hundredths. _vggt measures this with noise.
ROUNDING: dict[str, float] = {}

# Model -> its network, the names in its checkpoint, and its outputs under the published names, without a batch.
NETWORKS: dict[str, tuple[Callable[..., Any], Callable[..., Any], Callable[..., Any]]] = {
    "da3_base": (depth_anything3.DepthAnything3, depth_anything3.rename, _depth_anything3),
    "vggt_1b": (vggt.VGGT, vggt.rename, _vggt),
    "vggt_omega_1b_512": (vggt_omega.VGGTOmega, vggt_omega.rename, _vggt_omega),
    "map_anything_apache": (map_anything.MapAnything, map_anything.rename, _map_anything),
    "pi3": (pi3.Pi3, pi3.rename, _pi3),
    "fast3r_512": (fast3r.Fast3R, fast3r.rename, _fast3r),
}


def slopes_and_log_depth(points: torch.Tensor) -> torch.Tensor:
    """x/z, y/z and the logarithm of z of points (N × 3,): what Pi3's head predicts. Its seeded depths reach 3e11."""
    x, y, z = points.view(-1, 3).T
    return torch.stack([x / z, y / z, z.log()])


@pytest.fixture(scope="module")
def networks() -> Networks:
    return Networks()


@pytest.mark.parametrize("case", cases(*NETWORKS))
def test_views_network(case: Case, networks: Networks) -> None:
    build, rename, outputs = NETWORKS[case.facts["model"]]
    network = networks.get(case, build, rename)
    ROUNDING.clear()
    with torch.inference_mode():
        actual = outputs(network, torch.cat(case.images()), case.facts)
    expected = case.expected()
    assert actual.keys() == expected.keys()
    for name, theirs in expected.items():
        ours = theirs.of(actual[name])
        assert difference(ours, theirs.values) < max(CLOSE, 5 * ROUNDING.get(name, 0)), name
        if is_points(name):
            assert difference(log_length(ours), log_length(theirs.values)) < CLOSE, name
        if name == "local_points":
            assert difference(slopes_and_log_depth(ours), slopes_and_log_depth(theirs.values)) < CLOSE
        elif name == "depth" or ("conf" in name.split(".")[-1] and name != "conf"):
            assert log_difference(ours, theirs.values, 0.0 if name == "depth" else 1.0) < CLOSE, name
