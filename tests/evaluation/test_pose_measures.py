"""Errors of poses are what a plain loop over the definitions gives."""

import json
import math
from pathlib import Path

import numpy as np
import pytest

from threer_blender.evaluation import pose_measures
from threer_blender.geometry import rotations
from threer_blender.model.arrays import FloatArray

RANDOM = np.random.default_rng(0)


def pose() -> FloatArray:
    matrix = np.eye(4)
    matrix[:3, :3] = rotations.from_vectors(0.8 * RANDOM.standard_normal(3))
    matrix[:3, 3] = 2 * RANDOM.standard_normal(3)
    return matrix


def scene(count: int = 7) -> tuple[list[FloatArray | None], list[FloatArray]]:
    """Solved and true poses: the solve's world is another one, its errors are some degrees, and a photo is missing."""
    true = [pose() for _ in range(count)]
    true[2] = true[1].copy()  # a pair without a baseline
    similarity, scale = pose(), 0.4
    solved: list[FloatArray | None] = []
    for each in true:
        matrix = similarity @ each
        matrix[:3, :3] = matrix[:3, :3] @ rotations.from_vectors(0.06 * RANDOM.standard_normal(3))
        matrix[:3, 3] = scale * matrix[:3, 3] + 0.05 * RANDOM.standard_normal(3)
        solved.append(matrix)
    solved[4] = None
    return solved, true


def degrees_between(a: FloatArray, b: FloatArray) -> float:
    return math.degrees(math.acos(max(-1.0, min(1.0, float(a @ b) / math.sqrt(float(a @ a) * float(b @ b))))))


def plain(
    solved: list[FloatArray | None], true: list[FloatArray], sign_ambiguity: bool
) -> tuple[list[float], list[float]]:
    """The errors of all pairs, one after the other."""
    angles, directions = [], []
    for i in range(len(true)):
        for j in range(i + 1, len(true)):
            a, b = solved[i], solved[j]
            if a is None or b is None:
                angles.append(180.0)
                directions.append(180.0)
                continue
            relative = np.linalg.inv(a) @ b
            expected = np.linalg.inv(true[i]) @ true[j]
            rotation = relative[:3, :3] @ np.linalg.inv(expected[:3, :3])
            angles.append(math.degrees(math.acos(max(-1.0, min(1.0, (np.trace(rotation) - 1) / 2)))))
            if np.linalg.norm(expected[:3, 3]) < 1e-9:
                directions.append(angles[-1])
                continue
            angle = degrees_between(relative[:3, 3], expected[:3, 3])
            directions.append(min(angle, 180 - angle) if sign_ambiguity else angle)
    return angles, directions


@pytest.mark.parametrize("sign_ambiguity", [True, False])
def test_relative_errors(sign_ambiguity: bool) -> None:
    solved, true = scene()
    actual = pose_measures.relative_errors(solved, true, sign_ambiguity)
    for one, other in zip(actual, plain(solved, true, sign_ambiguity), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)


def test_areas_and_accuracies() -> None:
    """The definitions of VGGT (bins of a degree) and of DUSt3R (the smaller of two recalls), counted by hand."""
    solved, true = scene()
    rotation, translation = plain(solved, true, True)
    worse = [max(pair) for pair in zip(rotation, translation, strict=True)]
    for most in (3, 5, 30):
        recalls = [sum(error < t for error in worse) / len(worse) for t in range(1, most + 1)]
        expected = sum(recalls) / most
        assert pose_measures.auc(np.array(rotation), np.array(translation), most) == pytest.approx(expected, abs=1e-12)
    smaller = [min(sum(e < t for e in errors) for errors in (rotation, translation)) for t in range(1, 31)]
    accuracy = pose_measures.mean_average_accuracy(np.array(rotation), np.array(translation))
    assert accuracy == pytest.approx(sum(smaller) / 30 / len(rotation), abs=1e-12)
    assert 0 < accuracy < 1


def test_a_perfect_solve_in_another_world_has_no_error() -> None:
    _, true = scene()
    similarity, scale = pose(), 7.0
    solved: list[FloatArray | None] = []
    for each in true:
        matrix = similarity @ each
        matrix[:3, 3] *= scale
        solved.append(matrix)
    assert max(errors.max() for errors in pose_measures.relative_errors(solved, true)) < 1e-5
    errors = pose_measures.trajectory_errors(solved, true)
    assert errors is not None
    assert errors.rmse < 1e-9
    assert errors.angles.max() < 1e-6
    assert errors.true_from_solved.scale == pytest.approx(1 / scale)


def test_the_alignment_of_a_trajectory_is_the_best_one() -> None:
    """No nearby similarity has a smaller error; with SE(3) the scale stays 1."""
    solved, true = scene()
    errors = pose_measures.trajectory_errors(solved, true)
    rigid = pose_measures.trajectory_errors(solved, true, "se3")
    assert errors is not None
    assert rigid is not None
    assert rigid.true_from_solved.scale == 1
    assert rigid.rmse > errors.rmse
    pairs = [(a[:3, 3], b[:3, 3]) for a, b in zip(solved, true, strict=True) if a is not None]
    centres, targets = (np.array(side) for side in zip(*pairs, strict=True))
    scale, rotation, translation = errors.true_from_solved
    for _ in range(200):
        step = 1e-3 * RANDOM.standard_normal(7)
        changed = scale * np.exp(step[0]) * centres @ (rotations.from_vectors(step[1:4]) @ rotation).T
        off = changed + translation + step[4:] - targets
        assert math.sqrt((off**2).sum(1).mean()) >= errors.rmse - 1e-12


def test_step_errors() -> None:
    """A step that is a tenth too long, and turned by 2 degrees."""
    true = [np.eye(4), np.eye(4), np.eye(4)]
    true[1][:3, 3], true[2][:3, 3] = (1, 0, 0), (2, 0, 0)
    solved = [each.copy() for each in true]
    solved[2][:3, 3] = (2.1, 0, 0)
    solved[2][:3, :3] = rotations.from_vectors(np.array([0, math.radians(2), 0]))
    lengths, angles = pose_measures.step_errors(list(solved), true, 1.0)
    np.testing.assert_allclose(lengths, [0, 0.1], atol=1e-12)
    np.testing.assert_allclose(angles, [0, 2], atol=1e-9)
    missing = [solved[0], None, solved[2]]
    assert len(pose_measures.step_errors(missing, true, 1.0)[0]) == 0


def test_too_few_cameras_have_no_trajectory() -> None:
    solved, true = scene()
    assert pose_measures.trajectory_errors([solved[0], solved[1], None], true[:3]) is None


@pytest.mark.parametrize("align", ["sim3", "se3"])
def test_errors_of_a_path_are_those_that_evo_prints(align: str) -> None:
    """The library evo (github.com/MichaelGrupp/evo) computed the recorded errors of these two paths."""
    recorded = json.loads((Path(__file__).parent / "evo_trajectory.json").read_text())
    solved, true = (
        [np.vstack([np.reshape(rows, (3, 4)), [0, 0, 0, 1]]) for rows in recorded[name]] for name in ("solved", "true")
    )
    by_evo = recorded["evo"][align]
    errors = pose_measures.trajectory_errors(solved, true, align)
    assert errors is not None
    lengths, angles = pose_measures.step_errors(solved, true, errors.true_from_solved.scale)
    assert errors.rmse == pytest.approx(by_evo["ape"], rel=1e-9)
    np.testing.assert_allclose(errors.angles, by_evo["ape_deg"], rtol=1e-9)
    np.testing.assert_allclose(lengths, by_evo["rpe"], rtol=1e-9)
    np.testing.assert_allclose(angles, by_evo["rpe_deg"], rtol=1e-9)
