"""[B] Scene Ready: everything that a first test object needs in a scene.

`plan` lists the steps and changes nothing; `set_up` does them. Objects, lights and nodes of the artist's stay.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import NamedTuple

import bpy
import numpy as np
from mathutils import Vector

from ..model.arrays import Array, FloatArray
from ..model.errors import UserError
from . import build, cameras, identity, look, picking, redistortion, sun
from . import root as roots
from .changes import Changes

CYCLES = "CYCLES"
SAMPLES = 64  # of Cycles for a pixel, with denoising; its own 4,096 take minutes for a frame without a graphics card
VIEW = "Standard"
MARGIN = 1.5  # the ground's side as a multiple of the points' extent
SUN_STRENGTH = 3.0  # of Blender's sun, in watts per square metre
SUN_ANGLE = 0.0093  # of Blender's sun, in radians: the angular diameter of the real one
SKY_PHOTOS = 8  # that are searched for the sun, picked evenly; up to twice as many where the division leaves a rest
SKY_SIDE = 64  # samples along each side of such a photo
MOST_PIXELS = 30_000_000  # of a photo; a larger one is not searched
SAMPLED_POINTS = 40_000  # of the cloud, picked evenly; up to twice as many where the division leaves a rest


class Step(NamedTuple):
    """A step as the dialog shows it, and the scene's setting that it replaces; "" where it replaces none."""

    text: str
    replaces: str = ""


def camera_of(scene: bpy.types.Scene, root: bpy.types.Object) -> bpy.types.Object:
    """The camera to render through: the scene's if it is one of ours, else that of a shot, else the first photo's.

    Raises UserError where the result has no cameras any more.
    """
    ours = list(roots.cameras(root))
    if not ours:
        raise UserError("This reconstruction has no cameras any more; import its result again.")
    filming = [each for each in ours if cameras.FRAMES in each]
    return scene.camera if scene.camera in ours else [*filming, *ours][0]


def plan(scene: bpy.types.Scene, root: bpy.types.Object) -> list[Step]:
    """The steps of `set_up`, as the dialog lists them. Raises UserError where the result has no cameras any more."""
    camera = camera_of(scene, root)
    side, light = ground_side(root), sun_of(root)
    elevation = np.degrees(np.arcsin(light.direction[2]))
    steps = [
        _camera_step(scene, camera),
        _size_step(scene, camera),
        Step(f"Show the plate behind {camera.name}" if _has_plate(camera) else "There is no plate to show"),
        Step("Points and splats stay in the viewport and are not rendered"),
        Step(f"A ground of {side:.3g} × {side:.3g} m at height 0 that catches shadows"),
        Step(f"A sun {elevation:.0f}° over the horizon, by {light.by}"),
        _engine_step(scene),
        Step("The background of the render is transparent"),
        Step("The view transform is Standard, so that the plate keeps its colors", _view(scene)),
    ]
    if getattr(getattr(scene, "cycles", None), "use_denoising", False) and not _can_denoise():
        steps.append(
            Step("Cycles does not denoise: this build of Blender cannot, and its renders would fail", "denoising")
        )
    if cameras.FRAMES in camera:
        saved = "the size of the render gets overscan, and frames are saved beside the result"
        steps.append(Step(f"The compositor distorts the render and puts it over the plate: {saved}; your nodes stay"))
    elif _has_plate(camera):
        steps.append(Step("The compositor puts the render over the plate; your nodes stay"))
    return steps


def _camera_step(scene: bpy.types.Scene, camera: bpy.types.Object) -> Step:
    replaced = scene.camera if scene.camera not in (None, camera) else None
    return Step(f"Render through {camera.name}", "" if replaced is None else f"camera {replaced.name}")


def _size_step(scene: bpy.types.Scene, camera: bpy.types.Object) -> Step:
    """The step that sets the render size, and for a shot also the frames and their rate."""
    render = scene.render
    wanted, now = _settings(camera), f"{render.resolution_x} × {render.resolution_y}"
    if cameras.FRAMES in camera:
        now += f", {render.fps / render.fps_base:.5g} frames a second, {scene.frame_start} to {scene.frame_end}"
    return Step(f"Render {wanted}", _unless(now, wanted))


def _engine_step(scene: bpy.types.Scene) -> Step:
    """The step to Cycles; the samples of who renders with Cycles already stay."""
    if scene.render.engine == CYCLES:
        return Step("Cycles renders: it alone catches shadows")
    return Step(f"Cycles renders, with {SAMPLES} samples: it alone catches shadows", _engine(scene))


def _can_denoise() -> bool:
    """Whether this Blender's Cycles holds a denoiser; those of some Linux distributions hold none."""
    return bool(importlib.import_module("_cycles").with_openimagedenoise)


def _settings(camera: bpy.types.Object) -> str:
    """A camera's render size in words, and for a shot also the frames and their rate."""
    text = f"{cameras.solved_number(camera, cameras.WIDTH):.0f} × {cameras.solved_number(camera, cameras.HEIGHT):.0f}"
    if cameras.FRAMES in camera:
        first = cameras.solved_number(camera, cameras.FIRST_FRAME) if cameras.FIRST_FRAME in camera else 1
        last = first + cameras.solved_number(camera, cameras.FRAMES) - 1
        text += f", {cameras.solved_number(camera, cameras.FRAME_RATE):.5g} frames a second, {first:.0f} to {last:.0f}"
    return text


def _unless(now: str, wanted: str) -> str:
    """The setting that a step replaces, in words: `now`, or "" where it is the `wanted` one already."""
    return "" if now == wanted else now


def _engine(scene: bpy.types.Scene) -> str:
    """The name of the scene's render engine in Blender's menus."""
    engine: str = scene.render.engine
    menu: dict[str, str] = {item.identifier: item.name for item in scene.render.bl_rna.properties["engine"].enum_items}
    return menu.get(engine, engine.removeprefix("BLENDER_").capitalize())


def _view(scene: bpy.types.Scene) -> str:
    """The view settings that a step replaces, in words; "" where they are VIEW already."""
    view = scene.view_settings
    parts = [view.view_transform, *([view.look] if view.look != "None" else [])]
    parts += [f"exposure {view.exposure:.3g}"] if view.exposure else []
    return _unless(", ".join(parts), VIEW)


def _has_plate(camera: bpy.types.Object) -> bool:
    return any(each.image or each.clip for each in camera.data.background_images)


def set_up(scene: bpy.types.Scene, root: bpy.types.Object, comp_shot: Callable[[bpy.types.Object], object]) -> None:
    """Does the steps of `plan`, or nothing where something fails.

    `comp_shot` is called with a shot's camera, and has the compositor put the render over the plate
    (`redistortion.set_up`). Raises UserError where the result has no cameras any more, and what `comp_shot` raises.
    """
    camera = camera_of(scene, root)
    with Changes() as changes:
        cameras.render_as(changes, scene, camera)
        changes.set(camera.data, show_background_images=True)
        roots.leave_points_out(changes, root)
        _ground(changes, scene, root)
        _sun(changes, scene, root)
        if scene.render.engine != CYCLES:
            changes.set(scene.render, engine=CYCLES)
            changes.set(scene.cycles, samples=SAMPLES)
        if not _can_denoise():
            changes.set(scene.cycles, use_denoising=False)
        changes.set(scene.render, film_transparent=True)
        picture = next((each.image for each in camera.data.background_images if each.image), None)
        if cameras.FRAMES in camera:
            comp_shot(camera)
        elif picture is not None:
            redistortion.over_picture(changes, scene, picture)
        look.match_photo_colors(scene)


def ground_side(root: bpy.types.Object) -> float:
    """The side of a square on the ground for all points, with some room around them, in Blender's units."""
    points = picking.visible_points(root)[:, :2]
    if not len(points):
        points = roots.camera_centres(root)[:, :2]
    low, high = np.percentile(points, (2, 98), axis=0)
    return max(1e-3, MARGIN * float((high - low).max()))


def _ground(changes: Changes, scene: bpy.types.Scene, root: bpy.types.Object) -> None:
    """Makes the ground, or gives the one that is there its size and place."""
    half = ground_side(root) / 2
    points = picking.visible_points(root)
    middle = np.median(points if len(points) else roots.camera_centres(root), axis=0)
    obj = _ours(scene, identity.GROUND)
    mesh = bpy.data.meshes.new("3R Ground")
    mesh.from_pydata([(-half, -half, 0), (half, -half, 0), (half, half, 0), (-half, half, 0)], [], [(0, 1, 2, 3)])
    if obj is None:
        obj = _new(scene, root, identity.GROUND, "3R Ground", mesh)
    else:
        changes.release(obj.data)
        changes.set(obj, data=mesh)
    changes.set(obj, location=(middle[0], middle[1], 0.0), is_shadow_catcher=True, display_type="WIRE")


def _sun(changes: Changes, scene: bpy.types.Scene, root: bpy.types.Object) -> None:
    """Makes the sun, or turns the one that is there."""
    direction = Vector(sun_of(root).direction.tolist())
    obj = _ours(scene, identity.SUN)
    if obj is None:
        light = bpy.data.lights.new("3R Sun", "SUN")
        light.energy, light.angle = SUN_STRENGTH, SUN_ANGLE
        obj = _new(scene, root, identity.SUN, "3R Sun", light)
        obj.location.z = ground_side(root) / 2
    changes.set(obj, rotation_mode="XYZ", rotation_euler=direction.to_track_quat("Z", "Y").to_euler())


def _ours(scene: bpy.types.Scene, role: str) -> bpy.types.Object | None:
    """The scene's object with this role; None where there is none."""
    return next((obj for obj in scene.objects if identity.text(obj, identity.ROLE) == role), None)


def _new(scene: bpy.types.Scene, root: bpy.types.Object, role: str, name: str, data: bpy.types.ID) -> bpy.types.Object:
    """A new object in the root's collection, without a parent: the ground stays at height 0 as the root moves."""
    obj = bpy.data.objects.new(name, data)
    obj[identity.ROLE] = role
    next(iter(root.users_collection), scene.collection).objects.link(obj)
    return obj


def sun_of(root: bpy.types.Object) -> sun.Sun:
    """The direction of the light, from the photos' sky, else from the points' brightness, else by a guess."""
    return sun.of_sky(*_sky(root)) or sun.of_surfaces(*_surfaces(root)) or sun.from_above()


def _sky(root: bpy.types.Object) -> tuple[FloatArray, FloatArray]:
    """View directions (N, 3) in Blender's world, and colours (N, 3) in [0, 1], of some pixels of some photos."""
    directions, colors = [np.zeros((0, 3))], [np.zeros((0, 3))]
    ours = build.solved_cameras(root)
    for camera in ours[:: max(1, len(ours) // SKY_PHOTOS)]:
        image = next((each.image for each in camera.data.background_images if each.image), None)
        if image is None or not image.size[0] or image.size[0] * image.size[1] > MOST_PIXELS:
            continue
        width, height = image.size
        pixels = np.empty(width * height * image.channels, np.float32)
        image.pixels.foreach_get(pixels)
        rows, columns = (np.linspace(0, side - 1, SKY_SIDE).astype(int) for side in (height, width))
        samples = pixels.reshape(height, width, image.channels)[rows][:, columns, :3]
        x, y = np.meshgrid((columns + 0.5) / width, 1 - (rows + 0.5) / height)  # Blender's rows go up
        rays = cameras.rays(camera, np.stack([x, y], -1).reshape(-1, 2))
        directions.append(rays @ np.array(camera.matrix_world.normalized())[:3, :3].T)
        colors.append(np.broadcast_to(samples.reshape(-1, samples.shape[-1]), (len(rays), 3)))
    return np.concatenate(directions), np.concatenate(colors)


def _surfaces(root: bpy.types.Object) -> tuple[Array, Array]:
    """Normals (N, 3) in Blender's world and colours (N, 3) uint8 of some of the cloud's points."""
    cloud = next((each for each in root.children if identity.text(each, identity.ROLE) == identity.CLOUD), None)
    attributes = {} if cloud is None else cloud.data.attributes
    if "normal" not in attributes or "color" not in attributes:
        return np.zeros((0, 3), np.float32), np.zeros((0, 3), np.uint8)
    count = len(attributes["normal"].data)
    normals, colors = np.empty((count, 3), np.float32), np.empty((count, 4), np.float32)
    attributes["normal"].data.foreach_get("vector", normals.reshape(-1))
    attributes["color"].data.foreach_get("color_srgb", colors.reshape(-1))
    stride = max(1, count // SAMPLED_POINTS)
    rotation = np.array(root.matrix_world.normalized(), np.float32)[:3, :3]
    return normals[::stride] @ rotation.T, np.rint(colors[::stride, :3] * 255).astype(np.uint8)
