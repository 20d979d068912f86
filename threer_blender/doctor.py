"""[S] The state of this computer: Pythons, devices, memory, disk, and what each engine still lacks."""

from __future__ import annotations

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
from .model.engine import Engine, Option, Weights

PACKAGES = ("bpy", "numpy", "pycolmap", "numba", "torch")


@dataclass(frozen=True)
class Readiness:
    """The needs of an engine that are not met: `modules` that no Python has, `weights` that are not on this
    computer."""

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
    """About this computer. Sizes in bytes; `graphics` are its cards."""

    python: str
    system: str
    versions: dict[str, str | None]
    private: PrivateEnvironment | None
    cores: int
    memory: int
    disk: int
    graphics: tuple[hardware.Card, ...]


def facts(data_folder: Path) -> Facts:
    """The facts about this computer. Fast, except that the first call asks the graphics driver."""
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
    """The unmet needs of `engine`. Fast."""
    weights_store = store.default(data_folder)
    missing = tuple(weights for weights in engine.weights if weights_store.find(weights) is None)
    return Readiness(environment.to_install(engine.requires, data_folder), missing)


@dataclass(frozen=True)
class Estimate:
    """The expected cost of a run: bytes, and seconds on two cores. `refusal` says why it does not fit, or ""."""

    memory: float
    seconds: float
    refusal: str


def estimate(engine: Engine, options: Mapping[str, Any], photos: int) -> Estimate | None:
    """The expected cost of so many photos, and whether this computer can pay it; None where the engine declares
    none."""
    cost = engine.cost(options)
    if cost is None:
        return None
    weights = sum(weights.size for weights in engine.weights)
    memory, least = (of(photos) + weights for of in (cost.memory_of, cost.least_memory_of))
    graphics = hardware.graphics_cards() if "torch" in engine.requires else ()
    # The processor does the work for which a card has no memory.
    there = max([*(card.free for card in graphics), hardware.free_memory()])
    refusal = ""
    if least > there:
        most = int((there - weights - cost.memory) / cost.memory_per_photo) if cost.memory_per_photo else 0
        advice = f"choose at most {most} photos or a lower quality" if most > 1 else "close other programs"
        refusal = (
            f"{photos} {'photo takes' if photos == 1 else 'photos take'} about {least / 1e9:.1f} GB of memory with "
            f"{engine.label}, and {there / 1e9:.1f} GB are free; {advice}, or take another engine."
        )
    return Estimate(max(least, min(memory, there)), cost.seconds_of(photos), refusal)


def offered(engine: Engine, data_folder: Path) -> list[Option]:
    """The engine's options that can be had here."""
    missing = environment.to_install(engine.requires, data_folder)
    return [
        option
        for option in engine.options
        if not option.requires
        or set(environment.to_install((*engine.requires, *option.requires), data_folder)) <= set(missing)
    ]


def lines(data_folder: Path) -> list[str]:
    """The facts for a person, a line each."""
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
    """Every engine with what it still needs here."""
    return [(engine, readiness(engine, data_folder)) for engine in registry.engines().values()]
