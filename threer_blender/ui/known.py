"""[S] Values that drawing needs and must not wait for. A thread computes them, and each holds for a while. No bpy."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

MOST_VALUES = 500  # that are kept; where there are more, all are dropped
FRESH = 5.0  # seconds after which a value is computed again

Value = TypeVar("Value")


class Known:
    """Values by name. With `at_once`, `get` computes a value and waits for it: for Blender without a window."""

    def __init__(self, at_once: bool) -> None:
        self._at_once = at_once
        self._values: dict[Hashable, tuple[float, Any]] = {}
        self._sought: dict[Hashable, Future[Any]] = {}
        self._finder = ThreadPoolExecutor(1, "threer-finder")

    def get(self, name: Hashable, find: Callable[[], Value], before: Value) -> Value:
        """The last value that `find` returned, or `before` until there is one. The thread computes old values again.

        Never blocks, except with `at_once`. Where `find` raises, the value stays.
        """
        if self._at_once:
            return find()
        self._take()
        if len(self._values) > MOST_VALUES:
            self._values.clear()
        computed_at, value = self._values.get(name, (-FRESH, before))
        if time.monotonic() - computed_at >= FRESH and name not in self._sought:
            self._sought[name] = self._finder.submit(find)
        return value  # type: ignore[no-any-return]

    @property
    def is_seeking(self) -> bool:
        """Whether a value is being computed, so that drawing may change soon."""
        self._take()
        return bool(self._sought)

    def forget(self) -> None:
        """Has every value computed again, because something has changed. Until then `get` returns the old values."""
        self._values = {name: (-FRESH, value) for name, (_, value) in self._values.items()}
        self._sought.clear()  # these computations may have read what stood before the change

    def close(self) -> None:
        """Ends the thread."""
        self._finder.shutdown(wait=False, cancel_futures=True)

    def _take(self) -> None:
        """Takes over the values that the thread has computed."""
        for name, future in list(self._sought.items()):
            if future.done():
                del self._sought[name]
                if future.exception() is None:
                    self._values[name] = (time.monotonic(), future.result())
                elif name in self._values:  # `find` raised: the old value holds for another while
                    self._values[name] = (time.monotonic(), self._values[name][1])
