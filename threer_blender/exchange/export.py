"""[S] Writes a result for other programs: a folder with pictures without distortion, cameras and points."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ..files import whole_folder
from ..model.errors import UserError
from ..model.reconstruction import PointCloud, Reconstruction
from . import colmap, pictures, transforms


@dataclass(frozen=True)
class Format:
    """A format by the name in the panel, and who reads it; `write(views, points, folder)` writes its files."""

    label: str
    readers: str
    write: Callable[[list[pictures.View], PointCloud | None, Path], None]


FORMATS = {
    "colmap": Format("COLMAP model", "COLMAP, and what trains splats from its models", colmap.write),
    "transforms": Format("transforms.json", "Nerfstudio, and what trains splats from its files", transforms.write),
}


def write(reconstruction: Reconstruction, bundle_folder: Path, format_id: str, folder: Path) -> list[str]:
    """Writes `folder`, whole or not at all, and returns sentences about what is in it.

    Raises UserError where the format is unknown, there is no camera, a picture is gone, or the folder holds something
    else or cannot be written.
    """
    if format_id not in FORMATS:
        raise UserError(f"There is no format {format_id}; there are {', '.join(FORMATS)}.")
    views = pictures.views(reconstruction, bundle_folder)
    panoramas = sum(camera.distortion.is_panorama for camera in reconstruction.cameras)
    if not views:
        named = "has panoramas alone, which these programs cannot use" if panoramas else "has no cameras to export"
        raise UserError(f"This result {named}.")
    with whole_folder.replacing(folder) as new:
        FORMATS[format_id].write(views, reconstruction.cloud, new.path)
        absent = pictures.copy(views, new.path)
    points = 0 if reconstruction.cloud is None else len(reconstruction.cloud)
    written = f"{len(views)} cameras and {points:,} points as {FORMATS[format_id].label} in {new.place}"
    counted = f"{panoramas} {'panorama was' if panoramas == 1 else 'panoramas were'}"
    skipped = f"{counted} left out: these programs take photos alone." if panoramas else ""
    return [written, *filter(None, (absent, skipped)), *new.sentences("the files")]
