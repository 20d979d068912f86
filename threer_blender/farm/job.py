"""[S] One description of a job that reconstructs many shots on many machines. Each scheduler has its writer.

The steps: prepare (reads everything once) → solve (a task for each shot) → scene (a .blend for each shot, where Blender
is given) and page (all shots on one page).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from .. import doctor
from ..engines import registry
from ..files import photo_files
from ..pictures import shot_budget
from .shot_lists import ListedShot, ShotList

# Stand in the arguments of a command where a scheduler puts its own values.
LIST, RESULTS, SHOT, WEIGHTS = "<list>", "<results>", "<shot>", "<weights>"
BATCH = ("-m", "threer_blender", "batch", LIST, "--output", RESULTS)  # of Python
SCENE = ("-b", "--command", "threer_blender", "scene", f"{RESULTS}/{SHOT}")  # of Blender
SCENE_OUTPUT = ("--output", f"{RESULTS}/{SHOT}.blend", "--overwrite")
CORES = 4  # that a solve asks for
SMALL = 1 << 30  # bytes: the memory of a step that solves nothing
FOR_BLENDER = 4 << 30  # bytes: the memory of a step that builds a scene
MOST_TASKS = 1000  # of a step: Slurm's arrays take 1,001 unless told otherwise, Open Job Description's lists 1,024
GRACE = 30  # seconds between asking a task to stop and killing it


@dataclass(frozen=True)
class Step:
    """One step of a job: a command, which runs once, or once for each of `shots`.

    `program` is "python" or "blender"; its `arguments` may hold placeholders. The step asks for `memory` bytes, so many
    `cores`, and a graphics card where `needs_card`. It begins after the steps in `after`. Where a scheduler can, the
    task of a shot begins after the same shot's task in a step with the same shots.
    """

    name: str
    program: str
    arguments: tuple[str, ...]
    shots: tuple[str, ...] = ()
    memory: int = SMALL
    cores: int = 1
    needs_card: bool = False
    after: tuple[str, ...] = ()


@dataclass(frozen=True)
class FarmJob:
    """A job: the list of its shots, the folder of its results, and its steps in their order.

    `programs` are the paths of "python" and "blender" on the machines that run it. `weights` is the folder of the
    learned engines' weights there; "" where each machine has its own. `inputs` are the photos' files and folders.
    """

    name: str
    list_file: Path
    results: Path
    steps: tuple[Step, ...]
    programs: dict[str, str]
    weights: str = ""
    inputs: tuple[Path, ...] = field(default=())


def describe(list_file: Path, shots: ShotList, python: str, blender: str = "", weights: str = "") -> FarmJob:
    """The job that reconstructs the shots of a list.

    Shots of one engine are one step, since schedulers ask for memory by the step; more than MOST_TASKS are several
    steps. Raises UserError where a shot's photos cannot be read, or an engine or an option is unknown.
    """
    steps = [Step("prepare", "python", (*BATCH, "--prepare"))]
    solves = [_solve(name, group, bool(weights)) for name, group in _groups(shots.shots).items()]
    steps += solves
    if blender:
        steps += [_scene(solve) for solve in solves]
    steps.append(Step("page", "python", (*BATCH, "--page"), after=tuple(step.name for step in solves)))
    programs = {"python": python} | ({"blender": blender} if blender else {})
    inputs = dict.fromkeys(photo.absolute() for shot in shots.shots for photo in shot.photos)
    return FarmJob(list_file.stem, list_file, shots.output, tuple(steps), programs, weights, tuple(inputs))


def _groups(shots: Sequence[ListedShot]) -> dict[str, list[ListedShot]]:
    """The shots of each step that solves some, by the step's name."""
    of_engine: dict[str, list[ListedShot]] = {}
    for shot in shots:
        of_engine.setdefault(shot.engine, []).append(shot)
    groups = {}
    for engine, group in of_engine.items():
        for first in range(0, len(group), MOST_TASKS):
            groups[f"solve_{engine}_{first}" if first else f"solve_{engine}"] = group[first : first + MOST_TASKS]
    return groups


def _solve(name: str, shots: Sequence[ListedShot], has_weights: bool) -> Step:
    """The step of shots that have one engine."""
    engine = registry.engine(shots[0].engine)
    return Step(
        name,
        "python",
        (*BATCH, "--only", SHOT, *(("--weights-folder", WEIGHTS) if has_weights else ())),
        tuple(shot.name for shot in shots),
        max(_memory(shot) for shot in shots),
        CORES,
        "torch" in engine.requires,
        ("prepare",),
    )


def _scene(solve: Step) -> Step:
    name = solve.name.replace("solve", "scene")
    return Step(name, "blender", SCENE + SCENE_OUTPUT, solve.shots, FOR_BLENDER, after=(solve.name,))


def _memory(shot: ListedShot) -> int:
    """The bytes that a shot is expected to take, by our own forecast."""
    engine = registry.engine(shot.engine)
    options = engine.checked_options(shot.options)
    files = photo_files.find(shot.photos).files
    frames = [shot_budget.frames(file) for file in files]
    photos = sum(count == 0 for count in frames)
    return max(SMALL, math.ceil(doctor.forecast_memory(engine, options, photos, sum(frames)) or 0))
