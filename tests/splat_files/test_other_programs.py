"""Files of other programs: one scene in every format, read as what it was made from and as another program reads it."""

import zipfile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from tests.splats import DATA, SCENE, assert_same, codecs
from threer_blender import splat_files
from threer_blender.splat_files.checks import only


class Loss(NamedTuple):
    """The largest differences that a format may make: positions in the scene's units, the others without a unit."""

    position: float
    log_scale: float
    rotation: float  # 1 - |q · q'|
    opacity: float
    color: float
    harmonics: float
    degree: int = 3


LOSSES = {
    "scene.compressed.ply": Loss(2e-3, 2e-3, 2e-6, 2e-3, 0.005, 0.02),
    "scene.sog": Loss(1e-4, 5e-3, 1e-4, 4e-3, 0.005, 1.0),  # harmonics are drawn from a palette
    "scene.v3.spz": Loss(2e-4, 0.032, 2e-6, 3e-3, 0.015, 0.07),
    "scene.v4.spz": Loss(2e-4, 0.032, 2e-6, 3e-3, 0.015, 0.07),
    "scene.unturned.spz": Loss(2e-4, 0.032, 2e-6, 3e-3, 0.015, 0.07),
    "scene.splat": Loss(1e-7, 1e-6, 1e-4, 4e-3, 0.015, 0.0, degree=0),
    "scene.ksplat": Loss(1e-4, 2e-3, 1e-6, 4e-3, 0.015, 0.01, degree=2),
}
# Real files, where THREER_DATA has them. They are compared with another program's reading alone.
REAL = ["guitar.compressed.ply", "minimal.splat", "minimal.ksplat", "biker_v3.spz"] if DATA.is_dir() else []


def read(path: Path) -> splat_files.SplatFile:
    return splat_files.read(path, codecs(), spz_is_y_up="unturned" not in path.name)


@pytest.mark.parametrize("name", LOSSES)
def test_the_scene_is_what_it_was_made_from(name: Any) -> None:
    truth = splat_files.read(SCENE / "scene.ply").gaussians
    loss = LOSSES[name]
    actual = read(SCENE / name)
    gaussians = actual.gaussians
    assert actual.notes == []
    assert gaussians.sh.shape == (300, (loss.degree + 1) ** 2, 3)
    origins = ((gaussians.means[:, None] - truth.means) ** 2).sum(axis=2).argmin(axis=1)
    assert len(set(origins)) == 300
    truth = only(truth, origins)
    assert np.abs(gaussians.means - truth.means).max() < loss.position
    assert np.abs(np.log(gaussians.scales / truth.scales)).max() < loss.log_scale
    assert 1 - np.abs((gaussians.rotations * truth.rotations).sum(axis=1)).min() < loss.rotation
    assert np.abs(gaussians.opacities - truth.opacities).max() < loss.opacity
    assert np.abs(gaussians.sh[:, 0] - truth.sh[:, 0]).max() < loss.color
    above = slice(1, gaussians.sh.shape[1])
    assert np.abs(gaussians.sh[:, above] - truth.sh[:, above]).max(initial=0) <= loss.harmonics


def test_a_sog_may_be_a_folder(tmp_path: Path) -> None:
    with zipfile.ZipFile(SCENE / "scene.sog") as archive:
        archive.extractall(tmp_path)
    assert_same(read(tmp_path / "meta.json").gaussians, read(SCENE / "scene.sog").gaussians, 0)


# gaussforge 0.6.0 knows no SPZ of version 4, and misplaces splats in buckets of a .ksplat that are not full.
FILES = [SCENE / name for name in LOSSES if name not in ("scene.v4.spz", "scene.ksplat")]
FILES += [DATA / name for name in REAL]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_gaussforge_agrees(tmp_path: Path, path: Any) -> None:
    """Another program's reading, through the PLY that it makes."""
    gaussforge = pytest.importorskip("gaussforge")
    kind = "compressed.ply" if path.name.endswith(".compressed.ply") else path.suffix[1:]
    converted = gaussforge.GaussForge().convert(path.read_bytes(), kind, "ply")
    (tmp_path / "theirs.ply").write_bytes(converted["data"])
    theirs = splat_files.read(tmp_path / "theirs.ply").gaussians
    # gaussforge leaves SPZ's axes as they are, and opacities of 1 become 0.999
    ours = splat_files.read(path, codecs(), spz_is_y_up=False).gaussians
    assert_same(ours, theirs, 3e-5, opacity_tolerance=1.1e-3)
