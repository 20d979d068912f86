"""A Debian of its own for each window: Blender as Debian packages it, a virtual screen, and the engine's wheels."""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

LOCK = Path(__file__).parents[2] / "wheels" / "lock.txt"
PACKAGES = (
    "blender", "python3-numpy", "python3-requests", "xvfb", "xauth", "libgl1-mesa-dri", "libegl-mesa0",
    "libglx-mesa0", "mesa-vulkan-drivers", "x11-utils", "xdotool", "imagemagick", "ca-certificates",
    "python3-tk", "tkdnd",
)  # fmt: skip


@dataclass(frozen=True)
class Suite:
    """A Debian suite, the Blender and the Python that it has, and what its Blender forgets to depend on."""

    name: str
    blender: str
    python: str
    forgotten: tuple[str, ...] = ()

    @property
    def folder(self) -> Path:
        """The folder of the installed system, which stays for the next run."""
        return Path(tempfile.gettempdir()) / f"window-{self.name}"


SUITES = (
    Suite("trixie", "4.3", "3.13"),
    Suite("sid", "5.2", "3.14", ("python3-cattr", "python3-zstandard")),  # imported by the extension manager
)


def ready(suite: Suite) -> Path:
    """The suite's folder, made where it is not there yet: some minutes, 1.3 GB."""
    if not suite.folder.exists():
        unfinished = suite.folder.with_suffix(".unfinished")
        _install(suite, unfinished)
        _carry_wheels(suite, unfinished)
        unfinished.rename(suite.folder)
    return suite.folder


def _install(suite: Suite, folder: Path) -> None:
    without = [f"--dpkgopt=path-exclude=/usr/share/{name}/*" for name in ("man", "doc", "locale")]
    # Mirrors lag: their lists are signed all the same, and these windows see nothing but tests.
    options = ["--aptopt=APT::Install-Recommends false", "--aptopt=Acquire::Check-Valid-Until false", *without]
    command = ["mmdebstrap", "--variant=apt", "--mode=root", *options]
    packages = ",".join((*PACKAGES, *suite.forgotten))
    subprocess.run([*command, f"--include={packages}", suite.name, str(folder)], check=True)


def _carry_wheels(suite: Suite, folder: Path) -> None:
    """Puts the locked versions where Debian's own Python finds them: its Blenders are none that our wheels are for."""
    platforms = [f"--platform=manylinux_2_{glibc}_x86_64" for glibc in (17, 27, 28)]
    target = folder / "usr/local/lib" / f"python{suite.python}" / "dist-packages"
    options = [f"--python-version={suite.python}", *platforms, "--only-binary=:all:", "--no-deps", f"--target={target}"]
    pinned = re.findall(r"^\w\S*==\S+", LOCK.read_text("utf-8"), re.MULTILINE)
    subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", *options, *pinned], check=True)
