"""Training recovers what its pictures were drawn from: colours, and cameras that were wrong."""

import math
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("torch", reason="splats are tested where torch is installed")
import torch

from threer_blender.geometry.splats import training
from threer_blender.geometry.splats.start import Start
from threer_blender.geometry.splats.training import Training, TrainingSettings, View, improve
from threer_blender.model.arrays import FloatArray

CPU = torch.device("cpu")
SIZE = (64, 48)
INTRINSICS = np.array([60.0, 60.0, 32.0, 24.0])


def wall(spacing: float = 0.15) -> Start:
    """A bumpy wall of discs in colours that vary smoothly and here and there abruptly."""
    x, y = (part.ravel() for part in np.meshgrid(np.arange(-2.6, 2.6, spacing), np.arange(-2.1, 2.1, spacing)))
    means = np.stack([x, y, 4 + 0.8 * np.sin(2 * x) * np.cos(1.5 * y)], 1)
    colours = 0.5 + 0.35 * np.stack([np.sin(3 * x + y), np.cos(2 * y - x), np.sign(np.sin(4 * x) * np.sin(4 * y))], 1)
    count = len(means)
    return Start(
        means=means,
        scales=np.tile([0.6 * spacing, 0.6 * spacing, 0.1 * spacing], (count, 1)),
        rotations=np.tile(np.eye(3), (count, 1, 1)),
        opacities=np.full(count, 0.9),
        colours=colours,
        confidence=np.full(count, 0.9),
        pixel_sizes=np.full(count, spacing),
    )


def turned(degrees: float, axis: tuple[float, float, float]) -> FloatArray:
    """(4, 4) the rotation by so many degrees about an axis of any length."""
    x, y, z = np.array(axis) / np.linalg.norm(axis) * math.radians(degrees)
    rotation = torch.linalg.matrix_exp(torch.tensor([[0, -z, y], [z, 0, -x], [-y, x, 0]], dtype=torch.float64))
    pose = np.eye(4)
    pose[:3, :3] = rotation.numpy()
    return pose


def photos(scene: Start) -> list[View]:
    """The photos of five cameras."""
    drawn = Training(scene, [view(np.eye(4))], TrainingSettings(1, 0), CPU)
    collected = []
    for x, y in ((-0.5, 0.0), (0.0, 0.3), (0.5, 0.0), (0.2, -0.3), (0.0, 0.0)):
        pose = turned(-6 * x, (0, 1, 0))
        pose[:3, 3] = (-x, -y, 0.1 * x)
        collected.append(replace(view(pose), picture=drawn.picture(view(pose))))
    return collected


def noisy(views: list[View]) -> list[View]:
    """The same cameras, which saw nothing but noise."""
    random = np.random.default_rng(0)
    return [replace(v, picture=random.random(v.picture.shape).astype(np.float32)) for v in views]


def view(pose: FloatArray) -> View:
    """A black picture from the pose camera_from_world (4, 4)."""
    return View(np.zeros((SIZE[1], SIZE[0], 3), np.float32), np.ones((SIZE[1], SIZE[0]), bool), INTRINSICS, pose)


def degrees_between(a: FloatArray, b: FloatArray) -> float:
    """The angle between the rotations of two poses (4, 4)."""
    return math.degrees(math.acos(min(1.0, (np.trace(a[:3, :3] @ b[:3, :3].T) - 1) / 2)))


def pixels_between(a: FloatArray, b: FloatArray, scene: Start) -> float:
    """The median distance in pixels between the places where two poses, camera from world, show the scene's points."""
    local = [scene.means @ pose[:3, :3].T + pose[:3, 3] for pose in (a, b)]
    first, second = (INTRINSICS[0] * points[:, :2] / points[:, 2:] for points in local)
    return float(np.median(np.linalg.norm(second - first, axis=-1)))


def test_colours_are_recovered() -> None:
    truth = wall()
    grey = replace(truth, colours=0.5 + 0.3 * (truth.colours - 0.5))
    result = improve(grey, photos(truth), TrainingSettings(100, 0), CPU, lambda *_: False, held_out=4)
    assert result.quality > 28


def test_wrong_cameras_are_recovered() -> None:
    truth = wall()
    views = photos(truth)
    wrong = [turned(1, axis) for axis in ((1, 0, 0), (-1, 1, 0), (0, -1, 1), (1, 1, 1))]
    off = [replace(v, camera_from_world=w @ v.camera_from_world) for v, w in zip(views[:4], wrong, strict=True)]
    result = improve(truth, [*off, views[4]], TrainingSettings(100, 0), CPU, lambda *_: False, held_out=4)
    assert result.quality > 28
    before = [pixels_between(a.camera_from_world, b.camera_from_world, truth) for a, b in zip(off, views, strict=False)]
    after = [
        pixels_between(pose, true.camera_from_world, truth) for pose, true in zip(result.poses, views, strict=True)
    ]
    assert min(before) > 0.9
    assert max(after) < 0.3


def test_what_a_photo_does_not_show_does_not_count() -> None:
    truth = wall()
    views = photos(truth)
    masked = []
    for each in views:
        mask, picture = each.mask.copy(), each.picture.copy()
        mask[:, :20] = False
        picture[:, :20] = 1.0  # an arbitrary colour
        masked.append(replace(each, mask=mask, picture=picture))
    training = Training(truth, masked[:1], TrainingSettings(iterations=30, degree=0), CPU)
    for _ in range(30):
        training.step()
    drawn = training.picture(replace(views[0], camera_from_world=training.poses()[0]))
    assert np.abs(drawn - views[0].picture)[:, 8:18].mean() < 0.05


def test_a_view_is_found_from_a_wrong_pose() -> None:
    truth = wall()
    views = photos(truth)
    optimisation = Training(truth, views[:1], TrainingSettings(1, 0), CPU)
    wrong = replace(views[2], camera_from_world=turned(1, (1, 1, 0)) @ views[2].camera_from_world)
    actual = training.aligned(optimisation.splats(), wrong, optimisation.depth)
    assert degrees_between(actual.camera_from_world, views[2].camera_from_world) < 0.4
    assert training.decibels(optimisation.picture(actual), actual) > 35


def test_it_ends_when_asked_with_what_there_is() -> None:
    truth = wall()
    calls = []

    def watch(_training: Training, done: int) -> bool:
        calls.append(done)
        return done == 3

    result = improve(truth, photos(truth), TrainingSettings(iterations=1000, degree=1), CPU, watch)
    assert calls == [1, 2, 3]
    assert result.gaussians.means.shape == (len(truth), 3)
    assert result.gaussians.sh.shape == (len(truth), 4, 3)
    assert np.linalg.norm(result.gaussians.rotations, axis=1) == pytest.approx(np.ones(len(truth)), abs=1e-5)
    assert math.isnan(result.quality)


def test_asked_to_end_it_returns_the_best_so_far(monkeypatch: pytest.MonkeyPatch) -> None:
    """The training photos are noise, so the state at the only validation is better than that at the end."""
    monkeypatch.setattr(training, "VALIDATE_EVERY", 5)
    truth = wall()
    views = photos(truth)
    noise = noisy(views[:4])
    result = improve(truth, [*noise, views[4]], TrainingSettings(1000, 0), CPU, lambda _, done: done == 9, 4)
    expected = Training(truth, noise, TrainingSettings(1000, 0), CPU)
    for _ in range(5):
        expected.step()
    assert np.array_equal(result.gaussians.sh, expected.gaussians().sh)


def test_it_ends_when_the_held_out_photo_gains_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The training photos are noise: the longer the training, the worse the match with the held-out photo. The best
    state is returned."""
    monkeypatch.setattr(training, "VALIDATE_EVERY", 5)
    truth = wall()
    views = photos(truth)
    noise = noisy(views[:4])
    calls: list[int] = []

    def watch(_training: Training, done: int) -> bool:
        calls.append(done)
        return False

    result = improve(truth, [*noise, views[4]], TrainingSettings(1000, 0), CPU, watch, 4)
    assert len(calls) == 5 * (1 + training.PATIENCE)
    after = Training(truth, noise, TrainingSettings(1000, 0), CPU)
    for _ in range(len(calls)):
        after.step()
    assert result.quality > training.decibels(after.picture(views[4]), views[4]) + 1
