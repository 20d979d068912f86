"""[R] How well masks of what moves agree with the true ones: region similarity J and contour accuracy F. numpy only.

Source: Perazzi et al., A Benchmark Dataset and Evaluation Methodology for Video Object Segmentation, CVPR 2016 (DAVIS).
The true masks are pictures in the folder `masks` of the truth, one a frame, white where something moves. The last
number in a file's name is the frame's.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from ..files.bounded import Damaged
from ..files.bundle_folder import MASKS
from ..model.arrays import BoolArray
from .outcome import HIGHER, SHARE, Group, Measure
from .truth import depth_files

WHITE = 128  # and above: something moves there
REACH = 0.008  # of the picture's diagonal: a contour this near to the other one counts as right
PROTOCOL = (
    "Masks of what moves against the true ones, as DAVIS (Perazzi et al. 2016): J is the intersection over the union, "
    "F the harmonic mean of precision and recall of the contours within 0.8 % of the diagonal; means over {count} "
    "frames. A frame without a mask counts as one in which nothing moves."
)


def group(made: Path, truth: Path, report: Callable[[int, int], None]) -> Group | None:
    """The measures of the masks in the bundle `made` by those in the folder `truth`. None where the truth has none.

    Raises Damaged where a mask cannot be read, or where the result's masks are of other frames.
    """
    true, solved = _by_number(truth / MASKS), _by_number(made / MASKS)
    if not true:
        return None
    if solved and not solved.keys() & true.keys():
        raise Damaged("has masks of other frames than the result; name them by the frames' numbers")
    regions, contours = [], []
    for done, (number, file) in enumerate(true.items()):
        report(done, len(true))
        expected = _mask(file)
        actual = _mask(solved[number], expected.shape) if number in solved else np.zeros_like(expected)
        regions.append(region_similarity(actual, expected))
        contours.append(contour_accuracy(actual, expected))
    j, f = float(np.mean(regions)), float(np.mean(contours))
    measures = {
        "j": Measure("J, mean", j, SHARE, HIGHER),
        "f": Measure("F, mean", f, SHARE, HIGHER),
        "j_and_f": Measure("J&F", (j + f) / 2, SHARE, HIGHER),
    }
    return Group("What moves", PROTOCOL.format(count=len(true)), measures)


def region_similarity(mask: BoolArray, true: BoolArray) -> float:
    """J of two masks (H, W): intersection over union; 1 where both are empty."""
    either = int((mask | true).sum())
    return int((mask & true).sum()) / either if either else 1.0


def contour_accuracy(mask: BoolArray, true: BoolArray) -> float:
    """F of two masks (H, W): the harmonic mean of the shares of either contour that lie near the other one.

    1 where both masks are empty, 0 where one is.
    """
    contour, true_contour = _contour(mask), _contour(true)
    if not contour.any() or not true_contour.any():
        return float(contour.any() == true_contour.any())
    reach = int(np.ceil(REACH * np.hypot(mask.shape[0], mask.shape[1])))
    precision = (contour & _dilated(true_contour, reach)).sum() / contour.sum()
    recall = (true_contour & _dilated(contour, reach)).sum() / true_contour.sum()
    return float(2 * precision * recall / (precision + recall)) if precision + recall else 0.0


def _contour(mask: BoolArray) -> BoolArray:
    """The pixels that differ from the one to the right, below, or below and to the right."""
    padded = np.pad(mask, ((0, 1), (0, 1)), mode="edge")
    contour: BoolArray = (mask ^ padded[:-1, 1:]) | (mask ^ padded[1:, :-1]) | (mask ^ padded[1:, 1:])
    return contour


def _dilated(mask: BoolArray, radius: int) -> BoolArray:
    """The pixels within so many pixels of those of a mask."""
    height, width = mask.shape
    padded = np.pad(mask, radius)
    near = np.zeros_like(mask)
    for down in range(-radius, radius + 1):
        across = int(np.sqrt(radius**2 - down**2))
        for right in range(-across, across + 1):
            near |= padded[radius + down :, radius + right :][:height, :width]
    return near


def _by_number(folder: Path) -> dict[int, Path]:
    """The pictures in a folder by the last number in their names; none where there is no folder."""
    files = sorted(folder.glob("*.png")) if folder.is_dir() else []
    numbers = [re.findall(r"\d+", file.stem) for file in files]
    return {int(of_file[-1]): file for file, of_file in zip(files, numbers, strict=True) if of_file}


def _mask(file: Path, shape: tuple[int, ...] | None = None) -> BoolArray:
    """A mask (H, W), where `shape` is given with so many pixels."""
    with depth_files.png(file) as image:
        picture = image.convert("L")
        if shape is not None and picture.size != (shape[1], shape[0]):
            picture = picture.resize((shape[1], shape[0]), Image.Resampling.NEAREST)
        return np.asarray(picture) >= WHITE
