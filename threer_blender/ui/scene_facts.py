"""[B] Facts about the scene that drawing and polling need at every redraw: computed once, and again after a change.

Blender says when: after it evaluates a change, and after undo, redo and loading. Facts are plain data or names, never
Blender's objects, which Blender may free.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any, TypeVar

import bpy

Fact = TypeVar("Fact")


class SceneFacts:
    """Facts by name. Without `keeps`, each is computed at every call: scripts change data without evaluation."""

    def __init__(self, keeps: bool) -> None:
        self._keeps = keeps
        self._facts: dict[Hashable, Any] = {}
        self._listeners = self._made_listeners()

    def get(self, name: Hashable, find: Callable[[], Fact]) -> Fact:
        """The result of `find`, which is called once after each change of the scene."""
        if not self._keeps:
            return find()
        if name not in self._facts:
            self._facts[name] = find()
        return self._facts[name]  # type: ignore[no-any-return]

    def forget(self) -> None:
        """Has every fact computed again."""
        self._facts.clear()

    def begin(self) -> None:
        """Starts listening to Blender."""
        for handlers, listener in self._listeners:
            handlers.append(listener)

    def end(self) -> None:
        """Stops listening to Blender."""
        for handlers, listener in self._listeners:
            if listener in handlers:
                handlers.remove(listener)

    def _made_listeners(self) -> list[tuple[Any, Any]]:
        def changed(_scene: bpy.types.Scene, depsgraph: bpy.types.Depsgraph) -> None:
            if not all(update.is_updated_transform for update in depsgraph.updates):  # moving changes none of the facts
                self.forget()

        def replaced(*_: object) -> None:
            self.forget()

        stay = bpy.app.handlers.persistent  # when a file is loaded
        later = [(getattr(bpy.app.handlers, name), stay(replaced)) for name in ("undo_post", "redo_post", "load_post")]
        return [(bpy.app.handlers.depsgraph_update_post, stay(changed)), *later]
