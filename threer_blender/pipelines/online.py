"""[R] The views of networks that see the frames of a video one after the other.

A frame is decoded when its turn comes, and forgotten once its view is predicted, so memory does not grow with the
video. `feed_forward.reconstruct` does the rest for them, as for all networks of many photos: it starts a network anew
after some hundred frames, as all of these drift, aligns such parts and closes loops (`geometry/alignment/chunks.py`),
shares one focal length, merges points by confidence, and refines the cameras.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import islice

import numpy as np
import torch
from torch import Tensor

from ..geometry.view_prediction import ViewPrediction, from_camera_points, from_pointmaps, from_shared_points
from ..model.arrays import Array, FloatArray
from ..networks.cut3r import CUT3R, world_from_camera
from ..networks.dust3r import Pointmap
from ..networks.inputs import Input
from ..networks.must3r import MUSt3R, Prediction
from ..networks.spann3r import Spann3R
from ..runtime.device import Device
from .feed_forward import arrays, inference

KEY_OVERLAP = 0.7  # a frame of which the last key frame shows less than this share becomes a key frame
KEY_CONFIDENCE = 1.5  # median confidence that a key frame must have
KEY_STEP = 8  # every so many rows and columns are compared with the last key frame
SAME_SURFACE = 0.1  # of a point's depth: the last key frame shows it where its own depth differs by less


def cut3r_views(network: CUT3R, frames: Iterable[Input], device: Device) -> Iterator[ViewPrediction]:
    """CUT3R's view of each frame: the camera by its head, the depth by the points in the frame's own camera."""
    pose: FloatArray = np.eye(4)
    with inference(device):
        state = network.initial()
    for frame in frames:
        with inference(device):
            prediction, state = network.step(state, _images([frame], device))
            points, confidence, poses = arrays([*prediction.local, world_from_camera(prediction.pose.float())])
        pose = poses[0] if np.isfinite(poses).all() else pose
        yield _view(points[0], confidence[0], pose)


def must3r_views(network: MUSt3R, frames: Iterable[Input], device: Device) -> Iterator[ViewPrediction]:
    """MUSt3R's view of each frame. The first two are seen together; of the others, key frames enter the memory."""
    frames = iter(frames)
    with inference(device):
        memory = network.empty()
    key: ViewPrediction | None = None
    while batch := list(islice(frames, 2 if key is None else 1)):
        with inference(device):
            prediction, grown = network(network.encode(_images(batch, device)), memory)
            views = _two_frames_views(prediction, key)
        if key is None or is_key(views[-1], key):
            memory, key = grown, views[-1]
        yield from views


def spann3r_views(network: Spann3R, frames: Iterable[Input], device: Device) -> Iterator[ViewPrediction]:
    """Spann3R's view of each frame, which it returns with the next one. The focal length is that of the first frame,
    and PnP gives the poses of the others. A video of one frame is seen as that frame twice."""
    frames = iter(frames)
    image = _images(list(islice(frames, 1)), device)
    view: ViewPrediction | None = None
    with inference(device):
        state = network.start(image)
    for frame in frames:
        with inference(device):
            pointmap, state = network.step(state, _images([frame], device))
        view = _next_view(pointmap, view)
        yield view
    with inference(device):
        pointmap = network.step(state, image)[0] if view is None else network.last(state)
    yield _next_view(pointmap, view)


def is_key(view: ViewPrediction, key: ViewPrediction) -> bool:
    """Whether a frame becomes a key frame: the last one, `key`, shows too little of what it shows, and it is confident
    of it."""
    usable = (view.confidence > 0) & (view.depth > 0)
    if not usable.any() or np.median(view.confidence[usable]) < KEY_CONFIDENCE:
        return False
    return overlap(view, key) < KEY_OVERLAP


def overlap(view: ViewPrediction, other: ViewPrediction) -> float:
    """The share of a view's points that the `other` view, in the same world, shows, too."""
    rows, columns = (at.ravel() for at in np.mgrid[: view.depth.shape[0] : KEY_STEP, : view.depth.shape[1] : KEY_STEP])
    usable = (view.confidence > 0) & (view.depth > 0)
    chosen = usable[rows, columns]
    if not chosen.any():
        return 0.0
    pose = other.world_from_camera
    x, y, z = ((view.points(rows[chosen], columns[chosen]) - pose[:3, 3]) @ pose[:3, :3]).T
    (fx, _, cx), (_, fy, cy), _ = other.intrinsics
    before = z > 0
    z = np.where(before, z, 1)
    height, width = other.depth.shape
    u, v = np.floor(fx * x / z + cx), np.floor(fy * y / z + cy)
    inside = before & (u >= 0) & (u < width) & (v >= 0) & (v < height)
    depth = other.depth[np.where(inside, v, 0).astype(int), np.where(inside, u, 0).astype(int)]
    return float((inside & (np.abs(depth - z) < SAME_SURFACE * z)).mean())


def _images(frames: Sequence[Input], device: Device) -> Tensor:
    """(n, 3, H, W) the frames in [-1, 1], on the device."""
    return torch.stack([frame.normalised for frame in frames]).to(device.torch)


def _two_frames_views(prediction: Prediction, before: ViewPrediction | None) -> list[ViewPrediction]:
    """The views of MUSt3R's `prediction` of one frame or two; `before` is an earlier view."""
    tensors = arrays([*prediction.local, *prediction.shared])
    views = []
    for one in zip(*tensors, strict=True):
        try:
            views.append(from_pointmaps(*one))
        except ValueError:  # no usable point
            views.append(_blind(one[0], np.eye(4) if before is None else before.world_from_camera))
        before = views[-1]
    return views


def _next_view(pointmap: Pointmap, before: ViewPrediction | None) -> ViewPrediction:
    """Spann3R's view of a frame. `before` is that of the frame before it, None for the first one."""
    (points,), (confidence,) = arrays(pointmap)
    if before is None:
        return _view(points, confidence, np.eye(4))
    view = from_shared_points(points, confidence, before.intrinsics[0, 0])
    if view is not None:
        return view
    return replace(before, depth=np.zeros_like(before.depth), confidence=np.zeros_like(before.confidence))


def _view(points: Array, confidence: Array, pose: FloatArray) -> ViewPrediction:
    """The view of points (H, W, 3) in the frame's own camera, with their confidence (H, W) and `pose`."""
    try:
        return from_camera_points(points, confidence, pose)
    except ValueError:  # no usable point
        return _blind(points, pose)


def _blind(points: Array, pose: FloatArray) -> ViewPrediction:
    """The view of a frame of which the network knows nothing: no depth, no confidence, and a guessed `pose`."""
    height, width = points.shape[:2]
    nothing = np.zeros((height, width), np.float32)
    guess = float(max(height, width))
    intrinsics = np.array([[guess, 0, width / 2], [0, guess, height / 2], [0, 0, 1.0]])
    return ViewPrediction(intrinsics, np.asarray(pose, np.float64), nothing, nothing)
