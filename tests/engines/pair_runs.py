"""Runs of the engines on photo pairs with an oracle in the network's place, and checks of their results."""

from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests import oracle
from threer_blender.engines import mast3r
from threer_blender.geometry.pairs import scene_graph
from threer_blender.geometry.pairs.pairs import PairPrediction
from threer_blender.model.arrays import Array
from threer_blender.model.reconstruction import Camera, Photo, Reconstruction
from threer_blender.networks import inputs
from threer_blender.pictures import photos
from threer_blender.pipelines import pair_solution
from threer_blender.runtime.report import MessageReport

# Two cameras that look at the middle of the room, from directions 50 degrees apart.
FAR_VIEWS = [oracle.look_at((3.0, -0.4, -2.0), (0, 0.7, 0)), oracle.look_at((3.4, -0.1, 1.0), (0, 0.7, 0))]


def chosen(folder: Path, *sizes: tuple[int, int]) -> list[Photo]:
    """Photo files of these sizes (width, height), whose content does not matter: the oracle predicts in the network's
    place."""
    for i, (width, height) in enumerate(sizes):
        Image.new("RGB", (width, height), (200, 90, 10 * i)).save(folder / f"{i}.png")
    return photos.read([folder / f"{i}.png" for i in range(len(sizes))], lambda *_: None).accepted


def views(photos: list[Photo], poses: list[Array], focal: float = 450.0) -> list[oracle.View]:
    """The oracle's views of cameras at these poses, as large as the network's input. `focal` is in its pixels."""
    crops = [inputs.long_side_crop(photo.width, photo.height) for photo in photos]
    sizes = [(bottom - top, right - left) for _, (left, top, right, bottom) in crops]
    return [oracle.view(pose, size, focal) for pose, size in zip(poses, sizes, strict=True)]


def run(
    monkeypatch: pytest.MonkeyPatch,
    engine: ModuleType,
    photos: list[Photo],
    answer: Callable[[int, int], PairPrediction],
) -> Reconstruction:
    """The engine's result where `answer` stands for its network. A single photo is paired with itself."""

    def predict(_inputs: list[Any], pairs: scene_graph.Choose, _report: MessageReport) -> Any:
        return (answer(i, j) for i, j in pair_solution.both_orders(pairs(None)) or [(0, 0)])

    monkeypatch.setattr(engine, "predict", predict)
    return engine.reconstruct(photos, engine.ENGINE.checked_options({}), MessageReport(lambda _message: None))


def run_mast3r(
    monkeypatch: pytest.MonkeyPatch, photos: list[Photo], answers: oracle.Oracle, **options: str
) -> Reconstruction:
    """MASt3R's result where an oracle answers for its network: predictions and matches of each pair in both orders.

    A single photo is paired with itself.
    """

    def predict(_inputs: list[Any], pairs: scene_graph.Choose, _report: MessageReport) -> Iterator[Any]:
        for pair in pair_solution.both_orders(pairs(None)) or [(0, 0)]:
            yield answers.predict(*pair), answers.matches(*pair, stride=8)

    monkeypatch.setattr(mast3r, "predict", predict)
    return mast3r.reconstruct(photos, mast3r.ENGINE.checked_options(options), MessageReport(lambda _message: None))


def true_camera(photo: Photo, view: oracle.View) -> Camera:
    """The photo's camera, worked out from that of the network's input."""
    (width, height), (left, top, *_) = inputs.long_side_crop(photo.width, photo.height)
    x, y = photo.width / width, photo.height / height
    fx, fy, (cx, cy) = view.intrinsics[0, 0] * x, view.intrinsics[1, 1] * y, view.intrinsics[:2, 2]
    return Camera(
        photo.name, photo.width, photo.height, fx, fy, (cx + left) * x, (cy + top) * y, view.world_from_camera
    )


def checked_scale(
    result: Reconstruction, photos: list[Photo], true_views: list[oracle.View], tolerance: float
) -> float:
    """Compares cameras and pointmaps with the truth, in whatever world they are. Returns that world's scale."""
    true = [true_camera(*pair) for pair in zip(photos, true_views, strict=True)]
    assert [camera.photo for camera in result.cameras] == [photo.name for photo in photos]
    for actual, expected in zip(result.cameras, true, strict=True):
        assert (actual.width, actual.height) == (expected.width, expected.height)
        assert actual.fx == actual.fy == pytest.approx(expected.fx, rel=2e-3 + tolerance)
        assert (actual.cx, actual.cy) == pytest.approx((expected.cx, expected.cy))
    result_from_true = result.cameras[0].world_from_camera @ true[0].camera_from_world  # of the worlds, without scale
    points = [m.points[m.mask].astype(float) - result.cameras[0].world_from_camera[:3, 3] for m in result.pointmaps]
    origin = true[0].world_from_camera[:3, 3]
    truth = [
        (s.points - origin)[m.mask] @ result_from_true[:3, :3].T
        for s, m in zip(true_views, result.pointmaps, strict=True)
    ]
    scale = float(np.median(np.linalg.norm(points[0], axis=1) / np.linalg.norm(truth[0], axis=1)))
    for actual, expected in zip(points, truth, strict=True):
        assert len(actual) > 1000
        error = np.linalg.norm(actual / scale - expected, axis=1) / np.linalg.norm(expected, axis=1)
        assert np.median(error) < 2e-3 + tolerance
    for actual, expected in zip(result.cameras, true, strict=True):
        centre = (actual.world_from_camera - result.cameras[0].world_from_camera)[:3, 3] / scale
        np.testing.assert_allclose(
            centre, result_from_true[:3, :3] @ (expected.world_from_camera[:3, 3] - origin), atol=0.01 + 3 * tolerance
        )
    return scale
