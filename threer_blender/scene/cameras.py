"""[B] Camera -> Blender camera: optics, clip range, background plate; and the render settings that match one.

Blender keeps resolution and pixel aspect in the scene, not in the camera. So each camera object carries its own as
custom properties, and `use_camera` hands them to a scene when somebody asks for it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import bpy
import numpy as np

from ..model.arrays import FloatArray
from ..model.errors import UserError
from ..model.reconstruction import Camera, Photo
from . import identity
from .changes import Changes

WIDTH, HEIGHT, PIXEL_ASPECT = "threer_width", "threer_height", "threer_pixel_aspect"
PHOTO, ERROR, ERROR_BEFORE = "threer_photo", "threer_reprojection_error", "threer_error_before"
# Of a camera that moves: how many frames its plate has, how many a second, and the number of the first.
FRAMES, FRAME_RATE, FIRST_FRAME = "threer_frames", "threer_frame_rate", "threer_first_frame"

LAST_FRAME = 1_048_574  # of a scene

DEFAULT_SENSOR = 36.0  # mm along the larger side, full frame, where EXIF says nothing


def pixel_aspect(camera: Camera) -> float:
    """Height over width of a pixel: Blender has one focal length, so fx ≠ fy means pixels that are not square."""
    return camera.fx / camera.fy


def optics(camera: Camera, sensor_width: float | None) -> dict[str, Any]:
    """Attributes with which a bpy.types.Camera sees as `camera` does; `sensor_width` is mm along the photo's width.

    The fit names the larger side instead of leaving it to the render's resolution, so that a portrait camera keeps
    its view while the scene is set to a landscape one. Shifts are in units of the fitted side.
    """
    width, height, aspect = camera.width, camera.height, pixel_aspect(camera)
    if camera.distortion.is_panorama:
        return {"type": "PANO"}
    landscape = width >= height
    fitted = width if landscape else height * aspect  # in pixel widths
    sensor = sensor_width * fitted / width if sensor_width else DEFAULT_SENSOR  # mm along the fitted side
    return {
        "type": "PERSP",
        "sensor_fit": "HORIZONTAL" if landscape else "VERTICAL",
        "sensor_width": sensor * width / fitted,
        "sensor_height": sensor * height * aspect / fitted,
        "lens_unit": "MILLIMETERS",
        "lens": sensor * camera.fx / fitted,
        "shift_x": (width / 2 - camera.cx) / fitted,
        "shift_y": (camera.cy - height / 2) * aspect / fitted,
    }


def solved_number(obj: bpy.types.Object, key: str) -> float:
    """A number that the solve left on its camera. Raises UserError where it is gone or none any more."""
    value = identity.number(obj, key)
    if value is None:
        raise UserError(f"{obj.name} does not say any more how it was solved; import its result again.")
    return value


def rays(obj: bpy.types.Object, places: FloatArray) -> FloatArray:
    """Unit view directions (N, 3), in the axes of our camera object, of places (N, 2) in its picture: shares of the
    width from the left and of the height from the top. The inverse of `optics`."""
    data = obj.data
    width, height, aspect = (solved_number(obj, key) for key in (WIDTH, HEIGHT, PIXEL_ASPECT))
    horizontal = data.sensor_fit == "HORIZONTAL"
    fitted = width if horizontal else height * aspect
    focal = data.lens * fitted / (data.sensor_width if horizontal else data.sensor_height)
    x = places[:, 0] * width - (width / 2 - data.shift_x * fitted)
    y = places[:, 1] * height * aspect - (height * aspect / 2 + data.shift_y * fitted)
    directions = np.stack([x / focal, -y / focal, np.full(len(x), -1.0)], axis=-1)
    unit: FloatArray = directions / np.linalg.norm(directions, axis=1, keepdims=True)
    return unit


def clip_range(depths: FloatArray, scale: float) -> dict[str, float]:
    """Clip distances around what a camera sees, with room for what the artist adds; `scale` is the root's."""
    if not len(depths):
        return {}
    near, far = np.percentile(depths, (1, 99)) * scale
    return {"clip_start": near / 50, "clip_end": far * 20}


def stored_path(path: Path) -> str:
    """The path by which a .blend names a file: relative where it lies beside or above that, so that both can move."""
    blend = bpy.data.filepath
    if blend and path.resolve().is_relative_to(Path(blend).resolve().parent):
        return str(bpy.path.relpath(str(path)))
    return str(path)


def background(changes: Changes, data: bpy.types.Camera, camera: Camera, picture: Path) -> None:
    """Show `picture`, the undistorted upright photo, behind everything in `data`'s camera view, filling its frame."""
    with_images = (each for each in data.background_images if each.image)
    ours = next((each for each in with_images if PHOTO in each.image), None)
    known = set(bpy.data.images)
    image = bpy.data.images.load(str(picture), check_existing=True)
    if image in known:
        image.reload()
    changes.mark(image, **{PHOTO: camera.photo})
    # The frame is as wide as it is high in pixels times their aspect; the picture must be too, for FIT to fill it.
    changes.set(image, filepath=stored_path(picture), display_aspect=(1.0, pixel_aspect(camera)))
    if ours is None:
        ours = data.background_images.new()
        ours.alpha = 1.0
        changes.on_failure(lambda: data.background_images.remove(ours))
    elif ours.image != image:
        changes.release(ours.image)
    changes.set(ours, source="IMAGE", image=image, frame_method="FIT")
    changes.set(data, show_background_images=True)


def new_camera(photo: Photo) -> bpy.types.Object:
    """A camera object named after its photo, not yet in any collection."""
    data = bpy.data.cameras.new(photo.name)
    data.show_passepartout = True
    return bpy.data.objects.new(photo.name, data)


def set_solved(changes: Changes, obj: bpy.types.Object, camera: Camera, photo: Photo, matrix: Any, clip: Any) -> None:
    """Bring the camera object `obj`, under its root, to what was solved."""
    location, rotation, _ = matrix.decompose()
    changes.set(obj, rotation_mode="XYZ", location=location, scale=(1.0, 1.0, 1.0))
    changes.set(obj, rotation_euler=rotation.to_euler("XYZ"))
    changes.set(obj.data, **optics(camera, photo.sensor_width), **clip)
    if camera.distortion.is_panorama:
        _see_all_around(changes, obj.data)
    changes.mark(
        obj,
        **{PHOTO: camera.photo, WIDTH: camera.width, HEIGHT: camera.height, PIXEL_ASPECT: pixel_aspect(camera)},
    )
    changes.mark(obj, **{ERROR: camera.reprojection_error, ERROR_BEFORE: camera.error_before})


def _see_all_around(changes: Changes, data: bpy.types.Camera) -> None:
    """The whole sphere, as Cycles renders it."""
    owner = data if hasattr(data, "panorama_type") else data.cycles  # where Blenders before 4.5 keep it
    whole = {"longitude_min": -np.pi, "longitude_max": np.pi, "latitude_min": -np.pi / 2, "latitude_max": np.pi / 2}
    changes.set(owner, panorama_type="EQUIRECTANGULAR", **whole)


def use_camera(scene: bpy.types.Scene, obj: bpy.types.Object) -> None:
    """Make `scene` render as the solved camera `obj` saw: active camera, resolution, pixel aspect, frames."""
    with Changes() as changes:
        render_as(changes, scene, obj)


def render_as(changes: Changes, scene: bpy.types.Scene, obj: bpy.types.Object) -> None:
    """`use_camera`, within changes that may have to be undone.

    Where a timeline marker binds the camera to a frame, that becomes the current frame: the marker would otherwise
    put another camera in its place.
    """
    aspect = obj[PIXEL_ASPECT]
    changes.set(scene, camera=obj)
    changes.set(
        scene.render,
        resolution_x=obj[WIDTH],
        resolution_y=obj[HEIGHT],
        pixel_aspect_x=max(1.0, 1 / aspect),  # Blender wants both to be at least 1
        pixel_aspect_y=max(1.0, aspect),
    )
    if obj.data.type == "PANO":  # no other of Blender's engines renders one
        changes.set(scene.render, engine="CYCLES")
    if FRAMES in obj:
        rate = obj[FRAME_RATE]
        first = obj.get(FIRST_FRAME, 1)
        changes.set(scene, frame_start=first, frame_end=first + obj[FRAMES] - 1)
        changes.set(scene.render, fps=max(1, round(rate)), fps_base=max(1, round(rate)) / rate)
    frame = next((marker.frame for marker in scene.timeline_markers if marker.camera == obj), None)
    if frame is not None:
        changes.set(scene, frame_current=frame)


def one_view_per_frame(scene: bpy.types.Scene, cameras: list[bpy.types.Object]) -> None:
    """Bind the cameras to the frames 1..N by timeline markers, so that stepping through frames steps through views.

    Offered, never done unasked: a scene with such markers renders through their cameras only, whichever is active.
    """
    for marker in [marker for marker in scene.timeline_markers if marker.camera in cameras]:
        scene.timeline_markers.remove(marker)
    for frame, obj in enumerate(cameras, start=1):
        scene.timeline_markers.new(obj.name, frame=frame).camera = obj
    scene.frame_start, scene.frame_end = 1, len(cameras)
