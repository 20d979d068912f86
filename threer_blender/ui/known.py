"""[S] What drawing wants to know and must not wait for: found on a thread, kept for a while. Stdlib only, no bpy."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

MOST = 500  # names that are kept
FRESH = 5.0  # seconds for which something found is believed

Value = TypeVar("Value")


class Known:
    """Things that were found, by name. With `at_once` they are found where they are asked for: nobody looks on."""

    def __init__(self, at_once: bool) -> None:
        self._at_once = at_once
        self._values: dict[Hashable, tuple[float, Any]] = {}
        self._sought: dict[Hashable, Future[Any]] = {}
        self._finder = ThreadPoolExecutor(1, "threer-finder")

    def get(self, name: Hashable, find: Callable[[], Value], before: Value) -> Value:
        """What `find` returned last, or `before` where it has not yet; lets it be called again where that is long ago.

        Never blocks. What `find` raises counts as `before`.
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
        """Whether something is to be found that was asked for; what is drawn may change then."""
        self._take()
        return bool(self._sought)

    def forget(self) -> None:
        """Lets everything be found again: something has changed. What was found is shown until then."""
        self._values = {name: (-FRESH, value) for name, (_, value) in self._values.items()}
        self._sought.clear()  # what is under way has looked too early

    def close(self) -> None:
        """Seeks nothing more."""
        self._finder.shutdown(wait=False, cancel_futures=True)

    def _take(self) -> None:
        for name, future in list(self._sought.items()):
            if future.done():
                del self._sought[name]
                if future.exception() is None:
                    self._values[name] = (time.monotonic(), future.result())
                elif name in self._values:  # it is asked again after a while
                    self._values[name] = (time.monotonic(), self._values[name][1])
