"""[R] Truth as one JSON file of ours: `cameras.json` of sets of real photos, and `truth.json` of rendered ones.

cameras.json: "frames", each with "file", "w", "h", "K" (3, 3) and "dist" (k1 k2 p1 p2 k3) in pixels whose first one has
its centre at (0, 0), "w2c" (4, 4), and perhaps "depth", a PNG whose numbers times "depth_scale" are depths. With a
"video", the frames are the video's. "metric" says whether lengths have a "unit", and "gt_kind" what the truth is.

truth.json: "cameras", each with the fields of our Camera and perhaps "depth", a PNG whose numbers times the file's
"metres_per_unit" are metres; or the "frames" of a shot, each with its "number", which share size and distortion.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ...exchange.solves import lens_models
from ...exchange.solves.solve import Lens, pose, pose_from_extrinsics
from ...files import bounded, checked
from ...files.bounded import Damaged
from ...model.arrays import FloatArray
from ...model.lens import Distortion
from . import depth_files
from .truth import METRES, TrueView, Truth

CAMERAS, TRUTH = "cameras.json", "truth.json"


def is_cameras(folder: Path) -> bool:
    """Whether a folder holds such a cameras.json."""
    return (folder / CAMERAS).is_file()


def read_cameras(folder: Path) -> Truth:
    """The truth in a folder's cameras.json. Raises Damaged."""
    data = checked.typed(bounded.parsed(bounded.content(folder / CAMERAS)), dict)
    scale = checked.positive(data.get("depth_scale", 1.0))
    is_video = "video" in data
    views = [
        _listed_view(folder, checked.typed(entry, dict), scale, number if is_video else None)
        for number, entry in enumerate(checked.typed(data.get("frames"), list))
    ]
    unit = checked.typed(data.get("unit", METRES), str) if data.get("metric") else ""
    kind = checked.typed(data.get("gt_kind", ""), str)
    return Truth("cameras.json", views, unit, notes=[f"The truth is: {kind}."] if kind else [])


def _listed_view(folder: Path, entry: dict[str, Any], scale: float, frame: int | None) -> TrueView:
    matrix = np.array(entry["w2c"], np.float64).reshape(-1, 4)
    k = np.array(entry["K"], np.float64).reshape(3, 3)
    k1, k2, p1, p2, k3 = (*map(checked.number, entry.get("dist", ())), 0.0, 0.0, 0.0, 0.0, 0.0)[:5]
    distortion = lens_models.brown((k1, k2, k3), p1, p2)
    lens = Lens.from_matrix(k, checked.size(entry["w"]), checked.size(entry["h"]), distortion)
    depth = None
    if entry.get("depth"):
        depth = partial(depth_files.scaled, bounded.inside(folder, checked.typed(entry["depth"], str)), scale)
    name = "" if frame is not None else checked.typed(entry["file"], str)
    return TrueView(name, pose_from_extrinsics(matrix[:3, :3], matrix[:3, 3]), lens, depth, frame)


def is_rendered(folder: Path) -> bool:
    """Whether a folder holds such a truth.json."""
    return (folder / TRUTH).is_file()


def read_rendered(folder: Path) -> Truth:
    """The truth in a folder's truth.json. Raises Damaged."""
    data = checked.typed(bounded.parsed(bounded.content(folder / TRUTH)), dict)
    if "frames" in data:  # a shot
        first = min((int(entry["number"]) for entry in data["frames"]), default=0)
        shared = {name: data[name] for name in ("width", "height", "distortion")}
        views = [_rendered_view({**shared, **entry}, int(entry["number"]) - first) for entry in data["frames"]]
        return Truth("truth.json", views, METRES)
    if "cameras" not in data:
        raise Damaged("names no cameras; choose another folder")
    scale = checked.positive(data["depth"]["metres_per_unit"]) if "depth" in data else 1.0
    views = []
    for entry in data["cameras"]:
        view = _rendered_view(entry, None)
        if entry.get("depth"):
            path = bounded.inside(folder, checked.typed(entry["depth"], str))
            view = TrueView(
                view.name, view.world_from_camera, view.lens, partial(depth_files.scaled, path, scale), view.frame
            )
        views.append(view)
    return Truth("truth.json", views, METRES)


def _rendered_view(entry: dict[str, Any], frame: int | None) -> TrueView:
    distortion = Distortion(entry["distortion"]["model"], tuple(map(float, entry["distortion"]["params"])))
    numbers = (checked.number(entry[name]) for name in ("fx", "fy", "cx", "cy"))
    fx, fy, cx, cy = numbers
    width, height = checked.size(entry["width"]), checked.size(entry["height"])
    lens = Lens(fx, fy, (cx, cy), centred=False, width=width, height=height, distortion=distortion)
    matrix: FloatArray = np.array(entry["world_from_camera"], np.float64).reshape(4, 4)
    name = "" if frame is not None else checked.typed(entry["photo"], str)
    return TrueView(name, pose(matrix[:3, :3], matrix[:3, 3]), lens, None, frame)
