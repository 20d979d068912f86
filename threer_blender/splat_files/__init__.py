"""[S] Files of Gaussian splats <-> Gaussians: which formats there are, one file each. Stdlib and numpy."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from ..model.errors import UserError
from ..model.reconstruction import Gaussians
from . import checks, ksplat, ply, sog, splat, spz
from .reading import NO_CODECS, Codecs, Damaged, Reading, SplatFile


class Format(NamedTuple):
    """A kind of file: what it is called, how its names end, and how it is read and written (None: it is not)."""

    label: str
    suffixes: tuple[str, ...]
    read: Callable[[Path, Reading], SplatFile]
    write: Callable[[Gaussians, Path], None] | None = None


FORMATS = (
    Format("3DGS PLY, compressed PLY", (".ply",), ply.read, ply.write),
    Format("SPZ", (".spz",), spz.read, spz.write),
    Format("splat", (".splat",), splat.read),
    Format("KSplat", (".ksplat",), ksplat.read),
    Format("SOG", (".sog", "meta.json"), sog.read),
)


def read(
    path: str | Path, codecs: Codecs = NO_CODECS, *, spz_is_y_up: bool = True, repair_splatt3r: bool = False
) -> SplatFile:
    """The usable splats of a file, in the axes of 3DGS PLY files (y down), and sentences on what was left out.

    `codecs` are decoders that SOG and new SPZ files need. `spz_is_y_up`: SPZ files have the axes of their
    specification, y up, and are turned; else they are taken to be y down already, as some programs write them.
    `repair_splatt3r` mends what Splatt3R's own export does to its splats. Raises UserError where the file cannot be
    read or holds no splats.
    """
    path = Path(path)
    found = _format(path)
    if found is None:
        raise UserError(f"{path.name!r} is no splat file that can be read: choose one of {', '.join(endings())}.")
    try:
        return checks.usable(found.read(path, Reading(codecs, spz_is_y_up, repair_splatt3r)), path.name)
    except Damaged as error:
        raise UserError(f"{path.name!r} {error}.") from error
    except OSError as error:
        raise UserError(f"{str(path)!r} could not be read: {error.strerror or error}.") from error


def write(gaussians: Gaussians, path: str | Path) -> None:
    """Writes a file of the format that its name ends on; whole, or an earlier file stays as it was.

    Raises UserError where that format is not written or the file cannot be.
    """
    path = Path(path)
    found = _format(path)
    if found is None or found.write is None:
        raise UserError(f"{path.name!r} cannot be written: let its name end on {' or '.join(endings(written=True))}.")
    partial = path.with_name(f".{path.name}.partial")
    try:
        found.write(gaussians, partial)
        partial.replace(path)
    except OSError as error:
        raise UserError(f"{str(path)!r} could not be written: {error.strerror or error}.") from error
    finally:
        partial.unlink(missing_ok=True)


def endings(written: bool = False) -> tuple[str, ...]:
    """How the names of files that can be read (or written) end."""
    return tuple(end for form in FORMATS if not written or form.write for end in form.suffixes)


def _format(path: Path) -> Format | None:
    return next((form for form in FORMATS if path.name.lower().endswith(form.suffixes)), None)
