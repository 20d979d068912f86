"""[B] build: a Reconstruction -> one collection, one root empty, cameras, cloud and splats; or an untouched scene.

A second solve of the same photos updates the same objects, in the first solve's world (`world`). Solved values are set
again: the cameras' poses and optics, the points. The artist's changes stay: the root's transform, names, materials,
modifiers and their values, collections, and everything that is parented or constrained to our objects. A camera that is
not solved any more is removed, unless something uses it. Then it stays where it was, marked as stale.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import bpy
import numpy as np
from mathutils import Matrix

from ..files.bundle_pictures import picture_of
from ..model.errors import UserError
from ..model.reconstruction import Reconstruction, Shot
from . import (
    axes,
    cameras,
    identity,
    layers,
    masks,
    outliner,
    points,
    shot_errors,
    shots,
    startup,
    survey,
    tracks,
    world,
)
from .changes import Changes
from .identity import CLOUD, ROLE, ROOT, SOLVE, SPLATS
from .splats import native, splats

GUESSED = 10.0  # degrees: an up direction with a larger spread is called a guess
STALE = "threer_stale"  # on an object: whether the latest solve lacks it
# On the root: the number of photos chosen beside shots, notes for the artist, the folder of the result.
CHOSEN, NOTES, BUNDLE = "threer_chosen", "threer_notes", "threer_bundle"
UNREGISTERED = "threer_unregistered"  # on the root: JSON, name of a photo without a camera -> sentences on why
UPRIGHT = "threer_upright"  # on the root: a sentence on what told which way is up; "" once the artist has changed that
INDEX = "threer_index"  # on a camera: the index of its photo among the chosen ones
Objects = dict[str, bpy.types.Object]


def build(
    reconstruction: Reconstruction,
    bundle_folder: str | Path,
    scene: bpy.types.Scene | None = None,
    beside: bool = False,
) -> bpy.types.Object:
    """Puts `reconstruction` into `scene` (by default the current one) and returns its root empty.

    `bundle_folder` is where the cameras' undistorted plates are. Render settings and frame range are set only where the
    scene was empty; `cameras.use_camera` sets them on request. Raises UserError where there are no cameras. Whatever is
    raised, the scene and all of Blender's data are then as before.
    """
    scene = scene or bpy.context.scene
    if not reconstruction.cameras:
        raise UserError("The reconstruction has no cameras: choose photos that overlap more, or another engine.")
    with Changes() as changes:
        was_empty = startup.is_empty(scene)
        solve = identity.solve_id(reconstruction)
        if beside and identity.find(scene, solve):
            solve = identity.beside(scene, solve)
        existing = identity.find(scene, solve)
        if ROOT not in existing and not beside:  # photos may have been added to those that were solved before
            existing = identity.find(scene, identity.largest_solve_within(scene, reconstruction.photos)) or existing
        root = existing.get(ROOT) or _new_root(reconstruction)
        if ROOT not in existing:
            changes.mark(root, **{UPRIGHT: upright_sentence(reconstruction)})
        root_from_solved = world.root_from_solved(reconstruction, existing, root)
        numbers = None if root_from_solved is None else root_from_solved.ravel().tolist()
        changes.mark(root, **{world.WORLD: numbers})
        maps = reconstruction.pointmaps  # the scene has no use for their points: moving those would hold Blender up
        reconstruction = replace(world.under(root, replace(reconstruction, pointmaps=[])), pointmaps=maps)
        camera_objects = _cameras(changes, reconstruction, Path(bundle_folder), existing, root)
        makers = _makers(reconstruction).items()
        shapes = {role: _with_geometry(changes, existing.get(role), root, *each) for role, each in makers}
        filmed = _shots(changes, reconstruction, Path(bundle_folder), existing, root)
        tracked = tracks.renewed(changes, reconstruction, existing)
        surveyed = survey.show(changes, reconstruction, existing)
        for obj in surveyed.values():
            _adopt(changes, obj, root)
        ours = {ROOT: root, **camera_objects, **filmed, **tracked, **surveyed, **shapes}
        for role, obj in ours.items():
            changes.mark(obj, **{SOLVE: solve, ROLE: role, STALE: False})
        if CLOUD in ours and (SPLATS in ours) != (SPLATS in existing):  # splats hide the cloud: both show the same
            changes.set(ours[CLOUD], hide_viewport=SPLATS in ours, hide_render=SPLATS in ours)
        describe(changes, root, reconstruction, bundle_folder)
        outliner.link(scene, root, {role: obj for role, obj in ours.items() if role not in existing})
        retire(changes, {role: obj for role, obj in existing.items() if role not in ours})
        if was_empty:
            notes = [identity.text(root, NOTES), startup.make_room(changes, scene)]
            changes.mark(root, **{NOTES: "\n".join(filter(None, notes))})
            changes.set(scene, frame_start=1, frame_end=len(camera_objects), frame_current=1)
            cameras.render_as(changes, scene, next(iter([*filmed.values(), *camera_objects.values()])))
    scene.view_layers[0].update()  # else matrix_world would be wrong for a script that goes on from here
    return root


def photo_cameras(root: bpy.types.Object) -> list[bpy.types.Object]:
    """The photos' camera objects under `root`, in photo order, without frames of shots and without stale ones."""
    return [camera for camera in solved_cameras(root) if cameras.FRAME not in camera]


def solved_cameras(root: bpy.types.Object) -> list[bpy.types.Object]:
    """The photos' camera objects under `root`, in the order of their photos, with frames of shots.

    Stale ones are left out.
    """
    numbered = [(identity.number(child, INDEX), child) for child in root.children if child.type == "CAMERA"]
    ours = [(index, child) for index, child in numbered if index is not None and not identity.flag(child, STALE)]
    return [child for _, child in sorted(ours, key=lambda each: each[0])]


def filming_cameras(root: bpy.types.Object) -> list[bpy.types.Object]:
    """The moving camera objects of shots under `root`, without stale ones."""
    ours = [child for child in root.children if child.type == "CAMERA" and cameras.FRAMES in child]
    return [child for child in ours if not identity.flag(child, STALE)]


def unregistered(root: bpy.types.Object) -> dict[str, str]:
    """Name of a photo without a camera -> sentences on why, as the latest solve of the result under `root` says."""
    try:
        reasons = json.loads(identity.text(root, UNREGISTERED) or "{}")
    except (ValueError, RecursionError):  # the .blend may be anybody's
        return {}
    is_ours = isinstance(reasons, dict) and all(isinstance(reason, str) for reason in reasons.values())
    return reasons if is_ours else {}


def show_tracks(scene: bpy.types.Scene, root: bpy.types.Object, shot: Shot) -> bpy.types.Object:
    """Puts the tracked points of a shot under its `root`, or renews those that are there. Returns their object."""
    reconstruction_id = identity.text(root, SOLVE)
    existing = identity.find(scene, reconstruction_id)
    role = tracks.role(shot)
    with Changes() as changes:
        obj = tracks.show(changes, existing.get(role), world.shot_under(root, shot))
        _adopt(changes, obj, root)
        changes.mark(obj, **{SOLVE: reconstruction_id, ROLE: role, STALE: False})
        if role not in existing:
            outliner.link(scene, root, {role: obj})
    return obj


def frames_of(camera: bpy.types.Object) -> tuple[int, int]:
    """The numbers of the first and the last frame of a camera's shot."""
    first, count = (identity.number(camera, name) or 1 for name in (cameras.FIRST_FRAME, cameras.FRAMES))
    return int(first), int(first + count) - 1


def _name(reconstruction: Reconstruction) -> str:
    """A name that the artist will recognise: that of the video, or of the photos' folder."""
    first = reconstruction.photos[0]
    return Path(first.path).stem if first.frame is not None else Path(first.path).parent.name or "Photos"


def _new_root(reconstruction: Reconstruction) -> bpy.types.Object:
    root = bpy.data.objects.new(f"3R {_name(reconstruction)}", None)
    root.empty_display_type = "ARROWS"
    root.matrix_basis = axes.root_matrix(reconstruction)
    root.empty_display_size = 1.0 / root.scale.x
    return root


def _cameras(
    changes: Changes, reconstruction: Reconstruction, bundle: Path, existing: Objects, root: bpy.types.Object
) -> Objects:
    """Role -> camera object, new or updated, for every solved camera."""
    roles = identity.camera_roles(reconstruction.photos)
    sample, _ = axes.sampled_points(reconstruction)
    scale = _scale(root)
    size = _display_size(reconstruction) * scale
    camera_objects = {}
    for index, photo in enumerate(reconstruction.photos):
        camera = reconstruction.camera(photo.name)
        if camera is None:
            continue
        obj = existing.get(roles[photo.name])
        if obj is None:
            obj = cameras.new_camera(photo)
            obj.data.display_size = size
        clipping = cameras.clip_range(axes.visible_depths(camera, sample), scale)
        cameras.set_solved(changes, obj, camera, photo, axes.camera_matrix(camera), clipping)
        picture = picture_of(camera, photo, bundle)
        if picture.is_file():
            cameras.background(changes, obj.data, camera, picture)
        _adopt(changes, obj, root)
        changes.mark(obj, **{INDEX: index, cameras.FRAME: photo.frame})
        camera_objects[roles[photo.name]] = obj
    return camera_objects


def _shots(
    changes: Changes, reconstruction: Reconstruction, bundle: Path, existing: Objects, root: bpy.types.Object
) -> Objects:
    """Role -> camera object, new or updated, for every shot."""
    sample, _ = axes.sampled_points(reconstruction)
    scale = _scale(root)
    camera_objects = {}
    for shot in reconstruction.shots:
        role = shots.role(shot)
        photo = next(photo for photo in reconstruction.photos if photo.path == shot.path)
        obj = existing.get(role)
        if obj is None:
            obj = cameras.new_camera(replace(photo, name=shot.video))
            obj.data.display_size = _display_size(reconstruction) * scale
        depths = np.concatenate([axes.visible_depths(camera, sample) for camera in list(shot.cameras.values())[::10]])
        with layers.renewed(changes, obj), layers.renewed(changes, obj.data):
            shots.show(changes, obj, shot, photo, cameras.clip_range(depths, scale), bundle)
            shot_errors.show(changes, obj, shot, reconstruction.cloud)
        tracks.set_bad_ranges(changes, obj, list(shot.bad))
        _adopt(changes, obj, root)
        camera_objects[role] = obj
    return camera_objects


def _scale(root: bpy.types.Object) -> float:
    """The scale at which a root's reconstruction stands. A new root has no evaluated matrix yet."""
    return float((root.matrix_world if root.parent else root.matrix_basis).median_scale)


def _display_size(reconstruction: Reconstruction) -> float:
    """The display size of the cameras, in the reconstruction's units: smaller where the cameras are dense."""
    centres = np.array([camera.world_from_camera[:3, 3] for camera in reconstruction.cameras])
    sample, _ = axes.sampled_points(reconstruction)
    if not len(sample):
        return 1.0
    distance = float(np.median(np.linalg.norm(sample - centres.mean(axis=0), axis=1)))
    steps = np.linalg.norm(np.diff(centres, axis=0), axis=1)
    spacing = float(np.median(steps)) if len(steps) else distance
    return float(np.clip(spacing / 2, distance / 50, distance / 10))


Makers = tuple[Callable[[bool], bpy.types.ID], Callable[[bpy.types.ID], bpy.types.Object]]
"""Two functions. The first makes geometry, as a mesh where its argument is true. The second makes its object."""


def _makers(reconstruction: Reconstruction) -> dict[str, Makers]:
    """Role -> Makers, for the cloud and for the Gaussians, where the reconstruction has them."""
    name, cloud, gaussians = _name(reconstruction), reconstruction.cloud, reconstruction.gaussians
    makers: dict[str, Makers] = {}
    if cloud is not None:
        makers[CLOUD] = (
            lambda as_mesh: points.new_geometry(f"{name} points", cloud, points.radii(reconstruction), as_mesh),
            lambda geometry: points.new_object(f"{name} points", geometry, reconstruction.trusted_confidence),
        )
    if gaussians is not None:
        makers[SPLATS] = (
            lambda as_mesh: splats.new_geometry(f"{name} splats", gaussians, as_mesh),
            lambda geometry: splats.new_object(f"{name} splats", geometry),
        )
    return makers


def _with_geometry(
    changes: Changes,
    obj: bpy.types.Object | None,
    root: bpy.types.Object,
    new_geometry: Callable[[bool], bpy.types.ID],
    new_object: Callable[[bpy.types.ID], bpy.types.Object],
) -> bpy.types.Object:
    """`obj` with new geometry, or a new object, by its Makers."""
    geometry = new_geometry(obj.type == "MESH" if obj else not points.has_point_clouds())
    if obj is None:
        obj = new_object(geometry)
    else:
        masks.carry(obj.data, geometry)
        native.keep_type(obj.data, geometry)
        changes.release(obj.data)
        changes.set(obj, data=geometry)
    _adopt(changes, obj, root)
    return obj


def _adopt(changes: Changes, child: bpy.types.Object, root: bpy.types.Object) -> None:
    """Parents `child` to `root`. Its own transform is then in the reconstruction's world."""
    if child.parent != root:
        changes.set(child, parent=root)
        changes.set(child, parent_type="OBJECT")
        changes.set(child, matrix_parent_inverse=Matrix())


def upright_sentence(reconstruction: Reconstruction) -> str:
    """A sentence on the evidence for the up direction, its exactness, and the evidence against it."""
    upright = reconstruction.upright
    if upright is None:
        return "Up is as the solve has it; the tool Ground changes it."
    by, against = ", ".join(upright.agreeing), ", ".join(upright.disagreeing)
    exact = f"to about {upright.spread:.0f}°" if upright.spread >= 1.5 else "to about 1°"
    exact = "which is a guess" if upright.spread > GUESSED else exact
    ground = "" if upright.ground is not None else " No plane is the ground: its height is a guess."
    return f"Up comes from {by}, {exact}{f'; {against} disagree' if against else ''}.{ground}"


def describe(
    changes: Changes, root: bpy.types.Object, reconstruction: Reconstruction, bundle_folder: str | Path
) -> None:
    """Sets the root's custom properties: notes for the artist, the result's folder, and facts about the result."""
    unregistered = [f"{photo.photo}: {photo.reason} {photo.advice}" for photo in reconstruction.unregistered]
    missing = [
        f"{photo.name}: there is no {picture} any more, so its camera has no background picture."
        for photo in reconstruction.photos
        if (camera := reconstruction.camera(photo.name))
        and not (picture := picture_of(camera, photo, Path(bundle_folder))).is_file()
    ]
    filming = [child for child in root.children if any(shots.is_of(child, shot) for shot in reconstruction.shots)]
    without_plate = [
        f"{child.name}: there is no plate behind its camera, because the files are gone, or because this Blender does "
        "not turn the video upright as Blender 4.5 does."
        for child in filming
        if not any(background.clip for background in child.data.background_images)
    ]
    frames = {photo.name for photo in reconstruction.photos if photo.frame is not None}
    photos = [
        *(camera.photo for camera in reconstruction.cameras),
        *(lost.photo for lost in reconstruction.unregistered),
    ]
    changes.mark(
        root,
        **{
            CHOSEN: sum(photo not in frames for photo in photos),
            NOTES: "\n".join([*reconstruction.notes, *unregistered, *missing, *without_plate]),
            UNREGISTERED: json.dumps(
                {lost.photo: f"{lost.reason} {lost.advice}" for lost in reconstruction.unregistered}
            ),
            BUNDLE: cameras.stored_path(Path(bundle_folder)),
        },
        threer_engine=reconstruction.engine,
        threer_licence=reconstruction.licence,
        threer_metric=reconstruction.metric,
        threer_confidence=reconstruction.confidence_meaning,
    )


def retire(changes: Changes, stale: Objects) -> None:
    """Removes objects that an earlier solve made and this one did not. Those that something uses are marked stale."""
    for obj in stale.values():
        if _is_used(obj):
            changes.mark(obj, **{STALE: True})
            continue
        changes.remove(obj)
        changes.release(obj.data)
        for background in getattr(obj.data, "background_images", ()):
            changes.release(background.image)


def _is_used(obj: bpy.types.Object) -> bool:
    """Whether something uses an object: another object, a scene's camera or marker, or an animation by the artist."""
    if (obj.animation_data and cameras.FRAMES not in obj) or obj.constraints:
        return True
    for user in bpy.data.user_map(subset={obj})[obj]:
        if isinstance(user, bpy.types.Scene):  # Blender counts every scene that shows the object
            if obj in (user.camera, *(marker.camera for marker in user.timeline_markers)):
                return True
        elif not isinstance(user, bpy.types.Collection):
            return True
    return False
