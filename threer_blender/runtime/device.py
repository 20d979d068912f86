"""[R] The device that networks run on: an NVIDIA or AMD GPU, Apple's, else the CPU."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import torch


@dataclass(frozen=True)
class Device:
    """`dtype` is what networks compute in there; `memory` is what is free now, in bytes."""

    torch: torch.device
    dtype: torch.dtype
    name: str
    memory: int


def choose() -> Device:
    """The fastest device of this machine. torch calls AMD's GPUs "cuda" too."""
    if torch.cuda.is_available():
        free, _ = torch.cuda.mem_get_info()
        half = torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float16
        return Device(torch.device("cuda"), half, torch.cuda.get_device_name(), free)
    if torch.backends.mps.is_available():
        free = torch.mps.recommended_max_memory() - torch.mps.driver_allocated_memory()
        return Device(torch.device("mps"), torch.float16, "Apple GPU", free)
    return Device(torch.device("cpu"), torch.float32, platform.processor() or platform.machine(), _free_memory())


def _free_memory() -> int:
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
