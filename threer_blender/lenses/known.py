"""[S] Lenses that the artist knows: by focal length and sensor, or by the lens.json of a result or of lens grids."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from ..files import bounded, checked
from ..model import lens
from ..model.errors import UserError, quoted
from ..model.lens import Distortion, KnownLens
from ..model.lens_formulas import FORMULAS
from ..model.reconstruction import Camera, Photo
from .film_back import FULL_FRAME
from .fits import Fit, fit

SAME_ASPECT = 0.01  # largest relative difference between the aspect ratios of a lens's plate and a photo
SAME_ZOOM = 0.05  # largest relative difference between the focal length of a photo and that of the lens chosen for it
MOST_DIFFERENT = 2.0  # largest ratio of the focal lengths of two lenses between which another one is interpolated
SHORTEST, LONGEST = 1e-3, 1e9  # focal lengths in pixels that a lens file may hold
POOR_FIT = 0.1  # px: RMS residual of a fit by another model from which the artist is told
# Models that the solvers know. Where the lens is held, they also know BROWN with k4 = 0. To lenses of other models,
# those of FITTED are fitted.
SOLVED = ("PINHOLE", "SIMPLE_RADIAL", "RADIAL", "OPENCV", "OPENCV_FISHEYE")
FITTED = ("OPENCV", "OPENCV_FISHEYE")


@dataclass(frozen=True)
class FileLens:
    """A lens in a lens.json: its name, and a camera with its intrinsics in pixels of its plate, without a pose."""

    name: str
    camera: Camera


@dataclass(frozen=True)
class KnownPhotos:
    """Photos with their known lenses, and sentences for the artist about them."""

    photos: list[Photo]
    sentences: list[str]


def applied(photos: Sequence[Photo], options: Mapping[str, Any]) -> KnownPhotos:
    """The photos with the lenses that the options of an engine name.

    A photo's focal length from EXIF takes precedence over a focal length from the options, unless the lens is held.
    Panoramas stay as they are. Raises UserError where the options contradict each other, or a lens file cannot be read
    or has no lens for a photo.
    """
    held = options.get("known_lens") == "held"
    file = str(options.get("lens_file", ""))
    if file:
        return _from_file(photos, read(Path(file)), options, held)
    known = []
    for photo in photos:
        focal = None if photo.panorama else named_focal(photo, options)
        if focal is not None and (held or photo.focal is None):
            number = f"{options['focal']:g} mm" if options.get("focal") else f"{options['focal_pixels']:g} px"
            name = f"The known focal length of {number}"
            photo = replace(photo, focal=focal, lens=KnownLens(focal, held=held, name=name))
        known.append(photo)
    return KnownPhotos(known, [])


def named_focal(photo: Photo, options: Mapping[str, Any]) -> float | None:
    """The focal length in pixels that the options name, in pixels or in millimetres; None where they name none.

    Millimetres are those of a sensor whose longer side the options name, else FULL_FRAME. Raises UserError where the
    options name both.
    """
    pixels, millimetres = float(options.get("focal_pixels", 0.0)), float(options.get("focal", 0.0))
    if pixels and millimetres:
        raise UserError("The focal length is given twice, in millimetres and in pixels: leave one of them out.")
    if pixels:
        return pixels
    sensor = float(options.get("sensor", 0.0)) or FULL_FRAME
    return millimetres / sensor * max(photo.width, photo.height) or None


def read(path: Path) -> list[FileLens]:
    """The lenses in a lens.json. Raises UserError where it cannot be read as one, or is empty."""
    try:
        entries = bounded.parsed(bounded.content(path, bounded.LONGEST_JSON))["lenses"]
        lenses = [_lens(checked.typed(entry, dict)) for entry in checked.typed(entries, list)]
    except (OSError, *bounded.FAULTS) as error:
        raise UserError(
            f"{quoted(path.name)} is no lens file that can be read: choose the lens.json that the export of a lens or "
            "a lens grid wrote."
        ) from error
    if not lenses:
        raise UserError(f"{quoted(path.name)} holds no lens.")
    return lenses


def _lens(entry: dict[str, Any]) -> FileLens:
    """The lens of an entry in a lens.json. Raises one of `bounded.FAULTS` where the entry is none, or zooms."""
    if entry.get("zooms"):
        raise ValueError("a lens that zooms")
    plate, camera = entry["plate"], entry["camera"]
    model = checked.typed(entry["distortion"]["model"], str)
    params = tuple(checked.number(entry["distortion"]["params"][name]) for name in FORMULAS[model].params)
    return FileLens(
        checked.typed(entry["name"], str),
        Camera(
            "",
            checked.size(plate["width"]),
            checked.size(plate["height"]),
            _focal_length(camera["fx"]),
            _focal_length(camera["fy"]),
            checked.number(camera["cx"]),
            checked.number(camera["cy"]),
            np.eye(4),
            Distortion(model, params),
        ),
    )


def _focal_length(value: Any) -> float:
    if not SHORTEST <= checked.number(value) <= LONGEST:
        raise ValueError("a focal length that no lens has")
    return float(value)


def _from_file(
    photos: Sequence[Photo], lenses: Sequence[FileLens], options: Mapping[str, Any], held: bool
) -> KnownPhotos:
    """As `applied`, with the `lenses` of a lens file."""
    known, sentences = [], []
    for photo in photos:
        if photo.panorama:
            known.append(photo)
            continue
        chosen = choose(photo, lenses, named_focal(photo, options))
        camera, best_fit = for_solver(chosen.camera, photo, held)
        name = f"The lens {chosen.name}"
        if best_fit.rms > POOR_FIT:
            sentences.append(
                f"{name} is described by {best_fit.distortion.model}: RMS {best_fit.rms:.2f} px, worst "
                f"{best_fit.worst:.2f} px."
            )
        focal = math.sqrt(camera.fx * camera.fy)
        known_lens = KnownLens(focal, (camera.cx, camera.cy), camera.distortion, held, name)
        known.append(replace(photo, focal=focal, lens=known_lens))
    return KnownPhotos(known, list(dict.fromkeys(sentences)))


def choose(photo: Photo, lenses: Sequence[FileLens], focal: float | None) -> FileLens:
    """The lens for a photo, among those for its aspect ratio: the one whose focal length is nearest.

    `focal` is the focal length in pixels that the artist entered, None without; then the photo's own counts. Where it
    lies between two lenses, a lens is interpolated. Raises UserError where no lens fits, or several do and the focal
    length is unknown.
    """
    aspect = photo.width / photo.height
    alike = [each for each in lenses if abs(_aspect(each.camera) / aspect - 1) < SAME_ASPECT]
    if not alike:
        listed = ", ".join(f"{each.camera.width} × {each.camera.height}" for each in lenses[:3])
        raise UserError(
            f"The lens file is for pictures of {listed}, and {quoted(photo.name)} has {photo.width} × {photo.height}: "
            "choose the lens of this format."
        )
    wanted = focal or photo.focal
    if len(alike) > 1 and wanted is None:
        raise UserError(
            f"The lens file holds {len(alike)} lenses for {quoted(photo.name)}: enter the focal length, which chooses "
            "one of them."
        )
    if wanted is None:
        return alike[0]
    differences = [abs(math.log(_focal(each.camera, photo) / wanted)) for each in alike]
    nearest = int(np.argmin(differences))
    if len(alike) == 1 or differences[nearest] <= SAME_ZOOM:
        return alike[nearest]
    between = _between(alike, photo, wanted)
    if between is not None:
        return between
    if focal is not None:
        raise UserError(
            f"No lens of the file has the focal length of {focal:.0f} px that was entered; the nearest has "
            f"{_focal(alike[nearest].camera, photo):.0f} px: photograph the lens grid at this focal length, too."
        )
    return alike[nearest]


def _between(lenses: Sequence[FileLens], photo: Photo, focal: float) -> FileLens | None:
    """A lens with the focal length `focal`, in pixels of the photo, interpolated between two of the lenses.

    All its numbers are linear in the logarithm of the focal length. None where no two lenses of one model, with similar
    focal lengths (MOST_DIFFERENT), lie on both sides.
    """
    ordered = sorted(lenses, key=lambda each: _focal(each.camera, photo))
    for first, second in pairwise(ordered):
        low, high = (_focal(each.camera, photo) for each in (first, second))
        models = {each.camera.distortion.model for each in (first, second)}
        if not low < focal < high or high > MOST_DIFFERENT * low or len(models) > 1:
            continue
        share = math.log(focal / low) / math.log(high / low)
        scale = first.camera.width / second.camera.width  # from pixels of the second one's plate to the first one's
        cx, cy = (
            (1 - share) * getattr(first.camera, name) + share * getattr(second.camera, name) * scale
            for name in ("cx", "cy")
        )
        params = zip(first.camera.distortion.params, second.camera.distortion.params, strict=True)
        distortion = Distortion(models.pop(), tuple((1 - share) * a + share * b for a, b in params))
        fx = focal * first.camera.width / photo.width  # in pixels of the first one's plate
        aspect = first.camera.fy / first.camera.fx
        camera = replace(first.camera, fx=fx, fy=fx * aspect, cx=cx, cy=cy, distortion=distortion)
        return FileLens(f"between {first.name} and {second.name}", camera)
    return None


def _aspect(camera: Camera) -> float:
    """The aspect ratio of the plate as it is displayed, with square pixels."""
    return camera.width / camera.fx / (camera.height / camera.fy)


def _focal(camera: Camera, photo: Photo) -> float:
    """The focal length in pixels of the photo."""
    return camera.fx * photo.width / camera.width


def for_solver(camera: Camera, photo: Photo, held: bool) -> tuple[Camera, Fit]:
    """The lens in pixels of the photo, by a model that the solvers know, and how well that model describes it.

    Where the lens is not `held`, a lens without distortion gets a model in which the solver can find some.
    """
    scaled = replace(camera.resized(photo.width, photo.height), photo=photo.name)
    distortion = scaled.distortion
    if distortion.is_identity:
        distortion = lens.NO_DISTORTION if held else Distortion("SIMPLE_RADIAL", (0.0,))
    terms = dict(zip(lens.MODELS[distortion.model], distortion.params, strict=True))
    exact = distortion.model in SOLVED or (held and distortion.model == "BROWN" and terms["k4"] == 0)
    best = (
        Fit(distortion, 0.0, 0.0, 1.0)
        if exact
        else min((fit(scaled, model) for model in FITTED), key=lambda fitted: fitted.rms)
    )
    return replace(scaled, distortion=best.distortion), best
