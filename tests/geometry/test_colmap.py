"""A crash of a process that has pycolmap ends it, wherever it hits."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE_PARENT = Path(__file__).parents[2]
BEGINS = """
import ctypes, os, signal, sys, threading
from threer_blender.geometry.colmap import pycolmap
assert pycolmap.Camera
threading.Thread(target=threading.Event().wait, daemon=True).start()  # one thread alone would take no lock in malloc
"""
# The block behind the last one says how much memory is left there. malloc notices, and aborts while it holds its lock.
ABORTS_WITHIN_MALLOC = """
c = ctypes.CDLL(None)
c.malloc.restype, c.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
c.malloc_usable_size.restype, c.malloc_usable_size.argtypes = ctypes.c_size_t, [ctypes.c_void_p]
block = c.malloc(100_000)
ctypes.memset(block + c.malloc_usable_size(ctypes.c_void_p(block)), 0x41, 32)
for size in range(50_000, 150_000, 1000):
    c.malloc(size)
"""
CRASHES = ("SIGSEGV", "SIGABRT", "SIGFPE", "SIGILL", "SIGBUS", "SIGTERM")


def ended(code: str) -> "subprocess.CompletedProcess[str]":
    """Runs the code with pycolmap imported. Raises subprocess.TimeoutExpired where it hangs."""
    return subprocess.run(
        [sys.executable, "-c", BEGINS + code],
        cwd=PACKAGE_PARENT,
        env={**os.environ, "PYTHONFAULTHANDLER": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's malloc")
def test_a_crash_within_malloc() -> None:
    run = ended(ABORTS_WITHIN_MALLOC)
    assert run.returncode == -signal.SIGABRT
    assert 'File "<string>", line' in run.stderr, "the log has Python's stack"


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
@pytest.mark.parametrize("name", CRASHES)
def test_signals(name: str) -> None:
    run = ended(f"os.kill(os.getpid(), signal.{name})")
    assert run.returncode == -signal.Signals[name]
    assert "***" not in run.stderr, "COLMAP's handler did not run"
