"""[S] A job for Flamenco: a job type for its Manager, and a job for the type.

Source: flamenco.blender.org/usage/job-types and the Manager's published API.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from .job import FarmJob, Step

TYPE, JOB, LABEL = "flamenco_job_type.js", "job.json", "threer-blender"
PRIORITY = 50
PLATFORMS = {"linux": "linux", "win32": "windows", "darwin": "darwin"}  # of Python -> of Flamenco


def files(job: FarmJob, platform: str) -> dict[str, str]:
    """The job type, the same for all jobs, and this job, by name. `platform` is `sys.platform` of the submitter."""
    script = Path(__file__).with_name(TYPE).read_text("utf-8")
    settings = {
        "list": str(job.list_file),
        "results": str(job.results),
        "weights": job.weights,
        "steps": json.dumps([_step(step, job.programs[step.program]) for step in job.steps], ensure_ascii=False),
    }
    content = {
        "name": job.name,
        "type": LABEL,
        "priority": PRIORITY,
        "submitter_platform": PLATFORMS.get(platform, "linux"),
        "settings": settings,
    }
    return {TYPE: script, JOB: json.dumps(content, indent=1, ensure_ascii=False) + "\n"}


def _step(step: Step, program: str) -> dict[str, Any]:
    return {
        "name": step.name,
        "program": program,
        "arguments": list(step.arguments),
        "shots": list(step.shots),
        "after": list(step.after),
    }
