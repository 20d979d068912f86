"""[B] Camera -> Blender camera: optics, clip range and background plate. Also the render settings that match a camera.

Blender keeps resolution and pixel aspect in the scene, not in the camera. So each camera object has its own as custom
properties, and `use_camera` sets them in a scene when somebody asks for it.
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
FRAME = "threer_frame"  # of a camera whose photo is a frame of a shot: the frame's number
PHOTO = "threer_photo"  # on a camera and on its picture or clip: the photo's or the shot's name
# On a camera: its mean reprojection error in pixels, and the one before refinement.
ERROR, ERROR_BEFORE = "threer_reprojection_error", "threer_error_before"
# On a shot's camera: the number of frames, the frames per second, and the number of the first frame.
FRAMES, FRAME_RATE, FIRST_FRAME = "threer_frames", "threer_frame_rate", "threer_first_frame"

LAST_FRAME = 1_048_574  # the largest frame number of a Blender scene

KEYED_OPTICS = ("lens", "shift_x", "shift_y")  # those of `optics` that are keyed where a shot changes them

DEFAULT_SENSOR = 36.0  # mm along the larger side, full frame, where EXIF says nothing


def pixel_aspect(camera: Camera) -> float:
    """Height over width of a pixel: Blender has one focal length, so fx ≠ fy means pixels that are not square."""
    return camera.fx / camera.fy


def optics(camera: Camera, sensor_width: float | None) -> dict[str, Any]:
    """The attributes with which a bpy.types.Camera sees as `camera` does.

    `sensor_width` is in mm along the photo's width, None where it is unknown. The sensor fit names the larger side
    explicitly, so that a portrait camera keeps its view while the scene has a landscape resolution. Shifts are in units
    of the fitted side. For a panorama there is the type alone.
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
    """A number among a solved camera's custom properties. Raises UserError where it is gone or no number any more."""
    value = identity.number(obj, key)
    if value is None:
        raise UserError(f"{obj.name} does not say any more how it was solved; import its result again.")
    return value


def rays(obj: bpy.types.Object, places: FloatArray) -> FloatArray:
    """Unit view directions (N, 3), in the axes of the Blender camera `obj`, of places (N, 2) in its picture.

    Places are shares of the width from the left and of the height from the top. This is the inverse of `optics`. Raises
    UserError where the camera's custom properties are gone.
    """
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
    """Clip distances for a camera that sees points at `depths` (N,), with room for CG; none without points.

    `depths` are in the reconstruction's units, and `scale` is the root's.
    """
    if not len(depths):
        return {}
    near, far = np.percentile(depths, (1, 99)) * scale
    return {"clip_start": near / 50, "clip_end": far * 20}


def stored_path(path: Path) -> str:
    """The path by which the .blend names a file: relative where the file lies in the .blend's folder or below it.

    So both can move together.
    """
    blend = bpy.data.filepath
    if blend and path.resolve().is_relative_to(Path(blend).resolve().parent):
        return str(bpy.path.relpath(str(path)))
    return str(path)


def rendered_path(path: str) -> str:
    """The path as settings for rendered files take it: from Blender 4.5 on, they read text in braces as a variable."""
    return path.replace("{", "{{").replace("}", "}}") if bpy.app.version >= (4, 5, 0) else path


def background(changes: Changes, data: bpy.types.Camera, camera: Camera, picture: Path) -> None:
    """Shows `picture`, the undistorted upright photo, behind everything in the camera's view, filling the frame."""
    with_images = (each for each in data.background_images if each.image)
    plate = next((each for each in with_images if PHOTO in each.image), None)
    known = set(bpy.data.images)
    image = bpy.data.images.load(str(picture), check_existing=True)
    if image in known:
        image.reload()
    changes.mark(image, **{PHOTO: camera.photo})
    # FIT fills the frame only where the picture has the frame's proportions, pixel aspect included.
    changes.set(image, filepath=stored_path(picture), display_aspect=(1.0, pixel_aspect(camera)))
    if plate is None:
        plate = data.background_images.new()
        plate.alpha = 1.0
        changes.on_failure(lambda: data.background_images.remove(plate))
    elif plate.image != image:
        changes.release(plate.image)
    changes.set(plate, source="IMAGE", image=image, frame_method="FIT")
    changes.set(data, show_background_images=True)


def new_camera(photo: Photo) -> bpy.types.Object:
    """A camera object named after its photo, not yet in any collection."""
    data = bpy.data.cameras.new(photo.name)
    data.show_passepartout = True
    return bpy.data.objects.new(photo.name, data)


def set_solved(
    changes: Changes, obj: bpy.types.Object, camera: Camera, photo: Photo, matrix: Any, clipping: Any
) -> None:
    """Sets the camera object `obj` to the solved `camera` of `photo`.

    `matrix` is its local matrix under the root (`axes.camera_matrix`), and `clipping` are attributes from `clip_range`.
    """
    location, rotation, _ = matrix.decompose()
    changes.set(obj, rotation_mode="XYZ", location=location, scale=(1.0, 1.0, 1.0))
    changes.set(obj, rotation_euler=rotation.to_euler("XYZ"))
    changes.set(obj.data, **optics(camera, photo.sensor_width), **clipping)
    if camera.distortion.is_panorama:
        _see_all_around(changes, obj.data)
    changes.mark(
        obj,
        **{PHOTO: camera.photo, WIDTH: camera.width, HEIGHT: camera.height, PIXEL_ASPECT: pixel_aspect(camera)},
    )
    changes.mark(obj, **{ERROR: camera.reprojection_error, ERROR_BEFORE: camera.error_before})


def _see_all_around(changes: Changes, data: bpy.types.Camera) -> None:
    """Makes the camera render the whole sphere in Cycles."""
    owner = data if hasattr(data, "panorama_type") else data.cycles  # Cycles' own settings before Blender 4.5
    whole = {"longitude_min": -np.pi, "longitude_max": np.pi, "latitude_min": -np.pi / 2, "latitude_max": np.pi / 2}
    changes.set(owner, panorama_type="EQUIRECTANGULAR", **whole)


def use_camera(scene: bpy.types.Scene, obj: bpy.types.Object) -> None:
    """Makes `scene` render through the solved camera `obj`: active camera, resolution, pixel aspect, frames."""
    with Changes() as changes:
        render_as(changes, scene, obj)


def render_as(changes: Changes, scene: bpy.types.Scene, obj: bpy.types.Object) -> None:
    """As `use_camera`, within `changes`.

    Where a timeline marker binds the camera to a frame, that becomes the current frame. Otherwise a marker would put
    another camera in its place.
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
    if obj.data.type == "PANO":  # only Cycles renders panoramas
        changes.set(scene.render, engine="CYCLES")
    if FRAMES in obj:
        rate = obj[FRAME_RATE]
        first = obj.get(FIRST_FRAME, 1)
        last = first + obj[FRAMES] - 1
        changes.set(scene, frame_start=first, frame_end=last)
        if not first <= scene.frame_current <= last:
            changes.set(scene, frame_current=first)
        changes.set(scene.render, fps=max(1, round(rate)), fps_base=max(1, round(rate)) / rate)
    frame = next((marker.frame for marker in scene.timeline_markers if marker.camera == obj), None)
    if frame is not None:
        changes.set(scene, frame_current=frame)


def one_view_per_frame(scene: bpy.types.Scene, cameras: list[bpy.types.Object]) -> None:
    """Binds the cameras to the frames 1 to N by timeline markers, so that stepping through frames steps through views.

    Only on request: a scene with such markers renders through their cameras alone, whichever camera is active.
    """
    for marker in [marker for marker in scene.timeline_markers if marker.camera in cameras]:
        scene.timeline_markers.remove(marker)
    for frame, obj in enumerate(cameras, start=1):
        scene.timeline_markers.new(obj.name, frame=frame).camera = obj
    scene.frame_start, scene.frame_end = 1, len(cameras)


def plate(scene: bpy.types.Scene) -> bpy.types.CameraBackgroundImage | None:
    """The background of the scene's camera that shows a photo or a shot; None without one."""
    camera = scene.camera
    backgrounds = camera.data.background_images if camera is not None and camera.type == "CAMERA" else ()
    return next((each for each in backgrounds if each.image or each.clip), None)


def plate_over(scene: bpy.types.Scene) -> float:
    """How opaque the plate of the scene's camera is before everything else; 0 where it is behind."""
    background = plate(scene)
    return 0.0 if background is None or background.display_depth == "BACK" else float(background.alpha)


def put_plate_over(scene: bpy.types.Scene, opacity: float) -> None:
    """Puts the plate of the scene's camera before everything else, as opaque as said; at 0 behind it, opaque."""
    background = plate(scene)
    if background is not None:
        background.display_depth = "FRONT" if opacity > 0 else "BACK"
        background.alpha = opacity or 1.0
