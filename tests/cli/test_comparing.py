"""`compare` on the command line: a result of the same photos in another world, with one wrong camera."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.blender.world import CAMERAS, looking_at, reconstruct, write_photos
from threer_blender import bundle, headless
from threer_blender.cli.command_line import main
from threer_blender.geometry import rotations
from threer_blender.model.reconstruction_transform import transformed
from threer_blender.model.similarity import Similarity

WORLD = Similarity(1.7, rotations.from_vectors(np.array((0.2, -1.0, 0.6))), np.array((3.0, 1.0, -2.0)))


@pytest.fixture
def folders(tmp_path: Path) -> Any:
    photos = write_photos(tmp_path / "shot", CAMERAS)
    reference = reconstruct(photos, CAMERAS, step=8)
    wrong = replace(CAMERAS[2], world_from_camera=looking_at((2.2, -1.8, -3.0)), fx=330.0)
    other = transformed(reconstruct(photos, [*CAMERAS[:2], wrong, *CAMERAS[3:]], step=8), WORLD.matrix)
    return bundle.write(other, tmp_path / "other"), bundle.write(reference, tmp_path / "reference")


def test_the_wrong_camera_comes_first(folders: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", *map(str, folders), "--json"]) == 0
    content = json.loads(capsys.readouterr().out)
    assert np.allclose(content["reference_from_result"], WORLD.inverse.matrix, atol=1e-6)
    worst = content["cameras"][0]
    assert worst["photo"] == CAMERAS[2].photo
    assert worst["focal"] == pytest.approx(0.1)
    assert all(camera["position"] < 1e-6 for camera in content["cameras"][1:])
    assert main(["compare", *map(str, folders)]) == 0
    assert "6 of 7 shared cameras agree" in capsys.readouterr().out


def test_results_without_common_photos_are_refused(folders: Any, tmp_path: Path) -> None:
    (tmp_path / "more").mkdir()
    photos = write_photos(tmp_path / "more" / "shot", CAMERAS[:2])
    photos = [replace(photo, sha256=f"{number + 100:064x}") for number, photo in enumerate(photos)]
    strange = bundle.write(reconstruct(photos, CAMERAS[:2], step=8), tmp_path / "strange")
    with pytest.raises(Exception, match="No photo has a camera in both"):
        headless.compare(strange, folders[1])
