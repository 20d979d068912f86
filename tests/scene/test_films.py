"""Behind a video's camera, Blender shows at each frame the picture that was solved for that frame."""

import random
from collections.abc import Callable, Iterable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import bpy
import numpy as np
import pytest
from PIL import Image

from tests.blender.compositing import compositor
from tests.blender.world import camera, looking_at, reconstruct
from tests.numbered_films import CLOCKS, KINDS, MATRICES, number_of, turned
from threer_blender.model.arrays import Array
from threer_blender.model.reconstruction import Photo, Shot
from threer_blender.pictures.film import Film
from threer_blender.scene import build, cameras, files
from threer_blender.worker import shot_plates

Written = Callable[[str], Path]


def result(film: Film) -> tuple[Photo, Shot]:
    """A solve of the whole film, from one place."""
    width, height = film.plate_size
    solved = {n: camera(f"film {n:04d}", width, height, 150, pose=looking_at((1, -1, -4.0))) for n in film.numbers}
    photo = Photo("film 0001", str(film.path), width, height, sha256="0" * 64, frame=film.numbers[0])
    count = film.numbers[-1] - film.numbers[0] + 1
    rate = film.frame_rate or Fraction(24)
    return photo, Shot("film", str(film.path), rate, count, solved, first_frame=film.numbers[0])


def built(film: Film, folder: Path) -> tuple[bpy.types.MovieClip, list[str]]:
    """The movie clip behind the film's camera in Blender, and what was said about it."""
    sentences: list[str] = []
    photo, shot = result(film)
    (shot,) = shot_plates.write_all([shot], folder / "plates", sentences.append, lambda _done, _total: None)
    first = shot.cameras[shot.first_frame]
    root = build.build(reconstruct([photo], [first], step=4, shots=[shot]), folder)
    (moving,) = (child for child in root.children if cameras.FRAMES in child)
    return moving.data.background_images[0].clip, sentences


def rendered_frames(clip: bpy.types.MovieClip, frames: Iterable[int], folder: Path) -> list[Array]:
    """The pictures (H, W, 3) that Blender's clip shows at the scene's frames, asked for in this order."""
    scene = bpy.context.scene
    tree, output = compositor(scene)
    film = tree.nodes.new("CompositorNodeMovieClip")
    film.clip = clip
    tree.links.new(film.outputs["Image"], output.inputs["Image"])
    render = scene.render
    render.resolution_x, render.resolution_y = clip.size
    render.resolution_percentage = 100
    render.engine, scene.cycles.samples, scene.cycles.device = "CYCLES", 1, "CPU"
    scene.view_settings.view_transform = "Standard"
    render.image_settings.file_format = "PNG"
    pictures = []
    for frame in frames:
        scene.frame_set(frame)
        render.filepath = str(folder / "shown.png")
        bpy.ops.render.render(write_still=True)
        with Image.open(render.filepath) as image:
            pictures.append(np.asarray(image.convert("RGB")))
    return pictures


@pytest.mark.parametrize("name", KINDS)
def test_blender_shows_the_frame_that_was_solved(numbered_film: Written, name: str, tmp_path: Path) -> None:
    film = Film(numbered_film(name))
    clip, sentences = built(film, tmp_path)
    first = number_of(film.picture(1))
    asked = [film.numbers[-1], *random.Random(name).sample(film.numbers, 10), 1]
    numbers = [number_of(picture) for picture in rendered_frames(clip, asked, tmp_path)]
    assert numbers == [first + number - 1 for number in asked]
    assert bool(sentences) != KINDS[name].alike
    assert (clip.source == "MOVIE") == KINDS[name].alike


@pytest.mark.parametrize("name", CLOCKS)
def test_no_clock_lets_blender_show_another_frame(numbered_film: Written, name: str, tmp_path: Path) -> None:
    film = Film(numbered_film(name))
    clip, _ = built(film, tmp_path)
    asked = [*film.numbers, *random.Random(name).sample(film.numbers, 5)]
    assert [number_of(picture) for picture in rendered_frames(clip, asked, tmp_path)] == asked


@pytest.mark.parametrize("matrix", MATRICES)
def test_turned_and_mirrored_films_stand_as_they_were_solved(
    numbered_film: Written, matrix: tuple[int, int, int, int], tmp_path: Path
) -> None:
    film = Film(turned(numbered_film("mp4 h264"), matrix, tmp_path / "turned.mp4"))
    clip, _ = built(film, tmp_path / "bundle")
    (picture,) = rendered_frames(clip, [7], tmp_path)
    assert np.abs(picture.astype(float) - film.picture(7)).mean() < 6


def test_a_plate_that_was_written_is_as_large_as_the_camera(numbered_film: Written, tmp_path: Path) -> None:
    film = Film(numbered_film("mp4 phone"))
    clip, (sentence,) = built(film, tmp_path)
    files = sorted((tmp_path / "plates").iterdir())
    assert [file.name for file in files] == [f"shot0_film.{number:04d}.jpg" for number in film.numbers]
    assert tuple(clip.size) == film.size
    assert "even rate" in sentence


@pytest.mark.parametrize("gone", [True, False])
def test_a_camera_without_its_plate_is_named(numbered_film: Written, gone: bool, tmp_path: Path) -> None:
    film = Film(numbered_film("mkv h264"))
    photo, shot = result(film)
    path = str(tmp_path / "moved.mkv") if gone else shot.path
    solve = reconstruct([replace(photo, path=path)], [shot.cameras[1]], step=4, shots=[replace(shot, path=path)])
    notes = build.build(solve, tmp_path / "bundle")[build.NOTES]
    assert ("film: there is no plate behind its camera" in notes) == gone


@pytest.mark.parametrize("kind", ["plate that was written", "image sequence"])
def test_a_saved_scene_shows_its_sequence(numbered_film: Written, kind: str, tmp_path: Path) -> None:
    """The .blend is saved before its bundle has its name, and Blender must not take the plate for a movie."""
    film = Film(numbered_film("mp4 phone"))
    staged, bundle = tmp_path / "staged" / "new", tmp_path / "results" / "shot.3r"
    plates = staged / "plates" if kind == "plate that was written" else tmp_path / "footage" / "plates"
    photo, shot = result(film)
    (shot,) = shot_plates.write_all([shot], plates, lambda _: None, lambda _done, _total: None)
    if kind == "image sequence":
        path = str(plates / Path(shot.written_plate).name)
        photo, shot = replace(photo, path=path), replace(shot, path=path, written_plate="")
    solve = reconstruct([photo], [shot.cameras[1]], step=4, shots=[shot])
    bundle.parent.mkdir()
    staged.mkdir(parents=True, exist_ok=True)
    before = Path.cwd()
    files.save_new(solve, staged, tmp_path / "staged" / "x.blend", (bundle, bundle.with_suffix(".blend")))
    assert Path.cwd() == before
    staged.rename(bundle)
    (tmp_path / "staged" / "x.blend").rename(bundle.with_suffix(".blend"))
    bpy.ops.wm.open_mainfile(filepath=str(bundle.with_suffix(".blend")))
    (clip,) = bpy.data.movieclips
    assert [number_of(picture) for picture in rendered_frames(clip, (3, 17, 30), tmp_path)] == [3, 17, 30]
