"""[S] SOG (PlayCanvas, "The SOG Format"), versions 1 and 2: a meta.json and pictures that hold bytes of splats.

They are in a zip or a folder. A lod-meta.json ("The Streamed SOG Format") names many SOGs, at several levels of detail.
"""

from __future__ import annotations

import zipfile
from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ..files import bounded
from ..files.bounded import Damaged
from ..model.arrays import Array
from ..model.errors import quoted
from ..model.spherical_harmonics import COEFFICIENTS, MAX_DEGREE
from . import pictures
from .checks import joined, only
from .reading import Reading, SplatFile, check_count, gaussians, sigmoid, smallest_three, stored_degree

META = "meta.json"
ZIP = b"PK\x03\x04"
PALETTE_COLUMNS = 64  # entries of the palette of harmonics in each row of its picture
TAG = 252  # stored with a quaternion whose largest component is the first; + 1 for the second, and so on

Webp = Callable[[bytes], Array]


class _Files(ABC):
    """The files of a SOG. `size` is the size of all of them in bytes, as stored."""

    size: int

    @abstractmethod
    def read(self, name: str) -> bytes:
        """The bytes of the file `name`. Raises Damaged, OSError, and KeyError where there is none."""


class _Zip(_Files):
    def __init__(self, path: Path, archive: zipfile.ZipFile) -> None:
        self.size = path.stat().st_size
        self._archive = archive
        self._names = {Path(name).name: name for name in archive.namelist()}
        if META not in self._names:
            raise Damaged(f"is a zip without a SOG's {META}; unpack it and choose the splat file in it")

    def read(self, name: str) -> bytes:
        return bounded.unzipped(self._archive, self._names[name], self.size)


class _Folder(_Files):
    def __init__(self, meta: Path) -> None:
        self._folder = meta.parent
        self.size = sum(each.stat().st_size for each in self._folder.glob("*.webp") if each.is_file())
        self.size += meta.stat().st_size

    def read(self, name: str) -> bytes:
        return bounded.content(_beside(self._folder, name))


def recognises(head: bytes, _size: int) -> bool:
    """Whether `head` begins a zip or a JSON object."""
    return head.startswith(ZIP) or head.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{")


def read(path: Path, how: Reading) -> SplatFile:
    """The splats of a SOG, or of the finest level of a streamed one. Raises OSError and Damaged.

    A position x is stored as sign(x) log(1 + |x|). Scales and colours are stored as indices into code books (version
    2), or as fractions between bounds (version 1).
    """
    webp = how.codecs.webp
    if webp is None:
        raise Damaged("is a SOG file, whose pictures only Blender can decode; import it there")
    with bounded.as_damage("is damaged or no SOG file; get it again"), _opened(path) as (meta, files):
        return _levels(meta, path, webp) if "filenames" in meta else _splats(meta, files, webp)


@contextmanager
def _opened(path: Path) -> Iterator[tuple[dict[str, Any], _Files]]:
    """Yields the content of a meta.json, which is a file of its own or in a zip, and the files that it names."""
    with bounded.open_regular(path) as file:
        if file.read(len(ZIP)) == ZIP:
            with bounded.zipped(path) as archive:
                files = _Zip(path, archive)
                yield bounded.parsed(files.read(META)), files
            return
    yield bounded.parsed(bounded.content(path)), _Folder(path)


def _beside(folder: Path, name: str) -> Path:
    """The path of the file `name`, which another file in `folder` names. Raises Damaged where it is not there."""
    path = bounded.inside(folder, name)
    if not path.exists():
        raise Damaged(f"lacks {name}, which belongs beside it; get all of its files again")
    return path


def _splats(meta: dict[str, Any], files: _Files, webp: Webp) -> SplatFile:
    """The splats that a meta.json describes."""
    version = meta.get("version", 1)
    if version not in (1, 2):
        raise Damaged(f"is a SOG file of version {version}; versions 1 and 2 can be read")
    count = meta["count"] if version == 2 else meta["means"]["shape"][0]
    if not isinstance(count, int) or count < 0:
        raise ValueError("a count that is no number")
    check_count(count, 0, files.size)

    def pixels(part: str, index: int = 0) -> Array:
        """(count, 4) uint8: the first pixels of a picture, one for each splat."""
        picture = pictures.decoded(files.read(meta[part]["files"][index]), webp, files.size).reshape(-1, 4)[:count]
        if len(picture) < count:
            raise ValueError("a picture is too small")
        return picture

    low_byte, high_byte = (pixels("means", index)[:, :3].astype(np.float32) for index in (0, 1))
    least, most = _bounds(meta["means"], 3)
    log_means = least + (most - least) * ((low_byte + 256 * high_byte) / 65535)
    quaternion = pixels("quats")
    if (quaternion[:, 3] < TAG).any():
        raise ValueError("a rotation has an unknown tag")
    scales, base = pixels("scales")[:, :3], pixels("sh0")
    if version == 2:
        scales, constant = _code_book(meta["scales"])[scales], _code_book(meta["sh0"])[base[:, :3]]
        opacities = base[:, 3] / np.float32(255)
    else:
        scales, values = _between(meta["scales"], scales), _between(meta["sh0"], base)
        constant, opacities = values[:, :3], sigmoid(values[:, 3])
    sh = constant[:, None]
    if "shN" in meta:
        labels = pixels("shN", 1).astype(np.int64)
        palette = _palette(meta["shN"], pictures.decoded(files.read(meta["shN"]["files"][0]), webp, files.size))
        check_count(count, stored_degree(1 + palette.shape[1]), files.size)
        sh = np.concatenate([sh, palette[labels[:, 0] + 256 * labels[:, 1]]], axis=1)
    return SplatFile(
        gaussians(
            np.sign(log_means) * np.expm1(np.abs(log_means)),
            np.exp(scales),
            smallest_three(
                quaternion[:, 3] - TAG, (quaternion[:, :3] / np.float32(127.5) - 1) / np.sqrt(np.float32(2))
            ),
            opacities,
            sh,
        ),
        notes=[],
        antialiased=meta.get("antialias") is True or meta.get("model") == "antialiased",
    )


def _bounds(part: dict[str, Any], count: int) -> tuple[Array, Array]:
    """(count,) the smallest and the largest values; a single number stands for all channels."""
    least, most = (np.broadcast_to(np.array(part[name], np.float32), (count,)) for name in ("mins", "maxs"))
    return least, most


def _between(part: dict[str, Any], stored: Array) -> Array:
    """Version 1: the values of the bytes `stored`, which run from the smallest to the largest value of each channel."""
    least, most = _bounds(part, stored.shape[-1])
    values: Array = least + (most - least) * (stored / np.float32(255))
    return values


def _code_book(part: dict[str, Any]) -> Array:
    """Version 2: (≤ 256,) the value of each byte."""
    values = np.array(part["codebook"], np.float32)
    if values.ndim != 1:
        raise ValueError("a code book that is no list of numbers")
    return values


def _palette(meta: dict[str, Any], picture: Array) -> Array:
    """(entries, K - 1, 3) harmonics. In the picture, an entry is a run of pixels, one for each coefficient."""
    coefficients = picture.shape[1] // PALETTE_COLUMNS
    expected = COEFFICIENTS[meta["bands"]] - 1 if "bands" in meta else coefficients
    if coefficients != expected or picture.shape[1] % PALETTE_COLUMNS or coefficients + 1 not in COEFFICIENTS[1:]:
        raise ValueError("the palette of harmonics has the wrong size")
    stored = picture[..., :3].reshape(-1, coefficients, 3)
    palette: Array = _code_book(meta)[stored] if "codebook" in meta else _between(meta, stored)
    return palette


# ------------------------------------------------------------------ levels of detail


def _levels(meta: dict[str, Any], path: Path, webp: Webp) -> SplatFile:
    """The splats of the finest level at each place, and those of the environment."""
    if meta.get("version", 1) != 1:
        raise Damaged(f"is a streamed SOG of version {meta['version']}; version 1 can be read")
    parts: list[SplatFile] = []
    size = count = 0
    for name, ranges in _finest(meta).items():
        with _opened(_beside(path.parent, name)) as (description, files):
            chunk = _splats(description, files, webp)
            size += files.size
        chosen = np.zeros(len(chunk.gaussians), bool)
        for offset, length in ranges:
            chosen[offset : len(chosen) if length is None else offset + length] = True
        count += len(chosen)
        check_count(count, MAX_DEGREE, size)
        parts.append(replace(chunk, gaussians=only(chunk.gaussians, chosen)))
    if not parts:
        raise Damaged("holds no splats")
    levels = int(meta["lodLevels"])
    notes = [f"Of the {levels} levels of detail in {quoted(path.name)} the finest was read."] if levels > 1 else []
    return SplatFile(joined([part.gaussians for part in parts]), notes, antialiased=all(p.antialiased for p in parts))


def _finest(meta: dict[str, Any]) -> dict[str, list[tuple[int, int | None]]]:
    """File name -> the ranges (offset, count) of its splats that are the finest at their place; None: to the end."""
    ranges: dict[str, list[tuple[int, int | None]]] = defaultdict(list)
    waiting = [meta["tree"]]
    while waiting:
        node = waiting.pop()
        waiting.extend(node.get("children") or [])
        levels = node.get("lods") or {}
        if levels:
            finest = levels[min(levels, key=int)]
            if min(finest["file"], finest["offset"], finest["count"]) < 0:  # would count from the end
                raise ValueError("a negative number of a file or a splat")
            ranges[meta["filenames"][finest["file"]]].append((finest["offset"], finest["count"]))
    if meta.get("environment"):
        ranges[meta["environment"]].append((0, None))
    return dict(sorted(ranges.items()))
