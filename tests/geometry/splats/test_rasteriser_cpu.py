"""The CPU's kernel: one Gaussian by its formula, and of two the nearer one covers the farther one."""

import numpy as np
import pytest

pytest.importorskip("torch", reason="splats are tested where torch is installed")
import torch

from threer_blender.geometry.splats import rasteriser_cpu
from threer_blender.geometry.splats.footprints import Footprints
from threer_blender.model.splat_rendering import ALPHA_LEAST, ALPHA_MOST


def test_one_gaussian_is_its_formula() -> None:
    centre, conic = torch.tensor([[20.3, 11.8]]), torch.tensor([[0.05, 0.01, 0.08]])
    footprint = Footprints(centre, conic, torch.tensor([[60.0, 60.0]]), torch.ones(1))
    opacity, value = torch.tensor([2.0]), torch.tensor([[1.0, 0.5, 0.0]])
    colour, alpha, _ = rasteriser_cpu.forward(footprint, opacity, value, (40, 24))
    x, y = np.meshgrid(np.arange(40) + 0.5 - 20.3, np.arange(24) + 0.5 - 11.8)
    exponent = 0.5 * (0.05 * x * x + 0.08 * y * y) + 0.01 * x * y
    expected = np.minimum(2.0 * np.exp(-exponent), ALPHA_MOST)
    expected[expected < ALPHA_LEAST] = 0
    near_cut = np.abs(2.0 * np.exp(-exponent) - ALPHA_LEAST) < 1e-4
    np.testing.assert_allclose(alpha.numpy()[~near_cut], expected[~near_cut], atol=1e-5)
    np.testing.assert_allclose(colour.numpy()[..., 1], 0.5 * alpha.numpy(), atol=1e-6)


def test_the_nearer_one_covers_the_farther_one() -> None:
    centres, conics = torch.full((2, 2), 8.0), torch.tensor([[1e-6, 0.0, 1e-6]] * 2)
    colours = torch.eye(3)[:2]
    for depths, first in ((torch.tensor([1.0, 2.0]), 0), (torch.tensor([2.0, 1.0]), 1)):
        footprints = Footprints(centres, conics, torch.full((2, 2), 50.0), depths)
        colour, _, _ = rasteriser_cpu.forward(footprints, torch.tensor([0.6, 0.6]), colours, (16, 16))
        assert colour[8, 8, first] == pytest.approx(0.6, abs=1e-4)
        assert colour[8, 8, 1 - first] == pytest.approx(0.24, abs=1e-4)
