"""[R] Opens the solve of any other program. Its content tells the format, and the result is checked for sense.

Damaged bytes may lead a reader into errors other than Damaged. `read` makes a UserError of all of them.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ...files import bounded
from ...files.bounded import Damaged
from ...files.photo_files import in_natural_order
from ...model.errors import UserError, quoted
from . import (
    bundler,
    colmap,
    e57,
    las,
    meshroom,
    metashape,
    open3d,
    openmvg,
    opensfm,
    phones,
    ply,
    reality_capture,
    transforms,
)
from .solve import Solve

HEAD = 1 << 16  # bytes that tell what a file is
LONGEST_JSON = 256 << 20  # bytes; a solve of ten thousand photos with its points
LISTED = (
    "COLMAP, Nerfstudio, instant-ngp, Bundler, VisualSFM (NVM), OpenMVG, OpenSfM, Meshroom (.sfm, .baf), Metashape "
    "(XML), RealityCapture (CSV), Polycam, Record3D, Open3D, PLY, LAS, LAZ and E57"
)
DAMAGED = "is cut off or damaged; export it again"
# The names of the file in a folder that is the solve, the likeliest first.
IN_FOLDER = (
    *transforms.NAMES, "reconstruction.json", "sfm_data.json", "cameras.sfm", "sfm.sfm", "cameras.xml", "bundle.out",
    "bundle/bundle.out", "bundle.rd.out", phones.RECORD3D,
)  # fmt: skip
# Where no such file is there, the only file in the folder with one of these endings is the solve.
ENDINGS = (".nvm", ".sfm", ".xml", ".csv", ".out", ".json")
ALEMBIC = b"Ogawa"  # the beginning of Alembic files
ALEMBIC_INSTEAD = (
    "is an Alembic file, which names no photos and no distortion; choose Meshroom's .sfm file, or use Blender's "
    "File > Import > Alembic for the cameras alone"
)
MOST_BEHIND = 0.5  # the axes are wrong where a larger share of points lies behind the cameras that saw them
SAMPLED = 4000  # points that this check looks at, or up to twice as many, where there are so many


@dataclass(frozen=True)
class FileFormat:
    """A format that is recognised by the first bytes of a file."""

    matches: Callable[[bytes], bool]
    read: Callable[[Path], Solve]


def _csv(path: Path) -> Solve:
    return reality_capture.solve(bounded.content(path))


def _ply(path: Path) -> Solve:
    return Solve("PLY", [], ply.read(path))


def _las(path: Path) -> Solve:
    return Solve("LAS", [], las.read(path), metric=True)


def _e57(path: Path) -> Solve:
    return Solve("E57", [], e57.read(path), metric=True)


def _refused(sentence: str) -> Callable[[Path], Solve]:
    """A reader that refuses every file with this sentence."""

    def refuse(_path: Path) -> Solve:
        raise Damaged(sentence)

    return refuse


FORMATS = (
    FileFormat(lambda head: head.startswith(bundler.NVM), bundler.read_nvm),
    FileFormat(lambda head: bundler.BUNDLER.match(head) is not None, bundler.read_bundler),
    FileFormat(lambda head: re.match(rb"ply\s", head) is not None, _ply),
    FileFormat(lambda head: head.startswith(las.SIGNATURE), _las),
    FileFormat(lambda head: head.startswith(e57.SIGNATURE), _e57),
    FileFormat(lambda head: head.startswith(ALEMBIC), _refused(ALEMBIC_INSTEAD)),
    FileFormat(lambda head: head.removeprefix(reality_capture.BOM).lstrip()[:1] == b"<", metashape.read),
    FileFormat(lambda head: head.removeprefix(reality_capture.BOM).lstrip()[:1] in (b"{", b"["), lambda p: _json(p)),
    FileFormat(reality_capture.matches, _csv),
    FileFormat(meshroom.is_baf, meshroom.read_baf),
    FileFormat(lambda head: open3d.LOG.match(head) is not None, open3d.read_log),
)
# Pairs of a function that recognises a parsed JSON file and one that reads it.
JSON_FORMATS: tuple[tuple[Callable[[Any], bool], Callable[[Any, Path], Solve]], ...] = (
    (transforms.matches, transforms.solve),
    (opensfm.matches, lambda parsed, _: opensfm.solve(parsed)),
    (openmvg.matches, lambda parsed, _: openmvg.solve(parsed)),
    (meshroom.matches, lambda parsed, _: meshroom.solve(parsed)),
    (open3d.matches, lambda parsed, _: open3d.solve(parsed)),
    (phones.is_record3d, lambda parsed, _: phones.record3d(parsed)),
)


class Unknown(Damaged):
    """A file or a folder of no known program."""


def read(path: Path) -> Solve:
    """The solve in a file or a folder, with its views in the natural order of their names.

    Raises UserError where there is no solve, or where it is damaged, makes no sense or does not fit into memory. Its
    cause is Unknown where no program is known to write such files.
    """
    try:
        with bounded.as_refusal(quoted(path)), bounded.as_damage(DAMAGED):
            try:
                solve = _solve(path)
            except StopIteration as error:  # a list that ends too early
                raise Damaged(DAMAGED) from error
            _check(solve)
            solve = _sorted(solve)
    except FileNotFoundError as error:
        raise UserError(f"There is no file or folder {quoted(path)}: check its name.") from error
    except MemoryError as error:
        raise UserError(f"{quoted(path)} holds more than the memory takes; close other programs.") from error
    return solve


def with_points(solve: Solve, path: Path) -> Solve:
    """The solve with the points of another file, in the same world. Raises UserError as `read` does."""
    other = read(path)
    if other.points is None:
        raise UserError(f"{quoted(path)} holds no points; choose a PLY, LAS, LAZ or E57 file.")
    points = other.points if not other.views else replace(other.points, view=np.full(len(other.points), -1, np.int32))
    joined = replace(solve, points=points)
    with bounded.as_refusal(quoted(path)):
        _check(joined)
    return joined


def _solve(path: Path) -> Solve:
    """The solve in a file or folder, as its own reader returns it. Raises Damaged, and what senseless bytes lead to."""
    if colmap.folder_of(path) is not None:
        return colmap.read(path)
    if path.is_dir():
        return _in_folder(path)
    if phones.polycam_folder(path) is not None and path.parent.name in ("cameras", "corrected_cameras"):
        return phones.read_polycam(path.parent.parent)
    with bounded.open_regular(path) as file:
        head = file.read(HEAD)
    if not head.strip():
        raise Damaged("is empty; export it again")
    reader = next((each.read for each in FORMATS if each.matches(head)), None)
    if reader is None:
        raise Unknown(f"is no solve that can be read; known are {LISTED}")
    return reader(path)


def _in_folder(folder: Path) -> Solve:
    """The solve in a folder: Polycam's, a file with a known name, or the only file with an ending of ENDINGS."""
    if phones.polycam_folder(folder) is not None:
        return phones.read_polycam(folder)
    for name in IN_FOLDER:
        if (folder / name).is_file():
            return _solve(folder / name)
    for ending in ENDINGS:
        files = sorted(file for file in folder.glob(f"*{ending}") if file.is_file())
        if len(files) == 1:
            return _solve(files[0])
        if files:
            raise Damaged(f"holds {len(files)} files *{ending}; choose the one that is the solve")
    raise Unknown(f"holds no solve that can be read; known are {LISTED}")


def _json(path: Path) -> Solve:
    """The solve in a JSON file, by what its content looks like. Raises Damaged."""
    parsed = bounded.parsed(bounded.content(path).removeprefix(reality_capture.BOM), LONGEST_JSON)
    reader = next((reader for matches, reader in JSON_FORMATS if matches(parsed)), None)
    if reader is None:
        raise Damaged(f"is a JSON file, but no solve that can be read; known are {LISTED}")
    return reader(parsed, path.parent)


def _sorted(solve: Solve) -> Solve:
    """The solve with its views in the natural order of their names."""
    order = sorted(range(len(solve.views)), key=lambda index: in_natural_order(solve.views[index].name))
    views = [solve.views[index] for index in order]
    if solve.points is None or not views:
        return replace(solve, views=views)
    new_index = np.empty(len(order) + 1, np.int32)
    new_index[order], new_index[-1] = np.arange(len(order)), -1  # index -1, no view, reads the last: -1
    return replace(solve, views=views, points=replace(solve.points, view=new_index[solve.points.view]))


# ------------------------------------------------------------------ whether it makes sense


def _check(solve: Solve) -> None:
    """Raises Damaged where a solve is empty, or its points lie behind its cameras."""
    if not solve.views and solve.points is None:
        raise Damaged("holds neither cameras nor points; export it again")
    if solve.points is None or not solve.views:
        return
    step = max(1, len(solve.points) // SAMPLED)
    positions, owners = solve.points.positions[::step], solve.points.view[::step]
    poses = np.array([view.world_from_camera for view in solve.views])
    if (owners >= 0).any():
        matrices = poses[owners[owners >= 0]]
        offset = positions[owners >= 0] - matrices[:, :3, 3]
        behind = float((np.einsum("ij,ij->i", offset, matrices[:, :3, 2]) <= 0).mean())
        if behind > MOST_BEHIND:
            raise Damaged(
                f"has {behind:.0%} of its points behind the cameras that saw them: its axes are mirrored or turned; "
                "export it again"
            )
        return
    # No point says which camera saw it: compare up to 500 of the points with up to 100 of the cameras.
    offset = positions[None, :500] - poses[:100, None, :3, 3]
    ahead = np.einsum("cij,cj->ci", offset, poses[:100, :3, 2]) > 0
    if not ahead.any():
        raise Damaged("has all of its points behind all of its cameras: its axes are mirrored; export it again")
