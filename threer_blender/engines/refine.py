"""[R] Refines the cameras of an earlier result of any engine, on the photos that it was made from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib import import_module
from time import perf_counter
from typing import Any

from .. import bundle
from ..model.engine import Engine, Option, Report
from ..model.errors import UserError, quoted
from ..model.reconstruction import Photo, Reconstruction
from . import options as shared

SUMMARY = "Corrects the cameras of an earlier result by details matched between its photos; its points follow."
LICENCE = "GPL-3.0-or-later (the result keeps its own)"
OPTIONS = (
    Option(
        "start",
        "",
        "Earlier result",
        "The folder of the result whose cameras are refined.",
        basic=True,
        folder=True,
    ),
    Option(
        "lens",
        "shared",
        "Lens",
        "Whether photos of the same size and EXIF focal length were taken with one lens setting.",
        choices={name: label for name, label in (shared.REFINE.choices or {}).items() if name != "off"},
    ),
    shared.MATCHING,
    *shared.MASKS,
    *shared.SURVEY,
)
ENGINE = Engine(
    "refine", "Refine a result", SUMMARY, LICENCE, commercial=True, requires=shared.PHOTOGRAMMETRY, options=OPTIONS
)

# The choice of MATCHING -> the module of `geometry/features` that matches so, with QUALITIES and extract_and_match.
MATCHERS = {"sift": "features", "learned": "learned_features"}


def reconstruct(photos: Sequence[Photo], options: Mapping[str, Any], report: Report) -> Reconstruction:
    """The result in the folder of the option `start`, with refined cameras and its points moved along.

    `photos` are those that it was made from, in any order. Raises UserError where there is no such result, one of its
    photos with a camera is missing or has changed, or it has splats.
    """
    from ..pictures import masks
    from ..pictures.photos import pixels
    from ..pipelines import refinement

    if not options["start"]:
        raise UserError("Name the result to refine: the folder that it was written to.")
    earlier = bundle.read(options["start"])
    chosen = {photo.sha256: photo for photo in photos}
    for camera in earlier.cameras:
        photo = next(photo for photo in earlier.photos if photo.name == camera.photo)
        if photo.sha256 not in chosen:
            raise UserError(f"{quoted(photo.name)} has a camera in that result; choose it as well, unchanged.")
    photos_here = [
        replace(photo, path=chosen[photo.sha256].path) if photo.sha256 in chosen else photo for photo in earlier.photos
    ]
    started = perf_counter()
    report.plan(refinement.plan(len(earlier.cameras), options["lens"]))
    excluded = masks.excluder(options)
    matching = import_module(f"..geometry.features.{MATCHERS[options['matching']]}", __package__)
    earlier = replace(earlier, photos=photos_here)
    refined = refinement.refined(earlier, options["lens"], pixels, report, matching, excluded)
    return replace(refined, timings={**earlier.timings, "refinement": perf_counter() - started})
