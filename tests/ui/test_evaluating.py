"""The button that judges the panel's result by a folder of true cameras, in real Blender with the real worker."""

import json
from pathlib import Path
from types import ModuleType

import bpy
import pytest

from tests.blender.drawn import drawn
from tests.blender.world import CAMERAS, reconstruct, write_photos
from threer_blender import bundle
from threer_blender.model.reconstruction import Photo

pytest_plugins = ["tests.blender.extension"]


def truth(folder: Path, photos: list[Photo]) -> Path:
    """The folder of the true cameras, in the world of the result: all errors are 0."""
    folder.mkdir()
    cameras = [
        {
            "photo": photo.name,
            "width": camera.width,
            "height": camera.height,
            "fx": camera.fx,
            "fy": camera.fy,
            "cx": camera.cx,
            "cy": camera.cy,
            "distortion": {"model": "PINHOLE", "params": []},
            "world_from_camera": camera.world_from_camera.tolist(),
        }
        for photo, camera in zip(photos, CAMERAS, strict=True)
    ]
    (folder / "truth.json").write_text(json.dumps({"cameras": cameras}))
    return folder


def test_a_result_is_judged_by_a_folder(addon: ModuleType, tmp_path: Path) -> None:  # noqa: ARG001
    photos = write_photos(tmp_path / "shot", CAMERAS)
    folder = bundle.write(reconstruct(photos, CAMERAS, step=16), tmp_path / "walk")
    bpy.ops.threer.import_result(directory=str(folder))
    assert "threer.evaluate" in drawn("ui.several", "THREER_PT_several")
    bpy.ops.threer.evaluate(directory=str(truth(tmp_path / "truth", photos)))
    page, numbers = (tmp_path / f"walk evaluation.{suffix}" for suffix in ("html", "json"))
    assert page.is_file()
    measures = json.loads(numbers.read_text("utf-8"))["groups"]
    assert measures["pose"]["measures"]["auc_5"]["value"] == pytest.approx(1)
    assert measures["trajectory"]["measures"]["ate_rmse"]["value"] == pytest.approx(0, abs=1e-6)
    before = page.read_bytes()
    (tmp_path / "empty").mkdir()
    with pytest.raises(RuntimeError, match="truth"):
        bpy.ops.threer.evaluate(directory=str(tmp_path / "empty"))
    assert page.read_bytes() == before
