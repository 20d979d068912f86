"""[S] The command line: `python -m threer_blender VERB` and `blender -b --command threer_blender VERB`.

Importable without bpy. Only some things need Blender, such as `--output scene.blend`. Where it is missing, they say so.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from types import FrameType
from typing import TextIO

from .. import __version__, headless
from ..files import bundle_folder, photo_files
from ..host import environment
from ..jobs.messages import Bundled, Done, Failed, Message, Notice, Progress, to_line
from ..model.errors import Cancelled, UserError, quoted, system_refusal
from ..model.reconstruction import Camera, Reconstruction
from ..pictures import shot_budget
from ..reports.shot_report import report
from . import batching, comparing, evaluating, exit_status, meshing, resolving, scene_output, upkeep
from .scene_output import SceneFiles

Say = Callable[[Message], None]
SCENE = ".blend"


def main(arguments: Sequence[str] | None = None, data_folder: Path | None = None) -> int:
    """Runs one command. Returns its exit status, one of `exit_status`.

    `arguments` are those of this process by default. `data_folder` is the folder for compiled kernels, logs, weights
    and the private environment; by default it is the user's own.
    """
    if isinstance(
        sys.stdout, io.TextIOWrapper
    ):  # a path may hold any byte, and Windows' pipes are not UTF-8 by default
        sys.stdout.reconfigure(encoding="utf-8", errors="surrogateescape")
    try:
        parsed = parser().parse_args(
            arguments, argparse.Namespace(data_folder=data_folder, json=False, on_message=_Terminal())
        )
    except SystemExit as end:  # raised by argparse; it must not end Blender
        return int(end.code or 0)
    try:
        with _stopped_by_sigterm():
            status: int | None = parsed.run(parsed)  # most verbs return nothing
        return status or exit_status.OK
    except UserError as error:
        return _end(parsed, Failed(str(error), "user"), exit_status.USER)
    except (Cancelled, KeyboardInterrupt) as error:
        return _end(parsed, Failed(str(error) or "Cancelled.", "cancelled"), exit_status.CANCELLED)
    except OSError as error:  # a file that is locked, gone, on a full disk, or whose path is too long
        return _end(parsed, Failed(system_refusal(error), "user"), exit_status.USER)
    except RuntimeError as error:
        return _end(parsed, Failed(str(error), "bug"), exit_status.BUG)


@contextlib.contextmanager
def _stopped_by_sigterm() -> Iterator[None]:
    """Within, SIGTERM raises Cancelled, so that the worker ends and tidies up. Schedulers send it before they kill."""

    def stop(_signal: int, _frame: FrameType | None) -> None:
        raise Cancelled("Stopped by SIGTERM.")

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def parser() -> argparse.ArgumentParser:
    """The parser of all verbs. Each verb sets `run`, the function that does it with the parsed arguments."""
    parser = argparse.ArgumentParser(prog="threer_blender", description="Photos in, Blender scene out.")
    parser.add_argument("--version", action="version", version=__version__)
    verbs = parser.add_subparsers(dest="verb", required=True)

    reconstruct = verbs.add_parser("reconstruct", help="solve cameras and points from photos")
    reconstruct.add_argument("photos", nargs="+", metavar="PHOTOS", help="photos, videos, or folders of them")
    reconstruct.add_argument("--engine", default=headless.DEFAULT_ENGINE, help="default: %(default)s; see `info`")
    reconstruct.add_argument(
        "--option", action="append", default=[], metavar="NAME=VALUE", help="an engine's option; see `info`"
    )
    reconstruct.add_argument(
        "--weights",
        action="append",
        default=[],
        metavar="FILE",
        help="a weights file of your own for a learned engine; NAME=FILE where the engine has several",
    )
    _add_output(reconstruct)
    reconstruct.set_defaults(run=_reconstruct)

    bring_in = verbs.add_parser("import", help="bring in the solve of another program: COLMAP, Metashape, Meshroom …")
    bring_in.add_argument("solve", metavar="SOLVE", help="the file or folder that the other program has written")
    bring_in.add_argument(
        "--photos", action="append", default=[], metavar="FOLDER", help="where its photos are; default: beside it"
    )
    bring_in.add_argument(
        "--points", default="", metavar="FILE", help="PLY, LAS, LAZ or E57 points of the same solve, where it has none"
    )
    _add_output(bring_in)
    bring_in.set_defaults(run=_import)

    scene = verbs.add_parser("scene", help="build the Blender scene of a result that was made without one")
    scene.add_argument("result", metavar="FOLDER", help="the bundle of a result")
    scene.add_argument("--output", required=True, metavar="SCENE", help="a .blend")
    _add_scene_files(scene)
    scene.set_defaults(run=_scene)

    upkeep.add_verbs(verbs)
    resolving.add_verb(verbs)
    meshing.add_verb(verbs)
    comparing.add_verb(verbs)
    evaluating.add_verb(verbs)
    batching.add_verbs(verbs)
    return parser


def _add_output(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("--output", required=True, metavar="PATH", help="scene.blend, or a folder for the bundle")
    _add_scene_files(verb)
    verb.add_argument("--json", action="store_true", help="print one JSON message a line on stdout")


def _add_scene_files(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("--picture", metavar="PNG", help="with scene.blend: photo, render and a new view beside it")
    verb.add_argument(
        "--overwrite",
        action="store_true",
        help="replace a scene.blend or PNG that no earlier run wrote, or that has changed; the scene stays as .blend1",
    )


def _reconstruct(parsed: argparse.Namespace) -> None:
    options = dict(_option(text) for text in parsed.option)
    costs = _costs(parsed.photos)
    _write_output(
        parsed,
        lambda folder: headless.reconstruction_request(parsed.photos, folder, parsed.engine, options, parsed.weights),
        costs,
    )


def _costs(photos: Sequence[str]) -> list[Notice]:
    """The expected cost of each long shot among the photos. The worker refuses what is no photo."""
    try:
        files = photo_files.find(photos).files
    except (UserError, OSError):
        return []
    return [Notice(text) for text in shot_budget.sentences(files)]


def _import(parsed: argparse.Namespace) -> None:
    _write_output(parsed, lambda folder: headless.import_request(parsed.solve, folder, parsed.photos, parsed.points))


def _write_output(
    parsed: argparse.Namespace, request_for: Callable[[Path], Bundled], costs: Sequence[Notice] = ()
) -> None:
    """Runs the request that `request_for` makes for a bundle folder. Builds the scene where the output is a .blend.

    `costs` are printed before the worker starts. The worker finds the same ones; those are not printed again.
    """
    output = Path(parsed.output).absolute()
    is_scene = output.suffix.lower() == SCENE
    if is_scene:
        _check_blender(", or give a folder as --output")
    if (parsed.picture or parsed.overwrite) and not is_scene:
        raise UserError("--picture and --overwrite are about a scene: give a .blend as --output.")
    folder = output.with_suffix(".3r") if is_scene else output
    request = request_for(folder)
    data_folder = parsed.data_folder or environment.user_folder()
    with scene_output.protected_stdout() as out:
        print_message: Say = partial(_json_line, out) if parsed.json else parsed.on_message
        for cost in costs:
            print_message(cost)

        def say(message: Message) -> None:
            if message not in costs:
                print_message(message)

        def describe(reconstruction: Reconstruction) -> tuple[Done, str]:
            return _done(reconstruction, folder), _summary(reconstruction, output)

        if is_scene:
            files = SceneFiles(output, Path(parsed.picture).absolute() if parsed.picture else None, parsed.overwrite)
            done, text = scene_output.write(request, files, data_folder, say, describe)
        else:
            done, text = describe(headless.result(headless.begin(request, data_folder), say))
        out.write(to_line(done) if parsed.json else text)


def _scene(parsed: argparse.Namespace) -> None:
    output, folder = Path(parsed.output).absolute(), Path(parsed.result).absolute()
    if output.suffix.lower() != SCENE:
        raise UserError(f"{quoted(output)} is no .blend; give the name of one as --output.")
    if not bundle_folder.is_bundle(folder):
        raise UserError(f"{quoted(folder)} holds no result; give the folder of one.")
    _check_blender()
    files = SceneFiles(output, Path(parsed.picture).absolute() if parsed.picture else None, parsed.overwrite)
    with scene_output.protected_stdout() as out:
        scene_output.write_scene(folder, files, parsed.on_message)
        out.write(f"written: {output}\n")


def _check_blender(or_else: str = "") -> None:
    if find_spec("bpy") is None:
        raise UserError(
            "Writing a .blend needs Blender: run `blender -b --command threer_blender …` or `pip install bpy`"
            f"{or_else}."
        )


def _done(reconstruction: Reconstruction, folder: Path) -> Done:
    registered = len(reconstruction.cameras)
    points = 0 if reconstruction.cloud is None else len(reconstruction.cloud)
    return Done(str(folder), registered, registered + len(reconstruction.unregistered), points)


def _option(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise UserError(f"--option wants NAME=VALUE, not {quoted(text)}.")
    return name, value


class _Terminal:
    """Prints messages for a person to stderr: a line for each stage, rewritten in place on a terminal."""

    def __init__(self) -> None:
        self._stage = ""
        self._live = sys.stderr.isatty()  # lines can be rewritten in place

    def __call__(self, message: Message) -> None:
        if isinstance(message, Notice):
            self._print(f"! {message.photo + ': ' if message.photo else ''}{message.text}")
        elif isinstance(message, Progress) and (self._live or message.stage != self._stage):
            self._stage = message.stage
            left = "" if message.seconds_left is None else f", about {_duration(message.seconds_left)} left"
            end = "\r" if self._live else "\n"
            line = f"{message.fraction:4.0%} {message.stage}{left}"
            sys.stderr.write(f"{line:<78}{end}" if self._live else line + end)
            sys.stderr.flush()

    def _print(self, text: str) -> None:
        sys.stderr.write(f"{text:<78}\n" if self._live else text + "\n")


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"


def _json_line(out: TextIO, message: Message) -> None:
    out.write(to_line(message))
    out.flush()


def _summary(reconstruction: Reconstruction, output: Path) -> str:
    done = _done(reconstruction, output)
    errors = [c.reprojection_error for c in reconstruction.cameras if c.reprojection_error is not None]
    mean = f", reprojection error {sum(errors) / len(errors):.2f} px" if errors else ""
    pictures = "photos and key frames" if reconstruction.shots else "photos"
    lines = [f"{done.registered} of {done.chosen} {pictures} solved, {done.points:,} points{mean}"]
    lines += [
        f"  {each.name}: {each.frames}" for each in (report(s, reconstruction.cloud) for s in reconstruction.shots)
    ]
    lines += [_quality(camera) for camera in reconstruction.cameras if _quality(camera)]
    lines += [
        f"  unregistered: {quoted(entry.photo)}: {entry.reason} {entry.advice}" for entry in reconstruction.unregistered
    ]
    lines += [f"  {note}" for note in reconstruction.notes]
    return "\n".join([*lines, f"written: {output}"]) + "\n"


def _quality(camera: Camera) -> str:
    """A line about a camera that was refined or whose error nobody measured; "" for all others."""
    if camera.reprojection_error is None:
        return f"  {quoted(camera.photo)}: layout quality, not refined"
    if camera.error_before is None:
        return ""
    errors = f"{camera.error_before:.2f} px before refinement, {camera.reprojection_error:.2f} px after"
    return f"  {quoted(camera.photo)}: {errors}"


def _end(parsed: argparse.Namespace, failed: Failed, status: int) -> int:
    """Prints why a command failed: a sentence on stderr, with --json also a message on stdout. Returns `status`."""
    if parsed.json:
        _json_line(sys.stdout, failed)
    sys.stderr.write(f"threer_blender: {failed.text}\n")
    return status
