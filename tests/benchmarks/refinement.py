"""Refinement on real photos: true cameras with a feed-forward network's errors, before and after, as Markdown tables.

    nox -s benchmarks -- refinement        or: python -m tests.benchmarks.refinement SET ...

Every camera is turned by 1 to 2 degrees, its focal length is off by 3 % (standard deviation), the steps between cameras
drift by 2 %, principal point and distortion are forgotten. The references have errors of their own: the numbers in
brackets say how far pycolmap's bundle adjustment moves away from the reference when it starts there, with the same
tracks and the same unknowns of the lenses. Refinement cannot be expected to come closer to the reference than that. The
photos of `sample` are rendered, its cameras exact.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pycolmap

from tests.benchmarks._measure import DATA, SAMPLE, machine, table, true_frames
from threer_blender.evaluation import pose_measures
from threer_blender.files.photo_files import find
from threer_blender.geometry import rotations
from threer_blender.geometry.adjustment import bundle_adjustment
from threer_blender.geometry.adjustment.bundle_adjustment import NO_UNKNOWNS, AdjustmentSettings
from threer_blender.geometry.adjustment.tracks import Tracks
from threer_blender.geometry.features import features
from threer_blender.geometry.features.database import Search
from threer_blender.model import lens
from threer_blender.model.reconstruction import Camera, Photo, Reconstruction
from threer_blender.pictures.photos import pixels, read
from threer_blender.pipelines import refinement

SETS = (
    *("sample", "rmvd_board", "hololens_office", "alicevision_buddha"),
    *("banana", "tum_fr1_rpy", "plush_snowmiku"),
)
HEAD = ["Set", "Rotation, degrees", "Focal, %", "Translation direction, degrees", "Pixels", "CPU-s"]


def load(name: str) -> tuple[list[Photo], list[Camera]]:
    """The photos of a set and their true cameras."""
    folder = SAMPLE / "photos" if name == "sample" else DATA / name / "images"
    photos = read(find([folder]).files, lambda *_: None).accepted
    if name == "sample":
        records = {record["photo"]: record for record in json.loads((SAMPLE / "truth.json").read_text())["cameras"]}
        return photos, [_sample_camera(photo, records[photo.name]) for photo in photos]
    _, frames = true_frames(name)
    photos = [photo for photo in photos if photo.name in frames]
    return photos, [_true_camera(photo, frames[photo.name]) for photo in photos]


def _sample_camera(photo: Photo, record: dict[str, Any]) -> Camera:
    distortion = lens.Distortion(record["distortion"]["model"], tuple(record["distortion"]["params"]))
    fx, fy, cx, cy = (record[key] for key in ("fx", "fy", "cx", "cy"))
    pose = np.array(record["world_from_camera"])
    return Camera(photo.name, photo.width, photo.height, fx, fy, cx, cy, pose, distortion)


def _true_camera(photo: Photo, frame: dict[str, Any]) -> Camera:
    """The true camera of a frame of cameras.json, which counts pixels from the centre of the first one."""
    intrinsics, pose = np.array(frame["K"]), np.linalg.inv(np.array(frame["w2c"]))
    left, _, right = np.linalg.svd(pose[:3, :3])
    pose[:3, :3] = left @ right
    terms = frame.get("dist", [0.0])
    distortion = lens.Distortion("OPENCV", tuple(terms[:4])) if any(terms) else lens.NO_DISTORTION
    cx, cy = intrinsics[:2, 2] + 0.5
    return Camera(photo.name, photo.width, photo.height, intrinsics[0, 0], intrinsics[1, 1], cx, cy, pose, distortion)


def disturbed(cameras: Sequence[Camera]) -> list[Camera]:
    """The cameras as a feed-forward network gives them."""
    random = np.random.default_rng(0)
    scale, place, off = 1.0, cameras[0].world_from_camera[:3, 3], []
    for before, camera in zip([cameras[0], *cameras], cameras, strict=False):
        scale *= np.exp(0.02 * random.standard_normal())
        place = place + scale * (camera.world_from_camera - before.world_from_camera)[:3, 3]
        rotation = random.standard_normal(3)
        rotation *= np.radians(random.uniform(1, 2)) / np.linalg.norm(rotation)
        pose = camera.world_from_camera.copy()
        pose[:3, :3], pose[:3, 3] = pose[:3, :3] @ rotations.from_vectors(rotation[None])[0], place
        focal = camera.fx * np.exp(0.03 * random.standard_normal())
        middle = (camera.width / 2, camera.height / 2)
        off.append(Camera(camera.photo, camera.width, camera.height, focal, focal, *middle, pose))
    return off


def errors(estimated: Sequence[Camera], truth: Sequence[Camera]) -> tuple[float, float, float]:
    """Medians: rotation and translation direction of all pairs in degrees, focal length in per cent."""
    solved, true = ([camera.world_from_camera for camera in cameras] for cameras in (estimated, truth))
    angles, translations = pose_measures.relative_errors(solved, true)
    focal = [abs(camera.fx / other.fx - 1) for camera, other in zip(estimated, truth, strict=True)]
    return float(np.median(angles)), float(np.median(translations)), 100 * float(np.median(focal))


def colmaps(cameras: Sequence[Camera], tracks: Tracks, points: Any, settings: AdjustmentSettings) -> list[Camera]:
    """The cameras after pycolmap's bundle adjustment of poses, points (P, 3) and what `settings` ask of the lenses.

    The lenses are SIMPLE_RADIAL or RADIAL, with one focal length: the settings ask for one of the two where a set has
    five photos or more, as all have here.
    """
    model = pycolmap.Reconstruction()
    lens_model, terms = settings.unknowns.distortion, lens.MODELS[settings.unknowns.distortion]
    index_in_photo = np.zeros(len(tracks.point), int)
    numbers = settings.lenses or range(len(cameras))
    for index, (camera, number) in enumerate(zip(cameras, numbers, strict=True), start=1):
        if not model.exists_camera(number + 1):
            known = dict(zip(lens.MODELS[camera.distortion.model], camera.distortion.params, strict=True))
            params = [camera.fx, camera.cx, camera.cy, *(known.get(term, 0.0) for term in terms)]
            facts = {"model": lens_model, "width": camera.width, "height": camera.height, "params": params}
            model.add_camera_with_trivial_rig(pycolmap.Camera(camera_id=number + 1, **facts))
        mine = tracks.camera == index - 1
        index_in_photo[mine] = np.arange(mine.sum())
        image = pycolmap.Image(image_id=index, camera_id=number + 1, name=camera.photo)
        image.points2D = pycolmap.Point2DList([pycolmap.Point2D(pixel) for pixel in tracks.pixels[mine]])
        model.add_image_with_trivial_frame(image, pycolmap.Rigid3d(camera.camera_from_world[:3]))
    by_point = np.split(np.arange(len(tracks.point)), np.flatnonzero(np.diff(tracks.point)) + 1)
    for point, observations in zip(points, by_point, strict=True):
        track = pycolmap.Track()
        for m in observations:
            track.add_element(int(tracks.camera[m]) + 1, int(index_in_photo[m]))
        model.add_point3D(point, track)
    options = pycolmap.BundleAdjustmentOptions(
        refine_principal_point=settings.unknowns.principal_point, print_summary=False
    )
    options.ceres.loss_function_type = pycolmap.LossFunctionType.CAUCHY
    pycolmap.bundle_adjustment(model, options)
    moved = []
    for index, camera in enumerate(cameras):
        image, pose = model.images[index + 1], np.eye(4)
        pose[:3] = image.cam_from_world().inverse().matrix()
        moved.append(replace(camera, fx=float(image.camera.params[0]), world_from_camera=pose))
    return moved


def measure(name: str) -> list[Any]:
    """One row of the table."""
    photos, truth = load(name)
    start = Reconstruction("network", "", photos, disturbed(truth))
    before = time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        settings = features.QUALITIES[refinement.QUALITY]
        search = Search(refinement.camera_photos(start), pixels, Path(folder), settings, lambda *_: None)
        tracks = refinement.photo_tracks(start, features.extract_and_match(search))
    actual = refinement.refined_by(start, tracks, "shared")
    spent = time.process_time() - before
    from_truth = bundle_adjustment.refine(truth, tracks, AdjustmentSettings(unknowns=NO_UNKNOWNS))
    asked = refinement.settings_for(start, "shared")
    theirs = colmaps(truth, from_truth.tracks, from_truth.points, asked)
    steps = zip(*(errors(cameras, truth) for cameras in (start.cameras, actual.cameras, theirs)), strict=True)
    rotation, direction, focal = (f"{rough:.2f} → {fine:.3f} ({floor:.3f})" for rough, fine, floor in steps)
    measured = [camera for camera in actual.cameras if camera.reprojection_error is not None]
    off = [
        np.mean([getattr(camera, at) or np.nan for camera in measured]) for at in ("error_before", "reprojection_error")
    ]
    return [
        f"{name} ({len(measured)}/{len(photos)})",
        rotation,
        focal,
        direction,
        f"{off[0]:.1f} → {off[1]:.2f}",
        f"{spent:.0f}",
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sets", nargs="*", default=SETS)
    sets = parser.parse_args().sets
    if not DATA.is_dir():
        sys.exit(f"{DATA} is absent; name the folder with the data sets in THREER_DATA.")
    print(f"{machine()}; network's errors → refined (pycolmap from the reference), medians\n")
    table(HEAD, (measure(name) for name in sets))


if __name__ == "__main__":
    main()
