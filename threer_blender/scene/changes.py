"""[B] All or nothing: all changes to Blender's data inside `with Changes()` are undone when the block raises."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

import bpy
from mathutils import Color, Euler, Matrix, Quaternion, Vector


class Changes:
    """A journal of changes to data that existed before. New data needs no entry.

    Where the block fails, the entries are undone, last first, and every new data-block is removed. Where it succeeds,
    the data-blocks named by `remove` are removed, and so are those named by `release` that nothing uses any more. So
    nothing is deleted before everything else has succeeded.
    """

    def __enter__(self) -> Self:
        self._before = set(bpy.data.user_map())
        self._undo: list[Callable[[], object]] = []
        self._removed: list[bpy.types.ID] = []
        self._released: list[bpy.types.ID] = []
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            bpy.data.batch_remove(self._removed)
            for block in dict.fromkeys(self._released):  # one after the other: the first may be the second's last user
                if not block.users:
                    bpy.data.batch_remove([block])
            return
        for undo in reversed(self._undo):
            undo()
        bpy.data.batch_remove(set(bpy.data.user_map()) - self._before)

    def on_failure(self, undo: Callable[[], object]) -> None:
        """Has `undo` called if the block fails."""
        self._undo.append(undo)

    def set(self, owner: Any, **values: Any) -> None:
        """Sets attributes of `owner`."""
        for name, value in values.items():
            before = _frozen(getattr(owner, name))
            self.on_failure(lambda name=name, before=before: setattr(owner, name, before))  # type: ignore[misc]
            setattr(owner, name, value)

    def mark(self, owner: bpy.types.ID, **values: Any) -> None:
        """Sets custom properties of `owner`; the value None removes one."""
        for key, value in values.items():
            before = _frozen(owner.get(key))
            self.on_failure(lambda key=key, before=before: _mark(owner, key, before))  # type: ignore[misc]
            _mark(owner, key, value)

    def remove(self, block: bpy.types.ID) -> None:
        """Has `block` removed once everything has succeeded."""
        self._removed.append(block)

    def release(self, block: bpy.types.ID | None) -> None:
        """Has `block` removed once everything has succeeded, if it has no users then."""
        if block is not None:
            self._released.append(block)


def _mark(owner: bpy.types.ID, key: str, value: Any) -> None:
    """Sets a custom property, or removes it where the value is None."""
    if value is not None:
        owner[key] = value
    elif key in owner:
        del owner[key]


def _frozen(value: Any) -> Any:
    """A copy of a value that would otherwise change with the data from which it was read."""
    if isinstance(value, Matrix | Vector | Euler | Quaternion | Color):
        return value.copy()
    if hasattr(value, "to_list"):  # an array among custom properties
        return value.to_list()
    return tuple(value) if isinstance(value, bpy.types.bpy_prop_array) else value
