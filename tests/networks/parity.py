"""Holds our networks against published outputs: cases, seeded weights and images, comparison. See PARITY_CASES.

The folder of cases is that of the environment variable PARITY_CASES, else `../shared/parity/cases`. Its parent has
`seeded.py`, which makes the weights and images that a case was computed from. More cases, made the same way, are in
`cases` beside this file.
"""

import importlib.util
import json
import os
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import pytest
import torch
from safetensors import safe_open

from threer_blender.networks import checkpoints

CASES = Path(os.environ.get("PARITY_CASES", Path(__file__).parents[3] / "shared" / "parity" / "cases")).absolute()
OWN_CASES = Path(__file__).parent / "cases"
CLOSE = 1e-4  # of a tensor's largest value


class Case(NamedTuple):
    """A published output. `facts` is the file's metadata, decoded: sizes, seed, and what else went in."""

    path: Path
    facts: dict[str, Any]

    @property
    def sizes(self) -> list[tuple[int, int]]:
        """Height and width of each view."""
        return [(height, width) for height, width in self.facts["sizes"]]

    def expected(self) -> dict[str, torch.Tensor]:
        """The published output's tensors."""
        with safe_open(self.path, "pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118

    def images(self) -> list[torch.Tensor]:
        """A (1, 3, H, W) image in [0, 1] a view."""
        seeded = _seeded()
        return [
            torch.from_numpy(seeded.image(f"view{i}", *size, seed=self.facts["seed"]))[None]
            for i, size in enumerate(self.sizes)
        ]


def cases(*models: str) -> list[Any]:
    """Every case of these models as a parameter whose id names it, the models one after the other; if there is no
    folder of cases, one skipped parameter a model that says so."""
    reason = f"there are no parity cases in {CASES}; PARITY_CASES names their folder"
    found = []
    for model in models:
        folders = (CASES, OWN_CASES) if CASES.is_dir() else ()
        paths = sorted(path for folder in folders for path in folder.glob(f"{model}.*.safetensors"))
        found += [pytest.param(_case(path), id=f"parity-{path.stem}") for path in paths]
        if not paths:
            found.append(pytest.param(None, id=f"parity-{model}", marks=pytest.mark.skip(reason=reason)))
    return found


def network(
    case: Case, build: Callable[[], torch.nn.Module], rename: Callable[[str], str | None], prefix: str = ""
) -> torch.nn.Module:
    """The network with the case's seeded weights, loaded the way a checkpoint is. `prefix` stands before all names in
    the checkpoint but not in the layout."""
    seeded, model, seed = _seeded(), case.facts["model"], case.facts["seed"]
    own = OWN_CASES / f"{model}.layout.json"
    if own.exists():
        weights = {name: seeded.tensor(name, tuple(shape), seed) for name, shape in json.loads(own.read_text()).items()}
    else:
        weights = seeded.state_dict(model, seed)
    return checkpoints.load(build, {prefix + name: torch.from_numpy(value) for name, value in weights.items()}, rename)


def difference(ours: torch.Tensor, theirs: torch.Tensor) -> float:
    """max |ours - theirs| / max |theirs|; not a number where ours is none anywhere."""
    assert ours.shape == theirs.shape
    ours, theirs = ours.detach().double(), theirs.double()
    return float((ours - theirs).abs().max() / theirs.abs().max())


def log_length(points: torch.Tensor) -> torch.Tensor:
    """The variable before expm1 of a pointmap (..., 3): log(1 + |points|)."""
    return torch.log1p(points.double().norm(dim=-1))


def log_difference(ours: torch.Tensor, theirs: torch.Tensor, floor: float) -> float:
    """`difference` of the variable before floor + exp, where float32 still tells it: not where exp is lost to floor."""
    told = theirs > floor + 0.01
    return difference((ours[told] - floor).log(), (theirs[told] - floor).log())


def _case(path: Path) -> Case:
    with safe_open(path, "np") as file:
        return Case(path, {name: json.loads(text) for name, text in file.metadata().items()})


def _seeded() -> ModuleType:
    spec = importlib.util.spec_from_file_location("seeded", CASES.parent / "seeded.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
