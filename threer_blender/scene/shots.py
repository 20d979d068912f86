"""[B] Shot -> one moving camera, keyed at every frame that has a camera, with the video as its background."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import bpy

from ..files import sequence_files
from ..files.bundle_pictures import plate_of
from ..lenses import fits
from ..lenses.overscan import Overscan, without_distortion
from ..model.lens import Distortion
from ..model.reconstruction import Camera, Photo, Reconstruction, Shot
from ..reports import smoothing
from . import axes, cameras, identity, layers
from .changes import Changes

# Our name of a distortion model -> Blender's model, and Blender's name and sign of each parameter, in the order of
# `model.lens_formulas`. Both map normalised coordinates. Blender's y goes up, and its p1 and p2 are swapped.
LENSES: dict[str, tuple[str, tuple[tuple[str, int], ...]]] = {
    "SIMPLE_RADIAL": ("POLYNOMIAL", (("k1", 1),)),
    "RADIAL": ("POLYNOMIAL", (("k1", 1), ("k2", 1))),
    "OPENCV": ("BROWN", (("brown_k1", 1), ("brown_k2", 1), ("brown_p2", -1), ("brown_p1", 1))),
    "BROWN": (
        "BROWN",
        (*((f"brown_k{i}", 1) for i in (1, 2, 3, 4)), ("brown_p2", -1), ("brown_p1", 1)),
    ),
}
STAND_IN = "BROWN"  # fitted to models that Blender lacks; its DIVISION divides by another radius than COLMAP's
MOST_RESIDUAL = 0.25  # px RMS; a worse fit would mislead
LENS_RESIDUAL = "threer_lens_residual"  # on a clip: px RMS by which its lens differs from the solved one
SMOOTHING = "threer_smoothing"  # on a shot's camera: the width in frames of the smoothing that the artist wants
MOST_SMOOTHING = 50.0  # frames


def role(shot: Shot) -> str:
    """The role of the shot's camera among the objects of a solve, see `identity`."""
    return f"shot {shot.video}"


def is_of(obj: bpy.types.Object, shot: Shot) -> bool:
    """Whether a camera object is the shot's."""
    return bool(obj.get(identity.ROLE) == role(shot))


def show(
    changes: Changes, obj: bpy.types.Object, shot: Shot, photo: Photo, clipping: dict[str, float], bundle: Path
) -> None:
    """Sets the camera object `obj`, under its root, to the cameras of a shot, with its plate as the background.

    `photo` is one of the shot's frames, `clipping` are attributes from `cameras.clip_range`, and `bundle` is the
    folder of the result.
    """
    first = shot.plate_camera(next(iter(shot.cameras)))
    cameras.set_solved(changes, obj, first, photo, axes.camera_matrix(first), clipping)
    changes.set(obj, rotation_mode="QUATERNION")
    changes.mark(obj, **{cameras.FRAMES: shot.frame_count, cameras.FRAME_RATE: float(shot.frame_rate)})
    changes.mark(obj, **{cameras.FIRST_FRAME: shot.first_frame})
    key_poses(obj, smoothed(obj, shot))
    _key_lens(obj.data, {number: shot.plate_camera(number) for number in shot.cameras}, photo.sensor_width)
    plate = plate_of(shot, bundle)
    if sequence_files.exists(plate):
        _background(changes, obj.data, shot, first, plate)


def smoothing_width(obj: bpy.types.Object) -> float:
    """The width in frames by which the artist smoothed a shot's camera; 0 where it stands as it was solved."""
    return min(max(identity.number(obj, SMOOTHING) or 0.0, 0.0), MOST_SMOOTHING)


def smoothed(obj: bpy.types.Object, shot: Shot) -> Shot:
    """The shot with its camera smoothed as the artist wants the camera object `obj`."""
    return smoothing.smoothed(shot, smoothing_width(obj))


def as_smoothed(objects: Iterable[bpy.types.Object], result: Reconstruction) -> tuple[Reconstruction, list[str]]:
    """The result with its shots' cameras as smooth as those of the camera `objects`, and sentences about that.

    The cameras of photos that are frames of a shot move as the shot's camera does.
    """
    widths = {shot.video: smoothing_width(obj) for obj in objects for shot in result.shots if is_of(obj, shot)}
    smooth_shots = [smoothing.smoothed(shot, widths.get(shot.video, 0.0)) for shot in result.shots]
    by_path = {
        before.path: (before.cameras, after.cameras) for before, after in zip(result.shots, smooth_shots, strict=True)
    }
    photos = {photo.name: photo for photo in result.photos}
    moved = []
    for camera in result.cameras:
        photo = photos[camera.photo]
        before, after = by_path.get(photo.path, ({}, {}))
        if photo.frame in before and before[photo.frame] is not after[photo.frame]:
            solved_from_smooth = before[photo.frame].camera_from_world @ after[photo.frame].world_from_camera
            camera = replace(camera, world_from_camera=camera.world_from_camera @ solved_from_smooth)
        moved.append(camera)
    sentences = [
        f"the camera of {name} is smoothed over {width:g} frames, as here" for name, width in widths.items() if width
    ]
    return replace(result, shots=smooth_shots, cameras=moved), sentences


def key_poses(obj: bpy.types.Object, shot: Shot) -> None:
    """Keys the camera object `obj` at every frame of the shot that has a camera."""
    before = None
    translates = len({tuple(camera.world_from_camera[:3, 3]) for camera in shot.cameras.values()}) > 1
    for number, camera in shot.cameras.items():
        location, rotation, _ = axes.camera_matrix(camera).decompose()
        if before is not None and rotation.dot(before) < 0:
            rotation.negate()  # the same rotation; interpolated between the two signs the camera would spin
        before = rotation.copy()
        obj.location, obj.rotation_quaternion = location, rotation
        if translates:  # a nodal camera has keys for its rotation alone
            obj.keyframe_insert("location", frame=number)
        obj.keyframe_insert("rotation_quaternion", frame=number)


def add_overscan(changes: Changes, obj: bpy.types.Object, shot: Shot, photo: Photo, added: Overscan) -> None:
    """Makes the shot's camera object see `added` more pixels around the plate. The plate stays where it was.

    The focal length in millimetres stays, and the sensor grows.
    """
    plate = {number: shot.plate_camera(number) for number in shot.cameras}
    wide = {number: without_distortion(camera, added) for number, camera in plate.items()}
    before, first = next(iter(plate.values())), next(iter(wide.values()))
    sensor_width = cameras.optics(before, photo.sensor_width)["sensor_width"] * first.width / before.width
    with layers.renewed(changes, obj.data):
        changes.set(obj.data, **cameras.optics(first, sensor_width))
        changes.mark(obj, **{cameras.WIDTH: first.width, cameras.HEIGHT: first.height})
        _key_lens(obj.data, wide, sensor_width)
    for each in obj.data.background_images:
        if each.clip is not None and cameras.PHOTO in each.clip:
            changes.set(each, scale=max(before.width / first.width, before.height / first.height))


def _key_lens(data: bpy.types.Camera, solved: dict[int, Camera], sensor_width: float | None) -> None:
    """Keys the focal length and the shifts of the `solved` cameras (by frame number), where they change."""
    optics = {number: cameras.optics(camera, sensor_width) for number, camera in solved.items()}
    for name in cameras.KEYED_OPTICS:
        if len({values[name] for values in optics.values()}) > 1:
            for number, values in optics.items():
                setattr(data, name, values[name])
                data.keyframe_insert(name, frame=number)


def _background(changes: Changes, data: bpy.types.Camera, shot: Shot, camera: Camera, plate: Path) -> None:
    """Shows the plate behind everything in the camera's view. Blender undistorts it with the solved lens.

    Frame 1001 of an image sequence appears at the scene's frame 1001. Where a file is missing, nothing is shown.
    """
    background = next((each for each in data.background_images if each.clip and cameras.PHOTO in each.clip), None)
    file = next(iter(sequence_files.frames(plate).values())) if sequence_files.is_pattern(plate) else plate
    film = bpy.data.movieclips.load(str(file))
    film.frame_start = shot.first_frame
    if tuple(film.size) != (camera.width, camera.height):  # Blender shows some phones' videos lying on their side
        bpy.data.movieclips.remove(film)
        return
    changes.mark(film, **{cameras.PHOTO: shot.video})
    film.filepath = cameras.stored_path(file)
    film.display_aspect = (1.0, cameras.pixel_aspect(camera))
    undistorted = _describe_lens(film, camera)
    if background is None:
        background = data.background_images.new()
        background.alpha = 1.0
        changes.on_failure(lambda: data.background_images.remove(background))
    else:
        changes.release(background.clip)
    changes.set(background, source="MOVIE_CLIP", clip=film, frame_method="FIT", scale=1.0)
    changes.set(background.clip_user, use_render_undistorted=undistorted)
    changes.set(data, show_background_images=True)


def _describe_lens(film: bpy.types.MovieClip, camera: Camera) -> bool:
    """Sets the solved lens in the clip. Returns whether Blender can undo its distortion."""
    lens = film.tracking.camera
    lens.pixel_aspect = camera.fy / camera.fx
    lens.units, lens.focal_length_pixels = "PIXELS", camera.fx
    lens.principal_point_pixels = (camera.cx, camera.height - camera.cy)
    distortion: Distortion = camera.distortion
    if distortion.model not in LENSES and not distortion.is_identity:
        copy = fits.fit(camera, STAND_IN)
        film[LENS_RESIDUAL] = copy.rms
        if copy.rms > MOST_RESIDUAL or copy.covered < 1:
            return False
        distortion = copy.distortion
    if distortion.model not in LENSES:
        return False
    lens.distortion_model, names = LENSES[distortion.model]
    for (name, sign), value in zip(names, distortion.params, strict=True):
        setattr(lens, name, sign * value)
    return True
