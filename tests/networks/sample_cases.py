"""Makes the small cases in `cases` from the large ones: `python -m tests.networks.sample_cases PARITY`.

PARITY is the folder that holds `cases` and `layouts`. A large case has every value of the published outputs and some
megabytes; a small one has some thousand values, drawn at random, and the largest of each output, by which errors are
measured. Layouts are shortened: one line for the same tensor of all blocks.
"""

import json
import re
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import safe_open
from safetensors.numpy import save_file

from tests.networks.parity import SMALL_CASES, is_points
from tests.networks.seeded import read_layout
from threer_blender.model.arrays import Array

BYTES = 92_000  # of a small case's values and their indices
FEWER_BYTES = {"spann3r_memory": 76_000, "cut3r": 84_000}  # of cases with many names or much metadata
CASES = (  # one for each network: those with the most outputs, views of two shapes, or more than one view
    "dust3r_224_linear.224x224-224x224",
    "dust3r_512_dpt.224x160-160x224",
    "mast3r_512_catmlpdpt_metric.160x224-160x224",
    "splatt3r.160x224-160x224",
    "vggt_1b.3x154x224",
    "vggt_omega_1b_512.2x160x224",
    "fast3r_512.3x160x224",
    "da3_base.3x154x224",
    "spann3r.5x112x144",
    "spann3r_memory.44x140",
    "cut3r.4x96x128",
    "must3r.4x112x176",
    "pi3.3x126x98",
)
WITHOUT_LAYOUT = ("spann3r_memory",)  # a part of another model


def main(folder: Path) -> None:
    for name in CASES:
        with safe_open(folder / "cases" / f"{name}.safetensors", "np") as file:
            outputs = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
            facts = {key: json.loads(text) for key, text in file.metadata().items() if key != "seconds"}
        model = name.split(".")[0]
        save_sample(SMALL_CASES / f"{name}.safetensors", outputs, facts, FEWER_BYTES.get(model, BYTES))
        if model in WITHOUT_LAYOUT:
            continue
        path = SMALL_CASES / f"{model}.layout.json"
        rows = json.loads((folder / "layouts" / f"{model}.json").read_text())
        layout = {row["name"]: row.get("alias_of") or row["shape"] for row in rows if row["kind"] == "parameter"}
        write_layout(path, layout)
        assert read_layout(path) == {k: v if isinstance(v, str) else tuple(v) for k, v in layout.items()}


def save_sample(path: Path, outputs: dict[str, Array], facts: dict[str, Any], size: int = BYTES) -> None:
    """Writes a small case of about `size` bytes: of each output an equal number of values, or all where there are
    fewer."""
    random = np.random.default_rng(0)
    sizes = sorted(output.size for output in outputs.values())
    share, left = 0, size // 8  # a value and its index have 4 bytes each
    for done, values in enumerate(sizes):
        share = left // (len(sizes) - done)
        left -= min(share, values)
    tensors = {}
    for name, output in outputs.items():
        width = 3 if is_points(name) else 1
        vectors = output.reshape(-1, width)
        chosen = random.permutation(len(vectors))[: share // width]
        chosen = np.union1d(chosen, np.abs(vectors).max(axis=1).argmax())
        indices = (chosen[:, None] * width + np.arange(width)).ravel()
        tensors[name] = output.ravel()[indices]
        tensors[f"{name}.indices"] = indices.astype(np.int32)
    facts = {**facts, "shapes": {name: list(output.shape) for name, output in outputs.items()}}
    save_file(tensors, path, {name: json.dumps(value) for name, value in facts.items()})


def write_layout(path: Path, layout: dict[str, Any]) -> None:
    """Writes one line for all tensors of one shape whose names differ only in the first number between dots."""
    families: dict[tuple[str, str, str], list[int]] = defaultdict(list)
    rows = {}
    for name, shape in layout.items():
        number = re.search(r"(?<=\.)\d+(?=\.)", name)
        if number is None:
            rows[name] = json.dumps(shape)
        else:
            families[name[: number.start()], name[number.end() :], json.dumps(shape)].append(int(number[0]))
    for (before, after, shape), numbers in families.items():
        if len(numbers) > 1 and numbers == list(range(numbers[0], numbers[-1] + 1)):
            rows[f"{before}{{{numbers[0]}..{numbers[-1]}}}{after}"] = shape
        else:
            rows |= {f"{before}{number}{after}": shape for number in numbers}
    path.write_text("{\n" + ",\n".join(f"{json.dumps(name)}: {shape}" for name, shape in rows.items()) + "\n}\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
