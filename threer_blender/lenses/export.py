"""[S] Writes the lenses of a result to a folder: for each a pair of STMaps and a Nuke script, and lens.json for all."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ..files import exr_file, whole_folder
from ..model.lens_formulas import FORMULAS
from ..model.reconstruction import Camera, Reconstruction
from . import nuke, stmaps
from .film_back import FilmBack
from .fits import Fit, fit
from .overscan import Overscan, overscan, without_distortion

INDEX = "lens.json"
# The models that are fitted to each lens.
MODELS = ("BROWN", "OPENCV_FISHEYE", "DIVISION", "TDE_RADIAL_4", "TDE_ANAMORPHIC_4")
CONVENTION = (
    "STMaps are 32-bit EXR: red is S = x / width, green is T = y / height of the source, origin at its lower left "
    "corner, pixel centres at half pixels; blue is 1 where the source has the place. 'undistort' is as large as the "
    "render and reads the plate; 'redistort' is as large as the plate and reads the render."
)


@dataclass(frozen=True)
class Lens:
    """One lens of a result, and the cameras that it was on, by photo name or frame number.

    Its cameras have equal intrinsics unless it zooms. `sensor_width` is in mm, None where it is unknown.
    """

    name: str
    cameras: dict[str, Camera]
    sensor_width: float | None

    @property
    def zooms(self) -> bool:
        """Whether its cameras' intrinsics differ."""
        return len({_key(camera) for camera in self.cameras.values()}) > 1


def lenses(reconstruction: Reconstruction) -> list[Lens]:
    """The lenses of the shots, one for each shot; without shots, the different lenses of the photos."""
    sensors = {photo.name: photo.sensor_width for photo in reconstruction.photos}
    of_shots = []
    for shot in reconstruction.shots:
        cameras = {str(number): shot.plate_camera(number) for number in shot.cameras}
        photo = next((each for each in reconstruction.photos if each.path == shot.path), None)
        of_shots.append(Lens(shot.video, cameras, photo.sensor_width if photo else None))
    groups: dict[Any, dict[str, Camera]] = {}
    for camera in reconstruction.cameras:
        groups.setdefault(_key(camera), {})[camera.photo] = camera
    return of_shots or [Lens(first, group, sensors[first]) for group in groups.values() for first in list(group)[:1]]


def write(reconstruction: Reconstruction, folder: Path, report: Callable[[float], None] = lambda _: None) -> list[str]:
    """Writes `folder`, whole or not at all, and returns sentences about each lens.

    `report(fraction)` may raise. Raises UserError where the folder holds anything that no earlier run wrote, cannot be
    written, or a lens is too wide for a picture without distortion.
    """
    entries, lines = [], []
    chosen = lenses(reconstruction)
    with whole_folder.replacing(folder) as new:
        for number, each in enumerate(chosen):
            entry, sentences = _write(each, number, new.path)
            entries.append(entry)
            lines += sentences
            report((number + 1) / len(chosen))
        index = {"convention": CONVENTION, "lenses": entries}
        (new.path / INDEX).write_text(json.dumps(index, indent=1, ensure_ascii=False), "utf-8")
    return [*lines, *new.sentences("the lenses")]


def stem(number: int, name: str) -> str:
    """The beginning of the names of a lens's files: `number` + 1, and the letters and digits of its name."""
    return f"{number + 1:02d}_{re.sub(r'[^A-Za-z0-9_-]+', '_', Path(name).stem).strip('_')[:40]}"


def _write(each: Lens, number: int, folder: Path) -> tuple[dict[str, Any], list[str]]:
    """Writes the files of one lens. Returns its entry in the index, and sentences about it."""
    cameras = list(each.cameras.values())
    camera = cameras[0]
    added = overscan(cameras)
    begin = stem(number, each.name)
    fits = [fit(camera, model) for model in MODELS]
    for label, mapped in (each.cameras if each.zooms else {"": camera}).items():
        _write_maps(folder, begin, label, mapped, added)
    frames = ".%04d" if each.zooms else ""
    maps = f"{begin}_undistort{frames}.exr", f"{begin}_redistort{frames}.exr"
    tde_fits = [fitted for fitted in fits if fitted.distortion.model in nuke.TDE_NODES]
    script = nuke.script(each.name, camera, added.size(camera), maps, tde_fits)
    (folder / f"{begin}.nk").write_text(script, "utf-8")
    return _entry(each, added, maps, fits), _sentences(each, added, fits)


def _write_maps(folder: Path, begin: str, label: str, camera: Camera, added: Overscan) -> None:
    """Writes a pair of STMaps. `label` is the frame's number where the lens zooms, else empty."""
    end = f".{int(label):04d}.exr" if label.isdecimal() else ".exr"
    aspect = camera.fy / camera.fx
    exr_file.write(folder / f"{begin}_undistort{end}", stmaps.undistorting(camera, added), aspect)
    exr_file.write(folder / f"{begin}_redistort{end}", stmaps.redistorting(camera, added), aspect)


def description(each: Lens) -> dict[str, Any]:
    """The part of a lens's entry that every lens file has, also one from photos of a grid. `known.py` reads it."""
    camera = next(iter(each.cameras.values()))
    return {
        "name": each.name,
        "used_by": list(each.cameras),
        "zooms": each.zooms,
        "plate": {"width": camera.width, "height": camera.height, "pixel_aspect": camera.fy / camera.fx},
        "camera": {name: getattr(camera, name) for name in ("fx", "fy", "cx", "cy")},
        "film_back_mm": asdict(FilmBack.of(camera, each.sensor_width)),
        "distortion": _distortion(camera),
    }


def _entry(each: Lens, added: Overscan, maps: tuple[str, str], fits: Sequence[Fit]) -> dict[str, Any]:
    """The lens's entry in the index. `maps` are the names of its STMaps, that which undistorts first."""
    camera = next(iter(each.cameras.values()))
    render = without_distortion(camera, added)
    render_sensor_width = each.sensor_width * render.width / camera.width if each.sensor_width else None
    return {
        **description(each),
        "overscan": asdict(added),
        "render": {name: getattr(render, name) for name in ("width", "height", "fx", "fy", "cx", "cy")},
        "render_film_back_mm": asdict(FilmBack.of(render, render_sensor_width)),
        "undistort": maps[0],
        "redistort": maps[1],
        "fits": [
            {
                "model": one.distortion.model,
                "params": dict(zip(FORMULAS[one.distortion.model].params, one.distortion.params, strict=True)),
                "rms_px": one.rms,
                "worst_px": one.worst,
                "covered": one.covered,
            }
            for one in fits
        ],
    }


def _distortion(camera: Camera) -> dict[str, Any]:
    """The solved lens model, and its parameters by name."""
    names = FORMULAS[camera.distortion.model].params
    return {"model": camera.distortion.model, "params": dict(zip(names, camera.distortion.params, strict=True))}


def _sentences(each: Lens, added: Overscan, fits: Sequence[Fit]) -> list[str]:
    """A sentence about the lens's render size, and one about each fitted model."""
    camera = next(iter(each.cameras.values()))
    width, height = added.size(camera)
    lines = [
        f"{each.name}: {camera.distortion.model}, plate {camera.width} × {camera.height}, render {width} × {height} "
        f"(overscan {added.across} on each side, {added.down} above and below)"
    ]
    for one in fits:
        coverage = f", shows {one.covered:.1%} of the plate" if one.covered < 1 else ""
        lines.append(f"  as {one.distortion.model}: RMS {one.rms:.3f} px, worst {one.worst:.3f} px{coverage}")
    return lines


def _key(camera: Camera) -> tuple[Any, ...]:
    """The size and the intrinsics: equal for all cameras of a lens that does not zoom."""
    return (camera.width, camera.height, camera.fx, camera.fy, camera.cx, camera.cy, camera.distortion)
