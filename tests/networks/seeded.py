"""Seeded weights and pictures: the same numbers in any program, so that two implementations can be compared.

A recorded case holds the outputs of a published implementation for these weights and pictures. No trained checkpoint is
involved: the case shows that two programs compute the same function of their parameters, whatever the parameters are.
The numbers follow from a tensor's published name, its shape and a seed, by the rules below; the programs that recorded
the cases made them by the same rules.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float32]
Layout = dict[str, tuple[int, ...] | str]  # a tensor's name -> its shape, or the name whose storage it shares

TOKENS = 0.2  # standard deviation of tokens and embeddings
SCALES = 0.1  # standard deviation of one-dimensional weights, whose mean is 1
BIASES = 0.02  # standard deviation of biases


def tensor(name: str, shape: tuple[int, ...], seed: int) -> Float:
    """The parameter `name`: normal numbers of a variance that lets signals pass a deep network unchanged."""
    values = np.empty(shape, np.float32)
    _generator(name, seed).standard_normal(dtype=np.float32, out=values)
    leaf = name.rsplit(".", 1)[-1]
    if len(shape) >= 2:
        if "token" in name or "pos_embed" in leaf or leaf.endswith("_emb"):
            values *= np.float32(TOKENS)
        else:
            values /= np.float32(np.sqrt(np.prod(shape[1:])))
    elif leaf in ("weight", "gamma"):
        values *= np.float32(SCALES)
        values += 1
    else:
        values *= np.float32(BIASES)
    return values


def state_dict(layout: Layout, seed: int, made: Mapping[str, Float]) -> dict[str, Float]:
    """Every tensor of a checkpoint with this layout, by name.

    `made` holds tensors of the same seed that were made before. Those whose shapes agree are taken from there.
    """
    shapes = {name: shape for name, shape in layout.items() if not isinstance(shape, str)}
    reused = {name: made[name] for name, shape in shapes.items() if name in made and made[name].shape == shape}
    missing = [(name, shape) for name, shape in shapes.items() if name not in reused]
    with ThreadPoolExecutor(2) as pool:  # numpy draws without Python's lock
        made_anew = pool.map(lambda one: tensor(one[0], one[1], seed), missing)
        new = dict(zip((name for name, _ in missing), made_anew, strict=True))
    weights = reused | new
    return weights | {name: weights[other] for name, other in layout.items() if isinstance(other, str)}


def read_layout(path: Path) -> Layout:
    """The layout in a file: JSON of names and shapes, where `blocks.{0..23}.bias` stands for 24 names."""
    layout: Layout = {}
    for pattern, shape in json.loads(path.read_text()).items():
        span = re.search(r"\{(\d+)\.\.(\d+)\}", pattern)
        numbers = range(int(span[1]), int(span[2]) + 1) if span else [0]
        names = [pattern.replace(span[0], str(number)) if span else pattern for number in numbers]
        layout |= dict.fromkeys(names, shape if isinstance(shape, str) else tuple(shape))
    return layout


def normal(label: str, shape: tuple[int, ...], seed: int) -> Float:
    """Standard normal numbers: an input that is no picture."""
    return _generator(label, seed).standard_normal(shape, dtype=np.float32)


def picture(label: str, height: int, width: int, seed: int) -> Float:
    """(3, H, W) a picture in [0, 1]. Every channel has six waves and some grain."""
    random = _generator(f"image:{label}", seed)
    x, y = np.linspace(0, 1, width), np.linspace(0, 1, height)[:, None]
    channels = []
    for _ in range(3):
        across, down = random.uniform(-6, 6, 6), random.uniform(-6, 6, 6)
        phases, gains = random.uniform(0, 6.28, 6), random.uniform(0.2, 1, 6)
        waves = np.zeros((height, width))
        for i in range(6):
            waves += np.sin(2 * np.pi * (across[i] * x + down[i] * y) + phases[i]) * gains[i]
        channels.append(0.5 + 0.12 * waves + 0.05 * random.standard_normal((height, width)))
    return np.stack(channels).clip(0, 1).astype(np.float32)


def _generator(label: str, seed: int) -> np.random.Generator:
    digest = hashlib.sha256(f"{seed}:{label}".encode()).digest()
    return np.random.Generator(np.random.PCG64(int.from_bytes(digest[:8], "little")))
