"""[S] A job for Slurm: one script that submits its steps, arrays of tasks that wait for each other."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence

from .job import GRACE, LIST, RESULTS, SHOT, WEIGHTS, FarmJob, Step

SUBMIT, TASK = "submit.sh", "task.sh"
PLACES = {LIST: "$list", RESULTS: "$results", SHOT: "$shot", WEIGHTS: "$weights"}
HEAD = """\
#!/bin/sh
# {title}
set -eu
"""


def files(job: FarmJob) -> dict[str, str]:
    """The scripts of the job, by name. SUBMIT is for the user; it submits TASK."""
    return {SUBMIT: _submit(job), TASK: _task(job)}


def _submit(job: FarmJob) -> str:
    lines = [
        HEAD.format(title=f"Submits the shots of a list to Slurm: sh {SUBMIT}").rstrip(),
        'here=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd)',
    ]
    for step in job.steps:
        options = [
            "--parsable",
            "--kill-on-invalid-dep=yes",
            f"--job-name={shlex.quote(f'{job.name} {step.name}')}",
            f"--cpus-per-task={step.cores}",
            f"--mem={-(-step.memory // 2**20)}M",
            *([f"--array=0-{len(step.shots) - 1}"] if step.shots else []),
            *(["--gres=gpu:1"] if step.needs_card else []),
        ]
        if step.after:
            options.append(f"--dependency={_condition(step, job)}:{':'.join(f'${name}' for name in step.after)}")
        lines.append(f'{step.name}=$(sbatch {" ".join(options)} "$@" "$here/{TASK}" {step.name} "$here")')
    lines.append(f'echo "submitted: {" ".join(f"${step.name}" for step in job.steps)}"')
    return "\n".join(lines) + "\n"


def _condition(step: Step, job: FarmJob) -> str:
    """When a step begins: the page even after failed shots, since it tells of them."""
    if len(step.shots) == 0:
        return "afterany"
    earlier = [other.shots for other in job.steps if other.name in step.after]
    return "aftercorr" if earlier == [step.shots] else "afterok"


def _task(job: FarmJob) -> str:
    head = HEAD.format(title="One task: task.sh STEP FOLDER. Slurm runs it; its place in an array names the shot.")
    head += f"# {GRACE} s pass between SIGTERM and SIGKILL where KillWait is as Slurm has it by default.\n"
    places = [f"list={shlex.quote(str(job.list_file))}", f"results={shlex.quote(str(job.results))}"]
    weights = [f"weights={shlex.quote(job.weights)}"] if job.weights else []
    cases = "\n".join(f"{step.name})\n{_case(step, job.programs[step.program])}    ;;" for step in job.steps)
    return "\n".join([head + "\n".join([*places, *weights]), 'case "$1" in', cases, "esac"]) + "\n"


def _case(step: Step, program: str) -> str:
    shot = ""
    if step.shots:
        numbered = "\n".join(f"    {number}) shot={shlex.quote(name)} ;;" for number, name in enumerate(step.shots))
        shot = f'    case "$SLURM_ARRAY_TASK_ID" in\n{numbered}\n    esac\n'
    return f"{shot}    exec {_command([program, *step.arguments])}\n"


def _command(words: Sequence[str]) -> str:
    return " ".join(_filled_in(word) for word in words)


def _filled_in(word: str) -> str:
    """A word as a shell needs it, with variables in place of placeholders."""
    parts = re.split(f"({'|'.join(PLACES)})", word)
    quoted = [f'"{PLACES[part]}"' if part in PLACES else shlex.quote(part) for part in parts if part]
    return "".join(quoted)
