"""J and F of masks whose values are known by counting."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from threer_blender.evaluation import mask_measures
from threer_blender.files.bounded import Damaged
from threer_blender.model.arrays import BoolArray

SHAPE = (100, 200)  # its diagonal is 223.6: contours may be 2 pixels apart


def box(top: int, left: int, bottom: int, right: int) -> BoolArray:
    mask = np.zeros(SHAPE, bool)
    mask[top:bottom, left:right] = True
    return mask


def write(folder: Path, masks: dict[int, BoolArray]) -> None:
    (folder / "masks").mkdir(parents=True)
    for number, mask in masks.items():
        Image.fromarray(255 * mask.astype(np.uint8)).save(folder / "masks" / f"walk2.{number:04d}.png")


@pytest.mark.parametrize(
    ("mask", "j", "f"),
    [
        (box(20, 20, 60, 60), 1.0, 1.0),
        (box(20, 21, 60, 61), 39 / 41, 1.0),  # a pixel aside: every contour is near
        (box(20, 120, 60, 160), 0.0, 0.0),
        (np.zeros(SHAPE, bool), 0.0, 0.0),
    ],
)
def test_known_values(mask: BoolArray, j: float, f: float) -> None:
    true = box(20, 20, 60, 60)
    assert mask_measures.region_similarity(mask, true) == pytest.approx(j)
    assert mask_measures.contour_accuracy(mask, true) == pytest.approx(f)


def test_a_box_that_is_too_wide_has_half_of_its_sides_right() -> None:
    """20 pixels wider: all of the true contour but its right side is near, and of the other's all but the ends."""
    f = mask_measures.contour_accuracy(box(20, 20, 60, 80), box(20, 20, 60, 60))
    contour = 2 * 60 + 2 * 40  # pixels, about
    recall, precision = 1 - 38 / 160, 1 - (40 + 2 * 18) / contour
    assert f == pytest.approx(2 * recall * precision / (recall + precision), abs=0.02)


def test_nothing_moves_in_either() -> None:
    empty = np.zeros(SHAPE, bool)
    assert mask_measures.region_similarity(empty, empty) == mask_measures.contour_accuracy(empty, empty) == 1


def test_frames_are_paired_by_their_numbers(tmp_path: Path) -> None:
    true = box(20, 20, 60, 60)
    write(tmp_path / "truth", {7: true, 8: true, 9: np.zeros(SHAPE, bool)})
    write(tmp_path / "result", {6: true, 7: true})
    group = mask_measures.group(tmp_path / "result", tmp_path / "truth", lambda _done, _total: None)
    assert group is not None
    # Frame 7 is right, 8 has no mask, and nothing moves in 9.
    assert {key: measure.value for key, measure in group.measures.items()} == pytest.approx(
        {"j": 2 / 3, "f": 2 / 3, "j_and_f": 2 / 3}
    )


def test_masks_of_other_frames_and_damaged_ones_are_refused(tmp_path: Path) -> None:
    true = box(20, 20, 60, 60)
    write(tmp_path / "truth", {7: true})
    write(tmp_path / "result", {107: true})
    with pytest.raises(Damaged, match="masks of other frames"):
        mask_measures.group(tmp_path / "result", tmp_path / "truth", lambda _done, _total: None)
    (tmp_path / "truth" / "masks" / "walk2.0107.png").write_bytes(b"no picture")
    with pytest.raises(Damaged):
        mask_measures.group(tmp_path / "result", tmp_path / "truth", lambda _done, _total: None)
    assert mask_measures.group(tmp_path / "result", tmp_path, lambda _done, _total: None) is None
