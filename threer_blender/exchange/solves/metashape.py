"""[S] Metashape's XML: File > Export > Export Cameras, and the formula of its lens.

Source: Metashape's manual, "Camera models": u = width/2 + cx + x' f + x' b1 + y' b2, v = height/2 + cy + y' f, with
Brown's terms, of which P1 and P2 are in the opposite order to OpenCV's. Camera axes are ours. A camera's transform is
in its chunk's frame. The transform of its component, or else of the chunk, takes that frame to the world and to metres.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree

import numpy as np

from ...files import bounded
from ...files.bounded import Damaged
from ...model.arrays import FloatArray
from ...model.lens import Distortion, distort
from . import lens_models
from .solve import Lens, Solve, View, pose

FRAME, FISHEYE = "frame", "fisheye"  # the types of sensors that are read
Element = ElementTree.Element


class _Similarity(NamedTuple):
    """The transform from a chunk's frame to the world: first `scale` and `rotation` (3, 3), then `translation` (3,)."""

    scale: float
    rotation: FloatArray
    translation: FloatArray


IDENTITY = _Similarity(1.0, np.eye(3), np.zeros(3))


def read(path: Path) -> Solve:
    """The cameras of the first chunk that has cameras. Those without a transform are unregistered. Raises Damaged."""
    data = bounded.content(path)
    if b"<!DOCTYPE" in data or b"<!ENTITY" in data:
        raise Damaged("declares entities, which Metashape does not; do not trust it")
    try:
        root = ElementTree.fromstring(data)
    except ElementTree.ParseError as error:
        raise Damaged("is cut off or damaged; export it again") from error
    chunk = next((each for each in root.iter("chunk") if each.find("cameras") is not None), None)
    if chunk is None:
        raise Damaged("holds no cameras; use File > Export > Export Cameras in Metashape")
    lenses = {sensor.get("id", ""): lens for sensor in chunk.iter("sensor") if (lens := _lens(sensor)) is not None}
    of_components = {each.get("id", ""): _similarity(each.find("transform")) for each in chunk.iter("component")}
    of_chunk = _similarity(chunk.find("transform"))
    views, unregistered = [], []
    for camera in chunk.iter("camera"):
        name, transform = camera.get("label", ""), camera.findtext("transform")
        sensor = camera.get("sensor_id", "")
        if transform is None or sensor not in lenses:
            unregistered.append(name)
            continue
        scale, rotation, translation = of_components.get(camera.get("component_id", "")) or of_chunk or IDENTITY
        matrix = np.array(transform.split(), np.float64).reshape(4, 4)
        centre = scale * rotation @ matrix[:3, 3] + translation
        views.append(View(name, lenses[sensor], pose(rotation @ matrix[:3, :3], centre)))
    # A scale other than 1 is taken for a size that somebody gave the chunk.
    metric = any(each.scale != 1.0 for each in (*of_components.values(), of_chunk) if each is not None)
    return Solve("Metashape", views, metric=metric, unregistered=unregistered)


def _similarity(transform: Element | None) -> _Similarity | None:
    """The transform of a component or chunk; None where it has none."""
    if transform is None or transform.find("rotation") is None:
        return None
    scale = float(transform.findtext("scale", "1"))
    rotation = np.array(transform.findtext("rotation", "").split(), np.float64).reshape(3, 3)
    translation = np.array(transform.findtext("translation", "0 0 0").split(), np.float64).reshape(3)
    if not (np.isfinite([scale, *translation]).all() and scale > 0):
        raise Damaged("has a chunk whose place in the world holds no numbers; export it again")
    return _Similarity(scale, pose(rotation, translation)[:3, :3], translation)


def _lens(sensor: Element) -> Lens | None:
    """A sensor's lens, by its adjusted calibration rather than the initial one; None where it has no calibration."""
    several = sensor.findall("calibration")
    calibration = next((each for each in several if each.get("class") == "adjusted"), next(iter(several), None))
    if calibration is None:
        return None
    kind = calibration.get("type", sensor.get("type", FRAME))
    if kind not in (FRAME, FISHEYE):
        raise Damaged(f"has a sensor of the type {kind[:40]}, which no camera with one lens has")
    value = {each.tag: float(each.text or "0") for each in calibration if each.tag != "resolution"}
    resolution = calibration.find("resolution")
    if resolution is None:
        resolution = sensor.find("resolution")
    if resolution is None:
        raise Damaged("has a sensor without a resolution; export it again")
    focal = value.get("f", value.get("fy", 0.0))
    lens = Lens(
        value.get("fx", focal) + value.get("b1", 0.0),
        focal,
        (value.get("cx", 0.0), value.get("cy", 0.0)),
        width=int(resolution.get("width", "0")),
        height=int(resolution.get("height", "0")),
    )
    radial = [value.get(f"k{i}", 0.0) for i in range(1, 5)]
    p1, p2, skew = value.get("p2", 0.0), value.get("p1", 0.0), value.get("b2", 0.0)  # in our order
    if kind == FISHEYE:
        return replace(lens, distortion=lens_models.fisheye(*radial))
    distortion = lens_models.brown(radial, p1, p2)
    if not skew:
        return replace(lens, distortion=distortion)
    return lens_models.fitted(lens, "Metashape's with b2", _skewed(distortion, skew / lens.focal_x))


def _skewed(distortion: Distortion, share: float) -> lens_models.Formula:
    """The formula of a lens with `distortion` that then adds `share` times y to x."""

    def formula(points: FloatArray) -> FloatArray:
        distorted = distort(distortion, points).copy()
        distorted[:, 0] += share * distorted[:, 1]
        return distorted

    return formula
