"""The sample's photos, smaller, so that a reconstruction takes a few seconds, and their true cameras. For all tests."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from threer_blender.model.lens import Distortion
from threer_blender.model.reconstruction import Camera

SAMPLE = sorted((Path(__file__).parent / "data" / "sample" / "photos").glob("*.jpg"))
TRUTH = {record["photo"]: record for record in json.loads((SAMPLE[0].parents[1] / "truth.json").read_text())["cameras"]}


def true_camera(name: str) -> Camera:
    """The true camera of a photo of the sample, in metres with z up."""
    record = TRUTH[name]
    distortion = Distortion(record["distortion"]["model"], tuple(record["distortion"]["params"]))
    fx, fy, cx, cy = (float(record[key]) for key in ("fx", "fy", "cx", "cy"))
    pose = np.array(record["world_from_camera"])
    return Camera(name, record["width"], record["height"], fx, fy, cx, cy, pose, distortion)


def shrunk(photos: Sequence[Path], folder: Path, factor: int = 3) -> list[Path]:
    """Copies of `photos` in `folder`, `factor` times smaller, with their EXIF."""
    for path in photos:
        with Image.open(path) as image:
            size = (image.width // factor, image.height // factor)
            small = image.resize(size, Image.Resampling.LANCZOS)
            small.save(folder / path.name, quality=92, exif=image.getexif())
    return [folder / path.name for path in photos]
