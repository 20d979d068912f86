"""Patches that are registered together: their places, in pictures that are warped by known amounts."""

from typing import Any

import numpy as np

from tests.geometry import painted
from threer_blender.geometry.features import registration

SIZE, COUNT = 64, 8
MIDDLE = 0.5 * SIZE


def filmed(offsets: Any, warps: Any) -> Any:
    """(COUNT, SIZE, SIZE) pictures of one painting, each of other brightness and contrast. Its middle is `offsets`
    (COUNT, 2) off their middle, and `warps` (COUNT, 2, 2) lead from the painting to the picture."""
    column, row = np.meshgrid(np.arange(SIZE) + 0.5, np.arange(SIZE) + 0.5)
    pictures = []
    for index, (offset, warp) in enumerate(zip(offsets, warps, strict=True)):
        from_middle = np.stack([column, row], axis=-1) - MIDDLE - offset
        place = from_middle @ np.linalg.inv(warp).T
        pictures.append((20 * index + (1 - 0.08 * index) * painted.value(place)).astype(np.float32))
    return np.array(pictures)


def registered(pictures: Any, warps: Any, parallax: Any, places: Any) -> Any:
    """The places (COUNT, 2) after the registration of a single point, from `places`; and the correlations."""
    after = places.copy()
    begins, cameras = np.array([0, COUNT]), np.arange(COUNT)
    correlations = registration.register(pictures, begins, cameras, np.array([3]), warps, parallax, after)
    return after, correlations


def test_places_agree_to_a_fiftieth_of_a_pixel_whatever_the_light() -> None:
    random = np.random.default_rng(0)
    offsets = random.uniform(-2, 2, (COUNT, 2))
    warps = np.eye(2) + 0.08 * random.standard_normal((COUNT, 2, 2))
    warps[3] = np.eye(2)
    rough = MIDDLE + offsets + 0.25 * random.standard_normal((COUNT, 2)).clip(-1.5, 1.5)
    places, correlations = registered(filmed(offsets, warps), warps, np.zeros((COUNT, 2)), rough)
    assert correlations.min() > 0.99
    # All may be off by one shift of the painting.
    off = np.einsum("nij,nj->ni", np.linalg.inv(warps), places - MIDDLE - offsets)
    assert np.linalg.norm(off - off.mean(axis=0), axis=1).max() < 0.02


def test_the_slope_of_the_plane_is_found_by_the_registration() -> None:
    """The warps given are those of a plane that faces the camera; that of the painting does not."""
    parallax = np.stack([np.linspace(-9, 12, COUNT), np.linspace(3, -4, COUNT)], axis=1)
    slope = np.array([0.012, -0.02])
    facing = np.tile(np.eye(2), (COUNT, 1, 1))
    true = facing + parallax[:, :, None] * slope
    true_at_reference = np.linalg.inv(true[3])
    offsets = np.random.default_rng(1).uniform(-1, 1, (COUNT, 2))
    _, correlations = registered(
        filmed(offsets, true @ true_at_reference), facing, parallax - parallax[3], MIDDLE + offsets
    )
    assert correlations.min() > 0.995


def test_another_pattern_stays_where_it_was() -> None:
    offsets, warps = np.zeros((COUNT, 2)), np.tile(np.eye(2), (COUNT, 1, 1))
    pictures = filmed(offsets, warps)
    pictures[6] = pictures[6, ::-1, ::-1]
    rough = np.full((COUNT, 2), MIDDLE + 0.1)
    places, correlations = registered(pictures, warps, np.zeros((COUNT, 2)), rough)
    assert correlations[6] < registration.LEAST_CORRELATION
    assert (places[6] == rough[6]).all()
    assert np.linalg.norm(np.delete(places - places[3], 6, axis=0), axis=1).max() < 0.02
