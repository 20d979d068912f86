"""Checkpoints: mapped, strictly loaded, refused with a sentence; a malicious one runs nothing."""

import argparse
import collections
import os
import sys
import types
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch", reason="networks need torch")
import torch
from safetensors.torch import save_file
from torch import nn

from threer_blender.model.errors import UserError
from threer_blender.networks import checkpoints


class Small(nn.Module):
    def __init__(self, width: int = 3) -> None:
        super().__init__()
        self.inner = nn.Linear(2, width)


def weights() -> dict[str, Any]:
    generator = torch.Generator().manual_seed(0)
    return {
        "encoder.weight": torch.randn(3, 2, generator=generator),
        "encoder.bias": torch.randn(3, generator=generator),
        "mask_token": torch.zeros(1),
    }


def rename(name: str) -> str | None:
    return None if name == "mask_token" else name.replace("encoder.", "inner.")


def written(folder: Path, suffix: str) -> Path:
    path = folder / f"weights{suffix}"
    if suffix == ".safetensors":
        save_file(weights(), path)
    elif suffix == ".pth":
        torch.save({"args": argparse.Namespace(model="exit()", lr=0.1), "model": weights()}, path)
    elif suffix == ".ckpt":
        torch.save({"epoch": 3, "state_dict": weights()}, path)
    else:
        torch.save(weights(), path)
    return path


@pytest.mark.parametrize("suffix", [".safetensors", ".pth", ".ckpt", ".pt"])
def test_a_network_gets_exactly_the_files_tensors(tmp_path: Path, suffix: str) -> None:
    network = checkpoints.load(Small, checkpoints.read(written(tmp_path, suffix)), rename)
    assert torch.equal(network.inner.weight, weights()["encoder.weight"])
    assert torch.equal(network.inner.bias, weights()["encoder.bias"])
    assert not network.training
    assert not network.inner.weight.requires_grad


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
def test_tensors_are_mapped_not_copied(tmp_path: Path, suffix: str) -> None:
    path = written(tmp_path, suffix)
    network = checkpoints.load(Small, checkpoints.read(path), rename)
    if sys.platform == "linux":
        maps = [row.split() for row in Path("/proc/self/maps").read_text().splitlines() if str(path) in row]
        ranges = [tuple(int(end, 16) for end in row[0].split("-")) for row in maps]
        address = network.inner.weight.data_ptr()
        assert any(first <= address < last for first, last in ranges)
    network.inner.weight.zero_()  # changes the process's copy of the page, never the file
    assert torch.equal(checkpoints.read(path)["encoder.weight"], weights()["encoder.weight"])


@pytest.mark.parametrize("suffix", [".safetensors", ".pth", ".ckpt", ".pt"])
@pytest.mark.parametrize("share", [0, 7, 0.5, 0.95])
def test_a_cut_file_is_refused(tmp_path: Path, suffix: str, share: float) -> None:
    path = written(tmp_path, suffix)
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content)) if share < 1 else int(share)])
    with pytest.raises(UserError, match=f"weights{suffix} is cut off or damaged; delete it and download it again"):
        checkpoints.read(path)


def test_what_is_no_checkpoint_is_refused(tmp_path: Path) -> None:
    page = tmp_path / "weights.pth"
    page.write_text("<html>Sign in to download</html>")
    with pytest.raises(UserError, match="damaged"):
        checkpoints.read(page)
    with pytest.raises(UserError, match="no checkpoint"):
        checkpoints.read(tmp_path / "photo.jpg")
    torch.save({"model": [1, 2, 3]}, page)
    with pytest.raises(UserError, match="holds no weights"):
        checkpoints.read(page)


def test_safetensors_of_any_type_and_place(tmp_path: Path) -> None:
    """Older files have headers of any length, so that tensors lie where their type cannot be used in place."""
    tensors = {
        "half": torch.randn(3, 2).half(),
        "brain": torch.randn(5).bfloat16(),
        "whole": torch.arange(7),
        "none": torch.zeros(0, 4),
        "one": torch.tensor(2.5),
        "flag": torch.tensor([True, False]),
    }
    path = tmp_path / "a.safetensors"
    save_file(tensors, path, {"note": "any"})
    content = path.read_bytes()
    length = int.from_bytes(content[:8], "little")
    for spaces in range(4):
        path.write_bytes(
            (length + spaces).to_bytes(8, "little") + content[8 : 8 + length] + b" " * spaces + content[8 + length :]
        )
        actual = checkpoints.read(path)
        assert actual.keys() == tensors.keys()
        assert all(torch.equal(actual[name], tensor) for name, tensor in tensors.items())


@pytest.mark.parametrize(
    "header",
    [
        '{"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 800]}}',
        '{"a": {"dtype": "F32", "shape": [2], "data_offsets": [-8, 0]}}',
        '{"a": {"dtype": "F32", "shape": [3], "data_offsets": [0, 8]}}',
        '{"a": {"dtype": "F32", "shape": [-1, -2], "data_offsets": [0, 8]}}',
        '{"a": {"dtype": "F9", "shape": [2], "data_offsets": [0, 8]}}',
        '{"a": {"dtype": "F32", "shape": "2", "data_offsets": [0, 8]}}',
        '{"a": {"dtype": "F32"}}',
        '{"a": 5}',
        "[1, 2]",
        "[" * 100_000,
    ],
    ids=lambda header: header[:70],
)
def test_a_false_header_is_said(tmp_path: Path, header: str) -> None:
    path = tmp_path / "weights.safetensors"
    path.write_bytes(len(header).to_bytes(8, "little") + header.encode() + bytes(8))
    with pytest.raises(UserError, match="cut off or damaged"):
        checkpoints.read(path)


class Bomb:
    """Unpickles by running a command."""

    def __init__(self, function: object, *arguments: object) -> None:
        self.call = function, arguments

    def __reduce__(self) -> tuple[Any, ...]:
        return self.call


@pytest.mark.parametrize("function", [os.mkdir, os.system, exec, eval, Path.mkdir], ids=lambda f: f.__qualname__)
def test_a_malicious_checkpoint_runs_nothing(tmp_path: Path, function: Callable[..., Any]) -> None:
    proof = tmp_path / "ran"
    argument = {
        os.mkdir: str(proof),
        Path.mkdir: proof,
        os.system: f"mkdir {proof}",
    }.get(function, f"__import__('os').mkdir({str(proof)!r})")
    path = tmp_path / "weights.pth"
    torch.save({"model": weights(), "args": Bomb(function, argument)}, path)
    with pytest.raises(UserError, match="asks to run code"):
        checkpoints.read(path)
    assert not proof.exists()
    torch.load(path, weights_only=False)  # the same file does run where code is allowed to
    assert proof.exists()


def test_settings_of_training_become_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lightning keeps its settings as omegaconf's objects, which this Python does not know."""
    module = types.ModuleType("omegaconf.dictconfig")
    config = type("DictConfig", (types.SimpleNamespace,), {"__module__": module.__name__})
    vars(module)["DictConfig"] = config
    monkeypatch.setitem(sys.modules, "omegaconf", types.ModuleType("omegaconf"))
    monkeypatch.setitem(sys.modules, module.__name__, module)
    path = tmp_path / "weights.ckpt"
    settings = config(rate=config(start=1), path=Path("a"), kind=dict, cache=collections.defaultdict(dict))
    torch.save({"state_dict": weights(), "hyper_parameters": settings}, path)
    monkeypatch.undo()
    assert checkpoints.read(path).keys() == weights().keys()


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda w: w.pop("encoder.bias"), r"not Small's \(inner.bias is missing\)"),
        (lambda w: w.update({"other": torch.ones(1)}), r"\(other is not part of it\)"),
        (lambda w: w.update({"encoder.weight": torch.ones(4, 2)}), r"\(inner.weight has the shape \(4, 2\) instead of"),
        (lambda w: (w.clear(), w.update({"a": torch.ones(1)})), r"inner.weight is missing and 2 more differences"),
    ],
    ids=["missing", "unexplained", "shape", "another architecture"],
)
def test_loading_is_strict(change: Callable[[dict[str, torch.Tensor]], None], sentence: str) -> None:
    tensors = weights()
    change(tensors)
    with pytest.raises(UserError, match=sentence):
        checkpoints.load(Small, tensors, rename)


def rewritten(path: Path, pickled: Callable[[bytes], bytes], compression: int) -> None:
    """The archive at `path` with another pickle, its members compressed like that."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, data in members.items():
            archive.writestr(name, pickled(data) if name.endswith("data.pkl") else data)


def test_archives_that_inflate_are_refused(tmp_path: Path) -> None:
    path = written(tmp_path, ".pt")
    rewritten(path, lambda data: data + bytes(64 << 20), zipfile.ZIP_DEFLATED)
    assert path.stat().st_size < 1 << 20
    with pytest.raises(UserError, match="cut off or damaged"):
        checkpoints.read(path)


def test_memory_without_tensors_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path, ".pt")
    two_gigabytes = b"\x80\x02c__builtin__\nbytearray\nJ\xff\xff\xff\x7f\x85R."
    rewritten(path, lambda _: two_gigabytes, zipfile.ZIP_STORED)
    with pytest.raises(UserError, match=r"asks to run code \(bytearray\)"):
        checkpoints.read(path)


def test_a_file_of_two_parts_is_read_as_one_checkpoint(tmp_path: Path) -> None:
    path = tmp_path / "model.pth"
    tensors = weights()
    torch.save({"args": argparse.Namespace(encoder="exit()"), "encoder": tensors, "decoder": tensors}, path)
    actual = checkpoints.read(path)
    assert actual.keys() == {f"{part}.{name}" for part in ("encoder", "decoder") for name in tensors}
    assert all(torch.equal(actual[f"decoder.{name}"], tensor) for name, tensor in tensors.items())
