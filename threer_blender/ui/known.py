"""[S] Values that drawing needs and must not wait for: a thread computes them, and they hold for a while. No bpy."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

MOST = 500  # names that are held at a time
FRESH = 5.0  # seconds after which a value is computed again

Value = TypeVar("Value")


class Known:
    """Values by name. With `at_once` each is computed when it is asked for: without a window nobody waits."""

    def __init__(self, at_once: bool) -> None:
        self._at_once = at_once
        self._values: dict[Hashable, tuple[float, Any]] = {}
        self._sought: dict[Hashable, Future[Any]] = {}
        self._finder = ThreadPoolExecutor(1, "threer-finder")

    def get(self, name: Hashable, find: Callable[[], Value], before: Value) -> Value:
        """The last value that `find` returned, or `before` until there is one. An old value is computed again.

        Never blocks. Where `find` raises, the value stays.
        """
        if self._at_once:
            return find()
        self._take()
        if len(self._values) > MOST:
            self._values.clear()
        read_at, value = self._values.get(name, (-FRESH, before))
        if time.monotonic() - read_at >= FRESH and name not in self._sought:
            self._sought[name] = self._finder.submit(find)
        return value  # type: ignore[no-any-return]

    @property
    def is_seeking(self) -> bool:
        """Whether a value is being computed; what is drawn may change then."""
        self._take()
        return bool(self._sought)

    def forget(self) -> None:
        """Has every value computed again, because something has changed. The old values are returned until then."""
        self._values = {name: (-FRESH, value) for name, (_, value) in self._values.items()}
        self._sought.clear()  # what is under way has looked too early

    def close(self) -> None:
        """Computes nothing more."""
        self._finder.shutdown(wait=False, cancel_futures=True)

    def _take(self) -> None:
        for name, future in list(self._sought.items()):
            if future.done():
                del self._sought[name]
                if future.exception() is None:
                    self._values[name] = (time.monotonic(), future.result())
                elif name in self._values:  # it is asked again after a while
                    self._values[name] = (time.monotonic(), self._values[name][1])
