"""Graphics cards are found as the drivers report them. Running out of memory is distinguished from other errors."""

from __future__ import annotations

import itertools
import platform
import sys
import time
from pathlib import Path

import pytest

from threer_blender import doctor
from threer_blender.host import hardware
from threer_blender.host.hardware import Card
from threer_blender.model.engine import Cost, Engine

TORCH = Engine(
    "x",
    "X",
    "X.",
    "MIT",
    True,
    frozenset(),
    ("torch",),
    costs={"": Cost(memory=6e9, memory_per_photo=0.0, seconds=5.0, seconds_per_photo=1.0)},
)


HOURS = itertools.count(1)


def wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets an hour pass, so that the cards are looked at again."""
    now = 3600.0 * next(HOURS)
    monkeypatch.setattr(time, "monotonic", lambda: now)


@pytest.fixture(autouse=True)
def nothing_remembered(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    wait(monkeypatch)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(hardware, "DRIVERS", tmp_path / "drm")
    monkeypatch.setattr(platform, "system", lambda: "Linux")


def nvidia(tmp_path: Path, printed: str, status: int = 0) -> None:
    """Writes a stand-in for the driver's program. It prints `printed` and ends with `status`."""
    program = tmp_path / "nvidia-smi"
    program.write_text(f"#!{sys.executable}\nimport sys\nprint({printed!r})\nsys.exit({status})\n")
    program.chmod(0o755)


@pytest.mark.skipif(sys.platform == "win32", reason="the driver's program is a script here")
def test_what_is_free_is_what_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nvidia(tmp_path, "NVIDIA RTX 4090, 24564, 2000\nNVIDIA T4, 15360, 5000")
    assert hardware.graphics_cards() == (
        Card("NVIDIA RTX 4090", 24564 << 20, 2000 << 20),
        Card("NVIDIA T4", 15360 << 20, 5000 << 20),
    )
    monkeypatch.setattr(hardware, "free_memory", lambda: 4_000_000_000)
    refused = doctor.estimate(TORCH, {}, 3)
    assert refused is not None
    assert "take about 6.0 GB of memory with X, and 5.2 GB are free" in refused.refusal
    monkeypatch.setattr(hardware, "free_memory", lambda: 7_000_000_000)
    assert doctor.estimate(TORCH, {}, 3) == doctor.Estimate(6e9, 8.0, "")  # on the processor
    assert "graphics card: NVIDIA RTX 4090, 2 of 26 GB free" in doctor.lines(tmp_path)


@pytest.mark.skipif(sys.platform == "win32", reason="the driver's program is a script here")
@pytest.mark.parametrize(("printed", "status"), [("NVIDIA GB10, [N/A], [N/A]", 0), ("No devices were found", 6)])
def test_without_a_cards_own_memory_the_computers_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, printed: str, status: int
) -> None:
    nvidia(tmp_path, printed, status)
    assert hardware.graphics_cards() == ()
    monkeypatch.setattr(hardware, "free_memory", lambda: 7_000_000_000)
    assert doctor.estimate(TORCH, {}, 3) == doctor.Estimate(6e9, 8.0, "")


def test_amds_cards_are_found_by_their_driver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    device = tmp_path / "drm" / "card1" / "device"
    device.mkdir(parents=True)
    (device / "mem_info_vram_total").write_text("17163091968\n")
    (device / "mem_info_vram_used").write_text("163091968\n")
    assert hardware.graphics_cards() == (Card("AMD GPU", 17163091968, 17_000_000_000),)
    (device / "product_name").write_text("Radeon RX 7800 XT\n")
    assert hardware.graphics_cards()[0].name == "AMD GPU"  # believed for a while
    wait(monkeypatch)
    assert hardware.graphics_cards()[0].name == "Radeon RX 7800 XT"


@pytest.mark.parametrize(
    ("error", "short"),
    [
        (MemoryError(), True),
        (RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB"), True),
        (RuntimeError("MPS backend out of memory (MPS allocated: 8 GB)"), True),
        (
            RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"),
            True,
        ),
        (RuntimeError("shapes cannot be multiplied"), False),
    ],
)
def test_running_out_of_memory_is_told_from_other_errors(error: Exception, short: bool) -> None:
    assert hardware.is_out_of_memory(error) == short
