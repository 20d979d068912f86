"""A cloud is split into objects by photo and by plane; the whole is hidden and stays."""

from pathlib import Path
from types import ModuleType
from typing import Any

import bpy
import numpy as np
import pytest

from tests.blender.extension import part, roots
from tests.blender.world import CAMERAS, reconstruct, write_photos
from threer_blender import bundle

pytest_plugins = ["tests.blender.extension"]


@pytest.fixture
def cloud(addon: ModuleType, tmp_path: Path) -> Any:  # noqa: ARG001
    photos = write_photos(tmp_path / "shot", CAMERAS)
    folder = bundle.write(reconstruct(photos, CAMERAS, step=8), tmp_path / "result")
    bpy.ops.threer.import_result(directory=str(folder))
    return part("scene.several").cloud(roots()[0])


def parts() -> Any:
    return [obj for obj in bpy.data.objects if obj.get("threer_role") == "part"]


def local(obj: Any) -> Any:
    return part("scene.picture_points").local(obj.data)


def test_split_by_photo(cloud: Any) -> None:
    owner = np.empty(len(local(cloud)), np.int32)
    cloud.data.attributes["photo"].data.foreach_get("value", owner)
    for _ in range(2):  # the second time replaces the first
        assert bpy.ops.threer.split(by="PHOTO") == {"FINISHED"}
        assert len(parts()) == len(CAMERAS)
    second = next(obj for obj in parts() if CAMERAS[1].photo in obj.name)
    assert np.array_equal(local(second), local(cloud)[owner == 1])
    colors = [np.empty(4 * len(obj.data.attributes["color"].data), np.float32) for obj in (second, cloud)]
    for obj, values in zip((second, cloud), colors, strict=True):
        obj.data.attributes["color"].data.foreach_get("color_srgb", values)
    assert np.array_equal(colors[0].reshape(-1, 4), colors[1].reshape(-1, 4)[owner == 1])
    assert second.parent == cloud.parent
    assert [modifier.name for modifier in second.modifiers] == [modifier.name for modifier in cloud.modifiers]
    assert cloud.hide_viewport
    assert cloud.hide_render
    assert len(local(cloud)) == len(owner)


def test_split_by_plane_takes_the_floor(cloud: Any) -> None:
    bpy.ops.threer.split(by="PLANE", planes=1, tolerance=0.01)
    floor = next(obj for obj in parts() if "plane 1" in obj.name)
    rest = next(obj for obj in parts() if "rest" in obj.name)
    assert np.abs(local(floor)[:, 1]).max() < 0.05
    assert len(local(floor)) + len(local(rest)) == len(local(cloud))
    assert (np.abs(local(rest)[:, 1]) < 1e-4).mean() < 0.02


def test_masked_points_are_in_no_part(cloud: Any) -> None:
    hidden = np.arange(len(local(cloud))) % 2 == 0
    part("scene.masks").write(cloud, "Selection", hidden)
    bpy.ops.threer.split(by="PHOTO")
    assert sum(len(local(obj)) for obj in parts()) == (~hidden).sum()
