"""Holds our networks against published outputs: cases, seeded weights and pictures, comparison.

`cases` beside this file has a small case of every network: some thousand values of each output. Where the environment
variable PARITY_CASES names a folder of large cases, which hold every value, those are compared too.
"""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from safetensors import safe_open

from tests.networks import seeded
from threer_blender.model.arrays import Array
from threer_blender.networks import checkpoints

SMALL_CASES = Path(__file__).parent / "cases"
CLOSE = 1e-4  # of a tensor's largest value


class Output(NamedTuple):
    """A published output, or some of its values with their flat indices."""

    values: torch.Tensor
    indices: torch.Tensor | None
    shape: tuple[int, ...]

    def of(self, ours: torch.Tensor) -> torch.Tensor:
        """Our output at the same places; an axis of one more or fewer makes no difference."""
        assert [n for n in ours.shape if n > 1] == [n for n in self.shape if n > 1]
        return ours.reshape(-1) if self.indices is None else ours.reshape(-1)[self.indices]


class Case(NamedTuple):
    """A file of one run's published outputs. `facts` is its metadata, decoded: sizes, seed, and what else went in."""

    path: Path
    facts: dict[str, Any]

    @property
    def sizes(self) -> list[tuple[int, int]]:
        """Height and width of each view."""
        return [(height, width) for height, width in self.facts["sizes"]]

    def expected(self) -> dict[str, Output]:
        """The published outputs by their published names."""
        with safe_open(self.path, "pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        outputs = {}
        for name, values in tensors.items():
            if not name.endswith(".indices"):
                indices = tensors.get(f"{name}.indices")
                shape = tuple(values.shape) if indices is None else tuple(self.facts["shapes"][name])
                outputs[name] = Output(values.reshape(-1), None if indices is None else indices.long(), shape)
        return outputs

    def images(self) -> list[torch.Tensor]:
        """A (1, 3, H, W) picture in [0, 1] a view. Where the metadata name `images`, views may show the same one."""
        labels = self.facts.get("images", [f"view{i}" for i in range(len(self.sizes))])
        return [
            torch.from_numpy(seeded.picture(label, *size, self.facts["seed"]))[None]
            for label, size in zip(labels, self.sizes, strict=True)
        ]


def cases(*models: str) -> list[Any]:
    """Every case of these models as a parameter whose id names it, the models one after the other."""
    folders = {"small": SMALL_CASES}
    if "PARITY_CASES" in os.environ:
        folders["large"] = Path(os.environ["PARITY_CASES"])
        assert folders["large"].is_dir(), f"PARITY_CASES names {folders['large']}, which is no folder"
    collected = []
    for model in models:
        assert list(SMALL_CASES.glob(f"{model}.*.safetensors")), f"{model} has no case in {SMALL_CASES}"
        collected += [
            pytest.param(_case(path), id=f"{size}-{path.stem}")
            for size, folder in folders.items()
            for path in sorted(folder.glob(f"{model}.*.safetensors"))
        ]
    return collected


class Networks:
    """Networks with seeded weights, one at a time; tensors that the next one has under the same names go on into it."""

    def __init__(self) -> None:
        self._model: tuple[str, int] | None = None
        self._network: torch.nn.Module | None = None
        self._weights: dict[str, Array] = {}

    def get(
        self, case: Case, build: Callable[[], torch.nn.Module], rename: Callable[[str], str | None]
    ) -> torch.nn.Module:
        """The network of a case, loaded the way a checkpoint is."""
        model, seed = case.facts["model"], case.facts["seed"]
        if self._network is None or self._model != (model, seed):
            self._network = None
            layout = seeded.read_layout(SMALL_CASES / f"{model}.layout.json")
            before = self._weights if self._model is not None and self._model[1] == seed else {}
            self._weights = {name: values for name, values in before.items() if name in layout}
            del before
            self._weights = seeded.state_dict(layout, seed, self._weights)
            prefix = case.facts.get("checkpoint_prefix", "")  # before all names in the checkpoint, not in the layout
            tensors = {prefix + name: torch.from_numpy(values) for name, values in self._weights.items()}
            self._network, self._model = checkpoints.load(build, tensors, rename), (model, seed)
        return self._network


def is_points(name: str) -> bool:
    """Whether an output of this name has points (…, 3) in space."""
    return ("points" in name or "pts3d" in name) and "conf" not in name


def difference(ours: torch.Tensor, theirs: torch.Tensor) -> float:
    """max |ours - theirs| / max |theirs|. NaN where any value of ours is NaN."""
    assert ours.shape == theirs.shape
    ours, theirs = ours.detach().double(), theirs.double()
    return float((ours - theirs).abs().max() / theirs.abs().max())


def log_length(points: torch.Tensor) -> torch.Tensor:
    """The variable before expm1 of points (N × 3,): log(1 + |points|)."""
    return torch.log1p(points.double().view(-1, 3).norm(dim=-1))


def log_difference(ours: torch.Tensor, theirs: torch.Tensor, floor: float) -> float:
    """`difference` of x, for outputs that are floor + exp(x).

    Values close to the floor are left out, as float32 loses exp(x) there.
    """
    comparable = theirs > floor + 0.01
    return difference((ours[comparable] - floor).log(), (theirs[comparable] - floor).log())


def _case(path: Path) -> Case:
    with safe_open(path, "np") as file:
        return Case(path, {name: json.loads(text) for name, text in file.metadata().items()})
