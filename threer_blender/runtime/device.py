"""[R] The device that networks run on: an NVIDIA or AMD GPU, Apple's, else the CPU."""

from __future__ import annotations

import platform
from dataclasses import dataclass

import torch

from ..host import hardware
from . import context


@dataclass(frozen=True)
class Device:
    """A device: `torch`, its name for PyTorch; `dtype`, the precision of networks on it; `memory`, free bytes."""

    torch: torch.device
    dtype: torch.dtype
    name: str
    memory: int


def choose() -> Device:
    """The fastest device of this machine, or the CPU after `give_up_card`. PyTorch calls AMD's GPUs "cuda", too."""
    if context.current().card_too_small:
        return _processor()
    if torch.cuda.is_available():
        free, _ = torch.cuda.mem_get_info()
        half = torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float16
        return Device(torch.device("cuda"), half, torch.cuda.get_device_name(), free)
    if torch.backends.mps.is_available():
        free = torch.mps.recommended_max_memory() - torch.mps.driver_allocated_memory()
        return Device(torch.device("mps"), torch.float16, "Apple GPU", free)
    return _processor()


def give_up_card() -> bool:
    """Makes `choose` return the CPU from now on. Returns False where it did so already."""
    if choose().torch.type == "cpu":
        return False
    context.current().card_too_small = True
    return True


def _processor() -> Device:
    return Device(
        torch.device("cpu"), torch.float32, platform.processor() or platform.machine(), hardware.free_memory()
    )
