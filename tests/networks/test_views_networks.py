"""Small copies of the networks that take many views: what does not depend on trained or published weights."""

from collections.abc import Callable
from typing import Any

import pytest

pytest.importorskip("torch", reason="networks need torch")
import torch

from threer_blender.networks import depth_anything3, fast3r, map_anything, pi3, vggt, vggt_omega
from threer_blender.networks.layers import dense_head
from threer_blender.networks.layers.sizes import DenseHeadSize, TransformerSize

WIDTHS = (16, 16, 32, 32)
SIZE, DENSE = TransformerSize(64, 4, 4), DenseHeadSize((0, 1, 2, 3), WIDTHS, 32)
NETWORKS: dict[str, tuple[Callable[[], torch.nn.Module], tuple[int, int]]] = {
    "depth_anything3": (
        lambda: depth_anything3.DepthAnything3(
            depth_anything3.DepthAnything3Config(
                TransformerSize(64, 6, 4), alternating=2, dense=DenseHeadSize((2, 3, 4, 5), WIDTHS, 32)
            )
        ),
        (42, 56),
    ),
    "vggt": (
        lambda: vggt.VGGT(vggt.VGGTConfig(SIZE, DENSE)),
        (42, 56),
    ),
    "vggt_omega": (
        lambda: vggt_omega.VGGTOmega(vggt_omega.VGGTOmegaConfig(SIZE, register_blocks=(1,), dense=DENSE)),
        (48, 64),
    ),
    "map_anything": (
        lambda: map_anything.MapAnything(
            map_anything.MapAnythingConfig(TransformerSize(64, 2, 4), SIZE, layers=(2, 3, 4), hidden=16, pose_width=32)
        ),
        (42, 56),
    ),
    "fast3r": (lambda: fast3r.Fast3R(fast3r.Fast3RConfig(blocks=SIZE)), (48, 64)),
}


def small_network(kind: str) -> torch.nn.Module:
    torch.manual_seed(0)
    network = NETWORKS[kind][0]().eval().requires_grad_(False)
    for name, parameter in network.named_parameters():
        if parameter.dim() > 1:
            parameter.normal_(std=parameter[0].numel() ** -0.5)
        else:
            parameter.normal_(mean=float(not name.endswith("bias")), std=0.05)
    return network


def depths(name: str, network: torch.nn.Module, count: int) -> torch.Tensor:
    """The network's depth, or distance, of `count` random pictures (count, H, W)."""
    images = torch.rand(count, 3, *NETWORKS[name][1], generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        actual: Any = network(list(images) if name == "fast3r" else images)
    return torch.stack([view.local.points[0].norm(dim=-1) for view in actual]) if name == "fast3r" else actual.depth


@pytest.mark.parametrize("name", NETWORKS)
def test_half_precision_says_about_the_same(name: str) -> None:
    network = small_network(name)
    full = depths(name, network, 3)
    with torch.autocast("cpu", torch.bfloat16):
        half = depths(name, network, 3)
    assert half.dtype == torch.float32
    assert ((half - full).abs() / full.abs().mean()).median() < 0.05


@pytest.mark.parametrize("name", ["depth_anything3", "map_anything"])
def test_cameras_are_not_rounded_to_half_precision(name: str) -> None:
    network = small_network(name)
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        actual = network(torch.rand(3, 3, 42, 56)).camera_from_world[:, :, 3]
    assert (actual != actual.bfloat16().float()).all()


@pytest.mark.parametrize("name", ["depth_anything3", "map_anything", "vggt", "vggt_omega"])
def test_heads_say_the_same_for_a_few_views_at_a_time(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    network = small_network(name)
    few = depths(name, network, 5)
    monkeypatch.setattr(dense_head, "VIEWS_AT_ONCE", 100)
    assert torch.allclose(few, depths(name, network, 5), rtol=1e-4, atol=1e-5)


def test_fast3r_takes_views_of_different_sizes_and_repeats() -> None:
    network = small_network("fast3r")
    images = [torch.rand(3, 48, 64) * 2 - 1, torch.rand(3, 64, 48) * 2 - 1, torch.rand(3, 48, 80) * 2 - 1]
    with torch.inference_mode():
        first, again = network(images), network(images)
    for image, one, two in zip(images, first, again, strict=True):
        assert one.shared.points.shape[1:3] == image.shape[1:]
        assert torch.equal(one.shared.points, two.shared.points)


def test_fast3r_view_indices_are_distinct_and_known() -> None:
    for count in (1, 2, 3, 500, 1000):
        indices = fast3r.spread_indices(count)
        assert indices[0] == 0
        assert len(set(indices)) == count
        assert max(indices) < fast3r.MOST_VIEWS


def test_depth_anything3_cameras_do_not_depend_on_the_order_of_photos() -> None:
    network = small_network("depth_anything3")
    images = torch.rand(4, 3, 42, 56)
    order = torch.tensor([2, 0, 3, 1])
    with torch.inference_mode():
        straight, turned = network(images), network(images[order])
    assert torch.allclose(straight.camera_from_world[order], turned.camera_from_world, rtol=1e-3, atol=1e-3)


def test_pi3_has_no_reference_view() -> None:
    torch.manual_seed(0)
    network = pi3.Pi3(pi3.Pi3Config(TransformerSize(64, 2, 4), SIZE)).eval()
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    images = torch.rand(4, 3, 42, 56)
    order = torch.tensor([2, 0, 3, 1])
    with torch.inference_mode():
        straight, turned = network(images), network(images[order])
    for one, other in zip(straight, turned, strict=True):
        assert torch.allclose(one[order], other, rtol=1e-3, atol=1e-4)
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        half = network(images)
    assert all(one.dtype == torch.float32 for one in half)
    assert ((half.points[..., 2] / straight.points[..., 2]).log().abs()).median() < 0.05


def test_map_anything_finds_the_lens_of_its_rays() -> None:
    x, y = torch.arange(56) + 0.5, torch.arange(42) + 0.5
    slopes = torch.stack(torch.meshgrid((x - 30) / 70, (y - 20) / 80, indexing="xy"), dim=-1)
    rays = torch.cat([slopes, torch.ones(42, 56, 1)], dim=-1)
    rays = rays / rays.norm(dim=-1, keepdim=True)
    rays[5, 5] = torch.tensor([0.6, 0.0, -0.8])  # looks back
    expected = torch.tensor([[70.0, 0, 30], [0, 80, 20], [0, 0, 1]])
    assert torch.allclose(map_anything.pinhole(rays[None])[0], expected, rtol=1e-4)
