"""[S] The messages between Blender and the worker, its child process. Stdlib only.

Each kind of message is a dataclass here, and one line of JSON in the pipe.

The contract, in order of time:

* Blender -> worker, on the worker's stdin: one `Request`, later perhaps a `Cancel`. The end of stdin means that Blender
  is gone: the worker stops at once and removes what it had not finished.
* worker -> Blender, on the worker's stdout: any number of `Progress`, `Notice` and `Preview`, then exactly one `Done`,
  `Finished` or `Failed`. All other output goes to stderr. A worker that ends without one of these three has crashed.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, fields
from types import UnionType
from typing import Any, ClassVar, get_args, get_origin, get_type_hints

from .. import __version__
from ..files.bundle_folder import new_run
from ..model.errors import UserError


@dataclass(frozen=True)
class ReconstructionRequest:
    """Reconstruct `photos` (paths) with `engine` and write the bundle to the folder `output`.

    `options` are the engine's, by name. `weights` are paths of the user's own files, by the name of the weights that
    they stand in for. `run` is a name that no other request has. Where `leave_staged`, the worker leaves the bundle in
    the Staging of that run, and the sender of the request puts it in place. `version` is that of the sender's
    extension: a Blender that was open during an update sends the old one.
    """

    noun: ClassVar = "reconstruction"

    photos: list[str]
    engine: str
    output: str
    options: dict[str, Any] = field(default_factory=dict)
    weights: dict[str, str] = field(default_factory=dict)
    run: str = field(default_factory=new_run)
    leave_staged: bool = False
    version: str = __version__


@dataclass(frozen=True)
class Import:
    """Bring in the solve of another program, a file or a folder, and write the bundle to the folder `output`.

    `photos` are the folders that are searched for its photos; without any, the solve's own folder is searched.
    `points` is a file of points in the world of the solve, which replace its own; "" where there is none. `run` and
    `leave_staged` are as in `ReconstructionRequest`.
    """

    noun: ClassVar = "import"

    solve: str
    photos: list[str]
    output: str
    points: str = ""
    run: str = field(default_factory=new_run)
    leave_staged: bool = False
    version: str = __version__


@dataclass(frozen=True)
class Download:
    """Fetch the weights of the name `weights` into the store.

    Where the connection breaks, the part that has arrived stays for the next try. `token` is the user's own, for
    weights whose host asks for one; "" for none.
    """

    noun: ClassVar = "download"

    weights: str
    token: str = field(default="", repr=False)
    version: str = __version__


@dataclass(frozen=True)
class SetUp:
    """Make the private environment anew, with the Python modules `modules` and those that it has already."""

    noun: ClassVar = "set-up"

    modules: list[str]
    version: str = __version__


@dataclass(frozen=True)
class Undistort:
    """Write the frames of the shots of the result `bundle` (a folder), without distortion, into the folder `output`."""

    noun: ClassVar = "undistortion"

    bundle: str
    output: str
    version: str = __version__


@dataclass(frozen=True)
class Calibrate:
    """Solve the lens from `photos` (files or folders) of checkerboards or grids of dots.

    The lens is written to the lens file `output`.
    """

    noun: ClassVar = "calibration"

    photos: list[str]
    output: str
    version: str = __version__


@dataclass(frozen=True)
class SolveAgain:
    """Solve a shot of the result `bundle` (a folder) again from its tracks. Write the whole result to `output`.

    `shot` counts the result's shots from 0. `weights` maps the number of a track, as text, to its new weight: 0 leaves
    the track out, and 1 is usual. Tracks that it does not name keep their weight. `bad` are the ranges of frames to
    leave out, each the numbers of its first and last frame. They replace the earlier ranges. `run` and `leave_staged`
    are as in `ReconstructionRequest`.
    """

    noun: ClassVar = "second solve"

    bundle: str
    output: str
    shot: int = 0
    weights: dict[str, float] = field(default_factory=dict)
    bad: list[list[int]] = field(default_factory=list)
    run: str = field(default_factory=new_run)
    leave_staged: bool = False
    version: str = __version__


@dataclass(frozen=True)
class MakeMesh:
    """Make one textured mesh of the result `bundle` (a folder), with at most about `faces` faces and a texture of at
    most `texture` texels a side. Put it into the bundle. `run` is as in `ReconstructionRequest`.

    `masked` is a file of points as `files.point_file` writes it: x, y, z, and 1 where the mesh shall have no surface,
    else 0. "" for a whole mesh."""

    noun: ClassVar = "mesh"

    bundle: str
    faces: int
    texture: int
    masked: str = ""
    run: str = field(default_factory=new_run)
    version: str = __version__


@dataclass(frozen=True)
class MeasurePoints:
    """Measure how far each of the `points` is from its nearest neighbours, on average over so many `neighbours`.

    `points` is a file as `files.point_file` writes it. Neighbours are those in the file `targets`, or where that is "",
    the other points. The distances go into the file `output`.
    """

    noun: ClassVar = "measurement"

    points: str
    output: str
    targets: str = ""
    neighbours: int = 1
    version: str = __version__


@dataclass(frozen=True)
class FitPoints:
    """Fit `points` to `targets`, which they nearly lie on: both are files as `files.point_file` writes them.

    They may be off by about `accuracy` units. The file `output` gets 19 numbers: the similarity (4, 4) row by row,
    the mean distance to the targets' planes before and after, and the share of the points near them. They are NaN
    where no part of the targets near the points is flat.
    """

    noun: ClassVar = "fit"

    points: str
    targets: str
    output: str
    accuracy: float
    version: str = __version__


@dataclass(frozen=True)
class Evaluate:
    """Judge the result `bundle` (a folder) by the truth in the folder `truth`.

    The page and its numbers are written to `output` with the endings .html and .json.
    """

    noun: ClassVar = "evaluation"

    bundle: str
    truth: str
    output: str
    version: str = __version__


@dataclass(frozen=True)
class Cancel:
    """Stop. Where the last Progress said `cancel_delivers`, deliver the result; else leave nothing behind."""


@dataclass(frozen=True)
class Progress:
    """The state of the work. `stage` is a phrase for the artist; `fraction` is the part of all work done, in [0, 1].

    `seconds_left` is None while it is unknown. `cancel_delivers`: there is a result already, which is only being
    improved, so that a Cancel now would end in a `Done`.
    """

    stage: str
    fraction: float
    seconds_left: float | None = None
    cancel_delivers: bool = False


@dataclass(frozen=True)
class Notice:
    """A sentence that the artist should read although the work goes on.

    `photo` names the photo that it concerns; "" where it concerns none.
    """

    text: str
    photo: str = ""


@dataclass(frozen=True)
class Preview:
    """A picture of the result so far: the file `path` in the job's own folder. The next Preview replaces it."""

    path: str


@dataclass(frozen=True)
class Failed:
    """The work ended without a result. `text` is a sentence for the user.

    `kind` is "user" (the user can mend the input), "cancelled" or "bug" (stderr has the traceback).
    """

    text: str
    kind: str


@dataclass(frozen=True)
class Done:
    """The bundle is complete, in the folder `bundle`.

    `registered` of the `chosen` photos have a camera. `points` is the number of points in the cloud.
    """

    bundle: str
    registered: int
    chosen: int
    points: int


@dataclass(frozen=True)
class Finished:
    """A request that makes no bundle is complete, such as a download or a mesh; `text` is a sentence about it."""

    text: str


Bundled = ReconstructionRequest | Import | SolveAgain  # the requests that end in a bundle
Request = Bundled | Download | SetUp | Undistort | Calibrate | MakeMesh | MeasurePoints | FitPoints | Evaluate
Ended = Done | Finished | Failed
Message = Request | Cancel | Progress | Notice | Preview | Ended
LARGEST = 1e18  # every number in a message is smaller than this, whatever its sign
# Each kind's name in the JSON, which other programs read.
KINDS: dict[str, type[Message]] = {
    "request": ReconstructionRequest,
    "import": Import,
    "download": Download,
    "setup": SetUp,
    "undistort": Undistort,
    "calibrate": Calibrate,
    "resolve": SolveAgain,
    "mesh": MakeMesh,
    "measure": MeasurePoints,
    "fit": FitPoints,
    "evaluate": Evaluate,
    "cancel": Cancel,
    "progress": Progress,
    "warning": Notice,
    "preview": Preview,
    "done": Done,
    "finished": Finished,
    "failed": Failed,
}
NAMES = {kind: name for name, kind in KINDS.items()}


def to_line(message: Message) -> str:
    """The message as one line of JSON, newline included."""
    return json.dumps({"type": NAMES[type(message)], **asdict(message)}) + "\n"


def request_from_line(line: str) -> Request:
    """The request in the first line that the worker reads.

    Raises UserError where another version of the extension wrote it, and ValueError where it is no message.
    """
    values = json.loads(line)
    version = values.get("version") if isinstance(values, dict) else None
    if version != __version__:
        raise UserError(
            f"This Blender started with version {version} of the extension, but {__version__} is installed now; "
            "restart Blender."
        )
    message = from_line(line)
    assert isinstance(message, Request)
    return message


def from_line(line: str) -> Message:
    """The message that a line holds. Raises ValueError for anything that is not exactly one of ours."""
    try:
        values = json.loads(line)
    except RecursionError as error:
        raise ValueError("not a message: too deep") from error
    name = values.pop("type", None) if isinstance(values, dict) else None
    if not isinstance(name, str) or name not in KINDS:
        raise ValueError(f"not a message: {line[:200]!r}")
    kind = KINDS[name]
    types = get_type_hints(kind)
    type_of = {f.name: types[f.name] for f in fields(kind)}
    if unknown := sorted(set(values) - set(type_of)):
        raise ValueError(f"{kind.__name__} has no {unknown}")
    for field_name, value in values.items():
        if not _fits(value, type_of[field_name]):
            raise ValueError(f"{kind.__name__}.{field_name} is {value!r:.80}")
    try:
        return kind(**values)
    except TypeError as error:
        raise ValueError(str(error)) from error


def _fits(value: Any, wanted: Any) -> bool:
    """Whether a value from JSON has the type `wanted` of a field.

    An int may stand for a float. NaN, infinity and a bool may not stand for a number.
    """
    origin, inner = get_origin(wanted), get_args(wanted)
    if wanted is Any:
        return True
    if origin is UnionType:
        return any(_fits(value, each) for each in inner)
    if origin is list:
        return isinstance(value, list) and all(_fits(each, inner[0]) for each in value)
    if origin is dict:
        return isinstance(value, dict) and all(_fits(each, inner[1]) for each in value.values())
    if wanted is float:
        return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < LARGEST
    if wanted is int:
        return isinstance(value, int) and not isinstance(value, bool) and abs(value) < LARGEST
    return isinstance(value, wanted)
