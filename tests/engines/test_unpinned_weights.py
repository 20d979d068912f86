"""Weights without a published hash: a file of another network is refused by name, and its hash is not kept."""

from pathlib import Path

import pytest

from tests.sample_photos import SAMPLE, shrunk

pytest.importorskip("torch", reason="the engines' networks need torch")
import torch
from safetensors.torch import save_file

from threer_blender.engines import registry
from threer_blender.host import store
from threer_blender.model.errors import UserError
from threer_blender.pictures import photos
from threer_blender.runtime.report import MessageReport

UNPINNED = sorted(
    name for name, engine in registry.engines().items() if engine.weights and not engine.weights[0].sha256
)


def test_the_engines_are_those_whose_files_nobody_has_hashed() -> None:
    assert UNPINNED == ["fast3r", "must3r", "spann3r", "splatt3r", "vggt_omega_retrained"]


@pytest.mark.parametrize("engine_id", UNPINNED)
def test_a_file_of_another_network_is_refused_and_not_kept(
    engine_id: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("THREER_WEIGHTS", str(tmp_path / "weights"))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    engine = registry.engine(engine_id)
    (weights,) = engine.weights
    default_store = store.default()
    file = default_store.path(weights)
    file.parent.mkdir()
    tensors = {"layer.weight": torch.ones(3, 3)}
    if file.suffix == ".safetensors":
        save_file(tensors, file)
    else:
        torch.save(tensors, file)
    chosen = photos.read(shrunk(SAMPLE[:2], tmp_path), lambda text, _photo: pytest.fail(text)).accepted
    with pytest.raises(UserError, match="These weights are not"):
        registry.reconstruct_of(engine_id)(chosen, engine.checked_options({}), MessageReport(lambda _message: None))
    assert default_store.pinned(weights) == ""
    assert not default_store.forget_pinned(weights)
