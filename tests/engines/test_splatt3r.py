"""Splatt3R: its output becomes Gaussians that say the same, and those of aligned pairs lie on one surface."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from threer_blender.model.arrays import Array

pytest.importorskip("torch", reason="the engine runs a network")
import torch

from tests import oracle
from threer_blender import bundle
from threer_blender.engines import splatt3r
from threer_blender.geometry.pairs.pairs import PairPrediction
from threer_blender.model.reconstruction import Gaussians, Photo
from threer_blender.networks import dust3r
from threer_blender.networks import splatt3r as network
from threer_blender.networks.layers.sizes import TransformerSize
from threer_blender.pictures import photos
from threer_blender.runtime.report import MessageReport


def rotation(quaternions: Array) -> Array:
    """(N, 3, 3) matrices of unit quaternions wxyz (N, 4): each column is an axis v, rotated as q v q*."""
    w, vector = quaternions[:, :1], quaternions[:, 1:]
    columns = []
    for axis in np.eye(3):
        twice = 2 * np.cross(vector, np.broadcast_to(axis, vector.shape))
        columns.append(axis + w * twice + np.cross(vector, twice))
    return np.stack(columns, axis=-1)


def covariance(gaussians: Gaussians) -> Array:
    axes = rotation(gaussians.rotations) * gaussians.scales[:, None]
    return axes @ axes.transpose(0, 2, 1)


def test_the_networks_numbers_become_gaussians() -> None:
    random = np.random.default_rng(0)
    shape = (6, 8)
    xyzw = random.standard_normal((*shape, 4)).astype(np.float32)
    xyzw /= np.linalg.norm(xyzw, axis=-1, keepdims=True)
    scales = np.exp(random.standard_normal((*shape, 3))).astype(np.float32)
    values = {name: torch.zeros(*shape) for name in network.Splatted._fields}
    values |= {
        "means": torch.randn(*shape, 3),
        "scales": torch.from_numpy(scales),
        "rotations": torch.from_numpy(xyzw),
        "colours": 0.1 * torch.randn(*shape, 3),
        "opacities": torch.rand(*shape) * 0.9 + 0.1,
    }
    image = random.integers(0, 256, (*shape, 3)).astype(np.uint8)
    actual = network.gaussians(network.Splatted(**values), image)
    np.testing.assert_array_equal(actual.means, values["means"].reshape(-1, 3))
    np.testing.assert_array_equal(actual.opacities, values["opacities"].flatten())  # through the sigmoid once
    colour = 0.5 + 0.28209479177387814 * actual.sh[:, 0]
    expected = image.reshape(-1, 3) / 255 + 0.28209479177387814 * values["colours"].numpy().reshape(-1, 3)
    np.testing.assert_allclose(colour, expected, atol=1e-6)
    # The published covariance, R S S^T R^T, with R from xyzw by another way: from the rotation vector.
    for i in range(48):
        x, y, z, w = xyzw.reshape(-1, 4)[i]
        rotated = oracle.rotation_matrix(
            2 * np.arctan2(np.linalg.norm((x, y, z)), w) * np.array((x, y, z)) / np.hypot(np.hypot(x, y), z)
        )
        true = rotated @ np.diag(scales.reshape(-1, 3)[i] ** 2) @ rotated.T
        np.testing.assert_allclose(covariance(actual)[i], true, rtol=1e-4, atol=1e-4 * true.max())

    values["opacities"][0, 0], values["means"][1, 1] = 1e-3, torch.nan
    assert len(network.gaussians(network.Splatted(**values), image)) == 46
    excluded = np.zeros(shape, np.bool_)
    excluded[:, 4:] = True
    assert len(network.gaussians(network.Splatted(**values), image, excluded)) == 22


def test_offsets_and_opacities_are_what_the_head_says() -> None:
    tiny = dust3r.DUSt3RConfig(encoder=TransformerSize(32, 1, 2), decoder=TransformerSize(24, 4, 2))
    torch.manual_seed(0)
    head = network.GaussianHead(tiny)
    last = head.gaussian_dpt["dpt"].head[-1]
    with torch.no_grad():
        last.weight.zero_()
        last.bias.copy_(torch.tensor([3.0, 0, 4, 0, 0, 0, 0, 0, 0, 2, 1, 2, 3, 0]))
        prediction = head([torch.randn(1, 6, width) for width in tiny.widths], (2, 3))
    length = np.exp(5 - 6) - np.exp(-6)
    torch.testing.assert_close(
        (prediction.means - prediction.points)[0, 0, 0], torch.tensor([0.6, 0, 0.8]) * length, atol=1e-5, rtol=0
    )
    assert prediction.opacities.unique().tolist() == [0.5]
    assert prediction.rotations[0, 0, 0].tolist() == [0, 0, 0, 1]


def surface(points: Array, unit: float) -> Gaussians:
    """A round Gaussian on every point, 0.01 world units large. `unit` is the world's unit in that of `points`."""
    flat = points.reshape(-1, 3).astype(np.float32)
    ones = np.ones((len(flat), 1), np.float32)
    return Gaussians(
        flat, 0.01 * unit * ones.repeat(3, 1), ones * (1, 0, 0, 0), 0.9 * ones[:, 0], 0.2 * ones[:, None].repeat(3, 2)
    )


@pytest.mark.parametrize("count", [1, 2, 3])
def test_splats_of_aligned_pairs_lie_on_one_surface(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    monkeypatch.setattr(splatt3r, "SIDE", 96)
    for i in range(count):
        Image.new("RGB", (320, 240), (10 * i, 90, 200)).save(tmp_path / f"{i}.png")
    chosen: list[Photo] = photos.read([tmp_path / f"{i}.png" for i in range(count)], lambda *_: None).accepted
    true_views = oracle.orbit(count, (96, 96), degrees=30)
    answers = oracle.Oracle(true_views)  # each pair in a unit of its own

    def answer(first: int, second: int) -> splatt3r.Answer:
        prediction: PairPrediction = answers.predict(first, second)
        unit = float(
            np.linalg.norm(prediction.points_first[0, 0]) / np.linalg.norm(true_views[first].camera_points[0, 0])
        )
        return splatt3r.Answer(
            prediction, surface(prediction.points_first, unit), surface(prediction.points_second, unit)
        )

    monkeypatch.setattr(splatt3r, "predict", lambda _photos, pairs, _report: (answer(*pair) for pair in pairs))
    result = splatt3r.reconstruct(chosen, {}, MessageReport(lambda _message: None))
    assert len(result.cameras) == count
    assert result.metric
    assert result.notes == ["Only the middle square of each photo was used: Splatt3R knows no other shape."]
    splats = result.gaussians
    assert splats is not None
    assert splats.photo is not None
    assert len(splats) == count * 96 * 96
    np.testing.assert_array_equal(splats.photo, np.arange(count).repeat(96 * 96))
    for i, (camera, view) in enumerate(zip(result.cameras, true_views, strict=True)):
        means = splats.means[i * 96 * 96 : (i + 1) * 96 * 96].astype(float)
        map_pixels = (camera.project(means) - (40, 0)) * 96 / 240  # the square of 240 begins at column 40
        centres = np.stack(np.meshgrid(np.arange(96) + 0.5, np.arange(96) + 0.5), axis=-1).reshape(-1, 2)
        assert np.median(np.abs(map_pixels - centres)) < 0.05
        depth = means @ camera.camera_from_world[2, :3] + camera.camera_from_world[2, 3]
        ratio = depth / view.depth.ravel()
        assert ratio.std() < 0.02 * ratio.mean()
        np.testing.assert_allclose(splats.scales[i * 96 * 96] / (0.01 * ratio.mean()), 1, rtol=0.02)
    bundle.write(result, tmp_path / "result")
    again = bundle.read(tmp_path / "result").gaussians
    assert again is not None
    assert len(again) == len(splats)
