"""The worked example of docs/adding_an_engine.md runs: a copy of the project gets its engine and its test."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from tests.docs import documents
from tests.docs.documents import ROOT

ENGINE, TEST = documents.blocks(ROOT / "docs" / "adding_an_engine.md", "python")


def test_the_example_works_as_it_stands(tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(ROOT / "threer_blender", copy / "threer_blender", ignore=shutil.ignore_patterns("__pycache__"))
    (copy / "tests" / "data").mkdir(parents=True)
    (copy / "tests" / "data" / "sample").symlink_to(ROOT / "tests" / "data" / "sample")
    shutil.copy(ROOT / "tests" / "sample_photos.py", copy / "tests")
    (copy / "threer_blender" / "engines" / "turntable.py").write_text(ENGINE, "utf-8")
    (copy / "tests" / "test_turntable.py").write_text(TEST, "utf-8")
    (copy / "pytest.ini").write_text("[pytest]\naddopts = --import-mode=importlib\npythonpath = .\n")
    environment = {**os.environ, "THREER_HOME": str(tmp_path / "home")}
    for command in (["pytest", "-q", "-p", "no:cacheprovider"], ["threer_blender", "info"]):
        done = subprocess.run(
            [sys.executable, "-m", *command], cwd=copy, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
    assert "engine turntable: Cameras around an object" in done.stdout
    assert "--option step=10.0" in done.stdout
