"""The models of sceaux beside COLMAP's, and what their differences come from."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pycolmap

from tests.real_data import FOLDER
from threer_blender.exchange.solves import reading
from threer_blender.exchange.solves.solve import View
from threer_blender.geometry import similarities
from threer_blender.model import lens
from threer_blender.model.arrays import FloatArray

SCEAUX = FOLDER / "sfm_models_sceaux"
REFERENCE, TEXT = "colmap_example_model_bin", "colmap_example_model_txt"
NVM, OPENSFM, BAF = "VisualSFM_example.nvm", "OpenSfM_example_meshed.json", "meshroom_example.baf"
TRAJECTORIES = ("open3d_example.json", "open3d_example.log")
WIDTH, HEIGHT = 2832, 2128  # of the photos
HEAD = ["model", "cameras", "position", "angle, degrees", "focal length", "own error, px", "position", "angle, degrees"]
Observations = dict[int, FloatArray]  # for each camera, in the file's order: rows of a point's number, x, y


def differences(poses: FloatArray, truth: FloatArray) -> tuple[float, float]:
    """The largest differences of positions (share of the extent) and of rotations (degrees) of poses (N, 4, 4)."""
    fitted = similarities.fit(poses[None, :, :3, 3], truth[None, :, :3, 3], np.ones((1, len(poses))))
    positions = fitted.apply(poses[None, :, :3, 3])[0]
    extent = np.linalg.norm(truth[:, :3, 3] - truth[:, :3, 3].mean(axis=0), axis=1).max()
    distance = np.linalg.norm(positions - truth[:, :3, 3], axis=1).max() / extent
    relative = np.swapaxes(fitted.rotation[0] @ poses[:, :3, :3], 1, 2) @ truth[:, :3, :3]
    sine = np.linalg.norm(relative - np.swapaxes(relative, 1, 2), axis=(1, 2)) / np.sqrt(8)
    return float(distance), float(np.degrees(np.arcsin(np.clip(sine, 0, 1))).max())


def poses_of(views: list[View]) -> FloatArray:
    """(N, 4, 4) world_from_camera."""
    return np.array([view.world_from_camera for view in views])


def rows() -> Iterator[list[object]]:
    """A row of HEAD for each model.

    `own error` is the median distance of the file's points, projected by its cameras as they were read, from where the
    file says that the photos show them. The last two columns are the differences from COLMAP's measurements adjusted
    again with the lens that the model's program solved.
    """
    views = {Path(view.name).name: view for view in reading.read(SCEAUX / REFERENCE).views}
    reference = list(views.values())

    def named(name: str) -> list[View]:
        others = {Path(view.name).name: view for view in reading.read(SCEAUX / name).views}
        return [others[photo] for photo in views]

    def row(name: str, models: list[View], error: object, again: object, truth: list[View] = reference) -> list[object]:
        ratio = np.median([_focal(one) / _focal(other) for one, other in zip(models, truth, strict=True)])
        new = differences(poses_of(models), again) if isinstance(again, np.ndarray) else ("", "")
        return [name, len(models), *differences(poses_of(models), poses_of(truth)), float(ratio - 1), error, *new]

    model = pycolmap.Reconstruction(str(SCEAUX / REFERENCE))
    yield row(TEXT, named(TEXT), _colmap_error(model, named(TEXT)), "")
    half = _adjusted(model, list(views), keep=0.5)
    yield ["COLMAP's, by half of its points", len(views), *differences(half, poses_of(reference)), "", "", "", ""]
    yield row(NVM, named(NVM), _nvm_error(), _adjusted(model, list(views), per_photo=True))
    opensfm = named(OPENSFM)
    yield row(OPENSFM, opensfm, "", _adjusted(model, list(views), focal=_focal(opensfm[0]) * WIDTH))
    nameless = reading.read(SCEAUX / BAF).views
    photos = _in_order_of(nameless, views)
    again = _adjusted(model, photos, focal=_focal(nameless[0]) * WIDTH)
    yield row(BAF, nameless, _baf_error(), again, [views[photo] for photo in photos])
    first, second = (reading.read(SCEAUX / name).views for name in TRAJECTORIES)
    yield row(" against ".join(TRAJECTORIES), first, "", "", second)


def _focal(view: View) -> float:
    """Focal length over the picture's larger side."""
    width, height = (view.lens.width, view.lens.height) if view.lens.width else (WIDTH, HEIGHT)
    return view.lens.intrinsics(width, height)[0] / max(width, height)


def _in_order_of(views: list[View], others: dict[str, View]) -> list[str]:
    """The name of the one of `others` that corresponds to each of `views`, by the distances from all other cameras."""

    def signatures(several: list[View]) -> FloatArray:
        centres = poses_of(several)[:, :3, 3]
        distances = np.sort(np.linalg.norm(centres[:, None] - centres[None], axis=2), axis=1)
        return distances / distances.mean()

    cost = np.abs(signatures(views)[:, None] - signatures(list(others.values()))[None]).sum(axis=2)
    return [list(others)[index] for index in cost.argmin(axis=1)]


# ------------------------------------------------------------------ a file's own points in its own photos


def _error(views: list[View], points: FloatArray, observations: Observations) -> float:
    """The median distance, in pixels, of `points` (N, 3) in `views` from their `observations`."""
    distances = []
    for index, table in observations.items():
        camera_from_world = np.linalg.inv(views[index].world_from_camera)
        rays = points[table[:, 0].astype(int)] @ camera_from_world[:3, :3].T + camera_from_world[:3, 3]
        fx, fy, cx, cy = views[index].lens.intrinsics(WIDTH, HEIGHT)
        ideal = lens.distort(views[index].lens.distortion, rays[:, :2] / rays[:, 2:])
        distances.append(np.linalg.norm(ideal * (fx, fy) + (cx, cy) - table[:, 1:], axis=1))
    return float(np.median(np.concatenate(distances)))


def _colmap_error(model: pycolmap.Reconstruction, views: list[View]) -> float:
    """Of a model of COLMAP, with the cameras `views` in the order of the photos' names."""
    points = list(model.points3D.values())
    number = {key: index for index, key in enumerate(model.points3D)}
    observations = {}
    for index, image in enumerate(sorted(model.images.values(), key=lambda each: each.name)):
        table = [(number[p.point3D_id], *p.xy) for p in image.points2D if p.has_point3D()]
        observations[index] = np.array(table)
    return _error(views, np.array([point.xyz for point in points]), observations)


def _nvm_error() -> float:
    lines = [line for line in (SCEAUX / NVM).read_text().splitlines()[1:] if line.strip()]
    count = int(lines[0])
    names = [line.split()[0] for line in lines[1 : count + 1]]
    solve = reading.read(SCEAUX / NVM)
    order = [[view.name for view in solve.views].index(name) for name in names]
    tracks = [line.split()[6:] for line in lines[count + 2 : count + 2 + int(lines[count + 1])]]
    assert solve.points is not None
    return _error(solve.views, solve.points.positions, _observations(tracks, 0, lambda key: order[key]))


def _baf_error() -> float:
    lines = (SCEAUX / BAF).read_text().splitlines()
    lenses, cameras, count = (int(line) for line in lines[:3])
    begin = 3 + lenses + cameras
    tracks = [line.split()[3:] for line in lines[begin : begin + count]]
    keys = sorted({int(key) for track in tracks for key in track[2::4]})  # the cameras stand in the order of their keys
    solve = reading.read(SCEAUX / BAF)
    assert solve.points is not None
    return _error(solve.views, solve.points.positions, _observations(tracks, 1, keys.index))


def _observations(tracks: list[list[str]], column: int, index_of: Callable[[int], int]) -> Observations:
    """The observations in `tracks`: a count, then four numbers for each, its camera's key in `column`, x and y last."""
    collected: dict[int, list[tuple[float, ...]]] = {}
    for point, (_, *fields) in enumerate(tracks):
        for start in range(0, len(fields), 4):
            index = index_of(int(fields[start + column]))
            collected.setdefault(index, []).append((point, float(fields[start + 2]), float(fields[start + 3])))
    return {index: np.array(table) for index, table in collected.items()}


# ------------------------------------------------------------------ COLMAP's measurements, adjusted again


def _adjusted(
    model: pycolmap.Reconstruction, photos: list[str], keep: float = 1.0, focal: float = 0.0, per_photo: bool = False
) -> FloatArray:
    """(N, 4, 4) the cameras of `photos` after a bundle adjustment of COLMAP's measurements.

    With a `focal` length in pixels it stays, and the lens does not distort. `per_photo` gives each photo a lens of its
    own. `keep` is the share of the points that are used.
    """
    with tempfile.TemporaryDirectory() as folder:
        copy = _separated(model, Path(folder)) if per_photo else pycolmap.Reconstruction(str(SCEAUX / REFERENCE))
    for key in np.random.default_rng(0).permutation(list(copy.points3D))[int(keep * len(copy.points3D)) :]:
        copy.delete_point3D(int(key))
    options = pycolmap.BundleAdjustmentOptions()
    options.print_summary = False
    if focal:
        options.refine_focal_length = False
        for camera in copy.cameras.values():
            camera.model = pycolmap.CameraModelId.SIMPLE_PINHOLE
            camera.params = np.array([focal, WIDTH / 2, HEIGHT / 2])
    pycolmap.bundle_adjustment(copy, options)
    images = {image.name: image for image in copy.images.values()}
    return np.array([np.vstack([images[n].cam_from_world().inverse().matrix(), (0, 0, 0, 1)]) for n in photos])


def _separated(model: pycolmap.Reconstruction, folder: Path) -> pycolmap.Reconstruction:
    """A copy of `model` with a lens for each photo, through text files in `folder`."""
    model.write_text(str(folder))
    camera = next(iter(model.cameras.values()))
    for name in ("rigs.txt", "frames.txt"):  # both name the one camera
        (folder / name).unlink()
    lines = [line for line in (folder / "images.txt").read_text().splitlines() if not line.startswith("#")]
    heads = [line.split() for line in lines[::2]]
    cameras = [f"{head[0]} SIMPLE_RADIAL {WIDTH} {HEIGHT} {' '.join(map(str, camera.params))}" for head in heads]
    lines[::2] = [" ".join([*head[:8], head[0], head[9]]) for head in heads]
    (folder / "cameras.txt").write_text("\n".join(cameras) + "\n")
    (folder / "images.txt").write_text("\n".join(lines) + "\n")
    return pycolmap.Reconstruction(str(folder))
