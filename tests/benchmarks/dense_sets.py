"""Dense points of the whole engine against true depth: accuracy, completeness, coverage, per set.

    nox -s benchmarks -- dense_sets        or: python -m tests.benchmarks.dense_sets SET …

Photos alone go in. The result is brought to the true world by a similarity between the camera centres and between the
points of both, then compared with the true depth maps of all photos.
"""

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from tests.benchmarks._measure import DATA, SAMPLE, chosen, machine, metrics, table, true_frames
from threer_blender import headless
from threer_blender.geometry import kd_tree
from threer_blender.model.arrays import Array
from threer_blender.model.lens import Distortion
from threer_blender.model.reconstruction import Camera, PointMap, Reconstruction

SETS = ("sample", "hololens_office", "tum_fr1_rpy")
TOLERANCE = 0.01  # of the scene's median depth, for the F-score


def truth(name: str) -> dict[str, tuple[Camera, Array]]:
    """Photo -> true camera and depth map, in metres, whose pixels cover the photo evenly; 0 = none."""
    if name == "sample":
        document = json.loads((SAMPLE / "truth.json").read_text())
        return {entry["photo"]: _sample_view(entry, document) for entry in document["cameras"]}
    document, frames = true_frames(name)
    return {photo: _set_view(name, frame, document["depth_scale"]) for photo, frame in frames.items()}


def _set_view(name: str, frame: dict[str, Any], scale: float) -> tuple[Camera, Array]:
    k, world_from_camera = np.array(frame["K"]), np.linalg.inv(np.array(frame["w2c"]))
    lens = Distortion("PINHOLE")
    intrinsics = (k[0, 0], k[1, 1], k[0, 2] + 0.5, k[1, 2] + 0.5)  # its centres are at integers
    camera = Camera(Path(frame["file"]).name, frame["w"], frame["h"], *intrinsics, world_from_camera, lens)
    with Image.open(DATA / name / frame["depth"]) as image:
        return camera, np.asarray(image, np.float64) * scale


def world(camera: Camera, depth: Array) -> Array:
    """(H, W, 3) world points of a depth map that covers the camera's photo; NaN where there is none."""
    height, width = depth.shape
    grid = np.stack(np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5), -1)
    rays = camera.rays(grid * (camera.width / width, camera.height / height))
    local = rays * np.where(depth > 0, depth, np.nan)[..., None]
    return local @ camera.world_from_camera[:3, :3].T + camera.world_from_camera[:3, 3]


def _sample_view(entry: dict[str, Any], document: dict[str, Any]) -> tuple[Camera, Array]:
    values = {key: entry[key] for key in ("photo", "width", "height", "fx", "fy", "cx", "cy")}
    lens = Distortion(entry["distortion"]["model"], tuple(entry["distortion"]["params"]))
    camera = Camera(**values, world_from_camera=np.array(entry["world_from_camera"]), distortion=lens)
    with Image.open(SAMPLE / entry["depth"]) as image:
        return camera, np.asarray(image, np.float64) * document["depth"]["metres_per_unit"]


def at_truth(pointmap: PointMap, depth: Array) -> tuple[Array, Array]:
    """The pointmap's points (H, W, 3) and mask (H, W) at the pixels of a true depth map of the same photo."""
    height, width = depth.shape
    row = ((np.arange(height) + 0.5) * pointmap.mask.shape[0] / height).astype(int)
    column = ((np.arange(width) + 0.5) * pointmap.mask.shape[1] / width).astype(int)
    return pointmap.points[np.ix_(row, column)].astype(float), pointmap.mask[np.ix_(row, column)]


def gaps(cloud: Array, surface: Array) -> tuple[Array, Array]:
    """Distances of the cloud's points from the surface's nearest, and of the surface's from the cloud's nearest."""
    return kd_tree.Tree(surface).nearest(cloud)[1], kd_tree.Tree(cloud).nearest(surface)[1]


def compare(result: Reconstruction, true: dict[str, tuple[Camera, Array]]) -> list[str]:
    """One row of the table: photos, median depth error, share within 1 %, coverage, accuracy, completeness, F-score."""
    measure = metrics()
    solved = {m.photo: at_truth(m, true[m.photo][1]) for m in result.pointmaps if m.photo in true}
    solved_points, true_points = [], []
    for photo, (points, mask) in solved.items():
        true_map = world(*true[photo])
        both = mask & np.isfinite(true_map[..., 0])
        solved_points.append(points[both])
        true_points.append(true_map[both])
    similarity = measure.align_pointmap(np.concatenate(solved_points), np.concatenate(true_points))
    errors, trusted, visible = [], 0, sum(int((depth > 0).sum()) for _, depth in true.values())
    for photo, (points, mask) in solved.items():
        camera, depth = true[photo]
        z = measure.apply_sim3(similarity, points) @ camera.camera_from_world[2, :3] + camera.camera_from_world[2, 3]
        judged = mask & (depth > 0)
        trusted += int(judged.sum())
        errors.append((np.abs(z - depth) / np.where(depth > 0, depth, 1))[judged])
    error = np.concatenate(errors)
    true_maps = [world(*view) for view in true.values()]
    surface = np.concatenate([points[np.isfinite(points[..., 0])] for points in true_maps])
    size = float(np.median(np.concatenate([depth[depth > 0] for _, depth in true.values()])))
    assert result.cloud is not None
    cloud = measure.apply_sim3(similarity, result.cloud.positions)
    off, missed = gaps(*(measure.voxel_downsample(points, TOLERANCE * size / 2) for points in (cloud, surface)))
    precision, recall = (float((distances < TOLERANCE * size).mean()) for distances in (off, missed))
    return [
        f"{len(result.cameras)}/{len(true)}",
        f"{np.median(error):.2%}",
        f"{(error < 0.01).mean():.0%}",
        f"{trusted / visible:.0%}",
        f"{np.median(off) * 1000:.1f}",
        f"{np.median(missed) * 1000:.1f}",
        f"{2 * precision * recall / max(precision + recall, 1e-12):.2f}",
    ]


def rows(names: list[str]) -> Iterator[list[str]]:
    """One row of the table a set, as it is done."""
    for name in names:
        true = truth(name)
        photos = SAMPLE / "photos" if name == "sample" else DATA / name / "images"
        with tempfile.TemporaryDirectory() as folder:
            yield [name, *compare(headless.reconstruct([photos], Path(folder) / "result"), true)]


def main() -> None:
    names = chosen(__doc__, SETS)
    print(f"\nPhotos to dense points, standard quality, on {machine()}\n")
    sizes = ["accuracy mm", "completeness mm", "F at 1 %"]
    table(["set", "registered", "median depth error", "within 1 %", "trusted", *sizes], rows(names))


if __name__ == "__main__":
    main()
