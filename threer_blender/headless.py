"""[S] Reconstruct from Python: one blocking call that runs an engine in its own process. No bpy.

from threer_blender import headless
reconstruction = headless.reconstruct(["a.jpg", "b.jpg"], "result")
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from . import bundle, catalog, environment
from .messages import Cancelled, Done, Failed, Progress, Request, UserError, Warning
from .process import Job
from .reconstruction import Reconstruction

DEFAULT_ENGINE = "colmap"


def request(
    photos: Sequence[str | Path], output: str | Path, engine: str, options: Mapping[str, Any] | None = None
) -> Request:
    """The checked Request to reconstruct `photos` (files or folders) into the bundle folder `output`.

    Raises UserError at the door: an unknown engine or option, no photos, an output that holds something else.
    """
    declared = catalog.engine(engine)
    asked = Request(
        photos=[str(Path(photo).absolute()) for photo in photos],
        engine=declared.id,
        output=str(Path(output).absolute()),
        options=declared.checked_options(options or {}),
    )
    if not photos:
        raise UserError("No photos were chosen; choose two or more, or a folder of them.")
    bundle.check_output(Path(asked.output))
    return asked


def start(
    photos: Sequence[str | Path],
    output: str | Path,
    engine: str = DEFAULT_ENGINE,
    options: Mapping[str, Any] | None = None,
    home: Path | None = None,
) -> Job:
    """Starts a reconstruction of `photos` (files or folders) into the bundle folder `output` and returns its Job.

    Raises UserError as `request` does.
    """
    return begin(request(photos, output, engine, options), home or environment.user_folder())


def begin(asked: Request, home: Path) -> Job:
    """Starts what `request` made in the engine's own runtime; `home` keeps compiled kernels and logs."""
    return Job(asked, environment.built_in(catalog.engine(asked.engine)), home)


def reconstruct(
    photos: Sequence[str | Path],
    output: str | Path,
    engine: str = DEFAULT_ENGINE,
    options: Mapping[str, Any] | None = None,
    on_message: Callable[[Progress | Warning], None] | None = None,
    home: Path | None = None,
) -> Reconstruction:
    """Reconstructs `photos` (files or folders) into the bundle folder `output`, blocking, and returns the result.

    `on_message` hears every Progress and Warning. Raises UserError for what the user can mend, Cancelled, or
    RuntimeError where the process failed; no folder is written then.
    """
    job = start(photos, output, engine, options, home)
    try:
        while job.ended is None:
            for message in job.wait():
                if on_message is not None and isinstance(message, Progress | Warning):
                    on_message(message)
    finally:
        job.close()
    if isinstance(job.ended, Failed):
        raise {"user": UserError, "cancelled": Cancelled}.get(job.ended.kind, RuntimeError)(job.ended.text)
    assert isinstance(job.ended, Done)
    return bundle.read(job.ended.bundle)
