"""The add-on enabled in this Blender, with a fake worker: fixtures, and functions that do the artist's clicks."""

import importlib
import shutil
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import bpy
import pytest

from tests import kernels
from tests.blender.world import CAMERAS, reconstruct, write_photos
from threer_blender import bundle
from threer_blender.host.environment import Interpreter
from threer_blender.model.reconstruction import Photo

ROOT = Path(__file__).parents[2]
REPOSITORY, ADDON = "threer_test", "bl_ext.threer_test.threer_blender"
MANIFEST = """
schema_version = "1.0.0"
id = "threer_blender"
version = "0.1.0"
name = "3R"
tagline = "Photos"
maintainer = "tests"
type = "add-on"
blender_version_min = "4.2.0"
license = ["SPDX:GPL-3.0-or-later"]
"""


@pytest.fixture(scope="session")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A folder of extensions that holds ours."""
    folder = tmp_path_factory.mktemp("extensions")
    extension = folder / "threer_blender"
    shutil.copytree(ROOT / "threer_blender", extension / "threer_blender", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "__init__.py", extension)
    (extension / "blender_manifest.toml").write_text(MANIFEST)
    return folder


def enable(repository: Path) -> ModuleType:
    """Enables the add-on from `repository`, and returns its package."""
    repositories = bpy.context.preferences.extensions.repos
    if REPOSITORY not in [known.module for known in repositories]:
        added = repositories.new(name="3R tests", module=REPOSITORY, source="USER", custom_directory=str(repository))
        added.enabled = True
    assert bpy.ops.preferences.addon_enable(module=ADDON) == {"FINISHED"}
    return importlib.import_module(f"{ADDON}.threer_blender")


def part(name: str) -> ModuleType:
    """A module of the enabled add-on, by its name within the package."""
    return importlib.import_module(f"{ADDON}.threer_blender.{name}")


@pytest.fixture
def data_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The folder that Blender gives the add-on."""
    folder = tmp_path / "home"
    folder.mkdir()
    monkeypatch.setattr(bpy.utils, "extension_path_user", lambda *_args, **_more: str(folder))
    return folder


@pytest.fixture
def addon(repository: Path, data_folder: Path, fresh_file: None) -> Iterator[ModuleType]:  # noqa: ARG001
    """The package of the add-on, enabled in a fresh file."""
    yield enable(repository)
    if ADDON in bpy.context.preferences.addons:
        bpy.ops.preferences.addon_disable(module=ADDON)
    for name in [name for name in sys.modules if name.startswith(ADDON)]:
        del sys.modules[name]


@pytest.fixture
def work(addon: ModuleType) -> ModuleType:  # noqa: ARG001
    """The module `ui.work` of the enabled add-on."""
    return part("ui.work")


@pytest.fixture
def checkouts_kernels(addon: ModuleType, data_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: ARG001
    """Lets the add-on's workers run the checkout's code, whose kernels are compiled already."""
    kernels.share(data_folder)
    environment = part("host.environment")
    copied, real = environment.PACKAGE_PARENT, environment.this_python

    def of_the_checkout(modules: Iterable[str] = ()) -> Interpreter:
        interpreter = real(modules)
        return Interpreter(
            interpreter.python, tuple(ROOT if path == copied else path for path in interpreter.search_path)
        )

    monkeypatch.setattr(environment, "this_python", of_the_checkout)


@pytest.fixture
def photo_folder(addon: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:  # noqa: ARG001
    """A folder of photos for the fake worker, which is put in the place of the true one."""
    package = tmp_path / "fake" / "threer_blender" / "worker"
    package.mkdir(parents=True)
    shutil.copy(Path(__file__).with_name("fake_worker.py"), package / "__main__.py")
    interpreter = Interpreter(Path(sys.executable), (tmp_path / "fake",))  # of the fake worker
    monkeypatch.setattr(part("host.environment"), "this_python", lambda _engine: interpreter)
    return make_photo_folder(tmp_path / "shot")


def imported(photos: list[Photo], folder: Path) -> Any:
    """The root of a result of the world's `photos`, which is written into `folder` and imported."""
    written = bundle.write(reconstruct(photos, CAMERAS, step=4), folder)
    bpy.ops.threer.import_result(directory=str(written))
    (root,) = roots()
    return root


def make_photo_folder(folder: Path, step: int = 8) -> Any:
    """Writes the world's photos into `folder`, and the bundle for the fake worker to copy. Returns the folder."""
    photos = write_photos(folder, CAMERAS)
    bundle.write(reconstruct(photos, CAMERAS, step=step), folder / "bundle")
    return folder


def choose(folder: Path) -> None:
    """Chooses the photos in `folder`, as the file browser does."""
    bpy.ops.threer.choose_photos(directory=str(folder))


def start(work: Any, folder: Path) -> Any:
    """Chooses the photos in `folder`, and starts the same task as a click on Reconstruct in a window. Returns it."""
    choose(folder)
    operators, properties = part("ui.operators"), part("ui.properties")
    assert operators.THREER_OT_reconstruct.poll(bpy.context)
    scene = bpy.context.scene
    engine = properties.engine(scene)
    return work.start(properties.chosen_paths(scene), engine.id, properties.option_values(scene, engine), scene)


def until(work: Any, done: Any, seconds: int = 120) -> None:
    """Ticks as Blender's timer does, until `done()` is true. Fails after so many `seconds`."""
    deadline = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < deadline
        work.tick()
        time.sleep(0.01)


def roots() -> Any:
    """The root empties of all results in the scene."""
    return [obj for obj in bpy.context.scene.objects if obj.get("threer_role") == "root"]
