"""[S] The runtime's Python: which one, what it finds on its path, what it lacks; and the folder of caches and logs."""

from __future__ import annotations

import os
import platform
import sys
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from .catalog import Engine

PACKAGE_PARENT = Path(__file__).resolve().parent.parent
TEMPORARY = "threer_"  # how the name of a job's own folder for temporary files begins


@dataclass(frozen=True)
class Runtime:
    """A Python that can run engines: its executable, and the folders put before its own search path."""

    python: Path
    search_path: tuple[Path, ...]


def built_in(engine: Engine) -> Runtime:
    """This process's own Python, in a process of its own, with the wheels that the extension carries.

    Wheels of a Blender extension lie in a folder that only Blender adds to its path, so each required module's folder
    is named to the child.
    """
    folders = [PACKAGE_PARENT]
    for module in engine.requires:
        spec = find_spec(module)
        if spec is None or spec.origin is None:
            continue  # the runtime says what is missing
        origin = Path(spec.origin)
        folders.append(origin.parent.parent if spec.submodule_search_locations else origin.parent)
    return Runtime(Path(sys.executable), tuple(dict.fromkeys(folders)))


def user_folder() -> Path:
    """Where compiled kernels and logs are kept outside of Blender: THREER_HOME, else the system's cache folder."""
    if "THREER_HOME" in os.environ:
        return Path(os.environ["THREER_HOME"])
    home = Path.home()
    caches = {
        "Windows": Path(os.environ.get("LOCALAPPDATA", home / "AppData" / "Local")),
        "Darwin": home / "Library" / "Caches",
    }
    return caches.get(platform.system(), Path(os.environ.get("XDG_CACHE_HOME", home / ".cache"))) / "threer_blender"
