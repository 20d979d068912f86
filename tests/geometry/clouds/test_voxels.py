"""Voxels make one point of all that falls into a cube."""

import numpy as np

from threer_blender.geometry.clouds import voxels


def test_voxels_show_a_surface_once_however_often_it_is_seen() -> None:
    x, y = np.meshgrid(np.linspace(0, 1, 100), np.linspace(0, 1, 100))
    points = np.stack([x, y, np.zeros_like(x)], axis=-1).reshape(-1, 3)
    normals = np.broadcast_to([0.0, 0.0, -1.0], points.shape)
    once, often = voxels.Voxels(side=0.02), voxels.Voxels(side=0.02)
    for photo in range(10):
        colors = np.full(points.shape, 10 * photo, np.uint8)
        confidence = np.full(len(points), 1.0 + photo)
        collected = [often] if photo else [once, often]
        for one in collected:
            one.add(points + (0, 0, 0.005), normals, colors, confidence, photo)
    assert len(often.cloud()) == len(once.cloud())
    assert set(often.cloud().photo) == {9}  # the photo of the highest confidence
    weights = np.arange(1, 11)
    assert abs(int(often.cloud().colors[0, 0]) - (weights * 10 * np.arange(10)).sum() / weights.sum()) <= 1
    assert np.allclose(often.cloud().normals, (0, 0, -1))


def test_voxels_grow_coarser_instead_of_more() -> None:
    random = np.random.default_rng(0)
    collected = voxels.Voxels(side=0.001, most=2000)
    for photo in range(5):
        points = random.random((4000, 3)) * (1, 1, 0)
        collected.add(points, points * 0 + (0, 0, 1), np.zeros((4000, 3), np.uint8), np.ones(4000), photo)
    assert len(collected.cloud()) <= 2000
    assert collected.side > 0.001
