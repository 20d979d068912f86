"""The extension as an artist has it: its zip installed in a Blender that has nothing else, from install to uninstall.

`nox -s blender` runs this file with THREER_ZIP naming the zip. The steps follow one another in one Blender, in the
order of the file.
"""

from __future__ import annotations

import importlib
import json
import os
import shutil
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

if "THREER_ZIP" not in os.environ:
    pytest.skip("THREER_ZIP names no zip: nox -s blender", allow_module_level=True)

ZIP = Path(os.environ["THREER_ZIP"])
WITH_WHEELS = not ZIP.stem.endswith("-any")
WHEELS = ("pycolmap", "numba", "llvmlite", "PIL", "pillow_heif", "av")
SAMPLE = Path(__file__).parents[1] / "data" / "sample"
PHOTOS = ("IMG_2041.jpg", "IMG_2042.jpg", "IMG_2043.jpg", "IMG_2045.jpg")
PACKAGE = "bl_ext.user_default.threer_blender"
BEFORE = [name for name in WHEELS if find_spec(name)]

assert "bpy" not in sys.modules  # it reads the variable below once, when it is imported
RESOURCES = Path(tempfile.mkdtemp(prefix="threer_profile_"))
os.environ["BLENDER_USER_RESOURCES"] = str(RESOURCES)


def blender() -> Any:
    import bpy

    return bpy


@pytest.fixture(scope="module", autouse=True)
def resources() -> Iterator[Any]:
    """Blender's profile, gone afterwards."""
    yield RESOURCES
    shutil.rmtree(RESOURCES)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A folder whose name is as awkward as artists' are, with a few of the sample's photos."""
    folder = tmp_path_factory.mktemp("work") / "Küche 50% (final)"
    (folder / "photos").mkdir(parents=True)
    for name in PHOTOS:
        shutil.copy(SAMPLE / "photos" / name, folder / "photos")
    return folder


def run(*arguments: Any) -> int:
    """Runs `blender -b --command threer_blender …`."""
    return importlib.import_module(f"{PACKAGE}.threer_blender.addon").run_command([str(each) for each in arguments])


def reconstruct(project: Path) -> None:
    """Does the work of the panel's buttons: chooses photos for the open file, and reconstructs them as a preview."""
    bpy = blender()
    bpy.ops.threer.choose_photos(directory=f"{project / 'photos'}{os.sep}", files=[{"name": name} for name in PHOTOS])
    bpy.context.scene.threer.options_colmap.quality = "preview"
    bpy.ops.threer.reconstruct()


def result_of(project: Path) -> list[Path]:
    """The files of all results beside the photos."""
    return sorted((project / "photos" / "3R results").glob("*/*.*"))


def contents() -> Any:
    """The cameras that show a photo, by name, each with its pose and the photo's path; and each cloud's size."""
    bpy = blender()
    cameras = {}
    for each in bpy.data.objects:
        if each.type == "CAMERA" and each.data.background_images:
            photo = bpy.path.abspath(each.data.background_images[0].image.filepath)
            assert Path(photo).is_file()
            cameras[each.name] = (np.array(each.matrix_world).round(5).tolist(), photo)
    clouds = [each for each in bpy.data.objects if "confidence" in getattr(each.data, "attributes", ())]
    return cameras, [len(each.data.attributes["position"].data) for each in clouds]


def test_nothing_that_the_engine_needs_was_there() -> None:
    assert not BEFORE


def test_installs_and_enables(resources: Path) -> None:
    bpy = blender()
    bpy.ops.extensions.package_install_files(filepath=str(ZIP), repo="user_default", enable_on_install=True)
    assert PACKAGE in bpy.context.preferences.addons
    actual = {name: spec.origin for name in WHEELS if (spec := find_spec(name))}
    if WITH_WHEELS:
        assert set(actual) == set(WHEELS)
        for origin in actual.values():
            assert origin is not None
            assert Path(origin).is_relative_to(resources)
            assert "site-packages" in Path(origin).parts
    else:
        assert not actual


@pytest.mark.skipif(WITH_WHEELS, reason="this zip has its wheels")
def test_without_wheels_it_says_what_is_missing(project: Any, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(RuntimeError) as raised:
        reconstruct(project)
    assert run("info") == 0
    printed = capfd.readouterr().out
    for module in ("pycolmap", "numba", "PIL", "pillow_heif"):
        assert module in str(raised.value)
        assert module in printed
    assert contents() == ({}, [])


@pytest.mark.skipif(not WITH_WHEELS, reason="this zip has no wheels")
def test_reconstructs_in_its_own_process(project: Any, resources: Path) -> None:
    reconstruct(project)
    assert result_of(project), "the result of an unsaved file does not lie beside its photos"
    assert "pycolmap" not in sys.modules
    assert "numba" not in sys.modules
    assert list(resources.rglob("*.nbi")), "the kernels' cache is not in the extension's own folder"


@pytest.mark.skipif(not WITH_WHEELS, reason="this zip has no wheels")
def test_scene_is_what_the_photos_show() -> None:
    cameras, clouds = contents()
    assert len(cameras) == len(PHOTOS)
    assert len(clouds) == 1
    assert clouds[0] > 20_000
    true = {each["photo"]: each for each in json.loads((SAMPLE / "truth.json").read_text("utf-8"))["cameras"]}
    centres = np.array([true[name]["world_from_camera"] for name in PHOTOS])[:, :3, 3]
    solved = np.array([pose for pose, _ in cameras.values()])[:, :3, 3]
    # Distances between cameras agree up to the one scale that photos leave open.
    expected, got = (np.linalg.norm(each[:, None] - each[None], axis=-1) for each in (centres, solved))
    scale = (got * expected).sum() / (expected**2).sum()
    np.testing.assert_allclose(got / scale, expected, atol=0.02 * expected.max())


@pytest.mark.skipif(not WITH_WHEELS, reason="this zip has no wheels")
def test_scene_survives_saving_and_opening(project: Any) -> None:
    bpy = blender()
    before = contents()
    bpy.ops.wm.save_as_mainfile(filepath=str(project / "scene.blend"))
    bpy.ops.wm.read_homefile(use_empty=True)
    assert contents() == ({}, [])
    bpy.ops.wm.open_mainfile(filepath=str(project / "scene.blend"))
    assert contents() == before


def test_disables_and_leaves_the_scene() -> None:
    bpy = blender()
    before = contents()
    bpy.ops.preferences.addon_disable(module=PACKAGE)
    assert PACKAGE not in bpy.context.preferences.addons
    assert contents() == before
    handlers = [each for name in dir(bpy.app.handlers) for each in as_list(getattr(bpy.app.handlers, name))]
    assert not [each for each in handlers if each.__module__.startswith(PACKAGE)]
    assert not [each for each in dir(bpy.types) if "threer" in each.lower()]
    assert not hasattr(bpy.context.scene, "threer")
    assert not dir(bpy.ops.threer)


def as_list(value: Any) -> Any:
    return value if isinstance(value, list) else []


def test_uninstalls_without_a_trace_and_keeps_results(project: Any, resources: Path) -> None:
    bpy = blender()
    results, before = result_of(project), contents()
    assert results or not WITH_WHEELS
    repositories = [each.module for each in bpy.context.preferences.extensions.repos]
    index = repositories.index("user_default")
    bpy.ops.extensions.package_uninstall(repo_index=index, pkg_id="threer_blender")
    assert not (resources / "extensions" / "user_default" / "threer_blender").exists()
    left = [path for folder in resources.rglob("site-packages") for path in folder.iterdir()]
    assert not left
    assert not (resources / "extensions" / ".user" / "user_default" / "threer_blender").exists()
    assert (result_of(project), contents()) == (results, before)


@pytest.mark.skipif(not WITH_WHEELS, reason="this zip has no wheels")
def test_repository_picks_this_zip(resources: Path) -> None:
    """Of all that the index beside the zip lists, Blender takes the one that was just tried."""
    bpy = blender()
    repositories = bpy.context.preferences.extensions.repos
    url = (ZIP.parent / "index.json").as_uri()
    repositories.new(name="ours", module="ours", remote_url=url)
    index = [each.module for each in repositories].index("ours")
    bpy.context.preferences.system.use_online_access = True
    bpy.ops.extensions.repo_sync(repo_index=index)
    bpy.ops.extensions.package_install(repo_index=index, pkg_id="threer_blender", enable_on_install=False)
    with zipfile.ZipFile(ZIP) as zipped:
        expected = zipped.read("blender_manifest.toml")
    installed = resources / "extensions" / "ours" / "threer_blender" / "blender_manifest.toml"
    assert installed.read_bytes() == expected
