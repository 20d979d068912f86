"""From a solved scene and its photos to what is up: a synthetic world, whose floor and cameras are known."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.blender.world import CAMERAS, camera, looking_at, reconstruct, write_photos
from threer_blender.geometry.upright import angle
from threer_blender.model.reconstruction import Reconstruction
from threer_blender.model.reconstruction_transform import transformed
from threer_blender.pipelines import upright

UP = np.array((0.0, -1.0, 0.0))


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return write_photos(tmp_path_factory.mktemp("upright") / "shot", CAMERAS)


def levelled(reconstruction: Reconstruction) -> Any:
    return upright.levelled(reconstruction, lambda _done, _all: None)


def test_the_floor_is_the_ground_wherever_the_world_is(photos: Any) -> None:
    result = levelled(reconstruct(photos, CAMERAS, step=6))
    assert angle(result.upright.up, UP) < 1.0
    assert result.upright.spread < 2.5
    assert result.upright.ground == pytest.approx(0.0, abs=0.02)
    assert "ground plane" in result.upright.agreeing
    assert result.notes == []
    rotation = np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))[0]
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = 2.5 * rotation * np.linalg.det(rotation), (3, -1, 7)
    actual = levelled(transformed(reconstruct(photos, CAMERAS, step=6), matrix)).upright
    expected = transformed(result, matrix).upright
    assert expected is not None
    assert angle(actual.up, expected.up) < 0.5
    assert actual.ground == pytest.approx(expected.ground, abs=0.05)


def test_vertical_edges_of_a_photo_are_vertical_in_the_world() -> None:
    solved = camera("one", 400, 300, 300, pose=looking_at((0.3, -1.5, -4.0)))
    y, x = (np.mgrid[:1200, :1600] + 0.5) / 4  # four by four samples a pixel
    rays = solved.rays(np.stack([x, y], -1)) @ solved.world_from_camera[:3, :3].T
    stripes = np.floor(np.degrees(np.arctan2(rays[..., 0], rays[..., 2])) / 5) % 2  # on upright planes
    planes, lengths = upright.edge_planes(solved, stripes.reshape(300, 4, 400, 4).mean(axis=(1, 3)) * 150 + 50)
    assert len(planes) >= 8
    errors = np.degrees(np.abs(np.arcsin(planes @ UP)))  # between each plane and the vertical
    assert np.median(errors) < 0.2
    assert errors.max() < 1.0
    assert (lengths < 1).all()  # over the picture's diagonal


def test_where_photos_do_not_tell_a_note_says_so(photos: Any) -> None:
    rolled = [replace(each, world_from_camera=looking_at((0, -1, -4), roll=51 * n)) for n, each in enumerate(CAMERAS)]
    result = levelled(replace(reconstruct(photos, rolled, step=6), cloud=None))
    assert result.upright.spread > 10
    assert any("guess" in note for note in result.notes)
    assert result.upright.ground is None


def test_photos_that_are_gone_leave_the_other_evidence(photos: Any, tmp_path: Path) -> None:
    gone = [replace(photo, path=str(tmp_path / photo.name)) for photo in photos]
    assert angle(levelled(reconstruct(gone, CAMERAS, step=6)).upright.up, UP) < 1.0
    assert levelled(replace(reconstruct(gone, CAMERAS, step=6), cameras=[])).upright is None
