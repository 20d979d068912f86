"""[S] The photos of a solve, by the names that it has for them, where they are now."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from ...files import bounded
from ...files.photo_files import MASKS, MOST_ENTRIES, PICTURES
from ...model.errors import UserError, quoted

# Folders of photos beside a solve, or beside the folders that it stands in.
FOLDERS = ("images", "image", "photos", "input", "rgb", "corrected_images", "imgs", "undistorted", "undistorted/images")
PARENTS = 3
NO_PHOTOS = MASKS | {"depth", "depths", "depth_maps", "confidence", "normals"}  # which have pictures of the same names


@dataclass(frozen=True)
class Located:
    """The file of each view's photo, None where there is none; `ambiguous` are the names that several files have."""

    files: list[Path | None]
    ambiguous: list[str]

    @property
    def count(self) -> int:
        """How many photos are there."""
        return sum(file is not None for file in self.files)


def locate(names: Sequence[str], solve: Path, folders: Iterable[Path] = ()) -> Located:
    """The photos of those names: in `folders` and below, else in the solve's folder and below, or beside it.

    A photo is the file whose path agrees with the name in most of its last parts, the file's name at least; its ending
    may differ or lack. A solve that somebody else made leads to no other folder: of a name that is absolute or climbs
    up, only the last parts count. Raises UserError where a folder is none.
    """
    given = list(folders)
    for folder in given:
        if not folder.is_dir():
            raise UserError(f"There is no folder {quoted(folder)}: check its name, or choose the photos' folder.")
    base = solve if solve.is_dir() else solve.parent
    roots = given or [base, *_beside(base)]
    by_stem = _pictures(roots)
    files: list[Path | None] = []
    ambiguous = []
    for name in names:
        stated = None if given else _stated(base, name)
        if stated is not None:
            files.append(stated)
            continue
        best = _best(PurePosixPath(name.replace("\\", "/")), by_stem)
        files.append(best[0] if len(best) == 1 else None)
        if len(best) > 1:
            ambiguous.append(name)
    return Located(files, ambiguous)


def _stated(base: Path, name: str) -> Path | None:
    """The picture that `name` is from the folder `base` on; None where it is none, or lies elsewhere."""
    try:
        path = bounded.inside(base, name.replace("\\", "/"))
        return path if path.suffix.lower() in PICTURES and path.is_file() else None
    except (bounded.Damaged, OSError, ValueError):  # outside, or what the system takes for no path
        return None


def _beside(base: Path) -> list[Path]:
    above = [base, *base.absolute().parents][: PARENTS + 1]
    return [folder / name for folder in above for name in FOLDERS if (folder / name).is_dir()]


def _pictures(roots: Iterable[Path]) -> dict[str, list[Path]]:
    """All pictures below folders, each once, by their names without ending, in small letters."""
    by_stem: dict[str, list[Path]] = defaultdict(list)
    known: set[Path] = set()
    count = 0
    for root in roots:
        for folder, inner, names in os.walk(root):
            inner[:] = sorted(name for name in inner if not name.startswith(".") and name.lower() not in NO_PHOTOS)
            for name in sorted(names):
                count += 1
                if count > MOST_ENTRIES:
                    raise UserError(f"{quoted(root)} holds too many files; choose the folder of the photos alone.")
                path = Path(folder, name).absolute()
                if path.suffix.lower() in PICTURES and path not in known:
                    known.add(path)
                    by_stem[path.stem.lower()].append(path)
    return by_stem


def _best(name: PurePosixPath, by_stem: dict[str, list[Path]]) -> list[Path]:
    """The files that agree best with a name: several where none is better than the other."""
    stems = {name.stem.lower(), name.name.lower()}  # a name without ending may hold a dot
    candidates = [path for stem in stems for path in by_stem.get(stem, [])]
    if not candidates:
        return []
    scores = [(_agreeing(name, path), path.name == name.name, path.suffix == name.suffix) for path in candidates]
    highest = max(scores)
    return [path for path, score in zip(candidates, scores, strict=True) if score == highest]


def _agreeing(name: PurePosixPath, path: Path) -> int:
    """How many folders before the file's name are the same."""
    pairs = zip(reversed(name.parts[:-1]), reversed(path.parts[:-1]), strict=False)
    count = 0
    for one, other in pairs:
        if one.lower() != other.lower():
            break
        count += 1
    return count
