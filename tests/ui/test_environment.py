"""The private environment, really made by the panel's buttons: `nox -s environment`. Minutes, 0.4 GB downloaded.

A set-up that is killed in the middle goes on the next time. The environment runs what Blender's Python cannot, trained
networks too. A damaged environment is mended, and a removed one is gone.
"""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import bpy
import pytest

from tests.blender.drawn import panel
from tests.blender.extension import choose, part, roots, until
from tests.sample_photos import SAMPLE

WEIGHTS = "DUSt3R_ViTLarge_BaseDecoder_512_dpt.safetensors"
pytest_plugins = ["tests.blender.extension"]
pytestmark = pytest.mark.skipif(
    "THREER_ENVIRONMENT" not in os.environ, reason="downloads torch and takes minutes: `nox -s environment`"
)


@pytest.fixture
def work_without_pycolmap(work: ModuleType, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The module `ui.work` in a Blender whose Python no carried wheel fits, and that may use the internet."""
    environment = part("host.environment")
    real = environment.find_spec
    monkeypatch.setattr(environment, "find_spec", lambda name: None if name in ("pycolmap", "torch") else real(name))
    monkeypatch.delenv("THREER_HOME", raising=False)
    bpy.context.preferences.system.use_online_access = True
    yield work
    bpy.context.preferences.system.use_online_access = False


def kill_while(work: Any, stage: Any, share: Any) -> None:
    """Starts a set-up and kills its process once `share` of `stage` is done, as a crash of the computer would."""
    task = work.add(part("jobs.messages").SetUp(["pycolmap", "numba", "torch"]))
    until(work, lambda: task.progress.stage == stage and task.progress.fraction > share, seconds=300)
    os.killpg(task.job.pid, signal.SIGKILL)
    until(work, lambda: task.ended)
    assert "SIGKILL" in work.current().error


def times(data_folder: Path) -> Any:
    """The time in ns at which each wheel of an unfinished set-up arrived, by its name."""
    wheels = data_folder / "environment.unfinished" / "wheels"
    return {path.name: path.stat().st_mtime_ns for path in wheels.glob("*.whl")}


BLANK = """
import json, math, os, sys
import torch
from threer_blender.networks import dust3r
with torch.device("meta"):
    layout = dust3r.dpt_512().state_dict()
header, end = {}, 0
for name, tensor in layout.items():
    begin, end = end, end + tensor.nbytes
    header[name.removeprefix("encoder.")] = {"dtype": "F32", "shape": list(tensor.shape), "data_offsets": [begin, end]}
content = json.dumps(header).encode()
with open(sys.argv[1], "wb") as file:
    file.write(len(content).to_bytes(8, "little") + content)
os.truncate(sys.argv[1], 8 + len(content) + end)
"""


def blank_weights(python: Any, path: Path) -> None:
    """Writes DUSt3R's weights, all of them zero, to a sparse file that takes hardly any room on the disk."""
    file = part("host.environment").__file__
    assert file is not None
    variables = {"PYTHONPATH": str(Path(file).parents[2])}
    subprocess.run([str(python), "-c", BLANK, str(path)], env={**os.environ, **variables}, check=True)


def test_from_nothing_to_nothing(work_without_pycolmap: ModuleType, data_folder: Path, tmp_path: Path) -> None:
    work = work_without_pycolmap
    environment, doctor = part("host.environment"), part("doctor")
    assert "needs pycolmap first." in panel()
    assert "threer.reconstruct" not in panel()

    kill_while(work, "Downloading packages", 0.3)
    assert environment.private(data_folder) is None
    arrived = times(data_folder)
    assert arrived
    assert "threer.set_up" in panel()

    kill_while(work, "Installing packages", 0.0)
    assert environment.private(data_folder) is None
    assert arrived.items() <= times(data_folder).items()  # nothing was fetched twice

    bpy.ops.threer.set_up()  # for all engines
    private = environment.private(data_folder)
    assert private.works
    assert private.versions["torch"].startswith("2.13.0")
    assert not (data_folder / "environment.unfinished").exists()
    assert "The environment is complete" in panel()
    assert f"torch {private.versions['torch']} on {private.device}" in doctor.lines(data_folder)[-1]

    photos = tmp_path / "photos"
    photos.mkdir()
    for photo in SAMPLE[:4]:
        shutil.copy(photo, photos)
    choose(photos)
    scene = bpy.context.scene
    scene.threer.options_colmap.quality = "preview"
    scene.threer.options_colmap.matching = "learned"  # by trained networks
    assert part("headless").environment.choose(("pycolmap", "torch"), data_folder).python == private.executable
    bpy.ops.threer.reconstruct()
    assert part("ui.summary").summary(roots()[0]).registered == 4

    scene.threer.engine = "dust3r"
    (tmp_path / "alone").mkdir()
    choose(Path(shutil.copy(SAMPLE[0], tmp_path / "alone")).parent)
    blank_weights(private.executable, tmp_path / "blank.safetensors")
    bpy.ops.threer.use_weights(name=WEIGHTS, filepath=str(tmp_path / "blank.safetensors"))
    with pytest.raises(RuntimeError, match="The network has no answer for"):  # it ran, and knows nothing
        bpy.ops.threer.reconstruct()
    scene.threer.engine = "colmap"
    imported = [getattr(module, "__file__", None) or "" for module in sys.modules.values()]
    assert not [file for file in imported if Path(file).is_relative_to(data_folder)]

    private.executable.unlink()
    assert "threer.set_up" in panel()
    bpy.ops.threer.set_up(engine="colmap")
    assert environment.private(data_folder).versions == private.versions
    assert "threer.reconstruct" in panel()

    bpy.ops.threer.remove_environment()
    assert environment.private(data_folder) is None
    assert not {"environment", "environment.unfinished", "python"} & {path.name for path in data_folder.iterdir()}
