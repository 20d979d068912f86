"""Mappers run in a thread that is cancelled, not waited for."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from threer_blender.geometry.features.database import Matched
from threer_blender.geometry.sfm import mappers
from threer_blender.geometry.sfm.model_selection import Model
from threer_blender.model.errors import Cancelled
from threer_blender.model.reconstruction import Photo

MATCHED = Matched(
    Path("nowhere.db"), [Photo(f"{i}", "", 9, 9, "") for i in range(3)], np.full((3, 2), 9), [np.zeros((0, 3))] * 3,
    np.zeros((0, 2), int), np.zeros(0, int), np.zeros(0, int),
)  # fmt: skip


def test_a_running_call_is_cancelled_not_waited_for() -> None:
    """`progress` raises from the middle of one call; the call must not go on to its end."""
    finished = []

    def endless(_path: Path, _matched: Matched, token: mappers.Token, progress: Callable[[], None]) -> list[Model]:
        while not token.is_cancelled:
            progress()
            time.sleep(0.01)
        finished.append(True)
        return []

    calls = 0

    def progress(_registered: float) -> None:
        nonlocal calls
        calls += 1
        if calls == 3:
            raise Cancelled

    candidate = mappers.Candidate("endless", endless, lambda _best, _matched: True)
    with pytest.raises(Cancelled):
        mappers.run(candidate, MATCHED, progress)
    assert finished == [True]


def test_progress_counts_photos_and_no_more_than_there_are() -> None:
    counts: list[Any] = []

    def busy(_path: Path, _matched: Matched, _token: mappers.Token, progress: Callable[[], None]) -> list[Model]:
        for _ in range(5):
            progress()
            time.sleep(0.15)
        return []

    mappers.run(mappers.Candidate("busy", busy, lambda _best, _matched: True), MATCHED, counts.append)
    assert counts == sorted(counts)
    assert counts[-1] == 3


def test_frames_of_a_film_share_a_lens_however_large_their_errors() -> None:
    """Blur makes the errors of a film large. A lens for each frame would be solved in vain."""
    model = SimpleNamespace(cameras={1: None}, compute_mean_reprojection_error=lambda: 5.0)
    best: Any = SimpleNamespace(model=model)
    (one_each,) = (each for each in mappers.CANDIDATES if each.name == "incremental, a lens each")
    film = replace(MATCHED, photos=[replace(photo, frame=index) for index, photo in enumerate(MATCHED.photos)])
    assert one_each.wanted(best, MATCHED)
    assert not one_each.wanted(best, film)
