"""Networks for many views beside a straightforward way to run them: all layers kept, attention matrices, heads at once.

nox -s benchmarks -- feedforward

Both ways run the same network with the same random weights on the same random pictures, each in a process of its own;
seconds are CPU-seconds of the forward pass, memory is the most that the process held, weights included. A checkpoint of
VGGT's layout, 5 GB of zeros, is loaded and every weight read once.
"""

import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from _measure import REPOSITORY, machine, measured, table
from torch import Tensor

sys.path.insert(0, str(REPOSITORY))

from threer_blender.networks import depth_anything3, fast3r, vggt, vggt_omega, vit

SIZE = (168, 224)
VIEWS = (4, 16, 32)
OURS, THEIRS = "ours", "straightforward"

RUN = """
from feedforward import *
import resource
way, count = sys.argv[1], int(sys.argv[2])
torch.manual_seed(0)
network = made(way)
images = torch.rand(count, 3, *SIZE)
with torch.inference_mode():
    before = time.process_time()
    found = network(images)
    seconds = time.process_time() - before
end(seconds=seconds, depth=float(found[0].double().mean()))
"""

GROW = """
from feedforward import *
network = filled(SHALLOW[sys.argv[1]])
images = torch.rand(int(sys.argv[2]), 3, *sides(sys.argv[1]))
with torch.inference_mode():
    network(list(images) if sys.argv[1] == "Fast3R" else images)
end()
"""

LOAD = """
from feedforward import *
from threer_blender.networks import checkpoints
before = time.monotonic()
network = checkpoints.load(vggt.VGGT, checkpoints.read(Path(sys.argv[1])), vggt.rename)
loaded = time.monotonic() - before
total = sum(float(parameter.sum()) for parameter in network.parameters())
end(loaded=loaded, read=time.monotonic() - before)
"""


class PlainAttention(vit.Attention):
    """Scores of all tokens with all tokens, as a matrix."""

    def forward(self, tokens: Tensor, rotation: vit.Rotation | None = None) -> Tensor:
        query, key, value = self.qkv(tokens).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        query, key = self.q_norm(query), self.k_norm(key)
        if rotation is not None:
            query, key = rotation(query), rotation(key)
        weights = (self.scale * query @ key.transpose(-2, -1)).softmax(dim=-1)
        return self.proj((weights @ value).transpose(1, 2).flatten(2))


class Straightforward(depth_anything3.DepthAnything3):
    """Keeps what every block leaves, and shows all views to the head at once."""

    def __init__(self) -> None:
        super().__init__()
        self.read = self.backbone.config.layers
        self.backbone.config = depth_anything3.Config(layers=tuple(range(self.backbone.config.depth)))
        for module in self.modules():
            if isinstance(module, vit.Attention):
                module.__class__ = PlainAttention

    def forward(self, images: Tensor) -> Any:
        grid = (images.shape[2] // 14, images.shape[3] // 14)
        layers, cameras = self.backbone(images)
        maps = self.head([layers[index] for index in self.read], grid, images.shape[2:])
        return maps[..., 0].exp(), 1 + maps[..., 1].exp(), self.cam_dec(cameras)


# What is kept and held at a time does not depend on depth, so shallow networks of the published widths tell.
SHALLOW = {
    "Depth Anything 3": depth_anything3.DepthAnything3,
    "VGGT": lambda: vggt.VGGT(vggt.Config(depth=4, layers=(0, 1, 2, 3))),
    "VGGT-Omega": lambda: vggt_omega.VGGTOmega(vggt_omega.Config(depth=4, layers=(0, 1, 2, 3))),
    "Fast3R": lambda: fast3r.Fast3R(fast3r.Config(depth=4)),
}


def sides(name: str) -> tuple[int, int]:
    """Of pictures in whole patches, about SIZE."""
    return SIZE if name in ("Depth Anything 3", "VGGT") else (160, 224)


def growth() -> None:
    def row(name: str) -> list[Any]:
        few, many = (measured(GROW, name, str(count))["peak_gib"] for count in (2, 8))
        height, width = sides(name)
        return [name, f"{(many - few) * 2**30 / 6 / (height * width):.0f}"]

    table(["Network", "Bytes a pixel"], map(row, SHALLOW))


def made(way: str) -> torch.nn.Module:
    """Depth Anything 3 BASE with random weights."""
    return filled(depth_anything3.DepthAnything3 if way == OURS else Straightforward)


def filled(build: Callable[[], torch.nn.Module]) -> torch.nn.Module:
    """A network with random weights."""
    with torch.device("meta"):
        network = build()
    network.to_empty(device="cpu").eval().requires_grad_(False)
    for parameter in network.parameters():
        parameter.normal_(std=0.02)
    return network


def run() -> None:
    rows = {}
    for way in (THEIRS, OURS):
        for count in VIEWS:
            rows[way, count] = measured(RUN, way, str(count))
    table(
        ["Views", "CPU-s, theirs → ours", "Ratio", "Peak GiB, theirs → ours", "Ratio"],
        (
            [
                count,
                f"{rows[THEIRS, count]['seconds']:.1f} → {rows[OURS, count]['seconds']:.1f}",
                f"{rows[OURS, count]['seconds'] / rows[THEIRS, count]['seconds']:.2f}",
                f"{rows[THEIRS, count]['peak_gib']:.2f} → {rows[OURS, count]['peak_gib']:.2f}",
                f"{rows[OURS, count]['peak_gib'] / rows[THEIRS, count]['peak_gib']:.2f}",
            ]
            for count in VIEWS
        ),
    )
    for way in (THEIRS, OURS):
        few, many = (rows[way, count]["peak_gib"] for count in (VIEWS[0], VIEWS[-1]))
        slope = (many - few) * 2**30 / (VIEWS[-1] - VIEWS[0])
        print(f"{way}: {slope / 2**20:.1f} MiB a view, {slope / (SIZE[0] * SIZE[1]):.0f} bytes a pixel")
    for count in VIEWS:
        a, b = rows[THEIRS, count]["depth"], rows[OURS, count]["depth"]
        assert abs(a / b - 1) < 1e-4, "the two ways do not compute the same"


def checkpoint(path: Path) -> int:
    """Writes zeros in VGGT's layout; returns their size in bytes."""
    with torch.device("meta"):
        tensors = vggt.VGGT().state_dict()
    header, place = {}, 0
    for name, tensor in tensors.items():
        size = 4 * tensor.numel()
        header[name] = {"dtype": "F32", "shape": list(tensor.shape), "data_offsets": [place, place + size]}
        place += size
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)  # as the library pads it, so that tensors are aligned and can be mapped
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for start in range(0, place, 2**26):
            file.write(bytes(min(2**26, place - start)))
    return place


def load() -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.safetensors"
        size = checkpoint(path)
        measured(LOAD, str(path))
        found = measured(LOAD, str(path))
    print(
        f"A checkpoint of {size / 2**30:.2f} GiB: loaded in {found['loaded']:.1f} s, every weight read after "
        f"{found['read']:.1f} s, warm; peak {found['peak_gib']:.2f} GiB, {found['peak_gib'] * 2**30 / size:.2f} times "
        "its size"
    )


if __name__ == "__main__":
    print(machine(), end="\n\n")
    run()
    growth()
    load()
