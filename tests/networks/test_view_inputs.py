"""Inputs of the networks that take many views: the published sizes, and the way back to every photo's pixels."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("torch", reason="networks need torch")
from threer_blender.model.errors import UserError
from threer_blender.model.reconstruction import Photo
from threer_blender.networks import view_inputs
from threer_blender.pictures import photos

RECIPES = {
    "vggt": view_inputs.vggt,
    "vggt_omega": view_inputs.vggt_omega,
    "depth_anything3": view_inputs.depth_anything3,
    "map_anything": view_inputs.map_anything,
    "pi3": view_inputs.pi3,
    "video_512": view_inputs.video_512,
}
PATCHES = {"vggt": 14, "vggt_omega": 16, "depth_anything3": 14, "map_anything": 14, "pi3": 14, "video_512": 16}


def photo(width: int, height: int) -> Photo:
    return Photo("a.jpg", "a.jpg", width, height, "")


def dotted(folder: Path, sizes: list[tuple[int, int]], at: tuple[float, float]) -> list[Photo]:
    """Dark photos with a soft bright dot at this share of their width and height."""
    paths = []
    for number, (width, height) in enumerate(sizes):
        x, y = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
        away = (x - at[0] * width) ** 2 + (y - at[1] * height) ** 2
        dot = 200 * np.exp(-away / (2 * (width / 100) ** 2))
        paths.append(folder / f"{number}.png")
        Image.fromarray(np.stack([dot, dot, dot], axis=-1).astype(np.uint8)).save(paths[-1])
    return photos.read(paths, lambda text, _photo: pytest.fail(text)).accepted


@pytest.mark.parametrize(
    ("network", "size", "expected"),
    [
        ("vggt", (1920, 1080), (518, 294)),
        ("vggt", (640, 480), (518, 392)),
        ("vggt", (1080, 1920), (518, 518)),
        ("vggt_omega", (1920, 1280), (624, 416)),
        ("vggt_omega", (1280, 1920), (416, 624)),
        ("vggt_omega", (512, 512), (512, 512)),
        ("vggt_omega", (3000, 1000), (720, 368)),
        ("depth_anything3", (1920, 1080), (504, 280)),
        ("depth_anything3", (480, 640), (378, 504)),
        ("map_anything", (1920, 1080), (518, 294)),
        ("map_anything", (480, 640), (392, 518)),
        ("map_anything", (4000, 1000), (518, 168)),
        ("pi3", (1920, 1080), (672, 378)),
        ("pi3", (480, 640), (434, 574)),
        ("video_512", (1920, 1080), (512, 288)),
        ("video_512", (600, 600), (512, 384)),
    ],
)
def test_sizes_are_the_published_ones(network: str, size: tuple[int, int], expected: tuple[int, int]) -> None:
    (recipe,) = RECIPES[network]([photo(*size)])
    left, top, right, bottom = recipe.box
    assert (right - left, bottom - top) == expected


@pytest.mark.parametrize("network", RECIPES)
@pytest.mark.parametrize("at", [(0.5, 0.5), (0.42, 0.57), (0.61, 0.4)])
def test_pixels_find_their_way_back(network: str, at: tuple[float, float], tmp_path: Path) -> None:
    taken = dotted(tmp_path, [(640, 480), (480, 640), (900, 400), (500, 500)], at)
    recipes = RECIPES[network](taken)
    prepared_views = [view_inputs.prepared(one, recipe) for one, recipe in zip(taken, recipes, strict=True)]
    assert len({one.image.shape for one in prepared_views}) == 1
    for one, source in zip(prepared_views, taken, strict=True):
        height, width = one.image.shape[:2]
        assert height % PATCHES[network] == width % PATCHES[network] == 0
        inside = view_inputs.shows_photo(source, one)
        bright = np.where(inside, one.image[..., 0].astype(float), 0) ** 2
        bright[bright < 400] = 0
        x = (bright.sum(axis=0) @ (np.arange(width) + 0.5)) / bright.sum()
        y = (bright.sum(axis=1) @ (np.arange(height) + 0.5)) / bright.sum()
        scale_x, scale_y, left, top = one.photo_from_map
        assert x * scale_x + left == pytest.approx(at[0] * source.width, abs=0.3)
        assert y * scale_y + top == pytest.approx(at[1] * source.height, abs=0.3)


def test_borders_are_white_and_outside(tmp_path: Path) -> None:
    taken = dotted(tmp_path, [(640, 480), (480, 640)], (0.5, 0.5))
    wide = view_inputs.prepared(taken[0], view_inputs.vggt(taken)[0])
    inside = view_inputs.shows_photo(taken[0], wide)
    assert (wide.image[~inside] == 255).all()
    assert inside.sum() == 518 * 392
    assert wide.image[inside].mean() < 10


def test_area_is_the_mean_of_what_a_pixel_covers() -> None:
    random = np.random.default_rng(0)
    image = random.integers(0, 256, (60, 90, 3), dtype=np.uint8)
    blocks = image.reshape(20, 3, 30, 3, 3).mean(axis=(1, 3))
    shrunk = view_inputs.resized(image, (30, 20), "opencv").astype(float)
    assert np.abs(shrunk - blocks).max() <= 0.51
    # Where the factor is no whole number, the weights still sum to 1.
    odd = view_inputs.resized(np.full((50, 70, 3), 77, np.uint8), (33, 21), "opencv")
    assert (odd == 77).all()


@pytest.mark.parametrize("network", ["vggt", "depth_anything3"])
def test_a_strip_is_refused_with_its_name(network: str) -> None:
    with pytest.raises(UserError, match=r"a\.jpg is too narrow a strip"):
        RECIPES[network]([photo(8000, 90)])
