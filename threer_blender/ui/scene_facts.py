"""[B] Facts about the scene that drawing and polling need at every redraw. They are computed once for each change.

Blender reports changes: after it has evaluated one, and after undo, redo and loading. Facts are plain data or names.
They are never Blender's objects, since Blender may free those.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any, TypeVar

import bpy

Fact = TypeVar("Fact")


class SceneFacts:
    """Facts by name, kept until the scene changes.

    Without `keeps`, a fact is computed at every call. Scripts need that: they change data without evaluation, so
    Blender reports nothing.
    """

    def __init__(self, keeps: bool) -> None:
        self._keeps = keeps
        self._facts: dict[Hashable, Any] = {}
        self._listeners = self._made_listeners()

    def get(self, name: Hashable, find: Callable[[], Fact]) -> Fact:
        """The fact of this name. `find` computes it, at most once between two changes of the scene."""
        if not self._keeps:
            return find()
        if name not in self._facts:
            self._facts[name] = find()
        return self._facts[name]  # type: ignore[no-any-return]

    def forget(self) -> None:
        """Forgets all facts, so that each is computed again when it is next asked for."""
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
        """Pairs of one of Blender's lists of handlers and our handler for it."""

        def changed(_scene: bpy.types.Scene, depsgraph: bpy.types.Depsgraph) -> None:
            if not all(update.is_updated_transform for update in depsgraph.updates):  # moving changes none of the facts
                self.forget()

        def replaced(*_: object) -> None:
            self.forget()

        stay = bpy.app.handlers.persistent  # other handlers are removed when a file is loaded
        later = [(getattr(bpy.app.handlers, name), stay(replaced)) for name in ("undo_post", "redo_post", "load_post")]
        return [(bpy.app.handlers.depsgraph_update_post, stay(changed)), *later]
