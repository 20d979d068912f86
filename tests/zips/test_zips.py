"""The zips hold the add-on and its declared wheels, nothing else, small, and accepted by Blender's validator.

The zip without wheels is built here; `nox -s build` adds all others through THREER_ZIPS, their folder.
"""

from __future__ import annotations

import csv
import importlib.util
import itertools
import json
import os
import re
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import threer_blender

ROOT = Path(__file__).parents[2]
MEGABYTES = 1_000_000


def load(name: str, path: Path) -> Any:
    """A Python file that is in no package, as a module."""
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]


build_zips = load("build_zips", ROOT / "wheels" / "build.py")

MADE = sorted(Path(os.environ["THREER_ZIPS"]).glob("*.zip")) if "THREER_ZIPS" in os.environ else []


@pytest.fixture(scope="module")
def any_zip(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The zip without wheels, from the checkout as it is."""
    pytest.importorskip("bpy", reason="bpy is not installed, and Blender's builder comes with it")
    return build_zips.build(build_zips.ANY, tmp_path_factory.mktemp("dist"))


@pytest.fixture(params=[None, *MADE], ids=lambda path: path.stem if path else "fresh-any")
def zipped(request: pytest.FixtureRequest) -> Iterator[Any]:
    """Each zip, opened."""
    with zipfile.ZipFile(request.param or request.getfixturevalue("any_zip")) as opened:
        yield opened


def manifest(zipped: zipfile.ZipFile) -> dict[str, Any]:
    return tomllib.loads(zipped.read("blender_manifest.toml").decode())


def package_name(requirement: str) -> str:
    """The name of the package that a requirement is for."""
    name = re.match(r"[\w-]+", requirement)
    assert name is not None
    return name[0]


def declared_wheels(zipped: zipfile.ZipFile) -> list[str]:
    return [wheel.removeprefix("./") for wheel in manifest(zipped).get("wheels", [])]


def wheel_info(zipped: zipfile.ZipFile, wheel: str, name: str) -> str:
    """A text of a wheel's .dist-info."""
    with zipped.open(wheel) as file, zipfile.ZipFile(file) as opened:
        (path,) = (path for path in opened.namelist() if re.fullmatch(rf"[^/]+\.dist-info/{name}", path))
        return opened.read(path).decode()


def test_nothing_unneeded_and_nothing_missing(zipped: zipfile.ZipFile) -> None:
    tracked = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "threer_blender", "__init__.py", "LICENSE"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    expected = [*tracked.stdout.splitlines(), "blender_manifest.toml", *declared_wheels(zipped)]
    assert sorted(zipped.namelist()) == sorted(expected)


def test_size(zipped: zipfile.ZipFile) -> None:
    carries = bool(manifest(zipped).get("wheels"))
    assert zipped.filename is not None
    assert Path(zipped.filename).stat().st_size < (150 if carries else 2) * MEGABYTES


def test_wheels_bring_each_other_and_take_blenders_numpy(zipped: zipfile.ZipFile) -> None:
    """A wheel requires only other carried wheels, or numpy as Blender has it: 1.24 in 4.2, 2.2 from 5.1 on."""
    wheels = declared_wheels(zipped)
    carried = {name.rsplit("/")[-1].split("-")[0].lower().replace("_", "-") for name in wheels}
    for wheel in wheels:
        for needed in re.findall(r"^Requires-Dist: ([^;\n]+)$", wheel_info(zipped, wheel, "METADATA"), re.MULTILINE):
            name = package_name(needed)
            assert name.replace("_", "-") in carried | {"numpy"}
            if name == "numpy" and (lowest := re.search(r">=(\d+)\.(\d+)", needed)):
                assert (int(lowest[1]), int(lowest[2])) <= ((1, 24) if "-cp311-" in wheel else (2, 2))


def test_wheels_only_need_unpacking(zipped: zipfile.ZipFile) -> None:
    """Blender 4.2 only unpacks wheels. Files that pip would move elsewhere are not found, above all Windows' DLLs."""
    for wheel in declared_wheels(zipped):
        with zipped.open(wheel) as file, zipfile.ZipFile(file) as opened:
            names = {name for name in opened.namelist() if not name.endswith("/")}
        assert not [name for name in names if re.match(r"[^/]+\.data/(platlib|purelib)/", name)]
        recorded = {row[0] for row in csv.reader(wheel_info(zipped, wheel, "RECORD").splitlines()) if row}
        assert names <= recorded | {name for name in names if ".dist-info/" in name}
        assert not [name for name in names if "/tests/" in name]


def test_without_symbols_a_library_still_works(tmp_path: Path) -> None:
    """A module of this Python loses its symbols and shrinks. A fresh process of it still loads the module."""
    spec = importlib.util.find_spec("_json")
    assert spec is not None
    actual = spec.origin
    if actual is None or not Path(actual).read_bytes().startswith(b"\x7fELF"):
        pytest.skip("here is no shared library of Linux")
    content = Path(actual).read_bytes()
    stripped = build_zips.without_symbols(content)
    assert len(stripped) < len(content)
    assert build_zips.without_symbols(stripped) == stripped
    assert build_zips.without_symbols(b"text") == b"text"
    (tmp_path / Path(actual).name).write_bytes(stripped)
    program = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import _json; print(_json.__file__)"
    ran = subprocess.run([sys.executable, "-S", "-c", program], capture_output=True, text=True, check=True)
    assert ran.stdout.startswith(str(tmp_path))


def test_wheels_are_for_the_zips_blender(zipped: zipfile.ZipFile) -> None:
    """A zip is for one platform and one Python. It has every module that the classical engine requires."""
    fields = manifest(zipped)
    if "wheels" not in fields:
        assert "platforms" not in fields
        return
    (platform,) = fields["platforms"]
    python = "cp311" if "blender_version_max" in fields else "cp313"
    tag = {"linux-x64": "manylinux", "windows-x64": "win_amd64", "macos-arm64": "macosx"}[platform]
    names = [wheel.rsplit("/")[-1] for wheel in fields["wheels"]]
    assert {name.split("-")[0] for name in names} == {"pycolmap", "numba", "llvmlite", "pillow", "pillow_heif", "av"}
    assert all(re.search(f"-{python}-{python}-|-cp311-abi3-", name) and tag in name for name in names)


def test_manifest(zipped: zipfile.ZipFile) -> None:
    fields = manifest(zipped)
    assert fields["version"] == threer_blender.__version__
    assert fields["license"] == ["SPDX:GPL-3.0-or-later"]
    assert "blender" not in fields["name"].lower()
    assert fields["blender_version_min"] in ("4.2.0", "5.1.0")
    assert "build" not in fields
    for reason in fields["permissions"].values():
        assert len(reason) <= 64
        assert not reason.endswith(".")


def test_lock_pins_what_the_project_requires() -> None:
    lock = (ROOT / "wheels" / "lock.txt").read_text("utf-8")
    pinned = dict(re.findall(r"^([\w-]+)==(\S+)", lock, re.MULTILINE))
    with (ROOT / "pyproject.toml").open("rb") as file:
        required = {package_name(each) for each in tomllib.load(file)["project"]["dependencies"]}
    assert set(pinned) == required - {"numpy"} | {"llvmlite"}
    targets = [target for target in build_zips.TARGETS.values() if target.generation]
    for entry in re.split(r"\n(?=[\w-]+==)", lock)[1:]:
        # A package has one wheel for each target, or one for each platform where that fits every Python.
        hashes = set(re.findall(r"sha256:[0-9a-f]{64}", entry))
        assert len(hashes) in (len(targets), len(build_zips.PLATFORMS))


def test_every_blender_finds_one_zip_in_the_index(any_zip: Path, tmp_path: Path) -> None:
    """Each platform, Python and version gets exactly one entry: the one with wheels where they fit."""
    folder = tmp_path / "dist"
    folder.mkdir()
    (folder / any_zip.name).write_bytes(any_zip.read_bytes())
    for target in build_zips.TARGETS.values():
        if target.generation:
            python = target.generation.python.replace(".", "")
            _with_empty_wheel(any_zip, folder / f"threer_blender-{target.name}.zip", target, f"cp{python}")
    build_zips.write_index(folder)
    skipped = load("blender_ext", build_zips.extension_tool()).repository_filter_skip  # Blender's own rule
    entries = json.loads((folder / "index.json").read_text("utf-8"))["data"]
    official = {(4, 2, 0): (3, 11), (4, 5, 15): (3, 11), (5, 0, 1): (3, 11), (5, 1, 0): (3, 13), (5, 2, 3): (3, 13)}
    platforms = (*build_zips.PLATFORMS, *build_zips.WITHOUT_WHEELS)
    pythons = ((3, 11), (3, 12), (3, 13), (3, 14))
    for platform, version, python in itertools.product(platforms, official, pythons):
        system = {
            "filter_platform": platform,
            "filter_blender_version": version,
            "filter_python_version": (*python, 0),
        }
        fitting = [each for each in entries if not skipped(each, **system, skip_message_fn=None, error_fn=pytest.fail)]
        assert len(fitting) == 1, system
        has_wheels = platform in build_zips.PLATFORMS and python == official[version]
        assert fitting[0]["archive_url"].endswith("-any.zip") != has_wheels


def _with_empty_wheel(source: Path, path: Path, target: Any, python: str) -> None:
    tag = build_zips.PLATFORMS[target.platform][0]
    wheel = f"nothing-1.0-{python}-{python}-{tag}.whl"
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(path, "w") as new:
        for name in set(old.namelist()) - {"blender_manifest.toml"}:
            new.writestr(name, old.read(name))
        new.writestr("blender_manifest.toml", build_zips.manifest(target, [wheel]))
        new.writestr(f"wheels/{wheel}", b"")
