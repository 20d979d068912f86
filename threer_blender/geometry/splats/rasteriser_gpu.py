"""[R] The rasteriser's kernel on graphics cards: one source, compiled at run time by torch's own means. Imports torch.

CUDA goes through NVRTC, ROCm through hipRTC (both `torch.cuda._compile_kernel`), Apple's through
`torch.mps.compile_shader`; the user needs no compiler. `self_test` compares a device with the CPU before it is trusted.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ...model import splat_rendering
from . import rasteriser_cpu
from .footprints import Footprints

TILE = 16  # pixels along a side; TEXT has it as 16 and 256
PARTS = 9  # values of a Gaussian's gradient: centre 2, conic 3, opacity, colour 3
TOLERANCE = 1e-3  # of the largest value: more than the order of sums changes in single precision

# By dialect of C++: the words of the source that differ between the dialects -> the dialect's expression.
DIALECTS = {
    "cuda": {
        "PREAMBLE": "",
        "KERNEL": 'extern "C" __global__ void',
        "INPUT(T)": "const T*",
        "OUTPUT": "float*",
        "SUMS": "float*",
        "THREAD_ARGUMENT": "",
        "THREAD": "(int)(blockIdx.x * blockDim.x + threadIdx.x)",
        "ADD(place, value)": "atomicAdd(&(place), value)",
        "EXP": "expf",
        "MIN": "fminf",
    },
    "mps": {
        "PREAMBLE": "#include <metal_stdlib>\nusing namespace metal;",
        "KERNEL": "kernel void",
        "INPUT(T)": "device const T*",
        "OUTPUT": "device float*",
        "SUMS": "device atomic_float*",
        "THREAD_ARGUMENT": ", uint thread_number [[thread_position_in_grid]]",
        "THREAD": "(int)thread_number",
        "ADD(place, value)": "atomic_fetch_add_explicit(&(place), value, memory_order_relaxed)",
        "EXP": "exp",
        "MIN": "min",
    },
}

# In single precision; nine digits identify such a number exactly.
CONSTANTS = {name: f"{getattr(splat_rendering, name):#.9g}f" for name in ("ALPHA_LEAST", "ALPHA_MOST", "LIGHT_LEAST")}

# A thread draws a pixel, and a block of 256 threads a tile. `shape` is width, height, columns of tiles. Both passes
# compute the same as those of `rasteriser_cpu`, where the backward pass is explained.
TEXT = """
KERNEL draw(INPUT(float) centres, INPUT(float) conics, INPUT(float) opacities, INPUT(float) colours,
            INPUT(int) listed, INPUT(int) starts, INPUT(int) shape, OUTPUT colour, OUTPUT alpha THREAD_ARGUMENT) {
  int tile = THREAD / 256, place = THREAD % 256;
  int u = tile % shape[2] * 16 + place % 16, v = tile / shape[2] * 16 + place / 16;
  if (u >= shape[0] || v >= shape[1]) return;
  float light = 1.0f, red = 0.0f, green = 0.0f, blue = 0.0f;
  for (int k = starts[tile]; k < starts[tile + 1]; k++) {
    int i = listed[k];
    float dx = u + 0.5f - centres[2 * i], dy = v + 0.5f - centres[2 * i + 1];
    float exponent = 0.5f * (conics[3 * i] * dx * dx + conics[3 * i + 2] * dy * dy) + conics[3 * i + 1] * dx * dy;
    float share = MIN(opacities[i] * EXP(-exponent), ALPHA_MOST);
    float after = light * (1.0f - share);
    if (share < ALPHA_LEAST || after < LIGHT_LEAST) continue;
    float weight = share * light;
    red += weight * colours[3 * i];
    green += weight * colours[3 * i + 1];
    blue += weight * colours[3 * i + 2];
    light = after;
    if (light * (1.0f - ALPHA_LEAST) < LIGHT_LEAST) break;
  }
  int pixel = v * shape[0] + u;
  colour[3 * pixel] = red;
  colour[3 * pixel + 1] = green;
  colour[3 * pixel + 2] = blue;
  alpha[pixel] = 1.0f - light;
}

KERNEL draw_back(INPUT(float) centres, INPUT(float) conics, INPUT(float) opacities, INPUT(float) colours,
                 INPUT(int) listed, INPUT(int) starts, INPUT(int) shape, INPUT(float) colour, INPUT(float) alpha,
                 INPUT(float) to_colour, INPUT(float) to_alpha, SUMS sums THREAD_ARGUMENT) {
  int tile = THREAD / 256, place = THREAD % 256;
  int u = tile % shape[2] * 16 + place % 16, v = tile / shape[2] * 16 + place / 16;
  if (u >= shape[0] || v >= shape[1]) return;
  int pixel = v * shape[0] + u;
  float to_red = to_colour[3 * pixel], to_green = to_colour[3 * pixel + 1], to_blue = to_colour[3 * pixel + 2];
  float cover = to_alpha[pixel], light = 1.0f;
  float rest = colour[3 * pixel] * to_red + colour[3 * pixel + 1] * to_green + colour[3 * pixel + 2] * to_blue
             + alpha[pixel] * cover;
  for (int k = starts[tile]; k < starts[tile + 1]; k++) {
    int i = listed[k];
    float dx = u + 0.5f - centres[2 * i], dy = v + 0.5f - centres[2 * i + 1];
    float xx = conics[3 * i], xy = conics[3 * i + 1], yy = conics[3 * i + 2];
    float raw = opacities[i] * EXP(-0.5f * (xx * dx * dx + yy * dy * dy) - xy * dx * dy);
    float share = MIN(raw, ALPHA_MOST);
    float after = light * (1.0f - share);
    if (share < ALPHA_LEAST || after < LIGHT_LEAST) continue;
    float weight = share * light;
    float worth = colours[3 * i] * to_red + colours[3 * i + 1] * to_green + colours[3 * i + 2] * to_blue + cover;
    rest -= weight * worth;
    ADD(sums[9 * i + 6], weight * to_red);
    ADD(sums[9 * i + 7], weight * to_green);
    ADD(sums[9 * i + 8], weight * to_blue);
    if (raw <= ALPHA_MOST) {
      float push = share * (light * worth - rest / (1.0f - share));
      ADD(sums[9 * i], push * (xx * dx + xy * dy));
      ADD(sums[9 * i + 1], push * (xy * dx + yy * dy));
      ADD(sums[9 * i + 2], -0.5f * push * dx * dx);
      ADD(sums[9 * i + 3], -push * dx * dy);
      ADD(sums[9 * i + 4], -0.5f * push * dy * dy);
      ADD(sums[9 * i + 5], push / opacities[i]);
    }
    light = after;
    if (light * (1.0f - ALPHA_LEAST) < LIGHT_LEAST) break;
  }
}
"""


class GpuState(NamedTuple):
    """The data that the backward pass needs from the forward pass: the kernel's first seven arguments and its
    results."""

    inputs: tuple[Tensor, ...]
    colour: Tensor
    alpha: Tensor


def forward(
    footprints: Footprints, opacities: Tensor, colours: Tensor, size: tuple[int, int]
) -> tuple[Tensor, Tensor, GpuState]:
    """As `rasteriser_cpu.forward`, on the tensors' device."""
    width, height = size
    centres, conics, extents, depths = footprints
    listed, starts = tile_lists(centres.detach(), extents, depths, size)
    shape = torch.tensor([width, height, -(-width // TILE)], dtype=torch.int32, device=centres.device)
    floats = (tensor.detach().contiguous() for tensor in (centres, conics, opacities, colours))
    inputs = (*floats, listed, starts, shape)
    colour = torch.empty((height, width, 3), device=centres.device)
    alpha = torch.empty((height, width), device=centres.device)
    _launch("draw", size, (*inputs, colour, alpha))
    return colour, alpha, GpuState(inputs, colour, alpha)


def backward(state: GpuState, to_colour: Tensor, to_alpha: Tensor) -> Tensor:
    """As `rasteriser_cpu.backward`: the gradient (N, PARTS) of the loss, from that by the picture's colour (H, W, 3)
    and alpha (H, W). Sums are added in no fixed order, so the last digits may vary."""
    sums = torch.zeros((len(state.inputs[0]), PARTS), device=to_colour.device)
    size = (state.alpha.shape[1], state.alpha.shape[0])
    _launch("draw_back", size, (*state.inputs, state.colour, state.alpha, to_colour, to_alpha, sums))
    return sums


def tile_lists(centres: Tensor, extents: Tensor, depths: Tensor, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """The numbers (M,) int32 of the Gaussians of tile 0, nearest first, then of tile 1 …; and (tiles + 1,) int32 where
    the list of each tile begins. Arguments are as in Footprints."""
    tiles = torch.tensor([-(-side // TILE) for side in size], device=centres.device)
    order = torch.argsort(depths)
    centres, extents = centres[order], extents[order]
    first = torch.minimum(torch.floor((centres - extents) / TILE).clamp_min(0), tiles).long()
    last = torch.minimum(torch.floor((centres + extents) / TILE + 1).clamp_min(0), tiles).long()
    spans = torch.where(extents[:, :1] > 0, (last - first).clamp_min(0), 0)  # columns and rows of tiles
    counts = spans.prod(1)
    rank = torch.repeat_interleave(torch.arange(len(order), device=order.device), counts)
    within = torch.arange(len(rank), device=order.device) - (counts.cumsum(0) - counts)[rank]
    column, row = first[rank, 0] + within % spans[rank, 0], first[rank, 1] + within // spans[rank, 0]
    of_tile, sorting = torch.sort(row * tiles[0] + column, stable=True)
    starts = torch.searchsorted(of_tile, torch.arange(int(tiles.prod()) + 1, device=order.device))
    return order[rank[sorting]].int(), starts.int()


def source(dialect: str) -> str:
    """The kernels' source in the dialect "cuda" (ROCm too) or "mps"."""
    words = DIALECTS[dialect]
    meanings = {word: meaning for word, meaning in words.items() if word != "PREAMBLE"} | CONSTANTS
    defines = "\n".join(f"#define {word} {meaning}" for word, meaning in meanings.items())
    return f"{words['PREAMBLE']}\n{defines}\n{TEXT}"


def _launch(name: str, size: tuple[int, int], arguments: tuple[Tensor, ...]) -> None:
    compiled_kernel(name, arguments[0].device.type)(-(-size[0] // TILE) * -(-size[1] // TILE), arguments)


@lru_cache
def compiled_kernel(name: str, device: str) -> Callable[[int, tuple[Tensor, ...]], None]:
    """The compiled kernel `name` as a function of the number of tiles and the kernel's arguments."""
    if device == "mps":
        kernel = getattr(torch.mps.compile_shader(source("mps")), name)
        return lambda tiles, arguments: kernel(*arguments, threads=256 * tiles, group_size=256)
    import torch.utils.cpp_extension as toolkit

    # The compiler wants a folder of headers, and fails where no toolkit is installed. The source includes none, so any
    # folder will do.
    folder = str(Path(torch.__file__).parent)
    toolkit.CUDA_HOME = toolkit.CUDA_HOME or folder
    if torch.version.hip:
        toolkit.ROCM_HOME = toolkit.ROCM_HOME or folder
    compiled: Any = torch.cuda._compile_kernel(source("cuda"), name)
    return lambda tiles, arguments: compiled(grid=(tiles, 1, 1), block=(256, 1, 1), args=list(arguments))


@lru_cache
def self_test(device: torch.device) -> str:
    """Compares picture and gradients of some Gaussians on `device` with the CPU's: empty where they agree, else the
    fault in a few words."""
    expected = _drawn_on(torch.device("cpu"), rasteriser_cpu.forward, rasteriser_cpu.backward)
    try:
        drawn = _drawn_on(device, forward, backward)
    except Exception as error:  # drivers and compilers raise anything; whatever it is, the device cannot be used
        return f"cannot be used here ({' '.join(str(error).split())[:200]})"
    close = ((a - b).abs().max() <= TOLERANCE * b.abs().max() for a, b in zip(drawn, expected, strict=True))
    return "" if all(close) else "computes something else than the processor"


def _drawn_on(
    device: torch.device, forward: Callable[..., Any], backward: Callable[..., Tensor]
) -> tuple[Tensor, Tensor, Tensor]:
    """Colour, alpha and gradients (N, 9) of a fixed scene of overlapping Gaussians, some of them opaque."""
    count, size = 400, (70, 50)
    random = torch.Generator().manual_seed(1)
    centres = torch.rand((count, 2), generator=random) * torch.tensor([90.0, 70.0]) - 10
    inverse = 0.02 + 0.2 * torch.rand((count, 2), generator=random)
    conics = torch.stack([inverse[:, 0], 0.5 * (inverse.prod(1)).sqrt(), inverse[:, 1]], 1)
    depths, opacities = torch.rand(count, generator=random), torch.rand(count, generator=random) ** 0.3
    values = torch.rand((count, 3), generator=random)
    weights = torch.rand((size[1], size[0], 4), generator=random)
    extents = torch.full((count, 2), 30.0)  # pixels, more than the widest reaches
    footprints = Footprints(*(tensor.to(device) for tensor in (centres, conics, extents, depths)))
    colour, alpha, state = forward(footprints, opacities.to(device), values.to(device), size)
    gradients = backward(state, *(part.contiguous().to(device) for part in (weights[..., :3], weights[..., 3])))
    return colour.cpu(), alpha.cpu(), gradients.cpu()
