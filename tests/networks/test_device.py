"""The device: what is chosen can compute, in the type that it names."""

import pytest

torch = pytest.importorskip("torch", reason="networks need torch")

from threer_blender.runtime import device  # noqa: E402


def test_the_chosen_device_computes() -> None:
    chosen = device.choose()
    ones = torch.ones(4, 4, device=chosen.torch, dtype=chosen.dtype)
    assert (ones @ ones).sum().item() == 64
    assert chosen.name
    assert 2**26 < chosen.memory < 2**44
