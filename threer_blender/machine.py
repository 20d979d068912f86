"""[S] What this computer has: memory, disk and graphics cards, found without torch. Stdlib only."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path


def free_memory() -> int:
    """Bytes that a program can still get without anything being swapped out."""
    if sys.platform == "linux":
        rows = dict(row.split(":") for row in Path("/proc/meminfo").read_text().splitlines())
        return int(rows["MemAvailable"].split()[0]) * 1024
    if sys.platform == "win32":
        return _windows_memory()
    pages = dict(row.split(":") for row in subprocess.check_output(["vm_stat"], text=True).splitlines()[1:])
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
    """Bytes free on the disk of a folder that need not exist yet."""
    there = next(parent for parent in (folder, *folder.parents) if parent.exists())
    return shutil.disk_usage(there).free


@cache
def graphics() -> tuple[tuple[str, int], ...]:
    """Name and memory in bytes of each graphics card that torch could use; Apple's shares the computer's memory."""
    if platform.system() == "Darwin" and platform.machine() == "arm64":
        return (("Apple GPU", os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")),)
    program = shutil.which("nvidia-smi")
    if program is not None:
        command = [program, "--query-gpu=name,memory.total", "--format=csv,noheader,nounits"]
        ran = subprocess.run(command, capture_output=True, text=True, check=False, timeout=20)
        rows = [line.rpartition(",") for line in ran.stdout.splitlines() if ran.returncode == 0]
        if rows:
            return tuple((name.strip(), int(memory) << 20) for name, _, memory in rows)
    return tuple(_amd())


def _amd() -> list[tuple[str, int]]:
    """AMD's cards, as Linux's driver lists them."""
    found = []
    for memory in sorted(Path("/sys/class/drm").glob("card*/device/mem_info_vram_total")):
        name = memory.with_name("product_name")
        found.append((name.read_text().strip() if name.exists() else "AMD GPU", int(memory.read_text())))
    return found
