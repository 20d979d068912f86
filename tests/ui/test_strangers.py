"""A .blend from anybody: its custom properties never run, open or break anything.

And no scene that an artist has worked on is set as if it were new.
"""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import bpy
import pytest

from tests.blender.drawn import drawn, panel
from tests.blender.extension import part, roots
from tests.blender.world import CAMERAS, reconstruct, write_photos
from threer_blender import bundle
from threer_blender.model.reconstruction import Reconstruction
from threer_blender.scene import build, cameras, identity, layers, several, shot_errors, shots, startup, tracks, world

pytest_plugins = ["tests.blender.extension"]

VALUES = [
    0, -1, 2**31 - 1, 1.5, float("nan"), float("inf"), -1e308, True, b"bytes", "", "x", "//setup.bat",
    "\\\\server\\share", "日" * 10_000, "line\nline\r\n\x07", [1, 2, 3], [0.5], ["a", "b"], [], {"a": 1}, {},
    {"a": {"b": [1.0]}},
]  # fmt: skip
KEYS = [
    identity.SOLVE, identity.ROLE, build.STALE, build.CHOSEN, build.NOTES, build.BUNDLE, build.INDEX,
    shot_errors.FACTS, shot_errors.SUSPICIOUS, shot_errors.DETAILS, cameras.ERROR, cameras.ERROR_BEFORE,
    cameras.WIDTH, cameras.HEIGHT, cameras.PIXEL_ASPECT, cameras.PHOTO, cameras.FRAME, cameras.FRAMES,
    cameras.FRAME_RATE, cameras.FIRST_FRAME, build.UPRIGHT, identity.ANTIALIASED, layers.SOLVED, shots.LENS_RESIDUAL,
    shots.SMOOTHING, tracks.BAD, world.WORLD, several.COMPARED, several.WORST,
]  # fmt: skip


@pytest.fixture
def built(reconstruction: Reconstruction, tmp_path: Path) -> Any:
    return build.build(reconstruction, bundle.write(reconstruction, tmp_path / "result"))


def draw_all() -> None:
    """Draws the main panel, and those in it that are there for this scene."""
    panel()
    context = SimpleNamespace(scene=bpy.context.scene, object=None)
    if part("ui.alignment").THREER_PT_alignment.poll(context):
        drawn("ui.alignment", "THREER_PT_alignment")
    drawn("ui.several", "THREER_PT_several")
    if part("ui.points_panel").THREER_PT_points.poll(context):
        drawn("ui.points_panel", "THREER_PT_points")
    if part("ui.tracking").THREER_PT_tracking.poll(context):
        drawn("ui.tracking", "THREER_PT_tracking")
        drawn("ui.mending", "THREER_PT_mending")


@pytest.mark.usefixtures("addon")
def test_no_custom_property_breaks_the_panel(built: Any, record_property: Callable[[str, object], None]) -> None:
    """Every key of ours with values of every type, on the root and on what stands under it.

    All of them have it at once, but for the keys by which they are recognised.
    """
    owners = [built, *built.children[:2], built.children[-1]]
    count = 0
    for key in KEYS:
        for group in [[owner] for owner in owners] if key in (identity.SOLVE, identity.ROLE) else [owners]:
            before = [owner.get(key) for owner in group]
            for value in VALUES:
                for owner in group:
                    owner[key] = value
                draw_all()
                count += len(group)
            for owner, earlier in zip(group, before, strict=True):
                if earlier is None:
                    del owner[key]
                else:
                    owner[key] = earlier
    record_property("tried", count)
    assert count == len(KEYS) * len(VALUES) * len(owners)


JSON = ["{", "[" * 100_000, "7", "null", "[7]", '[["a"]]', '[["a", 7]]', '{"a": 1}', '{"1": {}}', '{"1": ["x", 2]}']


@pytest.mark.parametrize("text", [*JSON, '{"-": "x"}', '{"99999999999": "x"}'])
def test_no_text_of_a_shot_breaks_its_panel(text: Any) -> None:
    obj = bpy.data.objects["Camera"]
    for key in (shot_errors.FACTS, shot_errors.SUSPICIOUS, shot_errors.DETAILS):
        try:
            obj[key] = text
        except UnicodeEncodeError:  # Blender keeps no such text
            return
    assert shot_errors.overall(obj) == []
    assert all(isinstance(frame, int) for frame in shot_errors.suspicious(obj))
    assert shot_errors.details(obj, 1) is None


@pytest.mark.usefixtures("addon")
@pytest.mark.parametrize("role", [identity.ROOT, identity.CLOUD, identity.SPLATS, identity.PROXY, "camera x"])
def test_no_role_breaks_the_panel_on_whatever_object(
    built: Any, role: Any, record_property: Callable[[str, object], None]
) -> None:
    kinds = ("EMPTY", "LIGHT", "CAMERA", "SPEAKER", "MESH", "CURVE", "FONT", "ARMATURE", "LATTICE", "META")
    record_property("tried", len(kinds))
    for kind in kinds:
        adding = {"LIGHT": lambda: bpy.ops.object.light_add(), "CAMERA": lambda: bpy.ops.object.camera_add()}
        data = {
            "MESH": lambda: bpy.data.meshes.new("x"),
            "CURVE": lambda: bpy.data.curves.new("x", "CURVE"),
            "FONT": lambda: bpy.data.curves.new("x", "FONT"),
            "ARMATURE": lambda: bpy.data.armatures.new("x"),
            "LATTICE": lambda: bpy.data.lattices.new("x"),
            "META": lambda: bpy.data.metaballs.new("x"),
            "SPEAKER": lambda: bpy.data.speakers.new("x"),
        }
        if kind in adding:
            adding[kind]()
            obj = bpy.context.object
        else:
            obj = bpy.data.objects.new("x", data.get(kind, lambda: None)())
            bpy.context.scene.collection.objects.link(obj)
        obj[identity.ROLE] = role
        obj.parent = built if role != identity.ROOT else None
        panel()
        assert part("ui.summary").summary(built).registered == len(CAMERAS)


@pytest.mark.usefixtures("addon")
@pytest.mark.parametrize("stored", [{"engine": 99}, {"engine": "evil"}, {"photos": 7}, {"engine": -1}])
def test_settings_of_another_version_break_nothing(stored: Any) -> None:
    if bpy.app.version >= (5, 0):
        pytest.skip("what add-ons keep lies apart from custom properties")
    bpy.context.scene["threer"] = stored
    panel()


def a_program(folder: Path) -> Any:
    (folder / "setup.bat").write_text("echo")
    return folder / "setup.bat"


def a_folder_of_anything(folder: Path) -> Any:
    a_program(folder)
    return folder


def a_scene_alone(folder: Path) -> Any:
    (folder / "scene.json").write_text("{}")
    return folder


def a_list_alone(folder: Path) -> Any:
    (folder / "manifest.json").write_text('{"format": "threer_blender bundle, list of files"}')
    return a_scene_alone(folder)


def a_link_to_a_result(folder: Path) -> Any:
    bundle.write(reconstruct(write_photos(folder / "photos", CAMERAS[:1]), CAMERAS[:1], step=16), folder / "result")
    (folder / "link").symlink_to(folder / "result")
    return folder / "link"


@pytest.mark.usefixtures("addon")
@pytest.mark.parametrize(
    "make",
    [a_program, a_folder_of_anything, a_scene_alone, a_list_alone, a_link_to_a_result, lambda _: 7, lambda _: ""],
)
def test_only_a_result_is_opened(built: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make: Any) -> None:
    opened = []
    operators = part("ui.operators")
    monkeypatch.setattr(operators.bpy.ops.wm, "path_open", lambda **given: opened.append(given), raising=False)
    folder = tmp_path / "folder"
    folder.mkdir()
    named = make(folder)
    built[build.BUNDLE] = named if isinstance(named, int) else str(named)
    with pytest.raises(RuntimeError, match="is not where it was; import it from where it is now"):
        bpy.ops.threer.open_result()
    assert opened == []


def lens(_: Any) -> None:
    bpy.data.objects["Camera"].data.lens = 35


def moved_light(_: Any) -> None:
    bpy.data.objects["Light"].location.x += 1


def energy(_: Any) -> None:
    bpy.data.lights["Light"].energy = 10


def edited_cube(_: Any) -> None:
    bpy.data.objects["Cube"].data.vertices[0].co.z = 2


def subdivided(_: Any) -> None:
    bpy.data.objects["Cube"].modifiers.new("Subdivision", "SUBSURF")


def another_mesh(_: Any) -> None:
    bpy.ops.mesh.primitive_monkey_add()
    monkey = bpy.context.object
    bpy.data.objects.remove(bpy.data.objects["Cube"])
    monkey.name = "Cube"
    monkey.location = (0, 0, 0)


def animated(_: Any) -> None:
    bpy.data.objects["Cube"].keyframe_insert("location", frame=1)


def animated_lens(_: Any) -> None:
    bpy.data.objects["Camera"].data.keyframe_insert("lens", frame=1)


def constrained(_: Any) -> None:
    bpy.data.objects["Camera"].constraints.new("TRACK_TO")


def parented(_: Any) -> None:
    bpy.data.objects["Light"].parent = bpy.data.objects["Cube"]


def scene_setting(name: str, value: Any) -> Any:
    def touch(scene: Any) -> None:
        owner = scene if hasattr(scene, name) else scene.render
        setattr(owner, name, value)

    touch.__name__ = f"{name} = {value}"
    return touch


def marker(scene: Any) -> None:
    scene.timeline_markers.new("cut", frame=10)


def attribute(path: str, value: Any) -> Any:
    """Sets an attribute of an object, or below it: the path begins with the object's name."""

    def touch(_: Any) -> None:
        name, *parts, last = path.split(".")
        owner = bpy.data.objects[name]
        for part_name in parts:
            owner = getattr(owner, part_name)
        setattr(owner, last, value)

    touch.__name__ = f"{path} = {value}"
    return touch


def quaternion(_: Any) -> None:
    bpy.data.objects["Camera"].rotation_mode = "QUATERNION"
    bpy.data.objects["Camera"].rotation_quaternion = (0.7, 0.7, 0, 0)


def without_faces(_: Any) -> None:
    corners = [vertex.co[:] for vertex in bpy.data.objects["Cube"].data.vertices]
    bpy.data.objects["Cube"].data.clear_geometry()
    bpy.data.objects["Cube"].data.from_pydata(corners, [], [])


def painted(_: Any) -> None:
    tree = bpy.data.objects["Cube"].data.materials[0].node_tree
    tree.nodes["Principled BSDF"].inputs["Base Color"].default_value = (1, 0, 0, 1)


def textured(_: Any) -> None:
    bpy.data.objects["Cube"].data.materials[0].node_tree.nodes.new("ShaderNodeTexImage")


def shaped(_: Any) -> None:
    bpy.data.objects["Cube"].shape_key_add(name="smile")


def grouped(_: Any) -> None:
    bpy.data.objects["Cube"].vertex_groups.new(name="arm")


def noted(_: Any) -> None:
    bpy.data.objects["Cube"]["rig"] = 1


def with_background(_: Any) -> None:
    bpy.data.objects["Camera"].data.background_images.new()


def collected(scene: Any) -> None:
    scene.collection.children.link(bpy.data.collections.new("Set"))


def lit_by_picture(scene: Any) -> None:
    scene.world.node_tree.nodes.new("ShaderNodeTexEnvironment")


def with_sky(scene: Any) -> None:
    scene.world.node_tree.nodes["Background"].inputs["Color"].default_value = (0.1, 0.3, 0.9, 1)


def cut(scene: Any) -> None:
    editor = scene.sequence_editor_create()
    strips = editor.strips if hasattr(editor, "strips") else editor.sequences
    length = {"length": 9} if bpy.app.version >= (5, 0, 0) else {"frame_end": 10}
    strips.new_effect(name="black", type="COLOR", channel=1, frame_start=1, **length)


def comped(scene: Any) -> None:
    scene.use_nodes = True


def compressed(scene: Any) -> None:
    scene.render.image_settings.file_format = "OPEN_EXR"


def exposed(scene: Any) -> None:
    scene.view_settings.exposure = 1.0


def in_centimetres(scene: Any) -> None:
    scene.unit_settings.scale_length = 0.01


TOUCHED = [
    quaternion, without_faces, painted, textured, shaped, grouped, noted, with_background, collected, lit_by_picture,
    with_sky, cut, comped, compressed, exposed, in_centimetres, attribute("Light.data.type", "SUN"),
    attribute("Light.data.color", (1, 0, 0)), attribute("Light.data.shadow_soft_size", 2.0),
    attribute("Camera.data.type", "ORTHO"), attribute("Camera.data.shift_x", 0.1),
    attribute("Camera.data.sensor_width", 24.0), attribute("Camera.data.clip_end", 5000.0),
    attribute("Camera.data.dof.use_dof", True), attribute("Cube.delta_location", (1, 0, 0)),
    attribute("Cube.hide_render", True), attribute("Cube.instance_type", "VERTS"),
    scene_setting("resolution_percentage", 50), scene_setting("film_transparent", True),
    scene_setting("use_border", True), scene_setting("use_preview_range", True),
    lens, moved_light, energy, edited_cube, subdivided, another_mesh, animated, animated_lens, constrained, parented,
    marker, scene_setting("frame_end", 120), scene_setting("frame_start", 101), scene_setting("frame_current", 5),
    scene_setting("resolution_x", 2048), scene_setting("resolution_y", 858), scene_setting("pixel_aspect_x", 2.0),
    scene_setting("fps", 25), scene_setting("fps_base", 1.001),
]  # fmt: skip


def rendering(scene: Any) -> Any:
    render = scene.render
    return (
        scene.camera, scene.frame_start, scene.frame_end, scene.frame_current, render.resolution_x, render.resolution_y,
        render.pixel_aspect_x, render.fps, round(render.fps_base, 5),
    )  # fmt: skip


@pytest.mark.parametrize("touch", TOUCHED, ids=lambda touch: touch.__name__)
def test_a_scene_that_was_worked_on_keeps_its_settings(
    reconstruction: Reconstruction, tmp_path: Path, touch: Any
) -> None:
    scene = bpy.context.scene
    assert startup.is_empty(scene)
    touch(scene)
    assert not startup.is_empty(scene)
    before = rendering(scene)
    build.build(reconstruction, tmp_path)
    assert rendering(scene) == before
    assert len(roots()) == 1


def test_an_untouched_scene_is_set_to_the_result(reconstruction: Reconstruction, tmp_path: Path) -> None:
    scene = bpy.context.scene
    build.build(reconstruction, tmp_path)
    assert scene.camera.get(identity.ROLE, "").startswith("camera ")
    assert scene.frame_end == len(CAMERAS)
