"""Jobs for Slurm: a stand-in for sbatch runs the script's tasks at once; with THREER_SLURM, Slurm itself does."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from tests import listed_shots
from threer_blender import bundle
from threer_blender.cli import command_line
from threer_blender.farm import slurm

SHOTS = 2
# Notes its options, runs the script once, or once for each place of the array, and prints a number for the job.
SBATCH = """#!/bin/sh
array=""
for word in "$@"; do
    case "$word" in
    --array=0-*) array=$(seq 0 "${word#--array=0-}") ;;
    --*) ;;
    *) break ;;
    esac
done
echo "$@" >> "$(dirname "$0")/submitted.txt"
while case "$1" in --*) true ;; *) false ;; esac; do shift; done
if [ -n "$array" ]; then
    for place in $array; do SLURM_ARRAY_TASK_ID=$place sh "$@" >&2 || true; done
else
    sh "$@" >&2
fi
wc -l < "$(dirname "$0")/submitted.txt"
"""


def write(folder: Path) -> Path:
    """The folder of the job for shots whose names and paths a shell would split, or fill in."""
    shots = listed_shots.make(folder, SHOTS)
    shots.write_text(shots.read_text().replace('name = "shot 1"', """name = "it's $HOME `x`" """))
    program = listed_shots.program(folder).rename(folder / "it's $HOME")
    arguments = ["farm", str(shots), "--scheduler", "slurm", "--job", str(folder / "the job"), "--python", str(program)]
    assert command_line.main(arguments) == 0
    return folder / "the job"


def check(folder: Path) -> None:
    for name in ("shot 0", "it's $HOME `x`"):
        assert len(bundle.read(folder / "results" / name).cameras) == 2
    assert "2 done" in (folder / "results" / "shots.html").read_text("utf-8")


def test_the_script_submits_every_step(tmp_path: Path) -> None:
    job = write(tmp_path)
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "sbatch").write_text(SBATCH)
    (programs / "sbatch").chmod(0o755)
    environment = {**os.environ, "PATH": f"{programs}:{os.environ['PATH']}"}
    subprocess.run(["sh", job / slurm.SUBMIT, "--partition=cg"], env=environment, check=True, timeout=100)
    check(tmp_path)
    prepare, solve, page = (programs / "submitted.txt").read_text().splitlines()
    assert all("--partition=cg" in line for line in (prepare, solve, page))
    assert "--array=0-1" in solve
    assert "--dependency=afterok:1 " in solve
    assert "--dependency=afterany:2 " in page


@pytest.mark.skipif("THREER_SLURM" not in os.environ, reason="THREER_SLURM is not set: a running Slurm is needed")
def test_slurm_itself_runs_the_job(tmp_path: Path) -> None:
    job = write(tmp_path)
    subprocess.run(["sh", job / slurm.SUBMIT], cwd=tmp_path, check=True, timeout=60)
    queue = shutil.which("squeue")
    assert queue is not None
    deadline = time.monotonic() + 120
    while subprocess.run([queue, "--noheader"], capture_output=True, text=True, check=True).stdout.strip():
        assert time.monotonic() < deadline
        time.sleep(1)
    check(tmp_path)
