"""Other programs read our files: each is parsed strictly, by its own published rules, and projects as we do."""

import json
import re
import struct
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.exchange import example
from tests.splats import random_gaussians
from threer_blender.exchange import export, gltf_splats, maya, nuke_camera, point_writers, usd_splats
from threer_blender.exchange.content import AXES, Choice
from threer_blender.exchange.solves import las, ply, reading
from threer_blender.model import gaussian_transform
from threer_blender.model.arrays import FloatArray
from threer_blender.model.errors import UserError
from threer_blender.model.reconstruction import Camera

FLIP = np.diag([1.0, -1, -1])


@pytest.fixture
def shot_cameras(tmp_path: Path) -> dict[int, Camera]:
    (shot,) = example.result(tmp_path).shots
    return shot.cameras


def test_chan(tmp_path: Path, shot_cameras: dict[int, Camera]) -> None:
    export.write(example.result(tmp_path), tmp_path, "nuke", tmp_path / "out")
    (moving,) = [path for path in (tmp_path / "out").glob("*.chan") if path.name != nuke_camera.PHOTOS]
    assert moving.name.isascii()
    rows = [list(map(float, line.split("\t"))) for line in moving.read_text().splitlines()]
    assert [row[0] for row in rows] == list(shot_cameras)
    for row, camera in zip(rows, shot_cameras.values(), strict=True):
        rotation = example.about("y", row[5]) @ example.about("x", row[4]) @ example.about("z", row[6])  # Nuke's ZXY
        assert np.allclose(row[1:4], FLIP @ camera.world_from_camera[:3, 3], atol=1e-9)
        assert np.allclose(rotation, FLIP @ camera.world_from_camera[:3, :3] @ FLIP, atol=1e-9)
        assert np.tan(np.radians(row[7] / 2)) == pytest.approx(camera.height / 2 / camera.fy)


def test_a_principal_point_off_the_middle_is_said_on_either_axis(tmp_path: Path) -> None:
    one = example.result(tmp_path)
    for cx, cy, lost in ((320.0, 240.0, False), (320.0, 228.5, True), (331.0, 240.0, True)):
        still = replace(one.cameras[0], cx=cx, cy=cy)
        alone = replace(one, photos=one.photos[:1], cameras=[still], shots=[])
        sentences = " ".join(export.write(alone, tmp_path, "nuke", tmp_path / f"out {cx} {cy}"))
        assert ("no principal point" in sentences) == lost


def knobs(node: str) -> dict[str, list[list[float]] | str]:
    """The knobs of a Nuke node by name. A knob holds text, or numbers, each with its values at all keys."""
    values: dict[str, list[list[float]] | str] = {}
    for line in node.strip().splitlines():
        name, _, value = line.strip().partition(" ")
        curves = re.findall(r"\{curve L ((?:x\d+ [^\s}]+ ?)+)\}", value)
        if curves:
            values[name] = [[float(number) for number in re.findall(r"x\d+ (\S+)", curve)] for curve in curves]
        elif re.fullmatch(r"\{?[-+.\de ]+\}?", value):
            values[name] = [[float(number)] for number in value.strip("{}").split()]
        else:
            values[name] = value
    return values


def at(values: list[list[float]] | str, index: int) -> FloatArray:
    assert not isinstance(values, str)
    return np.array([value[min(index, len(value) - 1)] for value in values])


def test_nuke_script(tmp_path: Path, shot_cameras: dict[int, Camera]) -> None:
    result = example.result(tmp_path)
    sentences = export.write(result, tmp_path, "nuke", tmp_path / "out")
    assert "no principal point" in " ".join(sentences)
    text = (tmp_path / "out" / nuke_camera.SCRIPT).read_text("utf-8")
    nodes = re.findall(r"^Camera2 \{\n(.*?)^\}\n", text, re.M | re.S)
    assert "".join(f"Camera2 {{\n{node}}}\n" for node in nodes) == text
    assert len(nodes) == 3
    expected = [list(shot_cameras.values()), [result.cameras[0]], [result.cameras[1]]]
    for node, cameras in zip(nodes, expected, strict=True):
        values = knobs(node)
        assert values["rot_order"] == "ZXY"
        for index, camera in enumerate(cameras):
            x, y, z = at(values["rotate"], index)
            rotation = example.about("y", y) @ example.about("x", x) @ example.about("z", z)
            (width,) = at(values["haperture"], 0)
            focal = at(values["focal"], index)[0] / width
            window = -at(values["win_translate"], index) / 2  # in half widths; the picture moves the other way
            example.assert_same_camera(camera, at(values["translate"], index), rotation, focal, (window[0], window[1]))
    assert re.search(r"x1001 \S+ x1002 \S+ x1003 \S+ x1004 ", nodes[0])


def attributes(text: str) -> dict[str, dict[str, list[str]]]:
    """The nodes of a Maya ASCII scene by name, with the values of their attributes. An unknown statement fails.

    An animated attribute, such as .tx, also has the entry "keys .tx": each key's frame and value in turn.
    """
    nodes: dict[str, dict[str, list[str]]] = {}
    current: dict[str, list[str]] = {}
    for statement in re.split(r";\n", re.sub(r"^//.*\n", "", text, flags=re.M)):
        words = re.findall(r'"[^"]*"|\S+', statement)
        if not words or words[0] in ("requires", "currentUnit"):
            continue
        if words[0] == "createNode":
            current = nodes.setdefault(words[words.index("-n") + 1].strip('"'), {"kind": [words[1]]})
        elif words[0] == "setAttr":
            index = next(i for i, word in enumerate(words) if word.startswith('".'))
            rest = words[index + 1 :]
            current[words[index].strip('"')] = rest[2:] if rest[:1] == ["-type"] else rest
        else:
            assert words[0] == "connectAttr", statement
            source, target = (word.strip('"') for word in words[1:3])
            owner, _, attribute = target.partition(".")
            nodes[owner]["keys ." + attribute] = nodes[source.partition(".")[0]][
                next(name for name in nodes[source.partition(".")[0]] if name.startswith(".ktv"))
            ]
    return nodes


def key(node: dict[str, list[str]], attribute: str, frame: int, default: float) -> float:
    keys = [float(word) for word in node.get(f"keys {attribute}", [])]
    return dict(zip(keys[0::2], keys[1::2], strict=True)).get(frame, default)


def test_maya(tmp_path: Path, shot_cameras: dict[int, Camera]) -> None:
    result = example.result(tmp_path)
    export.write(result, tmp_path, "maya", tmp_path / "out")
    text = (tmp_path / "out" / maya.SCENE).read_text("ascii")
    assert "currentUnit -l centimeter -a degree -t pal;" in text
    nodes = attributes(text)
    shapes = [name for name, node in nodes.items() if node["kind"] == ["camera"]]
    expected = [shot_cameras, {1: result.cameras[0]}, {1: result.cameras[1]}]
    for shape, cameras in zip(shapes, expected, strict=True):
        node, lens = nodes[shape.removesuffix("Shape")], nodes[shape]
        width = float(lens[".cap"][0])
        offset = -float(lens[".hfo"][0]) / width, -float(lens[".vfo"][0]) / width
        for frame, camera in cameras.items():
            position = np.array([key(node, f".t{a}", frame, float(node[".t"][i])) for i, a in enumerate("xyz")])
            x, y, z = (key(node, f".r{a}", frame, float(node[".r"][i])) for i, a in enumerate("xyz"))
            rotation = example.about("z", z) @ example.about("y", y) @ example.about("x", x)
            focal = key(lens, ".fl", frame, float(lens[".fl"][0])) / 25.4 / width
            if camera.fx == next(iter(cameras.values())).fx:  # Maya's film offset stands still while the lens zooms
                example.assert_same_camera(camera, position, rotation, focal, offset, 100.0)
    assert sum(node["kind"] == ["locator"] for node in nodes.values()) == 50


def test_after_effects(tmp_path: Path, shot_cameras: dict[int, Camera]) -> None:
    sentences = export.write(example.result(tmp_path), tmp_path, "after-effects", tmp_path / "out")
    assert "px of it are lost" in " ".join(sentences)
    text = (tmp_path / "out" / "cameras.jsx").read_text("ascii")
    calls = re.findall(r"^  camera\(comp, (.*)\);$", text, re.M)
    assert len(calls) == 3
    name, frames, first, zooms, positions, orientations = json.loads(f"[{calls[0]}]")
    assert name == example.PATTERN
    assert (frames, first) == (list(shot_cameras), example.FIRST)
    for zoom, position, (x, y, z), camera in zip(zooms, positions, orientations, shot_cameras.values(), strict=True):
        rotation = example.about("x", x) @ example.about("y", y) @ example.about("z", z)
        assert zoom == camera.fx
        assert np.allclose(np.array(position) / 1000, camera.world_from_camera[:3, 3], atol=1e-9)
        assert np.allclose(rotation, camera.world_from_camera[:3, :3], atol=1e-9)
    assert text.count("(") == text.count(")")
    assert text.count("{") == text.count("}")


def test_points_come_back(tmp_path: Path) -> None:
    result = example.result(tmp_path)
    assert result.cloud is not None
    expected = result.cloud.positions @ np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]]).T
    for name, file, read in (
        ("ply", point_writers.PLY, ply.read),
        ("las", point_writers.LAS, las.read),
    ):
        export.write(result, tmp_path, name, tmp_path / name)
        points = read(tmp_path / name / file)
        assert points is not None
        assert np.allclose(points.positions, expected, atol=1e-6)
        assert np.array_equal(points.colors, result.cloud.colors)


def test_axes_scale_and_first_frame_by_choice(tmp_path: Path, shot_cameras: dict[int, Camera]) -> None:
    choice = Choice("z-up", 2.0, 1)
    export.write(example.result(tmp_path), tmp_path, "nuke", tmp_path / "out", choice)
    (moving,) = [path for path in (tmp_path / "out").glob("*.chan") if path.name != nuke_camera.PHOTOS]
    first = [float(value) for value in moving.read_text().splitlines()[0].split()]
    x, y, z = shot_cameras[example.FIRST].world_from_camera[:3, 3]
    assert first[0] == 1
    assert np.allclose(first[1:4], (2 * x, 2 * z, -2 * y))
    with pytest.raises(UserError, match="no axes"):
        export.write(example.result(tmp_path), tmp_path, "nuke", tmp_path / "out", Choice("sideways"))
    with pytest.raises(UserError, match="scale"):
        export.write(example.result(tmp_path), tmp_path, "nuke", tmp_path / "out", Choice(scale=float("nan")))


def test_a_place_that_takes_no_files(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(UserError):
        export.write(example.result(tmp_path), tmp_path, "nuke", tmp_path / "file" / "out")


def test_nerfstudios_file_is_read_back(tmp_path: Path) -> None:
    """Our reader and our writer of transforms.json say the same."""
    result = example.result(tmp_path)
    for name in example.STILLS:
        (tmp_path / name).write_bytes(b"picture")
    stills = replace(result, photos=result.photos[:2], cameras=result.cameras[:2], shots=[])
    export.write(stills, tmp_path, "transforms", tmp_path / "out")
    views = reading.read(tmp_path / "out").views
    turned = np.eye(4)
    turned[:3, :3] = [[1, 0, 0], [0, 0, 1], [0, -1, 0]]
    for view, camera in zip(views, stills.cameras, strict=True):
        assert np.allclose(view.world_from_camera, turned @ camera.world_from_camera, atol=1e-12)
        intrinsics = view.lens.intrinsics(camera.width, camera.height)
        assert intrinsics == pytest.approx((camera.fx, camera.fy, camera.cx, camera.cy))


def test_splats_as_gltf(tmp_path: Path) -> None:
    """Parsed as glTF 2.0 says; scales are linear and rotations xyzw, in a world with y up."""
    result = replace(example.result(tmp_path), gaussians=random_gaussians(20, 2))
    export.write(result, tmp_path, "gltf-splats", tmp_path / "out")
    data = (tmp_path / "out" / gltf_splats.SPLATS).read_bytes()
    magic, version, total, length, kind = struct.unpack_from("<4sIII4s", data)
    assert (magic, version, total, kind) == (b"glTF", 2, len(data), b"JSON")
    scene = json.loads(data[20 : 20 + length])
    assert struct.unpack_from("<I4s", data, 20 + length) == (scene["buffers"][0]["byteLength"], b"BIN\0")
    binary = data[28 + length :]
    (primitive,) = scene["meshes"][0]["primitives"]
    assert primitive["mode"] == 0
    values = {}
    for name, index in primitive["attributes"].items():
        accessor = scene["accessors"][index]
        view = scene["bufferViews"][accessor["bufferView"]]
        width = {"SCALAR": 1, "VEC3": 3, "VEC4": 4}[accessor["type"]]
        assert view["byteLength"] == 4 * width * accessor["count"]
        start = view["byteOffset"]
        values[name.partition(":")[2] or name] = np.frombuffer(
            binary[start : start + view["byteLength"]], "<f4"
        ).reshape(-1, width)
    assert sum(name.startswith("SH_DEGREE_") for name in values) == 9
    assert result.gaussians is not None
    expected = gaussian_transform.transformed(result.gaussians, np.diag([1.0, -1, -1, 1]))
    assert np.allclose(values["POSITION"], expected.means, atol=1e-6)
    assert np.allclose(values["SCALE"], expected.scales, atol=1e-6)
    assert np.allclose(values["ROTATION"], expected.rotations[:, [1, 2, 3, 0]], atol=1e-6)
    assert np.allclose(values["SH_DEGREE_1_COEF_2"], expected.sh[:, 3], atol=1e-6)
    assert np.allclose(scene["accessors"][0]["min"], values["POSITION"].min(axis=0))
    with pytest.raises(UserError, match="no splats"):
        export.write(example.result(tmp_path), tmp_path, "gltf-splats", tmp_path / "none")


@pytest.mark.parametrize("axes", ["y-up", "z-up", "y-down"])
def test_splats_as_usd(tmp_path: Path, axes: str) -> None:
    """Parsed as OpenUSD's text: every splat comes back to float32's last digit."""
    result = replace(example.result(tmp_path), gaussians=random_gaussians(20, 2))
    sentences = export.write(result, tmp_path, "usd-splats", tmp_path / "out", Choice(axes))
    text = (tmp_path / "out" / usd_splats.SPLATS).read_text()
    assert text.startswith("#usda 1.0\n(")
    assert f'upAxis = "{"Z" if axes == "z-up" else "Y"}"' in text
    assert any("upside down" in sentence for sentence in sentences) == (axes == "y-down")
    values = {}
    for name, array in re.findall(r"\] ([\w:]+) = \[(.*)\]\n", text):
        numbers = np.array(re.findall(r"[-+.\de]+", array), np.float32)
        values[name] = numbers.reshape(-1, array[1:].partition(")")[0].count(",") + 1 if array[0] == "(" else 1)
    assert result.gaussians is not None
    matrix = np.eye(4)
    matrix[:3, :3] = AXES[axes]
    expected = gaussian_transform.transformed(result.gaussians, matrix)
    assert np.array_equal(values["positions"], expected.means.astype("f4"))
    assert np.array_equal(values["scales"], expected.scales.astype("f4"))
    assert np.array_equal(values["orientations"], expected.rotations.astype("f4"))
    assert np.array_equal(values["opacities"][:, 0], expected.opacities.astype("f4"))
    assert "uniform int radiance:sphericalHarmonicsDegree = 2\n" in text
    harmonics = values["radiance:sphericalHarmonicsCoefficients"].reshape(20, 9, 3)
    assert np.array_equal(harmonics, expected.sh.astype("f4"))
    low, high = values["extent"]
    assert (low < expected.means.min(axis=0)).all()
    assert (high > expected.means.max(axis=0)).all()
    with pytest.raises(UserError, match="no splats"):
        export.write(example.result(tmp_path), tmp_path, "usd-splats", tmp_path / "none")
