"""Films of many kinds: frame k is the k-th picture that a player shows, whatever the container's clock says."""

import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("av")

from tests.numbered_films import KINDS, number_of
from threer_blender.pictures.film import Film

Written = Callable[[str], Path]


@pytest.mark.parametrize("name", KINDS)
def test_frames_are_in_the_order_of_showing(numbered_film: Written, name: str) -> None:
    film = Film(numbered_film(name))
    shown = [number_of(film.picture(number)) for number in film.numbers]
    assert film.numbers == list(range(1, len(film) + 1))
    if KINDS[name].shown:
        assert shown == list(KINDS[name].shown)
    else:  # how much of it is left depends on the encoder
        assert len(shown) >= 12
        assert set(np.diff(shown)) == {1}


@pytest.mark.parametrize("name", KINDS)
def test_frames_are_the_same_in_any_order(numbered_film: Written, name: str) -> None:
    film = Film(numbered_film(name))
    first = number_of(film.picture(1))
    for number in random.Random(name).sample(film.numbers, 12):
        assert number_of(film.picture(number)) == first + number - 1
