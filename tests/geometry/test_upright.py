"""Up and the ground from synthetic evidence with known truth. Where nothing shows what is up, that is reported."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tests.blender.world import camera, looking_at
from threer_blender.geometry import upright
from threer_blender.geometry.upright import Evidence, angle

UP = np.array((0.0, -1.0, 0.0))  # in the world of `looking_at`


def circle(count: int, part: float = 1.0, roll: float = 0.0) -> Any:
    """Cameras on a `part` of a circle around the origin that look down by 30 degrees.

    `roll` is a standard deviation, in degrees.
    """
    rng = np.random.default_rng(0)
    cameras = []
    for at in np.linspace(0, 2 * np.pi * part, count, endpoint=False):
        eye = np.array((4 * np.sin(at), -4 * np.tan(np.radians(30)), -4 * np.cos(at)))
        cameras.append(camera(f"{at}", 320, 240, 300, pose=looking_at(eye, (0, 0, 0), roll=rng.normal(0, roll))))
    return cameras


def tilted(degrees: float) -> Any:
    return np.array((np.sin(np.radians(degrees)), -np.cos(np.radians(degrees)), 0.0))


def planes_of(lines: Any, cameras: Any, noise: float) -> Any:
    """Normals of the planes through each camera and each line (M, 2, 3), `noise` degrees off; the edges' lengths."""
    rng = np.random.default_rng(1)
    collected = []
    for each in cameras:
        ends = lines - each.world_from_camera[:3, 3]
        normals = np.cross(ends[:, 0], ends[:, 1])
        normals = normals / np.linalg.norm(normals, axis=1, keepdims=True) + rng.normal(
            0, np.radians(noise), (len(lines), 3)
        )
        collected.append(normals / np.linalg.norm(normals, axis=1, keepdims=True))
    return collected, [np.full(len(lines), 0.05) for _ in cameras]


def random_lines(count: int, seed: int = 0) -> Any:
    return np.random.default_rng(seed).normal(0, 1, (count, 2, 3))


def upright_lines(count: int, up: Any = UP) -> Any:
    starts = np.random.default_rng(2).normal(0, 1, (count, 3))
    return np.stack([starts, starts + 0.5 * up], axis=1)


def test_level_cameras_all_round() -> None:
    level = upright.horizons(circle(12))
    assert angle(level.up, UP) < 0.01
    assert level.spread < 3


def test_hand_held_roll_is_evened_out() -> None:
    level = upright.horizons(circle(24, roll=4.0))
    assert angle(level.up, UP) < 3 * level.spread < 9


def test_cameras_that_look_one_way_are_less_exact() -> None:
    row = [camera(f"{x}", 320, 240, 300, pose=looking_at((x, -1, -4), (x, 0.6, 0))) for x in range(5)]
    one_way = upright.horizons(row)
    assert one_way.spread > 10
    assert angle(one_way.up, UP) < 1.5 * one_way.spread


def test_photos_that_lie_sideways_are_outvoted() -> None:
    cameras = circle(9)
    for number in (1, 5):
        pose = looking_at(cameras[number].world_from_camera[:3, 3], (0, 0, 0), roll=90)
        cameras[number] = replace(cameras[number], world_from_camera=pose)
    assert angle(upright.horizons(cameras).up, UP) < 3


def test_cameras_that_contradict_each_other_say_nothing() -> None:
    cameras = [camera(f"{roll}", 320, 240, 300, pose=looking_at((0, -1, -4), roll=roll)) for roll in range(0, 360, 30)]
    assert upright.horizons(cameras).spread >= 30
    assert upright.combined(upright.horizons(cameras), []).spread > upright.DOUBTFUL


@pytest.mark.parametrize("seed", range(3))
def test_vertical_edges_among_many_others(seed: int) -> None:
    cameras = circle(8, part=0.3)
    lines = np.concatenate([upright_lines(15), random_lines(60, seed)])
    prior = Evidence("cameras", tilted(12.0), 5.0)
    planes, lengths = planes_of(lines, cameras, 0.2)
    edges = upright.verticals(planes, lengths, prior)
    assert edges is not None
    assert angle(edges.up, UP) < 0.3
    assert edges.spread < 2


def test_without_vertical_edges_none_are_made_up() -> None:
    prior = Evidence("cameras", UP, 5.0)
    planes, lengths = planes_of(random_lines(80), circle(8), 0.2)
    assert upright.verticals(planes, lengths, prior) is None
    assert upright.verticals([], [], prior) is None
    assert upright.verticals([np.zeros((0, 3))], [np.zeros(0)], prior) is None


def floor_points(normal: Any, count: int) -> Any:
    across = np.linalg.svd(normal[None])[2][1:]
    rng = np.random.default_rng(3)
    points = rng.uniform(-3, 3, (count, 2)) @ across + rng.normal(0, 0.005, (count, 1)) * normal
    normals = normal + rng.normal(0, 0.1, (count, 3))
    return points, normals / np.linalg.norm(normals, axis=1, keepdims=True)


def test_the_floor_below_the_cameras_and_not_the_table_or_the_ceiling() -> None:
    normal = tilted(7.0)
    floor, up = floor_points(normal, 3000)
    table, ceiling = floor[:1200] * 0.3 + 0.8 * normal, floor[:2900] + 6 * normal
    things = np.random.default_rng(4).normal(0, 1, (3000, 3))
    points = np.concatenate([floor, table, ceiling, things])
    normals = np.concatenate([up, up[:1200], up[:2900], things / np.linalg.norm(things, axis=1, keepdims=True)])
    centres = np.array([each.world_from_camera[:3, 3] for each in circle(8)])
    plane = upright.floor(points.astype(np.float32), normals.astype(np.float32), centres, Evidence("", UP, 5.0))
    assert plane is not None
    assert angle(plane.normal, normal) < 0.3
    assert abs(plane.centre @ normal) < 0.01
    assert plane.share == pytest.approx(0.3, abs=0.05)


def test_a_ball_has_no_floor() -> None:
    normals = np.random.default_rng(5).normal(size=(4000, 3)).astype(np.float32)
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    centres = np.array([(5.0, 0.0, 0.0), (-5.0, 0.0, 0.0), (0.0, 0.0, 5.0)])
    assert upright.floor(normals, normals, centres, Evidence("", UP, 5.0)) is None
    assert upright.floor(normals[:0], normals[:0], centres, Evidence("", UP, 5.0)) is None
    assert upright.floor_evidence(None) is None


def test_kinds_that_agree_are_averaged_by_their_variances() -> None:
    verdict = upright.combined(Evidence("cameras", tilted(6.0), 6.0), [Evidence("edges", tilted(0.5), 0.5)])
    assert verdict.agreeing == ("edges", "cameras")
    assert angle(verdict.up, tilted(0.5)) < 0.1
    assert verdict.spread < 1


def test_what_disagrees_is_named_and_a_rival_costs_confidence() -> None:
    verdict = upright.combined(
        Evidence("cameras", UP, 6.0), [Evidence("edges", UP, 1.0), Evidence("slope", tilted(24), 1.2)]
    )
    assert verdict.agreeing == ("edges", "cameras")
    assert verdict.disagreeing == ("slope",)
    assert angle(verdict.up, UP) < 1
    assert verdict.spread == pytest.approx(12, abs=1)


def test_one_kind_alone_does_not_overrule_the_cameras_but_two_do() -> None:
    """A few slanting edges that all photos show meet as exactly as verticals do."""
    slanting = Evidence("edges", tilted(22.0), 0.7)
    alone = upright.combined(Evidence("cameras", UP, 5.0), [slanting])
    assert angle(alone.up, UP) < 0.1
    assert alone.disagreeing == ("edges",)
    both = upright.combined(Evidence("cameras", UP, 5.0), [slanting, Evidence("floor", tilted(21.0), 1.0)])
    assert angle(both.up, tilted(22.0)) < 1
    gimbal = upright.combined(Evidence("cameras", UP, 5.0), [Evidence("gimbal", tilted(22.0), 1.0, votes=2)])
    assert angle(gimbal.up, tilted(22.0)) < 0.1


def test_edges_of_one_place_are_not_taken_for_verticals() -> None:
    """Three slanting edges close to each other, seen by cameras that hardly move."""
    slant = tilted(15.0)
    lines = np.concatenate([upright_lines(3, slant) * 0.05, random_lines(40)])
    row = [camera(f"{x}", 320, 240, 300, pose=looking_at((x / 50, -1, -4), (x / 50, -0.5, 0))) for x in range(9)]
    planes, lengths = planes_of(lines, row, 0.1)
    assert upright.verticals(planes, lengths, Evidence("cameras", UP, 6.0)) is None


def test_gimbals_and_gps() -> None:
    rng = np.random.default_rng(6)
    assert upright.sensors(np.zeros((0, 3))) is None
    gimbal = upright.sensors(np.array([UP, UP, tilted(1.0), tilted(70.0)]))
    assert gimbal is not None
    assert angle(gimbal.up, UP) < 1
    metres = rng.uniform(-60, 60, (20, 3)) * (1, 1, 0.3)
    to_world = np.array(((1, 0, 0), (0, 0, -1), (0, 1, 0)))  # y down
    centres = 0.05 * metres @ to_world.T + (3, 1, 2)
    gps = upright.places(centres, metres + rng.normal(0, 1.5, (20, 3)))
    assert gps is not None
    assert angle(gps.up, UP) < 3
    street = metres * (1, 0.001, 0.001)
    assert upright.places(street @ to_world.T, street) is None
    assert upright.places(centres[:3], metres[:3]) is None
