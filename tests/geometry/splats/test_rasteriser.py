"""The rasteriser draws what the sum over all Gaussians says, and its gradients are those of that sum."""

import math
from collections.abc import Callable

import pytest

pytest.importorskip("torch", reason="splats are tested where torch is installed")
import torch
from torch import Tensor

from threer_blender.geometry.splats import rasteriser
from threer_blender.geometry.splats.footprints import Footprints
from threer_blender.geometry.splats.rasteriser import Picture, Splats

SIZE = (64, 48)
Inputs = dict[str, Tensor]


def scene(count: int = 300, degree: int = 3) -> Inputs:
    """Gaussians of all shapes on a bumpy surface, some beside and behind the camera, which looks a little askew."""
    random = torch.Generator().manual_seed(0)

    def uniform(low: float, high: float, *shape: int) -> Tensor:
        return low + (high - low) * torch.rand(*shape, generator=random, dtype=torch.float64)

    u, v = uniform(-0.9, 0.9, count), uniform(-0.7, 0.7, count)
    depth = 3 + 0.8 * torch.sin(4 * u) * torch.cos(5 * v)
    depth[:5] = -1
    camera_from_world = torch.eye(4, dtype=torch.float64)
    rotation = torch.tensor([[0, -0.05, 0.03], [0.05, 0, -0.02], [-0.03, 0.02, 0]], dtype=torch.float64)
    camera_from_world[:3, :3] = torch.matrix_exp(rotation)
    camera_from_world[:3, 3] = torch.tensor([0.05, -0.03, 0.02])
    return {
        "means": torch.stack([u * depth, v * depth, depth], 1),
        "scales": 0.1 * uniform(0.4, 1.6, count, 3),
        "rotations": torch.randn(count, 4, generator=random, dtype=torch.float64),
        "opacities": uniform(0.2, 0.97, count),
        "sh": 0.3 * torch.randn(count, (degree + 1) ** 2, 3, generator=random, dtype=torch.float64),
        "camera_from_world": camera_from_world,
        "intrinsics": torch.tensor([60.0, 58.0, 31.0, 25.0], dtype=torch.float64),
    }


def dense(footprints: Footprints, opacities: Tensor, values: Tensor, smooth: bool) -> Picture:
    """The definition: every Gaussian at every pixel. `smooth` leaves out the cut-offs, which finite steps jump over."""
    order = torch.argsort(footprints.depths)
    order = order[footprints.extents[order, 0] > 0]
    y, x = torch.meshgrid(torch.arange(SIZE[1]) + 0.5, torch.arange(SIZE[0]) + 0.5, indexing="ij")
    off = torch.stack([x, y], -1).double() - footprints.centres[order][:, None, None]
    xx, xy, yy = footprints.conics[order][:, None, None].unbind(-1)
    exponent = 0.5 * (xx * off[..., 0] ** 2 + yy * off[..., 1] ** 2) + xy * off[..., 0] * off[..., 1]
    alpha = (opacities[order][:, None, None] * torch.exp(-exponent)).clamp_max(0.99)
    if not smooth:
        alpha = torch.where(alpha >= 1 / 255, alpha, 0.0)
    light = torch.cumprod(1 - alpha, 0)
    if not smooth:
        alpha = torch.where(light >= 1e-4, alpha, 0.0)
    weights = alpha * torch.cat([torch.ones_like(light[:1]), light[:-1]])
    return Picture((weights[..., None] * values[order][:, None, None]).sum(0), weights.sum(0))


def render_dense(inputs: Inputs, smooth: bool = False) -> Picture:
    """The scene's picture by `dense`."""
    splats = Splats(*(inputs[name] for name in Splats._fields))
    pose = inputs["camera_from_world"]
    footprints = rasteriser.project(splats, pose, inputs["intrinsics"], SIZE)
    centre = -pose[:3, :3].T @ pose[:3, 3]
    directions = torch.nn.functional.normalize(splats.means - centre, dim=-1)
    return dense(footprints, splats.opacities, rasteriser.colours(splats.sh, directions), smooth)


def render(inputs: Inputs) -> Picture:
    splats = Splats(*(inputs[name] for name in Splats._fields))
    return rasteriser.render(splats, inputs["camera_from_world"], inputs["intrinsics"], SIZE)


def with_gradients(draw: Callable[[Inputs], Picture], inputs: Inputs) -> tuple[Picture, Inputs]:
    """The picture and the gradient of a fixed random sum over it, both in double precision."""
    free = {name: tensor.clone().requires_grad_(True) for name, tensor in inputs.items()}
    picture = draw(free)
    value(picture).backward()
    return Picture(*(part.detach().double() for part in picture)), {k: t.grad.double() for k, t in free.items()}


def value(picture: Picture) -> Tensor:
    """A fixed random sum over the picture's colours and alphas."""
    random = torch.Generator().manual_seed(1)
    weights = torch.rand((SIZE[1], SIZE[0], 4), generator=random, dtype=torch.float64).to(picture.alpha.dtype)
    return (picture.colour * weights[..., :3]).sum() + (picture.alpha * weights[..., 3]).sum()


def single(inputs: Inputs) -> Inputs:
    """The same in single precision."""
    return {name: tensor.float() for name, tensor in inputs.items()}


@pytest.mark.parametrize("degree", [0, 1, 2, 3])
def test_picture_and_gradients_are_those_of_the_sum_over_all_gaussians(degree: int) -> None:
    inputs = scene(degree=degree)
    expected, gradients = with_gradients(render_dense, inputs)
    picture, actual = with_gradients(render, single(inputs))
    assert expected.alpha.max() > 0.95
    assert (picture.colour - expected.colour).abs().max() < 2e-5
    assert (picture.alpha - expected.alpha).abs().max() < 2e-5
    for name, gradient in gradients.items():
        assert gradient.norm() > 0
        assert (actual[name] - gradient).norm() < 2e-4 * gradient.norm(), name


def test_gradients_are_finite_differences() -> None:
    inputs = scene(count=40, degree=1)
    _, gradients = with_gradients(lambda given: render_dense(given, smooth=True), inputs)
    random = torch.Generator().manual_seed(2)
    for name, tensor in inputs.items():
        direction = torch.randn(tensor.shape, generator=random, dtype=torch.float64)
        if name == "camera_from_world":
            direction[3] = 0
        step = 1e-6
        ahead, behind = (
            value(render_dense({**inputs, name: tensor + sign * step * direction}, smooth=True)) for sign in (1, -1)
        )
        assert float(ahead - behind) / (2 * step) == pytest.approx(float((gradients[name] * direction).sum()), rel=1e-5)


def test_moving_the_camera_is_moving_the_world() -> None:
    inputs = single(scene(degree=0))
    pose = inputs["camera_from_world"]
    moved = inputs | {"means": inputs["means"] @ pose[:3, :3].T + pose[:3, 3], "camera_from_world": torch.eye(4)}
    half, axis = (
        math.acos((float(pose[:3, :3].trace()) - 1) / 2) / 2,
        torch.stack([pose[2, 1] - pose[1, 2], pose[0, 2] - pose[2, 0], pose[1, 0] - pose[0, 1]]),
    )
    w, (x, y, z) = math.cos(half), math.sin(half) * axis / axis.norm()
    a, b, c, d = inputs["rotations"].T
    product = [w * a - x * b - y * c - z * d, w * b + x * a + y * d - z * c]
    moved["rotations"] = torch.stack([*product, w * c - x * d + y * a + z * b, w * d + x * c - y * b + z * a], 1)
    assert (render(moved).colour - render(inputs).colour).abs().max() < 1e-4


def test_nothing_in_view_is_black() -> None:
    inputs = single(scene(count=20))
    inputs["means"] = inputs["means"] - torch.tensor([0.0, 0.0, 50.0])
    picture, gradients = with_gradients(render, inputs)
    assert picture.colour.abs().max() == picture.alpha.abs().max() == 0
    assert all(gradient.abs().max() == 0 for gradient in gradients.values())


def test_a_background_shows_where_nothing_is() -> None:
    inputs = single(scene(count=5))  # all of them behind the camera
    background = torch.tensor([0.2, 0.4, 0.6])
    assert torch.equal(render(inputs).over(background), background.expand(SIZE[1], SIZE[0], 3))


def test_without_a_card_the_processor_is_used_and_it_is_said() -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a graphics card")
    messages: list[str] = []
    assert rasteriser.working_device(torch.device("cuda"), messages.append) == torch.device("cpu")
    assert len(messages) == 1
    assert messages[0].startswith(
        "Splats are computed on the processor, which takes longer: the graphics card's kernel"
    )
    assert rasteriser.working_device(torch.device("cpu"), messages.append) == torch.device("cpu")
    assert len(messages) == 1
