"""[R] Recognises panoramas by their tags or by their edges.

Google's Photo Sphere XMP (developers.google.com/streetview/spherical-metadata) names the part of the sphere shown.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from ..model.arrays import Array

# Pillow's keys for XMP, and the properties of Google's Photo Sphere schema in it, as attributes or elements.
_XMP_KEYS = ("xmp", "XML:com.adobe.xmp")
_TAG = r"GPano:{}\s*(?:=\s*[\"']|>)\s*([\w.]+)"
_PROJECTION = re.compile(_TAG.format("ProjectionType"))
_CROPPED, _FULL = (
    tuple(re.compile(_TAG.format(name + side + "Pixels")) for side in ("Width", "Height"))
    for name in ("CroppedAreaImage", "FullPano")
)
WHOLE, OTHER = "whole sphere", "part of a sphere, or a cylinder"
TWO_TO_ONE = 0.01  # relative difference from 2:1 that the shape of a tagged panorama may have
_MOST_XMP = 1_000_000  # bytes that are searched

# An untagged picture of exactly 2:1 is a panorama if a copy of it, THUMBNAIL pixels wide, passes three tests.
# 1. Its first and last columns differ by at most SEAM times as much as neighbouring columns do.
# 2. Its first and last columns show details (a mean step of EDGE_DETAIL grey levels from row to row), so that no plain
#    background passes. They correlate at least EDGE_CORRELATION times as well as neighbouring columns do.
# 3. Its first and last rows each show a single point of the sphere. So along them, neighbours differ by at most POLE
#    times as much as they do in the middle rows.
# Measured ratios in the three tests, in their order: panoramas have 0.6 to 1.7, 0.35 and more, and up to 0.1; photos
# have 1.9 and more, up to 0.4, and 0.4 and more.
THUMBNAIL = 256
SEAM, EDGE_DETAIL, EDGE_CORRELATION, POLE = 2.0, 1.0, 0.3, 0.2


def tagged(info: Mapping[Any, Any], width: int, height: int) -> str:
    """WHOLE or OTHER where the metadata say that the picture is a panorama; empty where they do not.

    `info` is Pillow's dictionary of the picture's metadata.
    """
    for key in _XMP_KEYS:
        xmp = info.get(key, b"")
        text = xmp[:_MOST_XMP].decode("utf-8", "replace") if isinstance(xmp, bytes) else str(xmp)[:_MOST_XMP]
        projection = _PROJECTION.search(text)
        if projection and projection[1] in ("equirectangular", "cylindrical"):
            whole = projection[1] == "equirectangular" and abs(width / (2 * height) - 1) < TWO_TO_ONE
            return WHOLE if whole and not _is_cropped(text) else OTHER
    return ""


def _is_cropped(xmp: str) -> bool:
    """Whether the metadata say that the picture shows only a part of the sphere."""
    for cropped, full in zip(_CROPPED, _FULL, strict=True):
        part, whole = cropped.search(xmp), full.search(xmp)
        if part and whole and part[1] != whole[1]:
            return True
    return False


def goes_round(thumbnail: Array) -> bool:
    """Whether a picture (H, W, 3) uint8, twice as wide as high, shows all directions (an equirectangular panorama)."""
    grey = thumbnail.astype(np.float64).mean(axis=2)
    across, quarter = np.abs(np.diff(grey, axis=1)), len(grey) // 4
    if np.abs(grey[:, 0] - grey[:, -1]).mean() > SEAM * across.mean():
        return False
    rises = np.diff(grey, axis=0)
    if np.abs(rises[:, [0, -1]]).mean() < EDGE_DETAIL:
        return False
    if _correlations(rises[:, -1:], rises[:, :1])[0] < EDGE_CORRELATION * np.median(
        _correlations(rises[:, :-1], rises[:, 1:])
    ):
        return False
    return bool(max(across[0].mean(), across[-1].mean()) < POLE * across[quarter:-quarter].mean())


def _correlations(first: Array, second: Array) -> Array:
    """(W,) the correlation of each column of `first` (H, W) with that of `second` (H, W); 0 for constant columns."""
    first, second = first - first.mean(axis=0), second - second.mean(axis=0)
    scale = np.linalg.norm(first, axis=0) * np.linalg.norm(second, axis=0)
    products: Array = (first * second).sum(axis=0) / np.maximum(scale, 1e-9)
    return products
