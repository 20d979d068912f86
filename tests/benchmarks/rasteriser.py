"""The splat rasteriser beside the same arithmetic written in torch and differentiated by autograd, on the CPU.

Forward and backward of one picture; CPU-seconds of all threads, and the growth of the process's peak memory.

nox -s benchmarks -- rasteriser
"""

import ctypes
import math
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

os.environ["OMP_WAIT_POLICY"] = "passive"  # as the worker has it: threads that wait burn no time

import torch
from torch import Tensor

from tests.benchmarks._measure import chosen, machine, table
from threer_blender.geometry.splats import rasteriser
from threer_blender.geometry.splats.footprints import Footprints
from threer_blender.geometry.splats.rasteriser import Picture, Splats
from threer_blender.geometry.splats.rasteriser_gpu import TILE, tile_lists
from threer_blender.model import splat_rendering

CASES = ((20_000, (256, 192)), (100_000, (256, 192)), (20_000, (512, 384)), (100_000, (512, 384)))
REPEATS = 5

Blend = Callable[[Footprints, Tensor, Tensor, tuple[int, int]], Picture]


def blend_by_autograd(footprints: Footprints, opacities: Tensor, values: Tensor, size: tuple[int, int]) -> Picture:
    """Tiles of about equal length at a time, each Gaussian at each pixel of the tile; autograd keeps what it needs."""
    columns, rows = -(-size[0] // TILE), -(-size[1] // TILE)
    listed, starts = tile_lists(footprints.centres.detach(), footprints.extents, footprints.depths, size)
    counts = starts.diff()
    order = torch.argsort(counts, descending=True)
    order = order[counts[order] > 0]
    done, parts = 0, []
    while done < len(order):
        longest = int(counts[order[done]])
        tiles = order[done : done + max(1, (1 << 22) // (longest * TILE * TILE))]
        parts.append(_tiles(tiles, longest, listed, starts, columns, footprints, opacities, values))
        done += len(tiles)
    whole = torch.zeros(rows * columns, TILE * TILE, 4).index_copy(0, order, torch.cat(parts))
    whole = whole.reshape(rows, columns, TILE, TILE, 4).transpose(1, 2).reshape(rows * TILE, columns * TILE, 4)
    return Picture(whole[: size[1], : size[0], :3], whole[: size[1], : size[0], 3])


def _tiles(
    tiles: Tensor,
    longest: int,
    listed: Tensor,
    starts: Tensor,
    columns: int,
    footprints: Footprints,
    opacities: Tensor,
    values: Tensor,
) -> Tensor:
    """(tiles, TILE², 4) colour and alpha of the pixels of some `tiles`, each under its own list of Gaussians, of which
    the longest has `longest`."""
    steps = torch.arange(longest)
    used = steps < starts.diff()[tiles, None]
    who = listed[(starts[tiles, None] + steps).clamp_max(len(listed) - 1)]
    pixel = torch.arange(TILE * TILE)
    x = (tiles % columns)[:, None] * TILE + pixel % TILE + 0.5
    y = (tiles // columns)[:, None] * TILE + pixel // TILE + 0.5
    dx = x[:, None] - footprints.centres[who][..., :1]
    dy = y[:, None] - footprints.centres[who][..., 1:]
    xx, xy, yy = footprints.conics[who][..., None, :].unbind(-1)
    alpha = opacities[who][..., None] * torch.exp(-0.5 * (xx * dx * dx + yy * dy * dy) - xy * dx * dy)
    alpha = alpha.clamp_max(splat_rendering.ALPHA_MOST)
    alpha = torch.where(used[..., None] & (alpha >= splat_rendering.ALPHA_LEAST), alpha, 0.0)
    light = torch.cumprod(1 - alpha, 1)
    before = torch.cat([torch.ones_like(light[:, :1]), light[:, :-1]], 1)
    weights = torch.where(light >= splat_rendering.LIGHT_LEAST, alpha * before, 0.0)
    return torch.cat([torch.einsum("tkp,tkc->tpc", weights, values[who]), weights.sum(1)[..., None]], -1)


def scene(count: int, size: tuple[int, int]) -> tuple[Splats, Tensor, Tensor]:
    """Gaussians as a pointmap gives them: on a bumpy surface before a camera, as large as the distances between
    them."""
    random = torch.Generator().manual_seed(0)
    width, height = size
    focal = 0.96 * width
    u, v = (1.1 * torch.rand(count, generator=random) - 0.55 for _ in range(2))
    depth = 3 + 0.8 * torch.sin(7 * u) * torch.cos(5 * v) + 0.02 * torch.randn(count, generator=random)
    spacing = depth / focal * math.sqrt(1.21 * width * height / count)
    splats = Splats(
        means=torch.stack([u * width / focal * depth, v * height / focal * depth, depth], 1),
        scales=spacing[:, None] * (0.5 + torch.rand(count, 3, generator=random)),
        rotations=torch.randn(count, 4, generator=random),
        opacities=0.1 + 0.85 * torch.rand(count, generator=random),
        sh=0.5 * torch.randn(count, 1, 3, generator=random),
    )
    return splats, torch.eye(4), torch.tensor([focal, focal, width / 2, height / 2])


def measure(blend: Blend, count: int, size: tuple[int, int]) -> tuple[float, Picture, list[Tensor]]:
    """Median CPU-seconds of forward and backward, the picture, and the gradients."""
    splats, pose, intrinsics = scene(count, size)
    seconds = []
    for _ in range(REPEATS):
        free = [tensor.clone().requires_grad_(True) for tensor in (*splats, pose, intrinsics)]
        started = time.process_time()
        given = Splats(*free[:5])
        directions = torch.nn.functional.normalize(given.means, dim=-1)
        values = rasteriser.colours(given.sh, directions)
        picture = blend(rasteriser.project(given, free[5], free[6], size), given.opacities, values, size)
        (picture.colour * picture.colour.detach().cos()).sum().backward()
        seconds.append(time.process_time() - started)
    return sorted(seconds)[REPEATS // 2], picture, [tensor.grad for tensor in free]


@contextmanager
def memory_increase() -> Iterator[list[float]]:
    """The most MiB that the process holds more than at the beginning, looked at every millisecond."""
    page, actual, ended = os.sysconf("SC_PAGE_SIZE") / 2**20, [0.0], threading.Event()

    def resident() -> float:
        return page * int(Path("/proc/self/statm").read_text().split()[1])

    def watch() -> None:
        while not ended.wait(0.001):
            actual[0] = max(actual[0], resident() - base)

    ctypes.CDLL(None).malloc_trim(0)  # else what was freed before would be used again unseen
    base = resident()
    watcher = threading.Thread(target=watch)
    watcher.start()
    yield actual
    ended.set()
    watcher.join()


def main() -> None:
    chosen(__doc__)
    print(f"\nForward and backward of one picture, on {machine()}, torch {torch.__version__}\n")
    measure(rasteriser.blend, 1000, (64, 48))  # compiled, or read from the cache
    measure(blend_by_autograd, 1000, (64, 48))

    def rows() -> Iterator[Any]:
        for count, size in CASES:
            with memory_increase() as ours_mib:
                ours, picture, gradients = measure(rasteriser.blend, count, size)
            with memory_increase() as theirs_mib:
                theirs, expected, expected_gradients = measure(blend_by_autograd, count, size)
            off = float((picture.colour - expected.colour).detach().abs().max())
            gap = max(float((a - b).norm() / b.norm()) for a, b in zip(gradients, expected_gradients, strict=True))
            memory = [f"{ours_mib[0]:.0f}", f"{theirs_mib[0]:.0f}", f"{ours_mib[0] / theirs_mib[0]:.2f}"]
            yield [
                f"{count:,}", "{}×{}".format(*size), f"{1000 * ours:.0f}", f"{1000 * theirs:.0f}",
                f"{theirs / ours:.1f}", *memory, f"{off:.0e}", f"{gap:.0e}",
            ]  # fmt: skip

    head = ["Gaussians", "picture", "ours, CPU-ms", "autograd, CPU-ms", "faster", "ours, MiB", "autograd, MiB"]
    table([*head, "ratio", "picture differs by", "gradients by"], rows())


if __name__ == "__main__":
    main()
