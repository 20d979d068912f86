"""[R] The worker's main program: a request on stdin, messages on stdout, everything else on stderr."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import tempfile
import threading
import traceback
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from .. import bundle
from ..engines import registry
from ..files import bundle_folder, photo_files, removal
from ..files.bundle_folder import Staging
from ..host import environment, hardware
from ..jobs.messages import (
    Bundled,
    Calibrate,
    Cancel,
    Done,
    Download,
    Ended,
    Evaluate,
    Failed,
    FitPoints,
    Import,
    MakeMesh,
    MeasurePoints,
    Message,
    ReconstructionRequest,
    Request,
    SetUp,
    SolveAgain,
    Undistort,
    from_line,
    request_from_line,
    to_line,
)
from ..jobs.process import disk_full, kill_group
from ..model.engine import Engine, Stage
from ..model.errors import Cancelled, UserError
from ..model.reconstruction import Photo, Reconstruction
from ..runtime import context
from ..runtime.context import Context
from ..runtime.report import MessageReport

if TYPE_CHECKING:
    from ..pictures.photos import Photos

GRACE = 1.0  # seconds that a cancelled engine has to come to its next report
# Stages before and after the engine's, each with its time as a share of the engine's. Reading decodes every photo once,
# and saving hashes all that it writes.
READING = Stage("reading", "Reading the photos", 0.03)
TRACKING = Stage("tracking", "Tracking points from frame to frame", 0.05)
ADJUSTING = Stage("adjusting", "Adjusting all frames", 0.05)
LEVELLING = Stage("upright", "Finding which way is up", 0.02)
UNDISTORTING = Stage("plates", "Undistorting the photos", 0.03)
PLATES = Stage("shot_plates", "Writing the videos' frames", 0.03)
SAVING = Stage("saving", "Saving", 0.01)
OUT_OF_MEMORY = "The memory ran out; close other programs, or use fewer photos or a lower quality."
MEND = "install the extension's zip for this system and Blender again"
# The kind of a request -> the file of this folder whose `run` does it. The file is imported when it is needed.
MODULES: dict[type[Request], str] = {
    Download: "weights",
    SetUp: "set_up",
    Undistort: "undistorted",
    Calibrate: "grids",
    Import: "importing",
    SolveAgain: "resolving",
    MakeMesh: "meshing",
    MeasurePoints: "measuring",
    FitPoints: "fitting",
    Evaluate: "evaluating",
}
EXIT_FAILED, EXIT_CANCELLED, EXIT_ORPHANED = 1, 3, 4
_ending = threading.Lock()  # taken for good by the thread that ends this process: the main one, or the watcher


class Wire:
    """The worker's end of its stdout. After construction, whatever prints to stdout lands on stderr."""

    def __init__(self) -> None:
        self._out: TextIO = os.fdopen(os.dup(1), "w", encoding="utf-8")
        os.dup2(2, 1)
        self._lock = threading.Lock()

    def send(self, message: Message) -> None:
        """Sends a message to the parent. May be called from any thread. Does nothing where the parent is gone."""
        # The watcher on stdin ends this process then.
        with self._lock, contextlib.suppress(BrokenPipeError):
            self._out.write(to_line(message))
            self._out.flush()


def main() -> int:
    """Reads the request from stdin and does it. Returns the exit status: 0, or one of the EXIT_ constants."""
    wire = Wire()
    logging.basicConfig()  # to stderr, which is the log
    logging.getLogger(str(__package__).rpartition(".")[0]).setLevel(logging.INFO)
    try:
        request = request_from_line(sys.stdin.readline())
    except UserError as error:
        wire.send(Failed(str(error), "user"))
        return EXIT_FAILED
    report = (
        MessageReport(wire.send, [READING, TRACKING], [ADJUSTING, LEVELLING, UNDISTORTING, PLATES, SAVING])
        if isinstance(request, ReconstructionRequest)
        else MessageReport(wire.send)
    )
    threading.Thread(target=_watch, args=(request, report, wire), daemon=True).start()
    last, status = _work(request, report)
    # Before the result is announced: the parent then closes stdin, and the watcher must not take that for its death.
    _ending.acquire()
    wire.send(last)
    _remove_temporary()
    return status


def _work(request: Request, report: MessageReport) -> tuple[Ended, int]:
    """Does what the request asks for. Returns the last message about it and the exit status."""
    try:
        return _run(request, report), 0
    except Cancelled:
        return _cancelled(request), EXIT_CANCELLED
    except UserError as error:
        return Failed(str(error), "user"), EXIT_FAILED
    except ImportError as error:  # a wheel for another system, or for another numpy
        traceback.print_exc()
        return Failed(f"The engine cannot be loaded here ({error}); {MEND}.", "user"), EXIT_FAILED
    except Exception as error:
        traceback.print_exc()
        return _failed(error), EXIT_FAILED


def _failed(error: Exception) -> Failed:
    """The last message after an error that no user's mistake caused."""
    if hardware.is_out_of_memory(error):
        return Failed(OUT_OF_MEMORY, "user")
    if hardware.is_disk_full(error):
        return Failed(disk_full(Path(tempfile.gettempdir())), "user")
    return Failed("Something went wrong inside the engine; the log has the details.", "bug")


def _run(request: Request, report: MessageReport) -> Ended:
    """Does what the request asks for. Returns the last message. Raises what the work raises."""
    if isinstance(request, ReconstructionRequest):
        with context.entered(Context({name: Path(path) for name, path in request.weights.items()})):
            return _reconstruct(request, report)
    module = import_module(f".{MODULES[type(request)]}", __package__)
    ended: Ended = module.run(request, report)
    return ended


def _reconstruct(request: ReconstructionRequest, report: MessageReport) -> Done:
    """Reads the photos, runs the engine, and writes the bundle. Raises UserError, and what `report` raises."""
    output = Path(request.output).absolute()
    engine = registry.engine(request.engine)
    options = engine.checked_options(request.options)
    missing = environment.missing_here(engine.needed(options))
    if missing:
        raise UserError(f"{engine.label} cannot run here: {' and '.join(missing)} cannot be imported; {MEND}.")
    from ..pictures import photos
    from ..pipelines import upright
    from . import known_lenses, plates, shot_plates, surveying

    bundle_folder.check_output(output)
    bundle_folder.check_inputs(output, [*request.photos, *(text for text in options.values() if isinstance(text, str))])
    files, skipped = photo_files.find(request.photos)
    if skipped:
        report.warn(photo_files.skipped_sentence(skipped))
    _tell_budget(files, report)
    chosen = photos.read(files, report.warn, lambda done: report(READING, done, 1))
    if not engine.panoramas:
        chosen = _without_panoramas(chosen, engine, report)
    if not chosen.accepted:
        first = chosen.unregistered[0]
        raise UserError(f"None of the chosen files can be worked with; {first.photo}: {first.reason} {first.advice}")
    surveying.check(options, chosen.accepted)
    accepted = known_lenses.applied(chosen.accepted, options, report.warn)
    pictures = Path(tempfile.mkdtemp())
    reconstruction, options = _solved(engine, accepted, options, pictures / bundle_folder.MASKS, report)
    reconstruction = surveying.applied(reconstruction, options)
    if not reconstruction.z_up:
        reconstruction = upright.levelled(reconstruction, partial(report, LEVELLING))
    staging = Staging(output, request.run) if request.leave_staged else None
    reconstruction = replace(
        reconstruction,
        options=options,
        unregistered=[*chosen.unregistered, *reconstruction.unregistered],
        cameras=plates.write_all(reconstruction, pictures / bundle_folder.PLATES, partial(report, UNDISTORTING)),
        shots=shot_plates.write_all(
            reconstruction.shots, pictures / bundle_folder.PLATES, report.warn, partial(report, PLATES)
        ),
    )
    report(SAVING, 0, 1)
    return Done(
        bundle=str(bundle.write(reconstruction, output, pictures, request.run, staging)),
        registered=len(reconstruction.cameras),
        chosen=len(reconstruction.cameras) + len(reconstruction.unregistered),
        points=0 if reconstruction.cloud is None else len(reconstruction.cloud),
    )


def _tell_budget(files: Sequence[Path], report: MessageReport) -> None:
    """Tells the expected cost of long shots among the files, before they are read."""
    from ..pictures import shot_budget

    for sentence in shot_budget.sentences(files):
        report.warn(sentence)


def _without_panoramas(chosen: Photos, engine: Engine, report: MessageReport) -> Photos:
    """The photos without panoramas. The report warns of each panorama that is left out."""
    rest = chosen.without_panoramas(engine.label)
    for each in rest.unregistered[len(chosen.unregistered) :]:
        report.warn(f"{each.reason} {each.advice}", each.photo)
    return rest


def _solved(
    engine: Engine, photos: Sequence[Photo], options: dict[str, Any], masks_folder: Path, report: MessageReport
) -> tuple[Reconstruction, dict[str, Any]]:
    """The engine's result for the photos, with the cameras of the shots among them, and the options that it used.

    Masks of what moves in the shots are written into `masks_folder`.
    """
    from ..pictures import masks
    from . import masking

    masked = masks.from_options(options, masking.frames(photos))
    masking.check(photos, masked, report.warn)
    if all(photo.frame is None for photo in photos) or environment.missing_here(("numba", "pycolmap")):
        if any(photo.frame is not None for photo in photos):
            report.warn(
                "The camera was tracked in the solved frames alone: more needs the packages numba and pycolmap."
            )
        reconstruction, options = within_memory(engine, photos, options, report)
        return masking.applied(reconstruction, masked), options
    from . import moving_masks, shots, tracked_videos

    videos = tracked_videos.track(photos, masked, lambda done, total: report(TRACKING, done, total))
    adjusting = partial(report, ADJUSTING)
    task = shots.ShotTask(engine, photos, videos, options, adjusting)
    result = None if options.get("against") else shots.without_translation(task)
    if result is None:
        try:
            result, options = within_memory(engine, photos, options, report)
        except UserError as error:
            result = shots.from_tracks_alone(task, error)
        else:
            result = masking.applied(result, masked)
            result = replace(result, shots=shots.solve(result, videos, options, report.warn, adjusting))
    notes = moving_masks.write(videos, result.shots, masks_folder, adjusting)
    return replace(result, notes=[*result.notes, *notes]), options


def within_memory(
    engine: Engine, photos: Sequence[Photo], options: dict[str, Any], report: MessageReport
) -> tuple[Reconstruction, dict[str, Any]]:
    """The engine's result for the photos, and the options that it used.

    Where memory runs out, the engine runs again with lighter options, and a notice says so. Where there are none and it
    was a graphics card's memory, it runs again on the processor.
    """
    while True:
        try:
            return registry.reconstruct_of(engine.id)(photos, options, report), options
        except (MemoryError, RuntimeError) as error:
            if not hardware.is_out_of_memory(error):
                raise
            lighter = engine.lighter(options)
            if lighter is None and not _gives_up_card(engine, error):
                raise
            traceback.print_exc()
        if lighter is None:
            report.warn("The graphics card's memory ran out; trying again on the processor, which takes longer.")
            continue
        option, options = lighter
        choice = (option.choices or {})[options[option.name]]
        report.warn(f"The memory ran out; trying again with {option.label.lower()} “{choice}”.")


def _gives_up_card(engine: Engine, error: Exception) -> bool:
    """Whether a graphics card's memory ran out. From then on the engine runs on the processor."""
    if "torch" not in engine.requires or isinstance(error, MemoryError):
        return False
    from ..runtime import device

    return device.give_up_card()


def _watch(request: Request, report: MessageReport, wire: Wire) -> None:
    """The watcher thread: cancels on request, and ends the process when its parent is gone."""
    for line in sys.stdin:
        if isinstance(from_line(line), Cancel) and report.cancel():
            late = threading.Timer(GRACE, _end, (request, wire, EXIT_CANCELLED))
            late.daemon = True  # the process does not wait for it where the work ends in time
            late.start()
    _end(request, wire, EXIT_ORPHANED)


def _cancelled(request: Request) -> Failed:
    return Failed(f"The {request.noun} was cancelled.", "cancelled")


def _end(request: Request, wire: Wire, status: int) -> None:
    """Ends the process at once, whatever runs, and leaves no files behind."""
    _ending.acquire()  # never released
    if status == EXIT_CANCELLED:
        wire.send(_cancelled(request))
    if isinstance(request, Bundled):
        Staging(Path(request.output).absolute(), request.run).discard()
    if isinstance(request, MakeMesh):
        bundle_folder.mesh_staging(Path(request.bundle), request.run).discard()
    _remove_temporary()
    if status == EXIT_ORPHANED:  # else the parent does it
        kill_group(os.getpid())
    os._exit(status)


def _remove_temporary() -> None:
    """Removes the folder for temporary files, where it belongs to this process alone."""
    for _ in range(20):  # the engine's threads may still be writing there
        removal.discard(Path(tempfile.gettempdir()))


if __name__ == "__main__":
    sys.exit(main())
