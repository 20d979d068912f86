"""The scene after a build, after a second one, after a failure and after reopening the file."""

import shutil
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import bpy
import numpy as np
import pytest
from mathutils import Matrix

from tests.blender.dump import lines
from tests.blender.evaluated import get_input
from tests.blender.world import CAMERAS, reconstruct
from threer_blender.cli.inspection import write_png
from threer_blender.model.errors import UserError
from threer_blender.model.reconstruction import Photo, Reconstruction, Unregistered
from threer_blender.model.reconstruction_transform import transformed
from threer_blender.scene import build, cameras, identity, look, outliner, points, startup
from threer_blender.scene.changes import Changes


def role(root: bpy.types.Object, wanted: str) -> Any:
    return next(child for child in root.children if child[identity.ROLE] == wanted)


def test_what_stands_in_the_scene(reconstruction: Reconstruction, tmp_path: Path) -> None:
    scene = bpy.context.scene
    root = build.build(reconstruction, tmp_path)
    ours = next(c for c in scene.collection.children if c.name == "3R shot")
    assert set(ours.objects) == {root, role(root, "cloud")}
    assert [c.name for c in ours.children] == ["3R shot cameras"]
    assert {c.name for c in ours.children[0].objects} == {camera.photo for camera in CAMERAS}
    for camera, obj in zip(CAMERAS, build.solved_cameras(root), strict=True):
        assert obj.name == obj.data.name == obj["threer_photo"] == camera.photo
        assert obj.parent == root
        near, far = obj.data.clip_start, obj.data.clip_end
        local = np.array(obj.matrix_world.normalized().inverted() @ root.matrix_world)
        assert reconstruction.cloud is not None
        depths = -(reconstruction.cloud.positions @ local[2, :3] + local[2, 3])
        assert 0 < near < np.percentile(depths[depths > 0], 1)
        assert far > depths.max()


def test_root_says_what_it_is(reconstruction: Reconstruction, tmp_path: Path) -> None:
    unregistered = [Unregistered("blurred.png", "It shares no features with the others.", "Take it again, closer.")]
    root = build.build(
        replace(reconstruction, unregistered=unregistered, notes=["Cameras turn, but hardly move."]), tmp_path
    )
    assert root["threer_licence"] == "GPL-3.0-or-later"
    assert root["threer_notes"].splitlines() == [
        "Cameras turn, but hardly move.",
        "blurred.png: It shares no features with the others. Take it again, closer.",
        startup.HIDDEN,
    ]


def test_a_solve_that_was_not_leveled_does_not_say_that_the_artist_did_it(
    reconstruction: Reconstruction, tmp_path: Path
) -> None:
    root = build.build(replace(reconstruction, upright=None), tmp_path)
    assert root[build.UPRIGHT].startswith("Up is as the solve has it")


def test_backgrounds_show_photos_or_plates(reconstruction: Reconstruction, tmp_path: Path) -> None:
    plate = tmp_path / "bundle" / "plates" / "landscape.png"
    plate.parent.mkdir(parents=True)
    write_png(plate, np.zeros((240, 320, 3), np.uint8))
    solved = [replace(reconstruction.cameras[0], undistorted="plates/landscape.png"), *reconstruction.cameras[1:]]
    root = build.build(replace(reconstruction, cameras=solved), tmp_path / "bundle")
    for camera, photo, obj in zip(solved, reconstruction.photos, build.solved_cameras(root), strict=True):
        (background,) = obj.data.background_images
        image = background.image
        assert Path(image.filepath) == (plate if camera.undistorted else Path(photo.path))
        assert tuple(image.size) == (camera.width, camera.height)
        assert obj.data.show_background_images
        assert obj.data.show_passepartout
        assert (background.frame_method, background.display_depth) == ("FIT", "BACK")
        assert (background.scale, background.rotation, tuple(background.offset)) == (1.0, 0.0, (0.0, 0.0))
        # The frame, in units of its width, is as high as the picture: FIT fills it without a margin.
        corners = np.array(obj.data.view_frame(scene=matching_scene(obj)))
        frame = np.ptp(corners, axis=0)
        picture = image.size[1] * image.display_aspect[1] / (image.size[0] * image.display_aspect[0])
        assert frame[1] / frame[0] == pytest.approx(picture, rel=1e-5)


def matching_scene(obj: Any) -> Any:
    cameras.use_camera(bpy.context.scene, obj)
    return bpy.context.scene


def test_a_photo_that_vanished(reconstruction: Reconstruction, tmp_path: Path) -> None:
    gone = replace(reconstruction.photos[0], path=str(tmp_path / "gone" / "landscape.png"))
    root = build.build(replace(reconstruction, photos=[gone, *reconstruction.photos[1:]]), tmp_path)
    first, second, *_ = build.solved_cameras(root)
    assert not first.data.background_images
    assert second.data.background_images
    assert "landscape.png" in root["threer_notes"]


def test_empty_scene_gets_render_settings(reconstruction: Reconstruction, tmp_path: Path) -> None:
    scene = bpy.context.scene
    build.build(reconstruction, tmp_path)
    assert (scene.render.resolution_x, scene.render.resolution_y) == (320, 240)
    assert scene.camera.name == "landscape.png"
    assert (scene.frame_start, scene.frame_end, scene.frame_current) == (1, len(CAMERAS), 1)
    assert "Cube" in bpy.data.objects


@pytest.mark.parametrize("kind", ["MESH", "EMPTY"])
def test_an_artists_scene_keeps_its_settings(reconstruction: Reconstruction, tmp_path: Path, kind: str) -> None:
    scene = bpy.context.scene
    artists = bpy.data.objects.new("Mine", bpy.data.meshes.new("Mine") if kind == "MESH" else None)
    scene.collection.objects.link(artists)
    before = [line for line in lines() if line.startswith("Scene") and " users = " not in line]
    build.build(reconstruction, tmp_path)
    assert [line for line in lines() if line.startswith("Scene") and " users = " not in line] == before


NAMES = [
    "a" * 300 + ".jpg",
    "b" * 300 + ".jpg",
    "a" * 300 + " 2.jpg",
    "café 'the \"best\"'\n.jpg",
    "写真" * 60 + "一.jpg",
]
NAMES += ["写真" * 60 + "二.jpg", "one/IMG.jpg", "two/IMG.jpg"]


def test_any_name(photos: list[Photo], tmp_path: Path) -> None:
    """Names that Blender must cut or number still find their own cameras, also the second time."""
    named = [replace(photos[0], name=name, sha256=f"{i}") for i, name in enumerate(NAMES)]
    solved = [replace(CAMERAS[0], photo=name, fx=300.0 + i, fy=300.0 + i) for i, name in enumerate(NAMES)]
    for _ in range(2):
        root = build.build(Reconstruction("test", "", named, solved), tmp_path)
        camera_objects = build.solved_cameras(root)
        assert [each["threer_photo"] for each in camera_objects] == NAMES
        assert [each.data.lens * 320 / 36 for each in camera_objects] == pytest.approx([c.fx for c in solved], rel=1e-6)
        assert len([o for o in bpy.data.objects if o.type == "CAMERA"]) == len(NAMES) + 1
    assert camera_objects[6].name == "one/IMG.jpg"


def test_copies_of_one_photo_have_a_camera_each(photos: list[Photo], tmp_path: Path) -> None:
    twins = [replace(photos[0], name=name) for name in ("1.png", "2.png")]
    solved = [replace(CAMERAS[0], photo=name) for name in ("1.png", "2.png")]
    for _ in range(2):
        root = build.build(Reconstruction("test", "", twins, solved), tmp_path)
        assert [s["threer_photo"] for s in build.solved_cameras(root)] == ["1.png", "2.png"]


def test_nothing_solved(photos: list[Photo], tmp_path: Path) -> None:
    before = lines()
    with pytest.raises(UserError, match="no cameras"):
        build.build(Reconstruction("test", "", photos, []), tmp_path)
    assert lines() == before


ANOTHER_WORLD = np.array(
    Matrix.LocRotScale((3, -2, 7), Matrix.Rotation(0.8, 3, (1, 2, -0.5)), (1.3, 1.3, 1.3)), np.float64
)


@pytest.fixture
def better(reconstruction: Reconstruction) -> Any:
    """Another solve of the same photos: in a world of its own, one camera fewer, other points."""
    fewer = [replace(camera, fx=camera.fx + 5) for camera in reconstruction.cameras if camera.photo != "square.png"]
    again = reconstruct(reconstruction.photos, fewer, step=5)
    return transformed(replace(again, trusted_confidence=5.0), ANOTHER_WORLD)


def test_a_second_solve_updates_the_same_objects(
    reconstruction: Reconstruction, better: Reconstruction, tmp_path: Path
) -> None:
    root = build.build(reconstruction, tmp_path)
    solved = {camera_object["threer_photo"]: camera_object for camera_object in build.solved_cameras(root)}
    cloud = role(root, "cloud")
    # What an artist may do in between.
    root.name = "My set"
    root.matrix_basis = Matrix.Translation((1, 2, 3)) @ Matrix.Rotation(0.5, 4, "Z") @ root.matrix_basis
    aligned = root.matrix_basis.copy()
    solved["landscape.png"].name = "Hero"
    solved["landscape.png"].data.dof.use_dof = True
    lamp = bpy.data.objects.new("Lamp", bpy.data.lights.new("Lamp", "POINT"))
    lamp.parent = solved["portrait.png"]
    bpy.context.scene.collection.objects.link(lamp)
    points.set_input(cloud.modifiers[0], look.RADIUS, 2.5)
    paint = bpy.data.materials.new("Paint")
    points.set_input(cloud.modifiers[0], look.MATERIAL, paint)
    count = len(bpy.data.objects)

    again = build.build(better, tmp_path)
    assert again == root
    assert root.name == "My set"
    assert root.matrix_basis == aligned
    assert [s["threer_photo"] for s in build.solved_cameras(root)] == [c.photo for c in better.cameras]
    for camera_object, camera in zip(build.solved_cameras(root), better.cameras, strict=True):
        assert camera_object == solved[camera.photo]
        local = np.array(camera_object.matrix_basis) @ np.diag((1, -1, -1, 1))
        before = reconstruction.camera(camera.photo)
        assert before is not None
        assert np.abs(local - before.world_from_camera).max() < 1e-5  # in the first solve's world
        fitted = camera.width if camera.width >= camera.height else camera.height * camera.fx / camera.fy
        assert camera_object.data.lens == pytest.approx(36 * camera.fx / fitted, rel=1e-6)
    assert "square.png" not in bpy.data.objects
    assert "square.png" not in bpy.data.cameras
    assert "square.png" not in bpy.data.images
    assert len(bpy.data.objects) == count - 1
    assert solved["landscape.png"].name == "Hero"
    assert solved["landscape.png"].data.dof.use_dof
    assert lamp.parent == solved["portrait.png"]
    assert role(root, "cloud") == cloud
    assert better.cloud is not None
    assert len(cloud.data.attributes["position"].data) == len(better.cloud)
    assert get_input(cloud.modifiers[0], look.RADIUS) == 2.5
    assert get_input(cloud.modifiers[0], look.MATERIAL) == paint
    assert len(bpy.data.meshes) == 2 if cloud.type == "MESH" else len(bpy.data.pointclouds) == 1
    assert len([c for c in bpy.data.collections if identity.ROLE in c]) == 2


@pytest.mark.parametrize("use", ["parent", "active", "constraint", "animation"])
def test_a_camera_in_use_is_not_taken_away(
    reconstruction: Reconstruction, better: Reconstruction, tmp_path: Path, use: str
) -> None:
    root = build.build(reconstruction, tmp_path)
    square = next(obj for obj in build.solved_cameras(root) if obj.name == "square.png")
    other = bpy.data.objects.new("Other", None)
    if use == "parent":
        other.parent = square
    elif use == "active":
        bpy.context.scene.camera = square
    elif use == "constraint":
        other.constraints.new("COPY_LOCATION").target = square
    else:
        square.keyframe_insert("location", frame=1)
    build.build(better, tmp_path)
    assert square.name == "square.png"
    assert square[build.STALE]
    assert square not in build.solved_cameras(root)
    build.build(reconstruction, tmp_path)
    assert square in build.solved_cameras(root)


def test_other_photos_get_a_root_of_their_own(reconstruction: Reconstruction, tmp_path: Path) -> None:
    first = build.build(reconstruction, tmp_path)
    fewer = replace(reconstruction, photos=reconstruction.photos[:-1], cameras=reconstruction.cameras[:-1], cloud=None)
    second = build.build(fewer, tmp_path)
    assert first != second
    assert len(build.solved_cameras(first)) == len(CAMERAS)
    assert len(build.solved_cameras(second)) == len(CAMERAS) - 1


def test_photos_added_to_a_solve_stand_under_its_root(reconstruction: Reconstruction, tmp_path: Path) -> None:
    """Stills of the same place, solved together with what was solved before, find the artist's alignment there."""
    fewer = replace(reconstruction, photos=reconstruction.photos[:-1], cameras=reconstruction.cameras[:-1], cloud=None)
    root = build.build(fewer, tmp_path)
    standing = {camera["threer_photo"]: camera for camera in build.solved_cameras(root)}
    root.matrix_basis = Matrix.Translation((1, 2, 3)) @ root.matrix_basis
    matrix = root.matrix_basis.copy()
    whole = transformed(reconstruction, ANOTHER_WORLD)
    assert build.build(whole, tmp_path) == root
    assert root.matrix_basis == matrix
    solved = {camera["threer_photo"]: camera for camera in build.solved_cameras(root)}
    assert len(solved) == len(standing) + 1
    for name, camera in standing.items():
        assert solved[name] == camera
        before = reconstruction.camera(name)
        assert before is not None
        local = np.array(camera.matrix_basis) @ np.diag((1, -1, -1, 1))
        assert np.abs(local - before.world_from_camera).max() < 1e-5
    assert build.build(whole, tmp_path) == root  # and from now on it is the whole's


def test_deleted_objects_come_back(reconstruction: Reconstruction, tmp_path: Path) -> None:
    root = build.build(reconstruction, tmp_path)
    bpy.data.batch_remove([role(root, "cloud"), build.solved_cameras(root)[2]])
    build.build(reconstruction, tmp_path)
    assert len(build.solved_cameras(root)) == len(CAMERAS)
    assert role(root, "cloud").users_collection == root.users_collection


class Injected(Exception):
    """An exception that no code could expect."""


def fail_at(monkeypatch: pytest.MonkeyPatch, step: Any) -> None:
    """Let the `step`-th change to Blender's data fail."""
    count = []
    for name in ("set", "mark", "on_failure", "release", "remove"):
        original = getattr(Changes, name)

        def counted(*args: Any, original: Any = original, **values: Any) -> Any:
            count.append(1)
            if len(count) == step:
                raise Injected
            return original(*args, **values)

        monkeypatch.setattr(Changes, name, counted)


@pytest.fixture(params=["first", "second"])
def attempt(
    request: pytest.FixtureRequest, reconstruction: Reconstruction, better: Reconstruction, tmp_path: Path
) -> Reconstruction:
    """A result to build: the first in the scene, or a second one over the first."""
    if request.param == "first":
        return reconstruction
    build.build(reconstruction, tmp_path)
    return better


@pytest.mark.parametrize("step", [1, 2, 3, 5, 8, 13, 21, 34, 55, 89, 144])
def test_all_or_nothing(
    attempt: Reconstruction,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    step: int,
) -> None:
    before = lines()
    fail_at(monkeypatch, step)
    with pytest.raises(Injected):
        build.build(attempt, tmp_path)
    assert lines() == before


@pytest.mark.parametrize(
    ("module", "name"),
    [
        (points, "write_colors"),
        (points, "write_attribute"),
        (cameras, "background"),
        (outliner, "link"),
        (build, "retire"),
        (build, "describe"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_all_or_nothing_after(
    attempt: Reconstruction,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    module: ModuleType,
    name: str,
) -> None:
    """Failures right after a function did its work, also where that is new data and not in the journal."""
    before = lines()
    original = getattr(module, name)

    def then_fail(*args: Any, **values: Any) -> None:
        original(*args, **values)
        raise Injected

    monkeypatch.setattr(module, name, then_fail)
    with pytest.raises(Injected):
        build.build(attempt, tmp_path)
    assert lines() == before


@pytest.mark.parametrize("name", ["add_sockets", "material", "set_input"])
def test_all_or_nothing_within_the_look(
    reconstruction: Reconstruction, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    before = lines()
    module = points if name == "set_input" else look

    def fail(*_args: Any) -> None:
        raise Injected

    monkeypatch.setattr(module, name, fail)
    with pytest.raises(Injected):
        build.build(reconstruction, tmp_path)
    assert lines() == before


def test_reopened(reconstruction: Reconstruction, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(Path(reconstruction.photos[0].path).parent, tmp_path / "shot"))
    photos = [replace(photo, path=str(folder / photo.name)) for photo in reconstruction.photos]
    reconstruction = replace(reconstruction, photos=photos)
    blend = tmp_path / "scene.blend"
    bpy.ops.wm.save_as_mainfile(filepath=str(blend))
    root = build.build(reconstruction, tmp_path)
    name, before = root.name, [line for line in lines() if "3R" in line or ".png" in line or "shot" in line]
    bpy.ops.wm.save_as_mainfile(filepath=str(blend))
    bpy.ops.wm.read_factory_settings()
    bpy.ops.wm.open_mainfile(filepath=str(blend))
    assert [line for line in lines() if "3R" in line or ".png" in line or "shot" in line] == before
    root = bpy.data.objects[name]
    for obj in build.solved_cameras(root):
        image = obj.data.background_images[0].image
        assert image.filepath.startswith("//shot")
        assert tuple(image.size) == (obj["threer_width"], obj["threer_height"])
    cloud = role(root, "cloud")
    assert {"position", "color", "confidence", "photo", "normal", "radius"} <= set(cloud.data.attributes.keys())
    assert build.build(reconstruction, tmp_path) == root  # still known as the same
