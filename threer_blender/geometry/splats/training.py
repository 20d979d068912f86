"""[R] Gaussians and cameras, optimised together until their pictures match the photos. Imports torch.

The loss and its rates are those of Kerbl et al. (2023). The joint optimisation of cameras, and rates that follow the
confidence, are those of Fan et al., "InstantSplat" (2024). The smallest size of a Gaussian is that of Yu et al.,
"Mip-Splatting" (2024), equation 7.

A few photos can be drawn well by many wrong scenes. Three rules keep the solution near the truth: a Gaussian moves in
units of its own pixel, and less where its depth is more confident; none gets thinner than a pixel resolves; none is
added.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from ...model.arrays import Array, FloatArray
from ...model.reconstruction import Gaussians
from ...model.spherical_harmonics import C0
from . import rasteriser
from .rasteriser import Splats
from .start import Start

# The unit of a camera's translation, over the scene's depth. Rotation and translation shift the picture in nearly the
# same way. At equal rates Adam would divide a rotation between them, and the parallax that distinguishes them is too
# faint to undo that.
TRANSLATION_UNIT = 0.2
VALIDATE_EVERY = 50  # iterations between two validations on the held-out view
PATIENCE = 3  # validations without improvement after which the training ends
VALIDATE_STEPS = 15  # of aligning that view's pose before a validation
ALIGN_RATE = 2e-3  # radians: the change of a pose in the first steps of its alignment
DSSIM = 0.2  # share of structural dissimilarity in the loss; the rest is the absolute difference
SSIM_MEANS, SSIM_VARIANCES = 0.01**2, 0.03**2  # added to means and variances, as usual for values up to 1


@dataclass(frozen=True)
class View:
    """A photo as an ideal pinhole camera sees it: `picture` (H, W, 3) float32 in [0, 1]; `mask` (H, W) bool of the
    pixels that count; `intrinsics` (4,) fx, fy, cx, cy in its pixels; `camera_from_world` (4, 4)."""

    picture: Array
    mask: Array
    intrinsics: FloatArray
    camera_from_world: FloatArray


@dataclass(frozen=True)
class TrainingSettings:
    """The settings of an optimisation. A rate is about the change of a parameter in one of Adam's first steps."""

    iterations: int
    degree: int  # of the spherical harmonics
    coarse: float = 0.2  # share of the iterations on pictures of half the size
    mean_rate: float = 0.1  # pixels, for a confident Gaussian
    guessed: float = 8.0  # factor of that for one of confidence 0; from a confidence of 0.5 on, the factor is 1
    anchor: float = 3e-4  # cost of one pixel's distance from the start, squared, for a confident Gaussian
    scale_rate: float = 0.05  # of the logarithm
    rotation_rate: float = 0.01
    opacity_rate: float = 0.05
    colour_rate: float = 0.04
    pose_rate: float = 4e-3  # radians
    smallest: float = 0.15  # standard deviation of the smallest Gaussian, in pixels
    final: float = 0.1  # factor of the rates at the end
    pose_final: float = 0.01  # the same for the cameras' rate
    seed: int = 0


class Training:
    """An optimisation in progress: `step` improves it, `gaussians` and `poses` return its state at any time.

    `depth` is a typical depth of the scene in world units, the unit of the cameras' translations.
    """

    def __init__(self, start: Start, views: Sequence[View], settings: TrainingSettings, device: torch.device) -> None:
        self.settings, self.device = settings, device
        self._views = [_Pyramid(view, device) for view in views]
        self._random = np.random.default_rng(settings.seed)
        self._queue: list[int] = []
        self._done = 0
        self._anchors, self._pixel_sizes = self._tensor(start.means), self._tensor(start.pixel_sizes)
        self._freedom = self._tensor(settings.guessed ** (1 - 2 * np.minimum(start.confidence, 0.5)))
        count = len(start)
        self._offsets = torch.zeros((count, 3), device=device)
        self._log_scales = self._tensor(start.scales).log()
        self._rotations = _quaternions(self._tensor(start.rotations))
        self._logits = torch.logit(self._tensor(start.opacities))
        self._constant_sh = self._tensor((start.colours - 0.5) / C0)[:, None]
        self._other_sh = torch.zeros((count, (settings.degree + 1) ** 2 - 1, 3), device=device)
        self._motions = torch.zeros((len(views), 6), device=device)
        self.depth = float(np.median(start.pixel_sizes)) * float(views[0].intrinsics[0])
        rates = [
            (self._offsets, settings.mean_rate, settings.final),
            (self._log_scales, settings.scale_rate, settings.final),
            (self._rotations, settings.rotation_rate, settings.final),
            (self._logits, settings.opacity_rate, settings.final),
            (self._constant_sh, settings.colour_rate, settings.final),
            (self._other_sh, settings.colour_rate / 20, settings.final),
            (self._motions, settings.pose_rate, settings.pose_final),
        ]
        for tensor, _, _ in rates:
            tensor.requires_grad_(True)
        groups = [{"params": [tensor], "lr": rate, "initial": rate, "final": final} for tensor, rate, final in rates]
        self._adam = torch.optim.Adam(groups, eps=1e-15, fused=True)

    def splats(self) -> Splats:
        """The Gaussians as they are now, differentiable by the optimised tensors."""
        smallest = self.settings.smallest * self._pixel_sizes[:, None]
        return Splats(
            means=self._anchors + self._offsets * (self._pixel_sizes * self._freedom)[:, None],
            scales=((2 * self._log_scales).exp() + smallest**2).sqrt(),
            rotations=self._rotations,
            opacities=torch.sigmoid(self._logits),
            sh=torch.cat([self._constant_sh, self._other_sh], 1),
        )

    def step(self) -> float:
        """Improves Gaussians and cameras by one photo; returns its loss. All photos are used once before any is used
        again, in random order."""
        if not self._queue:
            self._queue = list(self._random.permutation(len(self._views)))
        number = self._queue.pop()
        through = self._done / self.settings.iterations
        for group in self._adam.param_groups:
            group["lr"] = group["initial"] * group["final"] ** through
        level = self._views[number].levels[1 if through < self.settings.coarse else 0]
        splats = self.splats()
        drawn = rasteriser.render(splats, self._pose(number), level.intrinsics, level.size)
        background = self._tensor(self._random.random(3))
        # Gaussians are held near their start; else a few photos could be drawn well by a scene that is far from real.
        loss = level.loss(drawn.over(background)) + self.settings.anchor * self._offsets.square().sum(1).mean()
        self._adam.zero_grad()
        loss.backward()
        self._adam.step()
        self._done += 1
        return float(loss.detach())

    def _pose(self, number: int) -> Tensor:
        """(4, 4) the pose of the view `number` as it is now, camera from world."""
        return _displaced(self._views[number].camera_from_world, self._motions[number], self.depth)

    def _tensor(self, array: Array) -> Tensor:
        """The array in single precision on the training's device."""
        return torch.as_tensor(array, dtype=torch.float32, device=self.device)

    def poses(self) -> list[FloatArray]:
        """`camera_from_world` (4, 4) of each view as it is now."""
        with torch.no_grad():
            return [self._pose(i).double().cpu().numpy() for i in range(len(self._views))]

    def gaussians(self) -> Gaussians:
        """The Gaussians as they are now."""
        with torch.no_grad():
            splats = self.splats()
            splats = splats._replace(rotations=torch.nn.functional.normalize(splats.rotations, dim=-1))
        return Gaussians(*(tensor.detach().cpu().numpy().astype(np.float32) for tensor in splats))

    def picture(self, view: View) -> Array:
        """(H, W, 3) float32 in [0, 1]: the Gaussians on black from the pose of `view`."""
        with torch.no_grad():
            drawn = draw(self.splats(), view, self._tensor(view.camera_from_world))
        return drawn.clamp(0, 1).cpu().numpy()


@dataclass(frozen=True)
class TrainingResult:
    """The `gaussians`; the `poses`, `camera_from_world` (4, 4) of all views in their order; and the `quality`, the PSNR
    in dB on the held-out view, NaN without one."""

    gaussians: Gaussians
    poses: list[FloatArray]
    quality: float


def improve(
    start: Start,
    views: Sequence[View],
    settings: TrainingSettings,
    device: torch.device,
    watch: Callable[[Training, int], bool],
    held_out: int | None = None,
) -> TrainingResult:
    """Gaussians and poses after all iterations, or after the first for which `watch(training, done)` is true; it may
    also raise.

    The view with the number `held_out`, if there is one, is not trained on. Every VALIDATE_EVERY iterations its pose is
    aligned, and the Gaussians are validated on it. The best are returned. After PATIENCE validations without
    improvement the training ends.
    """
    training = Training(start, [view for i, view in enumerate(views) if i != held_out], settings, device)
    best: TrainingResult | None = None
    held_out_view, waited = (None if held_out is None else views[held_out]), 0
    for done in range(1, settings.iterations + 1):
        training.step()
        hurried = watch(training, done)
        last = hurried or done == settings.iterations
        if held_out_view is not None and (last or done % VALIDATE_EVERY == 0):
            if not hurried:  # the user asked for the end: skip the alignment
                held_out_view = aligned(training.splats(), held_out_view, training.depth, VALIDATE_STEPS)
            quality = decibels(training.picture(held_out_view), held_out_view)
            if best is None or quality > best.quality:
                poses = training.poses()
                poses.insert(held_out or 0, held_out_view.camera_from_world)
                best, waited = TrainingResult(training.gaussians(), poses, quality), 0
            else:
                waited += 1
        if last or waited == PATIENCE:
            break
    return best or TrainingResult(training.gaussians(), training.poses(), math.nan)


def decibels(picture: Array, view: View) -> float:
    """The peak signal-to-noise ratio in dB of `picture` (H, W, 3) against that of `view`, over its mask."""
    return -10 * math.log10(float(np.square(picture - view.picture, dtype=np.float64)[view.mask].mean()) + 1e-12)


def draw(splats: Splats, view: View, camera_from_world: Tensor) -> Tensor:
    """(H, W, 3) the splats on black, through the lens of `view`, from the pose `camera_from_world` (4, 4)."""
    size = (view.mask.shape[1], view.mask.shape[0])
    intrinsics = torch.as_tensor(view.intrinsics, dtype=torch.float32, device=splats.means.device)
    return rasteriser.render(splats, camera_from_world, intrinsics, size).colour


def aligned(splats: Splats, view: View, depth: float, steps: int = 60) -> View:
    """`view` with the nearby pose from which the splats resemble its picture most, after so many `steps` of Adam.
    `depth` is that of `Training`."""
    splats = Splats(*(tensor.detach() for tensor in splats))
    pyramid = _Pyramid(view, splats.means.device)
    motion = torch.zeros(6, device=splats.means.device, requires_grad=True)
    adam = torch.optim.Adam([motion])
    for done in range(steps):
        adam.param_groups[0]["lr"] = ALIGN_RATE * 0.1 ** (done / steps)
        level = pyramid.levels[1 if done < steps // 2 else 0]
        pose = _displaced(pyramid.camera_from_world, motion, depth)
        loss = level.loss(rasteriser.render(splats, pose, level.intrinsics, level.size).colour)
        adam.zero_grad()
        loss.backward()
        adam.step()
    with torch.no_grad():
        pose = _displaced(pyramid.camera_from_world, motion, depth)
    return replace(view, camera_from_world=pose.double().cpu().numpy())


def _displaced(camera_from_world: Tensor, motion: Tensor, depth: float) -> Tensor:
    """The pose (4, 4) rotated by `motion[:3]` radians and translated by `motion[3:]`, in units of TRANSLATION_UNIT
    times `depth`."""
    x, y, z = motion[:3]
    zero = torch.zeros_like(x)
    skew = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero]).reshape(3, 3)
    top = torch.cat([torch.linalg.matrix_exp(skew), TRANSLATION_UNIT * depth * motion[3:, None]], 1)
    return torch.cat([top @ camera_from_world, camera_from_world[3:]])


class _Level:
    """A view at one resolution, with the loss of a drawn picture against it."""

    def __init__(self, picture: Tensor, mask: Tensor, intrinsics: Tensor) -> None:
        self.size = (picture.shape[1], picture.shape[0])
        self.intrinsics = intrinsics
        self._mask = mask[..., None]
        self._share = max(float(mask.mean()), 1e-9)  # of a photo that is masked altogether, nothing counts
        self._wanted = (picture * self._mask).permute(2, 0, 1).contiguous()
        self._down, self._across = (_window(n, picture.device) for n in picture.shape[:2])
        self._mean, self._square = self._blurred(self._wanted), self._blurred(self._wanted.square())

    def loss(self, drawn: Tensor) -> Tensor:
        """The mean of (1 - DSSIM) |a - b| + DSSIM (1 - SSIM) over the mask, for the picture `drawn` (H, W, 3)."""
        a, b = (drawn * self._mask).permute(2, 0, 1), self._wanted
        mean, square, product = self._blurred(torch.stack([a, a * a, a * b]))
        variance, other_variance, covariance = (
            square - mean * mean,
            self._square - self._mean**2,
            product - mean * self._mean,
        )
        ssim = (2 * mean * self._mean + SSIM_MEANS) * (2 * covariance + SSIM_VARIANCES)
        ssim = ssim / ((mean**2 + self._mean**2 + SSIM_MEANS) * (variance + other_variance + SSIM_VARIANCES))
        return ((1 - DSSIM) * (a - b).abs().mean() + DSSIM * (1 - ssim.mean())) / self._share

    def _blurred(self, pictures: Tensor) -> Tensor:
        """Pictures (…, H, W), blurred with SSIM's window."""
        # On the CPU, two products with banded matrices take a tenth of the time of a convolution.
        return self._down @ pictures @ self._across.T


class _Pyramid:
    """A view at its own resolution and at half of it: `levels` are the two, the full one first."""

    def __init__(self, view: View, device: torch.device) -> None:
        def tensor(array: Array) -> Tensor:
            return torch.as_tensor(array, dtype=torch.float32, device=device)

        picture, mask, intrinsics = tensor(view.picture), tensor(view.mask), tensor(view.intrinsics)
        self.camera_from_world = tensor(view.camera_from_world)
        halved = torch.nn.functional.avg_pool2d(torch.cat([picture, mask[..., None]], -1).permute(2, 0, 1), 2)
        small, small_mask = halved[:3].permute(1, 2, 0), (halved[3] == 1).float()
        self.levels = (_Level(picture, mask, intrinsics), _Level(small, small_mask, intrinsics / 2))


def _window(count: int, device: torch.device) -> Tensor:
    """(count, count) the matrix that blurs a line of pixels with SSIM's window, a Gaussian of standard deviation 1.5
    over 11 pixels."""
    distance = torch.arange(count, device=device)[:, None] - torch.arange(count, device=device)
    weights = torch.exp(-(distance.float() ** 2) / (2 * 1.5**2)) * (distance.abs() <= 5)
    return weights / math.fsum(math.exp(-(i**2) / (2 * 1.5**2)) for i in range(-5, 6))


def _quaternions(matrices: Tensor) -> Tensor:
    """(N, 4) quaternions wxyz of rotations (N, 3, 3), by that of Shepperd's four formulas (1978) whose root is
    largest."""
    m = matrices
    trace = m[:, 0, 0] + m[:, 1, 1] + m[:, 2, 2]
    squares = torch.stack([1 + trace, *(1 - trace + 2 * m[:, i, i] for i in range(3))], 1)
    x, y, z = m[:, 2, 1] - m[:, 1, 2], m[:, 0, 2] - m[:, 2, 0], m[:, 1, 0] - m[:, 0, 1]
    xy, xz, yz = m[:, 0, 1] + m[:, 1, 0], m[:, 0, 2] + m[:, 2, 0], m[:, 1, 2] + m[:, 2, 1]
    rows = [torch.stack(row, 1) for row in ([squares[:, 0], x, y, z], [x, squares[:, 1], xy, xz])]
    rows += [torch.stack(row, 1) for row in ([y, xy, squares[:, 2], yz], [z, xz, yz, squares[:, 3]])]
    best = torch.stack(rows, 1)[torch.arange(len(m)), squares.argmax(1)]
    return torch.nn.functional.normalize(best, dim=-1)
