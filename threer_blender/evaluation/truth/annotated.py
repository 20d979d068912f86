"""[R] Truth with a record for each frame: MPI Sintel and CO3D.

Sources: Sintel's SDK documentation; the documentation of CO3D and of PyTorch3D's cameras.
"""

from __future__ import annotations

import struct
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ...exchange.solves.solve import Lens, pose_from_extrinsics
from ...files import bounded, checked
from ...files.bounded import Damaged
from . import depth_files
from .sequences import listed
from .truth import TrueView, Truth

CUT = "is cut off or damaged; get it again"

# ------------------------------------------------------------------ MPI Sintel

CAM = struct.Struct("<f9d12d")  # a tag, K and [R | t]


def is_sintel(folder: Path) -> bool:
    """Whether a folder is a sequence of Sintel's camdata_left."""
    return next(folder.glob("frame_*.cam"), None) is not None


def read_sintel(folder: Path) -> Truth:
    """The frames of a sequence of Sintel, with depth where `depth/` lies beside `camdata_left/`. Raises Damaged."""
    resolved = folder.resolve()
    depths = resolved.parent.parent / "depth" / resolved.name
    views = []
    for file in listed(folder, "frame_*.cam"):
        data = bounded.content(file, CAM.size)
        with bounded.as_damage(CUT):
            tag, *values = CAM.unpack(data)
        if tag != depth_files.TAG:
            raise Damaged(CUT)
        k, matrix = np.reshape(values[:9], (3, 3)), np.reshape(values[9:], (3, 4))
        lens = Lens(k[0, 0], k[1, 1], (k[0, 2] + 0.5, k[1, 2] + 0.5), centred=False)
        path = depths / f"{file.stem}.dpt"
        depth = partial(depth_files.dpt, path) if path.is_file() else None
        views.append(TrueView(f"{file.stem}.png", pose_from_extrinsics(matrix[:, :3], matrix[:, 3]), lens, depth))
    return Truth("MPI Sintel", views)


# ------------------------------------------------------------------ CO3D

ANNOTATIONS = "frame_annotations.jgz"
PER_SIDE, ISOTROPIC = "ndc_norm_image_bounds", "ndc_isotropic"  # the units of CO3D's lenses


def is_co3d(folder: Path) -> bool:
    """Whether a folder is a sequence of CO3D, whose category's annotations lie beside it."""
    return (folder.resolve().parent / ANNOTATIONS).is_file() and (folder / "images").is_dir()


def read_co3d(folder: Path) -> Truth:
    """The frames of a sequence of CO3D. Raises Damaged."""
    resolved = folder.resolve()
    category = resolved.parent
    data = bounded.content(category / ANNOTATIONS)
    longest = max(bounded.ALWAYS_ALLOWED, bounded.EXPANSION * len(data))
    unpacked = bounded.Inflation(data)
    text = unpacked.read(longest)
    if not unpacked.ended:
        raise Damaged(CUT)
    entries = checked.typed(bounded.parsed(text, longest), list)
    views = []
    for entry in entries:
        if checked.typed(entry, dict).get("sequence_name") == resolved.name and entry.get("viewpoint"):
            views.append(_co3d_view(category.parent, entry))
    if not views:
        raise Damaged(f"is not named in {ANNOTATIONS}; choose the folder of a sequence")
    note = "The true cameras of CO3D are COLMAP's own: no judge of COLMAP engines."
    return Truth("CO3D", views, notes=[note])


def _co3d_view(root: Path, entry: dict[str, Any]) -> TrueView:
    """A frame's view. PyTorch3D's camera has x to the left and y up, and its rotation is applied to row vectors."""
    image, viewpoint = checked.typed(entry["image"], dict), checked.typed(entry["viewpoint"], dict)
    height, width = (checked.size(side) for side in image["size"])
    kind = viewpoint.get("intrinsics_format", PER_SIDE)
    if kind not in (PER_SIDE, ISOTROPIC):
        raise Damaged("has lenses in an unknown unit; get it again")
    unit = (min(width, height) / 2,) * 2 if kind == ISOTROPIC else (width / 2, height / 2)
    focal = [checked.number(value) * side for value, side in zip(viewpoint["focal_length"], unit, strict=True)]
    offset = [checked.number(value) * side for value, side in zip(viewpoint["principal_point"], unit, strict=True)]
    lens = Lens(
        focal[0], focal[1], (width / 2 - offset[0], height / 2 - offset[1]), centred=False, width=width, height=height
    )
    flip = np.array([-1.0, -1.0, 1.0])
    rotation = (np.array(viewpoint["R"], np.float64).reshape(3, 3) * flip).T
    matrix = pose_from_extrinsics(rotation, np.array(viewpoint["T"], np.float64).reshape(3) * flip)
    depth = None
    if entry.get("depth"):
        path = bounded.inside(root, checked.typed(entry["depth"]["path"], str))
        scale = checked.positive(entry["depth"].get("scale_adjustment", 1.0))
        depth = partial(depth_files.half_floats, path, scale) if path.is_file() else None
    return TrueView(checked.typed(image["path"], str), matrix, lens, depth)
