"""Networks for many views beside a straightforward way to run them, which spares no memory.

nox -s benchmarks -- feedforward

The straightforward way keeps the tokens of all layers, makes attention's matrices, and gives its heads all views at
once. Both ways run the same network with the same random weights on the same random pictures, each in a process of its
own. Seconds are CPU-seconds of the forward pass. Memory is the most that the process held, with the weights and, in
brackets, without them. A checkpoint of VGGT's layout, 5 GB of zeros, is loaded and every weight read once.
"""

import json
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tests.benchmarks._measure import chosen, machine, measured, table
from threer_blender.networks import depth_anything3, fast3r, map_anything, vggt, vggt_omega
from threer_blender.networks.layers import dense_head, vit
from threer_blender.networks.layers.sizes import TransformerSize

SIZE = (168, 224)
# Network -> numbers of views, and the size of their pictures: small enough for attention's matrices to fit here.
RUNS = (
    ("Depth Anything 3", (4, 16, 32), SIZE),
    ("VGGT", (16,), (224, 308)),
    ("VGGT", (8, 32), (154, 224)),
)
OURS, THEIRS = "ours", "straightforward"

RUN = """
from tests.benchmarks.feedforward import *
way, name, count, height, width = sys.argv[1], sys.argv[2], *map(int, sys.argv[3:])
torch.manual_seed(0)
network = made(way, name)
images = torch.rand(count, 3, height, width)
weights = sum(parameter.nbytes for parameter in network.parameters())
with torch.inference_mode():
    before = time.process_time()
    prediction = network(images)
    seconds = time.process_time() - before
end(seconds=seconds, depth=float(prediction.depth.double().mean()), weights=weights / 2**30)
"""

GROW = """
from tests.benchmarks.feedforward import *
network = filled(SHALLOW[sys.argv[1]])
images = torch.rand(int(sys.argv[2]), 3, *sides(sys.argv[1]))
with torch.inference_mode():
    network(list(images) if sys.argv[1] == "Fast3R" else images)
end()
"""

LOAD = """
from tests.benchmarks.feedforward import *
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
        weights = (query @ key.transpose(-2, -1) / query.shape[-1] ** 0.5).softmax(dim=-1)
        return self.proj((weights @ value).transpose(1, 2).flatten(2))


def straightforward(network: torch.nn.Module, backbone: str) -> None:
    """Makes a network keep what every block leaves, make attention's matrices, and show its heads all views at once."""
    dense_head.VIEWS_AT_ONCE = sys.maxsize
    for module in network.modules():
        if isinstance(module, vit.Attention):
            module.__class__ = PlainAttention
    inner: Any = network.get_submodule(backbone)
    read, every = inner.config.dense.layers, tuple(range(inner.config.blocks.depth))
    inner.config = inner.config._replace(dense=inner.config.dense._replace(layers=every))

    def keep(module: torch.nn.Module, _images: Any, actual: Any) -> Any:
        module.everything = layers = actual[0] if isinstance(actual, tuple) else actual
        chosen = [layers[index] for index in read]
        return (chosen, *actual[1:]) if isinstance(actual, tuple) else chosen

    inner.register_forward_hook(keep)


# Network -> how it is built, and what of it keeps layers.
PUBLISHED = {"Depth Anything 3": (depth_anything3.DepthAnything3, "backbone"), "VGGT": (vggt.VGGT, "aggregator")}

# The memory that a view takes does not depend on the number of layers. So it is measured with shallow networks of the
# published widths.
SHALLOW_SIZE = TransformerSize(1024, 4, 16)
SHALLOW_DENSE = vggt.VGGTConfig().dense._replace(layers=(0, 1, 2, 3))
SHALLOW = {
    "Depth Anything 3": depth_anything3.DepthAnything3,
    "VGGT": lambda: vggt.VGGT(vggt.VGGTConfig(SHALLOW_SIZE, SHALLOW_DENSE)),
    "VGGT-Omega": lambda: vggt_omega.VGGTOmega(vggt_omega.VGGTOmegaConfig(SHALLOW_SIZE, dense=SHALLOW_DENSE)),
    "MapAnything": lambda: map_anything.MapAnything(
        map_anything.MapAnythingConfig(TransformerSize(1536, 4, 24), TransformerSize(1536, 4, 24), (2, 3, 4))
    ),
    "Fast3R": lambda: fast3r.Fast3R(fast3r.Fast3RConfig(blocks=SHALLOW_SIZE)),
}


def sides(name: str) -> tuple[int, int]:
    """Height and width of pictures: whole patches, about SIZE."""
    return (160, 224) if name in ("VGGT-Omega", "Fast3R") else SIZE


def memory_increase() -> None:
    """The table of the memory that each further view takes, by pixel of its picture."""

    def row(name: str) -> list[Any]:
        few, many = (measured(GROW, name, str(count))["peak_gib"] for count in (2, 8))
        height, width = sides(name)
        return [name, f"{(many - few) * 2**30 / 6 / (height * width):.0f}"]

    table(["Network", "Bytes a pixel"], map(row, SHALLOW))


def made(way: str, name: str) -> torch.nn.Module:
    """A network of the published size with random weights."""
    build, backbone = PUBLISHED[name]
    network = filled(build)
    if way == THEIRS:
        straightforward(network, backbone)
    return network


def filled(build: Callable[[], torch.nn.Module]) -> torch.nn.Module:
    """A network with random weights."""
    with torch.device("meta"):
        network = build()
    network.to_empty(device="cpu").eval().requires_grad_(False)
    for parameter in network.parameters():
        parameter.normal_(std=0.02)
    return network


def run(names: Sequence[str]) -> None:
    """The rows of these networks, and how their memory grows with the views."""
    slopes = []

    def rows() -> Iterator[list[Any]]:
        for name, counts, size in (one for one in RUNS if one[0] in names):
            actual = {
                (way, count): measured(RUN, way, name, *map(str, (count, *size)))
                for count in counts
                for way in (THEIRS, OURS)
            }
            yield from (compared(f"{name}, {size[1]}×{size[0]}", n, actual[THEIRS, n], actual[OURS, n]) for n in counts)
            if len(counts) > 1:
                grown = [
                    actual[way, counts[-1]]["peak_gib"] - actual[way, counts[0]]["peak_gib"] for way in (THEIRS, OURS)
                ]
                mebibytes = " → ".join(f"{1024 * more / (counts[-1] - counts[0]):.1f}" for more in grown)
                slopes.append(f"{name}: from {counts[0]} to {counts[-1]} views {mebibytes} MiB a view")

    table(["Network", "Views", "CPU-s, theirs → ours", "Ratio", "Peak GiB, theirs → ours", "Ratio"], rows())
    print(*slopes, sep="\n")


def compared(label: str, count: int, theirs: dict[str, Any], ours: dict[str, Any]) -> list[Any]:
    """A row of the table."""
    assert abs(theirs["depth"] / ours["depth"] - 1) < 1e-4, "the two ways do not compute the same"
    beside = [way["peak_gib"] - way["weights"] for way in (theirs, ours)]
    return [
        label,
        count,
        f"{theirs['seconds']:.1f} → {ours['seconds']:.1f}",
        f"{ours['seconds'] / theirs['seconds']:.2f}",
        f"{theirs['peak_gib']:.2f} → {ours['peak_gib']:.2f} ({beside[0]:.2f} → {beside[1]:.2f})",
        f"{ours['peak_gib'] / theirs['peak_gib']:.2f} ({beside[1] / beside[0]:.2f})",
    ]


def checkpoint(path: Path) -> int:
    """Writes zeros in VGGT's layout; returns their size in bytes."""
    with torch.device("meta"):
        tensors = vggt.VGGT().state_dict()
    header, offset = {}, 0
    for name, tensor in tensors.items():
        size = 4 * tensor.numel()
        header[name] = {"dtype": "F32", "shape": list(tensor.shape), "data_offsets": [offset, offset + size]}
        offset += size
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)  # as the library pads it, so that tensors are aligned and can be mapped
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for start in range(0, offset, 2**26):
            file.write(bytes(min(2**26, offset - start)))
    return offset


def load() -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.safetensors"
        size = checkpoint(path)
        measured(LOAD, str(path))
        actual = measured(LOAD, str(path))
    print(
        f"A checkpoint of {size / 2**30:.2f} GiB: loaded in {actual['loaded']:.1f} s, every weight read after "
        f"{actual['read']:.1f} s, warm; peak {actual['peak_gib']:.2f} GiB, "
        f"{actual['peak_gib'] * 2**30 / size:.2f} times its size"
    )


def main() -> None:
    names = chosen(__doc__, PUBLISHED)
    print(machine(), end="\n\n")
    run(names)
    memory_increase()
    load()


if __name__ == "__main__":
    main()
