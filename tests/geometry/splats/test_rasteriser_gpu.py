"""The kernels' source for graphics cards, compiled as C++, computes what the CPU's kernel does."""

import ctypes
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="splats are tested where torch is installed")
import torch
from torch import Tensor

from threer_blender.geometry.splats import rasteriser_cpu, rasteriser_gpu
from threer_blender.geometry.splats.footprints import Footprints


@pytest.fixture
def as_cpp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Puts the kernels' source, compiled as C++ and run thread by thread, in the place of the cards' compilers."""
    compiler = shutil.which("g++")
    if compiler is None:
        pytest.skip("the text for graphics cards is tested where g++ is")
    words = {
        **rasteriser_gpu.DIALECTS["cuda"],
        "PREAMBLE": "#include <cmath>",
        "KERNEL": 'extern "C" void',
        "THREAD_ARGUMENT": ", int thread_number",
        "THREAD": "thread_number",
        "ADD(place, value)": "place += value",
    }
    monkeypatch.setitem(rasteriser_gpu.DIALECTS, "cpp", words)

    def use(text: str) -> None:
        monkeypatch.setattr(rasteriser_gpu, "TEXT", text)
        (tmp_path / "kernel.cpp").write_text(rasteriser_gpu.source("cpp"))
        library = tmp_path / "kernel.so"
        subprocess.run([compiler, "-O1", "-shared", "-fPIC", "-o", library, tmp_path / "kernel.cpp"], check=True)
        loaded = ctypes.CDLL(str(library))

        def compiled(name: str, _device: str) -> Callable[[int, tuple[Tensor, ...]], None]:
            def launch(tiles: int, arguments: tuple[Tensor, ...]) -> None:
                pointers = [ctypes.c_void_p(tensor.data_ptr()) for tensor in arguments]
                for thread in range(256 * tiles):
                    getattr(loaded, name)(*pointers, thread)

            return launch

        monkeypatch.setattr(rasteriser_gpu, "compiled_kernel", compiled)
        rasteriser_gpu.self_test.cache_clear()

    return use


def test_the_source_for_graphics_cards_computes_what_the_cpu_does(as_cpp: Callable[[str], None]) -> None:
    as_cpp(rasteriser_gpu.TEXT)
    assert rasteriser_gpu.self_test(torch.device("cpu")) == ""


@pytest.mark.parametrize(
    ("right", "wrong"), [("rest -= weight * worth", "rest -= worth"), ("LIGHT_LEAST) break", "0.5f) break")]
)
def test_a_card_that_computes_something_else_is_noticed(as_cpp: Callable[[str], None], right: str, wrong: str) -> None:
    assert right in rasteriser_gpu.TEXT
    as_cpp(rasteriser_gpu.TEXT.replace(right, wrong))
    assert rasteriser_gpu.self_test(torch.device("cpu")) == "computes something else than the processor"


def test_both_kernels_list_the_same_gaussians_for_each_tile() -> None:
    random = torch.Generator().manual_seed(0)
    centres = torch.rand((200, 2), generator=random) * torch.tensor([90.0, 70.0]) - 10
    extents = torch.where(
        torch.rand((200, 1), generator=random) < 0.1, -1.0, 1 + 12 * torch.rand((200, 2), generator=random)
    )
    depths = torch.rand(200, generator=random)
    listed, starts = rasteriser_gpu.tile_lists(centres, extents, depths, (70, 50))
    ones = torch.ones(200)
    conics = torch.tensor([[0.1, 0.0, 0.1]]).repeat(200, 1)
    footprints = Footprints(centres, conics, extents, depths)
    _, _, state = rasteriser_cpu.forward(footprints, ones, torch.ones(200, 3), (70, 50))
    assert state.lists.listed.tolist() == listed.tolist()
    assert state.lists.starts.tolist() == starts.tolist()
