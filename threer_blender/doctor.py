"""[S] The state of this computer: its Pythons, graphics cards, memory and disk, and what each engine still needs."""

from __future__ import annotations

import math
import os
import platform
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from .engines import registry
from .host import environment, hardware, store
from .host.environment import PrivateEnvironment
from .model import shot_cost
from .model.engine import Engine, Option, Weights

KEY_FRAME_SHARE = 0.1  # of a shot's frames: those that an engine solves as it solves photos
MOST_KEY_FRAMES = 200  # of a shot

PACKAGES = ("bpy", "numpy", "pycolmap", "numba", "torch")  # their versions are among the facts


@dataclass(frozen=True)
class Readiness:
    """The unmet needs of an engine: Python modules still to be installed, and weights that are not on this computer."""

    modules: tuple[str, ...]
    weights: tuple[Weights, ...]

    @property
    def ready(self) -> bool:
        """Whether the engine can run now."""
        return not self.modules and not self.weights

    def __str__(self) -> str:
        """The state in a few words."""
        if self.modules:
            return f"lacks {', '.join(self.modules)}"
        return "ready" if self.ready else f"lacks the weights {', '.join(lacking.name for lacking in self.weights)}"


@dataclass(frozen=True)
class Facts:
    """Facts about this computer.

    `versions` are those of PACKAGES in this Python, None where one is missing. `private` is the private environment,
    None where there is none. `memory` and `disk` are the free bytes. `graphics` are the graphics cards.
    """

    python: str
    system: str
    versions: dict[str, str | None]
    private: PrivateEnvironment | None
    cores: int
    memory: int
    disk: int
    graphics: tuple[hardware.Card, ...]


def facts(data_folder: Path) -> Facts:
    """The facts about this computer. Fast, unless the graphics driver has to be asked (`hardware.graphics_cards`)."""
    return Facts(
        python=platform.python_version(),
        system=f"{platform.system()} {platform.machine()}",
        versions={name: _version(name) for name in PACKAGES},
        private=environment.private(data_folder),
        cores=os.cpu_count() or 1,
        memory=hardware.free_memory(),
        disk=hardware.free_disk(data_folder),
        graphics=hardware.graphics_cards(),
    )


def readiness(engine: Engine, data_folder: Path) -> Readiness:
    """The unmet needs of `engine`. Fast: no file is hashed."""
    weights_store = store.default(data_folder)
    missing = tuple(weights for weights in engine.weights if weights_store.find(weights) is None)
    return Readiness(environment.to_install(engine.requires, data_folder), missing)


@dataclass(frozen=True)
class Estimate:
    """The expected cost of a run: memory in bytes, and seconds on two cores without a graphics card.

    `refusal` is the sentence why this computer cannot do it; "" where it can.
    """

    memory: float
    seconds: float
    refusal: str


def estimate(
    engine: Engine, options: Mapping[str, Any], photos: int, frames: int = 0, pixels: int = shot_cost.USUAL_PIXELS
) -> Estimate | None:
    """The expected cost of a run with this number of photos, and of frames of shots with so many pixels each.

    None where the engine declares no cost.
    """
    cost = engine.cost(options)
    if cost is None:
        return None
    photos += _key_frames(frames)
    beside = _beside(engine, frames)
    memory, least_memory = cost.memory_of(photos) + beside, cost.least_memory_of(photos) + beside
    graphics = hardware.graphics_cards() if "torch" in engine.requires else ()
    # Where a card has too little memory, the processor does the work.
    available = max([*(card.free for card in graphics), hardware.free_memory()])
    refusal = ""
    if least_memory > available:
        for_photos = available - beside - cost.memory
        most = int(for_photos / cost.memory_per_photo) if cost.memory_per_photo else 0
        advice = f"choose at most {most} photos or a lower quality" if most > 1 else "close other programs"
        refusal = (
            f"{photos} {'photo takes' if photos == 1 else 'photos take'} about {least_memory / 1e9:.1f} GB of memory "
            f"with {engine.label}, and {available / 1e9:.1f} GB are free; {advice}, or take another engine."
        )
    seconds = cost.seconds_of(photos) + shot_cost.seconds(frames, pixels)
    return Estimate(max(least_memory, min(memory, available)), seconds, refusal)


def forecast_memory(engine: Engine, options: Mapping[str, Any], photos: int, frames: int = 0) -> float | None:
    """Bytes that such a run takes where memory is plentiful. None where the engine declares no cost."""
    cost = engine.cost(options)
    return None if cost is None else cost.memory_of(photos + _key_frames(frames)) + _beside(engine, frames)


def _key_frames(frames: int) -> int:
    return min(MOST_KEY_FRAMES, math.ceil(frames * KEY_FRAME_SHARE))


def _beside(engine: Engine, frames: int) -> float:
    """Bytes that a run takes beside its photos: the weights, and the frames of shots."""
    return sum(weights.size for weights in engine.weights) + shot_cost.memory(frames)


def offered(engine: Engine, data_folder: Path) -> list[Option]:
    """The engine's options that can be used here: those that need no modules beyond what the engine itself needs."""
    missing = environment.to_install(engine.requires, data_folder)
    return [
        option
        for option in engine.options
        if not option.requires
        or set(environment.to_install((*engine.requires, *option.requires), data_folder)) <= set(missing)
    ]


def lines(data_folder: Path) -> list[str]:
    """The facts about this computer as lines of text."""
    computer = facts(data_folder)
    described = [
        f"Python {computer.python} on {computer.system}" + (", inside Blender" if "bpy" in sys.modules else ""),
        ", ".join(
            f"{name} {value}" if value else f"no {name}"
            for name, value in computer.versions.items()
            if value or name != "bpy"
        ),
        f"{computer.cores} cores, {computer.memory / 1e9:.0f} GB of memory free, "
        f"{computer.disk / 1e9:.0f} GB of disk free",
        *(
            f"graphics card: {card.name}, {card.free / 1e9:.0f} of {card.memory / 1e9:.0f} GB free"
            for card in computer.graphics
        ),
    ]
    return [*described, _private_line(computer.private)]


def _private_line(private: PrivateEnvironment | None) -> str:
    if private is None:
        return "private environment: none"
    if not private.works:
        return "private environment: damaged or of another version; set it up again"
    torch = f", torch {private.versions['torch']} on {private.device}" if "torch" in private.versions else ""
    return f"private environment: Python {private.python}{torch}"


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def engines(data_folder: Path) -> list[tuple[Engine, Readiness]]:
    """Every engine with its unmet needs."""
    return [(engine, readiness(engine, data_folder)) for engine in registry.engines().values()]
