"""A result whose errors are known gets these errors in its evaluation, and they are on its page."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from tests.evaluation import world
from tests.evaluation.world import NAMES, SOLVED_FROM_TRUE
from threer_blender.evaluation import evaluate, page, pictures, surfaces
from threer_blender.evaluation.evaluate import CENTRE, DEPTH, FOCAL, Judged
from threer_blender.evaluation.truth import reading
from threer_blender.geometry import rotations
from threer_blender.model.reconstruction import Camera, Reconstruction


@pytest.fixture(scope="module")
def truth_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return world.write_truth(tmp_path_factory.mktemp("truth"))


@pytest.fixture(scope="module")
def exact(tmp_path_factory: pytest.TempPathFactory) -> Reconstruction:
    return world.result(tmp_path_factory.mktemp("photos"))


def judged(solved: Reconstruction, folder: Path) -> Judged:
    return evaluate.judge(solved, folder / "result", reading.read(folder), folder, lambda _done, _total: None)


def value(outcome: Judged, key: str) -> float:
    number = outcome.evaluation.values()[key].value
    assert number is not None
    return number


def test_a_solve_without_errors(exact: Reconstruction, truth_folder: Path) -> None:
    outcome = judged(exact, truth_folder)
    for key in ("pose.registered", "pose.auc_3", "pose.maa_30", "depth_scale.delta_1.25", "points.fscore"):
        assert value(outcome, key) == pytest.approx(1), key
    assert value(outcome, "points.normals") > 0.97
    assert value(outcome, "trajectory.ate_rmse") < 1e-6
    assert value(outcome, "focal.largest") < 1e-9
    for key in ("scale_per_photo", "scale", "scale_shift"):
        assert value(outcome, f"depth_{key}.abs_rel") < world.UNIT  # that of the true maps' steps
    assert outcome.true_from_solved is not None
    assert outcome.true_from_solved.scale == pytest.approx(1 / SOLVED_FROM_TRUE.scale)
    assert not {key for key in outcome.evaluation.groups if "metric" in key}  # the solve is in no unit


def test_errors_of_one_camera(exact: Reconstruction, truth_folder: Path) -> None:
    """A camera turned by 20 degrees spoils the 5 pairs it is in, of 15; one with a longer lens has that error."""

    def turned(camera: Camera) -> Camera:
        pose = camera.world_from_camera.copy()
        pose[:3, :3] = pose[:3, :3] @ rotations.from_vectors(np.radians([0.0, 20.0, 0.0]))
        return replace(camera, world_from_camera=pose)

    solved = world.moved(exact, NAMES[1], turned)
    solved = world.moved(solved, NAMES[4], lambda camera: replace(camera, fx=1.1 * camera.fx, fy=1.1 * camera.fy))
    outcome = judged(solved, truth_folder)
    assert value(outcome, "pose.rra_5") == pytest.approx(10 / 15)
    assert value(outcome, "pose.auc_5") == pytest.approx(10 / 15)
    assert value(outcome, "focal.largest") == pytest.approx(0.1)
    assert outcome.evaluation.photos[0].photo == NAMES[1]  # the worst one
    assert next(row for row in outcome.evaluation.photos if row.photo == NAMES[4]).errors[FOCAL] == pytest.approx(0.1)


def test_depth_of_one_photo_in_another_scale(exact: Reconstruction, truth_folder: Path) -> None:
    """A scale for each photo forgives it, one for all does not."""
    (first, *rest) = exact.pointmaps
    centre = exact.cameras[0].world_from_camera[:3, 3]
    wrong = replace(first, points=((first.points - centre) * 1.2 + centre).astype(np.float32))
    outcome = judged(replace(exact, pointmaps=[wrong, *rest]), truth_folder)
    assert value(outcome, "depth_scale_per_photo.abs_rel") < world.UNIT
    factors = np.array([1.2, 1, 1, 1, 1, 1])  # of equal numbers of pixels
    true = np.stack([view.depth for view in world.VIEWS])
    scale = np.median(true) / np.median(true * factors[:, None, None])  # without that of the solve, which cancels
    errors = np.abs(scale * factors - 1)
    assert value(outcome, "depth_scale.abs_rel") == pytest.approx(errors.mean(), abs=1e-3)
    first_row = next(row for row in outcome.evaluation.photos if row.photo == NAMES[0])
    assert first_row.errors[DEPTH] == pytest.approx(errors[0], abs=1e-3)


def test_pixels_without_depth(exact: Reconstruction, truth_folder: Path) -> None:
    half = [replace(each, mask=each.mask & (np.arange(each.mask.shape[1]) % 2 == 0)) for each in exact.pointmaps]
    outcome = judged(replace(exact, pointmaps=half), truth_folder)
    assert value(outcome, "depth_scale.missing") == pytest.approx(0.5)
    assert value(outcome, "depth_scale.delta_1.25") == pytest.approx(0.5)


def test_points_off_the_surface(exact: Reconstruction, truth_folder: Path) -> None:
    """Half of the points float 3 m above the room: precision halves, recall stays."""
    assert exact.cloud is not None
    positions = exact.cloud.positions.copy()
    up = SOLVED_FROM_TRUE.scale * SOLVED_FROM_TRUE.rotation @ np.array([0, -30.0, 0])
    extra = (positions + up).astype(np.float32)
    cloud = replace(
        exact.cloud,
        positions=np.concatenate([positions, extra]),
        **{
            name: np.concatenate([getattr(exact.cloud, name)] * 2)
            for name in ("normals", "colors", "confidence", "photo")
        },
    )
    outcome = judged(replace(exact, cloud=cloud), truth_folder)
    assert value(outcome, "points.precision") == pytest.approx(0.5, abs=0.01)
    assert value(outcome, "points.recall") == pytest.approx(1)


def test_metric_results_are_judged_in_metres_too(exact: Reconstruction, truth_folder: Path) -> None:
    outcome = judged(replace(exact, metric=True), truth_folder)
    wrong_scale = abs(SOLVED_FROM_TRUE.scale - 1)
    assert value(outcome, "depth_metric.abs_rel") == pytest.approx(wrong_scale, rel=0.01)
    assert value(outcome, "trajectory_metric.ate_rmse") > 0.1


def test_an_unregistered_photo_counts_as_wrong(exact: Reconstruction, truth_folder: Path) -> None:
    outcome = judged(world.without_camera(exact, NAMES[2]), truth_folder)
    assert value(outcome, "pose.registered") == pytest.approx(5 / 6)
    assert value(outcome, "pose.auc_30") == pytest.approx(10 / 15)
    assert outcome.evaluation.photos[0].photo == NAMES[2]
    assert outcome.evaluation.photos[0].errors[CENTRE] is None


def test_the_page_shows_all_of_it(exact: Reconstruction, truth_folder: Path) -> None:
    outcome = judged(world.without_camera(exact, NAMES[2]), truth_folder)
    photos = {photo.name: photo for photo in exact.photos}
    displayed = pictures.depth_pictures(outcome.depths, surfaces.common_scale(outcome.depths), photos)
    text = page.page(outcome, displayed)
    for group in outcome.evaluation.groups.values():
        assert group.title in text
    assert all(name in text for name in NAMES)
    views = re.findall(r"<svg.*?</svg>", text, re.DOTALL)
    assert len(views) == 2 + 4  # the cameras from two sides, and a chart for each error
    shapes = list(ElementTree.fromstring(views[0]).iter("circle"))
    assert len(shapes) == 5 * 2 + 1  # a camera that is unregistered has a ring alone
    assert text.count("data:image/png") == 3 * 5
    assert "http" not in text.replace("https://", "").replace('xmlns="http', "")  # it needs nothing from elsewhere
