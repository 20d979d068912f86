"""[S] A solve and its photos -> a Reconstruction: lenses in pixels of the displayed photos, points with their photo."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace

import numpy as np

from ...model.arrays import Array, FloatArray
from ...model.lens import Distortion
from ...model.lens_formulas import FORMULAS
from ...model.reconstruction import Camera, Photo, PointCloud, Reconstruction, Unregistered
from .solve import Lens, Points, Solve, View, relative_to

MOST_ROUNDED = 1.5  # pixels of the solved photo by which a smaller copy may miss its proportions
LARGEST_ROUNDING = 1e-5  # of the scene's size: where float32 rounds positions by more, they count from a near origin
# EXIF's orientations that rotate a stored picture by 90 degrees -> the displayed picture's axes from the stored one's.
QUARTER_TURNS = {6: np.array([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]]), 8: np.array([[0.0, 1, 0], [-1, 0, 0], [0, 0, 1]])}
MISSING = "Its photo was not there."
CHUNK = 1 << 16  # points whose nearest cameras are looked for at a time


@dataclass(frozen=True)
class Pictured:
    """A view with its photo, None where that is missing, and the EXIF orientation of the photo's file."""

    view: View
    photo: Photo | None = None
    orientation: int = 1


def reconstruction(solve: Solve, pictured: list[Pictured], notes: list[str]) -> Reconstruction:
    """The Reconstruction with all cameras whose size is known, whether their photos are there or not.

    Other photos are unregistered. `pictured` are the views of `solve`, in its order. A photo whose proportions are not
    those of the solved one is not used. `notes` go at the end of the result's notes.
    """
    solve, origin_notes = _near_zero(solve)
    photos: list[Photo] = []
    cameras: list[Camera] = []
    photo_of = np.full(len(pictured), -1, np.int64)
    unregistered = [
        Unregistered(name, "The solve has no camera for it.", "Solve again.") for name in solve.unregistered
    ]
    misfits = []
    sizes = {(each.photo.width, each.photo.height) for each in pictured if each.photo is not None}
    usual = sizes.pop() if len(sizes) == 1 else (0, 0)
    for number, (each, view) in enumerate(zip(pictured, solve.views, strict=True)):  # `each.view` is not near zero
        camera = None if each.photo is None else _in_photo(view, each.photo, each.orientation)
        photo = each.photo
        if camera is None:
            if photo is not None:
                misfits.append(view.name)
            photo = _absent(view, usual)
            camera = None if photo is None else _in_photo(view, photo, 1)
        if camera is None or photo is None:
            advice = "Name the folder of the photos: the file does not say how large they are."
            unregistered.append(Unregistered(view.name, MISSING, advice))
            continue
        photo_of[number] = len(photos)
        photos.append(photo)
        cameras.append(camera)
    if misfits:
        notes = [*notes, _listed("The photo has other proportions than the solved one, and is not shown", misfits)]
    return Reconstruction(
        engine=f"{solve.program} (imported)",
        licence="the solve's own",
        photos=photos,
        cameras=cameras,
        cloud=None if solve.points is None or not cameras else _cloud(solve.points, photo_of, cameras),
        metric=solve.metric,
        confidence_meaning="how many photos saw a point, where the file says it",
        unregistered=unregistered,
        notes=[*solve.notes, *origin_notes, *_lens_notes(solve), *notes],
    )


def _listed(sentence: str, names: list[str]) -> str:
    """A sentence with up to five names after it, and how many more there are."""
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return f"{sentence}: {', '.join(names[:5])}{more}."


def _lens_notes(solve: Solve) -> list[str]:
    """Sentences about lenses that were fitted, and about fisheyes, which are shown undistorted."""
    fitted = dict.fromkeys(view.lens.note for view in solve.views if view.lens.note)
    sentences = [f"{note[0].upper()}{note[1:]}." for note in fitted]
    if any(view.lens.distortion.model == "OPENCV_FISHEYE" for view in solve.views):
        sentences.append(
            "The lens is a fisheye, which Blender's camera is not: its photos are shown undistorted, and what lies "
            "beyond the frame then is not seen."
        )
    return sentences


# ------------------------------------------------------------------ cameras


def _in_photo(view: View, photo: Photo, orientation: int) -> Camera | None:
    """The view's camera in pixels of its photo as displayed; None where the photo has other proportions."""
    lens = view.lens
    width, height = photo.width, photo.height
    if lens.width and not _fits(lens, width, height):
        if orientation not in QUARTER_TURNS or not _fits(lens, height, width):
            return None
        return _turned(_camera(view, photo.name, (height, width)), orientation)
    return _camera(view, photo.name, (width, height))


def _fits(lens: Lens, width: int, height: int) -> bool:
    """Whether a picture of this size has the proportions of the solved one, to MOST_ROUNDED."""
    return abs(width / lens.width - height / lens.height) * max(lens.width, lens.height) <= MOST_ROUNDED


def _camera(view: View, name: str, size: tuple[int, int]) -> Camera:
    """The view's camera, in pixels of a picture `name` of this size (width, height) that is not rotated."""
    lens = view.lens
    error = None if view.error is None else view.error * size[0] / (lens.width or size[0])
    values = lens.intrinsics(*size)
    return Camera(name, *size, *values, view.world_from_camera, lens.distortion, reprojection_error=error)


def _turned(camera: Camera, orientation: int) -> Camera:
    """The camera of a stored picture as a camera of the displayed one, which is rotated by 90 degrees."""
    rotation = QUARTER_TURNS[orientation]
    pose = camera.world_from_camera.copy()
    pose[:3, :3] = pose[:3, :3] @ rotation.T
    clockwise = orientation == 6
    return replace(
        camera,
        width=camera.height,
        height=camera.width,
        fx=camera.fy,
        fy=camera.fx,
        cx=camera.height - camera.cy if clockwise else camera.cy,
        cy=camera.cx if clockwise else camera.width - camera.cx,
        world_from_camera=pose,
        distortion=_turned_distortion(camera.distortion, rotation[:2, :2]),
    )


def _turned_distortion(distortion: Distortion, rotation: FloatArray) -> Distortion:
    """The distortion after a rotation (2, 2) of the picture: radial terms stay, and (p2, p1) rotates as a vector."""
    names = FORMULAS[distortion.model].params
    values = dict(zip(names, distortion.params, strict=True))
    if "p1" in values:
        values["p2"], values["p1"] = (float(value) for value in rotation @ (values["p2"], values["p1"]))
    return Distortion(distortion.model, tuple(values[name] for name in names))


def _absent(view: View, usual: tuple[int, int]) -> Photo | None:
    """A stand-in for a missing photo, under the view's name; None where its size is not known.

    Its size is the solve's. Where the solve does not say it, it is `usual`, the one size of all photos that are there
    (else 0, 0), but at least the view's extent.
    """
    lens = view.lens
    width, height = (
        (lens.width, lens.height) if lens.width else (max(usual[0], view.extent[0]), max(usual[1], view.extent[1]))
    )
    if not width or not height:
        return None
    return Photo(view.name, view.name, width, height, hashlib.sha256(view.name.encode()).hexdigest())


# ------------------------------------------------------------------ points


def _near_zero(solve: Solve) -> tuple[Solve, list[str]]:
    """The solve, and notes. Coordinates so large that float32 would round them count from an origin near them."""
    blocks = [np.array([view.world_from_camera[:3, 3] for view in solve.views]).reshape(-1, 3)]
    if solve.points is not None:
        blocks.append(solve.points.positions)
    positions = np.concatenate(blocks)
    centre = np.median(positions, axis=0)
    extent = float(np.quantile(np.abs(positions - centre), 0.9, axis=0).max())
    rounding = float(np.spacing(np.float32(np.abs(centre).max())))
    origin = np.round(centre)
    if rounding <= LARGEST_ROUNDING * extent or not origin.any():
        return solve, []
    return relative_to(origin, solve), [
        f"Its coordinates lie far from zero: they count from ({origin[0]:.0f}, {origin[1]:.0f}, {origin[2]:.0f}) now."
    ]


def _cloud(points: Points, photo_of: Array, cameras: list[Camera]) -> PointCloud:
    """The points, each with a photo that saw it, or else the nearest one, and with its normal towards that.

    `photo_of` (views,) is the index of each view's photo, -1 for a view without a camera.
    """
    owners = np.where(points.view >= 0, photo_of[points.view], -1)
    centres = np.array([camera.world_from_camera[:3, 3] for camera in cameras])
    without = np.flatnonzero(owners < 0)
    for start in range(0, len(without), CHUNK):
        rows = without[start : start + CHUNK]
        best, distance = np.zeros(len(rows), np.int64), np.full(len(rows), np.inf)
        for number, centre in enumerate(centres):
            square = ((points.positions[rows] - centre) ** 2).sum(axis=1)
            nearer = square < distance
            best[nearer], distance[nearer] = number, square[nearer]
        owners[rows] = best
    towards = centres[owners] - points.positions
    length = np.maximum(np.linalg.norm(towards, axis=1, keepdims=True), 1e-30)
    return PointCloud(
        positions=points.positions.astype(np.float32),
        normals=(towards / length).astype(np.float32),
        colors=points.colors,
        confidence=np.maximum(points.observers, 1).astype(np.float32),
        photo=owners.astype(np.int32),
    )
