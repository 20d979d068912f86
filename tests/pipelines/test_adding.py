"""Photos added to a result of photo pairs: they cost their own comparisons, and what stood stays."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="the engines run networks")

from tests import oracle
from tests.engines.pair_runs import chosen
from threer_blender import bundle
from threer_blender.engines import dust3r, mast3r
from threer_blender.geometry.pairs import scene_graph
from threer_blender.model.errors import UserError
from threer_blender.model.reconstruction import Camera, Photo, PhotoFromMap, PointMap, Reconstruction
from threer_blender.pipelines import adding, pair_solution
from threer_blender.runtime.report import MessageReport


@pytest.mark.parametrize("engine", [dust3r, mast3r])
def test_added_photos_cost_their_own_comparisons_and_move_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, engine: ModuleType
) -> None:
    photos = chosen(tmp_path, *[(256, 192)] * 6)
    monkeypatch.setattr(engine, "SIDE", 256)
    poses = [oracle.look_at((3.4 * np.sin(a), -0.4, -3.4 * np.cos(a)), (0, 0.7, 0)) for a in np.linspace(0, 1.4, 6)]
    true_views = [oracle.view(pose, (192, 256), 230.0) for pose in poses]
    answers = oracle.Oracle(true_views, oracle.Errors(noise=0.01, scale=0))
    compared: list[tuple[int, int]] = []

    def predict(_inputs: list[Any], pairs: scene_graph.Choose, _report: MessageReport) -> Iterator[Any]:
        for pair in pair_solution.both_orders(pairs(None)):
            compared.append(pair)
            prediction = answers.predict(*pair)
            yield prediction if engine is dust3r else (prediction, answers.matches(*pair, stride=8))

    monkeypatch.setattr(engine, "predict", predict)

    def solve(some: list[Photo], **options: str) -> Reconstruction:
        return engine.reconstruct(some, engine.ENGINE.checked_options(options), MessageReport(lambda _message: None))

    before = solve(photos[:4])
    bundle.write(before, tmp_path / "before")
    compared.clear()
    after = solve(photos[3:], add_to=str(tmp_path / "before"))  # one of them is known already
    assert sorted(compared) == sorted((i, j) for i in range(6) for j in range(6) if i != j and max(i, j) > 3)
    assert [camera.photo for camera in after.cameras] == [photo.name for photo in photos]
    for old, now in zip(before.cameras, after.cameras[:4], strict=True):
        np.testing.assert_array_equal(now.world_from_camera, old.world_from_camera)
        assert now.fx == old.fx
    world_from_true = [  # the rotation between the worlds, by each camera
        camera.world_from_camera[:3, :3] @ true.world_from_camera[:3, :3].T
        for camera, true in zip(after.cameras, true_views, strict=True)
    ]
    errors = np.array([matrix @ world_from_true[0].T for matrix in world_from_true])
    assert np.degrees(np.arccos(np.clip((np.trace(errors, axis1=1, axis2=2) - 1) / 2, -1, 1))).max() < 1
    scale = [
        np.median(m.depth(c)[m.mask] / true.depth[m.mask])
        for m, c, true in zip(after.pointmaps, after.cameras, true_views, strict=True)
    ]
    np.testing.assert_allclose(scale, scale[0], rtol=0.02)
    assert after.metric == before.metric
    assert after.cloud is not None
    assert set(after.cloud.photo.tolist()) == set(range(6))


def write_earlier(photos: list[Photo], engine: str, folder: Path) -> None:
    """Writes a result in which each of the photos, of 64 x 64 pixels, has a camera and a pointmap."""
    cameras = [Camera(photo.name, 64, 64, 50, 50, 32, 32, np.eye(4)) for photo in photos]
    points, confidence, mask = np.ones((4, 4, 3), np.float32), np.ones((4, 4), np.float32), np.ones((4, 4), bool)
    maps = [PointMap(camera.photo, points, confidence, mask, PhotoFromMap(16, 16, 0, 0)) for camera in cameras]
    bundle.write(Reconstruction(engine, "", photos, cameras, maps), folder)


def test_two_solved_photos_of_the_same_content_are_two(tmp_path: Path) -> None:
    first, second, new = chosen(tmp_path, *[(64, 64)] * 3)
    write_earlier([first, replace(second, sha256=first.sha256)], "dust3r", tmp_path / "result")
    earlier = adding.read_earlier(str(tmp_path / "result"), dust3r.ENGINE, [replace(first, path="moved"), new])
    assert [photo.name for photo in earlier.photos] == [first.name, second.name, new.name]
    assert [earlier.photos[number].name for number in earlier.solved] == [c.photo for c in earlier.result.cameras]
    assert earlier.photos[0].path == "moved"


@pytest.mark.parametrize(
    ("fault", "sentence"),
    [
        ("no result", "holds no reconstruction"),
        ("another engine's", "can only be added to a result of DUSt3R"),
        ("nothing new", "All of these photos have a camera"),
        ("a name twice", "another photo that is called"),
    ],
)
def test_photos_that_cannot_be_added(tmp_path: Path, fault: str, sentence: str) -> None:
    photos = chosen(tmp_path, *[(64, 64)] * 3)
    made_by = "vggt" if fault == "another engine's" else "dust3r"
    if fault != "no result":
        write_earlier(photos[:2], made_by, tmp_path / "result")
    new = {"nothing new": photos[:2], "a name twice": [replace(photos[2], name=photos[0].name)]}.get(fault, photos)
    with pytest.raises(UserError, match=sentence):
        adding.read_earlier(str(tmp_path / "result"), dust3r.ENGINE, new)
