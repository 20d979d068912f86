"""[S] A job for Open Job Description, and as a job bundle for AWS Deadline Cloud.

Source: the specifications `jobtemplate-2023-09` of OpenJobDescription/openjd-specifications, and the job bundles of
aws-deadline/deadline-cloud.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from ..model.errors import UserError, quoted
from .job import GRACE, LIST, RESULTS, SHOT, WEIGHTS, FarmJob, Step

TEMPLATE, VALUES = "template.json", "parameters.json"
BUNDLE_VALUES, ASSETS = "parameter_values.json", "asset_references.json"  # of Deadline Cloud
LONGEST_NAME = 128  # letters of a job's name
PROGRAMS = {"python": "Python", "blender": "Blender"}  # -> the job's parameter
PLACES = {
    LIST: "{{Param.Shots}}",
    RESULTS: "{{Param.Results}}",
    SHOT: "{{Task.Param.Shot}}",
    WEIGHTS: "{{Param.Weights}}",
}


def files(job: FarmJob) -> dict[str, str]:
    """The files of the job, by name: a template, the values of its parameters, and Deadline Cloud's two files.

    Raises UserError where the name of the list or of a shot would be taken for an expression.
    """
    for name in (job.name, *(name for step in job.steps for name in step.shots)):
        if "{{" in name:
            raise UserError(f"Open Job Description takes {{{{ in the name {quoted(name)} for an expression; rename it.")
    values = _values(job)
    assets = {
        "inputs": {
            "filenames": [str(job.list_file), *(str(path) for path in job.inputs if not path.is_dir())],
            "directories": [str(path) for path in job.inputs if path.is_dir()],
        },
        "outputs": {"directories": [str(job.results)]},
    }
    listed = [{"name": name, "value": value} for name, value in values.items()]
    return {
        TEMPLATE: _text(_template(job)),
        VALUES: _text(values),
        BUNDLE_VALUES: _text({"parameterValues": listed}),
        ASSETS: _text({"assetReferences": assets}),
    }


def _template(job: FarmJob) -> dict[str, Any]:
    return {
        "specificationVersion": "jobtemplate-2023-09",
        "name": job.name[:LONGEST_NAME],
        "description": "Cameras, points and splats from photos, by threer_blender.",
        "parameterDefinitions": _parameters(job),
        "steps": [_step(step) for step in job.steps],
    }


def _parameters(job: FarmJob) -> list[dict[str, str]]:
    texts = [
        {"name": PROGRAMS[program], "type": "STRING", "description": f"The program {program} on the workers."}
        for program in job.programs
    ]
    shots = {"name": "Shots", "type": "PATH", "objectType": "FILE", "dataFlow": "IN", "description": "The list."}
    results = {"name": "Results", "type": "PATH", "objectType": "DIRECTORY", "dataFlow": "OUT"}
    weights = {"name": "Weights", "type": "PATH", "objectType": "DIRECTORY", "dataFlow": "NONE"}
    return [shots, results, *([weights] if job.weights else []), *texts]


def _values(job: FarmJob) -> dict[str, str]:
    paths = {"Shots": str(job.list_file), "Results": str(job.results)}
    weights = {"Weights": job.weights} if job.weights else {}
    return paths | weights | {PROGRAMS[name]: path for name, path in job.programs.items()}


def _step(step: Step) -> dict[str, Any]:
    arguments = [_filled_in(text) for text in step.arguments]
    if "batch" in arguments:  # the verb that reads rules and prints progress
        arguments += ["--path-mapping", "{{Session.PathMappingRulesFile}}", "--open-job"]
    action = {
        "command": f"{{{{Param.{PROGRAMS[step.program]}}}}}",
        "args": arguments,
        "cancelation": {"mode": "NOTIFY_THEN_TERMINATE", "notifyPeriodInSeconds": GRACE},
    }
    described: dict[str, Any] = {"name": step.name}
    if step.after:
        described["dependencies"] = [{"dependsOn": name} for name in step.after]
    if step.shots:
        shots = {"name": "Shot", "type": "STRING", "range": list(step.shots)}
        described["parameterSpace"] = {"taskParameterDefinitions": [shots]}
    amounts = {"amount.worker.vcpu": step.cores, "amount.worker.memory": -(-step.memory // 2**20)}
    amounts |= {"amount.worker.gpu": 1} if step.needs_card else {}
    described["hostRequirements"] = {"amounts": [{"name": name, "min": least} for name, least in amounts.items()]}
    described["script"] = {"actions": {"onRun": action}}
    return described


def _filled_in(text: str) -> str:
    for placeholder, value in PLACES.items():
        text = text.replace(placeholder, value)
    return text


def _text(content: Mapping[str, Any]) -> str:
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"
