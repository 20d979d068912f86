"""[S] Finds the photos of a solve by the names that it has for them."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from ...files import bounded
from ...files.photo_files import MASK_FOLDERS, MOST_ENTRIES, PICTURES
from ...model.errors import UserError, quoted

# Folders that may hold the photos, beside a solve or beside a folder above it.
FOLDERS = ("images", "image", "photos", "input", "rgb", "corrected_images", "imgs", "undistorted", "undistorted/images")
PARENTS = 3  # folders above the solve's that are searched
# Folders that are never searched: their pictures have the photos' names.
NO_PHOTOS = MASK_FOLDERS | {"depth", "depths", "depth_maps", "confidence", "normals"}


@dataclass(frozen=True)
class Located:
    """The file of each view's photo, None where none or several fit. `ambiguous` are names that several files fit."""

    files: list[Path | None]
    ambiguous: list[str]

    @property
    def count(self) -> int:
        """The number of photos that were found."""
        return sum(file is not None for file in self.files)


def locate(names: Sequence[str], solve: Path, folders: Iterable[Path] = ()) -> Located:
    """The files of the photos with these `names`.

    They are looked for in `folders` and below these. Without `folders` they are looked for where the names say, in the
    folder of `solve` and below it, and in FOLDERS beside it and above. A photo is the file whose name agrees, and of
    several such files the one that agrees in the most folders before it. Its ending may differ or be missing. No name
    leads out of these folders, since somebody else may have made the solve: of a name that is absolute or climbs up
    (..), only the last parts count. Raises UserError where one of `folders` is no folder, or where there are too many
    files to search.
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
        literal = _best(PurePosixPath(name), by_stem) if "\\" in name else []  # a name may hold a backslash on Linux
        stated = None if given or literal else _stated(base, name)
        if stated is not None:
            files.append(stated)
            continue
        best = literal or _best(PurePosixPath(name.replace("\\", "/")), by_stem)
        files.append(best[0] if len(best) == 1 else None)
        if len(best) > 1:
            ambiguous.append(name)
    return Located(files, ambiguous)


def _stated(base: Path, name: str) -> Path | None:
    """The picture at the path `name` from the folder `base`; None where there is none, or it lies outside of `base`."""
    try:
        path = bounded.inside(base, name.replace("\\", "/"))
        return path if path.suffix.lower() in PICTURES and path.is_file() else None
    except (bounded.Damaged, OSError, ValueError):  # outside, or what the system takes for no path
        return None


def _beside(base: Path) -> list[Path]:
    """The folders of FOLDERS that exist beside `base` and beside the PARENTS folders above it."""
    above = [base, *base.absolute().parents][: PARENTS + 1]
    return [folder / name for folder in above for name in FOLDERS if (folder / name).is_dir()]


def _pictures(roots: Iterable[Path]) -> dict[str, list[Path]]:
    """The names of pictures, without ending and in lower case -> all pictures of that name below the `roots`."""
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
    """The files that agree best with a name; several where they agree equally well."""
    stems = {name.stem.lower(), name.name.lower()}  # a name without ending may hold a dot
    candidates = [path for stem in stems for path in by_stem.get(stem, [])]
    if not candidates:
        return []
    scores = [(_agreeing(name, path), path.name == name.name, path.suffix == name.suffix) for path in candidates]
    highest = max(scores)
    return [path for path, score in zip(candidates, scores, strict=True) if score == highest]


def _agreeing(name: PurePosixPath, path: Path) -> int:
    """The number of folders, counted back from the file's name, in which a name and a path agree."""
    pairs = zip(reversed(name.parts[:-1]), reversed(path.parts[:-1]), strict=False)
    count = 0
    for one, other in pairs:
        if one.lower() != other.lower():
            break
        count += 1
    return count
