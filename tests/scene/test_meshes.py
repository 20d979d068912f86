"""The textured mesh in the scene: made by the button, in its colours, kept, and exported for other programs."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import bpy
import numpy as np
import pytest

from tests import kernels
from tests.blender.world import CAMERAS, reconstruct, write_photos
from tests.geometry.meshes.ball import off
from threer_blender import addon, bundle
from threer_blender.cli import command_line, exit_status
from threer_blender.files import bundle_folder, digest, mesh_file
from threer_blender.model.errors import UserError
from threer_blender.scene import build, masks, meshes, picture_points
from threer_blender.ui import work


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A result of the world, with a mesh."""
    folder = tmp_path_factory.mktemp("meshed")
    photos = write_photos(folder / "shot", CAMERAS)
    photos = [replace(photo, sha256=digest.sha256(Path(photo.path))) for photo in photos]
    made = bundle.write(reconstruct(photos, CAMERAS, step=4), folder / "result")
    arguments = ["mesh", str(made), "--faces", "3000", "--texture", "512", "--output", str(folder / "copy")]
    assert command_line.main(arguments, kernels.share(folder / "data")) == exit_status.OK
    return made


def test_the_mesh_stands_under_its_root_with_its_texture(result: Path) -> None:
    root = build.build(bundle.read(result), result)
    obj = meshes.show(root, result)
    assert meshes.of(root) == obj
    assert obj.parent == root
    assert obj.data.validate() is False
    written = mesh_file.read(result / bundle_folder.MESH)
    assert len(obj.data.polygons) == len(written.faces)
    places = np.empty(2 * len(obj.data.loops), np.float32)
    obj.data.uv_layers.active.uv.foreach_get("vector", places)
    places = places.reshape(-1, 3, 2)
    assert np.allclose(places[..., 0], written.corners[..., 0])
    assert np.allclose(places[..., 1], 1 - written.corners[..., 1])
    (material,) = obj.data.materials
    (image,) = [node.image for node in material.node_tree.nodes if node.type == "TEX_IMAGE"]
    assert image.packed_file is not None
    assert image.size[0] == image.size[1] > 64
    assert np.ptp(np.array(image.pixels[: 4 * image.size[0] * 40]).reshape(-1, 4)[:, :3]) > 0.1


def test_a_second_mesh_keeps_the_object_and_a_second_solve_the_mesh(result: Path) -> None:
    root = build.build(bundle.read(result), result)
    obj = meshes.show(root, result)
    obj.name = "my mesh"
    assert meshes.show(root, result) == obj
    assert obj.name == "my mesh"
    assert len(bpy.data.meshes) - len([mesh for mesh in bpy.data.meshes if mesh == obj.data]) <= 2
    assert len([image for image in bpy.data.images if image.packed_file]) == 1
    build.build(bundle.read(result), result)
    assert meshes.of(root) == obj


@pytest.mark.parametrize("suffix", [".glb", ".usdc", ".obj"])
def test_blenders_exporters_write_it(result: Path, tmp_path: Path, suffix: str) -> None:
    root = build.build(bundle.read(result), result)
    obj = meshes.show(root, result)
    before = set(bpy.data.objects)
    path = tmp_path / f"mesh{suffix}"
    meshes.export(obj, path)
    assert path.stat().st_size > 10_000
    assert any(file.suffix in (".jpg", ".jpeg") for file in tmp_path.rglob("*")) or suffix == ".glb"
    assert set(bpy.data.objects) == before
    with pytest.raises(UserError, match="Blender writes no mesh"):
        meshes.export(obj, tmp_path / "mesh.xyz")


def test_blender_reads_our_file_upright(result: Path, tmp_path: Path) -> None:
    copy = result.parent / "copy" / "mesh.glb"
    assert copy.read_bytes() == (result / bundle_folder.MESH).read_bytes()
    bpy.ops.import_scene.gltf(filepath=str(copy))
    (obj,) = [obj for obj in bpy.context.selected_objects if obj.type == "MESH"]
    points = np.array([obj.matrix_world @ vertex.co for vertex in obj.data.vertices])
    ours = points[:, [0, 2, 1]] * (1, -1, 1)  # y down again
    assert np.median(off(ours)) < 0.02
    before = set(bpy.data.objects), set(bpy.data.images)
    meshes.convert(copy, tmp_path / "mesh.obj")
    assert (tmp_path / "mesh.obj").is_file()
    assert (set(bpy.data.objects), set(bpy.data.images)) == before


@pytest.fixture
def enabled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    data_folder = kernels.share(tmp_path / "home")
    monkeypatch.setattr(addon, "data_folder", lambda: data_folder)
    addon.register()
    yield
    addon.unregister()


@pytest.mark.usefixtures("enabled")
def test_the_buttons(result: Path, tmp_path: Path) -> None:
    root = build.build(bundle.read(result), result)
    bpy.ops.threer.show_mesh()
    displayed = meshes.of(root)
    assert displayed is not None
    earlier = len(displayed.data.polygons)
    assert bpy.ops.threer.make_mesh(faces=1500, texture="1024") == {"FINISHED"}
    assert meshes.of(root) == displayed
    assert len(displayed.data.polygons) <= 1500 < earlier
    assert "faces" in work.current().success
    taken = tmp_path / "taken"
    taken.mkdir()
    (taken / "mesh.jpg").write_text("an artist's")
    with pytest.raises(RuntimeError, match="taken"):
        bpy.ops.threer.export_mesh(directory=str(taken), suffix=".obj")
    assert [file.read_text() for file in taken.iterdir()] == ["an artist's"]
    for suffix in (".obj", ".glb"):  # the second one replaces what the first one wrote
        bpy.ops.threer.export_mesh(directory=str(tmp_path / "shot.v2"), suffix=suffix)
    assert {file.name for file in (tmp_path / "shot.v2").iterdir()} == {"mesh.glb", bundle_folder.MANIFEST}


def test_the_command_refuses_before_it_works(result: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("mine")
    arguments = ["mesh", str(result), "--output", str(tmp_path / "full")]
    assert command_line.main(arguments, tmp_path / "data") == exit_status.USER
    assert "is there already" in capsys.readouterr().err
    assert command_line.main(["mesh", str(tmp_path)], tmp_path / "data") == exit_status.USER
    assert "holds no result" in capsys.readouterr().err


def hide_the_right_half(result: Path) -> bpy.types.Object:
    """The scene of the result, with the points of positive x masked. Returns its root."""
    bpy.ops.wm.read_factory_settings(use_empty=True)
    root = build.build(bundle.read(result), result)
    (cloud,) = masks.targets(root, None)
    masks.write(cloud, masks.SELECTION, picture_points.local(cloud.data)[:, 0] > 0)
    return root


@pytest.mark.usefixtures("enabled")
def test_masks_of_the_scene_count_for_the_file_and_for_exports(
    result: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hide_the_right_half(result)
    assert bpy.ops.threer.make_mesh(faces=3000, texture="1024") == {"FINISHED"}
    assert mesh_file.read(result / bundle_folder.MESH).vertices[:, 0].max() < 0.2
    blend = tmp_path / "scene.blend"
    bpy.ops.wm.save_as_mainfile(filepath=str(blend))
    bpy.ops.wm.read_factory_settings(use_empty=True)
    known = bundle.read(result).cloud
    assert known is not None
    arguments = ["export", str(result), "--format", "ply", "--output", str(tmp_path / "all")]
    assert command_line.main(arguments, tmp_path / "data") == exit_status.OK
    assert f"{len(known):,} points" in capsys.readouterr().out
    arguments = [*arguments[:-1], str(tmp_path / "some"), "--masks", str(blend)]
    assert command_line.main(arguments, tmp_path / "data") == exit_status.OK
    output = capsys.readouterr().out
    assert f"{(known.positions[:, 0] <= 0).sum():,} points" in output
    assert f"without {(known.positions[:, 0] > 0).sum():,} masked points" in output


@pytest.mark.usefixtures("enabled")
def test_masks_of_a_saved_scene_count_for_the_command(
    result: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hide_the_right_half(result)
    blend = tmp_path / "scene.blend"
    bpy.ops.wm.save_as_mainfile(filepath=str(blend))
    arguments = ["mesh", str(result), "--faces", "3000", "--texture", "512", "--masks", str(blend)]
    assert command_line.main(arguments, kernels.share(tmp_path / "data")) == exit_status.OK
    assert mesh_file.read(result / bundle_folder.MESH).vertices[:, 0].max() < 0.2
    bpy.ops.wm.read_factory_settings(use_empty=True)
    bpy.ops.wm.save_as_mainfile(filepath=str(blend))
    assert command_line.main(arguments, tmp_path / "data") != exit_status.OK
    assert "holds no scene of the result" in capsys.readouterr().err
