"""Panoramas are recognised; parts of them are left out with a sentence; ordinary pictures of 2:1 are photos."""

from pathlib import Path

import numpy as np
import pytest

from tests.films import film
from tests.pictures.saved import Warned, read_one, save, scene, tags
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
def test_a_tagged_strip_is_left_out_with_advice(tag: str, tmp_path: Path) -> None:
    path = save(tmp_path / "sweep.jpg", scene(900, 300), xmp=XMP.format(tag).encode())
    warned = Warned()
    result = photos.read([path], warned)
    assert not result.accepted
    assert "panorama" in result.unregistered[0].reason
    assert "ordinary views" in result.unregistered[0].advice
    assert warned.sentences[0][1] == "sweep.jpg"


EQUIRECTANGULAR = 'GPano:ProjectionType="equirectangular"'
CROPPED = '{} GPano:CroppedAreaImageWidthPixels="{}" GPano:FullPanoWidthPixels="800"'


@pytest.mark.parametrize("tag", [EQUIRECTANGULAR, CROPPED.format(EQUIRECTANGULAR, 800)], ids=["tagged", "whole"])
def test_a_tagged_sphere_is_a_panorama_whatever_lens_its_camera_has(tag: str, tmp_path: Path) -> None:
    exif = tags(FocalLength=1.3, FocalLengthIn35mmFilm=7)
    photo = read_one(save(tmp_path / "sphere.jpg", scene(800, 400), xmp=XMP.format(tag).encode(), exif=exif))
    assert photo.panorama
    assert photo.focal == pytest.approx(800 / (2 * np.pi))
    assert photo.sensor_width is None


def test_a_part_of_a_sphere_is_left_out(tmp_path: Path) -> None:
    tag = CROPPED.format(EQUIRECTANGULAR, 400)
    result = photos.read([save(tmp_path / "part.jpg", scene(400, 200), xmp=XMP.format(tag).encode())], Warned())
    assert "part of a panorama" in result.unregistered[0].reason


def test_a_film_of_all_directions_is_left_out(tmp_path: Path) -> None:
    frames = [np.roll(panorama(256), 8 * number, axis=1) for number in range(6)]
    result = photos.read([film(frames, tmp_path / "film.mp4")], Warned())
    assert "360° video" in result.unregistered[0].reason
    assert "frames as pictures" in result.unregistered[0].advice


def test_engines_that_cannot_use_panoramas_do_without_them(tmp_path: Path) -> None:
    files = [save(tmp_path / "round.png", panorama()), save(tmp_path / "flat.png", scene())]
    rest = photos.read(files, Warned()).without_panoramas("VGGT")
    assert [photo.name for photo in rest.accepted] == ["flat.png"]
    assert [entry.photo for entry in rest.unregistered] == ["round.png"]
    assert "VGGT" in rest.unregistered[0].reason


@pytest.mark.parametrize("width", [800, 256, 2000])
def test_an_untagged_panorama_is_known_by_its_edges(width: int, tmp_path: Path) -> None:
    assert read_one(save(tmp_path / "round.png", panorama(width))).panorama


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
    assert not read_one(save(tmp_path / "wide.png", picture)).panorama


def test_other_tags_of_a_sphere_are_no_panorama(tmp_path: Path) -> None:
    tag = 'GPano:UsePanoramaViewer="False"'
    assert read_one(save(tmp_path / "photo.jpg", scene(), xmp=XMP.format(tag).encode())).panorama is False
