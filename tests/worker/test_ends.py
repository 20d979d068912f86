"""A worker that has sent its last message removes nothing, however late it ends and whatever its parent closes."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.sample_photos import SAMPLE
from threer_blender import bundle
from threer_blender.files.bundle_folder import Staging
from threer_blender.jobs.messages import Done, Failed, ReconstructionRequest, from_line, to_line

ROOT = Path(__file__).parents[2]
WORKER = """
import atexit, sys, time
import numpy as np
from threer_blender.engines import registry
from threer_blender.model.reconstruction import Camera, Reconstruction
from threer_blender.worker.__main__ import main

def reconstruct(photos, options, report):
    cameras = [Camera(photo.name, photo.width, photo.height, 500, 500, 5, 5, np.eye(4)) for photo in photos]
    return Reconstruction("colmap", "GPL", list(photos), cameras)

registry.reconstruct_of = lambda engine: reconstruct
atexit.register(time.sleep, 2)  # as libraries do that have threads to end
sys.exit(main())
"""


@pytest.mark.parametrize("leave_staged", [False, True])
def test_a_result_stays_when_the_parent_closes_the_pipe(tmp_path: Path, leave_staged: bool) -> None:
    output = tmp_path / "result"
    shutil.copy(SAMPLE[0], tmp_path / "photo.jpg")
    request = ReconstructionRequest(
        [str(tmp_path / "photo.jpg")], "colmap", str(output), {}, run="1f", leave_staged=leave_staged
    )
    staging = Staging(output, "1f")
    if leave_staged:
        staging.make()
    command = [sys.executable, "-c", WORKER]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=ROOT, text=True, start_new_session=True, stdin=pipe, stdout=pipe) as worker:
        assert worker.stdin is not None
        assert worker.stdout is not None
        worker.stdin.write(to_line(request))
        worker.stdin.flush()
        messages = iter(from_line(line) for line in worker.stdout)
        done = next(message for message in messages if isinstance(message, Done | Failed))
        assert isinstance(done, Done), done
        worker.stdin.close()
        assert worker.wait(60) == 0
    assert len(bundle.read(staging.new if leave_staged else output).cameras) == done.registered == 1
    staging.discard()
