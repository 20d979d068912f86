"""The folder of exported lenses is whole and readable. Lenses that cannot be exported are refused in a sentence."""

import json
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from threer_blender.lenses import export, nuke
from threer_blender.model.errors import UserError
from threer_blender.model.lens import Distortion
from threer_blender.model.reconstruction import Camera, Photo, Reconstruction, Shot

LENS = Distortion("OPENCV", (-0.2, 0.03, 1e-3, -5e-4))


def camera(name: str, focal: float = 100) -> Camera:
    return Camera(name, 128, 72, focal, focal, 65, 35, np.eye(4), LENS)


def result(tmp_path: Path, **more: Any) -> Reconstruction:
    photos = [Photo(name, str(tmp_path / name), 128, 72, "0" * 64) for name in ("a.jpg", "b.jpg")]
    return Reconstruction("test", "GPL", photos, [camera("a.jpg"), camera("b.jpg")], **more)


def test_photos_of_one_lens_share_its_maps(tmp_path: Path) -> None:
    lines = export.write(result(tmp_path), tmp_path / "lenses")
    names = sorted(path.name for path in (tmp_path / "lenses").iterdir())
    assert names == ["01_a.nk", "01_a_redistort.exr", "01_a_undistort.exr", "lens.json", "manifest.json"]
    (entry,) = json.loads((tmp_path / "lenses" / "lens.json").read_text())["lenses"]
    assert entry["used_by"] == ["a.jpg", "b.jpg"]
    assert entry["render"]["width"] == 128 + 2 * entry["overscan"]["across"]
    assert [fit["model"] for fit in entry["fits"]] == list(export.MODELS)
    assert entry["fits"][0]["rms_px"] < 1e-6
    assert any("TDE_RADIAL_4: RMS" in line for line in lines)


def test_a_zoom_has_maps_for_every_frame(tmp_path: Path) -> None:
    cameras = {n: camera(f"clip {n:04d}", 100 + n) for n in (1001, 1003)}
    shot = Shot("clip.mov", str(tmp_path / "a.jpg"), Fraction(24), 3, cameras)
    export.write(replace(result(tmp_path), shots=[shot]), tmp_path / "lenses")
    names = {path.name for path in (tmp_path / "lenses").iterdir()}
    assert {"01_clip_undistort.1001.exr", "01_clip_redistort.1003.exr", "01_clip.nk"} <= names
    assert len(names) == len({"lens.json", "manifest.json", "01_clip.nk"}) + 4  # the photos' lenses are not asked for


def test_a_squeezed_plate_has_maps_in_its_own_pixels(tmp_path: Path) -> None:
    shot = Shot("clip.mov", str(tmp_path / "a.jpg"), Fraction(24), 1, {1: camera("clip 0001")}, plate_size=(64, 72))
    export.write(replace(result(tmp_path), shots=[shot]), tmp_path / "lenses")
    (entry,) = json.loads((tmp_path / "lenses" / "lens.json").read_text())["lenses"]
    assert entry["plate"] == {"width": 64, "height": 72, "pixel_aspect": pytest.approx(2)}
    assert entry["camera"]["fx"] == pytest.approx(50)
    assert entry["fits"][-1]["params"]["pixel_aspect"] == pytest.approx(2)


def test_the_nuke_script_has_every_input_it_names(tmp_path: Path) -> None:
    """The script is read as Nuke reads it: each node takes its inputs from a stack."""
    export.write(result(tmp_path), tmp_path / "lenses")
    stack: list[str] = []
    variables: dict[str, str] = {}
    inputs: dict[str, list[str]] = {}
    knobs: dict[str, dict[str, str]] = {}
    node: dict[str, str] = {}
    for text in (tmp_path / "lenses" / "01_a.nk").read_text().split("\n"):
        line = text.strip()
        if line.startswith("set "):
            variables[line.split()[1]] = stack[-1]
        elif line.startswith("push "):
            stack.append(variables[line.split()[1].lstrip("$")])
        elif line.endswith("{"):
            node = {}
        elif line == "}":
            name, count = node["name"], int(node["inputs"])
            inputs[name] = [stack.pop() for _ in range(count)]
            knobs[name] = node
            stack.append(name)
        elif line and not line.startswith("#"):
            knob, _, value = line.partition(" ")
            node[knob] = value
    assert inputs["STMap_undistort"] == ["Read_plate", "Read_undistort"]
    assert inputs["STMap_redistort"] == ["Read_CG", "Read_redistort"]
    assert inputs["CG_over_plate"] == ["Read_plate", "STMap_redistort"]
    tde = knobs["LD_3DE4_Radial_Standard_Degree_4_undistort"]
    assert float(tde["tde4_filmback_width_cm"]) == pytest.approx(3.6)
    assert float(tde["tde4_focal_length_cm"]) == pytest.approx(3.6 * 100 / 128)
    assert float(tde["tde4_lens_center_offset_y_cm"]) == pytest.approx(3.6 / 128)


def test_an_earlier_export_is_replaced_and_other_folders_are_not(tmp_path: Path) -> None:
    export.write(result(tmp_path), tmp_path / "lenses")
    export.write(result(tmp_path), tmp_path / "lenses")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine")
    with pytest.raises(UserError, match="something else"):
        export.write(result(tmp_path), tmp_path / "mine")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["lenses", "mine"]


def test_a_lens_that_is_too_wide_leaves_nothing_behind(tmp_path: Path) -> None:
    wide = replace(camera("a.jpg"), distortion=Distortion("OPENCV_FISHEYE", (0.0,) * 4), fx=40, fy=40)
    with pytest.raises(UserError, match="too wide"):
        export.write(replace(result(tmp_path), cameras=[wide]), tmp_path / "lenses")
    assert list(tmp_path.iterdir()) == []


def test_a_name_says_nothing_to_nuke() -> None:
    """Nuke runs a script as Tcl; names come from results of strangers."""
    lens = next(iter(result(Path()).cameras))
    plain = nuke.script("name", lens, (100, 80), ("a.exr", "b.exr"), [])
    for name in ("x\npython {import os}", "x\rexit", "x\u2028exit", "x\\"):
        lines = nuke.script(name, lens, (100, 80), ("a.exr", "b.exr"), []).splitlines()
        assert lines[1:] == plain.splitlines()[1:]
        assert lines[0].startswith("# The lens of x ")
    assert "[exit]" not in nuke.script("[exit]", lens, (100, 80), ("a.exr", "b.exr"), [])
