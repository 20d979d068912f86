"""[S] An engine: its declaration, the function that its file defines, and how that function reports."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from .arrays import Array
from .errors import UserError, quoted
from .reconstruction import Photo, Reconstruction

Check = Callable[[], None]
"""Long work calls it now and then. It raises Cancelled once the user has cancelled."""


def unchecked() -> None:
    """The Check of work that nobody can cancel: it does nothing."""


@dataclass(frozen=True)
class Option:
    """One setting of an engine. With `choices` (value -> label) it is a menu, else it has the type of its default.

    `minimum` and `maximum` bound a number. `basic` options are always on the panel; the others fold away. The option is
    not offered where one of the modules that it `requires` is missing. `lightest_first`: the choices are sorted by the
    memory that they take, so a run that ran out of memory can be tried again with the choice before. `folder` and
    `file`: the text is the path of one. `non_commercial` are the choices that forbid commercial use. Options of the
    same `box` are together on the panel, in a box of that name.
    """

    name: str
    default: str | int | float | bool
    label: str
    tooltip: str
    choices: Mapping[str, str] | None = None
    minimum: float | None = None
    maximum: float | None = None
    basic: bool = False
    requires: tuple[str, ...] = ()
    lightest_first: bool = False
    folder: bool = False
    file: bool = False
    box: str = ""
    non_commercial: frozenset[str] = frozenset()

    def checked(self, value: Any) -> str | int | float | bool:
        """`value` as this option's type. Raises UserError where it is none of the allowed values."""
        if self.choices is not None:
            if value not in self.choices:
                raise UserError(f"{self.label}: choose one of {', '.join(self.choices)}, not {quoted(str(value))}.")
            return str(value)
        kind = type(self.default)
        try:
            if kind is bool:
                return {"true": True, "1": True, "false": False, "0": False}[str(value).lower()]
            typed = kind(value)
            if isinstance(value, float) and typed != value:
                raise ValueError("a fraction")
        except (KeyError, TypeError, ValueError, OverflowError):
            raise UserError(
                f"{self.label}: {quoted(str(value))} is not a value for it; its default is {quoted(str(self.default))}."
            ) from None
        low = -math.inf if self.minimum is None else self.minimum
        high = math.inf if self.maximum is None else self.maximum
        if isinstance(typed, int | float) and not (math.isfinite(typed) and low <= typed <= high):
            raise UserError(f"{self.label}: {value} is not a number from {low} to {high}.")
        return typed


@dataclass(frozen=True)
class Weights:
    """One checkpoint file: its official address, the hash that proves it whole, and the terms of its use.

    `name` is its file name in the store; engines that share it use the same name. `size` is in bytes, 0 where it is not
    known. `sha256` is "" where none was published: then the hash of the first file that opens as the network is noted,
    and later files must have the same. The user accepts the terms at `terms_url` once for all files of a `family`.
    `gated` files need a token of the user's. `by_hand` files have no address of their own: `url` is the page from which
    the user downloads them.
    """

    name: str
    url: str
    size: int
    sha256: str
    family: str
    licence: str
    terms_url: str
    gated: bool = False
    by_hand: bool = False


@dataclass(frozen=True, kw_only=True)
class Cost:
    """The cost of a run: memory in bytes, without the weights, and seconds on two cores without a graphics card.

    Memory grows with the photos that are held at once: `most_at_once`, or fewer where memory is short, but no fewer
    than `fewest_at_once`. Time grows with the photos, and with the pairs of photos that the engine compares. It
    compares a photo with at most `neighbours` others.
    """

    memory: float
    memory_per_photo: float
    seconds: float
    seconds_per_photo: float
    seconds_per_pair: float = 0.0
    neighbours: int = 1_000_000
    most_at_once: int = 1_000_000
    fewest_at_once: int = 1_000_000

    def memory_of(self, photos: int) -> float:
        """Bytes that a run of so many photos takes where memory is plentiful."""
        return self.memory + min(photos, self.most_at_once) * self.memory_per_photo

    def least_memory_of(self, photos: int) -> float:
        """Bytes without which a run of so many photos is impossible."""
        return self.memory_of(min(photos, self.fewest_at_once))

    def in_parts(self, most: int, fewest: int) -> Cost:
        """The same cost, with bounds on the number of photos that are held at once."""
        return replace(self, most_at_once=most, fewest_at_once=fewest)

    def seconds_of(self, photos: int) -> float:
        """Seconds that a run of so many photos takes."""
        pairs = min(photos * (photos - 1) / 2, photos * self.neighbours)
        return self.seconds + photos * self.seconds_per_photo + pairs * self.seconds_per_pair


TOGETHER, IN_PAIRS = "Learned: many photos at once", "Learned: photos in pairs"
FRAME_BY_FRAME = "Learned: videos, frame by frame"
GROUPS = (
    "Photogrammetry",
    TOGETHER,
    FRAME_BY_FRAME,
    IN_PAIRS,
    "Gaussian splats",
)  # of engines, in the order of the list


@dataclass(frozen=True)
class Engine:
    """The declaration of an engine.

    `commercial`: its results may be used commercially. `produces` names what a result holds: cameras, pointmaps, cloud,
    gaussians. `requires` are the Python modules that any run needs. `costs` has an entry for each value of the option
    `quality`, or a single one for "" where there is no such option. `can_start_splats`: splats can be started from its
    cameras and pointmaps. `needs_parallax`: it needs changes of viewpoint, and cannot solve a shot whose camera only
    rotates. `panoramas`: it solves panoramas as well as photos. `one_photo` is the sentence why a single photo is not
    enough; "" where it is. `group` is the one of GROUPS in which the list of engines shows it; "" for one that works on
    an earlier result, which is no choice but a button on that result. `metric`: its results are in metres.

    A declaration should name its fields: it is read more often than it is written.
    """

    id: str
    label: str
    summary: str
    licence: str
    commercial: bool
    produces: frozenset[str] = frozenset({"cameras", "pointmaps", "cloud"})
    requires: tuple[str, ...] = ()
    options: tuple[Option, ...] = ()
    weights: tuple[Weights, ...] = ()
    costs: Mapping[str, Cost] = field(default_factory=dict)
    can_start_splats: bool = False
    needs_parallax: bool = False
    panoramas: bool = False
    one_photo: str = ""
    group: str = ""
    metric: bool = False

    def cost(self, options: Mapping[str, Any]) -> Cost | None:
        """The cost of a run with these options; None where it is not known."""
        return self.costs.get(str(options.get("quality", "")))

    def lighter(self, options: Mapping[str, Any]) -> tuple[Option, dict[str, Any]] | None:
        """The first option with a lighter choice, and all options with the next lighter one chosen; None without."""
        for option in self.options:
            choices = list(option.choices or ()) if option.lightest_first else []
            index = choices.index(options[option.name]) if choices else 0
            if index > 0:
                return option, {**options, option.name: choices[index - 1]}
        return None

    def forbids(self, options: Mapping[str, Any]) -> Option | None:
        """The first option whose choice forbids commercial use of the result; None where none does."""
        return next((option for option in self.options if options.get(option.name) in option.non_commercial), None)

    def needed(self, options: Mapping[str, Any]) -> tuple[str, ...]:
        """The modules that a run with these options needs. An option at its default needs none."""
        chosen = (option for option in self.options if options.get(option.name, option.default) != option.default)
        return tuple(dict.fromkeys((*self.requires, *(name for option in chosen for name in option.requires))))

    def checked_options(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """The values of all options by name: `values` where given, else the defaults.

        Raises UserError where a name is unknown or a value is not allowed.
        """
        known = {option.name: option for option in self.options}
        for name in values:
            if name not in known:
                raise UserError(f"{self.label} has no option {quoted(name)}; it has {', '.join(known) or 'none'}.")
        return {name: option.checked(values.get(name, option.default)) for name, option in known.items()}


@dataclass(frozen=True)
class Stage:
    """A part of a run. `label` is a phrase for the artist. `weight` is its expected seconds; only ratios matter.

    Two stages are the same if their ids and labels are, whatever they weigh.
    """

    id: str
    label: str
    weight: float = field(default=0.0, compare=False)

    def weighing(self, weight: float) -> Stage:
        """The same stage with another weight."""
        return replace(self, weight=weight)


class ReportStage(Protocol):
    """Long work calls it when `done` of `total` steps of a stage are finished. Raises Cancelled after a cancel."""

    def __call__(self, stage: Stage, done: float, total: float) -> None: ...


class Report(ReportStage, Protocol):
    """Through it an engine tells the artist of its progress."""

    finishing: threading.Event
    """Set once the user asks for the result as it stands. That can happen only after `keep`."""

    def plan(self, stages: Iterable[Stage]) -> None:
        """Announces the stages of the run, in their order. A later call corrects an earlier one."""

    def warn(self, text: str, photo: str = "") -> None:
        """Tells the artist `text`, a whole sentence; `photo` is the name of the photo that it is about."""

    def keep(self) -> None:
        """Announces that there is a result: if the user cancels from now on, the work ends early and returns it."""

    def preview(self, picture: Array) -> None:
        """Shows the artist how the result looks: (H, W, 3) uint8 sRGB."""


class Reconstruct(Protocol):
    """The function that an engine's file defines. Raises UserError where the photos or the machine do not allow it."""

    def __call__(self, photos: Sequence[Photo], options: Mapping[str, Any], report: Report) -> Reconstruction: ...
