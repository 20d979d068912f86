"""[S] Memory, disk and graphics cards of this computer, found without torch. Stdlib only."""

from __future__ import annotations

import errno
import os
import platform
import shutil
import subprocess
import sys
import time
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

FRESH = 20.0  # seconds for which the driver's last answer about graphics cards is reused
DRIVERS = Path("/sys/class/drm")  # where Linux lists graphics cards


def free_memory() -> int:
    """The bytes of memory that a program can still get before the system swaps."""
    if sys.platform == "linux":
        rows = dict(row.split(":") for row in Path("/proc/meminfo").read_text().splitlines())
        return int(rows["MemAvailable"].split()[0]) * 1024
    if sys.platform == "win32":
        return _windows_memory()
    pages = dict(row.split(":") for row in subprocess.check_output(["/usr/bin/vm_stat"], text=True).splitlines()[1:])
    unused = sum(int(pages[f"Pages {kind}"].strip(" .")) for kind in ("free", "inactive", "purgeable"))
    return unused * os.sysconf("SC_PAGE_SIZE")


def _windows_memory() -> int:
    import ctypes

    class Status(ctypes.Structure):  # MEMORYSTATUSEX
        _fields_ = (
            ("length", ctypes.c_ulong),
            ("load", ctypes.c_ulong),
            *((name, ctypes.c_ulonglong) for name in ("total", "free", "p1", "p2", "v1", "v2", "extended")),
        )

    status = Status(length=ctypes.sizeof(Status))
    ctypes.windll.kernel32.GlobalMemoryStatusEx(ctypes.byref(status))  # type: ignore[attr-defined, unused-ignore]
    return int(status.free)


def free_disk(folder: Path) -> int:
    """The bytes free on the disk of `folder`, which need not exist yet."""
    existing = next(parent for parent in (folder, *folder.parents) if parent.exists())
    return shutil.disk_usage(existing).free


def system_program(name: str) -> str:
    """The full path of a program that comes with Windows.

    Windows would look for a bare name in the working folder, too.
    """
    return str(Path(os.environ.get("SYSTEMROOT", r"C:\Windows")) / "System32" / f"{name}.exe")


def program(name: str) -> Path | None:
    """The full path of a program on the search path; None where no absolute folder of that path has it.

    Unlike `shutil.which`, this never takes a program from the working folder.
    """
    endings = (".exe",) if sys.platform == "win32" else ("",)
    folders = [Path(folder) for folder in os.environ.get("PATH", "").split(os.pathsep)]
    candidates = (folder / f"{name}{ending}" for folder in folders if folder.is_absolute() for ending in endings)
    return next((path for path in candidates if path.is_file() and os.access(path, os.X_OK)), None)


class Card(NamedTuple):
    """A graphics card. `memory` is all that it has, and `free` the part that is free, in bytes."""

    name: str
    memory: int
    free: int


class Cuda(NamedTuple):
    """NVIDIA's driver and cards: the major version of the driver, and the least compute capability of the cards."""

    driver: int
    capability: float


def cuda() -> Cuda | None:
    """The NVIDIA driver and cards of this computer; None where there are none, or they cannot be queried."""
    rows = [row for row in _nvidia("driver_version,compute_cap") if len(row) == 2]
    try:
        return Cuda(int(rows[0][0].partition(".")[0]), min(float(row[1]) for row in rows))
    except (IndexError, ValueError):  # no card, or one whose driver says something else
        return None


def _nvidia(fields: str) -> list[list[str]]:
    """The answer of nvidia-smi: a row for each card, with a cell for each of the `fields` (separated by commas).

    No rows where there is no such program, or it does not answer.
    """
    program_file = program("nvidia-smi")
    if program_file is None:
        return []
    command = [str(program_file), f"--query-gpu={fields}", "--format=csv,noheader,nounits"]
    windowless = getattr(subprocess, "CREATE_NO_WINDOW", 0)  # without it a window would flash up on Windows
    try:
        ran = subprocess.run(command, capture_output=True, text=True, check=False, timeout=20, creationflags=windowless)
    except (OSError, subprocess.TimeoutExpired, UnicodeDecodeError):
        return []
    count = fields.count(",")  # split from the right: the first field may be a name with commas in it
    return [[cell.strip() for cell in line.rsplit(",", count)] for line in ran.stdout.splitlines()]


def graphics_cards() -> tuple[Card, ...]:
    """The cards that torch could use. The drivers are asked again after FRESH seconds.

    Apple's card shares the computer's memory, and is listed with all of it.
    """
    return _graphics_cards(int(time.monotonic() / FRESH))


@lru_cache(1)
def _graphics_cards(_time: int) -> tuple[Card, ...]:
    if platform.system() == "Darwin" and platform.machine() == "arm64":
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        return (Card("Apple GPU", memory, free_memory()),)
    rows = _nvidia("name,memory.total,memory.free")
    # For a card that shares the computer's memory, nvidia-smi prints [N/A]; that card is left out.
    cards = [Card(row[0], int(row[1]) << 20, int(row[2]) << 20) for row in rows if row[1:] and _are_numbers(row[1:])]
    if cards:
        return tuple(cards)
    return tuple(_amd())


def _are_numbers(cells: list[str]) -> bool:
    return all(cell.isascii() and cell.isdecimal() for cell in cells)


def _amd() -> list[Card]:
    """AMD's cards, as Linux's driver lists them."""
    cards = []
    for total in sorted(DRIVERS.glob("card*/device/mem_info_vram_total")):
        name = total.with_name("product_name")
        memory, used = int(total.read_text()), int(total.with_name("mem_info_vram_used").read_text())
        cards.append(Card(name.read_text().strip() if name.exists() else "AMD GPU", memory, memory - used))
    return cards


def is_out_of_memory(error: Exception) -> bool:
    """Whether the error means that memory ran out.

    Python, numpy and numba raise MemoryError. torch raises a RuntimeError. Its text has "out of memory" in it for all
    graphics cards, and "can't allocate memory" for the CPU.
    """
    words = str(error)
    return isinstance(error, MemoryError) or "out of memory" in words or "can't allocate memory" in words


def is_disk_full(error: Exception) -> bool:
    """Whether the error means that the disk is full: the system's errors, or SQLite's, whose files hold features."""
    full = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
    return full or "disk is full" in str(error)
