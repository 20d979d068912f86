"""Network inputs: the published sizes and filters, and the exact way back to the photo's pixels."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from threer_blender.model.arrays import Array

pytest.importorskip("torch", reason="networks need torch")
import torch

from threer_blender.files import digest
from threer_blender.model.errors import UserError
from threer_blender.model.reconstruction import Photo
from threer_blender.networks import inputs


def photo(folder: Path, image: Array) -> Photo:
    path = folder / "photo.png"
    Image.fromarray(image).save(path)
    return Photo("photo.png", str(path), image.shape[1], image.shape[0], digest.sha256(path))


# Photo (width, height) -> the size (width, height) and the box (left, top, right, bottom) that the published loader
# makes of it, read off its rules.
@pytest.mark.parametrize(
    ("size", "resized", "box"),
    [
        ((4000, 3000), (512, 384), (0, 0, 512, 384)),
        ((3000, 4000), (384, 512), (0, 0, 384, 512)),
        ((1920, 1080), (512, 288), (0, 0, 512, 288)),
        ((6000, 4000), (512, 341), (0, 2, 512, 338)),
        ((1000, 1000), (512, 512), (0, 64, 512, 448)),
        ((300, 200), (512, 341), (0, 2, 512, 338)),
        ((2000, 333), (512, 85), (0, 2, 512, 82)),
    ],
)
def test_crops_for_512(size: tuple[int, int], resized: tuple[int, int], box: tuple[int, ...]) -> None:
    assert inputs.long_side_crop(*size) == (resized, box)


@pytest.mark.parametrize(
    ("size", "resized", "box"),
    [
        ((4000, 3000), (299, 224), (37, 0, 261, 224)),
        ((1080, 1920), (224, 398), (0, 87, 224, 311)),
        ((64, 64), (224, 224), (0, 0, 224, 224)),
        ((1003, 1000), (225, 224), (0, 0, 224, 224)),
    ],
)
def test_crops_for_224(size: tuple[int, int], resized: tuple[int, int], box: tuple[int, ...]) -> None:
    assert inputs.square_crop(*size, 224) == (resized, box)


def test_every_crop_is_whole_patches_inside_the_photo() -> None:
    for width in range(64, 900, 13):
        for height in range(64, 900, 7):
            for crop in (inputs.long_side_crop(width, height), inputs.square_crop(width, height, 224)):
                left, top, right, bottom = crop.box
                assert 0 <= left < right <= crop.size[0]
                assert 0 <= top < bottom <= crop.size[1]
                assert (right - left) % 16 == (bottom - top) % 16 == 0


@pytest.mark.parametrize(("width", "height"), [(1500, 1000), (701, 1201), (200, 160), (333, 333), (5000, 900)])
@pytest.mark.parametrize("side", [512, 224])
def test_the_way_back_is_right_to_a_fraction_of_a_pixel(tmp_path: Path, width: int, height: int, side: int) -> None:
    """In a photo whose colours say where a pixel is, each pixel of the map has the colour of its place."""
    x, y = np.meshgrid((np.arange(width) + 0.5) / width, (np.arange(height) + 0.5) / height)
    ramp = np.stack([x, y, 0 * x], axis=-1) * 250
    prepared = inputs.dust3r(photo(tmp_path, np.round(ramp).astype(np.uint8)), side)
    scale_x, scale_y, offset_x, offset_y = prepared.photo_from_map
    rows, columns = prepared.image.shape[:2]
    photo_x = (np.arange(columns) + 0.5) * scale_x + offset_x
    photo_y = (np.arange(rows) + 0.5) * scale_y + offset_y
    inside_x = (photo_x > 9 * scale_x) & (photo_x < width - 9 * scale_x)  # the filters reach over the photo's edges
    inside_y = (photo_y > 9 * scale_y) & (photo_y < height - 9 * scale_y)
    off_x = (prepared.image[..., 0] / 250 * width - photo_x)[:, inside_x]
    off_y = (prepared.image[..., 1] / 250 * height - photo_y[:, None])[inside_y]
    assert abs(off_x.mean()) < 0.15 * max(1, scale_x, width / 2500)
    assert abs(off_y.mean()) < 0.15 * max(1, scale_y, height / 2500)
    assert np.abs(off_x).max() < width / 250 + 1
    assert np.abs(off_y).max() < height / 250 + 1


def test_pixels_are_the_published_filters(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (300, 600, 3)).astype(np.uint8)
    shrunk = Image.fromarray(noise).resize((512, 256), Image.Resampling.LANCZOS)
    np.testing.assert_array_equal(inputs.dust3r(photo(tmp_path, noise), 512).image, np.asarray(shrunk))
    enlarged = Image.fromarray(noise[:128, :256]).resize((512, 256), Image.Resampling.BICUBIC)
    prepared = inputs.dust3r(photo(tmp_path, noise[:128, :256]), 512)
    np.testing.assert_array_equal(prepared.image, np.asarray(enlarged))
    tensor = prepared.normalised
    assert tensor.shape == (3, 256, 512)
    assert tensor.dtype == torch.float32
    expected = (torch.from_numpy(prepared.image.copy()).permute(2, 0, 1).float() / 255 - 0.5) / 0.5
    torch.testing.assert_close(tensor, expected, atol=1e-6, rtol=0)


def test_a_strip_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"photo\.png is more than 32 times as long as it is wide"):
        inputs.dust3r(photo(tmp_path, np.zeros((64, 2200, 3), np.uint8)), 512)
    assert inputs.dust3r(photo(tmp_path, np.zeros((64, 2000, 3), np.uint8)), 512).image.shape == (16, 512, 3)
