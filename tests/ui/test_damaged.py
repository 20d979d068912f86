"""A damaged result ends in one sentence, by whichever way it comes, and leaves an artist's scene as it was."""

import copy
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from types import ModuleType
from typing import Any

import bpy
import pytest

from tests.blender.dump import lines
from tests.blender.extension import choose, make_photo_folder, roots
from tests.blender.world import CAMERAS, reconstruct, write_photos
from threer_blender import bundle
from threer_blender.files import bundle_folder
from threer_blender.model.errors import UserError
from threer_blender.model.reconstruction import Shot
from threer_blender.scene import build

pytest_plugins = ["tests.blender.extension"]


def cut(folder: Path, name: str) -> None:
    path = folder / name
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flip(folder: Path, name: str) -> None:
    content = bytearray((folder / name).read_bytes())
    content[len(content) // 2] ^= 0x40
    (folder / name).write_bytes(content)


def remove(folder: Path, name: str) -> None:
    (folder / name).unlink()


def from_the_future(folder: Path, name: str) -> None:
    scene = json.loads((folder / name).read_text("utf-8"))
    (folder / name).write_text(json.dumps({**scene, "version": bundle.VERSION + 1}))


def foreign(folder: Path, name: str) -> None:
    (folder / name).write_text('["something", "else"]')


@pytest.mark.parametrize("solved_before", [False, True], ids=["first", "second"])
@pytest.mark.parametrize(
    ("damage", "name", "sentence"),
    [
        (cut, bundle_folder.SCENE, "delete it and reconstruct again."),
        (cut, bundle_folder.ARRAYS, "delete it and reconstruct again."),
        (flip, bundle_folder.ARRAYS, "delete it and reconstruct again."),
        (remove, bundle_folder.ARRAYS, "delete it and reconstruct again."),
        (foreign, bundle_folder.SCENE, "delete it and reconstruct again."),
        (remove, bundle_folder.SCENE, "choose the folder that has a scene.json in it."),
        (from_the_future, bundle_folder.SCENE, "update the extension to open it."),
    ],
    ids=lambda value: value.__name__ if callable(value) else "",
)
def test_importing_a_damaged_result(
    work: ModuleType, tmp_path: Path, damage: Any, name: Any, sentence: str, solved_before: bool
) -> None:
    folder = make_photo_folder(tmp_path / "shot") / "bundle"
    choose(tmp_path / "shot")
    if solved_before:
        bpy.ops.threer.import_result(directory=str(folder))
        roots()[0].location.x += 1
    bpy.ops.mesh.primitive_cube_add()
    damage(folder, name)
    before = lines()
    with pytest.raises(RuntimeError, match=sentence.replace("(", r"\(").replace(")", r"\)")):
        bpy.ops.threer.import_result(directory=str(folder))
    assert lines() == before
    assert work.current().error.endswith(sentence)


JUNK: tuple[Any, ...] = (None, True, 0, -1, 1e308, 2**70, "", "\ud800", "../../etc", [], {}, [[1]])


def leaves(value: Any, path: Any = ()) -> Iterator[Any]:
    """The way to every entry of a JSON value; of lists, to their first."""
    if path:
        yield path
    if isinstance(value, dict):
        for key in value:
            yield from leaves(value[key], (*path, key))
    elif isinstance(value, list) and value:
        yield from leaves(value[0], (*path, 0))


@pytest.mark.filterwarnings("ignore:overflow", "ignore:invalid value", "ignore:divide by zero")
def test_whatever_stands_in_a_result_it_is_built_or_refused(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    """Every entry of scene.json is replaced by everything that it should not be."""
    photos = write_photos(tmp_path / "shot", CAMERAS[:2])
    photos[0] = replace(photos[0], sensor_width=36.0, focal=300.0)
    shot = Shot("clip.mp4", photos[0].path, Fraction(30000, 1001), 9, {7: CAMERAS[1], 8: CAMERAS[0]})
    whole = reconstruct(photos, CAMERAS[:2], step=32, shots=[shot], notes=["A note."], timings={"cameras": 1.0})
    folder = bundle.write(whole, tmp_path / "result")
    scene = json.loads((folder / bundle_folder.SCENE).read_text("utf-8"))
    before = lines()
    refused: list[str] = []
    built = 0
    for path in leaves(scene):
        for junk in JUNK:
            damaged = copy.deepcopy(scene)
            owner = damaged
            for key in path[:-1]:
                owner = owner[key]
            owner[path[-1]] = junk
            (folder / bundle_folder.SCENE).write_text(json.dumps(damaged))
            try:
                build.build(bundle.read(folder), folder)
            except UserError as error:
                refused.append(str(error))
                assert lines() == before
            else:
                built += 1
                bpy.ops.wm.read_factory_settings()
    assert all(sentence.endswith(".") for sentence in refused)
    record_property("tried", len(refused) + built)
    assert len(refused) > 2 * built > 0
