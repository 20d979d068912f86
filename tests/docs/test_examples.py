"""The Python examples in the documents run as they stand."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np

from tests import kernels
from tests.docs import documents
from tests.docs.documents import ROOT
from tests.evaluation import world
from tests.sample_photos import SAMPLE, shrunk
from threer_blender import bundle, splat_files
from threer_blender.model.reconstruction import Gaussians

RECONSTRUCT, EVALUATE, SPLATS = documents.blocks(ROOT / "docs" / "pipeline.md", "python")


def run(code: str, folder: Path) -> str:
    """The output of the code, run in a folder by a Python of its own."""
    setup = f"import sys; sys.path.insert(0, {str(ROOT)!r})\n"
    environment = {**os.environ, "THREER_HOME": str(kernels.share(folder / "home"))}
    command = [sys.executable, "-c", setup + code]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_reconstruct(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    photos = shrunk(SAMPLE[:3], tmp_path / "photos", factor=5)
    *cameras, cloud = run(RECONSTRUCT, tmp_path).splitlines()
    assert [line.split()[0] for line in cameras if line.startswith("IMG")] == [photo.name for photo in photos]
    assert cloud.endswith(", 3) []")  # the shape of the points, and no unregistered photos


def test_evaluation(tmp_path: Path) -> None:
    bundle.write(world.result(tmp_path), tmp_path / "result")
    world.write_truth(tmp_path / "truth")
    assert run(EVALUATE, tmp_path).startswith("1.0 Relative poses of all pairs")
    assert (tmp_path / "result.html").is_file()


def test_splat_files(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    rotations = random.standard_normal((50, 4))
    arrays = (
        random.standard_normal((50, 3)),
        np.full((50, 3), 0.1),
        rotations / np.linalg.norm(rotations, axis=1, keepdims=True),
        np.full(50, 0.5),
        random.random((50, 1, 3)),
    )
    written = Gaussians(*(array.astype(np.float32) for array in arrays))
    splat_files.write(written, tmp_path / "a.spz")
    run(SPLATS, tmp_path)
    read = splat_files.read(tmp_path / "a.ply").gaussians
    assert np.abs(read.means - written.means).max() < 1e-3
