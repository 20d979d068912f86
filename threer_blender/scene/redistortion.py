"""[B] CG over the untouched plate: overscan for the render, and a node group that distorts it as the lens does.

The compositor reads the STMap that `lenses.export` has written. The composite is as large as the render, with the plate
in its middle. A File Output node saves it in the plate's size.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import bpy

from ..files import bounded
from ..lenses import export
from ..lenses.overscan import Overscan
from ..model.errors import UserError, quoted
from ..model.reconstruction import Photo, Shot
from . import cameras, shots
from . import root as roots
from .changes import Changes

GROUP = "3R Redistort"
OURS = "threer_redistortion"  # on our nodes: the node's part, see `_node`
IN_GROUPS = "compositing_node_group" in bpy.types.Scene.bl_rna.properties  # since Blender 5.0
COMP = "comp.####"  # the names of the saved frames


@dataclass(frozen=True)
class _Lens:
    """A shot's lens, as lens.json describes it: its overscan, its STMap, and whether it zooms."""

    added: Overscan
    stmap: Path
    zooms: bool


def set_up(scene: bpy.types.Scene, camera: bpy.types.Object, shot: Shot, photo: Photo, lens: Path, comp: Path) -> None:
    """Makes `scene` render `camera` with overscan, and its compositor distort that and put it over the plate.

    `photo` is one of the shot's frames. `lens` is a folder that `lenses.export` wrote. `comp` is the folder for
    finished frames. Nodes of the artist's stay: the group distorts what they send to the output. Raises UserError where
    the plate or the lens is missing.
    """
    clip = next((each.clip for each in camera.data.background_images if each.clip and cameras.PHOTO in each.clip), None)
    if clip is None:
        raise UserError(
            f"Blender does not show the plate of {quoted(shot.video)}; put its files back and import the result."
        )
    described = _described(lens, shot)
    with Changes() as changes:
        shots.add_overscan(changes, camera, shot, photo, described.added)
        cameras.render_as(changes, scene, camera)
        if camera.parent is not None:
            roots.leave_points_out(changes, camera.parent)  # else they would cover the plate
        changes.set(scene.render, film_transparent=True)
        tree = _tree(changes, scene)
        group = _group(changes, described)
        _connect(changes, tree, group, clip, comp)


def over_picture(changes: Changes, scene: bpy.types.Scene, picture: bpy.types.Image) -> None:
    """Has the compositor put what goes to its output so far over a picture, which is scaled to the render's size."""
    tree = _tree(changes, scene)
    output = _output(changes, tree)
    over = _node(changes, tree, "over", "CompositorNodeAlphaOver")
    plate = _node(changes, tree, "picture", "CompositorNodeImage")
    size = _node(changes, tree, "size", "CompositorNodeScale")
    background, foreground = [socket for socket in over.inputs if socket.type == "RGBA"][:2]
    source = foreground.links[0].from_socket if foreground.is_linked else _source(changes, tree, output)
    plate.image = picture
    if hasattr(size, "space"):
        size.space = "RENDER_SIZE"
    else:  # since Blender 5.0
        size.inputs["Type"].default_value = "Render Size"
    links = (
        (plate.outputs["Image"], size.inputs["Image"]),
        (size.outputs["Image"], background),
        (source, foreground),
        (over.outputs[0], output.inputs[0]),
    )
    for start, end in links:
        tree.links.new(start, end)
    x, y = output.location
    for node, column, row in ((plate, 3, 1), (size, 2, 1), (over, 1, 0)):
        node.location = (x - 240 * column, y + 240 * row)


def _source(changes: Changes, tree: Any, output: Any) -> Any:
    """The socket that is linked to the output so far; the render's where none is."""
    source = output.inputs[0].links[0].from_socket if output.inputs[0].is_linked else None
    return source or _node(changes, tree, "render", "CompositorNodeRLayers").outputs["Image"]


def _described(lens: Path, shot: Shot) -> _Lens:
    """The shot's lens in the folder `lens`. Raises UserError where it is not there or makes no sense."""
    try:
        entries = bounded.parsed(bounded.content(lens / export.INDEX, bounded.LONGEST_JSON))["lenses"]
        entry = next(entry for entry in entries if entry["name"] == shot.video)
        stmap = bounded.inside(lens, entry["redistort"].replace("%04d", f"{min(shot.cameras):04d}"))
        return _Lens(Overscan(**entry["overscan"]), stmap, bool(entry["zooms"]))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, StopIteration) as error:
        raise UserError(
            f"{quoted(lens)} holds no lens of {quoted(shot.video)}; export the lens there again."
        ) from error


def _tree(changes: Changes, scene: bpy.types.Scene) -> bpy.types.NodeTree:
    """The scene's compositor tree, which is made where there is none. Since Blender 5.0 it is a node group."""
    if not IN_GROUPS:
        changes.set(scene, use_nodes=True)
        return scene.node_tree
    if scene.compositing_node_group is None:
        tree = bpy.data.node_groups.new("Compositing", "CompositorNodeTree")
        tree.interface.new_socket(name="Image", in_out="OUTPUT", socket_type="NodeSocketColor")
        changes.set(scene, compositing_node_group=tree)
    return scene.compositing_node_group


def _group(changes: Changes, described: _Lens) -> bpy.types.NodeTree:
    """A new node group that distorts an image by the lens's STMap. The image comes out in the plate's size."""
    group = bpy.data.node_groups.new(GROUP, "CompositorNodeTree")
    for way in ("INPUT", "OUTPUT"):
        group.interface.new_socket(name="Image", in_out=way, socket_type="NodeSocketColor")
    image = bpy.data.images.load(str(described.stmap), check_existing=True)
    changes.set(image, filepath=cameras.stored_path(described.stmap), source="FILE")
    changes.set(image.colorspace_settings, name="Non-Color")
    into, out, stmap, map_uv = (
        group.nodes.new(kind)
        for kind in ("NodeGroupInput", "NodeGroupOutput", "CompositorNodeImage", "CompositorNodeMapUV")
    )
    if described.zooms:
        changes.set(image, source="SEQUENCE")
    stmap.image = image
    if described.zooms:
        stmap.frame_start, stmap.frame_offset, stmap.frame_duration = 1, 0, cameras.LAST_FRAME
    for column, node in enumerate((into, stmap, map_uv, out)):
        node.location = (220 * column, -160 if node is stmap else 0)
    group.links.new(_finely_read(group, into, map_uv), map_uv.inputs["Image"])
    group.links.new(stmap.outputs["Image"], map_uv.inputs["UV"])
    group.links.new(map_uv.outputs["Image"], out.inputs[0])
    return group


def _finely_read(group: Any, into: Any, map_uv: Any) -> Any:
    """The socket from which the Map UV node shall read the image, so that it interpolates between pixels well.

    Before Blender 5.0 the node has only one filter, which shifts small details by up to a third of a pixel. There it
    reads an image of twice the size (measured: 0.07 px instead of 0.16 px RMS).
    """
    if "Interpolation" in map_uv.inputs:
        map_uv.inputs["Interpolation"].default_value = "Bicubic"
        return into.outputs[0]
    twice = group.nodes.new("CompositorNodeScale")
    twice.space = "RELATIVE"
    twice.inputs["X"].default_value = twice.inputs["Y"].default_value = 2.0
    twice.location = (220, 160)
    group.links.new(into.outputs[0], twice.inputs["Image"])
    return twice.outputs["Image"]


def _connect(changes: Changes, tree: Any, group: Any, clip: bpy.types.MovieClip, comp: Path) -> None:
    """Links plate, group and outputs in the scene's tree. Nodes of ours that are there already are used again."""
    output = _output(changes, tree)
    redistort = _node(changes, tree, "redistort", "CompositorNodeGroup")
    plate = _node(changes, tree, "plate", "CompositorNodeMovieClip")
    over = _node(changes, tree, "over", "CompositorNodeAlphaOver")
    saved = _node(changes, tree, "saved", "CompositorNodeOutputFile")
    if not redistort.inputs or not redistort.inputs[0].is_linked:
        source = _source(changes, tree, output)
    else:
        source = redistort.inputs[0].links[0].from_socket
    changes.release(redistort.node_tree)
    redistort.node_tree, plate.clip = group, clip
    background, foreground = [socket for socket in over.inputs if socket.type == "RGBA"][:2]
    links = (
        (source, redistort.inputs[0]),
        (plate.outputs["Image"], background),
        (redistort.outputs[0], foreground),
        (over.outputs[0], output.inputs[0]),
    )
    for start, end in links:
        tree.links.new(start, end)
    tree.links.new(over.outputs[0], _file(saved, comp))
    x, y = output.location
    for node, column, row in ((plate, 2, 1), (redistort, 2, 0), (over, 1, 0), (saved, 0, -1)):
        node.location = (x - 240 * column, y + 240 * row)


def _output(changes: Changes, tree: Any) -> Any:
    """The compositor's output node, made where there is none: Composite before Blender 5.0, Group Output since."""
    for node in tree.nodes:
        if node.bl_idname in ("CompositorNodeComposite", "NodeGroupOutput"):
            return node
    node = _node(changes, tree, "output", "NodeGroupOutput" if IN_GROUPS else "CompositorNodeComposite")
    node.location = (900, 0)
    return node


def _node(changes: Changes, tree: Any, part: str, kind: str) -> Any:
    """Our node for this part of the tree, made where there is none."""
    node = next((each for each in tree.nodes if each.get(OURS) == part), None)
    if node is None:
        node = tree.nodes.new(kind)
        node[OURS] = part
        changes.on_failure(lambda: tree.nodes.remove(node))
    return node


def _file(node: Any, comp: Path) -> Any:
    """The input of a File Output node that saves half-float EXR frames into `comp`."""
    if hasattr(node, "file_slots"):  # before Blender 5.0
        node.base_path = cameras.stored_path(comp)
        node.file_slots[0].path = COMP
    else:
        node.directory, node.file_name = cameras.rendered_path(cameras.stored_path(comp)), COMP
        node.format.media_type = "IMAGE"
        if not node.file_output_items:
            node.file_output_items.new("RGBA", "Image")
        node.file_output_items[0].name = ""
    node.format.file_format, node.format.color_depth = "OPEN_EXR", "16"
    return node.inputs[0]
