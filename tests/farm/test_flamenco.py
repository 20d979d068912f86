"""The job type for Flamenco, run by Node.js with a stand-in for the object `author` that Flamenco gives to it."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests import listed_shots
from threer_blender.cli import command_line
from threer_blender.farm import flamenco

AUTHOR = """
const fs = require("fs"), vm = require("vm");
const made = [];
class Task {
    constructor(name, type) { Object.assign(this, { name, type, commands: [], after: [] }); }
    addCommand(command) { this.commands.push(command); }
    addDependency(task) { this.after.push(task.name); }
}
const author = {
    Task: (name, type) => new Task(name, type),
    Command: (name, parameters) => ({ name, parameters }),
};
const job = JSON.parse(fs.readFileSync(process.argv[2]));
const script = fs.readFileSync(process.argv[3], "utf-8") + "; compileJob(job); JSON.stringify(JOB_TYPE)";
job.addTask = (task) => made.push(task);
const type = vm.runInNewContext(script, { author, job });
console.log(JSON.stringify({ type: JSON.parse(type), tasks: made }));
"""


def compiled(folder: Path) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The settings that the job type declares, by key, and the tasks that it makes of two shots."""
    shots = listed_shots.make(folder, 2)
    arguments = ["farm", str(shots), "--scheduler", "flamenco", "--job", str(folder / "job"), "--python", "/py"]
    assert command_line.main([*arguments, "--blender", "/blender", "--weights-folder", "/weights"]) == 0
    (folder / "author.js").write_text(AUTHOR)
    node = shutil.which("node")
    assert node is not None
    files = [folder / "job" / name for name in (flamenco.JOB, flamenco.TYPE)]
    ended = subprocess.run([node, folder / "author.js", *files], capture_output=True, text=True, check=True, timeout=30)
    made = json.loads(ended.stdout)
    content = json.loads((folder / "job" / flamenco.JOB).read_text("utf-8"))
    assert content["type"] == made["type"]["label"]
    return {setting["key"]: setting for setting in made["type"]["settings"]}, made["tasks"]


@pytest.mark.skipif(shutil.which("node") is None, reason="Node.js is not installed")
def test_two_shots_become_tasks(tmp_path: Path) -> None:
    settings, tasks = compiled(tmp_path)
    content = json.loads((tmp_path / "job" / flamenco.JOB).read_text("utf-8"))
    assert set(content["settings"]) == set(settings)
    solves = ["solve_colmap shot 0", "solve_colmap shot 1"]
    assert {task["name"]: task["after"] for task in tasks} == {
        "prepare": [],
        solves[0]: ["prepare"],
        solves[1]: ["prepare"],
        "scene_colmap shot 0": [solves[0]],
        "scene_colmap shot 1": [solves[1]],
        "page": solves,
    }
    ((first,), (scene,)) = (task["commands"] for task in tasks if task["name"] in (solves[0], "scene_colmap shot 1"))
    results, shots = str(tmp_path / "results"), str(tmp_path / "shots.toml")
    assert first == {
        "name": "exec",
        "parameters": {
            "exe": "/py",
            "args": ["-m", "threer_blender", "batch", shots, "--output", results, "--only", "shot 0"]
            + ["--weights-folder", "/weights"],
        },
    }
    assert scene["parameters"]["exe"] == "/blender"
    assert scene["parameters"]["args"][-3:] == ["--output", f"{results}/shot 1.blend", "--overwrite"]
