"""Jobs for Open Job Description: its own library checks them, its command line runs them, as one machine does."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from openjd.model import decode_job_template

from tests import listed_shots
from threer_blender import bundle
from threer_blender.cli import command_line
from threer_blender.farm import open_job
from threer_blender.farm.job import MOST_TASKS, FarmJob, describe
from threer_blender.farm.shot_lists import ListedShot, ShotList
from threer_blender.model.errors import UserError

SHOTS = ("shot 0", "shot 1")


def write(folder: Path, shots: Path, *more: str) -> Path:
    """The folder of the job for a list of shots."""
    program = str(listed_shots.program(folder))
    arguments = ["farm", str(shots), "--scheduler", "openjd", "--job", str(folder / "job"), "--python", program]
    assert command_line.main([*arguments, *more]) == 0
    return folder / "job"


def run(job: Path, *more: str) -> subprocess.CompletedProcess[str]:
    """Runs all steps on this machine."""
    values = ["-p", f"file://{job / open_job.VALUES}", *more]
    program = Path(sys.executable).with_name("openjd")
    command = [str(program), "run", str(job / open_job.TEMPLATE), "--step", "page"]
    return subprocess.run(
        [*command, "--run-dependencies", *values], capture_output=True, text=True, check=False, timeout=100
    )


def results(folder: Path) -> dict[str, Any]:
    """The contents of the results, but for the names of the runs and the times."""
    content: dict[str, Any] = {}
    for name in SHOTS:
        files = [path for path in sorted((folder / name).rglob("*")) if path.is_file()]
        content |= {str(path.relative_to(folder)): path.read_bytes() for path in files if path.name != "manifest.json"}
    record = json.loads((folder / "shots.json").read_text("utf-8"))
    return content | {"rows": [row | {"seconds": 0} for row in record["shots"]]}


def test_a_job_gives_what_one_machine_gives(tmp_path: Path) -> None:
    shots = listed_shots.make(tmp_path, len(SHOTS))
    job = write(tmp_path, shots)
    ended = run(job)
    assert ended.returncode == 0, ended.stdout
    assert all(bundle.read(tmp_path / "results" / name).cameras for name in SHOTS)
    by_job = results(tmp_path / "results")
    alone = tmp_path / "alone"
    subprocess.run(
        [tmp_path / "python", "-m", "threer_blender", "batch", shots, "--output", alone], check=True, timeout=60
    )
    assert results(alone) == by_job
    solved = (tmp_path / "solved.txt").read_text()
    assert run(job).returncode == 0
    assert (tmp_path / "solved.txt").read_text() == solved  # finished tasks do nothing


def test_a_failed_shot_fails_its_task_and_stands_on_the_page(tmp_path: Path) -> None:
    shots = listed_shots.make(tmp_path, len(SHOTS))
    (tmp_path / "photos" / "shot 0" / "b.jpg").write_text("This shot is too dark; light it.")
    ended = run(write(tmp_path, shots))
    assert ended.returncode != 0
    assert "openjd_fail: This shot is too dark; light it." in ended.stdout
    assert "too dark; light it" in (tmp_path / "results" / "shots.html").read_text("utf-8")


def test_paths_of_the_list_are_mapped(tmp_path: Path) -> None:
    shots = listed_shots.make(tmp_path, len(SHOTS))
    # The list as a Windows workstation has written it. This machine has the photos elsewhere.
    shots.write_text(shots.read_text().replace('photos = "photos/', 'photos = "P:/show/photos/'))
    (tmp_path / "share").mkdir()
    (tmp_path / "photos").rename(tmp_path / "share" / "photos")
    rule = {
        "source_path_format": "WINDOWS",
        "source_path": "P:\\show",
        "destination_path": str(tmp_path / "share"),
    }
    rules = tmp_path / "rules.json"
    rules.write_text(json.dumps({"version": "pathmapping-1.0", "path_mapping_rules": [rule]}))
    ended = subprocess.run(
        [listed_shots.program(tmp_path), "-m", "threer_blender", "batch", str(shots), "--path-mapping", str(rules)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert ended.returncode == 0, ended.stderr


@pytest.mark.parametrize("more", [(), ("--blender", "/opt/blender", "--weights-folder", "/weights")])
def test_the_template_is_valid(tmp_path: Path, more: tuple[str, ...]) -> None:
    shots = listed_shots.make(tmp_path, len(SHOTS))
    text = shots.read_text().replace('name = "shot 1"', 'name = "shot 1"\nengine = "vggt"\noptions = {}')
    shots.write_text(text.replace('[options]\nquality = "preview"\n', ""))
    job = write(tmp_path, shots, *more)
    template = json.loads((job / open_job.TEMPLATE).read_text("utf-8"))
    names = [step.name for step in decode_job_template(template=template).steps]
    scenes = ["scene_colmap", "scene_vggt"] if more else []
    assert names == ["prepare", "solve_colmap", "solve_vggt", *scenes, "page"]
    asked = {
        step["name"]: {each["name"]: each["min"] for each in step["hostRequirements"]["amounts"]}
        for step in template["steps"]
    }
    assert "amount.worker.gpu" not in asked["solve_colmap"]
    assert asked["solve_vggt"]["amount.worker.gpu"] == 1
    assert asked["solve_vggt"]["amount.worker.memory"] > 5000 > asked["prepare"]["amount.worker.memory"]
    listed = json.loads((job / open_job.BUNDLE_VALUES).read_text("utf-8"))["parameterValues"]
    declared = {each["name"] for each in template["parameterDefinitions"]}
    assert {each["name"] for each in listed} == declared
    inputs = json.loads((job / open_job.ASSETS).read_text("utf-8"))["assetReferences"]["inputs"]
    assert inputs["filenames"] == [str(shots)]
    assert inputs["directories"] == [str(tmp_path / "photos" / name) for name in SHOTS]


def described(folder: Path, names: Sequence[str], list_name: str = "shots.toml") -> FarmJob:
    """The job of shots with these names."""
    (folder / "a.jpg").write_bytes(b"a")
    shots = [ListedShot(name, (folder,), "colmap", {}) for name in names]
    return describe(folder / list_name, ShotList(shots, folder), "python", "blender")


def test_many_shots_are_several_steps(tmp_path: Path) -> None:
    job = described(tmp_path, [f"shot {number}" for number in range(2 * MOST_TASKS + 1)])
    template = json.loads(open_job.files(job)[open_job.TEMPLATE])
    names = [step.name for step in decode_job_template(template=template).steps]
    assert names[1:4] == ["solve_colmap", "solve_colmap_1000", "solve_colmap_2000"]
    assert sum(len(step.shots) for step in job.steps if step.program == "blender") == 2 * MOST_TASKS + 1


@pytest.mark.parametrize(("shot", "list_name"), [("a{{b}}", "shots.toml"), ("a", "{{Param.Shots}}.toml")])
def test_names_that_would_be_expressions_are_refused(tmp_path: Path, shot: str, list_name: str) -> None:
    with pytest.raises(UserError, match=r"takes \{\{ in the name"):
        open_job.files(described(tmp_path, [shot], list_name))


def test_a_long_name_of_a_list_is_cut(tmp_path: Path) -> None:
    template = json.loads(open_job.files(described(tmp_path, ["a"], f"{'n' * 200}.toml"))[open_job.TEMPLATE])
    assert decode_job_template(template=template).name == 128 * "n"
