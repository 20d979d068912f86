"""Splat files into the scene and out of it, and the splats of a reconstruction."""

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import bpy
import numpy as np
import pytest
from mathutils import Euler, Vector

from tests import splat_variants as variants
from tests.blender.evaluated import get_input
from tests.blender.world import looking_at
from tests.reference_rasteriser import psnr, render
from tests.splats import SCENE, assert_same, codecs, covariances, random_gaussians
from threer_blender import addon, bundle, splat_files
from threer_blender.model.errors import UserError
from threer_blender.model.gaussian_transform import transformed
from threer_blender.model.reconstruction import Camera, Reconstruction
from threer_blender.scene import axes, build, identity, points
from threer_blender.scene import codecs as blenders
from threer_blender.scene.splats import files, nodes, splats
from threer_blender.ui import work

UPRIGHT = np.array(axes.BLENDER_FROM_Y_DOWN)


@pytest.mark.parametrize("ending", [".ply", ".spz"])
def test_import_and_export_return_the_file(tmp_path: Path, ending: str) -> None:
    splat_files.write(random_gaussians(300), tmp_path / f"a{ending}")
    obj, notes = files.import_file(tmp_path / f"a{ending}", bpy.context.scene)
    assert notes == []
    assert obj.name == "a"
    assert obj.name in bpy.context.scene.objects
    files.export_file(obj, tmp_path / f"b{ending}")
    first, second = (splat_files.read(tmp_path / f"{name}{ending}").gaussians for name in "ab")
    assert_same(second, first, 1e-5 if ending == ".ply" else 2e-3)


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such names")
def test_a_files_name_may_be_no_utf_8(tmp_path: Path) -> None:
    """Blender's names are UTF-8, so the object's name replaces the byte. The file comes in."""
    gaussians = random_gaussians(20)
    splat_files.write(gaussians, tmp_path / "good.ply")
    path = tmp_path / "bad\udc80.ply"
    (tmp_path / "good.ply").rename(path)
    obj, _notes = files.import_file(path, bpy.context.scene)
    assert obj.name == "bad?"
    assert_same(splats.read(obj.data), gaussians, 1e-5)


def test_up_in_the_file_is_up_in_blender(tmp_path: Path) -> None:
    splat_files.write(
        replace(random_gaussians(2), means=np.array([[0, -1, 0], [0, 0, 3]], np.float32)), tmp_path / "a.ply"
    )
    obj, _ = files.import_file(tmp_path / "a.ply", bpy.context.scene)
    bpy.context.view_layer.update()
    up, forward = (obj.matrix_world @ point.vector for point in obj.data.attributes["position"].data)
    assert tuple(up) == pytest.approx((0, 0, 1), abs=1e-6)
    assert tuple(forward) == pytest.approx((0, 3, 0), abs=1e-6)


def test_export_applies_the_transform_to_all_that_is_seen(tmp_path: Path) -> None:
    """The exported splats look as the object does in the scene. That includes their harmonics."""
    gaussians = random_gaussians(600)
    splat_files.write(gaussians, tmp_path / "a.ply")
    obj, _ = files.import_file(tmp_path / "a.ply", bpy.context.scene)
    obj.rotation_euler = Euler((0.4, -1.1, 2.0))
    obj.scale = (1.7, 1.7, 1.7)
    obj.location = (0.3, 0.1, -0.2)
    bpy.context.view_layer.update()
    files.export_file(obj, tmp_path / "b.ply")
    moved = splat_files.read(tmp_path / "b.ply").gaussians
    camera = Camera("view", 60, 40, 56.0, 56.0, 30.0, 20.0, looking_at((2.9, -1.6, -2.6), (0.0, 0.0, 0.0)))
    expected = render(gaussians, camera, world_from_object=np.linalg.inv(UPRIGHT) @ np.array(obj.matrix_world))
    assert psnr(render(moved, camera), expected) > 80
    assert psnr(render(replace(moved, sh=gaussians.sh), camera), expected) < 40


def test_what_cannot_be_exported(tmp_path: Path) -> None:
    splat_files.write(random_gaussians(3), tmp_path / "a.ply")
    obj, _ = files.import_file(tmp_path / "a.ply", bpy.context.scene)
    obj.scale = (1, 2, 1)
    bpy.context.view_layer.update()
    with pytest.raises(UserError, match="uniform"):
        files.export_file(obj, tmp_path / "b.ply")
    assert not (tmp_path / "b.ply").exists()
    with pytest.raises(UserError, match="Make an object with splats the active one"):
        files.export_file(bpy.data.objects["Cube"], tmp_path / "b.ply")


def blocks() -> Any:
    return {(type(block).__name__, block.name) for block in bpy.data.user_map()}


def test_nothing_is_half_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = blocks()
    (tmp_path / "bad.ply").write_bytes(b"ply\nformat ascii 1.0\nend_header\n")
    with pytest.raises(UserError, match="holds plain points"):
        files.import_file(tmp_path / "bad.ply", bpy.context.scene)
    assert blocks() == before

    def fail(*_: Any) -> None:
        raise RuntimeError("in the middle")

    splat_files.write(random_gaussians(10), tmp_path / "a.ply")
    monkeypatch.setattr(splats, "show", fail)
    with pytest.raises(RuntimeError):
        files.import_file(tmp_path / "a.ply", bpy.context.scene)
    assert blocks() == before


@pytest.mark.parametrize("up", [(0, 0, 1), (0, -1, 0), (0, 1, 0), (1, 0, 0), (0.6, 0.0, -0.8)])
def test_what_a_file_calls_up_is_up(tmp_path: Path, up: Any) -> None:
    comment = f"Vertical axis: {' '.join(map(str, up))}"
    data = variants.ply(variants.columns(random_gaussians(50)), comments=[comment])
    (tmp_path / "a.ply").write_bytes(data)
    obj, _ = files.import_file(tmp_path / "a.ply", bpy.context.scene)
    bpy.context.view_layer.update()
    assert tuple(obj.matrix_world @ Vector(up)) == pytest.approx((0, 0, 1), abs=1e-6)
    assert np.linalg.det(np.array(obj.matrix_world)) == pytest.approx(1)
    assert splats.read(obj.data).means == pytest.approx(random_gaussians(50).means)


@pytest.mark.parametrize("comment", ["", "Vertical Axis: z"])
def test_splats_far_from_zero_stand_there_and_lose_nothing(tmp_path: Path, comment: str) -> None:
    gaussians = random_gaussians(100, 0)
    origin = np.array((448251.25, 5411943.5, 310.0))
    means = gaussians.means + origin
    named = variants.columns(gaussians) | {name: means[:, axis] for axis, name in enumerate("xyz")}
    (tmp_path / "a.ply").write_bytes(variants.ply(named, comments=[comment]))
    obj, notes = files.import_file(tmp_path / "a.ply", bpy.context.scene)
    assert notes == []
    bpy.context.view_layer.update()
    matrix = np.array(obj.matrix_world, np.float64)
    upright = np.eye(3) if comment else UPRIGHT[:3, :3]
    stored = splats.read(obj.data).means.astype(np.float64)
    assert stored @ matrix[:3, :3].T + matrix[:3, 3] == pytest.approx(means @ upright.T, abs=1e-5)
    files.export_file(obj, tmp_path / "b.ply")
    again = splat_files.read(tmp_path / "b.ply")
    expected = means @ upright.T @ UPRIGHT[:3, :3]  # y down
    assert again.gaussians.means + again.origin == pytest.approx(expected, abs=1e-5)
    with pytest.raises(UserError, match="too far from the world's origin for an SPZ file; move them there"):
        files.export_file(obj, tmp_path / "b.spz")


def test_antialiasing_survives(tmp_path: Path) -> None:
    splat_files.write(random_gaussians(30), tmp_path / "a.spz", antialiased=True)
    obj, notes = files.import_file(tmp_path / "a.spz", bpy.context.scene)
    assert "was trained with antialiasing" in notes[0]
    files.export_file(obj, tmp_path / "b.ply")
    assert splat_files.read(tmp_path / "b.ply").antialiased


def test_a_mirrored_object_is_exported_as_it_is_seen(tmp_path: Path) -> None:
    gaussians = random_gaussians(50)
    splat_files.write(gaussians, tmp_path / "a.ply")
    obj, _ = files.import_file(tmp_path / "a.ply", bpy.context.scene)
    obj.scale = (-2, 2, 2)
    bpy.context.view_layer.update()
    files.export_file(obj, tmp_path / "b.ply")
    mirror = np.diag((-2.0, 2.0, 2.0))
    moved = splat_files.read(tmp_path / "b.ply").gaussians
    assert covariances(moved) == pytest.approx(mirror @ covariances(gaussians) @ mirror, abs=1e-5)


def test_blender_decodes_sog_and_new_spz() -> None:
    images = len(bpy.data.images)
    for name in ("scene.sog", "scene.v4.spz"):
        ours = splat_files.read(SCENE / name, blenders.available()).gaussians
        assert_same(ours, splat_files.read(SCENE / name, codecs()).gaussians, 0)
    obj, _ = files.import_file(SCENE / "scene.sog", bpy.context.scene)
    assert obj.name == "scene"
    assert len(bpy.data.images) == images


# ------------------------------------------------------------------ of a reconstruction


@pytest.fixture
def with_splats(reconstruction: Reconstruction) -> Any:
    photo = np.arange(500, dtype=np.int32) % len(reconstruction.photos)
    gaussians = replace(random_gaussians(500), confidence=np.linspace(0, 1, 500, dtype=np.float32), photo=photo)
    return replace(reconstruction, gaussians=gaussians)


def splats_of(root: bpy.types.Object) -> Any:
    return next(child for child in root.children if child[identity.ROLE] == identity.SPLATS)


def test_a_reconstructions_splats_stand_under_its_root(with_splats: Reconstruction, tmp_path: Path) -> None:
    bundle.write(with_splats, tmp_path / "b")
    again = bundle.read(tmp_path / "b")
    root = build.build(again, tmp_path / "b")
    obj = splats_of(root)
    actual = splats.read(obj.data)
    assert with_splats.gaussians is not None
    assert_same(actual, with_splats.gaussians, 0)
    for name in ("confidence", "photo"):
        assert np.array_equal(getattr(actual, name), getattr(with_splats.gaussians, name))
    assert np.array(obj.matrix_world) == pytest.approx(np.array(root.matrix_world), abs=1e-6)
    cloud = next(child for child in root.children if child[identity.ROLE] == identity.CLOUD)
    assert cloud.hide_render


def test_a_second_solve_updates_them_and_keeps_what_the_artist_set(with_splats: Reconstruction, tmp_path: Path) -> None:
    root = build.build(with_splats, tmp_path)
    obj = splats_of(root)
    obj.name = "my splats"
    points.set_input(obj.modifiers[0], nodes.SIZE, 0.5)
    meshes = len(bpy.data.meshes)
    more = replace(with_splats, gaussians=random_gaussians(700, seed=1))
    assert build.build(more, tmp_path) == root
    assert splats_of(root) == obj
    assert obj.name == "my splats"
    assert get_input(obj.modifiers[0], nodes.SIZE) == 0.5
    assert_same(splats.read(obj.data), more.gaussians, 0)
    assert len(bpy.data.meshes) == meshes
    cloud = next(child for child in root.children if child[identity.ROLE] == identity.CLOUD)
    cloud.hide_render = False  # the artist wants both
    build.build(more, tmp_path)
    assert not cloud.hide_render
    build.build(replace(with_splats, gaussians=None), tmp_path)
    assert not cloud.hide_viewport
    assert not [child for child in root.children if child[identity.ROLE] == identity.SPLATS]


def test_a_bundle_of_plain_gaussians(with_splats: Reconstruction, tmp_path: Path) -> None:
    """Confidence and photo may be unknown; a photo that is not there is damage."""
    plain = replace(with_splats, gaussians=random_gaussians(20))
    bundle.write(plain, tmp_path / "b")
    actual = bundle.read(tmp_path / "b").gaussians
    assert actual is not None
    assert actual.confidence is None
    assert actual.photo is None
    assert plain.gaussians is not None
    wrong = replace(plain.gaussians, photo=np.full(20, 99, np.int32))
    bundle.write(replace(plain, gaussians=wrong), tmp_path / "c")
    with pytest.raises(UserError, match="a point has no photo"):
        bundle.read(tmp_path / "c")


# ------------------------------------------------------------------ buttons


@pytest.fixture
def enabled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("BLENDER_USER_RESOURCES", str(tmp_path / "user"))
    monkeypatch.setattr(addon, "data_folder", lambda: tmp_path)
    addon.register()
    yield
    addon.unregister()


@pytest.mark.usefixtures("enabled")
def test_buttons(tmp_path: Path) -> None:
    splat_files.write(random_gaussians(50), tmp_path / "a.ply")
    splat_files.write(random_gaussians(60), tmp_path / "b.spz")
    for name in ("d.obj", "e.obj", "f.obj"):
        (tmp_path / name).write_bytes(b"o mesh")
    files = [{"name": "a.ply"}, {"name": "b.spz"}]
    assert bpy.ops.threer.import_splats(directory=str(tmp_path), files=files) == {"FINISHED"}
    assert bpy.context.object.name == "b"
    assert bpy.ops.threer.export_splats(filepath=str(tmp_path / "c.ply")) == {"FINISHED"}
    assert len(splat_files.read(tmp_path / "c.ply").gaussians) == 60
    with pytest.raises(RuntimeError, match="is no splat file"):
        bpy.ops.threer.import_splats(directory=str(tmp_path), files=[{"name": "d.obj"}])
    (tmp_path / "cut.ply").write_bytes((tmp_path / "a.ply").read_bytes()[:-100])
    count = len(bpy.data.objects)
    chosen = [{"name": name} for name in ("a.ply", "d.obj", "b.spz", "cut.ply", "e.obj", "f.obj")]
    assert bpy.ops.threer.import_splats(directory=str(tmp_path), files=chosen) == {"FINISHED"}
    assert len(bpy.data.objects) == count + 2
    report = work.current().error
    assert report.startswith("4 of 6 files were not imported. ")
    assert "'cut.ply' is cut off: 49 of its 50 rows are there" in report
    assert report.endswith("Nor were 'f.obj'.")
    with pytest.raises(RuntimeError, match="2 of 2 files were not imported"):
        bpy.ops.threer.import_splats(directory=str(tmp_path), files=[chosen[1], chosen[3]])
    bpy.ops.threer.set_up_splats()
    assert bpy.context.scene.view_settings.view_transform == "Raw"
    assert set(bpy.types.THREER_FH_splats.bl_file_extensions.split(";")) == {
        ".ply",
        ".spz",
        ".splat",
        ".ksplat",
        ".sog",
    }


def test_transformed_reads_a_matrix_as_blender_does() -> None:
    """`transformed`, by which the export moves splats, takes Blender's matrix as Blender reads it."""
    gaussians = random_gaussians(50)
    moved = transformed(gaussians, UPRIGHT)
    assert moved.means == pytest.approx(gaussians.means[:, [0, 2, 1]] * (1, 1, -1), abs=1e-6)
    rotation = UPRIGHT[:3, :3]
    assert covariances(moved) == pytest.approx(rotation @ covariances(gaussians) @ rotation.T, abs=1e-6)
