"""[B] Cameras and points as Alembic, USD and FBX, by Blender's own exporters, from a temporary scene.

These exporters take the film's height and the frame rate from the scene. So each moving camera gets a file of its own,
and so do the photos of each size, and the points. Blender's world has z up, and the files have y up by default.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import bpy
import numpy as np

from ..exchange import content
from ..exchange.content import Y_UP, Z_UP, Choice
from ..exchange.export import BY_FORMAT, IN_BLENDER
from ..exchange.tracks import Track, identifier
from ..files import whole_folder
from ..model.errors import UserError
from ..model.reconstruction import PointCloud, Reconstruction
from . import axes, cameras, points

NAME = "3R export"


@dataclass(frozen=True)
class BlenderFormat:
    """A format that Blender writes, by `write(path, first frame, last frame, options)`.

    `axes` maps the axes that its files can have, the default first, to the exporter's options for them.
    """

    suffix: str
    write: Callable[[str, int, int, Mapping[str, Any]], None]
    axes: Mapping[str, Mapping[str, Any]]


def _alembic(path: str, first: int, last: int, options: Mapping[str, Any]) -> None:
    bpy.ops.wm.alembic_export(filepath=path, start=first, end=last, as_background_job=False, **options)


def _usd(path: str, first: int, last: int, options: Mapping[str, Any]) -> None:
    bpy.ops.wm.usd_export(filepath=path, export_animation=last > first, export_materials=False, **options)


def _fbx(path: str, first: int, last: int, options: Mapping[str, Any]) -> None:
    bpy.ops.export_scene.fbx(
        filepath=path,
        object_types={"CAMERA", "MESH"},
        bake_anim=last > first,
        bake_anim_simplify_factor=0.0,  # every frame as it was solved
        bake_anim_use_all_actions=False,
        bake_anim_use_nla_strips=False,
        **options,
    )


FORMATS = {
    "alembic": BlenderFormat(".abc", _alembic, {Y_UP: {}}),
    "usd": BlenderFormat(
        ".usdc",
        _usd,
        {
            Y_UP: {
                "convert_orientation": True,
                "export_global_up_selection": "Y",
                "export_global_forward_selection": "NEGATIVE_Z",
            },
            Z_UP: {"convert_orientation": False},
        },
    ),
    "fbx": BlenderFormat(
        ".fbx",
        _fbx,
        {Y_UP: {"axis_up": "Y", "axis_forward": "-Z"}, Z_UP: {"axis_up": "Z", "axis_forward": "Y"}},
    ),
}


def write(reconstruction: Reconstruction, format_id: str, folder: Path, choice: Choice = BY_FORMAT) -> list[str]:
    """Writes `folder`, whole or not at all, and returns sentences about what is in it.

    `format_id` is a key of FORMATS. The open .blend is afterwards as before. Raises UserError where the format has no
    such axes, there is nothing to write, or the folder cannot be written.
    """
    chosen, label = FORMATS[format_id], IN_BLENDER[format_id].label
    up = choice.axes or next(iter(chosen.axes))
    if up not in chosen.axes:
        raise UserError(f"{label} has no world with {up}; there are {', '.join(chosen.axes)}.")
    moved, file_from_ours = content.in_world(reconstruction, Z_UP, choice.scale or 1.0)
    handed = content.content(moved, [], file_from_ours, choice)
    if not handed.tracks and handed.cloud is None:
        raise UserError("This result has nothing to export.")
    with whole_folder.replacing(folder) as new:
        for name, group in _files(handed.tracks).items():
            with _scene() as scene:
                first, last = _fill(scene, group)
                chosen.write(str(new.path / f"{name}{chosen.suffix}"), first, last, chosen.axes[up])
        if handed.cloud is not None:
            with _scene() as scene:
                scene.collection.objects.link(_mesh(handed.cloud))
                chosen.write(str(new.path / f"points{chosen.suffix}"), 1, 1, chosen.axes[up])
    count = 0 if handed.cloud is None else len(handed.cloud)
    written = f"{len(handed.tracks)} cameras and {count:,} points as {label} in {new.place}"
    return [written, *new.sentences("the files")]


def _files(tracks: list[Track]) -> dict[str, list[tuple[int, Track]]]:
    """Name of a file -> its tracks, each with its number among all tracks, from 1."""
    files: dict[str, list[tuple[int, Track]]] = {}
    for number, track in enumerate(tracks, start=1):
        camera = track.first
        aspect = cameras.pixel_aspect(camera)
        name = f"cameras_{camera.width}x{camera.height}" + ("" if aspect == 1 else f"_{aspect:.6f}")
        if len(track.cameras) > 1:
            name = identifier(number, track.name)
        files.setdefault(name, []).append((number, track))
    return files


@contextlib.contextmanager
def _scene() -> Iterator[bpy.types.Scene]:
    """An empty scene in the window. It is removed at the end, with everything that was put into it."""
    window = bpy.context.window
    before = window.scene
    scene = bpy.data.scenes.new(NAME)
    window.scene = scene
    try:
        yield scene
    finally:
        made = list(scene.collection.objects)
        window.scene = before
        bpy.data.scenes.remove(scene)
        for obj in made:
            data = obj.data
            actions = {each.animation_data.action for each in (obj, data) if each.animation_data} - {None}
            bpy.data.objects.remove(obj)
            (bpy.data.cameras if isinstance(data, bpy.types.Camera) else bpy.data.meshes).remove(data)
            for action in actions:  # from Blender 4.4 on, object and data share one
                bpy.data.actions.remove(action)


def _fill(scene: bpy.types.Scene, group: list[tuple[int, Track]]) -> tuple[int, int]:
    """Puts the cameras of one file into a scene and sets its render size and frames. Returns first and last frame."""
    first = group[0][1].first
    aspect = cameras.pixel_aspect(first)
    render, rate = scene.render, float(group[0][1].frame_rate)
    render.resolution_x, render.resolution_y, render.resolution_percentage = first.width, first.height, 100
    render.pixel_aspect_x, render.pixel_aspect_y = max(1.0, 1 / aspect), max(1.0, aspect)
    render.fps, render.fps_base = max(1, round(rate)), max(1, round(rate)) / rate
    for number, track in group:
        scene.collection.objects.link(_camera(track, identifier(number, track.name)))
    frames = [frame for _, track in group for frame in track.cameras]
    scene.frame_start, scene.frame_end = min(frames), max(frames)
    scene.frame_set(scene.frame_start)
    return scene.frame_start, scene.frame_end


def _camera(track: Track, name: str) -> bpy.types.Object:
    """A new camera object for a track, without a parent, keyed where the track has several frames."""
    data = bpy.data.cameras.new(name)
    obj = bpy.data.objects.new(name, data)
    obj.rotation_mode = "QUATERNION"
    before = None
    for number, camera in track.cameras.items():
        matrix = axes.camera_matrix(camera)
        location, rotation, _ = matrix.decompose()
        if before is not None and rotation.dot(before) < 0:
            rotation.negate()
        before = rotation.copy()
        obj.location, obj.rotation_quaternion = location, rotation
        for attribute, value in cameras.optics(camera, track.sensor_width).items():
            setattr(data, attribute, value)
        if len(track.cameras) > 1:
            obj.keyframe_insert("location", frame=number)
            obj.keyframe_insert("rotation_quaternion", frame=number)
            for attribute in cameras.KEYED_OPTICS:
                data.keyframe_insert(attribute, frame=number)
        else:
            obj.matrix_world = matrix  # FBX reads it, and without animation nothing else updates it
    return obj


def _mesh(cloud: PointCloud) -> bpy.types.Object:
    """The points as the vertices of a mesh, since all exporters write meshes."""
    mesh = bpy.data.meshes.new("points")
    mesh.vertices.add(len(cloud))
    mesh.attributes["position"].data.foreach_set("vector", np.ascontiguousarray(cloud.positions, np.float32).ravel())
    points.write_colors(mesh, "color", cloud.colors)
    mesh.update()
    return bpy.data.objects.new("points", mesh)
