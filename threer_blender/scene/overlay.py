"""[B] A film to judge a shot by: the untouched plate, and over it the solve's points and a grid on the ground.

Blender renders it through the shot's camera, in a temporary scene. Where Blender's clip can hold the lens, the points
and the grid are distorted as the plate is.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any

import bpy
import numpy as np
from mathutils import Matrix

from ..files import whole_file
from ..model.arrays import FloatArray
from ..model.errors import UserError, quoted
from . import cameras
from .changes import Changes
from .files import not_written
from .identity import CLOUD, ROLE
from .redistortion import IN_GROUPS

MOST_POINTS = 1500  # of the cloud
POINT_SIZE, LINE_SIZE = 2.0, 1.2  # px from the middle to the edge of a point and of a line, at the median depth
LINES = 21  # of the grid in each direction
POINT_COLOR, GRID_COLOR = (0.0, 0.9, 1.0), (1.0, 0.25, 0.7)  # linear
SAMPLES = 4  # of Cycles; they only smooth edges
OCTAHEDRON = np.array([(1, 0, 0), (-1, 0, 0), (0, 1, 0), (0, -1, 0), (0, 0, 1), (0, 0, -1)], float)
OCTAHEDRON_FACES = np.array(
    [(0, 2, 4), (2, 1, 4), (1, 3, 4), (3, 0, 4), (2, 0, 5), (1, 2, 5), (3, 1, 5), (0, 3, 5)], int
)


def write(root: bpy.types.Object, camera: bpy.types.Object, path: Path) -> None:
    """Renders the film of the shot of `camera`, under `root`, to the MP4 file `path`.

    Blender is busy meanwhile. Raises UserError where the plate is gone, `path` is the plate or a link, or the film
    cannot be written.
    """
    plate = next((each for each in camera.data.background_images if each.clip is not None), None)
    if plate is None or not Path(bpy.path.abspath(plate.clip.filepath)).is_file():
        raise UserError("The shot's plate is not there any more; bring it back to where it was, and import the result.")
    if path.is_symlink() or (path.exists() and path.samefile(bpy.path.abspath(plate.clip.filepath))):
        raise UserError(f"{quoted(path)} is the plate, or a link: choose another name for the film.")
    before = set(bpy.data.user_map())
    try:
        scene = bpy.data.scenes.new("3R overlay")
        scene.collection.objects.link(camera)
        _draw(scene, root, camera)
        with Changes() as changes:
            cameras.render_as(changes, scene, camera)
        _compose(scene, plate.clip, plate.clip_user.use_render_undistorted)
        _render(scene, path)
    finally:
        bpy.data.batch_remove(set(bpy.data.user_map()) - before)


def _draw(scene: bpy.types.Scene, root: bpy.types.Object, camera: bpy.types.Object) -> None:
    """Puts the points and the grid into the scene, as meshes that emit light."""
    points = _points(root)
    if not len(points):
        return
    depth = _median_depth(points, camera)
    pixel = depth * camera.data.sensor_width / camera.data.lens / camera[cameras.WIDTH]  # its size at the median depth
    octahedra = points[:, None] + POINT_SIZE * pixel * OCTAHEDRON
    faces = OCTAHEDRON_FACES + 6 * np.arange(len(points))[:, None, None]
    _add(scene, "3R points", octahedra.reshape(-1, 3), faces.reshape(-1, 3), POINT_COLOR)
    _add(scene, "3R ground", *_grid(points, LINE_SIZE * pixel), GRID_COLOR)


def _points(root: bpy.types.Object) -> FloatArray:
    """(N, 3) at most MOST_POINTS of the cloud's points, picked at random, in Blender's world."""
    cloud = next((child for child in root.children if child.get(ROLE) == CLOUD), None)
    if cloud is None:
        return np.zeros((0, 3))
    position = cloud.data.attributes["position"].data
    flat = np.empty(3 * len(position), np.float32)
    position.foreach_get("vector", flat)
    chosen = np.random.default_rng(0).permutation(len(position))[:MOST_POINTS]
    matrix = np.array(cloud.matrix_world)
    points: FloatArray = flat.reshape(-1, 3)[chosen] @ matrix[:3, :3].T + matrix[:3, 3]
    return points


def _median_depth(points: FloatArray, camera: bpy.types.Object) -> float:
    """The median depth of the points (N, 3) in front of the camera; 1 without such points."""
    camera_from_world = np.array(camera.matrix_world.normalized().inverted())
    depths = -(points @ camera_from_world[2, :3] + camera_from_world[2, 3])  # Blender's camera looks along -z
    return float(np.median(depths[depths > 0])) if (depths > 0).any() else 1.0


def _grid(points: FloatArray, half: float) -> tuple[FloatArray, FloatArray]:
    """Vertices (V, 3) and faces (F, 4) of a grid of strips on the ground (z = 0) below the points.

    `half` is half of the width of a strip.
    """
    low, high = np.percentile(points[:, :2], (2, 98), axis=0)
    side, middle = float((high - low).max()), (low + high) / 2
    along = np.linspace(-side / 2, side / 2, LINES)
    # Each strip is cut where the others cross it, so that a lens can bend it: two vertices (its edges) at each cut.
    ends = np.stack(np.meshgrid(along, along, [-half, half], indexing="ij"), axis=-1).reshape(-1, 3)
    lengthwise = np.stack([ends[:, 1], ends[:, 0] + ends[:, 2], np.zeros(len(ends))], axis=1)
    vertices = np.concatenate([lengthwise, lengthwise[:, [1, 0, 2]]]) + (*middle, 0.0)
    # The first of the four vertices of each face, which lies between two cuts of a strip.
    first = (np.arange(2 * LINES)[:, None] * LINES + np.arange(LINES - 1)).ravel() * 2
    return vertices, first[:, None] + np.array([0, 1, 3, 2])


def _add(scene: bpy.types.Scene, name: str, vertices: FloatArray, faces: Any, color: tuple[float, ...]) -> None:
    """Adds a mesh that emits a linear `color` to the scene, with vertices (V, 3) in Blender's world."""
    mesh = bpy.data.meshes.new(name)
    mesh.from_pydata(vertices.tolist(), [], faces.tolist())
    material = bpy.data.materials.new(name)
    if material.node_tree is None:  # before 5.0 a new material has no nodes
        material.use_nodes = True
    nodes = material.node_tree.nodes
    nodes.clear()
    light, output = nodes.new("ShaderNodeEmission"), nodes.new("ShaderNodeOutputMaterial")
    light.inputs["Color"].default_value = (*color, 1.0)
    material.node_tree.links.new(light.outputs[0], output.inputs["Surface"])
    mesh.materials.append(material)
    obj = bpy.data.objects.new(name, mesh)
    obj.matrix_basis = Matrix()
    scene.collection.objects.link(obj)


def _compose(scene: bpy.types.Scene, clip: bpy.types.MovieClip, distorts: bool) -> None:
    """Has the scene's compositor put the render over the plate. `distorts`: the clip's lens distorts the render."""
    tree = compositor(scene)
    nodes, link = tree.nodes, tree.links.new
    layers, film, over = (nodes.new(f"CompositorNode{kind}") for kind in ("RLayers", "MovieClip", "AlphaOver"))
    layers.scene, film.clip = scene, clip
    drawn = layers.outputs["Image"]
    if distorts:
        lens = nodes.new("CompositorNodeMovieDistortion")
        lens.clip = clip
        if hasattr(lens, "distortion_type"):
            lens.distortion_type = "DISTORT"
        else:  # Blender 5
            lens.inputs["Type"].default_value = "Distort"
        link(drawn, lens.inputs["Image"])
        drawn = lens.outputs["Image"]
    below, above = [socket for socket in over.inputs if socket.type == "RGBA"]
    link(film.outputs["Image"], below)
    link(drawn, above)
    output = next(node for node in nodes if node.bl_idname in ("CompositorNodeComposite", "NodeGroupOutput"))
    link(over.outputs["Image"], output.inputs["Image"])


def compositor(scene: bpy.types.Scene) -> Any:
    """The scene's compositor tree, emptied but for its output node."""
    if IN_GROUPS:
        tree = bpy.data.node_groups.new(scene.name, "CompositorNodeTree")
        tree.interface.new_socket("Image", in_out="OUTPUT", socket_type="NodeSocketColor")
        tree.nodes.new("NodeGroupOutput")
        scene.compositing_node_group = tree
        return tree
    scene.use_nodes = True
    scene.node_tree.nodes.clear()
    scene.node_tree.nodes.new("CompositorNodeComposite")
    return scene.node_tree


def _render(scene: bpy.types.Scene, path: Path) -> None:
    """Renders the scene's frames as an MP4 file `path`. Raises UserError where it cannot be written."""
    render, settings = scene.render, scene.render.image_settings
    render.engine, render.film_transparent = "CYCLES", True
    scene.cycles.device, scene.cycles.samples, scene.cycles.max_bounces = "CPU", SAMPLES, 0
    scene.cycles.use_denoising = scene.cycles.use_adaptive_sampling = False
    render.use_persistent_data = True
    scene.view_settings.view_transform = "Standard"
    if hasattr(settings, "media_type"):  # Blender 5
        settings.media_type = "VIDEO"
    settings.file_format = "FFMPEG"
    render.ffmpeg.format, render.ffmpeg.codec = "MPEG4", "H264"
    render.ffmpeg.constant_rate_factor, render.ffmpeg.audio_codec = "HIGH", "NONE"
    with tempfile.TemporaryDirectory() as folder:
        render.filepath = cameras.rendered_path(str(Path(folder) / "overlay.mp4"))
        bpy.ops.render.render(animation=True, scene=scene.name)
        made = next(Path(folder).iterdir(), None)
        try:
            if made is None:
                raise OSError("Blender wrote no film")
            with whole_file.replacing(path) as beside:
                shutil.copyfile(made, beside)
        except OSError as error:
            raise not_written(path, RuntimeError(error.strerror or str(error))) from error
