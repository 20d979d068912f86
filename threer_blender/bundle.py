"""[S] Reconstruction <-> a folder on disk: `scene.json` and `arrays.safetensors`, whole or absent. Stdlib and numpy.

A bundle is written beside its final name and renamed, so a folder that exists is complete (`files/bundle_folder.py`).
`scene.json` holds what is small, such as photos, cameras and timings. `arrays.safetensors` holds pointmaps, points,
splats, and the errors and tracks of shots. `plates/` holds undistorted photos and the written frames of videos,
`masks/` masks of what moves in shots.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from fractions import Fraction
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from .files import array_file, bounded, checked, removal, sequence_files, survey_files
from .files.array_records import CLOUD_ARRAYS, GAUSSIAN_ARRAYS, POINTMAP_ARRAYS, SHOT_ARRAYS, TRACK_ARRAYS, array_record
from .files.bundle_folder import (
    ARRAYS,
    MASKS,
    PLATES,
    SCENE,
    Manifest,
    Staging,
    check_output,
    new_run,
    output_error,
    write_manifest,
)
from .model import lens
from .model.arrays import Array
from .model.errors import UserError, cause, quoted
from .model.reconstruction import (
    MOTIONS,
    Camera,
    Gaussians,
    Photo,
    PhotoFromMap,
    PointCloud,
    PointMap,
    Reconstruction,
    Shot,
    TrackedPoints,
    Unregistered,
    Upright,
)
from .model.spherical_harmonics import COEFFICIENTS

Content = TypeVar("Content")

VERSION = 1
LARGEST_SCENE = 1 << 28  # bytes of SCENE; some 200,000 frames of shots
CONVENTIONS = (
    "OpenCV camera axes (x right, y down, z forward); world_from_camera is 4x4 row-major; pixels of the displayed "
    "photo with the centre of the top-left pixel at (0.5, 0.5); lens distortion by COLMAP model name; quaternions wxyz"
)


# ------------------------------------------------------------------ writing


def write(
    reconstruction: Reconstruction,
    folder: str | Path,
    pictures: Path | None = None,
    run: str = "",
    staging: Staging | None = None,
) -> Path:
    """Writes a bundle to `folder` and moves the folders PLATES and MASKS of `pictures` into it. Returns where it is.

    `run` is the name of the run, for the manifest. An earlier bundle at `folder` is replaced once the new one is
    complete. With `staging`, the new bundle stays there, and the maker of `staging` puts it in place. Raises UserError
    where the folder is neither a bundle nor empty, or cannot be written, or the disk is full; then nothing is left
    behind.
    """
    folder = Path(folder).absolute()
    check_output(folder)
    used = staging or Staging(folder, run or new_run())
    try:
        if staging is None:
            used.make()
        used.new.mkdir()
        _fill(used.new, reconstruction, folder, pictures, used.run)
        return used.new if staging else used.put_in_place()
    except OSError as error:
        raise output_error(folder, error) from error
    finally:
        if staging is None:
            used.discard()


def _fill(new: Path, reconstruction: Reconstruction, folder: Path, pictures: Path | None, run: str) -> None:
    """Writes everything into the empty folder `new`, which will be renamed to `folder`."""
    checksum = array_file.write(_arrays(reconstruction), new / ARRAYS)
    scene = json.dumps(_scene(reconstruction, folder, checksum), indent=1, ensure_ascii=False, allow_nan=False)
    (new / SCENE).write_text(scene, "utf-8")
    for name in (PLATES, MASKS):
        if pictures is not None and (pictures / name).is_dir():
            removal.relocate(pictures / name, new / name)
    registered = len(reconstruction.cameras)
    write_manifest(
        new,
        Manifest(
            run,
            removal.listed(new),
            registered=registered,
            chosen=registered + len(reconstruction.unregistered),
            points=0 if reconstruction.cloud is None else len(reconstruction.cloud),
        ),
    )


def _arrays(reconstruction: Reconstruction) -> dict[str, Array]:
    blocks: list[tuple[str, object, Mapping[str, tuple[str, str]]]] = [
        (f"pointmaps/{index}", pointmap, POINTMAP_ARRAYS) for index, pointmap in enumerate(reconstruction.pointmaps)
    ]
    if reconstruction.cloud is not None:
        blocks.append(("cloud", reconstruction.cloud, CLOUD_ARRAYS))
    if reconstruction.gaussians is not None:
        blocks.append(("gaussians", reconstruction.gaussians, GAUSSIAN_ARRAYS))
    for index, shot in enumerate(reconstruction.shots):
        blocks.append((f"shots/{index}", shot, SHOT_ARRAYS))
        if shot.tracks is not None:
            blocks.append((f"shot_tracks/{index}", shot.tracks, TRACK_ARRAYS))
    return {
        f"{prefix}/{name}": np.ascontiguousarray(getattr(owner, name), array_file.DTYPES[dtype])
        for prefix, owner, table in blocks
        for name, (dtype, _) in table.items()
        if getattr(owner, name) is not None
    }


def _scene(reconstruction: Reconstruction, folder: Path, checksum: str) -> dict[str, Any]:
    def located(entry: Photo | Shot) -> dict[str, Any]:
        try:
            relative = os.path.relpath(entry.path, folder)
        except ValueError:  # another drive on Windows
            relative = ""
        # A photo's `lens` is what the artist knew before the solve; results do not record it.
        values = {name: value for name, value in asdict(entry).items() if name != "lens"}
        return {**values, "relative_path": relative}

    def camera(entry: Camera) -> dict[str, Any]:
        values = asdict(entry)
        values["plate"] = values.pop("undistorted")
        return {**values, "world_from_camera": entry.world_from_camera.tolist()}

    def shot(entry: Shot) -> dict[str, Any]:
        no_arrays: dict[str, Any] = dict.fromkeys(SHOT_ARRAYS)
        bare = replace(entry, tracks=None, **no_arrays)
        small = {name: value for name, value in located(bare).items() if name not in (*SHOT_ARRAYS, "tracks")}
        # Some names in the file are older than those of the fields, here and in `camera`.
        small["move"], small["move_reason"] = small.pop("motion"), small.pop("motion_reason")
        small["plate"] = small.pop("written_plate")
        cameras = [[number, camera(each)] for number, each in entry.cameras.items()]
        return {**small, "frame_rate": str(Fraction(entry.frame_rate)), "cameras": cameras}

    def upright(entry: Upright) -> dict[str, Any]:
        return {**asdict(entry), "up": entry.up.tolist()}

    return {
        "format": "threer_blender bundle",
        "version": VERSION,
        "conventions": CONVENTIONS,
        "engine": reconstruction.engine,
        "licence": reconstruction.licence,
        "metric": reconstruction.metric,
        "confidence_meaning": reconstruction.confidence_meaning,
        "trusted_confidence": reconstruction.trusted_confidence,
        "options": dict(reconstruction.options),
        "timings": dict(reconstruction.timings),
        "notes": reconstruction.notes,
        "left_out": [asdict(entry) for entry in reconstruction.unregistered],  # an older name, too
        "photos": [located(entry) for entry in reconstruction.photos],
        "cameras": [camera(entry) for entry in reconstruction.cameras],
        "shots": [shot(entry) for entry in reconstruction.shots],
        "upright": None if reconstruction.upright is None else upright(reconstruction.upright),
        "z_up": reconstruction.z_up,
        "survey": [survey_files.to_bundle(point) for point in reconstruction.survey],
        "pointmaps": [{"photo": m.photo, "photo_from_map": list(m.photo_from_map)} for m in reconstruction.pointmaps],
        "cloud": reconstruction.cloud is not None,
        "gaussians": reconstruction.gaussians is not None,
        "arrays_sha256": checksum,
    }


# ------------------------------------------------------------------ reading


def read(folder: str | Path) -> Reconstruction:
    """The Reconstruction in the bundle `folder`. Its arrays are read-only memory maps of the file.

    Where a photo's path has no file any more, its path relative to the bundle is tried. Raises UserError, with one
    sentence that says what to do, where the folder is no bundle, is damaged, or was written by a newer version.
    """
    return _read(folder, _reconstruction)


def read_photos(folder: str | Path) -> list[Photo]:
    """The photos of a bundle. Its arrays, which `read` checks byte by byte, are left alone. Raises as `read` does."""
    return _read(folder, lambda scene, folder: [_photo(entry, folder) for entry in scene["photos"]])


def _read(folder: str | Path, content: Callable[[dict[str, Any], Path], Content]) -> Content:
    """The `content` of the scene in the bundle `folder`. Raises UserError as `read` does."""
    folder = Path(folder).absolute()
    if not (folder / SCENE).is_file():
        raise UserError(f"{quoted(folder)} holds no reconstruction; choose the folder that has a {SCENE} in it.")
    try:
        with bounded.as_refusal(quoted(folder / SCENE)):
            text = bounded.content(folder / SCENE, LARGEST_SCENE)
        scene = json.loads(text)
        if not isinstance(scene, dict) or not isinstance(scene.get("version"), int):
            raise ValueError(f"{SCENE} is not a bundle's")
        if scene["version"] > VERSION:
            raise UserError(
                f"{quoted(folder)} was written by a newer version of this extension (bundle version "
                f"{scene['version']}, this one reads {VERSION}); update the extension to open it."
            )
        return content(scene, folder)
    except PermissionError as error:
        raise UserError(f"{quoted(folder)} may not be read; give yourself the right to read it.") from error
    except OSError as error:  # a network's or a disk's: the result may be whole
        raise UserError(
            f"{quoted(folder)} could not be read ({cause(error)}); see that its disk is there, and try again."
        ) from error
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
        what = f"{error} is missing" if isinstance(error, KeyError) else str(error)
        what = f"{ARRAYS} {what}" if isinstance(error, bounded.Damaged) else what
        raise UserError(
            f"The result in {quoted(folder)} is damaged ({what}); delete it and reconstruct again."
        ) from error


def _reconstruction(scene: dict[str, Any], folder: Path) -> Reconstruction:
    if not (folder / ARRAYS).is_file():
        raise ValueError(f"{ARRAYS} is missing")
    arrays = array_file.read(folder / ARRAYS, checked.typed(scene["arrays_sha256"], str))
    photos = [_photo(entry, folder) for entry in scene["photos"]]
    names = {photo.name for photo in photos}
    cameras = [_camera(entry) for entry in scene["cameras"]]
    pointmaps = [_pointmap(entry, f"pointmaps/{i}", arrays) for i, entry in enumerate(scene["pointmaps"])]
    if not names.issuperset([*(camera.photo for camera in cameras), *(pointmap.photo for pointmap in pointmaps)]):
        raise ValueError("a camera or pointmap has no photo")
    shots = [_shot(entry, folder, i, arrays) for i, entry in enumerate(checked.typed(scene.get("shots", []), list))]
    paths = {photo.path for photo in photos}
    if not all(shot.cameras and shot.path in paths for shot in shots):
        raise ValueError("a video has no frames")
    cloud = array_record(PointCloud, "cloud", CLOUD_ARRAYS, arrays) if scene["cloud"] else None
    gaussians = array_record(Gaussians, "gaussians", GAUSSIAN_ARRAYS, arrays) if scene["gaussians"] else None
    if gaussians is not None and gaussians.sh.shape[1] not in COEFFICIENTS:
        raise ValueError(f"splats have {gaussians.sh.shape[1]} spherical harmonics")
    for indices in (each.photo for each in (cloud, gaussians) if each is not None and each.photo is not None):
        if len(indices) and not (indices.min() >= 0 and indices.max() < len(photos)):
            raise ValueError("a point has no photo")
    return Reconstruction(
        engine=checked.typed(scene["engine"], str),
        licence=checked.typed(scene["licence"], str),
        photos=photos,
        cameras=cameras,
        pointmaps=pointmaps,
        cloud=cloud,
        gaussians=gaussians,
        metric=checked.typed(scene["metric"], bool),
        confidence_meaning=checked.typed(scene["confidence_meaning"], str),
        trusted_confidence=checked.number(scene["trusted_confidence"]),
        options=checked.typed(scene["options"], dict),
        timings={
            checked.typed(name, str): checked.number(value)
            for name, value in checked.typed(scene["timings"], dict).items()
        },
        unregistered=[checked.record(Unregistered, entry) for entry in scene["left_out"]],
        notes=[checked.typed(note, str) for note in checked.typed(scene["notes"], list)],
        shots=shots,
        upright=None if scene.get("upright") is None else _upright(scene["upright"]),  # the first bundles lack it
        z_up=checked.typed(scene.get("z_up", False), bool),
        survey=[survey_files.from_bundle(entry) for entry in checked.typed(scene.get("survey", []), list)],
    )


def _upright(entry: Any) -> Upright:
    up = np.array([checked.number(value) for value in checked.typed(checked.typed(entry, dict)["up"], list)])
    if up.shape != (3,) or abs(np.linalg.norm(up) - 1) > 1e-6:
        raise ValueError("the direction of up is no unit vector")
    agreeing, disagreeing = (
        tuple(checked.typed(name, str) for name in checked.typed(entry[key], list))
        for key in ("agreeing", "disagreeing")
    )
    ground = checked.optional(entry["ground"], checked.number)
    return Upright(up, checked.positive(entry["spread"]), ground, agreeing, disagreeing)


def _path(entry: dict[str, Any], folder: Path) -> str:
    """The path of a photo or a video: as written, or relative to the bundle where only that one has a file."""
    path = Path(checked.typed(entry["path"], str))
    relative = checked.typed(entry["relative_path"], str)
    if relative and not sequence_files.exists(path) and sequence_files.exists(folder / relative):
        path = (folder / relative).resolve()
    return str(path)


def _shot(entry: dict[str, Any], folder: Path, number: int, arrays: Mapping[str, Array]) -> Shot:
    plate_size = checked.typed(entry, dict).get("plate_size")
    if plate_size is not None and len(checked.typed(plate_size, list)) != 2:
        raise ValueError("a plate's size is not a width and a height")

    def make(**errors: Array) -> Shot:
        return Shot(
            video=checked.typed(entry["video"], str),
            path=_path(entry, folder),
            frame_rate=checked.frame_rate(entry["frame_rate"]),
            frame_count=checked.size(entry["frame_count"]),
            cameras={checked.frame(frame): _camera(camera) for frame, camera in entry["cameras"]},
            first_frame=checked.frame(entry.get("first_frame", 1)),
            missing=tuple(map(checked.frame, entry.get("missing", ()))),
            plate_size=None if plate_size is None else checked.sides(plate_size),
            written_plate=checked.inside(entry.get("plate", "")),
            motion=checked.typed(entry.get("move", ""), str),  # the first bundles did not say
            motion_reason=checked.typed(entry.get("move_reason", ""), str),
            bad=tuple((checked.frame(first), checked.frame(last)) for first, last in entry.get("bad", ())),
            tracks=_tracks(entry, number, arrays),
            **errors,
        )

    shot = array_record(make, f"shots/{number}", SHOT_ARRAYS, arrays)
    if shot.motion not in ("", *MOTIONS):
        raise ValueError(f"a video's camera moves as {shot.motion!r:.40}")
    if any(len(each) != shot.frame_count for name in SHOT_ARRAYS if (each := getattr(shot, name)) is not None):
        raise ValueError("a video's errors are not one a frame")
    return shot


def _tracks(entry: dict[str, Any], number: int, arrays: Mapping[str, Array]) -> TrackedPoints | None:
    """The tracked points of the shot `number`; None where the bundle has none."""
    if f"shot_tracks/{number}/point" not in arrays:
        return None
    tracks = array_record(TrackedPoints, f"shot_tracks/{number}", TRACK_ARRAYS, arrays)
    first = checked.frame(entry.get("first_frame", 1))
    if (np.diff(tracks.point) < 0).any() or not np.array_equal(np.unique(tracks.point), np.arange(len(tracks))):
        raise ValueError("tracked points are not numbered in their order")
    frames = tracks.frame
    if len(frames) and not (frames.min() >= first and frames.max() < first + checked.size(entry["frame_count"])):
        raise ValueError("a tracked point is in no frame")
    if not (np.isfinite(tracks.pixels).all() and (tracks.weights >= 0).all() and np.isfinite(tracks.weights).all()):
        raise ValueError("a tracked point is nowhere")
    return tracks


def _photo(entry: dict[str, Any], folder: Path) -> Photo:
    frame = checked.typed(entry, dict).get("frame")
    return Photo(
        name=checked.typed(entry["name"], str),
        path=_path(entry, folder),
        width=checked.size(entry["width"]),
        height=checked.size(entry["height"]),
        sha256=checked.typed(entry["sha256"], str),
        focal=checked.optional(entry["focal"], checked.positive),
        sensor_width=checked.optional(entry["sensor_width"], checked.positive),
        frame=None if frame is None else checked.frame(frame),
        panorama=checked.typed(entry.get("panorama", False), bool),  # the first bundles knew none
    )


def _camera(entry: dict[str, Any]) -> Camera:
    entry = {"error_before": None, **checked.typed(entry, dict)}  # the first bundles did not say
    matrix = np.array(entry["world_from_camera"], np.float64)
    if matrix.shape != (4, 4) or not np.isfinite(matrix).all():
        raise ValueError("a camera's matrix is not 4x4")
    if np.abs(matrix[:3, :3] @ matrix[:3, :3].T - np.eye(3)).max() > 1e-6 or np.abs(matrix[3] - (0, 0, 0, 1)).max() > 0:
        raise ValueError("a camera's matrix is not a rigid motion")
    distortion = entry["distortion"]
    return Camera(
        photo=checked.typed(entry["photo"], str),
        width=checked.size(entry["width"]),
        height=checked.size(entry["height"]),
        **{name: checked.positive(entry[name]) for name in ("fx", "fy")},
        **{name: checked.number(entry[name]) for name in ("cx", "cy")},
        world_from_camera=matrix,
        distortion=lens.Distortion(
            checked.typed(distortion["model"], str), tuple(map(checked.number, distortion["params"]))
        ),
        undistorted=checked.inside(entry["plate"]),
        reprojection_error=checked.optional(entry["reprojection_error"]),
        error_before=checked.optional(entry["error_before"]),
    )


def _pointmap(entry: dict[str, Any], prefix: str, arrays: Mapping[str, Array]) -> PointMap:
    def make(**values: Array) -> PointMap:
        photo_from_map = PhotoFromMap(*map(checked.number, entry["photo_from_map"]))
        return PointMap(photo=checked.typed(entry["photo"], str), photo_from_map=photo_from_map, **values)

    return array_record(make, prefix, POINTMAP_ARRAYS, arrays)
