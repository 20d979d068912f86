"""[S] Files of Gaussian splats <-> Gaussians. FORMATS lists the formats; each has a module. Stdlib and numpy."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..files import bounded, whole_file
from ..model.arrays import FloatArray
from ..model.errors import UserError, quoted
from ..model.reconstruction import Gaussians
from . import checks, ksplat, ply, sog, splat, spz
from .reading import NO_CODECS, Codecs, Reading, SplatFile

__all__ = ["Codecs", "SplatFile"]

HEAD = 8192  # bytes at the beginning of a file by which its format is recognised


class Format(NamedTuple):
    """A file format: its label, the endings of its file names, and its functions.

    `recognises(head, size)` takes the first HEAD bytes of a file and its size. `read(path, how)` raises Damaged and
    OSError. `write(gaussians, path, origin, antialiased)` is None where the format is only read.
    """

    label: str
    suffixes: tuple[str, ...]
    recognises: Callable[[bytes, int], bool]
    read: Callable[[Path, Reading], SplatFile]
    write: Callable[[Gaussians, Path, FloatArray, bool], None] | None = None


FORMATS = (
    Format("3DGS PLY, compressed PLY", (".ply",), ply.recognises, ply.read, ply.write),
    Format("SPZ", (".spz",), spz.recognises, spz.read, spz.write),
    Format("splat", (".splat",), splat.recognises, splat.read),
    Format("KSplat", (".ksplat",), ksplat.recognises, ksplat.read),
    Format("SOG", (".sog", "meta.json"), sog.recognises, sog.read),
)


def read(
    path: str | Path, codecs: Codecs = NO_CODECS, *, spz_is_y_up: bool = True, repair_splatt3r: bool = False
) -> SplatFile:
    """The usable splats of a file, and notes about those that were left out.

    The format is recognised by the file's content, else by the ending of its name. y points down unless the result's
    `up` says otherwise. `codecs` are decoders that SOG and new SPZ files need. `spz_is_y_up`: SPZ files that do not
    name their axes have y up, as their specification says, and are rotated; else they are taken to have y down
    already, as some programs write them. `repair_splatt3r` mends the faults of Splatt3R's own export. Raises UserError
    where the file cannot be read or holds no usable splats.
    """
    path = Path(path)
    try:
        with bounded.as_refusal(quoted(path.name)):
            return _read(path, Reading(codecs, spz_is_y_up, repair_splatt3r))
    except OSError as error:
        raise UserError(f"{quoted(path)} could not be read: {error.strerror or error}.") from error
    except MemoryError as error:
        raise UserError(f"There is not enough memory to read {quoted(path.name)}; close other programs.") from error


def _read(path: Path, reading: Reading) -> SplatFile:
    with bounded.open_regular(path) as file:
        head = file.read(HEAD)
    form = next((form for form in FORMATS if form.recognises(head, path.stat().st_size)), _by_ending(path))
    if form is None:
        raise UserError(f"{quoted(path.name)} is no splat file that can be read: choose one of {', '.join(endings())}.")
    with bounded.as_damage(), np.errstate(all="ignore"):
        return checks.usable(form.read(path, reading), path.name)


def write(
    gaussians: Gaussians, path: str | Path, *, origin: FloatArray | None = None, antialiased: bool = False
) -> None:
    """Writes a file in the format that the ending of its name says, whole or not at all.

    `origin` and `antialiased` are as in `SplatFile`. Raises UserError where that format cannot be written, its steps
    are too coarse so far from the origin, or the file cannot be written.
    """
    path = Path(path)
    form = _by_ending(path)
    if form is None or form.write is None:
        raise UserError(
            f"{quoted(path.name)} cannot be written: let its name end on {' or '.join(endings(written=True))}."
        )
    try:
        with whole_file.replacing(path) as beside:
            form.write(gaussians, beside, np.zeros(3) if origin is None else origin, antialiased)
    except OSError as error:
        raise UserError(f"{quoted(path)} could not be written: {error.strerror or error}.") from error


def endings(written: bool = False) -> tuple[str, ...]:
    """The endings of the names of files that can be read; with `written`, of those that can be written."""
    return tuple(end for form in FORMATS if not written or form.write for end in form.suffixes)


def _by_ending(path: Path) -> Format | None:
    """The format that the ending of a file's name says; None where it is no known one."""
    return next((form for form in FORMATS if path.name.lower().endswith(form.suffixes)), None)
