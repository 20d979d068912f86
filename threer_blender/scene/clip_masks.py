"""[B] Masks that the artist drew in Blender, written as pictures. The compositor's Mask node renders them.

So they look as Blender shows them: with feather, with shapes that change, and with points that follow tracks.
"""

from __future__ import annotations

from pathlib import Path

import bpy

from ..files import sequence_files, whole_folder
from ..model.errors import UserError, quoted
from . import cameras, overlay
from .files import not_written

NAME = "mask.####.png"


def write(mask: bpy.types.Mask, clip: bpy.types.MovieClip, folder: Path) -> int:
    """Writes a picture of the mask for each frame of the clip into `folder`. Returns the number of pictures.

    White is inside. The pictures have the clip's size, and the numbers of the clip's files, or from 1 for a movie.
    Blender is busy meanwhile. Raises UserError where the clip is gone, the mask is empty, or the folder cannot be
    written.
    """
    if not all(clip.size):
        raise UserError(f"The clip {quoted(clip.name)} has no picture; bring its files back to where they were.")
    if not any(layer.splines for layer in mask.layers):
        raise UserError(f"The mask {quoted(mask.name)} is empty; draw a spline in it first.")
    before = set(bpy.data.user_map())
    try:
        with whole_folder.replacing(folder) as new:
            scene = _scene(mask, clip)
            for frame in range(scene.frame_start, scene.frame_end + 1):
                number = frame - clip.frame_start + first_number(clip)
                scene.frame_set(frame)
                file = new.path / sequence_files.file_name(NAME, number)
                scene.render.filepath = cameras.rendered_path(str(file))
                bpy.ops.render.render(write_still=True, scene=scene.name)
                if not file.is_file():
                    raise not_written(new.path, RuntimeError("Blender wrote no mask"))
            return int(scene.frame_end - scene.frame_start + 1)
    finally:
        bpy.data.batch_remove(set(bpy.data.user_map()) - before)


def first_number(clip: bpy.types.MovieClip) -> int:
    """The number of a clip's first frame: that of its first file, or 1 for a movie."""
    if clip.source != "SEQUENCE":
        return 1
    pattern = sequence_files.pattern(Path(bpy.path.abspath(clip.filepath)))
    numbers = {} if pattern is None else sequence_files.frames(pattern)
    named = [number for number, file in numbers.items() if file.name == Path(clip.filepath).name]
    return named[0] if named else 1


def _scene(mask: bpy.types.Mask, clip: bpy.types.MovieClip) -> bpy.types.Scene:
    """A new scene whose compositor shows the mask alone, with the frames of the clip."""
    scene = bpy.data.scenes.new("3R masks")
    tree = overlay.compositor(scene)
    node = tree.nodes.new("CompositorNodeMask")
    node.mask = mask
    output = next(each for each in tree.nodes if each.bl_idname in ("CompositorNodeComposite", "NodeGroupOutput"))
    tree.links.new(node.outputs[0], output.inputs[0])
    render, settings = scene.render, scene.render.image_settings
    render.resolution_x, render.resolution_y = clip.size
    render.resolution_percentage = 100
    render.use_file_extension, render.use_sequencer = False, False
    if hasattr(settings, "media_type"):  # Blender 5
        settings.media_type = "IMAGE"
    settings.file_format, settings.color_mode, settings.color_depth = "PNG", "BW", "8"
    scene.view_settings.view_transform = "Raw"
    last = clip.frame_start + max(1, clip.frame_duration) - 1
    scene.frame_start, scene.frame_end = clip.frame_start, last
    return scene
