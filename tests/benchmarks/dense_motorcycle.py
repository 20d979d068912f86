"""The dense stage alone, given the true cameras of Middlebury 2014 "Motorcycle": coverage and bad pixels. [R]

    python -m tests.benchmarks.dense_motorcycle [picture.png]

Reads the set from the folder named by THREER_DATA, ``../shared/data`` beside the repository by default.
"""

import argparse
import json
import time
import zlib  # noqa: F401  (pycolmap loaded before zlib breaks it on Linux)
from pathlib import Path
from typing import Any

import numpy as np
import pycolmap
from numpy.typing import NDArray
from PIL import Image

from tests.benchmarks._measure import DATA
from threer_blender.geometry.stereo import dense
from threer_blender.geometry.stereo.views import DepthMap, View

FOLDER = DATA / "middlebury2014_motorcycle"


def read() -> tuple[list[View], NDArray[np.float64]]:
    """The two views with SIFT points triangulated by the true cameras, and the true disparity (H, W), NaN = none."""
    frames = json.loads((FOLDER / "cameras.json").read_text())["frames"]
    images = [np.array(Image.open(FOLDER / frame["file"]).convert("RGB")) for frame in frames]
    half_pixel = np.array([[0, 0, 0.5], [0, 0, 0.5], [0, 0, 0]])
    intrinsics: list[NDArray[np.float64]] = [np.array(frame["K"], float) + half_pixel for frame in frames]
    poses: list[NDArray[np.float64]] = [np.linalg.inv(np.array(frame["w2c"], np.float64)) for frame in frames]
    points = _sparse_points(images, intrinsics, poses)
    views = [
        View(image, matrix, pose, points, np.arange(len(points)))
        for image, matrix, pose in zip(images, intrinsics, poses, strict=True)
    ]
    disparity = np.load(FOLDER / "disparity_left.npz")["disp"].astype(np.float64)
    return views, np.where(np.isfinite(disparity) & (disparity > 0), disparity, np.nan)


def _sparse_points(
    images: list[NDArray[np.uint8]], intrinsics: list[NDArray[np.float64]], poses: list[NDArray[np.float64]]
) -> NDArray[np.float64]:
    """(M, 3) world points: mutual best SIFT matches within a pixel of their epipolar line, from the rectified pair."""
    keypoints, descriptors = [], []
    for image in images:
        grey = np.array(Image.fromarray(image).convert("L"))
        points, vectors = pycolmap.FeatureExtractor.create().extract(pycolmap.Bitmap.from_array(grey))
        keypoints.append(np.array([(point.x, point.y) for point in points], np.float64))
        descriptors.append(np.asarray(vectors.data, np.float32))
    descriptors = [vectors / np.linalg.norm(vectors, axis=1, keepdims=True) for vectors in descriptors]
    similarities = descriptors[0] @ descriptors[1].T
    mine, theirs = similarities.argmax(1), similarities.argmax(0)
    left = np.flatnonzero(theirs[mine] == np.arange(len(mine)))
    a, b = keypoints[0][left], keypoints[1][mine[left]]
    baseline = poses[1][0, 3] - poses[0][0, 3]
    offset = intrinsics[1][0, 2] - intrinsics[0][0, 2]
    shift = a[:, 0] - b[:, 0] + offset
    good = (np.abs(a[:, 1] - b[:, 1]) < 1) & (shift > 1)
    depth = intrinsics[0][0, 0] * baseline / shift[good]
    rays = np.column_stack([a[good], np.ones(good.sum())]) @ np.linalg.inv(intrinsics[0]).T
    camera = rays * depth[:, None]
    return camera @ poses[0][:3, :3].T + poses[0][:3, 3]


def disparity_error(view: View, other: View, depth: NDArray[np.float32], truth: NDArray[np.float64]) -> Any:
    """(H, W) absolute error in pixels of disparity; NaN without truth."""
    baseline = other.world_from_camera[0, 3] - view.world_from_camera[0, 3]
    offset = other.intrinsics[0, 2] - view.intrinsics[0, 2]
    disparity = view.intrinsics[0, 0] * baseline / np.maximum(depth, 1e-9) - offset
    return np.abs(disparity - truth)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("picture", nargs="?", type=Path, metavar="picture.png")
    picture = parser.parse_args().picture
    views, truth = read()
    settings = dense.HIGH
    dense.estimate_depths([_cropped(view) for view in views], settings, lambda _done, _total: None)  # compile
    started = time.process_time()
    maps = dense.estimate_depths(views, settings, lambda _done, _total: None)
    seconds = time.process_time() - started
    error = disparity_error(views[0], views[1], maps[0].depth, truth)
    known = np.isfinite(truth)
    print(f"{len(views[0].sparse_points)} sparse points, {seconds:.1f} CPU-s for two views")
    print("confidence  cover   >1 px   >2 px   >4 px")
    for least in (0.0, 0.01, 0.25, dense.TRUSTED, 0.6, 0.7, 0.8, 0.9):
        retained = error[known & (maps[0].confidence >= least)]
        bad = "  ".join(f"{np.mean(retained > limit):6.3f}" for limit in (1, 2, 4))
        mark = "  <- trusted" if least == dense.TRUSTED else ""
        print(f"   >= {least:4.2f}  {len(retained) / known.sum():6.3f}  {bad}{mark}")
    if picture is not None:
        _picture(views[0], maps[0], error).save(picture)


def _cropped(view: View) -> View:
    return View(
        np.ascontiguousarray(view.image[:64, :64]),
        view.intrinsics,
        view.world_from_camera,
        view.sparse_points,
        view.sparse_ids,
    )


def _picture(view: View, estimated: DepthMap, error: NDArray[np.float64]) -> Image.Image:
    """Two rows of three pictures: photo, inverse depth, normals; confidence, trusted inverse depth, error.

    The error is green at 0 and red from 2 px on; it is black where nothing is trusted or known.
    """
    inverse = 1 / np.maximum(estimated.depth, 1e-9)
    low, high = np.percentile(inverse, [1, 99])
    shade = np.clip((inverse - low) / (high - low), 0, 1)
    colour = np.stack([np.interp(shade, *knots) for knots in _TURBO], axis=-1)
    trusted = estimated.confidence >= dense.TRUSTED
    wrong = np.clip(np.nan_to_num(error) / 2, 0, 1)
    judged = np.stack([wrong, 1 - wrong, np.zeros_like(wrong)], axis=-1) * (trusted & np.isfinite(error))[..., None]
    normal = (estimated.normal * [0.5, -0.5, -0.5] + 0.5) * trusted[..., None]
    top = np.hstack([view.image / 255, colour, normal])
    confidence = np.repeat(estimated.confidence[..., None], 3, -1)
    bottom = np.hstack([confidence, colour * trusted[..., None], judged])
    return Image.fromarray((np.vstack([top, bottom]) * 255).astype(np.uint8))


_TURBO = (
    ((0, 0.2, 0.4, 0.6, 0.8, 1), (0.2, 0.2, 0.1, 0.6, 1.0, 0.5)),
    ((0, 0.2, 0.4, 0.6, 0.8, 1), (0.1, 0.5, 0.9, 1.0, 0.6, 0.0)),
    ((0, 0.2, 0.4, 0.6, 0.8, 1), (0.3, 1.0, 0.8, 0.2, 0.1, 0.0)),
)

if __name__ == "__main__":
    main()
