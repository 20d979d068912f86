"""[S] Files of Gaussian splats <-> Gaussians: which formats there are, one file each. Stdlib and numpy."""

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

HEAD = 8192  # bytes of a file that tell its format


class Format(NamedTuple):
    """A kind of file: what it is called, how its names end, how it is told, read and written (None: it is not).

    `recognises` is given the first HEAD bytes of a file and its size.
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
    """The usable splats of a file, and sentences on what was left out; y is down unless its `up` says otherwise.

    The content tells the format; the name's ending does where the content could be anything. `codecs` are decoders that
    SOG and new SPZ files need. `spz_is_y_up`: SPZ files that do not name their axes have those of their specification,
    y up, and are turned; else they are taken to be y down already, as some programs write them. `repair_splatt3r` mends
    what Splatt3R's own export does to its splats. Raises UserError where the file cannot be read or holds no splats.
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
    """Writes a file of the format that its name ends on; whole, or an earlier file stays as it was.

    `origin` and `antialiased` are those of `SplatFile`. Raises UserError where that format is not written, is too
    coarse for where the splats are, or the file cannot be written.
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
    """How the names of files that can be read (or written) end."""
    return tuple(end for form in FORMATS if not written or form.write for end in form.suffixes)


def _by_ending(path: Path) -> Format | None:
    return next((form for form in FORMATS if path.name.lower().endswith(form.suffixes)), None)
