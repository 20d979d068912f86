"""[S] Lists of shots to reconstruct: a TOML file, or a folder of shots."""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from .. import __version__, headless
from ..engines import registry
from ..files import bounded, digest, photo_files, sequence_files
from ..files.photo_files import PICTURES, VIDEO_SUFFIXES
from ..model.errors import UserError, quoted
from .path_mapping import PathRule, mapped

RESULTS = "3R results"  # the default folder of the results
LONGEST = 1 << 20  # bytes of a list
SHARED, OF_SHOT = {"output", "engine", "options", "shot"}, {"name", "photos", "engine", "options"}
KEY_LETTERS = 24  # of a shot's key: 96 bits of its hash


@dataclass(frozen=True)
class ListedShot:
    """A shot of a list. `photos` are files or folders, `options` those of the engine. `name` is its result's folder."""

    name: str
    photos: tuple[Path, ...]
    engine: str
    options: Mapping[str, Any]

    def key(self) -> str:
        """A hash of everything that the result depends on: the photos' content, the engine, its options, our version.

        Raises UserError where the photos cannot be read, or the engine or an option is unknown.
        """
        engine = registry.engine(self.engine)
        files: list[Path] = []
        for file in photo_files.find(self.photos).files:
            files += sequence_files.frames(file).values() if sequence_files.is_pattern(file) else [file]
        hashes = [(file.name, digest.sha256(file)) for file in files]
        content = [__version__, engine.id, engine.checked_options(self.options), hashes]
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:KEY_LETTERS]


@dataclass(frozen=True)
class ShotList:
    """The shots, and the folder `output` of their results."""

    shots: list[ListedShot]
    output: Path


def read(path: Path, output: Path | None = None, rules: Sequence[PathRule] = ()) -> ShotList:
    """The list in a TOML file; of a folder, its subfolders and its videos are the shots.

    `output` is the folder of the results where it is not the list's own. `rules` tell where absolute paths of the list
    lie on this machine. Raises UserError where there is no list, or something in it is not understood.
    """
    listed = _of_folder(path.absolute()) if path.is_dir() else _of_file(path, rules)
    return listed if output is None else replace(listed, output=output.absolute())


def _of_file(path: Path, rules: Sequence[PathRule]) -> ShotList:
    try:
        with bounded.as_refusal(quoted(path)):
            text = bounded.content(path, LONGEST).decode("utf-8")
        data = tomllib.loads(text)
    except FileNotFoundError as error:
        raise UserError(f"There is no file or folder {quoted(path)}: check its name.") from error
    except ValueError as error:  # no UTF-8, or no TOML
        raise UserError(f"{quoted(path)} is no list of shots in TOML ({error}).") from error
    base = path.absolute().parent
    _check_names(data, SHARED, path)
    entries = data.get("shot", [])
    if not (isinstance(entries, list) and entries and all(isinstance(entry, dict) for entry in entries)):
        raise UserError(f"{quoted(path)} names no shot; write one [[shot]] with name and photos for each.")
    shots = [_listed(entry, data, base, path, rules) for entry in entries]
    return _checked(shots, base / _text(data.get("output", RESULTS), path), path)


def _listed(
    entry: Mapping[str, Any], shared: Mapping[str, Any], base: Path, path: Path, rules: Sequence[PathRule]
) -> ListedShot:
    _check_names(entry, OF_SHOT, path)
    photos = entry.get("photos", [])
    photos = [photos] if isinstance(photos, str) else photos
    if not isinstance(photos, list) or not photos:
        raise UserError(f'A shot in {quoted(path)} names no photos; write photos = "folder" or a list of files.')
    options = {**shared.get("options", {}), **entry.get("options", {})}
    return ListedShot(
        _text(entry.get("name", ""), path),
        tuple(base / mapped(_text(each, path), rules) for each in photos),
        _text(entry.get("engine", shared.get("engine", headless.DEFAULT_ENGINE)), path),
        {name: mapped(value, rules) if isinstance(value, str) else value for name, value in options.items()},
    )


def _text(value: Any, path: Path) -> str:
    if not isinstance(value, str):
        raise UserError(f"{quoted(path)} has {value!s:.40} where a text should stand.")
    return value


def _check_names(entry: Mapping[str, Any], known: set[str], path: Path) -> None:
    unknown = next((name for name in entry if name not in known), None)
    if unknown is not None:
        raise UserError(f"{quoted(path)} has {quoted(unknown)}; known are {', '.join(sorted(known))}.")
    if not isinstance(entry.get("options", {}), dict):
        raise UserError(f'{quoted(path)} has options that are no table; write options = {{ quality = "preview" }}.')


def _of_folder(folder: Path) -> ShotList:
    inside = sorted(each for each in folder.iterdir() if not each.name.startswith(".") and each.name != RESULTS)
    shots = [
        ListedShot(each.name, (each,), headless.DEFAULT_ENGINE, {})
        for each in inside
        if (each.is_dir() and _has_pictures(each)) or each.suffix.lower() in VIDEO_SUFFIXES
    ]
    if not shots:
        raise UserError(f"{quoted(folder)} holds no shots: folders of photos, or videos; choose another folder.")
    return _checked(shots, folder / RESULTS, folder)


def _has_pictures(folder: Path) -> bool:
    return any(file.suffix.lower() in PICTURES for file in folder.rglob("*"))


def _checked(shots: list[ListedShot], output: Path, path: Path) -> ShotList:
    """The list. Raises UserError where two shots have one name, or a name cannot be a folder's."""
    names = [shot.name.casefold() for shot in shots]
    for shot, name in zip(shots, names, strict=True):
        if not name or name.startswith(".") or set(name) & set('/\\:*?"<>|') or not name.isprintable():
            raise UserError(f'{quoted(shot.name)} in {quoted(path)} cannot be a result\'s name; write name = "walk".')
        if names.count(name) > 1:
            raise UserError(f"Two shots of {quoted(path)} have the name {quoted(shot.name)}; give each one of its own.")
    return ShotList(shots, output)
