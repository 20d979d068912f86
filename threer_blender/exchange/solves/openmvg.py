"""[S] OpenMVG's sfm_data.json (0.2 and 0.3): views, intrinsics, extrinsics, structure, as cereal writes them.

Source: OpenMVG's documentation, "SfM: Structure from Motion", `sfm_data`. Axes are ours; an extrinsic's rotation takes
the world to the camera, and its centre is in the world.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from ...files import checked
from ...files.bounded import Damaged
from . import lens_models
from .solve import Lens, Points, Solve, View, points, pose

VERSION = "sfm_data_version"


def matches(parsed: Any) -> bool:
    """Whether a parsed JSON file is OpenMVG's."""
    return isinstance(parsed, dict) and VERSION in parsed and isinstance(parsed.get("views"), list)


def solve(data: dict[str, Any]) -> Solve:
    """The solve of a parsed file. Views without a pose are unregistered. Raises Damaged."""
    lenses = {entry["key"]: _lens(_data(entry["value"])) for entry in data["intrinsics"]}
    poses = {}
    for entry in data["extrinsics"]:
        value = entry["value"]
        rotation = np.array(value["rotation"], np.float64).reshape(3, 3).T
        poses[entry["key"]] = pose(rotation, np.array(value["center"], np.float64))
    views: list[View] = []
    unregistered, index_of = [], {}
    for entry in data["views"]:
        view = _data(entry["value"])
        folder = str(view.get("local_path") or "")
        name = "/".join(part for part in (folder.strip("/"), checked.typed(view["filename"], str)) if part)
        if view["id_pose"] not in poses or view["id_intrinsic"] not in lenses:
            unregistered.append(name)
            continue
        index_of[view["id_view"]] = len(views)
        lens = lenses[view["id_intrinsic"]]
        views.append(View(name, lens, poses[view["id_pose"]]))
    return Solve("OpenMVG", views, _points(data.get("structure") or [], index_of), unregistered=unregistered)


def _data(value: dict[str, Any]) -> dict[str, Any]:
    """The values of an object that cereal wrote as a pointer, with those of its base class."""
    data = value.get("ptr_wrapper", value)
    data = data.get("data", data)
    return {**data.get("value0", {}), **data} if isinstance(data.get("value0"), dict) else dict(data)


def _points(structure: list[dict[str, Any]], index_of: dict[int, int]) -> Points | None:
    """The points, each with the first of its observers that has a camera; None without any."""
    if not structure:
        return None
    values = [entry["value"] for entry in structure]
    observers = [[observation["key"] for observation in value.get("observations") or []] for value in values]
    owners = [next((index_of[key] for key in keys if key in index_of), -1) for keys in observers]
    positions = np.array([value["X"] for value in values], np.float64)
    return points(positions, None, np.array(owners), np.array([len(keys) for keys in observers]))


def _lens(data: dict[str, Any]) -> Lens:
    """A view's lens. The names of its parameters tell the model: radial, Brown's in OpenCV's order, or fisheye."""
    lens = Lens(
        checked.number(data["focal_length"]),
        checked.number(data["focal_length"]),
        (checked.number(data["principal_point"][0]), checked.number(data["principal_point"][1])),
        centred=False,
        width=checked.size(data["width"]),
        height=checked.size(data["height"]),
    )
    if "fisheye" in data:
        return replace(lens, distortion=lens_models.fisheye(*data["fisheye"]))
    if "disto_t2" in data:
        *radial, p1, p2 = (float(value) for value in data["disto_t2"])
        return replace(lens, distortion=lens_models.brown(radial, p1, p2))
    for name in ("disto_k1", "disto_k3"):
        if name in data:
            return replace(lens, distortion=lens_models.brown([float(value) for value in data[name]]))
    if any(name.startswith("disto") for name in data):
        raise Damaged("has a lens model that is not read here")
    return lens
