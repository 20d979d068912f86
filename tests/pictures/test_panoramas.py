"""Panoramas are recognised and left out with a sentence; ordinary pictures of 2:1 are not."""

from pathlib import Path

import numpy as np
import pytest

from tests.pictures.saved import Warned, read_one, save, scene
from threer_blender.model.arrays import Array
from threer_blender.pictures import photos

XMP = (
    '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF><rdf:Description xmlns:GPano="http://ns.google.com/photos/1.0/'
    'panorama/" {}/></rdf:RDF></x:xmpmeta>'
)


def panorama(width: int = 800) -> Array:
    """A cloud of waves in all directions, as an equirectangular picture."""
    height = width // 2
    longitude, latitude = np.meshgrid(
        (np.arange(width) + 0.5) / width * 2 * np.pi, (0.5 - (np.arange(height) + 0.5) / height) * np.pi
    )
    directions = np.stack(
        [np.cos(latitude) * np.cos(longitude), np.cos(latitude) * np.sin(longitude), np.sin(latitude)], axis=-1
    )
    random = np.random.default_rng(0)
    waves = np.sin(directions @ random.normal(0, 9, (3, 24)) + random.uniform(0, 6, 24))
    return (128 + 30 * waves.reshape(height, width, 3, 8).sum(-1) / 2).clip(0, 255).astype(np.uint8)


def landscape() -> Array:
    """A sky that brightens to a level horizon, and rough ground below it."""
    picture = np.repeat(np.linspace(120, 240, 400)[:, None, None], 800, axis=1).repeat(3, axis=2)
    picture[220:] = 90 + np.random.default_rng(0).normal(0, 25, (180, 800, 1))
    return picture.clip(0, 255).astype(np.uint8)


def on_white() -> Array:
    picture = np.full((400, 800, 3), 250, np.uint8)
    picture[100:300, 200:600] = scene(400, 200)
    return picture


@pytest.mark.parametrize("tag", ['GPano:ProjectionType="equirectangular"', "GPano:ProjectionType = 'cylindrical'"])
def test_a_tagged_panorama_is_left_out_with_advice(tag: str, tmp_path: Path) -> None:
    path = save(tmp_path / "sweep.jpg", scene(900, 300), xmp=XMP.format(tag).encode())
    warned = Warned()
    result = photos.read([path], warned)
    assert not result.accepted
    assert "panorama" in result.unregistered[0].reason
    assert "ordinary views" in result.unregistered[0].advice
    assert warned.sentences[0][1] == "sweep.jpg"


@pytest.mark.parametrize("width", [800, 256, 2000])
def test_an_untagged_panorama_is_known_by_its_edges(width: int, tmp_path: Path) -> None:
    result = photos.read([save(tmp_path / "round.png", panorama(width))], Warned())
    assert [photo.photo for photo in result.unregistered] == ["round.png"]
    assert "panorama" in result.unregistered[0].reason


@pytest.mark.parametrize(
    "picture",
    [
        scene(800, 400),
        landscape(),
        on_white(),
        np.full((400, 800, 3), 77, np.uint8),
        panorama()[:, 100:700][:300],  # a part of one
        panorama()[50:350, :600],
    ],
    ids=["scene", "landscape", "on white", "plain", "part", "another part"],
)
def test_ordinary_pictures_of_two_to_one_are_photos(picture: Array, tmp_path: Path) -> None:
    assert picture.shape[1] == 2 * picture.shape[0]
    assert read_one(save(tmp_path / "wide.png", picture)).width == picture.shape[1]


def test_other_tags_of_a_sphere_are_no_panorama(tmp_path: Path) -> None:
    tag = 'GPano:UsePanoramaViewer="False"'
    assert read_one(save(tmp_path / "photo.jpg", scene(), xmp=XMP.format(tag).encode())).width == 160
