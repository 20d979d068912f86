"""[R] Loads published checkpoints into networks, strictly by name and shape, and never runs code in them.

The suffix of a file tells its format: `.safetensors`, or that of `torch.save` (`.pth`, `.pt`, `.ckpt`). Files are
mapped, not copied: tensors are read from disk when they are used.
"""

from __future__ import annotations

import math
import pickle
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor, nn

from ..files.bounded import parsed, unzipped, zipped
from ..model.errors import UserError

Module = TypeVar("Module", bound=nn.Module)

PICKLED = (".pth", ".pt", ".ckpt")
WRAPPERS = ("model", "state_dict")  # keys under which training programs store the weights
PARTS = ("encoder", "decoder")  # keys of a file that stores the weights of each part by itself
# Published checkpoints also hold settings of their training: objects of these packages and types.
SETTINGS = frozenset({"argparse", "collections", "numpy", "omegaconf", "pathlib", "typing"})
SETTINGS_TYPES = frozenset({"builtins.bool", "builtins.dict", "builtins.float", "builtins.int", "builtins.list"})

# The names of types in a safetensors file -> torch's types.
TYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}


class _PickledSettings:
    """A placeholder for an object of a training program's settings. It accepts anything and does nothing."""

    def __new__(cls, *_args: object) -> _PickledSettings:
        return object.__new__(cls)

    def __setstate__(self, _state: object) -> None:
        pass


def read(path: Path) -> dict[str, Tensor]:
    """The tensors of a checkpoint file by their published names, mapped from the file.

    Raises UserError where the file is no checkpoint, is damaged, or wants to run code; and OSError.
    """
    if path.suffix == ".safetensors":
        return _read_safetensors(path)
    if path.suffix in PICKLED:
        return _read_pickled(path)
    raise UserError(f"{path.name} is no checkpoint; choose a file that ends in .safetensors, .pth, .pt or .ckpt.")


def load(
    build: Callable[[], Module], tensors: Mapping[str, Tensor], rename: Callable[[str], str | None] = lambda name: name
) -> Module:
    """The network that `build` makes, with `tensors` as its parameters, ready for inference.

    The network is built without memory, and uses the tensors without copying them. `rename` takes a published name to
    the network's, or to None for a tensor that the network does not need. Raises UserError unless the renamed names and
    the shapes are exactly the network's.
    """
    with torch.device("meta"):
        network = build()
    expected = network.state_dict()
    renamed: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        target = rename(name)
        if target is not None:
            assert target not in renamed, f"two tensors are renamed to {target}"
            renamed[target] = tensor
    faults = [f"{name} is missing" for name in expected if name not in renamed]
    faults += [f"{name} is not part of it" for name in renamed if name not in expected]
    faults += [
        f"{name} has the shape {tuple(renamed[name].shape)} instead of {tuple(tensor.shape)}"
        for name, tensor in expected.items()
        if name in renamed and renamed[name].shape != tensor.shape
    ]
    if faults:
        more = f" and {len(faults) - 1} more differences" if len(faults) > 1 else ""
        raise UserError(
            f"These weights are not {type(network).__name__}'s ({faults[0]}{more}); choose the file that was made "
            "for this engine."
        )
    network.load_state_dict(renamed, assign=True)
    assert not any(buffer.is_meta for buffer in network.buffers()), "a buffer outside the checkpoint has no values"
    network.eval().requires_grad_(False)
    return network


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    """Reads a file in the safetensors format: the length of a JSON header in eight bytes, the header, the tensors."""
    size = path.stat().st_size
    try:
        with path.open("rb") as file:
            start = 8 + int.from_bytes(file.read(8), "little")
            if not 8 < start <= size:
                raise ValueError("the header is longer than the file")
            header = parsed(file.read(start - 8))
        storage = torch.UntypedStorage.from_file(str(path), shared=False, nbytes=size)
        content = torch.empty(0, dtype=torch.uint8).set_(storage)
        return {name: _tensor(content[start:], **row) for name, row in header.items() if name != "__metadata__"}
    except (
        ValueError,
        KeyError,
        TypeError,
        AttributeError,
        RuntimeError,
    ) as error:  # errors that a false header causes
        raise _damaged(path) from error


def _tensor(content: Tensor, dtype: str, shape: list[int], data_offsets: list[int]) -> Tensor:
    """A tensor in the bytes `content` of the file; a copy where its type does not allow its alignment."""
    kind, (begin, end) = TYPES[dtype], data_offsets
    if not 0 <= begin <= end <= len(content) or end - begin != math.prod(shape) * kind.itemsize:
        raise ValueError("a tensor lies outside the file")
    part = content[begin:end]
    if part.storage_offset() % kind.itemsize:
        part = part.clone()
    return part.view(kind).view(shape)


def _check_archive(path: Path) -> None:
    """Raises ValueError or UserError unless this is a zip as torch writes it.

    Its members are not compressed, and its pickles create no bytearray, whose size could be anything.
    """
    size = path.stat().st_size
    with zipped(path) as archive:
        entries = archive.infolist()
        if any(entry.compress_type != zipfile.ZIP_STORED or entry.file_size > size for entry in entries):
            raise ValueError("a member is compressed")
        pickles = [unzipped(archive, name, size) for name in archive.namelist() if name.endswith(".pkl")]
    if any(b"bytearray" in text for text in pickles):
        raise _hostile(path, "bytearray")


def _read_pickled(path: Path) -> dict[str, Tensor]:
    try:
        _check_archive(path)
        asked = torch.serialization.get_unsafe_globals_in_checkpoint(path)
        settings = [name for name in asked if name.partition(".")[0] in SETTINGS or name in SETTINGS_TYPES]
        if len(settings) < len(asked):
            raise _hostile(path, ", ".join(sorted(set(asked) - set(settings))))
        with torch.serialization.safe_globals([(_PickledSettings, name) for name in settings]):
            content = torch.load(path, "cpu", weights_only=True, mmap=True)
    except pickle.UnpicklingError as error:
        raise _hostile(path, "something that is no tensor") from error
    except (RuntimeError, ValueError, EOFError, KeyError) as error:  # no zip, or a damaged one
        raise _damaged(path) from error
    for wrapper in WRAPPERS:
        if isinstance(content, dict) and isinstance(content.get(wrapper), dict):
            content = content[wrapper]
    if isinstance(content, dict) and all(isinstance(content.get(part), dict) for part in PARTS):
        content = {f"{part}.{name}": tensor for part in PARTS for name, tensor in content[part].items()}
    if not isinstance(content, dict) or not content or not all(isinstance(v, Tensor) for v in content.values()):
        raise UserError(f"{path.name} holds no weights of a network; choose the file that the engine names.")
    return content


def _damaged(path: Path) -> UserError:
    return UserError(f"{path.name} is cut off or damaged; delete it and download it again.")


def _hostile(path: Path, what: str) -> UserError:
    return UserError(
        f"{path.name} asks to run code ({what}), which weights never need, and was not opened; download it from its "
        "official address."
    )
