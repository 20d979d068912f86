"""Splats are judged by photos that they were not made from, seen from the true poses."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests import oracle
from tests.evaluation import world
from threer_blender.evaluation import evaluate
from threer_blender.evaluation.truth import reading
from threer_blender.model.reconstruction import Gaussians

torch = pytest.importorskip("torch")

HELD_OUT = ["new_0.png", "new_1.png"]


def splats() -> Gaussians:
    """Coloured balls inside the solved room."""
    random = np.random.default_rng(0)
    means = world.SOLVED_FROM_TRUE.apply(random.uniform((-3, -1, -3), (3, 1.5, 3), (400, 3)))
    arrays = (means, np.full((400, 3), 0.12), np.tile([1.0, 0, 0, 0], (400, 1)), np.full(400, 0.9))
    colors = random.uniform(-1, 2, (400, 1, 3))
    return Gaussians(*(each.astype(np.float32) for each in (*arrays, colors)))


def test_psnr_of_photos_held_out(tmp_path: Path) -> None:
    """The photos are renders of the splats themselves: equal to 8 bits, and no longer when the splats are moved."""
    from threer_blender.geometry.splats import rasteriser

    gaussians = splats()
    tensors = rasteriser.Splats(
        *(torch.from_numpy(getattr(gaussians, name)) for name in ("means", "scales", "rotations", "opacities", "sh"))
    )
    views = oracle.orbit(8, world.SIZE, degrees=200)
    names = [*world.NAMES, *HELD_OUT]
    folder = world.write_truth(tmp_path / "truth", views, names)
    for name, view in zip(HELD_OUT, views[6:], strict=True):
        k = view.intrinsics
        lens = torch.tensor([k[0, 0], k[1, 1], k[0, 2], k[1, 2]], dtype=torch.float32)
        pose = torch.as_tensor(np.linalg.inv(world.solved_pose(view.world_from_camera)), dtype=torch.float32)
        drawn = rasteriser.render(tensors, pose, lens, world.SIZE[::-1]).colour.clamp(0, 1).numpy()
        Image.fromarray((255 * drawn + 0.5).astype(np.uint8)).save(folder / name)
    exact = replace(world.result(tmp_path, views[:6]), gaussians=gaussians)
    values = []
    for shift in (0.0, 0.3):
        moved = replace(gaussians, means=(gaussians.means + shift).astype(np.float32))
        truth = reading.read(folder)
        judged = evaluate.judge(
            replace(exact, gaussians=moved), folder / "x", truth, folder, lambda _done, _total: None
        )
        values.append(judged.evaluation.values())
    psnr, ssim = (values[0][f"held_out.{name}"].value for name in ("psnr", "ssim"))
    assert psnr is not None
    assert ssim is not None
    assert psnr > 20 * math.log10(255) - 3  # the error of rounding to 8 bits, and of the centres' float32
    assert ssim > 0.99
    worse = values[1]["held_out.psnr"].value
    assert worse is not None
    assert worse < 25
