"""[S] Reconstruct from Python: one blocking call that runs an engine in the worker. No bpy.

from threer_blender import headless
reconstruction = headless.reconstruct(["a.jpg", "b.jpg"], "result")
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from . import bundle, doctor
from .engines import registry
from .evaluation import outcome
from .evaluation.outcome import Evaluation
from .files import bounded, bundle_folder, mesh_file, photo_files, sequence_files
from .host import environment
from .jobs.messages import (
    Done,
    Ended,
    Evaluate,
    Failed,
    Finished,
    Import,
    MakeMesh,
    Notice,
    Preview,
    Progress,
    ReconstructionRequest,
    Request,
)
from .jobs.process import Job
from .model import shared_cameras
from .model.engine import Engine
from .model.errors import Cancelled, UserError, quoted
from .model.reconstruction import Reconstruction
from .model.shared_cameras import SolveComparison
from .model.textured_mesh import TexturedMesh
from .reports import files as report_files

DEFAULT_ENGINE = "colmap"
MESH_FACES, MESH_TEXTURE = 200_000, 4096  # the default budgets of a mesh
OnMessage = Callable[[Progress | Notice | Preview], None]


def reconstruction_request(
    photos: Sequence[str | Path],
    output: str | Path,
    engine: str = DEFAULT_ENGINE,
    options: Mapping[str, Any] | None = None,
    weights: Sequence[str] = (),
) -> ReconstructionRequest:
    """The request to reconstruct `photos` (files or folders) into the bundle folder `output`, checked.

    `weights` are the user's own weights files: FILE, or NAME=FILE where the engine has several. Raises UserError where
    the engine or an option is unknown, there are no photos, a weights file is missing, or `output` exists and is
    neither a bundle nor an empty folder.
    """
    declared = registry.engine(engine)
    request = ReconstructionRequest(
        photos=[str(Path(photo).absolute()) for photo in photos],
        engine=declared.id,
        output=str(Path(output).absolute()),
        options=_checked_options(declared, options or {}),
        weights=dict(_user_weights(declared, text) for text in weights),
    )
    if not photos:
        raise UserError("No photos were chosen; choose two or more, or a folder of them.")
    bundle_folder.check_output(Path(request.output))
    return request


def import_request(
    solve: str | Path, output: str | Path, photos: Sequence[str | Path] = (), points: str | Path = ""
) -> Import:
    """The request to write the solve of another program, a file or a folder, to the bundle folder `output`, checked.

    `photos` are the folders of its photos; by default they are looked for beside the solve. `points` is a file of
    points in the world of the solve; "" for none. Raises UserError where a file or folder is missing, or `output`
    exists and is neither a bundle nor an empty folder.
    """
    for path in [solve, points] if points else [solve]:
        if not Path(path).exists():
            raise UserError(f"There is no file or folder {quoted(path)}: check its name.")
    for folder in photos:
        if not Path(folder).is_dir():
            raise UserError(f"There is no folder {quoted(folder)}: check its name, or choose the photos' folder.")
    folders = [str(Path(each).absolute()) for each in photos]
    cloud = str(Path(points).absolute()) if points else ""
    request = Import(str(Path(solve).absolute()), folders, str(Path(output).absolute()), cloud)
    bundle_folder.check_output(Path(request.output))
    return request


def _checked_options(engine: Engine, options: Mapping[str, Any]) -> dict[str, Any]:
    """The values of all options of an engine. Paths are made absolute, since the worker runs in another folder."""
    values = engine.checked_options(options)
    paths = [option.name for option in engine.options if (option.folder or option.file) and values[option.name]]
    return {**values, **{name: str(Path(values[name]).absolute()) for name in paths}}


def _user_weights(engine: Engine, text: str) -> tuple[str, str]:
    """The name of an engine's weights and the absolute path of the user's file for them, from FILE or NAME=FILE."""
    names = [weights.name for weights in engine.weights]
    named, _, file = text.partition("=")
    if named not in names:
        named, file = names[0] if len(names) == 1 else "", text
    if not names:
        raise UserError(f"{engine.label} uses no weights; leave --weights out.")
    if not named:
        raise UserError(f"{engine.label} has several weights; say NAME={file}, with one of {', '.join(names)}.")
    if not Path(file).is_file():
        raise UserError(f"There is no weights file {quoted(file)}; check the path.")
    return named, str(Path(file).absolute())


def begin(request: Request, data_folder: Path | None = None) -> Job:
    """Starts a job for `request` in a Python that can do it.

    `data_folder` holds compiled kernels, logs and weights; by default it is the user's. Raises UserError where a
    single photo is not enough, no Python here can do it, or the memory is too small.
    """
    data_folder = data_folder or environment.user_folder()
    if not isinstance(request, ReconstructionRequest):
        return Job(request, environment.this_python(), data_folder)
    engine = registry.engine(request.engine)
    files = photo_files.find(request.photos).files
    frames = sum(len(sequence_files.frames(file)) for file in files if sequence_files.is_pattern(file))
    photos = sum(not sequence_files.is_pattern(file) for file in files)
    if refusal := single_photo_refusal(engine, files, request.options):
        raise UserError(refusal)
    expected = doctor.estimate(engine, request.options, photos, frames)
    if expected is not None and expected.refusal:
        raise UserError(expected.refusal)
    return Job(request, environment.choose(engine.needed(request.options), data_folder), data_folder)


def single_photo_refusal(engine: Engine, files: Sequence[Path], options: Mapping[str, Any]) -> str:
    """The sentence why a single photo is not enough for a run of `engine`; "" where it is, or where `files` are more.

    A photo that is solved against an earlier result is not alone.
    """
    is_alone = len(files) == 1 and not options.get("against") and files[0].suffix.lower() in photo_files.PICTURES
    return engine.one_photo if is_alone and not sequence_files.is_pattern(files[0]) else ""


def reconstruct(
    photos: Sequence[str | Path],
    output: str | Path,
    engine: str = DEFAULT_ENGINE,
    options: Mapping[str, Any] | None = None,
    on_message: OnMessage | None = None,
    data_folder: Path | None = None,
    weights: Sequence[str] = (),
) -> Reconstruction:
    """Reconstructs `photos` (files or folders) into the bundle folder `output`, blocking, and returns the result.

    `weights` are as in `reconstruction_request`, and `data_folder` is as in `begin`. `on_message` is called with every
    Progress, Notice and Preview. Raises UserError for what the user can mend, Cancelled, or RuntimeError where the
    worker failed; no folder is written then.
    """
    return result(begin(reconstruction_request(photos, output, engine, options, weights), data_folder), on_message)


def mesh_request(folder: str | Path, faces: int = MESH_FACES, texture: int = MESH_TEXTURE) -> MakeMesh:
    """The request to make the textured mesh of the result in the bundle `folder`, with at most about `faces` faces and
    a texture of at most `texture` texels a side. Raises UserError where the folder holds no result of ours."""
    path = Path(folder).absolute()
    if not bundle_folder.is_bundle(path):
        raise UserError(f"{quoted(path)} holds no result; give the folder of one.")
    return MakeMesh(str(path), faces, texture)


def mesh(
    folder: str | Path,
    faces: int = MESH_FACES,
    texture: int = MESH_TEXTURE,
    on_message: OnMessage | None = None,
    data_folder: Path | None = None,
) -> TexturedMesh:
    """Makes the textured mesh of the result in the bundle `folder`, blocking, puts it there, and returns it.

    The arguments are as in `mesh_request` and `reconstruct`. Raises as `reconstruct` does; an earlier mesh stays then.
    """
    run(mesh_request(folder, faces, texture), data_folder or environment.user_folder(), on_message)
    return mesh_file.read(Path(folder) / bundle_folder.MESH)


def compare(folder: str | Path, reference: str | Path) -> SolveComparison:
    """Compares the cameras of the result in the bundle `folder` with those of the one in `reference`.

    Raises UserError where a folder holds no result, or the two share no photo with a camera in both.
    """
    return shared_cameras.compare(
        *(shared_cameras.cameras_by_content(bundle.read(each)) for each in (folder, reference))
    )


def evaluate(
    folder: str | Path,
    truth: str | Path,
    output: str | Path | None = None,
    on_message: OnMessage | None = None,
    data_folder: Path | None = None,
) -> Evaluation:
    """Judges the result in the bundle `folder` by the truth in the folder `truth`, blocking.

    With `output`, the page and its numbers are written there, with the endings .html and .json. Raises UserError where
    there is no result or no truth, or the two do not fit; and as `reconstruct` does.
    """
    path = Path(folder).absolute()
    if not bundle_folder.is_bundle(path):
        raise UserError(f"{quoted(path)} holds no result; give the folder of one.")
    with tempfile.TemporaryDirectory() as temporary:
        target = Path(temporary) / "evaluation" if output is None else Path(output).absolute()
        request = Evaluate(str(path), str(Path(truth).absolute()), str(target))
        run(request, data_folder or environment.user_folder(), on_message)
        return read_evaluation(report_paths(target)[1])


def report_paths(output: str | Path) -> tuple[Path, Path]:
    """The paths of the page and of the numbers that `evaluate` writes for this `output`."""
    return report_files.paths(Path(output).absolute())


def read_evaluation(path: str | Path) -> Evaluation:
    """The evaluation in a JSON file that `evaluate` wrote. Raises UserError where it is none, or gone."""
    try:
        with bounded.as_refusal(quoted(path)):
            return outcome.from_json(bounded.content(Path(path)))
    except FileNotFoundError as error:
        raise UserError(f"There is no evaluation {quoted(path)}: check its name.") from error


def result(job: Job, on_message: OnMessage | None = None) -> Reconstruction:
    """Waits until a job that makes a bundle has ended, and returns what it made. Raises as `reconstruct` does."""
    done = finish(job, on_message)
    assert isinstance(done, Done)
    return bundle.read(done.bundle)


def run(request: Request, data_folder: Path, on_message: OnMessage | None = None) -> str:
    """Does a request that makes no bundle, such as a Download, blocking. Returns a sentence about the outcome.

    Raises as `reconstruct` does.
    """
    finished = finish(begin(request, data_folder), on_message)
    assert isinstance(finished, Finished)
    return finished.text


def finish(job: Job, on_message: OnMessage | None) -> Ended:
    """Waits until a job has ended and returns its last message, Done or Finished. Raises as `reconstruct` does."""
    try:
        while job.ended is None:
            for message in job.wait():
                if on_message is not None and isinstance(message, Progress | Notice | Preview):
                    on_message(message)
    finally:
        job.close()
    assert job.ended is not None
    if isinstance(job.ended, Failed):
        log = quoted(job.log)
        where = f" The log is {log}." if job.ended.kind == "bug" and log not in job.ended.text else ""
        raise {"user": UserError, "cancelled": Cancelled}.get(job.ended.kind, RuntimeError)(job.ended.text + where)
    return job.ended
