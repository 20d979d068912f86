"""[S] SOG version 2 (PlayCanvas, "The SOG Format"): a zip, or a folder's meta.json, with WebP pictures of bytes."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from ..model.reconstruction import Array
from .reading import COEFFICIENTS, Damaged, Reading, SplatFile, gaussians, smallest_three

PALETTE_COLUMNS = 64  # entries of the palette of harmonics in a row of its picture


def read(path: Path, how: Reading) -> SplatFile:
    """The splats; positions are spaced by sign(x) log(1 + |x|), scales and colours taken from code books."""
    webp = how.codecs.webp
    if webp is None:
        raise Damaged("is a SOG file, whose pictures only Blender can decode; import it there")
    try:
        if path.suffix == ".json":
            return _splats(lambda name: (path.parent / name).read_bytes(), path.name, webp)
        with zipfile.ZipFile(path) as archive:
            names = {Path(name).name: name for name in archive.namelist()}
            return _splats(lambda name: archive.read(names[name]), "meta.json", webp)
    except FileNotFoundError as error:
        raise Damaged(
            f"lacks {Path(error.filename).name}, which belongs beside it; get all of its files again"
        ) from error
    except (zipfile.BadZipFile, KeyError, ValueError, TypeError, IndexError) as error:
        raise Damaged(f"is damaged or no SOG file ({error}); get it again") from error


def _splats(load: Callable[[str], bytes], meta_name: str, webp: Callable[[bytes], Array]) -> SplatFile:
    meta = json.loads(load(meta_name))
    if meta.get("version") != 2:
        raise Damaged("is a SOG file of an old or unknown version; convert it with the newest splat-transform")
    count = int(meta["count"])

    def pixels(name: str) -> Array:
        """(count, 4) bytes."""
        found = webp(load(name)).reshape(-1, 4)[:count]
        if len(found) < count:
            raise ValueError(f"{name} is too small")
        return found

    low, high = (pixels(name)[:, :3].astype(np.float32) for name in meta["means"]["files"])
    least, most = (np.array(meta["means"][name], np.float32) for name in ("mins", "maxs"))
    spaced = least + (most - least) * ((low + 256 * high) / 65535)
    quaternion = pixels(meta["quats"]["files"][0])
    others = (quaternion[:, :3] / np.float32(127.5) - 1) / np.sqrt(np.float32(2))
    if (quaternion[:, 3] < 252).any():
        raise ValueError("a rotation has an unknown tag")
    scales = np.array(meta["scales"]["codebook"], np.float32)[pixels(meta["scales"]["files"][0])[:, :3]]
    base = pixels(meta["sh0"]["files"][0])
    sh = np.array(meta["sh0"]["codebook"], np.float32)[base[:, None, :3]]
    if "shN" in meta:
        labels = pixels(meta["shN"]["files"][1]).astype(np.int64)
        palette = _palette(meta["shN"], webp(load(meta["shN"]["files"][0])))
        sh = np.concatenate([sh, palette[labels[:, 0] + 256 * labels[:, 1]]], axis=1)
    return SplatFile(
        gaussians(
            np.sign(spaced) * np.expm1(np.abs(spaced)),
            np.exp(scales),
            smallest_three(quaternion[:, 3] - 252, others),
            base[:, 3] / np.float32(255),
            sh,
        ),
        notes=[],
    )


def _palette(meta: dict[str, Any], picture: Array) -> Array:
    """(entries, K - 1, 3) harmonics: each entry is a run of pixels, one a coefficient."""
    coefficients = COEFFICIENTS[int(meta["bands"])] - 1
    if picture.shape[1] != PALETTE_COLUMNS * coefficients:
        raise ValueError("the palette of harmonics has the wrong size")
    found: Array = np.array(meta["codebook"], np.float32)[picture[..., :3].reshape(-1, coefficients, 3)]
    return found
