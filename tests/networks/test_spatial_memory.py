"""Spann3R's memory as we run it: what the released program's slips would lose. The parity test holds the formulas."""

import pytest

pytest.importorskip("torch", reason="networks need torch")
import torch

from threer_blender.networks.spatial_memory import MemorySettings, Reader, SpatialMemory, empty

PATCHES, WIDTH = 4, 16
# A frame's tokens are too young to be pruned until three more frames are stored.
SETTINGS = MemorySettings(working_frames=2, most_tokens=24, young=3)


def keys(frame: int) -> torch.Tensor:
    """A frame's keys or values (PATCHES, WIDTH), unlike those of other frames."""
    return torch.randn(PATCHES, WIDTH, generator=torch.Generator().manual_seed(frame))


def filled(frames: int, settings: MemorySettings) -> SpatialMemory:
    """The memory after `frames` frames. The value of every token is the number of its frame. Readers like frame 0 most,
    and frame 1 next."""
    memory = empty(WIDTH, PATCHES, torch.zeros(0))
    for frame in range(frames):
        memory = memory.with_frame(keys(frame), torch.full((PATCHES, WIDTH), float(frame)), settings)
        numbers = memory.values[:, 0]
        memory = memory._replace(attention=memory.attention + 1 / (1 + numbers))
    return memory


def test_working_frames_outlive_a_pruning_in_their_order() -> None:
    memory = filled(9, SETTINGS)
    assert memory.values[-2 * PATCHES :, 0].tolist() == [7.0] * PATCHES + [8.0] * PATCHES
    assert memory.values[0, 0] == 0  # the one that is read most
    assert torch.equal(memory.values[:, 0].sort().values, memory.values[:, 0])


def test_a_repeated_frame_is_refused_after_a_pruning_too() -> None:
    for frames in range(1, 20):
        memory = filled(frames, SETTINGS)
        assert memory.with_frame(keys(frames - 1), keys(99), SETTINGS) is memory
    published = SETTINGS._replace(published=True)
    after_pruning = [filled(frames, published) for frames in range(1, 20)]
    assert not all(memory.with_frame(keys(n), keys(99), published) is memory for n, memory in enumerate(after_pruning))


def test_memory_does_not_grow_with_the_video() -> None:
    sizes = [len(filled(frames, SETTINGS).keys) for frames in range(1, 60)]
    assert max(sizes) == SETTINGS.most_tokens + SETTINGS.working_frames * PATCHES
    assert min(sizes[20:]) == SETTINGS.most_tokens


def test_even_attention_to_very_many_tokens_reads_nothing_instead_of_nan() -> None:
    reader = Reader(WIDTH)
    memory = empty(WIDTH, 3000, torch.zeros(0))
    memory = memory.with_frame(torch.ones(3000, WIDTH), torch.ones(3000, WIDTH), MemorySettings())
    queries = keys(0)
    with torch.inference_mode():
        read, memory = reader(queries, memory, MemorySettings())
    assert torch.equal(read, queries)
    assert not memory.attention.any()
